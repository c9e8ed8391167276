"""Asking the champion, with no server: one text, or a table that comes back whole with the answers added."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.text import Text

from ratchet import predictions, problem
from ratchet.places import Places
from ratchet.progress import Progress
from ratchet.reading import read_any
from ratchet.refusal import Refusal

if TYPE_CHECKING:
    from flows.holdings import Version

AT_ONCE = 5_000
"""Rows answered at a time; bounds the memory that a large table takes, and how long nothing is said."""


def text(here: Places, given: str, out: Console) -> None:
    """Print the champion's answer to one text, with the probability of every class (of the ten likeliest)."""
    live, answers = answer(here, [given])
    row = answers.row(0, named=True)
    classes = sorted(((row[c], c.removeprefix("p_")) for c in answers.columns if c.startswith("p_")), reverse=True)
    made = f"  (version {live.number}, {live.model})"
    out.print(Text.assemble((row["predicted"], "bold"), f"  {row['score']:.1%} sure", (made, "dim")))
    for probability, label in classes[:10]:
        out.print(f"  {probability:6.1%}  {label}")


def table(here: Places, source: Path, target: Path | None, column: str | None, out: Console) -> None:
    """Answer every row of a table and write it to `target` with the columns predicted, score and p_<label>.

    Raises:
        Refusal: no target, or the table has no such column.
    """
    if target is None:
        raise Refusal("A table of answers needs a place.", "no OUT", f"make predict FILE={source} OUT=answers.csv")
    rows = read_any(source, out.print)
    name = column or problem.load().settings.data.text
    if name not in rows.columns:
        raise Refusal(
            f"The table needs the column {name!r}.",
            f"columns {', '.join(rows.columns)}",
            "Name it: make predict ... TEXT=column",
        )
    progress = Progress(out.print, f"Answering {source.name}", rows.height)
    live, answers = answer(here, rows[name].cast(pl.String).to_list(), progress)
    taken = [column for column in answers.columns if column in rows.columns]
    done = pl.concat([rows.drop(taken), answers], how="horizontal")
    write_whole(done, target)
    out.print(f"{done.height:,} rows answered by version {live.number} ({live.model}): {target}")


def write_whole(done: pl.DataFrame, target: Path) -> None:
    """Write a table to its place, all of it or nothing.

    Raises:
        Refusal: the place is a folder, or in none.
    """
    if target.is_dir() or not target.parent.is_dir():
        there = "a folder" if target.is_dir() else f"no folder {target.parent}"
        raise Refusal("OUT names a file in a folder that is there.", f"{target}: {there}", "Name another: OUT=...")
    fresh = target.with_name(f".{target.name}.new")
    try:
        if target.suffix == ".parquet":
            done.write_parquet(fresh)
        else:
            done.write_csv(fresh)
        os.replace(fresh, target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def answer(
    here: Places, texts: Sequence[str | None], progress: Callable[[int], None] | None = None
) -> tuple[Version, pl.DataFrame]:
    """The champion and its answers, in order, as columns predicted, score and p_<label>; logged for optimise.

    progress: called with the number of rows that were answered, as they are.

    Raises:
        Refusal: no champion is live.
    """
    from flows.registry import Registry

    current = problem.load()
    registry = Registry(current.name, here)
    live = registry.champion()
    if live is None:
        raise Refusal("Only a champion answers.", "none is live", "Turn the loop once: make run")
    predictor = registry.load(live)
    known = [given or "" for given in texts]
    parts = []
    for at in range(0, max(1, len(known)), AT_ONCE):
        batch = known[at : at + AT_ONCE]
        parts.append(as_polars(predictor.table(batch)))
        if progress is not None:
            progress(len(batch))
    answers = pl.concat(parts)
    logged = zip((len(given) for given in known), answers["predicted"], answers["score"], strict=True)
    predictions.record(here.predictions, current.name, live.number, logged)
    return live, answers


def as_polars(table: Any) -> pl.DataFrame:
    """MLflow's pandas frame under the names that answers have in a table."""
    columns = {("predicted" if name == "label" else name): table[name].to_numpy() for name in table.columns}
    return pl.DataFrame(columns)
