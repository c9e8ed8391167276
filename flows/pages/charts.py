"""Figures for the MLflow UI and the reports: results enter, pictures leave."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ratchet.judging.pictures import Grid, Lines
from ratchet.monitoring.drift.performance_estimate import Rate
from ratchet.monitoring.drift.two_sample import Shift

HOLDOUT = "when it was judged"
INK, BLUE, ORANGE, GREY = "#1f2430", "#2f6fde", "#e08a2c", "#c9ced8"


def learning_curve(model: str, curve: Sequence[Mapping[str, float]]) -> Figure:
    """Draw loss and accuracy by step, on training and validation rows, as far as the model reported them.

    Where the last entry repeats an earlier one, the model went back to that step, which is marked.
    """
    kept = next((step for step, row in enumerate(curve[:-1], 1) if row == curve[-1]), None)
    steps = curve[:-1] if kept else curve
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, colour in ((measure, GREY), (f"validation_{measure}", BLUE)):
            points = [(step, row[name]) for step, row in enumerate(steps, 1) if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=name.replace("_", " "))
        if kept and axes.lines:
            axes.axvline(kept, color=ORANGE, linestyle="--", label="kept")
        plain(axes, "step", measure)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False)
    figure.suptitle(f"{model}: learning curve", color=INK)
    return figure


def draw(data: Grid | Lines) -> Figure:
    """Draw a finding."""
    return grid(data) if isinstance(data, Grid) else lines(data)


def grid(data: Grid) -> Figure:
    """Draw counted rows, each row of the grid shaded by its shares."""
    counts, names = data.counts, data.names
    size = min(12.0, 3 + 0.55 * len(names))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 4 else 0, ha="center")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(data.across)
    axes.set_ylabel(data.down)
    axes.set_title(data.title, color=INK)
    return figure


def lines(data: Lines) -> Figure:
    """Draw the points of each model, and the diagonal."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    ends = data.diagonal_ends
    axes.plot(ends, ends, color=GREY, linestyle="--", label=data.diagonal)
    for name, points in data.points.items():
        colour = ORANGE if name == "champion" else BLUE
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
    plain(axes, data.across, data.up)
    axes.set_xlim(*data.limits[0])
    axes.set_ylim(*data.limits[1])
    axes.legend(frameon=False)
    axes.set_title(data.title, color=INK)
    return figure


def shifts(shifts: Sequence[Shift]) -> Figure:
    """Draw each comparison: the reference (grey) beside recent traffic (blue; orange where it moved)."""
    drawn = [shift for shift in shifts if shift.bars]
    rows = max(1, -(-len(drawn) // 3))
    figure = Figure(figsize=(9, 2.5 * rows))
    # Fixed margins: an automatic layout costs half a second.
    figure.subplots_adjust(0.05, 0.3 / rows, 0.99, 1 - 0.15 / rows, 0.18, 0.75)
    for axes, shift in zip(figure.subplots(rows, 3, squeeze=False).flat, drawn, strict=False):
        draw_shift(axes, shift)
    for axes in figure.axes[len(drawn) :]:
        axes.set_axis_off()
    return figure


def draw_shift(axes: Any, shift: Shift) -> None:
    """Draw the bars of one shift side by side; of more than ten bars, those that are highest on either side."""
    bars = shift.bars if len(shift.bars) <= 10 else sorted(shift.bars, key=lambda bar: -max(bar[1:]))[:10]
    positions = np.arange(len(bars))
    axes.bar(positions - 0.2, [bar[1] for bar in bars], 0.4, color=GREY)
    axes.bar(positions + 0.2, [bar[2] for bar in bars], 0.4, color=ORANGE if shift.drifted else BLUE)
    axes.set_xticks(
        positions, [bar[0][:12] for bar in bars], rotation=45, ha="right", fontsize=7, rotation_mode="anchor"
    )
    axes.tick_params(axis="y", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(shift.what, color=INK, fontsize=9)


def accuracies(figures: Mapping[str, Rate]) -> Figure:
    """Draw each accuracy with its interval, one below the other."""
    figure = Figure(figsize=(6.4, 0.6 + 0.42 * len(figures)), layout="constrained")
    axes = figure.subplots()
    for row, (name, rate) in enumerate(figures.items()):
        colour = GREY if name == HOLDOUT else BLUE
        axes.plot([rate.low, rate.high], [row, row], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot(rate.value, row, "o", color=INK, markersize=5)
    axes.set_yticks(range(len(figures)), list(figures))
    axes.set_ylim(len(figures) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def as_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()


def as_address(png: bytes) -> str:
    """Return a picture as a data: address, for a page that cannot keep files."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def as_markdown(png: bytes, name: str) -> str:
    return f"![{name}]({as_address(png)})"


def plain(axes: object, across: str, up: str) -> None:
    axes.set_xlabel(across)  # type: ignore[attr-defined]
    axes.set_ylabel(up)  # type: ignore[attr-defined]
    axes.spines[["top", "right"]].set_visible(False)  # type: ignore[attr-defined]
