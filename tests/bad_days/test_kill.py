"""SIGKILL at any point of run, rollback and data: the next command reaches what an undisturbed one would have."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import killed_project
from tests.support.killed_project import Arena, Point
from tests.support.project import ROOT, SMALL, Project, small_table
from tests.support.up import wait_for

SEED = 20261124
BRING = ("data", "SOURCE=more.csv", "TEXT=text", "LABEL=label", "NAME=reviews")
WHOM = ("all", "all", "all", "python", "watcher", "child")


def of_commit() -> int:
    """A number that each commit has of its own, and that every worker knows."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return int(asked.stdout.strip() or "0", 16) if asked.returncode == 0 else 0


def numbers(count: int, few: int) -> list[Any]:
    """The kill points of a command by number: so few of them for `make test`, other ones at each commit, and the rest
    for `make test-long`."""
    often = random.Random(of_commit() + count).sample(range(count), few)
    return [number if number in often else pytest.param(number, marks=pytest.mark.long) for number in range(count)]


FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)

POOR = """
import mlflow
client = mlflow.MlflowClient()
model = next(m for m in mlflow.search_logged_models(["1"], output_format="list") if m.name == "majority")
tags = dict(client.get_model_version("reviews", "1").tags) | {"model": "majority"}
client.create_model_version("reviews", f"models:/{model.model_id}", model.source_run_id, tags=tags,
                            model_id=model.model_id)
client.set_registered_model_alias("reviews", "champion", "2")
"""


@dataclass(frozen=True)
class Golden:
    """What an undisturbed command comes to. seconds, lines: how long it took, and how much it printed."""

    state: dict[str, Any]
    seconds: float
    lines: int


