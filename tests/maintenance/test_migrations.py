"""Databases of other versions: older ones are upgraded with a copy kept, newer ones are refused and left untouched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ratchet.maintenance import migrations
from ratchet.monitoring.log import database as predictions
from tests.support.project import Project, copied, refused

STEP_BACK = """
import os, sqlalchemy
from ratchet.project.paths import places, settle
settle(places())
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
url = os.environ["MLFLOW_TRACKING_URI"]
config = _get_alembic_config(url)
with sqlalchemy.create_engine(url).begin() as connection:
    config.attributes["connection"] = connection
    command.downgrade(config, "-1")
import subprocess, sys
subprocess.run([sys.executable, "-m", "prefect", "server", "database", "downgrade", "-y", "-r=-1"], check=True)
"""


def revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("select version_num from alembic_version").fetchone()[0])


def test_older_databases_are_upgraded_with_a_copy_kept(whole: Project, tmp_path: Path) -> None:
    project = copied(whole, tmp_path / "project")
    state = project.root / "state"
    newest = {name: revision(state / name) for name in ("mlflow.db", "prefect/prefect.db")}
    assert project.python(STEP_BACK).status == 0
    with closing(sqlite3.connect(state / "predictions.db")) as connection:
        connection.execute("pragma user_version = 0")
    older = {name: revision(state / name) for name in newest}
    assert not set(older.values()) & set(newest.values())
    done = project.make("prune")
    assert done.status == 0, done.text
    for tool in ("mlflow's database", "prefect's database", "The log of predictions"):
        assert f"{tool} is of an older version" in done.text
    assert {name: revision(state / name) for name in newest} == newest
    copies = {path.name.split("-")[0]: path for path in (state / "backups").glob("*.db")}
    assert revision(copies["mlflow"]) == older["mlflow.db"]
    assert revision(copies["prefect"]) == older["prefect/prefect.db"]
    assert migrations.user_version(copies["predictions"]) == 0
    assert migrations.user_version(state / "predictions.db") == predictions.VERSION
    again = project.make("status")
    assert "older version" not in again.text
    assert "live       version 1 (linear)" in again.text


def test_a_log_of_predictions_from_the_future_is_refused(whole: Project, tmp_path: Path) -> None:
    project = copied(whole, tmp_path / "project")
    path = project.root / "state" / "predictions.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma user_version = 99")
    refused(project.make("predict", "TEXT=x"), "version 99", f"of version {predictions.VERSION} or older")
    assert migrations.user_version(path) == 99


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(whole: Project, tmp_path: Path) -> None:
    """The first step of the upgrade creates a table that exists already."""
    project = copied(whole, tmp_path / "project")
    path = project.root / "state" / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        first = "451aebb31d03"  # MLflow's first revision: every later step adds something that exists already
        connection.execute("update alembic_version set version_num = ?", (first,))
        before = connection.execute("select count(*) from runs").fetchone()
    refused(project.make("status"), "mlflow.db must upgrade", "It is as it was")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == before
    assert revision(path) == first


def test_the_newest_revision_is_that_of_a_database_the_tools_made(whole: Project) -> None:
    for name, package, folder in (
        ("mlflow.db", "mlflow", "store/db_migrations/versions"),
        ("prefect/prefect.db", "prefect", "server/database/_migrations/versions/sqlite"),
    ):
        database = migrations.Database(package, whole.root / "state" / name, package, folder, ())
        assert migrations.newest(database) == revision(whole.root / "state" / name)
        assert len(migrations.revisions(database)) > 50
