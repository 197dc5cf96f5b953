"""Every vector through the middleware under real servers: what the gateway refuses, nobody lets in.

A server may refuse by itself, before it asks us; then that is the answer. It may make a plain request of what it takes
for no upgrade: that is the application's HTTP. What reaches us as a WebSocket is decided as in the core.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from doorward.adapters.stores.sqlite.store import SqliteStore
from doorward.core.endings import ENDINGS
from doorward.testing import FakeClock
from doorward.values.decision import Reason
from tests.doors import matrix, raw
from tests.doors.test_gateway import Door
from tests.integration.frameworks.serving import Served, served
from tests.vectors.loading import Base, Vector, vectors

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SERVERS = ("uvicorn", "hypercorn", "granian")
VECTORS = vectors(lambda one: bool({"gateway", "asgi"} & set(one.doors)) and one.base.name != "proxy-protocol")
AFTERWARDS = b"GET /afterwards HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\n\r\n"
KEY = base64.urlsafe_b64encode(hashlib.sha256(b"the doors").digest()).decode().rstrip("=") + "\n"

# What only the gateway has: another backend than the application, heads and connections of our own.
ELSEWHERE = {"BACK-refused", "BACK-nonsense", "BACK-unreachable"}

# A server mends these, or hides them, before it asks: nobody after it can see them (spec/vectors/README.md). Who shows
# a good credential enters; everything that ASGI carries was judged.
UNSEEN = {
    "uvicorn": {"HS-06-http-1-0", "HS-48-http-2-0", "HS-49-two-spaces", "HS-53-three-empty-lines"},
    "hypercorn": {
        *("HS-09-get-own-case", "HS-13-length-two-zeros", "HS-13-two-content-lengths"),
        *("HS-26-obs-fold", "HS-26-obs-fold-in-authorization", "HS-28-bare-lf"),
    },
    "granian": {
        *(f"HS-09-{name}-method" for name in ("connect", "getx", "head", "long", "options", "post", "put", "trace")),
        *("HS-09-get-own-case", "HS-13-two-content-lengths", "HS-28-bare-lf", "HS-53-three-empty-lines"),
    },
}
# And these it never answers, for it waits for more, or speaks HTTP/2: until the client says that this was all.
SILENT = {
    "uvicorn": {
        *("HS-10-content-length", "HS-13-length-leading-zero", "HS-32-cookie-of-64-kib", "HS-32-header-over-8-kib"),
        *("HS-33-path-of-16-kib", "HS-33-query-of-16-kib"),
        *("HS-52-encoding-comma", "HS-52-encoding-identity", "HS-52-encoding-unknown"),
    },
    "hypercorn": {"HS-08-http-2-preface"},
    "granian": set[str](),
}
# And these it refuses though the gateway would not.
STRICTER = {"uvicorn": set[str](), "hypercorn": {"HS-53-two-empty-lines"}, "granian": set[str]()}


class Running:
    """What a Door asks of a process, of a server's."""

    def __init__(self, folder: Path, it: Served) -> None:
        self.folder = folder
        self.port = it.port

    def audit_file(self) -> Path:
        return self.folder / "audit.jsonl"


class AsgiDoor(Door):
    """One server over one base's file."""

    def __init__(self, server: str, on: Base, folder: Path, it: Served, store: SqliteStore) -> None:
        super().__init__(on, Running(folder, it), raw.Backend(), store)  # type: ignore[arg-type]
        self.server = server
        self.notes = folder / "notes.jsonl"
        self._noted = 0

    async def send(self, vector: Vector, head: bytes) -> raw.Heard:
        return await raw.knock(
            self.process.port,
            head + vector.after(),
            source=vector.wired()["address"],
            is_closed="close" in vector.expect,
            is_last=vector.id in SILENT[self.server],
        )

    def new_notes(self) -> list[dict[str, Any]]:
        lines = self.notes.read_text(encoding="utf-8").splitlines() if self.notes.exists() else []
        new, self._noted = lines[self._noted :], len(lines)
        return [json.loads(line) for line in new]


class Doors:
    """One process of one server for each base, started when it is first wanted."""

    def __init__(self, server: str, folder: Path, stack: AsyncExitStack) -> None:
        self.server = server
        self._folder = folder
        self._stack = stack
        self._open: dict[str, AsgiDoor] = {}

    async def of(self, on: Base) -> AsgiDoor:
        if on.name not in self._open:
            self._open[on.name] = await self._start(on)
        return self._open[on.name]

    async def _start(self, on: Base) -> AsgiDoor:
        folder = self._folder / on.name
        folder.mkdir()
        key = folder / "doorward.key"
        key.write_text(KEY, encoding="utf-8")
        key.chmod(0o600)
        text = (on.folder / "doorward.toml").read_text(encoding="utf-8")
        (folder / "doorward.toml").write_text(f'{text}\n[audit]\nfile = "audit.jsonl"\n', encoding="utf-8")
        environment = {
            "DOORS_NOTES": str(folder / "notes.jsonl"),
            "DOORS_CONFIG": str(folder / "doorward.toml"),
        }
        it = await self._stack.enter_async_context(
            served(self.server, "tests.doors.answering:app", environment=environment)
        )
        store = SqliteStore(folder / "doorward.db", clock=FakeClock(time.time()), process="test", shared=False)
        await store.open()
        self._stack.push_async_callback(store.close)
        return AsgiDoor(self.server, on, folder, it, store)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=SERVERS)
async def doors(request, tmp_path_factory) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        yield Doors(request.param, tmp_path_factory.mktemp(request.param), stack)
    matrix.write()


