"""The neural model: a bidirectional LSTM over the words of a text, written in Keras 3.

Texts and labels enter, probabilities leave. Words are those of models/text/ngrams.py: runs of letters, and each Chinese
or Japanese character, Hangul syllable or emoji by itself. Training works with any backend of Keras (KERAS_BACKEND;
TensorFlow otherwise). The fitted model consists of plain arrays, which ONNX Runtime evaluates
(models/text/onnx_lstm.py). Only these arrays are saved, so loading runs no saved code.
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

TASK = "classify"
SUMMARY = "A bidirectional LSTM that reads word by word: a minute to train, and the better the more text there is."
NEEDS = ("onnx", "onnxruntime")
Side = tuple[NDArray[np.int32], NDArray[np.int32]]
SMALL = 1000  # with fewer training texts even a word that occurs once is kept
SHARE = 97  # percentile of training lengths up to which a text is read whole; a longer one loses its middle
MOST_CHARACTERS = 32_000_000  # of training texts; with more characters the model is trained on a sample
MOST_WORDS = 6_000_000  # texts times words read of each, likewise: a pass of a few minutes on two cores


@dataclass(frozen=True)
class Params:
    """Hyperparameters.

    Attributes:
        vocabulary: most words; the commonest are kept.
        min_df: training texts that must contain a word (1 where there are fewer than 1,000 texts).
        max_length: most words read of a text.
        embedding: numbers in the embedding of a word.
        units: units of the LSTM in each direction.
        dropout: share of them dropped at random in training.
        rate: learning rate of Adam.
        batch: texts in a step.
        epochs: most passes over the data.
        patience: passes without a lower validation loss after which training stops.
        minutes: after so long no new pass begins.
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

    Attributes:
        labels: the class names.
        params: the hyperparameters.
        length: words read of a text.
        words: the vocabulary.
        reader: the trained network.
        history: the learning curve, an entry a pass over the data.
    """

    labels: tuple[str, ...]
    params: Params
    length: int
    words: Words
    reader: Reader
    history: list[dict[str, float]]

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self.reader.probabilities(table(texts, self.words, self.length))

    def save(self, folder: Path) -> None:
        """Write model.json, and arrays.npz with words and weights."""
        arrays: dict[str, NDArray[Any]] = {"hashes": self.words.hashes, "numbers": self.words.numbers}
        arrays |= {f"weight_{place:02d}": array for place, array in enumerate(self.reader.weights)}
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        about: dict[str, Any] = {"model": "lstm", "labels": self.labels, "params": asdict(self.params)}
        about |= {"length": self.length, "history": self.history}
        (folder / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")


def load(folder: Path) -> Lstm:
    """The model that `save` wrote.

    Raises:
        ValueError: the arrays do not belong to one model.
    """
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        words = Words(arrays["hashes"], arrays["numbers"])
        reader = Reader([arrays[name] for name in sorted(arrays.files) if name.startswith("weight_")])
    labels = tuple(about["labels"])
    is_numbered = np.array_equal(np.sort(words.numbers), np.arange(FIRST, reader.words))
    if not is_numbered or (len(words), len(labels)) != (len(words.numbers), reader.classes):
        raise ValueError(
            f"A saved model's arrays must know each word by a number of its own, and each of {len(labels)} labels. "
            f"Received: {len(words)} words, {len(words.numbers)} numbers, arrays for {reader.words - FIRST} words and "
            f"{reader.classes} labels. Load the folder as it was saved."
        )
    return Lstm(labels, Params(**about["params"]), about["length"], words, reader, about["history"])


def fit(
    train: Rows, validation: Rows, labels: tuple[str, ...], params: Params, *, seed: int, progress: Progress
) -> Lstm:
    """Train until the validation loss (the training loss without validation rows) stops falling; keep the best."""
    keras = _keras()
    keras.utils.set_random_seed(seed)
    train = _sample(train, row_sampling.count_characters(train.texts), MOST_CHARACTERS, seed)
    words = learn_words(train.texts, params.min_df if len(train) >= SMALL else 1, params.vocabulary)
    width = length(train.texts, SHARE, params.max_length)
    train = _sample(train, len(train) * width, MOST_WORDS, seed + 1)
    network = _build_network(len(words), len(labels), width, params)
    network.compile(keras.optimizers.Adam(params.rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    numbers = {label: number for number, label in enumerate(labels)}
    sides = [
        (table(rows.texts, words, width), np.array([numbers[label] for label in rows.labels], np.int32))
        for rows in (train, validation)
    ]
    history = _train(network, sides[0], sides[1] if len(validation) else None, params, progress)
    return Lstm(labels, params, width, words, Reader(network.get_weights()), history)


def _sample(rows: Rows, size: int, most: int, seed: int) -> Rows:
    """The rows themselves, or a sample of them whose size is about `most`."""
    return rows if size <= most else Rows(*row_sampling.sample(rows.texts, rows.labels, most / size, seed))


def _train(
    network: Any, train: Side, validation: Side | None, params: Params, progress: Progress
) -> list[dict[str, float]]:
    """Train until patience or time is spent, then set the best weights.

    Returns:
        The learning curve, an entry a pass.
    """
    history: list[dict[str, float]] = []
    best = np.inf
    weights = network.get_weights()
    start = time.monotonic()
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
            best = losses[-1]
            weights = network.get_weights()
        if done - int(np.argmin(losses)) >= params.patience or time.monotonic() - start > 60 * params.minutes:
            break
    network.set_weights(weights)
    progress(params.epochs, params.epochs, history[int(np.argmin(losses))])
    return history


def _keras() -> Any:
    """Import Keras (some 6 s with TensorFlow), without TensorFlow's log messages."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    return keras


def _build_network(words: int, classes: int, width: int, params: Params) -> Any:
    """The network: word numbers enter, probabilities leave. Responses are max-pooled over the words."""
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
    """The weight of each class, so that all classes have the same total weight."""
    counts = np.bincount(numbers)
    mean = len(numbers) / np.count_nonzero(counts)
    return {number: float(mean / max(count, 1)) for number, count in enumerate(counts)}
