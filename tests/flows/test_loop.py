"""The loop end to end, through make, as a user meets it: real servers, a real registry, real data versions."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project import Project, refused, small_table
from tests.support.registered import registry

USE = """
import json, mlflow, pandas
model = mlflow.pyfunc.load_model("models:/reviews@champion")
frame = model.predict(pandas.DataFrame({"text": ["a splendid warm film", "dull and grim", ""]}))
listed = model.predict(["a splendid warm film", "dull and grim", ""])
print(json.dumps([list(frame.columns), frame["label"].tolist(), listed["label"].tolist(),
                  frame[["p_bad", "p_good"]].sum(axis=1).round(9).tolist()]))
"""


def test_a_turn_ends_with_a_champion_that_tells_where_it_came_from(turned: Project) -> None:
    facts = registry(turned)
    pin = re.search(r"md5: (\w+)\.dir", (turned.root / "data.dvc").read_text())
    assert pin
    assert facts["aliases"]["champion"] == facts["version"]
    for tags in (facts["tags"], facts["run_tags"]):
        assert tags["data_version"] == pin[1]
        assert tags["model"] == "linear"
        assert tags["trigger"] == "make run"
        assert tags["decision"] == "promote"
        assert tags["decision_reason"]
        assert tags["prefect_flow_run_id"]
        assert tags["git_commit"]
    assert facts["digest"] == [pin[1]]
    assert facts["status"] == "FINISHED"
    assert facts["open"] == 0
    assert facts["tags"]["decision_reason"] in facts["description"]
    assert f"version {facts['version']}" in facts["page"]


def test_the_run_has_every_metric_of_the_contract(turned: Project) -> None:
    metrics = registry(turned)["metrics"]
    names = ("accuracy", "precision", "recall", "f1", "macro_f1", "log_loss", "ece")
    wanted = {f"{part}_{name}" for part in ("holdout", "validation") for name in names}
    assert wanted | {"train_seconds", "rows_train", "rows_holdout", "rows_validation"} <= set(metrics)
    assert metrics["holdout_accuracy"] > 0.75


def test_pages_of_great_expectations_are_with_the_run(turned: Project) -> None:
    facts = registry(turned)
    assert facts["parent_files"] == ["data-docs/prepared.html", "data-docs/raw.html"]
    assert {"evaluation.json", "model-card.md", "plots"} <= set(facts["files"])


def test_the_champion_loads_from_any_folder_and_takes_a_frame_or_a_list(turned: Project, tmp_path: Path) -> None:
    done = turned.python(USE, folder=tmp_path, MLFLOW_TRACKING_URI=turned.tracking_uri)
    assert done.status == 0, done.text
    columns, framed, listed, sums = json.loads(done.text.strip().splitlines()[-1])
    assert columns == ["label", "score", "p_bad", "p_good"]
    assert framed == listed
    assert framed[:2] == ["good", "bad"]
    assert sums == [1.0, 1.0, 1.0]


def test_a_second_run_with_nothing_changed_says_so_before_any_heavy_import(original: Project) -> None:
    """In the very folder that has turned: in a copy, what was registered would be elsewhere."""
    code = """
