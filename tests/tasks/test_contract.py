"""One contract for every kind of problem: those of ratchet/tasks/, and the toy of this folder.

A new kind is tested here on arrival. It needs a few rows as its owner would bring them: ROWS.
"""

from __future__ import annotations

import inspect
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet import tasks
from ratchet.judging import gate, gate_memory
from ratchet.judging.bootstrap import group_indices, intervals, paired_gains
from ratchet.judging.gate_memory import Measured, PastChallenger, learn_history
from ratchet.project.errors import Refusal
from ratchet.tasks import Task, contract
from ratchet.tasks.values import Data

FACES = {
    "rows": contract.RowsFace,
    "judging": contract.JudgingFace,
    "answers": contract.AnswersFace,
    "wire": contract.WireFace,
    "signals": contract.SignalsFace,
}
ROWS: dict[str, tuple[dict[str, list[str]], dict[str, Any]]] = {
    "classify": (
        {"review": ["a fine film", "so dull", "warm and funny", "a long bore"], "verdict": ["good", "bad"] * 2},
        {"text": "review", "label": "verdict"},
    ),
    "predict_number": (
        {"rooms": ["1", "2", "3", "4"], "size": ["50", "61.5", "70", "1e2"], "price": ["10", "21.5", "30", "39"]},
        {"numbers": ["rooms", "size"], "label": "price"},
    ),
}
NAMES = sorted(ROWS)

pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture(params=NAMES)
def task(request: pytest.FixtureRequest) -> Task:
    return tasks.get(request.param)


@pytest.fixture
def table(task: Task) -> pl.DataFrame:
    return pl.DataFrame(ROWS[task.name][0])


@pytest.fixture
def data(task: Task) -> Data:
    return task.columns.model_validate(ROWS[task.name][1])


@pytest.fixture
def targets(table: pl.DataFrame, data: Data) -> list[str]:
    return table[data.label].to_list()


@pytest.fixture
def labels(task: Task, targets: list[str]) -> tuple[str, ...]:
    return task.judging.labels(set(targets))


@pytest.fixture
def outputs(task: Task, targets: list[str], labels: tuple[str, ...]) -> np.ndarray:
    """The baseline's outputs, one row moved a little, so that not all are alike."""
    base = np.tile(task.judging.baseline(dict.fromkeys(targets, 1), labels), (len(targets), 1))
    base[0] = np.roll(base[0], 1) * 0.9 + 0.1 / base.shape[1]
    return base


def test_every_kind_has_rows_here() -> None:
    assert [task.name for task in tasks.all_tasks()] == NAMES


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match=r"classify.*predict_number.*'guess'"):
        tasks.get("guess")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("NAME, SUMMARY, ABILITIES = 'classify', '', ()\n", "'classify' of both classify_text and wrong_kind"),
        ("import nothing_of_this_name\n", "wrong_kind, ModuleNotFoundError"),
    ],
)
def test_a_folder_that_is_no_kind_of_its_own_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    (tmp_path / "wrong_kind").mkdir()
    (tmp_path / "wrong_kind" / "__init__.py").write_text(code)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    tasks.all_tasks.cache_clear()
    try:
        with pytest.raises(Refusal, match=words):
            tasks.names()
    finally:
        tasks.all_tasks.cache_clear()
        vars(tasks).pop("wrong_kind", None)
        sys.modules.pop(f"{tasks.__name__}.wrong_kind", None)


@pytest.mark.parametrize("face", FACES)
def test_each_face_has_all_that_the_contract_says(task: Task, face: str) -> None:
    """Every name is there, and every function takes what it is given."""
    protocol = FACES[face]
    wanted = {name for name in (*vars(protocol), *protocol.__annotations__) if not name.startswith("_")}
    wanted -= {"explain"} if not task.can("explanation") else set()
    module = getattr(task, face)
    assert {name for name in wanted if not hasattr(module, name)} == set()
    for name in wanted:
        if inspect.isfunction(vars(protocol).get(name)):
            told = list(inspect.signature(vars(protocol)[name]).parameters)[1:]
            assert [*inspect.signature(getattr(module, name)).parameters][: len(told)] == told, name


