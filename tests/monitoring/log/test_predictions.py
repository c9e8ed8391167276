"""The log of predictions on a file and in PostgreSQL: what counts of what is said twice, and what it costs to read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from models.text.normalise import compared_form
from ratchet import tasks
from ratchet.data.prepare import row_diff
from ratchet.data.prepare.label_sources import AUDIT, CHOSEN, USER
from ratchet.data.versions import feedback_table, quarantine
from ratchet.data.versions.quarantine import FILE, LINE, REASON
from ratchet.monitoring import canary_outcomes, feedback
from ratchet.monitoring.labels import feedback_rules
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.database import Place
from ratchet.monitoring.log.postgres_log import MARK
from ratchet.monitoring.log.writer import LabelMessage, Policy, Writer
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from tests.support.stores import BINARIES, Postgres, postgres

SECOND = """
create table predictions (
id text primary key, at real not null, problem text not null, version integer not null, role text not null,
route text not null, label text not null, score real not null, characters integer not null, digest text not null,
text text, seconds real){};
create table feedback (
prediction text not null, label text not null, source text not null, at real not null,
primary key (prediction, label)){};
create index latest on predictions (problem, version, id);
create index said on feedback (at);
insert into predictions values ('1', 1, 'films', 1, 'champion', 'page', 'bad', .9, 4, 'd', 'dull', .1);
insert into feedback values ('1', 'good', 'user', 7);
"""
"""The tables of version 2, with an answer and what was said of it."""
needs_postgres = pytest.mark.skipif(BINARIES is None, reason="no PostgreSQL here: apt-get install postgresql")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["a file", pytest.param("PostgreSQL", marks=needs_postgres)])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Place]:
    """Makes the place of an empty log of that name."""

    def made(name: str) -> Place:
        if request.param == "a file":
            return tmp_path / f"{name}.db"
        cluster: Postgres = request.getfixturevalue("cluster")
        cluster.sql("postgres", f"drop database if exists {name}", f"create database {name}")
        return cluster.address(name)

    return made


def logged(
    log: Place,
    *texts: str | None,
    role: str = "champion",
    problem: str = "films",
    version: int = 1,
    label: str = "bad",
    now: float | None = None,
) -> list[str]:
    """Log an answer to each text; the ids."""
    ids = predictions.identities(len(texts), now)
    rows = [
        (name, 1.0, problem, version, role, "page", label, 0.9, 4, predictions.digest(text or name), text, 0.1)
        for name, text in zip(ids, texts, strict=True)
    ]
    with database.connected(log) as connection:
        connection.executemany(predictions.INSERT, rows)
    return ids


def say(log: Place, name: str, label: str, source: str, at: float, chance: float | None = None) -> None:
    with database.connected(log) as connection:
        connection.execute(predictions.FEEDBACK, (name, label, source, at, chance))


def kept(log: Place) -> list[tuple[object, ...]]:
    with database.connected(log) as connection:
        rows = connection.execute("select label, source, at, chance from feedback order by label, at").fetchall()
    return [tuple(row) for row in rows]


def test_the_stronger_source_stays_and_the_last_time_counts(fresh: Callable[[str], Place]) -> None:
    log = fresh("sources")
    (name,) = logged(log, "dull")
    for at, (source, chance, expected) in enumerate(
        [
            (USER, None, (USER, 0, None)),
            (USER, None, (USER, 1, None)),
            (CHOSEN, 0.25, (CHOSEN, 2, 0.25)),
            (USER, None, (CHOSEN, 2, 0.25)),
            (CHOSEN, 0.5, (CHOSEN, 4, 0.5)),
            (AUDIT, None, (AUDIT, 5, None)),
            (CHOSEN, 0.75, (AUDIT, 5, None)),
            (USER, None, (AUDIT, 5, None)),
            (AUDIT, None, (AUDIT, 8, None)),
        ]
    ):
        say(log, name, "good", source, at, chance)
        assert kept(log) == [("good", *expected)]
    say(log, name, "bad", USER, 9)
    assert kept(log) == [("bad", USER, 9, None), ("good", AUDIT, 8, None)]
    assert (predictions.count_waiting_labels(log, "films"), predictions.count_waiting_labels(log, "books")) == (2, 0)


@pytest.mark.parametrize("after", [(USER,), (CHOSEN,), (USER, CHOSEN, USER)])
def test_a_label_that_the_audit_revoked_stays_revoked(fresh: Callable[[str], Place], after: tuple[str, ...]) -> None:
    """An audit says good, then bad; whoever says good after it has not changed the audit's mind."""
    log = fresh("taken_back")
    (name,) = logged(log, "dull", label="good")
    say(log, name, "good", AUDIT, 1)
    say(log, name, "bad", AUDIT, 2)
    for at, source in enumerate(after, 3):
        say(log, name, "good", source, at)
    assert feedback_rules.last_words(feedback.read_labels(log, "films"))["label"].to_list() == ["bad"]
    assert [row[2:] for row in canary_outcomes.audited(log, "films", 1)] == [("bad", "good")]
    assert [each.said for each in predictions.audited(log, "films", 1, 9)] == ["bad"]
    with database.connected(log) as connection:
        rows = connection.execute(feedback.MEASURED, ("films", AUDIT)).fetchall()
    assert [(each, bool(wrong)) for each, wrong in rows] == [(name, True)]


