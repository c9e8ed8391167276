"""params.yaml: an error is named by its key, and settings that do not fit the data are refused before training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.data.versions import consistency
from ratchet.problem import problem, settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import places
from tests.support.project import ROOT, SMALL, Project, refused

ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"tsk": "classify"}, "`tsk`"),
    "unknown section key": ({"evaluate.flor": 0.5}, "`evaluate.flor`"),
    "a number for a name": ({"problem": 5}, "`problem`"),
    "a yes for a class": ({"data.positive": True}, "between quotes"),
    "a text for a list": ({"data.slices": "film"}, "list"),
    "an empty column": ({"data.text": ""}, "`data.text`"),
    "a list for a section": ({"build": [1]}, "`build`"),
    "a number for a section": ({"deploy": 5}, "`deploy`"),
    "a candidate twice": ({"build.candidates": ["linear", "linear"]}, "once"),
    "no candidate": ({"build.candidates": []}, "`build.candidates`"),
    "minutes without end": ({"build.minutes": float("inf")}, "`build.minutes`"),
    "no minutes": ({"build.minutes": 0}, "`build.minutes`"),
    "minutes as a text": ({"build.minutes": "5"}, "number"),
    "a seed that is a yes": ({"build.seed": True}, "whole number"),
    "a floor in percent": ({"evaluate.floor": 65}, "is 0.65 meant?"),
    "a floor that is no number": ({"evaluate.floor": float("nan")}, "`evaluate.floor`"),
    "a margin in percent": ({"evaluate.margin": 3}, "is 0.03 meant?"),
    "an unknown metric": ({"evaluate.metric": "acc"}, "accuracy"),
    "a window of half a row": ({"optimise.window": 99.5}, "`optimise.window`"),
    "a minute that no hour has": ({"optimise.schedule": "99 99 99 99 99"}, "'99 99 99 99 99', bad minute"),
    "a day that never comes": ({"optimise.schedule": "0 3 30 2 *"}, "bad day-of-month"),
    "four fields": ({"optimise.schedule": "0 3 * *"}, "4 fields (every Monday at three: 0 3 * * 1)"),
    "what Prefect does not know": ({"optimise.schedule": "0 3 LW * *"}, "with 'LW'"),
    "no schedule at all": ({"optimise.schedule": ""}, "0 fields"),
}


@pytest.mark.parametrize(
    "line", ["problem: 2026-02-30", "x: !!int abc", "x: " + "[" * 3_000, "problem: caf\xe9", "x: ["]
)
def test_a_file_that_is_no_yaml_is_refused_whatever_the_parser_raises(tmp_path: Path, line: str) -> None:
    """A service that follows the file must not stop because of an impossible date."""
    path = tmp_path / "params.yaml"
    path.write_text(f"{line}\n", encoding="latin-1")
    with pytest.raises(Refusal, match="must be YAML in UTF-8"):
        settings.load(path)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_in_params_yaml_is_named_by_its_key(tmp_path: Path, name: str) -> None:
    import yaml

    values, words = ERRORS[name]
    content = yaml.safe_load(SMALL)
    for key, value in values.items():
        section, _, rest = key.partition(".")
        if rest:
            content.setdefault(section, {})[rest] = value
        else:
            content[section] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(Refusal) as caught:
        settings.load(path)
    assert words in str(caught.value)


FIELDS = st.sampled_from(
    ["*", "0", "3", "5", "7", "*/5", "1-4", "1,2", "10-20/3", "29", "31", "59", "SUN", "mon-fri", "feb"]
)


@given(st.lists(FIELDS, min_size=5, max_size=5))
def test_prefect_takes_every_accepted_schedule(parts: list[str]) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    schedule = " ".join(parts)
    if not settings.why_no_schedule(schedule):
        assert CronSchedule(cron=schedule).cron == schedule


def test_a_floor_of_log_loss_may_be_above_1(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(SMALL.replace("accuracy", "log_loss, floor: 1.2"), encoding="utf-8")
    assert settings.load(path).evaluate.floor == 1.2


MISFITS = {
    "text": (("text: text", "text: body"), "`data.text`"),
    "label": (("label: label", "label: stars"), "`data.label`"),
    "group": (("label: label", "label: label, group: film"), "`data.group`"),
    "slices": (("label: label", "label: label, slices: [text, lang]"), "`data.slices[1]`"),
    "text and label one column": (("label: label", "label: text"), "two columns"),
    "renamed by hand": (("problem: reviews", "problem: revues"), "problem: reviews"),
    "a hyperparameter of another kind": (("minutes: 2", "minutes: 2, linear: {min_df: few}"), "`build.linear.min_df`"),
    "a conflict": (("problem: reviews", "<<<<<<< HEAD\nproblem: reviews"), "line 1"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_params_that_do_not_fit_the_data_are_refused_at_the_start(whole: Project, name: str) -> None:
    (old, new), words = MISFITS[name]
    whole.write("params.yaml", SMALL.replace(old, new))
    try:
        refused(whole.make("build"), words)
    finally:
        whole.write("params.yaml", SMALL)


@pytest.mark.parametrize(
    ("change", "classes", "words"),
    [
        ("positive: great", ("bad", "good"), "great; the data has the classes bad, good"),
        ("metric: f1", ("bad", "good", "mixed"), "classes bad, good, mixed"),
        ("positive: good, metric: f1", ("bad", "good", "mixed"), "one class of two"),
        ("metric: f1", ("bad", "good"), "not named"),
        ("positive: good, metric: f1", ("bad", "good"), None),
    ],
)
def test_positive_and_metric_must_fit_the_classes(
    tmp_path: Path, change: str, classes: tuple[str, ...], words: str | None
) -> None:
    from ratchet.problem.data_pin import Pin

    positive = re.search(r"positive: (\w+)", change)
    text = SMALL.replace("label: label", f"label: label, {positive[0]}") if positive else SMALL
    text = text.replace("metric: accuracy", "metric: f1") if "f1" in change else text
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    current = problem.Problem(places(), settings.load(path), Pin("0" * 32, 0, ""))
    if words is None:
        consistency.refuse_misfit(current, classes)
        return
    with pytest.raises(Refusal, match=re.escape(words)):
        consistency.refuse_misfit(current, classes)


def test_the_committed_params_are_valid_and_name_the_pinned_problem() -> None:
    committed = settings.load(ROOT / "params.yaml")
    assert committed.problem == "film-reviews"
    assert committed.build.candidates == ("majority", "linear", "lstm")


@pytest.mark.parametrize("content", ["", "- a\n", "problem: [", "problem: x\n", "\x00"])
def test_a_damaged_params_yaml_is_refused_in_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(Refusal, match=r"params\.yaml must"):
        settings.load(path)
