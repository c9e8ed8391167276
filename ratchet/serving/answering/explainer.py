"""Explanations, one at a time in a thread of their own, so that they hold up neither /metrics nor a swap."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from models.text.explanation import Explanation, TextModel, explain
from ratchet.serving.answering.requests import RequestError

MAX_REQUESTS = 8
"""Requests whose texts are being explained or wait for an explanation, at most."""


class ExplanationQueue:
    """The explanations of one service. Used by one event loop alone."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "explaining")
        self._requests = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Reserve a place in the queue for one request, while the block runs.

        Raises:
            RequestError: the queue is full (503).
        """
        if self._requests >= MAX_REQUESTS:
            raise RequestError(
                503, f"{MAX_REQUESTS} requests have answers explained already. Ask again, or without.", 1
            )
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def explain(self, model: TextModel, text: str, together: int = 1) -> Explanation:
        """Run `models.text.explanation.explain` in the thread, so that the loop answers other requests meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, explain, model, text, together)
