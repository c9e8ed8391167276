"""README.md and docs/guide.md speak of what is there, and their twins (.zh-CN.md) say the same in Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.support import readme
from tests.support.project import ROOT
from tests.support.readme import Page

ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
PAIRS = ((ENGLISH, CHINESE), ("docs/guide.md", "docs/guide.zh-CN.md"))

HERE = """# Ratchet

*In Chinese: [README.zh-CN.md](README.zh-CN.md)*

It reads [tables](docs/a.md) with `make data` and [asks](docs/b.md) in 3 ways. [More](docs/guide.md).

## Two commands

    make run     # takes 51 s
    make ui

```console
$ make run
  1 s  # done
```

- **One**: ask.
- **Two**: tell.

![what it shows](docs/a.png)

## With Prefect

| what | figure |
| --- | --- |
| from 1 to 10 million rows, 1,200 words | 0.49 and 1.6 GiB |
| the gain | +1.5 points, 5.5 million/s, 95% |
| ask | `make a` |
| tell | `make b` |

```text
flows/        5 flows
    steps/    pure
```
"""

THERE = """# Ratchet

*English: [README.md](README.md)*

它用 `make data` 读[表](docs/a.md)，用 3 种办法[提问](docs/b.md)。[更多](docs/guide.zh-CN.md)。

## 两条命令

    make run     # 用时 51 秒
    make ui

```console
$ make run
  1 s  # done
```

- **一**：问。
- **二**：说。

![它的样子](docs/a.png)

## 使用 Prefect

| 项目 | 数字 |
| --- | --- |
| 100 万到 1000 万行，1200 个词 | 0.49 和 1.6 GiB |
| 提高 | +1.5 个百分点，550 万/秒，95% |
| 问 | `make a` |
| 答 | `make b` |

