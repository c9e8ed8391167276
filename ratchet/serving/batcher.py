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

import numpy as np
from numpy.typing import NDArray

from models.contract import Classifier

CHARACTERS = 1 << 15
"""Of texts in one batch: some 2 ms of the linear model, and its most efficient size (bench-serve)."""
TEXTS = 256
"""In one batch, at most."""


@dataclass
class _Waiting:
    """A request's texts. done: how many are answered."""

    texts: Sequence[str]
    answer: asyncio.Future[NDArray[np.float64]]
    parts: list[NDArray[np.float64]] = field(default_factory=list)
    done: int = 0


class Batcher:
    """One model's queue. characters, texts: bounds of a batch; texts=1 is no batching at all."""

    def __init__(self, classifier: Classifier, characters: int = CHARACTERS, texts: int = TEXTS) -> None:
        self._classifier, self._characters, self._texts = classifier, characters, texts
        self._queue: deque[_Waiting] = deque()
        self._turning = False

    async def ask(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities, shape (len(texts), number of labels)."""
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
        except Exception as error:  # a model must not end the service: whoever asked gets it, the others go on
            for waiting, _ in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
        else:
            self._hand_out(batch, found)
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
            start = waiting.done
            while waiting.done < len(waiting.texts) and room > 0 and places > 0:
                room -= len(waiting.texts[waiting.done]) + 1
                places -= 1
                waiting.done += 1
            batch.append((waiting, waiting.texts[start : waiting.done]))
        return batch

    def _hand_out(self, batch: list[tuple[_Waiting, Sequence[str]]], found: NDArray[np.float64]) -> None:
        at = 0
        for waiting, some in batch:
            waiting.parts.append(found[at : at + len(some)])
            at += len(some)
            if waiting.done < len(waiting.texts):
                self._queue.append(waiting)
            elif not waiting.answer.done():
                parts = waiting.parts
                waiting.answer.set_result(parts[0] if len(parts) == 1 else np.concatenate(parts))
