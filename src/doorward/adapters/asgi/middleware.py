"""The middleware: every WebSocket goes through the door, our own endpoints are answered, the rest is untouched."""

from collections.abc import Callable
from typing import Final

from doorward.adapters.asgi.entrance import RESPONSE, Entrance, refuse_with_page
from doorward.adapters.asgi.life import Life
from doorward.adapters.asgi.parts import Application, MiddlewareParts, Receive, Scope, Send
from doorward.values.decision import Deny, Reason, Step

_NOT_STARTED: Final = Deny(Reason.STORE_UNAVAILABLE, Step.HEAD, retry_after=5.0)
_METRICS: Final = b"text/plain; version=0.0.4; charset=utf-8"


class Middleware:
    """An ASGI 3 application around `app`. `build` makes the parts in the process that serves; `is_ours` tells before
    that which paths are our own endpoints'. `note` gets a line for the operator."""

    def __init__(
        self,
        app: Application,
        *,
        build: Callable[[], MiddlewareParts],
        is_ours: Callable[[str], bool],
        note: Callable[[str], None],
    ) -> None:
        self.app = app
        self._is_ours = is_ours
        self._life = Life(build, note)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._life.lifespan(self.app, scope, receive, send)
            case "http" if not self._answers(scope["path"]):
                await self.app(scope, receive, send)
            case "http":
                parts = await self._life.running()
                if parts is None:
                    await refuse_with_page(send, _NOT_STARTED, kind="http")
                else:
                    await parts.application(scope, receive, send)
            case "websocket":
                await self._enter(scope, receive, send)
            case kind:
                # whatever it is, nobody has judged it
                raise ValueError(f"Doorward does not know what to do with a scope of type {kind!r}")

    def _answers(self, path: str) -> bool:
        parts = self._life.parts
        return self._is_ours(path) if parts is None else parts.is_ours(path)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = await self._life.running()
        if parts is None:
            if RESPONSE in (scope.get("extensions") or {}):
                await refuse_with_page(send, _NOT_STARTED, kind="websocket.http")
            else:
                await send({"type": "websocket.close", "code": 1013, "reason": ""})
        elif parts.is_ours(scope["path"]):
            await parts.application(scope, receive, send)
        else:
            await Entrance(self.app, parts, scope, receive, send).serve()

    async def metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application for the operator alone: this process's numbers in the Prometheus text format.

        Mount it where strangers don't come, or behind what keeps them out: app.mount("/metrics", doorward.metrics).
        """
        parts = self._life.parts
        if scope["type"] != "http":
            raise ValueError("metrics are asked for over HTTP")
        if parts is None:
            await refuse_with_page(send, _NOT_STARTED, kind="http")
            return
        headers = [(b"content-type", _METRICS), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": parts.metrics(), "more_body": False})

    async def reload(self) -> bool:
        """Read the configuration again: all of it counts from now on, or nothing of it. False says why in the log."""
        parts = await self._life.running()
        return parts is not None and await parts.reload()
