"""One contract for every model file, and the properties of the n-grams that the models read texts as.

A new file in models/ is tested here on arrival: it learns ten rows, repeats itself with a seed, survives saving, answers
for any text, and tells how far it has come.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import unicodedata
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from models import pyfunc
from models.contract import Rows
from ratchet.steps import ngrams
from ratchet.steps.normalise import normalise
from ratchet.steps.vocabulary import Census, count

ROOT = Path(__file__).parents[1]
NAMES = models.names()
TINY: dict[str, dict[str, Any]] = {
    "lstm": {"units": 8, "embedding": 8, "epochs": 30, "patience": 30, "rate": 0.03, "dropout": 0.0, "batch": 8},
}
LEARNERS = [
    pytest.param(name, marks=pytest.mark.skip(reason="the baseline looks at no text")) if name == "majority" else name
    for name in NAMES
]
TEN = Rows(
    ["a fine film", "fine acting", "fine, funny and warm", "warm and fine", "a funny fine tale"]
    + ["a dull film", "dull acting", "dull, cold and long", "long and dull", "a cold dull tale"],
    ["good"] * 5 + ["bad"] * 5,
)
STRANGE = {
    "empty": "",
    "blank": " \t\n ",
    "long": "a fine dull word " * 20_000,
    "one long word": "x" * 200_000,
    "emoji": "👍🏽 ❤️ 🇨🇭 👨‍👩‍👧",
    "Chinese": "这部电影很好看，我很喜欢。",
    "NUL and controls": "a\x00fine\x07film\x1b\x7f",
    "lone surrogate": "fine \ud800 film",
    "unknown words": "zyzzyva qwxk",
    "combining": "e\u0301\u0301\u0301 \u0301",
    "right to left": "فيلم جيد جدا",
}


def tiny(name: str, **more: Any) -> Any:
    """The model's parameters, at a size for tests."""
    return models.get(name).Params(**(TINY.get(name, {}) | more))


def fit(name: str, train: Rows, validation: Rows, labels: tuple[str, ...], *, seed: int = 1, progress: Any = None, **more: Any):
    return models.get(name).fit(
        train, validation, labels, tiny(name, **more), seed=seed, progress=progress or (lambda *_: None)
    )


@lru_cache(maxsize=None)
def fitted(name: str) -> Any:
    """The model of the ten rows, fitted once for the tests that only ask it."""
    return fit(name, TEN, TEN, ("bad", "good"))


def five(rows_each: int = 6) -> Rows:
    """Five classes that one word each tells apart."""
    words = {"a": "apple", "b": "bread", "c": "cheese", "d": "dates", "e": "eggs"}
    texts = [f"{word} number {turn} please" for turn in range(rows_each) for word in words.values()]
    return Rows(texts, [label for _ in range(rows_each) for label in words])


def accuracy(model: Any, rows: Rows) -> float:
    found = np.array(model.labels)[model.predict_proba(rows.texts).argmax(axis=1)]
    return float((found == np.array(rows.labels)).mean())


@pytest.mark.parametrize("name", NAMES)
def test_a_model_file_offers_what_the_contract_asks(name: str):
    model = models.get(name)
    assert model.SUMMARY
    assert "\n" not in model.SUMMARY
    defaults = model.Params()
    for parameter, choices in model.SPACE.items():
        assert all(isinstance(choice, type(getattr(defaults, parameter))) for choice in choices), parameter
    with pytest.raises(AttributeError):
        defaults.something = 1  # frozen


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(LookupError, match=r"linear.*majority.*Received: 'forest'"):
        models.get("forest")


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_ten_rows(name: str):
    assert accuracy(fitted(name), TEN) == 1.0


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_five_classes_of_which_validation_lacks_two(name: str):
    rows = five()
    kept = [number for number, label in enumerate(rows.labels) if label not in "de"][:9]
    validation = Rows([rows.texts[n] for n in kept], [rows.labels[n] for n in kept])
    model = fit(name, rows, validation, ("a", "b", "c", "d", "e"))
    assert accuracy(model, rows) == 1.0
    assert model.predict_proba(rows.texts).shape == (30, 5)


