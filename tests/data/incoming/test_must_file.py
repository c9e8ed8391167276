"""data/must.csv: what a line may say, how the list becomes part of the data version, and that no edit is ever lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from flows.pages import reports
from ratchet.data.incoming import must_file, table_import
from ratchet.data.versions import dvc_cache, transaction
from ratchet.judging import gate
from ratchet.judging import must_list as must
from ratchet.judging.must_list import BrokenMust, Must, MustResult
from ratchet.problem import data_pin
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from tests.support.answers import answers, rules, share
from tests.support.in_process import Desk

HEAD = "text,label,same_as\n"
LIST = HEAD + "a fine film,good,\na dull film,bad,\nA FINE FILM,,a fine film\n"
TABLE = "text,label\n" + "".join(f"Review number {n} says something,{('good', 'bad')[n % 2]}\n" for n in range(100))


# --- what a line may say


def label(text: str, label: str, line: int = 2) -> Must:
    return Must(text, label, None, line)


def same(text: str, other: str, line: int = 2) -> Must:
    return Must(text, None, other, line)


FAULTS: dict[str, tuple[list[Must], tuple[int, str]]] = {
    "an unknown label": ([label("a", "god", 7)], (7, "the label 'god'; the table has bad, good")),
    "a blank text": ([label(" \t", "good", 3)], (3, "a blank text")),
    "both": ([Must("a", "good", "b", 4)], (4, "a label and a text under same_as, where there must be one of the two")),
    "neither": ([Must("a", None, None, 5)], (5, "neither a label nor a text under same_as")),
    "a blank text for the other": ([same("a", " ", 5)], (5, "a blank text under same_as")),
    "itself": ([same("a  film", "a film", 2)], (2, "a text that must get the same answer as itself")),
    "a line twice": ([label("a", "good"), label("b", "bad", 3), label("a ", "good", 4)], (4, "the same as line 2")),
    "a pair twice": ([same("a", "b"), same("b", "a", 3)], (3, "the same as line 2")),
    "two labels": (
        [label("a", "good"), label("a", "bad", 3)],
        (3, "the label 'bad' for a text that must get 'good' by line 2"),
    ),
    "two labels by way of another text": (
        [label("a", "good"), same("a", "b", 3), same("b", "c", 4), label("c", "bad", 5)],
        (5, "the label 'bad' for a text that must get 'good' by line 2"),
    ),
    "a pair of texts with two labels": (
        [label("a", "good"), label("b", "bad", 3), same("a", "b", 4)],
        (4, "two texts that must get the same answer, and must get good by line 2 and bad by line 3"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_line_is_named(name: str) -> None:
    musts, fault = FAULTS[name]
    assert must_file.find_fault(musts, ["bad", "good"]) == fault


def test_sound_lines_have_no_fault_and_another_case_is_another_text() -> None:
    musts = [label("a", "good"), same("A", "a", 3), same("c", "A", 4), label("c", "good", 5), label("d", "bad", 6)]
    assert must_file.find_fault(musts, ["bad", "good"]) is None
    assert must_file.find_fault([label("a", "good"), label("A", "bad", 3)], ["bad", "good"]) is None


# --- how a model answers


def test_every_line_is_asked_and_what_is_broken_is_told() -> None:
    musts = [label("a", "good"), label("b", "bad", 3), same("c", "a", 4), same("d", "b", 5)]
    assert must.texts(musts) == ["a", "b", "c", "d"]
    done = must.check_musts(musts, {"a": "good", "b": "good", "c": "bad", "d": "good"})
    assert done == MustResult(4, (BrokenMust(3, "b", "good", "bad"), BrokenMust(4, "c", "bad", "good", "a")))
    assert str(done) == (
        'The challenger breaks 2 of 4 lines of data/must.csv: "b" must get bad and got good; and 1 more'
    )
    assert str(done.broken[1]) == '"c" got bad, "a" got good, and both must get the same'
    assert str(must.check_musts(musts, dict.fromkeys("abcd", "good"))).endswith('"b" must get bad and got good')
    kept = must.check_musts(musts, {"a": "good", "b": "bad", "c": "good", "d": "bad"})
    assert str(kept) == "The challenger keeps all 4 lines of data/must.csv"


def decided(champion: np.ndarray | None, answered: MustResult | None) -> gate.Decision:
    truth = np.arange(1000) % 2
    return gate.decide(
        gate.Candidate("challenger", answers(truth, share(1000, 0.9))),
        None if champion is None else gate.Candidate("v3", answers(truth, champion)),
        gate.Candidate("majority", np.tile([0.51, 0.49], (1000, 1))),
        gate.Holdout(truth),
        rules(),
        must=answered,
    )


@pytest.mark.parametrize("first", [True, False])
def test_whoever_breaks_a_line_stays_out_the_first_model_too(first: bool) -> None:
    champion = None if first else share(1000, 0.7)
    assert decided(champion, None).promote
    done = decided(champion, MustResult(2, (BrokenMust(2, "a fine film", "bad", "good"),)))
    assert (done.promote, done.verdict) == (False, "Refused")
    stays = "." if first else ", so v3 stays."
    assert done.reason == (
        f'The challenger breaks 1 of 2 lines of data/must.csv: "a fine film" must get good and got bad{stays}'
    )
    assert done.broken == (BrokenMust(2, "a fine film", "bad", "good"),)
    kept = decided(champion, MustResult(2, ()))
    assert kept.promote
    assert "data/must.csv" in [check.name for check in kept.checks]


def test_the_scorecard_lists_what_was_broken() -> None:
    broken = tuple(BrokenMust(at, f"text | {at}", "bad", "good", "other" if at == 3 else None) for at in range(2, 152))
    page = reports.must(MustResult(200, broken))
    assert page.startswith("\n\n## data/must.csv\n\nThe challenger breaks 150 of 200 lines of data/must.csv: ")
    assert "| 2 | text \\| 2 | bad | good |" in page
    assert "| 3 | text \\| 3 | bad | good, as other |" in page
    assert page.count("\n| ") == 102
    assert page.endswith("50 more are not shown.")
    assert reports.must(None) == ""
    assert reports.must(MustResult(2, ())).endswith("The challenger keeps all 2 lines of data/must.csv.")


# --- how it becomes data


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "project")
    desk.write("reviews.csv", TABLE)
    desk.own("reviews.csv", text="text", label="label")
    return desk


def written(desk: Desk, text: str | None) -> None:
    """As a person does it with an editor: the file in data/, and nothing else."""
    path = desk.here.data / "must.csv"
    path.unlink(missing_ok=True) if text is None else path.write_text(text, encoding="utf-8")


def fetched(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    """`make data`; what it said."""
    at_home(monkeypatch, desk.here)
    desk.lines.clear()
    table_import.fetch_data(desk.here, desk.lines.append)
    return desk.said


def at_home(monkeypatch: pytest.MonkeyPatch, here: Places) -> None:
    monkeypatch.setenv("RATCHET_ROOT", str(here.root))
    monkeypatch.delenv("RATCHET_STATE", raising=False)


def lines(desk: Desk) -> list[tuple[str, str | None, str | None]]:
    return [(line.text, line.label, line.same_as) for line in must_file.read_list(desk.here.data)]


FINE = [("a fine film", "good", None), ("a dull film", "bad", None), ("A FINE FILM", None, "a fine film")]


def test_a_list_that_is_put_into_data_is_pinned_as_a_new_version_and_can_be_changed_and_removed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = data_pin.pinned(desk.here)
    written(desk, LIST)
    said = fetched(desk, monkeypatch)
    first = data_pin.pinned(desk.here)
    assert first.version != bare.version
    assert (first.files, first.source) == (3, "must.csv beside table reviews.csv")
    assert "3 lines of data/must.csv must be kept by every model that is to go live (3 new)." in said
    assert lines(desk) == FINE
    assert (desk.changes[-1].before, desk.changes[-1].after, desk.changes[-1].rows) == (
        bare.version, first.version, 100,
    )  # fmt: skip
    assert "fine film" not in desk.here.ledger.read_text(encoding="utf-8")

    written(desk, LIST + "a grim film,bad,\n")
    assert "4 lines of data/must.csv must be kept by every model that is to go live (1 new)." in fetched(
        desk, monkeypatch
    )
    written(desk, LIST.replace(",good,", ", good ,"))  # back to the lines of before, spelled in another way
    assert "(1 gone)" in fetched(desk, monkeypatch)
    assert data_pin.pinned(desk.here).version == first.version
    written(desk, None)
    assert "data/must.csv is gone: no list must be kept any more (3 gone)." in fetched(desk, monkeypatch)
    assert data_pin.pinned(desk.here).version == bare.version
    assert not (desk.here.data / "must.csv").exists()


def test_what_is_as_it_was_pinned_is_left_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    written(desk, LIST)
    fetched(desk, monkeypatch)
    before = desk.kept()
    assert "already there" in fetched(desk, monkeypatch)
    assert desk.kept() == before
    shutil.rmtree(desk.here.data)
    assert "from the cache" in fetched(desk, monkeypatch)
    assert desk.kept() == before


BAD_FILES = {
    "an unknown label": ("a fine film,god,\n", "line 2: the label 'god'; the table has bad, good"),
    "a blank text": ("a fine film,good,\n,bad,\n", "line 3: a blank text"),
    "a text of two lines before it": ('"a fine\nfilm",good,\nb,bad,b\n', "line 4: a label and a text under same_as"),
    "neither": ("a fine film,,\n", "line 2: neither a label nor a text under same_as"),
    "contradictory": ("a,good,\nb,,a\nb,bad,\n", "line 4: the label 'bad' for a text that must get 'good' by line 2"),
    "a duplicate": ("a,good,\na,good,\n", "line 3: the same as line 2"),
    "a field too many": ("a,good,,b\n", "line 2: 4 fields"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_list_is_refused_by_its_line_and_stays_as_it_was_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rows, said = BAD_FILES[name]
    written(desk, HEAD + rows)
    before = desk.kept()
    with pytest.raises(Refusal) as refused:
        fetched(desk, monkeypatch)
    assert said in str(refused.value)
    assert "must.csv" in str(refused.value)
    assert desk.kept() == before


@pytest.mark.parametrize("head", ["text,label,sameas\na,good,\n", "label,same_as\ngood,\n", "text,note\na,b\n"])
def test_other_columns_are_refused_by_name(desk: Desk, monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    written(desk, head)
    with pytest.raises(Refusal, match="has the columns text and label, or text and same_as, or all three"):
        fetched(desk, monkeypatch)


@pytest.mark.parametrize("rows", ["text,label\na fine film,good\n", "text;same_as\na fine film;A fine film\n"])
def test_one_of_the_two_columns_is_enough(desk: Desk, monkeypatch: pytest.MonkeyPatch, rows: str) -> None:
    written(desk, rows)
    assert "1 line of data/must.csv" in fetched(desk, monkeypatch)


def test_another_pinned_version_still_takes_the_place_of_one_that_the_cache_has(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git checkout` of an older data.dvc, and back: no edit, so nothing is pinned anew."""
    bare = (desk.root / "data.dvc").read_bytes()
    written(desk, LIST)
    fetched(desk, monkeypatch)
    listed = (desk.root / "data.dvc").read_bytes()
    changes = len(desk.changes)
    for pin, there in ((bare, False), (listed, True), (bare, False)):
        (desk.root / "data.dvc").write_bytes(pin)
        fetched(desk, monkeypatch)
        assert (desk.root / "data.dvc").read_bytes() == pin
        assert (desk.here.data / "must.csv").exists() == there
    assert len(desk.changes) == changes


