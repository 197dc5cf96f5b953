"""A server without a socket: what it says is queued, what it is told is noted; time and stores are the World's."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from doorward.adapters.asgi.middleware import Middleware
from doorward.adapters.asgi.parts import Message, Receive, Scope, Send
from doorward.core.routing import find_route
from doorward.service.admit import Door
from doorward.testing import FakeClock
from doorward.values.audit import AuditEvent
from doorward.values.handshake import Handshake
from doorward.values.rules import Route
from tests.unit.service.world import World, handshake, token

App = Callable[[Scope, Receive, Send], Awaitable[None]]
WITHIN = 5.0


class Parts:
    """Fulfils adapters.asgi.parts.MiddlewareParts over a World."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: list[str] = []
        self.fails: Exception | None = None
        self.starting: asyncio.Event | None = None

    @property
    def door(self) -> Door:
        return self.world.door

    @property
    def clock(self) -> FakeClock:
        return self.world.clock

    @property
    def application(self) -> App:
        return self._ours

    async def _ours(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.done.append(f"ours {scope['type']} {scope['path']}")

    def is_ours(self, path: str) -> bool:
        return path.startswith("/auth/")

    def route_of(self, path: str) -> Route | None:
        found = find_route(self.world.watch.rules.routes, path)
        return None if found is None else found[0]

    def metrics(self) -> bytes:
        return b"doorward_connections 0\n"

    def wrong(self, where: str, error: BaseException) -> None:
        self.world.events.fault(where, error)

    async def start(self) -> None:
        self.done.append("start")
        if self.starting is not None:
            await self.starting.wait()
        if self.fails is not None:
            raise self.fails

    async def drain(self) -> None:
        self.done.append("drain")

    async def stop(self) -> None:
        self.done.append("stop")

    async def reload(self) -> bool:
        self.done.append("reload")
        return True


class Server:
    """One connection of one server. `sent` is what it was told; `hold` makes its sends wait, as a slow peer would."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.sent: list[Message] = []
        self.hold: asyncio.Event | None = None
        self.broken: Exception | None = None
        self.sending = 0
        self.asked = 0
        self._said: deque[Message] = deque()
        self._more = asyncio.Event()
        self._told = asyncio.Event()

    def says(self, kind: str, **more: Any) -> None:
        self._said.append({"type": kind, **more})
        self._more.set()

    def hears(self, message: str | bytes) -> None:
        """The peer sent this."""
        self.says("websocket.receive", **{"text" if isinstance(message, str) else "bytes": message})

    async def receive(self) -> Message:
        self.asked += 1
        while not self._said:
            self._more.clear()
            await self._more.wait()
        return self._said.popleft()

    async def send(self, message: Message) -> None:
        assert self.sending == 0, "two sends at once"
        self.sending += 1
        try:
            if self.hold is not None:
                await self.hold.wait()
            if self.broken is not None:
                raise self.broken
            self.sent.append(message)
            self._told.set()
        finally:
            self.sending -= 1

    @property
    def waiting(self) -> int:
        """What it has said and nobody has taken."""
        return len(self._said)

    async def told(self, kind: str, count: int = 1) -> Message:
        """The `count`th message of a kind that it was told, as soon as it was."""
        async with asyncio.timeout(WITHIN):
            while len(found := [message for message in self.sent if message["type"] == kind]) < count:
                self._told.clear()
                await self._told.wait()
        return found[count - 1]

    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    def kinds(self) -> list[str]:
        return [message["type"].removeprefix("websocket.") for message in self.sent]


def scope_of(shown: Handshake | None = None, *, page: bool = True, **more: Any) -> dict[str, Any]:
    """As uvicorn makes it."""
    shown = shown or handshake(bearer=token())
    raw, _, query = shown.target.partition("?")
    offers = [offer.strip() for line in shown.all("sec-websocket-protocol") for offer in line.split(",")]
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": shown.path,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in shown.headers],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8000),
        "subprotocols": offers,
        "state": {"theirs": 1},
        "extensions": {"websocket.http.response": {}} if page else {},
        **more,
    }


class Visit:
    """One handshake at a middleware, and what became of it."""

    def __init__(self, world: World, app: App, scope: Scope) -> None:
        self.world = world
        self.parts = Parts(world)
        self.notes: list[str] = []
        self.middleware = Middleware(app, build=lambda: self.parts, is_ours=self.parts.is_ours, note=self.notes.append)
        self.server = Server(scope)
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> "Visit":
        self.server.says("websocket.connect")
        self.task = asyncio.create_task(self.middleware(self.server.scope, self.server.receive, self.server.send))
        return self

    async def ended(self) -> None:
        """Until the middleware's callable has returned. Raises what it raised."""
        assert self.task is not None
        async with asyncio.timeout(WITHIN + 6):
            await self.task

    def audited(self, kind: str) -> list[AuditEvent]:
        return [event for event in self.world.audited() if event.kind.value == kind]

    async def clean(self) -> None:
        """Nothing is left of it: no connection, no slot, no pending place, no task."""
        await self.world.settle()
        assert len(self.world.connections) == 0
        assert not self.world.store.slots._held  # type: ignore[attr-defined]
        own = {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]
        assert own == set()


@asynccontextmanager
async def visit(app: App, scope: Scope | None = None, world: World | None = None):
    """A visit that is over, and left nothing behind, when the block ends."""
    one = Visit(world or World(), app, scope or scope_of()).begin()
    try:
        yield one
    finally:
        if one.task is not None and not one.task.done():
            one.server.says("websocket.disconnect", code=1000)
            await asyncio.wait({one.task}, timeout=1)
            one.task.cancel()
    await one.clean()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts, and says again what it hears."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
