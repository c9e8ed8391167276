"""The other Pythons that README names: set-up from the lock, a turn of the loop, and the quick tests of every room."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.project import Project, bring_small

QUICK = (
    "data/prepare/test_prepare", "judging/test_metrics", "judging/test_gate", "models/test_models",
    "expectations/test_expectations", "models/text/test_ngrams", "data/tables/test_reading", "state/test_ledger",
    "state/test_lock", "serving/test_parts", "serving/test_serving", "judging/test_canary_test",
    "monitoring/test_retrain_rules", "project/test_params_file", "project/test_progress", "training/test_energy",
)  # fmt: skip


def interpreter(version: str) -> str | None:
    """An interpreter of that version: by its name on the PATH, or among those that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for name in (f"python{version}", *(str(path) for path in sorted(kept.glob(f"{version}.*/bin/python")))):
        try:
            said = subprocess.run([name, "--version"], capture_output=True, text=True)
        except OSError:
            continue
        if said.returncode == 0 and said.stdout.startswith(f"Python {version}."):
            return name
    return None


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_it_sets_itself_up_turns_and_passes_its_tests(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    project = Project(tmp_path / "project")
    (project.root / ".venv").unlink()
    project.environment["PYTHON"] = python
    set_up = project.make("setup")
    assert set_up.status == 0, set_up.text
    assert project.python("import sys; print(sys.version)").text.startswith(f"{version}.")
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    subprocess.run(["git", "add", "-A"], cwd=project.root, check=True)
    tests = subprocess.run(
        [".venv/bin/python", "-m", "pytest", "-n", "2", "--dist", "loadfile", *(f"tests/{name}.py" for name in QUICK)],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=1_800,
    )
    assert tests.returncode == 0, tests.stdout[-5_000:] + tests.stderr[-2_000:]
    bring_small(project)
    turn = project.make("run")
    assert turn.status == 0, turn.text
    assert "Version 1 (linear) is the champion of reviews." in turn.text
