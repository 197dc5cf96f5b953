"""What the middleware's hands need of a running assembly, and nothing else: config/middleware.py fulfils it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from doorward.ports import Clock
from doorward.service.admit import Door
from doorward.values.rules import Route

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""


class CannotStartError(Exception):
    """The parts can't be built or started. The text is one line for the operator."""


class MiddlewareParts(Protocol):
    """One process's assembly. It is built and started in the process and on the loop that serve."""

    @property
    def door(self) -> Door: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def application(self) -> Application:
        """Our own endpoints."""

    def is_ours(self, path: str) -> bool:
        """Is this (decoded) path one of our own endpoints? Then no route counts for it."""

    def route_of(self, path: str) -> Route | None:
        """The route of a decoded path: how a refusal there looks (`refuse_as`)."""

    def metrics(self) -> bytes:
        """This process's numbers in the Prometheus text format."""

    def wrong(self, where: str, error: BaseException) -> None:
        """Our own bug: audited as `internal`, with no value in it."""

    async def start(self) -> None:
        """Open the stores, catch up, begin to tick. Raises CannotStartError."""

    async def drain(self) -> None:
        """New handshakes get 503, live connections 1012 spread over drain_timeout. Returns when none is left, or
        drain_timeout is over."""

    async def stop(self) -> None:
        """After the last connection: leave presence, flush the audit, close the stores."""

    async def reload(self) -> bool:
        """The whole configuration or nothing; says itself what was wrong. True: it counts now."""
