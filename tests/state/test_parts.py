"""The product's own parts: ledger, lock, drift, settings, the record of predictions, the environment."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows.registry.follower import Follower
from ratchet import setup_venv
from ratchet.console import terminal
from ratchet.monitoring.log import predictions
from ratchet.project import params_file, settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.progress import Progress, Watched
from ratchet.project.settings import Data
from ratchet.state import ledger, lock
from ratchet.state.ledger import Move
from ratchet.training import energy
from tests.support import ports
from tests.support.project import ROOT

MOMENT = "2026-01-01T00:00:00+00:00"


def test_the_ledger_only_grows_and_says_what_was_live_when(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    times = ["2026-01-01T10:00:00+00:00", "2026-02-01T10:00:00+00:00", "2026-03-01T10:00:00+00:00"]
    moves = [Move("reviews", "promoted", n or None, n + 1, "tests", "because", at=at) for n, at in enumerate(times)]
    for move in moves:
        before = path.read_bytes() if path.exists() else b""
        ledger.append(path, move)
        assert path.read_bytes().startswith(before)
    assert ledger.read(path) == tuple(moves)
    assert ledger.read(path, "other") == ()
    assert ledger.live_at(ledger.read(path), datetime.fromisoformat("2026-02-15T00:00:00+00:00")) == 2
    assert ledger.live_at(ledger.read(path), datetime.fromisoformat("2025-12-31T00:00:00+00:00")) is None


@given(cut=st.integers(1, 200))
def test_a_torn_line_costs_that_line_alone(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "ledger.jsonl"
    first, second, third = (
        Move("p", "promoted", None, n, "t", "why", at="2026-01-01T00:00:00+00:00") for n in (1, 2, 3)
    )
    ledger.append(path, first)
    whole = path.stat().st_size
    ledger.append(path, second)
    with open(path, "ab") as file:
        file.truncate(max(whole, path.stat().st_size - cut))
    ledger.append(path, third)
    kept = ledger.read(path)
    assert kept[0] == first
    assert kept[-1] == third


@given(why=st.text(), by=st.text(), value=st.text())
@example(why="one\u2028two", by="\x85", value="\u2029\x1c\x0b\r")
def test_a_line_holds_any_text_and_is_written_once(
    tmp_path_factory: pytest.TempPathFactory, why: str, by: str, value: str
) -> None:
    """What Unicode calls the end of a line is none of the ledger's."""
    path = tmp_path_factory.mktemp("texts") / "ledger.jsonl"
    move = Move("p", "promoted", None, 1, by, why, {"odd": value}, at="2026-01-01T00:00:00+00:00")
    for _ in range(3):
        ledger.append_once(path, move)
    assert ledger.read(path) == (move,)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1, "for readers that know no better"


