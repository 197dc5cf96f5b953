"""The hands of one live connection between an ASGI server and the application: whole messages, judged one by one.

It decides nothing: Live has the deadlines and the reasons. After the decision to close, no message reaches either side
any more. The server's `receive` is awaited by one task of ours, and never cancelled while the connection lives, so no
message is lost when the application gives up waiting; what it has not asked for yet is held, 64 KiB and one message at
most (FRM-16). The server's `send` is called by one at a time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Final

from doorward.adapters.asgi.parts import Message, Receive, Send
from doorward.adapters.asgi.rules import client_rules
from doorward.core.control import is_meant
from doorward.core.frame_messages import Fate
from doorward.core.message_judge import Judged, WholeMessages
from doorward.ports import Clock, Traffic
from doorward.service.live import Live
from doorward.values.decision import Reason
from doorward.values.message import ControlMessage, Dropped, Gate, JsonPing, Refused, Violation
from doorward.values.rules import Route

MOST_HELD: Final = 65536
EACH_HELD: Final = 256
"""Bytes that a held message takes besides its payload: an empty one is no less to keep."""
FAREWELL_WITHIN: Final = 6.0
"""Seconds for what is still on its way to the server. Live gives up waiting for a Close a little earlier."""
HEARS_WITHIN: Final = 10  # turns of the loop, in which a framework's listener hears of the end and acts on it
NO_STATUS: Final = 1005
ABNORMAL: Final = 1006


class ConnectionClosedError(OSError):
    """The connection is closed: what ASGI says that `send` raises then."""


class Socket:
    """Fulfils ports.Hands. `receive` and `send` are the application's, from the accept on.

    `over` is set as soon as the connection has ended, whoever ended it; `closed_by_us` that the end was our decision.
    """

    __slots__ = (
        "_closed_by_application",
        "_controls",
        "_farewell",
        "_held",
        "_held_size",
        "_judge",
        "_last",
        "_live",
        "_lock",
        "_loop",
        "_now",
        "_out",
        "_out_size",
        "_pump",
        "_receive",
        "_room",
        "_said",
        "_send",
        "_since",
        "_tasks",
        "_told",
        "_waiter",
        "closed_by_us",
        "over",
    )

    def __init__(self, live: Live, *, receive: Receive, send: Send, clock: Clock) -> None:
        route = live.route
        self._live: Live | None = live
        self._receive = receive
        self._send = send
        self._now: Callable[[], float] = clock.now
        self._controls = live.admission.controls
        self._judge = WholeMessages(
            client_rules(route.limits, controls=self._controls, json_ping=route.answer_json_ping)
        )
        self._held: deque[Message] = deque()
        self._held_size = 0
        self._room: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[Message] | None = None
        self._loop = asyncio.get_running_loop()
        self._said: Message | None = None  # the websocket.disconnect that the application gets, once it is over
        self._farewell: tuple[int, str] | None = None
        self._lock = asyncio.Lock()
        self._since: float | None = None  # a send to the server is under way
        self._told: deque[str] = deque()
        self._out = 0
        self._out_size = 0
        self._last = 0.0
        self._pump: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed_by_application = False
        self.closed_by_us = False
        self.over = asyncio.Event()

    async def begin(self) -> None:
        """The accept is sent: read from now on, and say what there is to say before the application can."""
        self._pump = asyncio.create_task(self._read())
        await self._tell()

    async def finish(self) -> None:
        """The application has ended, or has been ended: say goodbye where that is owed, and leave nothing behind."""
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=FAREWELL_WITHIN)
        finally:
            live, self._live = self._live, None
            if live is not None:
                live.peer_gone()
            for task in (self._pump, *self._tasks):
                if task is not None:
                    task.cancel()

    # ---- the application's ------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        if self._held:
            return self._take()
        if self._said is not None:
            return self._said
        if self._waiter is not None:
            raise RuntimeError("receive is being awaited already")
        waiter: asyncio.Future[Message] = self._loop.create_future()
        self._waiter = waiter
        try:
            message = await waiter
        except asyncio.CancelledError:
            # who gave up at this very moment has not got it
            if waiter.done() and not waiter.cancelled() and not self.closed_by_us:
                self._held.appendleft(waiter.result())
                self._held_size += _size(waiter.result()) + EACH_HELD
            raise
        finally:
            self._waiter = None
        return self._still(message)

    def _still(self, message: Message) -> Message:
        """What was handed over, unless we have closed before it was taken."""
        return message if self._said is None or not self.closed_by_us else self._said

    def _take(self) -> Message:
        message = self._held.popleft()
        self._held_size -= _size(message) + EACH_HELD
        if self._room is not None and self._held_size <= MOST_HELD:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None
        return message

    async def send(self, message: Message) -> None:
        """Raises ConnectionClosedError when it is over, RuntimeError for what ASGI does not allow now."""
        kind = message["type"]
        if self._said is not None:
            raise await self._too_late()
        if kind == "websocket.send":
            text = message.get("text")
            if self._controls and text is not None and is_meant(text):
                if self._live is not None:
                    self._live.dropped("from the application")
                return
            await self._lock.acquire()
            try:
                if self._said is not None:
                    raise await self._too_late()
                now = self._since = self._now()
                await self._send(message)
            finally:
                self._since = None
                self._lock.release()
            self._out += 1
            self._out_size += _size(message)
            self._last = now
        elif kind == "websocket.close":
            await self._close_by_application(message)
        else:
            self.broken(f"sent {kind} after its accept")
            raise RuntimeError(f"{kind} after websocket.accept")

    async def _too_late(self) -> Exception:
        """Who listens hears of the end first: then Quart cancels its sender, and would log what that one raised."""
        if self._closed_by_application:
            return RuntimeError("sent after websocket.close")
        for _ in range(HEARS_WITHIN):
            await asyncio.sleep(0)
        return ConnectionClosedError("the connection is closed")

    async def _close_by_application(self, message: Message) -> None:
        """Its own close passes, with its code and its words, and nothing after it."""
        code = message.get("code") or 1000
        live, self._live = self._live, None
        self._closed_by_application = True
        if live is not None:
            live.backend_closed(code, message.get("reason") or "")
        self._end({"type": "websocket.disconnect", "code": code, "reason": ""})
        try:
            # Quart reads in one task and closes in another, which it cancels as soon as the first hears of the end
            await asyncio.shield(self._run(partial(self._part, message)))
        finally:
            if live is not None:
                live.peer_gone()

    async def returned(self) -> None:
        """The application has ended without a close: 1000, for it had nothing more to say."""
        if self._said is None:
            await self._close_by_application({"type": "websocket.close", "code": 1000})

    def broken(self, note: str) -> None:
        """The application raised, or broke the rules: 1011."""
        if self._live is not None:
            self._live.backend_fault(note, Reason.APP_FAILED)

    # ---- what comes from the server ---------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while self._said is None:
                message = await self._receive()
                if message["type"] != "websocket.receive":
                    self._left(message)
                    return
                self._came(message)
                if self._held_size > MOST_HELD:
                    self._room = self._loop.create_future()
                    await self._room
        except Exception as error:  # noqa: BLE001 - the server's fault, or ours: it ends this connection alone
            self._wrong(error)

    def _wrong(self, error: Exception) -> None:
        if self._live is not None:
            self._live.wrong(error)

    def _came(self, message: Message) -> None:
        text = message.get("text")
        now = self._now()
        found = self._judge.judge(text, b"" if text is not None else message.get("bytes") or b"", now)
        if found is Fate.PASS:
            self._last = now
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(message)
            else:
                self._held.append(message)
                self._held_size += _size(message) + EACH_HELD
        elif self._live is not None:
            _report(self._live, found)

    def _left(self, message: Message) -> None:
        """The peer is gone, with a Close or without; the server has dealt with it."""
        code = message.get("code")
        live, self._live = self._live, None
        if live is not None:
            if code is not None and code != ABNORMAL:
                live.peer_closed(None if code == NO_STATUS else code, message.get("reason") or "")
            live.peer_gone()
        self._end({"type": "websocket.disconnect", "code": NO_STATUS if code is None else code, "reason": ""})

    # ---- Hands ------------------------------------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        if self._said is None:
            self._told.append(text)
            if len(self._told) == 1:
                self._run(self._tell)

    async def _tell(self) -> None:
        async with self._lock:
            while self._told and self._said is None:
                self._since = self._now()
                try:
                    await self._send({"type": "websocket.send", "text": self._told[0]})
                except OSError:
                    self._told.clear()  # the peer is gone: `_read` is told so as well
                    return
                except Exception as error:  # noqa: BLE001 - the server's own
                    self._told.clear()
                    self._wrong(error)
                    return
                finally:
                    self._since = None
                if self._told:
                    self._told.popleft()

    def ping(self) -> bool:
        return False

    def gate(self, gate: Gate) -> None:
        self._judge.gate = gate

    def hold_to(self, route: Route) -> None:
        self._judge.hold_to(client_rules(route.limits, controls=self._controls, json_ping=route.answer_json_ping))

    def close(self, code: int, text: str, *, at_once: bool) -> bool:
        """A server's queue can't be dropped: what it holds of the application's messages goes out before our Close."""
        if self._said is None:
            self.closed_by_us = True
            self._farewell = (code, text)
            self._held.clear()
            self._end({"type": "websocket.disconnect", "code": code, "reason": text})
            self._run(self._bid_farewell)
        return True

    async def _bid_farewell(self) -> None:
        if self._farewell is None:
            return
        code, text = self._farewell
        try:
            with suppress(OSError):  # it is gone already
                await self._part({"type": "websocket.close", "code": code, "reason": text})
        except Exception as error:  # noqa: BLE001 - the server's own: told, and there is no other way to close
            self._wrong(error)
        finally:
            live, self._live = self._live, None
            if live is not None:
                live.peer_gone()

    async def _part(self, message: Message) -> None:
        """The Close, after whatever is being sent. granian sends none while a receive is awaited, so we stop listening
        first: what the peer still says counts no more."""
        async with self._lock:
            if self._pump is not None:
                self._pump.cancel()
                await asyncio.wait({self._pump})
            await self._send(message)

    def cut(self) -> None:
        """No ASGI server can be told to cut: our callable ends, and the server closes what is still open."""
        self.closed_by_us = True
        self._live = None
        self._end({"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""})
        for task in self._tasks:
            task.cancel()

    def free(self) -> None:
        self._live = None

    def traffic(self) -> Traffic:
        judge = self._judge
        return Traffic(
            messages_in=judge.messages,
            messages_out=self._out,
            bytes_in=judge.payload_bytes,
            bytes_out=self._out_size,
            last_message=self._last,
        )

    def stalled_since(self) -> float | None:
        return self._since

    def message_since(self) -> float | None:
        return None

    # ---- the end ----------------------------------------------------------------------------------------------------

    def _end(self, said: Message) -> None:
        """Nothing passes any more; whoever waits is told."""
        if self._said is None:
            self._said = said
        self._judge.gate = Gate.DROP
        self.over.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(self._said)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _run(self, work: Callable[[], Coroutine[None, None, None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _size(message: Message) -> int:
    """Bytes of payload."""
    text = message.get("text")
    if text is None:
        return len(message.get("bytes") or b"")
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _report(live: Live, found: Judged) -> None:
    match found:
        case ControlMessage(payload):
            live.control(payload)
        case JsonPing():
            live.json_ping()
        case Refused(reason, retry_after):
            live.refused(reason, retry_after)
        case Violation(reason):
            live.peer_fault(reason)
        case Dropped() | Fate():
            pass
