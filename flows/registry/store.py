"""MLflow's store: its tables created whole, its logging silenced, its errors told apart."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import url2pathname

from ratchet.project import durable
from ratchet.project.paths import Places
from ratchet.state import sqlite_file

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException


def load() -> None:
    """Import MLflow now, in a process that has time for it before its work begins."""
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["mlflow"])  # reads, once, which package each module belongs to


def deleted_too() -> int:
    """Return the view type of a search that includes what somebody deleted in the UI."""
    from mlflow.entities import ViewType

    return int(ViewType.ALL)


def quieten() -> None:
    """Silence MLflow's logging; what it logs as an error, it raises as well.

    Call it after importing MLflow, which sets its own level.
    """
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def make_store(path: Path) -> None:
    """Create MLflow's tables where there are none yet, whole or not at all."""
    sqlite_file.make_whole(path, create_tables)


def create_tables(path: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine_with_retry

    quieten()
    engine = create_sqlalchemy_engine_with_retry(f"sqlite:///{path}")
    _initialize_tables(engine)
    engine.dispose()


def raise_unless_absent(error: MlflowException) -> None:
    """Raise MLflow's error unless it says that something does not exist: a locked database is not an empty one."""
    if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        raise error


def keep_on_disk(here: Places, location: str) -> None:
    """Flush a model's files to the disk before a version is made of it, where they are files below the state."""
    folder = Path(url2pathname(location.removeprefix("file://")))
    if folder.is_relative_to(here.state) and folder.is_dir():
        durable.sync(folder, within=here.state)
