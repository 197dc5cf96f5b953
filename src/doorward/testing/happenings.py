"""What may happen to a connection and what it does about that, as nouns of a Conversation (conversation.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from doorward.core.lifecycle import Event
from doorward.service.live import Live
from doorward.values.decision import Reason

LIFE: Final = 600.0

# ---- what comes out


@dataclass(frozen=True, slots=True)
class Deliver:
    """An application message passed on to the backend."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """A control message to the peer; only the members named here are compared. `kind` is its type's last part."""

    kind: str
    members: tuple[tuple[str, object], ...] = ()

    @classmethod
    def of(cls, kind: str, **members: object) -> "Tell":
        return cls(kind, tuple(members.items()))


@dataclass(frozen=True, slots=True)
class Close:
    """Our Close, behind what is queued. `text` is compared where it is given."""

    code: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class CloseNow(Close):
    """Our Close, with what is queued dropped."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Our own ping."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Both ends aborted."""


@dataclass(frozen=True, slots=True)
class Free:
    """Both ends let go in order."""


Output = Deliver | Tell | Close | Ping | Cut | Free


# ---- what goes in


@dataclass(frozen=True, slots=True)
class Message:
    """The peer sends an application message. The walker's gate decides, as it does in a relay."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Says:
    """The peer sends a control message."""

    type: str
    members: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, type: str, **members: str) -> "Says":
        return cls(type, tuple(members.items()))


@dataclass(frozen=True, slots=True)
class Renewed:
    """A renewal was judged good: another `life` seconds."""

    life: float = LIFE
    over_socket: bool = True


@dataclass(frozen=True, slots=True)
class RenewalRefused:
    """A renewal was judged, and refused."""

    reason: Reason = Reason.TOKEN_SIGNATURE
    id: str | None = None
    over_socket: bool = True


@dataclass(frozen=True, slots=True)
class Passed:
    """Time passes, and the table of connections looks at this one whenever it is due."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Unsent:
    """From now on the peer does not take its output: what must go at once can only be cut."""


@dataclass(frozen=True, slots=True)
class Happens:
    """An event of the table as such, for what no adapter brings about (yet)."""

    event: Event
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Does:
    """Anything else that the watch or the relay tells a Live."""

    what: Callable[[Live], object]


Input = Message | Says | Renewed | RenewalRefused | Passed | Unsent | Happens | Does


def revoked() -> Does:
    return Does(Live.revoke)


def peer_closed(code: int | None = 1000) -> Does:
    return Does(lambda live: live.peer_closed(code, ""))


def backend_closed(code: int | None = 1000) -> Does:
    return Does(lambda live: live.backend_closed(code, ""))


def peer_gone() -> Does:
    return Does(Live.peer_gone)
