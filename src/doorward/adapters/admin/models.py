"""What the admin API gives, as models: they make the answers, and they describe them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from doorward.adapters.admin.asked import Place
from doorward.service.administer import Page

Instant = Annotated[float, Field(description="Epoch seconds.")]
Seconds = Annotated[float, Field(description="Seconds.")]


class Given(BaseModel):
    """What is answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Given):
    """application/problem+json (RFC 9457). `reason` is the name of an ending."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    reason: str
    detail: str | None = Field(None, description="What to do, where there is something to do.")
    errors: "list[Wrong] | None" = Field(None, description="What is wrong with the request, member by member.")
    retry_after: int | None = Field(None, description="Seconds after which waiting helps.")


class Wrong(Given):
    name: str = Field(description="A parameter, or a member of the body, by its dotted name.")
    text: str


class Connection(Given):
    connection: str = Field(description="Its id, as everywhere.")
    node: str
    worker: int
    issuer: str
    subject: str
    tenant: str = Field(description="Empty: none.")
    session: str = Field(description="Empty: none.")
    address: str
    route: str
    opened_at: Instant
    expires_at: Instant | None = Field(description="Epoch seconds; null: the proof has no end of its own.")


class Connections(Given):
    """Newest first, of all nodes that live, up to a second old."""

    connections: list[Connection]
    next: Place | None = Field(description="`after` of the next page; null: this is the last.")


class Target(Given):
    kind: Literal["identity", "session", "token", "connection", "tenant", "issuer"]
    value: str
    issuer: str | None
    tenant: str | None


class Revocation(Given):
    id: str
    sequence: int | None = Field(description="Its place in the log; null: none yet, since it is not durable yet.")
    durable: bool
    target: Target
    effect: Literal["close", "renew", "roles"]
    roles: list[str]
    cause: str
    by: str
    instant: Instant
    expires_at: Instant = Field(description="When nothing that it could refuse is valid any more, in epoch seconds.")


class Revocations(Given):
    """Those that still count, newest first."""

    revocations: list[Revocation]
    next: int | None = Field(description="`before` of the next page; null: this is the last.")


class Identity(Given):
    issuer: str
    subject: str
    tenant: str


class Acknowledgement(Given):
    node: str
    worker: int
    closed: int
    asked: int = Field(description="So many were asked to renew, or given other roles.")
    at: Instant
    took: Seconds
    identities: list[Identity]


class RevocationSeen(Given):
    revocation: Revocation
    acknowledgements: list[Acknowledgement] = Field(description="By worker; kept for some minutes.")


class Unheard(Given):
    node: str
    seconds: Seconds


class Outcome(Given):
    """What became of a revocation by now."""

    revocation: Revocation
    durable: bool = Field(description="False: the nodes act on it, and go on trying to have it kept.")
    closed: int
    asked: int = Field(description="So many were asked to renew, or given other roles.")
    nodes: int = Field(description="So many were expected to act.")
    silent: list[str] = Field(description="Those of them of which a worker has not answered.")
    unheard: list[Unheard] = Field(
        description="Those of them that were not waited for: a worker was not heard of for more than 10 s. It may "
        "live, and hold connections."
    )
    took: Seconds
    identities: list[Identity] = Field(description="Who was hit, as far as a few dozen.")


class Ban(Given):
    id: int
    address: str | None = Field(description="An address or network; null where a subject is banned.")
    subject: str | None
    issuer: str | None = Field(description="null: any.")
    tenant: str | None = Field(description="null: any.")
    cause: str
    by: str
    made_at: Instant
    expires_at: Instant | None = Field(description="Epoch seconds; null: never.")


class Bans(Given):
    """Those that have not expired, by id."""

    bans: list[Ban]
    next: int | None = Field(description="`after` of the next page; null: this is the last.")


class Worker(Given):
    worker: int
    version: str
    pid: int
    started_at: Instant
    beat_at: Instant = Field(description="Its last heartbeat, in epoch seconds.")
    stale: bool = Field(description="It has missed heartbeats; what stands here of it may be old.")
    cursor: int = Field(description="How far it had read the revocation log.")
    behind: int = Field(description="So many revocations it had not read.")
    ready: bool = Field(
        description="It takes handshakes: its stores answer, and it does not drain. Of one who is stale that is not "
        "known, and not believed."
    )
    clock_ahead: Seconds = Field(
        description="By so many seconds its machine's clock was ahead of the time that the nodes go by."
    )
    connections: int


class Node(Given):
    node: str
    stale: bool = Field(description="One of its workers is.")
    connections: int
    workers: list[Worker]


class Counters(Given):
    """Of the node that answers, all its workers added up, since it was started."""

    allowed: int = Field(description="Handshakes.")
    refused: dict[str, int] = Field(description="Handshakes, by reason.")
    closes: dict[str, int] = Field(description="By reason.")
    renewals: dict[str, int] = Field(description="By outcome.")


class Here(Given):
    """The node that answers, whichever of its workers it was."""

    node: str
    version: str
    ready: bool = Field(description="The stores would take a write now, and nothing is draining.")
    clock_ahead: Seconds = Field(
        description="By so many seconds this machine's clock is ahead of the time that the nodes go by."
    )
    counters: Counters


class Overview(Given):
    at: Instant
    connections: int = Field(description="On all nodes, up to a second ago.")
    routes: dict[str, int] = Field(description="Connections on all nodes, by route.")
    newest: int = Field(description="The place of the last revocation in the log.")
    nodes: list[Node]
    stale: list[str] = Field(
        description="The nodes that have missed heartbeats. An hour after the last they are listed no more."
    )
    here: Here


def last(page: Page[Any]) -> Any:
    """The row from which the next page goes on; None where there is none."""
    return page.rows[-1] if page.more else None
