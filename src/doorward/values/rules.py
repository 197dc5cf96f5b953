"""The rules that the core judges by: what the configuration means, with nothing left to parse."""

from dataclasses import dataclass, field
from enum import StrEnum, unique
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from doorward.values.credential import Kind, Place
from doorward.values.lease import LeaseTerms

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` per `period` seconds, of which `burst` may come at once."""

    count: int
    period: float
    burst: int


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A route's path. Each segment is (text, True) for a parameter's name or (text, False) for literal text.

    `rest` names the parameter that takes everything after the segments (None: the path ends there).
    """

    text: str
    segments: tuple[tuple[str, bool], ...]
    rest: str | None = None


@unique
class WithoutOrigin(StrEnum):
    REFUSE = "refuse"
    ALLOW = "allow"


@unique
class WhenFull(StrEnum):
    REFUSE = "refuse"
    REPLACE_OLDEST = "replace_oldest"


@unique
class ControlMessages(StrEnum):
    OFFERED = "offered"
    ALWAYS = "always"
    NEVER = "never"


@unique
class RefuseAs(StrEnum):
    STATUS = "status"
    CLOSE = "close"


@unique
class Compression(StrEnum):
    REFUSE = "refuse"
    PASS = "pass"  # noqa: S105 - a word of the configuration


@unique
class ForwardedHeader(StrEnum):
    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"
    PROXY_PROTOCOL = "proxy-protocol"


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Where an issuer keeps what we need; dots descend into objects. "" means that it has no such claim."""

    subject: str = "sub"
    roles: str = "roles"
    permissions: str = "scope"
    tenant: str = ""
    session: str = "sid"


@dataclass(frozen=True, slots=True)
class IssuerRules:
    """Whose tokens are accepted, and how. `own`: Doorward's own, with fractional iat and typ at+jwt required.

    `leeway` (nbf, iat), `skew` (revocations) and `max_life` (exp - iat) are seconds.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: frozenset[str]
    claims: ClaimNames = ClaimNames()
    skew: float = 2.0
    leeway: float = 30.0
    max_life: float = 86400.0
    own: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """A route's limits. Sizes in bytes; `connections_per_subject` also counts across the node's other routes."""

    message_size: int = 65536
    messages: Rate | None = Rate(count=10, period=1.0, burst=50)
    connections_per_subject: int = 10
    output_queue: int = 1048576
    refusals_before_close: int = 10


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Route:
    """A path pattern with everything that holds for it. `backend` is a URL template (None in the middleware)."""

    pattern: PathPattern
    backend: str | None
    backend_host: str | None = None
    credentials: frozenset[Kind] = frozenset({Kind.TOKEN, Kind.TICKET})
    places: frozenset[Place] = frozenset({Place.HEADER, Place.SUBPROTOCOL})
    permission: str | None = None
    without_origin: WithoutOrigin = WithoutOrigin.REFUSE
    require: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()
    refuse_as: RefuseAs = RefuseAs.STATUS
    control_messages: ControlMessages = ControlMessages.OFFERED
    answer_json_ping: bool = False
    assertion: bool = True
    compression: Compression = Compression.REFUSE
    lease: LeaseTerms = LeaseTerms()
    limits: Limits = Limits()

    @property
    def name(self) -> str:
        return self.pattern.text


@dataclass(frozen=True, slots=True)
class ClusterLimits:
    connections_per_subject: int = 10
    connections_per_address: int = 100
    when_full: WhenFull = WhenFull.REFUSE
    handshakes_per_address: Rate = Rate(count=600, period=60.0, burst=600)
    handshakes_per_subject: Rate = Rate(count=120, period=60.0, burst=120)
    refusals_per_address: Rate = Rate(count=60, period=60.0, burst=60)
    logins_per_address: Rate = Rate(count=20, period=60.0, burst=20)
    pending_per_address: int = 20


MAX_ORIGIN: Final = 512


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that admission needs to know, frozen; a reload makes a new one and swaps it whole.

    `hosts` are lower case names without port, IPv6 in brackets; `origins` exact serialised origins;
    `issuers` by their exact name, Doorward's own among them; `roles` maps a role to its permissions.
    `own_origin` is public_url's, for our own pages only.
    """

    hosts: frozenset[str]
    routes: tuple[Route, ...]
    origins: frozenset[str] = frozenset()
    own_origin: str = ""
    issuers: dict[str, IssuerRules] = field(default_factory=dict)
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    trusted_proxies: tuple[Network, ...] = ()
    forwarded_header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR
    limits: ClusterLimits = ClusterLimits()
    prefix: str = "/auth"
