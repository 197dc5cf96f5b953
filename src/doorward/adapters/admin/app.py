"""The admin listener: metrics and health, read-only, and nothing more until there are admin tokens.

It is on loopback by default. A page in somebody's browser can reach loopback too, by a name that it makes resolve there
(DNS rebinding): so a Host that is a name must be one of ours (ADM-01, ADM-08).
"""

import json
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

METRICS: Final = "/metrics"
ALIVE: Final = "/healthz"
READY: Final = "/readyz"
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"  # the Prometheus text format
LOCAL: Final = frozenset({"localhost"})
_HOST: Final = re.compile(r"(?P<host>[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "connection": "close",
}


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
        hosts: frozenset[str] = LOCAL,
    ) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._fault = fault
        self._hosts = hosts | LOCAL

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 4403, "reason": ""})
            return
        try:
            answer = await self._answer(scope)
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and 500 without a text
            self._fault("admin", error)
            answer = _problem(500, "Internal Server Error", reason="internal")
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        path = scope["path"]
        if path not in {METRICS, ALIVE, READY}:
            return _problem(404, "Not Found", reason="not_found")
        if scope["method"] not in {"GET", "HEAD"}:
            refused = _problem(405, "Method Not Allowed", reason="malformed")
            refused.headers["allow"] = "GET, HEAD"
            return refused
        if path == METRICS:
            if not self._is_for_us(scope):
                return _problem(421, "Misdirected Request", reason="malformed")
            return Response(self._metrics(), 200, headers={**_HEADERS, "content-type": TEXT})
        if path == READY and not await self._readiness.ready():
            refused = _problem(503, "Service Unavailable", reason="unavailable")
            refused.headers["retry-after"] = "5"
            return refused
        return _json(200, {"status": "ok"}, media_type="application/json")

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


def _json(status: int, members: dict[str, Any], *, media_type: str) -> Response:
    body = json.dumps(members, separators=(",", ":")).encode("ascii")
    return Response(body, status, headers=_HEADERS, media_type=media_type)


def _problem(status: int, title: str, *, reason: str) -> Response:
    members = {"type": "about:blank", "title": title, "status": status, "reason": reason}
    return _json(status, members, media_type="application/problem+json")
