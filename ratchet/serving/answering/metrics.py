"""The service's Prometheus metrics. By Prometheus' conventions names end in their unit, and labels have few values."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from ratchet.monitoring.last_check import LastCheck
from ratchet.monitoring.log.client import Log

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROLES = ("champion", "challenger")
FIGURES = {
    "estimated": "Accuracy on live texts by estimate, without labels, with its 95% interval",
    "measured": "Accuracy on the newest audited answers, with its 95% interval",
    "always": "Accuracy on all audited answers, in an interval that holds for all looks together",
    "holdout": "Accuracy when the version was judged, with its 95% interval",
}


class ServiceMetrics:
    """The metrics of one service.

    Attributes:
        bytes_inside: bytes that the requests in flight count for; the guard keeps it.
        registry: all metrics but those that `render` adds.
    """

    def __init__(self, log: Log) -> None:
        disable_created_metrics()
        self._children: dict[tuple[object, ...], Any] = {}
        self.bytes_inside = 0
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("ratchet_requests", "Requests answered", ("route", "status"), registry=registry)
        self.seconds = Histogram(
            "ratchet_request_seconds",
            "From the first byte to the answer",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self.predictions = Counter("ratchet_predictions", "Texts answered", ("version", "role"), registry=registry)
        self.feedback = Counter("ratchet_feedback", "Feedback taken", registry=registry)
        self.overload = Counter("ratchet_overload", "Requests told to come back later", registry=registry)
        self.live = Gauge("ratchet_version", "The version that answers", ("role",), registry=registry)
        self.swaps = Counter(
            "ratchet_swaps", "Times that another version began to answer", ("role",), registry=registry
        )
        self.refused = Gauge(
            "ratchet_version_refused",
            "1 while the registry names a version that cannot answer",
            ("role",),
            registry=registry,
        )
        self.refusals = Counter("ratchet_refusals", "Versions refused", ("role",), registry=registry)
        self.followed = Gauge(
            "ratchet_registry_looked_at_timestamp_seconds", "When the registry was looked at last", registry=registry
        )
        for name, help_text, value in (
            ("ratchet_requests_bytes", "Of requests being received or answered", lambda: self.bytes_inside),
            ("ratchet_log_waiting_bytes", "Of predictions that are not on the disk yet", lambda: log.waiting),
            ("ratchet_log_written", "Predictions written", lambda: log.tally.written),
            (
                "ratchet_log_dropped",
                "Predictions answered and not logged: the disk cannot keep up",
                lambda: log.tally.dropped,
            ),
            ("ratchet_log_failed_writes", "Writes that failed, and were tried again", lambda: log.tally.failed),
        ):
            Gauge(name, help_text, registry=registry).set_function(value)
        for role in ROLES:
            self.refused.labels(role).set(0)

    def count_answers(self, version: int, role: str, texts: int) -> None:
        """Count the inputs that a version answered."""
        self._child(self.predictions, version, role).inc(texts)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request and its duration."""
        self._child(self.requests, route, status).inc()
        self._child(self.seconds, route).observe(seconds)

    def _child(self, metric: Any, *labels: object) -> Any:
        """The metric with these label values, cached: the library looks it up by way of strings and a lock."""
        key = (id(metric), *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def count_swap(self, role: str, version: int) -> None:
        """Note that another version answers in this role."""
        self.live.labels(role).set(version)
        self.swaps.labels(role).inc()

    def clear_role(self, role: str) -> None:
        """Note that no version answers in this role."""
        self.live.remove(role)

    def render(self, check: LastCheck | None = None, since: tuple[int, float] | None = None) -> bytes:
        """Return the text that Prometheus reads.

        Args:
            check: the last check of live traffic; None where there was none.
            since: the champion's version, and the moment it went live in seconds since 1970; None without a champion.
        """
        registries = [self.registry]
        if check:
            registries.append(last_check_gauges(check))
        if since:
            registries.append(age(*since, time.time()))
        return b"".join(map(generate_latest, registries))


def age(version: int, since: float, now: float) -> CollectorRegistry:
    """The champion's age: the moment it went live, for calculations, and the seconds since then, for display."""
    registry = CollectorRegistry()
    for name, help_text, value in (
        ("ratchet_champion_live_since_timestamp_seconds", "When the champion went live", since),
        ("ratchet_champion_age_seconds", "How long the champion has been live", max(0.0, now - since)),
    ):
        Gauge(name, help_text, ("version",), registry=registry).labels(str(version)).set(value)
    return registry


def last_check_gauges(check: LastCheck) -> CollectorRegistry:
    """The results of *optimise*'s last check of live traffic.

    The registry is made anew for each page, so that the gauge of a shift that has ended disappears.
    """
    registry = CollectorRegistry()
    version = str(check.version)
    for name, help_text, value in (
        ("ratchet_watched_timestamp_seconds", "When live traffic was looked at last", check.at),
        ("ratchet_watched_texts", "Distinct texts in that look", check.rows),
        ("ratchet_drifted", "1 while anything has drifted, by all looks of a month together", check.drifted),
        ("ratchet_calibration_error", "Mean gap of confidence and accuracy on audited answers", check.calibration),
    ):
        if value is not None:
            Gauge(name, help_text, ("version",), registry=registry).labels(version).set(value)
    for name, help_text, values in (
        ("ratchet_drift", "By how much it moved, from 0 to 1", check.effects),
        ("ratchet_drift_p_value", "How likely as large a move is by chance, in one look", check.p_values),
    ):
        gauge = Gauge(name, help_text, ("version", "what"), registry=registry)
        for statistic, value in values.items():
            gauge.labels(version, statistic.replace(" ", "_")).set(value)
    for name, help_text in FIGURES.items():
        if name in check.figures:
            gauge = Gauge(f"ratchet_accuracy_{name}", help_text, ("version", "bound"), registry=registry)
            for bound in ("value", "low", "high"):
                gauge.labels(version, bound).set(check.figures[name][bound])
    return registry
