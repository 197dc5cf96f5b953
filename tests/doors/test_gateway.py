"""Every vector through a real `doorward run`, over real sockets: the same decision as the core's, told on the wire.

One gateway for each base. Bans and revocations are written by this process into the gateway's store, as commands do.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from doorward.adapters.stores.sqlite.store import SqliteStore
from doorward.core.endings import ENDINGS
from doorward.testing import FakeClock
from doorward.values.ban import Ban
from doorward.values.decision import Reason
from doorward.values.ids import new_id
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from tests.doors import matrix, raw
from tests.integration.running import Backend as EchoBackend
from tests.integration.running import Gateway, free_port
from tests.vectors.loading import Base, Vector, instant, vectors

pytestmark = pytest.mark.asyncio(loop_scope="module")

VECTORS = vectors(lambda vector: "gateway" in vector.doors)
IDENTITY = ("Issuer", "Subject", "Roles", "Permissions", "Tenant", "Session", "Connection", "Expires")
BEFORE_THE_BACKEND = {"head", "upgrade", "transport", "address", "route", "origin", "read", "prove", "permit", "slot"}


class Process(Gateway):
    """`doorward run` over a base's own file: only its ports are this machine's."""

    def __init__(self, folder: Path, on: Base, backend: raw.Backend) -> None:
        text = (on.folder / "doorward.toml").read_text(encoding="utf-8")
        text = text.replace("127.0.0.1:9000", f"127.0.0.1:{backend.port}").replace(
            "127.0.0.1:8800", f"127.0.0.1:{free_port()}"
        )
        self.text = f'{text}\n[admin]\nlisten = "127.0.0.1:0"\n'
        super().__init__(folder, EchoBackend())

    def write(self) -> None:
        self.config.write_text(getattr(self, "text", ""), encoding="utf-8")


class Door:
    """A running gateway with its backend, its store, and its audit."""

    lets_in = 101

    def __init__(self, on: Base, process: Process, backend: raw.Backend, store: SqliteStore) -> None:
        self.on = on
        self.process = process
        self.backend = backend
        self.store = store
        self._read = 0

    async def prepare(self, vector: Vector, now: float) -> dict[str, str]:
        """Make the vector's world true; the codes of tickets that were bought for it."""
        for told in vector.bans:
            network = ip_network(told["address"]) if "address" in told else None
            await self.store.bans.add(Ban(network, told.get("subject"), None, None, "vector", now, now + 3600))
        codes = {}
        for name, told in vector.tickets.items():
            if told.get("state") != "unknown":
                codes[name] = await self._buy(vector, told, now)
            if told.get("state") == "spent":
                spent, _ = await self.knock(vector, vector.head(now=now, codes=codes))
                assert spent.status == self.lets_in
        for told in vector.revocations:
            target = Target(
                TargetKind(told["kind"]), told["value"], issuer=told.get("issuer"), tenant=told.get("tenant")
            )
            at = instant(told.get("instant", "now"), time.time())
            effect, roles = Effect(told.get("effect", "close")), tuple(told.get("roles", ()))
            id = new_id(secrets.token_bytes(16))
            await self.store.revocations.append(Revocation(target, at, effect, "vector", at + 3600, roles=roles, id=id))
            await self._acknowledged(id)
        return codes

    async def _acknowledged(self, id: str) -> None:
        """The gateway has acted on it: until then step 8 may not know of it, and step 13 refuses."""
        async with asyncio.timeout(raw.WITHIN):
            while not await self.store.revocations.acknowledgements(id):  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.01)

    async def _buy(self, vector: Vector, told: dict[str, Any], now: float) -> str:
        body = json.dumps({"path": told["path"]} if "path" in told else {})
        lines = [
            "POST /auth/ticket HTTP/1.1",
            "Host: gw.example",
            f"Authorization: Bearer {vector.token(told['parent'], now=now)}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *([f"Origin: {told['origin']}"] if "origin" in told else []),
        ]
        data = ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()
        bought = await raw.exchange(self.process.port, data, source=vector.wired()["address"])
        assert bought.status == 201, bought.raw
        code: str = bought.problem["ticket"]
        return code

    async def send(self, vector: Vector, head: bytes) -> raw.Heard:
        told = vector.wired()
        before = raw.proxy_header(told, port=self.process.port) if "proxied" in told else b""
        return await raw.exchange(self.process.port, before + head + vector.after(), source=told["address"])

    async def knock(self, vector: Vector, head: bytes) -> tuple[raw.Heard, dict[str, Any]]:
        """The answer to one handshake, and its one record in the audit: neither none nor two."""
        answer = await self.send(vector, head)
        async with asyncio.timeout(raw.WITHIN):
            while not (found := self._new_handshakes()):  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(0.01)
        assert len(found) == 1, found
        return answer, found[0]

    def _new_handshakes(self) -> list[dict[str, Any]]:
        with self.process.audit_file().open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        events = [json.loads(line) for line in whole.splitlines()]
        return [event for event in events if self._is_new(event)]

    def _is_new(self, event: dict[str, Any]) -> bool:
        return bool(event["kind"] == "handshake")


