"""A CSV or TSV file -> a frame of texts, each row with its line: one parser, so every fault has the line it is on.

Python's own parser in its strict mode: polars' fills short rows with nulls and reads a quote inside a word as an
opening one. An empty field is a missing value; blank lines are skipped; rows are taken in batches. A row of another
length than the header is broken and stays out; a quote that is not closed spoils all that follows, and is refused.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import polars as pl

from ratchet.data.tables.encoding import Encoding
from ratchet.data.tables.parsed import BrokenLine, Meter, Parsed, batched, numbers
from ratchet.project.errors import Refusal

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
LOOKED_AT = 200
"""Rows that a delimiter is judged by."""
LONGEST = 2**31 - 1
"""Characters in a field; the parser's own limit of 131,072 would refuse what validation sets aside with a reason."""


def read(path: Path, encoding: Encoding, tell: Callable[[int], None]) -> Iterator[Parsed]:
    """All rows, batch by batch, and which delimiter is between their fields; `tell` is called with the bytes read.

    Raises:
        Refusal: no rows, an unclosed quote, a column without a name or with another's.
    """
    csv.field_size_limit(LONGEST)
    delimiter = find_delimiter(path, encoding)
    with path.open(encoding=encoding.codec, newline="") as file:
        rows = numbered(after_excel(file), delimiter, path)
        names = header(next(rows, (1, []))[1], path)
        between = f", fields between {DELIMITERS[delimiter]}" if len(names) > 1 else ", one column"
        meter, empty = Meter(file, tell), True
        for batch in batched(rows, characters):
            whole = [row for row in batch if len(row[1]) == len(names)]
            frame = named(as_frame([row for _, row in whole], len(names)), names, path)
            broken = tuple(ragged(path, row, len(names), delimiter) for row in batch if len(row[1]) != len(names))
            yield Parsed(frame, numbers([begins for begins, _ in whole]), broken, encoding.name + between)
            meter()
            empty = False
    if empty:
        raise Refusal(f"{path.name} must hold rows.", "a header and no rows", "Add labelled rows below it.")


def characters(row: tuple[int, list[str]]) -> int:
    return sum(map(len, row[1]))


def find_delimiter(path: Path, encoding: Encoding) -> str:
    """The delimiter by which most of the first rows have as many fields as the header, and more than one."""
    found = {delimiter: agreement(path, encoding, delimiter) for delimiter in DELIMITERS}
    return max(found, key=lambda delimiter: found[delimiter])


def agreement(path: Path, encoding: Encoding, delimiter: str) -> tuple[float, int]:
    """Share of the first rows with the header's number of fields, and that number; nothing where it is one field."""
    with path.open(encoding=encoding.codec, newline="") as file:
        parsed = csv.reader(after_excel(file), delimiter=delimiter)
        widths = [len(row) for row in islice(parsed, LOOKED_AT) if row]
    if not widths or widths[0] < 2:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths), widths[0]


def after_excel(file: TextIO) -> Iterator[str]:
    """The lines of a file; a first line like `sep=;`, which tells Excel the delimiter, is blank."""
    for number, line in enumerate(file):
        yield "\n" if not number and line.strip().lower() in {f"sep={d}" for d in DELIMITERS} | {"sep="} else line


def numbered(lines: Iterator[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line it begins on."""
    parsed = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begins = parsed.line_num + 1
        try:
            row = next(parsed)
        except StopIteration:
            return
        except csv.Error as error:
            raise quoting(path, begins, parsed.line_num, error) from None
        if row:
            yield begins, row


def quoting(path: Path, begins: int, ends: int, error: csv.Error) -> Refusal:
    if "end of data" in str(error):
        received = f"the row that begins on line {begins} opens a quote that no line closes"
    elif ends == begins:
        received = f"line {begins} has text between a closing quote and the next field"
    else:
        received = f"the row that begins on line {begins} opens a quote that is not closed where it should be, and "
        received += f"goes on to line {ends}"
    remedy = 'Put the whole field in double quotes, and write a double quote inside it twice ("").'
    return Refusal(f"Every quote in {path.name} must be closed.", received, remedy)


def header(row: list[str], path: Path) -> list[str]:
    """The names of the columns, without white space around them; a column may have none yet."""
    names = [name.strip() for name in row]
    if not any(names):
        raise Refusal(f"{path.name} must begin with the names of its columns.", "an empty file", "Name a table.")
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise Refusal(
            f"Every column of {path.name} must have its own name.",
            f"{', '.join(map(repr, twice))} more than once",
            "Rename one of them in the first line.",
        )
    return names


def ragged(path: Path, row: tuple[int, list[str]], width: int, delimiter: str) -> BrokenLine:
    """A row that has not the header's number of fields, written again as it was read."""
    line, values = row
    fields = f"{len(values)} field{'s' if len(values) != 1 else ''}"
    if len(values) > width:
        remedy = "Put a text that holds the delimiter in double quotes, or remove what is too much."
    else:
        remedy = "Add the fields that are missing (empty ones will do), or remove the line."
    rule = f"Every row of {path.name} must have the header's {width} fields."
    content = io.StringIO()
    csv.writer(content, delimiter=delimiter, lineterminator="").writerow(values)
    refusal = Refusal(rule, f"line {line}: {fields}", remedy)
    return BrokenLine(line, content.getvalue(), f"{fields} instead of {width}", refusal)


def as_frame(rows: Sequence[list[str]], width: int) -> pl.DataFrame:
    """Rows as columns under provisional names; an empty field is a missing value."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in range(width))
    values = {f"{at}": [value or None for value in column] for at, column in enumerate(columns)}
    return pl.DataFrame(values, schema={f"{at}": pl.String for at in range(width)})


def named(frame: pl.DataFrame, names: list[str], path: Path) -> pl.DataFrame:
    """The frame under its names; a nameless column goes where it is empty, as spreadsheets leave some at the end."""
    blank = [f"{at}" for at, name in enumerate(names) if not name]
    filled = [at for at in blank if frame[at].null_count() < frame.height]
    if filled:
        which = ", ".join(str(int(at) + 1) for at in filled)
        raise Refusal(
            f"Every column of {path.name} must have a name.",
            f"none for column {which}",
            "Name it in the first line, or remove it (in pandas: to_csv(..., index=False)).",
        )
    return frame.drop(blank).rename({f"{at}": name for at, name in enumerate(names) if name})
