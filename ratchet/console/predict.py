"""Predictions of the champion without a server: an input or a table enters, the table leaves with its answers."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from ratchet.console import batch_predict
from ratchet.data.tables import writing
from ratchet.data.tables.large_table import scan_table
from ratchet.monitoring.log import database, predictions
from ratchet.problem import problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.serving.answering import bundle
from ratchet.serving.answering.bundle import Bundle


def text(here: Places, given: str, out: Console) -> None:
    """Print the champion's answer to one input, with the probabilities of the ten likeliest classes if it gives any.

    Raises:
        Refusal: what was typed is no input.
    """
    live = champion(here)
    face = live.task.answers
    try:
        asked = face.read_value(given)
    except ValueError as error:
        raise Refusal("The champion answers an input.", str(error), "Type one: make predict TEXT='...'") from None
    outputs = batch_predict.outputs_of(live, [asked])
    (answer,), (score,) = face.answers(outputs, live.labels)
    ids = predictions.identities(1)
    facts = live.facts
    predictions.record(database.place(here), facts.problem, facts.version, [(asked, answer, score)], ids)
    is_sure = live.task.can("confidence")
    sure = f"  {score:.1%} sure" if is_sure else ""
    out.print(Text.assemble((answer, "bold"), sure, (f"  (version {facts.version}, {facts.model})", "dim")))
    classes = sorted(zip(outputs[0].tolist(), live.labels, strict=True), reverse=True) if is_sure else []
    for probability, label in classes[:10]:
        out.print(f"  {probability:6.1%}  {label}")
    out.print(Text(f"Where it comes from: make trace ID={ids[0]}", style="dim"))


def table(here: Places, source: Path, target: Path | None, column: str | None, out: Console) -> None:
    """Answer every row of a table and write it to `target` with the columns of the answers.

    Args:
        column: of the inputs in their stored form, e.g. of texts; None for the input columns of the problem.

    Raises:
        Refusal: there is no target, its format cannot be written, or the table is damaged or lacks a column.
    """
    if target is None:
        raise Refusal("A table of answers needs a place.", "no OUT", f"make predict FILE={source} OUT=answers.csv")
    writing.require_place(target)
    with batch_predict.exclusive_folder(target) as folder:
        scanned = scan_table(source, out.print)
        inputs = column or problem.load().settings.data
        missing = [name for name in batch_predict.columns_of(inputs) if name not in scanned.columns]
        if missing:
            raise Refusal(
                f"The table needs the column {missing[0]!r}.",
                f"columns {', '.join(scanned.columns)}",
                "Name it: make predict ... TEXT=column",
            )
        live = champion(here)
        request = batch_predict.BatchRequest(scanned, inputs, live, database.place(here))
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
