"""The steps that make data ready: worked examples that a person can check, and properties of whatever comes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text import redact
from models.text.normalise import compared_form, normalise, normalised
from ratchet.data.prepare import deduplicate, row_facts, split
from ratchet.data.tables import canonical_csv
from ratchet.problem import data_pin
from tests.support.measuring import facts_of, prepared
from tests.support.tables import CLASSIFY, frame_of

ODD = st.sampled_from(['"', ",", "\n", "\r", "\r\n", "\x00", "\ufeff", "\u2028", "é", "e\u0301", "漢", "😀", " ", ""])
CELLS = st.none() | st.text(max_size=12) | st.lists(ODD, max_size=6).map("".join)
TEXTS = st.lists(st.text(max_size=8) | st.lists(ODD, max_size=4).map("".join), min_size=1, max_size=30)


# --- normalise


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise([text])
    assert normalise(once) == once


@given(TEXTS)
def test_the_quick_way_to_compare_texts_is_the_plain_way(texts: list[str]) -> None:
    frame = pl.DataFrame({"text": texts})
    plain = frame.select(normalised(pl.col("text")).str.to_lowercase())["text"]
    assert compared_form(frame["text"]).to_list() == plain.to_list()
    assert frame["text"].to_list() == texts, "the input is left as it was"


# --- table


@settings(deadline=None)
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=20),
    st.lists(st.text(min_size=1), min_size=3, max_size=3, unique=True),
)
def test_a_table_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, ...]], names: list[str]
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    canonical_csv.write(frame, path)
    assert canonical_csv.read(path).equals(frame)


def test_quotes_and_line_ends_survive_in_a_file_that_is_read_in_parts(tmp_path: Path) -> None:
    """Long enough for polars to cut it up and read the parts at once, each part having to find a row's start."""
    rng = np.random.default_rng(0)
    odd = np.array(['"', '""', ",", "\n", "\r\n", "a", '","', '"\n"'])
    cells = ["".join(odd[rng.integers(0, len(odd), rng.integers(0, 30))]) for _ in range(40_000)]
    frame = pl.DataFrame({"text": cells[:20_000], "label": cells[20_000:]})
    canonical_csv.write(frame, tmp_path / "table.csv")
    assert canonical_csv.read(tmp_path / "table.csv").equals(frame)


def test_the_bytes_of_a_table_are_these(tmp_path: Path) -> None:
    """Pinned: a change here changes the hash of everybody's data."""
    path = tmp_path / "table.csv"
    canonical_csv.write(frame_of(['say "hi"', None, "", "a\r\nb"], ["x", "y", None, "z"]), path)
    assert path.read_bytes() == b'"text","label"\n"say ""hi""","x"\n,"y"\n"",\n"a\r\nb","z"\n'
    assert list(tmp_path.iterdir()) == [path], "nothing else is left behind"


def test_the_bytes_do_not_depend_on_how_the_frame_is_cut(tmp_path: Path) -> None:
    whole = frame_of([f"text {at}" for at in range(canonical_csv.SLICE + 10)])
    canonical_csv.write(whole, tmp_path / "whole.csv")
    canonical_csv.write(pl.concat([whole.head(7), whole.slice(7)], rechunk=False), tmp_path / "cut.csv")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (pl.DataFrame({"text": ["a"], "stars": [5]}), TypeError),
        (pl.DataFrame({"text": ["a"]}), ValueError),
    ],
    ids=["a number column", "one column"],
)
def test_a_table_that_has_no_canonical_form_is_refused(
    frame: pl.DataFrame, error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error, match="Received"):
        canonical_csv.write(frame, tmp_path / "table.csv")
    assert not list(tmp_path.iterdir())


def test_a_table_that_cannot_be_opened_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        canonical_csv.write(frame_of(["a"], ["b"]), tmp_path / "absent" / "table.csv")
    assert caught.value.__context__ is None, "nothing else went wrong while it was told"


# --- facts, private, quarantine


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("missing_text", None),
        ("blank", " \u200b\n"),
        ("overlong", "x" * 100_001),
        ("control", "a\x00b"),
        ("replaced", "caf\ufffd"),
        ("mojibake", "cafÃ©"),
        ("mojibake", "donâ€™t"),
        ("mail", "write to jo.b+x@mail.example.org."),
        ("phone", "+44 20 7946 0958"),
        ("phone", "(212) 555-0187"),
        ("card", "pay 4111 1111 1111 1111 now"),
        ("card", "378282246310005"),
    ],
)
def test_each_fact_is_found_and_alone(fact: str, text: str | None) -> None:
    facts = facts_of(frame_of(["a plain text", text]))
    expected = {fact, *({"damaged"} if fact in ("replaced", "mojibake") else ())}
    expected |= {"set_aside"} if fact in row_facts.reason_words(CLASSIFY) else set()
    true_facts = {
        name for name in facts.columns if facts.schema[name] == pl.Boolean and facts[name].to_list() == [False, True]
    }
    assert true_facts == expected


@pytest.mark.parametrize(
    "text",
    [
        "Müller aß Äpfel in São Paulo",
        "à â ç é ï",
        "on 2024-01-31 at 10:30",
        "4111 1111 1111 1112",
        "me @ home",
        "1234567",
    ],
)
def test_ordinary_texts_raise_no_flag(text: str) -> None:
    facts = facts_of(frame_of([text]))
    flags = ("damaged", "control", "mail", "phone", "card", "blank", "set_aside")
    assert not any(facts[flag][0] for flag in flags)


def test_copies_and_conflicts_are_seen_through_case_and_space() -> None:
    facts = facts_of(frame_of(["One", " one\n", "two", "TWO"], ["a", "a", "a", "b"]))
    assert facts["duplicate"].to_list() == [False, True, False, True]
    assert facts["conflict"].to_list() == [False, False, True, True]


