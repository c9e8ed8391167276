"""The neural model: a bidirectional LSTM that reads a text word by word, written against Keras 3 alone.

Texts and labels enter, probabilities leave. Words are those of models/text/ngrams.py: runs of letters, and each
Chinese or Japanese character, Hangul syllable or emoji by itself. Any backend of Keras will do (KERAS_BACKEND says
which; TensorFlow otherwise), and only training needs one: what is fitted are plain arrays, which ONNX Runtime reads
(models/text/onnx_lstm.py). They are what is saved, so loading runs nothing that was saved.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract import Progress, Rows
from models.text import row_sampling
from models.text.onnx_lstm import Reader
from models.text.tokens import FIRST, PADDING, Words, learn_words, length, table

SUMMARY = "A bidirectional LSTM that reads word by word: a minute to train, and the better the more text there is."
NEEDS = ("onnx", "onnxruntime")
Side = tuple[NDArray[np.int32], NDArray[np.int32]]
SMALL = 1000  # training texts under which even a word seen once is known
SHARE = 97  # percentile of training lengths that is read whole; what is longer loses its middle
MOST_CHARACTERS = 32_000_000  # of training texts that words are learnt from; of more a sample stands for all
MOST_WORDS = 6_000_000  # texts times words read of each: a pass of a few minutes on two cores; likewise


@dataclass(frozen=True)
class Params:
    """What may be set.

    vocabulary: words known: the commonest of those in at least min_df texts (in one, where there are under 1,000).
    max_length: words read of a text, at most.
    embedding, units: numbers that stand for a word; numbers that the network remembers in each direction.
    dropout: share of them dropped at random in training.
    rate, batch: learning rate of Adam; texts in a step.
    epochs, patience: passes over the data at most; passes without a lower validation loss before it stops.
    minutes: no new pass is begun after so long.
    """

    vocabulary: int = 20_000
    min_df: int = 2
    max_length: int = 256
    embedding: int = 64
    units: int = 48
    dropout: float = 0.5
    rate: float = 1e-3
    batch: int = 64
    epochs: int = 12
    patience: int = 2
    minutes: float = 10.0


SPACE = {"units": (32, 48, 96), "embedding": (32, 64, 128), "dropout": (0.3, 0.5, 0.7), "rate": (5e-4, 1e-3, 2e-3)}


@dataclass(frozen=True)
class Lstm:
    """The fitted model.

    length: words read of a text. words: those known. reader: what was learnt about them.
    history: the learning curve, an entry a pass over the data.
    """

    labels: tuple[str, ...]
    params: Params
    length: int
    words: Words
    reader: Reader
    history: list[dict[str, float]]

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self.reader.probabilities(table(texts, self.words, self.length))

    def save(self, folder: Path) -> None:
        """model.json says what it is, arrays.npz holds the words and the weights."""
        arrays: dict[str, NDArray[Any]] = {"hashes": self.words.hashes, "numbers": self.words.numbers}
        arrays |= {f"weight_{place:02d}": array for place, array in enumerate(self.reader.weights)}
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        about: dict[str, Any] = {"model": "lstm", "labels": self.labels, "params": asdict(self.params)}
        about |= {"length": self.length, "history": self.history}
        (folder / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")


def load(folder: Path) -> Lstm:
    """The model that `save` wrote there.

    Raises:
        ValueError: its arrays are not one model's.
    """
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        words = Words(arrays["hashes"], arrays["numbers"])
        reader = Reader([arrays[name] for name in sorted(arrays.files) if name.startswith("weight_")])
    labels, numbered = tuple(about["labels"]), np.array_equal(np.sort(words.numbers), np.arange(FIRST, reader.words))
    if not numbered or (len(words), len(labels)) != (len(words.numbers), reader.classes):
        raise ValueError(
            f"A saved model's arrays must know each word by a number of its own, and each of {len(labels)} labels. "
            f"Received: {len(words)} words, {len(words.numbers)} numbers, arrays for {reader.words - FIRST} words and "
            f"{reader.classes} labels. Load the folder as it was saved."
        )
    return Lstm(labels, Params(**about["params"]), about["length"], words, reader, about["history"])


def fit(
    train: Rows, validation: Rows, labels: tuple[str, ...], params: Params, *, seed: int, progress: Progress
) -> Lstm:
    """Train until the validation loss stops falling (the training loss where no rows validate); keep the best."""
    keras = _keras()
    keras.utils.set_random_seed(seed)
    train = _sample(train, row_sampling.characters(train.texts), MOST_CHARACTERS, seed)
    words = learn_words(train.texts, params.min_df if len(train) >= SMALL else 1, params.vocabulary)
    width = length(train.texts, SHARE, params.max_length)
    train = _sample(train, len(train) * width, MOST_WORDS, seed + 1)
    network = _network(len(words), len(labels), width, params)
    network.compile(keras.optimizers.Adam(params.rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    of = {label: number for number, label in enumerate(labels)}
    sides = [
        (table(rows.texts, words, width), np.array([of[label] for label in rows.labels], np.int32))
        for rows in (train, validation)
    ]
    history = _trained(network, sides[0], sides[1] if len(validation) else None, params, progress)
    return Lstm(labels, params, width, words, Reader(network.get_weights()), history)


def _sample(rows: Rows, size: int, most: int, seed: int) -> Rows:
    """The rows as they are, or so large a part of them that their size is about `most`."""
    return rows if size <= most else Rows(*row_sampling.sample(rows.texts, rows.labels, most / size, seed))


def _trained(
    network: Any, train: Side, validation: Side | None, params: Params, progress: Progress
) -> list[dict[str, float]]:
    """Pass after pass until patience or time is spent; the network ends with the best weights, the curve comes back."""
    history: list[dict[str, float]] = []
    best, weights, began = np.inf, network.get_weights(), time.monotonic()
    for done in range(params.epochs):
        curve = network.fit(
            *train,
            validation_data=validation,
            batch_size=params.batch,
            initial_epoch=done,
            epochs=done + 1,
            class_weight=_class_weights(train[1]),
            verbose=0,
        ).history
        history.append({name.replace("val_", "validation_"): float(value[0]) for name, value in curve.items()})
        progress(done + 1, params.epochs, history[-1])
        losses = [entry.get("validation_loss", entry["loss"]) for entry in history]
        if losses[-1] < best:
            best, weights = losses[-1], network.get_weights()
        if done - int(np.argmin(losses)) >= params.patience or time.monotonic() - began > 60 * params.minutes:
            break
    network.set_weights(weights)
    progress(params.epochs, params.epochs, history[int(np.argmin(losses))])
    return history


def _keras() -> Any:
    """Keras, loaded now (some 6 s with TensorFlow) and without its greetings."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    return keras


