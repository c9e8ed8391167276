"""Answers that the page has an address for: those in the log, and the latest, which it may not hold yet."""

from __future__ import annotations

import asyncio
import sqlite3

from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.predictions import Prediction
from ratchet.project.errors import Refusal
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Answer, Service

KEPT = 100
"""Answers of the page that are held until the log has them: it takes a second."""
WHOLE = "whole"
"""The policy (`deploy.log.texts`) under which an answer has an address: its text is there to be shown again."""


class RecentAnswers:
    """What the page has answered lately; a model that is not live any more is not held by it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lately: dict[str, Prediction] = {}

    def put(self, answer: Answer, text: str) -> str | None:
        """Hold an answer; its id. None where texts are not kept, so that it cannot be shown again."""
        if self._service.log.policy.texts != WHOLE:
            return None
        name, facts = answer.ids[0], answer.live.bundle.facts
        self._lately[name] = Prediction(
            name, 0.0, facts.problem, facts.version, answer.role, "page", answer.labels[0], answer.scores[0],
            len(text), "", text, None,
        )  # fmt: skip
        if len(self._lately) > KEPT:
            del self._lately[next(iter(self._lately))]
        return name

    async def find(self, name: str) -> Prediction:
        """The prediction of that id.

        Raises:
            Problem: there is none (404), or the log cannot be read now (503).
        """
        found = self._lately.get(name)
        if found is None:
            try:
                found = await asyncio.to_thread(predictions.find, database.place(self._service.here), name)
            except (Refusal, sqlite3.Error):
                raise RequestError(
                    503, "The log of predictions cannot be read now. Come back in a second.", 1
                ) from None
        if found is None:
            raise RequestError(404, f"No prediction has the id {name:.64}.")
        return found
