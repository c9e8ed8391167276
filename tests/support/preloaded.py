"""What the verbs of a project need of other people's packages, loaded once for all that a worker's tests run.

Nothing of Ratchet itself: a project has a copy of its own (tests/support/forked.py).
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ratchet.project.paths import places, tool_defaults
from ratchet.servers.prefork import CODE
from tests.support.forking import SESSION

ROOT = Path(__file__).resolve().parents[2]
LATER = {"tensorflow", "keras", "onnx", "onnxruntime", "tf2onnx", "uvloop", "playwright"}
"""They begin threads, or few verbs need them."""
UNSEEN = (
    "dvc.repo", "prefect.server.api.server", "uvicorn", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on",
    "uvicorn.loops.auto", "uvicorn.protocols.websockets.auto", "prefect.server.services.base", "aiosqlite", "docket",
    "sqlalchemy.dialects.sqlite.aiosqlite", "great_expectations.expectations.core",
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store", "mlflow.sklearn",
)  # fmt: skip
"""What the packages themselves load when first used."""


def load() -> None:
    """Load it, and nothing more: no server is asked, no file of a project is read."""
    for name, value in tool_defaults(places()).items():
        os.environ.setdefault(name, value)
    for name in [*named(), *UNSEEN]:
        with suppress(ImportError):
            import_module(name)
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["mlflow"])
    take_trainings()


def take_trainings() -> None:
    """What a verb in a copy asks for in its turn, a training above all, is done on the code of its own project."""
    warm = sys.modules["__main__"]
    as_asked = warm.become

    def become(request: dict[str, Any], *others: Any) -> None:
        if request["words"][0] != "tests.support.forked":
            request["words"] = ["tests.support.forked", request["folder"], *request["words"]]
        as_asked(request, *others)
        if os.environ.pop(SESSION, ""):
            os.setsid()

    warm.become = become  # type: ignore[attr-defined]


def named() -> list[str]:
    """Modules that the code imports anywhere, in the order of their names."""
    found = {name for folder in CODE for path in (ROOT / folder).rglob("*.py") for name in imports(path)}
    ours = {*CODE, "benchmarks", "tests", *sys.stdlib_module_names, *LATER}
    return sorted(name for name in found if name.partition(".")[0] not in ours)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "NEEDED":
            yield from ast.literal_eval(node.value)
