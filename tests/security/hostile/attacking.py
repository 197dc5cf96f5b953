"""The attacker's own socket, and what must hold after every refusal, whatever was refused (SECURITY part B, "G").

G is written once: `refused` before a 101, `closed` after one. A row of a table only says what is sent and what it gets.
"""

import contextlib
import json
import re
import select
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from doorward.core.endings import ENDINGS
from doorward.core.refusing import PHRASES
from tests.security.hostile.standing import ORIGIN, WITHIN, Event, Standing, take_frame, until

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ENDS_WITHIN = 1.0
CLOSES_WITHIN = 5.0
SLACK = 1.0
"""Two noisy cores: what is measured here is that there is an end, and not how quick the machine is."""

BODIES = {
    json.dumps(
        {"type": "about:blank", "title": PHRASES[ending.status], "status": ending.status, "reason": ending.name},
        separators=(",", ":"),
    ).encode()
    for ending in ENDINGS.values()
    if ending.status in PHRASES
}
"""Everything that a refused handshake can get to read (FX-12)."""
HEADERS = {
    "connection": r"close|close, Upgrade",
    "content-type": r"application/problem\+json",
    "content-length": r"\d{2,3}",
    "cache-control": r"no-store",
    "x-content-type-options": r"nosniff",
    "referrer-policy": r"no-referrer",
    "content-security-policy": r"default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": r"max-age=31536000",
    "www-authenticate": r'Bearer realm="doorward"',
    "allow": r"GET",
    "upgrade": r"websocket",
    "sec-websocket-version": r"13",
    "retry-after": r"\d{1,4}",
}
CLOSE_TEXTS = {f"doorward:{ending.name}" for ending in ENDINGS.values()}


# ---- what is sent ----------------------------------------------------------------------------------------------------


