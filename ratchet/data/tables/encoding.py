"""Recognise the encoding of a text file: by its byte order mark, as UTF-8, or by a guess that is reported as a guess.

Text that is valid UTF-8 is UTF-8: other encodings do not pass strict UTF-8 by chance. For other bytes
charset-normalizer guesses from a sample, among the encodings in which tables are still saved; then the whole file must
be valid in it. The guess is Windows-1252 where accented characters are few among plain letters. A file that fits no
encoding, or two equally well, is refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ratchet.project.errors import Refusal

BLOCK = 1 << 20
"""Bytes read at a time. No file is held in memory whole, except one without line ends that is not UTF-8."""
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
"""Python's codecs, each the widest of its family -> the usual names."""
SEVERAL_BYTES = ("gb18030", "big5hkscs", "cp932", "euc_jis_2004", "cp949")
"""Those with two or more bytes a character. A few damaged lines can be found, because they are invalid in the codec."""
SAMPLE = 1 << 18
"""Most bytes of the sample of lines beyond ASCII that the guess is made from."""
FREQUENT = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
"""The most frequent characters of Chinese, 0.29 of those of chinese_reviews. Korean, Greek and Japanese bytes that are
decoded as Chinese have next to none of them."""
OFTEN, EVERYDAY = 0.03, 0.7
"""Least shares of FREQUENT and of GB 2312 characters of a text that is taken for Chinese, however short it is."""
KANA = 0.25
"""Least share of kana of a Japanese text. Japanese has about a half, wrongly decoded text of another language none."""
MOST = 0.8
"""Least share of the lines beyond ASCII that are valid in the encoding of a file with a few damaged lines."""
ACCENTS = 1 / 3
"""Most accented characters, as a share of letters, of a Western text: French has 1 in 25, Russian nearly all."""
MIXED = 0.2
"""Least share of valid UTF-8 among the lines beyond ASCII of a file that is UTF-8 with damage."""


@dataclass(frozen=True)
class Encoding:
    """An encoding.

    Attributes:
        codec: Python's name of it.
        name: the usual name, with '(guessed)' for a guess.
    """

    codec: str
    name: str


def recognise(path: Path) -> Encoding:
    """The encoding of a text file.

    Raises:
        Refusal: the file is not text, has NUL bytes, mixes encodings, or fits no known one.
    """
    with path.open("rb") as file:
        start = file.read(16)
    for magic, (kind, remedy) in KNOWN_STARTS.items():
        if start.startswith(magic):
            raise Refusal(f"{path.name} must be what its name says.", kind, remedy)
    for mark, codec, name in MARKS:
        if start.startswith(mark):
            return _check_marked(path, Encoding(codec, name))
    _refuse_nul(path)
    return Encoding("utf-8", "UTF-8") if _fits(path, "utf-8") else _guess(path)


def _check_marked(path: Path, encoding: Encoding) -> Encoding:
    """The encoding that a byte order mark announces.

    Raises:
        Refusal: the file is not valid in it.
    """
    if encoding.codec == "utf-8-sig":
        _refuse_nul(path)
    if _fits(path, encoding.codec):
        return encoding
    if encoding.codec == "utf-8-sig":
        raise _mixed_refusal(path, "utf-8", "UTF-8")
    raise Refusal(
        f"{path.name} begins with the mark of {encoding.name} and must keep to it.",
        "bytes that are no character of it: the file is cut short or damaged",
        "Save it again, best as UTF-8.",
    )


def _fits(path: Path, codec: str) -> bool:
    """Whether a file is valid in the codec."""
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
    """Raise where a file has a NUL byte: it is UTF-16 without a mark, binary, or damaged."""
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
    """Guess the encoding of a file that is not UTF-8, by how plausible its text would be.

    Raises:
        Refusal: no encoding is plausible, or several are equally so.
    """
    stats = _count(path)
    if stats.utf8 >= MIXED * stats.beyond:
        raise _mixed_refusal(path, "utf-8", "UTF-8")
    western = stats.accents <= ACCENTS * stats.letters
    candidates = ["gb18030"] if _is_chinese(stats.sample) else _likeliest(stats.sample)
    if western and not (candidates and all(codec in SEVERAL_BYTES for codec in candidates)) and _fits(path, "cp1252"):
        return Encoding("cp1252", "Windows-1252 (guessed)")
    if len(candidates) > 1:
        names = " or ".join(GUESSED[codec] for codec in candidates)
        raise _unknown_refusal(path, f"bytes that are {names}: too few to tell which")
    codec = candidates[0] if candidates and candidates[0] != "cp1252" else ""
    if codec and _fits(path, codec):
        return Encoding(codec, f"{GUESSED[codec]} (guessed)")
    codec = codec or _except_damaged(stats.sample)
    if codec:
        raise _mixed_refusal(path, codec, GUESSED[codec])
    raise _unknown_refusal(path, f"bytes that fit none of them, first on line {stats.first}")


