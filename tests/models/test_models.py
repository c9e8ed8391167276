"""One contract for every model file.

A new file in models/ is tested here on arrival: it repeats itself with a seed, survives saving, answers any input, and
tells how far it has come. One of a kind of problem with classes learns ten rows too, and one whose answers can be
explained says which words moved the answer. A new kind needs a tiny problem in PROBLEMS.
"""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import models
from models import pyfunc
from models.contract import Rows
from models.text.explanation import explain, without
from models.text.onnx_lstm import Reader
from ratchet import tasks

ROOT = Path(__file__).parents[2]
NAMES = models.names()
TINY: dict[str, dict[str, Any]] = {
    "lstm": {"units": 8, "embedding": 8, "epochs": 8, "patience": 8, "rate": 0.1, "dropout": 0.0, "batch": 8},
}
KINDS = {name: tasks.get(models.get(name).TASK) for name in NAMES}
CLASSIFIERS = [name for name in NAMES if KINDS[name].can("right_or_wrong")]
EXPLAINED = [name for name in NAMES if KINDS[name].can("explanation")]
LEARNERS = [
    pytest.param(name, marks=pytest.mark.skip(reason="the baseline looks at no text")) if name == "majority" else name
    for name in CLASSIFIERS
]
RARELY = [pytest.param(name, marks=pytest.mark.long) if name == "lstm" else name for name in LEARNERS]
"""Where the others say enough about the slow one."""
GOOD = ["a fine film", "fine acting", "fine, funny and warm", "warm and fine", "a funny fine tale"]
BAD = ["a dull film", "dull acting", "dull, cold and long", "long and dull", "a cold dull tale"]
TEN = Rows([*GOOD, *BAD], ["good"] * 5 + ["bad"] * 5)
FRAMEWORKS = {"prefect", "mlflow", "great_expectations", "dvc", "tensorflow", "keras", "sklearn"}
NOT_TO_ANSWER = FRAMEWORKS | {"pandas", "polars", "torch", "jax"}
STRANGE = {
    "empty": "",
    "blank": " \t\n ",
    "long": "a fine dull word " * 20_000,
    "one long word": "x" * 200_000,
    "emoji": "👍🏽 ❤️ 🇨🇭 👨‍👩‍👧",
    "Chinese": "这部电影很好看，我很喜欢。",
    "NUL and controls": "a\x00fine\x07film\x1b\x7f",
    "lone surrogate": "fine \ud800 film",
    "unknown words": "zyzzyva qwxk",
    "combining": "e\u0301\u0301\u0301 \u0301",
    "right to left": "فيلم جيد جدا",
}
"""Texts."""


@dataclass(frozen=True)
class Tiny:
    """A problem that a model learns in a moment.

    Attributes:
        rows: to train on and to validate with.
        labels: the names of the outputs.
        strange: inputs that a model must answer besides those of `answers.ODD`.
    """

    rows: Rows
    labels: tuple[str, ...]
    strange: tuple[str, ...] = ()


PROBLEMS = {"classify": Tiny(TEN, ("bad", "good"), tuple(STRANGE.values()))}
"""By kind."""


def tiny(name: str, **more: Any) -> Any:
    """The model's parameters, at a size for tests."""
    return models.get(name).Params(**(TINY.get(name, {}) | more))


def fit(name: str, train: Rows, validation: Rows, labels: tuple[str, ...], progress: Any = None, **more: Any) -> Any:
    silent = progress or (lambda *_: None)
    return models.get(name).fit(train, validation, labels, tiny(name, **more), seed=1, progress=silent)


@cache
def ten_rows(name: str) -> tuple[Any, list[tuple[int, int, dict[str, float]]]]:
    """The model of its kind's tiny problem and its progress reports: fitted once, as some models take seconds."""
    steps: list[tuple[int, int, dict[str, float]]] = []

    def progress(done: int, total: int, metrics: dict[str, float]) -> None:
        steps.append((done, total, dict(metrics)))

    problem = PROBLEMS[KINDS[name].name]
    return fit(name, problem.rows, problem.rows, problem.labels, progress), steps


