"""What the peer presents, and where it stood."""

from dataclasses import dataclass
from enum import StrEnum, unique

from doorward.values.secret import Secret


@unique
class Kind(StrEnum):
    """Token, ticket and password are explicit; session and certificate are ambient: a browser attaches them itself."""

    TOKEN = "token"  # noqa: S105
    TICKET = "ticket"
    SESSION = "session"
    PASSWORD = "password"  # noqa: S105
    CERTIFICATE = "certificate"


AMBIENT = frozenset({Kind.SESSION, Kind.CERTIFICATE})


@unique
class Place(StrEnum):
    """Where a credential may stand (PRODUCT section 6)."""

    HEADER = "header"
    SUBPROTOCOL = "subprotocol"
    QUERY = "query"
    COOKIE = "cookie"
    MESSAGE = "message"
    TLS = "tls"
    BODY = "body"  # our own HTTP endpoints only


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential, not yet judged."""

    kind: Kind
    place: Place
    secret: Secret
