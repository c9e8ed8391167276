"""The texts of both UIs: model cards, links, lineage. Pure, so every text is a case."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.pages import charts, links, model_card, registry_pages
from flows.registry.snapshot import Origin
from tests.support.findings import HERE, PROBLEM, Prepared, findings, holdings, move, version


def test_a_card_tells_use_data_scores_mistakes_calibration_limits_cost_origin_and_the_way_back() -> None:
    card = model_card.card(PROBLEM, Prepared(), findings([[30, 10], [5, 55]]))  # type: ignore[arg-type]
    assert card.startswith("Kept champion: it is no better, so v1 stays.")
    assert "100 rows (80 to learn, 10 to choose, 10 to judge)" in card
    assert "| accuracy *decides*\u00a0\u00a0 | 0.8500\u00a0\u00a0 | 0.7000 to 0.9000" in card
    assert "25% of `bad` taken for `good`, 8% of `good` taken for `bad`" in card
    assert "On average 80.0% sure and 85.0% right: less sure than it could be." in card
    assert "Trained in 3.2 s" in card
    assert "answers 1,000 texts in 20.00 s" in card
    assert "Energy of the training: not shown by this machine" in card
    for page in ("runs/run2", "runs/parent", "data-docs/raw.html", "flow-run/f1", "compare-runs?runs="):
        assert page in card
    assert "make rollback" in card
    assert "make lineage VERSION=2" in card


def test_a_machine_that_shows_its_energy_has_it_in_the_card() -> None:
    measured = findings([[9, 1], [1, 9]], origin=Origin({"train_seconds": 3.0, "train_joules": 1234.6}, "", "1"))
    assert "1,235 J, of the whole processor" in model_card.card(PROBLEM, Prepared(), measured)  # type: ignore[arg-type]


def test_the_weakest_slice_comes_before_the_limits_of_the_kind() -> None:
    scores = findings([[30, 10], [5, 55]]).scores
    measured = findings([[10, 0], [0, 40]], slices={"long": scores, "short": replace(scores, accuracy=0.5)})  # type: ignore[type-var]
    told = model_card.limits(PROBLEM, measured)
    assert told.startswith("**Limits.** Weakest slice: short (accuracy 0.5000). Fewer than 30 holdout rows, so hardly ")


def test_findings_are_drawn() -> None:
    grid, lines = (charts.draw(figure.data) for figure in findings([[30, 10], [5, 55]]).figures if figure.data)
    assert [text.get_text() for text in grid.axes[0].texts] == ["30", "10", "5", "55"]
    assert (grid.axes[0].get_xlabel(), grid.axes[0].get_ylabel()) == ("predicted", "true")
    assert [line.get_label() for line in lines.axes[0].lines] == ["honest", "challenger"]
    assert lines.axes[0].get_ylim()[1] == pytest.approx(1.02)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=40))
def test_a_long_card_is_cut_between_paragraphs_and_says_where_the_rest_is(sizes: list[int]) -> None:
    text = "\n\n".join("x" * size for size in sizes)
    short = model_card.shortened(text)
    assert len(short) <= model_card.MOST
    assert short == text or (
        short.endswith("model-card.md of its run.") and text.startswith(short.rpartition("\n\n")[0])
    )


def test_the_models_page_tells_what_is_live_before_beside_and_next() -> None:
    versions = holdings(
        version(3, decision="promote", holdout="accuracy 0.8"), version(2, "lstm"), version(1),
        champion=2, previous=1, challenger=3,
    )  # fmt: skip
    moves = [move(1, "01T10:00"), move(2, "02T11:00", before=1)]
    page = registry_pages.registered_model(
        PROBLEM, version(2, "lstm", decision_reason="It is better."), versions, moves
    )
    assert page.startswith("**Live: version 2** (lstm, since 2026-01-02 11:00 UTC), alias `champion`. It is better.")
    assert "**Before:** version 1 (linear), alias `previous`; back to it: `make rollback`." in page
    assert "version 3 (linear), alias `challenger`: passed, not yet deployed: `make deploy`." in page
    assert "since 2026-01-02 11:00" in page
    assert "2026-01-01 10:00 to 2026-01-02 11:00" in page
    assert "[Versions 2 and 3 side by side]" in page


def test_the_models_page_stays_within_what_mlflow_keeps() -> None:
    many = [version(n, "linear" * 5, decision="kept champion", holdout="macro F1 0.1234") for n in range(500, 0, -1)]
    moves = [move(n, f"{1 + n % 28:02}T10:{n % 60:02}", before=n - 1) for n in range(1, 501)]
    page = registry_pages.registered_model(PROBLEM, many[0], holdings(*many, champion=500, previous=499), moves)
    assert len(page) < model_card.MOST


def test_the_times_a_version_was_live_are_its_spells() -> None:
    moves = [move(1, "01T10:00"), move(2, "02T10:00"), move(1, "03T10:00"), move(1, "04T10:00")]
    assert registry_pages.spells(1, moves) == "2026-01-01 10:00 to 2026-01-02 10:00, since 2026-01-03 10:00"
    assert registry_pages.spells(2, moves) == "2026-01-02 10:00 to 2026-01-03 10:00"
    assert registry_pages.spells(3, moves) == "never"


def test_the_experiment_asks_its_question_and_says_what_is_live_in_the_line_that_shows() -> None:
    tags = registry_pages.experiment(PROBLEM, version(7))
    first = tags["mlflow.note.content"].split("\n\n")[0]
    assert first == ("Live: version 7 (linear). **Which `label` does a `text` have?** What to do next: `make status`.")
    assert "Nothing is live yet." in registry_pages.experiment(PROBLEM, None)["mlflow.note.content"]
    view = json.loads(tags[f"mlflow.sharedViewState.{links.CANDIDATES}"])
    assert view["orderByKey"] == "metrics.`validation_accuracy`"


def test_links_follow_the_tools_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////p/state/mlflow.db")
    monkeypatch.delenv("PREFECT_UI_URL", raising=False)
    assert links.run(HERE, "1", "r1") == "http://127.0.0.1:5000/#/experiments/1/runs/r1?workflowType=machine_learning"
    assert links.flow_run(replace(HERE, host="0.0.0.0"), "f1") == "http://127.0.0.1:4200/runs/flow-run/f1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example/base/")
    monkeypatch.setenv("PREFECT_UI_URL", "https://prefect.example/")
    assert links.version(HERE, "a-b", 3).startswith("https://mlflow.example/base/#/models/a-b/versions/3?")
    assert links.flow_run(HERE, "f1") == "https://prefect.example/runs/flow-run/f1"


def test_a_learning_curve_shows_the_step_that_was_kept() -> None:
    curve = [{"loss": 0.9, "validation_loss": 0.8}, {"loss": 0.5, "validation_loss": 0.6}, {"loss": 0.2}]
    drawn = charts.learning_curve("lstm", [*curve, curve[1]])
    left = drawn.axes[0]
    assert [line.get_label() for line in left.lines] == ["loss", "validation loss", "kept"]
    assert np.array_equal(left.lines[0].get_xdata(), [1, 2, 3])
    assert np.array_equal(left.lines[2].get_xdata(), [2, 2])
    plain = charts.learning_curve("linear", curve)
    assert [line.get_label() for line in plain.axes[0].lines] == ["loss", "validation loss"]
