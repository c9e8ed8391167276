"""Which policy would have been right in a year in production? They live the same simulated years.

    make bench-year        (SEEDS=n for that many years; 6 by default)

The world is in benchmarks/year.py, the policies in benchmarks/policies.py. Prints a table, draws
state/reports/year.png, and ends in a line of `name=value`, all means over the years:

    accuracy_*          the mean of the 52 weeks' accuracies; `worst_week_*` the worst of them
    false_promotions_*  promotions that made production worse, in a year
    fits_*              trainings in a year
"""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks import policies, year
from benchmarks.policies import HARM, POLICIES
from ratchet.judging.metrics import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEEDS = int(os.environ.get("SEEDS", "6"))
PICTURE = Path(os.environ.get("RATCHET_STATE", "state")) / "reports" / "year.png"
COLOURS = {"never": "#6b7280", "always": "#c2410c", "higher": "#7b3294", "point": "#8a6d00", "ours": "#1d4ed8"}
NAMES = {
    "never": "never retrain", "always": "always replace", "higher": "higher score wins", "point": "+1 point",
    "ours": "Ratchet", "ours_unvetted": "  without vetting", "ours_unlearned": "  without memory",
}  # fmt: skip
PRINTED = ("accuracy", "worst_week", "false_promotions", "worst_promotion", "fits")
INK, SHADE = "#1f2430", "#e6eaf0"


@dataclass(frozen=True)
class Result:
    """A policy's year. promotions: each one's true gain, in accuracy. poison: rows of the poisoned week let in."""

    policy: str
    accuracies: Floats
    promotions: Floats
    seconds: Floats
    poison: int

    @property
    def figures(self) -> dict[str, float]:
        return {
            "accuracy": float(self.accuracies.mean()),
            "worst_week": float(self.accuracies.min()),
            "promotions": float(len(self.promotions)),
            "false_promotions": float((self.promotions < -HARM).sum()),
            "worst_promotion": float(self.promotions.min(initial=0)),
            "fits": float(len(self.seconds)),
            "seconds": float(self.seconds.sum()),
        }


def main() -> None:
    began = time.monotonic()
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    sets = year.pools()
    results: dict[str, list[Result]] = {name: [] for name in POLICIES}
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        lives = [pool.submit(lived, sets, name, seed) for seed in range(1, SEEDS + 1) for name in POLICIES]
        for done, life in enumerate(as_completed(lives), 1):
            results[life.result().policy].append(life.result())
            print(f"{done} of {len(lives)} years lived, {time.monotonic() - began:.0f} s", flush=True)
    show(results)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(picture({name: results[name] for name in COLOURS}))
    print(f"Picture: {PICTURE}")
    print(" ".join(pair for name in POLICIES for pair in pairs(name, results[name])))


def lived(sets: dict[str, pl.DataFrame], name: str, seed: int) -> Result:
    life = policies.live(year.world(sets, seed), POLICIES[name])
    return Result(name, np.array(life.accuracies), np.array(life.promotions), np.array(life.seconds), life.poison)


def show(results: dict[str, list[Result]]) -> None:
    """A line a policy: means over the years, and the standard deviation of the accuracy."""
    print(
        f"\n{SEEDS} years of {year.WEEKS} weeks, {year.A_WEEK} texts each; accuracies in %, in brackets their deviation"
    )
    heads = ("mean", "", "worst week", "promoted", "falsely", "worst one", "fits", "seconds", "poison in")
    print(f"{'':20}" + "".join(f"{head:>11}" for head in heads))
    for name, lives in results.items():
        means = mean_figures(lives)
        spread = np.std([life.figures["accuracy"] for life in lives], ddof=1) if len(lives) > 1 else 0.0
        cells = [f"{100 * means['accuracy']:.1f}", f"({100 * spread:.1f})", f"{100 * means['worst_week']:.1f}"]
        cells += [f"{means['promotions']:.1f}", f"{means['false_promotions']:.1f}"]
        cells += [f"{100 * means['worst_promotion']:+.1f}", f"{means['fits']:.0f}", f"{means['seconds']:.1f}"]
        cells += [f"{np.mean([life.poison for life in lives]):.0f}"]
        print(f"{NAMES[name]:20}" + "".join(f"{cell:>11}" for cell in cells))


def mean_figures(lives: list[Result]) -> dict[str, float]:
    return {name: float(np.mean([life.figures[name] for life in lives])) for name in lives[0].figures}


def pairs(name: str, lives: list[Result]) -> list[str]:
    means = mean_figures(lives)
    return [f"{figure}_{name}={means[figure]:.4f}" for figure in PRINTED]


def picture(results: dict[str, list[Result]]) -> bytes:
    """The year as a PNG 800 pixels wide: accuracy by week, and right answers gained over 'never', both means."""
    from matplotlib.figure import Figure

    means = {name: np.mean([life.accuracies for life in lives], axis=0) for name, lives in results.items()}
    gained = {name: np.cumsum(found - means["never"]) * year.A_WEEK for name, found in means.items()}
    figure = Figure(figsize=(8, 6.4), dpi=100, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.1, 1))
    lines(above, {name: 100 * means[name] for name in ("never", "always", "ours")}, apart=2.0)
    lines(below, gained, apart=0.075 * max(map(np.max, gained.values())))
    above.set_title("Accuracy in the week, %", loc="left", fontsize=10, color=INK, pad=30)
    total = f"{year.WEEKS * year.A_WEEK:,}"
    below.set_title(
        f"Right answers more than 'never retrain' so far, of {total} in the year", loc="left", fontsize=10, color=INK
    )
    below.set_xlabel("week", fontsize=9)
    seasons(above, below)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return small(buffer)


def lines(axes: Axes, found: dict[str, Floats], apart: float) -> None:
    """A line a policy, named at its end; names keep that distance."""
    from matplotlib.ticker import MaxNLocator

    weeks, place = np.arange(1, year.WEEKS + 1), -np.inf
    for name, values in sorted(found.items(), key=lambda pair: pair[1][-1]):
        place = max(place + apart, values[-1])
        width = 2.4 if name == "ours" else 1.4
        axes.plot(weeks, values, color=COLOURS[name], linewidth=width)
        axes.text(year.WEEKS + 0.8, place, NAMES[name], color=COLOURS[name], fontsize=9, va="center")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(1, year.WEEKS + 0.5)
    axes.set_xticks([1, *range(4, year.WEEKS + 1, 4)])


def seasons(above: Axes, below: Axes) -> None:
    """Bands behind both, named over the upper one; what comes to stay is a dotted line from which on it does."""
    for at, (name, (first, last)) in enumerate(year.SEASONS.items()):
        stays = last == year.WEEKS
        for axes in (above, below):
            if stays:
                axes.axvline(first - 0.5, color=INK, linewidth=0.8, linestyle=":")
            else:
                axes.axvspan(first - 0.5, last + 0.5, color=SHADE, linewidth=0)
        above.text(
            first - 0.5, 1.02 + 0.075 * (at % 2), f"{name} →" if stays else name, fontsize=9, color=INK,
            transform=above.get_xaxis_transform(),
        )  # fmt: skip


def small(png: BytesIO) -> bytes:
    """The same picture in 64 colours."""
    from PIL import Image

    buffer = BytesIO()
    Image.open(png).convert("RGB").quantize(64).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
