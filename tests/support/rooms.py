"""The rooms of the house, the floors that they stand on, and who imports whom: read from the code by `ast`.

A room is a folder with a trade; its subfolders belong to it. An import counts wherever it stands, in a function too. So
does a module that is named by a string, as entry points are (`python -m flows.published.deployments`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = (
    "ratchet",
    "ratchet.console",
    "ratchet.maintenance",
    "flows.published",
    "flows",
    "flows.runs",
    "flows.pages",
    "flows.registry",
    "ratchet.serving",
    "ratchet.monitoring",
    "ratchet.training",
    "ratchet.data",
    "ratchet.servers",
    "ratchet.state",
    "expectations",
    "ratchet.problem",
    "models",
    "ratchet.tasks",
    "ratchet.project",
    "models.text",
    "ratchet.judging",
)
"""The rooms from top to bottom: each imports only rooms below it. `ratchet` itself is the door, `python -m ratchet`."""
PACKAGES = ("flows", "models", "expectations", "ratchet")
DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")


@dataclass(frozen=True)
class House:
    """All modules of the product. files: module -> its file."""

    files: Mapping[str, Path]

    @cached_property
    def imports(self) -> dict[str, frozenset[str]]:
        """Module -> the modules that it imports or names."""
        return {name: frozenset(self._imported(name)) - {name} for name in self.files}

    def _imported(self, name: str) -> Iterator[str]:
        tree = ast.parse(self.files[name].read_text(encoding="utf-8"))
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    yield from [each for each in (full, node.module) if each in self.files][:1]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
                word = node.value.partition(":")[0]
                if DOTTED.fullmatch(word) and word in self.files:
                    yield word

    def between(self, of: Mapping[str, str]) -> dict[tuple[str, str], set[tuple[str, str]]]:
        """Arrows between boxes, each with the imports that it stands for. of: module -> its box."""
        found: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for name, others in self.imports.items():
            for other in others:
                if of[name] != of[other]:
                    found.setdefault((of[name], of[other]), set()).add((name, other))
        return found

    @property
    def rooms(self) -> dict[str, str]:
        """Module -> its room: the longest name of a floor that it begins with."""
        return {name: max((room for room in FLOORS if _within(name, room)), key=len) for name in self.files}

    @property
    def folders(self) -> dict[str, str]:
        """Module -> the package that its file stands in."""
        return {
            name: name if path.name == "__init__.py" else name.rpartition(".")[0] for name, path in self.files.items()
        }


def _within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def house(root: Path = ROOT) -> House:
    """The product's code below a folder."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return House({_name(path.relative_to(root)): path for path in paths})


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def circles(arrows: Iterable[tuple[str, str]]) -> list[set[str]]:
    """Boxes that reach themselves by following arrows, in the sets that reach each other."""
    below: dict[str, set[str]] = {}
    for one, other in arrows:
        below.setdefault(one, set()).add(other)
    reached = {box: _reached(box, below) for box in below}
    return [
        found
        for box in sorted(reached)
        if box in reached[box]
        and box == min(found := {other for other in reached[box] if box in reached.get(other, set())})
    ]


def _reached(box: str, below: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [box]
    while waiting:
        new = below.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
