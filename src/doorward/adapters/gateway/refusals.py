"""What a refused handshake gets to read, as bytes: the core's page, or a 101 with a Close after it."""

from functools import lru_cache

from doorward.adapters.gateway.upgrading import accept_of, switching
from doorward.core.endings import whole_seconds
from doorward.core.frame_headers import encode_close
from doorward.core.refusing import PHRASES, refusal_close, refusal_page
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.rules import Route


def refusal(deny: Deny, *, head_only: bool = False, verified: bool = False) -> bytes:
    """The whole answer. `head_only`: to a HEAD request, which gets no body (RFC 9110 section 9.3.2). `verified`: to a
    proxy that asks about its client's handshake, which is told 401 or 403."""
    wait = None if deny.retry_after is None else whole_seconds(deny.retry_after)
    head, body = _written(deny.reason, wait, verified=verified)
    return head if head_only else head + body


@lru_cache(maxsize=1024)
def _written(reason: Reason, wait: int | None, *, verified: bool) -> tuple[bytes, bytes]:
    page = refusal_page(Deny(reason, Step.HEAD, retry_after=wait), verified=verified)
    lines = [f"HTTP/1.1 {page.status} {PHRASES[page.status]}", *(f"{name}: {value}" for name, value in page.headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii"), page.body


def refusal_by_close(deny: Deny, handshake: Handshake, route: Route | None) -> bytes | None:
    """A 101 with a Close after it, for routes whose browsers must see the code. None: a status it is."""
    shut = refusal_close(deny, handshake, route)
    if shut is None:
        return None
    accept = accept_of(handshake.one("sec-websocket-key") or "")
    return switching(accept=accept, protocol=shut.protocol, deflate=None) + encode_close(
        shut.code, shut.text, mask=None
    )
