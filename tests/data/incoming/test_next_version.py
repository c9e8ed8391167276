"""The next version of a table: more rows, fewer, other classes, other columns; each has a stated outcome, and what is
refused or killed leaves everything as it was."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.data.prepare import row_diff
from ratchet.data.versions import transaction
from ratchet.problem import data_pin, settings
from ratchet.project.errors import Refusal
from tests.support import forking
from tests.support.in_process import Desk
from tests.support.project import ROOT

HEAD = "text,label,film\n"
CONTINUES = "It continues: no row changes its side of the split"


def lines(first: int, last: int, labels: tuple[str, ...] = ("good", "bad")) -> list[str]:
    return [f"Review number {n} says something,{labels[n % len(labels)]},film {n % 9}\n" for n in range(first, last)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A project with 100 reviews in it."""
    desk = Desk(tmp_path / "project")
    desk.write("reviews.csv", HEAD + "".join(lines(0, 100)))
    desk.own("reviews.csv", text="text", label="label")
    return desk


def bring(desk: Desk, rows: list[str], head: str = HEAD, **wished: object) -> str:
    desk.write("reviews.csv", head + "".join(rows))
    return desk.own("reviews.csv", **wished)


def test_the_first_version_is_called_so_and_stands_in_the_ledger(desk: Desk) -> None:
    assert "The first version of reviews: 100 rows." in desk.said
    (line,) = desk.changes
    assert (line.before, line.after, line.rows, line.withdrawn) == (None, data_pin.pinned(desk.here).version, 100, 0)


def test_more_rows_continue(desk: Desk) -> None:
    first = data_pin.pinned(desk.here).version
    said = bring(desk, lines(0, 130))
    assert f"30 rows came. {CONTINUES}" in said
    assert "As in params.yaml: TEXT=text LABEL=label." in said
    assert (desk.changes[-1].before, desk.changes[-1].rows) == (first, 130)


def test_the_same_rows_are_no_new_version(desk: Desk) -> None:
    before = desk.kept()
    assert "has these very rows already" in bring(desk, lines(0, 100))
    assert desk.kept() == before


def test_a_new_class_and_one_that_is_gone_continue_and_are_named(desk: Desk) -> None:
    said = bring(desk, lines(0, 100) + lines(100, 130, ("mixed",)))
    assert f"30 rows came, new class 'mixed' (30 rows). {CONTINUES}" in said
    relabelled = [line.replace(",mixed,", ",good,") for line in lines(0, 100) + lines(100, 130, ("mixed",))]
    said = bring(desk, relabelled)
    assert "30 rows with another label, class 'mixed' is gone (it had 30 rows)" in said
    assert "It may answer a class that is gone until another is promoted." in said


def test_labels_that_are_no_classes_are_neither_new_nor_gone() -> None:
    before, after = (pl.DataFrame({"text": ["a", "b"], "label": ["1", label]}) for label in ("2", "3"))
    assert str(row_diff.compare_tables([before], after)) == (
        "1 row with another label, new class '3' (1 rows), class '2' is gone (it had 1 rows)"
    )
    assert str(row_diff.compare_tables([before], after, has_classes=False)) == "1 row with another label"


def test_withdrawn_rows_leave_data_caches_and_quarantine(desk: Desk) -> None:
    words = "Review number 7 says"
    bring(desk, [*lines(0, 100), "Review number 7 says it again,,film 1\n"])
    (desk.here.state / "cache").mkdir(exist_ok=True)
    pl.DataFrame({"text": [words]}).write_parquet(
        desk.here.state / "cache" / "prepared.parquet", compression="uncompressed"
    )
    desk.here.backups.mkdir()
    (desk.here.backups / "reviews-2026.tar.zst").write_bytes(b"an archive")
    assert len(desk.everywhere(words)) >= 4  # data/, two versions in DVC's cache, the quarantine, the prepared rows
    said = bring(desk, lines(0, 7) + lines(8, 100))
    assert f"1 row withdrawn. {CONTINUES}" in said
    assert "Withdrawn rows have left data/ and 1 older version the caches" in said
    assert "state/backups/ (1 entries, newest reviews-2026.tar.zst) may still hold them" in said
    assert desk.everywhere(words) == []
    assert desk.changes[-1].withdrawn == 1
    assert "Review number 8 says" in desk.table


