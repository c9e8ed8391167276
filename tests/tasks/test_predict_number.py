"""A toy kind goes through the whole loop by its own folder alone: numbers in, a number out, the squared error.

Its folder `predict_number/` is put into ratchet/tasks/ of a project, and the models in it into models/. Nothing else of
the project knows it: `test_no_other_file_knows_it`.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import connect
from typing import Any

import httpx
import polars as pl
import pytest

from ratchet.tasks import all_tasks
from tests.support.project import ROOT, Project, refused
from tests.support.registered import registry
from tests.support.service import Served, asked, logged, served, until

KIND = Path(__file__).parent / "predict_number"
PARAMS = """\
problem: homes
task: predict_number
data: {numbers: [rooms, size], label: price}
build: {candidates: [least_squares, mean], minutes: 1}
optimise: {audit: 0.1, window: 100}
"""


def price(rooms: float, size: float) -> float:
    return 20 * rooms + 3 * size + 10


def table(rows: int, seed: int = 0, noise: float = 8.0) -> str:
    """A CSV of homes: their rooms, their size, the floor that they are on, and their price."""
    rng = random.Random(seed)
    lines = ["home,rooms,size,price"]
    for number in range(rows):
        rooms, size = rng.randint(1, 8), round(rng.uniform(20, 200), 1)
        lines.append(f"home {seed}-{number},{rooms},{size},{price(rooms, size) + rng.gauss(0, noise):.2f}")
    return "\n".join(lines) + "\n"


def install(root: Path) -> None:
    """Add the kind to a project, as CONTRIBUTING.md says: its folder, and its models."""
    shutil.copytree(
        KIND, root / "ratchet" / "tasks" / KIND.name, ignore=shutil.ignore_patterns("models", "__pycache__")
    )
    for path in (KIND / "models").glob("*.py"):
        shutil.copy2(path, root / "models" / path.name)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the kind, whose loop has turned once on a first table with two bad rows."""
    project = Project(tmp_path_factory.mktemp("homes") / "project")
    install(project.root)
    project.write("homes.csv", table(600) + "no rooms,,50,170\nno price,3,50,unknown\n")
    done = project.make("data", "SOURCE=homes.csv", "TASK=predict_number", "LABEL=price")
    assert done.status == 0, done.text
    project.write("brought.txt", done.text)
    turned = project.make("run")
    assert turned.status == 0, turned.text
    project.write("turned.txt", turned.text)
    return project


@pytest.fixture(scope="module")
def service(homes: Project) -> Iterator[Served]:
    with served(homes) as service:
        yield service


@pytest.fixture
def http(service: Served) -> Iterator[httpx.Client]:
    with asked(service) as client:
        yield client


def test_no_other_file_knows_it() -> None:
    """No product file names the toy; and this repository itself has but its own kinds."""
    folders = ("ratchet", "flows", "models", "expectations")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".json", ".html")
    ]
    assert [path for path in files if re.search("predict_number|least_squares", path.read_text(encoding="utf-8"))] == []
    assert "predict_number" not in [task.name for task in all_tasks()]


def test_its_table_becomes_a_data_version(homes: Project) -> None:
    said = (homes.root / "brought.txt").read_text()
    assert "600 rows" in said
    assert "a number is missing 1" in said or "a number is missing" in said
    params = (homes.root / "params.yaml").read_text()
    assert "task: predict_number" in params
    assert "numbers: [rooms, size]" in params
    assert "candidates: [least_squares, mean]" in params
    assert "metric: squared_error" in params
    kept = pl.read_csv(homes.root / "data" / "table.csv", infer_schema=False)
    assert kept.columns == ["rooms", "size", "price"]
    assert kept.height == 600
    aside = pl.read_csv(homes.root / "state" / "quarantine" / "homes.csv", infer_schema=False)
    assert aside["set_aside_because"].to_list() == ["a number is missing", "no number to predict"]
    assert aside["price"].to_list() == ["170", "unknown"]


def test_the_better_model_goes_live_and_says_why(homes: Project) -> None:
    facts = registry(homes, "homes")
    assert facts["tags"]["model"] == "least_squares"
    assert facts["tags"]["decision"] == "promote"
    assert "squared error" in facts["tags"]["decision_reason"]
    assert "always giving the mean" in facts["tags"]["decision_reason"]
    metrics = facts["metrics"]
    assert metrics["holdout_squared_error"] == pytest.approx(64, rel=0.4)
    assert metrics["validation_squared_error"] == pytest.approx(64, rel=0.6)
    assert {"holdout_absolute_error", "rows_holdout", "train_seconds"} <= set(metrics)
    assert "least_squares" in (homes.root / "turned.txt").read_text()


