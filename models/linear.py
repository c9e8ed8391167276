"""The linear model: TF-IDF logistic regression and NB-SVM on hashed n-grams, averaged as logits.

Texts and labels enter, probabilities leave, at some 15 MB of text a second and core. Both heads are linear in the same
n-grams, and so is the sum of their scores; `evidence` therefore gives exactly what each word adds. The validation rows
choose the strength of each head, and the factors that join and calibrate the heads. Predicting needs only numpy and
scipy.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from models.contract import Progress, Rows
from models.text import linear_heads, row_sampling
from models.text.linear_heads import Best, Floats, Numbers
from models.text.ngrams import Block, blocks, read
from models.text.sgd_refinement import Refiner
from models.text.tfidf import Group, presence, rarity, tfidf
from models.text.vocabulary import Vocabulary, count, count_all, learn, tally
from models.text.word_weights import Evidence, shares

TASK = "classify"
SUMMARY = "Words, pairs and pieces of words, weighed by logistic regression and NB-SVM: seconds to train, hard to beat."
NEEDS: tuple[str, ...] = ()
USUAL = (0.8, 1.2)  # prior factors of the two heads: on film reviews, the median of 5 splits
SMALL = 1000  # with fewer training rows even an n-gram that occurs once is kept
MOST_WEIGHTS = 10_000_000  # n-grams times classes; L-BFGS keeps 20 copies of 8 bytes each
MOST_CHARACTERS = 32_000_000  # of training texts fitted in memory: a minute or two on two cores, and 1 to 2 GB
MOST_SCORED = 4_000_000_000  # characters times classes; 4 million characters with 1,000 classes
PASSES = 200  # most passes of L-BFGS over all rows
FEWER_PASSES = 50  # likewise over a sample, whose model is corrected afterwards
FEW_CHARACTERS = 1 << 14  # with up to so many and FEW_SCORES a tally is quicker than a matrix: twice, for one text
FEW_SCORES = 16
RATES: tuple[float, ...] = (0.1, 0.3, 0.8)  # learning rates of the correction; the validation rows choose one
MOST_WORK = 300_000_000  # n-grams in the training texts times classes; above it there is one fit, without NB-SVM


@dataclass(frozen=True)
class Params:
    """Hyperparameters; everything else is chosen on the validation rows.

    Attributes:
        min_df: training texts that must contain an n-gram (1 where there are fewer than 1,000 texts).
        max_features: most words and pairs, and most word pieces; the commonest are kept.
        strengths: strengths of the logistic regression, tried in this order until the validation log loss rises.
        bayes_strengths: likewise of the NB-SVM, which is left out for an empty tuple.
        minutes: after so long no new strength is tried and no more rows are read.
    """

    min_df: int = 2
    max_features: int = 1_000_000
    strengths: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    bayes_strengths: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1)
    minutes: float = 10.0


SPACE = {"min_df": (1, 2, 3, 5), "bayes_strengths": ((0.003, 0.01, 0.03, 0.1), ())}


@dataclass(frozen=True)
class Linear:
    """The fitted model.

    Attributes:
        labels: the class names.
        params: the hyperparameters.
        seen: numbers of the labels that training rows had; the other labels have probability 0.
        words: the weights of words and pairs.
        pieces: the weights of word pieces.
        bias: a number a score.
    """

    labels: tuple[str, ...]
    params: Params
    seen: tuple[int, ...]
    words: Group
    pieces: Group
    bias: Floats

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        result = np.zeros((len(texts), len(self.labels)))
        done = 0
        for some in blocks(texts):
            result[done : done + len(some), self.seen] = linear_heads.probabilities(self._scores(read(some)))
            done += len(some)
        return result

    def evidence(self, text: str) -> Evidence:
        """What each word of the text adds to the log-odds of the likeliest class against the second likeliest."""
        block = read([text])
        scores = self._scores(block)
        logits = np.append(np.zeros(2 - min(2, scores.shape[1])), scores[0])  # as linear_heads.probabilities reads them
        label = int(linear_heads.probabilities(scores)[0].argmax())
        against = int(np.where(np.arange(len(logits)) == label, -np.inf, logits).argmax())
        column = partial(_class_odds, label=label, against=against)
        words = shares(block, self.words, self.pieces, column)
        return Evidence(self.seen[label], self.seen[against], words, float(column(self.bias[None])[0]))

    def _scores(self, block: Block) -> NDArray[np.floating]:
        if len(block.owner) <= FEW_CHARACTERS and len(self.bias) <= FEW_SCORES:
            of_words = self.words.scores_of(tally(block, block.words, self.words.vocabulary))
            return of_words + self.pieces.scores_of(tally(block, block.pieces, self.pieces.vocabulary)) + self.bias
        words = self.words.scores(count(block, block.words, self.words.vocabulary))
        return words + self.pieces.scores(count(block, block.pieces, self.pieces.vocabulary)) + self.bias

    def save(self, folder: Path) -> None:
        """Write model.json and arrays.npz."""
        arrays: dict[str, NDArray[Any]] = {"bias": self.bias}
        for name, group in (("words", self.words), ("pieces", self.pieces)):
            arrays |= {f"{name}_{part}": array for part, array in group.arrays().items()}
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        about = {"model": "linear", "labels": self.labels, "params": asdict(self.params), "seen": self.seen}
        (folder / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")


def _class_odds(weights: Floats, label: int, against: int) -> Floats:
    """The weights of one class against another.

    Args:
        weights: a column a score; a single column is the score of the second class.
    """
    if weights.shape[1] == 1:
        return weights[:, 0] if label else -weights[:, 0]
    return weights[:, label] - weights[:, against]


def load(folder: Path) -> Linear:
    """The model that `save` wrote."""
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        arrays: dict[str, NDArray[Any]] = dict(file)
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in about["params"].items()
    }
    words, pieces = (_group(arrays, f"{name}_") for name in ("words", "pieces"))
    return Linear(tuple(about["labels"]), Params(**settings), tuple(about["seen"]), words, pieces, arrays["bias"])


def _group(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Group:
    """The words or the pieces among the saved arrays."""
    return Group.of({name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)})


def fit(
    train: Rows, validation: Rows, labels: tuple[str, ...], params: Params, *, seed: int, progress: Progress
) -> Linear:
    """Learn the vocabulary and both heads from the training rows, and choose strengths by the validation rows.

    Rows beyond MOST_CHARACTERS or MOST_SCORED do not fit in memory. Then the model is fitted to a sample of that size,
    and corrected by all rows, which are read once from disk (models/text/sgd_refinement.py). After params.minutes no
    new step begins, so with too little time fewer strengths or fewer rows are used.

    Raises:
        ValueError: the training rows have fewer than two classes.
    """
    clock = _Clock(params.minutes)
    present = set(train.labels)
    seen = tuple(number for number, label in enumerate(labels) if label in present)
    if len(seen) < 2:
        raise ValueError(
            f"A linear model needs training rows of two classes or more. Received: {len(train)} rows of "
            f"{sorted(present)}. Check the column of labels, or how the rows were split."
        )
    characters = row_sampling.count_characters(train.texts)
    most = min(MOST_CHARACTERS, MOST_SCORED // len(seen))
    parts = 0 if characters <= most else -(-characters // most)
    steps = _Steps(progress, 2 + len(params.strengths) + len(params.bayes_strengths), parts)
    if not parts:
        return _fit_in_memory(train, validation, labels, seen, params, seed, steps, clock)
    sample = Rows(*row_sampling.sample(train.texts, train.labels, most / characters, seed))
    rough = _fit_in_memory(sample, validation, labels, seen, params, seed, steps, clock, passes=FEWER_PASSES)
    shuffled = row_sampling.shuffled_parts(train.texts, train.labels, parts, seed)
    return _refine(rough, shuffled, validation, steps, clock)


def _fit_in_memory(
    train: Rows,
    validation: Rows,
    labels: tuple[str, ...],
    seen: tuple[int, ...],
    params: Params,
    seed: int,
    steps: _Steps,
    clock: _Clock,
    passes: int = PASSES,
) -> Linear:
    """Fit the model to rows that fit in memory."""
    most = min(params.max_features, MOST_WEIGHTS // (2 * len(seen)))
    vocabularies = learn(train.texts, params.min_df if len(train) >= SMALL else 1, most)
    steps.report({"features": float(sum(map(len, vocabularies)))})
    places = {labels[number]: place for place, number in enumerate(seen)}
    train_counts = _count_rows(train, vocabularies, places)
    validation_counts = _count_rows(validation, vocabularies, places)
    steps.report({})
    rarities = rarity(train_counts.words), rarity(train_counts.pieces)
    chosen = _choose_heads(train_counts, validation_counts, rarities, params, seed, steps, clock, passes)
    factors = linear_heads.join([best.scores for best in chosen], validation_counts.numbers, USUAL[: len(chosen)])
    steps.report_fit(chosen, factors, validation_counts.numbers)
    words, pieces, bias = _join_heads(vocabularies, rarities, chosen, factors)
    return Linear(labels, params, seen, words, pieces, bias)


def _refine(
    rough: Linear, parts: Iterable[row_sampling.Drawn], validation: Rows, steps: _Steps, clock: _Clock
) -> Linear:
    """Correct a model by all rows, at the rate that is best on the validation rows; unchanged if no rate helps."""
    places = {rough.labels[number]: place for place, number in enumerate(rough.seen)}
    refiner = Refiner(rough.words, rough.pieces, rough.bias, RATES)
    for texts, labels in parts:
        refiner.learn(texts, np.array([places[label] for label in labels], np.intp))
        steps.report({})
        if clock.is_over():
            break
    pairs = zip(validation.texts, validation.labels, strict=True)
    rows = [(text, places[label]) for text, label in pairs if label in places]
    numbers = np.array([number for _, number in rows], np.intp)
    if not len(numbers):
        return rough
    scores = refiner.scores([text for text, _ in rows])
    factors = [linear_heads.join([of_rate], numbers, [1.0])[0] for of_rate in scores]
    losses = [linear_heads.log_loss(factor * of_rate, numbers) for factor, of_rate in zip(factors, scores, strict=True)]
    best = int(np.argmin(losses))
    steps.report_end(linear_heads.judge(factors[best] * scores[best], numbers))
    if best == 0:
        return rough
    words, pieces, bias = refiner.corrected(refiner.corrections[best - 1])
    factor = factors[best]
    return replace(rough, words=words.times(factor), pieces=pieces.times(factor), bias=bias * np.float32(factor))


@dataclass(frozen=True)
class _Clock:
    """The time limit of a fit."""

    minutes: float
    start: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        return time.monotonic() - self.start > 60 * self.minutes

    def in_time(self, strengths: Sequence[float]) -> Iterator[float]:
        """The first strength, and the next ones until the time is over."""
        for at, strength in enumerate(strengths):
            if at and self.is_over():
                return
            yield strength


class _Steps:
    """Reports the progress of a fit; the last report counts the steps that were not needed."""

    def __init__(self, progress: Progress, fitting: int, refining: int) -> None:
        self._progress = progress
        self._total = fitting + refining
        self._refining = refining
        self._done = 0

    def report(self, metrics: Mapping[str, float]) -> None:
        """Report one more step."""
        self._done += 1
        self._progress(self._done, self._total, metrics)

    def report_fit(self, chosen: Sequence[Best], factors: Sequence[float], truth: Numbers) -> None:
        """Report the last step of fitting, with the validation metrics of the joined heads; refinement may follow."""
        joined = np.sum([factor * best.scores for factor, best in zip(factors, chosen, strict=True)], axis=0)
        self._done = self._total - self._refining
        self._progress(self._done, self._total, linear_heads.judge(joined, truth) if len(truth) else {})

    def report_end(self, metrics: Mapping[str, float]) -> None:
        """Report the last step of all."""
        self._progress(self._total, self._total, metrics)


@dataclass(frozen=True)
class _RowCounts:
    """Rows as counts of the vocabulary's n-grams, with the number of each row's class among the seen ones."""

    words: csr_matrix
    pieces: csr_matrix
    numbers: Numbers

    def features(self, rarities: tuple[Floats, Floats]) -> csr_matrix:
        """TF-IDF of words and pieces, each group scaled to length 1 by itself (0.3 points better than together)."""
        return hstack([tfidf(self.words, rarities[0]), tfidf(self.pieces, rarities[1])], format="csr", dtype=np.float32)


def _count_rows(rows: Rows, vocabularies: tuple[Vocabulary, Vocabulary], places: Mapping[str, int]) -> _RowCounts:
    """Count the n-grams of the rows of seen classes.

    Args:
        places: label -> its number among the seen ones.
    """
    texts = [text for text, label in zip(rows.texts, rows.labels, strict=True) if label in places]
    numbers = np.array([places[label] for label in rows.labels if label in places], np.intp)
    return _RowCounts(*count_all(texts, vocabularies), numbers)


def _choose_heads(
    train: _RowCounts,
    validation: _RowCounts,
    rarities: tuple[Floats, Floats],
    params: Params,
    seed: int,
    steps: _Steps,
    clock: _Clock,
    passes: int,
) -> list[Best]:
    """The best logistic regression on TF-IDF of all n-grams, and the best NB-SVM on the presence of words and pairs."""
    work = (train.words.nnz + train.pieces.nnz) * (int(train.numbers.max()) + 1)
    is_large = work > MOST_WORK
    passes = int(np.clip(20 * MOST_WORK // max(work, 1), 20, passes))
    is_one_fit = is_large or not len(validation.numbers)
    features = train.features(rarities)
    strengths = linear_heads.middle(params.strengths) if is_one_fit else params.strengths
    fits = (
        linear_heads.logistic(features, train.numbers, strength, passes=passes) for strength in clock.in_time(strengths)
    )
    chosen = [linear_heads.best(fits, validation.features(rarities), validation.numbers, steps.report)]
    if params.bayes_strengths and not is_large:
        words = presence(train.words)
        strengths = linear_heads.middle(params.bayes_strengths) if is_one_fit else params.bayes_strengths
        fits = (
            linear_heads.bayes_svm(words, train.numbers, strength, seed=seed) for strength in clock.in_time(strengths)
        )
        chosen.append(linear_heads.best(fits, presence(validation.words), validation.numbers, steps.report))
    return chosen


def _join_heads(
    vocabularies: tuple[Vocabulary, Vocabulary],
    rarities: tuple[Floats, Floats],
    chosen: Sequence[Best],
    factors: Sequence[float],
) -> tuple[Group, Group, Floats]:
    """Join both heads into one: rarities and factors are multiplied into the weights.

    Returns:
        The weights of words and pairs, those of word pieces, and the bias.
    """
    weights = np.float32(factors[0]) * chosen[0].head.weights * np.concatenate(rarities)[:, None]
    present = np.float32(factors[1]) * chosen[1].head.weights if len(chosen) > 1 else None
    bias = np.sum([factor * best.head.bias for factor, best in zip(factors, chosen, strict=True)], axis=0)
    words = Group(vocabularies[0], rarities[0], weights[: len(vocabularies[0])], present)
    pieces = Group(vocabularies[1], rarities[1], weights[len(vocabularies[0]) :], None)
    return words, pieces, bias.astype(np.float32)
