"""What a person reads in the two UIs, in a real browser: Debian's Chromium, headless."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.project import Project
from tests.test_loop import start, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def ui(turned: Project) -> Iterator[Project]:
    """`make ui` as it runs on the project that has turned once; ended by SIGTERM, which must leave nothing."""
    process = start(turned, "ui")
    try:
        wait_for(process, "Ctrl-C ends both")
        yield turned
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
    for port in ("PREFECT_PORT", "MLFLOW_PORT"):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(turned.environment[port]))) != 0


@pytest.fixture(scope="module")
def page(ui: Project) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(30_000)
        page.add_init_script("localStorage.setItem('mlflow.assistant.panel.open', 'false')")
        yield page
        browser.close()


def prefect(ui: Project, path: str) -> str:
    return f"http://127.0.0.1:{ui.environment['PREFECT_PORT']}/{path}"


def mlflow(ui: Project, path: str) -> str:
    return f"http://127.0.0.1:{ui.environment['MLFLOW_PORT']}/#/{path}"


def keep(page: Page, ui: Project, name: str) -> None:
    folder = ui.root / "state" / "pictures"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


def test_prefect_lists_the_turn_that_make_run_made(ui: Project, page: Page) -> None:
    page.goto(prefect(ui, "runs"))
    for name in ("lifecycle", "build", "evaluate", "deploy", "optimise"):
        page.get_by_text(f"{name}, make run").first.wait_for()
    keep(page, ui, "prefect-runs")


def test_a_run_shows_its_stages_and_its_verdicts(ui: Project, page: Page) -> None:
    page.goto(prefect(ui, "runs"))
    page.get_by_role("link", name="evaluate, make run").first.click()
    page.get_by_text("Score the challenger on the holdout").first.wait_for()
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text("promotion-decision").first.wait_for()
    page.get_by_text("Promoted: The first model to pass").first.wait_for()
    keep(page, ui, "prefect-artifacts")


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
        found = page.get_by_role("link", name="optimise, Prefect UI").first
        with suppress(PlaywrightTimeout):
            found.wait_for(timeout=4_000)
            break
    found.click()
    page.get_by_text("Completed").first.wait_for(timeout=90_000)


def test_the_registered_model_says_what_is_live_and_what_to_do(ui: Project, page: Page) -> None:
    page.goto(mlflow(ui, "models/reviews"))
    page.get_by_text("Live: version 1").first.wait_for()
    page.get_by_text("one step back is").first.wait_for()
    page.get_by_text("@ champion").first.wait_for()
    keep(page, ui, "mlflow-model")


def test_a_version_tells_why_and_from_which_data(ui: Project, page: Page) -> None:
    page.goto(mlflow(ui, "models/reviews/versions/1"))
    page.get_by_text("Promoted: The first model to pass").first.wait_for()
    page.get_by_text("On the holdout").first.wait_for()
    page.get_by_text("data_version").first.wait_for()
    keep(page, ui, "mlflow-version")


def test_the_experiment_asks_its_question(ui: Project, page: Page) -> None:
    page.goto(mlflow(ui, "experiments/1/runs"))
    page.get_by_text(re.compile("^build [0-9a-f]{8}$")).first.wait_for()
    keep(page, ui, "mlflow-experiment")


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
