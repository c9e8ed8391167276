"""Bringing data through make: what is accepted, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import json
import subprocess

import pytest

from ratchet import tasks
from ratchet.data.incoming.table_import import ImportOptions, guessed_lines
from ratchet.tasks import Task
from tests.support.project import Project, copied, small_table

KEPT = ("data", "data.dvc", "params.yaml")

REFUSED = {
    "no such file": (None, ("SOURCE=absent.csv", "TEXT=text", "LABEL=label"), "no such file"),
    "no such column": ("text,label\na,b\nc,d\n", ("SOURCE=bad.csv", "TEXT=quote", "LABEL=label"), "quote"),
    "header only": ("text,label\n", ("SOURCE=bad.csv", "TEXT=text", "LABEL=label"), "rows"),
    "empty file": ("", ("SOURCE=bad.csv", "TEXT=text", "LABEL=label"), "bad.csv"),
    "one class": (
        "text,label\n" + "".join(f"text number {n},same\n" for n in range(50)),
        ("SOURCE=bad.csv", "TEXT=text", "LABEL=label"),
        "class",
    ),
    "all blank": (
        "text,label\n" + "".join(f"  ,{'ab'[n % 2]}\n" for n in range(50)),
        ("SOURCE=bad.csv", "TEXT=text", "LABEL=label"),
        "set aside",
    ),
    "unknown kind": ("text,label\n", ("SOURCE=bad.docx", "TEXT=text", "LABEL=label"), ".csv"),
    "unnamed columns": ("text,label\na,b\n", ("SOURCE=bad.csv",), "TEXT and LABEL"),
    "no plain choice of columns": (
        "title,body,a,b\n" + "".join(f"The title {n},The longer body {n},{n % 2},{n % 3}\n" for n in range(60)),
        ("SOURCE=bad.csv",),
        "TEXT=body LABEL=a",
    ),
    "a quote that stays open": ('text,label\na,b\n"c,d\n', ("SOURCE=bad.csv", "TEXT=text", "LABEL=label"), "line 3"),
    "a row too long": ("text,label\na,b\nc,d,e\n", ("SOURCE=bad.csv", "TEXT=text", "LABEL=label"), "line 3: 3 fields"),
    "one column twice": ("text,text\na,b\n", ("SOURCE=bad.csv", "TEXT=text", "LABEL=text"), "more than once"),
    "labels in two cases": (
        "text,label\n" + "".join(f"text [/b] {n},{'Good' if n == 3 else ('good', 'bad')[n % 2]}\n" for n in range(60)),
        ("SOURCE=bad.csv", "TEXT=text", "LABEL=label"),
        "'Good' (1 rows)",
    ),
    "text and label the same": ("text,label\na,b\n", ("SOURCE=bad.csv", "TEXT=text", "LABEL=text"), "of their own"),
    "unknown kind of problem": (
        "text,label\na,b\nc,d\n",
        ("SOURCE=bad.csv", "TASK=astrology"),
        "TASK names a kind of problem: classify. Received: astrology.",
    ),
    "unknown example": (None, ("EXAMPLE=moon_rocks",), "film_reviews"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_table_changes_nothing(turned: Project, name: str) -> None:
    content, words, said = REFUSED[name]
    if content is not None:
        turned.write("bad.docx" if "docx" in words[0] else "bad.csv", content)
    before = turned.bytes_of(*KEPT)
    done = turned.make("data", *words)
    assert done.status != 0, done.text
    assert said in done.text
    assert "Traceback" not in done.text
    assert turned.bytes_of(*KEPT) == before


def test_the_same_table_gives_the_same_version_twice(small: Project) -> None:
    before = small.bytes_of("data.dvc")
    assert small.make_really("data", "SOURCE=reviews.csv", "TEXT=text", "LABEL=label").status == 0
    assert small.bytes_of("data.dvc") == before
    assert not (small.root / "params.yaml.new").exists()


def test_a_next_version_keeps_what_a_person_chose_in_params_yaml(small: Project) -> None:
    chosen = (small.root / "params.yaml").read_text().replace("label: label}", "label: label, positive: good}")
    small.write("params.yaml", chosen)
    small.write("reviews.csv", small_table(700))
    assert small.make("data", "SOURCE=reviews.csv", "TEXT=text", "LABEL=label").status == 0
    assert (small.root / "params.yaml").read_text() == chosen


def test_brackets_in_a_text_are_no_markup(small: Project) -> None:
    small.write("reviews.csv", small_table(600) + "a [/b] text in [red]brackets,good\n" * 2)
    done = small.make("data", "SOURCE=reviews.csv", "TEXT=text", "LABEL=label")
    assert done.status == 0, done.text
    assert "Traceback" not in done.text


def test_lost_data_comes_back_from_the_cache(small: Project) -> None:
    before = small.bytes_of("data")
    subprocess.run(["rm", "-rf", str(small.root / "data")], check=True)
    done = small.make("data")
    assert done.status == 0, done.text
    assert "from the cache" in done.text
    assert small.bytes_of("data") == before


def test_a_remote_is_asked_before_anything_is_rebuilt(small: Project) -> None:
    """`dvc pull` from a configured remote: push, lose data and cache, fetch."""
    remote = small.root.parent / "remote"
    code = """
from ratchet.project.paths import places, settle
from ratchet.data.versions import dvc_repo
here = places(); settle(here)
with dvc_repo.repository(here) as repo:
    repo.push()
