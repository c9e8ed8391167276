"""`make services`: unit files that systemd takes as they are meant, wherever the project lies; nothing else changes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.servers import systemd
from tests.support.project import Project

SIGNS = {"SIGTERM": signal.SIGTERM}
ANALYSE = shutil.which("systemd-analyze")


@dataclass(frozen=True)
class Unit:
    """A service as systemd reads it: each setting with its values, continued lines joined."""

    settings: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Unit:
        lines = re.sub(r"\\\n *", " ", path.read_text(encoding="utf-8")).splitlines()
        found: dict[str, list[str]] = {}
        for line in lines:
            if "=" in line and not line.startswith("#"):
                found.setdefault(line.partition("=")[0], []).append(line.partition("=")[2])
        return cls(found)

    def one(self, name: str) -> str:
        """A setting that takes the rest of its line, with systemd's specifiers resolved."""
        (value,) = self.settings[name]
        assert "%" not in value.replace("%%", "")
        return value.replace("%%", "%")

    @property
    def folder(self) -> str:
        return self.one("WorkingDirectory")

    @property
    def environment(self) -> dict[str, str]:
        """What the EnvironmentFile gives; a shell reads these lines as systemd does."""
        file = re.sub(r"\[(.)\]", r"\1", self.one("EnvironmentFile"))  # systemd takes it as a pattern
        shell = ["env", "-i", "sh", "-c", 'set -a; . "$0"; exec env -0', file]
        said = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
        return dict(line.split("=", 1) for line in said.split("\0") if line and not line.startswith(("PWD=", "_=")))

    def command(self, name: str) -> list[str]:
        return [word.replace("$$", "$") for word in shlex.split(self.one(name))]

    @contextmanager
    def started(self, home: Path) -> Iterator[subprocess.Popen[str]]:
        """ExecStart as systemd starts it, in that environment alone; at the end told to stop, with the time it has."""
        process = subprocess.Popen(
            self.command("ExecStart"),
            cwd=self.folder,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(SIGNS[self.one("KillSignal")])
            process.communicate(timeout=float(self.one("TimeoutStopSec")))


def places_in(folder: Path) -> Places:
    return Places(folder, folder / "state", "127.0.0.1", 1, 2, 3)


def made(folder: Path) -> list[str]:
    said: list[str] = []
    systemd.make(places_in(folder), said.append)
    return said


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "a team's 50% [new] $project"
    folder.mkdir()
    return folder


def test_systemd_finds_nothing_to_say(odd: Path, tmp_path: Path) -> None:
    if ANALYSE is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    made(odd)
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
    said = "\n".join(made(odd))
    file = odd / "state" / "services" / "environment"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    unit = Unit.read(next(file.parent.glob("*project.service")))
    assert unit.environment["AWS_SECRET_ACCESS_KEY"] == "a\"b\\c$d`e%f' #g"
    assert unit.environment["RATCHET_STATE"] == str(odd / "state")
    assert not {"RATCHET_TEXT", "MLFLOW_TRACKING_URI"} & set(unit.environment)
    assert unit.folder == str(odd)
    assert "AWS_SECRET_ACCESS_KEY" in said
    assert 'a"b' not in said
    assert not [path for path in odd.rglob("*") if path.is_file() and path.parent != file.parent]


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc"))))
def test_any_value_comes_out_of_the_file_as_it_went_in(value: str) -> None:
    """Read back by a shell: systemd documents the same quoting for these files."""
    shell = ["sh", "-c", f'V={systemd.quoted(value)}\nprintf %s "$V"']
    assert subprocess.run(shell, capture_output=True, check=True).stdout.decode() == value


def test_what_no_unit_file_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="without line breaks and backslashes"):
        made(tmp_path / "back\\slash")
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
    found = sorted(path.name for path in backups.glob("*.tar.zst"))
    assert found[0] == "by-hand.tar.zst"
    assert re.fullmatch(r"daily-20[2-9]\d{5}-\d{6}\.tar\.zst", found[1])
    assert len(found) == 2
    assert "20200101" not in found[1]
