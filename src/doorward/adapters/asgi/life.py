"""The middleware's own life inside somebody's server: begun at lifespan.startup, or with the first request where there
is none; ended at lifespan.shutdown. What could not be started lets nobody in.
"""

import asyncio
import traceback
from collections.abc import Callable
from typing import Final

from doorward.adapters.asgi.parts import Application, CannotStartError, Message, MiddlewareParts, Receive, Scope, Send

AGAIN_AFTER: Final = 5.0
"""Seconds between a start that failed and the next attempt, where requests begin it."""


class Life:
    """`build` makes the parts, in the process that serves. `note` gets a line for the operator."""

    def __init__(self, build: Callable[[], MiddlewareParts], note: Callable[[str], None]) -> None:
        self._build = build
        self._note = note
        self._parts: MiddlewareParts | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None
        self._why = ""
        self._again_at = 0.0
        self._over = False

    @property
    def parts(self) -> MiddlewareParts | None:
        """Where they run."""
        return self._parts

    async def running(self) -> MiddlewareParts | None:
        """The parts, started now if nobody has; None where they can't be, or are stopped."""
        loop = asyncio.get_running_loop()
        if self._parts is not None and self._loop is loop:
            return self._parts
        if self._over:
            return None
        if self._loop is not loop:  # a loop that is gone took its parts along: tests do so
            self._parts, self._starting, self._loop, self._again_at = None, None, loop, 0.0
        if self._starting is None:
            if loop.time() < self._again_at:
                return None
            self._starting = loop.create_task(self._start())  # once, however many wait for it
        await asyncio.shield(self._starting)
        return self._parts

    async def _start(self) -> None:
        parts: MiddlewareParts | None = None
        try:
            parts = self._build()
            await parts.start()
        except Exception as error:  # noqa: BLE001 - told, and nobody is let in
            self._again_at = asyncio.get_running_loop().time() + AGAIN_AFTER
            self._why = str(error) if isinstance(error, CannotStartError) else type(error).__name__
            self._note(f"could not start: {self._why}")
            if not isinstance(error, CannotStartError):
                self._note("".join(traceback.format_exception(error)))
            if parts is not None:
                await parts.stop()
        else:
            self._parts = parts
        finally:
            self._starting = None

    async def stop(self) -> None:
        self._over = True
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.stop()

    async def lifespan(self, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Around the application's own: ours begins before it, and ends after it."""
        if (await receive())["type"] != "lifespan.startup":
            return
        self._over = False
        self._again_at = 0.0
        if await self.running() is None:
            await send({"type": "lifespan.startup.failed", "message": f"Doorward could not start: {self._why}"})
            return
        try:
            await _Inner(self, app, scope, receive, send).run()
        finally:
            await self.stop()


class _Inner:
    """The application's own lifespan, which it need not have."""

    def __init__(self, life: Life, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
        self._life = life
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._told_startup = False
        self._answered = False
        self._shutting_down = False
        self._shut_down = False

    async def run(self) -> None:
        try:
            await self._app(self._scope, self._hear, self._say)
        except Exception:
            if self._answered:
                if not self._shut_down:
                    await self._drain()
                raise
        if self._shut_down:
            return
        if not self._answered:  # it does not do lifespan (Django Channels raises): we answer for it
            await self._send({"type": "lifespan.startup.complete"})
        elif not self._life.parts:
            return
        if not self._shutting_down:
            await self._hear_end()
        await self._finish({"type": "lifespan.shutdown.complete"})

    async def _hear(self) -> Message:
        if not self._told_startup:
            self._told_startup = True
            return {"type": "lifespan.startup"}
        return await self._hear_end()

    async def _hear_end(self) -> Message:
        message = await self._receive()
        if message["type"] == "lifespan.shutdown":
            await self._drain()
        return message

    async def _drain(self) -> None:
        """Once, whoever ends it: nobody stays live whom we don't watch any more."""
        if self._shutting_down:
            return
        self._shutting_down = True
        parts = self._life.parts
        if parts is not None:
            await parts.drain()

    async def _say(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.failed":
            self._answered = self._shut_down = True
            await self._life.stop()
            await self._send(message)
        elif kind in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
            await self._finish(message)
        else:
            self._answered = True
            await self._send(message)

    async def _finish(self, message: Message) -> None:
        """Ours ends before the server is told, which may end the process then."""
        self._shut_down = True
        await self._drain()
        await self._life.stop()
        await self._send(message)
