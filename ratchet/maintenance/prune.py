"""Pruning: shows the files and runs that nothing needs any more, and removes them if that is confirmed.

These stay, whatever their age: each version that has an alias or that was ever live by the ledger, with its run, its
model, its build and its training data version; the pinned data; the ledger, the log of predictions, the quarantine and
the backups. The rest goes if it is older than DAYS: MLflow runs and versions with their artifacts, prepared rows in the
cache, data versions in DVC's cache, and runs in Prefect.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from flows.runs import recovery
from ratchet.data.prepare import rows
from ratchet.data.versions import dvc_cache
from ratchet.problem import data_pin, problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, prefect_database
from ratchet.project.progress import Say
from ratchet.serving.answering import lineup
from ratchet.state import ledger
from ratchet.state.retention import Choice, bytes_of, choose, is_old, remove

DAYS = 30
LOG_BYTES = 10 * 2**20
"""A larger log is cut to its last tenth."""


def prune(here: Places, days: str, confirm: str, say: Say) -> None:
    """Show what can be removed, or remove it.

    Args:
        days: age, as DAYS=...; empty for 30.
        confirm: `yes` to remove, empty to show.

    Raises:
        Refusal: DAYS is no number of days, CONFIRM is another word, or a loop turns.
    """
    age = days_of(days)
    if confirm not in ("", "yes"):
        raise Refusal("CONFIRM=yes removes what `make prune` shows.", f"CONFIRM={confirm}", "Look first: make prune")
    with recovery.alone(here, "make prune", say):
        from flows.published import vacuum
        from flows.registry.maintenance import RegistryMaintenance

        cutoff = time.time() - age * 86400
        upkeep = RegistryMaintenance(here)
        choice = choose(upkeep.versions(), upkeep.runs(), ledger.read(here.ledger), cutoff)
        files = {
            "rows prepared for a build, in the cache": old_caches(here, cutoff),
            "data versions that nothing kept was made from, in DVC's cache": old_objects(
                here, choice.data | latest(here), cutoff, say
            ),
            "artifacts that no run or version in MLflow owns": upkeep.unowned(choice, cutoff),
            "bundles of versions that do not answer": idle_bundles(here, cutoff),
            "logs over 10 MB, but for their end": long_logs(here),
        }
        flow_runs = vacuum.count(here, cutoff)
        show(age, choice, upkeep.size(choice), files, flow_runs, say)
        if confirm != "yes":
            say("Nothing was removed. To remove it: make prune CONFIRM=yes" + (f" DAYS={days}" if days else ""))
            return
        upkeep.remove(choice)
        for path in (path for paths in files.values() for path in paths):
            remove(path)
        if flow_runs:
            vacuum.remove(here, cutoff)
        say("Removed. What was ever live stays: make history")


def latest(here: Places) -> set[str]:
    """The last data version of each problem, with which its next one is compared."""
    return set({change.problem: change.after for change in ledger.data_changes(here.ledger)}.values())


def days_of(typed: str) -> float:
    try:
        days = float(typed or DAYS)
    except ValueError:
        days = -1.0
    if not 0 <= days <= 36500:
        raise Refusal(
            "DAYS must be a number of days, 0 or more.", typed, f"Leave it out for {DAYS}: make prune DAYS={DAYS}"
        )
    return days


def show(
    age: float, choice: Choice, owned: int, files: dict[str, list[Path]], flow_runs: tuple[int, int] | None, say: Say
) -> None:
    """Print what can be removed, with the bytes of each kind."""
    say(f"Older than {age:g} days, and needed by no version that is or was ever live:")
    say(f"  {size_of(owned)}  {len(choice.runs):,} runs in MLflow, and {len(choice.versions):,} versions never live")
    for words, paths in files.items():
        say(f"  {size_of(sum(map(bytes_of, paths)))}  {len(paths):,} {words}")
    removable, kept = flow_runs or (0, 0)
    say(f"{' ' * 13}  {removable:,} of {removable + kept:,} runs in Prefect, with their logs and artifacts")
    if os.environ.get("PREFECT_API_URL") or prefect_database()[1]:
        say("Runs in a Prefect server or database of its own stay; Prefect removes those over 90 days itself:")
        say("PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs")


def size_of(size: int) -> str:
    return f"{size / 1e6:>10,.1f} MB"


def old_caches(here: Places, cutoff: float) -> list[Path]:
    """Prepared rows of other data, columns or code than the present ones."""
    try:
        current: Path | None = rows.cache_path(problem.load())
    except Refusal:
        current = None
    return [path for path in sorted((here.state / "cache").glob("*")) if path != current and is_old(path, cutoff)]


def old_objects(here: Places, needed: Iterable[str], cutoff: float, say: Say) -> list[Path]:
    """DVC's objects of data versions that are neither pinned nor needed by anything that stays.

    If the listing of a needed version is damaged, any object may belong to it: none is chosen, and the reason printed.

    Args:
        needed: data versions that stay besides the pinned one.

    Raises:
        Refusal: data.dvc is damaged, so the needed versions are unknown.
    """
    needed = {*needed, data_pin.pinned(here).version}
    damaged = dvc_cache.damaged_listings(here, needed)
    if damaged:
        say(
            f"No data version is removed: {damaged[0]} is damaged, so nobody can say which files belong to it. "
            "Bring it back from a backup or the DVC remote (make data does so for the pinned version)."
        )
        return []
    return [path for path in dvc_cache.unneeded_objects(here, needed) if is_old(path, cutoff)]


def idle_bundles(here: Places, cutoff: float) -> list[Path]:
    """Packed models that the service does not use; one that is needed again is packed again."""
    current = lineup.read_last(here.lineup)
    used = {place.digest for place in (current.champion, current.challenger) if place}
    return [path for path in sorted(here.bundles.glob("*/")) if path.name not in used and is_old(path, cutoff)]


def long_logs(here: Places) -> list[Path]:
    return [path for path in sorted(here.logs.glob("*.log")) if path.stat().st_size > LOG_BYTES]
