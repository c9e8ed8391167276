"""Batch prediction: the table is whole and in order, whatever is in it and whenever the command is killed."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import models
from models.contract import Rows
from ratchet.console import batch_predict
from ratchet.data.tables import parsed, reading, writing
from ratchet.data.tables.large_table import scan_table
from ratchet.monitoring.log import database
from ratchet.project.errors import Refusal
from ratchet.serving.answering import bundle
from ratchet.serving.answering.bundle import Bundle, Facts
from tests.support.project import ROOT, Project, refused, small_table

TEN = Rows([f"{word} film {n}" for n in range(5) for word in ("splendid", "dull")], ["good", "bad"] * 5)
ADDED = ["predicted", "score", "p_bad", "p_good"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small linear model, as the service and `make predict` read it."""
    folder = tmp_path_factory.mktemp("live")
    linear = models.get("linear")
    fitted = linear.fit(TEN, TEN, ("bad", "good"), linear.Params(), seed=0, progress=lambda *_: None)
    (folder / "saved").mkdir()
    fitted.save(folder / "saved")
    digest = bundle.pack(folder / "saved", Facts("reviews", 1, "linear", "run", "data", "commit"), folder / "bundles")
    return bundle.open_bundle(folder / "bundles", digest)


@pytest.fixture(scope="module")
def other(live: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The next version."""
    folder = tmp_path_factory.mktemp("other")
    live.model.save(folder)
    digest = bundle.pack(folder, Facts("reviews", 2, "linear", "run", "data", "commit"), folder.parent / "bundles")
    return bundle.open_bundle(folder.parent / "bundles", digest)


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of three rows, so that ten are several parts."""
    monkeypatch.setattr(parsed, "BATCH", 3)
    monkeypatch.setattr(reading, "BATCH", 3)
    monkeypatch.setattr(batch_predict, "ROWS", 3)


def answer_table(source: Path, target: Path, live: Bundle, column: str = "text") -> list[str]:
    """Answer a table; the printed lines."""
    lines: list[str] = []
    with batch_predict.exclusive_folder(target) as folder:
        request = batch_predict.BatchRequest(scan_table(source, lines.append), column, live, target.parent / "log.db")
        batch_predict.run(request, target, folder, lines.append)
    return lines


def log_rows(folder: Path) -> list[tuple[str, int, str, int]]:
    """The rows of the log in order: id, version, label, characters."""
    with closing(sqlite3.connect(folder / "log.db")) as connection:
        return connection.execute("select id, version, label, characters from predictions order by id").fetchall()


def rows_of(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


CELL = st.one_of(
    st.sampled_from(["", "007", "1e5", "NA", "null", "true", " padded ", 'a "quote"', "two\nlines", "a\rb", "c\r\nd"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
)


@pytest.mark.usefixtures("_small_parts")
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=10), st.sampled_from(",;\t|"))
def test_a_csv_keeps_its_texts_and_their_order(
    tmp_path_factory: pytest.TempPathFactory, live: Bundle, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("id", "text", "more"), *rows])
    (folder / "in.csv").write_bytes(written.getvalue().encode())
    answer_table(folder / "in.csv", folder / "out.csv", live)
    header, *answers = rows_of(folder / "out.csv")
    assert header == ["id", "text", "more", *ADDED]
    assert [tuple(row[:3]) for row in answers] == rows
    probabilities = live.model.predict([text for _, text, _ in rows])
    assert np.allclose([[float(value) for value in row[5:]] for row in answers], probabilities, rtol=0, atol=1e-9)
    assert [characters for *_, characters in log_rows(folder)] == [len(text) for _, text, _ in rows]


TABLES: dict[str, bytes] = {
    "utf-16.csv": 'n;text\n007;"splendid;\nfilm"\n1e5;\n3;dull film\n4;天气\n'.encode("utf-16"),
    "tabs.tsv": b'n\ttext\n007\t"splendid;\nfilm"\n1e5\t\n3\tdull film\n4\t\xe5\xa4\xa9\xe6\xb0\x94\n',
    "lines.jsonl": '{"text": "splendid;\\nfilm"}\n{"text": null, "n": 1e5}\n{"n": 3, "text": "dull film"}\n'
    '{"n": 4, "text": "天气"}\n'.encode(),
    "rows.parquet": b"",
    "*.part": b"",
}


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", TABLES)
def test_every_format_is_converted_to_every_other(tmp_path: Path, live: Bundle, name: str, ending: str) -> None:
    texts = ["splendid;\nfilm", None, "dull film", "天气"]
    numbers: list[str | None] = ["007", "1e5", "3", "4"]
    source, target = tmp_path / name, tmp_path / f"out{ending}"
    if name == "rows.parquet":
        pl.DataFrame({"n": numbers, "text": texts}).write_parquet(source, row_group_size=2)
    elif name == "*.part":
        source = tmp_path / "*.csv"
        (tmp_path / "1.csv").write_bytes(TABLES["utf-16.csv"])
        (tmp_path / "2.csv").write_text("text,n\nsplendid,5\n")
        texts, numbers = [*texts, "splendid"], [*numbers, "5"]
    else:
        source.write_bytes(TABLES[name])
    if name == "lines.jsonl":
        numbers[0] = None
    answer_table(source, target, live)
    answers = pl.read_parquet(target) if ending == ".parquet" else reading.read_table(target)
    assert set(answers.columns) == {"n", "text", *ADDED}
    assert answers.columns[2:] == ADDED
    assert answers["text"].to_list() == texts
    assert answers["n"].to_list() == numbers
    assert answers["predicted"].to_list()[::2] == ["good", "bad", *(["good"] if len(texts) == 5 else [])]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_in_json_lines_a_missing_value_is_null_and_a_probability_a_number(tmp_path: Path, live: Bundle) -> None:
    (tmp_path / "in.csv").write_text("n,text\n007,\n")
    answer_table(tmp_path / "in.csv", tmp_path / "out.jsonl", live)
    (record,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert (record["n"], record["text"]) == ("007", None)
    assert record["p_bad"] + record["p_good"] == pytest.approx(1)


@pytest.mark.parametrize("name", ["out.xlsx", "out.json", "out.csv.gz", "out.db"])
def test_an_ending_that_cannot_be_written_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refusal, match=r"OUT ends in \.csv, \.tsv, \.jsonl or \.parquet") as refusal:
        writing.require_place(tmp_path / name)
    assert name in str(refusal.value)


def test_a_table_damaged_at_its_end_is_refused_before_any_answer(tmp_path: Path, live: Bundle) -> None:
    (tmp_path / "in.csv").write_text(small_table(40_000) + "one field\n")
    with pytest.raises(Refusal, match="line 40002: 1 field"):
        answer_table(tmp_path / "in.csv", tmp_path / "out.csv", live)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


# Killed


KILLED = """
import os, re, signal, sys
from pathlib import Path
from ratchet.console import batch_predict
from ratchet.data.tables import parsed
from ratchet.serving.answering import bundle
from ratchet.data.tables.large_table import scan_table

folder, bundles, digest, left = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
parsed.BATCH = batch_predict.ROWS = int(sys.argv[5])
EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "sqlite3.connect"}

def count(event, args):
    global left
    if event not in EVENTS or str(folder) not in str(args[0]):
        return
    if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

target = folder / "out.csv"
live = bundle.open_bundle(bundles, digest)
sys.addaudithook(count)
with batch_predict.exclusive_folder(target) as parts:
    request = batch_predict.BatchRequest(scan_table(folder / "in.csv", print), "text", live, folder / "log.db")
    batch_predict.run(request, target, parts, print)
print("peak", re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def run_until_killed(
    folder: Path, bundles: Path, digest: str, write: int, rows: int = 100
) -> subprocess.CompletedProcess[str]:
    """Answer a table in a process that is killed with SIGKILL just before its `write`-th write.

    Args:
        write: counted from 1; 0 for no kill.
        rows: of a part.
    """
    command = [sys.executable, "-c", KILLED, str(folder), str(bundles), digest, str(write), str(rows)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own count of a process's memory is in /proc")
def test_memory_does_not_grow_with_the_table(tmp_path: Path, live: Bundle) -> None:
    """Ten times the rows, 450,000 more: 177 and 189 MB were measured, 343 and 727 when they were held in memory."""
    (tmp_path / "saved").mkdir()
    live.model.save(tmp_path / "saved")
    digest = bundle.pack(tmp_path / "saved", live.facts, tmp_path / "bundles")
    peaks = []
    for rows in (50_000, 500_000):
        (tmp_path / "in.csv").write_text(small_table(rows))
        done = run_until_killed(tmp_path, tmp_path / "bundles", digest, 0, batch_predict.ROWS)
        peaks.append(int(done.stdout.rpartition("peak ")[2]) / 1024)
    assert peaks[1] < peaks[0] + 60, peaks


@pytest.mark.parametrize("step", [9, *(pytest.param(step, marks=pytest.mark.long) for step in (8, *range(10, 31)))])
def test_a_command_killed_again_and_again_gives_the_same_table(tmp_path: Path, live: Bundle, step: int) -> None:
    """Each process is killed after `step` writes and the next goes on, so the kills are spread over the whole work.

    The end takes eight writes in a row. The last process may be killed after all its work is done.
    """
    (tmp_path / "saved").mkdir()
    live.model.save(tmp_path / "saved")
    digest = bundle.pack(tmp_path / "saved", live.facts, tmp_path / "bundles")
    once, killed = tmp_path / "once", tmp_path / "killed"
    for folder in (once, killed):
        folder.mkdir()
        (folder / "in.csv").write_text(small_table(450))
    assert run_until_killed(once, tmp_path / "bundles", digest, 0).returncode == 0
    outputs: list[str] = []
    kills = 0
    note = killed / ".out.csv.parts" / batch_predict.NOTE
    while not outputs or note.exists() or not (killed / "out.csv").exists():
        done = run_until_killed(killed, tmp_path / "bundles", digest, step)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        outputs.append(done.stdout)
        kills += done.returncode == -signal.SIGKILL
        assert len(outputs) < 20, outputs
    assert kills in (len(outputs) - 1, len(outputs))
    assert kills >= 1
    resumed = re.findall(r"Going on after ([\d,]+) of 450 rows", "".join(outputs))
    assert resumed == sorted(resumed)
    assert resumed or step > 9, "each process began anew"
    assert (killed / "out.csv").read_bytes() == (once / "out.csv").read_bytes()
    assert len(rows_of(killed / "out.csv")) == 451
    assert [row[1:] for row in log_rows(killed)] == [row[1:] for row in log_rows(once)]
    assert [path.name for path in killed.rglob("*") if ".parquet" in path.name] == []


@pytest.fixture
def half(tmp_path: Path, live: Bundle) -> Path:
    """A folder with a table of three parts, of which a killed command answered the first two."""
    (tmp_path / "in.csv").write_text(small_table(40_000))
    with batch_predict.exclusive_folder(tmp_path / "out.csv") as folder:
        request = batch_predict.BatchRequest(scan_table(tmp_path / "in.csv", print), "text", live, tmp_path / "log.db")
        batch_predict.answer_rest(request, folder, batch_predict.begin(request, folder, print), [], print)
        batch_predict.part_path(folder, 2).unlink()
    return tmp_path


def test_another_command_goes_on_after_the_last_whole_part(half: Path, live: Bundle) -> None:
    torn = batch_predict.part_path(half / ".out.csv.parts", 1)
    torn.write_bytes(torn.read_bytes()[:-100])
    lines = answer_table(half / "in.csv", half / "out.csv", live)
    assert lines == ["Going on after 16,384 of 40,000 rows, which were answered earlier."]
    assert [row[1] for row in rows_of(half / "out.csv")] == [row[1] for row in rows_of(half / "in.csv")]


def test_parts_made_from_something_else_are_dropped_with_the_reason(half: Path, live: Bundle, other: Bundle) -> None:
    shutil.copytree(half / ".out.csv.parts", half / "kept")

    def answer_again(live: Bundle, column: str = "text") -> list[str]:
        if not (half / ".out.csv.parts").exists():
            shutil.copytree(half / "kept", half / ".out.csv.parts")
        return answer_table(half / "in.csv", half / "out.csv", live, column)

    assert answer_again(other) == [
        "Beginning anew; the rows that were answered earlier are left out, as another version is live now."
    ]
    assert {version for _, version, *_ in log_rows(half)[-40_000:]} == {2}
    assert "as they answer another column" in answer_again(live, "label")[0]
    os.utime(half / "in.csv", ns=(1, 1))
    assert "as the table has changed since" in answer_again(live)[0]
    assert len(rows_of(half / "out.csv")) == 40_001


def test_a_table_that_changes_while_it_is_answered_is_refused(tmp_path: Path, live: Bundle) -> None:
    (tmp_path / "in.csv").write_text(small_table(10))
    table = scan_table(tmp_path / "in.csv", print)
    with open(tmp_path / "in.csv", "a") as file:
        file.write("a row more,good\n")
    with (
        batch_predict.exclusive_folder(tmp_path / "out.csv") as folder,
        pytest.raises(Refusal, match="stays as it is while it is read"),
    ):
        batch_predict.run(
            batch_predict.BatchRequest(table, "text", live, tmp_path / "log.db"), tmp_path / "out.csv", folder, print
        )
    assert not (tmp_path / "out.csv").exists()


def test_a_table_may_be_answered_in_its_own_place(tmp_path: Path, live: Bundle) -> None:
    (tmp_path / "in.csv").write_text("id,text,predicted,more\n007,splendid film,old,x\n8,dull film,old,y\n")
    for _ in range(2):
        answer_table(tmp_path / "in.csv", tmp_path / "in.csv", live)
    header, *rows = rows_of(tmp_path / "in.csv")
    assert header == ["id", "text", "more", *ADDED]
    assert [row[:4] for row in rows] == [["007", "splendid film", "x", "good"], ["8", "dull film", "y", "bad"]]


# Through make


def logged_answers(project: Project) -> int:
    """The number of answers of `make predict` in the log of a project."""
    with database.connected(project.root / "state" / "predictions.db") as log:
        return int(log.execute("select count(*) from predictions where route = 'make predict'").fetchone()[0])


def test_the_next_command_resumes_a_killed_one_and_two_at_once_are_refused(own: Project) -> None:
    """The command is killed in its third part, and then typed again."""
    own.write("in.csv", small_table(40_000))
    words = ("predict", "FILE=in.csv", "OUT=out.csv")
    with batch_predict.exclusive_folder(own.root / "out.csv"):
        refused(own.make(*words), "One command at a time", "another `make predict` is at work on out.csv")
    killed = own.python(
        "import os, signal, sys\n"
        "from ratchet.console.cli import main\n"
        "def kill(event, args):\n"
        "    if event == 'os.rename' and str(args[1]).endswith('00000002.parquet'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(kill)\n"
        "main(['predict'])\n",
        RATCHET_FILE="in.csv",
        RATCHET_OUT="out.csv",
    )
    assert killed.status == -signal.SIGKILL, killed.text
    assert not (own.root / "out.csv").exists()
    done = own.make(*words)
    assert done.status == 0, done.text
    assert "Going on after 32,768 of 40,000 rows, which were answered earlier." in done.text
    assert "40,000 rows answered by version 1 (linear): out.csv" in done.text
    assert [row[:2] for row in rows_of(own.root / "out.csv")] == rows_of(own.root / "in.csv")
    assert not (own.root / ".out.csv.parts").exists()
    assert logged_answers(own) == 40_000, "each row is logged once"


def test_an_output_format_that_cannot_be_written_is_refused_before_reading(turned: Project) -> None:
    refused(turned.make("predict", "FILE=absent.csv", "OUT=out.xlsx"), "OUT ends in .csv", "out.xlsx")
