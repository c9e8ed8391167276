"""What waits for a label, as the service offers it: state/queue.json, less what was labelled since it was written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ratchet.data.prepare.label_sources import AUDIT, CHOSEN
from ratchet.monitoring import label_queue

REMEMBERED = 1_000
"""Texts that were offered and are known to have been, so that who goes back to one gives a label of the same kind."""


@dataclass(frozen=True)
class Offer:
    """A text that somebody may be asked about. source: `audit` or `chosen`. chance: None for an audit."""

    id: str
    source: str
    chance: float | None = None


@dataclass
class Waiting:
    """The queue at a path. Used by one event loop alone; looked up anew when the file is another one."""

    path: Path
    problem: str
    _stamp: tuple[int, int] = (0, 0)
    _offers: dict[str, Offer] = field(default_factory=dict)
    _known: dict[str, Offer] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)

    def offers(self) -> list[Offer]:
        """What waits, in the order in which it is asked."""
        self._follow()
        return [offer for name, offer in self._offers.items() if name not in self._done]

    def next(self, after: str = "") -> Offer | None:
        """The first that waits; behind one that was skipped the next, and after the last the first again."""
        self._follow()
        names = list(self._offers)
        start = names.index(after) + 1 if after in self._offers else 0
        waiting = [name for name in names[start:] + names[:start] if name not in self._done]
        return self._offers[waiting[0]] if waiting else None

    def known(self, name: str) -> Offer | None:
        """What was offered under that id, now or lately."""
        return self._known.get(name)

    def labelled(self, name: str, source: str) -> None:
        """Somebody has given a label for it: it waits no more, but for an audit where the label is of another kind."""
        self._follow()
        offer = self._offers.get(name)
        if offer is not None and (offer.source == CHOSEN or source == AUDIT):
            self._done.add(name)

    def gone(self, name: str) -> None:
        """Its text is not there any more."""
        self._done.add(name)

    def _follow(self) -> None:
        stamp = (0, 0)
        with suppress(OSError):
            found = self.path.stat()
            stamp = (found.st_ino, found.st_mtime_ns)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        now = label_queue.read(self.path, self.problem)
        offers = [Offer(name, AUDIT) for name in now.audit]
        offers += [Offer(name, CHOSEN, chance) for name, chance in now.chosen]
        self._offers = {offer.id: offer for offer in offers}
        self._known |= self._offers
        self._known = dict(list(self._known.items())[-REMEMBERED:])
        self._done &= self._offers.keys()
