"""params.yaml -> frozen settings: what the problem is, with every unknown key or wrong value refused by its name."""

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
"""What a field of a schedule looks like: numbers with stars and ranges, or names of days and months."""
WEEK = 7 * 24 * 60
"""Minutes; a training that is allowed longer is a slip of the keyboard."""


class Section(BaseModel):
    """A block of params.yaml: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Section):
    """Which columns hold what."""

    text: str = Field(min_length=1)
    label: str = Field(min_length=1)
    group: str | None = None
    slices: tuple[str, ...] = ()
    positive: str | None = None


class Build(Section):
    """Which models compete, from which seed, and for how long; a key named after a model overrides its Params."""

    model_config = ConfigDict(frozen=True, extra="allow")

    candidates: tuple[str, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**32, strict=True)
    minutes: float = Field(default=5, gt=0, le=WEEK, strict=True)

    @model_validator(mode="after")
    def known_models(self) -> Build:
        known = models.names()
        twice = sorted({name for name in self.candidates if self.candidates.count(name) > 1})
        if twice:
            raise ValueError(f"`build.candidates` must name each model once. Received: {', '.join(twice)} twice")
        for name in self.candidates:
            if name not in known:
                raise ValueError(
                    f"`build.candidates` must name models of models/: {', '.join(known)}. Received: {name}"
                )
        for name, overrides in self.overrides.items():
            if name not in known:
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
    """The metric that decides, the floor below which nothing goes live, and the margin a challenger must win by."""

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
    """How the challenger is tried on live texts: it answers a share of them, or all of them in the shadow.

    rows: audited texts after which a trial without a verdict ends, and the gate's own decision holds.
    """

    share: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False, strict=True)
    shadow: bool = Field(default=False, strict=True)
    rows: int = Field(default=1000, ge=1, le=10**7, strict=True)

    @property
    def tries(self) -> bool:
        """Whether the challenger is asked at all."""
        return self.shadow or self.share > 0

    @model_validator(mode="after")
    def one_way(self) -> Canary:
        if self.shadow and self.share:
            raise ValueError("`deploy.canary` takes a share, or shadow: true. Received: both")
        return self


class Log(Section):
    """What the service keeps of each prediction, and for how many days.

    texts: `whole`; `redacted`: without what looks like an address, a phone or a card number; `hash`: no text at all.
    """

    texts: Literal["whole", "redacted", "hash"] = "whole"
    days: int = Field(default=90, ge=1, le=36_500, strict=True)


class Limits(Section):
    """What one request, and all of them together, may take of the service.

    body_mb: megabytes of a request. texts: of a request. characters: of a text. waiting_mb: megabytes of requests being
    received or answered at a time; what comes above is told to come back. seconds: until a request must be here, whole.
    """

    body_mb: float = Field(default=8.0, gt=0, le=1024, strict=True)
    texts: int = Field(default=5_000, ge=1, le=10**6, strict=True)
    characters: int = Field(default=100_000, ge=1, le=10**8, strict=True)
    waiting_mb: float = Field(default=64.0, gt=0, le=10**5, strict=True)
    seconds: float = Field(default=30.0, gt=0, le=3600, strict=True)


class Deploy(Section):
    """How the prediction service answers, what it keeps, and what it bears; changed while it runs.

    approval: `manual` has what passed the gate wait for a person (make approve, or Resume in the Prefect UI).
    """

    approval: Literal["auto", "manual"] = "auto"
    canary: Canary = Canary()
    log: Log = Log()
    limits: Limits = Limits()


class Optimise(Section):
    """What makes the loop turn by itself while it is up, and how often it may.

    window: live predictions looked at when watching for drift.
    audit: share of the distinct live texts that are drawn at random to be labelled, and whose labels may judge.
    labels: a turn begins once so many new ones wait; 0 for never. accuracy: or once what the audit measures lies below
    this. drift: or once a drift is called. every: minutes between two looks. schedule: or when this says, as cron does.
    cooldown: minutes between two such turns. turns: of them a day at most.
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
        wrong = why_no_schedule(self.schedule) if self.schedule is not None else ""
        if wrong:
            raise ValueError(
                "`optimise.schedule` must be the five fields of cron: minute, hour, day, month, weekday. "
                f"Received: {self.schedule!r}, {wrong} (every Monday at three: 0 3 * * 1)"
            )
        return self


