"""The order of the house: imports point down the floors, nothing goes round in a circle, and what is pure stays so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.rooms import FLOORS, circles, house

HOUSE = house()
FULL = 14
"""Files of a folder, the one with its docstring left out."""
LONG = 400
"""Lines of a file."""
PURE = ("ratchet.judging", "ratchet.monitoring.drift", "ratchet.monitoring.labels", "models.text")
"""Rooms and parts of rooms whose functions touch no file, process or address."""
TOUCHING = {
    "os", "shutil", "subprocess", "socket", "tempfile", "sqlite3", "urllib", "httpx", "requests", "psutil", "boto3",
    "asyncio", "threading", "multiprocessing", "signal", "time", "logging", "yaml",
}  # fmt: skip
"""What a pure function has no use for."""


def test_imports_point_down_the_floors() -> None:
    """Those in functions too, and modules that are named by a string."""
    wrong = [
        sorted(imports)
        for (one, other), imports in HOUSE.between(HOUSE.rooms).items()
        if FLOORS.index(one) >= FLOORS.index(other)
    ]
    assert wrong == []


def test_every_room_is_on_a_floor_and_every_floor_has_a_room() -> None:
    assert set(HOUSE.rooms.values()) == set(FLOORS)


@pytest.mark.parametrize("of", ["rooms", "folders", "files"])
def test_nothing_imports_in_a_circle(of: str) -> None:
    boxes = {name: name for name in HOUSE.files} if of == "files" else getattr(HOUSE, of)
    assert circles(HOUSE.between(boxes)) == []


@pytest.mark.parametrize("room", PURE)
def test_what_is_pure_touches_nothing(room: str) -> None:
    """Left out: the file that switches the telemetry of ONNX Runtime off, which reads the environment as it loads."""
    found = []
    for name, path in HOUSE.files.items():
        if name.startswith(f"{room}.") and name != "models.text.onnx_lstm":
            found += [f"{name}: {each}" for each in imported(path) & TOUCHING]
    assert found == []


def test_a_folder_is_a_trade_and_a_file_is_a_noun() -> None:
    """About a dozen files in a folder, 400 lines in a file: more is a room to divide."""
    folders: dict[str, int] = {}
    for name, path in HOUSE.files.items():
        if path.name != "__init__.py":
            folders[name.rpartition(".")[0]] = folders.get(name.rpartition(".")[0], 0) + 1
    assert {name: count for name, count in folders.items() if count > FULL} == {}
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in HOUSE.files.items()}
    assert {name: count for name, count in lines.items() if count > LONG} == {}


def test_an_arrow_upwards_is_found_wherever_it_stands(tmp_path: Path) -> None:
    """In a function, in a string that names an entry point; a docstring may speak of what stands above."""
    for name in ("flows", "models", "expectations", "ratchet/console", "ratchet/state", "ratchet/servers"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        for folder in (tmp_path / name, (tmp_path / name).parent):
            if folder != tmp_path:
                (folder / "__init__.py").touch()
    write = {
        "ratchet/console/cli.py": "from ratchet.state import lock\n",
        "ratchet/state/lock.py": "def wait():\n    from ratchet.console import cli\n",
        "ratchet/servers/servers.py": '"""Started by `ratchet.console.cli`."""\nCOMMAND = "ratchet.console.cli:main"\n',
    }
    for name, text in write.items():
        (tmp_path / name).write_text(text)
    found = house(tmp_path)
    arrows = found.between(found.rooms)
    assert set(arrows) == {
        ("ratchet.console", "ratchet.state"),
        ("ratchet.state", "ratchet.console"),
        ("ratchet.servers", "ratchet.console"),
    }
    assert circles(arrows) == [{"ratchet.console", "ratchet.state"}]
    (tmp_path / "ratchet/servers/servers.py").write_text('"""Started by `ratchet.console.cli`."""\n')
    assert ("ratchet.servers", "ratchet.console") not in house(tmp_path).between(house(tmp_path).rooms)


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found
