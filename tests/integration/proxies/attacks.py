"""What an attacker says to a proxy so that it and the gateway would read one stream as different requests (B1, B2).

Each is one string of bytes for one connection. `{token}` is a good credential of the subject that is let in; what must
not pass by itself is SMUGGLED, a whole handshake with somebody else's good credential and a forged way.
"""

from collections.abc import Callable

from tests.integration.proxies.recipes import NAME
from tests.integration.proxies.world import upgrade

FORGED = "203.0.113.9"
INNER_KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
FORGED_WAY = (f"X-Forwarded-For: {FORGED}", "X-Forwarded-Proto: https", f"Forwarded: for={FORGED};proto=https")


def smuggled(token: str) -> bytes:
    return upgrade(token, *FORGED_WAY, key=INNER_KEY)


def head(line: str, *lines: str) -> bytes:
    return "\r\n".join([line, *lines, "", ""]).encode("latin-1")


def _post(*lines: str) -> bytes:
    return head("POST /auth/ticket HTTP/1.1", f"Host: {NAME}", "Content-Type: application/json", *lines)


def _with(good: bytes, *lines: str | bytes) -> bytes:
    more = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\r\n" for line in lines)
    return good[:-2] + more + b"\r\n"


def _without(good: bytes, name: bytes) -> bytes:
    kept = [line for line in good.split(b"\r\n") if not line.lower().startswith(name.lower() + b":")]
    return b"\r\n".join(kept)


FRAME = b"\x81\x85\x00\x00\x00\x00hello"

# (the admitted subject's handshake, the smuggled one) -> what is sent
ATTACKS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "version 8, then a request": lambda good, inner: good.replace(b"Version: 13", b"Version: 8") + inner,
    "version 1337, then a request": lambda good, inner: good.replace(b"Version: 13", b"Version: 1337") + inner,
    "no upgrade (426), then a request": lambda good, inner: head("GET /chat HTTP/1.1", f"Host: {NAME}") + inner,
    "a bad token, then a request": lambda good, inner: _without(good, b"Authorization") + inner,
    "a bad token, then frames": lambda good, inner: _without(good, b"Authorization") + FRAME * 3 + inner,
    "let in, then a request": lambda good, inner: good + inner,
    "an upgrade with a body": lambda good, inner: _with(good, f"Content-Length: {len(inner)}") + inner,
    "an upgrade with a short body": lambda good, inner: _with(good, "Content-Length: 5") + b"hello" + inner,
    "an upgrade with chunks": lambda good, inner: _with(good, "Transfer-Encoding: chunked") + b"0\r\n\r\n" + inner,
    "an upgrade with both lengths": lambda good, inner: (
        _with(good, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + inner
    ),
    "CL.TE": lambda good, inner: (
        _post(f"Content-Length: {len(inner) + 5}", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + inner
    ),
    "TE.CL": lambda good, inner: (
        _post("Content-Length: 4", "Transfer-Encoding: chunked") + b"%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n"
    ),
    "TE: xchunked": lambda good, inner: (
        _post("Content-Length: 5", "Transfer-Encoding: xchunked") + b"0\r\n\r\n" + inner
    ),
    "TE: chunked, identity": lambda good, inner: (
        _post("Content-Length: 5", "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n" + inner
    ),
    "TE with a space before its colon": lambda good, inner: (
        _post("Content-Length: 5", "Transfer-Encoding : chunked") + b"0\r\n\r\n" + inner
    ),
    "TE twice": lambda good, inner: (
        _post("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n" + inner
    ),
    "two lengths": lambda good, inner: _post("Content-Length: 0", f"Content-Length: {len(inner)}") + inner,
    "a signed length": lambda good, inner: _post("Content-Length: +0") + inner,
    "an underscored length": lambda good, inner: _post("Content_Length: 0", f"Content-Length: {len(inner)}") + inner,
    "absolute form, another host": lambda good, inner: good.replace(b"GET /chat", b"GET http://evil.example/chat"),
    "absolute form, our host": lambda good, inner: good.replace(b"GET /chat", f"GET https://{NAME}/chat".encode()),
    "two Hosts": lambda good, inner: _with(good, "Host: evil.example"),
    "two Hosts, the other first": lambda good, inner: good.replace(b"Host:", b"Host: evil.example\r\nHost:"),
    "no Host": lambda good, inner: _without(good, b"Host"),
    "two Upgrades": lambda good, inner: _with(good, "Upgrade: h2c"),
    "two Upgrades, h2c first": lambda good, inner: good.replace(b"Upgrade: w", b"Upgrade: h2c\r\nUpgrade: w"),
    "Upgrade: websocket, h2c": lambda good, inner: good.replace(b"Upgrade: websocket", b"Upgrade: websocket, h2c"),
    "Upgrade: h2c": lambda good, inner: (
        head(
            "GET /chat HTTP/1.1",
            f"Host: {NAME}",
            "Upgrade: h2c",
            "Connection: Upgrade, HTTP2-Settings",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        )
        + inner
    ),
    "HTTP/2 without being asked": lambda good, inner: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner,
    "HTTP/1.0": lambda good, inner: good.replace(b"HTTP/1.1", b"HTTP/1.0") + inner,
    "POST": lambda good, inner: good.replace(b"GET ", b"POST ") + inner,
    "CONNECT": lambda good, inner: good.replace(b"GET /chat", b"CONNECT 127.0.0.1:9000") + inner,
    "Connection names Authorization": lambda good, inner: good.replace(
        b"Connection: Upgrade", b"Connection: Upgrade, Authorization"
    ),
    "Connection names Sec-WebSocket-Key": lambda good, inner: good.replace(
        b"Connection: Upgrade", b"Connection: Upgrade, Sec-WebSocket-Key, Sec-WebSocket-Version"
    ),
    "Expect: 100-continue": lambda good, inner: _with(good, "Expect: 100-continue") + inner,
    "a folded header": lambda good, inner: _with(good, "X-A: b", f" {FORGED_WAY[0]}"),
    "a bare LF": lambda good, inner: _with(good, f"X-A: b\n{FORGED_WAY[0]}"),
    "a bare CR": lambda good, inner: _with(good, f"X-A: b\r{FORGED_WAY[0]}"),
    "a NUL": lambda good, inner: _with(good, "X-A: b\0c"),
    "a tab for a separator": lambda good, inner: good.replace(b"GET /chat HTTP", b"GET\t/chat\tHTTP"),
    "two spaces": lambda good, inner: good.replace(b"GET /chat", b"GET  /chat"),
    "//chat": lambda good, inner: good.replace(b"GET /chat", b"GET //chat"),
    "/close/../chat": lambda good, inner: good.replace(b"GET /chat", b"GET /close/../chat"),
    "/%63hat": lambda good, inner: good.replace(b"GET /chat", b"GET /%63hat"),
    "/close%2f..%2fchat": lambda good, inner: good.replace(b"GET /chat", b"GET /close%2f..%2fchat"),
    "/chat#x": lambda good, inner: good.replace(b"GET /chat", b"GET /chat#x"),
    "/chat;x": lambda good, inner: good.replace(b"GET /chat", b"GET /chat;x"),
    "\\chat": lambda good, inner: good.replace(b"GET /chat", b"GET \\chat"),
    "/chat%00": lambda good, inner: good.replace(b"GET /chat", b"GET /chat%00"),
}
