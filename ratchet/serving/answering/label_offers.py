"""The inputs that people are asked to label: state/queue.json, without those labelled since the file was written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ratchet.data.prepare.label_sources import AUDIT, CHOSEN
from ratchet.monitoring import label_queue

MAX_REMEMBERED = 1_000
"""Recent offers that are remembered: a person who goes back to an input then gives a label of the same source."""


@dataclass(frozen=True)
class Offer:
    """An input that a person may be asked to label.

    Attributes:
        id: of the prediction.
        source: `audit` or `chosen`.
        chance: probability with which active learning chose the input; None for an audit.
    """

    id: str
    source: str
    chance: float | None = None


@dataclass
class LabelOffers:
    """The label queue of one service. Used by one event loop alone; the file is read again when it has changed.

    Attributes:
        path: of the queue file.
        problem: whose queue counts.
    """

    path: Path
    problem: str
    _stamp: tuple[int, int] = (0, 0)
    _offers: dict[str, Offer] = field(default_factory=dict)
    _recent: dict[str, Offer] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)

    def waiting(self) -> list[Offer]:
        """The inputs that wait for a label, in the order in which people are asked."""
        self._refresh()
        return [offer for prediction, offer in self._offers.items() if prediction not in self._closed]

    def next_after(self, prediction: str = "") -> Offer | None:
        """The first waiting input after a skipped one, starting over at the end; the very first without one."""
        self._refresh()
        ids = list(self._offers)
        start = ids.index(prediction) + 1 if prediction in self._offers else 0
        waiting = [candidate for candidate in ids[start:] + ids[:start] if candidate not in self._closed]
        return self._offers[waiting[0]] if waiting else None

    def find(self, prediction: str) -> Offer | None:
        """The offer of this prediction id, where there is or recently was one."""
        return self._recent.get(prediction)

    def close_labelled(self, prediction: str, source: str) -> None:
        """Take a labelled input off the queue; an audit stays until it has a label of source `audit`."""
        self._refresh()
        offer = self._offers.get(prediction)
        if offer is not None and (offer.source == CHOSEN or source == AUDIT):
            self._closed.add(prediction)

    def close(self, prediction: str) -> None:
        """Take an offer off the queue because its input is no longer stored."""
        self._closed.add(prediction)

    def _refresh(self) -> None:
        """Read the file again, where it is not the one read last."""
        stamp = (0, 0)
        with suppress(OSError):
            status = self.path.stat()
            stamp = (status.st_ino, status.st_mtime_ns)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        queue = label_queue.read(self.path, self.problem)
        offers = [Offer(prediction, AUDIT) for prediction in queue.audit]
        offers += [Offer(prediction, CHOSEN, chance) for prediction, chance in queue.chosen]
        self._offers = {offer.id: offer for offer in offers}
        self._recent |= self._offers
        self._recent = dict(list(self._recent.items())[-MAX_REMEMBERED:])
        self._closed &= self._offers.keys()
