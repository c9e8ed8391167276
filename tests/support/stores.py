"""What a team keeps its state in, for a test: a PostgreSQL cluster and an S3 server, ended without a trace."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.support.project import free_ports

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
"""Debian's newest PostgreSQL; None where there is none."""
USER = "ratchet"
PASSWORD = "p@ss: 50%/word"
"""With all that an address needs to have escaped."""


@dataclass(frozen=True)
class Postgres:
    """A cluster that runs. folder: where its data is."""

    folder: Path
    port: int

    def address(self, database: str, kind: str = "postgresql", user: str = USER, password: str = PASSWORD) -> str:
        return f"{kind}://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def sql(self, database: str, *statements: str) -> list[list[str]]:
        """Run statements, each in a transaction of its own; the rows that the last gave."""
        assert BINARIES is not None
        how = ["-X", "-q", "-t", "-A", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)]
        words = [word for statement in statements for word in ("-c", statement)]
        done = subprocess.run(
            [str(BINARIES / "psql"), *how, "-U", USER, *words, database],
            env=os.environ | {"PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.split("\t") for line in done.stdout.splitlines()]


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A fresh cluster while the block runs, on loopback alone; it asks for a password, and dies with this process."""
    assert BINARIES is not None
    folder, (port,) = Path(tempfile.mkdtemp(prefix="ratchet-postgres-")), free_ports(1)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    as_whom: list[str | Path] = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        owner = pwd.getpwnam("postgres")
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        as_whom += ["--reuid", str(owner.pw_uid), "--regid", str(owner.pw_gid), "--clear-groups"]
    making: list[str | Path] = [
        "-U",
        USER,
        "--auth=scram-sha-256",
        f"--pwfile={secret}",
        "--no-sync",
        "--encoding=UTF8",
    ]
    begin = [*as_whom, BINARIES / "initdb", "-D", folder / "data", *making]
    subprocess.run(begin, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    listening: list[str | Path] = ["-h", "127.0.0.1", "-p", str(port), "-k", folder, "-c", "fsync=off"]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [*as_whom, BINARIES / "postgres", "-D", folder / "data", *listening], cwd=folder, stdout=log, stderr=log
        )
    try:
        wait_until(server, [BINARIES / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], folder / "log")
        yield Postgres(folder, port)
    finally:
        end(server, signal.SIGQUIT)
        shutil.rmtree(folder)


@contextmanager
def object_store(folder: Path) -> Iterator[str]:
    """An S3 server while the block runs; its address."""
    (port,) = free_ports(1)
    with open(folder / "s3.log", "wb") as log:
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        listens = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
        wait_until(server, [sys.executable, "-S", "-c", listens], folder / "s3.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        end(server, signal.SIGTERM)


def wait_until(server: subprocess.Popen[bytes], asked: list[str | Path], log: Path) -> None:
    """Return once the command `asked` succeeds."""
    deadline = time.monotonic() + 60
    while subprocess.run(asked, stderr=subprocess.DEVNULL).returncode:
        assert server.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.05)


def end(server: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    server.send_signal(sign)
    server.wait(30)
