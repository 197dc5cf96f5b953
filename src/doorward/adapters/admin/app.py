"""The admin listener: metrics and health for all, and the API for who shows an admin token.

It is on loopback by default. A page in somebody's browser can reach loopback too, by a name that it makes resolve there
(DNS rebinding): so a Host that is a name must be one of ours (ADM-01, ADM-08). Health alone answers whatever the Host.
"""

import re
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from doorward.adapters.admin.answers import JSON, not_allowed, plain, problem
from doorward.adapters.admin.reading import PeerLeft

METRICS: Final = "/metrics"
ALIVE: Final = "/healthz"
READY: Final = "/readyz"
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"  # the Prometheus text format
LOCAL: Final = frozenset({"localhost"})
_HOST: Final = re.compile(r"(?P<host>[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_READS: Final = ("GET", "HEAD")

Rest = Callable[[Scope, Receive], Awaitable[Response | None]]
"""Everything else that there is: the API. None where nothing is at a path."""


class Readiness(Protocol):
    async def ready(self) -> bool:
        """Would a handshake be taken now? Never raises."""


class AdminApp:
    """An ASGI application. `metrics` gives the scrape; `hosts` are names that may be used beside addresses and
    localhost; `fault` is told of our own exceptions (service.events.Events.fault)."""

    def __init__(
        self,
        *,
        metrics: Callable[[], bytes],
        readiness: Readiness,
        fault: Callable[[str, BaseException], None],
        rest: Rest | None = None,
        hosts: frozenset[str] = LOCAL,
    ) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._fault = fault
        self._rest = rest
        self._hosts = hosts | LOCAL

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 4403, "reason": ""})
            return
        try:
            answer = await self._answer(scope, receive)
        except PeerLeft:
            return
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and 500 without a text
            self._fault("admin", error)
            answer = problem(500)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path = scope["path"]
        if path not in {ALIVE, READY} and not self._is_for_us(scope):
            return problem(421)
        if path in {METRICS, ALIVE, READY}:
            return await self._open(path, scope["method"])
        answer = None if self._rest is None else await self._rest(scope, receive)
        return problem(404) if answer is None else answer

    async def _open(self, path: str, method: str) -> Response:
        """What needs no token: numbers without names, and ok or not."""
        if method not in _READS:
            return not_allowed(_READS)
        if path == METRICS:
            return plain(200, self._metrics(), media_type=TEXT)
        if path == READY and not await self._readiness.ready():
            return problem(503)
        return plain(200, b'{"status":"ok"}', media_type=JSON)

    def _is_for_us(self, scope: Scope) -> bool:
        """One Host, and an address or a name of ours in it. HTTP/1.0 may go without."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
        if not hosts:
            return bool(scope["http_version"] == "1.0")
        found = _HOST.fullmatch(hosts[0])
        if found is None or len(hosts) > 1:
            return False
        host = found["host"].lower()
        return host in self._hosts or _is_address(host.strip("[]"))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
