"""What the gateway's hands need of a running assembly, and nothing else: config/assemble.py fulfils these Protocols.

Everything here is read anew for each connection, so what a reload has swapped counts from the next connection on.
"""

import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from doorward.ports import Clock, Connector, Entropy, Hands
from doorward.values.admission import Admission
from doorward.values.decision import Deny, Reason
from doorward.values.handshake import Handshake
from doorward.values.peer import Address, Wire
from doorward.values.principal import Principal
from doorward.values.rules import Route

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
"""An ASGI 3 application. Its scope["state"] holds "wire": Wire and "handshake": Handshake, as the front read them."""

Where = tuple[str, int]
"""An IP address without brackets, or "localhost", and a port; port 0 lets the system choose."""


@dataclass(frozen=True, slots=True)
class BackendPlace:
    """Where a route's backend is, and how it is spoken to.

    `tls` None is ws://; `server_name` is whom its certificate must name. `audience` is its origin; `assertion` makes
    X-Doorward-Assertion from (principal, connection id, audience), None where the route sends none. `connect_within`
    and `answer_within` are seconds, for TCP with TLS, and for the 101; admission's own end may come first.
    """

    host: str
    port: int
    audience: str
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    assertion: Callable[[Principal, str, str], str] | None = None
    connect_within: float = 5.0
    answer_within: float = 10.0


class Reports(Protocol):
    """What a relay tells its Live (service/live.py). None of these raises."""

    @property
    def admission(self) -> Admission: ...

    def attach(self, hands: Hands) -> None: ...

    def abandon(self) -> None: ...

    def control(self, payload: bytes) -> None: ...

    def json_ping(self) -> None: ...

    def refused(self, reason: Reason, retry_after: float) -> None: ...

    def dropped(self) -> None: ...

    def pong(self) -> None: ...

    def peer_fault(self, reason: Reason) -> None: ...

    def backend_fault(self, note: str) -> None: ...

    def peer_closed(self, code: int | None, reason: str) -> None: ...

    def backend_closed(self, code: int | None, reason: str) -> None: ...

    def peer_gone(self) -> None: ...

    def backend_gone(self) -> None: ...

    def watched(self) -> None: ...

    def wrong(self, error: BaseException) -> None: ...


class Doorstep(Protocol):
    """The door as the front sees it (service/admit.py)."""

    async def admit(self, handshake: Handshake, wire: Wire, connector: Connector) -> Reports | Deny: ...

    def refuse(self, wire: Wire, deny: Deny, handshake: Handshake | None = None, *, verified: bool = False) -> None: ...


class FrontParts(Protocol):
    """What one listener's front needs. Times in seconds."""

    @property
    def door(self) -> Doorstep: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def entropy(self) -> Entropy: ...

    @property
    def application(self) -> Application:
        """Our own endpoints on this listener."""

    def is_ours(self, path: str) -> bool:
        """Is this (decoded) path one of our own endpoints? Then it is HTTP whatever `Upgrade` says."""

    def is_verify(self, target: str) -> bool:
        """Does a proxy ask about its client's handshake there? A refusal is then 401 or 403, whatever its reason."""

    def route_of(self, path: str) -> Route | None:
        """The route of a decoded path: how a refusal there looks (`refuse_as`), and which 426 or 405 it may get."""

    def backend_of(self, route: Route) -> BackendPlace:
        """Where the route's backend is, as of now."""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """For the next connection to the gateway's listener; None: plain."""

    @property
    def proxy_protocol(self) -> bool:
        """`forwarded_header` is "proxy-protocol": from trusted peers it is then mandatory, from others a cut."""

    def is_trusted(self, address: Address | None) -> bool:
        """Is this TCP peer one of the trusted proxies?"""

    @property
    def handshake_timeout(self) -> float: ...

    @property
    def admission_timeout(self) -> float:
        """Also bounds one exchange with our own endpoints."""

    @property
    def max_connections(self) -> int:
        """Over it, new connections to this process get 503 at once."""

    def wrong(self, where: str, error: BaseException) -> None:
        """Our own bug: audited as `internal`, with no value in it."""


class GatewayParts(FrontParts, Protocol):
    """One process's assembly, for main. It is built before the loop runs, and started in it."""

    @property
    def admin_application(self) -> Application: ...

    @property
    def listen(self) -> Where: ...

    @property
    def admin_listen(self) -> Where:
        """Each of several workers listens here as well: any one answers for the node."""

    @property
    def drain_timeout(self) -> float: ...

    def note(self, line: str) -> None:
        """One line for the operator's log. Masks what it must."""

    async def start(self) -> None:
        """Open the stores, catch up, begin to tick. Raises for what makes a start impossible."""

    async def stop(self) -> None:
        """After the last connection: leave presence, flush the audit, close the stores."""

    async def reload(self) -> bool:
        """The whole file or nothing; says itself (by `note` and the audit) what was wrong. True: it counts now."""

    async def drain(self) -> None:
        """readyz says no, new handshakes get 503, live connections 1012 spread over drain_timeout. Returns when none is
        left, or drain_timeout is over."""


class StartError(Exception):
    """The assembly can't be built or started. The text is one line for the operator."""
