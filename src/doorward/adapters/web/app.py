"""Doorward's own HTTP endpoints, as one ASGI application that the gateway's front or a middleware mounts.

A request is attended first (host, transport, address, origin), then its path and method are looked up, then its body
is read, and what it asks is the service's to decide. Starlette serves the answers; its router is not used, since every
path, method and text here is ours to state.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from doorward.adapters.web import cors, endpoints
from doorward.adapters.web.answers import HSTS, KEYS, json_answer, problem, respond
from doorward.adapters.web.body import PeerLeft
from doorward.adapters.web.desk import Desk, Doorstep, Fault, Jwks, Readiness
from doorward.adapters.web.pages import Page
from doorward.adapters.web.verify import unverified, verify
from doorward.core.scopes import handshake_of_scope, wire_of_scope
from doorward.core.verifying import is_verify
from doorward.service.issue import Attended
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.rules import Rules

JWKS: Final = "/.well-known/jwks.json"
ALIVE: Final = "/healthz"
READY: Final = "/readyz"
_RESPONSE: Final = "websocket.http.response"  # the ASGI extension: an upgrade may be answered as HTTP
_A_SOCKET: Final = Deny(Reason.METHOD, Step.UPGRADE, note="an upgrade, which this server can't answer as HTTP")
_READS: Final = ("GET", "HEAD")
_NO_PAGES: Final[Mapping[str, Page]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request that was let in."""

    handshake: Handshake
    wire: Wire
    attended: Attended


