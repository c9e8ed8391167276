"""params.yaml enters, frozen Settings leave; an unknown key or a wrong value is refused by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from cronsim import CronSim, CronSimError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

import models
from ratchet import tasks
from ratchet.judging.metrics import Metric
from ratchet.project.errors import Refusal
from ratchet.tasks import Task
from ratchet.tasks.values import Data

CRON = re.compile(r"[\d*/,-]+|[A-Za-z]{3}([,-][A-Za-z]{3})*")
"""A field of a schedule: numbers with stars and ranges, or names of days and months."""
WEEK = 7 * 24 * 60
"""Minutes; the largest limit, since a longer training is a typing error."""


class Section(BaseModel):
    """A block of params.yaml: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Build(Section):
    """Which models compete; a key named after a model overrides its Params.

    Attributes:
        candidates: names of models.
        seed: of all random draws.
        minutes: limit of the training of one candidate.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    candidates: tuple[str, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**32, strict=True)
    minutes: float = Field(default=5, gt=0, le=WEEK, strict=True)

    @model_validator(mode="after")
    def known_models(self) -> Build:
        names = models.names()
        repeated = sorted({name for name in self.candidates if self.candidates.count(name) > 1})
        if repeated:
            raise ValueError(f"`build.candidates` must name each model once. Received: {', '.join(repeated)} twice")
        for name in self.candidates:
            if name not in names:
                raise ValueError(
                    f"`build.candidates` must name models of models/: {', '.join(names)}. Received: {name}"
                )
        for name, overrides in self.overrides.items():
            if name not in names:
                raise ValueError(f"`build.{name}` is neither a setting (candidates, seed, minutes) nor a model")
            if not isinstance(overrides, dict):
                raise ValueError(
                    f"`build.{name}` must hold hyperparameters, each with a value. Received: {overrides!r}"
                )
        return self

    @property
    def overrides(self) -> dict[str, Any]:
        return self.__pydantic_extra__ or {}


class Evaluate(Section):
    """What the gate decides by.

    Attributes:
        metric: the metric that decides.
        floor: a model below it never goes live; None for no floor.
        margin: a challenger must be better by more than this.
    """

    metric: str = "accuracy"
    floor: float | None = Field(default=None, ge=0, allow_inf_nan=False, strict=True)
    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=True)


class Canary(Section):
    """The trial of a challenger on live texts.

    Attributes:
        share: share of the live texts that the challenger answers (canary).
        shadow: the challenger predicts every text and its answers are not sent (shadow).
        rows: audited texts after which a trial without a verdict ends, and the gate's own decision holds.
    """

    share: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False, strict=True)
    shadow: bool = Field(default=False, strict=True)
    rows: int = Field(default=1000, ge=1, le=10**7, strict=True)

    @property
    def tries(self) -> bool:
        """Whether there is a trial."""
        return self.shadow or self.share > 0

    @model_validator(mode="after")
    def one_way(self) -> Canary:
        if self.shadow and self.share:
            raise ValueError("`deploy.canary` takes a share, or shadow: true. Received: both")
        return self


class Log(Section):
    """What the service keeps of each prediction.

    Attributes:
        texts: `whole`; `redacted`, without anything like an address, a phone or a card number; `hash`, no text at all.
        days: for how long.
    """

    texts: Literal["whole", "redacted", "hash"] = "whole"
    days: int = Field(default=90, ge=1, le=36_500, strict=True)


class Limits(Section):
    """The limits of one request and of all requests together.

    Attributes:
        body_mb: megabytes of a request.
        texts: texts in a request.
        characters: characters of a text.
        waiting_mb: megabytes of requests that are being received or answered; a request above it gets 503.
        seconds: time within which a request must have arrived whole.
    """

    body_mb: float = Field(default=8.0, gt=0, le=1024, strict=True)
    texts: int = Field(default=5_000, ge=1, le=10**6, strict=True)
    characters: int = Field(default=100_000, ge=1, le=10**8, strict=True)
    waiting_mb: float = Field(default=64.0, gt=0, le=10**5, strict=True)
    seconds: float = Field(default=30.0, gt=0, le=3600, strict=True)


class Deploy(Section):
    """How versions go live and how the prediction service answers; a running service follows changes.

    Attributes:
        approval: with `manual`, a version that passed the gate waits for a person (make approve, or Resume in the
            Prefect UI).
        canary: the trial on live texts.
        log: what is kept of each prediction.
        limits: of requests.
    """

    approval: Literal["auto", "manual"] = "auto"
    canary: Canary = Canary()
    log: Log = Log()
    limits: Limits = Limits()


class Optimise(Section):
    """When the loop turns by itself while `make up` runs.

    Attributes:
        window: live predictions that a drift check looks at.
        audit: share of the distinct live texts that are drawn at random to be labelled; only their labels judge.
        labels: a turn begins once this many new labels wait; 0 for never.
        accuracy: a turn begins once the audited accuracy lies below it; None for never.
        drift: whether a turn begins once a drift is found.
        every: minutes between two drift checks.
        schedule: five fields of cron at which a turn begins; None for never.
        cooldown: minutes between two automatic turns.
        turns: the most automatic turns a day.
        commit: whether a data version made of feedback is committed to git.
    """

    window: int = Field(default=1000, ge=50, le=10**7, strict=True)
    audit: float = Field(default=0.02, ge=0, le=0.1, allow_inf_nan=False, strict=True)
    labels: int = Field(default=50, ge=0, le=10**7, strict=True)
    accuracy: float | None = Field(default=None, gt=0, lt=1, allow_inf_nan=False, strict=True)
    drift: bool = Field(default=True, strict=True)
    every: float = Field(default=60, ge=1, le=WEEK, strict=True)
    schedule: str | None = None
    cooldown: float = Field(default=10, ge=0, le=WEEK, strict=True)
    turns: int = Field(default=24, ge=1, le=100_000, strict=True)
    commit: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def cron(self) -> Optimise:
        reason = why_no_schedule(self.schedule) if self.schedule is not None else ""
        if reason:
            raise ValueError(
                "`optimise.schedule` must be the five fields of cron: minute, hour, day, month, weekday. "
                f"Received: {self.schedule!r}, {reason} (every Monday at three: 0 3 * * 1)"
            )
        return self


def why_no_schedule(fields_of_cron: str) -> str:
    """Why a schedule is not valid or never comes; empty for a valid one."""
    parts = fields_of_cron.split()
    if len(parts) != 5:
        return f"{len(parts)} fields"
    malformed = next((part for part in parts if not CRON.fullmatch(part)), "")
    if malformed:
        return f"with {malformed!r}"
    try:
        next(CronSim(" ".join(parts), datetime.now(UTC)))
    except CronSimError as error:
        return str(error).lower()
    return ""


class Settings(Section):
    """One problem, as params.yaml describes it.

    Attributes:
        problem: name of the MLflow experiment and of the registered model.
        task: the kind of problem (ratchet/tasks).
        data: the columns of the table, as the kind has them.
    """

    problem: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    task: str = "classify"
    data: SerializeAsAny[Data]
    build: Build
    evaluate: Evaluate = Evaluate()
    deploy: Deploy = Deploy()
    optimise: Optimise = Optimise()

    @property
    def kind(self) -> Task:
        """The kind of problem."""
        return tasks.get(self.task)

    @property
    def metric(self) -> Metric:
        """The metric that decides, as it is named in params.yaml; `kind.judging.metric` binds it to the outputs."""
        return self.kind.judging.METRICS[self.evaluate.metric]

    @model_validator(mode="before")
    @classmethod
    def usual_metric(cls, raw: Any) -> Any:
        """The kind's first metric decides where params.yaml names none."""
        evaluate = raw.get("evaluate", {}) if isinstance(raw, dict) else None
        if not isinstance(evaluate, dict) or "metric" in evaluate or raw.get("task", "classify") not in tasks.names():
            return raw
        usual = next(iter(tasks.get(raw.get("task", "classify")).judging.METRICS))
        return raw | {"evaluate": evaluate | {"metric": usual}}

    @field_validator("task")
    @classmethod
    def known_task(cls, task: str) -> str:
        if task not in tasks.names():
            raise ValueError(f"`task` should be {one_of(tasks.names())}, not {task!r}")
        return task

    @field_validator("data", mode="before")
    @classmethod
    def columns_of_task(cls, columns: Any, info: ValidationInfo) -> Any:
        """Read the columns as the kind of problem has them."""
        return tasks.get(info.data["task"]).columns.model_validate(columns) if "task" in info.data else Data(label="-")

    @model_validator(mode="after")
    def fitting_metric(self) -> Settings:
        metrics, name = self.kind.judging.METRICS, self.evaluate.metric
        if name not in metrics:
            raise ValueError(f"`evaluate.metric` should be {one_of(tuple(metrics))}, not {name!r}")
        for key in ("floor", "margin"):
            value = getattr(self.evaluate, key)
            if value is not None and value > metrics[name].largest:
                raise ValueError(
                    f"`evaluate.{key}` must lie from 0 to 1, as {name} does. Received: {value:g} "
                    f"(is {value / 100:g} meant?)"
                )
        return self

    @model_validator(mode="after")
    def possible_trial(self) -> Settings:
        if self.kind.can("right_or_wrong"):
            return self
        for key, is_set in (("deploy.canary", self.deploy.canary.tries), ("optimise.accuracy", self.optimise.accuracy)):
            if is_set:
                raise ValueError(f"`{key}` needs answers that are right or wrong; those of task {self.task} are not")
        return self


