"""The n-grams of texts: words, pairs of words and word pieces, hashed.

Texts enter; the hashes of their n-grams leave, with their places. Many texts are read at once, as one array of code
points; the n-grams of a text do not depend on the other texts. No setting depends on the language:

    letters   (Latin, Cyrillic, Thai, digits, ...)   a run of them is a word: words, pairs of words, pieces of 4 letters
    signs     (Han, kana, Hangul, emoji, ! and ?)    each is a word: single signs, pairs and triples
    gaps      (all other punctuation, white space)   separate words; an apostrophe between letters is a letter

Case is folded and Unicode form C applied here, and gaps have no length: `normalise` therefore changes no count.
An n-gram is identified by 48 bits of a polynomial hash, h = sum of v[i] * BASE**i modulo 2**64, because numpy is fast
at sums and products of whole arrays (Karp and Rabin, 1987). Each v[i] is a random 64-bit value that stands for a
character, so every bit of h is equally good and needs no further mixing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

GAP, LETTER, SIGN, APOSTROPHE = 0, 1, 2, 3
PIECE = 4  # characters of a word piece; an edge of the word counts as one
BLOCK = 1 << 16  # characters handled at once: their arrays of 8 bytes fit a core's cache
MOST = 1 << 16  # texts in a block: Census (vocabulary.py) packs their numbers into 16 bits
BASE, PAIR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)  # odd, so both can be inverted modulo 2**64

# Characters that stand for a syllable or more each, with their punctuation (Unicode 16 block names).
_SIGNS = (
    (0x2E80, 0x2FDF),  # CJK and Kangxi radicals
    (0x3001, 0x4DBF),  # CJK punctuation, kana, bopomofo, extension A
    (0x4E00, 0xA4CF),  # CJK unified ideographs, Yi
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0xFF01, 0xFF0F),  # fullwidth punctuation
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF9F),  # and halfwidth katakana
)


@dataclass(frozen=True)
class Grams:
    """All n-grams of one family in a block: parallel arrays, in the order of the texts.

    Attributes:
        hashes: their hashes.
        valid: whether each is an n-gram of its family; an invalid one is ignored.
        starts: where each begins in the block's characters.
        ends: where each ends.
    """

    hashes: NDArray[np.uint64]
    valid: NDArray[np.bool_]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Some texts, read as one string of characters.

    Attributes:
        size: number of texts.
        owner: the text of each character.
        words: words, pairs of words, and triples of signs.
        pieces: word pieces.
    """

    size: int
    owner: NDArray[np.int32]
    words: tuple[Grams, ...]
    pieces: tuple[Grams, ...]


@lru_cache(maxsize=1)
def characters() -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """The kind and the random value of each character up to U+FFFF; upper and lower case have the same value."""
    kinds = np.zeros(0x10000, np.uint8)
    folded = np.arange(0x10000)
    for code in range(0x10000):
        category, lower = unicodedata.category(chr(code)), chr(code).lower()
        kinds[code] = LETTER if category[0] in "LMN" else SIGN if category == "So" or chr(code) in "!?" else GAP
        folded[code] = ord(lower) if len(lower) == 1 else code
    kinds[0xFE00:0xFE10] = GAP  # variation selectors: a red heart and a black one are one word
    for first, last in _SIGNS:
        kinds[first : last + 1] = SIGN
    kinds[[0x27, 0x2019]], folded[0x2019] = APOSTROPHE, 0x27
    kinds[0xFFFF] = SIGN  # stands for every character beyond U+FFFF: emoji and rare ideographs
    return kinds, _random(folded.astype(np.uint64))


