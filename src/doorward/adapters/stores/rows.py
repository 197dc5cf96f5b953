"""Values as rows and back, the same for every database. The order here is that of the columns in each statement.

What no column can hold is JSON text, so that what is read from a file can be nothing but values.
"""

import json
from ipaddress import ip_network
from operator import attrgetter
from typing import Any, Final

from doorward.ports import StoreError
from doorward.values.ban import Ban
from doorward.values.credential import Kind
from doorward.values.principal import Identity, Principal
from doorward.values.revocation import Acknowledgement, Effect, Revocation, Target, TargetKind
from doorward.values.ticket import SpentTicket, Ticket

Row = tuple[Any, ...]

node_row: Final = attrgetter(
    "node", "worker", "pid", "started_at", "beat_at", "cursor", "connections", "version", "ready", "ahead"
)
"""Of a PresentNode, whose fields have that order too."""
connection_row: Final = attrgetter(
    "connection",
    "node",
    "worker",
    "issuer",
    "subject",
    "tenant",
    "session",
    "address",
    "route",
    "opened_at",
    "expires_at",
)
"""Of a PresentConnection, likewise."""


def ban_row(ban: Ban) -> Row:
    """Without the id: the store gives it."""
    network = None if ban.network is None else str(ban.network)
    return network, ban.subject, ban.issuer, ban.tenant, ban.cause, ban.made_at, ban.expires_at, ban.by


def ban_of(row: Row) -> Ban:
    """The id first. Raises StoreError."""
    id, network, subject, issuer, tenant, cause, made_at, expires_at, made_by = row
    try:
        return Ban(
            network=None if network is None else ip_network(network),
            subject=subject,
            issuer=issuer,
            tenant=tenant,
            cause=cause,
            made_at=made_at,
            expires_at=expires_at,
            by=made_by,
            id=id,
        )
    except ValueError as error:
        raise StoreError(f"ban {id} can't be read") from error


def revocation_row(revocation: Revocation) -> Row:
    """Without the sequence: the log gives it."""
    target = revocation.target
    return (
        revocation.id,
        target.kind.value,
        target.value,
        target.issuer,
        target.tenant,
        revocation.instant,
        revocation.effect.value,
        revocation.cause,
        revocation.expires_at,
        revocation.by,
        texts(revocation.roles),
    )


def revocation_of(row: Row) -> Revocation:
    """The sequence first. Raises StoreError."""
    sequence, id, kind, value, issuer, tenant, instant, effect, cause, expires_at, made_by, roles = row
    try:
        return Revocation(
            target=Target(kind=TargetKind(kind), value=value, issuer=issuer, tenant=tenant),
            instant=instant,
            effect=Effect(effect),
            cause=cause,
            expires_at=expires_at,
            by=made_by,
            roles=texts_of(roles),
            sequence=sequence,
            id=id,
        )
    except ValueError as error:
        raise StoreError(f"revocation {sequence} can't be read") from error


_acknowledged: Final = attrgetter("revocation", "sequence", "node", "worker", "closed", "asked", "at", "took")


def acknowledgement_row(acknowledgement: Acknowledgement) -> Row:
    return *_acknowledged(acknowledgement), texts(acknowledgement.identities)


def acknowledgement_of(row: Row) -> Acknowledgement:
    """Raises StoreError."""
    revocation, sequence, node, worker, closed, asked, at, took, identities = row
    return Acknowledgement(
        revocation=revocation,
        sequence=sequence,
        node=node,
        worker=worker,
        closed=closed,
        asked=asked,
        at=at,
        took=took,
        identities=texts_of(identities),
    )


def ticket_of(digest: bytes, row: Row) -> Ticket:
    """Raises StoreError."""
    principal, connection, issued_at, expires_at, path, origin, _ = row
    return Ticket(
        digest=digest,
        principal=principal_of(principal),
        connection=connection,
        issued_at=issued_at,
        expires_at=expires_at,
        path=path,
        origin=origin,
    )


def spent_ticket_of(row: Row | None, *, now: float) -> SpentTicket | None:
    """Once it would have expired, it is unknown."""
    if row is None:
        return None
    _, connection, _, expires_at, _, _, spent_at = row
    if spent_at is None or now >= expires_at:
        return None
    return SpentTicket(connection=connection, spent_at=spent_at)


def texts(values: tuple[str, ...] | list[str]) -> str:
    return json.dumps(values)


def texts_of(text: str) -> tuple[str, ...]:
    """Raises StoreError."""
    values = _loads(text)
    if not isinstance(values, list):
        raise StoreError("a stored list is none")
    return tuple(map(str, values))


def principal_text(principal: Principal) -> str:
    return json.dumps(
        {
            "identity": principal.identity,
            "kind": principal.kind,
            "issued_at": principal.issued_at,
            "expires_at": principal.expires_at,
            "session": principal.session,
            "token_id": principal.token_id,
            "roles": principal.roles,
            "granted": principal.granted,
            "permissions": sorted(principal.permissions),
            "claims": dict(principal.claims),
        }
    )


def principal_of(text: str) -> Principal:
    """Raises StoreError."""
    fields = _loads(text)
    try:
        return Principal(
            identity=Identity(*fields["identity"]),
            kind=Kind(fields["kind"]),
            issued_at=fields["issued_at"],
            expires_at=fields["expires_at"],
            session=fields["session"],
            token_id=fields["token_id"],
            roles=tuple(fields["roles"]),
            granted=tuple(fields["granted"]),
            permissions=frozenset(fields["permissions"]),
            claims=fields["claims"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError("a stored principal can't be read") from error


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise StoreError("a stored JSON text can't be read") from error
