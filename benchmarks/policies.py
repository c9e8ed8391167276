"""What becomes of production in a simulated year (benchmarks/year.py), by who decides whether a new model goes live.

    never          the first model, for ever
    always         a turn each week; the new model replaces the old one
    higher         a turn each week; it does where its accuracy on the holdout is higher
    point          a turn each week; it does where it is higher by a point
    ours           what the project does, by its own code: vetting, triggers with their defaults, the gate that learns
    ours_unvetted  the same, but what users say is believed as it is, as it is by the four above
    ours_unlearned as ours, with a gate that remembers nothing: 90% confidence each time (added after the first run)

All train the same model (models/linear.py with its defaults) on the table and all that was taken in so far, and judge
on the same holdout: the table's, and the audit's rows, which is more care than is usual. An accuracy is of the probes,
in the week's own mixture and words. A promotion is false where the new model is worse by more than HARM over that week
and the next AHEAD.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from benchmarks import year
from benchmarks.year import LABELS, SPEC, Week, World
from models import linear
from models.contract import Rows
from ratchet import tasks
from ratchet.data.prepare import label_sources, split
from ratchet.data.prepare.label_sources import AUDIT
from ratchet.judging import gate, gate_memory, slices
from ratchet.judging.class_metrics import METRICS
from ratchet.judging.gate import Candidate, Decision
from ratchet.judging.gate_memory import Measured, PastChallenger
from ratchet.judging.metrics import Floats
from ratchet.monitoring import retrain_rules
from ratchet.monitoring.drift import alpha_spending, drift
from ratchet.monitoring.drift.samples import LiveSample, Reference
from ratchet.monitoring.labels import feedback_rules, vetting
from ratchet.monitoring.labels.vetting import AUDITED, CORRECTED, Part, Traffic
from ratchet.problem import data_pin
from ratchet.problem.settings import Optimise
from ratchet.tasks.classify_text import judging
from ratchet.tasks.values import Answered

TASK = tasks.get("classify")
HARM, AHEAD = 0.005, 4
WEEK = 7 * retrain_rules.DAY
RULES, WINDOW = gate.Rules(METRICS["accuracy"]), Optimise().window


@dataclass
class Model:
    """A fitted model by its version, with what it was found to score on the probes."""

    version: int
    fitted: linear.Linear
    scores: dict[tuple[str, bool], float] = field(default_factory=dict)

    def says(self, texts: pl.Series) -> Floats:
        return self.fitted.predict(texts.to_list())

    def accuracy(self, world: World, week: int) -> float:
        """Over a week's mixture."""
        new = week >= year.NEW_WORDS
        return sum(share * self.on(world, (name, new)) for name, share in year.shares(week).items() if share)

    def on(self, world: World, probe: tuple[str, bool]) -> float:
        if probe not in self.scores:
            self.scores[probe] = share_right(self.says(world.probes[probe]["text"]), world.probes[probe])
        return self.scores[probe]


@dataclass
class Log:
    """All answers so far, what the audit found, and what was corrected: as vetting.py takes it."""

    told: list[Part] = field(default_factory=list)
    audits: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=AUDITED))
    corrected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CORRECTED))


@dataclass
class Life:
    """One policy's year. learned: labels that the last turn had. answers: of the champion, the latest last."""

    world: World
    champion: Model
    kept: pl.DataFrame
    reference: pl.DataFrame
    versions: int = 1
    learned: int = 0
    starts: list[float] = field(default_factory=list)
    answers: list[pl.DataFrame] = field(default_factory=list)
    log: Log = field(default_factory=Log)
    history: list[PastChallenger] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    promotions: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    poison: int = 0


@dataclass(frozen=True)
class Case:
    """What a decision stands on: both models' probabilities on the holdout, and the sides."""

    challenger: Floats
    champion: Floats
    sides: dict[str, pl.DataFrame]


Judge = Callable[[Life, Case], bool]


