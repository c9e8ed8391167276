"""Every suite accepts a good table, and refuses each named bad table by the rule that it breaks."""

from __future__ import annotations

import html
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import expectations
from expectations import Rules, Verdict, rules_of
from expectations.docs import render
from ratchet.data.prepare.row_facts import set_aside
from ratchet.monitoring.labels.feedback_rules import REASONS
from tests.support.measuring import facts_of, prepared
from tests.support.tables import (
    ALL_TABLES,
    BAD_PREPARED,
    BAD_ROWS,
    BAD_TABLES,
    CLASSIFY,
    ROWS,
    RULES,
    Row,
    changed,
    prepared_rows,
    raw_rows,
)

UNDECLARED = rules_of(CLASSIFY)


def check_rows(suite: str, rows: list[Row], rules: Rules = RULES) -> Verdict:
    columns = list(rows[0]) if rows else ["text", "label", "group", "split"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))
    return expectations.check(facts_of(frame), suite, rules)


def failed(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.severity for check in verdict.checks if not check.success}


LABEL_RULES = {
    "unknown_id": "Every label is of a prediction that is logged.",
    "unknown_label": "Every label is a class of the problem.",
    "no_text": "The log kept the text of every labelled prediction.",
    "unsound": "Every labelled text could be a row of the table.",
    "contradicts": "No label contradicts the table, or what was learned before.",
    "conflict": "Nobody gave one text two labels.",
    "improbable": "There are no more corrections than the model can have made mistakes.",
    "unusual": "No source corrects several times as much as it used to.",
    "waits": "No source gives more labels than one turn takes; the rest wait.",
}
"""Facts about feedback labels, and the rule that each breaks."""


def label_facts(broken: bool = False) -> pl.DataFrame:
    """Facts of good feedback labels (feedback_rules.py), or one row for each broken rule."""
    numbers = range(len(LABEL_RULES))
    facts = {fact: [broken and number == row for number in numbers] for row, fact in enumerate(LABEL_RULES)}
    rows = list(range(1, len(LABEL_RULES) + 1))
    share = [0.5 for _ in rows]
    return pl.DataFrame({"row": rows, **facts, "set_aside": [broken] * len(rows), "class_share": share})


def test_a_bad_label_is_set_aside_and_stops_no_other() -> None:
    assert failed(expectations.check(label_facts(), "feedback", RULES)) == {}
    verdict = expectations.check(label_facts(broken=True), "feedback", RULES)
    broken = {check.name: (check.action, check.rows) for check in verdict.checks if not check.success}
    actions = ["set aside"] * 8 + ["flag"]
    assert broken == {
        rule: (action, (row,)) for row, (rule, action) in enumerate(zip(LABEL_RULES.values(), actions, strict=True), 1)
    }
    assert verdict.passed
    assert set(LABEL_RULES) == {*REASONS, "waits"}, "every reason to set a label aside has its rule"


@pytest.mark.parametrize("slices", [1, 2])
def test_a_rule_that_could_not_be_judged_refuses_all(slices: int) -> None:
    """Great Expectations reports the missing column as an exception in the result, and logs no warning."""
    facts = label_facts().drop("contradicts")
    verdict = expectations.check_slices([facts] * slices, "feedback", RULES)
    assert not verdict.passed
    assert [check.name for check in verdict.refusals] == [LABEL_RULES["contradicts"]]
    assert verdict.headline.startswith("Refused: the feedback table breaks 1 rule: No label contradicts the table")


@pytest.mark.parametrize("suite", expectations.names())
def test_every_rule_is_a_sentence_with_a_severity(suite: str) -> None:
    verdict = (
        expectations.check(label_facts(), suite, RULES) if suite == "feedback" else check_rows(suite, prepared_rows())
    )
    checks = verdict.checks
    assert len({check.name for check in checks}) == len(checks) > 5
    for check in checks:
        assert check.name[0].isupper(), check.name
        assert check.name.endswith("."), check.name
        stops_nothing = check.action == "flag" or suite == "feedback"  # a bad label refuses no other
        assert check.severity == ("warning" if stops_nothing else "critical")


