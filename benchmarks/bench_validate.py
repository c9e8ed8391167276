"""How many rule checks a second the raw border makes: `python -m benchmarks.bench_validate [rows]`.

Method: the film reviews, resampled with replacement to 500,000 rows (seed 0) and every text given its own
number at the end, so that no step can profit from copies. One pass is everything a table goes through at
the border: measuring the facts of every row, and the suite `raw` of Great Expectations over them. Starting
Great Expectations is not counted. A check is one rule about rows applied to one row (rules about the whole
table are done and not counted). The figure is the median of five passes on one machine, in checks a second.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

import expectations
from ratchet import tasks
from ratchet.data import examples
from ratchet.data.prepare.table_facts import measure_table
from ratchet.data.tables.row_store import BATCH

ROWS, PASSES = 500_000, 5


def table(rows: int) -> pl.DataFrame:
    """Film reviews under the canonical names, each text distinct."""
    example = examples.get("film_reviews")
    with tempfile.TemporaryDirectory() as folder:
        reviews = example.build(Path(folder))
    drawn = reviews.select(text="quote", label="verdict", group="film").sample(rows, with_replacement=True, seed=0)
    number = pl.int_range(pl.len()).cast(pl.String)
    return drawn.with_columns(pl.concat_str("text", pl.lit(" "), number))


def one_pass(frame: pl.DataFrame) -> tuple[float, float, int]:
    """Seconds for the facts, seconds for the suite, and rules about rows."""
    task = tasks.get("classify")
    rules = expectations.rules_of(task, ("fresh", "rotten"), grouped=True)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        facts = measure_table(frame.iter_slices(BATCH), Path(folder), task)
        measured = time.perf_counter()
        verdict = expectations.check_slices(facts.slices(expectations.SLICE), "raw", rules)
        seconds = (measured - start, time.perf_counter() - measured)
    return *seconds, sum(check.unexpected is not None for check in verdict.checks)


def main() -> None:
    frame = table(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    one_pass(frame.head(1_000))
    passes = [one_pass(frame) for _ in range(PASSES)]
    rules = passes[0][2]
    facts_s, suite_s = (statistics.median(figures) for figures in list(zip(*passes, strict=True))[:2])
    rate = statistics.median(frame.height * rules / (facts + suite) for facts, suite, _ in passes)
    print(f"{frame.height:,} rows x {rules} row rules; medians: facts {facts_s:.2f} s, suite {suite_s:.2f} s")
    print(f"checks_per_s={rate:.0f}")


if __name__ == "__main__":
    main()