def one_of(choices: Sequence[str]) -> str:
    """`'a', 'b' or 'c'`."""
    quoted = [repr(choice) for choice in choices]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if quoted[1:] else quoted)


def load(path: Path) -> Settings:
    """The settings in a params.yaml.

    Raises:
        Refusal: there is no such file, it is not YAML, or it has an unknown key or a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8")
        refuse_conflict(path, text)
        raw = yaml.safe_load(text)
    except FileNotFoundError:
        raise Refusal(
            "A problem is described in params.yaml.", "no such file", "Choose one: make data EXAMPLE=film_reviews"
        ) from None
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # an impossible date, such as 2026-02-30, is a ValueError
        raise Refusal("params.yaml must be YAML in UTF-8.", " ".join(str(error).split()), "Mend that line.") from None
    if not isinstance(raw, dict):
        raise Refusal(
            "params.yaml must hold keys and values.", type(raw).__name__, "Start from: git checkout params.yaml"
        )
    try:
        return Settings.model_validate({key: {} if value is None else value for key, value in raw.items()})
    except ValidationError as error:
        raise Refusal(
            "params.yaml must hold known keys with fitting values.", explain(error), "Mend params.yaml."
        ) from None


TYPE_ERRORS = {
    "string_type": "should be a text (between quotes, where it looks like a number or a yes)",
    "model_type": "should hold keys and values",
    "dict_type": "should hold keys and values",
    "tuple_type": "should be a list, like [one, two]",
    "float_type": "should be a number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
}
"""Pydantic's type errors in plain words."""