def _unknown_refusal(path: Path, received: str) -> Refusal:
    """The refusal of a file whose encoding cannot be recognised."""
    names = ", ".join(GUESSED.values())
    return Refusal(f"{path.name} must be text in UTF-8, UTF-16 or one of {names}.", received, "Save it as UTF-8.")


def _likeliest(lines: list[bytes]) -> list[str]:
    """The codecs that decode some lines to the most plausible text: none, one, or several that are equally plausible.

    Source: charset-normalizer. `chaos` measures how much of the text looks like noise, `coherence` how much it looks
    like a language.
    """
    from charset_normalizer import from_bytes

    matches = list(from_bytes(b"\n".join(lines), cp_isolation=list(GUESSED)))
    for match in matches:
        beyond = [character for character in str(match) if character > "\x7f"]
        if sum("\u3041" <= character <= "\u30ff" for character in beyond) > KANA * len(beyond):
            return [match.encoding]
    return [
        match.encoding
        for match in matches
        if (match.chaos, match.coherence) == (matches[0].chaos, matches[0].coherence)
    ]


def _is_chinese(lines: list[bytes]) -> bool:
    """Whether most lines are everyday Chinese in GB18030, by their characters beyond ASCII."""
    kept = [line for line in lines if _decodes(line, "gb18030")]
    beyond = [character for character in b"".join(kept).decode("gb18030", "ignore") if character > "\x7f"]
    everyday = sum(bool(character.encode("gb2312", "ignore")) for character in beyond)
    frequent = sum(character in FREQUENT for character in beyond)
    if any("\u3040" <= character <= "\u30ff" for character in beyond):  # kana: GB 2312 has them where EUC-JP has them
        return False
    return 2 * len(kept) >= len(lines) and everyday > EVERYDAY * len(beyond) and frequent > OFTEN * len(beyond)


def _except_damaged(lines: list[bytes]) -> str:
    """The codec in which most lines are valid, where a few are damaged; empty for none."""
    for codec in SEVERAL_BYTES:
        kept = [line for line in lines if _decodes(line, codec)]
        if len(kept) >= MOST * len(lines) and _likeliest(kept) == [codec]:
            return codec
    return ""


@dataclass
class _ByteStats:
    """Counts of the lines and bytes of a file.

    Attributes:
        sample: the first lines beyond ASCII, at most SAMPLE bytes.
        beyond: lines with a byte beyond ASCII.
        first: number of the first such line.
        utf8: those of them that are valid UTF-8.
        letters: bytes that are not white space.
        accents: bytes beyond ASCII.
    """

    sample: list[bytes]
    beyond: int = 0
    first: int = 0
    utf8: int = 0
    letters: int = 0
    accents: int = 0


def _count(path: Path) -> _ByteStats:
    """Count in one pass, with one line in memory at a time."""
    stats = _ByteStats([])
    room = SAMPLE
    for number, line in enumerate(_lines(path), 1):
        stats.letters += len(line) - sum(map(line.count, (b" ", b"\t", b"\r", b"\n")))
        if line.isascii():
            continue
        stats.accents += len(line.translate(None, ASCII))
        stats.beyond += 1
        stats.first = stats.first or number
        stats.utf8 += _decodes(line, "utf-8")
        if room > 0:
            stats.sample.append(line[:room])
            room -= len(line)
    return stats


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file without their LF."""
    with path.open("rb") as file:
        for line in file:
            yield line.removesuffix(b"\n")


def _decodes(data: bytes, codec: str) -> bool:
    """Whether the bytes are valid in the codec."""
    try:
        data.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _mixed_refusal(path: Path, codec: str, name: str) -> Refusal:
    """The refusal of a file in which some lines are invalid; it names the first of them."""
    invalid = 0
    first = 0
    example = b""
    for number, line in enumerate(_lines(path), 1):
        if not _decodes(line, codec):
            invalid += 1
            if invalid == 1:
                first = number
                example = line
    text = example.decode("cp1252", "replace").strip()
    cut = "".join(character if character.isprintable() else " " for character in text[:60])
    return Refusal(
        f"{path.name} must be in one encoding.",
        f"{name}, but not on line {first}, which begins {cut!r} ({invalid:,} such lines)",
        "Save those lines in the encoding of the others.",
    )