"""
    config = small.root / ".dvc" / "config"
    config.write_text(
        config.read_text().replace("[core]\n", "[core]\n    remote = kept\n")
        + f"['remote \"kept\"']\n    url = {remote}\n"
    )
    pushed = small.python(code)
    assert pushed.status == 0, pushed.text
    before = small.bytes_of("data")
    subprocess.run(["rm", "-rf", str(small.root / "data"), str(small.root / "state" / "dvc" / "cache")], check=True)
    done = small.make("data")
    assert done.status == 0, done.text
    assert "pulled from the remote" in done.text
    assert small.bytes_of("data") == before


def test_data_that_nothing_can_give_is_named(small: Project) -> None:
    subprocess.run(["rm", "-rf", str(small.root / "data"), str(small.root / "state" / "dvc")], check=True)
    done = small.make("data")
    assert done.status != 0
    assert "nothing here can rebuild it" in done.text
    assert "make data SOURCE=" in done.text
    assert not (small.root / "data").exists()


def test_an_example_that_no_longer_gives_the_pinned_bytes_is_refused(project: Project) -> None:
    pin = project.root / "data.dvc"
    pin.write_text(pin.read_text().replace("md5: 6291", "md5: 0000", 1))
    done = project.make("data")
    assert done.status != 0
    assert "must give these bytes" in done.text
    assert not (project.root / "data").exists()


@pytest.fixture(scope="module")
def unbuilt(brought: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """For tests that ask for a build and get none."""
    return copied(brought, tmp_path_factory.mktemp("unbuilt") / "project")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("evaluate:", "evaluat:", "unknown key `evaluat`"),
        ("metric: accuracy", "metric: acuracy", "`evaluate.metric`"),
        ("minutes: 2", "minutes: soon", "`build.minutes`"),
        ("[majority, linear]", "[majority, oracle]", "oracle"),
        ("minutes: 2", "minutes: 2, linear: {depth: 3}", "depth"),
        ("problem: reviews", "problem: My Reviews!", "`problem`"),
        ("text: text", "text: quote", "quote"),
    ],
)
def test_a_wrong_params_yaml_is_refused_by_the_name_of_the_key(unbuilt: Project, old: str, new: str, said: str) -> None:
    good = (unbuilt.root / "params.yaml").read_text()
    assert old in good
    unbuilt.write("params.yaml", good.replace(old, new))
    try:
        done = unbuilt.make("build")
    finally:
        unbuilt.write("params.yaml", good)
    assert done.status != 0
    assert said in done.text
    assert "Traceback" not in done.text


def test_a_model_that_is_not_there_is_refused_before_anything_starts(unbuilt: Project) -> None:
    done = unbuilt.make("build", "MODEL=oracle")
    assert done.status != 0
    assert "MODEL names one of linear, lstm, majority. Received: oracle." in done.text
    assert "Traceback" not in done.text


def test_rows_set_aside_are_counted_in_the_build_and_come_back(small: Project) -> None:
    lines = small_table(600).splitlines()
    lines[5] = "   ,good"
    lines[9] = "no label here,"
    small.write("reviews.csv", "\n".join(lines) + "\n")
    done = small.make("data", "SOURCE=reviews.csv")
    assert done.status == 0, done.text
    assert "2 rows withdrawn" in done.text
    assert "2 rows are set aside (blank text: 1, missing label: 1), the first from reviews.csv line 6." in done.text
    assert "make data ADD=state/quarantine/reviews.csv" in done.text
    built = small.make("build", "MODEL=majority")
    assert built.status == 0, built.text
    (artifact,) = artifacts(small, "data-validation", "set aside")
    assert "**2 set aside**, no part of the data (first: reviews.csv line 6, reviews.csv line 10)" in artifact
    assert "`make data ADD=state/quarantine/reviews.csv`" in artifact
    place = small.root / "state" / "quarantine" / "reviews.csv"
    place.write_text(place.read_text().replace("no label here,", "a label here,bad"))
    back = small.make("data", "ADD=state/quarantine/reviews.csv")
    assert back.status == 0, back.text
    assert "1 row came." in back.text
    history = small.make("history")
    assert "(reviews, 598 rows) after" in history.text
    assert "2 rows withdrawn. It continues" in history.text


TO_DIFFER = ": no other column fits. Name another on the command line to differ."


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (ImportOptions(), [f"Nobody named TEXT=review LABEL=verdict{TO_DIFFER}"]),
        (ImportOptions(label="verdict"), [f"Nobody named TEXT=review{TO_DIFFER}"]),
        (ImportOptions("review", "verdict"), []),
    ],
)
def test_the_columns_of_texts_that_nobody_named_are_told(typed: ImportOptions, said: list[str]) -> None:
    columns = tasks.get("classify").columns.model_validate({"text": "review", "label": "verdict"})
    assert guessed_lines(typed, columns, None) == said


@pytest.mark.parametrize(
    ("numbers", "label", "said"),
    [
        (("rooms", "size"), "", "the columns rooms and size, LABEL=price"),
        (("rooms", "size", "floor"), "price", "the columns rooms, size and floor"),
        (("size",), "price", "the column size"),
    ],
)
def test_the_columns_of_numbers_that_nobody_named_are_told(
    toy: Task, numbers: tuple[str, ...], label: str, said: str
) -> None:
    columns = toy.columns.model_validate({"numbers": numbers, "label": "price"})
    assert guessed_lines(ImportOptions(label=label), columns, None) == [f"Nobody named {said}{TO_DIFFER}"]


def artifacts(project: Project, key: str, words: str) -> list[str]:
    """What Prefect shows under a key, of those that hold the words."""
    code = f"""
import json, sqlite3
rows = sqlite3.connect("state/prefect/prefect.db").execute("select data from artifact where key = '{key}'")
print(json.dumps([json.loads(row[0]) for row in rows]))
"""
    return [text for text in json.loads(project.python(code).text) if words in text]
