"""The service's state: the champion, a challenger in canary or shadow, and the swap from one version to the next.

A new version is read and tried while the old one answers, and replaces it between two turns of the event loop.
Requests in flight finish on the old version. It is freed after the last of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ratchet import tasks
from ratchet.monitoring.log import predictions
from ratchet.monitoring.log.client import Log
from ratchet.monitoring.log.predictions import Prediction
from ratchet.monitoring.log.writer import Answers
from ratchet.problem.settings import Deploy
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.serving.answering import bundle
from ratchet.serving.answering.batcher import Batcher, ModelAnswer
from ratchet.serving.answering.bundle import Bundle
from ratchet.serving.answering.explainer import ExplanationQueue
from ratchet.serving.answering.label_offers import LabelOffers
from ratchet.serving.answering.lineup import BundleRef, Lineup
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.state import ledger
from ratchet.state.ledger import Refused
from ratchet.tasks import Task

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
NOTHING_LIVE = "No version is live yet. Turn the loop once: make run"
KEY_HASHES = 1 << 32
"""Values that the hash of a canary key can have; the challenger gets the lowest of them, by its share."""


@dataclass(frozen=True)
class Live:
    """A version that answers.

    Attributes:
        bundle: the model and its facts.
        batcher: the model's queue.
        since: when the version began to answer here, in seconds since 1970.
    """

    bundle: Bundle
    batcher: Batcher
    since: float = field(default_factory=time.time)

    @property
    def version(self) -> int:
        return self.bundle.facts.version

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each label in the model's output."""
        return {label: column for column, label in enumerate(self.bundle.labels)}


@dataclass(slots=True)
class Answer:
    """The answer to a request.

    Attributes:
        live: the version that gave it.
        role: champion, challenger or shadow.
        ids: of the predictions, one an input; so are the next three.
        labels: the answer: of classes, the likeliest one.
        scores: the confidence in it: of classes, its probability.
        rows: the model's outputs, in the order of `live.bundle.labels`.
    """

    live: Live
    role: str
    ids: list[str]
    labels: list[str]
    scores: list[float]
    rows: list[list[float]]


class NotReady(Exception):
    """No version is live, or not the requested one."""


