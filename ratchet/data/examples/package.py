"""Download a pinned package: a `Package` enters, the paths of its checked data files leave.

Nothing of the package is imported. Installing a wheel runs no code. Installing a source archive runs its setup script,
so its hash and that of the build tool are pinned, too.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from ratchet.data.examples.contract import Package

BUILD_TOOL = "setuptools==80.9.0 --hash=sha256:062d34222ad13e0cc312a4c02d73f059e86a4acbfbdea8f8f76b28c99f306922\n"
MINUTES = 10
"""Time limit of a download; the largest package is 50 MB."""


class ExampleUnavailable(RuntimeError):
    """An example's package could not be downloaded, or has other bytes than the pinned ones."""


def fetch(package: Package, folder: Path) -> dict[str, Path]:
    """Install the package into `folder` and return its data files, each checked against its hash.

    Raises:
        ExampleUnavailable: the registry did not deliver the pinned bytes.
    """
    target = folder / "package"
    _install(package, folder, target)
    return {name: _checked(package, name, target / name) for name in package.files}


def _install(package: Package, folder: Path, target: Path) -> None:
    requirement = folder / "requirement.txt"
    build_tool = folder / "build-tool.txt"
    requirement.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    build_tool.write_text(BUILD_TOOL, encoding="utf-8")
    command = [_uv(), "pip", "install", "--quiet", "--no-deps", "--no-config", "--require-hashes"]
    command += ["--python", sys.executable, "--build-constraints", str(build_tool)]
    command += ["--target", str(target), "--requirements", str(requirement)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MINUTES * 60, check=False)
    except subprocess.TimeoutExpired as late:
        raise ExampleUnavailable(
            f"{package.requirement} must be downloaded within {MINUTES} minutes. Received: no answer. "
            "Look at the connection to your package index, then run the command again."
        ) from late
    if done.returncode:
        raise ExampleUnavailable(
            f"{package.requirement} with SHA-256 {package.sha256} must come from your package index. "
            f"Received: {done.stderr.strip() or f'exit status {done.returncode}'}. "
            "Look at the connection and at UV_INDEX_URL, then run the command again, or bring your own table "
            "with `make data SOURCE=path.csv TEXT=column LABEL=column`."
        )


def _uv() -> str:
    """The path of uv, which is one of the project's dependencies.

    Raises:
        ExampleUnavailable: uv is neither in this environment nor on the PATH.
    """
    beside = Path(sys.executable).parent / "uv"
    path = str(beside) if beside.exists() else shutil.which("uv")
    if path is None:
        raise ExampleUnavailable(
            f"An example is downloaded with uv. Received: none beside {sys.executable} and none on the PATH. "
            "Run `make setup`."
        )
    return path


def _checked(package: Package, name: str, path: Path) -> Path:
    """The path of a data file, checked.

    Raises:
        ExampleUnavailable: the file's bytes do not have the pinned hash.
    """
    received = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no such file"
    if received != package.files[name]:
        raise ExampleUnavailable(
            f"{name} in {package.requirement} must have SHA-256 {package.files[name]}. Received: {received}. "
            "Clear uv's copy with `uv cache clean`, then run the command again."
        )
    return path
