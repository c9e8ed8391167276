"""What a person reads in the two UIs, in a real browser: Debian's Chromium, headless."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.support.browser import CHROMIUM, QUIET
from tests.support.project import Project
from tests.support.up import api, showing

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def ui(turned: Project) -> Iterator[Project]:
    """`make up` as it runs on the project that has turned once; ended by SIGTERM, which must leave nothing."""
    with showing(turned, "up"):
        yield turned
    for port in ("PREFECT_PORT", "MLFLOW_PORT", "SERVE_PORT"):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(turned.environment[port]))) != 0


@pytest.fixture(scope="module")
def page(ui: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    home = tmp_path_factory.mktemp("browser")  # of the browser alone: the project's own home must stay empty
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=QUIET, env={**os.environ, "HOME": str(home)}
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(30_000)
        page.add_init_script(
            "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
            "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
        )
        yield page
        browser.close()


def prefect(ui: Project, path: str) -> str:
    return f"http://127.0.0.1:{ui.environment['PREFECT_PORT']}/{path}"


def mlflow(ui: Project, path: str) -> str:
    mode = f"{'&' if '?' in path else '?'}workflowType=machine_learning"
    return f"http://127.0.0.1:{ui.environment['MLFLOW_PORT']}/#/{path}{mode}"


def stored(ui: Project, database: str, question: str) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(ui.root / "state" / database)) as connection:
        return connection.execute(question).fetchall()


def open_run(ui: Project, page: Page, name: str) -> None:
    page.goto(prefect(ui, "runs"))
    page.get_by_role("link", name=name).first.click()
    page.wait_for_url("**/flow-run/**")


def open_artifact(ui: Project, page: Page, key: str) -> None:
    ids = dict(stored(ui, "prefect/prefect.db", "select key, id from artifact order by created"))
    page.goto(prefect(ui, f"artifacts/artifact/{ids[key]}"))


@pytest.fixture(scope="module")
def failing(ui: Project, page: Page) -> None:
    """A run that is about to fail, while the tests look at other pages: evaluate, for a version that is not there."""
    page.goto(prefect(ui, "deployments"))
    page.get_by_role("link", name="evaluate", exact=True).first.wait_for()
    begin(ui, "evaluate", version=77)


def begin(ui: Project, flow: str, **parameters: int) -> None:
    """Start a run as Prefect's API does it for the form."""
    deployment = api(ui, f"deployments/name/{flow}/{flow}")
    api(ui, f"deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The port on which a site of somebody else's is met, under any name that ends in .example."""
    (folder := tmp_path_factory.mktemp("site")).joinpath("index.html").write_text("<p>kittens</p>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield str(server.server_port)
        server.shutdown()


TRIES = """async ([base, id]) => {
    const run = `${base}/deployments/${id}/create_flow_run`, body = JSON.stringify({parameters: {approved: true}});
    const json = {'Content-Type': 'application/json'};
    const tries = {
        read: () => fetch(`${base}/deployments/${id}`),
        list: () => fetch(`${base}/flow_runs/filter`, {method: 'POST', headers: json, body: '{}'}),
        text: () => fetch(run, {method: 'POST', body}),
        bare: () => fetch(run, {method: 'POST', body: new Blob([body])}),
        pause: () => fetch(`${base}/deployments/${id}/pause_deployment`, {method: 'POST'}),
        patch: () => fetch(`${base}/deployments/${id}`, {method: 'PATCH', headers: json, body: '{"paused": true}'}),
        token: () => fetch(`${base}/csrf-token?client=kitten`),
    };
    const came = {};
    for (const [name, attempt] of Object.entries(tries)) {
        came[name] = await attempt().then(answer => `answered ${answer.status}`, () => 'refused');
    }
    for (const path of ['events/out', 'logs/out', 'events/in', 'task_runs/subscriptions/scheduled']) {
        came[path] = await new Promise(done => {
            const socket = new WebSocket(`${base.replace('http', 'ws')}/${path}`, 'prefect');
            socket.onopen = () => done('opened');
            socket.onerror = () => done('refused');
        });
    }
    return came;
}"""
"""What a page of another site may try against Prefect's API, and what came of it."""
FORM = """action => {
    const form = document.body.appendChild(document.createElement('form'));
    Object.assign(form, {action, method: 'post', enctype: 'text/plain'}).submit();
}"""


@pytest.mark.parametrize("name", ["kittens.example", "127.0.0.1", "localhost"])
def test_a_page_of_another_site_can_neither_read_nor_drive_prefect(
    ui: Project, page: Page, stranger: str, name: str
) -> None:
    deployment = api(ui, "deployments/name/deploy/deploy")
    begun = {"deployments": {"id": {"any_": [deployment["id"]]}}}  # the others' next runs are scheduled meanwhile
    assert api(ui, "flow_runs/count", begun) == 0
    page.goto(f"http://{name}:{stranger}/")
    outcomes = page.evaluate(TRIES, [prefect(ui, "api"), deployment["id"]])
    assert len(outcomes) == 11
    assert set(outcomes.values()) == {"refused"}, outcomes
    with page.expect_navigation() as navigation:
        page.evaluate(FORM, prefect(ui, f"api/deployments/{deployment['id']}/pause_deployment"))
    assert navigation.value.status == 403
    assert api(ui, "flow_runs/count", begun) == 0
    assert api(ui, f"deployments/{deployment['id']}")["paused"] is False


@pytest.mark.parametrize("server", ["prefect", "mlflow"])
def test_a_name_of_another_site_that_leads_here_is_not_answered(ui: Project, page: Page, server: str) -> None:
    port = ui.environment[f"{server.upper()}_PORT"]
    for name in ("kittens.example", "10.kittens.example"):
        answer = page.goto(f"http://{name}:{port}/")
        assert answer
        assert answer.status in (400, 403), answer.text()


def keep(page: Page, ui: Project, name: str) -> None:
    """Save a screenshot of the page below the state."""
    folder = ui.root / "state" / "pictures"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


def test_the_service_answers_beside_the_uis(ui: Project, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{ui.environment['SERVE_PORT']}")
    page.get_by_label("Your text").fill("a splendid film")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Yes, good").wait_for()
    assert f"service    http://127.0.0.1:{ui.environment['SERVE_PORT']}" in ui.make("status").text
    keep(page, ui, "service")


def test_prefect_lists_the_turn_with_version_outcome_and_trigger(ui: Project, page: Page) -> None:
    page.goto(prefect(ui, "runs"))
    for name in (
        "lifecycle v1 linear: promoted, make run", "build v1 linear, make run",
        "evaluate v1 linear: promoted, make run", "deploy v1 linear: live, make run",
        "optimise v1 linear: too early to tell, make run",
    ):  # fmt: skip
        page.get_by_role("link", name=name).first.wait_for()
    for tag in ("problem:reviews", "model:linear", "trigger:make run"):
        page.get_by_text(tag, exact=True).first.wait_for()
    keep(page, ui, "prefect-runs")


def test_a_turn_shows_its_four_stages_and_ends_its_log_with_what_it_came_to(ui: Project, page: Page) -> None:
    open_run(ui, page, "lifecycle v1 linear: promoted, make run")
    page.get_by_text("Promoted: The first model to pass").first.wait_for()
    page.get_by_text("Live: version 1 of reviews.").first.wait_for()
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text("turn", exact=True).first.wait_for()
    page.get_by_text("Logs", exact=True).first.click()
    graph = page.locator("canvas").first
    graph.wait_for()
    box = graph.bounding_box()
    assert box
    assert box["width"] > 500
    keep(page, ui, "prefect-turn")


def test_a_run_shows_its_stages_and_its_verdicts(ui: Project, page: Page) -> None:
    open_run(ui, page, "evaluate v1 linear: promoted, make run")
    page.get_by_text("Score the challenger on the holdout").first.wait_for()
    page.get_by_text("Artifacts", exact=True).first.click()
    for key in ("promotion-decision", "scorecard", "model-card", "confusion-matrix", "calibration"):
        page.get_by_text(key, exact=True).first.wait_for()
    page.get_by_text("Version 1 (linear): promoted").first.wait_for()
    keep(page, ui, "prefect-artifacts")


@pytest.mark.parametrize(
    ("key", "sentences"),
    [
        ("promotion-decision", ("Promoted: The first model to pass", "Next: deploy makes it champion")),
        ("scorecard", ("Promoted: The first model to pass", "accuracy decides", "its run")),
        ("data-validation", ("Accepted: all", "Great Expectations' own page", "No text is there twice.")),
        ("turn", ("Promoted: The first model to pass", "Live: version 1", "Before: nothing.", "Next: make status")),
        ("registered-model", ("Version 1 (linear) is live as champion of reviews.", "Nothing was live before.")),
        ("model-card", ("Promoted: The first model to pass", "95% interval", "Mistakes.", "Cost.", "Came from")),
    ],
)
def test_an_artifact_begins_with_its_verdict(ui: Project, page: Page, key: str, sentences: tuple[str, ...]) -> None:
    open_artifact(ui, page, key)
    for words in sentences:
        page.get_by_text(words).first.wait_for()
    keep(page, ui, f"prefect-{key}")


@pytest.mark.parametrize(("key", "sentence"), [("confusion-matrix", "Errs most often"), ("calibration", "On average")])
def test_a_picture_stands_below_its_sentence(ui: Project, page: Page, key: str, sentence: str) -> None:
    open_artifact(ui, page, key)
    page.get_by_text(sentence).first.wait_for()
    picture = page.get_by_role("img", name=key).first
    picture.wait_for()
    assert picture.evaluate("picture => picture.naturalWidth") > 300


@pytest.mark.usefixtures("failing")
def test_the_form_of_a_turn_offers_the_models_and_the_examples(ui: Project, page: Page) -> None:
    page.goto(prefect(ui, "deployments"))
    page.get_by_role("link", name="lifecycle", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    for words in ("Train this model alone", "Bring this example data set first", "What set this run off"):
        page.get_by_text(words).wait_for()
    page.get_by_text("Model", exact=True).first.click()
    page.get_by_text("Example", exact=True).first.click()
    for at, names in enumerate((("majority", "linear", "lstm"), ("film_reviews", "chinese_reviews", "newsgroups"))):
        page.locator("button.p-select-button__control").nth(at).press("Space")
        for name in names:
            page.get_by_text(name, exact=True).first.wait_for()
        keep(page, ui, "prefect-turn-form")
        page.locator(".p-select-option__text", has_text=names[0]).click()


def test_a_run_started_from_the_form_runs(ui: Project, page: Page) -> None:
    page.goto(prefect(ui, "deployments"))
    page.get_by_role("link", name="optimise", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    page.get_by_text("What set this run off").wait_for()
    keep(page, ui, "prefect-form")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("scheduled to run").or_(page.get_by_text("View run")).first.wait_for()
    for _ in range(30):  # the list does not follow by itself a run that gets its name when it starts
        page.goto(prefect(ui, "runs"))
        link = page.get_by_role("link", name="optimise v1 linear: too early to tell, Prefect UI").first
        with suppress(PlaywrightTimeout):
            link.wait_for(timeout=4_000)
            break
    link.click()
    page.get_by_text("Completed").first.wait_for(timeout=90_000)


@pytest.mark.usefixtures("failing")
def test_a_failed_run_says_at_the_top_what_to_do(ui: Project, page: Page) -> None:
    for _ in range(30):
        page.goto(prefect(ui, "runs"))
        failed = page.get_by_text("Failed").first
        with suppress(PlaywrightTimeout):
            failed.wait_for(timeout=4_000)
            break
    sentence = "A version must be one of the registered model reviews. Received: 77. Those there: 1"
    open_run(ui, page, f"evaluate, Prefect UI: {sentence}")
    page.get_by_role("button", name="Retry").wait_for()
    boxes = [line.bounding_box() for line in page.get_by_text(sentence).all()]
    page.get_by_text("Finished in state Failed").wait_for()
    keep(page, ui, "prefect-failed")
    assert page.get_by_text("Traceback").count() == 0
    assert min(box["y"] for box in boxes if box) < 100


def test_the_registered_model_says_what_is_live_what_was_and_what_to_do(ui: Project, page: Page) -> None:
    page.goto(mlflow(ui, "models/reviews"))
    for words in ("Live: version 1", "Before: nothing.", "Built last, not live:", "Next: make status", "accuracy 0."):
        page.get_by_text(words).first.wait_for()
    page.get_by_text("@ champion").first.wait_for()
    keep(page, ui, "mlflow-model")


def test_a_version_has_its_card(ui: Project, page: Page) -> None:
    page.goto(mlflow(ui, "models/reviews/versions/1"))
    for words in (
        "Promoted: The first model to pass", "On the holdout", "95% interval", "Mistakes.", "Calibration.", "Limits.",
        "Cost.", "Came from", "Back.", "data_version",
    ):  # fmt: skip
        page.get_by_text(words).first.wait_for()
    keep(page, ui, "mlflow-version")
    docs = page.get_by_role("link", name="validation of raw data").get_attribute("href")
    assert docs
    page.goto(
        mlflow(ui, docs.split("/#/")[1].split("?")[0])
    )  # the project is a copy, with other ports than at its turn
    page.get_by_text("data-docs/raw.html").first.wait_for()
    page.frame_locator("iframe").get_by_text("Accepted: all").first.wait_for()


def test_the_experiment_asks_its_question_and_says_what_is_live(ui: Project, page: Page) -> None:
    page.goto(mlflow(ui, "experiments/1/runs"))
    page.get_by_text(re.compile("^001 build [0-9a-f]{8}$")).first.wait_for()
    page.get_by_text("Live: version 1 (linear).").first.wait_for()
    keep(page, ui, "mlflow-experiment")


def test_all_candidates_are_one_table_best_first(ui: Project, page: Page) -> None:
    page.goto(mlflow(ui, "experiments/1/runs?viewStateShareKey=candidates"))
    page.get_by_text(re.compile("^001 majority [0-9a-f]{8}$")).first.wait_for()
    names = page.get_by_text(re.compile("^001 (linear|majority) [0-9a-f]{8}$")).all_inner_texts()
    assert [name.split()[1] for name in names] == ["linear", "majority"]
    keep(page, ui, "mlflow-candidates")


def test_two_candidates_side_by_side_show_scores_times_and_models(ui: Project, page: Page) -> None:
    runs = dict(stored(ui, "mlflow.db", "select name, run_uuid from runs"))
    pair = [next(run for name, run in runs.items() if model in name) for model in ("linear", "majority")]
    page.goto(mlflow(ui, f"compare-runs?runs={quote(json.dumps(pair))}&experiments={quote(json.dumps(['1']))}"))
    page.get_by_text("Comparing 2 Runs").wait_for()
    for words in ("001 linear", "001 majority", "validation_accuracy", "train_seconds", "max_features"):
        page.get_by_text(words).first.wait_for()
    keep(page, ui, "mlflow-compare")


def test_a_second_ui_says_where_the_first_is(ui: Project) -> None:
    done = ui.make("ui")
    assert done.status == 0, done.text
    assert "open already" in done.text
    assert ui.environment["MLFLOW_PORT"] in done.text


def test_a_stranger_on_a_port_is_named(project: Project) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            ["make", "ui"],
            cwd=project.root,
            env=project.environment | {"MLFLOW_PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode != 0
    assert f"Port {port} must be free for mlflow" in done.stderr
    assert "Traceback" not in done.stderr