def test_a_list_in_an_empty_data_folder_gets_the_pinned_files_beside_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(desk.here.data)
    desk.here.data.mkdir()
    written(desk, LIST)
    fetched(desk, monkeypatch)
    assert {path.name for path in desk.here.data.iterdir()} == {"table.csv", "split.json", "must.csv"}
    assert lines(desk) == FINE
    assert dvc_cache.digest(desk.here.data) == data_pin.pinned(desk.here).version


def test_beside_a_table_that_was_edited_as_well_nothing_is_taken_in_and_nothing_overwritten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(desk, LIST)
    with open(desk.here.data / "table.csv", "a", encoding="utf-8") as file:
        file.write('"one more","good"\n')
    before = desk.kept()
    with pytest.raises(Refusal, match="data/ must hold what"):
        fetched(desk, monkeypatch)
    assert desk.kept() == before


# --- with the next table


@pytest.mark.parametrize("pinned", [True, False])
def test_it_goes_along_with_the_next_table_pinned_or_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    written(desk, LIST)
    if pinned:
        fetched(desk, monkeypatch)
    desk.write("reviews.csv", TABLE + "One more review,good\n")
    assert "data/must.csv goes along, 3 lines." in desk.own("reviews.csv")
    assert lines(desk) == FINE
    assert data_pin.pinned(desk.here).source == "must.csv beside table reviews.csv"
    at_home(monkeypatch, desk.here)
    desk.write("more.csv", "text,label\nAnother review,bad\n")
    desk.add("more.csv")
    assert lines(desk) == FINE
    assert data_pin.pinned(desk.here).source == "must.csv beside table reviews.csv, more.csv"


