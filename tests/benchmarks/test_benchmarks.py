"""Every benchmark, at the smallest size that it has, runs to its end and closes with the figures that it promises.

What the figures are is no matter here: README's come from the whole runs. A benchmark that nobody runs rots.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

YEAR = (
    "accuracy_never accuracy_always accuracy_higher accuracy_point accuracy_ours false_promotions_ours "
    "worst_promotion_ours"
)
PROMISED = {
    "bench-text": "mb_per_s",
    "bench-validate": "checks_per_s",
    "bench-gate": "slide gain_share",
    "bench-coverage": "below outside bias_points width_points",
    "bench-trial": "bad_rejected equal_rejected split_rows",
    "bench-loop": "fixed_s slope",
    "bench-serve": "ratio_to_mlflow_serve batch_share p99_added_ms swap_failed",
    "bench-feedback": "p50_s p99_s",
    "bench-labels": "chosen_rows random_rows",
    "bench-drift": "false_alarms months",
    "bench-scale": "exponent peak_gib",
    "bench-year": YEAR,
}
"""The names that the last line holds at least, by make target; outside scripts read them."""
COMMANDS = {
    "bench-text": ["bench_text"],
    "bench-validate": ["bench_validate", "2000"],
    "bench-gate": ["bench_gate", "--lifetimes", "20"],
    "bench-coverage": ["bench_coverage", "--lifetimes", "10"],
    "bench-trial": ["bench_trial"],
    "bench-loop": ["bench_loop"],
    "bench-serve": ["bench_serve"],
    "bench-feedback": ["bench_feedback"],
    "bench-labels": ["bench_labels"],
    "bench-drift": ["bench_drift", "1"],
    "bench-scale": ["bench_scale"],
    "bench-year": ["bench_year"],
}
SMALLEST = {
    "TRIALS": "4", "ROUNDS": "1", "SECONDS": "1", "SEEDS": "1", "SIZES": "1200 2400", "RANDOM_ROWS": "500",
}  # fmt: skip
QUICK = ("bench-text", "bench-validate", "bench-gate", "bench-coverage", "bench-trial")
EVERY = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in PROMISED]


@pytest.mark.parametrize("target", EVERY)
def test_a_benchmark_runs_and_closes_with_its_figures(target: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{COMMANDS[target][0]}", *COMMANDS[target][1:]],
        cwd=ROOT,
        env=os.environ | SMALLEST | {"RATCHET_STATE": str(tmp_path / "state"), "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1_800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    figures = dict(pair.split("=") for pair in last.split())
    assert set(PROMISED[target].split()) <= set(figures), last
    for name, value in figures.items():
        assert re.fullmatch(r"-?\d+(\.\d+)?", value), f"{name} is no plain decimal: {value}"


def test_every_benchmark_is_a_target_and_every_target_is_held_here() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(bench-[a-z]+):", makefile, re.MULTILINE))
    assert targets - {"bench-quality"} == set(PROMISED)
    for target, command in COMMANDS.items():
        assert re.search(rf"^{target}:.*\n\t@\$\(PY\) -m benchmarks\.{command[0]}\b", makefile, re.MULTILINE), target
