"""What each call of the admin API does: ask the service, show what it says, and say for the audit what was changed."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Final, TypeVar

from pydantic import TypeAdapter

from doorward.adapters.admin import asked as bodies
from doorward.adapters.admin import models, shown
from doorward.adapters.admin.asked import AddressBanAsked, IssuerTarget, RolesAsked, TenantTarget
from doorward.adapters.admin.models import last
from doorward.adapters.admin.operations import Answered, Call, Failed, Operation
from doorward.core.administering import is_recent
from doorward.core.auditing import mask
from doorward.service.administer import Done, KeyTaken, Order, by_line, id_of
from doorward.values.administrator import AdminRole
from doorward.values.ban import Ban, is_wide
from doorward.values.revocation import Effect, Revocation, Target, TargetKind

T = TypeVar("T")
Shown = TypeVar("Shown")

STEP_UP: Final = Failed(401)
SLICE: Final = 128
"""Rows that are made ready to be shown in one turn of the loop: a thousand would hold it for ten milliseconds."""


async def _all(rows: Sequence[T], show: Callable[[T], Shown]) -> list[Shown]:
    found: list[Shown] = []
    for start in range(0, len(rows), SLICE):
        found += map(show, rows[start : start + SLICE])
        await asyncio.sleep(0)
    return found


async def connections(call: Call) -> Answered:
    asked: bodies.ConnectionsAsked = call.parameters
    page = await call.administration.connections(asked.wanted, after=asked.behind, limit=asked.limit)
    row = last(page)
    rows = await _all(page.rows, shown.connection)
    return Answered(
        200, models.Connections.model_construct(connections=rows, next=None if row is None else shown.place(row))
    )


async def connection(call: Call) -> Answered | Failed:
    row = await call.administration.connection(call.id)
    return Failed(404) if row is None else Answered(200, shown.connection(row))


async def close(call: Call) -> Answered | Failed:
    asked: bodies.CloseAsked = call.body or bodies.CloseAsked()
    done = await call.administration.close(call.id, cause=asked.cause, key=_id(call), by=by_line(call.administrator))
    if isinstance(done, KeyTaken):
        return _taken(done)
    result = done.result
    if not result.closed and not result.silent and not result.unheard:
        return Failed(404, "nobody is connected by this id; it is refused from now on all the same", did=_did(done))
    return Answered(200, shown.outcome(done), did=_did(done))


async def revocations(call: Call) -> Answered:
    asked: bodies.RevocationsAsked = call.parameters
    page = await call.administration.revocations(before=asked.before, limit=asked.limit)
    rows = await _all(page.rows, shown.revocation)
    return Answered(200, models.Revocations.model_construct(revocations=rows, next=_below(page.rows, more=page.more)))


def _below(rows: tuple[Revocation, ...], *, more: bool) -> int | None:
    """Where the next page begins. One of nothing but what has no place yet is followed by the log's end."""
    if not more:
        return None
    return rows[-1].sequence or bodies.LARGEST


async def revocation(call: Call) -> Answered | Failed:
    told = await call.administration.revocation(call.id)
    if told is None:
        return Failed(404)
    seen = models.RevocationSeen(
        revocation=shown.revocation(told.revocation),
        acknowledgements=[shown.acknowledgement(one) for one in told.acknowledgements],
    )
    return Answered(200, seen)


async def revoke(call: Call) -> Answered | Failed:
    asked: bodies.EndAsked | RolesAsked = call.body
    wide = isinstance(asked.target, TenantTarget | IssuerTarget)
    if wide and not is_recent(call.administrator, now=call.administration.now):
        return STEP_UP
    order = Order(
        target=_target(asked.target),
        effect=Effect(asked.effect),
        roles=tuple(dict.fromkeys(asked.roles)) if isinstance(asked, RolesAsked) else (),
        cause=asked.cause,
        key=_id(call),
    )
    done = await call.administration.revoke(order, by=by_line(call.administrator))
    if isinstance(done, KeyTaken):
        return _taken(done)
    return Answered(201, shown.outcome(done), location=f"/api/revocations/{done.revocation.id}", did=_did(done))


def _id(call: Call) -> str:
    return id_of(call.key, of=call.administrator.name) if call.key else ""


def _target(asked: bodies.SomebodysTarget | TenantTarget | IssuerTarget) -> Target:
    issuer = None if isinstance(asked, IssuerTarget) else asked.issuer
    tenant = asked.tenant if isinstance(asked, bodies.SomebodysTarget) else None
    return Target(kind=TargetKind(asked.kind), value=asked.value, issuer=issuer, tenant=tenant)


def _taken(taken: KeyTaken) -> Failed:
    return Failed(422, f"this Idempotency-Key is that of another revocation, {taken.revocation.id}")


def _did(done: Done) -> str:
    one, result = done.revocation, done.result
    target = one.target
    what = f"{one.effect.value} {target.kind.value} {mask(target.value)}{_narrowed(target.issuer, target.tenant)}"
    before = "the same, asked before" if done.again else "none"
    after = f"revocation {one.id}, closed {result.closed}, asked {result.asked}"
    if not result.durable:
        after += ", not durable"
    if result.silent:
        after += f", silent {' '.join(result.silent)}"
    if result.unheard:
        after += f", not heard of {' '.join(one.node for one in result.unheard)}"
    return f"{what}: {mask(one.cause)}; before: {before}; after: {after}"