def head(
    target: str | bytes = "/ws/a",
    *,
    method: str = "GET",
    version: str = "HTTP/1.1",
    line: bytes | None = None,
    token: str | None = None,
    drop: Iterable[str] = (),
    extra: Iterable[str | bytes] = (),
    **changed: str | bytes | None,
) -> bytes:
    """The base request, changed as named: `changed` replaces a header (None drops it), `extra` are whole lines more."""
    target = target.encode() if isinstance(target, str) else target
    first = line if line is not None else method.encode() + b" " + target + b" " + version.encode()
    headers: dict[str, str | bytes | None] = {
        "Host": "gw.test",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        "Origin": ORIGIN,
        "Authorization": None if token is None else f"Bearer {token}",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    kept = {name: value for name, value in headers.items() if value is not None and name not in set(drop)}
    lines = [first, *(name.encode() + b": " + _octets(value) for name, value in kept.items()), *map(_octets, extra)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(path: str, body: object, *, token: str | None = None, extra: Iterable[str] = (), **changed: Any) -> bytes:
    """A request to one of our own endpoints; `body` is JSON unless it is bytes."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content_Type": "application/json", "Content_Length": str(len(octets)), **changed}
    plain = {"Upgrade": None, "Connection": None, "Sec_WebSocket_Key": None, "Sec_WebSocket_Version": None}
    return head(path, method="POST", token=token, extra=extra, **plain, **headers) + octets


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
    form: int | None = None,
) -> bytes:
    """One frame, lies included: `length` as declared, `form` the bytes of its length field (0, 2 or 8)."""
    declared = len(payload) if length is None else length
    form = (0 if declared < 126 else 2 if declared < 65536 else 8) if form is None else form
    second = declared if form == 0 else 126 if form == 2 else 127
    start = bytes([(0x80 if fin else 0) | rsv << 4 | opcode, (0x80 if masked else 0) | second])
    return start + (declared.to_bytes(form) if form else b"") + (bytes(4) if masked else b"") + payload


def text(payload: str) -> bytes:
    return frame(1, payload.encode())


# ---- the socket ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    raw: bytes


def parse(raw: bytes) -> Answer:
    top, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    found = re.fullmatch(r"HTTP/1\.1 (\d{3}) ([A-Za-z -]+)", first)
    assert found is not None, raw[:300]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(found[1]), headers, body, raw)


class Peer:
    """A client of bytes. `data` is everything that came; `reset` says how it ended."""

    def __init__(self, gateway: Standing, *, source: str = "127.0.0.1") -> None:
        self.gateway = gateway
        gateway.settled = False
        self.socket = socket.create_connection(("127.0.0.1", gateway.port), 10, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.read_to = 0
        self.over = False
        self.reset = False

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.answers.append(self.data)
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """All of it, unless the other end has gone: then that shows when reading."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(octets)

    def flood(self, octets: bytes, *, most: int, within: float) -> int:
        """Send it over and over without waiting for anything, reading what comes: how many bytes went out."""
        sent, end, view = 0, monotonic() + within, memoryview(octets)
        at = 0
        self.socket.setblocking(False)
        try:
            while sent < most and monotonic() < end and not self.over:
                readable, writable, _ = select.select([self.socket], [self.socket], [], 0.05)
                if readable:
                    self._take()
                if writable and not self.over:
                    count = self.socket.send(view[at:])
                    sent += count
                    at = (at + count) % len(octets)
        except (BrokenPipeError, ConnectionResetError):
            self.over = self.reset = True
        finally:
            self.socket.settimeout(10)
        return sent

    def drip(self, octets: bytes, *, every: float) -> float:
        """One byte at a time, until the other end has had enough. Seconds that it had patience for."""
        begun = monotonic()
        for byte in octets:
            if select.select([self.socket], [], [], every)[0] and (self._take() or self.over):
                break
            self.send(bytes([byte]))
        return monotonic() - begun

    def _take(self) -> bool:
        """Read once. False at the end."""
        try:
            more = self.socket.recv(262144)
        except ConnectionResetError:
            self.reset = True
            more = b""
        except BlockingIOError:
            return True
        self.data += more
        self.over = self.over or not more
        return bool(more)

    def finish(self, within: float) -> float:
        """Read to the end, and how long that took. Fails where there is none."""
        begun = monotonic()
        while not self.over:
            left = begun + within - monotonic()
            assert left > 0, f"no end within {within} s, after {self.data[-200:]!r}"
            self.socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                self._take()
        return monotonic() - begun

    def until(self, done: Callable[[bytes], bool], within: float = WITHIN) -> bytes:
        """What came since the last time, once it is enough."""
        end = monotonic() + within
        while not done(self.data[self.read_to :]):
            left = end - monotonic()
            assert left > 0, f"not within {within} s: {self.data[self.read_to :][:300]!r}"
            self.socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                assert self._take(), f"it ended: {self.data[self.read_to :][:300]!r}"
        return self.data[self.read_to :]

    def answer(self) -> Answer:
        """The whole answer to a request of ours, to the end of the connection."""
        self.finish(WITHIN)
        return parse(self.data)

    def upgraded(self) -> Answer:
        """The 101, and nothing of what follows it."""
        raw = self.until(lambda data: b"\r\n\r\n" in data)
        top, end, _ = raw.partition(b"\r\n\r\n")
        answer = parse(top + end)
        assert answer.status == 101, raw[:400]
        self.read_to += len(top) + 4
        return answer

    def frame(self, within: float = WITHIN) -> tuple[int, bytes]:
        """The next frame that came: opcode and payload."""
        raw = self.until(lambda data: take_frame(data)[0] is not None, within)
        found, rest = take_frame(raw)
        self.read_to += len(raw) - len(rest)
        assert found is not None
        return found

    def message(self, within: float = WITHIN) -> str:
        """The next text."""
        opcode, payload = self.frame(within)
        assert opcode == 1, (opcode, payload)
        return payload.decode()

    def hears(self, kind: str, within: float = WITHIN) -> dict[str, Any]:
        """The next control message, of this kind."""
        said: dict[str, Any] = json.loads(self.message(within))
        assert said["type"] == f"doorward.{kind}", said
        return said

    def farewell(self, within: float) -> tuple[int | None, str]:
        """Code and text of the Close that ends it; None where it was cut. Its answer is sent as a peer should."""
        end = monotonic() + within
        while True:
            found, rest = take_frame(self.data[self.read_to :])
            if found is not None:
                self.read_to = len(self.data) - len(rest)
                if found[0] == 8:
                    self.send(frame(8, found[1][:2]))
                    return (int.from_bytes(found[1][:2]) if found[1] else None), found[1][2:].decode()
            elif self.over:
                return None, ""
            else:
                left = end - monotonic()
                assert left > 0, "neither a Close nor an end"
                self.socket.settimeout(left)
                with contextlib.suppress(TimeoutError):
                    self._take()

    def vanish(self) -> None:
        """RST, as a peer whose process was killed with data unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.over = True


def enter(gateway: Standing, subject: str, target: str = "/ws/a", *, life: float = 60.0, **changed: Any) -> Peer:
    """A socket that was let in, with its 101 read."""
    claims = changed.pop("claims", {})
    peer = Peer(gateway, source=changed.pop("source", "127.0.0.1"))
    try:
        peer.send(head(target, token=gateway.token(subject, life, **claims), **changed))
        peer.upgraded()
    except BaseException:
        peer.socket.close()
        raise
    return peer


CONTROLS = {"Sec_WebSocket_Protocol": "doorward.v1"}


GOOD = "good"


# ---- G ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Before:
    files: int
    records: int
    heads: int
    messages: int
    printed: int
    open: int


def before(gateway: Standing) -> Before:
    """How things are while nobody is attacking, and all that happened before is recorded."""
    if not gateway.settled:
        good_client(gateway)
    backend = gateway.backend
    return Before(
        files=gateway.files(),
        records=len(gateway.events()),
        heads=len(backend.heads),
        messages=len(backend.messages),
        printed=len(gateway.printed),
        open=backend.open,
    )


def good_client(gateway: Standing, *, recorded: bool = True) -> str:
    """A fresh client comes in, is echoed, and leaves in order; until its last record is written. Its subject."""
    subject = gateway.name(GOOD)
    with enter(gateway, subject, "/ws/good") as peer:
        peer.send(text("hello"))
        assert peer.message() == "hello"
        peer.send(frame(8, b"\x03\xe8"))
        peer.finish(WITHIN)
    if recorded:
        gateway.record(subject=subject, kind="close")
        gateway.settled = True
    return subject


def aftermath(gateway: Standing, was: Before, *, attacker_was_in: bool = False) -> list[Event]:
    """G (3), (5) to (8): a good client passes, nothing stays taken, nothing leaked; the attack's own records."""
    backend = gateway.backend
    closed = f"its files are closed again, {was.files} of them"
    until(lambda: gateway.files() <= was.files, what=closed)
    good_client(gateway)  # whose record is the last: any sooner, it may have its turns before those who vanished
    if not attacker_was_in:
        strangers = [each for each in backend.heads[was.heads :] if f"Subject: {GOOD}-".encode() not in each]
        assert strangers == [], "the backend was entered"
    until(lambda: backend.open <= was.open, what="the backend's connections end")
    until(lambda: gateway.files() <= was.files, what=closed)
    printed = gateway.printed[was.printed :]
    assert b"Traceback" not in printed, printed.decode(errors="replace")
    records = [
        event for event in gateway.events()[was.records :] if not str(event.get("subject")).startswith(f"{GOOD}-")
    ]
    shown = json.dumps(records).encode() + printed + b"".join(gateway.answers[-4:])
    for secret, whose in list(gateway.canaries.items())[-8:]:  # all of them are looked for at the gateway's end
        assert secret.encode("utf-8", "surrogateescape") not in shown, f"{whose} was shown"
    return records


def judge_refusal(answer: Answer, status: int) -> None:
    """G (1), (2): the status, and not one byte that is not a constant of ours."""
    assert answer.status == status, answer.raw[:400]
    assert answer.body in BODIES, answer.raw
    assert json.loads(answer.body)["status"] == status
    for name, value in answer.headers.items():
        assert name in HEADERS, answer.raw
        assert re.fullmatch(HEADERS[name], value), answer.raw
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.headers["connection"].startswith("close")
    assert ("www-authenticate" in answer.headers) is (status == 401)


def refused(
    gateway: Standing,
    *sent: bytes,
    status: int | None,
    reason: str,
    kind: str = "handshake",
    ends_within: float = ENDS_WITHIN,
    **recorded: object,
) -> Event:
    """Send each; then status, body, end of the connection and a good client; and all of G. `status` None: it is cut.

    The last one's record.
    """
    was = before(gateway)
    for each in sent:
        with Peer(gateway) as peer:
            late = gateway.lateness()
            peer.send(each)
            took = peer.finish(WITHIN)
            if status is None:
                assert peer.data == b"", (each, peer.data[:400])
            else:
                judge_refusal(parse(peer.data), status)
        assert took < ends_within + SLACK + late(), f"its end took {took:.1f} s"
        if each is not sent[-1]:
            good_client(gateway, recorded=False)
    records = aftermath(gateway, was)
    assert [record["reason"] for record in records] == [reason] * len(sent), records
    for record in records:
        assert record["kind"] == kind
        assert record["outcome"] == "refused"
    assert recorded.items() <= records[-1].items(), records[-1]
    return records[-1]


def closed(
    gateway: Standing,
    sent: bytes,
    *,
    code: int | None,
    reason: str,
    target: str = "/ws/a",
    delivered: list[bytes] | None = None,
    ends_within: float = CLOSES_WITHIN,
    **changed: Any,
) -> Event:
    """Come in, send it, and be closed; then all of G. `delivered` is all that the backend may get of it."""
    was = before(gateway)
    subject = gateway.name()
    with enter(gateway, subject, target, **changed) as peer:
        late = gateway.lateness()
        peer.send(sent)
        begun = monotonic()
        got, said = peer.farewell(WITHIN)
        peer.finish(WITHIN)
        took = monotonic() - begun
    assert got == code, (got, said)
    assert not said or said.partition(";")[0] in CLOSE_TEXTS, said
    assert took < ends_within + SLACK + late()
    came = [payload for path, _, payload in gateway.backend.messages[was.messages :] if path == target]
    # what stood before the fault may still be on its way when the connection ends; nothing else may ever come
    assert came == (delivered or [])[: len(came)]
    records = aftermath(gateway, was, attacker_was_in=True)
    assert [(record["kind"], record.get("reason", "")) for record in records] == [("handshake", ""), ("close", reason)]
    assert records[-1].get("close") == ENDING_CODES.get(reason, records[-1].get("close"))
    return records[-1]


ENDING_CODES = {reason.value: ending.close for reason, ending in ENDINGS.items()}
