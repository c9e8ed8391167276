"""The bytes of a file -> which characters they stand for: byte order marks, UTF-8, then a guess that says it is one.

Strict UTF-8 is never a guess: other encodings do not pass it by chance. What fails it is guessed by charset-normalizer
among the encodings in which tables are still saved, from a sample; then all of the file must keep to it. Where accents
are few among plain letters it is Windows-1252; what fits nothing, or two encodings alike, is refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ratchet.project.errors import Refusal

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

GUESSED = {
    "gb18030": "GB18030",
    "big5hkscs": "Big5",
    "cp932": "Shift-JIS",
    "euc_jis_2004": "EUC-JP",
    "cp949": "EUC-KR",
    "cp1251": "Windows-1251",
    "koi8_r": "KOI8-R",
    "cp1253": "Windows-1253",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "cp1252": "Windows-1252",
}
"""Python's codecs, each the widest of its family, and what people call them."""
SEVERAL_BYTES = ("gb18030", "big5hkscs", "cp932", "euc_jis_2004", "cp949")
"""Of those, what has two bytes and more to a character: few damaged lines show, since they are no text in it."""
SAMPLE = 1 << 18
"""Bytes of lines beyond ASCII that are guessed from, at most."""
FREQUENT = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
"""The most frequent characters of Chinese, 0.29 of those of chinese_reviews. Korean, Greek and Japanese bytes that are
read as Chinese have next to none of them."""
OFTEN, EVERYDAY = 0.03, 0.7
"""Shares of them and of the characters of GB 2312 above which text is taken for Chinese, of however few words."""
KANA = 0.25
"""Share of Japanese syllables above which text is Japanese: half of any, and none of what is in another encoding."""
MOST = 0.8
"""Share of the lines beyond ASCII that are text in the encoding of a file of which a few lines are damaged."""
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
    western = seen.accents <= ACCENTS * seen.letters
    found = ["gb18030"] if _is_chinese(seen.sample) else _likeliest(seen.sample)
    if western and not (found and all(codec in SEVERAL_BYTES for codec in found)) and _fits(path, "cp1252"):
        return Encoding("cp1252", "Windows-1252 (guessed)")
    if len(found) > 1:
        raise _refused(path, f"bytes that are {' or '.join(GUESSED[codec] for codec in found)}: too few to tell which")
    codec = found[0] if found and found[0] != "cp1252" else ""
    if codec and _fits(path, codec):
        return Encoding(codec, f"{GUESSED[codec]} (guessed)")
    codec = codec or _but_for_some(seen.sample)
    if codec:
        raise _mixed(path, codec, GUESSED[codec])
    raise _refused(path, f"bytes that fit none of them, first on line {seen.first}")


def _refused(path: Path, received: str) -> Refusal:
    names = ", ".join(GUESSED.values())
    return Refusal(f"{path.name} must be text in UTF-8, UTF-16 or one of {names}.", received, "Save it as UTF-8.")


def _likeliest(lines: list[bytes]) -> list[str]:
    """The codecs that give the most plausible text of some lines: none, one, or several where nothing tells them apart.

    Source: charset-normalizer; `chaos` is how much of the text looks like noise, `coherence` how much like a language.
    """
    from charset_normalizer import from_bytes

    found = list(from_bytes(b"\n".join(lines), cp_isolation=list(GUESSED)))
    for each in found:
        beyond = [character for character in str(each) if character > "\x7f"]
        if sum("\u3041" <= character <= "\u30ff" for character in beyond) > KANA * len(beyond):
            return [each.encoding]
    return [each.encoding for each in found if (each.chaos, each.coherence) == (found[0].chaos, found[0].coherence)]


def _is_chinese(lines: list[bytes]) -> bool:
    """Whether most lines are everyday Chinese in GB18030, by the characters beyond ASCII; a few may be damaged."""
    kept = [line for line in lines if _decodes(line, "gb18030")]
    beyond = [character for character in b"".join(kept).decode("gb18030", "ignore") if character > "\x7f"]
    everyday = sum(bool(character.encode("gb2312", "ignore")) for character in beyond)
    frequent = sum(character in FREQUENT for character in beyond)
    if any("\u3040" <= character <= "\u30ff" for character in beyond):  # kana: GB 2312 has them where EUC-JP has them
        return False
    return 2 * len(kept) >= len(lines) and everyday > EVERYDAY * len(beyond) and frequent > OFTEN * len(beyond)


def _but_for_some(lines: list[bytes]) -> str:
    """The codec that most of the lines are in, where a few are in none; empty where there is none."""
    for codec in SEVERAL_BYTES:
        kept = [line for line in lines if _decodes(line, codec)]
        if len(kept) >= MOST * len(lines) and _likeliest(kept) == [codec]:
            return codec
    return ""


@dataclass
class _Seen:
    """What a file is made of. beyond: lines with a byte beyond ASCII; first: the number of the first of them.

    utf8: those of them that are text in it. sample: the first of them, SAMPLE bytes at most.
    letters: bytes that are no white space; accents: those of them beyond ASCII.
    """

    sample: list[bytes]
    beyond: int = 0
    first: int = 0
    utf8: int = 0
    letters: int = 0
    accents: int = 0


def _look(path: Path) -> _Seen:
    """Count in one pass, a line in memory at a time."""
    seen, room = _Seen([]), SAMPLE
    for number, line in enumerate(_lines(path), 1):
        seen.letters += len(line) - sum(map(line.count, (b" ", b"\t", b"\r", b"\n")))
        if line.isascii():
            continue
        seen.accents += len(line.translate(None, ASCII))
        seen.beyond, seen.first = seen.beyond + 1, seen.first or number
        seen.utf8 += _decodes(line, "utf-8")
        if room > 0:
            seen.sample.append(line[:room])
            room -= len(line)
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
