"""The example data sets: one file each. A file in this folder is an example; it is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ratchet.data.examples.contract import ExampleFile

_NOT_EXAMPLES = {"__init__", "contract", "package"}


def names() -> tuple[str, ...]:
    """The names of all examples, sorted: the files beside this one."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in _NOT_EXAMPLES))


def get(name: str) -> ExampleFile:
    """Import the example of that name (`film_reviews` and `film-reviews` are the same).

    Raises:
        LookupError: there is no such file.
    """
    stem = name.replace("-", "_")
    if stem not in names():
        raise LookupError(f"An example must be one of {', '.join(names())}. Received: {name!r}.")
    return cast("ExampleFile", import_module(f"ratchet.data.examples.{stem}"))
