"""The bytes of a file -> which characters they stand for: byte order marks, UTF-8, then a guess that says it is one.

Strict UTF-8 is never a guess: other encodings do not pass it by chance. What fails it is GB18030 where most characters
are those of everyday Chinese (GB 2312), Windows-1252 where accents are few among plain letters; else, and where Chinese
is too little to tell, it is what charset-normalizer finds the least odd, and refused where two are alike.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from charset_normalizer import CharsetMatch, from_bytes

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
SAMPLE = 1 << 16
"""Bytes beyond ASCII lines that a guess is made by: what it costs does not grow with the file."""
CLOSE = 0.02
"""Two guesses whose share of oddities and of a language's usual letters differ by no more than this are alike."""
OTHERS = {
    "gb18030": "GB18030",
    "cp932": "Shift-JIS",
    "euc_jis_2004": "EUC-JP",
    "cp949": "EUC-KR",
    "big5hkscs": "Big5",
    "cp1251": "Windows-1251",
    "koi8_r": "KOI8-R",
    "cp1253": "Windows-1253",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "cp874": "Windows-874",
}
"""Guessed by charset-normalizer, by their codecs; those that hold a usual smaller one, as Windows saves them."""
DOUBLE = ("gb18030", "cp932", "euc_jis_2004", "cp949", "big5hkscs")
"""Those with characters of two bytes: text in another seldom passes for them by chance."""
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
        enough = sum(character > "\x7f" for character in seen.chinese[:BLOCK]) >= ENOUGH
        return _kept_to(path, "gb18030" if enough else _least_odd(path, seen, "gb18030"))
    if seen.accents <= ACCENTS * seen.letters and _fits(path, "cp1252"):
        return Encoding("cp1252", "Windows-1252 (guessed)")
    return _kept_to(path, _least_odd(path, seen))


def _kept_to(path: Path, codec: str) -> Encoding:
    """The guess, when all of the file keeps to it."""
    if not _fits(path, codec):
        raise _mixed(path, codec, OTHERS[codec])
    return Encoding(codec, f"{OTHERS[codec]} (guessed)")


def _least_odd(path: Path, seen: _Seen, usual: str = "") -> str:
    """The codec by which a sample is the least odd text; the usual one where nothing speaks for another.

    Raises:
        Refusal: by none of them, or by two alike.
    """
    found = from_bytes(bytes(seen.sample), cp_isolation=list(OTHERS), enable_fallback=False)
    known = [match for match in found if match.encoding in OTHERS]
    if not known and not usual:
        raise Refusal(
            f"{path.name} must be text in UTF-8, UTF-16, Windows-1252, {', '.join(list(OTHERS.values())[:-1])} or "
            f"{list(OTHERS.values())[-1]}.",
            f"bytes that fit none of them, first on line {seen.first}",
            "Save it as UTF-8.",
        )
    alike = _alike(known)
    if len(alike) <= 1 or usual in alike:
        return usual if usual in alike or not alike else alike[0]
    raise Refusal(
        f"{path.name} must be text in an encoding that can be told.",
        f"bytes that are {' or '.join(OTHERS[codec] for codec in alike)}, too few to tell which",
        "Save it as UTF-8.",
    )


def _alike(known: Sequence[CharsetMatch]) -> list[str]:
    """The codecs of the best match and of those that are as good, but for those by which the text is the same."""
    texts = dict[str, str]()
    for match in known:
        odder, rarer = match.chaos - known[0].chaos, known[0].coherence - match.coherence
        if odder <= CLOSE and rarer <= CLOSE:
            texts.setdefault(str(match), match.encoding)
    double = [codec for codec in texts.values() if codec in DOUBLE]
    return double or list(texts.values())


@dataclass
class _Seen:
    """What a file is made of. beyond: lines with a byte beyond ASCII; first: the number of the first of them.

    utf8, gb18030: those of them that are text in it. chinese: what the latter would say, BLOCK characters at most.
    letters: bytes that are no white space; accents: those of them beyond ASCII. sample: the first such lines.
    """

    beyond: int = 0
    first: int = 0
    utf8: int = 0
    gb18030: int = 0
    chinese: str = ""
    letters: int = 0
    accents: int = 0
    sample: bytearray = field(default_factory=bytearray)


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
        if len(seen.sample) < SAMPLE:
            seen.sample += _cut(line) + b"\n"
        if _decodes(line, "gb18030"):
            seen.gb18030 += 1
            if room > 0:
                chinese.append(line.decode("gb18030"))
                room -= len(chinese[-1])
    seen.chinese = "".join(chinese)
    return seen


def _cut(line: bytes) -> bytes:
    """No more of a line than a sample has room for, and no half of a character: up to a space or a comma."""
    if len(line) <= SAMPLE:
        return line
    return line[: max(line.rfind(b" ", 0, SAMPLE), line.rfind(b",", 0, SAMPLE), 0)]


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
