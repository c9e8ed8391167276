"""What does the loop cost over a bare script with the same fits and scores?

    make bench-loop

Two tables of different size are made from the film reviews (pairs of quotes with the same verdict). For each, whole
processes are timed by wall clock: `python -m benchmarks.bare`, which fits and scores the candidates in turn, and
`make run` in a project of its own, with the state of an earlier set-up (a Prefect and an MLflow database exist, as
they do on every run but the very first). Then loop = fixed + slope x bare goes through the two points. Each time is the
median of ROUNDS runs. The last line is `fixed_s=... slope=...`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from ratchet.data import examples
from tests.support.project import Project

ROWS = [int(rows) for rows in os.environ.get("SIZES", "6000 24000").split()]
ROUNDS = int(os.environ.get("ROUNDS", "1"))
MODELS = ("majority", "linear", "lstm")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "package").mkdir()
        quotes = examples.get("film_reviews").build(folder / "package")
        points = [measure(folder, quotes, rows) for rows in ROWS]
    (bare_small, loop_small), (bare_large, loop_large) = points
    slope = (loop_large - loop_small) / (bare_large - bare_small)
    print(f"fixed_s={loop_small - slope * bare_small:.1f} slope={slope:.2f}")


def measure(folder: Path, quotes: pl.DataFrame, rows: int) -> tuple[float, float]:
    """Seconds of the bare script and of the loop on a table of that many rows."""
    path = folder / f"table-{rows}.csv"
    table(quotes, rows).write_csv(path)
    (folder / str(rows)).mkdir()
    project = Project(folder / str(rows) / "project")
    expect(project.make("data", f"SOURCE={path}", "TEXT=text", "LABEL=label", "NAME=bench").status == 0)
    expect(project.make("build", "MODEL=majority").status == 0)  # the databases exist from here on
    bare = [clocked(lambda: bare_script(path)) for _ in range(ROUNDS)]
    loop = []
    for _ in range(ROUNDS):
        (project.root / "state" / "last-turn.json").unlink(missing_ok=True)
        loop.append(clocked(lambda: expect(project.make("run").status == 0)))
    print(
        f"{rows:,} rows: bare script {statistics.median(bare):.1f} s, make run {statistics.median(loop):.1f} s",
        flush=True,
    )
    return statistics.median(bare), statistics.median(loop)


def bare_script(path: Path) -> None:
    words = [sys.executable, "-m", "benchmarks.bare", str(path), "text", "label", *MODELS]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def table(quotes: pl.DataFrame, rows: int) -> pl.DataFrame:
    """That many texts, no two alike: each joins two quotes of one verdict."""
    picked = []
    for verdict in ("fresh", "rotten"):
        own = quotes.filter(pl.col("verdict") == verdict)["quote"]
        first, second = (own.sample(rows // 2, with_replacement=True, seed=seed) for seed in (1, 2))
        picked.append(pl.DataFrame({"text": first + " " + second, "label": [verdict] * (rows // 2)}))
    return pl.concat(picked).sample(fraction=1.0, shuffle=True, seed=3)


def clocked(job: Callable[[], None]) -> float:
    started = time.monotonic()
    job()
    return time.monotonic() - started


def expect(held: bool) -> None:
    if not held:
        raise RuntimeError("A step of the benchmark failed; run it by hand in a fresh clone to see why.")


if __name__ == "__main__":
    main()
