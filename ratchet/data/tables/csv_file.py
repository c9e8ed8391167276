"""A CSV or TSV file -> a frame of texts, each row with its line number.

Rows are parsed by Python's csv module in strict mode, so every fault is reported with its line; polars fills short rows
with nulls, and reads a quote inside a word as an opening one. An empty field is a missing value; blank lines are
skipped; rows are parsed in batches. A row with another number of fields than the header is a broken line; an unclosed
quote spoils everything after it, and is refused.
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
"""Rows by which the delimiter is chosen."""
LONGEST = 2**31 - 1
"""Most characters of a field. The parser's own limit of 131,072 would refuse rows that validation sets aside."""


def read(path: Path, encoding: Encoding, tell: Callable[[int], None]) -> Iterator[Parsed]:
    """Parse all rows, batch by batch.

    Args:
        tell: called with the number of bytes read since the last call.

    Raises:
        Refusal: the file has no rows, an unclosed quote, or a column without a name of its own.
    """
    csv.field_size_limit(LONGEST)
    delimiter = find_delimiter(path, encoding)
    with path.open(encoding=encoding.codec, newline="") as file:
        rows = numbered_rows(skip_separator_line(file), delimiter, path)
        names = header(next(rows, (1, []))[1], path)
        fields = f", fields between {DELIMITERS[delimiter]}" if len(names) > 1 else ", one column"
        meter = Meter(file, tell)
        empty = True
        for batch in batched(rows, characters):
            complete = [row for row in batch if len(row[1]) == len(names)]
            frame = rename_columns(as_frame([row for _, row in complete], len(names)), names, path)
            broken = tuple(broken_line(path, row, len(names), delimiter) for row in batch if len(row[1]) != len(names))
            yield Parsed(frame, numbers([line for line, _ in complete]), broken, encoding.name + fields)
            meter()
            empty = False
    if empty:
        raise Refusal(f"{path.name} must hold rows.", "a header and no rows", "Add labelled rows below it.")


def characters(row: tuple[int, list[str]]) -> int:
    """Number of characters of a numbered row."""
    return sum(map(len, row[1]))


def find_delimiter(path: Path, encoding: Encoding) -> str:
    """The delimiter by which most of the first rows have as many fields as the header, and more than one."""
    scores = {delimiter: agreement(path, encoding, delimiter) for delimiter in DELIMITERS}
    return max(scores, key=lambda delimiter: scores[delimiter])


def agreement(path: Path, encoding: Encoding, delimiter: str) -> tuple[float, int]:
    """Share of the first rows with the header's number of fields, and that number; (0, 0) where it is one field."""
    with path.open(encoding=encoding.codec, newline="") as file:
        parsed = csv.reader(skip_separator_line(file), delimiter=delimiter)
        widths = [len(row) for row in islice(parsed, LOOKED_AT) if row]
    if not widths or widths[0] < 2:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths), widths[0]


def skip_separator_line(file: TextIO) -> Iterator[str]:
    """The lines of a file; a first line such as `sep=;`, which tells Excel the delimiter, is made blank."""
    for number, line in enumerate(file):
        yield "\n" if not number and line.strip().lower() in {f"sep={d}" for d in DELIMITERS} | {"sep="} else line


def numbered_rows(lines: Iterator[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of its first line."""
    parsed = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first_line = parsed.line_num + 1
        try:
            row = next(parsed)
        except StopIteration:
            return
        except csv.Error as error:
            raise quote_refusal(path, first_line, parsed.line_num, error) from None
        if row:
            yield first_line, row


def quote_refusal(path: Path, first_line: int, last_line: int, error: csv.Error) -> Refusal:
    """The refusal of a row whose quotes are not closed where they should be."""
    if "end of data" in str(error):
        received = f"the row that begins on line {first_line} opens a quote that no line closes"
    elif last_line == first_line:
        received = f"line {first_line} has text between a closing quote and the next field"
    else:
        received = f"the row that begins on line {first_line} opens a quote that is not closed where it should be, and "
        received += f"goes on to line {last_line}"
    remedy = 'Put the whole field in double quotes, and write a double quote inside it twice ("").'
    return Refusal(f"Every quote in {path.name} must be closed.", received, remedy)


def header(row: list[str], path: Path) -> list[str]:
    """The names of the columns, without white space around them; a name may be empty.

    Raises:
        Refusal: there is no name, or two columns have the same one.
    """
    names = [name.strip() for name in row]
    if not any(names):
        raise Refusal(f"{path.name} must begin with the names of its columns.", "an empty file", "Name a table.")
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    if repeated:
        raise Refusal(
            f"Every column of {path.name} must have its own name.",
            f"{', '.join(map(repr, repeated))} more than once",
            "Rename one of them in the first line.",
        )
    return names


def broken_line(path: Path, row: tuple[int, list[str]], width: int, delimiter: str) -> BrokenLine:
    """A row that does not have the header's number of fields (`width`); its content is written as CSV again."""
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
    """Rows as a frame whose columns are named by their places; an empty field is a missing value."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in range(width))
    values = {f"{at}": [value or None for value in column] for at, column in enumerate(columns)}
    return pl.DataFrame(values, schema={f"{at}": pl.String for at in range(width)})


def rename_columns(frame: pl.DataFrame, names: list[str], path: Path) -> pl.DataFrame:
    """The frame with the header's names; empty columns without a name, which spreadsheets append, are dropped.

    Raises:
        Refusal: a column with values has no name.
    """
    blank = [f"{at}" for at, name in enumerate(names) if not name]
    filled = [at for at in blank if frame[at].null_count() < frame.height]
    if filled:
        places = ", ".join(str(int(at) + 1) for at in filled)
        raise Refusal(
            f"Every column of {path.name} must have a name.",
            f"none for column {places}",
            "Name it in the first line, or remove it (in pandas: to_csv(..., index=False)).",
        )
    return frame.drop(blank).rename({f"{at}": name for at, name in enumerate(names) if name})
