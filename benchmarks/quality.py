"""How good are the models, where others' results can be met? Each subcommand prints its figures, then `name=value`.

    python -m benchmarks.quality film           linear less plain scikit-learn on the same rows, over 5 splits by film
    python -m benchmarks.quality chinese        linear on Chinese reviews, duplicates removed
    python -m benchmarks.quality imdb-linear    linear on the official split of IMDb (Maas et al. 2011)
    python -m benchmarks.quality imdb-lstm      the LSTM on the same
    python -m benchmarks.quality film-switch    what it costs linear that rows do not fit in memory, on validation rows
    python -m benchmarks.quality imdb-switch    the same on IMDb

Every choice is made on validation rows; holdout rows are scored once, by the finished model. For IMDb the environment
variable IMDB names a Parquet file with the columns split (train or test), label and text; a tenth of train validates.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

import models
from models.contract import Rows
from models.text import row_sampling
from ratchet.data import examples
from ratchet.data.prepare.split import assign_sides
from ratchet.problem.data_pin import SplitSpec
from tests.support.measuring import prepared

SALTS = ("1", "2", "3", "4", "5")


def main(arguments: list[str]) -> int:
    """Run the one benchmark that was asked for."""
    known = {"film": film, "chinese": chinese, "imdb-linear": imdb_linear, "imdb-lstm": imdb_lstm}
    known |= {"film-switch": film_switch, "imdb-switch": imdb_switch}
    if len(arguments) != 1 or arguments[0] not in known:
        print(f"Name one of {', '.join(known)}. Received: {' '.join(arguments) or 'nothing'}.", file=sys.stderr)
        return 2
    known[arguments[0]]()
    return 0


def film() -> None:
    """Linear less scikit-learn, in holdout accuracy, paired over splits by film."""
    frame, gains = _example("film_reviews"), []
    for salt in SALTS:
        sides = _sides(assign_sides(frame, SplitSpec(by="group", salt=salt)))
        ours, theirs = _score("linear", sides), _plain(sides)
        gains.append(ours - theirs)
        print(
            f"split {salt}: {len(sides['holdout'])} holdout rows, linear {ours:.4f}, scikit-learn {theirs:.4f}",
            flush=True,
        )
    error = np.std(gains, ddof=1) / np.sqrt(len(gains))
    print(f"linear is better by {np.mean(gains):.4f}, standard error {error:.4f}")
    print(f"film_gain={np.mean(gains):.4f}")


def chinese() -> None:
    """Linear, over five splits by text."""
    frame = _example("chinese_reviews")
    figures = []
    for salt in SALTS:
        figures.append(_score("linear", _sides(assign_sides(frame, SplitSpec(by="text", salt=salt)))))
        print(f"split {salt}: linear {figures[-1]:.4f}", flush=True)
    print(f"chinese_accuracy={np.mean(figures):.4f}")


def imdb_linear() -> None:
    """Linear on the official split."""
    print(f"imdb_linear_accuracy={_score('linear', _imdb()):.4f}")


def imdb_lstm() -> None:
    """The LSTM on the official split."""
    print(f"imdb_lstm_accuracy={_score('lstm', _imdb()):.4f}")


def film_switch() -> None:
    """Linear with its switch at two fifths and at a sixth of the film reviews."""
    _switch(_sides(assign_sides(_example("film_reviews"), SplitSpec(by="group", salt="1"))), (500_000, 200_000))


def imdb_switch() -> None:
    """Linear with its switch at a seventh and at a thirtieth of IMDb's training rows."""
    _switch(_imdb(), (4_000_000, 1_000_000))


