"""The catalogue is total, and is PRODUCT section 7's table."""

import pytest

from doorward.core.endings import ENDINGS, close_text, counts_as_refusal, whole_seconds
from doorward.values.decision import Ending, Reason, Retry

# ending: statuses, close, retry - typed off from PRODUCT, so that the table can't be wrong in both places by itself
CONTRACT = {
    "expired": (set(), 4001, Retry.REFRESH),
    "revoked": (set(), 4002, Retry.SIGN_IN),
    "unauthenticated": ({401}, 4401, Retry.CREDENTIAL),
    "refused": ({403}, 4401, Retry.ONE_FRESH),
    "forbidden": ({403}, 4403, Retry.STOP),
    "malformed": ({400, 405, 414, 421, 426, 431, 413, 415}, 4400, Retry.STOP),  # 413, 415: our own endpoints
    "not_found": ({404}, None, Retry.STOP),
    "authentication_timeout": ({408}, 4408, Retry.RECONNECT),
    "idle": (set(), 4408, Retry.RECONNECT),
    "lifetime": (set(), 4408, Retry.RECONNECT),
    "no_pong": (set(), 4408, Retry.RECONNECT),
    "connection_limit": ({429}, 4409, Retry.USER),
    "replaced": (set(), 4409, Retry.USER),
    "rate_limited": ({429}, 4429, Retry.AFTER),
    "message_too_big": (set(), 1009, Retry.STOP),
    "invalid_text": (set(), 1007, Retry.STOP),
    "protocol_error": (set(), 1002, Retry.STOP),
    "closed_by_operator": (set(), 4403, Retry.STOP),
    "draining": ({503}, 1012, Retry.AFTER),
    "unavailable": ({503}, 1013, Retry.BACKOFF),
    "overloaded": ({503}, 1013, Retry.BACKOFF),
    "slow_consumer": ({503}, 1013, Retry.BACKOFF),
    "backend_unavailable": ({502, 403}, 1014, Retry.BACKOFF),  # 403: an application's own no (middleware)
    "backend_timeout": ({504}, 1014, Retry.BACKOFF),
    "internal": ({500}, 1011, Retry.BACKOFF),
}


def test_every_reason_has_one() -> None:
    assert set(ENDINGS) == set(Reason)


@pytest.mark.parametrize("name", CONTRACT)
def test_it_is_the_contracts_table(name) -> None:
    statuses, close, retry = CONTRACT[name]
    found = [ending for ending in ENDINGS.values() if ending.name == name]
    assert {ending.status for ending in found} - {None} == statuses
    assert {ending.close for ending in found} == {close}
    assert {ending.retry for ending in found} == {retry}


def test_there_is_no_other() -> None:
    assert {ending.name for ending in ENDINGS.values()} == set(CONTRACT)


@pytest.mark.parametrize("reason", Reason)
def test_a_close_reason_fits_a_close_frame(reason) -> None:
    """RFC 6455 section 5.5: 125 bytes, two of them for the code."""
    assert len(close_text(ENDINGS[reason], retry_after=10_000_000).encode()) <= 123


def test_what_is_shown_and_not_accepted_looks_alike() -> None:
    """Step 8: expired, forged, unknown, spent, revoked."""
    alike = [Reason.TOKEN_EXPIRED, Reason.TOKEN_SIGNATURE, Reason.TICKET_UNKNOWN, Reason.TICKET_SPENT]
    assert {ENDINGS[reason] for reason in [*alike, Reason.REVOKED_BEFORE]} == {
        Ending("refused", 403, 4401, Retry.ONE_FRESH)
    }


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        (Reason.TOKEN_SIGNATURE, True),
        (Reason.CREDENTIAL_MISSING, True),
        (Reason.ROUTE_UNKNOWN, True),
        (Reason.HEAD_GRAMMAR, True),
        (Reason.ORIGIN_UNLISTED, True),
        (Reason.ADDRESS_BANNED, False),
        (Reason.ADDRESS_RATE, False),
        (Reason.ADDRESS_REFUSALS, False),
        (Reason.SLOTS_IDENTITY, False),
        (Reason.STORE_UNAVAILABLE, False),
        (Reason.BACKEND_TIMEOUT, False),
        (Reason.DRAINING, False),
        (Reason.INTERNAL, False),
    ],
)
def test_counts_as_refusal(reason, counts) -> None:
    assert counts_as_refusal(reason) is counts


def test_close_text() -> None:
    assert close_text(ENDINGS[Reason.EXPIRED]) == "doorward:expired"
    assert close_text(ENDINGS[Reason.MESSAGE_RATE], retry_after=1.2) == "doorward:rate_limited; retry_after=2"


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.01, 2), (59.9, 60), (-3.0, 1)])
def test_whole_seconds(seconds, shown) -> None:
    assert whole_seconds(seconds) == shown
