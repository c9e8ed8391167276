"""A file of JSON records, one a line or all in one array -> a frame of texts, each value as it is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from ratchet.data.tables.encoding import Encoding
from ratchet.data.tables.parsed import BrokenLine, Meter, Parsed, batched, numbers
from ratchet.project.errors import Refusal


def read(path: Path, encoding: Encoding, tell: Callable[[int], None]) -> Iterator[Parsed]:
    """Parse all records, batch by batch; the columns of a batch are its keys, in the order in which they first occur.

    A line that is not a JSON object is a broken line; an array is read whole or refused.

    Args:
        tell: called with the number of bytes read since the last call.

    Raises:
        Refusal: there is no record, or an array is damaged.
    """
    broken: list[BrokenLine] = []
    with path.open(encoding=encoding.codec) as file:
        meter = Meter(file, tell)
        empty = True
        for batch in batched(records(path, file, broken), characters):
            yield parsed_batch(batch, broken, encoding)
            broken.clear()
            meter()
            empty = False
    if empty and broken:
        raise broken[0].refusal
    if empty:
        raise Refusal(f"{path.name} must hold records.", "none", 'Add lines such as {"text": "...", "label": "..."}.')
    if broken:
        yield parsed_batch([], broken, encoding)


def parsed_batch(
    batch: list[tuple[int, dict[str, str | None]]], broken: list[BrokenLine], encoding: Encoding
) -> Parsed:
    """A batch of numbered records as a frame, with the broken lines before its end."""
    lines = numbers([line for line, _ in batch])
    return Parsed(as_frame([record for _, record in batch]), lines, tuple(broken), f"{encoding.name}, JSON records")


def characters(numbered: tuple[int, dict[str, str | None]]) -> int:
    """Number of characters of a numbered record's values."""
    return sum(len(value) for value in numbered[1].values() if value)


def as_frame(batch: list[dict[str, str | None]]) -> pl.DataFrame:
    """Records as a frame of type String; null where a record lacks a key."""
    names = dict.fromkeys(name for record in batch for name in record)
    return pl.DataFrame(
        {name: [record.get(name) for record in batch] for name in names},
        schema_overrides=dict.fromkeys(names, pl.String),
    )


def records(path: Path, file: TextIO, broken: list[BrokenLine]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Each record with its line number, its values as text; a line that is not a record is appended to `broken`."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        if line.lstrip().startswith("["):
            yield from array(path, line + file.read(), number)
            return
        try:
            yield number, as_texts(parse(path, line, number), path, f"line {number}")
        except Refusal as refusal:
            reason = refusal.received.removeprefix(f"line {number}: ")
            broken.append(BrokenLine(number, line.rstrip("\n"), reason, refusal))


def array(path: Path, content: str, first: int) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The records of a JSON array that is the whole file, each with its number in the array.

    Args:
        first: number of the line on which `content` begins.
    """
    for number, record in enumerate(parse(path, content, first), 1):
        yield number, as_texts(record, path, f"record {number}")


def parse(path: Path, content: str, first: int) -> Any:
    """Parse JSON; numbers stay strings as they are written.

    Args:
        first: number of the line on which `content` begins.

    Raises:
        Refusal: the JSON is damaged; the message has the line in the file.
    """
    try:
        return json.loads(content, parse_int=str, parse_float=str, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        fault = f"{error.msg.removesuffix(' at')} at character {error.colno}"
        line = first + error.lineno - 1
    except RecursionError:
        fault = "brackets within brackets without end"
        line = first
    raise Refusal(f"Every line of {path.name} must be one JSON object.", f"line {line}: {fault}", "Mend that line.")


def as_texts(record: Any, path: Path, where: str) -> dict[str, str | None]:
    """The keys and values of a record as text.

    Args:
        where: the record's place, for the refusal.

    Raises:
        Refusal: the record is not a JSON object.
    """
    if not isinstance(record, dict):
        kind = {list: "a list", str: "a bare value", bool: "a bare value", type(None): "null"}[type(record)]
        raise Refusal(
            f"Every line of {path.name} must be one JSON object.",
            f"{where}: {kind}",
            'Write it as {"text": "...", "label": "..."}.',
        )
    return {replace_surrogates(name): as_text(value) for name, value in record.items()}


def as_text(value: Any) -> str | None:
    """A JSON value as text: a string itself, any other value as JSON, null as None."""
    if value is None or isinstance(value, str):
        return value and replace_surrogates(value)
    return replace_surrogates(json.dumps(value, ensure_ascii=False))


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD, which validation counts, for each lone surrogate, such as \\ud83d."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
