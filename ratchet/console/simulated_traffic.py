"""Made-up traffic, to see the loop turn: fresh texts for the service, and what is right for a part of them.

Each text joins two training texts that have one label, so it is a new one and its label is known; nothing of the rows
that judge is in it. A part of the answers is labelled through /feedback, as a program or a person would.
"""

from __future__ import annotations

import json
import os
import random
import urllib.error
import urllib.request
from typing import Any

import polars as pl

from ratchet.data.prepare import rows
from ratchet.project.errors import Refusal
from ratchet.project.problem import Problem
from ratchet.project.progress import Say
from ratchet.servers import servers

LABELLED = 0.5
"""Share of the answers that are labelled."""
AT_ONCE = 20
"""Texts of one request."""
MOST = 100_000


def send(problem: Problem, typed: str, say: Say) -> None:
    """Ask the service about so many texts, and label half of the answers.

    Raises:
        Refusal: the number is none, no service runs, or it does not take the texts.
    """
    count = number(typed)
    running = servers.ours(problem.here, "service")
    if running is None:
        raise Refusal("Traffic needs a prediction service.", "none runs", "Start it in another terminal: make up")
    address, right, labelled = f"http://{problem.here.host}:{running.port}", 0, 0
    texts = made_up(problem, count)
    for start in range(0, count, AT_ONCE):
        some = texts[start : start + AT_ONCE]
        answers = post(f"{address}/predict", {"texts": [text for text, _ in some]})["predictions"]
        right += sum(answer["label"] == label for answer, (_, label) in zip(answers, some, strict=True))
        for answer, (_, label) in list(zip(answers, some, strict=True))[: round(LABELLED * len(some))]:
            post(f"{address}/feedback", {"id": answer["id"], "label": label})
            labelled += 1
    say(f"Asked about {count:,} made-up texts, {right / count:.1%} answered right; {labelled:,} of them are labelled.")
    say(f"What happens now: make status, {address}, and the Prefect UI.")


def number(typed: str) -> int:
    """Args: typed: as N=...; empty for 200.

    Raises:
        Refusal: it is no number from 1 to MOST.
    """
    try:
        count = int(typed or 200)
    except ValueError:
        count = 0
    if not 1 <= count <= MOST:
        raise Refusal(f"N is a number of texts from 1 to {MOST:,}.", typed, "make traffic N=200")
    return count


def made_up(problem: Problem, count: int) -> list[tuple[str, str]]:
    """So many texts with their labels; others each time."""
    chance = random.Random()
    table = next(frame.select("text", "label") for frame in rows.prepared(problem).side("train") if frame.height)
    by_label = {label: table.filter(pl.col("label") == label)["text"].to_list() for label in table["label"].unique()}
    labels = chance.choices(table["label"].to_list(), k=count)
    return [(f"{chance.choice(by_label[label])} {chance.choice(by_label[label])}", label) for label in labels]


def post(address: str, content: dict[str, Any]) -> Any:
    token = os.environ.get("RATCHET_TOKEN", "")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(address, json.dumps(content).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)
    except (urllib.error.URLError, OSError) as error:
        raise Refusal("The service must take the texts.", str(error), "Look at it: make status") from None
