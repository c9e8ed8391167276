"""The MLflow flavour of a model: a saved folder enters, an object with `predict` leaves.

This module is the `loader_module` of every registered version. MLflow therefore loads this project's code and the
folder's data, never a pickle; MLflow itself is not imported here. The kind of problem (ratchet/tasks) says what an
input is: inputs come as a frame with its columns, or as a list, a series or an array of strings. Its table of answers
leaves: for texts to classes `label`, `score` (the probability of that label), and `p_<label>` for each class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import models
from ratchet import tasks

if TYPE_CHECKING:
    from models.contract import Model
    from ratchet.tasks.contract import AnswersFace


def _load_pyfunc(data_path: str) -> Predictor:
    """Load the model; MLflow prescribes this function's name for a loader module."""
    folder = Path(data_path)
    return Predictor(models.load(folder), tasks.get(models.task_of(folder)).answers)


class Predictor:
    """A fitted model with MLflow's `predict`.

    Attributes:
        model: the model.
        face: what a model of its kind takes and gives.
    """

    def __init__(self, model: Model, face: AnswersFace) -> None:
        self.model = model
        self.face = face

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """The table of answers to the inputs; `params` is part of MLflow's interface and ignored."""
        inputs = read(model_input, self.face)
        index = model_input.index if isinstance(model_input, pd.DataFrame | pd.Series) else None
        return pd.DataFrame(self.face.table(self.model.predict(inputs), self.model.labels), index=index)

    def get_raw_model(self) -> Predictor:
        """This object, as MLflow's `PyFuncModel.get_raw_model` gives it to flows/registry/predictor.py."""
        return self


def read(model_input: Any, face: AnswersFace) -> list[str]:
    """The inputs in what MLflow hands over.

    Raises:
        ValueError: a row of a frame is no input.
        TypeError: the input has another type, or a value of a list is no input.
    """
    if isinstance(model_input, pd.DataFrame):
        names: list[Any] = list(model_input.columns)
        if names != [0]:
            return _read_frame(model_input, face)
        model_input = model_input[0]  # what MLflow makes of a list
    if isinstance(model_input, str) or not isinstance(model_input, Sequence | np.ndarray | pd.Series):
        raise TypeError(
            "The input must be a data frame or a list of inputs. "
            f"Received: {type(model_input).__name__}. Put a single input into a list."
        )
    try:
        return [face.read_value(_value(value)) for value in np.asarray(model_input, dtype=object).ravel()]
    except ValueError as error:
        raise TypeError(str(error)) from None


def _read_frame(frame: pd.DataFrame, face: AnswersFace) -> list[str]:
    """The input of each row.

    Raises:
        ValueError: a row is none.
    """
    names = [str(name) for name in frame.columns]
    columns = [map(_value, frame.iloc[:, place].astype(object)) for place in range(len(names))]
    return [face.read_record(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def _value(value: object) -> object:
    """The value itself; None for a missing one."""
    return None if value is pd.NA or (isinstance(value, float) and np.isnan(value)) else value
