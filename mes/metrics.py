"""What Prometheus reads: permits, refusals, reports, latencies, gateway links, outbox age, subscribers' lag."""

import os
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

PERMITS = Counter("mes_permits_total", "Permits answered.", ["station", "granted"])
REFUSALS = Counter("mes_refusals_total", "Reasons given against a permit.", ["reason"])
REPORTS = Counter("mes_reports_total", "Results recorded.", ["station", "verdict"])
FINDINGS = Counter("mes_findings_total", "What reports broke.", ["code"])
LATENCY = Histogram(
    "mes_request_seconds",
    "Time to answer a request.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
ERRORS = Counter("mes_errors_total", "Requests that were not carried out.", ["code"])


def render(
    links: Sequence[tuple[str, bool, int]],
    outbox_age_s: float,
    outbox_length: int,
    subscriptions: Sequence[tuple[str, int, float, int]],
) -> bytes:
    """Write all metrics: those counted here, by all workers, and those read from the database just now.

    `links`: (station, connected, dead letters its gateway keeps).
    """
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        counted = CollectorRegistry()
        multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        text = generate_latest(counted)
    else:
        text = generate_latest()
    registry = CollectorRegistry()
    connected = Gauge("mes_station_connected", "1: its gateway has it.", ["station"], registry=registry)
    letters = Gauge("mes_station_dead_letters", "Reports kept by its gateway.", ["station"], registry=registry)
    for station, is_connected, dead_letters in links:
        connected.labels(station).set(is_connected)
        letters.labels(station).set(dead_letters)
    Gauge("mes_outbox_age_seconds", "Age of the oldest event not told yet.", registry=registry).set(outbox_age_s)
    Gauge("mes_outbox_length", "Events not told yet.", registry=registry).set(outbox_length)
    waiting = Gauge("mes_subscription_waiting", "Events still to be taken.", ["subscription"], registry=registry)
    lag = Gauge("mes_subscription_lag_seconds", "Age of the oldest of them.", ["subscription"], registry=registry)
    missed = Gauge("mes_subscription_missed", "Purged before they were taken.", ["subscription"], registry=registry)
    for name, events, seconds, lost in subscriptions:
        waiting.labels(name).set(events)
        lag.labels(name).set(seconds)
        missed.labels(name).set(lost)
    return text + generate_latest(registry)