def test_facts_hold_no_text_and_keep_the_rows() -> None:
    frame = frame_of(["secret", None], ["a", "b"]).with_columns(row=pl.Series([7, 9]))
    facts = facts_of(frame)
    assert facts["row"].to_list() == [7, 9]
    assert "secret" not in str(facts.to_dict(as_series=False))


def test_facts_need_text_and_label() -> None:
    with pytest.raises(ValueError, match="Received: \\['words'\\]"):
        row_facts.row_only_facts(pl.DataFrame({"words": ["a"]}), CLASSIFY)


@given(st.integers(10**11, 10**17))
def test_one_wrong_digit_is_no_card_number(number: int) -> None:
    digits = str(number)
    passing = [last for last in "0123456789" if redact.is_card_number(digits + last)]
    assert len(passing) == 1


def test_bad_rows_are_set_aside_with_their_first_reason() -> None:
    frame = frame_of(["good", None, "", "x" * 100_001, "a\x1bb", "fine"], ["a", None, "a", "a", "b", " "])
    valid, aside = row_facts.set_aside(frame, facts_of(frame), CLASSIFY)
    assert valid["text"].to_list() == ["good"]
    assert dict(zip(aside["row"], aside["reason"], strict=True)) == {
        2: "missing text",
        3: "blank text",
        4: "overlong text",
        5: "control characters",
        6: "missing label",
    }


# --- prepare


def test_copies_go_and_disputed_texts_go_whole() -> None:
    valid = frame_of(["Good  film", "good film", "bad", "So so", "so so", "end"], ["p", "p", "n", "p", "n", " n "])
    rows, report = prepared(valid)
    assert rows.rows() == [("Good film", "p"), ("bad", "n"), ("end", "n")]
    assert report == deduplicate.PreparationReport(rows_in=6, rows_out=3, copies=1, conflicting=2, conflicting_texts=1)


@given(TEXTS, st.randoms())
def test_prepared_rows_are_counted_unique_and_stable(texts: list[str], random: object) -> None:
    labels = [str(len(text) % 2) for text in texts]
    rows, report = prepared(frame_of(list(texts), list(labels)))
    keys = compared_form(rows["text"])
    assert keys.n_unique() == len(keys)
    assert report.rows_in == report.rows_out + report.copies + report.conflicting
    assert prepared(rows)[0].equals(rows)


# --- split

SPEC = data_pin.SplitSpec(by="group", salt="test")
HELD, VALIDATED = [3, 14, 16], [1, 5, 8, 9, 10, 24, 32]


def test_these_rows_are_on_these_sides() -> None:
    """Pinned: a change here moves everybody's rows between train and holdout."""
    groups: list[str | None] = [f"film {at}" for at in range(40)]
    sides = split.assign_sides(frame_of(["x"] * 40, group=groups), SPEC)["split"].to_list()
    assert [at for at, side in enumerate(sides) if side == "holdout"] == HELD
    assert [at for at, side in enumerate(sides) if side == "validation"] == VALIDATED


@given(TEXTS, TEXTS)
def test_no_row_moves_as_data_grows(first: list[str], more: list[str]) -> None:
    spec = data_pin.SplitSpec(by="text", salt="s", validation=0.3, holdout=0.3)
    before = split.assign_sides(frame_of(list(first)), spec)["split"].to_list()
    after = split.assign_sides(frame_of([*more, *first]), spec)["split"].to_list()
    assert after[len(more) :] == before


@given(st.lists(st.sampled_from("abcdefgh") | st.none(), min_size=1, max_size=60))
def test_a_group_and_a_text_are_on_one_side(groups: list[str | None]) -> None:
    spec = data_pin.SplitSpec(by="group", salt="s", validation=0.3, holdout=0.3)
    texts: list[str | None] = [f"text {at % 5}" for at in range(len(groups))]
    assigned = split.assign_sides(frame_of(texts, group=list(groups)), spec)
    grouped = assigned.filter(pl.col("group").is_not_null())
    assert (grouped.group_by("group").agg(pl.col("split").n_unique())["split"] == 1).all()
    alone = assigned.filter(pl.col("group").is_null())
    assert (alone.group_by("text").agg(pl.col("split").n_unique())["split"] == 1).all()


def test_near_copies_are_on_one_side_and_shares_are_kept() -> None:
    spec = data_pin.SplitSpec(by="text", salt="s")
    texts: list[str | None] = [f"Text {at}" for at in range(5000)]
    plain = split.assign_sides(frame_of(texts), spec)["split"]
    near = split.assign_sides(frame_of([f" {text} \n".upper() for text in texts if text]), spec)["split"]
    assert plain.to_list() == near.to_list()
    shares = dict(plain.value_counts(normalize=True).rows())
    assert shares["holdout"] == pytest.approx(0.1, abs=0.02)
    assert shares["validation"] == pytest.approx(0.1, abs=0.02)


def test_another_salt_is_another_split() -> None:
    frame = frame_of([f"text {at}" for at in range(200)])
    sides = [split.assign_sides(frame, data_pin.SplitSpec(by="text", salt=salt))["split"].to_list() for salt in "ab"]
    assert sides[0] != sides[1]


def test_a_specification_survives_json_and_refuses_nonsense() -> None:
    assert data_pin.SplitSpec.from_json(SPEC.to_json()) == SPEC
    with pytest.raises(ValueError, match=r"Received: 0\.6 and 0\.5"):
        data_pin.SplitSpec(by="text", salt="s", validation=0.6, holdout=0.5)
    with pytest.raises(ValueError, match="needs a column `group`"):
        split.assign_sides(frame_of(["a"]), SPEC)