def test_abilities_are_those_of_the_contract(task: Task) -> None:
    known = set(contract.Ability.__args__)  # type: ignore[attr-defined]
    assert task.abilities <= known
    assert task.summary.endswith(".")


def test_a_row_becomes_an_input_and_comes_back(task: Task, table: pl.DataFrame, data: Data) -> None:
    inputs = task.rows.inputs(table, data)
    assert inputs.dtype == pl.String
    assert inputs.null_count() == 0
    owned = task.rows.owned(inputs, data)
    assert owned.columns == list(data.inputs)
    assert task.rows.inputs(owned, data).to_list() == inputs.to_list()


def test_a_row_without_an_input_has_none(task: Task, table: pl.DataFrame, data: Data) -> None:
    empty = table.with_columns(pl.lit(None, pl.String).alias(name) for name in data.inputs)
    assert task.rows.inputs(empty, data).null_count() == table.height


def test_its_facts_are_of_each_row(task: Task, table: pl.DataFrame, data: Data) -> None:
    from ratchet.data.prepare.row_facts import KEY, compared_form

    frame = pl.DataFrame({"text": task.rows.inputs(table, data), "label": table[data.label]})
    facts = frame.with_columns(compared_form(frame["text"]).alias(KEY)).select(task.rows.facts())
    assert facts.height == table.height
    assert "characters" in facts.columns
    own = set(task.rows.REASONS) - {"missing_text", "missing_label"}
    assert own <= set(facts.columns)
    assert {rule.fact for rule in task.rows.RULES} <= set(facts.columns)
    assert not facts.select(pl.any_horizontal(own) if own else pl.lit(False)).to_series().any()
    assert all(facts[name].null_count() == 0 for name in own)


def test_the_columns_of_a_version_are_known_from_the_ledger(data: Data, task: Task) -> None:
    again = task.columns.of_roles(json.loads(json.dumps(data.roles())))
    assert again is not None
    assert (again.inputs, again.label, again.group) == (data.inputs, data.label, data.group)
    assert task.columns.of_roles({"else": "a column"}) is None
    assert set(data.columns) >= {*data.inputs, data.label}
    assert not data.question.endswith("?")


def test_the_first_metric_is_one_of_the_scorecard(task: Task) -> None:
    assert set(task.judging.METRICS) <= set(task.judging.FIGURES)
    assert set(task.judging.COMPARED) <= set(task.judging.FIGURES)
    for name, metric in task.judging.METRICS.items():
        assert metric.name == name


def test_a_metric_is_the_figure_of_the_scores(
    task: Task, targets: list[str], labels: tuple[str, ...], outputs: np.ndarray, data: Data
) -> None:
    truth = task.judging.truth(targets, labels)
    scores = task.judging.score(truth, outputs, labels, data)
    logged = scores.as_metrics("holdout")
    assert logged["rows_holdout"] == len(targets)
    for name in task.judging.METRICS:
        metric = task.judging.metric(name, labels, data)
        assert metric.value(truth, outputs) == pytest.approx(getattr(scores, name))
        assert logged[f"holdout_{name}"] == getattr(scores, name)
        assert metric.is_same(outputs, outputs.copy())
    assert set(task.judging.FIGURES) == {name.removeprefix("holdout_") for name in logged} - {"rows_holdout"}


