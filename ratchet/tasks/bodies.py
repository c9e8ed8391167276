"""Parts of the bodies that programs send, for any kind of problem: a kind's module `wire` takes from here what fits."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1, max_length=64, description="The id of a prediction.")]
Lines = Annotated[str, Meta(description="A header with the names of the columns, and a row for each answer.")]


def key_description(unit: str) -> str:
    """What the field `key` of /predict is for; `unit` is what an input is called."""
    return (
        "Identifies the caller: while two versions answer (a canary), equal keys are answered by the same one. "
        f"Without a key, equal first {unit}s are."
    )


class Split(Struct):
    """A frame in pandas' orientation `split`."""

    data: list[list[Any]]
    columns: list[Any] = []
    index: list[Any] | None = None


class Invocation(Struct):
    """Exactly one of the four forms."""

    dataframe_split: Split | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    inputs: list[Any] | dict[str, Any] | str | msgspec.UnsetType = msgspec.UNSET
    instances: list[Any] | dict[str, Any] | str | msgspec.UnsetType = msgspec.UNSET
    params: Annotated[
        dict[str, Any] | None, Meta(description="Accepted and ignored, as by MLflow for these models.")
    ] = None
