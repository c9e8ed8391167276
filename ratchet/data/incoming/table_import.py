"""The commands behind `make data`: fetch the pinned version, import an example or a table, or add rows.

A table enters; it is validated, and becomes the next data version with its problem in params.yaml. A refused table
changes nothing.
"""

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
from ratchet.problem import data_pin, params_file, settings
from ratchet.problem.data_pin import Source
from ratchet.problem.settings import Settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.progress import Say
from ratchet.state import ledger
from ratchet.state.ledger import DataChange
from ratchet.tasks.classify_text.columns import Columns

MANY = 100_000
"""Rows from which on validation takes so long that it is announced."""

Forget = Callable[[Places, str, pl.Series], None]
"""A function that removes withdrawn texts from the prediction log. It gets the problem and the texts in compared form,
before the data version changes."""


@dataclass(frozen=True)
class ImportOptions:
    """What the person typed.

    Attributes:
        text: name of the text column; empty to guess.
        label: name of the label column; empty to guess.
        group: name of the group column; None to keep the problem's.
        name: name of the problem; None for the file's name.
        merge: whether spellings of a label may be merged.
        withdraw: how many rows are withdrawn on purpose; empty for none.
    """

    text: str = ""
    label: str = ""
    group: str | None = None
    name: str | None = None
    merge: bool = False
    withdraw: str = ""


def fetch_data(here: Places, say: Say) -> None:
    """Fetch exactly the data that data.dvc pins; an edited data/must.csv is pinned first, as a new version."""
    must_file.take_in(here, say)
    pin = data_pin.pinned(here)
    origin = incoming_table.fetch_pinned(here, pin)
    say(f"data/ holds version {pin.short} ({pin.bytes:,} bytes, made from {pin.source}): {origin}.")
    share(here, pin.short, say)


def import_example(here: Places, name: str, forget: Forget, say: Say) -> None:
    """Import a built-in example: it becomes the pinned data, and its problem the one in params.yaml.

    Raises:
        Refusal: there is no such example, or its package cannot be had.
    """
    from ratchet.data import examples

    try:
        module = examples.get(name)
    except LookupError as error:
        raise Refusal("EXAMPLE names a built-in data set.", str(error), "make data EXAMPLE=film_reviews") from None
    say(f"{module.TITLE}: {module.SUMMARY}")
    table = incoming_table.read_example(here, name)
    accept(here, table, module.PROBLEM, incoming_table.example_source(name), forget, say)


def import_table(here: Places, source: str, options: ImportOptions, forget: Forget, say: Say) -> None:
    """Import a table: it becomes the first version of a new problem, or the next version of the problem of its name.

    Raises:
        Refusal: the table cannot be read, lacks a column, or breaks a rule; nothing has changed then.
    """
    reading = read(source, say=say)
    problem = options.name or slug(Path(source).stem)
    current = next_version.current_settings(here)
    before = current if current and current.problem == problem else None
    columns = find_columns(reading.frame, source, options, before)
    command = f"make data SOURCE={shlex.quote(source)}"
    reading, label_lines = clean_labels(reading, columns.label, f"{command} ... MERGE=yes", options.merge)
    for line in synopsis(reading, columns):
        say(line)
    for line in (*guessed_lines(options, columns, before), *label_lines, *name_hint(current, problem, reading)):
        say(line)
    limit = WithdrawalLimit(source, command, options.withdraw)
    table = incoming_table.select_columns(reading, columns)
    accept(here, table, problem, Source("table", Path(source).name), forget, say, limit)


def add_rows(here: Places, source: str, options: ImportOptions, forget: Forget, say: Say) -> None:
    """Add rows to the pinned table: new rows, or rows that were set aside and have been mended.

    Raises:
        Refusal: nothing is pinned, the rows lack a column, or they break a rule; nothing has changed then.
    """
    must_file.take_in(here, say)
    current = settings.load(here.params)
    pin = data_pin.pinned(here)
    incoming_table.fetch_pinned(here, pin)
    pinned_rows = read_canonical(here.data / data_pin.TABLE)
    reading = read(source, most_broken=1, say=say)
    next_version.require_columns(reading.frame, pinned_rows.columns, current)
    command = f"make data ADD={shlex.quote(source)} MERGE=yes"
    reading, label_lines = clean_labels(reading, current.data.label, command, options.merge)
    reading = quarantine.placed(reading)
    added = incoming_table.select_columns(reading, current.data)
    table, copies = next_version.append_fresh(pinned_rows, added)
    say(f"Read {printable(Path(source).name)}: {reading.frame.height:,} rows, of which {copies:,} were there already.")
    for line in label_lines:
        say(line)
    label_spelling.refuse_spellings(table.frame[current.data.label], "mend them in the file that is added")
    path = quarantine.path(here, current.problem)
    earlier = pl.DataFrame() if Path(source).resolve() == path.resolve() else quarantine.read(path)
    old = replace(Source.parse(pin.source), feedback=False, must=False)
    names = old.name if old.kind == "table" else str(old)
    origin = Source("table", f"{names}, {Path(source).name}")
    accept(here, table, current.problem, origin, forget, say, earlier=earlier)


