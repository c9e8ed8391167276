"""A registry that began in state/ goes on in PostgreSQL, its models in a bucket: all runs and versions as they were.

    MLFLOW_TRACKING_URI=postgresql://... MLFLOW_DEFAULT_ARTIFACT_ROOT=s3://... make move

Files go first, then all rows in one transaction: cut off anywhere, the new registry is empty and the same command goes
on. What is in state/ stays, untouched.
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
"""Copied at a time."""
NUMBERED = "alembic_version"
BEGUN_WITH = frozenset({"Default"})
"""The experiments of a registry that nobody has used."""


def move(here: Places, say: Say) -> None:
    """Copy the registry in state/ to the one that MLFLOW_TRACKING_URI names, its artifacts to where new ones go.

    Raises:
        Refusal: there is nothing to move, the other is no PostgreSQL, is in use, or of another version of MLflow.
    """
    file, target = here.state / "mlflow.db", os.environ["MLFLOW_TRACKING_URI"]
    refuse_unmovable(file, target)
    with recovery.alone(here, "make move", say):
        refuse_used(here, target)
        root = artifact_root(here)
        if s3.is_bucket(root):
            send(here.state / "artifacts", root, say)
        rows = copy(file, target, relocated(here, root))
    say(f"Moved to {without_password(target)}: {rows:,} rows.")
    say(f"What was moved is still in {here.state} as well (mlflow.db, artifacts/): remove it once you are sure.")
    say("Runs in Prefect begin anew where they are from now on. See what is live: make status")


def send(folder: Path, root: str, say: Say) -> None:
    """Put every artifact into the bucket."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    s3.of_mlflow(root).fill(folder, files, Progress(say, f"Moving to {root}", total, "bytes"))
    say(f"Moved to {root}: {len(files):,} files, {total / 1e6:,.1f} MB.")


def refuse_unmovable(file: Path, target: str) -> None:
    """Raise unless there is a registry to move, and PostgreSQL to move it to."""
    named = target.partition("://")[0].partition("+")[0]
    if named != "postgresql":
        raise Refusal(
            "MLFLOW_TRACKING_URI names the PostgreSQL database that the registry goes to.",
            without_password(target),
            "MLFLOW_TRACKING_URI=postgresql://user:password@host:5432/name make move",
        )
    if not file.exists():
        raise Refusal("A registry to be moved is in state/.", f"no {file}", "Nothing to do: begin with make run")


def refuse_used(here: Places, target: str) -> None:
    """Raise unless the new registry is empty; MLflow makes its tables where they are not there."""
    from flows.registry.registry import Registry
    from flows.registry.store import deleted_too

    client = Registry("", here).client
    experiments = client.search_experiments(view_type=deleted_too())
    runs = client.search_runs([each.experiment_id for each in experiments], run_view_type=deleted_too(), max_results=1)
    used = {each.name for each in experiments} - BEGUN_WITH
    used |= {each.name for each in client.search_registered_models()}
    used = used or {f"a run, {run.info.run_name}" for run in runs}
    if used:
        raise Refusal(
            "A registry is moved to an empty database.",
            f"{without_password(target)} has {', '.join(sorted(used)[:5])}",
            "Make another one (createdb NAME), and name that.",
        )


def relocated(here: Places, root: str) -> Callable[[Any], Any]:
    """What a value becomes: a text that begins with the old place of artifacts begins with the new one."""
    old = here.state / "artifacts"
    before = (f"{old.as_uri()}/", f"file://{old}/", f"{old}/")

    def change(value: Any) -> Any:
        for place in before if isinstance(value, str) else ():
            if value.startswith(place):
                return f"{root.rstrip('/')}/{value.removeprefix(place)}"
        return value

    return change


def copy(file: Path, target: str, change: Callable[[Any], Any]) -> int:
    """Every row of one registry into another, in one transaction; how many.

    Raises:
        Refusal: their tables are of different versions.
    """
    import sqlalchemy

    source, sink = sqlalchemy.create_engine(f"sqlite:///{file}"), sqlalchemy.create_engine(target)
    try:
        with source.connect() as old, sink.begin() as new:
            ours, theirs = sqlalchemy.MetaData(), sqlalchemy.MetaData()
            ours.reflect(old)
            theirs.reflect(new)
            refuse_other_version(old, new, ours, theirs)
            for table in reversed(theirs.sorted_tables):
                if table.name != NUMBERED:
                    new.execute(table.delete())
            return sum(copy_table(old, new, ours.tables[each.name], each, change) for each in theirs.sorted_tables)
    finally:
        source.dispose()
        sink.dispose()


def refuse_other_version(old: Connection, new: Connection, ours: MetaData, theirs: MetaData) -> None:
    """Raise unless both registries are of the same revision."""
    here = old.execute(ours.tables[NUMBERED].select()).scalar()
    there = new.execute(theirs.tables[NUMBERED].select()).scalar()
    if here != there:
        raise Refusal(
            "Both registries must be of the same version of MLflow.",
            f"{here} in state/, {there} in PostgreSQL",
            "Leave the variables out once (make status), which brings the one in state/ up to date; then move it.",
        )


def copy_table(old: Connection, new: Connection, ours: Table, theirs: Table, change: Callable[[Any], Any]) -> int:
    """The rows of one table; its counter, where it has one, goes on after the highest."""
    from sqlalchemy import func, select

    if theirs.name == NUMBERED:
        return 0
    count = 0
    for rows in old.execute(ours.select()).mappings().partitions(ROWS):
        new.execute(theirs.insert(), [{name: change(value) for name, value in row.items()} for row in rows])
        count += len(rows)
    for column in theirs.primary_key:
        counter = func.pg_get_serial_sequence(theirs.name, column.name)
        if count and column.type.python_type is int and new.execute(select(counter)).scalar():
            new.execute(select(func.setval(counter, select(func.max(column)).scalar_subquery())))
    return count
