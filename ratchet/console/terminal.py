"""Terminal output: log lines of the flows, scorecard, decision, history and next step.

The output is plain text if it is no terminal or NO_COLOR is set. Tables are at most 80 columns wide.
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
from ratchet.project.progress import LOG_ONLY
from ratchet.state.ledger import DataChange, Line, Move, Refused

FLOWS = str(ROOT / "flows")
STARTED = time.monotonic()


class Listener(logging.Handler):
    """Prints the log lines of the flows with the seconds since the start; Prefect's own lines stay in its UI."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        if not record.pathname.startswith(FLOWS) or record.exc_info:  # a traceback stays in Prefect's UI
            return
        if hasattr(record, LOG_ONLY):
            return
        print_with_time(self.console, record.getMessage())


def print_with_time(to: Console, sentence: str) -> None:
    """Print a sentence with the seconds since the start."""
    line = Text(f"{time.monotonic() - STARTED:6.1f} s  ", style="dim")
    line.append(sentence)
    to.print(line)


def console() -> Console:
    """A console that prints texts as they are: brackets in the data are no markup."""
    return Console(highlight=False, soft_wrap=True, markup=False)


def redirect_stderr(log: Path) -> None:
    """Redirect file descriptor 2, to which C libraries write, into a log; Python's stderr still reaches the terminal.

    TensorFlow reports missing graphics cards on file descriptor 2, and no setting prevents that.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 2)


def print_flow_logs(to: Console) -> None:
    """Print the log lines of flows and tasks from now on."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(Listener(to))


def print_scorecard(to: Console, rows: Sequence[ScorecardRow]) -> None:
    """Print the scorecard as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0].cells:
        table.add_column(name, justify="left" if name == "metric" else "right", overflow="fold")
    for row in rows:
        words = row.metric.replace(" (lower is better)", " ↓") + " (decides)" * row.decides
        table.add_row(words, *list(row.cells.values())[1:], style="bold" if row.decides else "")
    to.print(table, width=min(80, to.width))


def print_pairs(to: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and texts in two columns; on a terminal a long text is wrapped within its column."""
    width = max(11, 2 + max(len(name) for name, _ in pairs))
    for name, text in pairs:
        room = to.width - width if to.is_terminal else sys.maxsize
        parts = textwrap.wrap(text, max(20, room), break_long_words=False, break_on_hyphens=False) or [""]
        to.print(Text.assemble((f"{name:{width}}", "dim"), f"\n{' ' * width}".join(parts)))


def print_rows(to: Console, records: Sequence[Mapping[str, str]], otherwise: str) -> None:
    """Print records with the same keys as a table, or the sentence `otherwise` if there are none."""
    if not records:
        to.print(otherwise)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in records[0]:
        table.add_column(name, overflow="fold")
    for row in records:
        table.add_row(*row.values())
    to.print()
    to.print(table, width=min(80, to.width))


def print_turn(to: Console, summary: dict[str, Any]) -> None:
    """Print the result of a turn of the loop."""
    to.print()
    if summary.get("scorecard"):
        print_scorecard(to, read_scorecard(summary["scorecard"]))
        to.print()
    if summary.get("decision"):
        to.print(Text(f"{summary['verdict']}: {summary['reason']}", style="bold"))
    if summary.get("outlook"):
        to.print(summary["outlook"])
    to.print(f"Live: version {summary['champion']} of {summary['problem']}.", style="green")
    to.print('Look and ask: make up    Ask once: make predict TEXT="..."    Undo: make rollback', style="dim")


def print_history(to: Console, story: Sequence[Line]) -> None:
    """Print which version was champion when (UTC), on which data, and why: oldest event first, then today."""
    for index, event in enumerate(story):
        time_text = Text(datetime.fromisoformat(event.at).astimezone(UTC).strftime("%Y-%m-%d %H:%M"), style="dim")
        if isinstance(event, Move):
            earlier = [line for line in story[:index] if isinstance(line, Move) and line.problem == event.problem]
            sentences = move_sentences(event, earlier[-1] if earlier else None)
        elif isinstance(event, Refused):
            sentences = [f"v{event.version} refused by {event.by}", event.why]
        else:
            sentences = change_sentences(event)
        to.print(Text.assemble(time_text, "  ", (sentences[0], "bold")))
        for sentence in sentences[1:]:
            print_pairs(to, [(" " * 16, sentence)])
    moves = [event for event in story if isinstance(event, Move)]
    for problem in dict.fromkeys(move.problem for move in moves):
        print_live(to, [move for move in moves if move.problem == problem][-1])


def move_sentences(move: Move, last: Move | None) -> list[str]:
    """`v2 (lstm) promoted after v1, by make run`, the reason, how long the version before was live, data and code."""
    before, after = (f"v{number}" if number else "nothing" for number in (move.before, move.after))
    model = f" ({move.evidence['model']})" if move.evidence.get("model") else ""
    sentences = [f"{after}{model} {move.action} after {before}, by {move.by}", move.why]
    if last is not None and move.before:
        sentences.append(f"{before} had been live for {span(last.at, move.at)}.")
    if move.evidence.get("data_version"):
        data = move.evidence["data_version"][:8]
        commit = move.evidence.get("git_commit", "unknown")[:8]
        sentences.append(f"data {data}, code {commit}")
    return sentences


def change_sentences(change: DataChange) -> list[str]:
    """`data 6291fb1b (film-reviews, 12,808 rows) after 1f3c..., by ana`, and the reason."""
    before = f" after {change.before[:8]}" if change.before else ""
    return [
        f"data {change.after[:8]} ({change.problem}, {change.rows:,} rows){before}, by {change.by}",
        change.why,
    ]


def print_live(to: Console, last: Move) -> None:
    """Print what is live now, and for how long."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    live = f"v{last.after} is live, for {span(last.at, now)}" if last.after else "nothing is live"
    to.print(Text.assemble(("Today (UTC)       ", "dim"), f"{last.problem}: {live}. Its lineage: make lineage"))


def span(begin: str, end: str) -> str:
    """The time between two moments in the largest unit that fits, e.g. `3 days`; `no time` if it is negative."""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "no time"
