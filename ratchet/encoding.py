"""The bytes of a file -> which characters they stand for: byte order marks, UTF-8, then a guess that says it is one.

Strict UTF-8 is never a guess: other encodings do not pass it by chance. What fails it is GB18030 where most characters
are those of everyday Chinese (GB 2312), Windows-1252 where accents are few among plain letters, and refused otherwise.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ratchet.refusal import Refusal

BLOCK = 1 << 20
"""Bytes looked at at a time: no file is held in memory whole, but for one without line ends that is not UTF-8."""
ASCII = bytes(range(128))

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)

KNOWN_STARTS = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV UTF-8."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV UTF-8."),
    b"\x1f\x8b": ("a gzip archive", "Unpack it: gunzip FILE."),
    b"%PDF": ("a PDF document", "Export its table as CSV."),
    b"PAR1": ("a Parquet file", "Rename it to end in .parquet."),
    b"SQLite format 3": ("an SQLite database", "Export the table as CSV."),
}

EVERYDAY = 0.7
"""Share of GB 2312 characters above which text is taken for Chinese: 0.99 in chinese_reviews, nearly 0 in French."""
FREQUENT = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
"""The most frequent characters of Chinese, 0.29 of those of chinese_reviews. Korean, Greek and Japanese bytes that are
read as Chinese pass the test above and have next to none of them."""
OFTEN = 0.03
"""Share of them in Chinese, at least, where there are ENOUGH characters to tell."""
ENOUGH = 100
ACCENTS = 1 / 3
"""Share of accented characters above which text is not taken for Western: French has 1 in 25, Russian nearly all."""
MIXED = 0.2
"""Share of UTF-8 among the lines beyond ASCII above which a file is UTF-8 with damage, not another encoding."""


@dataclass(frozen=True)
class Encoding:
    """A codec of Python's, and its name as people know it."""

    codec: str
    name: str


def recognise(path: Path) -> Encoding:
    """The encoding of a text file.

    Raises:
        Refusal: it is no text, holds NUL bytes, mixes encodings, or fits none that is known.
    """
    with path.open("rb") as file:
        start = file.read(16)
    for known, (kind, remedy) in KNOWN_STARTS.items():
        if start.startswith(known):
            raise Refusal(f"{path.name} must be what its name says.", kind, remedy)
    for mark, codec, name in MARKS:
        if start.startswith(mark):
            return _marked(path, Encoding(codec, name))
    _refuse_nul(path)
    return Encoding("utf-8", "UTF-8") if _fits(path, "utf-8") else _guess(path)


def _marked(path: Path, encoding: Encoding) -> Encoding:
    """The encoding that a mark announces, when all of the file keeps to it."""
    if encoding.codec == "utf-8-sig":
        _refuse_nul(path)
    if _fits(path, encoding.codec):
        return encoding
    if encoding.codec == "utf-8-sig":
        raise _mixed(path, "utf-8", "UTF-8")
    raise Refusal(
        f"{path.name} begins with the mark of {encoding.name} and must keep to it.",
        "bytes that are no character of it: the file is cut short or damaged",
        "Save it again, best as UTF-8.",
    )


def _fits(path: Path, codec: str) -> bool:
    """Whether every byte of a file belongs to a character of the codec."""
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for block in _blocks(path):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _refuse_nul(path: Path) -> None:
    """No text file has a NUL byte: with few it is damaged, with many it is no text, or UTF-16 without its mark."""
    line = 1
    for block in _blocks(path):
        at = block.find(b"\0")
        if at >= 0:
            break
        line += block.count(b"\n")
    else:
        return
    line += block.count(b"\n", 0, at)
    near = block[max(0, at - 1000) : at + 1000]
    if max(near[::2].count(0), near[1::2].count(0)) > 0.8 * len(near) / 2:
        raise Refusal(f"{path.name} must be text.", "UTF-16 without a byte order mark", "Save it as UTF-8.")
    if sum(byte < 9 or 13 < byte < 32 for byte in near) > 0.05 * len(near):
        raise Refusal(f"{path.name} must be text.", f"binary data (line {line})", "Export the table as CSV in UTF-8.")
    raise Refusal(f"{path.name} must be text.", f"a NUL byte on line {line}", "Remove it from the file.")


