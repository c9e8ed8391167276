"""The next version of a table whose inputs are several columns: what holds of texts holds of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ratchet.data.versions import consistency, quarantine
from ratchet.monitoring import feedback
from ratchet.problem import data_pin, settings
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.tasks import Task
from tests.support.in_process import Desk

HEAD = "rooms,size,price\n"
ODD = "777123"


def rows(count: int) -> list[str]:
    return [f"{n % 5},{100 + n},{50 + 3 * n}\n" for n in range(count)]


@pytest.fixture
def desk(tmp_path: Path, toy: Task) -> Desk:
    """A project with 101 homes in it, one of an odd size."""
    desk = Desk(tmp_path / "project")
    desk.write("homes.csv", HEAD + "".join(rows(100)) + f"3,{ODD},10\n")
    desk.own("homes.csv", label="price", task=toy.name)
    return desk


def test_withdrawn_rows_leave_data_and_caches(desk: Desk) -> None:
    assert len(desk.everywhere(ODD)) == 2  # data/ and DVC's cache
    desk.write("homes.csv", HEAD + "".join(rows(100)))
    said = desk.own("homes.csv")
    assert "1 row withdrawn" in said
    assert "Withdrawn rows have left data/ and 1 older version the caches" in said
    assert desk.everywhere(ODD) == []


def test_withdrawn_rows_leave_the_quarantine_of_feedback_whatever_params_yaml_describes(desk: Desk) -> None:
    path = feedback.aside_path(desk.here, "homes")
    ours = {quarantine.REASON: "?", quarantine.FILE: "id", quarantine.LINE: "1"}
    quarantine.put(path, pl.DataFrame(ours | {"rooms": "3.0", "size": f"{ODD}.0", "price": "?"}))
    texts = "".join(f"A review with number {n},{'good' if n % 2 else 'bad'}\n" for n in range(60))
    desk.write("reviews.csv", "text,label\n" + texts)
    desk.own("reviews.csv", text="text", label="label", task="classify")
    desk.write("homes.csv", HEAD + "".join(rows(100)))
    assert "1 row withdrawn" in desk.own("homes.csv", label="price", task="predict_number")
    assert desk.everywhere(ODD) == []


def test_a_problem_keeps_its_kind_though_params_yaml_describes_another(desk: Desk) -> None:
    texts = "".join(f"A review with number {n},{'good' if n % 2 else 'bad'}\n" for n in range(60))
    desk.write("reviews.csv", "text,label\n" + texts)
    desk.own("reviews.csv", text="text", label="label", task="classify")
    with pytest.raises(Refusal, match="a problem keeps its kind"):
        desk.own("reviews.csv", text="text", label="label", name="homes", task="classify")
    assert "has these very rows already" in desk.own("homes.csv", label="price")


def problem_of(desk: Desk) -> Problem:
    return Problem(desk.here, settings.load(desk.here.params), data_pin.pinned(desk.here))


def test_a_model_of_another_kind_is_refused_before_anything_starts(desk: Desk) -> None:
    consistency.refuse_unknown_columns(problem_of(desk))
    params = desk.here.params.read_text()
    desk.here.params.write_text(params.replace("[least_squares, mean]", "[mean, majority]"))
    with pytest.raises(Refusal, match=r"`build.candidates` names models of task predict_number.*majority"):
        consistency.refuse_unknown_columns(problem_of(desk))


def test_a_kind_that_was_changed_in_params_yaml_alone_is_refused(desk: Desk) -> None:
    desk.here.params.write_text(
        "problem: homes\ntask: classify\ndata: {text: size, label: price}\nbuild: {candidates: [majority]}\n"
    )
    with pytest.raises(Refusal, match=r"`task` must stay.*predict_number"):
        consistency.refuse_unknown_columns(problem_of(desk))