async def bans(call: Call) -> Answered:
    asked: bodies.BansAsked = call.parameters
    page = await call.administration.bans(after=asked.after, limit=asked.limit)
    row = last(page)
    rows = [shown.ban(one) for one in page.rows]
    return Answered(200, models.Bans(bans=rows, next=None if row is None else row.id))


async def ban(call: Call) -> Answered | Failed:
    asked: AddressBanAsked | bodies.SubjectBanAsked = call.body
    now = call.administration.now
    network = ip_network(asked.address, strict=False) if isinstance(asked, AddressBanAsked) else None
    if network is not None and is_wide(network) and not is_recent(call.administrator, now=now):
        return STEP_UP
    wanted = Ban(
        network=network,
        subject=None,
        issuer=None,
        tenant=None,
        cause=asked.cause,
        made_at=now,
        expires_at=None if asked.expires_in is None else now + asked.expires_in,
        by=by_line(call.administrator),
    )
    if isinstance(asked, bodies.SubjectBanAsked):
        wanted = replace(wanted, subject=asked.subject, issuer=asked.issuer, tenant=asked.tenant)
    held, new = await call.administration.ban(wanted)
    before = "none" if new else f"ban {held.id} says so already"
    return Answered(
        201 if new else 200,
        shown.ban(held),
        did=f"ban {_whom(held)}: {mask(held.cause)}; before: {before}; after: ban {held.id}",
    )


async def unban(call: Call) -> Answered | Failed:
    lifted = await call.administration.unban(call.id)
    if lifted is None:
        return Failed(404)
    return Answered(
        200, shown.ban(lifted), did=f"lift ban {lifted.id}; before: {_whom(lifted)}: {mask(lifted.cause)}; after: none"
    )


def _whom(held: Ban) -> str:
    if held.network is not None:
        return str(held.network)
    return f"subject {mask(held.subject or '')}{_narrowed(held.issuer, held.tenant)}"


def _narrowed(issuer: str | None, tenant: str | None) -> str:
    return "".join(f" {word} {name}" for word, name in (("of", issuer), ("in", tenant)) if name)


async def overview(call: Call) -> Answered:
    return Answered(200, shown.overview(await call.administration.overview(), version=call.version))


OPERATIONS: Final = (
    Operation(
        "GET",
        "/api/connections",
        "listConnections",
        "Live connections on all nodes, newest first",
        connections,
        {200: ("A page of them.", models.Connections)},
        parameters=bodies.ConnectionsAsked,
    ),
    Operation(
        "GET",
        "/api/connections/{id}",
        "getConnection",
        "One live connection",
        connection,
        {200: ("The connection.", models.Connection)},
        id=TypeAdapter(bodies.ConnectionId),
    ),
    Operation(
        "POST",
        "/api/connections/{id}/close",
        "closeConnection",
        "End one connection with 4403 closed_by_operator; its credential stays good",
        close,
        {200: ("It is closed, or a node has not answered.", models.Outcome)},
        role=AdminRole.OPERATOR,
        id=TypeAdapter(bodies.ConnectionId),
        body=TypeAdapter(bodies.CloseAsked),
        body_required=False,
        keyed=True,
    ),
    Operation(
        "GET",
        "/api/revocations",
        "listRevocations",
        "The revocations that still count, newest first",
        revocations,
        {200: ("A page of them.", models.Revocations)},
        parameters=bodies.RevocationsAsked,
    ),
    Operation(
        "POST",
        "/api/revocations",
        "revoke",
        "Withdraw authority on every node, and say what came of it",
        revoke,
        {201: ("It is in the log, and these nodes have acted.", models.Outcome)},
        role=AdminRole.OPERATOR,
        body=TypeAdapter(bodies.RevocationAsked),
        keyed=True,
    ),
    Operation(
        "GET",
        "/api/revocations/{id}",
        "getRevocation",
        "One revocation, and which workers have acted on it",
        revocation,
        {200: ("The revocation.", models.RevocationSeen)},
        id=TypeAdapter(bodies.RevocationId),
    ),
    Operation(
        "GET",
        "/api/bans",
        "listBans",
        "The bans that have not expired",
        bans,
        {200: ("A page of them.", models.Bans)},
        parameters=bodies.BansAsked,
    ),
    Operation(
        "POST",
        "/api/bans",
        "addBan",
        "Ban an address, a network or a subject; it counts at once for new handshakes",
        ban,
        {201: ("The ban.", models.Ban), 200: ("One that says the same, for as long, was there.", models.Ban)},
        role=AdminRole.OPERATOR,
        body=TypeAdapter(bodies.BanAsked),
    ),
    Operation(
        "DELETE",
        "/api/bans/{id}",
        "removeBan",
        "Lift a ban",
        unban,
        {200: ("The ban that was lifted.", models.Ban)},
        role=AdminRole.OPERATOR,
        id=TypeAdapter(bodies.BanId),
        id_is_number=True,
    ),
    Operation(
        "GET",
        "/api/overview",
        "getOverview",
        "Every node and worker, and what this node has counted",
        overview,
        {200: ("What is seen from here.", models.Overview)},
    ),
)
