"""What an adapter needs after Allow."""

from dataclasses import dataclass

from doorward.values.credential import Kind, Place
from doorward.values.lease import Lease
from doorward.values.peer import Peer
from doorward.values.principal import Principal
from doorward.values.rules import Route


@dataclass(frozen=True, slots=True)
class BackendAnswer:
    """The backend's own 101: `protocol` is its choice among the client's public offers, `deflate` its extensions."""

    protocol: str | None
    deflate: str | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """One allowed handshake. `protocol` is what the 101 selects; `deflate` what it says of extensions.

    `controls`: control messages are on. `renewable`: the connection can renew (controls, or opened by a ticket).
    """

    connection: str
    principal: Principal
    lease: Lease
    route: Route
    path: str
    parameters: tuple[tuple[str, str], ...]
    peer: Peer
    origin: str | None
    kind: Kind
    place: Place
    controls: bool
    renewable: bool
    protocol: str | None = None
    deflate: str | None = None