def _switch(sides: Mapping[str, Rows], switches: tuple[int, ...]) -> None:
    """Accuracy and log loss on the validation rows: all in memory, a sample alone, and the sample corrected by all."""
    from models import linear

    train, validation = sides["train"], sides["validation"]
    labels = tuple(sorted(set(train.labels)))
    true = np.array([labels.index(label) for label in validation.labels])

    def judged() -> str:
        model = linear.fit(train, validation, labels, linear.Params(), seed=0, progress=_tell)
        found = model.predict(validation.texts)
        loss = -np.log(found[np.arange(len(true)), true]).mean()
        return f"{(found.argmax(axis=1) == true).mean():.4f} (log loss {loss:.4f})"

    characters, rates = row_sampling.count_characters(train.texts), linear.RATES
    print(f"all {characters:,} characters in memory: {judged()}", flush=True)
    for most in switches:
        linear.MOST_CHARACTERS = most
        linear.RATES = ()
        print(f"a sample of {most:,} alone: {judged()}", flush=True)
        linear.RATES = rates
        print(f"that sample corrected by all: {judged()}", flush=True)


def _example(name: str) -> pl.DataFrame:
    """The prepared rows of an example, in columns text, label and group."""
    example = examples.get(name)
    columns = example.COLUMNS
    with TemporaryDirectory() as folder:
        table = example.build(Path(folder))
    group = pl.col(columns.group) if columns.group else pl.lit(None, pl.String)
    return prepared(table.select(text=columns.inputs[0], label=columns.label, group=group))[0]


def _sides(frame: pl.DataFrame) -> dict[str, Rows]:
    """The rows of each split."""
    return {
        side: Rows(rows["text"].to_list(), rows["label"].to_list())
        for side in ("train", "validation", "holdout")
        for rows in [frame.filter(pl.col("split") == side)]
    }


def _imdb() -> dict[str, Rows]:
    """The official test rows as holdout, the official train rows as train, but for a tenth that validates."""
    if "IMDB" not in os.environ:
        raise SystemExit(
            "The environment variable IMDB must name a Parquet file with columns split, label, text. It is not set."
        )
    frame = pl.read_parquet(os.environ["IMDB"]).with_columns(pl.col("label").cast(pl.String))
    official = frame["split"] == "train"
    ours = assign_sides(frame.filter(official), SplitSpec(by="text", salt="imdb", validation=0.1, holdout=1e-9))
    train, validation = ours.filter(pl.col("split") != "validation"), ours.filter(pl.col("split") == "validation")
    parts = {"train": train, "validation": validation, "holdout": frame.filter(~official)}
    return {side: Rows(rows["text"].to_list(), rows["label"].to_list()) for side, rows in parts.items()}


def _score(name: str, sides: Mapping[str, Rows]) -> float:
    """Accuracy of a model, with its default parameters, on the holdout rows."""
    model = models.get(name)
    labels = tuple(sorted(set(sides["train"].labels)))
    started = time.perf_counter()
    fitted = model.fit(sides["train"], sides["validation"], labels, model.Params(), seed=0, progress=_tell)
    print(f"{name}: {len(sides['train'])} rows, fitted in {time.perf_counter() - started:.1f} s", flush=True)
    predicted = fitted.predict(sides["holdout"].texts).argmax(axis=1)
    return float(np.mean(np.array(labels)[predicted] == np.array(sides["holdout"].labels)))


def _tell(done: int, total: int, metrics: Mapping[str, float]) -> None:
    """A line a step, on stderr."""
    print(done, total, {name: round(value, 4) for name, value in metrics.items()}, file=sys.stderr, flush=True)


def _plain(sides: Mapping[str, Rows]) -> float:
    """scikit-learn as anyone would use it: TF-IDF of words and pairs, logistic regression, C by validation log loss."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    features = vectorizer.fit_transform(sides["train"].texts)
    judged = vectorizer.transform(sides["validation"].texts)
    fits = [LogisticRegression(C=c, max_iter=1000).fit(features, sides["train"].labels) for c in (1, 2, 4, 8, 16, 32)]
    chosen = min(
        fits, key=lambda fit: log_loss(sides["validation"].labels, fit.predict_proba(judged), labels=fit.classes_)
    )
    return float(chosen.score(vectorizer.transform(sides["holdout"].texts), sides["holdout"].labels))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
