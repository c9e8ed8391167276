"""The file of a backup, a compressed tar: a description first, then the files, then a manifest with their SHA-256.

The file may be damaged or forged before it is read, so nothing in it is trusted: names are checked against the allowed
ones, and bytes against the manifest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from ratchet.project.errors import Refusal

FORMAT = 1
ABOUT = "ratchet-backup.json"
MANIFEST = "manifest.json"
ENDINGS = (".tar.zst", ".tar.gz")
PROJECT = ("project/params.yaml", "project/data.dvc", "project/.dvc/config")
STATE = re.compile(r"state/[^/]+(/[^/]+)*")
LARGEST_JSON = 64 * 2**20
"""Bytes; ABOUT and MANIFEST are smaller."""

Tell = Callable[[int], None]


class HashingReader:
    """A file with the SHA-256 of the bytes read so far."""

    def __init__(self, file: IO[bytes], tell: Tell) -> None:
        self.file = file
        self.tell = tell
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        self.tell(len(data))
        return data


def write(path: Path, about: dict[str, Any], files: list[tuple[str, Path]], tell: Tell) -> int:
    """Write an archive; files that vanished since they were listed are left out.

    Args:
        path: of the archive.
        about: the description.
        files: name in the archive and path of each file.
        tell: called with the number of bytes just read.

    Returns:
        The number of files in the archive.
    """
    manifest: dict[str, dict[str, Any]] = {}
    with compressed(path, "w") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        add_json(tar, ABOUT, about | {"format": FORMAT})
        for name, place in files:
            if not place.exists():
                continue
            with open(place, "rb") as file:
                info = tar.gettarinfo(arcname=name, fileobj=file)
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                reader = HashingReader(file, tell)
                tar.addfile(info, cast("IO[bytes]", reader))
            manifest[name] = {"sha256": reader.sha256.hexdigest(), "bytes": info.size}
        add_json(tar, MANIFEST, {"files": manifest})
    return len(manifest)


def add_json(tar: tarfile.TarFile, name: str, content: dict[str, Any]) -> None:
    data = json.dumps(content, ensure_ascii=False, indent=1).encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def unpack(path: Path, folder: Path, tell: Tell, check: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Unpack an archive into an empty folder, and verify every byte.

    Args:
        path: of the archive.
        folder: empty.
        tell: called with the number of bytes just read.
        check: called with the description before any file is written; raises to refuse it.

    Returns:
        The description.

    Raises:
        Refusal: the archive is no whole backup of this project; the files written so far must not be used.
        OSError: the disk is full, or another error of the system.
    """
    try:
        with compressed(path, "r") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            return unpack_members(path, tar, folder, tell, check)
    except OSError as error:
        if error.errno:
            raise
        raise damaged(path, error) from None
    except (tarfile.TarError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from None


def unpack_members(
    path: Path, tar: tarfile.TarFile, folder: Path, tell: Tell, check: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    unpacked: dict[str, dict[str, Any]] = {}
    first = tar.next()
    if first is None or first.name != ABOUT or first.size > LARGEST_JSON:
        raise Refusal("A backup must be one that `make backup` wrote.", f"{path}: another archive", "Name the backup.")
    about = load_json(tar, first)
    if about["format"] != FORMAT:
        received = f"{path}: format {about['format']}, from version {about.get('version')}"
        raise Refusal(f"A backup must be of format {FORMAT}.", received, "Take the project's version that wrote it.")
    check(about)
    while (member := tar.next()) is not None:
        if member.name == MANIFEST and member.isreg() and member.size <= LARGEST_JSON:
            if load_json(tar, member)["files"] != unpacked:
                raise damaged(path, ValueError("files that differ from its manifest"))
            if tar.next() is not None:
                raise damaged(path, ValueError("something behind its end"))
            return about
        if not is_allowed(member) or member.name in unpacked:
            raise Refusal(
                "A backup holds nothing but files of a project's state.",
                f"{path}: an entry {member.name[:100]!r}",
                "Nothing was changed. Do not trust this file: take another backup.",
            )
        unpacked[member.name] = write_member(tar, member, folder / member.name, tell)
    raise damaged(path, EOFError("no manifest at its end"))


def is_allowed(member: tarfile.TarInfo) -> bool:
    """Whether a member is a regular file with an allowed name below the folder."""
    parts = PurePosixPath(member.name).parts
    is_plain = member.isreg() and not any(part in ("..", ".", "") for part in parts) and "\0" not in member.name
    return is_plain and (member.name in PROJECT or STATE.fullmatch(member.name) is not None)


def write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path, tell: Tell) -> dict[str, Any]:
    source = tar.extractfile(member)
    assert source is not None
    reader = HashingReader(source, tell)
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "xb") as file:
        while block := reader.read(2**20):
            file.write(block)
    place.chmod(member.mode & 0o777 | 0o200)
    return {"sha256": reader.sha256.hexdigest(), "bytes": place.stat().st_size}


def load_json(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    file = tar.extractfile(member)
    assert file is not None
    return dict(json.load(file))


def damaged(path: Path, error: Exception) -> Refusal:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return Refusal(
        "A backup must be whole.", f"{path}: {reason}", "Nothing was changed: copy the file again, or take another one."
    )


@contextmanager
def compressed(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """A file that is compressed or decompressed in transit, by the ending of its name."""
    if path.name.endswith(".gz"):
        with gzip.open(path, f"{mode}b", compresslevel=3) as file:
            yield cast("IO[bytes]", file)
        return
    import pyarrow as pa

    opened = pa.OSFile(str(path), mode)
    stream = pa.CompressedOutputStream(opened, "zstd") if mode == "w" else pa.CompressedInputStream(opened, "zstd")
    with opened, stream:
        yield cast("IO[bytes]", stream)


def iterate(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in a fixed order; links to folders are followed."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from iterate(entry)
        elif entry.is_file():
            yield entry
