"""What the gateway counts, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

permits = Counter("gateway_permits", "Permits answered to stations", ["station", "outcome"])
reports = Counter("gateway_reports", "Results acknowledged to stations", ["station", "outcome"])
permit_seconds = Histogram("gateway_permit_seconds", "Door's time for a permit", ["station"], buckets=_SECONDS)
report_seconds = Histogram("gateway_report_seconds", "Door's time for a result", ["station"], buckets=_SECONDS)
answer_seconds = Histogram(
    "gateway_answer_seconds", "From seeing the station's counter to its answer written", ["station"], buckets=_SECONDS
)
torn_payloads = Counter("gateway_torn_payloads", "Payloads that changed while they were read", ["station"])
link_up = Gauge("gateway_link_up", "1 while the station is connected", ["station"])
dead_letters = Gauge("gateway_dead_letters", "Dead letters that wait for a person", ["station"])
door_open = Gauge("gateway_door_open", "1 while the MES answers")

certificate_days_left = Gauge(
    "gateway_certificate_days_left",
    "Days until a certificate expires: own, or a trusted one by thumbprint",
    ["certificate"],
)
spooled = Gauge("gateway_spooled", "Results and answers on this PC that the MES has not heard of", ["station"])
spool_fill = Gauge("gateway_spool_fill", "How full the spool is, 0..1; an alarm from 0.7, a stop at 1")
offline_permits = Counter("gateway_offline_permits", "Permits answered without the MES", ["station", "outcome"])
known_age = Gauge("gateway_known_age_seconds", "Age of what the gateway knows of the record; -1: nothing")
packml_state = Gauge("gateway_packml_state", "1 for the PackML state a machine is in", ["station", "state"])
packml_seconds = Counter("gateway_packml_seconds", "Time a machine was seen in a PackML state", ["station", "state"])
packml_produced = Counter("gateway_packml_produced", "Pieces a machine has counted", ["station"])
packml_defective = Counter("gateway_packml_defective", "Defective pieces a machine has counted", ["station"])


def publish(port: int) -> None:
    """Serve the numbers on the loopback address only; a collector on this PC fetches them."""
    start_http_server(port, addr="127.0.0.1")