@dataclass(frozen=True)
class Policy:
    """judge: whether the challenger goes live; none where nothing is ever trained. vets, waits: as the project does."""

    judge: Judge | None
    vets: bool = False
    waits: bool = False


def live(world: World, policy: Policy) -> Life:
    """The year under a policy."""
    life = begun(world)
    for week in world.weeks:
        probabilities = life.champion.says(week.rows["text"])
        life.accuracies.append(life.champion.accuracy(world, week.number))
        life.answers.append(answers(week.rows, probabilities))
        life.log.told.append((year.names(week), probabilities.max(axis=1)))
        heard = year.said(week, probabilities)
        taken = vetted(life.log, heard) if policy.vets else heard
        life.kept = pl.concat([life.kept, taken.rename({"source": "label_source"}).select(life.kept.columns)])
        life.poison += int((taken["source"] != AUDIT).sum()) if week.number == year.POISONED else 0
        if policy.judge and not week.is_out and (not policy.waits or is_due(life, week)):
            turn(life, week, policy.judge)
    return life


def begun(world: World) -> Life:
    """The first champion, of the table alone."""
    sides = by_side(world.table)
    first = Model(1, fit(sides))
    reference = answers(sides["holdout"], first.says(sides["holdout"]["text"]))
    return Life(world, first, world.table.clear(), reference)


def turn(life: Life, week: Week, judge: Judge) -> None:
    """Train on what there is, and decide."""
    life.starts.append(week.number * WEEK)
    life.learned = life.kept.height
    sides = by_side(pl.concat([life.world.table, life.kept]))
    began = time.thread_time()
    life.versions += 1
    new = Model(life.versions, fit(sides))
    life.seconds.append(time.thread_time() - began)
    judging = sides["holdout"]["text"]
    case = Case(new.says(judging), life.champion.says(judging), sides)
    if not judge(life, case):
        return
    weeks = range(week.number, min(week.number + AHEAD, year.WEEKS) + 1)
    gaps = [new.accuracy(life.world, at) - life.champion.accuracy(life.world, at) for at in weeks]
    life.promotions.append(float(np.mean(gaps)))
    life.champion, life.answers = new, []
    life.reference = answers(sides["holdout"], case.challenger)


