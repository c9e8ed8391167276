"""Rows set aside are a file that a person opens and mends: what they change there is never lost in silence."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from ratchet.console import status
from ratchet.data.versions import dvc_cache, quarantine
from ratchet.maintenance import prune
from ratchet.monitoring import feedback
from ratchet.problem import data_pin
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.tasks.classify_text.columns import Columns
from tests.support.in_process import Desk
from tests.support.tables import CLASSIFY

HEAD = "text,label\n"
ROWS = [f"Film {number} is fine,{'good' if number % 2 else 'bad'}\n" for number in range(60)]
PLACE = "state/quarantine/reviews.csv"
ASIDE = pl.DataFrame(
    {"reason": ["blank text"], "row": [7], "text": ["  "], "label": ["good"]}, schema_overrides={"row": pl.UInt32}
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A project with one row set aside."""
    desk = Desk(tmp_path / "project")
    desk.write("reviews.csv", HEAD + "".join([*ROWS, "Nobody said what this is,\n"]))
    desk.own("reviews.csv", text="text", label="label")
    return desk


@pytest.fixture
def here(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "state", "127.0.0.1", 1, 2, 3)


def test_a_next_table_does_not_overwrite_what_somebody_has_mended(desk: Desk) -> None:
    mended = desk.quarantine.replace("Nobody said what this is,", "Nobody said what this is,good")
    desk.write(PLACE, mended)
    desk.write("next.csv", HEAD + "".join([*ROWS, "Another,good\n"]))
    before = desk.kept()
    with pytest.raises(Refusal, match="somebody has changed are not overwritten") as caught:
        desk.own("next.csv", name="reviews")
    assert f"make data ADD={desk.root / PLACE}" in str(caught.value)
    assert desk.kept() == before
    desk.add(PLACE)
    assert '"Nobody said what this is","good"' in desk.table
    desk.own("next.csv", name="reviews")
    assert '"Another","good"' in desk.table


def test_a_next_table_takes_the_place_of_what_nobody_has_changed(desk: Desk) -> None:
    for name in ("next.csv", "after.csv"):
        desk.write(name, HEAD + "".join([*ROWS, f"Of {name},\n"]))
        desk.own(name, name="reviews")
        assert f"Of {name}" in desk.quarantine
        assert desk.quarantine.count("\n") == 2


@pytest.mark.parametrize("mend", [True, False])
def test_what_an_earlier_version_wrote_is_known_by_its_form(desk: Desk, mend: bool) -> None:
    (desk.root / PLACE).with_name("written.json").unlink()
    assert not quarantine.is_changed(desk.root / PLACE)
    if mend:
        desk.write(PLACE, desk.quarantine.replace("\ufeff", "").replace(",", ";"))
        assert quarantine.is_changed(desk.root / PLACE)


@pytest.mark.parametrize("content", [b"\x00\xff\x00", b"text,label\nNobody said what this is,good\n"])
def test_what_cannot_be_read_any_more_is_kept_under_a_name_that_is_told(desk: Desk, content: bytes) -> None:
    """A build and a turn that learns from feedback do not stop for it."""
    said: list[str] = []
    place = desk.root / PLACE
    for number in (1, 2):
        place.write_bytes(content)
        summary = quarantine.keep(
            desk.here, "reviews", ASIDE, Columns(text="text", label="label"), CLASSIFY, said.append
        )
        assert summary is not None
        assert summary.rows == 1
        kept = place.with_name(f"reviews.kept-{number}.csv")
        assert kept.read_bytes() == content
        assert str(kept) in said[-1]
        assert quarantine.read(place)["set_aside_because"].to_list() == ["blank text"]
    assert len(said) == 2


def test_what_cannot_be_read_any_more_stops_who_would_lose_it(desk: Desk) -> None:
    desk.write(PLACE, "text,label\nNobody said what this is,good\n")
    desk.write("more.csv", HEAD + "One more,good\n")
    before = desk.kept()
    with pytest.raises(Refusal, match="no column set_aside_because, from_file, from_line"):
        desk.add("more.csv")
    assert desk.kept() == before
    assert "no column set_aside_because" in status.set_aside(desk.here, "reviews")


def test_rows_come_beside_what_somebody_has_changed_and_it_stays_known_as_changed(desk: Desk) -> None:
    desk.write(PLACE, desk.quarantine.replace("Nobody said what this is,", "Nobody said what this is,good"))
    names = Columns(text="text", label="label")
    for _ in range(2):
        quarantine.keep(desk.here, "reviews", ASIDE, names, CLASSIFY, lambda _: None)
        assert quarantine.read(desk.root / PLACE)["label"].to_list() == ["good", "good"]
        assert quarantine.is_changed(desk.root / PLACE)


def test_an_empty_text_set_aside_twice_lies_there_once(here: Places) -> None:
    empty = ASIDE.with_columns(text=pl.lit(""))
    for _ in range(2):
        summary = quarantine.keep(here, "reviews", empty, Columns(text="text", label="label"), CLASSIFY, lambda _: None)
    assert summary is not None
    assert summary.rows == 1


def test_withdrawn_texts_are_not_left_in_what_cannot_be_read(here: Places) -> None:
    place = feedback.aside_path(here, "reviews")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"\x00\xff\x00 a withdrawn text")
    with pytest.raises(Refusal, match="must lie in a table that can be read"):
        feedback.erase_withdrawn(here, "reviews", pl.Series(["a withdrawn text"]))


# --- prune


def pinned(here: Places, name: str) -> str:
    """A data version of one table in DVC's cache, which data.dvc does not pin; as DVC lays it out."""
    import hashlib

    content = f"table of {name}".encode()
    table = hashlib.md5(content).hexdigest()
    listing = json.dumps([{"md5": table, "relpath": "table.csv"}]).encode()
    version = hashlib.md5(listing).hexdigest()
    for path, data in ((dvc_cache.path_of(here, table), content), (dvc_cache.path_of(here, f"{version}.dir"), listing)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return version


@pytest.mark.parametrize("damage", ["torn", "other bytes", "set aside"])
def test_prune_removes_no_table_while_a_listing_is_damaged(here: Places, damage: str) -> None:
    kept, today, old = (pinned(here, name) for name in ("kept", "today", "old"))
    (here.root / "data.dvc").write_text(data_pin.Pin(today, 1, "table t.csv").to_yaml())
    before = set(dvc_cache.folder(here).glob("*/*"))
    said: list[str] = []
    assert set(prune.old_objects(here, {kept}, 1e12, said.append)) == dvc_cache.of_version(here, old)
    assert said == []
    listing = dvc_cache.path_of(here, f"{kept}.dir")
    listing.write_bytes(b"" if damage == "torn" else b'[{"md5": "00000000000000000000000000000000"}]')
    if damage == "set aside":
        dvc_cache.set_damaged_aside(here, kept)
        assert not listing.exists()
    assert prune.old_objects(here, {kept}, 1e12, said.append) == []
    assert f"No data version is removed: {listing} is damaged" in said[0]
    assert set(dvc_cache.folder(here).glob("*/*")) >= before - {listing}
    listing.unlink(missing_ok=True)
    dvc_cache.damaged_path(here, listing).unlink(missing_ok=True)
    gone = prune.old_objects(here, {kept}, 1e12, said.append)
    assert len(gone) == 3, "a version that was forgotten for good holds nothing back"
