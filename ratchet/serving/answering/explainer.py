"""Explanations, one after the other in a thread of their own: /metrics and the swap have theirs and wait for none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from models.text.explanation import Explanation, Model, explain
from ratchet.serving.answering.requests import RequestError

MOST_REQUESTS = 8
"""Whose texts are explained or wait for it at the same time."""


class ExplanationQueue:
    """Who has something explained at the moment; used by one event loop alone."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "explaining")
        self._requests = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A request's place among those that are explained, while the block runs.

        Raises:
            Problem: none is free (503).
        """
        if self._requests >= MOST_REQUESTS:
            raise RequestError(
                503, f"{MOST_REQUESTS} requests have answers explained already. Ask again, or without.", 1
            )
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def explain(self, model: Model, text: str, together: int = 1) -> Explanation:
        """As models/text/explanation.py does it; in the thread, so that others are answered meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, explain, model, text, together)
