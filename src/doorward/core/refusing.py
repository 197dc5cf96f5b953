"""What a refused handshake gets to read: one constant page per ending, which says no more than the ending's name.

RFC 9457's problem+json; every page ends the connection, and none has a banner (SECURITY TRN-12, HSK-13, HSK-17).
"""

import json
from functools import lru_cache
from typing import Final, NamedTuple

from doorward.core.endings import ENDINGS, close_text, whole_seconds
from doorward.core.forwarding import public_offers
from doorward.core.handshakes import offered_protocols
from doorward.core.reading import CONTROL, PLAIN
from doorward.core.verifying import verify_status
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.rules import RefuseAs, Route

PHRASES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    421: "Misdirected Request",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_EXTRA: Final = {
    401: (("WWW-Authenticate", 'Bearer realm="doorward"'),),
    405: (("Allow", "GET"),),
    426: (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
}
_CAN_WAIT: Final = (429, 503)


class RefusalPage(NamedTuple):
    """`headers` in their order, with Content-Length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class RefusalClose(NamedTuple):
    """An accept, and a Close after it. `protocol`: a browser drops a socket whose offers are all unanswered."""

    protocol: str | None
    code: int
    text: str


def refusal_page(deny: Deny, *, verified: bool = False) -> RefusalPage:
    """The whole answer, as over HTTP/1.1. `verified`: to a proxy that asks at /auth/verify, which is told less."""
    wait = None if deny.retry_after is None else whole_seconds(deny.retry_after)
    return _page(deny.reason, wait, verify_status(deny) if verified else ENDINGS[deny.reason].status)


@lru_cache(maxsize=1024)
def _page(reason: Reason, wait: int | None, status: int | None) -> RefusalPage:
    ending = ENDINGS[reason]
    if status is None or status not in PHRASES:  # a reason of live connections: no handshake can have it
        return _page(Reason.INTERNAL, None, 500)
    title = PHRASES[status]
    problem = {"type": "about:blank", "title": title, "status": status, "reason": ending.name}
    body = json.dumps(problem, separators=(",", ":")).encode("ascii")
    headers = [
        # RFC 9110 section 7.8: a server that sends Upgrade names it in Connection as well
        ("Connection", "close" if status != 426 else "close, Upgrade"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        *_EXTRA.get(status, ()),
    ]
    if wait is not None and ending.status in _CAN_WAIT:
        headers.append(("Retry-After", str(wait)))
    return RefusalPage(status, tuple(headers), body)


def refusal_close(deny: Deny, handshake: Handshake, route: Route | None) -> RefusalClose | None:
    """For routes whose browsers must see the code. None: a status it is.

    Only a strict upgrade (past step 2) can be answered so, and only an ending that has a close code.
    """
    ending = ENDINGS[deny.reason]
    if route is None or route.refuse_as is not RefuseAs.CLOSE or deny.step <= Step.UPGRADE or ending.close is None:
        return None
    return RefusalClose(_any_protocol(handshake), ending.close, close_text(ending, retry_after=deny.retry_after))


def _any_protocol(handshake: Handshake) -> str | None:
    """Ours first, else a public one."""
    offers = offered_protocols(handshake) or ()
    ours = [offer for offer in (CONTROL, PLAIN) if offer in offers]
    return next(iter([*ours, *public_offers(offers)]), None)
