"""Moves a registry from state/ to PostgreSQL, and its artifacts to a bucket; all runs and versions stay as they were.

    MLFLOW_TRACKING_URI=postgresql://... MLFLOW_DEFAULT_ARTIFACT_ROOT=s3://... make move

Files go first, then all rows in one transaction: after a kill the new registry is empty, and the same command resumes.
The registry in state/ stays untouched.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.runs import recovery
from ratchet.project.errors import Refusal
from ratchet.project.faults import without_password
from ratchet.project.paths import Places, artifact_root
from ratchet.project.progress import Progress, Say
from ratchet.servers.remote import s3

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData, Table

ROWS = 5000
"""Rows copied at a time."""
REVISION_TABLE = "alembic_version"
INITIAL_EXPERIMENTS = frozenset({"Default"})
"""The experiments of an unused registry."""


def move(here: Places, say: Say) -> None:
    """Copy the registry in state/ to the one in MLFLOW_TRACKING_URI, and its artifacts to the place of new ones.

    Raises:
        Refusal: there is nothing to move, or the target is no PostgreSQL, is in use, or has another version of MLflow.
    """
    file = here.state / "mlflow.db"
    target = os.environ["MLFLOW_TRACKING_URI"]
    refuse_unmovable(file, target)
    with recovery.alone(here, "make move", say):
        refuse_used(here, target)
        root = artifact_root(here)
        if s3.is_bucket(root):
            upload(here.state / "artifacts", root, say)
        rows = copy(file, target, relocation(here, root))
    say(f"Moved to {without_password(target)}: {rows:,} rows.")
    say(f"What was moved is still in {here.state} as well (mlflow.db, artifacts/): remove it once you are sure.")
    say("Runs in Prefect begin anew where they are from now on. See what is live: make status")


def upload(folder: Path, root: str, say: Say) -> None:
    """Copy every artifact into the bucket."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    s3.of_mlflow(root).fill(folder, files, Progress(say, f"Moving to {root}", total, "bytes"))
    say(f"Moved to {root}: {len(files):,} files, {total / 1e6:,.1f} MB.")


def refuse_unmovable(file: Path, target: str) -> None:
    """Raise unless there is a registry to move, and the target is PostgreSQL."""
    dialect = target.partition("://")[0].partition("+")[0]
    if dialect != "postgresql":
        raise Refusal(
            "MLFLOW_TRACKING_URI names the PostgreSQL database that the registry goes to.",
            without_password(target),
            "MLFLOW_TRACKING_URI=postgresql://user:password@host:5432/name make move",
        )
    if not file.exists():
        raise Refusal("A registry to be moved is in state/.", f"no {file}", "Nothing to do: begin with make run")


def refuse_used(here: Places, target: str) -> None:
    """Raise unless the new registry is empty; MLflow creates missing tables on the way."""
    from flows.registry.registry import Registry
    from flows.registry.store import deleted_too

    client = Registry("", here).client
    experiments = client.search_experiments(view_type=deleted_too())
    ids = [experiment.experiment_id for experiment in experiments]
    runs = client.search_runs(ids, run_view_type=deleted_too(), max_results=1)
    used = {experiment.name for experiment in experiments} - INITIAL_EXPERIMENTS
    used |= {model.name for model in client.search_registered_models()}
    used = used or {f"a run, {run.info.run_name}" for run in runs}
    if used:
        raise Refusal(
            "A registry is moved to an empty database.",
            f"{without_password(target)} has {', '.join(sorted(used)[:5])}",
            "Make another one (createdb NAME), and name that.",
        )


def relocation(here: Places, root: str) -> Callable[[Any], Any]:
    """A function of values: in a text that begins with the old place of artifacts, it puts the new place."""
    old = here.state / "artifacts"
    old_prefixes = (f"{old.as_uri()}/", f"file://{old}/", f"{old}/")

    def change(value: Any) -> Any:
        for prefix in old_prefixes if isinstance(value, str) else ():
            if value.startswith(prefix):
                return f"{root.rstrip('/')}/{value.removeprefix(prefix)}"
        return value

    return change


def copy(file: Path, target: str, change: Callable[[Any], Any]) -> int:
    """Copy every row of one registry into another, in one transaction; the number of rows.

    Args:
        file: the SQLite file of the old registry.
        target: the URI of the new registry.
        change: applied to each value.

    Raises:
        Refusal: the registries have different revisions.
    """
    import sqlalchemy

    source = sqlalchemy.create_engine(f"sqlite:///{file}")
    sink = sqlalchemy.create_engine(target)
    try:
        with source.connect() as old, sink.begin() as new:
            old_schema = sqlalchemy.MetaData()
            new_schema = sqlalchemy.MetaData()
            old_schema.reflect(old)
            new_schema.reflect(new)
            refuse_other_version(old, new, old_schema, new_schema)
            for table in reversed(new_schema.sorted_tables):
                if table.name != REVISION_TABLE:
                    new.execute(table.delete())
            tables = new_schema.sorted_tables
            return sum(copy_table(old, new, old_schema.tables[table.name], table, change) for table in tables)
    finally:
        source.dispose()
        sink.dispose()


def refuse_other_version(old: Connection, new: Connection, old_schema: MetaData, new_schema: MetaData) -> None:
    """Raise unless both registries have the same revision."""
    old_revision = old.execute(old_schema.tables[REVISION_TABLE].select()).scalar()
    new_revision = new.execute(new_schema.tables[REVISION_TABLE].select()).scalar()
    if old_revision != new_revision:
        raise Refusal(
            "Both registries must be of the same version of MLflow.",
            f"{old_revision} in state/, {new_revision} in PostgreSQL",
            "Leave the variables out once (make status), which brings the one in state/ up to date; then move it.",
        )


def copy_table(old: Connection, new: Connection, source: Table, target: Table, change: Callable[[Any], Any]) -> int:
    """Copy the rows of one table, and set its sequence, if it has one, to the highest number; the number of rows."""
    from sqlalchemy import func, select

    if target.name == REVISION_TABLE:
        return 0
    count = 0
    for rows in old.execute(source.select()).mappings().partitions(ROWS):
        new.execute(target.insert(), [{name: change(value) for name, value in row.items()} for row in rows])
        count += len(rows)
    for column in target.primary_key:
        counter = func.pg_get_serial_sequence(target.name, column.name)
        if count and column.type.python_type is int and new.execute(select(counter)).scalar():
            new.execute(select(func.setval(counter, select(func.max(column)).scalar_subquery())))
    return count