def by_side(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The rows that play a part, by what they are for: as feedback_rules.py and split.py say."""
    sided = split.assign_sides(label_sources.usable_rows(rows, SPEC), SPEC)
    return {side: sided.filter(pl.col("split") == side) for side in data_pin.SPLITS}


def fit(sides: dict[str, pl.DataFrame]) -> linear.Linear:
    train, validation = (Rows(sides[s]["text"].to_list(), sides[s]["label"].to_list()) for s in data_pin.SPLITS[:2])
    return linear.fit(train, validation, LABELS, linear.Params(), seed=0, progress=lambda *_: None)


def answers(rows: pl.DataFrame, probabilities: Floats) -> pl.DataFrame:
    """What drift is told by."""
    labels = [LABELS[at] for at in probabilities.argmax(axis=1)]
    characters = rows["text"].str.len_chars().alias("characters")
    return pl.DataFrame([characters, pl.Series("label", labels), pl.Series("score", probabilities.max(axis=1))])


def vetted(log: Log, heard: pl.DataFrame) -> pl.DataFrame:
    """What the project lets in of a week's feedback. No text comes twice, so none is known from before."""
    names = {*heard["prediction"], *log.corrected["prediction"]}
    told = vetting.stretches(log.told, names)
    audits = heard.filter(pl.col("source") == AUDIT).select(
        "prediction", (pl.col("label") != pl.col("predicted")).alias("wrong")
    )
    log.audits = pl.concat([log.audits, audits])
    nothing = pl.DataFrame(schema={"key": pl.String, "label": pl.String})
    weighed = feedback_rules.weigh(TASK, heard, nothing, LABELS, Traffic(told, log.audits, log.corrected))
    weighed = feedback_rules.limit_per_turn(weighed, year.AT_START)
    corrects = (pl.col("label") != pl.col("predicted")) & (pl.col("source") != AUDIT)
    kept, held = (
        weighed["first"] & ~weighed["waits"],
        pl.lit(feedback_rules.reasons(TASK, weighed) == feedback_rules.REASONS["unusual"]),
    )
    sure = (pl.col("score") >= vetting.SURE).alias("sure")
    known = heard.select("prediction", "source", sure, held.fill_null(False).alias("held"), corrects.alias("wrong"))
    known = known.filter((kept | pl.col("held")) & pl.col("wrong"))
    log.corrected = pl.concat([log.corrected, known.drop("wrong")])
    return heard.filter(kept)


def is_due(life: Life, week: Week) -> bool:
    """Whether the project's triggers, with their defaults, ask for a turn."""
    wished, new = Optimise(), life.kept.height - life.learned
    rules = retrain_rules.Rules(wished.labels, wished.accuracy, wished.drift, wished.cooldown, wished.turns)
    found = retrain_rules.Signals(new, None, moved(life), changed=new > 0)
    return bool(retrain_rules.decide(rules, found, life.starts, week.number * WEEK).trigger)


def moved(life: Life) -> str:
    """What the project's look at a week's end calls a drift, by lengths and answers; texts are left out."""
    judged, met = Reference(columns(life.reference)), LiveSample(columns(pl.concat(life.answers)[-WINDOW:].reverse()))
    return drift.compare(TASK, judged, met, alpha=alpha_spending.allowed(WEEK / 3600)).moved


def columns(rows: pl.DataFrame) -> Answered:
    characters, scores = (rows[name].to_numpy().astype(np.float64) for name in ("characters", "score"))
    return Answered(characters, np.array(rows["label"].to_list(), np.str_), scores)


def ahead(case: Case) -> float:
    return share_right(case.challenger, case.sides["holdout"]) - share_right(case.champion, case.sides["holdout"])


def share_right(probabilities: Floats, rows: pl.DataFrame) -> float:
    return float(np.mean(np.array(LABELS)[probabilities.argmax(axis=1)] == rows["label"].to_numpy()))


def gated(life: Life, case: Case) -> bool:
    """The project's gate, with what the year's earlier challengers taught it."""
    holdout = case.sides["holdout"]
    always = judging.baseline(Counter(case.sides["train"]["label"]), LABELS)
    baseline = Candidate(judging.BASELINE, np.tile(always, (holdout.height, 1)))
    new, old = Candidate("challenger", case.challenger), Candidate("champion", case.champion)
    truth, groups = judging.truth(holdout["label"].to_list(), LABELS), holdout["group"].to_list()
    rows = gate.Holdout(truth, groups, slices.slices(judging.slices(holdout["text"]), holdout))
    belief = gate_memory.learn_history(life.history, life.champion.version)
    decision = gate.decide(new, old, baseline, rows, RULES, 0, belief)
    life.history += remembered(life, decision, holdout.height)
    return decision.promote


def forgetful(life: Life, case: Case) -> bool:
    """The gate as if each challenger were the first."""
    life.history = []
    return gated(life, case)


def remembered(life: Life, decision: Decision, rows: int) -> list[PastChallenger]:
    """The decision as flows/evaluation.py keeps it; nothing where it teaches nothing."""
    if decision.difference is None or decision.error is None or decision.pull is None:
        return []
    figures = (decision.difference, decision.error, decision.pull, rows)
    measured = Measured(*(np.array([float(figure)]) for figure in figures))
    return [PastChallenger(life.versions, life.champion.version, measured, decision.promote)]


POLICIES = {
    "never": Policy(None),
    "always": Policy(lambda *_: True),
    "higher": Policy(lambda _, case: ahead(case) > 0),
    "point": Policy(lambda _, case: ahead(case) > 0.01),
    "ours": Policy(gated, vets=True, waits=True),
    "ours_unvetted": Policy(gated, waits=True),
    "ours_unlearned": Policy(forgetful, vets=True, waits=True),
}
