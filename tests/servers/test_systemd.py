"""`make services`: unit files that systemd takes as they are meant, wherever the project lies; nothing else changes."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.servers import systemd
from tests.support.project import Project
from tests.support.unit_file import Unit

ANALYSE = shutil.which("systemd-analyze")


def places_in(folder: Path) -> Places:
    return Places(folder, folder / "state", "127.0.0.1", 1, 2, 3)


def write_units(folder: Path) -> list[str]:
    lines: list[str] = []
    systemd.make(places_in(folder), lines.append)
    return lines


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "a team's 50% [new] $project"
    folder.mkdir()
    return folder


def test_systemd_analyze_has_no_complaint(odd: Path, tmp_path: Path) -> None:
    if ANALYSE is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    write_units(odd)
    units = sorted((odd / "state" / "services").glob("ratchet-*"))
    assert [unit.suffix for unit in units] == [".service", ".timer", ".service"]
    done = subprocess.run(
        [ANALYSE, "verify", "--user", *units],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_passwords_are_for_the_owner_alone_and_defaults_are_not_frozen(
    odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a\"b\\c$d`e%f' #g")
    monkeypatch.setenv("RATCHET_TEXT", "typed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{odd / 'state' / 'mlflow.db'}")
    output = "\n".join(write_units(odd))
    file = odd / "state" / "services" / "environment"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    unit = Unit.read(next(file.parent.glob("*project.service")))
    assert unit.environment["AWS_SECRET_ACCESS_KEY"] == "a\"b\\c$d`e%f' #g"
    assert unit.environment["RATCHET_STATE"] == str(odd / "state")
    assert not {"RATCHET_TEXT", "MLFLOW_TRACKING_URI"} & set(unit.environment)
    assert unit.folder == str(odd)
    assert "AWS_SECRET_ACCESS_KEY" in output
    assert 'a"b' not in output
    assert not [path for path in odd.rglob("*") if path.is_file() and path.parent != file.parent]


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc"))))
def test_any_value_survives_the_environment_file(value: str) -> None:
    """Read back by a shell: systemd documents the same quoting for these files."""
    shell = ["sh", "-c", f'V={systemd.quoted(value)}\nprintf %s "$V"']
    assert subprocess.run(shell, capture_output=True, check=True).stdout.decode() == value


def test_what_no_unit_file_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="without line breaks and backslashes"):
        write_units(tmp_path / "back\\slash")
    with pytest.raises(Refusal, match="must be one line"):
        systemd.quoted("two\nlines")


def test_the_daily_backup_is_made_and_old_ones_go(own: Project) -> None:
    """By its unit alone; a backup made by hand stays, however old."""
    assert own.make_really("services").status == 0
    unit = Unit.read(next((own.root / "state" / "services").glob("*-backup.service")))
    backups = own.root / "state" / "backups"
    backups.mkdir(exist_ok=True)
    for name in ("daily-20200101-000000.tar.zst", "by-hand.tar.zst"):
        (backups / name).touch()
        os.utime(backups / name, (1, 1))
    for name in ("ExecStart", "ExecStartPost"):
        environment = {"PATH": os.environ["PATH"], "HOME": str(own.home)} | unit.environment
        done = subprocess.run(unit.command(name), cwd=unit.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    names = sorted(path.name for path in backups.glob("*.tar.zst"))
    assert names[0] == "by-hand.tar.zst"
    assert re.fullmatch(r"daily-20[2-9]\d{5}-\d{6}\.tar\.zst", names[1])
    assert len(names) == 2
    assert "20200101" not in names[1]
