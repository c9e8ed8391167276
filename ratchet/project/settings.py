"""params.yaml enters, frozen Settings leave; an unknown key or a wrong value is refused by name."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import models
from ratchet.judging.gate import Rules
from ratchet.judging.metrics import METRICS
from ratchet.project.errors import Refusal

CRON = re.compile(r"[\d*/,-]+|[A-Za-z]{3}([,-][A-Za-z]{3})*")
"""A field of a schedule: numbers with stars and ranges, or names of days and months."""
WEEK = 7 * 24 * 60
"""Minutes; the largest limit, since a longer training is a typing error."""


class Section(BaseModel):
    """A block of params.yaml: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Section):
    """The columns of the table.

    Attributes:
        text: column that the model reads.
        label: column that the model predicts.
        group: column whose values are never split between train and holdout; None for no groups.
        slices: columns by whose values the scorecard is broken down.
        positive: class of which precision, recall and F1 are computed; None for macro averages.
    """

    text: str = Field(min_length=1)
    label: str = Field(min_length=1)
    group: str | None = None
    slices: tuple[str, ...] = ()
    positive: str | None = None


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

    metric: Literal["accuracy", "f1", "macro_f1", "log_loss"] = "accuracy"
    floor: float | None = Field(default=None, ge=0, allow_inf_nan=False, strict=True)
    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=True)

    @model_validator(mode="after")
    def shares_of_one(self) -> Evaluate:
        for name in ("floor", "margin"):
            value = getattr(self, name)
            if value is not None and value > METRICS[self.metric].largest:
                raise ValueError(
                    f"`evaluate.{name}` must lie from 0 to 1, as {self.metric} does. Received: {value:g} "
                    f"(is {value / 100:g} meant?)"
                )
        return self


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
    """One problem, as params.yaml describes it."""

    problem: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    task: Literal["classify"] = "classify"
    data: Data
    build: Build
    evaluate: Evaluate = Evaluate()
    deploy: Deploy = Deploy()
    optimise: Optimise = Optimise()


def gate_rules(settings: Settings) -> Rules:
    """The rules of the gate."""
    return Rules(settings.evaluate.metric, settings.evaluate.floor, settings.evaluate.margin)


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


def explain(error: ValidationError) -> str:
    """Pydantic's errors in one line of plain words, with the keys as the file has them."""
    sentences = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            sentences.append(f"unknown key `{key}`")
        elif problem["type"] == "missing":
            sentences.append(f"no key `{key}`")
        elif problem["type"] == "value_error":
            sentences.append(str(problem["ctx"]["error"]))
        else:
            words = TYPE_ERRORS.get(problem["type"], problem["msg"].lower().removeprefix("input "))
            sentences.append(f"`{key}` {words}, not {problem['input']!r}")
    return "; ".join(sentences)


def model_params(settings: Settings, name: str) -> Any:
    """The Params of one candidate: the defaults, with the values of `build.<name>` in params.yaml.

    Raises:
        Refusal: params.yaml names a hyperparameter that the model does not have, or a value of another type.
    """
    params = models.get(name).Params()
    overrides = settings.build.overrides.get(name, {})
    names = [field.name for field in fields(params)]
    for key in overrides:
        if key not in names:
            raise Refusal(f"`build.{name}` takes {', '.join(names) or 'nothing'}.", f"`{key}`", "Mend params.yaml.")
        refuse_other_type(f"build.{name}.{key}", getattr(params, key), overrides[key])
    if "minutes" in names and "minutes" not in overrides:
        overrides = overrides | {"minutes": settings.build.minutes}
    return replace(params, **overrides)


def refuse_other_type(key: str, usual: Any, value: Any) -> None:
    """Raise unless a value has the type of the usual one; an int may stand for a float, a list for a tuple.

    Raises:
        Refusal: it has another type.
    """
    kinds = {float: (int, float), tuple: (list, tuple)}.get(type(usual), (type(usual),))
    if usual is None or (isinstance(value, kinds) and isinstance(value, bool) == isinstance(usual, bool)):
        return
    raise Refusal(f"`{key}` is a value like {usual!r}.", repr(value), "Mend params.yaml.")
