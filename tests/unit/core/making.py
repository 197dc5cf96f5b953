"""What the tests of the core share: a good handshake, rules that let it in, and the values in between."""

import base64
import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from doorward.core.admission import admit
from doorward.core.handshakes import parse_head
from doorward.testing import START, Played, play
from doorward.values.audit import Trail
from doorward.values.credential import Kind
from doorward.values.decision import Decision
from doorward.values.handshake import Handshake
from doorward.values.peer import Peer, Wire
from doorward.values.principal import Identity, Principal
from doorward.values.rules import IssuerRules, PathPattern, Route, Rules

NOW = START
ISSUER = "https://login.example/"
ORIGIN = "https://app.example"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
CODE = "A" * 43
LOOPBACK = Wire(ip_address("127.0.0.1"), port=40000)


def segment(value: object) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def token(*, signature: bytes = b"signed", header: dict[str, object] | None = None, **claims: object) -> str:
    """A compact JWS whose signature nobody can check: in the core that is the verifier's answer."""
    whole = {"iss": ISSUER, "aud": "chat", "sub": "alice", "iat": int(NOW) - 10, "exp": int(NOW) + 600, **claims}
    present = {name: value for name, value in whole.items() if value is not None}
    return f"{segment({'alg': 'HS256', **(header or {})})}.{segment(present)}.{segment(signature)}"


def pattern(text: str) -> PathPattern:
    """A route's path, as the configuration reads it."""
    parts, rest = text[1:].split("/"), None
    if parts[-1].endswith("*}"):
        rest = parts.pop()[1:-2]
    segments = tuple((part.strip("{}"), part.startswith("{")) for part in parts)
    return PathPattern(text=text, segments=segments, rest=rest)


def route(path: str = "/chat/{room}", **changes: Any) -> Route:
    return replace(Route(pattern=pattern(path), backend="ws://127.0.0.1:9000"), **changes)


def rules(*routes: Route, **changes: Any) -> Rules:
    issuer = IssuerRules(issuer=ISSUER, audiences=("chat",), algorithms=frozenset({"HS256"}))
    whole = Rules(
        hosts=frozenset({"gw.example"}),
        routes=routes or (route(),),
        origins=frozenset({ORIGIN}),
        issuers={ISSUER: issuer},
        roles={"member": ("chat:join", "chat:send"), "moderator": ("chat:*",)},
    )
    return replace(whole, **changes)


def head(
    target: str = "/chat/lobby", *add: str, method: str = "GET", version: str = "HTTP/1.1", **changes: str | None
) -> bytes:
    """The base request of SECURITY part B. A change is named as the header in lower case, `_` for `-`; None removes."""
    headers: dict[str, str | None] = {
        "Host": "gw.example",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        "Origin": ORIGIN,
        "Authorization": f"Bearer {token()}",
    }
    plain = {name.lower().replace("-", "_"): name for name in headers}
    for name, value in changes.items():
        headers[plain.get(name, name.replace("_", "-"))] = value
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"{method} {target} {version}", *lines, *add, "", ""]).encode("latin-1")


def handshake(target: str = "/chat/lobby", *add: str, **changes: Any) -> Handshake:
    read = parse_head(head(target, *add, **changes))
    assert isinstance(read, Handshake), read
    return read


def knock(
    handshake: Handshake,
    rules: Rules,
    answers: Any = None,
    *,
    wire: Wire = LOOPBACK,
    trail: Trail | None = None,
    pace: float = 0.0,
) -> Played[Decision]:
    """One handshake at the door."""
    steps = admit(handshake, wire, rules, connection="c-fresh", trail=trail or Trail(), now=NOW)
    return play(steps, answers, now=NOW, pace=pace)


def principal(subject: str = "alice", **changes: Any) -> Principal:
    whole = Principal(identity=Identity(ISSUER, subject), kind=Kind.TOKEN, issued_at=NOW - 10, expires_at=NOW + 600)
    return replace(whole, **changes)


def peer(address: str | None = "127.0.0.1", **changes: Any) -> Peer:
    here = None if address is None else ip_address(address)
    return replace(Peer(address=here, direct=here, secure=True), **changes)
