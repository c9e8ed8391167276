"""A verb in a copy of a warm process is the verb: it says and ends the same. And make itself does each as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import forking
from tests.support.project import ROOT, Project

TESTS = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
MADE = re.findall(r'\.(?:make|start)_really\(\s*"(\w+)"', TESTS)
WORDS = [
    ("status",),
    ("lineage",),
    ("run",),
    ("history",),
    ("trace", "ID=none"),
    ("lineage", "VERSION=77"),
    ("predict",),
    ("data", "SOURCE=absent.csv"),
    ("build", "MODEL=oracle"),
    ("status", "SERVE_PORT=none"),
    ("evaluate", "PREFECT_PORT=none"),
    ("deploy", "PREFECT_PORT=none"),
    ("optimise", "PREFECT_PORT=none"),
    ("ui", "PREFECT_PORT=none"),
    ("up", "PREFECT_PORT=none"),
    ("serve", "SERVE_PORT=none"),
    ("traffic", "N=few"),
    ("backup", "TO=all.zip"),
]


def test_make_itself_does_each_verb_somewhere() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = set(re.findall(r"^\t@\$\(PY\) -m ratchet (\w+)$", makefile, re.MULTILINE))
    assert verbs == forking.VERBS | forking.STAYING
    assert verbs - set(MADE) - {words[0] for words in WORDS} == set()


@pytest.mark.parametrize("words", WORDS)
def test_a_copy_says_and_ends_as_make_does(original: Project, words: tuple[str, ...]) -> None:
    copied = forking.verb(original.root, original.environment, words)
    assert copied is not None
    made = original.make_really(*words)
    assert copied[0] == made.status
    assert mended(copied[1]) == mended(made.text)


def mended(text: str) -> str:
    """Without what differs from one moment and one line of the Makefile to the next."""
    return re.sub(r"\[Makefile:[ \d]+(: )?", "[Makefile: ", re.sub(r"\d+\.\d s |for \d+ \w+", "", text))


def test_a_copy_has_the_code_of_its_own_project_alone(small: Project) -> None:
    small.write("ratchet/__init__.py", "print('of this project')\n")
    assert small.make("status").text.startswith("of this project\n")


def test_a_program_in_a_copy_has_its_folder_and_its_environment(small: Project, tmp_path: Path) -> None:
    code = "import os\nimport mlflow, ratchet\nprint(os.getcwd(), os.environ['WORD'], ratchet.__file__, __name__)"
    done = small.python(code, folder=tmp_path, WORD="here")
    assert done.text.split() == [str(tmp_path), "here", str(small.root / "ratchet" / "__init__.py"), "__main__"]
