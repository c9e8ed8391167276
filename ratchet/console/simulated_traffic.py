"""Simulated traffic for the prediction service: inputs go to /predict, labels of half of the answers to /feedback.

Each input is made up of training inputs of one label, so the input is new and its label is known. Holdout and
validation rows are not used.
"""

from __future__ import annotations

import json
import os
import random
import urllib.error
import urllib.request
from collections import defaultdict
from typing import Any

from ratchet.data.prepare import rows
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.progress import Say
from ratchet.servers import servers

LABELLED = 0.5
"""Share of the answers that are labelled."""
AT_ONCE = 20
"""Inputs of one request."""
MOST_INPUTS = 100_000


def send(problem: Problem, typed: str, say: Say) -> None:
    """Send inputs to the service, and label half of the answers where the service takes feedback.

    Args:
        typed: number of inputs, as N=...; empty for 200.

    Raises:
        Refusal: the number is not valid, no service runs, or the service does not take the inputs.
    """
    task, unit = problem.task, problem.task.unit
    count = parse_count(typed, unit)
    running = servers.running_record(problem.here, "service")
    if running is None:
        raise Refusal("Traffic needs a prediction service.", "none runs", "Start it in another terminal: make up")
    address = f"http://{problem.here.host}:{running.port}"
    right = 0
    labelled = 0
    inputs = simulate_inputs(problem, count)
    for start in range(0, count, AT_ONCE):
        batch = inputs[start : start + AT_ONCE]
        question = task.wire.question([each for each, _ in batch])
        answers = post(f"{address}/predict", question, unit)["predictions"]
        if task.can("right_or_wrong"):
            right += sum(answer["label"] == label for answer, (_, label) in zip(answers, batch, strict=True))
        share = LABELLED if task.can("feedback") else 0
        for answer, (_, label) in list(zip(answers, batch, strict=True))[: round(share * len(batch))]:
            post(f"{address}/feedback", task.wire.correction(answer["id"], label), unit)
            labelled += 1
    share_right = f", {right / count:.1%} answered right" if task.can("right_or_wrong") else ""
    say(f"Asked about {count:,} made-up {unit}s{share_right}; {labelled:,} of them are labelled.")
    say(f"What happens now: make status, {address}, and the Prefect UI.")


def parse_count(typed: str, unit: str) -> int:
    """The number of inputs.

    Args:
        typed: as N=...; empty for 200.
        unit: what an input is called.

    Raises:
        Refusal: it is no number from 1 to MOST_INPUTS.
    """
    try:
        count = int(typed or 200)
    except ValueError:
        count = 0
    if not 1 <= count <= MOST_INPUTS:
        raise Refusal(f"N is a number of {unit}s from 1 to {MOST_INPUTS:,}.", typed, "make traffic N=200")
    return count


def simulate_inputs(problem: Problem, count: int) -> list[tuple[str, str]]:
    """Inputs with their labels, different at each call."""
    chance = random.Random()
    table = next(frame.select("text", "label") for frame in rows.load_prepared(problem).side("train") if frame.height)
    by_label = defaultdict[str, list[str]](list)
    for text, label in table.iter_rows():
        by_label[label].append(text)
    labels = chance.choices(table["label"].to_list(), k=count)
    return [(problem.task.wire.made_up(by_label[label], chance), label) for label in labels]


def post(address: str, content: dict[str, Any], unit: str) -> Any:
    """The decoded answer to a JSON body.

    Raises:
        Refusal: there is none; `unit` is what an input is called.
    """
    token = os.environ.get("RATCHET_TOKEN", "")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(address, json.dumps(content).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)
    except (urllib.error.URLError, OSError) as error:
        raise Refusal(f"The service must take the {unit}s.", str(error), "Look at it: make status") from None
