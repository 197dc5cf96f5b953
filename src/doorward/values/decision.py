"""Every decision is a value with a reason; what could not be found out is never an allow."""

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum, unique
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from doorward.values.admission import Admission

T_co = TypeVar("T_co", covariant=True)


@unique
class Reason(StrEnum):
    """Why, in the fine grain that the audit and `explain` use. The peer sees only the Ending (core/endings.py)."""

    # step 1: the request head
    HEAD_TIMEOUT = "head_timeout"
    HEAD_TOO_LARGE = "head_too_large"
    TARGET_TOO_LONG = "target_too_long"
    HEAD_GRAMMAR = "head_grammar"
    # step 2: the upgrade
    HTTP_VERSION = "http_version"
    METHOD = "method"
    NOT_AN_UPGRADE = "not_an_upgrade"
    WEBSOCKET_VERSION = "websocket_version"
    HOST_MALFORMED = "host_malformed"
    HOST_FOREIGN = "host_foreign"
    TARGET_MALFORMED = "target_malformed"
    UPGRADE_MALFORMED = "upgrade_malformed"
    CONNECTION_MALFORMED = "connection_malformed"
    KEY_MALFORMED = "key_malformed"
    BODY_PRESENT = "body_present"
    HEADER_DUPLICATED = "header_duplicated"
    PROTOCOLS_MALFORMED = "protocols_malformed"
    # our own HTTP endpoints: the request's body
    BODY_MALFORMED = "body_malformed"
    BODY_TOO_LARGE = "body_too_large"
    MEDIA_TYPE = "media_type"
    # step 3: the transport
    TRANSPORT_INSECURE = "transport_insecure"
    FORWARDER_UNTRUSTED = "forwarder_untrusted"
    PROXY_PROTOCOL = "proxy_protocol"
    # step 4: the peer's address
    ADDRESS_BANNED = "address_banned"
    ADDRESS_RATE = "address_rate"
    ADDRESS_REFUSALS = "address_refusals"
    ADDRESS_PENDING = "address_pending"
    # step 5 and 6
    ROUTE_UNKNOWN = "route_unknown"
    ORIGIN_MISSING = "origin_missing"
    ORIGIN_NULL = "origin_null"
    ORIGIN_MALFORMED = "origin_malformed"
    ORIGIN_UNLISTED = "origin_unlisted"
    # step 7: reading the credential
    CREDENTIAL_MISSING = "credential_missing"
    CREDENTIAL_REPEATED = "credential_repeated"
    CREDENTIAL_MISPLACED = "credential_misplaced"
    CREDENTIAL_MALFORMED = "credential_malformed"
    TOKEN_IN_URL = "token_in_url"  # noqa: S105 - a reason, not a secret
    # step 8: judging it
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105
    TOKEN_HEADER = "token_header"  # noqa: S105
    TOKEN_ALGORITHM = "token_algorithm"  # noqa: S105
    TOKEN_ISSUER = "token_issuer"  # noqa: S105
    TOKEN_KEY = "token_key"  # noqa: S105
    TOKEN_SIGNATURE = "token_signature"  # noqa: S105
    TOKEN_TYPE = "token_type"  # noqa: S105
    TOKEN_CLAIMS = "token_claims"  # noqa: S105
    TOKEN_AUDIENCE = "token_audience"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_NOT_YET = "token_not_yet"  # noqa: S105
    TOKEN_TOO_LONG_LIVED = "token_too_long_lived"  # noqa: S105
    TICKET_UNKNOWN = "ticket_unknown"
    TICKET_SPENT = "ticket_spent"
    TICKET_EXPIRED = "ticket_expired"
    TICKET_ELSEWHERE = "ticket_elsewhere"
    SESSION_UNKNOWN = "session_unknown"
    SESSION_EXPIRED = "session_expired"
    REVOKED_BEFORE = "revoked_before"
    VERIFIER_UNAVAILABLE = "verifier_unavailable"
    STORE_UNAVAILABLE = "store_unavailable"
    # step 9 and 10
    CSRF = "csrf"
    IDENTITY_BANNED = "identity_banned"
    IDENTITY_RATE = "identity_rate"
    PERMISSION = "permission"
    CLAIM_REQUIRED = "claim_required"
    # step 11
    SLOTS_IDENTITY = "slots_identity"
    SLOTS_ADDRESS = "slots_address"
    OVERLOADED = "overloaded"
    # step 12 and 13
    BACKEND_UNREACHABLE = "backend_unreachable"
    BACKEND_REFUSED = "backend_refused"
    BACKEND_NONSENSE = "backend_nonsense"
    APP_REFUSED = "app_refused"  # the middleware's backend is the application itself
    APP_FAILED = "app_failed"
    BACKEND_TIMEOUT = "backend_timeout"
    ADMISSION_TIMEOUT = "admission_timeout"
    DRAINING = "draining"
    PEER_LEFT = "peer_left"  # it vanished before the decision: there is nobody to tell
    INTERNAL = "internal"
    CONNECTION_UNKNOWN = "connection_unknown"
    # on the live connection
    AUTHENTICATION_TIMEOUT = "authentication_timeout"
    EXPIRED = "expired"
    REVOKED = "revoked"
    IDENTITY_CHANGED = "identity_changed"
    RENEWAL_REFUSED = "renewal_refused"
    RENEWAL_PENDING = "renewal_pending"
    IDLE = "idle"
    LIFETIME = "lifetime"
    NO_PONG = "no_pong"
    REPLACED = "replaced"
    OPERATOR = "operator"
    VERIFIER_AWAY = "verifier_away"
    STORE_AWAY = "store_away"
    MESSAGE_RATE = "message_rate"
    CONTROL_RATE = "control_rate"
    MESSAGE_TOO_BIG = "message_too_big"
    FRAME_COUNT = "frame_count"
    MESSAGE_STALLED = "message_stalled"
    PROTOCOL_ERROR = "protocol_error"
    INVALID_TEXT = "invalid_text"
    CONTROL_FRAGMENTED = "control_fragmented"
    CONTROL_MALFORMED = "control_malformed"
    SLOW_CONSUMER = "slow_consumer"
    BACKEND_GONE = "backend_gone"
    BACKEND_PROTOCOL = "backend_protocol"

    __hash__ = str.__hash__  # Enum's own is Python code