@pytest.fixture(scope="module")
def arena(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Arena:
    """A project whose champion is a poor one, so that the next turn promotes; saved as `poor`."""
    folder = tmp_path_factory.mktemp("arena")
    project = Project(folder / "project")
    for name in ("state", "data", "data.dvc", "reviews.csv"):
        source, target = original.root / name, project.root / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    killed_project.move_in(project, original.root)
    done = project.python(POOR, MLFLOW_TRACKING_URI=project.tracking_uri)
    assert done.status == 0, done.text
    project.write("params.yaml", SMALL.replace("minutes: 2", "minutes: 2, seed: 1"))
    project.write("more.csv", small_table(700))
    made = Arena(project, folder / "saved")
    made.save("poor")
    for name in ("mlflow.db", "prefect", "artifacts", "cache", "ledger.jsonl", "last-turn.json"):
        path = project.root / "state" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    made.save("new")
    return made


def undisturbed(arena: Arena, saved: str, *words: str) -> Golden:
    """What the command makes of the project as it was saved."""
    arena.restore(saved)
    started = time.monotonic()
    done = arena.project.make(*words)
    seconds = time.monotonic() - started
    assert done.status == 0, done.text
    return Golden(killed_project.reached(arena.project), seconds, done.text.count("\n"))


@pytest.fixture(scope="module")
def first(arena: Arena) -> Golden:
    """The first turn of all: it makes the databases, and version 1 the champion."""
    golden = undisturbed(arena, "new", "run")
    assert golden.state["aliases"] == {"champion": 1}
    return golden


@pytest.fixture(scope="module")
def run(arena: Arena) -> Golden:
    """A turn that promotes version 3 over version 2; what it leaves is saved as `risen`."""
    golden = undisturbed(arena, "poor", "run")
    assert golden.state["aliases"] == {"champion": 3, "previous": 2}
    arena.save("risen")
    return golden


@pytest.fixture(scope="module")
def rollback(arena: Arena, run: Golden) -> Golden:
    golden = undisturbed(arena, "risen", "rollback")
    assert golden.state["aliases"] == {"champion": 2, "previous": 3}
    return golden


@pytest.fixture(scope="module")
def data(arena: Arena) -> Golden:
    """data/, data.dvc and params.yaml after another table was brought."""
    golden = undisturbed(arena, "poor", *BRING)
    return replace(golden, state=dict(arena.project.bytes_of(*killed_project.PINNED)))


@pytest.fixture(scope="module")
def struck(request: pytest.FixtureRequest) -> Iterator[list[Point]]:
    """Counts the kills that met a command at work, and says at the end how many there were."""
    points: list[Point] = []
    yield points
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{len(points)} kills met a command at work, from seed {SEED}")


def survives_in_run(arena: Arena, run: Golden, point: Point, saved: str = "poor") -> str:
    """Kill `make run` there, call it again, and compare; what the second one printed."""
    arena.restore(saved)
    before = arena.kill(point, "run")
    done = arena.project.make("run")
    assert done.status == 0, f"{point}\n{before}\n---\n{done.text}"
    assert killed_project.reached(arena.project) == run.state, f"{point}\n{before}\n---\n{done.text}"
    expect_clean(arena, point)
    assert killed_project.at_work(arena.project) == [], f"{point}\n{before}\n---\n{done.text}"
    return done.text


def survives_in_rollback(arena: Arena, rollback: Golden, point: Point) -> None:
    """Kill `make rollback` there. Who was told that it is done, has it done; who was not, calls again."""
    arena.restore("risen")
    before = arena.kill(point, "rollback")
    again = "status" if "is live again" in before else "rollback"
    done = arena.project.make(again)
    assert done.status == 0, f"{point}\n{before}\n---\n{done.text}"
    assert killed_project.reached(arena.project) == rollback.state, f"{point}\n{before}\n---\n{done.text}"
    expect_clean(arena, point)


def survives_in_data(arena: Arena, data: Golden, point: Point) -> None:
    """Kill `make data` there: what is pinned is the old table or the new one, whole; called again it is the new."""
    arena.restore("poor")
    old = arena.project.bytes_of(*killed_project.PINNED)
    before = arena.kill(point, *BRING)
    fetched = arena.project.make("data")
    assert fetched.status == 0, f"{point}\n{before}\n---\n{fetched.text}"
    assert arena.project.bytes_of(*killed_project.PINNED) in (old, data.state), (
        f"{point}\n{before}\n---\n{fetched.text}"
    )
    done = arena.project.make(*BRING)
    assert done.status == 0, f"{point}\n{before}\n---\n{done.text}"
    assert arena.project.bytes_of(*killed_project.PINNED) == data.state, f"{point}\n{before}\n---\n{done.text}"
    expect_clean(arena, point)


def strike(arena: Arena, struck: list[Point], survives: Callable[[Point], object], points: Iterable[Point]) -> None:
    """Play points until one meets the command at work: some come after its end, or at a write that it never makes."""
    for point in points:
        survives(point)
        if arena.struck:
            struck.append(point)
            return
    pytest.fail("no kill met the command at work")


def points_of(seed: int, golden: Golden, writes: dict[str, int], *whom: str) -> Iterator[Point]:
    """A few points from a seed, the one that counts first."""
    for again in range(4):
        yield killed_project.point(
            seed + 100_000 * again, golden.seconds, golden.lines, writes, whom or ("all", "python")
        )


def expect_clean(arena: Arena, point: Point) -> None:
    assert arena.left() == [], str(point)
    assert killed_project.stray(arena.project) == [], str(point)


def test_a_turn_that_was_killed_is_gone_on_with(arena: Arena, run: Golden) -> None:
    """Neither is what was trained trained again, nor is a second version made."""
    said = survives_in_run(arena, run, Point(said="Trained linear"))
    assert arena.struck
    assert "linear was trained before the build was cut off; it is taken up." in said
    assert "Closed in MLflow what a kill left open" in said


def test_a_kill_in_the_middle_of_a_promotion_loses_nothing(arena: Arena, run: Golden) -> None:
    said = survives_in_run(arena, run, Point("watcher", write=("state/move.json", 1)))
    assert arena.struck
    assert "What was cut off is done now: Version 3 (linear) of reviews is live." in said
    assert "prefect server that a killed command left is ended" in said
    assert "was built before the turn was cut off" in said


def test_a_rollback_that_was_killed_goes_back_once(arena: Arena, rollback: Golden) -> None:
    survives_in_rollback(arena, rollback, Point(write=("state/move.json", 1)))
    assert arena.struck


@pytest.mark.skipif(FAKETIME is None, reason="no faketime here: apt-get install faketime")
@pytest.mark.parametrize("shift", ["-1d", pytest.param("+365d", marks=pytest.mark.long)])
def test_a_clock_that_jumped_changes_no_order(arena: Arena, rollback: Golden, shift: str) -> None:
    """The history is in the order of the moves, whatever the times say, and so is what a rollback goes by."""
    arena.restore("risen")
    jumped = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": shift}
    done = arena.project.make("rollback", **jumped)
    assert done.status == 0, done.text
    assert killed_project.reached(arena.project) == rollback.state
    shown = arena.project.make("history", **jumped).text
    order = [shown.index(words) for words in ("promoted after v2", "rolled back after v3")]
    assert order == sorted(order), shown
    assert "live       version 2" in arena.project.make("status").text


def test_another_command_beside_a_run_works_or_says_why_not(arena: Arena, run: Golden) -> None:
    """A short look or a question goes through; what would move the champion is told who is at work."""
    arena.restore("poor")
    process = arena.project.start("run")
    wait_for(process, "Prepared")
    refused = arena.project.make("rollback")
    asked = {
        words[0]: arena.project.make(*words) for words in (("predict", "TEXT=a warm film"), ("status",), ("history",))
    }
    rest, _ = process.communicate()
    assert refused.status != 0
    assert "Only one loop turns at a time" in refused.text
    assert "make run" in refused.text
    assert {name: done.status for name, done in asked.items()} == {"predict": 0, "status": 0, "history": 0}, asked
    assert process.returncode == 0, rest
    assert killed_project.reached(arena.project) == run.state


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mlflow.db", ("rollback",)),
        ("mlflow.db", ("run",)),
        ("prefect/prefect.db", ("run",)),
        ("predictions.db", ("predict", "TEXT=a warm film")),
    ],
)
def test_a_database_that_stays_locked_ends_in_one_sentence(
    arena: Arena, rollback: Golden, name: str, words: tuple[str, ...]
) -> None:
    arena.restore("risen" if words[0] == "rollback" else "poor")
    path = arena.project.root / "state" / name
    with closing(sqlite3.connect(path)) as held:
        held.execute("create table if not exists predictions (id integer)")
        held.execute("begin exclusive")
        done = arena.project.make(*words)
    assert done.status != 0
    assert f"{path.name} must become free within half a minute. Received: another program holds it" in done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize("number", numbers(40, 0))
