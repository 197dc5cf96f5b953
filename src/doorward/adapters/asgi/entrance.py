"""One handshake, from the server's scope to its end: the same thirteen steps as at the gateway, and the application is
step 12's backend.

The application is started when eleven steps have let the handshake through, in a task of its own, and its accept waits
for the thirteenth. It is never entered for a handshake that was refused before; what it says instead of accepting is
its own refusal, and passes.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final

from doorward.adapters.asgi.closes import sender
from doorward.adapters.asgi.connection import Connection
from doorward.adapters.asgi.parts import Application, Message, MiddlewareParts, Receive, Scope, Send
from doorward.adapters.asgi.scopes import application_scope, same_path
from doorward.adapters.asgi.socket import ConnectionClosedError, Socket
from doorward.core.forwarding import clean_query
from doorward.core.refusing import refusal_close, refusal_page
from doorward.core.scopes import handshake_of_scope, wire_of_scope
from doorward.service.live import Live
from doorward.values.admission import BackendAnswer
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.question import BackendFailed, OpenBackend

RESPONSE: Final = "websocket.http.response"
CLOSES_WITHIN: Final = 3
"""Turns of the loop in which a server's transport closes."""
END_WITHIN: Final = 5.0
"""Seconds that an application gets to end after its connection was closed by us; then it is cancelled."""

_INTERNAL: Final = Deny(Reason.INTERNAL, Step.HEAD)
_OTHER_PATH: Final = Deny(
    Reason.TARGET_MALFORMED, Step.UPGRADE, note="the application would see another path than the one that is judged"
)
_SELECTS: Final = (b"sec-websocket-protocol", b"sec-websocket-extensions", b"sec-websocket-accept")


def wire_of(scope: Scope) -> Wire:
    """What the server says of the peer; one that is no address is nobody whom we know."""
    try:
        return wire_of_scope(scope)
    except ValueError:
        return Wire(address=None, rewritten=True)


