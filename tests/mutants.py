"""Can the tests fail? Small changes of the product's code enter, one at a time; those that no test notices are printed.

    make test-mutants           60 changes, other ones at each commit
    make test-mutants N=all     every one: some hours
    make test-mutants N=ledger  those of the modules with such a name

Mutmut makes the changes in a copy below state/mutants (pyproject.toml says of which files, and which tests must see
them), and keeps there what it found: the code of the project itself is never touched. `tests/survivors.txt` lists the
changes that may live, each with the reason why nobody can see it; any other that lives, or that no test meets, is a
failure. Only what stands in a function is changed, so figures above them are held by tests/judging/test_odds.py.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from ratchet.project.paths import ROOT, places
from tests.support.project import copy_files

FEW = 60
LIVES = {0: "survived", 5: "no test meets it", 33: "no test meets it", None: "not tried"}
"""Mutmut's exit codes of changes that nobody noticed."""
NONE = "none.*"
"""For Mutmut to make the changes and try none yet."""
SURVIVORS = Path(__file__).with_name("survivors.txt")


def main() -> int:
    """Lay out, make the changes, try some of them, and say which live."""
    folder = places().state / "mutants"
    lay_out(folder)
    mutmut(folder, NONE)
    chosen = choose(sorted(found(folder)), os.environ.get("RATCHET_N") or str(FEW))
    status = mutmut(folder, *chosen)
    known, excused = found(folder), justified()
    living = [name for name in chosen if known.get(name) in LIVES and stem(folder, name) not in excused]
    for name in living:
        print(f"\n{name}: {LIVES[known[name]]}")
        print(shown(folder, name))
    print(f"{len(chosen)} changes tried, {len(living)} of them unnoticed.")
    return 1 if living or status else 0


def lay_out(folder: Path) -> None:
    """A fresh copy of the tracked files."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_files(folder)


def mutmut(folder: Path, *names: str) -> int:
    """Run it on some changes; its screen of figures goes into a file, which is printed where it could not go on."""
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", "run", "--max-children", "1", *names]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    with open(folder / "mutmut.log", "w+") as log:
        status = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log).returncode
        if status and names != (NONE,):
            log.seek(0)
            print(log.read()[-4_000:])
    return status


def found(folder: Path) -> dict[str, int | None]:
    """Every change by its name, and how the tests ended; None where it was not tried."""
    notes = sorted((folder / "mutants" / "ratchet").rglob("*.py.meta"))
    return {name: code for note in notes for name, code in json.loads(note.read_text())["exit_code_by_key"].items()}


def choose(names: list[str], asked: str) -> list[str]:
    """So many, seeded by the commit; all; or those of a module."""
    if asked == "all":
        return names
    if not asked.isdigit():
        return [name for name in names if fnmatch(name, f"*{asked}*")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    return sorted(random.Random(commit).sample(names, min(int(asked), len(names))))


def shown(folder: Path, name: str) -> str:
    """The change as a diff."""
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", "show", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout.strip()


def stem(folder: Path, name: str) -> str:
    """What a listed change is known by: its function, and the line that it makes; numbers of changes move."""
    function = name.rpartition("__mutmut_")[0]
    lines = shown(folder, name).splitlines()
    made = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    return f"{function}: {' '.join(made)}"


def justified() -> set[str]:
    """The changes that nobody can see: a line each, and above it, after a #, why."""
    lines = SURVIVORS.read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


if __name__ == "__main__":
    sys.exit(main())
