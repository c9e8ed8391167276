"""The hyperparameters of a candidate: settings and a model's name enter, its frozen Params leave."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import models
from ratchet.problem.settings import Settings
from ratchet.project.errors import Refusal


def model_params(settings: Settings, name: str) -> Any:
    """The Params of one candidate: the defaults, with the values of `build.<name>` in params.yaml.

    Raises:
        Refusal: the model learns another kind of problem, or params.yaml names a hyperparameter that it does not have,
            or a value of another type.
    """
    model = models.get(name)
    if settings.task != model.TASK:
        raise Refusal(
            f"`build.candidates` names models of task {settings.task}: {', '.join(models.names_for(settings.task))}.",
            f"{name}, which is one of task {model.TASK}",
            "Mend params.yaml.",
        )
    params = model.Params()
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
