"""What a next version of a problem's data means: the loop continues, a new lineage begins, or it is refused."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from ratchet.data.incoming import incoming_table, must_file
from ratchet.data.incoming.incoming_table import IncomingTable
from ratchet.data.prepare import row_diff
from ratchet.data.prepare.row_diff import Revision
from ratchet.data.tables import canonical_csv
from ratchet.data.versions import dvc_cache, feedback_table
from ratchet.judging.must_list import Must
from ratchet.project import data_pin, settings
from ratchet.project.data_pin import SplitSpec
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.settings import Settings
from ratchet.state import ledger

MOST_WITHDRAWN = 0.10
"""Share of the last version's rows that may be missing without a word: more is a wrong file as often as a wish."""


@dataclass(frozen=True)
class LastVersion:
    """The version that the problem's data had last.

    names: the table's own names for text, label and group. frame: columns `text` and `label`; frame and split are None
    where the version cannot be had any more. feedback: what it holds of people's labels
    (ratchet/monitoring/feedback.py). must: the lines of its must.csv. pinned: whether data.dvc pins it now.
    """

    version: str
    names: dict[str, str | None]
    frame: pl.DataFrame | None = None
    split: SplitSpec | None = None
    feedback: pl.DataFrame = field(default_factory=pl.DataFrame)
    must: tuple[Must, ...] = ()
    pinned: bool = False


@dataclass(frozen=True)
class WithdrawalLimit:
    """What may be missing from a next version. typed: how many rows somebody said are withdrawn."""

    table: str
    command: str
    typed: str = ""


@dataclass(frozen=True)
class VersionChange:
    """From the last version to the next. sentence: what changed and what follows. gone: texts in compared form."""

    sentence: str
    withdrawn: int
    gone: pl.Series


def described(here: Places) -> Settings | None:
    """The problem that params.yaml describes today, where it can be read."""
    try:
        return settings.load(here.params)
    except Refusal:
        return None


def last(here: Places, problem: str) -> LastVersion | None:
    """The last version of a problem's data, whether it is pinned or was before another problem's; None without one."""
    today = described(here)
    lines = ledger.changes(here.ledger, problem)
    pinned = today is not None and today.problem == problem and (here.root / "data.dvc").exists()
    if today is not None and pinned:
        version, data = data_pin.pinned(here).version, today.data
        names: dict[str, str | None] = {"text": data.text, "label": data.label, "group": data.group}
    elif lines:
        version, names = lines[-1].after, lines[-1].columns
    else:
        return None
    folder = laid_out(here, version)
    rows = canonical_csv.read(folder / data_pin.TABLE) if folder else pl.DataFrame()
    if folder is None or not {names["text"], names["label"]} <= set(rows.columns):
        return LastVersion(version, names, pinned=pinned)
    spec = SplitSpec.from_json((folder / data_pin.SPLIT).read_text(encoding="utf-8"))
    said = feedback_table.kept(folder)
    frame = rows.select(text=names["text"], label=names["label"])
    return LastVersion(version, names, frame, spec, said, must_file.kept(folder), pinned)


def laid_out(here: Places, version: str) -> Path | None:
    """A folder with the files of a version: scratch, filled from the cache; None where the cache does not have it."""
    scratch = here.work / "earlier"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return scratch if dvc_cache.take(here, version, scratch) else None


def step(
    before: LastVersion | None, after: IncomingTable, problem: str, limit: WithdrawalLimit | None
) -> VersionChange:
    """What a next version changes.

    Raises:
        Refusal: more of the last version is missing than may be by oversight, and nobody said that it is withdrawn.
    """
    rows = after.valid.height
    if before is None:
        return VersionChange(f"The first version of {problem}: {rows:,} rows.", 0, pl.Series(dtype=pl.String))
    if before.frame is None:
        unknown = f"What changed since version {before.version[:8]} is not known: its rows are not here any more."
        return VersionChange(unknown, 0, pl.Series(dtype=pl.String))
    found = row_diff.revise(before.frame, after.valid_canonical, after.canonical["text"])
    if limit is not None:
        require_most(found, before, problem, limit)
    sentence = f"{capital(str(found))}.{renamed(before, after)} {outcome(found, before, after, problem)}"
    return VersionChange(sentence, found.withdrawn, found.gone)


