"""From the registry to what the service reads: the bundle of a version, and the lineup of those that are to answer.

Called by *deploy* before an alias moves, and by the follower for moves that anybody else makes. Knows no Prefect.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from flows.registry.registry import Registry
from flows.registry.snapshot import CHALLENGER, CHAMPION, Standing, Version
from ratchet.project.errors import Refusal
from ratchet.project.settings import Canary
from ratchet.serving.answering import bundle, lineup
from ratchet.serving.answering.lineup import Lineup, Place

DIGEST = "bundle"
"""The tag of a version that holds its bundle's digest: a bundle made elsewhere from the same version is the same."""
AGAIN = 30.0
"""Seconds until a version that cannot be exported is tried again."""


@dataclass
class Memory:
    """What earlier looks found, so that each second need not find it again.

    whole: digests of bundles that were there with every byte. refused: of a version, until when it is not tried again,
    and why.
    """

    whole: set[str] = field(default_factory=set)
    refused: dict[int, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """Who is to answer. refused: by alias, a version that holds it and cannot be exported, and why."""

    lineup: Lineup
    refused: dict[str, tuple[int, str]]


def export(registry: Registry, version: Version, whole: set[str] | None = None) -> Place:
    """The version's bundle, made where it is not there; its digest is written on the version.

    whole: digests of bundles that need not be looked through; this one's is added.

    Raises:
        Refusal: the version cannot be read, does not answer, or is not what its tag says it was.
    """
    here, known, whole = registry.here, version.tags.get(DIGEST, ""), set() if whole is None else whole
    if known and (known in whole or bundle.is_whole(here.bundles / known)):
        whole.add(known)
        return Place(version.number, known)
    facts = bundle.facts_of(version.tags, version.problem, version.number, version.run_id)
    with registry.fetched(version) as saved:
        digest = bundle.pack(saved, facts, here.bundles)
    if not known:
        registry.mark(version, DIGEST, digest)
    elif digest != known:
        raise Refusal(
            f"Version {version.number} must be stored as it was when it went live.",
            f"a bundle with the digest {digest[:12]} instead of {known[:12]}",
            "Build anew: make build; or bring back the artifacts from a backup.",
        )
    return Place(version.number, digest)


def line_up(registry: Registry, canary: Canary, memory: Memory | None = None) -> Look:
    """Export who is to answer, and leave the note that the service starts from.

    A challenger answers people, and not in the shadow alone, only once it has passed the gate.

    Where no version is champion (an alias removed by hand, an empty registry) or it cannot be exported, who answered
    goes on answering. One that cannot be exported holds up nobody else.
    """
    memory = memory or Memory()
    places: dict[str, Place] = {}
    refused: dict[str, tuple[int, str]] = {}
    for alias in (CHAMPION, CHALLENGER) if canary.tries else (CHAMPION,):
        version = registry.holding(alias)
        if version is None or (alias == CHALLENGER and canary.share and version.standing is not Standing.PROMOTE):
            continue
        until, why = memory.refused.get(version.number, (0.0, ""))
        if time.monotonic() >= until:
            try:
                places[alias] = export(registry, version, memory.whole)
                continue
            except Refusal as refusal:
                why = str(refusal)
                memory.refused[version.number] = (time.monotonic() + AGAIN, why)
        refused[alias] = (version.number, why)
    before = lineup.read(registry.here.lineup, registry.problem)
    found = Lineup(registry.problem, places.get(CHAMPION, before.champion), places.get(CHALLENGER))
    if found != before:
        lineup.write(registry.here.lineup, found)
    return Look(found, refused)
