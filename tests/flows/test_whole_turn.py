"""The whole loop with each metric that params.yaml may name, with slices, and with data/must.csv."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.people import Loop, driven
from tests.support.project import Project, copied, small_table

PARAMS = """\
problem: reviews
data: {{text: text, label: label, slices: [shop], positive: good}}
build: {{candidates: [majority, linear], minutes: 2, linear: {linear}}}
evaluate: {{metric: {metric}}}
"""
WARM, GRIM = "A warm splendid witty film", "A dull grim tedious film"


@pytest.fixture(scope="module")
def loop(brought: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """1,500 reviews of two shops, and nothing built."""
    project = copied(brought, tmp_path_factory.mktemp("metrics") / "project")
    chance = random.Random(5)
    head, *rows = small_table(1500).splitlines()
    lines = [f"{head},shop", *(f"{row},{chance.choice(['north', 'south'])}" for row in rows)]
    project.write("reviews.csv", "\n".join(lines) + "\n")
    with driven(project) as running:
        ask_for(running, "f1")
        refusal = running.call(
            "table_import.import_table(here, str(here.root / 'reviews.csv'), "
            "table_import.ImportOptions(), feedback.erase_withdrawn, print)"
        )
        assert refusal is None, refusal
        yield running


def ask_for(loop: Loop, metric: str, linear: str = "{}") -> None:
    loop.project.write("params.yaml", PARAMS.format(metric=metric, linear=linear))


def turned(loop: Loop) -> dict[str, Any]:
    """Run a turn; returns its summary."""
    summary: dict[str, Any] = loop.call("lifecycle(trigger='make run').summary")
    assert isinstance(summary, dict), summary
    return summary


def evidence(loop: Loop, version: int) -> dict[str, Any]:
    artifact: dict[str, Any] = loop.call(
        f"problem_and_registry()[1].read_json(problem_and_registry()[1].version({version}).run_id, 'evaluation.json')"
    )
    return artifact


def metrics(loop: Loop, version: int) -> dict[str, float]:
    return dict(
        loop.call(f"dict(problem_and_registry()[1].origin(problem_and_registry()[1].version({version})).metrics)")
    )


def scorecard(loop: Loop) -> str:
    """Return the newest scorecard in Prefect."""
    with closing(sqlite3.connect(loop.root / "state" / "prefect" / "prefect.db")) as database:
        query = "select data from artifact where key = 'scorecard' order by created desc limit 1"
        return str(database.execute(query).fetchone()[0])


def test_each_metric_decides_a_whole_turn_and_every_slice_is_looked_at(loop: Loop) -> None:
    """F1 lets the first model in, macro F1 a better one; by log loss a little less wrong may be luck."""
    ask_for(loop, "f1", "{min_df: 300, strengths: [0.01], bayes_strengths: []}")
    first = turned(loop)
    assert (first["decision"], first["champion"]) == ("promote", 1), first
    assert re.match(r"The first model to pass: the challenger's F1 \d\d\.\d% beats \d+\.\d%, ", first["reason"])
    value = metrics(loop, 1)["holdout_f1"]
    assert f"F1 {value:.1%} beats" in first["reason"]
    (deciding,) = [row for row in first["scorecard"] if row["decides"]]
    assert (deciding["metric"], deciding["challenger"]) == ("F1", pytest.approx(value))

    ask_for(loop, "macro_f1", "{strengths: [0.01], bayes_strengths: []}")
    second = turned(loop)
    assert (second["decision"], second["champion"]) == ("promote", 2), second
    values = [metrics(loop, version)["holdout_macro_f1"] for version in (2, 1)]
    assert second["reason"].startswith("The challenger's macro F1 on ")
    assert f" holdout rows is {values[0]:.1%}, that of v1 {values[1]:.1%}: " in second["reason"]
    by_name = {row["name"]: row for row in evidence(loop, 2)["decision"]["slices"]}
    assert {"shop = north", "shop = south"} < set(by_name)
    assert len([name for name in by_name if "characters" in name]) == 3
    for row in by_name.values():
        assert row["challenger"] - row["champion"] == pytest.approx(row["ahead"])
        assert row["interval"][0] <= row["ahead"] <= row["interval"][1]
    assert f"| shop = north | {by_name['shop = north']['rows']} | " in scorecard(loop)
    assert "better by [95% over all slices]" in scorecard(loop)

    ask_for(loop, "log_loss")
    loop.project.write("data/must.csv", f"text,label,same_as\n{WARM},good,\n{GRIM},good,\n{WARM.upper()},,{WARM}\n")
    third = turned(loop)
    assert (third["decision"], third["verdict"], third["champion"]) == ("keep", "Refused", 2), third
    assert third["reason"] == (
        f'The challenger breaks 1 of 3 lines of data/must.csv: "{GRIM}" must get good and got bad, so v2 stays.'
    )
    assert f"| 3 | {GRIM} | bad | good |" in scorecard(loop)
    assert "3 lines of data/must.csv must be kept" in loop.changes[-1]["why"]
    assert evidence(loop, 3)["decision"]["broken"][0]["text"] == GRIM

    loop.project.write("data/must.csv", f"text,label,same_as\n{WARM},good,\n{GRIM},bad,\n{WARM.upper()},,{WARM}\n")
    fourth = turned(loop)
    assert (fourth["verdict"], fourth["champion"]) == ("Kept champion", 2), fourth
    losses = [metrics(loop, version)["holdout_log_loss"] for version in (4, 2)]
    assert losses[0] < losses[1]
    assert f"is {losses[0]:.4f}, that of v2 {losses[1]:.4f}: {losses[1] - losses[0]:.4f} better" in fourth["reason"]
    assert "The challenger keeps all 3 lines of data/must.csv." in scorecard(loop)
    decision = evidence(loop, 4)["decision"]
    assert decision["difference"] == pytest.approx(losses[1] - losses[0])
    assert decision["interval"][0] < decision["difference"] < decision["interval"][1]
    card = loop.call("problem_and_registry()[1].version(4).description")
    assert "**What it must get right.** The challenger keeps all 3 lines of data/must.csv." in card


def test_a_line_of_must_csv_with_an_unknown_label_stops_the_turn(loop: Loop) -> None:
    before = loop.pin
    text = "text,label\na film,fine\n"
    loop.project.write("data/must.csv", text)
    refusal = loop.call("lifecycle(trigger='make run')")
    assert "line 2: the label 'fine'; the table has bad, good" in refusal
    assert (loop.root / "data" / "must.csv").read_text() == text
    assert loop.pin == before
