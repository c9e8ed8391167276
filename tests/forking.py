"""Verbs without make and without a fresh interpreter: what they print and their status are as with both.

One process of each worker has loaded other people's packages (tests/preloaded.py), and a copy of it does each verb
(tests/forked.py): that spares the six to ten seconds of imports that each command pays.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from ratchet import warm

TYPED = set(re.findall(r"^export RATCHET_(\w+) := \$\(value", (warm.ROOT / "Makefile").read_text(), re.M))
"""Variables that the Makefile hands on unread."""
VERBS = {
    "run", "status", "data", "build", "evaluate", "deploy", "optimise", "predict", "traffic", "history", "lineage",
    "trace", "rollback", "approve", "backup", "restore", "prune", "move", "services",
}  # fmt: skip
"""Those that end by themselves."""
INTERPRETER = ("LD_PRELOAD", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONWARNINGS", "PATH")
"""What an interpreter reads when it begins."""
SECONDS = 600


@cache
def request_file() -> str:
    """The number of the file that requests go to; the warm process ends with this one."""
    stack = ExitStack()
    atexit.register(stack.close)
    stack.enter_context(warm.standing_by("tests.preloaded"))
    return os.environ.pop(warm.VARIABLE, "")


def verb(root: Path, environment: Mapping[str, str], words: Sequence[str]) -> tuple[int, str] | None:
    """Status and output of `make words` in a project; None where only make itself gives the same."""
    given = dict(word.partition("=")[::2] for word in words[1:])
    ready, lock = root / ".venv" / ".ready", root / "requirements.lock"
    plain = (
        words[:1] and words[0] in VERBS
        and all("=" in word for word in words[1:])
        and all(re.fullmatch(r"[A-Z_]+", name) and value == value.strip() for name, value in given.items())
        and not any(set("$\\\n") & set(value) for value in given.values())
        and all(environment.get(name) == os.environ.get(name) for name in INTERPRETER)
        and ready.exists() and lock.exists() and ready.stat().st_mtime >= lock.stat().st_mtime
    )  # fmt: skip
    if not plain or not (number := request_file()):
        return None
    env = dict(environment)
    typed = {f"RATCHET_{name}": given.pop(name, env.pop(name, "")) for name in TYPED}
    env |= typed | given | {"PYTHONDONTWRITEBYTECODE": "1", "MAKELEVEL": "1"}
    done = run(number, ["ratchet", words[0]], root, root, env)
    if done is None:
        return None
    status, text = done
    return (2, f"{text}make: *** [Makefile: {words[0]}] Error {status}\n") if status else (0, text)


def program(code: str, root: Path, folder: Path, environment: Mapping[str, str]) -> tuple[int, str] | None:
    """Status and output of `python -c code` on the project's code; None where a fresh interpreter is the point."""
    plain = re.search(r"^import .*(mlflow|prefect)", code, re.MULTILINE) and "sys." not in code
    if not plain or "LD_PRELOAD" in environment or not (number := request_file()):
        return None
    return run(number, ["-c", code], root, folder, environment)


def run(number: str, words: Sequence[str], root: Path, folder: Path, env: Mapping[str, str]) -> tuple[int, str] | None:
    """What a copy came to that was asked for in that folder; None where none is to be had."""
    os.environ[warm.VARIABLE] = number
    read, write = os.pipe()
    try:
        with open(os.devnull, "rb") as nothing:
            asked = [nothing.fileno(), write, write]
            known = {**env, warm.VARIABLE: number}
            copy = warm.ask(["tests.forked", str(root), *words], asked, known, str(folder))
    except warm.Cold:
        os.close(read)
        return None
    finally:
        os.close(write)
        del os.environ[warm.VARIABLE]
    late = threading.Timer(SECONDS, copy.kill)
    late.start()
    try:
        with open(read, encoding="utf-8") as out:
            text = out.read()
        status = copy.wait()
    finally:
        late.cancel()
    return status, text