@unique
class Ended(StrEnum):
    """How a connection ended when the ending was not ours: nothing was decided, so there is no Reason."""

    PEER_CLOSED = "peer_closed"
    PEER_GONE = "peer_gone"
    BACKEND_CLOSED = "backend_closed"


@unique
class Retry(StrEnum):
    """What a client does after an ending (PRODUCT section 7, Endings)."""

    REFRESH = "refresh"  # refreshes its credential, reconnects
    SIGN_IN = "sign_in"  # stops; the user signs in again
    CREDENTIAL = "credential"  # gets a credential
    ONE_FRESH = "one_fresh"  # one fresh credential, then stops
    STOP = "stop"
    RECONNECT = "reconnect"
    USER = "user"  # waits for the user
    AFTER = "after"  # waits retry_after
    BACKOFF = "backoff"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a Reason looks like on the wire: coarse on purpose."""

    name: str
    status: int | None
    close: int | None
    retry: Retry


class Step(IntEnum):
    """The thirteen steps of the handshake (PRODUCT section 6), and REGISTER's second half, in their order."""

    HEAD = 1
    UPGRADE = 2
    TRANSPORT = 3
    ADDRESS = 4
    ROUTE = 5
    ORIGIN = 6
    READ = 7
    PROVE = 8
    CSRF = 9
    PERMIT = 10
    SLOT = 11
    BACKEND = 12
    REGISTER = 13


@dataclass(frozen=True, slots=True)
class Deny:
    """No, and why. `retry_after` is in seconds, where waiting helps; `note` is for `explain` and the audit only."""

    reason: Reason
    step: Step
    retry_after: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Allow:
    """Yes, with everything that the adapter needs from here on."""

    admission: "Admission"


Decision = Allow | Deny


@dataclass(frozen=True, slots=True)
class Found(Generic[T_co]):
    """The store or verifier knows, and this is it."""

    value: T_co


class Missing(Enum):
    """The store or verifier knows that there is none. Also: a rate is spent, a slot is not free."""

    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """It could not be found out. Never an allow, and never "unknown"."""

    what: str = ""


MISSING = Missing.MISSING
Answer = Found[T_co] | Missing | Unavailable
