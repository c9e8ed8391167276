"""Compare a table with the last version of its problem's data.

The last version and the incoming table enter. A `VersionChange` leaves, whose sentence says whether the loop continues
or a new lineage begins; or the table is refused.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from ratchet.data.incoming import incoming_table, must_file
from ratchet.data.incoming.incoming_table import IncomingTable
from ratchet.data.prepare import canonical_columns, row_diff
from ratchet.data.prepare.row_diff import Revision
from ratchet.data.tables import canonical_csv
from ratchet.data.versions import dvc_cache, feedback_table, known_inputs
from ratchet.judging.must_list import Must
from ratchet.problem import data_pin, settings
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.settings import Settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.state import ledger
from ratchet.tasks import Task
from ratchet.tasks.values import Data

MOST_WITHDRAWN = 0.10
"""Share of the last version's rows that may be missing without WITHDRAW; more missing rows are often a wrong file."""


@dataclass(frozen=True)
class LastVersion:
    """The last version of a problem's data.

    Attributes:
        version: the data version.
        columns: the table's own names of its columns; None where it is not of today's kind of problem.
        table: its table.csv; None where the version is in no cache any more, or of another kind.
        split: how its rows are split; None likewise.
        feedback: its feedback.csv (ratchet/data/versions/feedback_table.py).
        must: the lines of its must.csv.
        pinned: whether data.dvc pins it now.
    """

    version: str
    columns: Data | None
    table: Path | None = None
    split: SplitSpec | None = None
    feedback: pl.DataFrame = field(default_factory=pl.DataFrame)
    must: tuple[Must, ...] = ()
    pinned: bool = False


@dataclass(frozen=True)
class WithdrawalLimit:
    """How many rows of the last version a next version may leave out.

    Attributes:
        table: what the person typed as SOURCE.
        command: the command to type again.
        typed: the number that was typed as WITHDRAW; empty for none.
    """

    table: str
    command: str
    typed: str = ""


@dataclass(frozen=True)
class VersionChange:
    """The change from the last version to the next.

    Attributes:
        sentence: what changed and what follows for the loop.
        withdrawn: rows of the last version that the next leaves out.
        gone: the withdrawn texts in compared form.
    """

    sentence: str
    withdrawn: int
    gone: pl.Series


def current_settings(here: Places) -> Settings | None:
    """The settings in params.yaml; None where they cannot be read."""
    try:
        return settings.load(here.params)
    except Refusal:
        return None


def last_version(here: Places, problem: str, task: Task) -> LastVersion | None:
    """The last version of a problem's data; None for a new problem.

    It is the pinned one, or for a problem that params.yaml does not describe any more the last one in the ledger.
    """
    current = current_settings(here)
    changes = ledger.data_changes(here.ledger, problem)
    pinned = current is not None and current.problem == problem and (here.root / "data.dvc").exists()
    if current is not None and pinned:
        version = data_pin.pinned(here).version
        columns = current.data if current.task == task.name else None
    elif changes:
        version = changes[-1].after
        columns = task.columns.of_roles(changes[-1].columns)
    else:
        return None
    folder = take_version(here, version)
    names = next(canonical_csv.read_batches(folder / data_pin.TABLE)).columns if folder else []
    if folder is None or columns is None or not {*columns.inputs, columns.label} <= set(names):
        return LastVersion(version, columns, pinned=pinned)
    spec = SplitSpec.from_json((folder / data_pin.SPLIT).read_text(encoding="utf-8"))
    feedback = feedback_table.read_feedback(folder)
    return LastVersion(version, columns, folder / data_pin.TABLE, spec, feedback, must_file.read_list(folder), pinned)


def take_version(here: Places, version: str) -> Path | None:
    """A scratch folder with the files of a version; None where the cache does not have all of them."""
    scratch = here.work / "earlier"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return scratch if dvc_cache.take(here, version, scratch) else None


def compare(
    before: LastVersion | None, after: IncomingTable, problem: str, limit: WithdrawalLimit | None
) -> VersionChange:
    """The change that the next version makes.

    Args:
        limit: None where any number of rows may be missing.

    Raises:
        Refusal: too many rows of the last version are missing, or not as many as were typed as WITHDRAW.
    """
    rows = after.valid.height
    if before is None:
        return VersionChange(f"The first version of {problem}: {rows:,} rows.", 0, pl.Series(dtype=pl.String))
    if before.table is None or before.columns is None:
        unknown = f"What changed since version {before.version[:8]} is not known: its rows are not here any more."
        return VersionChange(unknown, 0, pl.Series(dtype=pl.String))
    columns, task = before.columns, after.task
    batches = (canonical_columns.answered(rows, columns, task) for rows in canonical_csv.read_batches(before.table))
    seen = after.canonical["text"] if after.reasons.count() else None
    revision = row_diff.compare_tables(batches, after.valid_canonical, seen, task.rows.HAS_CLASSES)
    if limit is not None:
        require_rows(revision, problem, limit)
    changes = f"{capitalise(str(revision))}.{renamed_columns(before.columns, after.columns)}"
    by = before.columns.group
    sentence = f"{changes} {outcome(revision, before.split, by, after, problem)}"
    return VersionChange(sentence, revision.withdrawn, revision.gone)


