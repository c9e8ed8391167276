"""Asking the champion, with no server: one text, or a table that comes back whole with the answers added."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from ratchet.console import batch_predict
from ratchet.console.batch_predict import answer
from ratchet.data.tables import writing
from ratchet.data.tables.large_table import look_through
from ratchet.monitoring.log import database, predictions
from ratchet.project import problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.serving.answering import bundle
from ratchet.serving.answering.bundle import Bundle


def text(here: Places, given: str, out: Console) -> None:
    """Print the champion's answer to one text, with the probability of every class (of the ten likeliest)."""
    live = champion(here)
    answers, names = answer(live, [given]), predictions.identities(1)
    row = answers.row(0, named=True)
    logged = [(given, row["predicted"], row["score"])]
    predictions.record(database.place(here), live.facts.problem, live.facts.version, logged, names)
    classes = sorted(((row[c], c.removeprefix("p_")) for c in answers.columns if c.startswith("p_")), reverse=True)
    made = f"  (version {live.facts.version}, {live.facts.model})"
    out.print(Text.assemble((row["predicted"], "bold"), f"  {row['score']:.1%} sure", (made, "dim")))
    for probability, label in classes[:10]:
        out.print(f"  {probability:6.1%}  {label}")
    out.print(Text(f"Where it comes from: make trace ID={names[0]}", style="dim"))


def table(here: Places, source: Path, target: Path | None, column: str | None, out: Console) -> None:
    """Answer every row of a table and write it to `target` with the columns predicted, score and p_<label>.

    Raises:
        Refusal: no target, or one of a form that cannot be written; or the table has no such column, or is damaged.
    """
    if target is None:
        raise Refusal("A table of answers needs a place.", "no OUT", f"make predict FILE={source} OUT=answers.csv")
    writing.require_place(target)
    with batch_predict.alone(target) as folder:
        rows = look_through(source, out.print)
        name = column or problem.load().settings.data.text
        if name not in rows.columns:
            raise Refusal(
                f"The table needs the column {name!r}.",
                f"columns {', '.join(rows.columns)}",
                "Name it: make predict ... TEXT=column",
            )
        live = champion(here)
        batch_predict.run(batch_predict.BatchRequest(rows, name, live, database.place(here)), target, folder, out.print)
    facts = live.facts
    out.print(f"{rows.rows:,} rows answered by version {facts.version} ({facts.model}): {target}")


def champion(here: Places) -> Bundle:
    """The champion, whoever the registry says it is, from its bundle: without pyfunc, pandas or what trained it.

    Raises:
        Refusal: none is live, or it cannot be read.
    """
    from flows.registry import bundles
    from flows.registry.registry import Registry

    registry = Registry(problem.load().name, here)
    live = registry.champion()
    if live is None:
        raise Refusal("Only a champion answers.", "none is live", "Turn the loop once: make run")
    return bundle.open_bundle(here.bundles, bundles.export(registry, live).digest)