import sys
from ratchet.console.cli import main
status = main(["run"])
heavy = {"mlflow", "prefect", "tensorflow", "keras", "sklearn", "great_expectations", "dvc", "pandas"}
print("heavy", sorted(heavy & set(sys.modules)), "status", status)
"""
    before = original.bytes_of("state/ledger.jsonl", "state/mlflow.db")
    done = original.python(code)
    assert "Nothing has changed since the last turn" in done.text
    assert "heavy [] status 0" in done.text
    assert "Live: version" in done.text
    assert original.bytes_of("state/ledger.jsonl", "state/mlflow.db") == before


def test_the_pictures_of_a_turn_lie_with_its_runs(original: Project) -> None:
    pictures = sorted((original.root / "state" / "artifacts").rglob("plots/*.png"), key=lambda path: path.name)
    assert [path.name for path in pictures] == ["calibration.png", "confusion-matrix.png", "learning-curve.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_status_and_history_tell_what_is_live_and_why(original: Project) -> None:
    status, history = original.make("status"), original.make("history")
    assert (status.status, history.status) == (0, 0)
    reason = original.ledger[0]["why"]
    assert re.search(r"^live +version \d+ \(linear\) since .* UTC, for \d+ \w+$", status.text, re.MULTILINE)
    assert re.search(
        r"^how good +holdout accuracy 0\.\d+, 95% interval 0\.\d+ to [01]\.\d+; .*: 0\.\d+$", status.text, re.M
    )
    assert re.search(r"^running +nothing$", status.text, re.MULTILINE)
    assert re.search(r"^UIs +closed; open them: make ui$", status.text, re.MULTILINE)
    assert re.search(r"^next +nothing needs doing", status.text, re.MULTILINE)
    assert str(reason) in history.text
    assert "promoted after nothing, by make run" in history.text
    assert re.search(r"^Today \(UTC\) +reviews: v1 is live, for \d+", history.text, re.MULTILINE)


def test_lineage_walks_from_a_version_to_its_data_and_from_data_to_its_versions(turned: Project) -> None:
    facts, backward = registry(turned), turned.make("lineage")
    data = facts["tags"]["data_version"]
    assert backward.status == 0, backward.text
    for name, text in (
        ("version", r"1 of reviews \(linear\), champion"), ("live", "since .*"), ("data", data), ("run", ".*/runs/.*"),
        ("decision", f"Promoted: {re.escape(facts['tags']['decision_reason'])}"), ("set off by", "make run"),
        ("judged", r"accuracy 0\.\d+, with nothing live to compare"), ("raw data", "Accepted: .*"),
        ("prepared data", "Accepted: .*"),
        ("commit", facts["tags"]["git_commit"]), ("Prefect", f".*{facts['tags']['prefect_flow_run_id']}"),
    ):  # fmt: skip
        assert re.search(f"^{name} +{text}$", backward.text, re.MULTILINE), (name, backward.text)
    forward = turned.make("lineage", f"DATA={data[:6]}")
    assert re.search(r"^1 champion +linear .*promoted", forward.text, re.MULTILINE), forward.text
    assert "pinned now" in forward.text


def test_lineage_of_data_that_nothing_was_built_on_says_so(small: Project) -> None:
    data = re.search(r"md5: (\w{8})", (small.root / "data.dvc").read_text())
    assert data
    lineage = small.make("lineage", f"DATA={data[1]}")
    assert lineage.status == 0, lineage.text
    assert "No version of this problem was built on it." in lineage.text
    refused(small.make("lineage"), "none is live and none is named")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [("DATA=zz", "fits none"), ("VERSION=77", "must be one of the registered model"), ("VERSION=x", "is the number")],
)
def test_lineage_of_an_unknown_name_says_which_are_known(turned: Project, word: str, sentence: str) -> None:
    refused(turned.make("lineage", word), sentence)


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $(HOME) `id` 'quoted' \"twice\" 天气 😀 %s $(shell touch hurt)",
        pytest.param("-x --y", marks=pytest.mark.long),
    ],
)
def test_any_text_is_safe_to_ask_about(turned: Project, text: str) -> None:
    done = turned.make_really("predict", f"TEXT={text}")
    assert done.status == 0, done.text
    assert re.match(r"(good|bad)  \d", done.text)
    assert not (turned.root / "hurt").exists()


def test_a_table_comes_back_whole_with_the_answers_added(turned: Project) -> None:
    rows = [["id", "text", "predicted"], ["7", "a splendid film", "old"], ["x", 'dull,\n"grim"', ""], ["", "", ""]]
    with open(turned.root / "in.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    done = turned.make("predict", "FILE=in.csv", "OUT=out.csv")
    assert done.status == 0, done.text
    with open(turned.root / "out.csv", newline="") as file:
        answers = list(csv.DictReader(file))
    assert [(row["id"], row["text"]) for row in answers] == [(row[0], row[1]) for row in rows[1:]]
    assert list(answers[0]) == ["id", "text", "predicted", "score", "p_bad", "p_good"]
    assert [row["predicted"] for row in answers[:2]] == ["good", "bad"]
    assert all(abs(float(row["p_bad"]) + float(row["p_good"]) - 1) < 1e-9 for row in answers)


def test_a_table_without_the_column_is_told_which_it_has(turned: Project) -> None:
    turned.write("other.csv", "review,stars\nfine,3\n")
    done = turned.make("predict", "FILE=other.csv", "OUT=out2.csv")
    assert done.status != 0
    assert "'text'" in done.text
    assert "review, stars" in done.text
    assert "Traceback" not in done.text


def test_stages_one_by_one_reach_what_run_reaches_and_can_be_repeated(small: Project) -> None:
    build = small.make("build", "MODEL=linear")
    assert build.status == 0, build.text
    assert "linear is the challenger: version 1" in build.text
    for _ in range(2):  # a decision is no deployment: nothing is live yet, and the command says so
        judged = small.make("evaluate")
        assert judged.status != 0
        assert "Promoted: The first model to pass" in judged.text
        assert "reviews needs a champion" in judged.text
    assert small.make("deploy").status == 0
    assert small.make("deploy").status == 0
    assert small.make("optimise").status == 0
    facts = registry(small)
    assert facts["aliases"] == {"champion": 1}
    assert [line["action"] for line in small.ledger] == ["promoted"]


def test_better_data_promotes_and_a_rollback_goes_back(
    small: Project, build_again: Callable[[Project, int], None]
) -> None:
    weak = (small.root / "params.yaml").read_text().replace("minutes: 2", "minutes: 2, linear: {max_features: 8}")
    small.write("params.yaml", weak)
    assert small.make("run").status == 0
    build_again(small, 1200)
    assert registry(small)["aliases"] == {"champion": 2, "previous": 1}
    back = small.make_really("rollback")
    assert back.status == 0
    assert "Version 1 (linear) of reviews is live again" in back.text
    assert registry(small)["aliases"] == {"champion": 1, "previous": 2}
    assert [line["action"] for line in small.ledger] == ["promoted", "promoted", "rolled back"]
    again = small.make("rollback")
    assert again.status == 0
    assert registry(small)["aliases"] == {"champion": 2, "previous": 1}


def test_a_decision_against_another_champion_is_not_deployed_and_the_gate_learns_from_history(own: Project) -> None:
    weak = (own.root / "params.yaml").read_text().replace("minutes: 2", "minutes: 2, linear: {max_features: 8}")
    own.write("params.yaml", weak)
    assert own.make("build", "MODEL=linear").status == 0
    promotion_by_hand = """
