"""What is counted, under which names and labels; and that nothing of a peer's ever becomes a label."""

from typing import Any

import pytest
from prometheus_client import generate_latest

from doorward.adapters.metrics import Meters
from doorward.adapters.metrics import meters as module
from doorward.values.audit import AuditEvent, EventKind, Outcome
from doorward.values.decision import Ended, Reason

ROUTE = "/chat/{room}"


@pytest.fixture
def meters() -> Meters:
    return Meters(connections=lambda: {ROUTE: 3, "/other": 0})


def event(kind: EventKind, outcome: Outcome = Outcome.DONE, **members: Any) -> AuditEvent:
    return AuditEvent(kind=kind, outcome=outcome, **{"route": ROUTE, **members})


def value(meters: Meters, name: str, **labels: str) -> float | None:
    return meters.registry.get_sample_value(name, labels)


def test_the_names_are_those_of_the_contract(meters: Meters) -> None:
    names = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in meters.registry.collect()
    }
    assert names == {
        "doorward_handshakes_total",
        "doorward_handshake_seconds",
        "doorward_connections",
        "doorward_messages_total",
        "doorward_bytes_total",
        "doorward_renewals_total",
        "doorward_closes_total",
        "doorward_revocation_seconds",
        "doorward_store_seconds",
    }


def test_handshakes(meters: Meters) -> None:
    refused = event(EventKind.HANDSHAKE, Outcome.REFUSED, reason="token_expired", duration=0.004)
    meters.write([event(EventKind.HANDSHAKE, Outcome.ALLOWED, duration=0.002), refused, refused])
    meters.write([event(EventKind.HANDSHAKE, Outcome.REFUSED, reason="address_rate", count=100, route="")])
    total = "doorward_handshakes_total"
    assert value(meters, total, route=ROUTE, outcome="allowed", reason="") == 1
    assert value(meters, total, route=ROUTE, outcome="refused", reason="token_expired") == 2
    assert value(meters, total, route="", outcome="refused", reason="address_rate") == 100
    assert value(meters, "doorward_handshake_seconds_count") == 3
    assert value(meters, "doorward_handshake_seconds_sum") == pytest.approx(0.010)


def test_traffic_is_added_up_from_intervals_and_closes(meters: Meters) -> None:
    counts: dict[str, Any] = {"messages_in": 2, "messages_out": 3, "bytes_in": 20, "bytes_out": 30}
    meters.write([event(EventKind.INTERVAL, **counts), event(EventKind.INTERVAL, **counts)])
    meters.write([event(EventKind.CLOSE, reason="expired", messages_in=1)])
    messages = {"name": "doorward_messages_total", "route": ROUTE, "outcome": "delivered"}
    assert value(meters, **messages, direction="in") == 5
    assert value(meters, **messages, direction="out") == 6
    assert value(meters, "doorward_bytes_total", route=ROUTE, direction="in") == 40
    assert value(meters, "doorward_bytes_total", route=ROUTE, direction="out") == 60
    assert value(meters, "doorward_closes_total", reason="expired") == 1


def test_messages_that_were_not_delivered(meters: Meters) -> None:
    meters.write([event(EventKind.REFUSED_MESSAGE, Outcome.REFUSED, count=4), event(EventKind.DROPPED_MESSAGE)])
    assert value(meters, "doorward_messages_total", route=ROUTE, direction="in", outcome="refused") == 4
    assert value(meters, "doorward_messages_total", route=ROUTE, direction="out", outcome="dropped") == 1


def test_renewals_revocations_and_the_store(meters: Meters) -> None:
    meters.write([event(EventKind.RENEWAL, Outcome.ALLOWED), event(EventKind.RENEWAL, Outcome.REFUSED)])
    meters.write([event(EventKind.REVOCATION, duration=0.03), event(EventKind.REVOCATION)])
    meters.store("spend", 0.0002)
    meters.store("spend", 0.0002)
    assert value(meters, "doorward_renewals_total", outcome="allowed") == 1
    assert value(meters, "doorward_renewals_total", outcome="refused") == 1
    assert value(meters, "doorward_revocation_seconds_count") == 1
    assert value(meters, "doorward_store_seconds_count", operation="spend") == 2


def test_connections_are_counted_when_somebody_asks() -> None:
    open_now = {ROUTE: 1}
    meters = Meters(connections=lambda: open_now)
    assert value(meters, "doorward_connections", route=ROUTE) == 1
    open_now[ROUTE] = 7
    assert value(meters, "doorward_connections", route=ROUTE) == 7


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_of_event_is_taken(meters: Meters, kind: EventKind) -> None:
    meters.write([event(kind)])
    meters.close()


@pytest.mark.parametrize("reason", [*Reason, *Ended])
def test_every_reason_has_its_own_series(meters: Meters, reason: str) -> None:
    meters.write([event(EventKind.CLOSE, reason=reason)])
    assert value(meters, "doorward_closes_total", reason=str(reason)) == 1


def test_adm_08_nothing_of_a_peer_is_a_label(meters: Meters) -> None:
    canary = "canary-4f1d"
    text: dict[str, Any] = dict.fromkeys(
        [
            "connection",
            "address",
            "direct",
            "origin",
            "user_agent",
            "path",
            "issuer",
            "subject",
            "tenant",
            "session",
            "credential",
            "place",
            "reason",
            "ending",
            "detail",
            "node",
        ],
        canary,
    )
    meters.write([event(kind, outcome, **text) for kind in EventKind for outcome in Outcome])
    assert canary not in generate_latest(meters.registry).decode()
    assert value(meters, "doorward_closes_total", reason="other") == 4


def test_az_29_the_number_of_series_is_bounded(meters: Meters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROUTES", 5)
    meters.write([event(EventKind.HANDSHAKE, route=f"/{number}") for number in range(100)])
    assert value(meters, "doorward_handshakes_total", route="/4", outcome="done", reason="") == 1
    assert value(meters, "doorward_handshakes_total", route="other", outcome="done", reason="") == 95