def why_no_schedule(fields_of_cron: str) -> str:
    """Why five fields of cron are none, or never come; empty where they do."""
    parts = fields_of_cron.split()
    if len(parts) != 5:
        return f"{len(parts)} fields"
    odd = next((part for part in parts if not CRON.fullmatch(part)), "")
    if odd:
        return f"with {odd!r}"
    try:
        next(CronSim(" ".join(parts), datetime.now(UTC)))
    except CronSimError as error:
        return str(error).lower()
    return ""


class Settings(Section):
    """One problem, as params.yaml states it."""

    problem: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    task: Literal["classify"] = "classify"
    data: Data
    build: Build
    evaluate: Evaluate = Evaluate()
    deploy: Deploy = Deploy()
    optimise: Optimise = Optimise()


def gate_rules(settings: Settings) -> Rules:
    """What the gate goes by."""
    return Rules(settings.evaluate.metric, settings.evaluate.floor, settings.evaluate.margin)


def load(path: Path) -> Settings:
    """The settings in a params.yaml.

    Raises:
        Refusal: there is no such file, it is not YAML, or a key or a value is not one that is known.
    """
    try:
        text = path.read_text(encoding="utf-8")
        refuse_conflict(path, text)
        raw = yaml.safe_load(text)
    except FileNotFoundError:
        raise Refusal(
            "A problem is described in params.yaml.", "no such file", "Choose one: make data EXAMPLE=film_reviews"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a day that no month has is a ValueError
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


KINDS = {
    "string_type": "should be a text (between quotes, where it looks like a number or a yes)",
    "model_type": "should hold keys and values",
    "dict_type": "should hold keys and values",
    "tuple_type": "should be a list, like [one, two]",
    "float_type": "should be a number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
}
"""What pydantic's type errors are in this file's words."""


def refuse_conflict(path: Path, text: str) -> None:
    """Raise where git has left both sides of a conflict in a file.

    Raises:
        Refusal: it has; the message names the first line.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            raise Refusal(
                f"{path.name} must be free of merge conflicts.",
                f"line {number}: {line[:60]}",
                f"Keep one of the two sides in an editor, or take one whole: git checkout --ours {path.name}",
            )


def explain(error: ValidationError) -> str:
    """What pydantic found, in one line of plain words with the keys as they stand in the file."""
    found = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            found.append(f"unknown key `{where}`")
        elif problem["type"] == "missing":
            found.append(f"no key `{where}`")
        elif problem["type"] == "value_error":
            found.append(str(problem["ctx"]["error"]))
        else:
            said = KINDS.get(problem["type"], problem["msg"].lower().removeprefix("input "))
            found.append(f"`{where}` {said}, not {problem['input']!r}")
    return "; ".join(found)


def model_params(settings: Settings, name: str) -> Any:
    """The hyperparameters of one candidate: its defaults, changed by what params.yaml says under its name.

    Raises:
        Refusal: params.yaml names a hyperparameter that the model does not have, or gives it a value of another kind.
    """
    params = models.get(name).Params()
    overrides = settings.build.overrides.get(name, {})
    known = [field.name for field in fields(params)]
    for key in overrides:
        if key not in known:
            raise Refusal(f"`build.{name}` takes {', '.join(known) or 'nothing'}.", f"`{key}`", "Mend params.yaml.")
        refuse_other_kind(f"build.{name}.{key}", getattr(params, key), overrides[key])
    if "minutes" in known and "minutes" not in overrides:
        overrides = overrides | {"minutes": settings.build.minutes}
    return replace(params, **overrides)


def refuse_other_kind(key: str, usual: Any, value: Any) -> None:
    """Raise unless a value is of the same kind as the usual one; a whole number may stand for any number.

    Raises:
        Refusal: it is not.
    """
    kinds = {float: (int, float), tuple: (list, tuple)}.get(type(usual), (type(usual),))
    if usual is None or (isinstance(value, kinds) and isinstance(value, bool) == isinstance(usual, bool)):
        return
    raise Refusal(f"`{key}` is a value like {usual!r}.", repr(value), "Mend params.yaml.")
