"""The commands of the README that ask the service, copied as they stand and run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest

from tests.support.project import ROOT, Project
from tests.support.service import served

BLOCK = re.compile(r"^```sh\n(curl .*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_every_curl_command_of_the_readme_answers(turned: Project, page: str) -> None:
    (block,) = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    lines = [line.partition("   #")[0] for line in block.splitlines()]
    assert len(lines) == 6
    port, name = turned.environment["SERVE_PORT"], ""
    with served(turned):
        for line in lines:
            words = shlex.split(line.replace("8000", port).replace("film-reviews", "reviews"))
            words = [word.replace('"ID"', f'"{name}"').replace("rotten", "bad") for word in words]
            done = subprocess.run([*words, "--fail-with-body"], capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, (line, done.stdout)
            if "/predict" in line:
                (answer,) = json.loads(done.stdout)["predictions"]
                name = answer["id"]
                assert ("explanation" in answer) == ("explain" in line)
    assert "ratchet_predictions_total" in done.stdout
