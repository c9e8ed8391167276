"""Creates the project's `.venv`: requirements.lock enters, an environment leaves. Needs the standard library only.

Run by the Makefile when the lock is newer than the environment: `python3 -m ratchet.setup_venv`.
Every package, uv included, is installed by its hash in the lock, and compiled at once so that imports are quick.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
READY = VENV / ".ready"


def main() -> int:
    """Set up the environment unless it is ready; the exit status for the shell."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        print(
            f"Ratchet needs Python 3.11, 3.12 or 3.13. Received: {sys.version.split()[0]} ({sys.executable}). "
            "Name another one: make PYTHON=python3.12",
            file=sys.stderr,
        )
        return 1
    try:
        return set_up()
    except OSError as error:
        print(
            f"Setting up .venv needs room and a folder that may be written. Received: {error}. "
            "Once it is put right, the same command goes on from here.",
            file=sys.stderr,
        )
        return 1


def set_up() -> int:
    """Install under a lock; nothing is left to do if another process has just installed."""
    (ROOT / "state").mkdir(exist_ok=True)
    with open(ROOT / "state" / "setup.lock", "w") as handle:  # not .venv/.lock: uv locks that file, and would wait
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not is_ready():
            try:
                install()
            except subprocess.CalledProcessError as error:
                print(
                    f"Setting up .venv failed at: {' '.join(map(str, error.cmd[:6]))} ... "
                    "(the reason stands above). Once it is put right, the same command goes on from here.",
                    file=sys.stderr,
                )
                return 1
    return 0


def is_ready() -> bool:
    """Whether the environment was made from this lock in this folder: an environment cannot be moved or copied."""
    return READY.exists() and READY.read_text() == fingerprint()


def fingerprint() -> str:
    return f"{ROOT}\n{LOCK.read_text()}"


def install() -> None:
    """Install uv by its hash, then all packages of the lock with uv."""
    print(
        "Setting up .venv from requirements.lock, once: 250 packages, 3.5 GB on disk, a minute or two ...", flush=True
    )
    READY.unlink(missing_ok=True)
    python = interpreter(VENV)
    with tempfile.TemporaryDirectory() as folder:
        uv_pin = Path(folder) / "uv.lock.txt"
        uv_pin.write_text(pin_of("uv"))
        run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", uv_pin])
    uv = VENV / "bin" / "uv"
    run([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", "--compile-bytecode", LOCK])
    site = output_of(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
    (Path(site) / "ratchet.pth").write_text(f"{ROOT}\n")  # models:/...@champion loads from any folder
    READY.write_text(fingerprint())


def interpreter(folder: Path) -> Path:
    """The interpreter of the environment, which is created unless one there runs."""
    python = folder / "bin" / "python"
    try:
        output_of(python, "import pip")
    except (OSError, subprocess.CalledProcessError):
        venv.create(folder, with_pip=True, clear=True)
    return python


def output_of(python: Path, program: str) -> str:
    """The standard output of a program that an interpreter runs."""
    return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def pin_of(package: str) -> str:
    """The lines of the lock that pin one package, hashes included."""
    match = re.search(rf"^{package}==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if match is None:
        raise LookupError(f"requirements.lock must pin {package}. Received: no line {package}==...")
    return match.group()


def run(command: list[str | Path]) -> None:
    subprocess.run([str(word) for word in command], check=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})


if __name__ == "__main__":
    if shutil.which("git") is None:
        print("Ratchet needs git on the PATH. Received: none found.", file=sys.stderr)
        sys.exit(1)
    sys.exit(main())
