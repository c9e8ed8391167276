"""A trained bidirectional LSTM as plain arrays, evaluated by ONNX Runtime without the library that trained it.

The network's arrays enter, in the order of Keras; a `Reader` leaves, which turns rows of word numbers (tokens.py) into
probabilities. Its graph is built in memory from the arrays, so no saved code is ever run.

One text takes a tenth of a millisecond. Texts of about the same length are evaluated together, so that a short text
does not wait for the longest. The session has one thread: a second one saves a third of the time on thousands of texts,
but none on one text, for which it takes twice the processor time. Threads may share a `Reader`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.text.tokens import PADDING

AT_ONCE = 16  # texts evaluated together: the quickest of 8 to 256, as few texts wait for a longer one
OPSET, IR = 17, 8  # versions of ONNX from 2022, which every runtime since then reads
SILENCE = np.array(-1e9, np.float32)  # the response of a unit to padding, which is never the maximum

Floats = NDArray[np.float32]
Numbers = NDArray[np.int32]


class Reader:
    """The network: word numbers enter, probabilities leave. Responses are max-pooled over the words.

    Attributes:
        weights: the embedding, a row a word number; kernel, recurrent kernel and bias of the forward LSTM, then of the
            backward one; kernel and bias of the classes.
    """

    def __init__(self, weights: Sequence[NDArray[Any]]) -> None:
        self.weights = _check_shapes(weights)
        self._session = _session(_graph(self.weights))

    def __reduce__(self) -> tuple[type[Reader], tuple[tuple[Floats, ...]]]:
        return type(self), (self.weights,)  # a copy builds a session of its own: ONNX Runtime's cannot be copied

    @property
    def words(self) -> int:
        """Number of rows of the embedding; every word number is below it."""
        return len(self.weights[0])

    @property
    def classes(self) -> int:
        return len(self.weights[-1])

    def probabilities(self, numbers: Numbers) -> NDArray[np.float64]:
        """A row of probabilities for each row of word numbers, which is padded at its end; the same in any batch."""
        result = np.empty((len(numbers), self.classes))
        lengths = np.count_nonzero(numbers != PADDING, axis=1)
        order = np.argsort(lengths, kind="stable")
        for at in range(0, len(order), AT_ONCE):
            batch = order[at : at + AT_ONCE]
            rows = np.ascontiguousarray(numbers[batch, : lengths[batch[-1]]])
            (result[batch],) = self._session.run(None, {"numbers": rows})
        return np.asarray(result / result.sum(axis=1, keepdims=True))


def _check_shapes(weights: Sequence[NDArray[Any]]) -> tuple[Floats, ...]:
    """The arrays as float32.

    Raises:
        ValueError: the shapes are not those of one network.
    """
    shapes = tuple(array.shape for array in weights)
    if tuple(map(len, shapes)) == (2, 2, 2, 1, 2, 2, 1, 2, 1):
        (_, embedding), (units, _), (classes,) = shapes[0], shapes[2], shapes[-1]
        one_way = (embedding, 4 * units), (units, 4 * units), (4 * units,)
        if shapes[1:] == (*one_way, *one_way, (2 * units, classes), (classes,)) and all(map(min, shapes)):
            return tuple(np.asarray(array, np.float32) for array in weights)
    raise ValueError(
        "A reader's arrays must be an embedding (words, e), twice (e, 4u), (u, 4u) and (4u), then (2u, classes) and "
        f"(classes). Received: {', '.join(map(str, shapes)) or 'none'}. Load the folder as it was saved."
    )


def _graph(weights: tuple[Floats, ...]) -> bytes:
    """The network as an ONNX model. Its dimensions are texts, places (words of the longest text) and classes."""
    from onnx import TensorProto, helper, numpy_helper

    embedding, *both, classes, bias = weights
    ways = both[:3], both[3:]
    arrays = {
        "embedding": embedding,
        "kernel": np.stack([_gates(kernel).T for kernel, _, _ in ways]),
        "memory": np.stack([_gates(memory).T for _, memory, _ in ways]),
        "bias": np.stack([np.concatenate([_gates(bias), np.zeros_like(bias)]) for _, _, bias in ways]),
        "classes": classes,
        "leaning": bias,
        "padding": np.array(PADDING, np.int32),
        "silence": SILENCE,
        "places": np.array([0]),
        "way_and_unit": np.array([1, 3]),
    }
    node = helper.make_node
    nodes = [
        node("Transpose", ["numbers"], ["words"]),  # places, texts
        node("Equal", ["words", "padding"], ["empty"]),
        node("Not", ["empty"], ["filled"]),
        node("Cast", ["filled"], ["ones"], to=TensorProto.INT32),
        node("ReduceSum", ["ones", "places"], ["lengths"], keepdims=0),
        node("Gather", ["embedding", "words"], ["embedded"]),
        node(
            "LSTM", ["embedded", "kernel", "memory", "bias", "lengths"], ["responses"],
            hidden_size=len(both[1]), direction="bidirectional",
        ),  # places, ways, texts, units
        node("Unsqueeze", ["empty", "way_and_unit"], ["unheard"]),
        node("Where", ["unheard", "silence", "responses"], ["heard"]),
        node("ReduceMax", ["heard"], ["strongest"], axes=[0], keepdims=0),
        node("Transpose", ["strongest"], ["by_text"], perm=[1, 0, 2]),
        node("Flatten", ["by_text"], ["features"]),
        node("Gemm", ["features", "classes", "leaning"], ["scores"]),
        node("Softmax", ["scores"], ["probabilities"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "reader",
        [helper.make_tensor_value_info("numbers", TensorProto.INT32, ["texts", "places"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["texts", len(bias)])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return bytes(model.SerializeToString())


def _gates(array: Floats) -> Floats:
    """The gates in ONNX's order (input, output, forget, cell) instead of Keras's (input, forget, cell, output)."""
    into, forget, cell, out = np.split(array, 4, axis=-1)
    return np.concatenate([into, out, forget, cell], axis=-1)


def _session(graph: bytes) -> Any:
    """ONNX Runtime with the graph, on one thread of the processor and silent short of an error."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, by the import: it would call home and leave files
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