class WebApp:
    """Endpoints under `rules().prefix`, public keys, health, and `pages` (path -> Page), on any ASGI server.

    `rules` gives those in force, so that a reload counts at once. `fault` is told of our own exceptions
    (service.events.Events.fault). `wire_of` says what the transport knows, and `handshake_of` what was asked; the
    gateway's front knows both best.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        door: Doorstep,
        rules: Callable[[], Rules],
        readiness: Readiness,
        jwks: Jwks,
        fault: Fault,
        wire_of: Callable[[Scope], Wire] = wire_of_scope,
        handshake_of: Callable[[Scope], Handshake | Deny] = handshake_of_scope,
        pages: Mapping[str, Page] = _NO_PAGES,
    ) -> None:
        self._desk = desk
        self._door = door
        self._rules = rules
        self._readiness = readiness
        self._jwks = jwks
        self._fault = fault
        self._wire_of = wire_of
        self._handshake_of = handshake_of
        self._pages = pages

    def is_ours(self, path: str) -> bool:
        """Does this path, decoded once, belong to us and not to a route? Then it is HTTP whatever Upgrade says.

        With an empty prefix nothing is ours but the pages: the endpoints are off.
        """
        if path in self._pages:
            return True
        prefix = self._rules().prefix
        return prefix != "" and (path in {JWKS, ALIVE, READY} or self._under(prefix, path))

    @staticmethod
    def _under(prefix: str, path: str) -> bool:
        return path == prefix or path.startswith(prefix + "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" and _RESPONSE not in (scope.get("extensions") or {}):
            # a server that made a socket of it: closed before it is accepted, which servers answer with 403
            self._turn_away(scope)
            await send({"type": "websocket.close", "code": 4403, "reason": ""})
            return
        try:
            answer = await self._answer(scope, receive)
        except PeerLeft:
            return
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and 500 without a text
            self._fault("http", error)
            broken = unverified if is_verify(scope["path"], self._rules().prefix) else problem
            answer = self._dress(broken(Deny(Reason.INTERNAL, Step.HEAD)), secure=scope.get("scheme") == "https")
        await answer(scope, receive, send)

    def _turn_away(self, scope: Scope) -> None:
        """Record, and charge for, what can't be answered: a stranger's requests are no cheaper under such a server."""
        try:
            wire, asked = self._wire_of(scope), self._handshake_of(scope)
        except Exception as error:  # noqa: BLE001 - a scope against ASGI, or a bug of ours
            self._fault("http", error)
            return
        handshake, deny = (None, asked) if isinstance(asked, Deny) else (asked, _A_SOCKET)
        if is_verify(scope["path"], self._rules().prefix):
            self._door.refuse(wire, deny, handshake, verified=True)
        else:
            self._desk.refuse(deny, wire=wire, handshake=handshake)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        wire = self._wire_of(scope)
        if scope["path"] in {ALIVE, READY} and self.is_ours(scope["path"]):
            return self._dress(await self._health(scope["path"], scope.get("method", "GET")), secure=wire.tls)
        handshake = self._handshake_of(scope)
        if is_verify(scope["path"], self._rules().prefix):
            return await verify(self._door, handshake, wire)
        if isinstance(handshake, Deny):
            self._desk.refuse(handshake, wire=wire)
            return self._dress(problem(handshake), secure=wire.tls)
        writes = handshake.method not in {*_READS, "OPTIONS"}
        attended = await self._desk.attend(handshake, wire, writes=writes)
        if isinstance(attended, Deny):
            return self._dress(problem(attended), secure=wire.tls, handshake=handshake)
        answer = await self._serve(_Exchange(handshake, wire, attended), receive)
        return self._dress(answer, secure=wire.tls or _came_by_tls(attended), handshake=handshake)

    async def _health(self, path: str, method: str) -> Response:
        """For probes of any Host and of HTTP/1.0 (HAProxy's httpchk). Says ok or not, and nothing else (ADM-08)."""
        if method not in _READS:
            return problem(Deny(Reason.METHOD, Step.UPGRADE), allow=", ".join(_READS))
        if path == READY and not await self._readiness.ready():
            return problem(Deny(Reason.STORE_UNAVAILABLE, Step.HEAD))
        return json_answer(200, {"status": "ok"})

    async def _serve(self, exchange: _Exchange, receive: Receive) -> Response:
        path, method = exchange.handshake.path, exchange.handshake.method
        page = self._pages.get(path)
        if page is not None or (path == JWKS and self.is_ours(path)):
            if method not in _READS:
                return self._refuse(exchange, Reason.METHOD, allow=", ".join(_READS))
            if page is not None:
                return respond(200, page.body, media_type=page.media_type, csp=page.csp)
            return json_answer(200, self._jwks(), media_type=KEYS)
        endpoint = self._endpoint(path)
        if endpoint is None:
            return self._refuse(exchange, Reason.ROUTE_UNKNOWN)
        match method:
            case "POST":
                found = await endpoint(self._desk, exchange.attended, exchange.handshake, receive)
            case "OPTIONS":
                found = cors.preflight(exchange.handshake, self._rules().origins)
            case _:
                found = Deny(Reason.METHOD, Step.UPGRADE)
        return self._refused(exchange, found, allow="POST, OPTIONS") if isinstance(found, Deny) else found

    def _endpoint(self, path: str) -> endpoints.Endpoint | None:
        prefix = self._rules().prefix
        if prefix == "" or not self._under(prefix, path):
            return None
        return endpoints.ENDPOINTS.get(path.removeprefix(prefix))

    def _refuse(self, exchange: _Exchange, reason: Reason, *, allow: str = "") -> Response:
        step = Step.ROUTE if reason is Reason.ROUTE_UNKNOWN else Step.UPGRADE
        return self._refused(exchange, Deny(reason, step), allow=allow)

    def _refused(self, exchange: _Exchange, deny: Deny, *, allow: str = "") -> Response:
        self._desk.refuse(deny, wire=exchange.wire, handshake=exchange.handshake, attended=exchange.attended)
        return problem(deny, allow=allow)

    def _dress(self, answer: Response, *, secure: bool, handshake: Handshake | None = None) -> Response:
        """What depends on the request: who may read the answer, and whether it came by TLS (RFC 6797 section 7.2)."""
        rules = self._rules()
        if secure:
            answer.headers["strict-transport-security"] = HSTS
        if handshake is not None and rules.prefix and self._under(rules.prefix, handshake.path):
            cors.share(answer, handshake, rules.origins)
        return answer


def _came_by_tls(attended: Attended) -> bool:
    """Step 3 lets an address that is not loopback in over TLS only: ours, or a trusted proxy's."""
    address = attended.peer.address
    return attended.peer.secure and address is not None and not address.is_loopback
