"""What a person sees in the terminal: what the flows say as they go, the scorecard, the decision, what to do next.

Plain text where it is not a terminal or NO_COLOR is set; never wider than 80 columns for tables.
"""

from __future__ import annotations

import logging
import os
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ratchet.judging.scorecard import ScorecardRow
from ratchet.judging.scorecard import read as read_scorecard
from ratchet.project.paths import ROOT
from ratchet.project.progress import UNHEARD
from ratchet.state.ledger import DataChange, Line, Move, Refused

FLOWS = str(ROOT / "flows")
STARTED = time.monotonic()


class Listener(logging.Handler):
    """Prints what the flows say, with the seconds since the start; what Prefect says of itself stays in its UI."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        if not record.pathname.startswith(FLOWS) or record.exc_info:  # a traceback stays in Prefect's UI
            return
        if hasattr(record, UNHEARD):
            return
        say(self.console, record.getMessage())


def say(to: Console, sentence: str) -> None:
    """A sentence with the seconds since the start."""
    line = Text(f"{time.monotonic() - STARTED:6.1f} s  ", style="dim")
    line.append(sentence)
    to.print(line)


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


def scorecard(to: Console, rows: Sequence[ScorecardRow]) -> None:
    """The scorecard as a table of at most 80 columns."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0].cells:
        shown.add_column(name, justify="left" if name == "metric" else "right", overflow="fold")
    for row in rows:
        words = row.metric.replace(" (lower is better)", " ↓") + " (decides)" * row.decides
        shown.add_row(words, *list(row.cells.values())[1:], style="bold" if row.decides else "")
    to.print(shown, width=min(80, to.width))


def lines(to: Console, told: Sequence[tuple[str, str]]) -> None:
    """Names and texts in two columns; on a terminal a long text goes on below its beginning."""
    width = max(11, 2 + max(len(name) for name, _ in told))
    for name, text in told:
        room = to.width - width if to.is_terminal else sys.maxsize
        parts = textwrap.wrap(text, max(20, room), break_long_words=False, break_on_hyphens=False) or [""]
        to.print(Text.assemble((f"{name:{width}}", "dim"), f"\n{' ' * width}".join(parts)))


def rows(to: Console, found: Sequence[Mapping[str, str]], otherwise: str) -> None:
    """Rows with the same names as a table of at most 80 columns; a sentence where there are none."""
    if not found:
        to.print(otherwise)
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in found[0]:
        shown.add_column(name, overflow="fold")
    for row in found:
        shown.add_row(*row.values())
    to.print()
    to.print(shown, width=min(80, to.width))


def turned(to: Console, summary: dict[str, Any]) -> None:
    """What a turn of the loop came to."""
    to.print()
    if summary.get("scorecard"):
        scorecard(to, read_scorecard(summary["scorecard"]))
        to.print()
    if summary.get("decision"):
        to.print(Text(f"{summary['verdict']}: {summary['reason']}", style="bold"))
    if summary.get("outlook"):
        to.print(summary["outlook"])
    to.print(f"Live: version {summary['champion']} of {summary['problem']}.", style="green")
    to.print('Look and ask: make up    Ask once: make predict TEXT="..."    Undo: make rollback', style="dim")


def history(to: Console, story: Sequence[Line]) -> None:
    """Who was champion when (UTC), on which data, and why: a few lines for each event, oldest first, and today."""
    for at, event in enumerate(story):
        when = Text(datetime.fromisoformat(event.at).astimezone(UTC).strftime("%Y-%m-%d %H:%M"), style="dim")
        if isinstance(event, Move):
            earlier = [one for one in story[:at] if isinstance(one, Move) and one.problem == event.problem]
            told = moved(event, earlier[-1] if earlier else None)
        elif isinstance(event, Refused):
            told = [f"v{event.version} refused by {event.by}", event.why]
        else:
            told = changed(event)
        to.print(Text.assemble(when, "  ", (told[0], "bold")))
        for line in told[1:]:
            lines(to, [(" " * 16, line)])
    moves = [event for event in story if isinstance(event, Move)]
    for problem in dict.fromkeys(move.problem for move in moves):
        today(to, [move for move in moves if move.problem == problem][-1])


def moved(move: Move, last: Move | None) -> list[str]:
    """`v2 (lstm) promoted after v1, by make run`, how long the one before was live, why, and on what it stands."""
    before, after = (f"v{number}" if number else "nothing" for number in (move.before, move.after))
    model = f" ({move.evidence['model']})" if move.evidence.get("model") else ""
    told = [f"{after}{model} {move.action} after {before}, by {move.by}", move.why]
    if last is not None and move.before:
        told.append(f"{before} had been live for {span(last.at, move.at)}.")
    if move.evidence.get("data_version"):
        data, commit = move.evidence["data_version"][:8], move.evidence.get("git_commit", "unknown")[:8]
        told.append(f"data {data}, code {commit}")
    return told


def changed(change: DataChange) -> list[str]:
    """`data 6291fb1b (film-reviews, 12,808 rows) after 1f3c..., by ana`, and what follows."""
    was = f" after {change.before[:8]}" if change.before else ""
    return [
        f"data {change.after[:8]} ({change.problem}, {change.rows:,} rows){was}, by {change.by}",
        change.why,
    ]


def today(to: Console, last: Move) -> None:
    """The end of the story so far."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    live = f"v{last.after} is live, for {span(last.at, now)}" if last.after else "nothing is live"
    to.print(Text.assemble(("Today (UTC)       ", "dim"), f"{last.problem}: {live}. Its lineage: make lineage"))


def span(begin: str, end: str) -> str:
    """How long it is between two moments, in the largest unit that fits: `3 days`; where a clock was set, `no time`."""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "no time"
