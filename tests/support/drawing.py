"""Draws docs/architecture.svg from the imports: `python -m tests.support.drawing`, as `make docs` calls it.

Rooms stand on the floors of tests/support/rooms.py, from top to bottom; rooms side by side do not import each other. An
arrow is an import that does not follow from two or more others (the transitive reduction). The same code gives the same
bytes.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from tests.support.rooms import FLOORS, ROOT, House, house

PATH = ROOT / "docs" / "architecture.svg"
DOOR = {"ratchet": "ratchet.__main__"}
"""A room whose first module says more of it than its package does."""
COLOURS = {"flows": "#2f6fde", "ratchet": "#1f8a70", "expectations": "#8e5bd0", "models": "#c77712"}
QUIET = "#59636e"
WIDTH, LEFT, TOP, LANE, AISLE = 780, 28, 76, 18, 20
"""Pixels: of a floor; of the white beside and above the floors; of a lane for arrows; between neighbours."""
NAME_LINE, LINE, PADDING, GAP = 20, 16, 9, 26
LETTER = 6.3
"""Pixels of a letter at most, on average, in the font of the docstrings."""
FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\""
MONO = "font-family=\"ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace\""

Arrow = tuple[str, str]
Point = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A room's place. lines: its docstring."""

    floor: int
    x: int
    y: int
    width: int
    height: int
    lines: tuple[str, ...]

    @property
    def port(self) -> int:
        """Where an arrow that passes other floors leaves and arrives."""
        return self.x + self.width - 22


def reduced(arrows: Iterable[Arrow]) -> list[Arrow]:
    """The arrows that do not follow from others, in the order of the floors. The arrows go round in no circle."""
    below: dict[str, set[str]] = {room: set() for room in FLOORS}
    for one, other in arrows:
        below[one].add(other)
    reached: dict[str, set[str]] = {}
    for room in reversed(FLOORS):
        reached[room] = below[room].union(*(reached.get(other, set()) for other in below[room]))
    return [
        (one, other)
        for one in FLOORS
        for other in FLOORS
        if other in below[one] and not any(other in reached.get(between, ()) for between in below[one])
    ]


def floors(arrows: Iterable[Arrow]) -> list[list[str]]:
    """The rooms from top to bottom; those that follow each other and import each other not are side by side."""
    linked, found = set(arrows), [[FLOORS[0]]]
    for room in FLOORS[1:]:
        if any((above, room) in linked for above in found[-1]):
            found.append([])
        found[-1].append(room)
    return found


def docstring(of: House, room: str) -> str:
    """The first line of what a room says of itself."""
    text = of.files[DOOR.get(room, room)].read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0].replace("`", "")


def counts(of: House) -> dict[str, int]:
    """How many files each room has; those that hold a package's docstring are left out."""
    rooms = [room for name, room in of.rooms.items() if of.files[name].name != "__init__.py"]
    return {room: rooms.count(room) for room in FLOORS}


def placed(of: House, rows: list[list[str]]) -> dict[str, Box]:
    """Each room's box."""
    found, y = {}, TOP
    for floor, rooms in enumerate(rows):
        width = (WIDTH - AISLE * (len(rooms) - 1)) // len(rooms)
        most = int((width - 40) / LETTER)
        lines = {
            room: tuple(textwrap.wrap(docstring(of, room), most, max_lines=2, placeholder=" ...")) for room in rooms
        }
        height = 2 * PADDING + NAME_LINE + LINE * max(map(len, lines.values()))
        for place, room in enumerate(rooms):
            found[room] = Box(floor, LEFT + place * (width + AISLE), y, width, height, lines[room])
        y += height + GAP
    return found


def paths(arrows: Iterable[Arrow], boxes: Mapping[str, Box]) -> list[list[Point]]:
    """The corners of each arrow: straight down between floors that touch, else by a lane right of all boxes."""
    found, lanes = [], list[int]()
    for one, other in ((boxes[one], boxes[other]) for one, other in arrows):
        start, end = max(one.x, other.x), min(one.x + one.width, other.x + other.width)
        if other.floor == one.floor + 1 and end > start:
            middle = (start + end) // 2
            found.append([(middle, one.y + one.height), (middle, other.y)])
            continue
        lane = next((n for n, until in enumerate(lanes) if until <= one.floor), len(lanes))
        lanes[lane : lane + 1] = [other.floor]
        x, low, high = LEFT + WIDTH + LANE * (lane + 1), one.y + one.height + GAP // 2, other.y - GAP // 2
        corners = [(one.port, one.y + one.height), (one.port, low), (x, low)]
        found.append([*corners, (x, high), (other.port, high), (other.port, other.y)])
    return found


def drawn_arrow(points: list[Point]) -> str:
    """A line that stops short of the box, so that its head touches it."""
    *before, (x, y) = points
    return f'<path d="M{" L".join(f"{a} {b}" for a, b in [*before, (x, y - 7)])}" marker-end="url(#head)"/>'


def drawn_box(room: str, box: Box, files: int) -> str:
    """A room: its name, how many files it has, what it says of itself."""
    colour, x, y = COLOURS[room.partition(".")[0]], box.x + 20, box.y + PADDING + 14
    side = f'x="{box.x}" y="{box.y}" height="{box.height}"'
    name, count = f"{room.replace('.', '/')}/", f"{files} file{'s' * (files != 1)}"
    return "\n".join(
        [
            f'<rect {side} width="{box.width}" rx="6" fill="#f6f8fa" stroke="#d0d7de"/>',
            f'<rect {side} width="6" rx="3" fill="{colour}"/>',
            f'<text x="{x}" y="{y}" {MONO} font-size="14" font-weight="700" fill="{colour}">{name}</text>',
            f'<text x="{box.x + box.width - 16}" y="{y}" text-anchor="end" fill="{QUIET}">{count}</text>',
            *(
                f'<text x="{x}" y="{y + NAME_LINE + LINE * number}">{escape(line, quote=False)}</text>'
                for number, line in enumerate(box.lines)
            ),
        ]
    )


def drawing(of: House) -> str:
    """The whole picture, on white of its own."""
    arrows = of.between(of.rooms)
    boxes, files = placed(of, floors(arrows)), counts(of)
    lines = paths(reduced(arrows), boxes)
    width = max(x for line in lines for x, _ in line) + LEFT
    height = max(box.y + box.height for box in boxes.values()) + LEFT
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT} font-size="12" fill="#1f2328">',
        "<title>The rooms of Ratchet, floor by floor</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{QUIET}"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="36" font-size="18" font-weight="700">The rooms of Ratchet</text>',
        f'<text x="{LEFT}" y="57" fill="{QUIET}">A room imports rooms below it and no others. '
        "Arrows that follow from those drawn are left out.</text>",
        *(drawn_box(room, boxes[room], files[room]) for room in FLOORS),
        f'<g fill="none" stroke="{QUIET}" stroke-width="1.5">',
        *map(drawn_arrow, lines),
        "</g>\n</svg>\n",
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    PATH.write_text(drawing(house()), encoding="utf-8", newline="\n")
    print(f"Drew {PATH.relative_to(ROOT)}.")
