"""The bundle of a model: packed only if the model loads and answers, opened only if every byte is as it was packed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.majority import Majority
from ratchet.project.errors import Refusal
from ratchet.serving.answering.bundle import MANIFEST, Facts, open_bundle, pack, task_of

FACTS = Facts("reviews", 2, "majority", "run", "d" * 32, "c" * 40)


def saved(folder: Path, *shares: float) -> Path:
    folder.mkdir()
    Majority(("bad", "good"), shares).save(folder)
    return folder


def test_a_model_that_answers_is_packed_and_opened(tmp_path: Path) -> None:
    digest = pack(saved(tmp_path / "saved", 0.4, 0.6), FACTS, tmp_path / "bundles")
    bundle = open_bundle(tmp_path / "bundles", digest)
    assert (bundle.digest, bundle.facts, bundle.labels) == (digest, FACTS, ("bad", "good"))


def test_the_same_files_and_facts_have_the_same_digest(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", 0.4, 0.6)
    digests = {pack(folder, FACTS, tmp_path / name) for name in ("here", "there", "there")}
    assert len(digests) == 1
    assert len(list((tmp_path / "there").iterdir())) == 1, "packed once"


def test_a_bundle_of_the_first_kind_keeps_the_digest_it_had_before_there_were_others(tmp_path: Path) -> None:
    digest = pack(saved(tmp_path / "saved", 0.4, 0.6), FACTS, tmp_path / "bundles")
    assert digest == "cba9621a7cc2a7f5b3d5b7709ff48b0c48d4038e7707badb312630e1fb478d6f"
    bundle = open_bundle(tmp_path / "bundles", digest)
    assert (bundle.facts.task, bundle.task.name) == ("classify", "classify")
    assert replace(FACTS, task="predict_number").written() == FACTS.written() | {"task": "predict_number"}


def test_a_bundle_of_a_kind_that_is_not_there_does_not_go_live(tmp_path: Path) -> None:
    facts = replace(FACTS, task="foretell")
    with pytest.raises(Refusal, match=r"Version 2 must load.*A task must be one of .*classify.* Received: 'foretell'"):
        pack(saved(tmp_path / "saved", 0.4, 0.6), facts, tmp_path / "bundles")
    assert task_of(tmp_path / "saved", 2) == "classify"


@pytest.mark.parametrize("shares", [(0.4, 0.5), (0.4, 0.3, 0.3), (float("nan"), 1.0)])
def test_a_model_whose_answers_are_no_probabilities_does_not_go_live(tmp_path: Path, shares: tuple[float, ...]) -> None:
    with pytest.raises(Refusal, match=r"Version 2 must answer 4 odd texts .* It does not go live"):
        pack(saved(tmp_path / "saved", *shares), FACTS, tmp_path / "bundles")
    assert list((tmp_path / "bundles").iterdir()) == []


def test_a_model_that_does_not_load_does_not_go_live(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", 0.4, 0.6)
    (folder / "model.json").write_text('{"model": "majority"}')
    with pytest.raises(Refusal, match="Version 2 must load"):
        pack(folder, FACTS, tmp_path / "bundles")
    assert list((tmp_path / "bundles").iterdir()) == []


@pytest.mark.parametrize("name", ["model.json", MANIFEST, "extra.json"])
def test_a_changed_or_added_file_is_not_served(tmp_path: Path, name: str) -> None:
    digest = pack(saved(tmp_path / "saved", 0.4, 0.6), FACTS, tmp_path / "bundles")
    with open(tmp_path / "bundles" / digest / name, "a") as file:
        file.write(" ")
    with pytest.raises(Refusal, match="served as it was packed"):
        open_bundle(tmp_path / "bundles", digest)
