"""How soon does a trial on live traffic see a bad challenger, and how often does it wrong an equal one?

    make bench-trial

Labelled rows come one by one, and the trial is looked at after each (ratchet/judging/canary_test.py, the code that
decides). In the shadow both models answer each row and disagree on 8% of them. The bad challenger is 5 points worse,
the equal one wins half of the disagreements. In split traffic each row is answered by one of the two, right on 80% and
75% of theirs. TRIALS of each, of at most ROWS labelled rows (SPLIT_ROWS in split traffic). The last line is
`bad_rejected=... equal_rejected=... split_rows=...`: the shares within ROWS rows, and the labelled rows by which split
traffic has rejected 95% of the bad ones.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from ratchet.judging import canary_test

TRIALS = int(os.environ.get("TRIALS", "2000"))
ROWS, SPLIT_ROWS = 500, 20_000
DISAGREE, WORSE, RIGHT = 0.08, 0.05, 0.80

Flags = NDArray[np.bool_]


def main() -> None:
    rng = np.random.default_rng(7)
    lose = (DISAGREE + WORSE) / 2 / DISAGREE
    bad = [first_rejection(*shadow(rng, ROWS, lose)) for _ in range(TRIALS)]
    equal = [first_rejection(*shadow(rng, ROWS, 0.5)) for _ in range(TRIALS)]
    apart = [2 * first_rejection(*independent(rng, SPLIT_ROWS // 2)) for _ in range(max(1, TRIALS // 4))]
    seen = [rows for rows in bad if rows <= ROWS]
    print(f"shadow, 5 points worse: rejected in {len(seen) / TRIALS:.1%} of {TRIALS:,} trials of {ROWS} labelled rows,")
    print(f"  half of them within {np.median(seen):.0f}, 95% within {np.quantile(bad, 0.95):.0f}")
    wronged = sum(rows <= ROWS for rows in equal) / TRIALS
    print(f"shadow, equally good: rejected in {wronged:.1%}")
    print(f"split, 5 points worse: half rejected within {np.median(apart):.0f} labelled rows, 95% within ", end="")
    print(f"{np.quantile(apart, 0.95):.0f}")
    print(
        f"bad_rejected={len(seen) / TRIALS:.3f} equal_rejected={wronged:.3f} split_rows={np.quantile(apart, 0.95):.0f}"
    )


def shadow(rng: np.random.Generator, rows: int, lose: float) -> tuple[Flags, Flags]:
    """Row by row, whether the challenger alone was right, and whether the champion alone was."""
    apart = rng.random(rows) < DISAGREE
    lost = rng.random(rows) < lose
    return apart & ~lost, apart & lost


def independent(rng: np.random.Generator, pairs: int) -> tuple[Flags, Flags]:
    """The same for pairs of a row that one answered and a row that the other did."""
    champion, challenger = rng.random(pairs) < RIGHT, rng.random(pairs) < RIGHT - WORSE
    return challenger & ~champion, champion & ~challenger


def first_rejection(wins: Flags, losses: Flags) -> int:
    """After how many rows the challenger is sent back, by one who looks after each; one more than all: never."""
    won, lost, told = np.cumsum(wins), np.cumsum(losses), np.flatnonzero(wins | losses)
    for row in told:
        if canary_test.judge(int(row) + 1, int(won[row]), int(lost[row])).word == "worse":
            return int(row) + 1
    return len(wins) + 1


if __name__ == "__main__":
    main()
