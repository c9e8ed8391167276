"""A trained bidirectional LSTM without the library that trained it: plain arrays, read by ONNX Runtime.

The network's arrays enter, in the order in which Keras gives them; a `Reader` leaves, which turns rows of word numbers
(tokens.py) into probabilities. Its graph is built in memory from the arrays, so nothing that was saved is ever run.

One text takes a tenth of a millisecond. Texts of about the same length are read together, so that a short one does not
wait for the longest. One thread reads: a second one saves a third of the time on thousands of texts, but none on one,
for which it takes twice the processor. A `Reader` may be asked from many threads at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.text.tokens import PADDING

AT_ONCE = 16  # texts read together: of 8 to 256 the quickest, as few have to wait for a longer one
OPSET, IR = 17, 8  # of ONNX: those of 2022, which every runtime since then reads
SILENCE = np.array(-1e9, np.float32)  # what a unit says about a place that holds no word: never the strongest

Floats = NDArray[np.float32]
Numbers = NDArray[np.int32]


class Reader:
    """Word numbers in, probabilities out: the strongest response of each unit, wherever in the text it comes.

    weights: the embedding, a row a word number; kernel, memory and bias of the LSTM that reads forwards, then of the
        one that reads backwards; kernel and bias of the classes.
    """

    def __init__(self, weights: Sequence[NDArray[Any]]) -> None:
        self.weights = _fitting(weights)
        self._session = _session(_graph(self.weights))

    def __reduce__(self) -> tuple[type[Reader], tuple[tuple[Floats, ...]]]:
        return type(self), (self.weights,)  # a copy builds a session of its own: ONNX Runtime's cannot be copied

    @property
    def words(self) -> int:
        """Word numbers are below this."""
        return len(self.weights[0])

    @property
    def classes(self) -> int:
        return len(self.weights[-1])

    def probabilities(self, numbers: Numbers) -> NDArray[np.float64]:
        """A row of probabilities for each row of word numbers, padded at its end; the same in any company."""
        result = np.empty((len(numbers), self.classes))
        lengths = np.count_nonzero(numbers != PADDING, axis=1)
        order = np.argsort(lengths, kind="stable")
        for at in range(0, len(order), AT_ONCE):
            some = order[at : at + AT_ONCE]
            rows = np.ascontiguousarray(numbers[some, : lengths[some[-1]]])
            (result[some],) = self._session.run(None, {"numbers": rows})
        return np.asarray(result / result.sum(axis=1, keepdims=True))


def _fitting(weights: Sequence[NDArray[Any]]) -> tuple[Floats, ...]:
    """The arrays themselves.

    Raises:
        ValueError: they are no such network's, or one has not the shape that the others ask for.
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
    """The network as an ONNX model; names of shapes: texts, places (words of the longest text), classes."""
    from onnx import TensorProto, helper, numpy_helper

    embedding, *both, classes, bias = weights
    ways = both[:3], both[3:]
    arrays = {
        "embedding": embedding,
        "kernel": np.stack([_gates(kernel).T for kernel, _, _ in ways]),
        "memory": np.stack([_gates(memory).T for _, memory, _ in ways]),
        "bias": np.stack([np.concatenate([_gates(each), np.zeros_like(each)]) for _, _, each in ways]),
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
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # builds for Windows have some
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
