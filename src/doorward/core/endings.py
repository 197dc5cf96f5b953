"""Every Reason has exactly one Ending, and the peer learns nothing finer (PRODUCT section 7, Endings).

The table is total: a test proves it. spec/endings.json, the docs and the clients are made from it.
"""

from collections.abc import Mapping
from typing import Final

from doorward.values.decision import Ending, Reason, Retry


def _family(
    name: str, retry: Retry, *, status: int | None = None, close: int | None = None, **reasons: int | None
) -> dict[Reason, Ending]:
    """One public ending for several reasons; a reason's own value, where given, is its HTTP status."""
    return {
        Reason[reason]: Ending(name=name, status=own if own is not None else status, close=close, retry=retry)
        for reason, own in reasons.items()
    }


ENDINGS: Final[Mapping[Reason, Ending]] = {
    # a message refused while renewal is due is named as what comes next without it
    **_family("expired", Retry.REFRESH, close=4001, EXPIRED=None, RENEWAL_PENDING=None),
    **_family("revoked", Retry.SIGN_IN, close=4002, REVOKED=None),
    **_family("unauthenticated", Retry.CREDENTIAL, status=401, close=4401, CREDENTIAL_MISSING=None),
    **_family(
        "refused",
        Retry.ONE_FRESH,
        status=403,
        close=4401,
        TOKEN_MALFORMED=None,
        TOKEN_HEADER=None,
        TOKEN_ALGORITHM=None,
        TOKEN_ISSUER=None,
        TOKEN_KEY=None,
        TOKEN_SIGNATURE=None,
        TOKEN_TYPE=None,
        TOKEN_CLAIMS=None,
        TOKEN_AUDIENCE=None,
        TOKEN_EXPIRED=None,
        TOKEN_NOT_YET=None,
        TOKEN_TOO_LONG_LIVED=None,
        TICKET_UNKNOWN=None,
        TICKET_SPENT=None,
        TICKET_EXPIRED=None,
        TICKET_ELSEWHERE=None,
        SESSION_UNKNOWN=None,
        SESSION_EXPIRED=None,
        REVOKED_BEFORE=None,
        IDENTITY_CHANGED=None,
        RENEWAL_REFUSED=None,
        # like a credential that is not this connection's, and any other bad one: nobody learns which connections exist
        CONNECTION_UNKNOWN=None,
    ),
    **_family(
        "forbidden",
        Retry.STOP,
        status=403,
        close=4403,
        TRANSPORT_INSECURE=None,
        FORWARDER_UNTRUSTED=None,
        ADDRESS_BANNED=None,
        ORIGIN_MISSING=None,
        ORIGIN_NULL=None,
        ORIGIN_MALFORMED=None,
        ORIGIN_UNLISTED=None,
        CSRF=None,
        IDENTITY_BANNED=None,
        PERMISSION=None,
        CLAIM_REQUIRED=None,
    ),
    **_family(
        "malformed",
        Retry.STOP,
        status=400,
        close=4400,
        HEAD_TOO_LARGE=431,
        TARGET_TOO_LONG=414,
        HEAD_GRAMMAR=None,
        HTTP_VERSION=None,
        METHOD=405,
        NOT_AN_UPGRADE=426,
        WEBSOCKET_VERSION=426,
        HOST_MALFORMED=None,
        HOST_FOREIGN=421,
        TARGET_MALFORMED=None,
        UPGRADE_MALFORMED=None,
        CONNECTION_MALFORMED=None,
        KEY_MALFORMED=None,
        BODY_PRESENT=None,
        HEADER_DUPLICATED=None,
        PROTOCOLS_MALFORMED=None,
        BODY_MALFORMED=None,
        BODY_TOO_LARGE=413,
        MEDIA_TYPE=415,
        PROXY_PROTOCOL=None,
        CREDENTIAL_REPEATED=None,
        CREDENTIAL_MISPLACED=None,
        CREDENTIAL_MALFORMED=None,
        TOKEN_IN_URL=None,
        CONTROL_FRAGMENTED=None,
        CONTROL_MALFORMED=None,
    ),
    **_family("not_found", Retry.STOP, status=404, ROUTE_UNKNOWN=None),
    **_family(
        "authentication_timeout",
        Retry.RECONNECT,
        status=408,
        close=4408,
        HEAD_TIMEOUT=None,
        PEER_LEFT=None,
        AUTHENTICATION_TIMEOUT=None,
    ),
    **_family("idle", Retry.RECONNECT, close=4408, IDLE=None),
    **_family("lifetime", Retry.RECONNECT, close=4408, LIFETIME=None),
    **_family("no_pong", Retry.RECONNECT, close=4408, NO_PONG=None),
    **_family("connection_limit", Retry.USER, status=429, close=4409, SLOTS_IDENTITY=None, SLOTS_ADDRESS=None),
    **_family("replaced", Retry.USER, close=4409, REPLACED=None),
    **_family(
        "rate_limited",
        Retry.AFTER,
        status=429,
        close=4429,
        ADDRESS_RATE=None,
        ADDRESS_REFUSALS=None,
        ADDRESS_PENDING=None,
        IDENTITY_RATE=None,
        MESSAGE_RATE=None,
        CONTROL_RATE=None,
    ),
    **_family("message_too_big", Retry.STOP, close=1009, MESSAGE_TOO_BIG=None, FRAME_COUNT=None),
    **_family("invalid_text", Retry.STOP, close=1007, INVALID_TEXT=None),
    **_family("protocol_error", Retry.STOP, close=1002, PROTOCOL_ERROR=None, MESSAGE_STALLED=None),
    **_family("closed_by_operator", Retry.STOP, close=4403, OPERATOR=None),
    **_family("draining", Retry.AFTER, status=503, close=1012, DRAINING=None),
    **_family(
        "unavailable",
        Retry.BACKOFF,
        status=503,
        close=1013,
        VERIFIER_UNAVAILABLE=None,
        STORE_UNAVAILABLE=None,
        ADMISSION_TIMEOUT=None,
        VERIFIER_AWAY=None,
        STORE_AWAY=None,
    ),
    **_family("overloaded", Retry.BACKOFF, status=503, close=1013, OVERLOADED=None),
    **_family("slow_consumer", Retry.BACKOFF, status=503, close=1013, SLOW_CONSUMER=None),
    **_family(
        "backend_unavailable",
        Retry.BACKOFF,
        status=502,
        close=1014,
        BACKEND_UNREACHABLE=None,
        BACKEND_REFUSED=None,
        BACKEND_NONSENSE=None,
        BACKEND_GONE=None,
        BACKEND_PROTOCOL=None,
        APP_REFUSED=403,
    ),
    **_family("backend_timeout", Retry.BACKOFF, status=504, close=1014, BACKEND_TIMEOUT=None),
    **_family("internal", Retry.BACKOFF, status=500, close=1011, INTERNAL=None, APP_FAILED=None),
}

_COUNTED: Final = frozenset({"unauthenticated", "refused", "forbidden", "malformed", "not_found"})


def counts_as_refusal(reason: Reason) -> bool:
    """Does it charge the address's strict rate for refusals (step 4)? What is our fault or a limit's never does."""
    return ENDINGS[reason].name in _COUNTED and reason is not Reason.ADDRESS_BANNED


def close_text(ending: Ending, *, retry_after: float | None = None) -> str:
    """The reason of our close frames: `doorward:NAME`, with `retry_after` in whole seconds, rounded up."""
    if retry_after is None:
        return f"doorward:{ending.name}"
    return f"doorward:{ending.name}; retry_after={whole_seconds(retry_after)}"


def whole_seconds(seconds: float) -> int:
    """Seconds for Retry-After (RFC 9110 section 10.2.3): whole, at least 1, never early."""
    return max(1, -int(-seconds // 1))
