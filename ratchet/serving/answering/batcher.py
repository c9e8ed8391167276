"""Texts of requests that wait at the same time are answered together; nobody waits while the model is idle.

A turn of the event loop collects what has arrived, the model answers it there (a thread would pay a hand-over for each
batch and fight for the interpreter), and between two batches the loop sees to everybody else. Long requests are cut
into pieces and take turns with the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.contract import Classifier

CHARACTERS = 1 << 16
"""Of texts in one batch: some 4 ms of the linear model, and its most efficient size."""
TEXTS = 512
"""In one batch, at most."""


@dataclass(slots=True)
class ModelAnswer:
    """What the model says of some texts. rows: the probabilities of each. best: the number of its likeliest label."""

    rows: list[list[float]] = field(default_factory=list)
    best: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Waiting:
    """A request's texts. taken: how many the model has seen."""

    texts: Sequence[str]
    answer: asyncio.Future[ModelAnswer]
    found: ModelAnswer = field(default_factory=ModelAnswer)
    taken: int = 0


class Batcher:
    """One model's queue. characters, texts: bounds of a batch; texts=1 is no batching at all."""

    def __init__(self, classifier: Classifier, characters: int = CHARACTERS, texts: int = TEXTS) -> None:
        self._classifier, self._characters, self._texts = classifier, characters, texts
        self._queue: deque[_Waiting] = deque()
        self._turning = False

    async def ask(self, texts: Sequence[str]) -> ModelAnswer:
        """What the model says, in the order of the texts."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(texts, loop.create_future())
        self._queue.append(waiting)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)
        return await waiting.answer

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer one batch, and come back while anybody waits."""
        batch = self._gathered()
        try:
            found = self._classifier.predict_proba([text for _, some in batch for text in some])
            rows, best = found.tolist(), found.argmax(axis=1).tolist()  # once for all of them
        except Exception as error:  # a model must not end the service: whoever asked gets it, the others go on
            for waiting, _ in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
        else:
            self._hand_out(batch, rows, best)
        if self._queue:
            loop.call_soon(self._turn, loop)
        else:
            self._turning = False

    def _gathered(self) -> list[tuple[_Waiting, Sequence[str]]]:
        """Texts of those in the queue, each as much as fits; who has more to come goes to the end of the queue."""
        batch: list[tuple[_Waiting, Sequence[str]]] = []
        room, places = self._characters, self._texts
        while self._queue and room > 0 and places > 0:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue  # cancelled: its client has gone
            start = waiting.taken
            while waiting.taken < len(waiting.texts) and room > 0 and places > 0:
                room -= len(waiting.texts[waiting.taken]) + 1
                places -= 1
                waiting.taken += 1
            batch.append((waiting, waiting.texts[start : waiting.taken]))
        return batch

    def _hand_out(self, batch: list[tuple[_Waiting, Sequence[str]]], rows: list[list[float]], best: list[int]) -> None:
        at = 0
        for waiting, some in batch:
            end = at + len(some)
            waiting.found.rows += rows[at:end]
            waiting.found.best += best[at:end]
            at = end
            if waiting.taken < len(waiting.texts):
                self._queue.append(waiting)
            elif not waiting.answer.done():
                waiting.answer.set_result(waiting.found)