@pytest.mark.parametrize("name", LEARNERS)
def test_it_finds_the_rare_class_of_an_imbalanced_set(name: str):
    texts = [f"order {turn} arrived fine" for turn in range(57)] + [f"order {turn} broken badly" for turn in range(3)]
    rows = Rows(texts, ["praise"] * 57 + ["complaint"] * 3)
    assert accuracy(fit(name, rows, rows, ("complaint", "praise")), rows) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_no_validation_rows_are_no_reason_to_fail(name: str):
    model = fit(name, TEN, Rows([], []), ("bad", "good"), **({"epochs": 2} if name == "lstm" else {}))
    assert np.isfinite(model.predict_proba(TEN.texts)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_label_that_no_training_row_has_gets_a_column(name: str):
    model = fit(name, TEN, TEN, ("bad", "good", "never"), **({"epochs": 2} if name == "lstm" else {}))
    assert model.predict_proba(["fine"]).shape == (1, 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_predictions(name: str):
    few = {"epochs": 3} if name == "lstm" else {}
    first, second = (fit(name, TEN, TEN, ("bad", "good"), seed=7, **few) for _ in range(2))
    assert first is not second
    assert np.array_equal(first.predict_proba(TEN.texts), second.predict_proba(TEN.texts))


@pytest.mark.parametrize("name", NAMES)
def test_saving_and_loading_changes_nothing(name: str, tmp_path: Path):
    model = fitted(name)
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert type(again) is type(model)
    assert tuple(again.labels) == tuple(model.labels)
    texts = [*TEN.texts, *STRANGE.values()]
    assert np.array_equal(again.predict_proba(texts), model.predict_proba(texts))


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_is_data_without_pickle(name: str, tmp_path: Path):
    fitted(name).save(tmp_path)
    about = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert about["model"] == name
    assert about["labels"] == ["bad", "good"]
    assert set(about["params"]) == set(vars(tiny(name)))
    for path in tmp_path.iterdir():
        assert path.suffix in {".json", ".npz"}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[key].dtype != object for key in arrays.files)


def test_another_process_predicts_the_same_and_needs_no_scikit_learn(tmp_path: Path):
    model = fitted("linear")
    model.save(tmp_path)
    script = (
        "import sys, pathlib, models\n"
        f"print(models.load(pathlib.Path({str(tmp_path)!r})).predict_proba({TEN.texts!r}).tobytes().hex())\n"
        "sys.exit('sklearn' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == model.predict_proba(TEN.texts).tobytes().hex()


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("name", NAMES)
def test_any_text_gets_probabilities(name: str, kind: str):
    found = fitted(name).predict_proba([STRANGE[kind]])
    assert found.shape == (1, 2)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_no_texts_get_no_probabilities(name: str):
    assert fitted(name).predict_proba([]).shape == (0, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_alone_is_judged_as_in_a_batch(name: str):
    texts = [*STRANGE.values(), *TEN.texts]
    together = fitted(name).predict_proba(texts)
    alone = np.vstack([fitted(name).predict_proba([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_input_is_left_as_it_was(name: str):
    train, validation = copy.deepcopy(TEN), copy.deepcopy(TEN)
    model = fit(name, train, validation, ("bad", "good"), **({"epochs": 1} if name == "lstm" else {}))
    model.predict_proba(train.texts)
    assert train == TEN == validation


@pytest.mark.parametrize("name", NAMES)
def test_progress_only_grows_and_arrives(name: str):
    told: list[tuple[int, int, dict[str, float]]] = []
    few = {"epochs": 3} if name == "lstm" else {}
    fit(name, TEN, TEN, ("bad", "good"), progress=lambda done, total, metrics: told.append((done, total, dict(metrics))), **few)
    done = [step for step, _, _ in told]
    assert done == sorted(done)
    assert len({total for _, total, _ in told}) == 1
    assert done[-1] == told[-1][1]
    assert all(np.isfinite(value) for _, _, metrics in told for value in metrics.values())


def test_the_learning_curve_has_an_entry_a_pass():
    history = fitted("lstm").history
    assert 1 <= len(history) <= TINY["lstm"]["epochs"]
    assert all(set(entry) == {"loss", "accuracy", "validation_loss", "validation_accuracy"} for entry in history)


def test_the_lstm_stops_when_its_time_is_spent():
    assert len(fit("lstm", TEN, TEN, ("bad", "good"), minutes=0.0).history) == 1


def test_the_linear_model_refuses_a_single_class():
    with pytest.raises(ValueError, match=r"two classes.*Received: 2 rows of \['good'\]"):
        fit("linear", Rows(["a", "b"], ["good", "good"]), TEN, ("bad", "good"))


def test_importing_the_models_loads_no_framework():
    script = (
        "import sys, pkgutil, importlib, models, ratchet.steps, models.pyfunc\n"
        "for name in models.names(): models.get(name)\n"
        "for step in pkgutil.iter_modules(ratchet.steps.__path__): importlib.import_module('ratchet.steps.' + step.name)\n"
        "heavy = {'prefect', 'mlflow', 'great_expectations', 'dvc', 'tensorflow', 'keras', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, f"loaded by an import alone: {told.stderr}"


class TestPyfunc:
    """The view that MLflow has of a model."""

    @pytest.fixture
    def predictor(self, tmp_path: Path) -> pyfunc.Predictor:
        fitted("linear").save(tmp_path)
        return pyfunc._load_pyfunc(str(tmp_path))

    @pytest.mark.parametrize("wrap", [list, tuple, pd.Series, np.array, lambda texts: pd.DataFrame({"text": texts})])
    def test_any_shape_of_texts_gives_one_table(self, predictor: pyfunc.Predictor, wrap: Any):
        table = predictor.predict(wrap(["a fine film", "a dull film"]))
        assert list(table.columns) == ["label", "score", "p_bad", "p_good"]
        assert list(table["label"]) == ["good", "bad"]
        assert np.allclose(table["score"], table[["p_bad", "p_good"]].max(axis=1))

    def test_a_missing_text_is_an_empty_one(self, predictor: pyfunc.Predictor):
        table = predictor.predict(pd.DataFrame({"text": [None, float("nan"), pd.NA, ""]}, dtype=object))
        assert table["p_good"].nunique() == 1

    def test_the_index_of_a_frame_is_kept(self, predictor: pyfunc.Predictor):
        assert list(predictor.predict(pd.DataFrame({"text": ["a", "b"]}, index=[7, 9])).index) == [7, 9]

    def test_a_frame_without_texts_is_refused_by_name(self, predictor: pyfunc.Predictor):
        with pytest.raises(ValueError, match="must have a column 'text'. Received: 'review', 'stars'"):
            predictor.predict(pd.DataFrame({"review": ["a"], "stars": [1]}))

    @pytest.mark.parametrize("given", ["a lone text", 7, None, {"text": "a"}])
    def test_what_holds_no_texts_is_refused(self, predictor: pyfunc.Predictor, given: object):
        with pytest.raises(TypeError, match="Received: (str|int|NoneType|dict)"):
            predictor.predict(given)

    def test_a_number_is_no_text(self, predictor: pyfunc.Predictor):
        with pytest.raises(TypeError, match="must be a string. Received: 7"):
            predictor.predict([7])


def naive(text: str) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Words with pairs and triples, and pieces, of a text: as ngrams.py defines them, character by character."""
    kind_of, _ = ngrams.characters()
    text = "\n" + unicodedata.normalize("NFC", text) + "\n"
    kinds = [int(kind_of[min(ord(character), 0xFFFF)]) for character in text]
    folded = [character.lower() if len(character.lower()) == 1 and ord(character) < 0x10000 else character for character in text]
    for at in [at for at, kind in enumerate(kinds) if kind == ngrams.APOSTROPHE]:
        folded[at] = "'"
        raw = [int(kind_of[min(ord(text[at + side]), 0xFFFF)]) for side in (-1, 1)]
        kinds[at] = ngrams.LETTER if raw == [ngrams.LETTER] * 2 else ngrams.GAP
    words: list[tuple[str, bool]] = []
    for at, kind in enumerate(kinds):
        if kind == ngrams.LETTER and kinds[at - 1] == ngrams.LETTER:
            words[-1] = (words[-1][0] + folded[at], False)
        elif kind in (ngrams.LETTER, ngrams.SIGN):
            words.append((folded[at], kind == ngrams.SIGN))
    said: Counter[tuple[str, ...]] = Counter((word,) for word, _ in words)
    said.update((one[0], two[0]) for one, two in zip(words, words[1:], strict=False))
    said.update(tuple(w for w, _ in three) for three in zip(words, words[1:], words[2:], strict=False) if all(s for _, s in three))
    letters = [character if kind == ngrams.LETTER else "|" for character, kind in zip(folded, kinds, strict=True)]
    runs = (tuple(letters[at : at + 4]) for at in range(len(letters) - 3))
    return said, Counter(run for run in runs if "|" not in run[1:3])


TEXTS = st.lists(st.text(max_size=40) | st.text("abc de'’É好한!?👍\n.", max_size=40), min_size=1, max_size=6)


def counted(texts: list[str], learnt: list[str]) -> list[list[Counter[int]]]:
    """For words and for pieces: the counts of each text, by column."""
    block, parts = ngrams.read(learnt), []
    for read in (lambda block: block.words, lambda block: block.pieces):
        census = Census()
        census.add(block.owner, read(block))
        known = census.vocabulary(1, 10**6)
        some = ngrams.read(texts)
        rows = count(some, read(some), known).matrix.toarray() if len(known) else np.zeros((len(texts), 0))
        parts.append([Counter(row[row > 0].astype(int).tolist()) for row in rows])
    return parts


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_counts_are_those_of_a_naive_count(texts: list[str]):
    words, pieces = counted(texts, texts)
    for text, word_counts, piece_counts in zip(texts, words, pieces, strict=True):
        said, cut = naive(text)
        assert word_counts == Counter(said.values())
        assert piece_counts == Counter(cut.values())


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_a_texts_ngrams_do_not_depend_on_the_batch(texts: list[str]):
    block = ngrams.read(texts)
    for number, text in enumerate(texts):
        alone = ngrams.read([text])
        for whole, single in zip((*block.words, *block.pieces), (*alone.words, *alone.pieces), strict=True):
            own = whole.valid & (block.owner[whole.starts] == number)
            assert np.array_equal(whole.hashes[own], single.hashes[single.valid])


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_normalising_changes_no_ngram(texts: list[str]):
    for text, tidy in zip(texts, normalise(texts), strict=True):
        for one, two in zip(ngrams.read([text]).words, ngrams.read([tidy]).words, strict=True):
            assert np.array_equal(one.hashes[one.valid], two.hashes[two.valid])


@settings(max_examples=50, deadline=None)
@given(TEXTS, st.integers(1, 60))
def test_blocks_are_the_texts_in_order(texts: list[str], size: int):
    runs = list(ngrams.blocks(texts, size))
    assert [text for run in runs for text in run] == texts
    assert all(len(run) == 1 or sum(len(text) + 1 for text in run) <= size for run in runs)


def test_a_vocabulary_keeps_the_commonest():
    block = ngrams.read(["a b", "a c", "a b"])
    census = Census()
    census.add(block.owner, block.words[:1])
    most = census.commonest(2, 10)
    assert len(most) == 2
    assert most[0] == block.words[0].hashes[0]
