"""The pages in a real browser, Debian's Chromium: contents, keyboard use, accessibility."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from ratchet.project import durable
from tests.support.browser import CHROMIUM, QUIET
from tests.support.project import Project
from tests.support.service import Served, logged, served, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
GOOD = "Film 7 is splendid warm dull"
SCRIPT = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"> warm"
UNNAMED = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea')].filter(
    control => !(control.innerText.trim() || control.labels?.[0]?.innerText.trim() || control.ariaLabel)
).map(control => control.outerHTML)
"""
STRUCTURE = """() => ({
    lang: document.documentElement.lang, title: document.title,
    mains: document.querySelectorAll('main').length, headings: document.querySelectorAll('h1').length,
    navs: [...document.querySelectorAll('nav')].map(nav => nav.ariaLabel),
    sections: [...document.querySelectorAll('section')].map(
        section => document.getElementById(section.getAttribute('aria-labelledby'))?.innerText),
    levels: [...document.querySelectorAll('h1, h2, h3')].map(heading => +heading.tagName[1]),
    ids: [...document.querySelectorAll('[id]')].map(element => element.id),
})"""


@pytest.fixture(scope="module")
def service(turned: Project) -> Iterator[Served]:
    with served(turned) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    home = tmp_path_factory.mktemp("browser")
    with sync_playwright() as playwright:
        environment: dict[str, str | float | bool] = {**os.environ, "HOME": str(home)}
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, env=environment)
        yield chromium
        chromium.close()


class Visit:
    """A browser at the service.

    Attributes:
        page: the open page.
        requested: the URLs that the browser has requested.
        console: the messages in the browser's console.
    """

    def __init__(self, browser: Browser, service: Served, options: dict[str, Any]) -> None:
        self.context: BrowserContext = browser.new_context(**options)
        self.address = service.address
        self.requested: list[str] = []
        self.console: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", lambda message: self.console.append(message.text))

    def ask(self, text: str, path: str = "/") -> None:
        self.page.goto(f"{self.address}{path}")
        self.page.locator("textarea").fill(text)
        self.page.locator("button").first.click()
        self.page.locator("#answer").wait_for()

    def press_until(self, key: str, target: str) -> None:
        """Press a key, up to 20 times, until the focused element has this text or id."""
        for _ in range(20):
            self.page.keyboard.press(key)
            if target == self.page.evaluate("document.activeElement.innerText || document.activeElement.id"):
                return
        raise AssertionError(f"{key} does not lead to {target!r}")


