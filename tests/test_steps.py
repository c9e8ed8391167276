"""The pure steps: worked examples that a person can check, and properties over whatever Hypothesis invents."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.steps import bootstrap, facts, gate, prepare, private, quarantine, score, slices, split, table
from ratchet.steps.normalise import normalise, normalised

ODD = st.sampled_from(['"', ",", "\n", "\r", "\r\n", "\x00", "\ufeff", "\u2028", "é", "e\u0301", "漢", "😀", " ", ""])
CELLS = st.none() | st.text(max_size=12) | st.lists(ODD, max_size=6).map("".join)
TEXTS = st.lists(st.text(max_size=8) | st.lists(ODD, max_size=4).map("".join), min_size=1, max_size=30)


def frame_of(
    texts: list[str | None], labels: list[str | None] | None = None, **columns: list[str | None]
) -> pl.DataFrame:
    rows = {"text": texts, "label": labels or ["a"] * len(texts), **columns}
    return pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))


# --- normalise


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise([text])
    assert normalise(once) == once


@given(TEXTS)
def test_the_quick_way_to_compare_texts_is_the_plain_way(texts: list[str]) -> None:
    frame = pl.DataFrame({"text": texts})
    plain = frame.select(normalised(pl.col("text")).str.to_lowercase())["text"]
    assert facts.compared(frame["text"]).to_list() == plain.to_list()
    assert frame["text"].to_list() == texts, "the input is left as it was"


# --- table


@settings(deadline=None)
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=20),
    st.lists(st.text(min_size=1), min_size=3, max_size=3, unique=True),
)
def test_a_table_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, ...]], names: list[str]
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    table.write(frame, path)
    assert table.read(path).equals(frame)


def test_quotes_and_line_ends_survive_in_a_file_that_is_read_in_parts(tmp_path: Path) -> None:
    """Long enough for polars to cut it up and read the parts at once, each part having to find a row's start."""
    rng = np.random.default_rng(0)
    odd = np.array(['"', '""', ",", "\n", "\r\n", "a", '","', '"\n"'])
    cells = ["".join(odd[rng.integers(0, len(odd), rng.integers(0, 30))]) for _ in range(40_000)]
    frame = pl.DataFrame({"text": cells[:20_000], "label": cells[20_000:]})
    table.write(frame, tmp_path / "table.csv")
    assert table.read(tmp_path / "table.csv").equals(frame)


def test_the_bytes_of_a_table_are_these(tmp_path: Path) -> None:
    """Pinned: a change here changes the hash of everybody's data."""
    path = tmp_path / "table.csv"
    table.write(frame_of(['say "hi"', None, "", "a\r\nb"], ["x", "y", None, "z"]), path)
    assert path.read_bytes() == b'"text","label"\n"say ""hi""","x"\n,"y"\n"",\n"a\r\nb","z"\n'
    assert list(tmp_path.iterdir()) == [path], "nothing else is left behind"


def test_the_bytes_do_not_depend_on_how_the_frame_is_cut(tmp_path: Path) -> None:
    whole = frame_of([f"text {at}" for at in range(table.SLICE + 10)])
    table.write(whole, tmp_path / "whole.csv")
    table.write(pl.concat([whole.head(7), whole.slice(7)], rechunk=False), tmp_path / "cut.csv")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (pl.DataFrame({"text": ["a"], "stars": [5]}), TypeError),
        (pl.DataFrame({"text": ["a"]}), ValueError),
    ],
    ids=["a number column", "one column"],
)
def test_a_table_that_has_no_canonical_form_is_refused(
    frame: pl.DataFrame, error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error, match="Received"):
        table.write(frame, tmp_path / "table.csv")
    assert not list(tmp_path.iterdir())


# --- facts, private, quarantine


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("missing_text", None),
        ("blank", " \u200b\n"),
        ("overlong", "x" * 101),
        ("control", "a\x00b"),
        ("replaced", "caf\ufffd"),
        ("mojibake", "cafÃ©"),
        ("mojibake", "donâ€™t"),
        ("mail", "write to jo.b+x@mail.example.org."),
        ("phone", "+44 20 7946 0958"),
        ("phone", "(212) 555-0187"),
        ("card", "pay 4111 1111 1111 1111 now"),
        ("card", "378282246310005"),
    ],
)
def test_each_fact_is_found_and_alone(fact: str, text: str | None) -> None:
    found = facts.measure(frame_of(["a plain text", text]), max_characters=100)
    expected = {fact, *({"damaged"} if fact in ("replaced", "mojibake") else ())}
    expected |= {"set_aside"} if fact in facts.REASONS else set()
    yes = {
        name for name in found.columns if found.schema[name] == pl.Boolean and found[name].to_list() == [False, True]
    }
    assert yes == expected