def find_columns(table: pl.DataFrame, source: str, options: ImportOptions, before: Settings | None) -> Columns:
    """The columns as they were typed; otherwise those of the last version that the table still has, or a guess.

    Args:
        before: the settings of the problem; None for a new problem.

    Raises:
        Refusal: a column that the problem relies on is missing, or there is not exactly one candidate.
    """
    if before is None:
        return column_guess.guess_columns(table, source, options.text, options.label, options.group)
    data = before.data
    inherited = data.group if options.group is None else None
    next_version.require_columns(table, [*([inherited] if inherited else []), *data.slices], before)
    text = options.text or (data.text if data.text in table.columns else "")
    label = options.label or (data.label if data.label in table.columns else "")
    columns = column_guess.guess_columns(table, source, text, label, options.group or inherited)
    return columns.model_copy(update={"slices": data.slices, "positive": data.positive})


def clean_labels(reading: Reading, label: str, command: str, merge: bool) -> tuple[Reading, list[str]]:
    """Trim the labels of a reading, and merge their spellings where `merge` says so.

    Args:
        label: the column of labels.
        command: the command that merges spellings, for the refusal.

    Returns:
        The reading, and lines that say what was done.

    Raises:
        Refusal: a class has more than one spelling, and `merge` is False.
    """
    labels, padded = label_spelling.strip_labels(reading.frame[label])
    lines = label_spelling.stripped_lines(padded)
    if merge:
        labels, merged_lines = label_spelling.merge_spellings(labels)
        lines += merged_lines
    else:
        label_spelling.refuse_spellings(labels, command)
    return replace(reading, frame=reading.frame.with_columns(labels)), lines


def guessed_lines(options: ImportOptions, columns: Columns, before: Settings | None) -> list[str]:
    """A line that names the columns that were guessed or inherited; no line where all were typed."""
    roles = {"TEXT": (options.text, columns.text), "LABEL": (options.label, columns.label)}
    guessed = " ".join(f"{role}={printable(column)}" for role, (typed, column) in roles.items() if not typed)
    if not guessed:
        return []
    if before and (before.data.text, before.data.label) == (columns.text, columns.label):
        return [f"As in params.yaml: {guessed}."]
    return [f"Nobody named {guessed}: no other column fits. Name another on the command line to differ."]


def name_hint(current: Settings | None, problem: str, reading: Reading) -> list[str]:
    """A hint where a new problem's table has the columns of the current problem."""
    if (
        current is None
        or current.problem == problem
        or not {current.data.text, current.data.label} <= set(reading.frame.columns)
    ):
        return []
    name = current.problem
    return [f"This is a new problem, {problem}. For the next version of {name}, type NAME={name} too."]


def accept(
    here: Places,
    table: IncomingTable,
    problem: str,
    source: Source,
    forget: Forget,
    say: Say,
    limit: WithdrawalLimit | None = None,
    earlier: pl.DataFrame | None = None,
) -> None:
    """Validate a table, then pin it and describe the problem in params.yaml, in one transaction.

    Args:
        source: the table's, without feedback.csv and must.csv.
        forget: removes withdrawn texts from the prediction log.
        limit: how many rows of the last version may be missing; None where none can be or any may.
        earlier: rows set aside before, which stay so; None where those of this table take their place.

    Raises:
        Refusal: the table fails validation, or too many rows of the last version are missing.
    """
    if earlier is None:
        quarantine.refuse_changed(quarantine.path(here, problem))
    judge(table, say)
    require_positive(table)
    last = next_version.last_version(here, problem)
    change = next_version.compare(last, table, problem, limit)
    with transaction.staging_folder(here) as folder:
        incoming_table.write_files(table.valid, problem, table.columns.group is not None, folder)
        feedback_rows = carry_feedback(last, table, change, folder)
        musts = carry_must(here, last, table, change, folder, say)
        whole_source = replace(source, feedback=bool(feedback_rows), must=bool(musts))
        pin = data_pin.as_pinned(here, dvc_repo.into_cache(here, folder, str(whole_source)))
        forgotten = next_version.versions_holding(here, problem, change.gone, kept=pin.version)
        forget(here, problem, change.gone)
        params = params_file.next_text(here.params, problem, table.columns, table.valid_canonical)
        aside = quarantine.join_rows(earlier, table.set_aside)
        line = DataChange(
            problem,
            last.version if last else None,
            pin.version,
            table.valid.height + feedback_rows,
            change.withdrawn,
            ledger.person(),
            change.sentence,
            {"text": table.columns.text, "label": table.columns.label, "group": table.columns.group},
        )
        transaction.change_data(here, pin, params, quarantine.written(aside), line, forgotten)
    report(here, line, params is not None, quarantine.summary(here, problem, aside), forgotten, say)


