"""Asks the web application as a server would, without one: a scope in, status, headers and body out.

The desk is a fake that lets in by the core's own first steps, and sells what the test tells it to.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from doorward.adapters.web import Page, WebApp
from doorward.core.attending import attend
from doorward.service.issue import Attended, IssuedTicket
from doorward.service.outside import Renewed
from doorward.testing import Reaction, play
from doorward.values.admission import Admission
from doorward.values.audit import Trail
from doorward.values.credential import Credential
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.rules import Rules
from doorward.values.secret import Secret

HOST = "rt.example"
ORIGIN = "https://app.example"
OWN = "https://rt.example"
RULES = Rules(hosts=frozenset({HOST}), routes=(), origins=frozenset({ORIGIN}), own_origin=OWN)
LOOPBACK = ("127.0.0.1", 40000)
TOKEN = "a.good.token"
CODE = "T" * 43
JSON = ("content-type", "application/json")
BEARER = ("authorization", f"Bearer {TOKEN}")


@dataclass
class FakeDesk:
    """Fulfils adapters.web.desk.Desk. `answers` are those of the stores (doorward.testing.play)."""

    rules: Rules = RULES
    answers: Mapping[type, Reaction] = field(default_factory=dict)
    sells: IssuedTicket | Deny = IssuedTicket(Secret(CODE), 29.9999, "connection-1")
    renews: Renewed | Deny = Renewed(1790000600.5, 1790000540.9)
    breaks: BaseException | None = None
    sold: list[tuple[Credential, str | None]] = field(default_factory=list)
    renewed: list[tuple[str, Credential]] = field(default_factory=list)
    refused: list[Deny] = field(default_factory=list)

    async def attend(self, handshake: Handshake, wire: Wire, *, writes: bool) -> Attended | Deny:
        if self.breaks is not None:
            raise self.breaks
        trail = Trail()
        judged = play(attend(handshake, wire, self.rules, writes=writes, trail=trail), self.answers).result
        if isinstance(judged, Deny):
            return judged
        return Attended(judged, handshake.one("origin"), trail)

    async def ticket(self, attended: Attended, credential: Credential, *, path: str | None) -> IssuedTicket | Deny:
        self.sold.append((credential, path))
        return self.sells

    async def renew(self, attended: Attended, *, connection: str, credential: Credential) -> Renewed | Deny:
        self.renewed.append((connection, credential))
        return self.renews

    def refuse(
        self, deny: Deny, *, wire: Wire, handshake: Handshake | None = None, attended: Attended | None = None
    ) -> None:
        self.refused.append(deny)


@dataclass
class FakeDoor:
    """Fulfils adapters.web.desk.Doorstep: vouches for whom the test says."""

    says: Admission | Deny = Deny(Reason.CREDENTIAL_MISSING, Step.READ)
    breaks: BaseException | None = None
    asked: list[Handshake] = field(default_factory=list)
    refused: list[Deny] = field(default_factory=list)

    async def verify(self, asked: Handshake, wire: Wire) -> Admission | Deny:
        if self.breaks is not None:
            raise self.breaks
        self.asked.append(asked)
        return self.says

    def refuse(self, wire: Wire, deny: Deny, handshake: Handshake | None = None, *, verified: bool = False) -> None:
        self.refused.append(deny)


@dataclass
class FakeReadiness:
    is_ready: bool = True

    async def ready(self) -> bool:
        return self.is_ready


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """A web application with its fakes."""

    desk: FakeDesk = field(default_factory=FakeDesk)
    door: FakeDoor = field(default_factory=FakeDoor)
    readiness: FakeReadiness = field(default_factory=FakeReadiness)
    pages: Mapping[str, Page] = field(default_factory=dict)
    faults: list[BaseException] = field(default_factory=list)

    @property
    def app(self) -> WebApp:
        return WebApp(
            self.desk,
            door=self.door,
            rules=lambda: self.desk.rules,
            readiness=self.readiness,
            jwks=lambda: {"keys": [{"kty": "OKP", "kid": "k1"}]},
            fault=lambda where, error: self.faults.append(error),
            pages=self.pages,
        )

    def with_rules(self, **changes: Any) -> "Site":
        self.desk.rules = replace(self.desk.rules, **changes)
        return self

    async def ask(
        self,
        method: str,
        target: str,
        *headers: tuple[str, str],
        body: bytes | Sequence[bytes] = b"",
        host: str | None = HOST,
        client: tuple[str, int] | None = LOOPBACK,
        scheme: str = "http",
        version: str = "1.1",
    ) -> Answer:
        chunks = [body] if isinstance(body, bytes) else list(body)
        named = [*([("host", host)] if host is not None else []), *headers]
        return await ask(self.app, scope_of(method, target, named, client, scheme, version), chunks)

    async def buy(self, *headers: tuple[str, str], body: bytes = b"{}", target: str = "/auth/ticket") -> Answer:
        return await self.ask("POST", target, *headers, body=body)


def scope_of(
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]],
    client: tuple[str, int] | None = LOOPBACK,
    scheme: str = "http",
    version: str = "1.1",
) -> dict[str, Any]:
    from urllib.parse import unquote

    raw, _, query = target.partition("?")
    return {
        "type": "http",
        "method": method,
        "path": unquote(raw),
        "raw_path": raw.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "http_version": version,
        "scheme": scheme,
        "client": client,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }


async def ask(app: Any, scope: dict[str, Any], chunks: Sequence[bytes] = (b"",)) -> Answer:
    waiting = list(chunks)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        chunk = waiting.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope, receive, send)
    assert sent, "nothing was answered"
    start, *rest = sent
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))