@pytest.mark.parametrize(
    "text",
    [
        "Müller aß Äpfel in São Paulo",
        "à â ç é ï",
        "on 2024-01-31 at 10:30",
        "4111 1111 1111 1112",
        "me @ home",
        "1234567",
    ],
)
def test_ordinary_texts_raise_no_flag(text: str) -> None:
    found = facts.measure(frame_of([text]))
    flags = ("damaged", "control", "mail", "phone", "card", "blank", "set_aside")
    assert not any(found[flag][0] for flag in flags)


def test_copies_and_conflicts_are_seen_through_case_and_space() -> None:
    found = facts.measure(frame_of(["One", " one\n", "two", "TWO"], ["a", "a", "a", "b"]))
    assert found["duplicate"].to_list() == [False, True, False, True]
    assert found["conflict"].to_list() == [False, False, True, True]


def test_facts_hold_no_text_and_keep_the_rows() -> None:
    frame = frame_of(["secret", None], ["a", "b"]).with_columns(row=pl.Series([7, 9]))
    found = facts.measure(frame)
    assert found["row"].to_list() == [7, 9]
    assert "secret" not in str(found.to_dict(as_series=False))


def test_facts_need_text_and_label() -> None:
    with pytest.raises(ValueError, match="Received: \\['words'\\]"):
        facts.measure(pl.DataFrame({"words": ["a"]}))


@given(st.integers(10**11, 10**17))
def test_one_wrong_digit_is_no_card_number(number: int) -> None:
    digits = str(number)
    passing = [last for last in "0123456789" if private.is_card_number(digits + last)]
    assert len(passing) == 1


def test_bad_rows_are_set_aside_with_their_first_reason() -> None:
    frame = frame_of(["good", None, "", "x" * 30, "a\x1bb", "fine"], ["a", None, "a", "a", "b", " "])
    valid, aside = quarantine.set_aside(frame, facts.measure(frame, max_characters=20))
    assert valid["text"].to_list() == ["good"]
    assert dict(zip(aside["row"], aside["reason"], strict=True)) == {
        2: "missing text",
        3: "blank text",
        4: "overlong text",
        5: "control characters",
        6: "missing label",
    }


# --- prepare


def test_copies_go_and_disputed_texts_go_whole() -> None:
    valid = frame_of(["Good  film", "good film", "bad", "So so", "so so", "end"], ["p", "p", "n", "p", "n", " n "])
    done = prepare.prepare(valid)
    assert done.frame.rows() == [("Good film", "p"), ("bad", "n"), ("end", "n")]
    assert done.report == prepare.Report(rows_in=6, rows_out=3, copies=1, conflicting=2, conflicting_texts=1)


@given(TEXTS, st.randoms())
def test_prepared_rows_are_counted_unique_and_stable(texts: list[str], random: object) -> None:
    labels = [str(len(text) % 2) for text in texts]
    done = prepare.prepare(frame_of(list(texts), list(labels)))
    keys = facts.compared(done.frame["text"])
    assert keys.n_unique() == len(keys)
    assert done.report.rows_in == done.report.rows_out + done.report.copies + done.report.conflicting
    again = prepare.prepare(done.frame)
    assert again.frame.equals(done.frame)


# --- split

SPEC = split.SplitSpec(by="group", salt="test")
HELD, VALIDATED = [3, 14, 16], [1, 5, 8, 9, 10, 24, 32]


def test_these_rows_are_on_these_sides() -> None:
    """Pinned: a change here moves everybody's rows between train and holdout."""
    groups: list[str | None] = [f"film {at}" for at in range(40)]
    sides = split.assign(frame_of(["x"] * 40, group=groups), SPEC)["split"].to_list()
    assert [at for at, side in enumerate(sides) if side == "holdout"] == HELD
    assert [at for at, side in enumerate(sides) if side == "validation"] == VALIDATED