def refuse_conflict(path: Path, text: str) -> None:
    """Raise if a file holds both sides of a git conflict.

    Raises:
        Refusal: it does; the message names the first line.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            raise Refusal(
                f"{path.name} must be free of merge conflicts.",
                f"line {number}: {line[:60]}",
                f"Keep one of the two sides in an editor, or take one whole: git checkout --ours {path.name}",
            )


def explain(error: ValidationError, *within: str | int) -> str:
    """Pydantic's errors in one line of plain words, with the keys as the file has them; `within` are outer keys."""
    sentences = []
    for problem in error.errors():
        key = ".".join(str(part) for part in (*within, *problem["loc"]))
        if problem["type"] == "extra_forbidden":
            sentences.append(f"unknown key `{key}`")
        elif problem["type"] == "missing":
            sentences.append(f"no key `{key}`")
        elif problem["type"] == "value_error":
            cause = problem["ctx"]["error"]
            is_nested = isinstance(cause, ValidationError)
            sentences.append(explain(cause, *problem["loc"]) if is_nested else str(cause))
        else:
            words = TYPE_ERRORS.get(problem["type"], problem["msg"].lower().removeprefix("input "))
            sentences.append(f"`{key}` {words}, not {problem['input']!r}")
    return "; ".join(sentences)
