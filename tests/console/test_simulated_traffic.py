"""Simulated traffic: what is sent, and what is said of it, by the kind of problem."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ratchet import tasks
from ratchet.console import simulated_traffic
from ratchet.problem.problem import Problem
from ratchet.servers import servers
from ratchet.tasks import Task


def sent(monkeypatch: pytest.MonkeyPatch, task: Task, pairs: list[tuple[str, str]]) -> tuple[list[Any], str]:
    """The bodies that are sent about these inputs, and what is said; every answer is `good`."""
    bodies: list[Any] = []

    def post(address: str, content: dict[str, Any], unit: str) -> Any:
        bodies.append(content)
        return {"predictions": [{"id": str(number), "label": "good"} for number in range(len(pairs))]}

    monkeypatch.setattr(simulated_traffic, "post", post)
    monkeypatch.setattr(simulated_traffic, "simulate_inputs", lambda problem, count: pairs)
    monkeypatch.setattr(servers, "running_record", lambda here, name: SimpleNamespace(port=1))
    said: list[str] = []
    problem = cast(Problem, SimpleNamespace(task=task, here=SimpleNamespace(host="localhost")))
    simulated_traffic.send(problem, str(len(pairs)), said.append)
    return bodies, said[0]


def test_half_of_the_texts_are_labelled_and_the_right_answers_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies, said = sent(monkeypatch, tasks.get("classify"), [("a", "good"), ("b", "bad")])
    assert bodies == [{"texts": ["a", "b"]}, {"id": "0", "label": "good"}]
    assert said == "Asked about 2 made-up texts, 50.0% answered right; 1 of them are labelled."


def test_no_number_is_right_or_wrong(monkeypatch: pytest.MonkeyPatch, toy: Task) -> None:
    pairs = [(row, "310") for row in toy.wire.EXAMPLES]
    bodies, said = sent(monkeypatch, toy, pairs)
    assert bodies[1] == {"id": "0", "label": 310.0}
    assert said == "Asked about 2 made-up rows; 1 of them are labelled."
    assert len(sent(monkeypatch, replace(toy, abilities=frozenset()), pairs)[0]) == 1


@pytest.mark.parametrize("typed", ["0", "many", "100001"])
def test_a_number_out_of_range_is_refused(typed: str) -> None:
    with pytest.raises(Exception, match=re.escape("N is a number of houses from 1 to 100,000.")):
        simulated_traffic.parse_count(typed, "house")
