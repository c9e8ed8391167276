"""What tests share: how many run at once, state of Hypothesis outside the repository, projects that have turned."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from ratchet.project.paths import places, tool_defaults
from ratchet.tasks import Task
from tests.support.project import Project, bring_small, copied, overhearing
from tests.support.toy_kind import predict_number

for name, value in tool_defaults(places()).items():
    os.environ.setdefault(name, value)
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(places().state / "hypothesis"))
settings.register_profile("steady", deadline=None, derandomize=True, database=None)
settings.load_profile("steady")

LONGEST_FIRST = (
    "test_loop", "test_models", "test_large_table", "test_automatic_turns", "test_elsewhere", "test_bad_surroundings",
    "test_kill", "test_ui", "test_bad_labels", "test_opened", "test_backup", "test_asked_for", "test_swaps",
    "test_overload", "test_table_import", "test_migrations", "test_batch_predict", "test_verbs",
)  # fmt: skip
"""Files begun first, so that no worker is left alone with a long one at the end. While the first project is made,
`test_models` and `test_large_table` need none."""

WORKER_BYTES = 3 * 2**30
"""What a worker may come to: its own TensorFlow, a process that trains, and the servers of a project."""


TABLES = """
import asyncio
import prefect.server.database
from flows.registry.store import make_store
from ratchet.project.paths import mlflow_database
asyncio.run(prefect.server.database.provide_database_interface().create_db())
make_store(mlflow_database())
"""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker a processor that we may use, as far as the memory goes; for `pytest -n auto`."""
    return max(1, min(len(os.sched_getaffinity(0)), psutil.virtual_memory().total // WORKER_BYTES))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others after them in their order."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


NEEDED = ("Chromium", "PostgreSQL", "faketime")
"""What .ci/run installs: a test that is skipped for want of one of these there has told nobody anything."""


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration a skip for want of what the tests need is a failure."""
    report = yield
    if report.skipped and is_ci() and any(f"no {name} here" in str(report.longrepr) for name in NEEDED):
        report.outcome, report.longrepr = "failed", f"With CI set nothing needed may be missing: {report.longrepr}"
    return report


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project: the tracked files, no data, no state."""
    return Project(tmp_path / "project")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Project]) -> Project:
    """The project of that name which the first worker that asks makes in a new folder, for itself and all others."""
    common = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    with open(common / f"{name}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        place = common / f"{name}.txt"
        if not place.exists():
            place.write_text(str(make(factory.mktemp(name) / "project").root))
    return Project(Path(place.read_text()))


@pytest.fixture(scope="session")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small table of made-up reviews, two quick candidates, and nothing built; for copies alone."""
    return made_once(tmp_path_factory, "brought", first_data)


@pytest.fixture(scope="session")
def original(brought: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project after its first turn of the loop; for copies, and for questions that change nothing."""
    return made_once(tmp_path_factory, "original", lambda folder: first_turn(copied(brought, folder)))


def with_tables(project: Project) -> Project:
    """Prefect's and MLflow's tables are made, which the first command in each copy would do anew, in 4 s."""
    done = project.python(
        TABLES, PREFECT_HOME=str(project.root / "state" / "prefect"), MLFLOW_TRACKING_URI=project.tracking_uri
    )
    assert done.status == 0, done.text
    return project


def first_data(folder: Path) -> Project:
    project = Project(folder)
    return with_tables(bring_small(project, 600, **overhearing(project)))


def first_turn(project: Project) -> Project:
    done = project.make_really("run", **overhearing(project))
    assert done.status == 0, done.text
    return project


def turn(project: Project) -> Project:
    done = project.make("run")
    assert done.status == 0, done.text
    return project


@pytest.fixture
def small(brought: Project, tmp_path: Path) -> Project:
    """A copy of what nothing was built in, for one test."""
    return copied(brought, tmp_path / "project")


@pytest.fixture(scope="session")
def turned(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of what has turned once, shared by this worker's tests: one may add to it and must not break it."""
    return copied(original, tmp_path_factory.mktemp("turned") / "project")


@pytest.fixture
def build_again() -> Callable[[Project, int], None]:
    """Brings more rows of the same kind to a small project and turns its loop again."""

    def again(project: Project, rows: int) -> None:
        turn(bring_small(project, rows))

    return again


@pytest.fixture(scope="module")
def whole(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the turned project that the tests of this module share: each leaves it as it was."""
    project = copied(original, tmp_path_factory.mktemp("whole") / "project")
    assert project.make("predict", "TEXT=a splendid film").status == 0
    return project


@pytest.fixture
def own(original: Project, tmp_path: Path) -> Project:
    """A copy for one test, which may break it."""
    return copied(original, tmp_path / "project")


@pytest.fixture
def toy() -> Iterator[Task]:
    """The toy kind, beside the kinds of ratchet/tasks/ while a test runs."""
    with predict_number() as task:
        yield task
