"""data/ is what data.dvc pins, whole or absent: fetched, never mixed, never taken from a damaged cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ratchet.data.incoming import table_import
from ratchet.data.versions import transaction
from ratchet.problem import data_pin
from ratchet.project.errors import Refusal
from tests.support.in_process import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A project that had two versions of its data, of which the second is pinned."""
    desk = Desk(tmp_path / "project")
    for rows in (80, 90):
        desk.write("reviews.csv", "text,label\n" + "".join(f"Review {n} of it,{'ab'[n % 2]}\n" for n in range(rows)))
        desk.own("reviews.csv", text="text", label="label")
    return desk


def fetch(desk: Desk) -> str:
    desk.lines.clear()
    transaction.finish(desk.here)
    table_import.fetch_data(desk.here, desk.lines.append)
    return desk.said


def objects(desk: Desk) -> list[Path]:
    return sorted((desk.here.state / "dvc" / "cache" / "files" / "md5").glob("*/*"))


def cached_table(desk: Desk) -> Path:
    """The object in DVC's cache that holds the pinned table."""
    return next(path for path in objects(desk) if path.read_text().count("\n") == 91)


def test_another_pinned_version_takes_the_place_of_one_that_the_cache_has(desk: Desk) -> None:
    """As after `git pull`, or `git checkout` of an older commit."""
    later = (desk.root / "data.dvc").read_text()
    first = desk.changes[0].after
    (desk.root / "data.dvc").write_text(data_pin.Pin(first, 1, "table reviews.csv").to_yaml())
    assert "from the cache" in fetch(desk)
    assert desk.table.count("\n") == 81
    (desk.root / "data.dvc").write_text(later)
    assert "from the cache" in fetch(desk)
    assert desk.table.count("\n") == 91
    assert "already there" in fetch(desk)


def test_what_somebody_wrote_into_data_is_kept(desk: Desk) -> None:
    path = desk.here.data / "table.csv"
    path.write_text(desk.table + '"one more","a"\n')
    with pytest.raises(Refusal, match="other bytes"):
        fetch(desk)
    assert desk.table.endswith('"one more","a"\n')


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "lost", "another's list"])
def test_a_damaged_object_is_never_used_and_does_not_stay(desk: Desk, damage: str) -> None:
    shutil.rmtree(desk.here.data)
    path = cached_table(desk)
    content = bytearray(path.read_bytes())
    path.chmod(0o644)
    if damage == "a flipped bit":
        content[100] ^= 1
        path.write_bytes(content)
        path.chmod(0o444)  # DVC trusts what is read-only without looking
    elif damage == "cut short":
        path.write_bytes(content[:100])
    elif damage == "lost":
        path.unlink()
    else:
        listed = next(p for p in objects(desk) if p.name == f"{data_pin.pinned(desk.here).version[2:]}.dir")
        listed.chmod(0o644)
        listed.write_text(listed.read_text().replace("table.csv", "../hurt.csv"))
    with pytest.raises(Refusal, match="neither DVC's cache nor a remote has it whole"):
        fetch(desk)
    assert not desk.here.data.exists()
    assert not list(desk.root.glob("hurt*"))
    said = desk.own("reviews.csv")
    assert "has these very rows already" in said
    shutil.rmtree(desk.here.data)
    assert "from the cache" in fetch(desk)


def test_what_a_killed_fetch_left_is_in_nobodys_way(desk: Desk) -> None:
    shutil.rmtree(desk.here.data)
    desk.here.incoming.mkdir()
    (desk.here.incoming / "table.csv").write_text("half a tab")
    assert "from the cache" in fetch(desk)
    assert desk.table.count("\n") == 91
    assert not desk.here.incoming.exists()
