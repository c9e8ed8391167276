"""Does the gate keep its two promises over a lifetime? It is judged by simulation, with the very code that decides.

    python -m benchmarks.bench_gate

A lifetime is TURNS challengers, each of which disagrees with the champion of its time on DISAGREEMENT of the rows and
is truly better or worse by what its world says. The holdout is played row by row: a challenger wins some of the rows
that the champion has wrong and loses some of those that it has right, so a champion that was lucky on these rows stays
lucky, and FRESH new rows join each turn. (Rows on which a champion is equally right are alike, so counts of them are
the rows themselves.) The gate sees what production sees: difference, standard error, pull, rows, and its own history.

`slide`: the share of lifetimes in which the champion's true score ever falls more than 0.5 points below the best it
had; the worst world counts. `gain_share`: the mean true gain of a lifetime over that of 'higher score wins' (z = 0) in
the mixed world, on the same challengers and the same first rows. Worlds are in points of accuracy:

    null    all challengers are equal
    mixed   normal, mean -0.2, deviation 0.6
    worse   all are worse, by the size of a normal of deviation 0.6
    rare    as worse, but one in twenty is 2 points better
    drift   mixed for the first half, worse from then on
    groups  mixed, with rows right and wrong by groups of 1, 2, 3 and 3: the standard error is 1.6 times the row-wise

Ours is played as it is in production: the holdout has SLICES slices, short, middling and long texts, on which every
challenger is as much better or worse as on the whole, and each may keep it out (ratchet/judging/slices.py).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ratchet.judging import bootstrap, gate_memory
from ratchet.judging import slices as slice_harm
from ratchet.judging.class_metrics import METRICS
from ratchet.judging.gate_memory import Belief, Measured
from ratchet.judging.metrics import Floats, Ints

TURNS, ROWS, FRESH = 50, 2_500, 200
ACCURACY, DISAGREEMENT = 0.8, 0.08
LIFETIMES, AT_ONCE = 10_000, 500
SEED = 2_026
WORLDS = ("null", "mixed", "worse", "rare", "drift", "groups")
CONSTANTS = (0.0, 0.5, 1.0, 1.28, 1.64, 2.0)
SLICES = 3

Gate = Callable[[Belief, Measured], Floats]
"""The difference that is asked of a challenger."""


@dataclass(frozen=True)
class Outcome:
    """slid: for each lifetime, whether it ever fell. gained: true points over the lifetime."""

    slid: np.ndarray
    gained: Floats


def main() -> None:
    """Play the constant thresholds and the gate in every world, print the frontier."""
    parser = argparse.ArgumentParser(description="The gate over lifetimes")
    parser.add_argument("--lifetimes", type=int, default=LIFETIMES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--fresh", type=int, default=FRESH, help="rows that join the holdout each turn")
    asked = parser.parse_args()
    began = time.monotonic()
    print(f"{asked.lifetimes:,} lifetimes a world, {TURNS} turns, {ROWS:,} rows and {asked.fresh} a turn; slides:")
    print(f"{'gate':>8}" + "".join(f"{world:>8}" for world in WORLDS) + f"{'worst':>8}{'gain':>8}")
    few = min(asked.lifetimes, 4_000)
    highest = {at: mean_gain(play("mixed", constant(0), at, asked.seed, asked.fresh)) for at in {few, asked.lifetimes}}
    for errors in CONSTANTS:
        show(f"z={errors:g}", constant(errors), few, asked.seed, asked.fresh, highest[few])
    ours = ("ours", gate_memory.required_lead, asked.lifetimes, asked.seed, asked.fresh, highest[asked.lifetimes])
    show("no slice", *ours[1:])
    slide, share = show(*ours, slices=SLICES)
    print(f"'Higher score wins' gains {highest[asked.lifetimes]:.2f} points; {time.monotonic() - began:.0f} s in all.")
    print(f"slide={slide:.4f} gain_share={share:.4f}")


def show(
    name: str, gate: Gate, lifetimes: int, seed: int, fresh: int, highest: float, slices: int = 0
) -> tuple[float, float]:
    """Play a gate in every world, print its line; its worst slide and its share of the highest gain."""
    played = {world: play(world, gate, lifetimes, seed, fresh, slices) for world in WORLDS}
    slides = [float(outcome.slid.mean()) for outcome in played.values()]
    share = mean_gain(played["mixed"]) / highest
    print(f"{name:>8}" + "".join(f"{slide:8.3f}" for slide in (*slides, max(slides), share)), flush=True)
    return max(slides), share


def mean_gain(outcome: Outcome) -> float:
    return float(outcome.gained.mean())


def constant(errors: float) -> Gate:
    """The usual gate: that many standard errors, whatever was seen."""
    return lambda _, measured: errors * measured.error


def play(
    world: str, gate: Gate, lifetimes: int = LIFETIMES, seed: int = SEED, fresh: int = FRESH, slices: int = 0
) -> Outcome:
    """Lifetimes in a world, a batch at a time; the same seed gives every gate the same challengers."""
    sizes = [min(AT_ONCE, lifetimes - done) for done in range(0, lifetimes, AT_ONCE)]
    learns = gate is gate_memory.required_lead
    limit = typical_limit(slices) if slices else 0.0
    batches = [lives(world, gate, size, (seed, at), fresh, learns, slices, limit) for at, size in enumerate(sizes)]
    slid, gained = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Outcome(slid, gained)


def lives(
    world: str, gate: Gate, count: int, seed: tuple[int, int], fresh: int, learns: bool, slices: int, limit: float
) -> tuple[np.ndarray, Floats]:
    """A batch of lifetimes: which slid, and what each gained in points."""
    chance, rows_chance, slice_chance = (np.random.default_rng([*seed, part]) for part in (0, 1, 2))
    true = np.full(count, ACCURACY)
    best, slid, belief = true, np.zeros(count, bool), gate_memory.prior_belief(count)
    holdout = Holdout.of(world, true, rows_chance)
    for gap in differences(world, count, chance):
        won, lost = holdout.answered(true, gap, rows_chance)
        measured = holdout.measured(won, lost)
        promoted = measured.difference > gate(belief, measured)
        if slices:
            promoted &= ~holdout.vetoed(won, lost, slices, limit, slice_chance)
        if learns:
            belief = gate_memory.update_belief(belief, measured, promoted)
        true = np.where(promoted, true + gap, true)
        best = np.maximum(best, true)
        slid = slid | (true < best - gate_memory.SLIDE - 1e-12)
        holdout = holdout.grown(np.where(promoted, won - lost, 0), true, fresh, rows_chance)
    return slid, 100 * (true - ACCURACY)


def differences(world: str, count: int, chance: np.random.Generator) -> Floats:
    """True differences of each turn's challengers to the champion that they meet, shape (turns, lifetimes)."""
    mixed, worse = chance.normal(-0.2, 0.6, (TURNS, count)), -np.abs(chance.normal(0, 0.6, (TURNS, count)))
    big, late = chance.random((TURNS, count)) < 0.05, np.arange(TURNS)[:, None] >= TURNS // 2
    made = {
        "null": np.zeros_like(mixed), "mixed": mixed, "groups": mixed, "worse": worse,
        "rare": np.where(big, 2.0, worse), "drift": np.where(late, worse, mixed),
    }  # fmt: skip
    points: Floats = made[world]
    return np.clip(points / 100, -DISAGREEMENT, DISAGREEMENT)