@given(TEXTS, TEXTS)
def test_no_row_moves_as_data_grows(first: list[str], more: list[str]) -> None:
    spec = split.SplitSpec(by="text", salt="s", validation=0.3, holdout=0.3)
    before = split.assign(frame_of(list(first)), spec)["split"].to_list()
    after = split.assign(frame_of([*more, *first]), spec)["split"].to_list()
    assert after[len(more) :] == before


@given(st.lists(st.sampled_from("abcdefgh") | st.none(), min_size=1, max_size=60))
def test_a_group_and_a_text_are_on_one_side(groups: list[str | None]) -> None:
    spec = split.SplitSpec(by="group", salt="s", validation=0.3, holdout=0.3)
    texts: list[str | None] = [f"text {at % 5}" for at in range(len(groups))]
    done = split.assign(frame_of(texts, group=list(groups)), spec)
    grouped = done.filter(pl.col("group").is_not_null())
    assert (grouped.group_by("group").agg(pl.col("split").n_unique())["split"] == 1).all()
    alone = done.filter(pl.col("group").is_null())
    assert (alone.group_by("text").agg(pl.col("split").n_unique())["split"] == 1).all()


def test_near_copies_are_on_one_side_and_shares_are_kept() -> None:
    spec = split.SplitSpec(by="text", salt="s")
    texts: list[str | None] = [f"Text {at}" for at in range(5000)]
    plain = split.assign(frame_of(texts), spec)["split"]
    near = split.assign(frame_of([f" {text} \n".upper() for text in texts if text]), spec)["split"]
    assert plain.to_list() == near.to_list()
    shares = dict(plain.value_counts(normalize=True).rows())
    assert shares["holdout"] == pytest.approx(0.1, abs=0.02)
    assert shares["validation"] == pytest.approx(0.1, abs=0.02)


def test_another_salt_is_another_split() -> None:
    frame = frame_of([f"text {at}" for at in range(200)])
    sides = [split.assign(frame, split.SplitSpec(by="text", salt=salt))["split"].to_list() for salt in "ab"]
    assert sides[0] != sides[1]


def test_a_specification_survives_json_and_refuses_nonsense() -> None:
    assert split.SplitSpec.from_json(SPEC.to_json()) == SPEC
    with pytest.raises(ValueError, match=r"Received: 0\.6 and 0\.5"):
        split.SplitSpec(by="text", salt="s", validation=0.6, holdout=0.5)
    with pytest.raises(ValueError, match="needs a column `group`"):
        split.assign(frame_of(["a"]), SPEC)


# --- score


def random_case(seed: int, classes: int, rows: int = 300) -> tuple[tuple[str, ...], list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = tuple(f"c{at}" for at in range(classes))
    truth = [labels[at] for at in rng.integers(0, classes, rows)]
    return labels, truth, rng.dirichlet(np.ones(classes), rows)


@pytest.mark.parametrize(("classes", "positive"), [(2, "c1"), (2, "c0"), (2, None), (5, None), (5, "c1")])
def test_scores_are_those_of_scikit_learn(classes: int, positive: str | None) -> None:
    from sklearn import metrics

    labels, truth, probabilities = random_case(classes, classes)
    got = score.score(labels, truth, probabilities, positive)
    likely = [labels[at] for at in probabilities.argmax(axis=1)]
    one = {"average": "binary", "pos_label": positive} if classes == 2 and positive else {"average": "macro"}
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, likely, zero_division=0, **one)
    assert got.accuracy == pytest.approx(metrics.accuracy_score(truth, likely))
    assert (got.precision, got.recall, got.f1) == pytest.approx((precision, recall, f1))
    assert got.macro_f1 == pytest.approx(metrics.f1_score(truth, likely, average="macro"))
    assert got.log_loss == pytest.approx(metrics.log_loss(truth, probabilities, labels=list(labels)))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 40))