def test_a_list_that_was_removed_does_not_come_back_with_the_next_table(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(desk, LIST)
    fetched(desk, monkeypatch)
    written(desk, None)
    desk.write("reviews.csv", TABLE + "One more review,good\n")
    desk.own("reviews.csv")
    assert lines(desk) == []


def test_without_data_it_comes_from_the_last_version(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    written(desk, LIST)
    fetched(desk, monkeypatch)
    shutil.rmtree(desk.here.data)
    desk.write("reviews.csv", TABLE + "One more review,good\n")
    desk.own("reviews.csv")
    assert lines(desk) == FINE


def test_another_problem_begins_without_it_and_the_first_finds_it_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(desk, LIST)
    fetched(desk, monkeypatch)
    desk.own("reviews.csv", text="text", label="label", name="others")
    assert lines(desk) == []
    desk.own("reviews.csv", name="reviews")
    assert lines(desk) == FINE


def test_a_list_that_nobody_pinned_goes_with_the_table_that_is_brought(desk: Desk) -> None:
    """Nobody can tell for which of the two it was meant; lost it is in no case."""
    written(desk, LIST)
    desk.own("reviews.csv", text="text", label="label", name="others")
    assert lines(desk) == FINE
    written(desk, HEAD + "a fine film,fine,\n")
    before = desk.kept()
    desk.write("third.csv", TABLE)
    with pytest.raises(Refusal, match="line 2: the label 'fine'"):
        desk.own("third.csv", text="text", label="label")
    assert desk.kept() == before


def test_a_class_that_is_gone_and_still_asked_for_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    written(desk, LIST)
    fetched(desk, monkeypatch)
    before = desk.kept()
    desk.write("reviews.csv", TABLE.replace(",bad", ",poor"))
    with pytest.raises(Refusal, match="line 3: the label 'bad'; the table has good, poor"):
        desk.own("reviews.csv")
    assert desk.kept() == before


def test_withdrawn_texts_leave_it_and_every_version_that_held_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "REVIEW number 7 says something"
    written(desk, HEAD + f"{words},bad,\na fine film,good,\nanother,,{words} \n")
    fetched(desk, monkeypatch)
    assert len(desk.everywhere(words)) == 2  # data/ and the cache
    desk.write("reviews.csv", TABLE.replace("Review number 7 says something,bad\n", ""))
    said = desk.own("reviews.csv")
    assert "data/must.csv goes along, 1 line; 2 with withdrawn texts have left it." in said
    assert lines(desk) == [("a fine film", "good", None)]
    assert desk.everywhere(words) == []


def test_rows_of_the_list_are_no_rows_of_the_table(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = desk.table
    written(desk, LIST)
    fetched(desk, monkeypatch)
    from ratchet.data.prepare import rows
    from ratchet.problem import problem

    assert desk.table == before
    assert rows.RawRows(problem.load()).rows == 100
    transaction.finish(desk.here)
    os.utime(desk.here.data / "must.csv")
    assert "already there" in fetched(desk, monkeypatch)
