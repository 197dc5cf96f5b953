"""An ASGI scope is read as a stranger's claim: the head is checked again here, whatever the server said of it.

Every server tried lets forms through that RFC 9112 forbids (SECURITY, appendix E1).
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from doorward.core.handshakes import duplicate_fault, read_parts
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire

Scope = Mapping[str, Any]


def handshake_of_scope(scope: Scope) -> Handshake | Deny:
    """The request head of an `http` or `websocket` scope, or what is wrong with it (steps 1 and 2, HSK-07 and -08).

    A server that keeps the raw path to itself (`raw_path` is optional in ASGI) is refused: the decoded one can no
    longer show what it was decoded from.
    """
    raw: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
    query: bytes = scope.get("query_string") or b""
    version: str = scope["http_version"]
    handshake = read_parts(
        method=scope.get("method", "GET"),
        target=(raw + b"?" + query if query else raw).decode("latin-1"),
        version=f"HTTP/{version}" if "." in version else f"HTTP/{version}.0",
        headers=scope["headers"],
    )
    if isinstance(handshake, Deny):
        return handshake
    return duplicate_fault(handshake) or handshake


def wire_of_scope(scope: Scope) -> Wire:
    """What the server says of the transport. For servers that take no header's word for it (`proxy_headers` off).

    No client at all is a Unix socket. Raises ValueError for a client that is no address: nobody knows who that is.
    """
    host, port = scope.get("client") or ("", 0)
    return Wire(
        address=ip_address(host.partition("%")[0]) if host else None,
        port=port or 0,
        tls=scope.get("scheme") in {"https", "wss"},
    )
