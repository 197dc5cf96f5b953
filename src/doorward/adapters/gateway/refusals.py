"""What a refused handshake gets to read: one constant page per ending, which says no more than the ending's name.

RFC 9457's problem+json; every page ends the connection, and none has a banner (SECURITY TRN-12, HSK-13, HSK-17).
"""

import json
from functools import lru_cache
from typing import Final

from doorward.adapters.gateway.upgrading import accept_of, switching
from doorward.core.endings import ENDINGS, close_text, whole_seconds
from doorward.core.forwarding import public_offers
from doorward.core.frame_headers import encode_close
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
    401: ('WWW-Authenticate: Bearer realm="doorward"',),
    405: ("Allow: GET",),
    426: ("Upgrade: websocket", "Sec-WebSocket-Version: 13"),
}
_CAN_WAIT: Final = (429, 503)


def refusal(deny: Deny, *, head_only: bool = False, verified: bool = False) -> bytes:
    """The whole answer. `head_only`: to a HEAD request, which gets no body (RFC 9110 section 9.3.2). `verified`: to a
    proxy that asks about its client's handshake, which is told 401 or 403."""
    wait = None if deny.retry_after is None else whole_seconds(deny.retry_after)
    head, body = _page(deny.reason, wait, verify_status(deny) if verified else ENDINGS[deny.reason].status)
    return head if head_only else head + body


@lru_cache(maxsize=1024)
def _page(reason: Reason, wait: int | None, status: int | None) -> tuple[bytes, bytes]:
    ending = ENDINGS[reason]
    if status is None or status not in PHRASES:  # a reason of live connections: no handshake can have it
        return _page(Reason.INTERNAL, None, 500)
    title = PHRASES[status]
    problem = {"type": "about:blank", "title": title, "status": status, "reason": ending.name}
    body = json.dumps(problem, separators=(",", ":")).encode("ascii")
    # RFC 9110 section 7.8: a server that sends Upgrade names it in Connection as well
    lines = [f"HTTP/1.1 {status} {title}", "Connection: close" if status != 426 else "Connection: close, Upgrade"]
    lines += [
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        *_EXTRA.get(status, ()),
    ]
    if wait is not None and ending.status in _CAN_WAIT:
        lines.append(f"Retry-After: {wait}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii"), body


def refusal_by_close(deny: Deny, handshake: Handshake, route: Route | None) -> bytes | None:
    """A 101 with a Close after it, for routes whose browsers must see the code. None: a status it is.

    Only a strict upgrade (past step 2) can be answered so, and only an ending that has a close code.
    """
    ending = ENDINGS[deny.reason]
    if route is None or route.refuse_as is not RefuseAs.CLOSE or deny.step <= Step.UPGRADE or ending.close is None:
        return None
    head = switching(
        accept=accept_of(handshake.one("sec-websocket-key") or ""), protocol=_any_protocol(handshake), deflate=None
    )
    return head + encode_close(ending.close, close_text(ending, retry_after=deny.retry_after), mask=None)


def _any_protocol(handshake: Handshake) -> str | None:
    """A browser drops a socket whose offers are all unanswered, and shows no code: ours first, else a public one."""
    offers = offered_protocols(handshake) or ()
    ours = [offer for offer in (CONTROL, PLAIN) if offer in offers]
    return next(iter([*ours, *public_offers(offers)]), None)