@pytest.mark.parametrize(("suite", "rows"), [("raw", raw_rows()), ("prepared", prepared_rows())])
def test_a_good_table_passes_every_check(suite: str, rows: list[Row]) -> None:
    verdict = check_rows(suite, rows)
    assert failed(verdict) == {}
    assert verdict.passed
    assert verdict.rows == ROWS
    assert verdict.headline.startswith(f"Accepted: all 200 rows of the {suite} table stay")


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused(name: str) -> None:
    rows, rule = BAD_TABLES[name]
    verdict = check_rows("raw", rows)
    assert not verdict.passed
    assert any(broken.startswith(rule) and severity == "critical" for broken, severity in failed(verdict).items())
    assert verdict.headline.startswith("Refused: the raw table breaks ")


def test_a_class_of_one_row_and_too_many_classes_are_refused() -> None:
    one = check_rows("raw", changed(raw_rows(), 1, label="odd"), UNDECLARED)
    many = check_rows("raw", changed(raw_rows(), ROWS, label="class {at}"), replace(UNDECLARED, max_classes=100))
    assert failed(one)["Every class has 2 rows or more."] == "critical"
    assert failed(many)["There are 2 to 100 classes."] == "critical"


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_set_aside_and_the_table_stays(name: str) -> None:
    values, rule = BAD_ROWS[name]
    rows = changed(raw_rows(), 1, **values)
    verdict = check_rows("raw", rows)
    check = next(check for check in verdict.checks if check.name == rule)
    assert (verdict.passed, verdict.set_aside) == (True, 1)
    assert (check.action, check.unexpected, check.rows) == ("set aside", 1, (1,))
    assert "199 of 200 rows of the raw table stay (1 set aside)" in verdict.headline
    frame = pl.DataFrame(rows)
    assert set_aside(frame, facts_of(frame), CLASSIFY)[1]["reason"].to_list() == [name]


@pytest.mark.parametrize(
    ("values", "count", "rule"),
    [
        (
            {"text": "one text", "label": "good"},
            15,
            "Few texts are copies of an earlier one; copies are dropped.",
        ),
        ({"text": "one text"}, 5, "Few texts have copies with another label; all are dropped."),
        ({"text": "cafÃ©"}, 1, "No text shows UTF-8 that was read as Latin-1 (Ã© for é)."),
        ({"text": "caf\ufffd"}, 1, "No text holds U+FFFD, which stands for a lost character."),
        ({"text": "ask jo@example.org"}, 1, "No text holds a mail address."),
        ({"text": "call +44 20 7946 0958"}, 1, "No text holds a phone number."),
        ({"text": "4111 1111 1111 1111"}, 1, "No text holds a payment card number."),
        ({"group": None}, 1, "Every row has its group."),
    ],
)
def test_an_oddity_is_flagged_and_stops_nothing(values: Row, count: int, rule: str) -> None:
    verdict = check_rows("raw", changed(raw_rows(), count, **values))
    assert verdict.passed
    assert failed(verdict) == {rule: "warning"}
    assert "with 1 warning" in verdict.headline


def test_small_and_padded_classes_are_flagged() -> None:
    few = check_rows("raw", changed(raw_rows(), 10, label="odd"), UNDECLARED)
    rare = check_rows("raw", changed(raw_rows(), 2, label="odd"), replace(UNDECLARED, min_rows=2, min_share=0.05))
    padded = check_rows("raw", changed(raw_rows(), 40, label=" good"), UNDECLARED)
    assert failed(few) == {"Every class has 20 rows or more.": "warning"}
    assert failed(rare) == {"Every class has 5% of the rows or more.": "warning"}
    assert failed(padded) == {"No label has white space around it.": "warning"}