def test_a_row_that_is_set_aside_is_not_withdrawn(desk: Desk) -> None:
    rows = [line.replace(",bad,", ",,") if "number 7 " in line else line for line in lines(0, 100)]
    said = bring(desk, rows)
    assert "withdrawn" not in said
    assert "missing label: 1" in said
    assert "Review number 7 says" in desk.quarantine


def test_most_of_the_rows_missing_is_refused_with_three_ways_to_go_on(desk: Desk) -> None:
    before = desk.kept()
    with pytest.raises(Refusal) as refused:
        bring(desk, lines(0, 60))
    for way in ("40 of its 100 rows are not in", "WITHDRAW=40", "make data ADD=", "NAME=another"):
        assert way in str(refused.value)
    assert desk.kept() == before
    with pytest.raises(Refusal, match="WITHDRAW=39, and 40 are missing"):
        bring(desk, lines(0, 60), withdraw="39")
    assert desk.kept() == before
    assert "40 rows withdrawn" in bring(desk, lines(0, 60), withdraw="40")


def test_a_renamed_column_keeps_everything_else_that_params_yaml_says(desk: Desk) -> None:
    chosen = desk.here.params.read_text().replace("candidates: [linear, lstm, majority]", "candidates: [linear]")
    desk.here.params.write_text("# Ours.\n" + chosen)
    said = bring(desk, lines(0, 110), "review,label,film\n", text="review")
    assert f"10 rows came. The column 'text' is called 'review' now. {CONTINUES}" in said
    after = desk.here.params.read_text()
    assert after.startswith("# Ours.\n")
    assert after.replace("text: review #", "text: text   #") == "# Ours.\n" + chosen
    assert settings.load(desk.here.params).data.inputs == ("review",)


def test_a_column_that_is_missing_and_not_plain_is_asked_for(desk: Desk) -> None:
    before = desk.kept()
    with pytest.raises(Refusal, match="2 columns that could be the label"):
        bring(desk, lines(0, 100), "text,verdict,film\n")
    assert desk.kept() == before


def test_a_group_that_comes_later_begins_a_new_lineage_and_stays(desk: Desk) -> None:
    said = bring(desk, lines(0, 100), group="film")
    assert "The same rows. A new lineage: rows are split by 'film' now" in said
    assert settings.load(desk.here.params).data.group == "film"
    assert CONTINUES in bring(desk, lines(0, 120))
    assert settings.load(desk.here.params).data.group == "film"
    before = desk.kept()
    with pytest.raises(Refusal, match=r"needs the columns that params\.yaml names\. Received: none called 'film'"):
        bring(desk, [line.rsplit(",", 1)[0] + "\n" for line in lines(0, 120)], "text,label\n")
    assert desk.kept() == before


def test_a_positive_class_that_is_gone_is_refused(desk: Desk) -> None:
    desk.here.params.write_text(
        desk.here.params.read_text().replace("  label: label", "  positive: good\n  label: label")
    )
    before = desk.kept()
    with pytest.raises(Refusal, match="'good', and the classes are 'bad', 'fine'"):
        bring(desk, [line.replace(",good,", ",fine,") for line in lines(0, 100)])
    assert desk.kept() == before


def test_a_problem_that_was_left_and_comes_back_goes_on_from_its_last_version(desk: Desk) -> None:
    first = data_pin.pinned(desk.here).version
    desk.write("other.csv", HEAD + "".join(lines(500, 560)))
    said = desk.own("other.csv", text="text", label="label")
    assert "This is a new problem, other. For the next version of reviews, type NAME=reviews too." in said
    assert "The first version of other" in said
    assert f"5 rows came. {CONTINUES}" in bring(desk, lines(0, 105), text="text", label="label")
    assert desk.changes[-1].before == first


