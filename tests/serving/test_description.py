"""How the service is asked, as its own document and its page for people have it; and the refusals of that page."""

from __future__ import annotations

import html
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.majority import Majority
from models.text.explanation import Explanation, Word, explain
from ratchet.monitoring.log.predictions import Prediction
from ratchet.serving.answering.batcher import Batcher
from ratchet.serving.answering.bundle import Bundle, Facts
from ratchet.serving.answering.service import Answer, Live
from ratchet.serving.docs.operations import Answering, operations
from ratchet.serving.pages import answer_view, translations, try_page
from ratchet.serving.pages.html import TEMPLATES, environment
from tests.support.project import ROOT, Project
from tests.support.service import Served, served

SERVING = ROOT / "ratchet" / "serving"


@pytest.fixture(scope="module")
def service(turned: Project) -> Iterator[Served]:
    with served(turned) as running:
        yield running


def answered(service: Served, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer."""
    request = urllib.request.Request(
        f"{service.address}{path}", body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, dict(reply.headers), reply.read().decode()
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


def posted(service: Served, path: str, **fields: str) -> tuple[int, dict[str, str], str]:
    return answered(service, path, urlencode(fields).encode())


def test_every_command_of_the_docs_works_as_it_stands(service: Served) -> None:
    status, _, shown = answered(service, "/docs")
    commands = [html.unescape(each) for each in re.findall(r"<pre><code>(.*?)</code></pre>", shown, re.DOTALL)]
    assert status == 200
    assert len(commands) > 20
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", f"{command} --write-out '\\n%{{http_code}}'"], capture_output=True, text=True, timeout=30
        )
        assert done.stdout.splitlines()[-1] == ("303" if "--data-urlencode" in command else "200"), command


def test_the_document_has_every_route_and_every_method(service: Served) -> None:
    document = json.loads(answered(service, "/openapi.json")[2])
    stated = {(path, method) for path, ways in document["paths"].items() for method in ways}
    source = "\n".join(path.read_text(encoding="utf-8") for path in SERVING.rglob("*.py"))
    assert document["openapi"].startswith("3.1")
    assert {path for path, _ in stated} >= set(re.findall(r'Route\(\s*"(/[^"]*)"', source))
    assert stated == {(each.path, each.method) for each in operations(Answering("reviews"))}
    for path, method in stated:
        address = path.replace("{name}", "reviews").replace("{version}", "1")
        other = "PUT" if method == "post" else method.upper()
        status, headers, _ = put(service, address) if other == "PUT" else answered(service, address)
        assert status == (405 if other == "PUT" else 200), address
        if other == "PUT":
            assert method.upper() in headers["allow"]
    assert document["components"]["schemas"]["Correction"]["properties"]["label"]["enum"] == ["bad", "good"]


def put(service: Served, path: str) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(f"{service.address}{path}", b"", method="PUT")
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    with caught.value as error:
        return error.code, dict(error.headers), error.read().decode()


def test_predict_tells_the_words_that_moved_the_answer(service: Served) -> None:
    text = "Film 7 is 暖 splendid warm dull"
    body = json.dumps({"texts": [text, ""]}).encode()
    first, empty = json.loads(answered(service, "/predict?explain=true", body)[2])["predictions"]
    told = first["explanation"]
    assert (first["label"], told["against"], told["method"]) == ("good", "bad", "exact")
    assert [text[each["start"] : each["end"]] for each in told["words"]] == [each["word"] for each in told["words"]]
    assert sum(each["weight"] for each in told["words"]) + told["bias"] == pytest.approx(told["log_odds"], abs=1e-6)
    assert max(told["words"], key=lambda each: each["weight"])["word"] in ("splendid", "warm")
    assert empty["explanation"]["words"] == []
    assert "explanation" not in answered(service, "/predict", body)[2]


@pytest.mark.parametrize("texts", [["a"] * 101, ["a " * 40_000] * 3])
def test_so_much_is_explained_at_a_time(service: Served, texts: list[str]) -> None:
    body = json.dumps({"texts": texts}).encode()
    status, _, told = answered(service, "/predict?explain=true", body)
    assert status == 422
    assert "explained. Received:" in json.loads(told)["detail"]
    assert answered(service, "/predict", body)[0] == 200


@pytest.mark.parametrize(
    ("path", "fields", "status", "title"),
    [
        ("/", {"text": ""}, 422, "That is not possible"),
        ("/", {"text": "x" * 100_001}, 413, "That is too long"),
        ("/?lang=zh", {"text": "x" * 100_001}, 413, "太长了"),
        ("/", {"words": "a text"}, 422, "That is not possible"),
        ("/", {f"field{number}": "" for number in range(101)}, 400, "That could not be read"),
        ("/correct", {"id": "0" * 32, "label": "good"}, 404, "That prediction is not there"),
        ("/correct?lang=zh", {"id": "0" * 32, "label": "good"}, 404, "没有这次预测"),
        ("/correct", {"id": "0" * 32}, 422, "That is not possible"),
        ("/label", {"id": "0" * 32, "label": "good"}, 404, "That prediction is not there"),
        ("/label?lang=zh", {"label": "good"}, 422, "无法办到"),
    ],
)
def test_a_refusal_is_a_page_in_its_language(
    service: Served, path: str, fields: dict[str, str], status: int, title: str
) -> None:
    found, headers, shown = posted(service, path, **fields)
    assert found == status
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{title}</h1>" in shown


def test_another_sites_page_can_neither_ask_nor_frame(service: Served) -> None:
    form = urlencode({"text": "warm"}).encode()
    status, _, shown = answered(service, "/", form, Origin="http://elsewhere.example", Accept_Language="zh-TW,en;q=0.5")
    assert (status, "不能从那里访问" in shown) == (403, True)
    assert answered(service, "/", form, Sec_Fetch_Site="cross-site")[0] == 403
    for path in ("/", "/docs", "/correct"):
        policy = answered(service, path)[1]["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy


def test_what_is_not_a_form_is_refused(service: Served) -> None:
    assert answered(service, "/", b'{"text": "warm"}', Content_Type="application/json")[0] == 415
    assert answered(service, "/", b"text=%ff", Content_Type=try_page.FORM)[0] == 400


def test_of_many_classes_one_is_chosen_from_a_list() -> None:
    labels = tuple(f"class {number}" for number in range(14))
    model: Any = Majority(labels, (0.3, *[0.7 / 13] * 13))
    facts = Facts("many", 3, "majority", "", "", "")
    answer = Answer(
        Live(Bundle("", facts, model), Batcher(model)),
        "champion",
        ["0" * 32],
        ["class 0"],
        [0.3],
        model.predict_proba([""]),
    )
    shown = rendered(answer=answer_view.told(translations.ENGLISH, answer, "a text", explain(model, "a text")))
    assert shown.count("<option value=") == 13
    assert shown.count("<rect") == 10
    assert "4 more, together 21.5%" in shown
    assert "No single word moved it." in shown
    assert shown.count('name="label" value=') == 1


def rendered(**values: Any) -> str:
    """The page with these values; what they leave out is empty."""
    usual = {
        "note": [],
        "problem": "many",
        "kept": "",
        "other": "/?lang=zh",
        "waiting": 0,
        "standing": ["Version 3"],
        "mistakes": [],
        "characters": 9,
    }
    usual |= {"words": translations.ENGLISH, "text": "", "answer": None, "past": lambda at: "just now"}
    return environment().get_template("page.html").render(usual | values)


def test_a_text_that_is_not_kept_is_said_to_be_none() -> None:
    kept = Prediction("0", 0.0, "many", 3, "champion", "page", "bad", 0.9, 7, "", "a <b>text", 0.0, "good")
    others = [replace(kept, text=None, said="<i>"), replace(kept, text=" ")]
    shown = rendered(mistakes=[kept, *others])
    assert shown.index("a &lt;b&gt;text") < shown.index("The text is not kept.") < shown.index("An empty text.")
    assert "Said bad; it is &lt;i&gt;." in shown
    assert "cannot be read now" in rendered(mistakes=None)
    assert "Nothing has been corrected yet." in rendered()


@given(st.text(), st.data())
def test_pieces_give_the_text_back(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    weights = st.floats(-9, 9)
    found = tuple(Word(start, end, data.draw(weights)) for start, end in zip(cuts[::2], cuts[1::2], strict=False))
    pieces = answer_view.pieces(text, Explanation("a", "b", "exact", 0, 0, found, 0))
    assert "".join(piece.text for piece in pieces) == text
    marked = [piece for piece in pieces if piece.style]
    assert len(marked) <= len(found)
    if found and max(abs(word.weight) for word in found) >= answer_view.FLOOR:
        assert any(piece.style.endswith("s3") for piece in marked)


@pytest.mark.parametrize(
    ("asked", "accepted", "tag"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("", "en-GB, zh;q=0.9", "en"),
        ("", "de, zh;q=0.3, en;q=0.2", "zh-Hans"),
        ("", "zh;q=0, en;q=0.1", "en"),
        ("", "zh;q=none, fr", "en"),
        ("en", "zh-CN", "en"),
        ("zh", "en", "zh-Hans"),
        ("<", "zh", "zh-Hans"),
    ],
)
def test_the_browsers_language_decides_where_none_is_chosen(asked: str, accepted: str, tag: str) -> None:
    assert translations.chosen(asked, accepted).tag == tag


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (-5, "just now", "刚刚"), (59, "just now", "刚刚"), (60, "1 minute ago", "1 分钟前"),
        (3_599, "59 minutes ago", "59 分钟前"), (3_600, "1 hour ago", "1 小时前"),
        (86_399, "23 hours ago", "23 小时前"),
        (172_800, "2 days ago", "2 天前"),
    ],
)  # fmt: skip
def test_how_long_ago_is_said_in_words(seconds: float, english: str, chinese: str) -> None:
    assert (translations.past(translations.ENGLISH, seconds), translations.past(translations.CHINESE, seconds)) == (
        english,
        chinese,
    )


TEXTS = (
    ("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("accent", "paper"), ("accent", "card"),
    ("on-accent", "accent"), ("ink", "wash"),
    *(("ink", f"{side}{step}") for side in ("for", "against") for step in "123"),
)  # fmt: skip
"""A text's colour and what it stands on."""
EDGES = (("edge", "card"), ("edge", "paper"), ("accent", "card"), ("for", "card"), ("against", "card"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_told_apart_as_wcag_asks(scheme: str) -> None:
    roots = re.findall(r":root \{(.*?)\}", (TEMPLATES / "page.css").read_text(encoding="utf-8"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", roots[scheme == "dark"]))
    for text, ground in TEXTS:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for line, ground in EDGES:
        assert contrast(colours[line], colours[ground]) >= 3, (line, ground)


def contrast(one: str, other: str) -> float:
    """Of two colours as #rrggbb, from 1 to 21. Source: WCAG 2.2, "contrast ratio"."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
