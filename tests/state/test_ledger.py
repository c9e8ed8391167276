"""The ledger: the exact form of its lines, that it only grows, and that damage costs one line at most."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ratchet.state import ledger
from ratchet.state.ledger import DataChange, Line, Move, Refused

AT = "2026-03-01T00:00:00+00:00"
MOVED = Move("reviews", "promoted", 1, 2, "Jürgen", "it is better: 好", {"rows": 3}, AT)
LINES: list[Line] = [
    MOVED,
    DataChange("reviews", "a", "b", 600, 1, "Ann", "one more table", {"text": "t", "label": "l", "group": None}, AT),
    Refused("reviews", 3, "not readable", at=AT),
    Move("tickets", "promoted", None, 1, "Ann", "the first", at=AT),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a" / "b" / "ledger.jsonl"


def test_every_kind_of_line_is_read_as_it_was_written(path: Path) -> None:
    for line in LINES:
        ledger.append(path, line)
    assert list(ledger.events(path)) == LINES
    assert list(ledger.events(path, "tickets")) == LINES[3:]
    assert ledger.read(path, "reviews") == (MOVED,)
    assert ledger.data_changes(path) == (LINES[1],)
    assert ledger.unreadable(path) == 0
    assert path.read_bytes().count(b"\n") == len(LINES)


def test_a_line_has_sorted_keys_and_unescaped_letters(path: Path) -> None:
    ledger.append(path, MOVED)
    assert path.read_text(encoding="utf-8") == json.dumps(asdict(MOVED), ensure_ascii=False, sort_keys=True) + "\n"
    assert "Jürgen" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("torn", [b"{", b'{"problem": "rev', b'{"problem": "\xff\xfe'])
def test_a_torn_line_is_ended_and_skipped(path: Path, torn: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(torn)
    ledger.append(path, MOVED)
    assert path.read_bytes().startswith(torn + b"\n{")
    assert ledger.events(path) == (MOVED,)
    assert ledger.unreadable(path) == 1


@pytest.mark.parametrize("line", ["7", "[]", "{}", '{"kind": "new"}', json.dumps(asdict(MOVED) | {"at": "noon"})])
def test_a_line_of_another_form_is_skipped(line: str) -> None:
    assert ledger.parse_line(line) is None


def test_append_once_writes_a_line_once_whatever_stands_between(path: Path) -> None:
    for line in (MOVED, MOVED, LINES[3], MOVED):
        ledger.append_once(path, line)
    assert ledger.events(path) == (MOVED, LINES[3])


def test_moments_are_in_utc() -> None:
    assert ledger.moment().endswith("+00:00")
    assert abs((datetime.fromisoformat(ledger.moment()) - datetime.now(UTC)).total_seconds()) < 5


MOMENT = "2026-01-01T00:00:00+00:00"


def test_the_ledger_only_grows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    times = ["2026-01-01T10:00:00+00:00", "2026-02-01T10:00:00+00:00", "2026-03-01T10:00:00+00:00"]
    moves = [Move("reviews", "promoted", n or None, n + 1, "tests", "because", at=at) for n, at in enumerate(times)]
    for move in moves:
        before = path.read_bytes() if path.exists() else b""
        ledger.append(path, move)
        assert path.read_bytes().startswith(before)
    assert ledger.read(path) == tuple(moves)
    assert ledger.read(path, "other") == ()


@given(cut=st.integers(1, 200))
def test_a_torn_line_costs_only_that_line(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
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
    """The line ends of Unicode do not end a line of the ledger."""
    path = tmp_path_factory.mktemp("texts") / "ledger.jsonl"
    move = Move("p", "promoted", None, 1, by, why, {"odd": value}, at="2026-01-01T00:00:00+00:00")
    for _ in range(3):
        ledger.append_once(path, move)
    assert ledger.read(path) == (move,)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1, "str.splitlines also sees one line"


def test_a_line_that_json_changes_is_written_once(tmp_path: Path) -> None:
    """JSON has no tuple, UTF-8 has no surrogate, and NaN equals no number."""
    odd: tuple[dict[str, object], ...] = ({"pair": (1, 2)}, {"number": float("nan")}, {"name": "caf\udce9"})
    for evidence in odd:
        for _ in range(2):
            ledger.append_once(
                tmp_path / "ledger.jsonl", Move("p", "promoted", None, 1, "t", "why", evidence, at=MOMENT)
            )
    assert len((tmp_path / "ledger.jsonl").read_bytes().splitlines()) == 3


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """They hold line ends of Unicode unescaped."""
    path = tmp_path / "ledger.jsonl"
    move = Move("p", "promoted", 1, 2, "t", "one\u2028two\u2029three\x85four", at=MOMENT)
    path.write_text(json.dumps(asdict(move), ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    ledger.append_once(path, move)
    assert ledger.read(path) == (move,)
    assert ledger.unreadable(path) == 0