def test_scores_agree_on_small_and_lopsided_sets_too(seed: int, classes: int, rows: int) -> None:
    from sklearn import metrics

    labels, truth, probabilities = random_case(seed, classes, rows)
    likely = [labels[at] for at in probabilities.argmax(axis=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = metrics.f1_score(truth, likely, average="macro", zero_division=0)
    assert score.score(labels, truth, probabilities).macro_f1 == pytest.approx(expected)


def test_a_worked_example_of_every_score() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    got = score.score(("a", "b"), ["a", "b", "b", "b"], probabilities, positive="b")
    assert got.accuracy == 0.75
    assert (got.precision, got.recall) == (1.0, pytest.approx(2 / 3))
    assert got.log_loss == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.7]).mean())
    # Each row is in a bin of its own: gaps 0.1, 0.8, 0.4 and 0.3.
    assert got.ece == pytest.approx((0.1 + 0.8 + 0.4 + 0.3) / 4)
    assert got.as_metrics("holdout")["rows_holdout"] == 4


@pytest.mark.parametrize(
    ("truth", "probabilities", "rule"),
    [
        (["a", "z"], np.full((2, 2), 0.5), "true label must be one the model knows"),
        (["a"], np.full((2, 2), 0.5), "a row for each true label"),
        (["a", "b"], np.full((2, 2), np.nan), "must be numbers"),
    ],
)
def test_what_cannot_be_scored_is_refused(truth: list[str], probabilities: np.ndarray, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        score.score(("a", "b"), truth, probabilities)


def test_a_calibrated_model_has_little_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1.0, 20_000)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    truth = np.where(rng.random(20_000) < sure, "a", "b").tolist()
    assert score.score(("a", "b"), truth, probabilities).ece < 0.02


# --- slices


def test_slices_name_their_cut_offs_and_leave_out_the_small() -> None:
    texts: list[str | None] = [*("x" * (1 + at % 90) for at in range(270)), *["漢字"] * 30]
    shops: list[str | None] = [*["north"] * 271, *["south"] * 29]
    masks = slices.slices(frame_of(texts, shop=shops), ["shop"])
    assert set(masks) == {
        "up to 24 characters",
        "25 to 57 characters",
        "over 57 characters",
        "in Chinese characters",
        "in Latin letters",
        "shop = north",
    }
    assert sum(mask.sum() for name, mask in masks.items() if "characters" in name and "Chinese" not in name) == 300


def test_each_slice_is_scored_on_its_own_rows() -> None:
    labels, truth, probabilities = random_case(1, 2, 100)
    masks = {"first": np.arange(100) < 40}
    assert slices.score_by_slice(masks, labels, truth, probabilities)["first"] == score.score(
        labels, truth[:40], probabilities[:40]
    )


# --- bootstrap and gate

LABELS = ("a", "b")


def answers(truth: np.ndarray, right: np.ndarray, sure: float = 0.8) -> np.ndarray:
    """Probabilities of a model that is right on the rows where `right` is true."""
    probabilities = np.full((len(truth), 2), 1 - sure)
    probabilities[np.arange(len(truth)), np.where(right, truth, 1 - truth)] = sure
    return probabilities


def judged(
    right: np.ndarray,
    champion: np.ndarray | None,
    groups: list[str] | None = None,
    rules: gate.Rules | None = None,
) -> gate.Decision:
    truth = np.arange(len(right)) % 2
    holdout = gate.Holdout(LABELS, [LABELS[at] for at in truth], groups, "a")
    return gate.decide(
        gate.Candidate("challenger", answers(truth, right)),
        None if champion is None else gate.Candidate("v3", answers(truth, champion)),
        gate.Candidate("majority", np.tile([0.51, 0.49], (len(right), 1))),
        holdout,
        rules or gate.Rules(floor=0.6),
    )


def share(rows: int, right: float) -> np.ndarray:
    """Right on that share of the rows, spread at random."""
    return np.random.default_rng(1).permutation(rows) < round(right * rows)


def test_the_first_good_model_is_promoted() -> None:
    done = judged(share(400, 0.8), None)
    assert (done.promote, done.verdict) == (True, "Promoted")
    assert done.reason == (
        "The first model to pass: the challenger's accuracy 80.0% beats 50.0%, "
        "that of always giving the most frequent class."
    )


def test_a_model_below_the_floor_is_refused_with_or_without_a_champion() -> None:
    alone, beside = judged(share(400, 0.55), None), judged(share(400, 0.55), share(400, 0.8))
    assert (alone.verdict, beside.verdict) == ("Refused", "Refused")
    assert alone.reason == "The challenger's accuracy 55.0% does not reach the floor 60.0%."
    assert beside.reason.endswith(", so v3 stays.")