def _guess(path: Path) -> Encoding:
    """The encoding of bytes that are not UTF-8, by how plausible the text is that they would make."""
    seen = _look(path)
    if seen.utf8 >= MIXED * seen.beyond:
        raise _mixed(path, "utf-8", "UTF-8")
    if _is_chinese(seen.chinese) and seen.gb18030 >= 0.5 * seen.beyond:
        if _fits(path, "gb18030"):
            return Encoding("gb18030", "GB18030 (guessed)")
        raise _mixed(path, "gb18030", "GB18030")
    if seen.accents <= ACCENTS * seen.letters and _fits(path, "cp1252"):
        return Encoding("cp1252", "Windows-1252 (guessed)")
    raise Refusal(
        f"{path.name} must be text in UTF-8, UTF-16, GB18030 or Windows-1252.",
        f"bytes that fit none of them, first on line {seen.first}",
        "Save it as UTF-8.",
    )


@dataclass
class _Seen:
    """What a file is made of. beyond: lines with a byte beyond ASCII; first: the number of the first of them.

    utf8, gb18030: those of them that are text in it. chinese: what the latter would say, BLOCK characters at most.
    letters: bytes that are no white space; accents: those of them beyond ASCII.
    """

    beyond: int = 0
    first: int = 0
    utf8: int = 0
    gb18030: int = 0
    chinese: str = ""
    letters: int = 0
    accents: int = 0


def _look(path: Path) -> _Seen:
    """Count in one pass, a line in memory at a time."""
    seen, chinese, room = _Seen(), list[str](), BLOCK
    for number, line in enumerate(_lines(path), 1):
        seen.letters += len(line) - sum(map(line.count, (b" ", b"\t", b"\r", b"\n")))
        if line.isascii():
            continue
        seen.accents += len(line.translate(None, ASCII))
        seen.beyond, seen.first = seen.beyond + 1, seen.first or number
        seen.utf8 += _decodes(line, "utf-8")
        if _decodes(line, "gb18030"):
            seen.gb18030 += 1
            if room > 0:
                chinese.append(line.decode("gb18030"))
                room -= len(chinese[-1])
    seen.chinese = "".join(chinese)
    return seen


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file without their LF."""
    with path.open("rb") as file:
        for line in file:
            yield line.removesuffix(b"\n")


def _decodes(data: bytes, codec: str) -> bool:
    try:
        data.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _is_chinese(text: str) -> bool:
    """Whether text that GB18030 made of some bytes is everyday Chinese, by the characters beyond ASCII."""
    beyond = [character for character in text[:BLOCK] if character > "\x7f"]
    everyday = sum(bool(character.encode("gb2312", "ignore")) for character in beyond)
    frequent = sum(character in FREQUENT for character in beyond)
    return everyday > EVERYDAY * len(beyond) and (len(beyond) < ENOUGH or frequent > OFTEN * len(beyond))


def _mixed(path: Path, codec: str, name: str) -> Refusal:
    """Names the first line that is not like the others."""
    bad, first, shown = 0, 0, b""
    for number, line in enumerate(_lines(path), 1):
        if not _decodes(line, codec):
            bad += 1
            if bad == 1:
                first, shown = number, line
    begins = shown.decode("cp1252", "replace").strip()
    cut = "".join(character if character.isprintable() else " " for character in begins[:60])
    return Refusal(
        f"{path.name} must be in one encoding.",
        f"{name}, but not on line {first}, which begins {cut!r} ({bad:,} such lines)",
        "Save those lines in the encoding of the others.",
    )
