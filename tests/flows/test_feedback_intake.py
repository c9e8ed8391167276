"""Feedback becomes the next data version: once, whole, and on its own side of the split."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.people import Loop, driven, texts_of
from tests.support.project import Project, copied

STRICTER = """
import dataclasses, expectations.feedback as suites
suites.kind = suites.suite
def stricter(rules):
    from expectations.rules import wording
    from great_expectations.expectations import ExpectTableRowCountToBeBetween
    suite = suites.kind(rules)
    words = wording("There are nine labels or more.", "refuse")
    suite.add_expectation(ExpectTableRowCountToBeBetween(min_value=9, **words))
    return suite
suites.suite = stricter
"""
"""A rule added to expectations/feedback.py that refuses everything that was collected."""
ARTIFACT = """
__import__("prefect.client.orchestration", fromlist=["x"]).get_client(sync_client=True).request(
    "POST", "/artifacts/latest/filter",
    json={"artifacts": {"key": {"any_": ["data-validation"]}}, "sort": "UPDATED_DESC", "limit": 1}).json()[0]
"""
"""The newest artifact data-validation."""
PREPARED = "rows.load_prepared(problem_and_registry()[0])"
SIDES = f"{{(row['text'], row['split']) for frame in {PREPARED} for row in frame.to_dicts()}}"
"""Every prepared row with its side."""


@pytest.fixture(scope="module")
def loop(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with driven(copied(original, tmp_path_factory.mktemp("closing") / "project")) as loop:
        yield loop


@pytest.fixture(autouse=True)
def as_it_was(loop: Loop) -> None:
    loop.restore()


def pinned(loop: Loop) -> str:
    match = re.search(r"md5: (\w+)\.dir", loop.pin)
    assert match
    return match[1]


def git(loop: Loop, *words: str) -> str:
    result = subprocess.run(["git", "-C", str(loop.root), *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def sides(loop: Loop) -> dict[str, str]:
    split: dict[str, str] = dict(loop.call(f"sorted({SIDES})"))
    return split


def test_feedback_becomes_a_data_version_once_and_the_ledger_tells_of_it(loop: Loop) -> None:
    before, lines = pinned(loop), len(loop.changes)
    ids = loop.asked(texts_of("train", 20))
    loop.said(ids[:4], "bad")
    loop.said(ids[4:9], "good")
    loop.said(ids[9:10], "good", "chosen", 0.25)
    outlook = loop.optimise()
    assert outlook["learned"] == "10 new labels: 9 by users, 1 that were asked for to learn from."
    assert pinned(loop) != before
    assert "source: feedback on table reviews.csv" in loop.pin
    assert "nfiles: 3" in loop.pin
    assert [row["prediction"] for row in loop.kept] == ids[:10]
    assert [row["label"] for row in loop.kept] == ["bad"] * 4 + ["good"] * 6
    assert [row["label_source"] for row in loop.kept] == ["user"] * 9 + ["chosen"]
    assert [row["chance"] for row in loop.kept] == [None] * 9 + ["0.25"]
    (line,) = loop.changes[lines:]
    assert (line["before"], line["after"], line["rows"], line["by"]) == (before, pinned(loop), 610, "make optimise")
    story = " ".join(loop.project.make("history").text.split())
    assert "Feedback: 10 new labels: 9 by users, 1 that were asked for to learn from." in story
    assert "no row changes its side of the split" in story

    after = loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl")
    assert loop.optimise()["learned"] == "No new label waits."
    assert loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl") == after

    shutil.rmtree(loop.root / "data")
    fetched = loop.project.make("data")
    assert fetched.status == 0, fetched.text
    assert loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl") == after


def test_a_suite_that_fails_keeps_all_that_was_collected_out_and_loses_none_of_it(loop: Loop) -> None:
    ids = loop.asked(texts_of("train", 4))
    loop.said(ids, "bad")
    loop.said(loop.asked(["   "]), "bad")  # it would be set aside
    before = loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl", "state/quarantine")
    loop.call(f"exec({STRICTER!r})")
    try:
        for _ in range(2):
            outlook = loop.optimise()
            assert outlook["learned"].startswith("No label was taken in, and all stay in the log. Refused: ")
            assert "There are nine labels or more. Found: 5." in outlook["learned"]
            assert loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl", "state/quarantine") == before
            assert loop.waiting == 5
        artifact = loop.call(ARTIFACT.strip())
        assert artifact["description"] == "Feedback: refused, none of 5 labels taken"
        assert artifact["data"].startswith("No label was taken in, and all stay in the log. Refused: ")
        assert loop.call("retrain_state.count_waiting_labels(here, problem_and_registry()[0].settings)") == 0, (
            "they ask for no turn again and again"
        )
    finally:
        loop.call("exec('import expectations.feedback as suites; suites.suite = suites.kind')")
    learned = loop.optimise()["learned"]
    assert learned.startswith("5 new labels: 4 by users to learn from; 1 set aside (the text is blank")
    assert [row["prediction"] for row in loop.kept] == ids
    assert loop.waiting == 0


def test_a_changed_mind_takes_the_place_of_what_was_said_before(loop: Loop) -> None:
    ids = loop.asked(texts_of("train", 3))
    loop.said(ids, "bad")
    loop.optimise()
    loop.said(ids[:1], "good")
    loop.optimise()
    assert [(row["prediction"], row["label"]) for row in loop.kept] == [*zip(ids, ("good", "bad", "bad"), strict=True)]
    loop.said(ids[:1], "bad")
    loop.optimise()
    assert [row["label"] for row in loop.kept] == ["bad"] * 3
    assert loop.aside == []


def test_corrections_join_the_training_rows_and_audited_labels_the_holdout(loop: Loop) -> None:
    train, holdout, validation = texts_of("train", 3), texts_of("holdout", 6), texts_of("validation", 2)
    before = sides(loop)
    loop.said(loop.asked(train), "bad")
    loop.said(loop.asked(holdout[:3]), "bad")
    loop.said(loop.asked(holdout[3:4]), "bad", "chosen", 0.5)
    loop.said(loop.asked(holdout[4:]), "bad", "audit")
    loop.said(loop.asked(validation), "good")
    loop.optimise()
    assert len(loop.kept) == 11, "labels that play no part are kept all the same"
    after = sides(loop)
    assert {text: side for text, side in after.items() if text in before} == before
    added = {text: side for text, side in after.items() if text not in before}
    assert added == dict.fromkeys(train, "train") | dict.fromkeys(holdout[4:], "holdout")


def test_the_next_table_takes_the_feedback_along_and_a_withdrawn_text_leaves_it(loop: Loop) -> None:
    rows = (loop.root / "reviews.csv").read_text().splitlines()
    first, second, third = texts_of("train", 3)
    loop.said(loop.asked([first, second, third]), "bad")
    loop.optimise()
    table = loop.root / "reviews.csv"
    try:
        table.write_text("\n".join([*rows, f"{first},bad"]) + "\n")
        assert loop.project.make("data", "SOURCE=reviews.csv").status == 0
        assert [row["text"] for row in loop.kept] == [second, third], "the owner's own row takes its place"
        assert "source: feedback on table reviews.csv" in loop.pin
        table.write_text("\n".join([*rows, f"{second},bad"]) + "\n")
        assert loop.project.make("data", "SOURCE=reviews.csv").status == 0
        loop.said(loop.asked([second]), "good")
        loop.optimise()
        assert [row["text"] for row in loop.aside] == [None, second], "the one withdrawn, and the one that contradicts"
        table.write_text("\n".join(rows) + "\n")
        done = loop.project.make("data", "SOURCE=reviews.csv")
        assert done.status == 0, done.text
        assert [row["text"] for row in loop.kept] == [third]
        assert [row["text"] for row in loop.aside] == [None]
        learned = loop.optimise()["learned"]
        assert learned == "2 new labels: none to learn from; 2 set aside (the log kept no text: 2)."
        assert [row["text"] for row in loop.kept] == [third], "what was withdrawn comes back from no log"
    finally:
        table.write_text("\n".join(rows) + "\n")


def test_git_has_the_new_version_where_that_is_wished_and_nothing_else(loop: Loop) -> None:
    params = (loop.root / "params.yaml").read_text()
    git(loop, "init", "-q")
    try:
        for name, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
            git(loop, "config", name, value)
        git(loop, "add", "data.dvc", "params.yaml", "Makefile")
        git(loop, "commit", "-q", "-m", "Begin")
        ids = loop.asked(texts_of("train", 2))
        loop.said(ids[:1], "bad")
        loop.optimise()
        assert git(loop, "log", "--format=%s") == "Begin\n"
        (loop.root / "params.yaml").write_text(params + "optimise: {commit: true}\n")
        loop.project.write("staged.txt", "staged")
        git(loop, "add", "staged.txt")
        loop.said(ids[1:], "bad")
        loop.optimise()
        assert git(loop, "show", "--format=%s", "--name-only").split("\n\n") == [
            "Learn from feedback: 1 new label: 1 by users to learn from.",
            "data.dvc\n",
        ]
        assert git(loop, "show", "HEAD:data.dvc") == loop.pin
        assert git(loop, "status", "--porcelain", "--untracked-files=no") == " M params.yaml\nA  staged.txt\n"
    finally:
        shutil.rmtree(loop.root / ".git")
        (loop.root / "staged.txt").unlink(missing_ok=True)
