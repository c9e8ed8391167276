"""Two linear classifiers, multinomial logistic regression and NB-SVM, and the factors that join them into one.

A matrix of features and the class numbers of its rows enter; weights and a bias for each score leave. Two classes have
one score, that of the second against the first; more classes have one score each. Only fitting needs scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]


@dataclass(frozen=True)
class Head:
    """A linear classifier: scores are features @ weights + bias; `weights` has a row a feature and a column a score."""

    weights: Floats
    bias: Floats

    def scores(self, features: csr_matrix) -> Floats:
        return np.asarray(features @ self.weights + self.bias, np.float32)


@dataclass(frozen=True)
class Best:
    """The chosen head, and its scores of the validation rows."""

    head: Head
    scores: Floats


def probabilities(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Softmax of the scores; a single score is that of the second class, against 0 for the first."""
    logits = scores.astype(np.float64)
    if logits.shape[1] == 1:
        logits = np.hstack([np.zeros_like(logits), logits])
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def log_loss(scores: NDArray[np.floating], numbers: Numbers) -> float:
    """The mean of -log(probability of the true class), in nats."""
    of_truth = probabilities(scores)[np.arange(len(numbers)), numbers]
    return float(-np.log(np.maximum(of_truth, 1e-15)).mean())


def accuracy(scores: NDArray[np.floating], numbers: Numbers) -> float:
    """The share of rows whose most probable class is the true one."""
    return float((probabilities(scores).argmax(axis=1) == numbers).mean())


def judge(scores: NDArray[np.floating], numbers: Numbers) -> dict[str, float]:
    """Log loss and accuracy, by the names that a progress callback gets."""
    return {"validation_log_loss": log_loss(scores, numbers), "validation_accuracy": accuracy(scores, numbers)}


def best(
    fits: Iterable[Head], features: csr_matrix, numbers: Numbers, report: Callable[[Mapping[str, float]], None]
) -> Best:
    """The last head before the log loss of calibrated scores rises; without validation rows the first.

    Args:
        fits: heads of rising strength, fitted one by one.
        features: of the validation rows.
        numbers: their class numbers.
        report: called with the metrics of each head.
    """
    chosen = None
    least = np.inf
    for head in fits:
        scores = head.scores(features)
        if not len(numbers):
            report({})
            return Best(head, scores)
        metrics = judge(join([scores], numbers, [1.0])[0] * scores, numbers)
        report(metrics)
        if metrics["validation_log_loss"] > least:
            break
        chosen = Best(head, scores)
        least = metrics["validation_log_loss"]
    assert chosen is not None, "at least one strength is tried"
    return chosen


def middle(strengths: Sequence[float]) -> tuple[float, ...]:
    """The only strength to try where there are no validation rows, or no time to try all."""
    return (strengths[len(strengths) // 2],)


def logistic(features: csr_matrix, numbers: Numbers, strength: float, *, passes: int) -> Head:
    """Fit multinomial logistic regression with an L2 penalty of 1 / strength, in at most `passes` passes of L-BFGS."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the limit of passes is intended
        fitted = LogisticRegression(C=strength, max_iter=passes).fit(features, numbers)
    return Head(fitted.coef_.T.astype(np.float32), fitted.intercept_.astype(np.float32))


def bayes_svm(present: csr_matrix, numbers: Numbers, strength: float, *, seed: int) -> Head:
    """Fit a linear SVM on features scaled by their naive Bayes log-count ratios, each class against the rest.

    Source: Wang and Manning, Baselines and Bigrams (2012).

    Args:
        present: 1 where a row has the feature.
    """
    classes = int(numbers.max()) + 1
    heads = [_one_bayes_svm(present, numbers == k, strength, seed) for k in ([1] if classes == 2 else range(classes))]
    weights = np.stack([weights for weights, _ in heads], axis=1)
    return Head(weights.astype(np.float32), np.array([bias for _, bias in heads], np.float32))


def _one_bayes_svm(
    present: csr_matrix, positive: NDArray[np.bool_], strength: float, seed: int
) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of one class against the rest."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    inside = 1 + np.asarray(present.T @ positive.astype(np.float64))
    outside = 1 + np.asarray(present.T @ (~positive).astype(np.float64))
    ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    scaled = csr_matrix((ratio[present.indices], present.indices, present.indptr), shape=present.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last steps change no prediction
        fitted = LinearSVC(C=strength, random_state=seed).fit(scaled, positive)
    return ratio * fitted.coef_[0], float(fitted.intercept_[0])


def join(scores: Sequence[Floats], numbers: Numbers, usual: Sequence[float]) -> tuple[float, ...]:
    """A factor for each head's scores, so that their sum has the least log loss on these rows.

    One step both calibrates the heads and weighs them against each other; the sum stays linear.

    Args:
        scores: the scores of each head.
        numbers: the class numbers of the rows.
        usual: factors that suit many data sets. They are a prior worth one row, so a few rows do no harm.
    """
    from scipy.optimize import minimize

    stack = np.stack([part.astype(np.float64) for part in scores])
    prior = np.asarray(usual, np.float64)
    if not len(numbers):
        return tuple(usual)

    def cost(factors: NDArray[np.float64]) -> float:
        penalty = float(((factors - prior) ** 2).sum()) / len(numbers)
        return log_loss(np.tensordot(factors, stack, 1), numbers) + penalty

    result = minimize(cost, prior, method="L-BFGS-B", bounds=[(0.01, 100.0)] * len(prior))
    return tuple(float(factor) for factor in result.x)