def test_spellings_are_merged_where_that_is_asked_for(desk: Desk) -> None:
    rows = [*lines(0, 100), "One more of them,GOOD,film 1\n", "And another one,  Bad ,film 1\n"]
    before = desk.kept()
    with pytest.raises(Refusal, match=r"'good' \(50 rows\) / 'GOOD' \(1 rows\).*MERGE=yes"):
        bring(desk, rows)
    assert desk.kept() == before
    said = bring(desk, rows, merge=True)
    assert "Merged into 'good': 'GOOD'." in said
    assert "White space around 1 label was taken off." in said
    assert '"One more of them","good"' in desk.table


def test_rows_set_aside_have_their_place_and_come_back_mended(desk: Desk) -> None:
    rows = lines(0, 100)
    rows[3] = "No label here,,film 3\n"
    rows[8] = "Too, many fields,good,film 8\n"
    rows[11] = "   ,good,film 1\n"
    said = bring(desk, rows)
    assert "3 rows are set aside (" in said
    for reason in ("missing label: 1", "4 fields instead of 3: 1", "blank text: 1"):
        assert reason in said
    place = "state/quarantine/reviews.csv"
    assert f"make data ADD={place}" in said
    for line in ("missing label,reviews.csv,5,No label here,", '4 fields instead of 3,reviews.csv,10,"Too, many'):
        assert line in desk.quarantine
    mended = desk.quarantine.replace("No label here,", "No label here,bad").replace(
        '"Too, many fields,good,film 8",', '"Too, many fields",good'
    )
    desk.write(place, mended)
    said = desk.add(place)
    assert f"2 rows came. {CONTINUES}" in said
    assert "1 row is set aside (blank text: 1), the first from reviews.csv line 13" in said
    assert '"Too, many fields","good"' in desk.table
    assert desk.quarantine.count("\n") == 2
    desk.write(place, desk.quarantine.replace("   ,good", "Now there,good"))
    assert "set aside" not in desk.add(place).replace("set aside)", "")
    assert desk.quarantine == ""
    assert desk.changes[-1].rows == 100


def test_added_rows_come_on_top_and_adding_them_twice_changes_nothing(desk: Desk) -> None:
    desk.write("more.csv", HEAD + "".join(lines(90, 140)))
    said = desk.add("more.csv")
    assert "Read more.csv: 50 rows, of which 10 were there already." in said
    assert "40 rows came." in said
    before = desk.kept()
    assert "has these very rows already" in desk.add("more.csv")
    assert desk.kept() == before
    desk.write("other.csv", "body,label\nfine,good\n")
    with pytest.raises(Refusal, match="none called 'text'"):
        desk.add("other.csv")
    assert desk.kept() == before


KILLED = """
import os, signal, sys
events, left = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "open"}, int(sys.argv[1])
root = sys.argv[2]

def count(event, args):
    global left
    if event not in events or not isinstance(args[0], str) or not args[0].startswith(root):
        return
    if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

os.environ.update(RATCHET_ROOT=root, RATCHET_SOURCE=root + "/next.csv", RATCHET_NAME="reviews")
sys.path.insert(0, sys.argv[3])
from ratchet.console.cli import main
import dvc.repo, dvc_data.hashfile.build, expectations
expectations.load()
sys.addaudithook(count)
status = main(["data"])
sys.stdout.flush()
print("writes", int(sys.argv[1]) - left, "status", status, flush=True)
"""


def kill_at(desk: Desk, write: int) -> tuple[int, str]:
    """Bring next.csv in a process that is killed with SIGKILL just before its so-manieth write below the project."""
    return forking.process(KILLED, str(write), str(desk.root), str(ROOT))


