"""From the registry to what the service reads: the bundle of a version, and the lineup of those that are to answer.

Called by *deploy* before an alias moves, and by the follower for moves that anybody else makes. Knows no Prefect.
"""

from __future__ import annotations

from flows.holdings import CHALLENGER, CHAMPION, Version
from flows.registry import Registry
from ratchet.refusal import Refusal
from ratchet.serving import bundle, lineup
from ratchet.serving.lineup import Lineup, Place

DIGEST = "bundle"
"""The tag of a version that holds its bundle's digest: a bundle made elsewhere from the same version is the same."""


def export(registry: Registry, version: Version) -> Place:
    """The version's bundle, made where it is not there; its digest is written on the version.

    Raises:
        Refusal: the version cannot be read, does not answer, or is not what its tag says it was.
    """
    here, known = registry.here, version.tags.get(DIGEST, "")
    if known and bundle.is_whole(here.bundles / known):
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


def wanted(registry: Registry, with_challenger: bool) -> dict[str, Version]:
    """The versions that are to answer, by alias."""
    aliases = (CHAMPION, CHALLENGER) if with_challenger else (CHAMPION,)
    held = {alias: registry.holding(alias) for alias in aliases}
    return {alias: version for alias, version in held.items() if version is not None}


class Unexported(Exception):
    """A version that holds an alias and cannot be exported; the sentence says why."""

    def __init__(self, alias: str, version: int, why: str) -> None:
        super().__init__(why)
        self.alias, self.version = alias, version


def line_up(registry: Registry, with_challenger: bool = False) -> Lineup:
    """Export who is to answer, and leave the note that the service starts from.

    Where no version is champion (an alias removed by hand, an empty registry) who answered goes on answering.

    Raises:
        Unexported: one of them cannot be.
    """
    places: dict[str, Place] = {}
    for alias, version in wanted(registry, with_challenger).items():
        try:
            places[alias] = export(registry, version)
        except Refusal as refusal:
            raise Unexported(alias, version.number, str(refusal)) from refusal
    before = lineup.read(registry.here.lineup)
    found = Lineup(places.get(CHAMPION, before.champion), places.get(CHALLENGER))
    if found != before:
        lineup.write(registry.here.lineup, found)
    return found
