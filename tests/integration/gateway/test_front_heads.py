"""SECURITY B1 and B2, as the front answers them: a status, a constant page, and the end within a second.

The whole chain with the real door runs the same rows in tests/doors; here it is the front's own part.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest

from doorward.adapters.gateway.front import LINGER
from doorward.adapters.gateway.listening import SPARE
from doorward.core.refusing import PHRASES
from doorward.values.decision import Reason
from tests.integration.gateway.standing_in import ACCEPT, KEY, REFUSE_BY_CLOSE, Held, gateway, refuse_with, until
from tests.integration.gateway.wires import WITHIN, backend, client, echo, head, text, then, upgraded
from tests.integration.noise import measured

BASE = head()
SECRET = "canary-7f3a"


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    top, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = top.decode("ascii").split("\r\n")
    names = [line.partition(": ") for line in lines]
    headers = {name.lower(): value for name, _, value in names}
    assert len(headers) == len(lines)
    return int(first.split(" ")[1]), headers, body


async def refused(gate, data: bytes, *, eof: bool = False) -> tuple[int, dict[str, str], bytes]:
    """What the front answers, with the general post-conditions that show here."""
    async with client(gate.port) as peer:
        peer.send(data)
        if eof:
            peer.writer.write_eof()
        started = time.monotonic()
        async with measured() as noise:
            answer = await peer.rest()
        assert time.monotonic() - started < LINGER + noise.worst, "its end comes with it"
    status, headers, body = parse(answer)
    assert "server" not in headers
    assert SECRET.encode() not in answer
    assert headers["connection"].startswith("close")
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert int(headers["content-length"]) == len(body)
    problem = json.loads(body)
    assert problem.keys() == {"type", "title", "status", "reason"}
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", PHRASES[status], status)
    return status, headers, body


def raw(*lines: str | bytes) -> bytes:
    return b"".join((line.encode("latin-1") if isinstance(line, str) else line) + b"\r\n" for line in lines) + b"\r\n"


def changed(old: bytes, new: bytes) -> bytes:
    assert old in BASE
    return BASE.replace(old, new)


HOST, KEYLINE = b"Host: gw.example\r\n", b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
UPGRADE, CONNECTION = b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"

ROWS: list[tuple[str, bytes, set[int]]] = [
    ("HS-01", changed(HOST, b""), {400}),
    ("HS-02 two", changed(HOST, HOST + b"Host: evil.example\r\n"), {400}),
    ("HS-02 equal", changed(HOST, HOST * 2), {400}),
    ("HS-04", changed(HOST, b"Host: other.example\r\n"), {421}),
    *[
        (f"HS-05 {host!r}", changed(HOST, b"Host: " + host + b"\r\n"), {400})
        for host in (b"u@gw.example", b"gw.example:0", b"gw.example:99999", b"gw.example:443:443", b"[::1", b"")
    ],
    ("HS-05 dot", changed(HOST, b"Host: gw.example.\r\n"), {421}),
    ("HS-06", changed(b"HTTP/1.1", b"HTTP/1.0"), {400}),
    ("HS-08", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    *[
        (f"HS-09 {method[:8]!r}", changed(b"GET /ws", method + b" /ws"), {400, 405})
        for method in (b"POST", b"PUT", b"TRACE", b"OPTIONS", b"CONNECT", b"get", b"GETX", b"A" * 300)
    ],
    ("HS-10", changed(VERSION, VERSION + b"Content-Length: 5\r\n") + b"hello", {400}),
    ("HS-12", changed(VERSION, VERSION + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n", {400}),
    *[
        (f"HS-13 {length!r}", changed(VERSION, VERSION + b"Content-Length: " + length + b"\r\n"), {400})
        for length in (b"0, 5", b"+0", b"-1", b"0x0", "\u0660".encode(), b"", b"0_0", b"010", b"0, 0")
    ],
    ("HS-13 twice", changed(VERSION, VERSION + b"Content-Length: 0\r\n" * 2), {400}),
    (
        "HS-14",
        changed(UPGRADE, b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n").replace(
            CONNECTION, b"Connection: Upgrade, HTTP2-Settings\r\n"
        ),
        {400, 426},
    ),
    ("HS-16", changed(UPGRADE, b""), {426}),
    ("HS-18 not", changed(CONNECTION, b"Connection: notupgrade\r\n"), {400}),
    ("HS-18 close", changed(CONNECTION, b"Connection: close\r\n"), {400}),
    ("HS-20 equal", changed(KEYLINE, KEYLINE * 2), {400}),
    *[
        (f"HS-21 {key[:24]!r}", changed(KEYLINE, b"Sec-WebSocket-Key: " + key + b"\r\n"), {400, 431})
        for key in (
            b"",
            b"MTIzNDU2Nzg5MDEyMzQ1",
            b"MTIzNDU2Nzg5MDEyMzQ1Njc=",
            b"====",
            b"dGhlIHNhbXBsZSBub25jZR==",
            b"dGhlIHNhbXBs ZSBub25jZQ==",
            b"dGhlIHNhbXBsZSBub25j-_==",
            b"A" * 10240,
        )
    ],
    ("HS-22 missing", changed(VERSION, b""), {426}),
    *[
        (f"HS-22 {version!r}", changed(VERSION, b"Sec-WebSocket-Version: " + version + b"\r\n"), {426})
        for version in (b"8", b"0", b"14", b"013", b"13, 8", b" 13x")
    ],
    ("HS-22 two", changed(VERSION, VERSION * 2), {400}),
    ("HS-24", changed(VERSION, VERSION + b"Authorization: Bearer a\r\n" * 2), {400}),
    ("HS-25 space", changed(HOST, b"Host : gw.example\r\n"), {400}),
    ("HS-25 tab", changed(VERSION, VERSION + b"Authorization\t: Bearer x\r\n"), {400}),
    ("HS-26", changed(VERSION, VERSION + b"X-A: b\r\n c\r\n"), {400}),
    ("HS-28", changed(VERSION, VERSION + b"X-A: b\rX-Role: admin\r\n"), {400}),
    *[
        (f"HS-29 {code:02x}", changed(VERSION, VERSION + b"X-A: b" + bytes([code]) + b"X-Role: admin\r\n"), {400})
        for code in (0x00, 0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x7F, 0x85, 0x1B, 0x07)
    ],
    *[
        (f"HS-30 {line!r}", changed(VERSION, VERSION + line + b"\r\n"), {400})
        for line in (b"a(b: v", b"a b: v", b": v", "ä: v".encode("latin-1"), b"no colon")
    ],
    ("HS-32 header", changed(VERSION, VERSION + b"X-A: " + b"b" * 65536 + b"\r\n"), {431}),
    ("HS-32 cookie", changed(VERSION, VERSION + b"Cookie: " + b"a=b; " * 10000 + b"\r\n"), {431}),
    ("HS-32 count", changed(VERSION, VERSION + b"X: y\r\n" * 101), {431}),
    ("HS-33 path", changed(b"/ws", b"/" + b"w" * 16384), {414}),
    ("HS-33 query", changed(b"/ws", b"/ws?" + b"q=1&" * 4096), {414}),
    ("HS-33 target", changed(b"/ws", b"/ws?" + b"q" * 4096), {414}),
    *[
        (f"HS-37 {target!r}", changed(b"/ws", target), {400, 404})
        for target in (
            b"//ws",
            b"/ws/../admin",
            b"/%2e%2e/admin",
            b"/ws%2f..%2fadmin",
            b"/ws\\..\\admin",
            b"/ws;a=b",
            b"/ws%00",
            b"/ws%0d%0aX:y",
            b"/%ff",
            b"/%",
            b"http://evil/ws",
            b"*",
            b"@google.com",
            b"ws",
            b"/ws#x",
            b"!",
            b"\xff",
            "/ä".encode(),
        )
    ],
    *[
        (f"HS-38 {offer[:8]!r}", changed(VERSION, VERSION + b"Sec-WebSocket-Protocol: " + offer + b"\r\n"), {400, 431})
        for offer in (b"a, a", b"a b", b'"a"', "é".encode("latin-1"), b"", b"t, " * 10000, b"a," + b" " * 40960)
    ],
    *[
        (f"HS-48 {version!r}", changed(b"HTTP/1.1", version), {400})
        for version in (
            b"HTTP/2.0",
            b"HTTP/1.32",
            b"HTTP/1.1x",
            b"http/1.1",
            b"HTTP/01.1",
            b"HTTP/4294967297.1",
            b"HTTP/1.1 ",
        )
    ],
    ("HS-49 spaces", changed(b"GET /ws ", b"GET  /ws "), {400}),
    ("HS-49 tab", changed(b"GET /ws ", b"GET\t/ws "), {400}),
    ("HS-49 LF", changed(b"GET /ws ", b"GET\n/ws "), {400}),
    *[
        (f"HS-52 {coding!r}", changed(VERSION, VERSION + b"Transfer-Encoding: " + coding + b"\r\n"), {400})
        for coding in (b",chunked", b"blegh", b"chunked")
    ],
    ("HS-52 twice", changed(VERSION, VERSION + b"Transfer-Encoding: chunked\r\n" * 2), {400}),
    ("HS-53 three", b"\r\n" * 3 + BASE, {400}),
    ("HS-53 1000", b"\r\n" * 1000 + BASE, {400}),
    ("HS-53 LF", b"\n" + BASE, {400}),
    ("HS-53 many", b"\r\n" * 500_000, {400}),
    ("bare LF", BASE.replace(b"\r\n", b"\n"), {400}),
    ("PX-14", b"PROXY TCP4 8.8.8.8 9.9.9.9 1 2\r\n" + BASE, {400}),
    ("TLS on a plain port", bytes.fromhex("1603010200010001fc0303") + bytes(200), {400}),
    ("no HTTP", b"\x00\x01\x02", {400}),
    ("unknown path", changed(b"/ws", b"/nothing"), {404}),
]


@pytest.mark.parametrize(("data", "statuses"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
async def test_a_bad_head_gets_its_status_and_the_end(data, statuses):
    async with gateway() as gate:
        status, headers, _ = await refused(gate, data)
        assert status in statuses
        assert len(gate.door.refusals) == 1
        if status == 405:
            assert headers["allow"] == "GET"
        if status == 426:
            assert headers["upgrade"] == "websocket"
            assert headers["sec-websocket-version"] == "13"
            assert headers["connection"] == "close, Upgrade"
        await until(lambda: gate.listener.count == 0, 3)


@pytest.mark.parametrize(
    "data",
    [
        BASE,
        b"\r\n" + BASE,
        b"\r\n\r\n" + BASE,
        changed(CONNECTION, b"Connection: keep-alive, Upgrade\r\n"),
        changed(CONNECTION, b"Connection: keep-alive\r\nConnection: UPGRADE\r\n"),
        changed(VERSION, VERSION + b"Content-Length: 0\r\n"),
        changed(VERSION, VERSION + b"Expect: 100-continue\r\n"),
        changed(b"/ws", b"/ws?q=1"),
    ],
)
async def test_a_good_head_gets_exactly_a_101(data):
    """HS-17, HS-44: legal though rare."""
    async with backend(then(echo)) as port, gateway(port) as gate, client(gate.port) as peer:
        for byte in data:
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        answer = await peer.head()
        assert answer == (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n"
        )


@pytest.mark.parametrize(
    ("reason", "status", "extra"),
    [
        (Reason.CREDENTIAL_MISSING, 401, ("www-authenticate", 'Bearer realm="doorward"')),
        (Reason.TOKEN_EXPIRED, 403, None),
        (Reason.ADDRESS_RATE, 429, ("retry-after", "3")),
        (Reason.DRAINING, 503, ("retry-after", "3")),
        (Reason.BACKEND_REFUSED, 502, None),
        (Reason.BACKEND_TIMEOUT, 504, None),
        (Reason.INTERNAL, 500, None),
    ],
)
async def test_each_refusal_of_the_door_has_its_page_and_nothing_more_is_read(reason, status, extra):
    """HS-41, HS-46, PX-01: what came with the head, or after, is never parsed."""
    async with gateway(decide=refuse_with(reason, retry_after=2.2)) as gate:
        internal = b"GET /echo HTTP/1.1\r\nHost: gw.example\r\n\r\n"
        found, headers, body = await refused(gate, BASE + text(SECRET) + internal + BASE)
        assert found == status
        assert body.count(b"{") == 1
        if extra is not None:
            assert headers[extra[0]] == extra[1]
        if status not in (429, 503):
            assert "retry-after" not in headers
        assert len(gate.door.seen) == 1


async def test_a_refusal_may_be_a_101_and_a_close():
    """X31: a browser sees a code only so."""
    deny = refuse_with(Reason.ADDRESS_RATE, retry_after=2.2)
    async with gateway(decide=deny, route_of=REFUSE_BY_CLOSE) as gate, client(gate.port) as peer:
        peer.send(head("/ws", "Sec-WebSocket-Protocol: chat.v1, doorward.token.abc, doorward.plain") + text(SECRET))
        answer = await peer.head()
        assert b" 101 " in answer
        assert b"Sec-WebSocket-Protocol: doorward.plain\r\n" in answer
        assert b"token" not in answer
        assert await peer.close_frame() == (4429, "doorward:rate_limited; retry_after=3")
        assert await peer.rest() == b""
    async with gateway(decide=deny, route_of=REFUSE_BY_CLOSE) as gate:
        status, _, _ = await refused(gate, changed(VERSION, b"Sec-WebSocket-Version: 8\r\n"))
        assert status == 426


async def test_a_slow_head_ends_at_the_deadline_from_accept():
    """HS-34: a byte now and then does not extend it."""
    async with gateway(handshake_timeout=0.5) as gate, client(gate.port) as peer:
        started = time.monotonic()
        answer = asyncio.ensure_future(peer.rest())
        for byte in BASE:
            if answer.done():
                break
            peer.send(bytes([byte]))
            await asyncio.sleep(0.03)
        status, _, _ = parse(await answer)
        assert status == 408
        assert time.monotonic() - started < len(BASE) * 0.03, "and not after the last byte"
        assert [deny.reason for deny in gate.door.refusals] == [Reason.HEAD_TIMEOUT]


async def test_silence_is_cut_at_the_deadline():
    async with gateway(handshake_timeout=0.2) as gate, client(gate.port) as peer:
        with pytest.raises(ConnectionResetError):
            await peer.rest()
        assert [deny.reason for deny in gate.door.refusals] == [Reason.HEAD_TIMEOUT]


async def test_a_head_that_ends_in_the_middle_is_refused_and_an_empty_visit_is_none():
    async with gateway() as gate:
        status, _, _ = await refused(gate, BASE[:50], eof=True)
        assert status == 400
        async with client(gate.port) as peer:
            peer.writer.write_eof()
            assert await peer.rest() == b""
        assert len(gate.door.refusals) == 1


async def test_what_comes_before_the_decision_waits_in_the_kernel():
    """HS-36: 50 MiB offered while the door thinks; what we read of it is what came with the head."""
    hold = asyncio.Event()
    async with backend(then(echo)) as port, gateway(port, hold=hold) as gate, client(gate.port) as peer:
        peer.send(BASE)
        await until(lambda: gate.door.seen)
        sent = 0
        while sent < 50 << 20:
            peer.send(bytes(1 << 20))
            sent += 1 << 20
            try:
                async with asyncio.timeout(0.3):
                    await peer.writer.drain()
            except TimeoutError:
                break
        assert sent < 30 << 20


async def test_more_than_64_kib_with_the_head_is_refused():
    async with gateway() as gate:
        status, _, _ = await refused(gate, BASE + bytes(70_000))
        assert status in (431,)


async def test_too_many_connections_get_503_and_far_too_many_nothing():
    async with backend(then(echo)) as port, gateway(port, max_connections=1) as gate:
        async with upgraded(gate.port) as peer:
            status, _, _ = await refused(gate, BASE)
            assert status == 503
            peer.send(text("unharmed"))
            assert await peer.frame() == (0x81, b"unharmed")
        await (await gate.live()).over.wait()
        async with upgraded(gate.port) as peer:
            peer.send(text("x"))
            await peer.frame()
            async with AsyncExitStack() as crowd:
                for _ in range(SPARE):
                    await crowd.enter_async_context(client(gate.port))
                await until(lambda: gate.listener.count == SPARE + 1)
                async with client(gate.port) as last:
                    with pytest.raises(ConnectionResetError):
                        await last.rest()
            peer.send(text("y"))
            assert await peer.frame() == (0x81, b"y")


async def test_a_peer_that_leaves_while_the_door_thinks_takes_nothing_with_it():
    answered, left = asyncio.Event(), asyncio.Event()

    async def wait_for_leaving():
        answered.set()
        await left.wait()

    async with backend(then(echo)) as port, gateway(port, after_backend=wait_for_leaving) as gate:
        async with client(gate.port) as peer:
            peer.send(BASE)
            await asyncio.wait_for(answered.wait(), WITHIN)  # who leaves before that is not let in
        left.set()
        await until(lambda: gate.door.lives)
        await asyncio.wait_for(gate.door.lives[0].over.wait(), WITHIN)


async def test_a_bug_at_the_door_is_500_without_text():
    def broken(handshake, wire):
        raise RuntimeError(SECRET)

    async with gateway(decide=broken) as gate:
        status, _, body = await refused(gate, BASE)
        assert (status, json.loads(body)["reason"]) == (500, "internal")
        assert [where for where, _ in gate.parts.bugs] == ["front"]
        gate.parts.bugs.clear()


async def test_a_bug_of_ours_after_the_decision_is_a_500_and_never_behind_a_101() -> None:
    """Whoever has read a 101 takes what follows for frames: a page there would be read as some."""

    async def break_it() -> None:
        gate.listener.heard = None  # nothing can be joined without that clock

    async with backend(then(echo)) as port, gateway(port, after_backend=break_it) as gate, client(gate.port) as peer:
        peer.send(BASE)
        answer = await peer.rest()
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert [where for where, _ in gate.parts.bugs] == ["front"]
        gate.parts.bugs.clear()


async def test_who_waits_for_a_turn_is_not_read_and_leaves_a_record_when_it_never_comes() -> None:
    async with gateway() as gate, client(gate.port) as peer:
        gate.listener.turns = held = Held()
        peer.send(BASE[:10])
        await until(lambda: held.pieces)
        peer.send(BASE[10:])
        held.pieces.pop()()  # the first ten bytes; then the rest is read, and waits again
        await until(lambda: held.pieces)
        held.pieces.pop()()
        assert len(held.pieces) == 1, "a whole head, which waits to be judged"
        gate.listener.shut()
        held.pieces.pop()()
        assert [deny.reason for deny in gate.door.refusals] == [Reason.PEER_LEFT]
        assert gate.door.lives == []


async def test_those_who_are_late_wait_for_a_turn_as_well() -> None:
    """A thousand silent connections that came at once are late at once: 100 ms of the loop in one pass."""
    async with gateway(handshake_timeout=0.5) as gate, client(gate.port) as silent, client(gate.port) as slow:
        gate.listener.turns = held = Held()
        slow.send(BASE[:10])
        await until(lambda: len(held.pieces) == 3)
        assert gate.door.refusals == []
        for piece in held.pieces:
            piece()
        with pytest.raises(ConnectionResetError):
            await silent.rest()
        assert (await slow.rest()).startswith(b"HTTP/1.1 408 ")
        assert [deny.reason for deny in gate.door.refusals] == [Reason.HEAD_TIMEOUT] * 2


@pytest.mark.parametrize("order", [1, -1], ids=["the head first", "the deadline first"])
async def test_whose_head_came_in_time_and_had_to_wait_is_not_late(order: int) -> None:
    async with gateway(handshake_timeout=0.5) as gate, client(gate.port) as peer:
        gate.listener.turns = held = Held()
        peer.send(head("/healthz"))
        await until(lambda: len(held.pieces) == 2)
        assert held.asked == [("127.0.0.1", False), ("127.0.0.1", True)]
        for piece in held.pieces[::order]:
            piece()
        assert (await peer.rest()).startswith(b"HTTP/1.1 200 ")
        assert gate.door.refusals == []


async def test_who_ends_in_the_midst_of_a_head_waits_for_a_turn_too() -> None:
    async with gateway() as gate, client(gate.port) as peer:
        peer.send(BASE[:10])
        await until(lambda: gate.listener.fronts)
        (front,) = gate.listener.fronts
        await until(lambda: front._head.begun)
        gate.listener.turns = held = Held()
        peer.writer.write_eof()
        await until(lambda: held.pieces)
        assert gate.door.refusals == []
        held.pieces.pop()()
        assert (await peer.rest(3)).startswith(b"HTTP/1.1 400 ")
        assert [deny.reason for deny in gate.door.refusals] == [Reason.HEAD_GRAMMAR]
        await until(lambda: not gate.listener.fronts, within=0.9)  # and not only once a refused peer's time is over
        assert held.pieces == []
