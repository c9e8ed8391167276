"""A backup's file: a tar of what a project is, first of all what it is, last of all the SHA-256 of each file.

Anything may happen to such a file before it is read again, so nothing in it is believed: names are held to a list of
what may be in one, and bytes to the manifest.
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
ABOUT, MANIFEST = "ratchet-backup.json", "manifest.json"
ENDINGS = (".tar.zst", ".tar.gz")
PROJECT = ("project/params.yaml", "project/data.dvc", "project/.dvc/config")
STATE = re.compile(r"state/[^/]+(/[^/]+)*")
SMALL = 64 * 2**20
"""Bytes; ABOUT and MANIFEST are smaller."""

Tell = Callable[[int], None]


class Hashed:
    """A file that is being read, and the SHA-256 of what was read of it."""

    def __init__(self, file: IO[bytes], tell: Tell) -> None:
        self.file, self.tell, self.sha256 = file, tell, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        self.tell(len(data))
        return data


def write(path: Path, about: dict[str, Any], files: list[tuple[str, Path]], tell: Tell) -> int:
    """Write an archive; how many files are in it. One that vanished since it was listed is left out.

    Args:
        files: name in the archive, and where it is.
        tell: called with the number of bytes just read.
    """
    manifest: dict[str, dict[str, Any]] = {}
    with compressed(path, "w") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        add(tar, ABOUT, about | {"format": FORMAT})
        for name, place in files:
            if not place.exists():
                continue
            with open(place, "rb") as file:
                info = tar.gettarinfo(arcname=name, fileobj=file)
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                reader = Hashed(file, tell)
                tar.addfile(info, cast("IO[bytes]", reader))
            manifest[name] = {"sha256": reader.sha256.hexdigest(), "bytes": info.size}
        add(tar, MANIFEST, {"files": manifest})
    return len(manifest)


def add(tar: tarfile.TarFile, name: str, content: dict[str, Any]) -> None:
    data = json.dumps(content, ensure_ascii=False, indent=1).encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def unpack(path: Path, folder: Path, tell: Tell, check: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Write what an archive holds below an empty folder, if every byte of it is as it was written; what it is.

    Args:
        check: called with what the archive is, before anything of it is written; raises where that will not do.

    Raises:
        Refusal: it is not a whole backup of ours; what was written below the folder until then means nothing.
        OSError: the disk is full, or the like.
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
    found: dict[str, dict[str, Any]] = {}
    first = tar.next()
    if first is None or first.name != ABOUT or first.size > SMALL:
        raise Refusal("A backup must be one that `make backup` wrote.", f"{path}: another archive", "Name the backup.")
    about = load(tar, first)
    if about["format"] != FORMAT:
        received = f"{path}: format {about['format']}, from version {about.get('version')}"
        raise Refusal(f"A backup must be of format {FORMAT}.", received, "Take the project's version that wrote it.")
    check(about)
    while (member := tar.next()) is not None:
        if member.name == MANIFEST and member.isreg() and member.size <= SMALL:
            if load(tar, member)["files"] != found:
                raise damaged(path, ValueError("files that differ from its manifest"))
            if tar.next() is not None:
                raise damaged(path, ValueError("something behind its end"))
            return about
        if not may_be_in_one(member) or member.name in found:
            raise Refusal(
                "A backup holds nothing but files of a project's state.",
                f"{path}: an entry {member.name[:100]!r}",
                "Nothing was changed. Do not trust this file: take another backup.",
            )
        found[member.name] = write_member(tar, member, folder / member.name, tell)
    raise damaged(path, EOFError("no manifest at its end"))


def may_be_in_one(member: tarfile.TarInfo) -> bool:
    """Whether an entry is a plain file with a name that stays below the folder."""
    parts = PurePosixPath(member.name).parts
    plain = member.isreg() and not any(part in ("..", ".", "") for part in parts) and "\0" not in member.name
    return plain and (member.name in PROJECT or STATE.fullmatch(member.name) is not None)


def write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path, tell: Tell) -> dict[str, Any]:
    source = tar.extractfile(member)
    assert source is not None
    reader = Hashed(source, tell)
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "xb") as file:
        while block := reader.read(2**20):
            file.write(block)
    place.chmod(member.mode & 0o777 | 0o200)
    return {"sha256": reader.sha256.hexdigest(), "bytes": place.stat().st_size}


def load(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    file = tar.extractfile(member)
    assert file is not None
    return dict(json.load(file))


def damaged(path: Path, error: Exception) -> Refusal:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return Refusal(
        "A backup must be whole.", f"{path}: {said}", "Nothing was changed: copy the file again, or take another one."
    )


@contextmanager
def compressed(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """A file that is compressed on the way, by what its name ends in."""
    if path.name.endswith(".gz"):
        with gzip.open(path, f"{mode}b", compresslevel=3) as file:
            yield cast("IO[bytes]", file)
        return
    import pyarrow as pa

    opened = pa.OSFile(str(path), mode)
    made = pa.CompressedOutputStream(opened, "zstd") if mode == "w" else pa.CompressedInputStream(opened, "zstd")
    with opened, made:
        yield cast("IO[bytes]", made)


def iterate(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in a fixed order; links to folders are followed."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from iterate(entry)
        elif entry.is_file():
            yield entry