def test_a_label_waits_until_it_is_taken_and_is_forgotten_after_it(fresh: Callable[[str], Place]) -> None:
    log = fresh("waits")
    ours, later = logged(log, "ours", "ours, too", now=1.0)
    (other,) = logged(log, "of another problem", problem="books", now=1.0)
    logged(log, "nobody's", now=1.0)
    logged(log, "nobody's of another", problem="books", now=1.0)
    for name in (ours, later, other):
        say(log, name, "good", USER, 0.1 + 0.2)
    assert predictions.count_waiting_labels(log, "films") == 2
    given = predictions.waiting_labels(log, "films")
    assert [(label.prediction, label.label, label.new) for label in given] == [
        (ours, "good", True),
        (later, "good", True),
    ]
    predictions.mark_taken(log, given[:1])
    assert [label.prediction for label in predictions.waiting_labels(log, "films")] == [later]
    say(log, ours, "good", USER, 7)
    assert [(label.prediction, label.new) for label in predictions.waiting_labels(log, "films")] == [
        (ours, False),
        (later, True),
    ]
    assert predictions.count_waiting_labels(log, "films") == 1, "it is no other label for having been said again"
    predictions.mark_taken(
        log, [label for label in predictions.waiting_labels(log, "films") if label.prediction == ours]
    )
    before = predictions.identities(1, 2.0)[0]

    def texts() -> set[str]:
        with database.connected(log) as connection:
            return {text for (text,) in connection.execute("select text from predictions").fetchall()}

    with database.connected(log) as connection:
        predictions.forget(connection, "films", before)
    assert texts() == {"ours, too", "of another problem", "nobody's of another"}
    with database.connected(log) as connection:
        predictions.forget(connection, "", before)
    assert texts() == {"ours, too", "of another problem"}, "what waits stays, whosever it is"
    assert len(kept(log)) == 2


def test_a_label_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit of the writer's ends with an fsync (`synchronous` is FULL, 2), which a power cut does not undo."""
    opened = list[sqlite3.Connection]()
    connect = sqlite3.connect

    def kept_in_sight(path: Path, timeout: float) -> sqlite3.Connection:
        opened.append(connect(path, timeout=timeout))
        return opened[-1]

    log = tmp_path / "predictions.db"
    (name,) = logged(log, "dull")
    monkeypatch.setattr(sqlite3, "connect", kept_in_sight)
    writer = Writer(log)
    assert writer.write([], {7: LabelMessage(name, "good", "user", known=True, at=1.0)}) == {7: True}
    (connection,) = opened
    assert connection.execute("pragma synchronous").fetchone() == (2,)
    assert not connection.in_transaction, "it is committed by the time that it is said"
    monkeypatch.undo()
    assert kept(log) == [("good", USER, 1, None)]
    writer.close()


def test_unlabelled_answers_are_distinct_and_newest_first(fresh: Callable[[str], Place]) -> None:
    log = fresh("unheard")
    first = logged(log, "seen", "corrected", "audited", None, "twice", "twice")
    logged(log, "of another problem", problem="books")
    logged(log, "in the shadow", role="shadow")
    on_trial = logged(log, "on trial", role="challenger")
    later = logged(log, "corrected", "audited")
    say(log, first[1], "good", USER, 1)
    say(log, first[2], "good", AUDIT, 1)
    expected = [on_trial[0], first[5], first[0]]
    assert [each.id for each in predictions.unlabelled(log, "films", 99)] == expected
    assert [each.id for each in predictions.unaudited(log, "films", 99)] == [later[0], *expected]
    assert predictions.unlabelled(log, "films", 2) == []
    assert predictions.unlabelled(log, "plays", 99) == []


