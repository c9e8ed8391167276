"""A page as sections of blocks, and how two of them in two languages differ in all that no translation changes.

Markdown as README.md uses it: `#` headings, paragraphs, `- ` lists, tables, fenced and indented code, with an empty
line between blocks. Each check takes the two pages and says each difference with its place in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest

BLOCK = re.compile(r"^```[^\n]*\n.*?^```$|^#{1,6} [^\n]+|(?:^(?!#{1,6} |```)[^\n]+\n?)+", re.MULTILINE | re.DOTALL)
KINDS = {"#": "heading", "```": "code", "    ": "code", "|": "table", "- ": "list"}
PIECE = {"code": r"^", "table": r"^", "list": r"^(?=- )"}
NAMES = ("Ratchet", "Prefect", "MLflow", "DVC", "Great Expectations", "Keras", "scikit-learn", "PostgreSQL", "S3")
TWIN = ".zh-CN.md"
"""How the name of a page in Chinese ends; that of the same page in English ends in .md."""
HAN = re.compile(r"[\u4e00-\u9fff]")
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`]+)`")
SCALES = {"": 1, "thousand": 10**3, "million": 10**6, "billion": 10**9, "万": 10**4, "亿": 10**8}
NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])([+-]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(%?)(?: ?(thousand|million|billion|万|亿))?"
)
SHARED_SCALE = re.compile(r"([\d.,]*\d)( to [\d.,]*\d (thousand|million|billion))")


@dataclass(frozen=True)
class Block:
    """Lines of one kind, or one piece of them, such as a row; `line` is its first one in the file, from 1."""

    kind: str
    line: int
    text: str
    language: str = ""

    def pieces(self) -> list[Block]:
        """Lines of code, rows of a table, items of a list; a paragraph is one."""
        if self.kind not in PIECE:
            return [self]
        starts = [match.start() for match in re.finditer(PIECE[self.kind], self.text, re.MULTILINE)]
        return [
            Block(self.kind, self.line + self.text.count("\n", 0, a), self.text[a:b].rstrip("\n"), self.language)
            for a, b in zip(starts, [*starts[1:], None], strict=True)
        ]

    @property
    def shape(self) -> str:
        """What the other page must have in this place."""
        count = {"table": "lines", "list": "items"}
        return f"a {self.kind} of {len(self.pieces())} {count[self.kind]}" if self.kind in count else self.kind

    def parted(self) -> tuple[str, str]:
        """Of a line of code: what stays in every language, and what is told beside it.

        What a terminal prints stays whole; of a tree (```text) the names stay; of commands all before the comment.
        """
        if self.language == "console":
            return self.text, ""
        parts = re.split(r"(?<=\S)\s{2,}" if self.language == "text" else r"\s+# ", self.text, maxsplit=1)
        return parts[0], "".join(parts[1:])

    def told(self) -> str:
        """What a translation changes: no code, and of links and pictures the words alone."""
        return self.parted()[1] if self.kind == "code" else LINK.sub(r"\2", SPAN.sub("`", self.text))


@dataclass(frozen=True)
class Section:
    """A heading with all up to the next one."""

    heading: Block
    blocks: tuple[Block, ...]

    @property
    def level(self) -> int:
        return len(self.heading.text.split(" ")[0])

    @property
    def place(self) -> str:
        return f"line {self.heading.line}, `{self.heading.text}`"


@dataclass(frozen=True)
class Page:
    """README.md, or another page: its path from the root, and its sections in order."""

    name: str
    sections: tuple[Section, ...]

    @property
    def file(self) -> str:
        """What a page beside it links to."""
        return self.name.rpartition("/")[2]


def read(name: str, text: str) -> Page:
    """The text of a file as a page; AssertionError where it does not begin with a heading."""
    found: list[tuple[Block, list[Block]]] = []
    for match in BLOCK.finditer(text):
        kind = next((kind for mark, kind in KINDS.items() if match[0].startswith(mark)), "paragraph")
        fence = re.match(r"```(\w*)", match[0])
        line = text.count("\n", 0, match.start()) + 1
        block = Block(kind, line, match[0].rstrip("\n"), fence[1] if fence else "")
        if kind == "heading":
            found.append((block, []))
        else:
            assert found, f"{name} must begin with a heading. Received: {block.text}"
            found[-1][1].append(block)
    return Page(name, tuple(Section(heading, tuple(blocks)) for heading, blocks in found))


def paired(one: Page, other: Page) -> Iterator[tuple[Section, Section, str]]:
    """The sections of both, side by side, with the words for where they are; none before `headings` holds."""
    if [section.level for section in one.sections] == [section.level for section in other.sections]:
        for mine, theirs in zip(one.sections, other.sections, strict=True):
            yield mine, theirs, f"{one.name} {mine.place}; {other.name} {theirs.place}"


def pieces(one: Page, other: Page) -> Iterator[tuple[Block, Block, str]]:
    """The pieces of both, side by side, with the words for where they are; none of a section before `blocks` holds."""
    for mine, theirs, _ in paired(one, other):
        if [block.shape for block in mine.blocks] == [block.shape for block in theirs.blocks]:
            for a, b in zip(mine.blocks, theirs.blocks, strict=True):
                for left, right in zip(a.pieces(), b.pieces(), strict=False):  # `commands` counts the lines of code
                    yield left, right, f"{one.name} line {left.line}, {other.name} line {right.line}"


def headings(one: Page, other: Page) -> Iterator[str]:
    """As many, of the same levels in the same order; code and names in a heading stay as they are."""
    if [section.level for section in one.sections] != [section.level for section in other.sections]:
        sides = zip_longest(one.sections, other.sections)
        table = "\n".join(
            f"  {mine.place if mine else '-'} | {theirs.place if theirs else '-'}" for mine, theirs in sides
        )
        yield f"The headings differ in number or level. {one.name} | {other.name}:\n{table}"
    for mine, theirs, place in paired(one, other):
        left, right = (
            [*SPAN.findall(heading.text), *(name for name in NAMES if name in heading.text)]
            for heading in (mine.heading, theirs.heading)
        )
        yield from unequal(left, right, one, other, place)


def blocks(one: Page, other: Page) -> Iterator[str]:
    """Paragraphs, lists of as many items, tables of as many rows, code: the same in the same order."""
    for mine, theirs, place in paired(one, other):
        for a, b in zip_longest(mine.blocks, theirs.blocks):
            left, right = (f"{c.shape} at line {c.line}" if c else "nothing more" for c in (a, b))
            if not (a and b and a.shape == b.shape):
                yield f"{one.name} has {left} where {other.name} has {right}: {place}."
                break


def commands(one: Page, other: Page) -> Iterator[str]:
    """Code blocks line by line, without comments."""
    for mine, theirs, place in paired(one, other):
        lines = ([p for b in section.blocks if b.kind == "code" for p in b.pieces()] for section in (mine, theirs))
        for a, b in zip_longest(*lines):
            left, right = (f"`{c.parted()[0]}` at line {c.line}" if c else "no more code" for c in (a, b))
            if not (a and b and a.parted()[0] == b.parted()[0]):
                yield f"{one.name} has {left} where {other.name} has {right}: {place}."
                break


def spans(one: Page, other: Page) -> Iterator[str]:
    """Code within a paragraph, a row, an item, whatever its order."""
    for left, right, place in pieces(one, other):
        if left.kind != "code":
            yield from unequal(SPAN.findall(left.text), SPAN.findall(right.text), one, other, place)


def links(one: Page, other: Page) -> Iterator[str]:
    """Links and pictures in order; a link to X.md in the first counts as the same as one to X.zh-CN.md in the second.

    Each page's link to the other one counts as the same, too.
    """
    for mine, theirs, place in paired(one, other):
        for left, right in zip_longest(targets(mine, other), targets(theirs, one), fillvalue="nothing more"):
            if left != right.replace(TWIN, ".md"):
                yield f"{one.name} has {left} where {other.name} has {right}: {place}."
                break


def targets(section: Section, other: Page) -> list[str]:
    """Where the links and pictures of a section lead."""
    text = "\n".join(block.text for block in section.blocks if block.kind != "code")
    return [
        f"{'the picture' if picture else 'the link to'} {'the other page' if target == other.file else target}"
        for picture, _, target in LINK.findall(text)
    ]


def figures(one: Page, other: Page) -> Iterator[str]:
    """Numbers in tables, cell by cell, in order."""
    for left, right, place in pieces(one, other):
        if left.kind == "table":
            cells = zip_longest(left.told().split("|"), right.told().split("|"), fillvalue="")
            for column, (a, b) in enumerate(cells):
                if numbers(a) != numbers(b):
                    yield f"{one.name} has `{a.strip()}`, {other.name} has `{b.strip()}` in column {column}: {place}."


def amounts(one: Page, other: Page) -> Iterator[str]:
    """Numbers in digits of a paragraph, an item, a comment beside a command, whatever their order."""
    for left, right, place in pieces(one, other):
        if left.kind != "table":
            yield from unequal(numbers(left.told()), numbers(right.told()), one, other, place)


def language(one: Page, other: Page) -> Iterator[str]:
    """Each paragraph, item and picture's words of the second page are in Chinese, the link to the first aside."""
    for piece in (piece for section in other.sections for block in section.blocks for piece in block.pieces()):
        words = [alt for picture, alt, _ in LINK.findall(piece.text) if picture]
        if piece.kind in ("paragraph", "list") and f"({one.file})" not in piece.text:
            words.append(piece.told())
        for each in words:
            if not HAN.search(each):
                yield f"{other.name} line {piece.line} is not in Chinese yet: {each}"


def numbers(text: str) -> list[str]:
    """Each number in digits by its value: `1 to 10 million` and `100 万到 1000 万` are 1000000 and 10000000 both."""
    return [
        sign + f"{(Decimal(whole.replace(',', '') + part) * SCALES[scale]).normalize():f}" + percent
        for sign, whole, part, percent, scale in NUMBER.findall(SHARED_SCALE.sub(r"\1 \3\2", text))
    ]


def unequal(left: list[str], right: list[str], one: Page, other: Page, place: str) -> Iterator[str]:
    """What stands more often in one than in the other."""
    there, here = Counter(left), Counter(right)
    for key in sorted((there - here) | (here - there)):
        yield f"{one.name} has `{key}` {there[key]} times, {other.name} {here[key]} times: {place}."


CHECKS = (headings, blocks, commands, spans, links, figures, amounts, language)