def fitted(name: str) -> Any:
    """The model of its kind's tiny problem alone."""
    return ten_rows(name)[0]


def inputs_of(name: str) -> list[str]:
    """Ordinary and strange inputs of the model's kind."""
    problem = PROBLEMS[KINDS[name].name]
    return [*problem.rows.texts, *problem.strange, *KINDS[name].answers.ODD]


def five(rows_each: int = 6) -> Rows:
    """Five classes that one word each tells apart."""
    words = {"a": "apple", "b": "bread", "c": "cheese", "d": "dates", "e": "eggs"}
    texts = [f"{word} number {turn} please" for turn in range(rows_each) for word in words.values()]
    return Rows(texts, [label for _ in range(rows_each) for label in words])


def accuracy(model: Any, rows: Rows) -> float:
    answers = np.array(model.labels)[model.predict(rows.texts).argmax(axis=1)]
    return float((answers == np.array(rows.labels)).mean())


@pytest.mark.parametrize("name", NAMES)
def test_a_model_file_offers_what_the_contract_asks(name: str):
    model = models.get(name)
    assert model.SUMMARY
    assert "\n" not in model.SUMMARY
    assert set(model.NEEDS) <= {"onnx", "onnxruntime"}
    defaults = model.Params()
    for parameter, choices in model.SPACE.items():
        assert all(isinstance(choice, type(getattr(defaults, parameter))) for choice in choices), parameter
    with pytest.raises(AttributeError):
        defaults.something = 1  # frozen


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(LookupError, match=r"linear.*majority.*Received: 'forest'"):
        models.get("forest")


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_ten_rows(name: str):
    assert accuracy(fitted(name), TEN) == 1.0


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_five_classes_of_which_validation_lacks_two(name: str):
    rows = five()
    kept = [number for number, label in enumerate(rows.labels) if label not in "de"][:9]
    validation = Rows([rows.texts[n] for n in kept], [rows.labels[n] for n in kept])
    model = fit(name, rows, validation, ("a", "b", "c", "d", "e"))
    assert accuracy(model, rows) == 1.0
    assert model.predict(rows.texts).shape == (30, 5)


@pytest.mark.parametrize("name", RARELY)
def test_it_finds_the_rare_class_of_an_imbalanced_set(name: str):
    texts = [f"order {turn} arrived fine" for turn in range(57)] + [f"order {turn} broken badly" for turn in range(3)]
    rows = Rows(texts, ["praise"] * 57 + ["complaint"] * 3)
    assert accuracy(fit(name, rows, rows, ("complaint", "praise")), rows) == 1.0


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_it_does_without_validation_rows_and_with_a_label_no_row_has(name: str):
    few = {"epochs": 2} if name == "lstm" else {}
    probabilities = fit(name, TEN, Rows([], []), ("bad", "good", "never"), **few).predict(TEN.texts)
    assert probabilities.shape == (10, 3)
    assert np.allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_predictions_and_leaves_the_input_as_it_was(name: str):
    problem = PROBLEMS[KINDS[name].name]
    train, validation = copy.deepcopy(problem.rows), copy.deepcopy(problem.rows)
    again = fit(name, train, validation, problem.labels)
    assert again is not fitted(name)
    assert np.array_equal(again.predict(train.texts), fitted(name).predict(problem.rows.texts))
    assert train == problem.rows == validation


@pytest.mark.parametrize("name", NAMES)
def test_saving_and_loading_changes_nothing(name: str, tmp_path: Path):
    model = fitted(name)
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert type(again) is type(model)
    assert tuple(again.labels) == tuple(model.labels)
    inputs = inputs_of(name)
    assert np.array_equal(again.predict(inputs), model.predict(inputs))
    assert models.task_of(tmp_path) == models.get(name).TASK


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_is_data_without_pickle(name: str, tmp_path: Path):
    fitted(name).save(tmp_path)
    about = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert about["model"] == name
    assert about["labels"] == list(PROBLEMS[KINDS[name].name].labels)
    assert set(about["params"]) == set(vars(tiny(name)))
    for path in tmp_path.iterdir():
        assert path.suffix in {".json", ".npz"}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[key].dtype != object for key in arrays.files)


