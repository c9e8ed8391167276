"""Recognises faults of the environment (disk, permissions, addresses, databases, servers): exception -> Refusal.

Each tool wraps such a fault in an exception of its own, or only prints its words. So the whole chain of an exception is
examined: first the type and the number that the system and SQLite give, then the words. Words can mislead, so every
traceback is written into state/logs/errors.log, that of a recognised fault included. An unrecognised error becomes one
sentence that says where its traceback is.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, project_version

ROOM = 2**20
"""Bytes. With less free space than this, a failure was most likely caused by the full disk."""

FREE_SOME = "Free some (`make prune` shows what can go), and give the same command again; what is live stays live."
FULL = ("no space left on device", "disk is full", "disk quota exceeded", "no usable temporary directory")
READ_ONLY = ("read-only file system", "readonly database")
BROKEN = ("database disk image is malformed", "file is not a database")
DENIED = ("permission denied", "operation not permitted")
OLD = ("out-of-date database schema", "can't locate revision identified by")
BUSY = ("database is locked",)
SHUT = ("unable to open database file",)
FAILING = ("disk i/o error", "input/output error")
SILENT = (
    "connection refused",
    "connection attempts failed",
    "connection reset",
    "max retries exceeded",
    "failed to reach api",
    "server disconnected",
    "timed out",
    "readtimeout",
    "connecttimeout",
    "could not connect to the endpoint",
    "server closed the connection",
    "terminating connection",
)
BUCKETLESS = ("nosuchbucket",)
KEYLESS = (
    "unable to locate credentials", "invalidaccesskeyid", "signaturedoesnotmatch", "expiredtoken", "accessdenied",
)  # fmt: skip
SERVER_VARIABLES = (
    "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL", "MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL",
)  # fmt: skip
"""Variables that may name a server."""
TOOLS = ("prefect", "mlflow", "scikit-learn", "tensorflow", "great-expectations", "dvc", "polars", "sqlalchemy")


def explain(error: BaseException, here: Places, command: str) -> Refusal:
    """The sentence for any exception: a Refusal unchanged, a known fault by its rule, else where the traceback is.

    The traceback of every other exception than a Refusal is written into state/logs/errors.log.

    Args:
        command: the command that failed, e.g. `make build`.
    """
    if isinstance(error, Refusal):
        return error
    log = here.logs / "errors.log"
    is_kept = write_traceback(error, log, command)
    return recognise(error, here) or unforeseen(error, log, is_kept, command)


def recognise(error: BaseException, here: Places) -> Refusal | None:
    """The Refusal for a fault of the environment; None for any other error."""
    for link in chain(error):
        if isinstance(link, Refusal):
            return link
        sentence_of_type = by_type(link)
        if sentence_of_type is not None:
            return sentence_of_type(link, here)
    for link in chain(error):
        for words, sentence in SENTENCES:
            if not isinstance(link, OF_CODE) and any(word in lower_text(link) for word in words):
                return sentence(link, here)
    return full(error, here) if is_disk_full(here) else None


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, its causes and contexts, and the members of a group; the outermost first."""
    visited: set[int] = set()
    queue = [error]
    while queue:
        link = queue.pop(0)
        if id(link) in visited:
            continue
        visited.add(id(link))
        yield link
        members = link.exceptions if isinstance(link, BaseExceptionGroup) else ()
        queue += [origin for origin in (*members, link.__cause__, link.__context__) if origin is not None]


def by_type(error: BaseException) -> Sentence | None:
    """The sentence for an exception by its type and number; None where these do not identify a fault."""
    if isinstance(error, SILENT_TYPES):
        return silent
    if isinstance(error, OSError):
        return BY_ERRNO.get(error.errno or 0)
    if isinstance(error, sqlite3.Error):
        return BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)  # the higher bits are a detail of the error
    return None


def lower_text(error: BaseException) -> str:
    """The type and message of an exception in lower case; of an OSError without the file name."""
    message = error.strerror if isinstance(error, OSError) and error.strerror else error
    return f"{type(error).__name__} {message}".lower()


def is_disk_full(here: Places) -> bool:
    for folder in (here.state, here.root):
        try:
            if shutil.disk_usage(folder).free < ROOM:
                return True
        except OSError:
            continue
    return False


