"""How fast does the service answer, and what does it bear?

    make bench-serve

A project of its own is made from the film reviews, with both models built. Everything is asked over HTTP by one load
generator (benchmarks/load.py) in a process of its own, which shares the two cores with what it asks; every text is
another. Ratios come from one run on one machine, each server's figure being the best of several numbers of clients.

    mlflow        `mlflow models serve` of the champion, one text a request to /invocations
    ours          the service, the same texts to /predict, with its log written as always
    p99_added     latency at half of that peak, open loop, 99th percentile, less the model's own median for one text
    batch         256 texts a request by four clients, in rows a second, over the same model in this process
    lstm          64 clients: the service with batches over the service that answers one text at a time
    start         from the start of the process to the first answer
    swap          a steady half of the peak for SECONDS, once with the alias left alone and once with ten moves
    overload      five times the clients of the peak; and so with room for 64 requests at a time, clients that come back
                  at once when they are told to wait, and clients that wait as they are told

The last line is `ratio_to_mlflow_serve=... batch_share=... p99_added_ms=... swap_failed=...` and more.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

import httpx
import numpy as np
import psutil

import models
from benchmarks.load import Found, Plan
from ratchet.serving.answering import lineup
from tests.support.ports import free_ports
from tests.support.project import Project
from tests.support.service import served

SECONDS = float(os.environ.get("SECONDS", "60"))
SHORT = 5.0
PARAMS = """\
problem: film-reviews
data: {text: quote, label: verdict, group: film}
build: {candidates: [linear], minutes: 4}
evaluate: {metric: accuracy}
"""
ALONE = """
from functools import partial
from ratchet.serving.answering import service
from ratchet.serving import __main__
service.Batcher = partial(service.Batcher, texts=1)
__main__.main("flows.registry.follower")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        project = made(Path(scratch) / "project")
        texts = [json.loads(line) for line in (project.root / "texts.jsonl").read_text().rstrip("\n").split("\n")]
        bench = Bench(project, texts)
        figures = bench.all()
    print(" ".join(f"{name}={plain(value)}" for name, value in figures.items()))


def plain(value: float) -> str:
    """A figure of four digits as a plain decimal: what reads the last line need not know exponents."""
    return str(np.format_float_positional(value, precision=4, fractional=False, trim="-"))


def made(folder: Path) -> Project:
    """A project whose champion is the linear model, the same again as version 2, and the LSTM as version 3."""
    project = Project(folder)
    expect(project, "data", "EXAMPLE=film_reviews")
    project.write("params.yaml", PARAMS)
    expect(project, "run")
    expect(project, "build", "MODEL=linear")
    expect(project, "build", "MODEL=lstm")
    quotes = project.python(
        "import json, polars as pl\n"
        "for text in pl.read_csv('data/table.csv')['quote'].to_list(): print(json.dumps(text))"
    ).text
    project.write("texts.jsonl", quotes)
    return project


def expect(project: Project, *words: str) -> None:
    done = project.make(*words)
    if done.status != 0:
        raise RuntimeError(f"A step of the benchmark failed: make {' '.join(words)}\n{done.text}")