def test_a_trial_counts_a_text_once_and_the_last_word_of_the_audit(fresh: Callable[[str], Place]) -> None:
    """Who pressed the wrong button and changed it has not labelled two texts."""
    log = fresh("trial")
    slipped, plain, again, _ = logged(log, "slipped", "plain", "again", "unlabelled")
    (later,) = logged(log, "again", label="good")
    logged(log, "again", "slipped", "slipped", "unlabelled", role="shadow", version=2, label="good")
    for at, (name, label) in enumerate([(slipped, "bad"), (slipped, "good"), (plain, "bad"), (again, "bad")]):
        say(log, name, label, AUDIT, at)
    say(log, later, "good", AUDIT, 9)
    say(log, plain, "good", USER, 10)
    assert [row[2:] for row in canary_outcomes.audited(log, "films", 1)] == [
        ("good", "bad"),
        ("bad", "bad"),
        ("good", "good"),
    ]
    assert canary_outcomes.shadow_labels(log, "films", 1, 2) == [("good", "bad", "good"), ("good", "good", "good")]
    assert canary_outcomes.audited(log, "films", 2) == []


@pytest.mark.parametrize(
    "statement",
    [
        predictions.MISTAKES,
        predictions.AUDITED,
        canary_outcomes.AUDITED,
        feedback.MEASURED,
        feedback.CORRECTED,
    ],
)
def test_queries_for_labels_do_not_scan_all_answers(tmp_path: Path, statement: str) -> None:
    """SQLite does not know by itself that there are a hundred answers for each label, and would go through them."""
    with database.connected(tmp_path / "predictions.db") as connection:
        plan = connection.execute(f"explain query plan {statement}", [None] * statement.count("?")).fetchall()
    assert not [step for *_, step in plan if "predictions" in step.split()[:2] and "PRIMARY KEY" not in step]


def test_queries_for_answers_search_by_key(tmp_path: Path) -> None:
    """Those since a moment; and those in the shadow, not once for each text that was audited."""
    with database.connected(tmp_path / "predictions.db") as connection:
        since, shadow = (
            [
                step
                for *_, step in connection.execute(
                    f"explain query plan {statement}", [None] * statement.count("?")
                ).fetchall()
            ]
            for statement in (feedback.ANSWERED, canary_outcomes.SHADOWED)
        )
    assert since == ["SEARCH predictions USING PRIMARY KEY (id>?)"]
    assert [step for step in shadow if "PRIMARY KEY" not in step and step.startswith("SEARCH")] == [
        "SEARCH predictions USING INDEX latest (problem=? AND version=?)"
    ]


def test_a_withdrawn_text_leaves_the_log_and_its_answer_stays(fresh: Callable[[str], Place]) -> None:
    log = fresh("withdrawn")
    logged(log, "dull", "grim", "Dull ", None)
    logged(log, "dull", problem="books")
    with database.connected(log) as connection:
        feedback.erase_texts(connection, "films", compared_form(pl.Series(["dull"])))
        texts = connection.execute("select problem, text from predictions order by id").fetchall()
    left = [("films", None), ("films", "grim"), ("films", None), ("films", None), ("books", "dull")]
    assert [tuple(row) for row in texts] == left


@pytest.mark.parametrize("policy", ["whole", "redacted", "hash"])
def test_a_withdrawn_text_leaves_a_log_of_any_policy(tmp_path: Path, policy: str) -> None:
    """It is told in the form that the log has it in, and so are the labels of it that were set aside or learned."""
    gone, stays = "Call Ann on 0171 1234567", "call nobody"
    here = Places(tmp_path, tmp_path, "127.0.0.1", 0, 0, 0)
    log, kept = database.place(here), Policy(policy).kept
    assert isinstance(log, Path)
    logged(log, kept(gone), kept(stays), kept(f"{gone.upper()} "))
    feedback_rows = pl.DataFrame(
        {"text": [kept(gone), stays], "label": ["bad", "bad"]}, schema_overrides={"text": pl.String}
    )
    quarantine.put(
        feedback.aside_path(here, "films"),
        feedback_rows.select(pl.lit("why").alias(REASON), pl.lit("1").alias(FILE), pl.lit("1").alias(LINE), pl.all()),
    )
    rows = pl.DataFrame({"text": [gone, stays], "label": ["bad", "bad"]})
    difference = row_diff.compare_tables([rows], rows[1:])
    assert difference.withdrawn == 1
    feedback.erase_withdrawn(here, "films", difference.gone)
    with database.connected(log) as connection:
        left = connection.execute("select text, label, length(digest) from predictions order by id").fetchall()
    assert [tuple(row) for row in left] == [(None, "bad", 16), (kept(stays), "bad", 16), (None, "bad", 16)]
    if policy != "hash":
        assert quarantine.read(feedback.aside_path(here, "films"))["text"].to_list() == [stays]
        assert feedback_table.carry_over(feedback_rows, rows["text"][1:], difference.gone).is_empty()