def renamed(before: LastVersion, after: IncomingTable) -> str:
    """Which columns are called otherwise now."""
    pairs = [(before.names["text"], after.columns.text), (before.names["label"], after.columns.label)]
    return "".join(f" The column {old!r} is called {new!r} now." for old, new in pairs if old != new)


def outcome(found: Revision, before: LastVersion, after: IncomingTable, problem: str) -> str:
    """What follows for the loop, in a sentence or two."""
    grouped = after.columns.group
    gone = " It may answer a class that is gone until another is promoted." if found.gone_classes else ""
    if before.split != incoming_table.split(problem, grouped is not None) or before.names["group"] != grouped:
        by = f"{grouped!r}" if grouped else "text"
        return (
            f"A new lineage: rows are split by {by} now, so the champion may have seen rows of the new holdout and is "
            "not compared; the first model that passes the floor takes its place."
        )
    return f"It continues: no row changes its side of the split, and the champion is held against the next.{gone}"


def require_most(found: Revision, before: LastVersion, problem: str, limit: WithdrawalLimit) -> None:
    if limit.typed and limit.typed != str(found.withdrawn):
        raise Refusal(
            "WITHDRAW says how many rows of the last version the new table leaves out.",
            f"WITHDRAW={limit.typed}, and {found.withdrawn:,} are missing",
            f"If that is meant: {limit.command} WITHDRAW={found.withdrawn}",
        )
    if found.withdrawn_share > MOST_WITHDRAWN and not limit.typed:
        raise Refusal(
            f"A next version of {problem} keeps at least {1 - MOST_WITHDRAWN:.0%} of the last one's rows.",
            f"{found.withdrawn:,} of its {found.rows_before:,} rows are not in {limit.table}",
            f"If they are withdrawn for good: {limit.command} WITHDRAW={found.withdrawn}. If these rows come on top: "
            f"make data ADD={limit.table}. If it is another problem: {limit.command} NAME=another",
        )


def capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def require_columns(found: pl.DataFrame, names: list[str], known: Settings) -> None:
    """Raise where a next version lacks a column that the problem relies on.

    Raises:
        Refusal: it does.
    """
    missing = [name for name in names if name not in found.columns]
    if missing:
        raise Refusal(
            f"A next version of {known.problem} needs the columns that params.yaml names.",
            f"none called {', '.join(map(repr, missing))} among {', '.join(found.columns[:30])}",
            "Call it as before, name the new one (TEXT=, LABEL=, GROUP=), or take it out of params.yaml; "
            "NAME=another starts a problem of its own.",
        )


def fresh_rows(before: pl.DataFrame, more: IncomingTable) -> tuple[IncomingTable, int]:
    """The pinned rows with those behind them that they do not hold yet, and how many they held."""
    text, label = more.columns.text, more.columns.label
    seen = row_diff.keyed(before.select(text=text, label=label)).unique()
    keyed = more.frame.select(text=text, label=label).with_columns(row_diff.key(more.frame[text]))
    numbered = keyed.with_row_index("at")
    there = numbered.join(seen, on=["key", "label"], how="semi")["at"]
    kept = ~numbered["at"].is_in(there.implode())
    rows = pl.int_range(1, before.height + 1, dtype=pl.UInt32, eager=True)
    places = pl.DataFrame({"file": pl.repeat("data/table.csv", before.height, eager=True), "line": rows})
    whole = pl.concat([before, more.frame.filter(kept)], how="diagonal")
    return replace(more, frame=whole, places=pl.concat([places, more.places.filter(kept)])), len(there)


def holding(here: Places, problem: str, kept: str, gone: pl.Series) -> list[str]:
    """The older versions of a problem's data that hold any of the texts that are gone."""
    if gone.is_empty():
        return []
    lines = ledger.changes(here.ledger, problem)
    known = {line.after for line in lines} | {line.before for line in lines if line.before}
    known |= {data_pin.pinned(here).version} if (here.root / "data.dvc").exists() else set()
    found = []
    for version in sorted(known - {kept}):
        folder = laid_out(here, version)
        names = (data_pin.TABLE, data_pin.FEEDBACK, data_pin.MUST)
        tables = [folder / name for name in names] if folder is not None else []
        if any(path.exists() and row_diff.holds(canonical_csv.read(path), gone) for path in tables):
            found.append(version)
    shutil.rmtree(here.work / "earlier", ignore_errors=True)
    return found
