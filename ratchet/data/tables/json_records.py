"""A file of JSON records, one a line or all in one array -> a frame of texts, each value as it was written."""

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
    """All records, batch by batch, with their keys as columns in the order in which they first come in it.

    A line that is no JSON object is broken and stays out; an array is read whole or refused.

    Raises:
        Refusal: there is no record, or an array is damaged.
    """
    broken: list[BrokenLine] = []
    with path.open(encoding=encoding.codec) as file:
        found, meter, empty = records(path, file, broken), Meter(file, tell), True
        for batch in batched(found, characters):
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
    lines = numbers([line for line, _ in batch])
    return Parsed(as_frame([record for _, record in batch]), lines, tuple(broken), f"{encoding.name}, JSON records")


def characters(numbered: tuple[int, dict[str, str | None]]) -> int:
    return sum(len(value) for value in numbered[1].values() if value)


def as_frame(batch: list[dict[str, str | None]]) -> pl.DataFrame:
    names = dict.fromkeys(name for record in batch for name in record)
    return pl.DataFrame(
        {name: [record.get(name) for record in batch] for name in names},
        schema_overrides=dict.fromkeys(names, pl.String),
    )


def records(path: Path, file: TextIO, broken: list[BrokenLine]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Every record with its line and its values as text; what is none is added to `broken`."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        if line.lstrip().startswith("["):
            yield from array(path, line + file.read(), number)
            return
        try:
            yield number, as_texts(parsed(path, line, number), path, f"line {number}")
        except Refusal as refusal:
            reason = refusal.received.removeprefix(f"line {number}: ")
            broken.append(BrokenLine(number, line.rstrip("\n"), reason, refusal))


def array(path: Path, content: str, first: int) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The records of a JSON array that takes up the whole file, each with its number."""
    for number, record in enumerate(parsed(path, content, first), 1):
        yield number, as_texts(record, path, f"record {number}")


def parsed(path: Path, content: str, first: int) -> Any:
    """JSON with its numbers as they are written.

    Raises:
        Refusal: it is damaged; named by its line in the file.
    """
    try:
        return json.loads(content, parse_int=str, parse_float=str, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        fault = f"{error.msg.removesuffix(' at')} at character {error.colno}"
        line = first + error.lineno - 1
    except RecursionError:
        fault, line = "brackets within brackets without end", first
    raise Refusal(f"Every line of {path.name} must be one JSON object.", f"line {line}: {fault}", "Mend that line.")


def as_texts(record: Any, path: Path, where: str) -> dict[str, str | None]:
    if not isinstance(record, dict):
        kind = {list: "a list", str: "a bare value", bool: "a bare value", type(None): "null"}[type(record)]
        raise Refusal(
            f"Every line of {path.name} must be one JSON object.",
            f"{where}: {kind}",
            'Write it as {"text": "...", "label": "..."}.',
        )
    return {whole(name): as_text(value) for name, value in record.items()}


def as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value and whole(value)
    return whole(json.dumps(value, ensure_ascii=False))


def whole(text: str) -> str:
    """The text with each half of a character that was written alone (\\ud83d) as U+FFFD, which validation counts."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
