"""Is the accuracy that is shown of a champion true? Simulated lifetimes of the gate, with the very code that shows it.

    python -m benchmarks.bench_coverage

Lifetimes, worlds and the gate are those of bench_gate, and a world `better` in which challengers gain 0.1 points on
average. After 1, 10 and 50 turns the champion's accuracy on the holdout, and what ratchet/judging/selection_bias.py
makes of it, are held against the truth, which only the simulation knows.

`below`: the share of lifetimes in which the truth lies below the corrected 95% interval, `outside`: below or above it,
`bias_points`: by how much the corrected figure is too high on average, `width_points`: how much wider the interval is
than the measured one; each in the worst world, holdout and turn. `below_measured`, `bias_measured`: the same with no
correction. At most 0.025 and 0.05 are wanted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks import bench_gate
from benchmarks.bench_gate import ACCURACY, DISAGREEMENT, Holdout
from ratchet.judging import gate_memory, selection_bias
from ratchet.judging.metrics import Floats

HOLDOUTS = ((500, 6), (1_139, 6), (2_500, 0), (2_500, 200))
"""Rows at the start, and rows that join each turn."""
WORLDS = (*bench_gate.WORLDS, "better")
AFTER = (1, 10, 50)
LIFETIMES, SEED = 3_000, 777_013


@dataclass(frozen=True)
class Shown:
    """A champion of each lifetime after some turns: the measured figure less the truth, its error, and the corrected
    one with its own."""

    turn: int
    measured: Floats
    error: Floats
    corrected: Floats
    deviation: Floats

    @property
    def below_measured(self) -> float:
        return share(self.measured > selection_bias.NORMAL * self.error)

    @property
    def below(self) -> float:
        return share(self.corrected > selection_bias.NORMAL * self.deviation)

    @property
    def outside(self) -> float:
        return share(np.abs(self.corrected) > selection_bias.NORMAL * self.deviation)

    @property
    def wider(self) -> float:
        """Points."""
        return 200 * selection_bias.NORMAL * float((self.deviation - self.error).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Is the accuracy shown true?")
    parser.add_argument("--lifetimes", type=int, default=LIFETIMES)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    print(f"{asked.lifetimes:,} lifetimes; measured -> corrected: truth below its 95% interval, bias in points")
    print(f"{'rows':>6}{'a turn':>7} {'world':8}{'turn':>5}{'below':>16}{'outside':>9}{'bias':>16}{'wider':>7}")
    every = []
    for rows, fresh in HOLDOUTS:
        for world in WORLDS:
            for found in play(world, rows, fresh, asked.lifetimes, asked.seed):
                every.append(found)
                biases = (100 * float(figure.mean()) for figure in (found.measured, found.corrected))
                print(
                    f"{rows:6}{fresh:7} {world:8}{found.turn:5}{found.below_measured:8.3f} ->{found.below:6.3f}"
                    f"{found.outside:9.3f}" + "{:8.2f} ->{:6.2f}".format(*biases) + f"{found.wider:7.2f}",
                    flush=True,
                )
    bias, before = (max(100 * float(getattr(f, n).mean()) for f in every) for n in ("corrected", "measured"))
    worst = {name: max(getattr(found, name) for found in every) for name in ("below", "outside", "below_measured")}
    print(
        f"below={worst['below']:.4f} outside={worst['outside']:.4f} bias_points={bias:.3f} "
        f"width_points={max(found.wider for found in every):.3f} below_measured={worst['below_measured']:.4f} "
        f"bias_measured={before:.3f}"
    )


def play(world: str, rows: int, fresh: int, count: int, seed: int) -> Iterator[Shown]:
    """What is shown of the champions of a batch of lifetimes, after each of AFTER's turns."""
    chance, rows_chance = (np.random.default_rng([seed, rows, fresh, part]) for part in (0, 1))
    true, belief, weight = np.full(count, ACCURACY), gate_memory.prior_belief(count), selection_bias.unknowing(count)
    holdout = Holdout.of(world, true, rows_chance, rows)
    known: selection_bias.Luck | None = None
    for turn, gap in enumerate(gaps(world, count, chance), 1):
        won, lost = holdout.answered(true, gap, rows_chance)
        measured = holdout.measured(won, lost)
        promoted = measured.difference > gate_memory.required_lead(belief, measured)
        belief = gate_memory.update_belief(belief, measured, promoted)
        each = (accuracy(holdout)[1] / gate_memory.SLIDE) ** 2 * holdout.rows
        weight, stays, comes = selection_bias.after(
            weight, known or selection_bias.of_none(measured.rows, each), measured, each
        )
        known = selection_bias.Luck(
            np.where(promoted, comes.mean, stays.mean), np.where(promoted, comes.variance, stays.variance), stays.rows
        )
        true = np.where(promoted, true + gap, true)
        judged = holdout.grown(np.where(promoted, won - lost, 0), true, 0, rows_chance)
        if turn in AFTER:
            value, error = accuracy(judged)
            high, deviation = selection_bias.shown(weight, known, error)
            yield Shown(turn, value - true, error, value - high - true, deviation)
        holdout = judged.grown(0 * won, true, fresh, rows_chance)


def gaps(world: str, count: int, chance: np.random.Generator) -> Floats:
    """True differences of each turn's challengers."""
    if world != "better":
        return bench_gate.differences(world, count, chance)
    gained: Floats = np.clip(chance.normal(0.1, 0.6, (max(AFTER), count)) / 100, -DISAGREEMENT, DISAGREEMENT)
    return gained


def accuracy(holdout: Holdout) -> tuple[Floats, Floats]:
    """The champion's on these rows, and the standard error that a bootstrap over the groups has."""
    value = (holdout.right * holdout.size).sum(axis=0) / holdout.rows
    error: Floats = np.sqrt(value * (1 - value) * (holdout.size**2 * holdout.groups).sum()) / holdout.rows
    return value, error


def share(happened: np.ndarray) -> float:
    return float(happened.mean())


if __name__ == "__main__":
    main()