@dataclass(frozen=True)
class Holdout:
    """The rows that judge, in groups whose rows go together.

    size: of the groups of each kind, shape (kinds, 1). groups: how many there are of each kind. right: on how many the
    champion is right, shape (kinds, lifetimes).
    """

    size: Ints
    groups: Ints
    right: Ints

    @classmethod
    def of(cls, world: str, true: Floats, chance: np.random.Generator, rows: int = ROWS) -> Holdout:
        size = np.array([[1], [2], [3]] if world == "groups" else [[1]])
        groups = spread(rows, size)
        return cls(size, groups, chance.binomial(groups, np.broadcast_to(true, (len(size), len(true)))))

    @property
    def rows(self) -> int:
        return int((self.size * self.groups).sum())

    def answered(self, true: Floats, gap: Floats, chance: np.random.Generator) -> tuple[Ints, Ints]:
        """How many groups a challenger wins of those the champion has wrong, and loses of those it has right."""
        wins, losses = ((DISAGREEMENT + side) / 2 for side in (gap, -gap))
        won = chance.binomial(self.groups - self.right, np.minimum(1, wins / (1 - true)))
        return won, chance.binomial(self.right, np.minimum(1, losses / true))

    def measured(self, won: Ints, lost: Ints) -> Measured:
        """What the gate is told: for 0 and 1 outcomes the bootstrap over groups comes to these sums."""
        wrong, right = (self.groups - self.right).sum(axis=0), self.right.sum(axis=0)
        pull = won.sum(axis=0) / np.maximum(wrong, 1) + lost.sum(axis=0) / np.maximum(right, 1)
        difference = ((won - lost) * self.size).sum(axis=0) / self.rows
        error = np.sqrt(((won + lost) * self.size**2).sum(axis=0)) / self.rows
        return Measured(difference, error, pull, np.full(len(pull), float(self.rows)))

    def vetoed(self, won: Ints, lost: Ints, slices: int, limit: float, chance: np.random.Generator) -> np.ndarray:
        """Whether any of so many slices of one size speaks against the challenger, as harm.py has it of such counts."""
        won, lost = (chance.multinomial(counts, np.full(slices, 1 / slices)) for counts in (won, lost))
        size, rows = self.size[:, :, None], self.rows / slices
        ahead = ((won - lost) * size).sum(axis=0) / rows
        spread = np.sqrt(((won + lost) * size**2).sum(axis=0)) / rows
        harmed: np.ndarray = (ahead + limit * spread < -gate_memory.SLIDE).any(axis=-1)
        return harmed

    def grown(self, change: Ints, true: Floats, fresh: int, chance: np.random.Generator) -> Holdout:
        """The holdout of the next turn: the champion of now on these rows, and on the fresh ones."""
        more = spread(fresh, self.size)
        found = chance.binomial(more, np.broadcast_to(true, self.right.shape))
        return Holdout(self.size, self.groups + more, self.right + change + found)


def typical_limit(slices: int) -> float:
    """How far off a slice must be, in its spreads: the product's own figure for two models of this benchmark."""
    chance, rows = np.random.default_rng(SEED), np.arange(ROWS)
    right = chance.random(ROWS) < ACCURACY
    other = right ^ (chance.random(ROWS) < DISAGREEMENT)
    one, two = (np.where(known[:, None], [0.8, 0.2], [0.2, 0.8]) for known in (right, other))
    parts = [rows % slices == at for at in range(slices)]
    true = np.zeros(ROWS, np.int64)
    return slice_harm.max_t_limit(
        bootstrap.swap_differences(METRICS["accuracy"], true, one, two, rows, parts, swaps=slice_harm.SWAPS, seed=SEED)
    )


def spread(rows: int, size: Ints) -> Ints:
    """How many groups of each size make that many rows; there are twice as many of 3 as of 1 and of 2."""
    if len(size) == 1:
        return np.array([[rows]])
    share = np.array([[1], [1], [2]])
    groups: Ints = np.rint(rows * share / (share * size).sum()).astype(np.int64)
    return groups


if __name__ == "__main__":
    main()