def test_its_card_speaks_of_numbers(homes: Project) -> None:
    card = registry(homes, "homes")["description"]
    for words in ("price", "squared error", "off by", "even one far from all rows"):
        assert words in card, card
    for words in ("class", "accuracy", "text"):
        assert words not in re.sub(r"`[^`]*`|\([^)]*\)", "", card), card


def test_a_second_turn_has_nothing_to_do(homes: Project) -> None:
    done = homes.make("run")
    assert done.status == 0
    assert "nothing" in done.text.lower()


def test_status_asks_its_question(homes: Project) -> None:
    done = homes.make("status")
    assert done.status == 0, done.text
    assert "which price goes with rooms and size?" in " ".join(done.text.split())
    assert "squared_error" in done.text or "squared error" in done.text


def test_the_service_answers_numbers(http: httpx.Client, homes: Project) -> None:
    answer = http.post("/predict", json={"rows": [{"rooms": 3, "size": 100}, {"size": 50.5, "rooms": 1}]})
    assert answer.status_code == 200, answer.text
    numbers = [one["number"] for one in answer.json()["predictions"]]
    assert numbers == pytest.approx([price(3, 100), price(1, 50.5)], abs=5)
    ids = [one["id"] for one in answer.json()["predictions"]]
    until(lambda: len(logged(homes, "select id from predictions where id in (?, ?)", *ids)) == 2, "logged")
    rows = dict(logged(homes, "select id, text from predictions where id in (?, ?)", *ids))
    assert rows[ids[1]] == '{"rooms":1.0,"size":50.5}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"texts": ["a film"]}, 422),
        ({"rows": [{}]}, 422),
        ({"rows": [{"rooms": "three"}]}, 422),
        ({"rows": []}, 422),
        ("{", 400),
    ],
)
def test_the_service_refuses_what_is_no_row(http: httpx.Client, body: Any, status: int) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = http.post("/predict", content=content)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_both_foreign_protocols_answer_numbers(http: httpx.Client) -> None:
    wanted = pytest.approx(price(3, 100), abs=5)
    for body in (
        {"dataframe_split": {"columns": ["rooms", "size"], "data": [[3, 100]]}},
        {"dataframe_records": [{"size": 100, "rooms": 3}]},
        {"instances": [{"size": 100, "rooms": 3}]},
    ):
        scored = http.post("/invocations", json=body)
        assert scored.status_code == 200, scored.text
        assert scored.json()["predictions"][0]["number"] == wanted
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ['{"rooms":3,"size":100}']}
    inferred = http.post("/v2/models/homes/infer", json={"inputs": [tensor]})
    assert inferred.status_code == 200, inferred.text
    outputs = {output["name"]: output["data"] for output in inferred.json()["outputs"]}
    assert outputs["outputs"][0] == wanted
    assert float(outputs["label"][0]) == wanted
    assert http.post("/invocations", json={"instances": ["three rooms"]}).status_code == 400