def require_room(folder: Path, needed: int) -> None:
    """Raise unless a disk has enough free space.

    Args:
        folder: on that disk.
        needed: bytes.

    Raises:
        Refusal: less is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Refusal(
            "The disk must have room for what is written.",
            f"{free / 1e6:,.1f} MB left for {folder}, and {needed / 1e6:,.1f} MB needed",
            FREE_SOME,
        )


def full(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "The disk must have room for what is written.",
        f"no space left for {place(error, here.state)}",
        FREE_SOME,
    )


def failing(error: BaseException, here: Places) -> Refusal:
    """The sentence for an I/O error; SQLite reports one also where a full disk has no room for its journal."""
    if is_disk_full(here):
        return full(error, here)
    return Refusal(
        "The disk must give back what was written.",
        f"{first_line(error)}, below {here.state}",
        "See to the disk (dmesg tells more), and take a backup to another.",
    )


def read_only(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "Ratchet must be able to write its state and the project's folder.",
        f"{place(error, here.state)} on a read-only file system",
        "Mount it for writing, or name another place for the state: RATCHET_STATE=/path make ...",
    )


def denied(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "Ratchet must be allowed to read and write its files.",
        f"no permission for {place(error, here.state)} as user {os.geteuid()}",
        "Give its owner's rights back (ls -l shows them), or call make as that owner.",
    )


def shut(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "A database must be a file that can be opened.",
        f"{first_line(error)}, below {here.state}",
        "See to its permissions, and to those of its folder.",
    )


def broken(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "A database must be a whole SQLite file.",
        f"{first_line(error)}, below {here.state}",
        "Bring it back from a backup: make restore FROM=file",
    )


def old(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "The registry's database must have the schema of the installed MLflow.",
        first_line(error),
        "Back it up, then: .venv/bin/python -m mlflow db upgrade $MLFLOW_TRACKING_URI",
    )


def busy(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "A database must become free within half a minute.",
        f"{first_line(error)}, below {here.state}",
        "See what holds it (make status), and give the same command again.",
    )


def silent(error: BaseException, here: Places) -> Refusal:
    addresses = {name: os.environ.get(name, "") for name in SERVER_VARIABLES}
    servers = ", ".join(
        f"{name}={without_password(url)}" for name, url in addresses.items() if url and not url.startswith("sqlite")
    )
    return Refusal(
        "The servers that a run talks to must answer.",
        f"{first_line(error)} ({servers or 'none is named'})",
        f"See whether they run (logs: {here.logs}), and give the same command again.",
    )


def bucketless(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "The bucket that artifacts are in must be there.",
        first_line(error),
        "Make it again, or see whether MLFLOW_DEFAULT_ARTIFACT_ROOT and AWS_ENDPOINT_URL name the right store.",
    )


def keyless(error: BaseException, here: Places) -> Refusal:
    return Refusal(
        "The object store must know the keys, and let them read and write.",
        first_line(error),
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to those of an account that may.",
    )


Sentence = Callable[[BaseException, Places], Refusal]
OF_CODE = (LookupError, ValueError, TypeError, AttributeError, NameError, AssertionError, ArithmeticError)
"""Types of faults in code or values; their messages may quote any text, so their words are not examined."""
SILENT_TYPES = (ConnectionRefusedError, ConnectionResetError, ConnectionAbortedError)
BY_ERRNO: dict[int, Sentence] = {
    errno.ENOSPC: full, errno.EDQUOT: full, errno.EROFS: read_only, errno.EACCES: denied, errno.EPERM: denied,
    errno.EIO: failing,
}  # fmt: skip
BY_SQLITE: dict[int, Sentence] = {
    sqlite3.SQLITE_FULL: full, sqlite3.SQLITE_READONLY: read_only, sqlite3.SQLITE_CORRUPT: broken,
    sqlite3.SQLITE_NOTADB: broken, sqlite3.SQLITE_BUSY: busy, sqlite3.SQLITE_LOCKED: busy,
    sqlite3.SQLITE_CANTOPEN: shut, sqlite3.SQLITE_IOERR: failing, sqlite3.SQLITE_PERM: denied,
}  # fmt: skip
SENTENCES: tuple[tuple[tuple[str, ...], Sentence], ...] = (
    (FULL, full), (READ_ONLY, read_only), (BROKEN, broken), (OLD, old), (BUSY, busy), (SHUT, shut),
    (DENIED, denied), (FAILING, failing), (SILENT, silent), (BUCKETLESS, bucketless), (KEYLESS, keyless),
)  # fmt: skip


def place(error: BaseException, folder: Path) -> str:
    """The file that the fault names, or the given folder."""
    file_name = error.filename2 or error.filename if isinstance(error, OSError) else None
    return str(file_name or folder)


def first_line(error: BaseException) -> str:
    """The type and the first line of an exception, at most 200 characters of it."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def without_password(url: str) -> str:
    """An address without user, password and query, so that it can be shown."""
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.partition("?")[0].rpartition("@")[2] if mark else url


def write_traceback(error: BaseException, log: Path, command: str) -> bool:
    """Append the traceback to the log; whether that was possible."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as file:
            file.write(report(error, command))
    except OSError:
        return False
    return True


def unforeseen(error: BaseException, log: Path, is_kept: bool, command: str) -> Refusal:
    """The sentence for an unrecognised error: where its traceback is."""
    where = f"Its traceback {'is the last' if is_kept else 'could not be kept'} in {log}"
    if not is_kept:
        traceback.print_exception(error, file=sys.__stderr__)  # in state/logs/libraries.log, where there is one
    return Refusal(
        f"`{command}` met an error that Ratchet does not know.",
        first_line(error),
        f"{where}: report it with that part, which names versions and no data of yours but what the error quotes. "
        "What is live stays live; the same command can be given again.",
    )


def report(error: BaseException, command: str) -> str:
    """The entry of the log: time, command, versions and traceback."""
    now = datetime.now(UTC).isoformat(" ", "seconds")
    tools = ", ".join(f"{tool} {installed(tool)}" for tool in TOOLS)
    machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    trace = "".join(traceback.format_exception(error))
    return f"--- {now} {command}\nratchet {project_version()}, {machine}; {tools}\n{trace}\n"


def installed(tool: str) -> str:
    try:
        return version(tool)
    except PackageNotFoundError:
        return "absent"
