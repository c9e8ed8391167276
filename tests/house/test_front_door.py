"""The commands of the README and the guide that ask the service, copied as they stand and run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest

from tests.support.project import ROOT, Project
from tests.support.service import served

BLOCK = re.compile(r"^```sh\n(curl .*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("ending", [".md", ".zh-CN.md"])
def test_every_curl_command_of_readme_and_guide_answers(turned: Project, ending: str) -> None:
    pages = [(ROOT / f"{name}{ending}").read_text(encoding="utf-8") for name in ("README", "docs/guide")]
    blocks = [block for page in pages for block in BLOCK.findall(page)]
    assert len(blocks) == 2
    lines = [line.partition("   #")[0] for block in blocks for line in block.splitlines()]
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
            if "/metrics" in line:
                assert "ratchet_predictions_total" in done.stdout