import mlflow
client = mlflow.MlflowClient()
client.set_model_version_tag("reviews", "2", "decision", "promote")
client.set_model_version_tag("reviews", "2", "decided_against", "none")
"""
    assert own.python(promotion_by_hand, MLFLOW_TRACKING_URI=own.tracking_uri).status == 0
    done = own.make("deploy")
    assert done.status != 0
    assert "version 2 was held against none, and 1 is live" in done.text
    assert registry(own)["aliases"] == {"champion": 1, "challenger": 2}
    tags_by_hand = """
import mlflow
client = mlflow.MlflowClient()
past = '{"metric": "accuracy", "ahead": 0.03, "error": 0.01, "pull": 0.2, "rows": 90}'
client.set_model_version_tag("reviews", "1", "gate", past)
client.set_model_version_tag("reviews", "1", "decided_against", "7")
"""
    assert own.python(tags_by_hand, MLFLOW_TRACKING_URI=own.tracking_uri).status == 0
    judged = own.make("evaluate")
    assert judged.status == 0, judged.text
    assert "; after 1 earlier challenger the lead must exceed" in " ".join(judged.text.split())
    read = """
import json, mlflow
client = mlflow.MlflowClient()
tags = client.get_model_version("reviews", "2").tags
details = json.loads(tags["details"])
print(details["decided_against"], sorted(json.loads(details["gate"])))
for number in ("1", "2"):
    metrics = client.get_run(client.get_model_version("reviews", number).run_id).data.metrics
    low, value, high = (metrics["holdout_accuracy_corrected" + end] for end in ("_low", "", "_high"))
    print("less luck", number, low <= value <= high, value <= metrics["holdout_accuracy"])
"""
    tags = own.python(read, MLFLOW_TRACKING_URI=own.tracking_uri)
    assert "1 ['ahead', 'error', 'metric', 'pull', 'rows']" in tags.text
    assert "less luck 1 True True" in tags.text
    assert "less luck 2 True True" in tags.text
    assert "accuracy, less luck" in " ".join(judged.text.split())
    assert "uncorrected" in own.make("status").text


def test_a_champion_of_another_split_is_not_compared_and_that_is_said(own: Project) -> None:
    rows = (own.root / "reviews.csv").read_text().splitlines()
    grouped = [rows[0] + ",film"] + [f"{row},film {n % 40}" for n, row in enumerate(rows[1:])]
    own.write("reviews.csv", "\n".join(grouped) + "\n")
    assert own.make("data", "SOURCE=reviews.csv", "TEXT=text", "LABEL=label", "GROUP=film").status == 0
    done = own.make("run")
    assert done.status == 0, done.text
    assert "The first of its split to pass" in done.text
    assert "Version 1 was split otherwise" in done.text


def test_an_alias_moved_by_hand_gets_its_line_in_the_ledger(
    small: Project, build_again: Callable[[Project, int], None]
) -> None:
    assert small.make("build").status == 0
    move = 'import mlflow; mlflow.MlflowClient().set_registered_model_alias("reviews", "champion", "1")'
    assert small.python(move, MLFLOW_TRACKING_URI=small.tracking_uri).status == 0
    assert small.make("deploy").status == 0
    assert [(line["action"], line["after"]) for line in small.ledger] == [("found", 1)]


def test_no_model_over_the_floor_is_an_error_that_says_so(small: Project) -> None:
    small.write("params.yaml", (small.root / "params.yaml").read_text().replace("accuracy}", "accuracy, floor: 0.999}"))
    done = small.make("run")
    assert done.status != 0
    assert "does not reach the floor" in done.text
    assert "reviews needs a champion" in done.text
    assert "Traceback" not in done.text
    assert small.ledger == []


def test_the_table_of_a_test_is_learnable_but_not_trivially() -> None:
    lines = small_table(50).splitlines()
    assert len(lines) == 51
    assert {line.rpartition(",")[2] for line in lines[1:]} == {"good", "bad"}
