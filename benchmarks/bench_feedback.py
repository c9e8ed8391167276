"""From feedback to the next version: how long, and where does the time go?

    make bench-feedback

A project of its own with the film reviews, a linear champion, and `make up`. Each round asks the service about fresh
texts (two quotes of one verdict), and gives as many labels as begin a turn. The clock runs from the answer to the last
of them until the turn's decision is carried out and the service answers with the version that is live then. All
validation is in it. ROUNDS rounds; the last line is `p50_s=... p99_s=...` (with few rounds p99 is the slowest).
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from benchmarks.bench_loop import expect, table
from ratchet.data import examples
from tests.support.project import Project

ROUNDS = int(os.environ.get("ROUNDS", "12"))
LABELS = 50
PATIENCE = 120
PARAMS = """
optimise: {labels: 50, cooldown: 0, turns: 100000, drift: false}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "package").mkdir()
        quotes = examples.get("film_reviews").build(folder / "package")
        texts = table(quotes, 2 * LABELS * (ROUNDS + 1)).iter_rows()
        project = turned(folder / "project")
        spent: dict[str, list[float]] = defaultdict(list)
        with up(project):
            for number in range(ROUNDS + 1):
                found = one_round(project, [next(texts) for _ in range(LABELS)])
                if number:  # the first loads what every later one has
                    print("  ".join(f"{part} {seconds:.1f}" for part, seconds in found.items()), flush=True)
                    for part, seconds in found.items():
                        spent[part].append(seconds)
    print("median seconds: " + ", ".join(f"{part} {statistics.median(each):.1f}" for part, each in spent.items()))
    whole = spent["in all"]
    print(f"p50_s={statistics.median(whole):.1f} p99_s={np.quantile(whole, 0.99):.1f}")


def turned(folder: Path) -> Project:
    """A project whose champion is linear."""
    project = Project(folder)
    expect(project.make("data", "EXAMPLE=film_reviews").status == 0)
    params = (project.root / "params.yaml").read_text().partition("optimise:")[0]
    project.write("params.yaml", params.replace("[majority, linear, lstm]", "[linear]") + PARAMS)
    expect(project.make("run").status == 0)
    return project


@contextmanager
def up(project: Project) -> Iterator[None]:
    log = project.root / "state" / "up.log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["make", "up"], cwd=project.root, env=project.environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        until(lambda: "Ctrl-C ends them all" in log.read_text(), "make up is up")
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()


def one_round(project: Project, rows: list[tuple[str, str]]) -> dict[str, float]:
    """Seconds by part, and in all, from the last label to the version that is live."""
    service = f"http://127.0.0.1:{project.environment['SERVE_PORT']}"
    known, before = {run["id"] for run in runs(project)}, completed(project, "deploy")
    told = post(f"{service}/predict", {"texts": [text for text, _ in rows]})["predictions"]
    for answer, (_, label) in zip(told, rows, strict=True):
        post(f"{service}/feedback", {"id": answer["id"], "label": label})
    began = time.time()
    until(lambda: completed(project, "deploy") > before, "the turn has decided")
    live = live_version(project)
    until(lambda: f'ratchet_version{{role="champion"}} {live}.0' in read(f"{service}/metrics"), f"{live} answers")
    done = time.time()
    until(lambda: "lifecycle" in ended(project, known), "the turn has ended")
    return parts(began, done, ended(project, known))


def parts(began: float, done: float, found: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Where the time went: the turn's own look back, which comes after deploy, is in no part."""
    return {
        "notice": found["lifecycle"][0] - began,
        "take in": found["build"][0] - found["lifecycle"][0],
        "build": found["build"][1] - found["build"][0],
        "evaluate": found["evaluate"][1] - found["build"][1],
        "deploy": found["deploy"][1] - found["evaluate"][1],
        "swap": done - found["deploy"][1],
        "in all": done - began,
    }


def completed(project: Project, flow: str) -> int:
    """How many runs of a flow have ended well: asked for while the clock runs, and a list slows the server down."""
    asked = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    return int(post(f"{api(project)}/flow_runs/count", asked))


def ended(project: Project, known: set[str]) -> dict[str, tuple[float, float]]:
    """Start and end of each flow of this round that has ended, by its name."""
    found: dict[str, tuple[float, float]] = {}
    for run in runs(project):
        if run["id"] in known:
            continue
        if run["state_type"] in ("FAILED", "CRASHED"):
            raise RuntimeError(f"{run['name']}: {run['state']['message']}")
        if run["state_type"] == "COMPLETED":
            found[run["flow"]] = (moment(run["start_time"]), moment(run["end_time"]))
    return found


def runs(project: Project) -> list[dict[str, Any]]:
    """The latest flow runs, each with the name of its flow as `flow`."""
    names = {flow["id"]: flow["name"] for flow in post(f"{api(project)}/flows/filter", {})}
    found = post(f"{api(project)}/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 100})
    return [run | {"flow": names[run["flow_id"]]} for run in found]


def api(project: Project) -> str:
    return f"http://127.0.0.1:{project.environment['PREFECT_PORT']}/api"


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def live_version(project: Project) -> str:
    return str([line["after"] for line in project.ledger if line.get("kind") is None][-1])


def post(address: str, content: object) -> Any:
    """What is answered; Prefect is asked with a token, as its own clients ask it."""
    headers, (base, api, _) = {"Content-Type": "application/json"}, address.partition("/api/")
    if api:
        client = uuid4().hex
        token = json.loads(read(f"{base}/api/csrf-token?client={client}"))["token"]
        headers |= {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token}
    request = urllib.request.Request(address, json.dumps(content).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as reply:
        return str(reply.read().decode())


def until(holds: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Not within {PATIENCE} s: {what}.")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