def renamed_columns(before: Data, after: Data) -> str:
    """A sentence for each column of inputs and labels that has another name now."""
    old, new = before.named(), after.named()
    pairs = [(old[key], new[key]) for key in old if key in new and key != "group"]
    return "".join(f" The column {was!r} is called {now!r} now." for was, now in pairs if was != now)


def outcome(revision: Revision, split: SplitSpec | None, by: str | None, after: IncomingTable, problem: str) -> str:
    """What follows for the loop: it continues, or a new lineage begins.

    Args:
        split: how the last version's rows are split.
        by: the group column of the last version.
    """
    grouped = after.columns.group
    gone = " It may answer a class that is gone until another is promoted." if revision.gone_classes else ""
    if split != incoming_table.split_spec(problem, grouped is not None) or by != grouped:
        key = f"{grouped!r}" if grouped else after.columns.UNIT
        return (
            f"A new lineage: rows are split by {key} now, so the champion may have seen rows of the new holdout and is "
            "not compared; the first model that passes the floor takes its place."
        )
    return f"It continues: no row changes its side of the split, and the champion is held against the next.{gone}"


def require_rows(revision: Revision, problem: str, limit: WithdrawalLimit) -> None:
    """Raise where a next version leaves out rows that the person did not say are withdrawn.

    Raises:
        Refusal: more than MOST_WITHDRAWN are missing, or not as many as were typed as WITHDRAW.
    """
    if limit.typed and limit.typed != str(revision.withdrawn):
        raise Refusal(
            "WITHDRAW says how many rows of the last version the new table leaves out.",
            f"WITHDRAW={limit.typed}, and {revision.withdrawn:,} are missing",
            f"If that is meant: {limit.command} WITHDRAW={revision.withdrawn}",
        )
    if revision.withdrawn_share > MOST_WITHDRAWN and not limit.typed:
        raise Refusal(
            f"A next version of {problem} keeps at least {1 - MOST_WITHDRAWN:.0%} of the last one's rows.",
            f"{revision.withdrawn:,} of its {revision.rows_before:,} rows are not in {limit.table}",
            f"If they are withdrawn for good: {limit.command} WITHDRAW={revision.withdrawn}. If these rows come on "
            f"top: make data ADD={limit.table}. If it is another problem: {limit.command} NAME=another",
        )


def capitalise(sentence: str) -> str:
    """The sentence with its first letter in upper case, the others as they are."""
    return sentence[:1].upper() + sentence[1:]


def require_columns(table: pl.DataFrame, names: list[str], current: Settings) -> None:
    """Raise where a next version lacks a column that the problem relies on.

    Raises:
        Refusal: a column of these names is missing.
    """
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise Refusal(
            f"A next version of {current.problem} needs the columns that params.yaml names.",
            f"none called {', '.join(map(repr, missing))} among {', '.join(table.columns[:30])}",
            "Call it as before, name the new one (TEXT=, LABEL=, GROUP=), or take it out of params.yaml; "
            "NAME=another starts a problem of its own.",
        )


def append_fresh(before: pl.DataFrame, added: IncomingTable) -> tuple[IncomingTable, int]:
    """The pinned rows, followed by those added rows that are not among them.

    Returns:
        The whole table, and how many of the added rows were pinned already. Rows are the same where input (in
        compared form) and label are.
    """
    columns, task = added.columns, added.task
    pinned_keys = row_diff.keyed(canonical_columns.answered(before, columns, task)).unique()
    answered = canonical_columns.answered(added.frame, columns, task)
    keyed = row_diff.keys(answered["text"]).with_columns(answered["label"])
    numbered = keyed.with_row_index("at")
    pinned = numbered.join(pinned_keys, on=[*row_diff.KEY, "label"], how="semi")["at"]
    is_fresh = ~numbered["at"].is_in(pinned.implode())
    lines = pl.int_range(1, before.height + 1, dtype=pl.UInt32, eager=True)
    places = pl.DataFrame({"file": pl.repeat("data/table.csv", before.height, eager=True), "line": lines})
    frame = pl.concat([before, added.frame.filter(is_fresh)], how="diagonal")
    places = pl.concat([places, added.places.filter(is_fresh)])
    return replace(added, frame=frame, places=places), len(pinned)


def versions_holding(here: Places, problem: str, texts: pl.Series, kept: str) -> list[str]:
    """The data versions of a problem, without the version `kept`, that hold any of the inputs (in compared form)."""
    if texts.is_empty():
        return []
    changes = ledger.data_changes(here.ledger, problem)
    versions = {change.after for change in changes} | {change.before for change in changes if change.before}
    versions |= {data_pin.pinned(here).version} if (here.root / "data.dvc").exists() else set()
    readers = known_inputs.readers(here, problem)
    holding = []
    for version in sorted(versions - {kept}):
        folder = take_version(here, version)
        names = (data_pin.TABLE, data_pin.FEEDBACK, data_pin.MUST)
        tables = [folder / name for name in names] if folder is not None else []
        batches = (rows for path in tables if path.exists() for rows in canonical_csv.read_batches(path))
        if any(row_diff.holds([*rows.iter_columns(), *known_inputs.inputs(rows, readers)], texts) for rows in batches):
            holding.append(version)
    shutil.rmtree(here.work / "earlier", ignore_errors=True)
    return holding
