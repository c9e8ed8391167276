"""/openapi.json and /docs, explanations, and the rendering of the pages: errors, languages, colours."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.majority import Majority
from models.text.explanation import Explanation, Word, explain
from ratchet import tasks
from ratchet.monitoring.log.predictions import Prediction
from ratchet.serving.answering.batcher import Batcher
from ratchet.serving.answering.bundle import Bundle, Facts
from ratchet.serving.answering.service import Answer, Live
from ratchet.serving.docs.operations import EXAMPLE_ID, DocumentedModel, operations
from ratchet.serving.pages import answer_view, translations, try_page
from ratchet.serving.pages.html import TEMPLATES, environment
from tests.support.project import ROOT, Project
from tests.support.service import Served, served

SERVING = ROOT / "ratchet" / "serving"
ENGLISH = translations.tables("text")["en"]
CHINESE = translations.tables("text")["zh"]


@pytest.fixture(scope="module")
def service(turned: Project) -> Iterator[Served]:
    with served(turned) as running:
        yield running


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


def send(service: Served, path: str, body: bytes | None = None, **headers: str) -> Reply:
    """GET, or POST where there is a body; an underscore in a header's name stands for a hyphen."""
    request = urllib.request.Request(
        f"{service.address}{path}", body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return Reply(reply.status, dict(reply.headers), reply.read().decode())
    except HTTPError as error:
        with error:
            return Reply(error.code, dict(error.headers), error.read().decode())


def post_form(service: Served, path: str, **fields: str) -> Reply:
    return send(service, path, urlencode(fields).encode())


def test_every_example_of_the_document_is_answered(service: Served) -> None:
    question = json.dumps({"texts": ["a text"]}).encode()
    known_id = json.loads(send(service, "/predict", question).text)["predictions"][0]["id"]
    document = json.loads(send(service, "/openapi.json").text)
    sent = 0
    for path, methods in document["paths"].items():
        operation = methods.get("post", {"requestBody": {"content": {}}})
        for parameter in operation.get("parameters", ()):
            path = path.replace(f"{{{parameter['name']}}}", parameter.get("example", ""))
        for media, body in operation["requestBody"]["content"].items():
            for name, example in body["examples"].items():
                answer = send(service, path, encoded(example["value"], media, known_id), Content_Type=media)
                assert answer.status == 200, (path, media, name, answer.text)
                sent += 1
    assert sent > 10


def encoded(value: Any, media: str, known_id: str) -> bytes:
    """An example as a body of this media type, about a prediction that exists."""
    if isinstance(value, str):
        return value.encode()
    body = urlencode(value) if media == try_page.FORM else json.dumps(value)
    return body.replace(EXAMPLE_ID, known_id).encode()


def test_the_viewer_comes_from_this_service_alone(service: Served) -> None:
    page = send(service, "/docs")
    policy = page.headers["content-security-policy"].split("; ")
    assert [part for part in policy if "unsafe" in part or ":" in part] == ["img-src data:"]
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(policy)
    addresses = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text)
    assert [address.partition("?")[0] for address in addresses] == [
        "/docs/swagger-ui.css", "/docs/viewer.css", "/docs/swagger-ui-bundle.js", "/docs/viewer.js",
    ]  # fmt: skip
    assert re.findall(r"<script(?! defer src)|<style|https?:", page.text) == []
    for address in addresses:
        part = send(service, address)
        kind = "text/css" if ".css" in address else "text/javascript"
        assert (part.status, part.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert hashlib.sha256(part.text.encode()).hexdigest().startswith(address.partition("?")[2])
        assert part.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert send(service, "/docs/index.css").status == 404
    assert send(service, "/docs/..%2Fopenapi.py").status == 404


def test_the_document_has_every_route_and_every_method(service: Served) -> None:
    document = json.loads(send(service, "/openapi.json").text)
    documented = {(path, method) for path, methods in document["paths"].items() for method in methods}
    source = "\n".join(path.read_text(encoding="utf-8") for path in SERVING.rglob("*.py"))
    assert document["openapi"].startswith("3.1")
    assert {path for path, _ in documented} >= set(re.findall(r'Route\(\s*"(/[^"]*)"', source))
    table = operations(DocumentedModel("reviews"))
    assert documented == {(operation.path, operation.method) for operation in table}
    for path, method in documented:
        address = path.replace("{name}", "reviews").replace("{version}", "1")
        if method == "post":
            refusal = put(service, address)
            assert refusal.status == 405, address
            assert "POST" in refusal.headers["allow"]
        else:
            assert send(service, address).status == 200, address
    assert document["components"]["schemas"]["Correction"]["properties"]["label"]["enum"] == ["bad", "good"]


def put(service: Served, path: str) -> Reply:
    request = urllib.request.Request(f"{service.address}{path}", b"", method="PUT")
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    with caught.value as error:
        return Reply(error.code, dict(error.headers), error.read().decode())


def test_predict_tells_the_words_that_moved_the_answer(service: Served) -> None:
    text = "Film 7 is 暖 splendid warm dull"
    body = json.dumps({"texts": [text, ""]}).encode()
    first, empty = json.loads(send(service, "/predict?explain=true", body).text)["predictions"]
    explanation = first["explanation"]
    words = explanation["words"]
    assert (first["label"], explanation["against"], explanation["method"]) == ("good", "bad", "exact")
    assert [text[word["start"] : word["end"]] for word in words] == [word["word"] for word in words]
    log_odds = sum(word["weight"] for word in words) + explanation["bias"]
    assert log_odds == pytest.approx(explanation["log_odds"], abs=1e-6)
    assert max(words, key=lambda word: word["weight"])["word"] in ("splendid", "warm")
    assert empty["explanation"]["words"] == []
    assert "explanation" not in send(service, "/predict", body).text


@pytest.mark.parametrize("texts", [["a"] * 101, ["a " * 40_000] * 3])
def test_too_many_or_too_long_texts_are_not_explained(service: Served, texts: list[str]) -> None:
    body = json.dumps({"texts": texts}).encode()
    refusal = send(service, "/predict?explain=true", body)
    assert refusal.status == 422
    assert "explained. Received:" in json.loads(refusal.text)["detail"]
    assert send(service, "/predict", body).status == 200


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
def test_an_error_of_a_page_is_a_page_in_its_language(
    service: Served, path: str, fields: dict[str, str], status: int, title: str
) -> None:
    page = post_form(service, path, **fields)
    assert page.status == status
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{title}</h1>" in page.text


def test_another_sites_page_can_neither_ask_nor_frame(service: Served) -> None:
    form = urlencode({"text": "warm"}).encode()
    page = send(service, "/", form, Origin="http://elsewhere.example", Accept_Language="zh-TW,en;q=0.5")
    assert (page.status, "不能从那里访问" in page.text) == (403, True)
    assert send(service, "/", form, Sec_Fetch_Site="cross-site").status == 403
    for path in ("/", "/docs", "/correct"):
        policy = send(service, path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert ("script-src" in policy) == (path == "/docs")
        assert "unsafe" not in policy


def test_a_body_that_is_no_form_is_refused(service: Served) -> None:
    assert send(service, "/", b'{"text": "warm"}', Content_Type="application/json").status == 415
    assert send(service, "/", b"text=%ff", Content_Type=try_page.FORM).status == 400


def test_many_classes_are_a_list_to_choose_from() -> None:
    labels = tuple(f"class {number}" for number in range(14))
    model: Any = Majority(labels, (0.3, *[0.7 / 13] * 13))
    facts = Facts("many", 3, "majority", "", "", "")
    answer = Answer(
        Live(Bundle("", facts, model), Batcher(model)),
        "champion",
        ["0" * 32],
        ["class 0"],
        [0.3],
        model.predict([""]),
    )
    view = answer_view.view(tasks.get("classify"), ENGLISH, answer, "a text")
    page = render(answer=view | answer_view.explanation_view(ENGLISH, "a text", explain(model, "a text")))
    assert page.count("<option value=") == 13
    assert page.count("<rect") == 10
    assert "4 more, together 21.5%" in page
    assert "No single word moved it." in page
    assert page.count('name="label" value=') == 1


def render(**values: Any) -> str:
    """page.html with these values; the others are empty."""
    defaults = {
        "words": ENGLISH,
        "note": [],
        "problem": "many",
        "language_query": "",
        "other_language_url": "/?lang=zh",
        "waiting": 0,
        "takes_feedback": True,
        "versions": ["Version 3"],
        "mistakes": [],
        "time_ago": lambda at: "just now",
        "characters": 9,
        "text": "",
        "answer": None,
    }
    return environment().get_template("page.html").render(defaults | values)


def test_the_list_of_corrections_tells_a_missing_text_from_an_empty_one() -> None:
    whole = Prediction("0", 0.0, "many", 3, "champion", "page", "bad", 0.9, 7, "", "a <b>text", 0.0, "good")
    missing = replace(whole, text=None, said="<i>")
    empty = replace(whole, text=" ")
    page = render(mistakes=[whole, missing, empty])
    assert page.index("a &lt;b&gt;text") < page.index("The text is not kept.") < page.index("An empty text.")
    assert "Said bad; it is &lt;i&gt;." in page
    assert "cannot be read now" in render(mistakes=None)
    assert "Nothing has been corrected yet." in render()


@given(st.text(), st.data())
def test_the_pieces_joined_are_the_text(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    weights = st.floats(-9, 9)
    words = tuple(Word(start, end, data.draw(weights)) for start, end in zip(cuts[::2], cuts[1::2], strict=False))
    pieces = answer_view.pieces(text, Explanation("a", "b", "exact", 0, 0, words, 0))
    assert "".join(piece.text for piece in pieces) == text
    marked = [piece for piece in pieces if piece.style]
    assert len(marked) <= len(words)
    if words and max(abs(word.weight) for word in words) >= answer_view.MIN_WEIGHT:
        assert any(piece.style.endswith("s3") for piece in marked)


@pytest.mark.parametrize(
    ("language", "accept_language", "tag"),
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
def test_the_browser_decides_the_language_unless_one_is_chosen(language: str, accept_language: str, tag: str) -> None:
    assert translations.choose(language, accept_language, "text").language_tag == tag


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (-5, "just now", "刚刚"), (59, "just now", "刚刚"), (60, "1 minute ago", "1 分钟前"),
        (3_599, "59 minutes ago", "59 分钟前"), (3_600, "1 hour ago", "1 小时前"),
        (86_399, "23 hours ago", "23 小时前"),
        (172_800, "2 days ago", "2 天前"),
    ],
)  # fmt: skip
def test_a_time_ago_is_in_words(seconds: float, english: str, chinese: str) -> None:
    assert translations.time_ago(ENGLISH, seconds) == english
    assert translations.time_ago(CHINESE, seconds) == chinese


TEXT_COLOURS = (
    ("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("accent", "paper"), ("accent", "card"),
    ("on-accent", "accent"), ("ink", "wash"),
    *(("ink", f"{side}{step}") for side in ("for", "against") for step in "123"),
)  # fmt: skip
"""The colour of a text and of its background."""
LINE_COLOURS = (("edge", "card"), ("edge", "paper"), ("accent", "card"), ("for", "card"), ("against", "card"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_the_contrast_of_wcag(scheme: str) -> None:
    roots = re.findall(r":root \{(.*?)\}", (TEMPLATES / "page.css").read_text(encoding="utf-8"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", roots[scheme == "dark"]))
    for text, background in TEXT_COLOURS:
        assert contrast(colours[text], colours[background]) >= 4.5, (text, background)
    for line, background in LINE_COLOURS:
        assert contrast(colours[line], colours[background]) >= 3, (line, background)


def contrast(first: str, second: str) -> float:
    """The contrast of two colours #rrggbb, from 1 to 21. Source: WCAG 2.2, "contrast ratio"."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