def test_sums_over_groups_resample_to_the_metric(
    task: Task, targets: list[str], labels: tuple[str, ...], outputs: np.ndarray, data: Data
) -> None:
    """The gate sees sums alone: equal models lead by nothing, and an interval holds the figure of the rows."""
    truth = task.judging.truth(targets * 5, labels)
    many = np.tile(outputs, (5, 1))
    groups = group_indices(None, len(truth))
    for name in task.judging.METRICS:
        metric = task.judging.metric(name, labels, data)
        first, second = paired_gains(metric, truth, many, many, groups, resamples=50, seed=1)
        assert first.shape == (50,)
        assert (first == second).all()
    found = intervals(task.judging.intervals(labels, data), truth, many, groups, resamples=200, seed=1)
    assert set(task.judging.METRICS) <= set(found)
    for name in task.judging.METRICS:
        low, high = found[name]
        assert low - 1e-9 <= task.judging.metric(name, labels, data).value(truth, many) <= high + 1e-9


def test_what_cannot_be_scored_is_refused(
    task: Task, targets: list[str], labels: tuple[str, ...], outputs: np.ndarray, data: Data
) -> None:
    truth = task.judging.truth(targets, labels)
    for wrong in (outputs[:-1], np.full_like(outputs, np.nan), np.hstack([outputs, outputs])):
        with pytest.raises(ValueError, match="Received"):
            task.judging.score(truth, wrong, labels, data)
    with pytest.raises(ValueError, match=r"Received|could not convert"):
        task.judging.truth(["no target at all"], labels)


def test_a_right_answer_has_no_loss(task: Task, targets: list[str]) -> None:
    assert task.judging.loss(targets[0], targets[0]) == 0
    assert task.judging.loss(targets[0], targets[1]) > 0


def test_findings_and_limits_are_sentences(
    task: Task, targets: list[str], labels: tuple[str, ...], outputs: np.ndarray
) -> None:
    truth = task.judging.truth(targets, labels)
    for champion in (None, outputs):
        findings = task.judging.findings(truth, outputs, labels, champion)
        assert findings
        assert all(finding.sentence.endswith(".") for finding in findings)
        assert len({finding.key for finding in findings}) == len(findings)
    assert all(sentence.endswith(".") for sentence in task.judging.limits(truth, labels))


def test_outputs_become_answers_and_a_table_and_come_back(
    task: Task, labels: tuple[str, ...], outputs: np.ndarray
) -> None:
    face = task.answers
    answers, confidences = face.answers(outputs, labels)
    assert len(answers) == len(confidences) == len(outputs)
    assert all(isinstance(answer, str) for answer in answers)
    assert all(0 <= confidence <= 1 for confidence in confidences)
    assert any(confidences) == task.can("confidence")
    table = face.table(outputs, labels)
    assert list(table) == [name for name, _ in face.columns(labels)]
    assert all(len(values) == len(outputs) for values in table.values())
    assert face.outputs(table, labels) == pytest.approx(outputs)


def test_examples_and_odd_inputs_are_inputs(task: Task) -> None:
    for stored in (task.answers.EXAMPLE, *task.answers.ODD, *task.wire.EXAMPLES):
        again = task.answers.read_value(stored)
        assert task.answers.read_value(again) == again
        assert task.answers.read_record(task.wire.record(again)) == again


@pytest.mark.parametrize("value", ["[" * 100_000, '{"rooms":' * 100_000, f'{{"rooms":{"9" * 400}}}', '{"rooms":NaN}'])
def test_a_value_of_an_attacker_is_an_input_or_refused(task: Task, value: str) -> None:
    """Deep JSON and numbers beyond any float raise other errors, which the service would answer with 500."""
    with suppress(ValueError):
        assert isinstance(task.answers.read_value(value), str)


def test_what_is_no_input_is_refused(task: Task) -> None:
    wrongs: tuple[Any, ...] = (3.5, {"else": []}, [1])
    for wrong in wrongs:
        with pytest.raises(ValueError, match="Received"):
            task.answers.read_value(wrong)
    with pytest.raises(ValueError, match="Received"):
        task.answers.read_record({})


def test_outputs_that_are_no_numbers_may_not_go_live(task: Task, labels: tuple[str, ...], outputs: np.ndarray) -> None:
    assert task.answers.fault(outputs, labels) == ""
    assert task.answers.fault(np.full_like(outputs, np.nan), labels) != ""


