"""Unit files of systemd for one project: service, UIs and flows, and a daily backup; user units, so without root.

    make services

The unit files are written into state/services/ and nowhere else; the printed commands hand them to systemd. The tools'
variables that are set at that moment go into an environment file beside them that only its owner may read.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, tool_defaults

SERVICE_VERB = "up"
"""The verb of `python -m ratchet` that the service runs."""
STOP_SECONDS = 90
"""Time after SIGTERM until systemd kills what still runs."""
KEPT_DAYS = 14
"""A new daily backup removes those older than this; backups made by hand stay."""
PASSED_ON = re.compile(
    r"(MLFLOW|PREFECT|AWS|GOOGLE|AZURE|DVC|GX|KERAS|PG|CUDA|OMP|SSL|REQUESTS)[A-Z0-9_]*|(HTTPS?|NO|ALL)_PROXY"
    r"|SERVE_PORT|RATCHET_HOST|RATCHET_UI_HOST|RATCHET_STATE|RATCHET_TOKEN|RATCHET_PREDICTIONS",
    re.IGNORECASE,
)
"""Variables of the tools, of the libraries below them and of Ratchet that hold for more than one command."""

SERVICE = """\
# Written by `make services`, which writes it anew.
[Unit]
Description=Ratchet in {description}: prediction service, Prefect UI, MLflow UI and the flows

[Service]
Type=exec
WorkingDirectory={folder}
EnvironmentFile={environment}
ExecStart=/bin/sh -c "exec .venv/bin/python -m ratchet {verb}"
# The first process alone is told to stop: it ends the others in order.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={stop}
# 130: told to stop before it was up. A database or a port that is not there yet is asked for again, without end.
SuccessExitStatus=130
Restart=on-failure
RestartSec=10

[Install]
WantedBy=default.target
"""
BACKUP = """\
# Written by `make services`, which writes it anew.
[Unit]
Description=A backup of Ratchet in {description}

[Service]
Type=oneshot
WorkingDirectory={folder}
EnvironmentFile={environment}
ExecStart=/bin/sh -c "RATCHET_TO=\\"$$RATCHET_STATE/backups/daily-$$(date +%%Y%%m%%d-%%H%%M%%S).tar.zst\\" \\
    exec .venv/bin/python -m ratchet backup"
ExecStartPost=/bin/sh -c "find \\"$$RATCHET_STATE/backups\\" -name 'daily-*.tar.zst' -mtime +{days} -delete"
"""
TIMER = """\
# Written by `make services`, which writes it anew.
[Unit]
Description=A backup of Ratchet in {description}, once a day

[Timer]
OnCalendar=daily
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target
"""


def make(here: Places, say: Callable[[str], None]) -> list[Path]:
    """Write the units and their environment file, and print how to use them.

    Returns:
        The paths of the units.

    Raises:
        Refusal: a path or a variable holds characters that no unit file can.
    """
    folder = here.state / "services"
    name = unit_name(here)
    values = {
        "folder": escaped(here.root),
        "environment": escaped(Path(glob.escape(str(folder / "environment")))),  # systemd reads it as a pattern
        "description": escaped(here.root),
        "verb": SERVICE_VERB,
        "stop": str(STOP_SECONDS),
        "days": str(KEPT_DAYS),
    }
    variables = environment(here)
    folder.mkdir(parents=True, exist_ok=True)
    write_secret(folder / "environment", "".join(f"{key}={quoted(value)}\n" for key, value in variables.items()))
    units = {f"{name}.service": SERVICE, f"{name}-backup.service": BACKUP, f"{name}-backup.timer": TIMER}
    for old_unit in folder.glob("ratchet-*"):
        old_unit.unlink()
    for unit, text in units.items():
        (folder / unit).write_text(text.format(**values), encoding="utf-8")
    print_commands(folder, name, variables, say)
    return [folder / unit for unit in units]


def print_commands(folder: Path, name: str, variables: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Print what was written, and the systemctl commands that use it."""
    say(f"Written into {folder}: {name}.service, and {name}-backup.timer with its service.")
    say(f"With the variables that are set now: {', '.join(variables)}.")
    say("Start them, now and after each restart of the machine, also while nobody is logged in:")
    say(f"    systemctl --user link {shlex.quote(str(folder))}/{name}*.*")
    say(f"    systemctl --user enable --now {name}.service {name}-backup.timer")
    say("    loginctl enable-linger")
    say("Look at them:")
    say(f"    systemctl --user status {name}")
    say(f"    journalctl --user -u {name} -f")
    say("End them for good:")
    say(f"    systemctl --user disable --now {name}.service {name}-backup.timer {name}-backup.service")


def unit_name(here: Places) -> str:
    """`ratchet-` and the name of the project's folder, in characters that the name of a unit may have."""
    return f"ratchet-{re.sub(r'[^A-Za-z0-9]+', '-', here.root.name).strip('-') or 'project'}"


def environment(here: Places) -> dict[str, str]:
    """The variables of the service: those that are set and differ from our own defaults, and the place of the state."""
    defaults = tool_defaults(here)
    variables = {
        name: value
        for name, value in sorted(os.environ.items())
        if PASSED_ON.fullmatch(name) and value != defaults.get(name)
    }
    return variables | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "RATCHET_STATE": str(here.state)}


def quoted(value: str) -> str:
    """A value as an EnvironmentFile holds it, in quotes that a shell reads as well.

    Raises:
        Refusal: the value holds a line break.
    """
    if "\n" in value or "\r" in value:
        raise Refusal("A variable for a service must be one line.", f"{value.splitlines()[0][:20]} ...", "Change it.")
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def escaped(path: Path) -> str:
    """A path as a setting of a unit holds it, to the end of the line; systemd expands `%` there, so it is doubled.

    Raises:
        Refusal: the path holds a character that ends or changes such a line.
    """
    text = str(path)
    if re.search(r"[\x00-\x1f\x7f\\]|\s$", text):
        raise Refusal(
            "A project that runs as a service must lie in a folder without line breaks and backslashes.",
            repr(text),
            "Move it, or rename the folder.",
        )
    return text.replace("%", "%%")


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    durable.write(path, text, 0o600)
