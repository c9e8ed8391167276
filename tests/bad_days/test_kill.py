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
TARGETS = ("all", "all", "all", "python", "watcher", "child")
"""The processes that a kill may hit, the likelier ones more often."""


def commit_number() -> int:
    """Return a number that differs for each commit, and is the same in every worker."""
    result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return int(result.stdout.strip() or "0", 16) if result.returncode == 0 else 0


def numbers(count: int, few: int) -> list[Any]:
    """Return the numbers of a command's kill points.

    `make test` runs a few of them, other ones at each commit; `make test-long` runs all.
    """
    short = random.Random(commit_number() + count).sample(range(count), few)
    return [number if number in short else pytest.param(number, marks=pytest.mark.long) for number in range(count)]


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
    """The result of an undisturbed command.

    Attributes:
        state: What the project has reached.
        seconds: How long the command took.
        lines: How many lines it printed.
    """

    state: dict[str, Any]
    seconds: float
    lines: int


@pytest.fixture(scope="module")
def arena(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Arena:
    """A project with a poor champion, so that the next turn promotes; saved as `poor`."""
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
    new_arena = Arena(project, folder / "saved")
    new_arena.save("poor")
    for name in ("mlflow.db", "prefect", "artifacts", "cache", "ledger.jsonl", "last-turn.json"):
        path = project.root / "state" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    new_arena.save("new")
    return new_arena


def undisturbed(arena: Arena, saved: str, *words: str) -> Golden:
    """Run a command on the saved project, and return its result."""
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
    """Counts the kills that met a command at work, and prints their number at the end."""
    points: list[Point] = []
    yield points
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{len(points)} kills met a command at work, from seed {SEED}")


def survives_in_run(arena: Arena, run: Golden, point: Point, saved: str = "poor") -> str:
    """Kill `make run` at the point, run it again, and compare; returns the output of the second run."""
    arena.restore(saved)
    before = arena.kill(point, "run")
    done = arena.project.make("run")
    assert done.status == 0, f"{point}\n{before}\n---\n{done.text}"
    assert killed_project.reached(arena.project) == run.state, f"{point}\n{before}\n---\n{done.text}"
    expect_clean(arena, point)
    assert killed_project.at_work(arena.project) == [], f"{point}\n{before}\n---\n{done.text}"
    return done.text


def survives_in_rollback(arena: Arena, rollback: Golden, point: Point) -> None:
    """Kill `make rollback` at the point. If it reported success, the rollback is done; otherwise it is run again."""
    arena.restore("risen")
    before = arena.kill(point, "rollback")
    again = "status" if "is live again" in before else "rollback"
    done = arena.project.make(again)
    assert done.status == 0, f"{point}\n{before}\n---\n{done.text}"
    assert killed_project.reached(arena.project) == rollback.state, f"{point}\n{before}\n---\n{done.text}"
    expect_clean(arena, point)


def survives_in_data(arena: Arena, data: Golden, point: Point) -> None:
    """Kill `make data` at the point: the pinned table is the old or the new one, whole; a second run gives the new."""
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
    """Play points until one meets the command at work; a point may come after its end, or at a write it never makes."""
    for point in points:
        survives(point)
        if arena.struck:
            struck.append(point)
            return
    pytest.fail("no kill met the command at work")


def points_of(seed: int, golden: Golden, writes: dict[str, int], *targets: str) -> Iterator[Point]:
    """Return a few points from a seed, the one that counts first."""
    for attempt in range(4):
        yield killed_project.point(
            seed + 100_000 * attempt, golden.seconds, golden.lines, writes, targets or ("all", "python")
        )


def expect_clean(arena: Arena, point: Point) -> None:
    assert arena.left() == [], str(point)
    assert killed_project.stray(arena.project) == [], str(point)


def test_a_turn_that_was_killed_is_gone_on_with(arena: Arena, run: Golden) -> None:
    """Trained models are not trained again, and no second version is made."""
    output = survives_in_run(arena, run, Point(said="Trained linear"))
    assert arena.struck
    assert "linear was trained before the build was cut off; it is taken up." in output
    assert "Closed in MLflow what a kill left open" in output


def test_a_kill_in_the_middle_of_a_promotion_loses_nothing(arena: Arena, run: Golden) -> None:
    output = survives_in_run(arena, run, Point("watcher", write=("state/move.json", 1)))
    assert arena.struck
    assert "What was cut off is done now: Version 3 (linear) of reviews is live." in output
    assert "prefect server that a killed command left is ended" in output
    assert "was built before the turn was cut off" in output


def test_a_rollback_that_was_killed_goes_back_once(arena: Arena, rollback: Golden) -> None:
    survives_in_rollback(arena, rollback, Point(write=("state/move.json", 1)))
    assert arena.struck


@pytest.mark.skipif(FAKETIME is None, reason="no faketime here: apt-get install faketime")
@pytest.mark.parametrize("shift", ["-1d", pytest.param("+365d", marks=pytest.mark.long)])
def test_a_clock_that_jumped_changes_no_order(arena: Arena, rollback: Golden, shift: str) -> None:
    """The history and the rollback follow the order of the moves, whatever their times say."""
    arena.restore("risen")
    jumped = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": shift}
    done = arena.project.make("rollback", **jumped)
    assert done.status == 0, done.text
    assert killed_project.reached(arena.project) == rollback.state
    history = arena.project.make("history", **jumped).text
    order = [history.index(words) for words in ("promoted after v2", "rolled back after v3")]
    assert order == sorted(order), history
    assert "live       version 2" in arena.project.make("status").text


def test_another_command_beside_a_run_works_or_says_why_not(arena: Arena, run: Golden) -> None:
    """A command that only reads works; one that would move the champion is refused, with the name of the holder."""
    arena.restore("poor")
    process = arena.project.start("run")
    wait_for(process, "Prepared")
    refused = arena.project.make("rollback")
    reads = {
        words[0]: arena.project.make(*words) for words in (("predict", "TEXT=a warm film"), ("status",), ("history",))
    }
    output, _ = process.communicate()
    assert refused.status != 0
    assert "Only one loop turns at a time" in refused.text
    assert "make run" in refused.text
    assert {name: done.status for name, done in reads.items()} == {"predict": 0, "status": 0, "history": 0}, reads
    assert process.returncode == 0, output
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
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table if not exists predictions (id integer)")
        connection.execute("begin exclusive")
        done = arena.project.make(*words)
    assert done.status != 0
    assert f"{path.name} must become free within half a minute. Received: another program holds it" in done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize("number", numbers(40, 0))
def test_a_first_run_survives_a_kill_anywhere(arena: Arena, first: Golden, struck: list[Point], number: int) -> None:
    points = points_of(4 * SEED + number, first, killed_project.TURN, *TARGETS)
    strike(arena, struck, lambda point: survives_in_run(arena, first, point, "new"), points)


@pytest.mark.parametrize("number", numbers(80, 1))
def test_a_run_survives_a_kill_anywhere(arena: Arena, run: Golden, struck: list[Point], number: int) -> None:
    points = points_of(SEED + number, run, killed_project.TURN, *TARGETS)
    strike(arena, struck, lambda point: survives_in_run(arena, run, point), points)


@pytest.mark.parametrize("number", numbers(80, 2))
def test_a_rollback_survives_a_kill_anywhere(arena: Arena, rollback: Golden, struck: list[Point], number: int) -> None:
    points = points_of(2 * SEED + number, rollback, killed_project.ROLLBACK)
    strike(arena, struck, lambda point: survives_in_rollback(arena, rollback, point), points)


@pytest.mark.parametrize("number", numbers(40, 2))
def test_data_survives_a_kill_anywhere(arena: Arena, data: Golden, struck: list[Point], number: int) -> None:
    points = points_of(3 * SEED + number, data, killed_project.DATA)
    strike(arena, struck, lambda point: survives_in_data(arena, data, point), points)