def carry_feedback(last: LastVersion | None, table: IncomingTable, change: VersionChange, folder: Path) -> int:
    """Write the last version's feedback.csv beside the next table, without texts that the table has or that are gone.

    Returns:
        How many rows of feedback stay.
    """
    if last is None or not last.feedback.height:
        return 0
    feedback = feedback_table.carry_over(last.feedback, table.canonical["text"], change.gone)
    if feedback.height:
        write_canonical(feedback, folder / data_pin.FEEDBACK)
    return feedback.height


def carry_must(
    here: Places, last: LastVersion | None, table: IncomingTable, change: VersionChange, folder: Path, say: Say
) -> tuple[Must, ...]:
    """Write data/must.csv beside the next table, without the lines of withdrawn texts.

    Raises:
        Refusal: a line does not fit the table, for example because its class is gone.
    """
    before = must_file.list_for_next(here, last is not None and last.pinned, last.must if last else ())
    musts = must_file.without(before, change.gone)
    must_file.refuse_faulty(musts, table.valid_canonical["label"].unique().sort().to_list())
    must_file.write_list(musts, folder)
    if before:
        dropped = len(before) - len(musts)
        left = f"; {dropped:,} with withdrawn texts have left it" if dropped else ""
        say(f"{must_file.NAMED} goes along, {len(musts):,} line{'s' * (len(musts) != 1)}{left}.")
    return musts


def share(here: Places, version: str, say: Say) -> None:
    """Push the pinned version to the DVC remote, if there is one; a failed push is reported and undoes nothing."""
    try:
        remote, pushed = dvc_repo.push(here)
    except Refusal as refusal:
        say(f"Version {version} is pinned here, and not pushed. {refusal} Then `make data` pushes it.")
        return
    if pushed:
        say(f"Pushed version {version} to the DVC remote {remote!r}: whoever has data.dvc can fetch it.")


def require_positive(table: IncomingTable) -> None:
    """Raise where the positive class that params.yaml names has no row.

    Raises:
        Refusal: no row has that label.
    """
    positive = table.columns.positive
    classes = table.valid_canonical["label"].unique().sort().to_list()
    if positive is not None and positive not in classes:
        raise Refusal(
            "data.positive in params.yaml names a class of the table.",
            f"{positive!r}, and the classes are {', '.join(map(repr, classes[:20]))}",
            "Change or remove it there, then bring the table again; nothing was changed.",
        )


def report(
    here: Places, line: DataChange, new_params: bool, aside: Quarantine | None, forgotten: list[str], say: Say
) -> None:
    """Say what was changed, what is set aside, and which command comes next."""
    if line.before == line.after:
        say(f"No row has changed: version {line.after[:8]} has these very rows already.")
    else:
        say(line.why)
    if line.withdrawn:
        caches = f"and {len(forgotten)} older version{'s' * (len(forgotten) != 1)} the caches" if forgotten else ""
        say(f"Withdrawn rows have left data/ {caches}; no model that is built from now on has seen them.")
        for place in other_copies(here) if forgotten else []:
            say(f"{place} may still hold them: have them removed there, too.")
    if new_params:
        say(f"params.yaml describes {line.problem}.")
    if aside:
        say(str(aside))
    share(here, line.after[:8], say)
    say(f"data.dvc pins version {line.after[:8]} of {line.problem}: {line.rows:,} rows. Next: make run")


def judge(table: IncomingTable, say: Say) -> None:
    """Validate the whole table with Great Expectations.

    Raises:
        Refusal: the table fails a critical expectation.
    """
    import expectations

    if table.canonical.height >= MANY:
        say(f"  Validating {table.canonical.height:,} rows ...")
    verdict = expectations.check(table.facts, "raw", expectations.Rules(grouped=table.columns.group is not None))
    if not verdict.passed:
        raise Refusal("A table must pass its expectations.", verdict.headline, "Nothing was changed: mend the table.")
    say(verdict.headline)
    for warning in verdict.warnings:
        say(f"  {warning}")


def other_copies(here: Places) -> list[str]:
    """Places that may still hold withdrawn rows: copies that a person made on purpose and must remove."""
    remote = dvc_repo.remote(here)
    archives = sorted(path.name for path in here.backups.glob("*"))
    backups = [f"state/backups/ ({len(archives)} entries, newest {archives[-1]})"] if archives else []
    tables = [str(path) for path in sorted(here.quarantine.rglob("*.kept-*.csv"))]
    return [*([f"The DVC remote {remote!r}"] if remote else []), *backups, *tables]


def slug(name: str) -> str:
    """A file's name as a problem's name: lower-case letters, digits and dashes, at most 63 characters."""
    dashed = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in dashed.split("-") if part)[:63] or "problem"