def test_a_first_run_survives_a_kill_anywhere(arena: Arena, first: Golden, struck: list[Point], number: int) -> None:
    points = points_of(4 * SEED + number, first, killed_project.TURN, *WHOM)
    strike(arena, struck, lambda point: survives_in_run(arena, first, point, "new"), points)


@pytest.mark.parametrize("number", numbers(80, 1))
def test_a_run_survives_a_kill_anywhere(arena: Arena, run: Golden, struck: list[Point], number: int) -> None:
    points = points_of(SEED + number, run, killed_project.TURN, *WHOM)
    strike(arena, struck, lambda point: survives_in_run(arena, run, point), points)


@pytest.mark.parametrize("number", numbers(80, 2))
def test_a_rollback_survives_a_kill_anywhere(arena: Arena, rollback: Golden, struck: list[Point], number: int) -> None:
    points = points_of(2 * SEED + number, rollback, killed_project.ROLLBACK)
    strike(arena, struck, lambda point: survives_in_rollback(arena, rollback, point), points)


@pytest.mark.parametrize("number", numbers(40, 2))
def test_data_survives_a_kill_anywhere(arena: Arena, data: Golden, struck: list[Point], number: int) -> None:
    points = points_of(3 * SEED + number, data, killed_project.DATA)
    strike(arena, struck, lambda point: survives_in_data(arena, data, point), points)