@pytest.mark.parametrize("vector", [one for one in VECTORS if one.id not in ELSEWHERE], ids=lambda vector: vector.id)
async def test_no_server_lets_in_what_the_core_refuses(vector, doors) -> None:
    door = await doors.of(vector.base)
    now = time.time()
    codes = await door.prepare(vector, now)
    door.new_notes()
    door._new_handshakes()
    answer = await door.send(vector, vector.head(now=now, codes=codes))
    notes = await passed_on(door)
    passed = [note["passed"] for note in notes if "passed" in note]
    entered = [note for note in notes if "entered" in note]
    event = await judged(door) if "websocket" in passed else None
    matrix.record(vector.id, f"middleware, {doors.server}", told(vector, answer, passed, event))
    shown = [vector.token(name, now=now) for name in vector.tokens] + list(codes.values())
    assert not [secret for secret in shown if secret in json.dumps([event, entered]) or secret.encode() in answer.raw]
    if vector.id in SILENT[doors.server]:
        assert (passed, answer.status) == ([], 0), "it answers by now"
    elif vector.id in STRICTER[doors.server]:
        assert (event, answer.status) == (None, 400)
    elif vector.id in UNSEEN[doors.server]:
        assert event is not None
        assert (event["outcome"], answer.status, len(entered)) == ("allowed", 101, 1), "it is seen by now"
    elif vector.expect["status"] == 101:
        let_in(vector, answer, entered, event)
    else:
        kept_out(vector, answer, entered, event)


async def passed_on(door: AsgiDoor) -> list[dict[str, Any]]:
    """What reached us. A server that has answered by itself may have asked us all the same, and be a little late: what
    it asks after that has an answer by then."""
    later = await raw.knock(door.process.port, AFTERWARDS, source="127.0.0.1")
    assert later.status == 404, later.raw
    return door.new_notes()


async def judged(door: AsgiDoor) -> dict[str, Any]:
    """The handshake's one record."""
    async with asyncio.timeout(raw.WITHIN):
        while not (found := door._new_handshakes()):  # noqa: ASYNC110 - another process writes the file
            await asyncio.sleep(0.01)
    assert len(found) == 1, found
    return found[0]


def told(vector: Vector, answer: raw.Heard, passed: list[str], event: dict[str, Any] | None) -> str:
    """One word for the matrix."""
    if event is not None:
        if event["outcome"] == "allowed":
            return "in"
        return "as the core" if event["reason"] == vector.expect.get("reason") else f"refused: {event['reason']}"
    if "http" in passed:
        return f"plain HTTP, {answer.status}"
    return f"server: {answer.status}" if answer.status else "server: cut"


def let_in(vector: Vector, answer: raw.Heard, entered: list[dict[str, Any]], event: dict[str, Any] | None) -> None:
    assert answer.status == 101, answer.raw
    assert event is not None
    assert event["outcome"] == "allowed"
    assert answer.headers["sec-websocket-accept"] == raw.accept_of("dGhlIHNhbXBsZSBub25jZQ==")
    if "protocol" in vector.expect:
        assert answer.headers.get("sec-websocket-protocol", "") == vector.expect["protocol"]
    assert len(entered) == 1
    seen = entered[0]
    headers = dict(seen["headers"])
    assert "ticket=" not in seen["target"]
    assert "token=" not in seen["target"]
    assert headers.keys().isdisjoint({"authorization", "x-auth-user", "x_auth_user", "x-original-url", "client-cert"})
    assert not [protocol for protocol in seen["subprotocols"] if protocol.startswith("doorward.")]
    names = [name.replace("_", "-") for name, _ in seen["headers"]]
    assert [name for name in names if name.startswith("x-doorward-") and names.count(name) > 1] == []
    admission = vector.expect.get("admission", {})
    shown = {
        "subject": headers["x-doorward-subject"],
        "tenant": headers["x-doorward-tenant"],
        "roles": [role for role in headers["x-doorward-roles"].split(",") if role],
        "permissions": [permission for permission in headers["x-doorward-permissions"].split(",") if permission],
        "parameters": seen["parameters"],
        "address": headers["x-forwarded-for"],
        "origin": headers.get("origin", ""),
        "kind": event["credential"],
        "place": event["place"],
    }
    assert {name: shown[name] for name in admission if name in shown} == {
        name: value for name, value in admission.items() if name in shown
    }


def kept_out(vector: Vector, answer: raw.Heard, entered: list[dict[str, Any]], event: dict[str, Any] | None) -> None:
    expect = vector.expect
    if expect["step"] not in {"backend", "register"}:
        assert entered == [], "the application was entered"
    if event is None:
        assert answer.status != 101 or answer.headers["upgrade"] == "h2c", answer.raw
        return
    assert event["outcome"] == "refused", event
    ending = ENDINGS[Reason(event["reason"])]
    if "close" in expect and event["reason"] == expect["reason"]:
        text = f"doorward:{ending.name}".encode()
        assert answer.status == 101
        assert answer.rest[: len(text) + 4] == bytes((0x88, len(text) + 2)) + expect["close"].to_bytes(2) + text
        return
    # a server that meets what came after the head may say 400 in our place; and it carries our page, or says 403
    assert answer.status in {ending.status, 400, 403}, answer.raw
    assert answer.raw.count(b"HTTP/1.") == 1, "it answered what came after the head"
    if answer.headers.get("content-type") == "application/problem+json":
        assert answer.status == ending.status
        assert answer.problem["reason"] == ending.name