def test_a_model_no_better_than_the_most_frequent_class_is_refused() -> None:
    done = judged(share(400, 0.5), None, rules=gate.Rules(floor=0.2))
    assert done.verdict == "Refused"
    assert "does not beat 50.0%, that of always giving the most frequent class" in done.reason


def test_a_clearly_better_challenger_is_promoted_and_says_by_how_much() -> None:
    done = judged(np.arange(1000) % 10 < 8, np.arange(1000) % 10 < 7)
    assert done.promote
    assert done.difference == pytest.approx(0.1)
    assert done.interval is not None
    assert done.interval[0] < 0.1 < done.interval[1]
    assert done.reason.startswith("The challenger is right on 10.0 points more of 1,000 holdout rows (80% interval +")
    assert done.reason.endswith("so it replaces v3.")


def test_a_margin_asks_for_more() -> None:
    right, champion = np.arange(1000) % 10 < 8, np.arange(1000) % 10 < 7
    done = judged(right, champion, rules=gate.Rules(floor=0.6, margin=0.1))
    assert done.verdict == "Kept champion"
    assert "and more than 10.0 points is asked" in done.reason


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
def test_the_same_answers_never_replace_the_champion(metric: gate.Metric) -> None:
    right = share(300, 0.8)
    done = judged(right, right.copy(), rules=gate.Rules(metric, floor=0.69 if metric == "log_loss" else 0.6))
    assert (done.promote, done.verdict, done.difference) == (False, "Kept champion", 0.0)
    assert done.reason == "The challenger answers all 300 holdout rows as v3 does, so v3 stays."


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_swapping_the_two_turns_the_figures_round(metric: gate.Metric, seed: int) -> None:
    """Never may each replace the other, or two models could swap for ever."""
    rng = np.random.default_rng(seed)
    one, two = (rng.random(200) < right for right in (0.8, 0.8))
    groups = [f"g{at % 40}" for at in range(200)]
    rules = gate.Rules(metric, floor=0.9 if metric == "log_loss" else 0.5)
    there, back = judged(one, two, groups, rules), judged(two, one, groups, rules)
    assert not (there.promote and back.promote)
    assert there.difference is not None
    assert back.difference is not None
    assert there.difference == pytest.approx(-back.difference)
    assert there.interval == pytest.approx(tuple(-end for end in reversed(back.interval or ())))


def test_rows_that_go_together_make_the_interval_wider() -> None:
    """Ten rows of a film that are right or wrong together are nearer to one row than to ten."""
    rng = np.random.default_rng(0)
    right, champion = (np.repeat(rng.random(60) < chance, 10) for chance in (0.8, 0.75))
    groups = [f"film {at // 10}" for at in range(600)]
    by_film, by_row = judged(right, champion, groups).interval, judged(right, champion).interval
    assert by_film is not None
    assert by_row is not None
    assert by_film[1] - by_film[0] > 2 * (by_row[1] - by_row[0])


def test_one_group_cannot_judge() -> None:
    done = judged(share(300, 0.9), share(300, 0.7), ["only"] * 300)
    assert done.verdict == "Kept champion"
    assert "of one group" in done.reason


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
def test_the_bootstrap_computes_the_metric_itself(metric: gate.Metric) -> None:
    """A resample of one group is that group, so both ways to the metric must meet."""
    labels, truth, first = random_case(3, 3, 90)
    second = random_case(4, 3, 90)[2]
    true = score.indices(labels, truth)
    one_group = np.zeros(90, dtype=np.int64)
    gained = bootstrap.differences(metric, true, first, second, one_group, positive=None, resamples=3, seed=0)
    figures = [getattr(score.score(labels, truth, probabilities), metric) for probabilities in (first, second)]
    expected = figures[1] - figures[0] if metric == "log_loss" else figures[0] - figures[1]
    assert gained == pytest.approx([expected] * 3)


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Received: 'auc'"):
        gate.Rules(metric="auc")  # type: ignore[arg-type]


def test_the_bootstrap_interval_holds_what_it_promises() -> None:
    """Equal models: the lower end is above zero in about one of ten draws of the world, not more."""
    rng = np.random.default_rng(0)
    wins = [judged(rng.random(400) < 0.8, rng.random(400) < 0.8).promote for _ in range(200)]
    assert 0.03 < np.mean(wins) < 0.18