def test_the_document_describes_numbers(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert schemas["Question"]["properties"]["rows"]
    assert schemas["Correction"]["properties"]["label"]["type"] == "number"
    assert "rooms" in json.dumps(document)
    assert http.get("/docs").status_code == 200


def test_its_page_takes_a_row_and_a_correction(http: httpx.Client, homes: Project) -> None:
    page = http.post("/", data={"text": '{"rooms": 2, "size": 60}'}, follow_redirects=True)
    assert page.status_code == 200, page.text
    found = re.search(r'name="id" value="([0-9a-f]{32})"', page.text)
    assert found, page.text
    number = re.search(r"<output[^>]*>|class=\"answer\"[^>]*>", page.text)
    assert f"{price(2, 60):.0f}"[:2] in page.text, number
    thanked = http.post("/correct", data={"id": found[1], "label": "231"}, follow_redirects=True)
    assert thanked.status_code == 200
    assert "231" in thanked.text
    assert logged(homes, "select label, source from feedback where prediction = ?", found[1]) == [("231", "user")]
    assert http.post("/", data={"text": "no row"}, follow_redirects=True).status_code == 422
    assert http.post("/correct", data={"id": found[1], "label": "many"}).status_code == 422


def test_feedback_is_learned_in_the_next_turn(homes: Project, service: Served, http: httpx.Client) -> None:
    rows = [{"rooms": float(rooms), "size": float(size)} for rooms in range(1, 7) for size in range(300, 320)]
    answers = http.post("/predict", json={"rows": rows}).json()["predictions"]
    for row, answer in zip(rows, answers, strict=True):
        taken = http.post("/feedback", json={"id": answer["id"], "label": round(price(**row), 2)})
        assert taken.status_code == 200, taken.text
    assert http.post("/feedback", json={"id": answers[0]["id"], "label": "much"}).status_code == 422
    before = (homes.root / "data.dvc").read_text()
    done = homes.make("optimise")
    assert done.status == 0, done.text
    learned = pl.read_csv(homes.root / "data" / "feedback.csv", infer_schema=False)
    assert (homes.root / "data.dvc").read_text() != before
    assert 80 < learned.height <= 121, done.text
    taught = dict(zip(learned["text"], learned["label"], strict=True))
    assert taught['{"rooms":1.0,"size":300.0}'] == f"{price(1, 300):.6g}"
    turned = homes.make("run")
    assert turned.status == 0, turned.text
    facts = registry(homes, "homes")
    assert facts["aliases"]["champion"] in (1, 2)
    second = json.loads(
        homes.python(
            "import json, mlflow; v = mlflow.MlflowClient().get_model_version('homes', '2'); "
            "print(json.dumps(dict(v.tags)))",
            MLFLOW_TRACKING_URI=homes.tracking_uri,
        ).text.splitlines()[-1]
    )
    assert json.loads(second["details"])["decided_against"] == "1"
    assert "squared error" in second["decision_reason"]


def test_drift_of_a_number_is_found(homes: Project, http: httpx.Client) -> None:
    rows = [{"rooms": 3.0 + number % 3, "size": 900.0 + number} for number in range(150)]
    assert http.post("/predict", json={"rows": rows}).status_code == 200
    until(lambda: logged(homes, "select count(*) from predictions where text like '%1049%'")[0][0], "logged")
    done = homes.make("optimise")
    assert done.status == 0, done.text
    assert "Drifted: " in done.text
    assert "size" in done.text.partition("Drifted: ")[2].splitlines()[0]
    report = (homes.root / "state" / "reports" / "drift.html").read_text()
    assert "size" in report
    assert "text length" not in report


def test_a_table_is_answered(homes: Project) -> None:
    homes.write("new.csv", "home,rooms,size\na,3,100\nb,2,60\n")
    done = homes.make("predict", "FILE=new.csv", "OUT=answers.csv")
    assert done.status == 0, done.text
    answers = pl.read_csv(homes.root / "answers.csv")
    assert answers["number"].to_list() == pytest.approx([price(3, 100), price(2, 60)], abs=10)
    one = homes.make("predict", 'TEXT={"rooms": 3, "size": 100}')
    assert one.status == 0, one.text


def test_what_does_not_apply_is_refused(homes: Project, tmp_path: Path) -> None:
    params = (homes.root / "params.yaml").read_text()
    try:
        homes.write("params.yaml", params.replace("deploy: {}", "deploy: {canary: {share: 0.1}}"))
        refused(homes.make("run"), "deploy.canary", "right or wrong")
        homes.write("params.yaml", params.replace("metric: squared_error", "metric: accuracy"))
        refused(homes.make("run"), "evaluate.metric", "squared_error")
        homes.write("params.yaml", params.replace("task: predict_number", "task: predict_weather"))
        refused(homes.make("run"), "task", "predict_number")
    finally:
        homes.write("params.yaml", params)


def test_the_next_version_of_its_table_continues(homes: Project) -> None:
    homes.write("homes.csv", table(600) + table(200, seed=1).partition("\n")[2])
    done = homes.make("data", "SOURCE=homes.csv", "TASK=predict_number")
    assert done.status == 0, done.text
    assert re.search(r"(19\d|200) rows came", " ".join(done.text.split())), done.text  # some have a row's numbers
    assert "It continues" in " ".join(done.text.split())


def test_both_uis_have_its_pages(homes: Project) -> None:
    """What Prefect shows are its artifacts; what MLflow shows are the tags of the experiment and of the versions."""
    with closing(connect(homes.root / "state" / "prefect" / "prefect.db")) as prefect:
        artifacts = dict(prefect.execute("select key, data from artifact order by created").fetchall())
    for key in ("data-validation", "registered-model", "scorecard", "promotion-decision", "model-card", "drift-report"):
        assert key in artifacts
    assert "squared error" in artifacts["scorecard"]
    assert "off by" in artifacts["model-card"]
    for key in ("scorecard", "promotion-decision", "model-card"):
        assert "accuracy" not in artifacts[key]
    with closing(connect(homes.root / "state" / "mlflow.db")) as mlflow, suppress(IndexError):
        pages = dict(mlflow.execute("select key, value from experiment_tags").fetchall())
    assert "which price goes with rooms and size" in pages["mlflow.note.content"].lower()
    assert "validation_squared_error" in pages["mlflow.sharedViewState.candidates"] or "squared_error" in str(pages)