```text
flows/        5 个流程
    steps/    纯函数
```
"""

SLIPS: dict[str, tuple[str, str, str, str]] = {
    "a heading less": ("## 两条命令\n", "", "headings", "-"),
    "a heading a level down": ("## 两条", "### 两条", "headings", "line 7"),
    "a name in a heading": ("使用 Prefect", "使用流程", "headings", "`Prefect`"),
    "a paragraph more": ("。\n\n## 两条", "。\n\n再说。\n\n## 两条", "blocks", "paragraph at line 7"),
    "an item less": ("- **二**：说。\n", "", "blocks", "a list of 1 items at line 17"),
    "a row less": ("| 提高 | +1.5 个百分点，550 万/秒，95% |\n", "", "blocks", "a table of 5 lines at line 24"),
    "a command": ("make ui", "make io", "commands", "`    make io`"),
    "a command less": ("    make ui\n", "", "commands", "`    make ui`"),
    "commands in another order": (
        "    make run     # 用时 51 秒\n    make ui",
        "    make ui\n    make run     # 用时 51 秒",
        "commands",
        "`    make ui` at line 9",
    ),
    "what the terminal prints": ("# done", "# 完成", "commands", "# 完成"),
    "a name in the tree": ("    steps/", "    step/", "commands", "step/"),
    "a fence without its language": ("```text", "```", "commands", "```text"),
    "rows in another order": (
        "| 问 | `make a` |\n| 答 | `make b` |",
        "| 答 | `make b` |\n| 问 | `make a` |",
        "spans",
        "line 29",
    ),
    "code in a sentence": ("`make data`", "`make date`", "spans", "`make date`"),
    "a link": ("docs/b.md", "docs/c.md", "links", "the link to docs/c.md"),
    "links in another order": (
        "[表](docs/a.md)，用 3 种办法[提问](docs/b.md)",
        "[提问](docs/b.md)，用 3 种办法[表](docs/a.md)",
        "links",
        "the link to docs/b.md",
    ),
    "a link to another page in Chinese": ("docs/guide.zh-CN.md", "docs/more.zh-CN.md", "links", "docs/more.zh-CN.md"),
    "a picture": ("docs/a.png", "docs/b.png", "links", "the picture docs/b.png"),
    "a picture that is a link": ("![", "[", "links", "the link to docs/a.png"),
    "the way to the English page": ("](README.md)", "](README.zh-CN.md)", "links", "the other page"),
    "a figure": ("0.49", "0.48", "figures", "`0.48 和 1.6 GiB` in column 2: README.md line 26"),
    "figures in another order": ("0.49 和 1.6 GiB", "1.6 GiB 和 0.49", "figures", "1.6 GiB 和 0.49"),
    "a scale": ("1000 万行", "1000 行", "figures", "column 1"),
    "a sign": ("+1.5", "-1.5", "figures", "-1.5"),
    "a share": ("95%", "95", "figures", "95"),
    "a number in a sentence": ("用 3 种", "用 4 种", "amounts", "`3` 1 times"),
    "a number beside a command": ("51 秒", "52 秒", "amounts", "`52`"),
    "a number in the tree": ("5 个流程", "6 个流程", "amounts", "`6`"),
    "a sentence left in English": ("**二**：说", "**Two**: tell", "language", "Two"),
    "a picture left in English": ("![它的样子]", "![what it shows]", "language", "what it shows"),
}
"""What goes wrong in THERE: what stood there, what stands there now, the check that finds it, words of its message."""

Check = Callable[[Page, Page], Iterator[str]]


@pytest.fixture(scope="module", params=PAIRS, ids=[english for english, _ in PAIRS])
def pages(request: pytest.FixtureRequest) -> tuple[Page, Page]:
    english, chinese = (readme.read(name, (ROOT / name).read_text(encoding="utf-8")) for name in request.param)
    return english, chinese


@pytest.mark.parametrize("name", [name for pair in PAIRS for name in pair])
def test_a_page_speaks_of_what_is_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    spoken = set(re.findall(r"(?:`|^    |\$ )make ([a-z][a-z-]+)", text, re.MULTILINE))
    assert len(spoken) > 10
    assert spoken <= targets, spoken - targets
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        assert ((ROOT / name).parent / path).exists(), path
    tree = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    assert tree
    for line in tree[1].splitlines():
        part = line.strip().split(" ")[0]
        if part and not line.startswith(" " * 8):
            assert list(ROOT.glob(f"**/{part.rstrip('/')}")), part


@pytest.mark.parametrize("check", readme.CHECKS, ids=lambda check: check.__name__)
def test_both_languages_say_the_same(check: Check, pages: tuple[Page, Page]) -> None:
    found = list(check(*pages))
    assert not found, "Whichever language you edited, bring the other along:\n" + "\n".join(found)


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_readme_is_short(name: str) -> None:
    """Details belong into docs/guide.md."""
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("name", [name for pair in PAIRS for name in pair])
def test_a_link_leads_to_a_page_of_the_same_language(name: str) -> None:
    """Where that page is in both; each page's first link is to itself in the other language."""
    page = ROOT / name
    first, *others = re.findall(r"\]\(((?!http)[^)#]+\.md)\)", page.read_text(encoding="utf-8"))
    pairs = [(ROOT / english, ROOT / chinese) for english, chinese in PAIRS]
    assert {page, (page.parent / first).resolve()} in [set(pair) for pair in pairs]
    strange = {pair[not name.endswith(readme.TWIN)] for pair in pairs}
    assert [link for link in others if (page.parent / link).resolve() in strange] == []


@pytest.mark.parametrize("check", readme.CHECKS, ids=lambda check: check.__name__)
def test_two_pages_that_say_the_same_have_no_difference(check: Check) -> None:
    assert list(check(readme.read(ENGLISH, HERE), readme.read(CHINESE, THERE))) == []


def test_a_link_to_chinese_in_the_english_page_is_found() -> None:
    here = HERE.replace("docs/guide.md", "docs/guide.zh-CN.md")
    (found,) = readme.links(readme.read(ENGLISH, here), readme.read(CHINESE, THERE))
    assert "README.md has the link to docs/guide.zh-CN.md" in found


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_one_page_is_found_and_its_place_is_said(slip: str) -> None:
    stood, stands, check, said = SLIPS[slip]
    assert THERE.count(stood) == 1
    pages = readme.read(ENGLISH, HERE), readme.read(CHINESE, THERE.replace(stood, stands))
    found = {each.__name__: "\n".join(each(*pages)) for each in readme.CHECKS}
    assert said in found[check], found
    assert re.search(r"README\.(zh-CN\.)?md[^|]* line \d+|README\.md \|", found[check]), "says no place"