@pytest.fixture
def visit(browser: Browser, service: Served, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A visit with the test's context options; at its end the console is empty, and no other host was requested."""
    opened = Visit(browser, service, getattr(request, "param", {}))
    yield opened
    opened.context.close()
    assert opened.console == []
    assert [url for url in opened.requested if not url.startswith(f"{service.address}/")] == []


def feedback_on(project: Project, text: str) -> list[tuple[str, str, str]]:
    """The logged feedback on a text: predicted label, given label, source."""
    with closing(sqlite3.connect(project.root / "state" / "predictions.db")) as connection:
        return connection.execute(
            "select predictions.label, feedback.label, source from predictions join feedback on id = prediction "
            "where text = ?",
            (text,),
        ).fetchall()


def test_a_text_is_answered_and_corrected_by_keyboard_alone(turned: Project, visit: Visit) -> None:
    page, text = visit.page, f"{GOOD} indeed"
    page.goto(f"{visit.address}/")
    visit.press_until("Tab", "text")
    page.keyboard.type(text)
    visit.press_until("Tab", "Ask")
    page.keyboard.press("Enter")
    page.locator("#answer").wait_for()
    visit.press_until("Tab", "Yes, good")
    visit.press_until("Tab", "No, it is bad")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?id=*&thanks=bad")
    thanks = page.get_by_role("status").inner_text()
    assert thanks.startswith("You said: bad. Thank you.")
    assert "the next turn of the loop takes it in: make optimise" in thanks
    assert "Choose again below" in thanks
    newest = page.locator("section[aria-labelledby=lately] li").first.inner_text()
    assert text in newest
    assert "Said good; it is bad." in newest
    assert "just now" in newest
    assert feedback_on(turned, text) == [("good", "bad", "user")]
    name = re.search(r"id=(\w{32})&", page.url)
    assert name
    assert page.locator(".id").inner_text() == f"make trace ID={name[1]}"


def queue_texts(project: Project, visit: Visit, *texts: str) -> list[str]:
    """Predict the texts and queue them, the first as an audit, the others as chosen; return their ids."""
    answer = visit.context.request.post(f"{visit.address}/predict", data={"texts": list(texts)})
    ids = [row["id"] for row in answer.json()["predictions"]]
    until(
        lambda: all(logged(project, "select 1 from predictions where id = ?", prediction) for prediction in ids),
        "the texts are logged",
    )
    chosen = [[prediction, 0.25] for prediction in ids[1:]]
    durable.write_json(
        project.root / "state" / "queue.json", {"problem": "reviews", "at": 0, "audit": ids[:1], "chosen": chosen}
    )
    return ids


def test_a_text_is_labelled_by_keyboard_alone(turned: Project, visit: Visit) -> None:
    page, texts = visit.page, ["Film 1 is splendid, they say", "Film 2 is dull, they say"]
    ids = queue_texts(turned, visit, *texts)
    page.goto(f"{visit.address}/")
    assert "2 texts wait for a label." in page.locator("main").inner_text()
    visit.press_until("Tab", "Help it learn")
    page.keyboard.press("Enter")
    page.wait_for_url("**/label")
    page.locator("section:focus").wait_for()
    assert page.locator(".text").inner_text() == texts[0]
    visit.press_until("Tab", "good")
    visit.press_until("Tab", "Skip")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/label?after={ids[0]}")
    page.locator("section:focus").wait_for()
    assert page.locator(".text").inner_text() == texts[1]
    visit.press_until("Tab", "bad")
    page.keyboard.press("Enter")
    page.wait_for_url("**/label?said=*")
    assert page.get_by_role("status").inner_text() == "You said: bad. Thank you. Change it"
    assert page.locator(".text").inner_text() == texts[0]
    page.reload()
    page.locator(".note:focus").wait_for()
    visit.press_until("Tab", "good")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/label?said={ids[0]}")
    page.locator(".note:focus").wait_for()
    assert "Nothing waits for a label now" in page.locator("main").inner_text()
    visit.press_until("Tab", "Change it")
    page.keyboard.press("Enter")
    page.locator(".text").wait_for()
    assert page.locator(".text").inner_text() == texts[0]
    assert feedback_on(turned, texts[0]) == [("good", "good", "audit")]
    assert feedback_on(turned, texts[1]) == [("bad", "bad", "chosen")]


def test_an_answer_shows_every_class_and_the_words_that_moved_it(visit: Visit) -> None:
    visit.ask(GOOD)
    page = visit.page
    assert page.locator(".answer").inner_text().startswith("good")
    bars = page.locator(".bars li").all_inner_texts()
    assert [bar.split()[0] for bar in bars] == ["good", "bad"]
    assert sum(float(bar.split()[1].strip("%")) for bar in bars) == pytest.approx(100, abs=0.11)
    assert page.locator(".text").inner_text() == GOOD
    assert {"splendid", "warm"} <= set(page.locator(".text .for").all_inner_texts())
    assert page.locator(".text .against").all_inner_texts() == ["dull"]
    styles = {
        page.locator(f".text .{side}").first.evaluate("word => getComputedStyle(word).textDecorationStyle")
        for side in ("for", "against")
    }
    assert len(styles) == 2, "words for and against must differ by more than colour"
    legend = page.locator(".legend li").all_inner_texts()
    assert legend[0].startswith("for good")
    assert "splendid" in legend[0]
    assert legend[1] == "against it, for bad dull"
    assert "version 1 of reviews (linear)" in page.locator("section").first.inner_text()
    assert "Version 1 (linear) answers here" in page.locator("main").inner_text()


def test_a_confirmed_answer_is_feedback_but_no_correction(turned: Project, visit: Visit) -> None:
    text = "Film 8 is splendid bright witty"
    visit.ask(text)
    visit.page.get_by_role("button", name="Yes, good").click()
    visit.page.wait_for_url("**/?id=*&thanks=good")
    assert feedback_on(turned, text) == [("good", "good", "user")]
    assert text not in visit.page.locator("section[aria-labelledby=lately]").inner_text()


def test_back_and_reload_send_nothing_again(turned: Project, visit: Visit) -> None:
    """A browser asks before it sends a form again, and Playwright would wait for the answer until its timeout."""
    page, text = visit.page, "Film 9 is splendid bright moving"
    visit.ask(text)
    page.reload()
    page.get_by_role("button", name="No, it is bad").click()
    page.wait_for_url("**/?id=*&thanks=bad")
    for step in (page.reload, page.go_back, page.go_forward):
        step()
        assert page.locator(".text").inner_text() == text
        assert page.locator(".answer").inner_text().startswith("good")
    page.get_by_role("button", name="Yes, good").click()
    page.wait_for_url("**/?id=*&thanks=good")
    assert feedback_on(turned, text) == [("good", "bad", "user"), ("good", "good", "user")]
    assert text not in page.locator("section[aria-labelledby=lately]").inner_text(), "the last label counts"


@pytest.mark.parametrize("text", ["qqqq zzzz", " . "])
def test_a_text_without_known_words_has_a_warning(visit: Visit, text: str) -> None:
    visit.ask(text)
    warning = visit.page.locator("section[aria-labelledby=answer] .note").inner_text()
    assert warning.startswith("None of its words are known" if text.strip(" .") else "There is no word in it")
    visit.ask(GOOD)
    assert visit.page.locator("section[aria-labelledby=answer] .note").count() == 0


@pytest.mark.parametrize("visit", [{"locale": "zh-CN"}], indirect=True)
def test_the_page_has_the_browsers_language_until_another_is_chosen(visit: Visit) -> None:
    page = visit.page
    visit.ask(GOOD)
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.get_by_role("button", name="不对，是 bad").count() == 1
    page.get_by_role("link", name="English").click()
    page.locator("textarea").fill(GOOD)
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="No, it is bad").click()
    page.wait_for_url("**/?id=*&thanks=bad&lang=en")
    assert page.locator("html").get_attribute("lang") == "en"
    assert "Thank you" in page.get_by_role("status").inner_text()


