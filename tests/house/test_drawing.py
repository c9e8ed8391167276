"""docs/architecture.svg is what the imports say today, and the pages about the code name what is there."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from tests.support import drawing
from tests.support.rooms import FLOORS, ROOT, house

HOUSE = house()
ARROWS = HOUSE.between(HOUSE.rooms)
ROWS = drawing.floors(ARROWS)
BOXES = drawing.placed(HOUSE, ROWS)
PAGES = ("docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md")
PATH = re.compile(r"`((?:flows|models|expectations|ratchet|tests|benchmarks)/[\w/.-]*?)(?::(\w+(?:\.\w+)?))?`")
"""`ratchet/judging/gate.py`, or with what is defined there: `ratchet/judging/gate.py:decide`."""


def test_the_drawing_is_that_of_the_imports() -> None:
    assert drawing.PATH.read_text(encoding="utf-8") == drawing.drawing(HOUSE), "Draw it anew: make docs"


def test_no_arrow_points_up_and_none_passes_through_a_room() -> None:
    for line in drawing.paths(drawing.reduced(ARROWS), BOXES):
        for (x, y), (to_x, to_y) in pairwise(line):
            assert to_y >= y
            for box in BOXES.values():
                beside = max(x, to_x) <= box.x or min(x, to_x) >= box.x + box.width
                apart = to_y <= box.y or y >= box.y + box.height
                assert beside or apart, (line, box)


def test_the_arrows_drawn_lead_wherever_an_import_does() -> None:
    assert set(drawing.reduced(ARROWS)) <= set(ARROWS)
    drawn = {(one, one) for one in FLOORS}
    for one, other in reversed(drawing.reduced(ARROWS)):
        drawn |= {(one, end) for start, end in drawn if start == other}
    assert set(ARROWS) <= drawn


def test_what_follows_from_other_arrows_is_left_out() -> None:
    top, middle, low = FLOORS[:3]
    assert drawing.reduced([(top, middle), (middle, low), (top, low)]) == [(top, middle), (middle, low)]
    assert drawing.floors([(top, middle), (top, low)])[1] == list(FLOORS[1:])


def test_words_stay_in_their_box() -> None:
    for box in BOXES.values():
        assert box.lines
        assert max(map(len, box.lines)) * drawing.LETTER <= box.width - 40
    tree = ET.fromstring(drawing.PATH.read_bytes())
    assert {each.tag.rpartition("}")[2] for each in tree.iter()} == {
        "svg",
        "title",
        "defs",
        "marker",
        "path",
        "rect",
        "text",
        "g",
    }


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_what_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [(path, name) for path, name in PATH.findall(text) if "NAME" not in path]
    assert len(found) > 5
    for test in re.findall(r"`(test_\w+\.py)`", text):
        assert list((ROOT / "tests").rglob(test)), test
    for path, name in found:
        assert (ROOT / path).exists(), path
        if name:
            assert name in defined(path), f"{path} has no {name}"


def test_the_table_of_rooms_has_each_room_in_the_order_of_the_floors() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([\w/]+)/` \|", text, re.MULTILINE) == [room.replace(".", "/") for room in FLOORS]


def defined(path: str) -> set[str]:
    """Functions, classes, constants and `Class.method` of a file."""
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found |= {node.name}
        if isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}.{each.name}" for each in methods}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return found
