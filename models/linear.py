"""The linear model: TF-IDF logistic regression and NB-SVM on hashed n-grams, averaged as logits.

Texts and labels enter, probabilities leave, at some 15 MB of text a second and core. Both heads are linear in the same
n-grams, so the sum of their scores is too, and `evidence` tells exactly what a word adds. Everything is chosen on the
validation rows: how strongly each head is fitted, and the factors that join and calibrate them. Predicting needs numpy
and scipy alone.
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

SUMMARY = "Words, pairs and pieces of words, weighed by logistic regression and NB-SVM: seconds to train, hard to beat."
NEEDS: tuple[str, ...] = ()
USUAL = (0.8, 1.2)  # factors of the two heads on film reviews (median of 5 splits), from which few rows move little
SMALL = 1000  # training rows under which even an n-gram seen once is kept
MOST_WEIGHTS = 10_000_000  # n-grams times classes; L-BFGS keeps 20 copies of 8 bytes each
MOST_CHARACTERS = 32_000_000  # of training texts fitted in memory: a minute or two on two cores, and 1 to 2 GB
MOST_SCORED = 4_000_000_000  # the same times classes: with 1,000 of them 4 million characters
PASSES, FEWER_PASSES = 200, 50  # of L-BFGS at most: over all rows, and over a sample that is corrected afterwards
FEW_CHARACTERS, FEW_SCORES = 1 << 14, 16  # up to so many a tally is quicker than a matrix: for one text, twice
RATES: tuple[float, ...] = (0.1, 0.3, 0.8)  # of the correction; the validation rows choose
MOST_WORK = 300_000_000  # n-grams in the training texts times classes; above it one fit must do, and NB-SVM is left out


@dataclass(frozen=True)
class Params:
    """What may be set; the rest is chosen on the validation rows.

    min_df: training texts that must contain an n-gram for it to count (1 where there are fewer than 1,000 texts).
    max_features: words and pairs kept, and as many word pieces; the commonest are.
    strengths: tried in this order for the logistic regression, until the validation log loss rises.
    bayes_strengths: tried likewise for the NB-SVM; without any it is left out.
    minutes: no new strength is tried and no more rows are read after so long.
    """

    min_df: int = 2
    max_features: int = 1_000_000
    strengths: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    bayes_strengths: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1)
    minutes: float = 10.0


SPACE = {"min_df": (1, 2, 3, 5), "bayes_strengths": ((0.003, 0.01, 0.03, 0.1), ())}


@dataclass(frozen=True)
class Linear:
    """The fitted model. seen: the numbers of those labels that training rows had; the others have probability 0."""

    labels: tuple[str, ...]
    params: Params
    seen: tuple[int, ...]
    words: Group
    pieces: Group
    bias: Floats

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        result, done = np.zeros((len(texts), len(self.labels))), 0
        for some in blocks(texts):
            result[done : done + len(some), self.seen] = linear_heads.probabilities(self._scores(read(some)))
            done += len(some)
        return result

    def evidence(self, text: str) -> Evidence:
        """What each word of the text adds to the log-odds of the likeliest class against the second likeliest."""
        block = read([text])
        scores = self._scores(block)
        logits = np.append(np.zeros(2 - min(2, scores.shape[1])), scores[0])  # as heads.probabilities reads them
        label = int(linear_heads.probabilities(scores)[0].argmax())
        against = int(np.where(np.arange(len(logits)) == label, -np.inf, logits).argmax())
        column = partial(_odds, label=label, against=against)
        words = shares(block, self.words, self.pieces, column)
        return Evidence(self.seen[label], self.seen[against], words, float(column(self.bias[None])[0]))

    def _scores(self, block: Block) -> NDArray[np.floating]:
        if len(block.owner) <= FEW_CHARACTERS and len(self.bias) <= FEW_SCORES:
            few = self.words.scores_of(tally(block, block.words, self.words.known))
            return few + self.pieces.scores_of(tally(block, block.pieces, self.pieces.known)) + self.bias
        words = self.words.scores(count(block, block.words, self.words.known))
        return words + self.pieces.scores(count(block, block.pieces, self.pieces.known)) + self.bias

    def save(self, folder: Path) -> None:
        """model.json says what it is, arrays.npz holds the numbers."""
        arrays: dict[str, NDArray[Any]] = {"bias": self.bias}
        for name, group in (("words", self.words), ("pieces", self.pieces)):
            arrays |= {f"{name}_{part}": array for part, array in group.arrays().items()}
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        about = {"model": "linear", "labels": self.labels, "params": asdict(self.params), "seen": self.seen}
        (folder / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")


def _odds(weights: Floats, label: int, against: int) -> Floats:
    """What weights, a column a score, give to one class over another; a single score is that of the second class."""
    if weights.shape[1] == 1:
        return weights[:, 0] if label else -weights[:, 0]
    return weights[:, label] - weights[:, against]


def load(folder: Path) -> Linear:
    """The model that `save` wrote there."""
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
    """Learn the vocabulary and both heads from the training rows, and choose among them by the validation rows.

    Of rows that are more than MOST_CHARACTERS or MOST_SCORED, a sample of so much is learnt from in this way; then all
    of them, read once from where they lie, correct it (models/text/sgd_refinement.py). Nothing new is begun after
    params.minutes, so that with too little time the model is one of fewer strengths or fewer rows.
    """
    clock = _Clock(params.minutes)
    present = set(train.labels)
    seen = tuple(number for number, label in enumerate(labels) if label in present)
    if len(seen) < 2:
        raise ValueError(
            f"A linear model needs training rows of two classes or more. Received: {len(train)} rows of "
            f"{sorted(present)}. Check the column of labels, or how the rows were split."
        )
    characters, most = row_sampling.characters(train.texts), min(MOST_CHARACTERS, MOST_SCORED // len(seen))
    parts = 0 if characters <= most else -(-characters // most)
    steps = _Steps(progress, 2 + len(params.strengths) + len(params.bayes_strengths), parts)
    if not parts:
        return _fitted(train, validation, labels, seen, params, seed, steps, clock)
    some = Rows(*row_sampling.sample(train.texts, train.labels, most / characters, seed))
    rough = _fitted(some, validation, labels, seen, params, seed, steps, clock, passes=FEWER_PASSES)
    return _refined(rough, row_sampling.mixed(train.texts, train.labels, parts, seed), validation, steps, clock)


def _fitted(
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
    """The model of rows that fit in memory."""
    most = min(params.max_features, MOST_WEIGHTS // (2 * len(seen)))
    known = learn(train.texts, params.min_df if len(train) >= SMALL else 1, most)
    steps.taken({"features": float(sum(map(len, known)))})
    named = {labels[number]: place for place, number in enumerate(seen)}
    learnt, judged = _counted(train, known, named), _counted(validation, known, named)
    steps.taken({})
    rare = rarity(learnt.words), rarity(learnt.pieces)
    chosen = _chosen(learnt, judged, rare, params, seed, steps, clock, passes)
    factors = linear_heads.join([best.scores for best in chosen], judged.numbers, USUAL[: len(chosen)])
    steps.finished(chosen, factors, judged.numbers)
    words, pieces, bias = _joined(known, rare, chosen, factors)
    return Linear(labels, params, seen, words, pieces, bias)


def _refined(
    rough: Linear, parts: Iterable[row_sampling.Drawn], validation: Rows, steps: _Steps, clock: _Clock
) -> Linear:
    """The model corrected by all rows, at the rate that suits the validation rows best; as it was, if none does."""
    named = {rough.labels[number]: place for place, number in enumerate(rough.seen)}
    refiner = Refiner(rough.words, rough.pieces, rough.bias, RATES)
    for texts, names in parts:
        refiner.learn(texts, np.array([named[name] for name in names], np.intp))
        steps.taken({})
        if clock.is_over():
            break
    pairs = zip(validation.texts, validation.labels, strict=True)
    judged = [(text, named[label]) for text, label in pairs if label in named]
    numbers = np.array([number for _, number in judged], np.intp)
    if not len(numbers):
        return rough
    scores = refiner.scores([text for text, _ in judged])
    factors = [linear_heads.join([some], numbers, [1.0])[0] for some in scores]
    losses = [linear_heads.log_loss(factor * some, numbers) for factor, some in zip(factors, scores, strict=True)]
    best = int(np.argmin(losses))
    steps.ended(linear_heads.judge(factors[best] * scores[best], numbers))
    if best == 0:
        return rough
    words, pieces, bias = refiner.corrected(refiner.corrections[best - 1])
    factor = factors[best]
    return replace(rough, words=words.times(factor), pieces=pieces.times(factor), bias=bias * np.float32(factor))


@dataclass(frozen=True)
class _Clock:
    """How long a fit has taken."""

    minutes: float
    began: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        return time.monotonic() - self.began > 60 * self.minutes

    def while_it_runs(self, strengths: Sequence[float]) -> Iterator[float]:
        """The first strength, and those after it for which there is still time."""
        for at, strength in enumerate(strengths):
            if at and self.is_over():
                return
            yield strength


class _Steps:
    """Tells a progress callback how far a fit has come; steps that were not needed are made up for at the end."""

    def __init__(self, progress: Progress, fitting: int, refining: int) -> None:
        self._progress, self._total, self._left, self._taken = progress, fitting + refining, refining, 0

    def taken(self, metrics: Mapping[str, float]) -> None:
        """One step more."""
        self._taken += 1
        self._progress(self._taken, self._total, metrics)

    def finished(self, chosen: Sequence[Best], factors: Sequence[float], truth: Numbers) -> None:
        """The last step of fitting, with how the joined heads do on the validation rows; some steps may be left."""
        joined = np.sum([factor * best.scores for factor, best in zip(factors, chosen, strict=True)], axis=0)
        self._taken = self._total - self._left
        self._progress(self._taken, self._total, linear_heads.judge(joined, truth) if len(truth) else {})

    def ended(self, metrics: Mapping[str, float]) -> None:
        """The very last step."""
        self._progress(self._total, self._total, metrics)


@dataclass(frozen=True)
class _Counted:
    """Rows as counts of known n-grams, and the number of each row's class among the seen ones."""

    words: csr_matrix
    pieces: csr_matrix
    numbers: Numbers

    def features(self, rare: tuple[Floats, Floats]) -> csr_matrix:
        """Words and pieces weighed, each group brought to length 1 by itself (0.3 points better than together)."""
        return hstack([tfidf(self.words, rare[0]), tfidf(self.pieces, rare[1])], format="csr", dtype=np.float32)


