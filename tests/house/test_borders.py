"""The rules that keep the house in order, held by machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT, Project, bytecode

KNOWN_TO = {
    "prefect": ("flows/",),
    "mlflow": ("flows/registry/",),
    "great_expectations": ("expectations/",),
    "dvc": ("ratchet/data/versions/dvc_repo.py",),
    "dvc_data": ("ratchet/data/versions/dvc_repo.py",),
    "tensorflow": (),
    "keras": ("models/",),
    "onnx": ("models/text/onnx_lstm.py",),
    "onnxruntime": ("models/text/onnx_lstm.py",),
}
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()
RENAMES = re.compile(r"(os\.(replace|renames?)|shutil\.move)\(.*\)|(?!labels|durable)\w+\.(replace|rename)\(\w+\)")
HEADER = 16
"""Bytes of compiled code that say what it was made of, and when; those behind differ from process to process."""
CODE = [name for name in TRACKED if name.endswith(".py") and not name.startswith(("tests/", "benchmarks/"))]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("tool", KNOWN_TO)
def test_each_tool_is_known_to_one_place(tool: str) -> None:
    strangers = [name for name in CODE if tool in imported(ROOT / name) and not name.startswith(KNOWN_TO[tool] or "-")]
    assert strangers == []


@pytest.mark.parametrize(
    "package",
    ["models", "ratchet", "expectations", "flows.registry.registry", "flows.runs.champion", "ratchet.console.cli"],
)
def test_importing_is_quick_and_does_nothing(package: str) -> None:
    heavy = {"prefect", "mlflow", "great_expectations", "dvc", "tensorflow", "keras", "sklearn"}
    code = f"import sys, {package}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_models_and_steps_work_without_the_frameworks() -> None:
    code = """
import sys
for name in ("prefect", "mlflow", "great_expectations", "dvc"):
    sys.modules[name] = None
import models
from models.contract import Rows
from ratchet.data.prepare import canonical_columns, deduplicate, row_facts, split
from ratchet.data.tables import canonical_csv
from ratchet.judging import gate, metrics, slices
rows = Rows(["a fine film", "a dull film"] * 20, ["good", "bad"] * 20)
linear = models.get("linear")
fitted = linear.fit(rows, rows, ("bad", "good"), linear.Params(), seed=0, progress=lambda *_: None)
print(fitted.predict(["a fine film"]).argmax())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr


HOSTS = (("py", "pi.org"), ("python", "hosted.org"), ("registry.", "npmjs"), ("--index", "-url"), ("--extra", "-index"))
"""In two parts each, so that this file names none either."""
NAMED = re.compile("|".join([*(re.escape("".join(parts)) for parts in HOSTS), r"/home/\w", r"/ro{2}t/"]))


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    files = [ROOT / name for name in TRACKED if (ROOT / name).is_file()]
    assert [path for path in files if NAMED.search(path.read_text(encoding="utf-8", errors="replace"))] == []


@pytest.mark.parametrize("host", HOSTS)
def test_a_registry_that_is_named_is_found(host: tuple[str, str]) -> None:
    assert NAMED.search(f"see https://{''.join(host)}/simple for more")
    assert NAMED.search(f"in /{'home'}/somebody")
    assert not NAMED.search("pypi, python, hosted, npm: words that may be said; home/ and /root as well")


def of_tests(code: str) -> list[str]:
    """The test files that code imports, or something of, as it names them."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, f"{node.module or ''}.{alias.name}") for alias in node.names]
    return [name for level, name in found if (level or name.startswith("tests.")) and ".test_" in f".{name}"]


def test_no_test_file_is_imported() -> None:
    """What two of them need stands in tests/support: a test may be moved or removed without a look at the others."""
    files = [name for name in TRACKED if name.endswith(".py") and (ROOT / name).is_file()]
    found = {name: of_tests((ROOT / name).read_text(encoding="utf-8")) for name in files}
    assert {name: named for name, named in found.items() if named} == {}


@pytest.mark.parametrize(
    "code",
    ["import tests.flows.test_loop", "from tests.flows import test_loop", "from tests.flows.test_loop import USE",
     "from .test_loop import USE", "from . import test_loop", "def late():\n    from ..flows import test_loop"],
)  # fmt: skip
def test_a_test_file_that_is_imported_is_found(code: str) -> None:
    assert len(of_tests(code)) == 1
    assert of_tests("from ratchet.judging import canary_test\nfrom tests.support import up\nimport pytest") == []


def test_whatever_is_renamed_is_renamed_in_one_place() -> None:
    """There it is put on the disk first (ratchet/project/durable.py). Left out: a table that a change of the data puts
    there with all else that it lays out, and what is kept though it is of no use."""
    found = []
    for name in CODE:
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and RENAMES.fullmatch(ast.unparse(node)):
                found.append(f"{name}: {ast.unparse(node)}")
    assert sorted(found) == [
        "ratchet/data/tables/canonical_csv.py: partial.replace(path)",
        "ratchet/data/versions/dvc_repo.py: shutil.move(here.incoming, wrong)",
        "ratchet/project/durable.py: os.replace(path, to)",
    ]


def test_the_lock_pins_everything_by_hash_and_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[a-z0-9][a-z0-9._-]*==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    assert len(pins) > 200
    assert all("--hash=sha256:" in pin for pin in pins)
    assert "://" not in lock


def test_help_names_every_target_in_the_order_of_the_loop() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = re.findall(r"^  ([a-z-]+) ", done.stdout, re.MULTILINE)
    assert [n for n in names if n in ("run", "data", "build", "evaluate", "deploy", "optimise")] == [
        "run", "data", "build", "evaluate", "deploy", "optimise",
    ]  # fmt: skip
    assert {"ui", "predict", "rollback", "status", "history", "lineage", "test", "check", "bench", "clean"} <= set(
        names
    )
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\033" not in done.stdout, "plain where it is no terminal"


def test_a_verb_that_is_none_is_told_where_they_are_listed() -> None:
    done = subprocess.run(["make", "statuss"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "There is no verb `statuss`" in done.stderr


def test_nothing_is_written_outside_state(brought: Project, original: Project, turned: Project) -> None:
    """After data; run; predict, status and history: the home is empty, and the repository as git knows it."""
    for words in (("predict", "TEXT=a splendid film"), ("status",), ("history",)):
        assert turned.make(*words).status == 0
    for project in (brought, original, turned):
        home = [str(path.relative_to(project.home)) for path in project.home.rglob("*") if path.is_file()]
        assert [name for name in home if not name.startswith(".cache/uv")] == []
        known = {project.root / name for name in TRACKED}
        known |= {
            path
            for name, content in bytecode().items()
            if (path := project.root / name).read_bytes()[:HEADER] == content[:HEADER]
        }
        written = [
            str(path.relative_to(project.root))
            for path in project.root.rglob("*")
            if path.is_file()
            and path not in known
            and path.relative_to(project.root).parts[0] not in ("state", "data", ".venv")
        ]
        assert set(written) <= {"reviews.csv", "in.csv", "out.csv", "other.csv", "bad.csv", "bad.docx"}