def test_split_traffic_compares_answers_since_the_challengers_first(fresh: Callable[[str], Place]) -> None:
    log = fresh("apart")
    before = logged(log, "a", "b", now=1.0)
    trial = logged(log, "c", "d", version=2, label="good", role="challenger", now=2.0)
    since = logged(log, "e", now=3.0)
    for name in (*before, *trial, *since):
        say(log, name, "good", AUDIT, 4.0)
    say(log, since[0], "bad", AUDIT, 5.0)
    assert canary_outcomes.split_outcomes(tasks.get("classify"), log, "films", 1, 2) == ([True], [True, True])
    assert canary_outcomes.split_outcomes(tasks.get("classify"), log, "films", 1, 3) == ([False, False, True], [])


@needs_postgres
def test_the_last_answers_are_found_in_a_database_that_sorts_as_a_language_does(cluster: Postgres) -> None:
    cluster.sql("postgres", "drop database if exists english", "create database english")
    log = cluster.address("english")
    ids = logged(log, "dull", "grim")
    cluster.sql("english", 'alter table predictions alter id type text collate "en-US-x-icu"')
    assert [each.id for each in predictions.latest(log, "films", 1, 9)] == ids[::-1]


def test_tables_of_version_2_are_upgraded(fresh: Callable[[str], Place], request: pytest.FixtureRequest):
    log = fresh("second")
    if isinstance(log, Path):
        with closing(sqlite3.connect(log)) as connection:
            connection.executescript(SECOND.format(" without rowid", " without rowid") + "pragma user_version = 2;")
        database.upgrade(log)
    else:
        request.getfixturevalue("cluster").sql("second", SECOND.format("", ""))
    for _ in range(2):  # it is opened again as it is
        assert kept(log) == [("good", USER, 7, None)]
    say(log, "1", "good", CHOSEN, 8, 0.5)
    assert kept(log) == [("good", CHOSEN, 8, 0.5)]
    prediction = predictions.find(log, "1")
    assert prediction is not None
    assert (prediction.text, prediction.said) == ("dull", "good")


def test_upgraded_tables_of_version_3_keep_all_labels_waiting(
    fresh: Callable[[str], Place], request: pytest.FixtureRequest
):
    """They knew of no label whether it was taken in: what the data has already is looked at once more, and marked."""
    log = fresh("third")
    third = SECOND.replace("at real not null,\nprimary", "at real not null, chance real,\nprimary")
    third = third.replace("'user', 7)", "'chosen', 7, .5)")
    if isinstance(log, Path):
        with closing(sqlite3.connect(log)) as connection:
            connection.executescript(third.format(" without rowid", " without rowid") + "pragma user_version = 3;")
        database.upgrade(log)
    else:
        request.getfixturevalue("cluster").sql("third", third.format("", ""))
    for _ in range(2):  # it is opened again as it is
        assert kept(log) == [("good", CHOSEN, 7, 0.5)]
        assert predictions.count_waiting_labels(log, "films") == 1
    predictions.mark_taken(log, predictions.waiting_labels(log, "films"))
    assert predictions.count_waiting_labels(log, "films") == 0


@needs_postgres
def test_a_database_of_a_newer_version_is_refused_and_left(cluster: Postgres) -> None:
    cluster.sql("postgres", "drop database if exists newer", "create database newer")
    log = cluster.address("newer")
    logged(log, "dull")
    cluster.sql("newer", f"comment on table predictions is '{MARK}99'")
    with pytest.raises(Refusal, match="version 99"):
        logged(log, "grim")
    assert cluster.sql("newer", "select count(*) from predictions") == [["1"]]


def test_predictions_are_kept_by_version_newest_first_without_texts(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    predictions.record(path, "reviews", 1, [("x" * 10, "good", 0.9), ("y" * 20, "bad", 0.8)])
    predictions.record(path, "reviews", 2, [("z" * 30, "good", 0.7)])
    (prediction,) = predictions.latest(path, "reviews", 1, 1)
    assert (prediction.characters, prediction.label, prediction.score, prediction.text) == (20, "bad", 0.8, None)
    assert predictions.latest(tmp_path / "absent.db", "reviews", 1, 5) == []


@pytest.mark.parametrize(("texts", "kept"), [("whole", '{"size":1.0}'), ("redacted", None), ("hash", None)])
def test_an_input_that_is_no_text_is_kept_whole_or_not_at_all(texts: str, kept: str | None) -> None:
    assert Policy(texts, 90, "homes", has_texts=False).kept('{"size":1.0}') == kept
