"""The 101 that we write, and what RFC 6455 section 4.2.2 computes for it; no byte of the client's stands in it but the
subprotocol that was chosen among its offers."""

import hashlib
from binascii import b2a_base64
from functools import lru_cache
from typing import Final

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@lru_cache(maxsize=256)  # asked twice in each handshake: of the backend's answer, and for ours
def accept_of(key: str) -> str:
    """Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2, item 5.4). It protects nothing, so SHA-1 will do."""
    digest = hashlib.sha1((key + _GUID).encode("latin-1"), usedforsecurity=False).digest()
    return b2a_base64(digest, newline=False).decode("ascii")


def switching(*, accept: str, protocol: str | None, deflate: str | None) -> bytes:
    """The 101. `protocol` and `deflate` are the chosen subprotocol and the extension line; None: no such header."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    if protocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    if deflate is not None:
        lines.append(f"Sec-WebSocket-Extensions: {deflate}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
