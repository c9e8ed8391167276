"""What a training took from the processor, where Linux shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.training import energy


def counters(folder: Path, *packages: tuple[int, int]) -> Path:
    """A folder as Linux shows one: packages with what they used and where they begin anew, a part below the first."""
    for at, (used, most) in enumerate(packages):
        for name in (f"intel-rapl:{at}", f"intel-rapl:{at}:0"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "energy_uj").write_text(f"{used}\n")
            (folder / name / "max_energy_range_uj").write_text(f"{most}\n")
    return folder


@given(st.lists(st.tuples(st.integers(0, 999_999), st.integers(0, 999_999)), min_size=1, max_size=3))
def test_energy_is_the_sum_of_all_packages_and_counters_may_wrap(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("powercap")
    before = energy.read(counters(folder, *((begin, 999_999) for begin, _ in moves)))
    after = energy.read(counters(folder, *(((begin + used) % 1_000_000, 999_999) for begin, used in moves)))
    assert energy.joules(before, after) == pytest.approx(sum(used for _, used in moves) / 1e6)


def test_a_machine_without_counters_gives_no_figure(tmp_path: Path) -> None:
    assert energy.read(tmp_path / "none") is None
    assert energy.joules(None, None) is None
    folder = counters(tmp_path / "damaged", (1, 9))
    (folder / "intel-rapl:0" / "energy_uj").write_text("?")
    assert energy.read(folder) is None
