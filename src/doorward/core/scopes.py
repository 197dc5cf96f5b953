"""An ASGI scope is read as a stranger's claim: the head is checked again here, whatever the server said of it.

Every server tried lets forms through that RFC 9112 forbids (SECURITY, appendix E1).
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from doorward.core.handshakes import duplicate_fault, read_parts
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire

Scope = Mapping[str, Any]

_OFFERS: Final = b"sec-websocket-protocol"
_NAMES: Final = re.compile(rb"[0-9a-z.:_\-]+")


def handshake_of_scope(scope: Scope) -> Handshake | Deny:
    """The request head of an `http` or `websocket` scope, or what is wrong with it (steps 1 and 2, HSK-07 and -08).

    A server that keeps the raw path to itself (`raw_path` is optional in ASGI) is refused: the decoded one can no
    longer show what it was decoded from. One that says nothing of the version (daphne) is taken to speak 1.1.
    """
    raw: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
    query: bytes = scope.get("query_string") or b""
    version: str = scope.get("http_version", "1.1")
    handshake = read_parts(
        method=scope.get("method", "GET"),
        target=(raw + b"?" + query if query else raw).decode("latin-1"),
        version=f"HTTP/{version}" if "." in version else f"HTTP/{version}.0",
        headers=_lines(scope),
    )
    if isinstance(handshake, Deny):
        return handshake
    return duplicate_fault(handshake) or handshake


def _lines(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The header lines. uvicorn's wsproto keeps those of the offers to itself, and tells the offers alone."""
    lines: list[tuple[bytes, bytes]] = scope["headers"]
    offers: list[str] = scope.get("subprotocols") or []
    if not offers or any(name.lower() == _OFFERS for name, _ in lines):
        return lines
    return [*lines, (_OFFERS, ", ".join(offers).encode("latin-1", "replace"))]


def wire_of_scope(scope: Scope) -> Wire:
    """What the server says of the transport, where it did not take a header's word for it (ECOSYSTEM, trap 6).

    A server that did (uvicorn does, of loopback peers, unless `proxy_headers` is off) has put the claimed client in the
    peer's place: with port 0, or as it stands in the header. Its scheme is then the header's as well, so https is
    believed only where no header claims it. No client at all is a Unix socket. Raises ValueError for a client that is
    no address: nobody knows who that is.
    """
    host, port = scope.get("client") or ("", 0)
    claims = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    said = any(
        name.lower() == b"x-forwarded-proto" or (name.lower() == b"forwarded" and b"proto" in value.lower())
        for name, value in scope["headers"]
    )
    return Wire(
        address=ip_address(host.partition("%")[0]) if host else None,
        port=int(port or 0),  # granian's is a text
        tls=scope.get("scheme") in {"https", "wss"} and not said,
        rewritten=host != "" and (not port or _is_claimed(host, claims)),
    )


def _is_claimed(host: str, lines: list[bytes]) -> bool:
    """Does X-Forwarded-For name this host, with or without a port or a zone, whatever stands around it? Servers strip
    it of what they take for white space; daphne's includes U+00A0."""
    bare = host.lower().partition("%")[0]
    for claim in _NAMES.findall(b",".join(lines).lower()):
        name = claim.decode("ascii")
        if bare in {name, name.partition(":")[0] if name.count(":") == 1 else name}:
            return True
    return False