def test_a_question_and_a_correction_survive_the_wire(task: Task, labels: tuple[str, ...], targets: list[str]) -> None:
    wire = task.wire
    body = msgspec.json.encode(wire.question(wire.EXAMPLES))
    assert wire.read_question(msgspec.json.decode(body, type=wire.Question)) == [
        task.answers.read_value(stored) for stored in wire.EXAMPLES
    ]
    answer, label = wire.example("0" * 32, labels)
    assert msgspec.json.decode(msgspec.json.encode(answer))["id"] == "0" * 32
    body = msgspec.json.encode(wire.correction("1", label))
    correction: Any = msgspec.json.decode(body, type=wire.Correction)
    stored = wire.read_label(correction.label, labels)
    task.judging.truth([stored], labels)
    for wrong in ("no target at all", None):
        with pytest.raises(ValueError, match="Received"):
            wire.read_label(wrong, labels)
    assert all(wire.read_label(choice, labels) == choice for choice in wire.choices(labels))


def test_an_answer_of_the_model_is_a_target_that_a_person_may_give(
    task: Task, labels: tuple[str, ...], outputs: np.ndarray
) -> None:
    """Otherwise nobody could confirm it."""
    answers, _ = task.answers.answers(outputs, labels)
    for answer in answers:
        assert task.wire.read_label(answer, labels) == answer


@settings(max_examples=50, deadline=None)
@given(rooms=st.floats(-1e12, 1e12), size=st.floats(-1e12, 1e12))
def test_a_row_of_numbers_is_one_input_whichever_way_it_comes(rooms: float, size: float) -> None:
    """From a CSV, from a data frame and over the wire, in any order of its columns: else a copy would not be known."""
    task = tasks.get("predict_number")
    columns: Any = task.columns
    table = pl.DataFrame({"rooms": [repr(rooms)], "size": [repr(size)]})
    (of_table,) = task.rows.inputs(table, columns(numbers=("size", "rooms"), label="price"))
    assert of_table == task.answers.read_record({"size": size, "rooms": rooms})
    assert of_table == task.answers.read_value(json.dumps({"rooms": rooms, "size": size}))


@settings(max_examples=30, deadline=None)
@given(scale=st.sampled_from([1e-3, 1.0, 1e3, 1e6]), seed=st.integers(0, 5), history=st.integers(0, 4))
def test_the_gate_decides_alike_in_metres_and_in_millimetres(scale: float, seed: int, history: int) -> None:
    """A squared error has no scale of its own: what earlier challengers taught must not depend on its unit."""

    def verdict(unit: float) -> tuple[bool, float]:
        rng = np.random.default_rng(seed)
        truth = rng.normal(100, 30, 200)
        noise = rng.normal(0, 3, (200, 1))
        champion = (truth[:, None] + rng.normal(0, 10, (200, 1))) * unit
        challenger = (truth[:, None] + 0.9 * (champion / unit - truth[:, None]) + noise) * unit
        value = metric.value(truth * unit, champion)
        past = [
            PastChallenger(number, 1, Measured(*(np.array([figure]) for figure in figures)), promoted=False)
            for number in range(2, 2 + history)
            for figures in [(0.02 * value, 0.05 * value, 0.2, 200.0)]
        ]
        belief = learn_history([each.times(gate_memory.unit(metric, value)) for each in past], 1)
        always = gate.Candidate("always", np.full((200, 1), 100.0 * unit))
        decision = gate.decide(
            gate.Candidate("v2", challenger),
            gate.Candidate("v1", champion),
            always,
            gate.Holdout(truth * unit),
            gate.Rules(metric),
            belief=belief,
        )
        assert decision.difference is not None
        return decision.promote, decision.difference / value

    metric = tasks.get("predict_number").judging.METRICS["squared_error"]
    promoted, lead = verdict(scale)
    assert (promoted, lead) == (verdict(1.0)[0], pytest.approx(verdict(1.0)[1]))