@pytest.mark.parametrize("visit", [{"viewport": {"width": 320, "height": 640}}], indirect=True)
def test_a_phone_never_scrolls_sideways(turned: Project, visit: Visit) -> None:
    queue_texts(turned, visit, "W" * 400)
    visit.ask("warm " * 30 + "W" * 400)
    for path in ("", "/", "/label", "/docs", "/correct"):
        if path:
            visit.page.goto(f"{visit.address}{path}")
        if path == "/docs":
            visit.page.locator("#operations-tag-Predictions_and_feedback").wait_for()
            visit.page.get_by_role("button", name="POST /predict Classify texts").click()
            visit.page.get_by_role("button", name="Try it out").wait_for()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 320, path or "the answer"
    visit.console.clear()  # Chromium notes the 405 of GET /correct


def test_markup_in_a_text_is_escaped(visit: Visit) -> None:
    visit.ask(SCRIPT)
    page = visit.page
    assert page.locator(".text").inner_text() == SCRIPT
    assert page.locator("textarea").input_value() == SCRIPT
    page.get_by_role("button", name="No, it is").click()
    page.wait_for_url("**/?id=*&thanks=*")
    assert SCRIPT in page.locator("section[aria-labelledby=lately]").inner_text()
    assert page.locator("script, img").count() == 0
    assert "taken" not in page.title()