class Entrance:
    """Fulfils ports.Connector for one handshake; its backend is `app`."""

    def __init__(self, app: Application, parts: MiddlewareParts, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._parts = parts
        self._scope = scope
        self._server_receive = receive
        self._server_send = sender(scope, send)
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[Message] | None = None  # what the application says first
        self._heard: asyncio.Future[None] | None = None  # that it may go on after it
        self._shut = False
        self._receive: Receive = self._greet
        self._send: Send = self._say_first

    async def serve(self) -> None:
        """Returns when the connection is over. Raises what the application raised."""
        parts, scope = self._parts, self._scope
        if (await self._server_receive())["type"] != "websocket.connect":
            return  # gone before anybody looked
        wire, handshake = self._read(scope)
        # servers log the target of what they serve, and take it from this very scope (SECURITY LOG-04)
        scope["query_string"] = b"" if isinstance(handshake, Deny) else clean_query(handshake.query).encode("latin-1")
        if isinstance(handshake, Deny):
            parts.door.refuse(wire, handshake)
            await self._refuse(handshake, None)
            return
        if not same_path(scope, handshake):
            parts.door.refuse(wire, _OTHER_PATH, handshake)
            await self._refuse(_OTHER_PATH, handshake)
            return
        try:
            answer = await parts.door.admit(handshake, wire, self)
            if isinstance(answer, Deny):
                await self._refused(answer, handshake)
            else:
                await self._admitted(answer)
        finally:
            await self._end_application()

    def _read(self, scope: Scope) -> tuple[Wire, Handshake | Deny]:
        try:
            return wire_of(scope), handshake_of_scope(scope)
        except Exception as error:  # noqa: BLE001 - a scope against ASGI, or a bug of ours: audited, and a refusal
            self._parts.wrong("scope", error)
            return Wire(address=None, rewritten=True), _INTERNAL

    # ---- step 12: the application -----------------------------------------------------------------------------------

    async def open(self, question: OpenBackend) -> BackendAnswer | BackendFailed:
        loop = asyncio.get_running_loop()
        self._connection = Connection(question)
        self._first, self._heard = loop.create_future(), loop.create_future()
        scope = application_scope(self._scope, question, self._connection)
        self._task = loop.create_task(self._app(scope, self.receive, self.send))  # type: ignore[arg-type]
        either: set[asyncio.Future[Any]] = {self._task, self._first}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._first.done():
            return BackendFailed(Reason.APP_FAILED, _why(self._task))
        match self._first.result():
            case {"type": "websocket.accept", **more}:
                return BackendAnswer(protocol=more.get("subprotocol"))
            case {"type": "websocket.http.response.start", **more}:
                return BackendFailed(Reason.APP_REFUSED, f"status {more.get('status')}")
            case {"type": "websocket.close"}:
                return BackendFailed(Reason.APP_REFUSED, "closed")
            case message:
                return BackendFailed(Reason.APP_FAILED, f"sent {message['type']} before accepting")

    def receive(self) -> Awaitable[Message]:
        """The application's. No frame of its own: this is the path of every message."""
        return self._receive()

    def send(self, message: Message) -> Awaitable[None]:
        return self._send(message)

    async def _greet(self) -> Message:
        self._receive = self._wait_for_verdict
        return {"type": "websocket.connect"}

    async def _wait_for_verdict(self) -> Message:
        """An application that reads before it has answered waits for its own answer's verdict."""
        if self._heard is not None:
            await asyncio.shield(self._heard)
        return await self._receive()

    async def _say_first(self, message: Message) -> None:
        if self._first is None or self._heard is None or self._first.done():
            raise RuntimeError(f"{message['type']} while the first answer is under way")
        self._first.set_result(message)
        await asyncio.shield(self._heard)
        if self._shut:
            raise ConnectionClosedError("the handshake was refused")

    # ---- the decision -----------------------------------------------------------------------------------------------

    async def _refused(self, deny: Deny, handshake: Handshake) -> None:
        """Refused by us, or by the application itself, whose own words then pass."""
        if deny.reason is Reason.APP_REFUSED and self._first is not None:
            self._receive, self._send = self._server_receive, self._server_send
            with suppress(OSError):
                await self._server_send(self._first.result())
            self._go_on()
            await self._outcome()
            return
        self._shut_out()
        await self._refuse(deny, handshake)
        if deny.reason is Reason.APP_FAILED:
            self._go_on()
            await self._outcome()

    def _shut_out(self) -> None:
        self._shut = True
        self._receive, self._send = self._gone, self._refused_late

    async def _gone(self) -> Message:
        return {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async def _refused_late(self, message: Message) -> None:
        raise ConnectionClosedError("the handshake was refused")

    async def _refuse(self, deny: Deny, handshake: Handshake | None) -> None:
        """With the gateway's page where the server can carry one; without, the server answers 403."""
        route = None if handshake is None else self._parts.route_of(handshake.path)
        shut = None if handshake is None else refusal_close(deny, handshake, route)
        with suppress(OSError):  # the peer may be gone
            if shut is not None:
                await self._server_send({"type": "websocket.accept", "subprotocol": shut.protocol, "headers": []})
                await self._server_send({"type": "websocket.close", "code": shut.code, "reason": shut.text})
            elif RESPONSE in (self._scope.get("extensions") or {}):
                await refuse_with_page(self._server_send, deny, kind="websocket.http")
                await settled()
            else:
                await self._server_send({"type": "websocket.close", "code": 1008, "reason": ""})

    async def _admitted(self, live: Live) -> None:
        first, connection = self._first, self._connection
        if first is None or connection is None:
            live.abandon()
            raise RuntimeError("allowed without having asked the application")
        accept = {
            "type": "websocket.accept",
            "subprotocol": live.admission.protocol,
            "headers": [(name, value) for name, value in first.result().get("headers") or () if is_free(name)],
        }
        try:
            await self._server_send(accept)
        except OSError:
            live.abandon()
            self._shut_out()
            self._go_on()
            return
        except BaseException:
            live.abandon()
            raise
        connection.join(live)
        socket = Socket(live, receive=self._server_receive, send=self._server_send, clock=self._parts.clock)
        self._receive, self._send = socket.receive, socket.send
        try:
            live.attach(socket)
            await socket.begin()
            self._go_on()
            await self._live(socket)
        finally:
            await socket.finish()

    async def _live(self, socket: Socket) -> None:
        """Until the application has ended; where we have closed, not much longer than it needs."""
        task = self._task
        if task is None:
            return
        over = asyncio.ensure_future(socket.over.wait())
        try:
            await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=END_WITHIN if socket.closed_by_us else None)
            if not task.done():
                return
        if task.cancelled():
            socket.broken("cancelled")
        elif (error := task.exception()) is None:
            await socket.returned()
        elif not (socket.over.is_set() and _is_closed(error)):
            socket.broken(type(error).__name__)
            raise error

    def _go_on(self) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)

    async def _outcome(self) -> None:
        """The server's log shows what the application raised."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=END_WITHIN)
            error = self._task.exception() if self._task.done() and not self._task.cancelled() else None
            if error is not None and not _is_closed(error):
                raise error

    async def _end_application(self) -> None:
        """Whatever became of the handshake: no task of the application's outlives it."""
        task = self._task
        if task is None:
            return
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=END_WITHIN)
        if task.done() and not task.cancelled():
            task.exception()  # looked at: it was raised already, or came of the end


async def settled() -> None:
    """Let the server's transport close first: uvicorn logs an error for every callable that returns before."""
    for _ in range(CLOSES_WITHIN):
        await asyncio.sleep(0)


def is_free(name: bytes) -> bool:
    """May the application set this header of the 101? What is negotiated is not its to write twice."""
    return name.lower() not in _SELECTS


def _is_closed(error: BaseException) -> bool:
    """Is it only that the connection is closed? Task groups wrap it."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_closed, error.exceptions))
    return isinstance(error, ConnectionClosedError)


def _why(task: "asyncio.Task[None]") -> str:
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return "returned without an answer" if error is None else type(error).__name__


async def refuse_with_page(send: Send, deny: Deny, *, kind: str) -> None:
    """`kind`: "http", or "websocket.http" where the server has that extension."""
    page = refusal_page(deny)
    headers = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in page.headers]
    await send({"type": f"{kind}.response.start", "status": page.status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": page.body, "more_body": False})
