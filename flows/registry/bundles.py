"""Exports versions for the prediction service: a version enters, its bundle and the lineup of served versions leave.

*Deploy* calls this before an alias moves, and the follower after anybody else moved one. Knows no Prefect.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from flows.registry.registry import Registry
from flows.registry.snapshot import CHALLENGER, CHAMPION, Standing, Version
from ratchet.problem.settings import Canary
from ratchet.project.errors import Refusal
from ratchet.serving.answering import bundle, lineup
from ratchet.serving.answering.lineup import BundleRef, Lineup

DIGEST = "bundle"
"""The tag of a version with its bundle's digest: a bundle made elsewhere from the same version is the same."""
RETRY_SECONDS = 30.0
"""Seconds until a version that cannot be exported is tried again."""


@dataclass
class ExportCache:
    """Results of earlier exports, so that they are not repeated every second.

    Attributes:
        whole: Digests of bundles that were checked and are complete.
        refused: By version number, the monotonic time of the next try and the reason of the last failure.
    """

    whole: set[str] = field(default_factory=set)
    refused: dict[int, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class LineupUpdate:
    """The result of `update_lineup`.

    Attributes:
        lineup: The versions that the service is to answer with.
        refused: By alias, the number of a version that cannot be exported, and the reason.
    """

    lineup: Lineup
    refused: dict[str, tuple[int, str]]


def export(registry: Registry, version: Version, whole: set[str] | None = None) -> BundleRef:
    """Return the version's bundle, made where it is missing; its digest is written on the version.

    Args:
        registry: The registry that has the version.
        version: The version to export.
        whole: Digests of bundles that need not be checked; this bundle's digest is added.

    Raises:
        Refusal: The version cannot be read, does not answer, or its bundle differs from the digest in its tag.
    """
    here = registry.here
    tagged = version.tags.get(DIGEST, "")
    if whole is None:
        whole = set()
    if tagged and (tagged in whole or bundle.is_whole(here.bundles / tagged)):
        whole.add(tagged)
        return BundleRef(version.number, tagged)
    with registry.downloaded(version) as saved:
        task = bundle.task_of(saved, version.number)
        facts = bundle.facts_from_tags(version.tags, version.problem, version.number, version.run_id, task)
        digest = bundle.pack(saved, facts, here.bundles)
    if not tagged:
        registry.set_tags(version, {DIGEST: digest})
    elif digest != tagged:
        raise Refusal(
            f"Version {version.number} must be stored as it was when it went live.",
            f"a bundle with the digest {digest[:12]} instead of {tagged[:12]}",
            "Build anew: make build; or bring back the artifacts from a backup.",
        )
    return BundleRef(version.number, digest)


def update_lineup(registry: Registry, canary: Canary, cache: ExportCache | None = None) -> LineupUpdate:
    """Export the versions that are to answer, and write the lineup file that the service starts from.

    A challenger gets a share of the traffic only once it has passed the gate; a shadow need not have.

    Without a champion (its alias was removed by hand, the registry is empty), or where it cannot be exported, the
    champion of the last lineup stays. A version that cannot be exported does not hold up the other one.
    """
    cache = cache or ExportCache()
    places: dict[str, BundleRef] = {}
    refused: dict[str, tuple[int, str]] = {}
    for alias in (CHAMPION, CHALLENGER) if canary.tries else (CHAMPION,):
        version = registry.by_alias(alias)
        if version is None or (alias == CHALLENGER and canary.share and version.standing is not Standing.PROMOTE):
            continue
        next_try, reason = cache.refused.get(version.number, (0.0, ""))
        if time.monotonic() >= next_try:
            try:
                places[alias] = export(registry, version, cache.whole)
                continue
            except Refusal as refusal:
                reason = str(refusal)
                cache.refused[version.number] = (time.monotonic() + RETRY_SECONDS, reason)
        refused[alias] = (version.number, reason)
    last = lineup.read(registry.here.lineup, registry.problem)
    current = Lineup(registry.problem, places.get(CHAMPION, last.champion), places.get(CHALLENGER))
    if current != last:
        lineup.write(registry.here.lineup, current)
    return LineupUpdate(current, refused)