class Bench:
    """Measurements on one project."""

    def __init__(self, project: Project, texts: list[str]) -> None:
        self.project, self.texts = project, texts
        self.port = int(project.environment["SERVE_PORT"])

    def all(self) -> dict[str, float]:
        theirs = self.mlflow()
        own_ms, rows = self.in_process()
        with served(self.project) as service:
            peak, clients = self.peak()
            share = self.load(SHORT, 4, batch=256).rate * 256 / rows
            half = self.load(2 * SHORT, 64, rate=peak / 2)
            added = 1000 * half.percentile(99) - own_ms
            say(f"in process: one text {own_ms:.2f} ms, 256 at a time {rows:,.0f} rows/s")
            say(f"service: peak {peak:,.0f}/s with {clients} clients, half of it: {half}; 256 a request: {share:.0%}")
            memory = psutil.Process(service.process.pid).memory_info().rss
            crowd = self.load(SHORT, 5 * clients)
            grown = psutil.Process(service.process.pid).memory_info().rss - memory
            say(f"overload: {5 * clients} clients: {crowd}, memory +{grown / 1e6:.0f} MB")
            calm, moved = self.steady(peak / 2, 0), self.steady(peak / 2, 10)
            say(f"no swap: {calm}; ten swaps: {moved}")
        goodput = [self.bounded(5 * clients, patient) / peak for patient in (False, True)]
        say(f"overload with room for 64: goodput {goodput[0]:.0%} of peak; clients that wait as told: {goodput[1]:.0%}")
        start = self.start()
        batched, alone = self.lstm()
        say(f"start to first answer {start:.2f} s; LSTM, 64 clients: {batched:,.0f}/s, one by one {alone:,.0f}/s")
        return {
            "ratio_to_mlflow_serve": peak / theirs, "batch_share": share, "p99_added_ms": added,
            "swap_failed": moved.failed, "swap_p99_ratio": moved.percentile(99) / calm.percentile(99),
            "requests_per_s": peak, "overload_goodput": crowd.rate / peak, "start_s": start,
            "lstm_batching": batched / alone,
        }  # fmt: skip

    def mlflow(self) -> float:
        """Requests a second of MLflow's own server, at its best."""
        (port,) = free_ports(1)
        command = ["mlflow", "models", "serve", "-m", "models:/film-reviews@champion", "-p", str(port)]
        path = f"{self.project.root / '.venv' / 'bin'}:{os.environ['PATH']}"
        began = time.monotonic()
        server = subprocess.Popen(
            [*command, "--env-manager", "local"],
            env=self.project.environment | {"PATH": path, "MLFLOW_TRACKING_URI": self.project.tracking_uri},
            cwd=self.project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/ping")
            start = time.monotonic() - began
            best = max(self.load(SHORT, n, port=port, path="/invocations", form="inputs").rate for n in (1, 4, 16))
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
        say(f"mlflow models serve: {best:,.0f}/s, ready after {start:.1f} s")
        return best

    def peak(self) -> tuple[float, int]:
        """Requests a second of the service, and the number of clients, at its best."""
        self.load(1.0, 16)
        return max((self.load(SHORT, clients).rate, clients) for clients in (16, 64, 128))

    def in_process(self) -> tuple[float, float]:
        """Milliseconds of the linear model for one text (median), and its rows a second with 256 at a time."""
        place = lineup.read_last(self.project.root / "state" / "bundles" / "lineup.json").champion
        assert place is not None
        model = models.load(self.project.root / "state" / "bundles" / place.digest)
        numbered = [f"{text} {number}" for number, text in enumerate(self.texts)]
        ones = [clocked(partial(model.predict, [text])) for text in numbered[:2000]]
        began = time.perf_counter()
        for at in range(0, 40 * 256, 256):
            model.predict(numbered[at : at + 256])
        return 1000 * statistics.median(ones), 40 * 256 / (time.perf_counter() - began)

    def steady(self, rate: float, moves: int) -> Result:
        """SECONDS of a steady load, with so many moves of the alias meanwhile."""
        with self.mover() as line:
            ended = threading.Event()
            moving = threading.Thread(target=self.move, args=(line, moves, ended))
            moving.start()
            found = self.load(SECONDS, 64, rate=rate)
            ended.set()
            moving.join()
        return found

    @contextmanager
    def mover(self) -> Iterator[IO[str]]:
        """A process that has loaded MLflow, and makes the version champion whose number it reads: its input."""
        code = (
            "import sys, mlflow\nclient = mlflow.MlflowClient()\n"
            "client.get_registered_model('film-reviews')\nprint('ready', flush=True)\n"
            "for line in sys.stdin: client.set_registered_model_alias('film-reviews', 'champion', line.strip())"
        )
        with subprocess.Popen(
            [str(self.project.root / ".venv" / "bin" / "python"), "-c", code],
            env=self.project.environment | {"MLFLOW_TRACKING_URI": self.project.tracking_uri},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.project.root,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            yield process.stdin
            process.stdin.close()

    def move(self, line: IO[str], moves: int, ended: threading.Event) -> None:
        """The champion is version 2 and 1 in turn."""
        for number in range(moves):
            if ended.wait(SECONDS / (moves + 1)):
                break
            print(2 - number % 2, file=line, flush=True)

    def bounded(self, clients: int, patient: bool) -> float:
        """Requests a second that are answered when only 64 at a time may be inside."""
        self.project.write("params.yaml", PARAMS + "deploy: {limits: {waiting_mb: 1.05}}\n")
        with served(self.project):
            found = self.load(SHORT, clients, patient=patient)
        self.project.write("params.yaml", PARAMS)
        say(f"room for 64, {clients} clients: {found}")
        return found.rate

    def start(self) -> float:
        """Seconds from the start of the process to its first answer; median of 5."""
        return statistics.median(self.start_once() for _ in range(5))

    def start_once(self) -> float:
        began = time.monotonic()
        with running(self.project, [sys.executable, "-m", "ratchet.serving", "flows.registry.follower"]):
            first_answer(self.port)
            return time.monotonic() - began

    def lstm(self) -> tuple[float, float]:
        """Requests a second with the LSTM as champion: batched, and one text at a time."""
        done = self.project.python(
            "import mlflow; mlflow.MlflowClient().set_registered_model_alias('film-reviews', 'champion', '3')",
            MLFLOW_TRACKING_URI=self.project.tracking_uri,
        )
        assert done.status == 0, done.text
        found = []
        for command in (
            [sys.executable, "-m", "ratchet.serving", "flows.registry.follower"],
            [sys.executable, "-c", ALONE],
        ):
            with running(self.project, command):
                wait_until(lambda: first_answer(self.port)["version"] == "3")
                self.load(1.0, 64)
                found.append(self.load(SHORT, 64).rate)
        return found[0], found[1]

    def load(self, seconds: float, connections: int, port: int | None = None, **more: Any) -> Result:
        plan = Plan(port or self.port, seconds, connections, **more)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load"],
            input=json.dumps({"plan": asdict(plan), "texts": self.texts}),
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return Result(Found(**json.loads(done.stdout)))


class Result:
    """What a load came to."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.failed = sum(n for status, n in found.statuses.items() if status not in ("200", "503")) + found.lost
        self.refused = found.statuses.get("503", 0)

    @property
    def rate(self) -> float:
        """Requests a second that were answered."""
        return len(self.found.latencies) / self.found.seconds

    def percentile(self, share: float) -> float:
        """Seconds."""
        return float(np.percentile(self.found.latencies, share))

    def __str__(self) -> str:
        p50, p99 = 1000 * self.percentile(50), 1000 * self.percentile(99)
        told = f"{self.rate:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {self.failed} failed"
        return f"{told}, {self.refused} told to come back" if self.refused else told


@contextmanager
def running(project: Project, command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, cwd=project.root, env=project.environment | {"PYTHONPATH": str(project.root)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def first_answer(port: int) -> dict[str, Any]:
    """Ask until there is an answer."""
    while True:
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}/predict", json={"texts": ["a warm, witty film"]})
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
        except httpx.TransportError:
            pass
        time.sleep(0.01)


def wait_for(address: str) -> None:
    def answers() -> bool:
        try:
            return httpx.get(address).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        if time.monotonic() > deadline:
            raise RuntimeError("What the benchmark waits for did not happen within two minutes.")
        time.sleep(0.05)


def clocked(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    main()
