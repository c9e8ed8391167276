"""The champion's age: in `make status`, and as gauges for a dashboard."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ratchet.console import status
from ratchet.monitoring.log.client import Log
from ratchet.monitoring.log.writer import Policy
from ratchet.problem.settings import Deploy
from ratchet.project.paths import Places
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.serving.answering.service import Live, Service
from ratchet.state import ledger
from ratchet.state.ledger import DataChange, Move

NOON = "2026-11-24T12:00:00+00:00"


def move(before: int | None, after: int | None, at: str = NOON) -> Move:
    return Move("reviews", "promoted", before, after, "make run", "It is better.", {}, at)


def samples(page: bytes) -> dict[str, tuple[dict[str, str], float]]:
    families = text_string_to_metric_families(page.decode())
    return {sample.name: (sample.labels, sample.value) for family in families for sample in family.samples}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    log = Log(Policy())
    here = Places(tmp_path, tmp_path, "127.0.0.1", 0, 0, 0)
    return Service(here, "reviews", Deploy(), log, ServiceMetrics(log), lambda message: None)


def set_champion(service: Service, version: int, since: float = 1_000.0) -> None:
    bundle = SimpleNamespace(facts=SimpleNamespace(version=version))
    service.champion = Live(cast(Any, bundle), cast(Any, None), since)


def test_the_age_counts_from_the_move_in_the_ledger_and_not_from_the_services_start(service: Service) -> None:
    assert service.champion_since() is None
    set_champion(service, 3)
    assert service.champion_since() == (3, 1_000.0), "not in the ledger: since it answers here"
    ledger.append(service.here.ledger, move(2, 3))
    change = DataChange("reviews", None, "a" * 32, 10, 0, "ana", "More rows.", {}, "2026-11-25T12:00:00+00:00")
    ledger.append(service.here.ledger, change)
    ledger.append(service.here.ledger, Move("others", "promoted", None, 3, "ana", "", {}, "2026-11-26T12:00:00+00:00"))
    assert service.champion_since() == (3, datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
    ledger.append(service.here.ledger, move(3, 2, "2026-11-26T12:00:00+00:00"))
    ledger.append(service.here.ledger, move(2, 3, "2026-11-27T12:00:00+00:00"))
    assert service.champion_since() == (3, datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp())


def test_the_metrics_have_the_moment_and_the_age(service: Service) -> None:
    three_days_ago = time.time() - 3 * 86_400
    gauges = samples(service.metrics.render(None, (7, three_days_ago)))
    assert gauges["ratchet_champion_live_since_timestamp_seconds"] == ({"version": "7"}, pytest.approx(three_days_ago))
    labels, age = gauges["ratchet_champion_age_seconds"]
    assert (labels, age) == ({"version": "7"}, pytest.approx(259_200, abs=60))
    early = samples(service.metrics.render(None, (7, time.time() + 100)))
    assert early["ratchet_champion_age_seconds"][1] == 0, "the clock was set back"
    assert not [name for name in samples(service.metrics.render()) if "champion" in name]


def test_status_says_since_when_and_for_how_long() -> None:
    began = datetime.now(UTC) - timedelta(days=3, hours=5)
    assert status.since_text(began) == f" since {began:%Y-%m-%d %H:%M} UTC, for 3 days"
    assert status.since_text(None) == ""
