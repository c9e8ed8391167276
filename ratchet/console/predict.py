"""Predictions of the champion without a server: a text or a table enters, the table leaves with the answers added."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from ratchet.console import batch_predict
from ratchet.console.batch_predict import answer
from ratchet.data.tables import writing
from ratchet.data.tables.large_table import scan_table
from ratchet.monitoring.log import database, predictions
from ratchet.problem import problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.serving.answering import bundle
from ratchet.serving.answering.bundle import Bundle


def text(here: Places, given: str, out: Console) -> None:
    """Print the champion's answer to one text, with the probabilities of the ten likeliest classes."""
    live = champion(here)
    answers = answer(live, [given])
    ids = predictions.identities(1)
    row = answers.row(0, named=True)
    logged = [(given, row["predicted"], row["score"])]
    predictions.record(database.place(here), live.facts.problem, live.facts.version, logged, ids)
    classes = sorted(((row[c], c.removeprefix("p_")) for c in answers.columns if c.startswith("p_")), reverse=True)
    version = f"  (version {live.facts.version}, {live.facts.model})"
    out.print(Text.assemble((row["predicted"], "bold"), f"  {row['score']:.1%} sure", (version, "dim")))
    for probability, label in classes[:10]:
        out.print(f"  {probability:6.1%}  {label}")
    out.print(Text(f"Where it comes from: make trace ID={ids[0]}", style="dim"))


def table(here: Places, source: Path, target: Path | None, column: str | None, out: Console) -> None:
    """Answer every row of a table and write it to `target` with the columns predicted, score and p_<label>.

    Args:
        column: of the texts; None for the text column of the problem.

    Raises:
        Refusal: there is no target, its format cannot be written, or the table is damaged or lacks the column.
    """
    if target is None:
        raise Refusal("A table of answers needs a place.", "no OUT", f"make predict FILE={source} OUT=answers.csv")
    writing.require_place(target)
    with batch_predict.exclusive_folder(target) as folder:
        scanned = scan_table(source, out.print)
        name = column or problem.load().settings.data.text
        if name not in scanned.columns:
            raise Refusal(
                f"The table needs the column {name!r}.",
                f"columns {', '.join(scanned.columns)}",
                "Name it: make predict ... TEXT=column",
            )
        live = champion(here)
        request = batch_predict.BatchRequest(scanned, name, live, database.place(here))
        batch_predict.run(request, target, folder, out.print)
    facts = live.facts
    out.print(f"{scanned.rows:,} rows answered by version {facts.version} ({facts.model}): {target}")


def champion(here: Places) -> Bundle:
    """The bundle of the registry's champion, which loads without pyfunc, pandas and the training packages.

    Raises:
        Refusal: no champion is live, or it cannot be read.
    """
    from flows.registry import bundles
    from flows.registry.registry import Registry

    registry = Registry(problem.load().name, here)
    live = registry.champion()
    if live is None:
        raise Refusal("Only a champion answers.", "none is live", "Turn the loop once: make run")
    return bundle.open_bundle(here.bundles, bundles.export(registry, live).digest)
