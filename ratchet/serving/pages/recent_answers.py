"""The answers that the page can show again: the logged ones, and the latest, which the log may not hold yet."""

from __future__ import annotations

import asyncio
import sqlite3

from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.predictions import Prediction
from ratchet.project.errors import Refusal
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Answer, Service

MAX_HELD = 100
"""Answers held here until the log has them, which takes a second."""
WHOLE_TEXTS = "whole"
"""The policy (`deploy.log.texts`) that keeps texts: only under it can an answer be shown again."""


class RecentAnswers:
    """The page's latest answers. Holds predictions only, so that it keeps no replaced model in memory."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._predictions: dict[str, Prediction] = {}

    def put(self, answer: Answer, text: str) -> str | None:
        """Hold an answer, and return its id; None where the policy keeps no texts."""
        if self._service.log.policy.texts != WHOLE_TEXTS:
            return None
        facts = answer.live.bundle.facts
        prediction = answer.ids[0]
        self._predictions[prediction] = Prediction(
            prediction, 0.0, facts.problem, facts.version, answer.role, "page", answer.labels[0], answer.scores[0],
            len(text), "", text, None,
        )  # fmt: skip
        if len(self._predictions) > MAX_HELD:
            del self._predictions[next(iter(self._predictions))]
        return prediction

    async def find(self, prediction: str) -> Prediction:
        """The prediction of an id, held here or logged.

        Raises:
            RequestError: there is none (404), or the log cannot be read now (503).
        """
        record = self._predictions.get(prediction)
        if record is None:
            try:
                record = await asyncio.to_thread(predictions.find, database.place(self._service.here), prediction)
            except (Refusal, sqlite3.Error):
                raise RequestError(
                    503, "The log of predictions cannot be read now. Come back in a second.", 1
                ) from None
        if record is None:
            raise RequestError(404, f"No prediction has the id {prediction:.64}.")
        return record
