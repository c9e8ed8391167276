"""Checks before a verb: state/ is writable, each database is whole, the servers answer.

They find a fault within seconds, and not after a training.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ratchet.maintenance import migrations
from ratchet.project.errors import Refusal
from ratchet.project.paths import PLAN, Places
from ratchet.servers.remote import reachable
from ratchet.state import lock

STAGES = frozenset({"run", "build", "evaluate", "deploy", "optimise", "approve"})
WITH_PREFECT = STAGES | {"ui", "up", "prune"}
WITH_ARTIFACTS = STAGES | {"predict", "prune", "move"}
WITH_LOG = frozenset({"run", "optimise", "predict", "serve", "up", "trace", "status"})
WITH_REGISTRY = WITH_PREFECT | {"predict", "serve", "rollback", "status", "lineage", "trace", "prune", "move"}


def check(here: Places, verb: str, say: Callable[[str], None]) -> None:
    """Return if the verb can begin; finishes a restore that was cut off and upgrades old databases first.

    Raises:
        Refusal: a check failed.
    """
    refuse_unwritable(here)
    if (here.state / PLAN).exists() and verb != "restore":
        from ratchet.maintenance import backup

        with lock.one_at_a_time(here.state, "make restore", lambda died: None):
            say(f"Finished a restore that was cut off. What was there before is in {backup.finish(here)}.")
    if verb in WITH_REGISTRY:
        migrations.make_ready(here, say, runs=verb in WITH_PREFECT, thorough=verb in STAGES)
        reachable.registry()
    if verb in WITH_LOG:
        reachable.log()
    if verb in WITH_ARTIFACTS:
        reachable.artifacts(here)
    if verb in STAGES:
        reachable.prefect()
    elif verb in ("ui", "up"):
        reachable.prefect_store()


def refuse_unwritable(here: Places) -> None:
    """Raise unless the state, and the files in it that a run writes first, are writable.

    Raises:
        Refusal: one has another owner or is mounted read-only.
    """
    names = ("", "logs", "work", "artifacts", "cache", "dvc", "mlflow.db", "prefect", "predictions.db", "ledger.jsonl")
    for path in (here.state / name for name in names):
        if path.exists() and not os.access(path, os.W_OK):
            is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
            raise Refusal(
                "Ratchet must be able to write its state.",
                f"{path}: " + ("a read-only file system" if is_read_only else f"no permission for user {os.geteuid()}"),
                "Mount it for writing or give the rights back, or name another place: RATCHET_STATE=/path make ...",
            )
