"""The ledger's lines and the words of the triggers, exactly: what stands in a file, and what a person reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratchet.monitoring import retrain_rules
from ratchet.monitoring.retrain_rules import Answer, Found, Rules
from ratchet.state import ledger
from ratchet.state.ledger import DataChange, Line, Move, Refused

AT = "2026-03-01T00:00:00+00:00"
NOON = 1_790_000_000.0
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
    assert list(ledger.story(path)) == LINES
    assert list(ledger.story(path, "tickets")) == LINES[3:]
    assert ledger.read(path, "reviews") == (MOVED,)
    assert ledger.changes(path) == (LINES[1],)
    assert ledger.unreadable(path) == 0
    assert path.read_bytes().count(b"\n") == len(LINES)


def test_a_line_is_sorted_and_says_each_letter_as_it_is(path: Path) -> None:
    ledger.append(path, MOVED)
    assert path.read_text(encoding="utf-8") == json.dumps(asdict(MOVED), ensure_ascii=False, sort_keys=True) + "\n"
    assert "Jürgen" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("torn", [b"{", b'{"problem": "rev', b'{"problem": "\xff\xfe'])
def test_a_torn_line_is_closed_off_and_passed_over(path: Path, torn: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(torn)
    ledger.append(path, MOVED)
    assert path.read_bytes().startswith(torn + b"\n{")
    assert ledger.story(path) == (MOVED,)
    assert ledger.unreadable(path) == 1


@pytest.mark.parametrize("line", ["7", "[]", "{}", '{"kind": "new"}', json.dumps(asdict(MOVED) | {"at": "noon"})])
def test_a_line_that_is_none_of_ours_is_passed_over(line: str) -> None:
    assert ledger.understood(line) is None


def test_the_same_line_is_written_once_and_another_problems_again(path: Path) -> None:
    for line in (MOVED, MOVED, LINES[3], MOVED):
        ledger.append_once(path, line)
    assert ledger.story(path) == (MOVED, LINES[3])


def test_a_move_counts_from_its_very_moment_and_moments_are_in_utc() -> None:
    assert ledger.live_at((MOVED,), datetime.fromisoformat(AT)) == 2
    assert ledger.live_at((MOVED,), datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)) is None
    assert ledger.moment().endswith("+00:00")
    assert abs((datetime.fromisoformat(ledger.moment()) - datetime.now(UTC)).total_seconds()) < 5


# --- when the loop turns by itself: an hour's cooldown, two turns a day, one label


RULES = Rules(1, 0.7, True, 60, 2)
ONE = Found(1, None, "", True)


def test_a_turn_says_what_began_it() -> None:
    assert retrain_rules.decide(RULES, ONE, [], NOON) == Answer("1 new label", "", labels_alone=True)
    assert retrain_rules.decide(RULES, Found(2_000, None, "", True), [], NOON).trigger == "2,000 new labels"
    assert retrain_rules.decide(RULES, Found(0, None, "", True), [], NOON) == Answer("", "")
    assert retrain_rules.decide(RULES, Found(1, None, "words", True), [], NOON) == Answer(
        "drift of words, 1 new label", ""
    )


def test_no_labels_are_asked_for_where_the_rule_is_off() -> None:
    assert retrain_rules.decide(Rules(0, None, False, 60, 2), Found(0, None, "", True), [], NOON) == Answer("", "")


def test_a_turn_that_could_learn_nothing_is_none() -> None:
    words = "1 new label, and nothing is there to learn from that the last turn had not: label some texts."
    assert retrain_rules.decide(RULES, Found(1, None, "", False), [], NOON) == Answer("", words)


@pytest.mark.parametrize(
    ("starts", "held"),
    [
        ([NOON - 600], "the next turn may begin in 50 minutes (optimise.cooldown)"),
        ([NOON + 10 * 86_400], "the next turn may begin in 60 minutes (optimise.cooldown)"),
        ([NOON - 3_599.5], "the next turn may begin in 0 minutes (optimise.cooldown)"),
        ([NOON - 3_600], ""),
        ([NOON - 80_000, NOON - 70_000], "2 turns began by themselves within a day, and optimise.turns is 2"),
        ([NOON - 86_400, NOON - 70_000], ""),
    ],
)
def test_what_holds_a_turn_back_is_said(starts: list[float], held: str) -> None:
    expected = Answer("", f"1 new label; {held}") if held else Answer("1 new label", "", labels_alone=True)
    assert retrain_rules.decide(RULES, ONE, starts, NOON) == expected


def test_starts_of_a_day_and_the_last_one_are_kept() -> None:
    day = 86_400
    assert retrain_rules.settled([NOON - 3 * day, NOON - day, NOON - day + 1], NOON) == [NOON - day + 1]
    assert retrain_rules.settled([NOON - 9, NOON - 8], NOON) == [NOON - 9, NOON - 8]
    assert retrain_rules.settled([NOON - 3 * day], NOON) == [NOON - 3 * day]
    assert retrain_rules.settled([NOON + 5, NOON - 3 * day], NOON) == [NOON]
    assert retrain_rules.settled([], NOON) == []