@pytest.mark.parametrize(
    "place", ["/", "the answer", "/?thanks=bad", "/label", "/?lang=zh", "/label?lang=zh", "/correct"]
)
def test_a_page_has_the_structure_for_a_screen_reader(turned: Project, visit: Visit, place: str) -> None:
    queue_texts(turned, visit, "Film 3 is warm, they say")
    visit.ask(GOOD) if place == "the answer" else visit.page.goto(f"{visit.address}{place}")
    structure = visit.page.evaluate(STRUCTURE)
    assert visit.page.evaluate(UNNAMED) == []
    assert (structure["mains"], structure["headings"]) == (1, 1)
    assert structure["lang"] == ("zh-Hans" if "zh" in place else "en")
    assert all(structure["navs"])
    assert all(structure["sections"])
    assert structure["title"]
    levels = structure["levels"]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert len(structure["ids"]) == len(set(structure["ids"]))
    visit.console.clear()


def test_a_page_is_small_and_one_request(visit: Visit) -> None:
    visit.ask(GOOD)
    assert len(visit.page.content().encode()) < 20_000
    assert len(visit.requested) == 3, "a page is one request, and a form leads to one"


def test_a_browser_gets_in_with_the_token_as_a_password(project: Project, browser: Browser) -> None:
    with served(project, RATCHET_TOKEN="open sesame") as service:
        visit = Visit(browser, service, {"http_credentials": {"username": "", "password": "open sesame"}})
        refused = browser.new_context(extra_http_headers={"Accept-Language": "zh-CN"}).request.get(
            f"{service.address}/"
        )
        opened = visit.page.goto(f"{service.address}/")
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
        assert "<h1>需要密码</h1>" in refused.text()
        assert opened
        assert opened.status == 200
        assert visit.page.locator("h1").inner_text() == "Nothing is live yet"
        assert "make run" in visit.page.locator("main").inner_text()
        visit.page.goto(f"{service.address}/docs")
        ask_in_docs(visit.page)
        assert "No version is live" in visit.page.locator(".live-responses-table").inner_text()
        visit.context.close()


def ask_in_docs(page: Page) -> None:
    """Execute POST /predict as the viewer fills it in."""
    page.get_by_role("button", name="POST /predict Classify texts").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table").wait_for()


@pytest.mark.parametrize("visit", [{"color_scheme": scheme} for scheme in ("light", "dark")], indirect=True)
def test_the_viewer_tries_the_service_and_asks_nobody_else(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.address}/docs?url=http://elsewhere.example/openapi.json&validatorUrl=http://elsewhere.example")
    ask_in_docs(page)
    answer = page.locator(".live-responses-table").inner_text()
    assert '"explanation"' in answer
    assert "curl -X 'POST'" in page.locator(".request-snippets").inner_text()
    parts = [url.removeprefix(visit.address).partition("?")[0] for url in visit.requested]
    assert sorted(parts) == [
        "/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/viewer.css", "/docs/viewer.js",
        "/openapi.json", "/predict",
    ]  # fmt: skip
    page.reload()
    page.locator("#operations-tag-Predictions_and_feedback").wait_for()
    structure = page.evaluate(STRUCTURE)
    assert (structure["mains"], structure["headings"], structure["navs"]) == (1, 1, ["Pages"])


def test_the_viewer_sends_the_token_that_is_entered(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.address}/docs")
    page.get_by_role("button", name="Authorize", exact=True).click()
    dialog = page.locator(".dialog-ux")
    dialog.locator("input").fill("open sesame")
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").click()
    with page.expect_request("**/predict*") as request:
        ask_in_docs(page)
    assert request.value.headers["authorization"] == "Bearer open sesame"