def _network(words: int, classes: int, width: int, params: Params) -> Any:
    """Word numbers in, probabilities out: the strongest response of each unit, wherever in the text it comes."""
    keras = _keras()
    numbers = keras.Input((width,), dtype="int32", name="numbers")
    embedded = keras.layers.Embedding(FIRST + words, params.embedding, name="words")(numbers)
    embedded = keras.layers.SpatialDropout1D(params.dropout, name="forget_words")(embedded)
    mask = keras.ops.not_equal(numbers, PADDING)
    lstm = keras.layers.LSTM(params.units, return_sequences=True)
    responses = keras.layers.Bidirectional(lstm, name="reader")(embedded, mask=mask)
    silent = keras.ops.expand_dims(keras.ops.cast(mask, responses.dtype) - 1, -1) * 1e9
    strongest = keras.ops.max(responses + silent, axis=1)
    strongest = keras.layers.Dropout(params.dropout, name="forget")(strongest)
    return keras.Model(numbers, keras.layers.Dense(classes, activation="softmax", name="classes")(strongest))


def _class_weights(numbers: NDArray[np.int32]) -> dict[int, float]:
    """Rows of a rare class count for more, so that all classes count alike."""
    counts = np.bincount(numbers)
    even = len(numbers) / np.count_nonzero(counts)
    return {number: float(even / max(count, 1)) for number, count in enumerate(counts)}
