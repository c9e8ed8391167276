"""What tests share: state of Hypothesis outside the repository, and projects that have turned the loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from ratchet.places import places, tool_defaults
from tests.project import SMALL, Project, copied, small_table

for name, value in tool_defaults(places()).items():
    os.environ.setdefault(name, value)
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(places().state / "hypothesis"))
settings.register_profile("steady", deadline=None, derandomize=True, database=None)
settings.load_profile("steady")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project: the tracked files, no data, no state."""
    return Project(tmp_path / "project")


@pytest.fixture
def small(project: Project) -> Project:
    """A fresh project whose problem is a small table of made-up reviews, two quick candidates, and nothing built."""
    return bring_small(project)


@pytest.fixture(scope="session")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project whose loop has turned once; shared, so a test may add to it and must not break it."""
    project = bring_small(Project(tmp_path_factory.mktemp("turned") / "project"))
    done = project.make("run")
    assert done.status == 0, done.text
    return project


def bring_small(project: Project, rows: int = 600) -> Project:
    project.write("reviews.csv", small_table(rows))
    done = project.make("data", "SOURCE=reviews.csv", "TEXT=text", "LABEL=label")
    assert done.status == 0, done.text
    project.write("params.yaml", SMALL)
    return project


@pytest.fixture
def build_again() -> Callable[[Project, int], None]:
    """Brings more rows of the same kind to a small project and turns its loop again."""

    def turn(project: Project, rows: int) -> None:
        bring_small(project, rows)
        done = project.make("run")
        assert done.status == 0, done.text

    return turn


@pytest.fixture(scope="module")
def whole(turned: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the turned project that the tests of this module share: each leaves it as it was."""
    project = copied(turned, tmp_path_factory.mktemp("whole") / "project")
    assert project.make("predict", "TEXT=a splendid film").status == 0
    return project


@pytest.fixture
def own(turned: Project, tmp_path: Path) -> Project:
    """A copy for one test, which may break it."""
    return copied(turned, tmp_path / "project")