def _counted(rows: Rows, known: tuple[Vocabulary, Vocabulary], named: Mapping[str, int]) -> _Counted:
    """The rows of seen classes."""
    texts = [text for text, label in zip(rows.texts, rows.labels, strict=True) if label in named]
    numbers = np.array([named[label] for label in rows.labels if label in named], np.intp)
    return _Counted(*count_all(texts, known), numbers)


def _chosen(
    learnt: _Counted,
    judged: _Counted,
    rare: tuple[Floats, Floats],
    params: Params,
    seed: int,
    steps: _Steps,
    clock: _Clock,
    passes: int,
) -> list[Best]:
    """The best logistic regression on all weighed n-grams, and the best NB-SVM on the presence of words and pairs."""
    work = (learnt.words.nnz + learnt.pieces.nnz) * (int(learnt.numbers.max()) + 1)
    much, passes = work > MOST_WORK, int(np.clip(20 * MOST_WORK // max(work, 1), 20, passes))
    alone = much or not len(judged.numbers)
    weighed = learnt.features(rare)
    fits = (
        linear_heads.logistic(weighed, learnt.numbers, strength, passes=passes)
        for strength in clock.while_it_runs(linear_heads.middle(params.strengths) if alone else params.strengths)
    )
    chosen = [linear_heads.best(fits, judged.features(rare), judged.numbers, steps.taken)]
    if params.bayes_strengths and not much:
        words = presence(learnt.words)
        strengths = linear_heads.middle(params.bayes_strengths) if alone else params.bayes_strengths
        fits = (
            linear_heads.bayes_svm(words, learnt.numbers, strength, seed=seed)
            for strength in clock.while_it_runs(strengths)
        )
        chosen.append(linear_heads.best(fits, presence(judged.words), judged.numbers, steps.taken))
    return chosen


def _joined(
    known: tuple[Vocabulary, Vocabulary],
    rare: tuple[Floats, Floats],
    chosen: Sequence[Best],
    factors: Sequence[float],
) -> tuple[Group, Group, Floats]:
    """Both heads as one: rarity and factors go into the weights."""
    weights = np.float32(factors[0]) * chosen[0].head.weights * np.concatenate(rare)[:, None]
    present = np.float32(factors[1]) * chosen[1].head.weights if len(chosen) > 1 else None
    bias = np.sum([factor * best.head.bias for factor, best in zip(factors, chosen, strict=True)], axis=0)
    words = Group(known[0], rare[0], weights[: len(known[0])], present)
    pieces = Group(known[1], rare[1], weights[len(known[0]) :], None)
    return words, pieces, bias.astype(np.float32)
