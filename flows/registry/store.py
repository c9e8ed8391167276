"""MLflow's own store and its ways: its tables made whole, its log kept quiet, its errors told apart."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ratchet.state import sqlite_file

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException


def load() -> None:
    """Load MLflow now, for whoever has something else to wait for meanwhile."""
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["mlflow"])  # it reads, once, which package each module is of


def deleted_too() -> int:
    """The kind of search that finds what somebody deleted in the UI as well."""
    from mlflow.entities import ViewType

    return int(ViewType.ALL)


def quieten() -> None:
    """Call after importing MLflow, which sets its own level. What it logs as an error, it raises as well."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def make_store(path: Path) -> None:
    """MLflow's tables, where there are none yet; whole or not at all."""
    sqlite_file.make_whole(path, lay_out)


def lay_out(path: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine_with_retry

    quieten()
    engine = create_sqlalchemy_engine_with_retry(f"sqlite:///{path}")
    _initialize_tables(engine)
    engine.dispose()


def raise_unless_absent(error: MlflowException) -> None:
    """Pass on what MLflow raised, unless it says that something is not there: a locked database is not an empty one."""
    if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        raise error