def _random(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A fixed random value for each code point (splitmix64, Steele et al. 2014)."""
    mixed = (codes + np.uint64(1)) * BASE
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@lru_cache(maxsize=2)
def _usual_powers(size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The powers for blocks of a usual size, cached."""
    return _powers(size)


def _powers(size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """BASE**i and BASE**-i modulo 2**64 for i < size."""
    inverse = np.uint64(pow(int(BASE), -1, 1 << 64))
    up, down = np.full(size, BASE), np.full(size, inverse)
    up[0] = down[0] = 1
    return np.multiply.accumulate(up), np.multiply.accumulate(down)


def blocks(texts: Sequence[str], characters_each: int = BLOCK) -> Iterator[Sequence[str]]:
    """The texts in order, in runs of about `characters_each` characters; a longer text is a run of its own."""
    start = total = 0
    for end, text in enumerate(texts):
        total += len(text) + 1
        if end > start and (total > characters_each or end - start == MOST):
            yield texts[start:end]
            start, total = end, len(text) + 1
    if start < len(texts):
        yield texts[start:]


def read(texts: Sequence[str]) -> Block:
    """All n-grams of the texts."""
    composed = [text if text.isascii() else unicodedata.normalize("NFC", text) for text in texts]
    owner = np.repeat(np.arange(len(composed), dtype=np.int32), [len(text) + 1 for text in composed])
    joined = "\n".join(["", *composed, ""])  # a gap before, between and after
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    kind_of, value_of = characters()
    kinds = kind_of.take(codes, mode="clip")
    values = value_of.take(codes, mode="clip")
    marks = np.flatnonzero(kinds == APOSTROPHE)
    kinds[marks] = np.where((kinds[marks - 1] == LETTER) & (kinds[marks + 1] == LETTER), LETTER, GAP)
    rare = np.flatnonzero(codes > 0xFFFF)
    values[rare] = _random(codes[rare].astype(np.uint64))
    owner = np.append(owner, owner[-1:])  # the gap before a text belongs to it, the last gap to the last text
    return Block(len(composed), owner, _words(kinds, values, owner), (_pieces(kinds == LETTER, values),))


def _words(
    kinds: NDArray[np.uint8], values: NDArray[np.uint64], owner: NDArray[np.int32]
) -> tuple[Grams, Grams, Grams]:
    """Words, pairs of words, and triples of signs."""
    letter, sign = kinds == LETTER, kinds == SIGN
    first, last = letter.copy(), letter.copy()
    first[1:] &= ~letter[:-1]
    last[:-1] &= ~letter[1:]
    starts, ends = np.flatnonzero(first | sign), np.flatnonzero(last | sign) + 1
    size = 1 << max(17, len(values).bit_length())
    up, down = _usual_powers(size) if size <= 16 * BLOCK else _powers(size)  # those of a longer text are not cached
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * up[: len(values)], out=sums[1:])
    words = (sums[ends] - sums[starts]) * down[starts]
    pairs = words[:-1] * PAIR + words[1:]
    triples = pairs[:-1] * PAIR + words[2:]
    texts = owner[starts]
    is_sign = sign[starts]
    is_pair = texts[:-1] == texts[1:]
    is_triple = is_pair[:-1] & is_pair[1:] & is_sign[:-2] & is_sign[1:-1] & is_sign[2:]
    return (
        Grams(_with_family(words, 0), np.ones(len(words), np.bool_), starts, ends),
        Grams(_with_family(pairs, 1), is_pair, starts[:-1], ends[1:]),
        Grams(_with_family(triples, 2), is_triple, starts[:-2], ends[2:]),
    )


def _pieces(letter: NDArray[np.bool_], values: NDArray[np.uint64]) -> Grams:
    """All runs of 4 characters whose inner two are letters; at the ends any gap or sign counts as an edge."""
    values = np.where(letter, values, PAIR)
    hashes = values[: 1 - PIECE]
    for offset in range(1, PIECE):
        hashes = hashes * BASE + values[offset : len(values) - PIECE + 1 + offset]
    inner = letter[1:-2] & letter[2:-1]
    at = np.arange(len(values) + 1)
    return Grams(_with_family(hashes, 3), inner, at[: len(hashes)], at[PIECE:])


def _with_family(hashes: NDArray[np.uint64], family: int) -> NDArray[np.uint64]:
    """48 bits of a hash, the last 3 of which are the family, so that n-grams of two families never have one column."""
    return (hashes >> np.uint64(16)) & np.uint64(0xFFFF_FFFF_FFF8) | np.uint64(family)
