"""What a power cut may cost: nothing acknowledged, and each file is the old or the new one, never a half."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ratchet.data.versions import quarantine, transaction
from ratchet.maintenance import archive, backup
from ratchet.monitoring.log.writer import Writer
from ratchet.problem.data_pin import Pin
from ratchet.project import durable
from ratchet.project.paths import PLAN, Places
from ratchet.state import ledger, pending_move
from ratchet.state.ledger import DataChange, Move
from ratchet.state.pending_move import PendingMove
from tests.support.power import Disk, Left

OLD, NEW = {"at": "old"}, {"at": "new", "says": "much more than the old one did"}


def places(root: Path) -> Places:
    return Places(root, root / "state", "127.0.0.1", 1, 2, 3)


def holds(left: Left, *names: str) -> dict[str, bytes | None]:
    return {name: left[name] for name in names if name in left}


def test_a_note_is_the_old_or_the_new_one_and_the_new_one_stays(tmp_path: Path) -> None:
    durable.write_json(tmp_path / "note.json", OLD)
    with Disk(tmp_path) as disk:
        durable.write_json(tmp_path / "note.json", NEW)
    notes = [json.loads(left["note.json"] or b"torn") for left in disk.moments]
    assert OLD in notes
    assert all(note in (OLD, NEW) for note in notes)
    assert [json.loads(left["note.json"] or b"torn") for left in disk.ends] == [NEW, NEW]


def test_a_note_that_was_taken_away_does_not_come_back(tmp_path: Path) -> None:
    here = places(tmp_path)
    pending_move.write(here, PendingMove(Move("reviews", "promoted", 1, 2, "tests", "why"), "page"))
    with Disk(tmp_path) as disk:
        pending_move.done(here)
    assert [left for left in disk.ends if "state/move.json" in left] == []


def test_a_line_of_the_ledger_stays_once_it_is_written(tmp_path: Path) -> None:
    """Also the first, whose file and folder are new."""
    path = tmp_path / "state" / "ledger.jsonl"
    for number in (1, 2):
        with Disk(tmp_path) as disk:
            ledger.append(path, Move("reviews", "promoted", None, number, "tests", "why"))
        for left in disk.ends:
            lines = (left["state/ledger.jsonl"] or b"").decode().split("\n")
            assert [json.loads(line)["after"] for line in lines if line] == [1, 2][:number]


@pytest.mark.parametrize("make", [durable.write, lambda path, text: quarantine.put(path, pl.DataFrame({"a": [text]}))])
def test_a_file_appears_whole(tmp_path: Path, make: Callable[[Path, str], None]) -> None:
    path = tmp_path / "deep" / "folder" / "file.csv"
    with Disk(tmp_path) as disk:
        make(path, "all of it")
    whole = path.read_bytes()
    assert b"all of it" in whole
    contents = [left["deep/folder/file.csv"] for left in disk.moments if "deep/folder/file.csv" in left]
    assert set(contents) == {whole}
    assert [left["deep/folder/file.csv"] for left in disk.ends] == [whole, whole]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    with Disk(tmp_path) as disk:
        fresh = tmp_path / "fresh"
        (fresh / "below").mkdir(parents=True)
        (fresh / "below" / "weights").write_bytes(b"weights")
        (fresh / "link").symlink_to("/nowhere")
        durable.replace(fresh, tmp_path / "model")
    for left in [left for left in disk.moments if "model" in left]:
        assert left["model/below/weights"] == b"weights"
    assert all("model" in left for left in disk.ends)


# --- a change of the data

PINS = {name: Pin(name[0] * 32, 10, f"table {name}.csv") for name in ("old", "new")}
LINE = DataChange("reviews", PINS["old"].version, PINS["new"].version, 1, 0, "tests", "One row more.", {"text": "text"})
CHANGED = ("data/table.csv", "data/split.json", "data.dvc", "params.yaml", "state/quarantine/reviews.csv")


def contents(which: str) -> dict[str, bytes | None]:
    texts = (f"{which} table", f"{which} split", PINS[which].to_yaml(), f"problem: {which}\n", f"{which} aside")
    return {name: text.encode() for name, text in zip(CHANGED, texts, strict=True)}


def test_a_change_of_the_data_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    """Whatever a power cut leaves, the next command finds or makes all of the old data or all of the new."""
    here = places(tmp_path / "project")
    for name, content in contents("old").items():
        (here.root / name).parent.mkdir(parents=True, exist_ok=True)
        (here.root / name).write_bytes(content or b"")
    with Disk(here.root) as disk:
        with transaction.staging_folder(here) as folder:
            (folder / "table.csv").write_text("new table")
            (folder / "split.json").write_text("new split")
            transaction.change_data(here, PINS["new"], "problem: new\n", "new aside", LINE, [])
        assert not transaction.path_of(here).exists()
    outcomes = []
    for left in disk.moments:
        disk.becomes(left)
        transaction.finish(here)
        files = {name: (here.root / name).read_bytes() if (here.root / name).exists() else None for name in CHANGED}
        outcomes.append("new" if files == contents("new") else "old")
        assert files == contents(outcomes[-1])
        assert ledger.data_changes(here.ledger) == ((LINE,) if outcomes[-1] == "new" else ())
        assert not [*here.root.glob("*.new"), *here.quarantine.glob("*.new")]
    assert set(outcomes) == {"old", "new"}
    for left in disk.ends:
        assert holds(left, *CHANGED) == contents("new")
        assert "state/change.json" not in left


# --- backups


def problem(root: Path, which: str) -> Places:
    """A project as far as a backup needs it: its ledger, a folder of state, and params.yaml."""
    here = places(root)
    (here.state / "artifacts" / "reviews").mkdir(parents=True)
    (here.state / "artifacts" / "reviews" / "model").write_text(f"{which} model")
    (here.state / "work").mkdir()
    (here.root / "params.yaml").write_text(f"problem: {which}\n")
    ledger.append(here.ledger, Move(which, "promoted", None, 1, "tests", "why"))
    return here


@pytest.mark.parametrize("ending", ["tar.zst", "tar.gz"])
def test_a_backup_is_there_whole_or_not_at_all(tmp_path: Path, ending: str) -> None:
    here, target = problem(tmp_path / "project", "old"), tmp_path / "disk" / f"backup.{ending}"
    target.parent.mkdir()
    with Disk(target.parent) as disk:
        backup.make(here, str(target), lambda _: None)
    whole = target.read_bytes()
    assert {left[target.name] for left in disk.moments if target.name in left} == {whole}
    assert [left[target.name] for left in disk.ends] == [whole, whole]
    archive.unpack(target, tmp_path / "unpacked", lambda _: None, lambda _: None)


def test_a_restore_is_finished_or_was_not_begun(tmp_path: Path) -> None:
    target = tmp_path / "backup.tar.gz"
    backup.make(problem(tmp_path / "other", "new"), str(target), lambda _: None)
    here = problem(tmp_path / "project", "old")
    with Disk(here.root) as disk:
        backup.restore(here, str(target), lambda _: None)

    def read_problems() -> set[str]:
        problems = {move.problem for move in ledger.read(here.ledger)}
        model = (here.state / "artifacts" / "reviews" / "model").read_text()
        return problems | {model.split()[0], (here.root / "params.yaml").read_text().split()[1]}

    outcomes = []
    for left in disk.moments:
        disk.becomes(left)
        if (here.state / PLAN).exists():
            backup.finish(here)
        outcomes.append(read_problems())
    assert {"old"} in outcomes
    assert all(outcome in ({"old"}, {"new"}) for outcome in outcomes)
    for left in disk.ends:
        disk.becomes(left)
        assert not (here.state / PLAN).exists()
        assert read_problems() == {"new"}
        (kept,) = here.backups.glob("before-restore-*/ledger.jsonl")
        assert [move.problem for move in ledger.read(kept)] == ["old"]


def test_an_acknowledged_label_is_on_the_disk(tmp_path: Path) -> None:
    """SQLite must sync at 2, FULL: a commit then returns once it is on the disk, and the answer waits for it."""
    writer = Writer(tmp_path / "predictions.db")
    assert writer.write([], {}) == {}
    assert writer._opened().execute("pragma synchronous").fetchone() == (2,)
    writer.close()
