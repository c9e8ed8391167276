"""Simulated traffic for the prediction service: texts go to /predict, labels of half of the answers to /feedback.

Each text joins two training texts of one label, so the text is new and its label is known. Holdout and validation rows
are not used.
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
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.progress import Say
from ratchet.servers import servers

LABELLED = 0.5
"""Share of the answers that are labelled."""
AT_ONCE = 20
"""Texts of one request."""
MOST_TEXTS = 100_000


def send(problem: Problem, typed: str, say: Say) -> None:
    """Send texts to the service, and label half of the answers.

    Args:
        typed: number of texts, as N=...; empty for 200.

    Raises:
        Refusal: the number is not valid, no service runs, or the service does not take the texts.
    """
    count = parse_count(typed)
    running = servers.running_record(problem.here, "service")
    if running is None:
        raise Refusal("Traffic needs a prediction service.", "none runs", "Start it in another terminal: make up")
    address = f"http://{problem.here.host}:{running.port}"
    right = 0
    labelled = 0
    texts = simulate_texts(problem, count)
    for start in range(0, count, AT_ONCE):
        batch = texts[start : start + AT_ONCE]
        answers = post(f"{address}/predict", {"texts": [text for text, _ in batch]})["predictions"]
        right += sum(answer["label"] == label for answer, (_, label) in zip(answers, batch, strict=True))
        for answer, (_, label) in list(zip(answers, batch, strict=True))[: round(LABELLED * len(batch))]:
            post(f"{address}/feedback", {"id": answer["id"], "label": label})
            labelled += 1
    say(f"Asked about {count:,} made-up texts, {right / count:.1%} answered right; {labelled:,} of them are labelled.")
    say(f"What happens now: make status, {address}, and the Prefect UI.")


def parse_count(typed: str) -> int:
    """The number of texts.

    Args:
        typed: as N=...; empty for 200.

    Raises:
        Refusal: it is no number from 1 to MOST_TEXTS.
    """
    try:
        count = int(typed or 200)
    except ValueError:
        count = 0
    if not 1 <= count <= MOST_TEXTS:
        raise Refusal(f"N is a number of texts from 1 to {MOST_TEXTS:,}.", typed, "make traffic N=200")
    return count


def simulate_texts(problem: Problem, count: int) -> list[tuple[str, str]]:
    """Texts with their labels, different at each call."""
    rng = random.Random()
    table = next(frame.select("text", "label") for frame in rows.load_prepared(problem).side("train") if frame.height)
    by_label = {label: table.filter(pl.col("label") == label)["text"].to_list() for label in table["label"].unique()}
    labels = rng.choices(table["label"].to_list(), k=count)
    return [(f"{rng.choice(by_label[label])} {rng.choice(by_label[label])}", label) for label in labels]


def post(address: str, content: dict[str, Any]) -> Any:
    token = os.environ.get("RATCHET_TOKEN", "")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(address, json.dumps(content).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)
    except (urllib.error.URLError, OSError) as error:
        raise Refusal("The service must take the texts.", str(error), "Look at it: make status") from None