@dataclass
class Service:
    """The state of one service. Used by one event loop alone.

    Attributes:
        here: the project's paths.
        problem: the problem it answers for.
        settings: the section `deploy` of params.yaml.
        log: takes every answer and every label.
        metrics: counts them.
        say: prints a line to the service's log.
        champion: the version that answers; None before the first one is live.
        challenger: the version in canary or shadow.
        complaints: the last message about each topic, so that none is repeated; an alias is a topic.
        task: the kind of problem.
    """

    here: Places
    problem: str
    settings: Deploy
    log: Log
    metrics: ServiceMetrics
    say: Callable[[str], None]
    champion: Live | None = None
    challenger: Live | None = None
    complaints: dict[str, str] = field(default_factory=dict)
    task: Task = field(default_factory=lambda: tasks.get("classify"))

    def __post_init__(self) -> None:
        self._swap_lock = asyncio.Lock()
        self._shadow_tasks: set[asyncio.Task[None]] = set()
        self.label_offers = LabelOffers(self.here.queue, self.problem)
        self.explanations = ExplanationQueue()

    # Answering

    async def answer(self, texts: list[str], key: str | None, route: str, version: int | None = None) -> Answer:
        """Answer the texts and log the answer.

        Args:
            texts: of the request.
            key: the canary key; equal keys get the same version. None stands for the first text.
            route: the protocol, for the log.
            version: the version that must answer; None leaves the choice to the canary.

        Raises:
            NotReady: no version, or not that one, is live.
        """
        began = time.perf_counter()
        live, role = self._find_version(version) if version is not None else self._assign(key, texts)
        answer = self._log_answer(live, role, texts, await live.batcher.predict(texts), route, began)
        if role == CHAMPION and version is None and self.settings.canary.shadow and self.challenger is not None:
            task = asyncio.create_task(self._answer_in_shadow(self.challenger, texts, route))
            self._shadow_tasks.add(task)
            task.add_done_callback(self._shadow_tasks.discard)
        return answer

    async def answer_again(self, prediction: Prediction) -> Answer | None:
        """Complete a logged prediction with the model's outputs, which the log does not hold.

        Returns:
            None where the prediction's version no longer answers, or its text was not kept.
        """
        live = next((live for live in self._live_versions() if live.version == prediction.version), None)
        if live is None or prediction.text is None:
            return None
        rows = (await live.batcher.predict([prediction.text])).rows
        return Answer(live, prediction.role, [prediction.id], [prediction.label], [prediction.score], rows)

    def versions(self) -> list[int]:
        """The versions that answer, the champion's first."""
        return [live.version for live in self._live_versions()]

    def _live_versions(self) -> list[Live]:
        return [live for live in (self.champion, self.challenger) if live is not None]

    def _find_version(self, version: int) -> tuple[Live, str]:
        for live, role in ((self.champion, CHAMPION), (self.challenger, CHALLENGER)):
            if live is not None and live.version == version:
                return live, role
        raise NotReady(f"Version {version} does not answer here. Ask without a version, or one of: {self.versions()}.")

    def _assign(self, key: str | None, texts: Sequence[str]) -> tuple[Live, str]:
        """Choose the champion, or the challenger for its share of the keys."""
        if self.champion is None:
            raise NotReady(NOTHING_LIVE)
        share = self.settings.canary.share
        if self.challenger is not None and share > 0:
            canary_key = key if key is not None else (texts[0] if texts else "")
            if hash_key(canary_key) < share * KEY_HASHES:
                return self.challenger, CHALLENGER
        return self.champion, CHAMPION

    async def _answer_in_shadow(self, live: Live, texts: list[str], route: str) -> None:
        began = time.perf_counter()
        self._log_answer(live, SHADOW, texts, await live.batcher.predict(texts), route, began)

    def _log_answer(
        self, live: Live, role: str, texts: list[str], output: ModelAnswer, route: str, began: float
    ) -> Answer:
        """Give the model's output its ids, and hand the answer to the log and the metrics."""
        facts = live.bundle.facts
        labels, scores = output.labels, output.scores
        ids = predictions.identities(len(texts))
        seconds = time.perf_counter() - began
        self.log.put(
            Answers(ids, texts, labels, scores, facts.problem, facts.version, role, route, time.time(), seconds)
        )
        self.metrics.count_answers(facts.version, role, len(texts))
        return Answer(live, role, ids, labels, scores, output.rows)

    # Swapping versions

    async def apply(self, lineup: Lineup, refused: Mapping[str, tuple[int, str]] | None = None) -> None:
        """Swap to the versions of a lineup. A version that cannot be read is refused, and the old one stays.

        Args:
            lineup: the versions that are to answer.
            refused: by alias, the version that has it and could not be exported, and the reason.
        """
        refused = refused or {}
        async with self._swap_lock:
            for alias, (version, reason) in refused.items():
                self.refuse(alias, version, reason)
            if CHAMPION not in refused:
                self.champion = await self._swap(CHAMPION, self.champion, lineup.champion)
            if CHALLENGER not in refused:
                self.challenger = await self._swap(CHALLENGER, self.challenger, lineup.challenger)

    async def _swap(self, alias: str, current: Live | None, place: BundleRef | None) -> Live | None:
        """Return the version that answers as this alias from now on."""
        if place is None:
            self._clear_refusal(alias)
            if alias == CHAMPION:
                return current  # without an alias the old champion goes on; /metrics shows it
            self.metrics.clear_role(alias)
            return None
        if current is not None and current.bundle.digest == place.digest:
            self._clear_refusal(alias)
            return current
        began = time.perf_counter()
        try:
            opened = await asyncio.to_thread(self._open, place)
        except Refusal as refusal:
            self.refuse(alias, place.version, str(refusal))
            return current
        self._clear_refusal(alias)
        live = Live(opened, Batcher(opened.model, face=opened.task.answers))
        self._report_swap(alias, current, live, time.perf_counter() - began)
        return live

    def _open(self, place: BundleRef) -> Bundle:
        """Read the bundle of a version.

        Raises:
            Refusal: it is damaged, belongs to another problem or version, or answers another kind of problem.
        """
        opened = bundle.open_bundle(self.here.bundles, place.digest)
        facts = opened.facts
        if (facts.problem, facts.version) != (self.problem, place.version):
            raise Refusal(
                f"The bundle must hold version {place.version} of {self.problem}.",
                f"version {facts.version} of {facts.problem}",
                "Make it anew: make deploy",
            )
        if facts.task != self.task.name:
            raise Refusal(
                f"Version {facts.version} must be of task {self.task.name}, as this service is.",
                f"task {facts.task}",
                f"Put `task: {facts.task}` into params.yaml, and start anew: make up",
            )
        return opened

    def _report_swap(self, alias: str, before: Live | None, after: Live, seconds: float) -> None:
        was = f", instead of version {before.version}" if before else ""
        facts = after.bundle.facts
        self.say(f"Version {facts.version} ({facts.model}) answers as {alias}{was}; ready in {seconds:.2f} s.")
        self.metrics.count_swap(alias, facts.version)

    def refuse(self, alias: str, version: int | None, reason: str) -> None:
        """Report a version that cannot answer, in the log, the metrics and the ledger; once for the same reason."""
        if self.complaints.get(alias) == reason:
            return
        self.complaints[alias] = reason
        live = self.champion if alias == CHAMPION else self.challenger
        consequence = f"Version {live.version} goes on answering." if live else "Nobody answers."
        self.say(f"Refused as {alias}: {reason} {consequence}")
        self.metrics.refused.labels(alias).set(1)
        self.metrics.refusals.labels(alias).inc()
        try:
            ledger.append(self.here.ledger, Refused(self.problem, version, f"{reason} {consequence}"))
        except OSError as error:
            self.say(f"The ledger could not be written: {error}.")

    def _clear_refusal(self, alias: str) -> None:
        self.complaints.pop(alias, None)
        self.metrics.refused.labels(alias).set(0)

    def say_once(self, topic: str, message: str) -> None:
        """Print a message about a topic, unless it is the last one about it. An empty message ends the complaint."""
        if message and self.complaints.get(topic) != message:
            self.say(message)
        self.complaints[topic] = message

    def champion_since(self) -> tuple[int, float] | None:
        """The champion's version and the moment it went live, in seconds since 1970; None without a champion.

        The moment is the ledger's; where the ledger does not have it, the moment the version began to answer here.
        """
        live = self.champion
        if live is None:
            return None
        moment = ledger.live_since(ledger.read(self.here.ledger, self.problem), live.version)
        return live.version, moment.timestamp() if moment else live.since

    async def finish_shadows(self) -> None:
        """Wait for the shadow answers in flight."""
        await asyncio.gather(*self._shadow_tasks, return_exceptions=True)


def hash_key(key: str) -> int:
    """The hash of a canary key, below KEY_HASHES; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")