class Doors:
    """One gateway for each base, started when it is first wanted."""

    process_type: type[Process] = Process
    door_type: type[Door] = Door

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Door] = {}
        self._tried: set[str] = set()

    async def of(self, on: Base) -> Door:
        if on.name not in self._open:
            assert on.name not in self._tried, "it did not start, and was not tried again"
            self._tried.add(on.name)
            self._open[on.name] = await self._start(on)
        return self._open[on.name]

    async def _start(self, on: Base) -> Door:
        backend = raw.Backend()
        await backend.start()
        process = self.process_type(self._folder / on.name, on, backend)
        await process.start()
        store = SqliteStore(
            process.folder / "doorward.db", clock=FakeClock(time.time()), process=secrets.token_hex(4), shared=False
        )
        await store.open()
        return self.door_type(on, process, backend, store)

    async def stop(self) -> None:
        for door in self._open.values():
            await door.store.close()
            await door.process.stop()
            await door.backend.stop()
            assert "Traceback" not in door.process.printed, door.process.printed


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def doors(tmp_path_factory) -> AsyncIterator[Doors]:
    found = Doors(tmp_path_factory.mktemp("doors"))
    yield found
    await found.stop()
    matrix.write()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
async def test_the_gateway_decides_as_the_vector_says(vector, doors) -> None:
    door: Door = await doors.of(vector.base)
    now = time.time()
    codes = await door.prepare(vector, now)
    reached = len(door.backend.heads)
    answer, event = await door.knock(vector, vector.head(now=now, codes=codes))
    matrix.record(vector.id, "gateway", f"{answer.status} {event.get('ending', '')}".strip())
    shown = [vector.token(name, now=now) for name in vector.tokens] + list(codes.values())
    asked = door.backend.heads[reached:]
    if vector.expect["status"] == 101:
        let_in(vector, answer, asked, event)
    else:
        kept_out(vector, answer, asked, event)
    told = [answer.raw, json.dumps(event).encode(), *asked]
    assert [secret for secret in shown if any(secret.encode() in text for text in told)] == []


def let_in(vector: Vector, answer: raw.Heard, asked: list[bytes], event: dict[str, Any]) -> None:
    """A strict 101 of the client's own key, and a backend that saw the identity and nothing that the client made up."""
    expect, key = vector.expect, "dGhlIHNhbXBsZSBub25jZQ=="
    assert answer.status == 101, answer.raw
    assert (answer.headers["upgrade"], answer.headers["connection"]) == ("websocket", "Upgrade")
    assert answer.headers["sec-websocket-accept"] == raw.accept_of(key)
    assert "sec-websocket-extensions" not in answer.headers
    if "protocol" in expect:
        assert answer.headers.get("sec-websocket-protocol", "") == expect["protocol"]
    assert len(asked) == 1
    request, *lines = asked[0].decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    sent = [(line.partition(": ")[0].lower(), line.partition(": ")[2]) for line in lines]
    headers = dict(sent)
    assert "ticket=" not in request
    assert "token=" not in request
    for name in (
        "host",
        "origin",
        "forwarded",
        "x-forwarded-for",
        *(f"x-doorward-{name.lower()}" for name in IDENTITY),
    ):
        assert [header for header, _ in sent if header.replace("_", "-") == name] in ([name], []), name
    said = " ".join(vector.handshake.get("add", [])) + str(vector.wire)
    tls = any(word in said for word in ("Forwarded-Proto: https", "proto=https", "'proxied_tls': True"))
    assert headers["x-forwarded-proto"] == ("https" if tls else "http"), "what the client's own leg was"
    assert headers.keys() >= {f"x-doorward-{name.lower()}" for name in IDENTITY}
    assert headers.keys().isdisjoint({"authorization", "x-auth-user", "x_auth_user", "x-original-url", "client-cert"})
    admission = expect.get("admission", {})
    shown = {
        "subject": headers["x-doorward-subject"],
        "tenant": headers["x-doorward-tenant"],
        "roles": [role for role in headers["x-doorward-roles"].split(",") if role],
        "permissions": [permission for permission in headers["x-doorward-permissions"].split(",") if permission],
        "address": headers["x-forwarded-for"],
        "origin": headers.get("origin", ""),
        "kind": event["credential"],
        "place": event["place"],
    }
    assert {name: shown[name] for name in admission if name in shown} == {
        name: value for name, value in admission.items() if name in shown
    }
    assert (event["outcome"], event["status"]) == ("allowed", 101)
    assert event["connection"] == headers["x-doorward-connection"]


def kept_out(vector: Vector, answer: raw.Heard, asked: list[bytes], event: dict[str, Any]) -> None:
    """One constant page that says the ending and no more, and the end; the fine reason is in the audit."""
    expect = vector.expect
    ending = ENDINGS[Reason(expect["reason"])]
    if expect["step"] in BEFORE_THE_BACKEND:
        assert asked == []
    assert (event["outcome"], event["reason"]) == ("refused", expect["reason"])
    assert (event["status"], event["ending"]) == (expect["status"], ending.name)
    if "close" in expect:
        text = f"doorward:{ending.name}".encode()
        assert answer.status == 101
        assert answer.rest == bytes((0x88, len(text) + 2)) + expect["close"].to_bytes(2) + text
        return
    assert answer.status == expect["status"], answer.raw
    assert answer.raw.count(b"HTTP/1.1 ") == 1, "it answered what came after the head"
    assert "close" in answer.headers["connection"].lower()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.keys().isdisjoint({"server", "location", "set-cookie", "sec-websocket-accept"})
    if not vector.head(now=0).startswith(b"HEAD "):
        assert answer.problem["reason"] == ending.name
        assert len(answer.rest) == int(answer.headers["content-length"])
    assert ("www-authenticate" in answer.headers) is (expect["status"] == 401)
    assert (answer.headers.get("allow") == "GET") is (expect["status"] == 405)
    assert (answer.headers.get("sec-websocket-version") == "13") is (expect["status"] == 426)
