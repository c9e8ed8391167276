"""Micro-batching: inputs of requests that wait at the same time go to the model together.

One turn of the event loop collects the inputs that have arrived, and the model answers them in that turn. (A thread
would pay a hand-over for each batch and fight for the interpreter.) Between two batches the loop serves all other work.
A long request is cut into pieces that take turns with the other requests. No request waits while the model is idle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.contract import Model
from ratchet import tasks
from ratchet.tasks.contract import AnswersFace

BATCH_CHARACTERS = 1 << 16
"""Characters in one batch: some 4 ms of the linear model, and its most efficient size."""
BATCH_TEXTS = 512
"""Inputs in one batch, at most."""


@dataclass(slots=True)
class ModelAnswer:
    """The model's answers to some inputs.

    Attributes:
        rows: the outputs for each input, in the order of the model's labels.
        labels: the answer to each input.
        scores: the confidence in each answer.
    """

    rows: list[list[float]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Pending:
    """A request in the queue.

    Attributes:
        texts: all inputs of the request.
        future: resolved with the answer to all of them.
        answer: the answer so far.
        taken: number of inputs that were put into a batch.
    """

    texts: Sequence[str]
    future: asyncio.Future[ModelAnswer]
    answer: ModelAnswer = field(default_factory=ModelAnswer)
    taken: int = 0


Batch = list[tuple[_Pending, Sequence[str]]]
"""Requests, each with the piece of its inputs that is in the batch."""


class Batcher:
    """The queue of one model.

    Args:
        model: the model.
        characters: characters in a batch, at most.
        texts: inputs in a batch, at most; 1 switches batching off.
        face: what the model gives; None for classes of texts.
    """

    def __init__(
        self,
        model: Model,
        characters: int = BATCH_CHARACTERS,
        texts: int = BATCH_TEXTS,
        face: AnswersFace | None = None,
    ) -> None:
        self._model = model
        self._answers = (face or tasks.get("classify").answers).answers
        self._characters = characters
        self._texts = texts
        self._queue: deque[_Pending] = deque()
        self._is_scheduled = False

    async def predict(self, texts: Sequence[str]) -> ModelAnswer:
        """Return the model's answer, in the order of the inputs."""
        loop = asyncio.get_running_loop()
        pending = _Pending(texts, loop.create_future())
        self._queue.append(pending)
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._run_batch, loop)
        return await pending.future

    def _run_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer one batch; schedule the next one while the queue holds requests."""
        batch = self._next_batch()
        try:
            outputs = self._model.predict([text for _, piece in batch for text in piece])
            rows = outputs.tolist()  # converted once for the whole batch
            labels, scores = self._answers(outputs, self._model.labels)
        except Exception as error:  # a model must not end the service: this batch fails, other requests go on
            for pending, _ in batch:
                if not pending.future.done():
                    pending.future.set_exception(error)
        else:
            self._distribute(batch, ModelAnswer(rows, labels, scores))
        if self._queue:
            loop.call_soon(self._run_batch, loop)
        else:
            self._is_scheduled = False

    def _next_batch(self) -> Batch:
        """Take inputs off the queue until the batch is full."""
        batch: Batch = []
        characters_left = self._characters
        texts_left = self._texts
        while self._queue and characters_left > 0 and texts_left > 0:
            pending = self._queue.popleft()
            if pending.future.done():
                continue  # cancelled: the client has gone
            start = pending.taken
            while pending.taken < len(pending.texts) and characters_left > 0 and texts_left > 0:
                characters_left -= len(pending.texts[pending.taken]) + 1
                texts_left -= 1
                pending.taken += 1
            batch.append((pending, pending.texts[start : pending.taken]))
        return batch

    def _distribute(self, batch: Batch, output: ModelAnswer) -> None:
        """Give each request its share of the output; a request with inputs left goes to the end of the queue."""
        start = 0
        for pending, piece in batch:
            end = start + len(piece)
            pending.answer.rows += output.rows[start:end]
            pending.answer.labels += output.labels[start:end]
            pending.answer.scores += output.scores[start:end]
            start = end
            if pending.taken < len(pending.texts):
                self._queue.append(pending)
            elif not pending.future.done():
                pending.future.set_result(pending.answer)
