"""Where continuous integration runs, what the tests need is there, or they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

TESTS = """
import pytest


@pytest.mark.skipif(True, reason="no PostgreSQL here: apt-get install postgresql")
def test_marked():
    pass


def test_skips_itself():
    pytest.skip("no Chromium here: apt-get install chromium")


@pytest.mark.skip(reason="the baseline looks at no text")
def test_of_nothing():
    pass
"""


@pytest.mark.parametrize(("ci", "found"), [("1", "1 failed, 1 skipped, 1 error"), ("false", "3 skipped")])
def test_a_skip_for_want_of_what_is_needed_fails_in_continuous_integration(tmp_path: Path, ci: str, found: str) -> None:
    (tmp_path / "test_wants.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path), str(tmp_path)]
    env = os.environ | {"CI": ci, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert found in done.stdout, done.stdout + done.stderr