def prepared_to_change(folder: Path) -> Desk:
    """A project whose next version would change everything: rows, quarantine, params.yaml, and a withdrawn row."""
    desk = Desk(folder)
    desk.write("reviews.csv", HEAD + "".join([*lines(0, 100), "No label,,film 1\n"]))
    desk.own("reviews.csv", text="text", label="label")
    rows = [*lines(1, 120), "Another without,,film 1\n"]
    desk.write("next.csv", "review,label,film\n" + "".join(rows))
    return desk


def without_times(kept: dict[str, bytes]) -> dict[str, bytes]:
    return {name: re.sub(rb'"at": "[^"]*"', b"", content) for name, content in kept.items()}


def check_kill_points(
    tmp_path: Path, points: list[int], before: dict[str, bytes], after: dict[str, bytes]
) -> list[str]:
    """Kill at each of these writes; what the next command finds must be the old state or the new one, whole."""
    outcomes = []
    for point in points:
        desk = prepared_to_change(tmp_path / f"killed at {point}")
        done = kill_at(desk, point)
        assert done[0] == -9, (point, done)
        decided = (desk.here.state / "change.json").exists()
        transaction.finish(desk.here)
        kept = without_times(desk.kept())
        assert kept == after or (kept == before and not decided), point
        outcomes.append("after" if kept == after else "before")
        again = desk.own("next.csv", name="reviews")
        assert without_times(desk.kept()) == after, (point, again)
    return outcomes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes], int]:
    """The project's files before and after bringing its next version, and how many writes that takes."""
    desk = prepared_to_change(tmp_path_factory.mktemp("whole") / "project")
    before = without_times(desk.kept())
    done = kill_at(desk, 10**9)
    assert done[0] == 0, done
    assert "status 0" in done[1], done
    assert "1 row withdrawn" in done[1]
    return before, without_times(desk.kept()), int(done[1].rsplit("writes ", 1)[1].split()[0])


def test_a_kill_at_any_write_leaves_the_old_data_or_the_new(
    tmp_path: Path, undisturbed: tuple[dict[str, bytes], dict[str, bytes], int]
) -> None:
    """The last writes are the dangerous ones; the whole range is in the long suite."""
    before, after, writes = undisturbed
    outcomes = check_kill_points(tmp_path, [writes // 3, *range(writes - 9, writes + 1, 3)], before, after)
    assert set(outcomes) == {"before", "after"}


@pytest.mark.long
def test_a_kill_at_every_write_leaves_the_old_data_or_the_new(
    tmp_path: Path, undisturbed: tuple[dict[str, bytes], dict[str, bytes], int]
) -> None:
    before, after, writes = undisturbed
    outcomes = check_kill_points(tmp_path, list(range(1, writes + 1)), before, after)
    print(
        f"{len(outcomes)} kill points: {outcomes.count('before')} left the old data, {outcomes.count('after')} the new"
    )


TEXTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), max_size=12)


def framed(rows: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"text": pl.String, "label": pl.String}, orient="row")


def classes(rows: list[tuple[str, str]]) -> set[str]:
    return {label for _, label in rows}


@given(TEXTS, TEXTS, st.integers(0, 12))
def test_a_revision_counts_what_differs(before: list[tuple[str, str]], after: list[tuple[str, str]], cut: int) -> None:
    revision = row_diff.compare_tables([framed(before[:cut]), framed(before[cut:])], framed(after))
    old, new = {text for text, _ in before}, {text for text, _ in after}
    labels = [
        {text: {label for row_text, label in rows if row_text == text} for text in old & new}
        for rows in (before, after)
    ]
    assert revision.added == len(new - old)
    assert revision.withdrawn == sum(text not in new for text, _ in before)
    assert set(revision.gone) == old - new
    assert revision.relabelled == sum(labels[0][text] != labels[1][text] for text in old & new)
    assert {label for label, _ in revision.new_classes} == classes(after) - classes(before)
    assert {label for label, _ in revision.gone_classes} == classes(before) - classes(after)
