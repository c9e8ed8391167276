"""Who answers: the champion, beside it a challenger on trial, and the swap from one version to the next.

A version is read and tried beside the one that answers, and takes its place between two turns of the event loop. Who
asked the old one is answered by it; it is freed when the last of them is.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ratchet.monitoring.log import predictions
from ratchet.monitoring.log.client import Log
from ratchet.monitoring.log.predictions import Prediction
from ratchet.monitoring.log.writer import Answers
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.settings import Deploy
from ratchet.serving.answering import bundle
from ratchet.serving.answering.batcher import Batcher, ModelAnswer
from ratchet.serving.answering.bundle import Bundle
from ratchet.serving.answering.explainer import ExplanationQueue
from ratchet.serving.answering.label_offers import Waiting
from ratchet.serving.answering.lineup import Lineup, Place
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.state import ledger
from ratchet.state.ledger import Refused

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
NOTHING_LIVE = "No version is live yet. Turn the loop once: make run"
PARTS = 1 << 32
"""Places that a key's hash can have; the challenger gets the first of them, by its share."""


@dataclass(frozen=True)
class Live:
    """A version that answers, with its queue. since: seconds since 1970."""

    bundle: Bundle
    batcher: Batcher
    since: float = field(default_factory=time.time)

    @property
    def version(self) -> int:
        return self.bundle.facts.version

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The column of each label."""
        return {label: number for number, label in enumerate(self.bundle.labels)}


@dataclass(slots=True)
class Answer:
    """What a request is told. rows: the probabilities of each text, in the order of `live.bundle.labels`."""

    live: Live
    role: str
    ids: list[str]
    labels: list[str]
    scores: list[float]
    rows: list[list[float]]


class Unready(Exception):
    """No version is live, or the one that was asked for is not."""


@dataclass
class Service:
    """The state of the service; used by one event loop alone.

    refused: by alias, why the version that the registry names cannot be served; and what else was said of last.
    said: prints for whoever started it.
    """

    here: Places
    problem: str
    settings: Deploy
    log: Log
    meters: ServiceMetrics
    said: Callable[[str], None]
    champion: Live | None = None
    challenger: Live | None = None
    refused: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._changing = asyncio.Lock()
        self._shadows: set[asyncio.Task[None]] = set()
        self.waiting = Waiting(self.here.queue, self.problem)
        self.explaining = ExplanationQueue()

    # Answering

    async def answer(self, texts: list[str], key: str | None, route: str, version: int | None = None) -> Answer:
        """Answer the texts, and log it.

        Args:
            key: of the request: equal keys meet the same version; None takes the first text.
            version: to ask, where it must be one; None leaves it to the canary.

        Raises:
            Unready: nobody is there to answer.
        """
        began = time.perf_counter()
        live, role = self._named(version) if version is not None else self._chosen(key, texts)
        answer = self._told(live, role, texts, await live.batcher.ask(texts), route, began)
        if role == CHAMPION and version is None and self.settings.canary.shadow and self.challenger is not None:
            shadow = asyncio.create_task(self._shadowed(self.challenger, texts, route))
            self._shadows.add(shadow)
            shadow.add_done_callback(self._shadows.discard)
        return answer

    async def again(self, before: Prediction) -> Answer | None:
        """An answer that was given before, with what the log does not hold; None where its version answers no more."""
        live = next(
            (live for live in (self.champion, self.challenger) if live and live.version == before.version), None
        )
        if live is None or before.text is None:
            return None
        found = await live.batcher.ask([before.text])
        return Answer(live, before.role, [before.id], [before.label], [before.score], found.rows)

    def _named(self, version: int) -> tuple[Live, str]:
        for live, role in ((self.champion, CHAMPION), (self.challenger, CHALLENGER)):
            if live is not None and live.version == version:
                return live, role
        raise Unready(f"Version {version} does not answer here. Ask without a version, or one of: {self.versions()}.")

    def versions(self) -> list[int]:
        return [live.version for live in (self.champion, self.challenger) if live is not None]

    def _chosen(self, key: str | None, texts: Sequence[str]) -> tuple[Live, str]:
        """The champion, or the challenger for its share of the keys."""
        if self.champion is None:
            raise Unready(NOTHING_LIVE)
        share = self.settings.canary.share
        if self.challenger is not None and share > 0:
            named = key if key is not None else (texts[0] if texts else "")
            if part(named) < share * PARTS:
                return self.challenger, CHALLENGER
        return self.champion, CHAMPION

    async def _shadowed(self, live: Live, texts: list[str], route: str) -> None:
        began = time.perf_counter()
        self._told(live, SHADOW, texts, await live.batcher.ask(texts), route, began)

    def _told(self, live: Live, role: str, texts: list[str], found: ModelAnswer, route: str, began: float) -> Answer:
        """The answer with its ids, handed to the log."""
        names = live.bundle.labels
        scores = [row[number] for row, number in zip(found.rows, found.best, strict=True)]
        labels, ids = [names[number] for number in found.best], predictions.identities(len(texts))
        facts, seconds = live.bundle.facts, time.perf_counter() - began
        self.log.put(
            Answers(ids, texts, labels, scores, facts.problem, facts.version, role, route, time.time(), seconds)
        )
        self.meters.answered(facts.version, role, len(texts))
        return Answer(live, role, ids, labels, scores, found.rows)

    # Changing who answers

    async def take(self, lineup: Lineup, refused: Mapping[str, tuple[int, str]] | None = None) -> None:
        """Bring who answers up to the lineup; a version that cannot be read is refused, and what answers stays.

        refused: by alias, a version that holds it and could not even be exported, and why.
        """
        async with self._changing:
            for alias, (version, why) in (refused or {}).items():
                self.refuse(alias, version, why)
            if CHAMPION not in (refused or {}):
                self.champion = await self._taken(CHAMPION, self.champion, lineup.champion)
            if CHALLENGER not in (refused or {}):
                self.challenger = await self._taken(CHALLENGER, self.challenger, lineup.challenger)

    async def _taken(self, alias: str, now: Live | None, place: Place | None) -> Live | None:
        if place is None:
            self._accept(alias)  # nothing is named that could be refused
            if alias == CHAMPION:
                return now  # without an alias, what answers goes on: it says so in /metrics
            self.meters.left(alias)
            return None
        if now is not None and now.bundle.digest == place.digest:
            self._accept(alias)
            return now
        began = time.perf_counter()
        try:
            read = await asyncio.to_thread(self._read, place)
        except Refusal as refusal:
            self.refuse(alias, place.version, str(refusal))
            return now
        self._accept(alias)
        live = Live(read, Batcher(read.classifier))
        self.note_swap(alias, now, live, time.perf_counter() - began)
        return live

    def _read(self, place: Place) -> Bundle:
        """The bundle of this problem and that version.

        Raises:
            Refusal: it is none.
        """
        found = bundle.open_bundle(self.here.bundles, place.digest)
        if (found.facts.problem, found.facts.version) != (self.problem, place.version):
            raise Refusal(
                f"The bundle of version {place.version} of {self.problem} must be one of it.",
                f"version {found.facts.version} of {found.facts.problem}",
                "Make it anew: make deploy",
            )
        return found

    def note_swap(self, alias: str, before: Live | None, after: Live, seconds: float) -> None:
        """Say in the log and the metrics that a version answers from now on."""
        was = f", instead of version {before.version}" if before else ""
        facts = after.bundle.facts
        self.said(f"Version {facts.version} ({facts.model}) answers as {alias}{was}; ready in {seconds:.2f} s.")
        self.meters.swapped(alias, facts.version)

    def refuse(self, alias: str, version: int | None, why: str) -> None:
        """Say it of one that does not get to answer, and in the ledger, too; once, however often it is tried."""
        if self.refused.get(alias) == why:
            return
        self.refused[alias] = why
        answers = self.champion if alias == CHAMPION else self.challenger
        stays = f"Version {answers.version} goes on answering." if answers else "Nobody answers."
        self.said(f"Refused as {alias}: {why} {stays}")
        self.meters.refused.labels(alias).set(1)
        self.meters.refusals.labels(alias).inc()
        try:
            ledger.append(self.here.ledger, Refused(self.problem, version, f"{why} {stays}"))
        except OSError as error:
            self.said(f"The ledger could not be written: {error}.")

    def say_once(self, about: str, words: str) -> None:
        """Say what is the matter with something; not again until it is another. Empty: all is well with it."""
        if words and self.refused.get(about) != words:
            self.said(words)
        self.refused[about] = words

    def champion_since(self) -> tuple[int, float] | None:
        """The version that answers, and since when it is live, in seconds since 1970: as the ledger has it, or since it
        answers here where the ledger does not know of it; None where nobody answers."""
        live = self.champion
        if live is None:
            return None
        known = ledger.live_since(ledger.read(self.here.ledger, self.problem), live.version)
        return live.version, known.timestamp() if known else live.since

    async def settle(self) -> None:
        """Wait for what still answers in the shadow."""
        await asyncio.gather(*self._shadows, return_exceptions=True)

    def _accept(self, alias: str) -> None:
        self.refused.pop(alias, None)
        self.meters.refused.labels(alias).set(0)


def part(key: str) -> int:
    """Where a key lies among PARTS places; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")
