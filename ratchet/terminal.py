"""What a person sees in the terminal: what the flows say as they go, the scorecard, the decision, what to do next.

Plain text where it is not a terminal or NO_COLOR is set; never wider than 80 columns for tables.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ratchet.ledger import DataChange, Move

FLOWS = str(Path(__file__).resolve().parent.parent / "flows")
STARTED = time.monotonic()


class Listener(logging.Handler):
    """Prints what the flows say, with the seconds since the start; what Prefect says of itself stays in its UI."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        if not record.pathname.startswith(FLOWS) or record.exc_info:  # a traceback stays in Prefect's UI
            return
        line = Text(f"{time.monotonic() - STARTED:6.1f} s  ", style="dim")
        line.append(record.getMessage())
        self.console.print(line)


def console() -> Console:
    """Prints texts as they are: what stands in brackets in somebody's data is no markup."""
    return Console(highlight=False, soft_wrap=True, markup=False)


def quieten(log: Path) -> None:
    """Send what C libraries write to standard error into a log; Python's own errors still reach the terminal.

    TensorFlow says through file descriptor 2 which graphics card it did not find, and no setting of it prevents that.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 2)


def listen(to: Console) -> None:
    """Print what flows and tasks say from now on."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(Listener(to))


def scorecard(to: Console, rows: Sequence[dict[str, str]]) -> None:
    """The scorecard as a table of at most 80 columns."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        shown.add_column(name, justify="left" if name == "metric" else "right", overflow="fold")
    for row in rows:
        deciding = "*decides*" in row["metric"]
        words = row["metric"].replace(" (lower is better)", " ↓").replace(" *decides*", " (decides)")
        shown.add_row(words, *list(row.values())[1:], style="bold" if deciding else "")
    to.print(shown, width=min(80, to.width))


def turned(to: Console, summary: dict[str, Any]) -> None:
    """What a turn of the loop came to."""
    to.print()
    if summary.get("scorecard"):
        scorecard(to, summary["scorecard"])
        to.print()
    if summary.get("decision"):
        to.print(Text(f"{summary['verdict']}: {summary['reason']}", style="bold"))
    if summary.get("outlook"):
        to.print(summary["outlook"])
    to.print(f"Live: version {summary['champion']} of {summary['problem']}.", style="green")
    to.print('Look: make ui    Ask it: make predict TEXT="..."    Undo: make rollback', style="dim")


def history(to: Console, story: Sequence[Move | DataChange]) -> None:
    """Who was champion when, on which data, and why: a line or two for each event, oldest first."""
    for event in story:
        when = Text(datetime.fromisoformat(event.at).astimezone().strftime("%Y-%m-%d %H:%M"), style="dim")
        if isinstance(event, Move):
            moved(to, when, event)
        else:
            was = f" after {event.before[:8]}" if event.before else ""
            data = (f"data {event.after[:8]}", "bold")
            to.print(Text.assemble(when, "  ", data, f" ({event.problem}, {event.rows:,} rows){was}, by {event.by}"))
            to.print(Text(f"                  {event.why}"))


def moved(to: Console, when: Text, move: Move) -> None:
    before = f"v{move.before}" if move.before else "nothing"
    after = f"v{move.after}" if move.after else "nothing"
    model = f" ({move.evidence['model']})" if move.evidence.get("model") else ""
    to.print(Text.assemble(when, "  ", (after, "bold"), f"{model} {move.action} after {before}, by {move.by}"))
    to.print(Text(f"                  {move.why}"))
    if move.evidence.get("data_version"):
        data, commit = move.evidence["data_version"][:8], move.evidence.get("git_commit", "unknown")[:8]
        to.print(Text(f"                  data {data}, code {commit}", style="dim"))