@pytest.mark.parametrize("name", NAMES)
def test_another_process_answers_the_same_in_silence_and_without_what_trained_it(name: str, tmp_path: Path):
    model, inputs = fitted(name), [*PROBLEMS[KINDS[name].name].rows.texts, *KINDS[name].answers.ODD]
    model.save(tmp_path)
    script = (
        "import sys, pathlib, models\n"
        f"print(models.load(pathlib.Path({str(tmp_path)!r})).predict({inputs!r}).tobytes().hex())\n"
        f"print(sorted({NOT_TO_ANSWER!r} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout.splitlines() == [model.predict(inputs).tobytes().hex(), "[]"]
    assert process.stderr == ""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_answers_as_the_model_does(name: str, again: Any):
    inputs = PROBLEMS[KINDS[name].name].rows.texts
    assert np.array_equal(again(fitted(name)).predict(inputs), fitted(name).predict(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_a_registered_model_names_what_it_needs(name: str, tmp_path: Path):
    fitted(name).save(tmp_path)
    named = {line.partition("==")[0] for line in models.requirements(tmp_path)}
    assert named == {"numpy", "scipy", "pandas", *models.get(name).NEEDS}


@pytest.mark.parametrize("name", NAMES)
def test_any_input_gets_outputs_that_may_go_live(name: str):
    labels, face = fitted(name).labels, KINDS[name].answers
    for given in inputs_of(name):
        outputs = fitted(name).predict([given])
        assert outputs.shape == (1, len(labels))
        assert outputs.dtype == np.float64
        assert np.isfinite(outputs).all()
    assert face.fault(fitted(name).predict(face.ODD), labels) == ""


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_any_text_gets_probabilities(name: str, kind: str):
    probabilities = fitted(name).predict([STRANGE[kind]])
    assert (probabilities >= 0).all()
    assert probabilities.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_no_inputs_get_no_outputs(name: str):
    assert fitted(name).predict([]).shape == (0, len(fitted(name).labels))


@pytest.mark.parametrize("name", NAMES)
def test_an_input_alone_is_answered_as_in_a_batch(name: str):
    inputs = inputs_of(name)
    together = fitted(name).predict(inputs)
    alone = np.vstack([fitted(name).predict([each]) for each in inputs])
    assert np.abs(together - alone).max() < 1e-6


def log_odds(model: Any, texts: list[str], label: str, against: str) -> np.ndarray:
    """Of one label against another, a number a text."""
    logs = np.log(np.maximum(model.predict(texts), 1e-12))
    return logs[:, model.labels.index(label)] - logs[:, model.labels.index(against)]


@pytest.mark.parametrize("name", LEARNERS)
def test_without_the_words_that_speak_for_it_an_answer_loses_most(name: str):
    """The three strongest words of each text against three drawn at random and against the three weakest."""
    model, draw, lost = fitted(name), np.random.default_rng(0), []
    for text in [f"{good}. {bad}" for good in GOOD for bad in BAD]:
        explanation = explain(model, text)
        by_weight = sorted(explanation.words, key=lambda word: -word.weight)
        chance = [by_weight[at] for at in draw.permutation(len(by_weight))[:3]]
        shortened = [text] * 3
        for kind, words in enumerate((by_weight[:3], chance, by_weight[-3:])):
            for word in sorted(words, key=lambda word: -word.start):
                shortened[kind] = without(shortened[kind], word.start, word.end)
        odds = log_odds(model, [text, *shortened], explanation.label, explanation.against or "")
        assert odds[0] == pytest.approx(explanation.log_odds, abs=1e-4)
        lost.append(odds[0] - odds[1:])
    strongest, drawn, weakest = np.mean(lost, axis=0)
    assert strongest > drawn > weakest
    assert strongest > 0 > weakest


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("name", EXPLAINED)
def test_any_answer_is_explained(name: str, kind: str):
    text, model = STRANGE[kind], fitted(name)
    explanation, probabilities = explain(model, text), model.predict([text])[0]
    assert explanation.label == model.labels[probabilities.argmax()]
    assert {explanation.label, explanation.against} == {"bad", "good"}
    assert np.isfinite([explanation.log_odds, *(word.weight for word in explanation.words)]).all()
    assert (explanation.bias is None) == (explanation.method == "occlusion")
    assert [word for word in explanation.words if text[word.start : word.end].strip() == ""] == []


def test_the_baseline_is_moved_by_no_word():
    explanation = explain(fitted("majority"), "a fine film")
    assert [(word.start, word.end, word.weight) for word in explanation.words] == [(0, 1, 0), (2, 6, 0), (7, 11, 0)]


@pytest.mark.parametrize("name", NAMES)
def test_progress_only_grows_and_arrives(name: str):
    _, steps = ten_rows(name)
    done = [step for step, _, _ in steps]
    assert done == sorted(done)
    assert len({total for _, total, _ in steps}) == 1
    assert done[-1] == steps[-1][1]
    assert all(np.isfinite(value) for _, _, metrics in steps for value in metrics.values())


def test_the_learning_curve_has_an_entry_a_pass():
    history = fitted("lstm").history
    assert 1 <= len(history) <= TINY["lstm"]["epochs"]
    assert all(set(entry) == {"loss", "accuracy", "validation_loss", "validation_accuracy"} for entry in history)


def test_the_lstm_stops_when_its_time_is_spent():
    assert len(fit("lstm", TEN, TEN, ("bad", "good"), minutes=0.0).history) == 1


def arrays_of_a_network(words: int, classes: int, **more: Any) -> tuple[Any, list[np.ndarray]]:
    """Keras's own network with weights that nothing trained, biases included, and those weights."""
    lstm, draw = models.get("lstm"), np.random.default_rng(0)
    network = lstm._build_network(words, classes, 24, tiny("lstm", **more))  # type: ignore[attr-defined]
    weights = [draw.normal(0, 0.5, array.shape).astype(np.float32) for array in network.get_weights()]
    network.set_weights(weights)
    return network, weights


@pytest.mark.parametrize(("units", "classes"), [(8, 2), (5, 3), (33, 1000)])
def test_what_keras_trained_is_read_as_keras_reads_it(units: int, classes: int):
    """Texts of every length, those of one word and of full width among them; also one by one, in any order."""
    network, weights = arrays_of_a_network(50, classes, units=units)
    draw, places = np.random.default_rng(1), np.arange(24)
    lengths = draw.permutation(np.repeat(places + 1, 3))
    numbers = np.where(places < lengths[:, None], draw.integers(1, 52, (72, 24)), 0).astype(np.int32)
    reader = Reader(weights)
    probabilities = reader.probabilities(numbers)
    assert np.abs(probabilities - network.predict_on_batch(numbers)).max() < 1e-6
    alone = np.vstack([reader.probabilities(numbers[at : at + 1]) for at in range(72)])
    assert np.abs(probabilities - alone).max() < 1e-7


@pytest.mark.parametrize("at", range(9))
def test_arrays_that_do_not_fit_together_are_no_reader(at: int):
    weights = list(fitted("lstm").reader.weights)
    Reader(weights)
    before, array, after = weights[:at], weights[at], weights[at + 1 :]
    wrong = [[*before, *after]] + [[*before, other, *after] for other in (array[None], array[:0], array[..., 1:])]
    for arrays in wrong:
        with pytest.raises(ValueError, match=r"must be an embedding .* Received: \("):
            Reader(arrays)


@pytest.mark.parametrize("damage", [
    lambda arrays: arrays | {"numbers": arrays["numbers"] + 1},
    lambda arrays: arrays | {"hashes": arrays["hashes"][1:], "numbers": arrays["numbers"][1:]},
    lambda arrays: arrays | {"numbers": arrays["numbers"][1:]},
    lambda arrays: arrays | {"weight_07": arrays["weight_07"][:, :1], "weight_08": arrays["weight_08"][:1]},
])  # fmt: skip
def test_a_saved_lstm_whose_arrays_are_not_one_models_is_refused(damage: Any, tmp_path: Path):
    fitted("lstm").save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "arrays.npz", **damage(arrays))
    with pytest.raises(ValueError, match=r"must know each word .* Received: \d+ words"):
        models.load(tmp_path)


def test_the_linear_model_refuses_a_single_class():
    with pytest.raises(ValueError, match=r"two classes.*Received: 2 rows of \['good'\]"):
        fit("linear", Rows(["a", "b"], ["good", "good"]), TEN, ("bad", "good"))


def test_importing_the_models_loads_no_framework():
    script = (
        "import sys, pkgutil, importlib, models, models.pyfunc, models.text as text, ratchet.judging as judging\n"
        "for name in models.names(): models.get(name)\n"
        "for room in (text, judging):\n"
        "    for each in pkgutil.iter_modules(room.__path__): importlib.import_module(f'{room.__name__}.{each.name}')\n"
        f"sys.exit(', '.join(sorted({FRAMEWORKS!r} & set(sys.modules))) or 0)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, f"loaded by an import alone: {told.stderr}"


class TestPyfunc:
    """The view that MLflow has of a model."""

    @pytest.fixture
    def predictor(self, tmp_path: Path) -> pyfunc.Predictor:
        fitted("linear").save(tmp_path)
        return pyfunc._load_pyfunc(str(tmp_path))

    @pytest.mark.parametrize("wrap", [list, tuple, pd.Series, np.array, lambda texts: pd.DataFrame({"text": texts})])
    def test_any_shape_of_texts_gives_one_table(self, predictor: pyfunc.Predictor, wrap: Any):
        table = predictor.predict(wrap(["a fine film", "a dull film"]))
        assert list(table.columns) == ["label", "score", "p_bad", "p_good"]
        assert list(table["label"]) == ["good", "bad"]
        assert np.allclose(table["score"], table[["p_bad", "p_good"]].max(axis=1))

    def test_a_missing_text_is_an_empty_one(self, predictor: pyfunc.Predictor):
        table = predictor.predict(pd.DataFrame({"text": [None, float("nan"), pd.NA, ""]}, dtype=object))
        assert table["p_good"].nunique() == 1

    def test_the_index_of_a_frame_is_kept(self, predictor: pyfunc.Predictor):
        assert list(predictor.predict(pd.DataFrame({"text": ["a", "b"]}, index=[7, 9])).index) == [7, 9]

    def test_a_frame_without_texts_is_refused_by_name(self, predictor: pyfunc.Predictor):
        with pytest.raises(ValueError, match=r"must have a column 'text'\. Received: 'review', 'stars'"):
            predictor.predict(pd.DataFrame({"review": ["a"], "stars": [1]}))

    @pytest.mark.parametrize("given", ["a lone text", 7, None, {"text": "a"}])
    def test_what_holds_no_texts_is_refused(self, predictor: pyfunc.Predictor, given: object):
        with pytest.raises(TypeError, match=r"Received: (str|int|NoneType|dict)"):
            predictor.predict(given)

    def test_a_number_is_no_text(self, predictor: pyfunc.Predictor):
        with pytest.raises(TypeError, match=r"must be a string\. Received: 7"):
            predictor.predict([7])

    def test_rows_of_a_kind_with_several_columns_are_read_by_their_columns(self):
        """By a kind made up here, whose input is the numbers of a row; a missing value is None to it."""

        def read_value(value: Any) -> str:
            return value if isinstance(value, str) else json.dumps(value)

        face: Any = SimpleNamespace(
            read_value=read_value,
            read_record=json.dumps,
            table=lambda outputs, labels: {"answer": outputs[:, 0].astype(str), labels[0]: outputs[:, 0]},
        )
        lengths: Any = SimpleNamespace(
            labels=("number",), predict=lambda inputs: np.array([[float(len(each))] for each in inputs])
        )
        frame = pd.DataFrame({"rooms": [3, 12], "size": [70.5, None]}, index=[7, 9])
        assert pyfunc.read(frame, face) == ['{"rooms": 3, "size": 70.5}', '{"rooms": 12, "size": null}']
        assert pyfunc.read(["{}", None], face) == ["{}", "null"]
        table = pyfunc.Predictor(lengths, face).predict(frame)
        assert table.to_dict("index") == {7: {"answer": "26.0", "number": 26.0}, 9: {"answer": "27.0", "number": 27.0}}