def test_a_line_that_comes_back_otherwise_is_written_once(tmp_path: Path) -> None:
    """JSON has no tuple, UTF-8 no half of a character, and no number equals NaN."""
    odd: tuple[dict[str, object], ...] = ({"pair": (1, 2)}, {"number": float("nan")}, {"name": "caf\udce9"})
    for evidence in odd:
        for _ in range(2):
            ledger.append_once(
                tmp_path / "ledger.jsonl", Move("p", "promoted", None, 1, "t", "why", evidence, at=MOMENT)
            )
    assert len((tmp_path / "ledger.jsonl").read_bytes().splitlines()) == 3


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """They have such characters as they are."""
    path = tmp_path / "ledger.jsonl"
    move = Move("p", "promoted", 1, 2, "t", "one\u2028two\u2029three\x85four", at=MOMENT)
    path.write_text(json.dumps(asdict(move), ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    ledger.append_once(path, move)
    assert ledger.read(path) == (move,)
    assert ledger.unreadable(path) == 0


def test_a_second_thread_of_the_holder_has_to_wait(tmp_path: Path) -> None:
    """Unless it works for the holder, and so was given its context; so does what the holder starts."""
    met: list[object] = []

    def enter() -> None:
        try:
            with lock.one_at_a_time(tmp_path, "another", lambda died: "taken") as found:
                met.append(found)
        except Refusal as refusal:
            met.append(refusal.rule)

    def run(work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    child = f"from pathlib import Path; from ratchet.state import lock; print(lock.is_mine(Path({str(tmp_path)!r})))"
    with lock.one_at_a_time(tmp_path, "make run", bool):
        run(enter)
        run(partial(copy_context().run, enter))
        done = subprocess.run([sys.executable, "-c", child], cwd=ROOT, capture_output=True, text=True, check=True)
    run(enter)
    assert met == ["Only one loop turns at a time.", None, "taken"]
    assert done.stdout.strip() == "True"


def test_only_one_holds_the_lock_and_the_other_is_told_who(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from ratchet.state import lock
from ratchet.project.errors import Refusal
try:
    with lock.one_at_a_time(Path({str(tmp_path)!r}), "the other", bool):
        print("got it")
except Refusal as refusal:
    print(refusal)
"""
    ask = [sys.executable, "-c", code]
    with lock.one_at_a_time(tmp_path, "make run", bool):
        assert "make run" in (lock.holder(tmp_path) or "")
        env = {"PATH": "/usr/bin:/bin"}
        held = subprocess.run(ask, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
        with lock.one_at_a_time(tmp_path, "a stage of it", bool):
            pass
    free = subprocess.run(
        ask, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout
    assert "`make run`" in held
    assert free.strip() == "got it"
    assert lock.holder(tmp_path) is None


def test_predictions_are_kept_by_version_newest_first_without_texts(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    predictions.record(path, "reviews", 1, [("x" * 10, "good", 0.9), ("y" * 20, "bad", 0.8)])
    predictions.record(path, "reviews", 2, [("z" * 30, "good", 0.7)])
    (found,) = predictions.latest(path, "reviews", 1, 1)
    assert (found.characters, found.label, found.score, found.text) == (20, "bad", 0.8, None)
    assert predictions.latest(tmp_path / "absent.db", "reviews", 1, 5) == []


def test_an_error_that_lasts_leaves_one_traceback_and_not_one_a_second(tmp_path: Path) -> None:
    here = Places(tmp_path, tmp_path / "state", "127.0.0.1", 1, 2, 3)
    here.params.mkdir()
    follower = Follower(here)
    first, second = follower.look(), follower.look()
    assert first == second
    assert "met an error that Ratchet does not know" in first["failed"]
    assert (here.logs / "errors.log").read_text().count("IsADirectoryError: ") == 1
    for connection in (object(), object(), object()):  # the HTTP library names it, and it is another one each time
        follower._explained(RuntimeError(f"{connection}: Max retries exceeded"))
    assert (here.logs / "errors.log").read_text().count("Max retries") == 1


def test_the_committed_params_are_valid_and_name_the_pinned_problem() -> None:
    found = settings.load(ROOT / "params.yaml")
    assert found.problem == "film-reviews"
    assert found.build.candidates == ("majority", "linear", "lstm")


@given(
    names=st.lists(
        st.text(
            st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\x85\u2028\u2029\ufeff\ufffe\uffff"),
            min_size=1,
        ),
        min_size=4,
        max_size=4,
    )
)
@example(names=["\x85", "a\u2028b", "\xa0", "\u3000\n\r"])
def test_described_params_read_back_whatever_the_columns_are_called(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    import polars as pl

    text, label, group, positive = names
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    columns = Data(text=text, label=label, group=group, positive=positive)
    path.write_text(params_file.describe("a-problem", columns, pl.DataFrame({"label": ["a", "b"]})), encoding="utf-8")
    found = settings.load(path)
    assert (found.data.text, found.data.label, found.data.group, found.data.positive) == (text, label, group, positive)
    other = params_file.renamed(path.read_text(encoding="utf-8"), {"text": label, "label": text, "group": positive})
    path.write_text(other, encoding="utf-8")
    found = settings.load(path)
    assert (found.data.text, found.data.label, found.data.group, found.data.positive) == (
        label,
        text,
        positive,
        positive,
    )


@pytest.mark.parametrize("content", ["", "- a\n", "problem: [", "problem: x\n", "\x00"])
def test_a_damaged_params_yaml_is_refused_in_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(Refusal, match=r"params\.yaml must"):
        settings.load(path)


def test_uv_is_installed_by_the_hash_that_the_lock_names() -> None:
    pin = setup_venv.locked("uv")
    assert pin.startswith("uv==")
    assert "--hash=sha256:" in pin
    assert len([line for line in pin.splitlines() if "==" in line]) == 1


def test_an_environment_that_is_there_is_kept_and_a_broken_one_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    python = setup_venv.interpreter(folder)
    assert setup_venv.said(python, "print(1)") == "1"
    (folder / "kept").touch()
    assert setup_venv.interpreter(folder) == python
    assert (folder / "kept").exists()
    python.unlink()
    python.symlink_to(tmp_path / "gone")
    assert setup_venv.said(setup_venv.interpreter(folder), "print(2)") == "2"
    assert not (folder / "kept").exists()


def test_a_refusal_survives_the_way_between_processes() -> None:
    import pickle

    refusal = Refusal("A rule.", "something else", "Do this.")
    assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal) == "A rule. Received: something else. Do this."
    assert json.dumps(str(refusal))


def test_progress_is_silent_while_work_is_short_and_then_tells_rate_and_time_left() -> None:
    said: list[str] = []
    short = Progress(said.append, "Reading t.csv", 100)
    short(50)
    assert said == []
    long = Progress(said.append, "Reading t.csv", 40_000_000, "bytes")
    long.began -= 10
    long.last -= 10
    long(10_000_000)
    long(1)
    assert said == ["  Reading t.csv: 10.0 of 40.0 MB, 1.0 MB/s, about 30 s left"]


def test_batches_that_are_watched_come_as_they_are_each_time_anew() -> None:
    frames = [pl.DataFrame({"row": [1, 2]}), pl.DataFrame({"row": [3]})]
    said: list[str] = []
    watched = Watched(frames, said.append, "Preparing", 3)
    assert [list(watched), list(watched)] == [frames, frames]
    assert said == []


def counters(folder: Path, *packages: tuple[int, int]) -> Path:
    """A folder as Linux shows one: packages with what they used and where they begin anew, a part below the first."""
    for at, (used, most) in enumerate(packages):
        for name in (f"intel-rapl:{at}", f"intel-rapl:{at}:0"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "energy_uj").write_text(f"{used}\n")
            (folder / name / "max_energy_range_uj").write_text(f"{most}\n")
    return folder


@given(st.lists(st.tuples(st.integers(0, 999_999), st.integers(0, 999_999)), min_size=1, max_size=3))
def test_energy_is_what_all_packages_used_also_where_a_counter_began_anew(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("powercap")
    before = energy.read(counters(folder, *((begin, 999_999) for begin, _ in moves)))
    after = energy.read(counters(folder, *(((begin + used) % 1_000_000, 999_999) for begin, used in moves)))
    assert energy.joules(before, after) == pytest.approx(sum(used for _, used in moves) / 1e6)


def test_a_machine_that_does_not_show_its_energy_gives_no_figure(tmp_path: Path) -> None:
    assert energy.read(tmp_path / "none") is None
    assert energy.joules(None, None) is None
    folder = counters(tmp_path / "damaged", (1, 9))
    (folder / "intel-rapl:0" / "energy_uj").write_text("?")
    assert energy.read(folder) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "no time"),
        (0, "no time"),
        (1, "1 second"),
        (119, "1 minute"),
        (7200, "2 hours"),
        (86_400 * 3 + 5, "3 days"),
    ],
)
def test_a_span_is_told_in_the_unit_that_fits(seconds: int, said: str) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    assert terminal.span(begin.isoformat(), (begin + timedelta(seconds=seconds)).isoformat()) == said


def test_two_processes_that_test_have_no_port_in_common() -> None:
    """Each has a block of its own, so that a server of one is never on a port that the other was about to use."""
    mine = ports.free_ports(3)
    code = "from tests.support import ports; print(*ports.free_ports(3))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    blocks = {port // ports.BLOCK for port in mine}
    assert len(blocks) == 1
    assert len({int(port) // ports.BLOCK for port in done.stdout.split()} - blocks) == 1