@pytest.mark.parametrize("name", BAD_PREPARED)
def test_nothing_unsound_reaches_training(name: str) -> None:
    rows, rule = BAD_PREPARED[name]
    verdict = check_rows("prepared", rows)
    assert failed(verdict).get(rule) == "critical"
    assert not verdict.passed


def test_a_holdout_without_a_class_is_flagged() -> None:
    rows = [row for row in prepared_rows() if (row["split"], row["label"]) != ("holdout", "bad")]
    assert failed(check_rows("prepared", rows)) == {"The holdout rows have every class.": "warning"}


def test_prepared_rows_pass_the_prepared_suite() -> None:
    rows = changed(prepared_rows(), 6, text="One  Text")
    ready, _ = prepared(pl.DataFrame(rows))
    assert expectations.check(facts_of(ready), "prepared", RULES).passed


@pytest.mark.parametrize("slices", [1, 2])
def test_labels_that_are_no_classes_have_no_rules_about_classes(slices: int) -> None:
    """Nor do corrections of answers without a probability have rules about how many can be right."""
    rules = replace(RULES, unit="house", has_classes=False, has_confidence=False, labels=(), rows=())
    for suite, facts in (
        ("raw", facts_of(pl.DataFrame(raw_rows())).drop("class", "class_rows", "class_share")),
        ("prepared", facts_of(pl.DataFrame(prepared_rows())).drop("class", "class_rows", "class_share")),
        ("feedback", label_facts().drop("class_share", "improbable", "unusual")),
    ):
        verdict = expectations.check_slices([facts] * slices, suite, rules)
        assert failed(verdict) == {}
        assert not [check.name for check in verdict.checks if "class" in check.name or "text" in check.name]
        assert verdict.headline in render(verdict)


def test_an_unknown_suite_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match=r"prepared, raw\. Received: 'row'"):
        expectations.check(pl.DataFrame(), "row", RULES)


# --- the page


@pytest.mark.parametrize("name", ALL_TABLES)
def test_the_page_refers_to_nothing_outside_itself(
    name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        verdict = check_rows(*ALL_TABLES[name])
        page = render(verdict)
    assert not re.findall(r"<(?:script|link|img|iframe|a)\b", page)
    assert not re.findall(r"(?:https?:)?//\w|url\(|@import", page)
    assert all(check.name in html.unescape(page) for check in verdict.checks)
    assert "The record of Great Expectations" in page
    assert not caplog.records
    assert "".join(capfd.readouterr()) == "", "nothing is printed"


def test_a_label_cannot_put_a_script_into_the_page() -> None:
    """Great Expectations 1.24 prints observed values without escaping them."""
    page = render(check_rows("raw", changed(raw_rows(), 2, label="<script>alert(1)</script>")))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_and_the_verdict_hold_no_text_of_the_table() -> None:
    verdict = check_rows("raw", changed(raw_rows(), 3, text="my secret is jo@example.org"))
    assert "secret" not in render(verdict) + repr(verdict) + str(verdict.evidence)


QUIET = """
import os, socket, sys
def refuse(*args, **kwargs):
    os._exit(97)  # from any thread
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import expectations, polars as pl
assert "great_expectations" not in sys.modules and "pandas" not in sys.modules
from expectations.docs import render
from ratchet import tasks
from ratchet.data.prepare.row_facts import row_only_facts
assert "great_expectations" not in sys.modules
frame = pl.DataFrame({"text": [f"text {at}" for at in range(60)], "label": ["a", "b"] * 30})
task = tasks.get("classify")
facts = row_only_facts(frame, task)
print(len(render(expectations.check(facts, "raw", expectations.rules_of(task)))))
"""


def test_checking_writes_no_file_and_calls_no_network(tmp_path: Path) -> None:
    """In a process whose empty home and working folder must stay empty."""
    project = Path(expectations.__file__).parent.parent
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    environment = {"HOME": str(home), "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", QUIET],
        cwd=here, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.strip().isdigit()
    assert not list(here.rglob("*")), "the working folder is left as it was"
    assert not [path for path in home.rglob("*") if path.is_file()], "the home is left as it was"
