"""What an operator does, through the store and its feed: the same for one gateway, many nodes, or somebody's app."""

import asyncio
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, assert_never

from doorward.core.auditing import MAX_TEXT, clean, to_json
from doorward.core.auditing_revocations import revoked
from doorward.core.permissions import effective
from doorward.core.proving import digest
from doorward.core.revocation import can_be_held
from doorward.core.timekeeping import instant_for_all
from doorward.ports import Clock, Entropy, PresentNode, RefusedError, Store, StoreError, TokenSigner
from doorward.values.audit import AuditEvent, EventKind, Outcome
from doorward.values.ban import Ban
from doorward.values.credential import Kind
from doorward.values.ids import new_id
from doorward.values.principal import Identity, Principal
from doorward.values.revocation import Acknowledgement, Effect, Revocation, Target, TargetKind
from doorward.values.rules import Rules
from doorward.values.secret import Secret
from doorward.values.ticket import Ticket

ANSWER_WITHIN: Final = 5.0
LOOK_EVERY: Final = 0.005
ACCESS_TYPE: Final = "at+jwt"
CLOSED_FOR: Final = 3600.0
"""Seconds for which a connection's id that was closed is refused: far longer than a ticket for it lives."""
SAME_WITHIN: Final = 60.0
"""Seconds: a ban that ends so little sooner is the same one, asked for twice; of a short one, a tenth of its time."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """A node of which a worker neither left nor was heard of for more than 10 s: it may live, and hold connections."""

    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Revoked:
    """What became of a revocation. `took` is seconds from the call to the last close; `answered` counts the nodes of
    which every worker that is heard of did; `silent` are those of which one did not, `unheard` those of which one was
    not even waited for. Not `durable`: every node acts on it, and goes on trying to have it kept."""

    id: str
    sequence: int
    durable: bool
    closed: int
    asked: int
    nodes: int
    answered: int
    silent: tuple[str, ...]
    took: float
    identities: tuple[str, ...]
    unheard: tuple[Unheard, ...] = ()

    @property
    def is_proven(self) -> bool:
        """It is in the log, and nobody is left who may not have acted."""
        return self.durable and not self.silent and not self.unheard


async def revoke(
    store: Store,
    clock: Clock,
    *,
    id: str,
    target: Target,
    effect: Effect,
    cause: str,
    by: str,
    counts_for: float,
    roles: tuple[str, ...] = (),
    within: float = ANSWER_WITHIN,
) -> Revoked:
    """Write the revocation to the log, then wait until every worker has acted that is heard of. Raises StoreError; for
    what no store can hold that is RefusedError, and nobody is told of it.

    `id` is new (values/ids.py), or that of an earlier call that this one repeats: it is then done once. `within`:
    seconds that the nodes have to answer, however long the log itself took.
    `counts_for`: seconds after which nothing that it could refuse is valid any more.
    """
    began = clock.now()
    lost = await store.presence.unheard(now=began)  # first: who is heard of meanwhile is then in both
    nodes = await store.presence.nodes(now=began)
    instant = instant_for_all(began, (node.beat_at for node in nodes))
    expected = {(node.node, node.worker) for node in nodes}
    revocation = Revocation(
        target=target,
        instant=instant,
        effect=effect,
        cause=cause,
        expires_at=instant + counts_for,
        by=by,
        roles=roles,
        id=id,
    )
    if not can_be_held(revocation):
        raise RefusedError("a revocation whose texts are too long, or no text, can't be held")
    sequence = await store.revocations.append(revocation)
    waiting_since = clock.now()
    answers: Sequence[Acknowledgement] = ()
    while True:
        # it is done: that nobody can be asked any more makes those silent who have not answered yet
        with suppress(StoreError):
            answers = await store.revocations.acknowledgements(id)
        missing = expected - {(answer.node, answer.worker) for answer in answers}
        if not missing or clock.now() - waiting_since >= within:
            break
        await asyncio.sleep(LOOK_EVERY)
    unheard = of_nodes(lost, answers, now=clock.now())
    known = {one.node for one in (*nodes, *lost)}
    silent = {node for node, _ in missing}
    return Revoked(
        id=id,
        sequence=sequence,
        durable=sequence > 0,
        closed=sum(answer.closed for answer in answers),
        asked=sum(answer.asked for answer in answers),
        nodes=len(known),
        answered=answered_of(known, answers, silent=silent),
        silent=tuple(sorted(silent)),
        took=max(0.0, max((answer.at for answer in answers), default=clock.now()) - began),
        identities=tuple(dict.fromkeys(name for answer in answers for name in answer.identities)),
        unheard=unheard,
    )


def answered_of(nodes: Set[str], answers: Iterable[Acknowledgement], *, silent: Set[str]) -> int:
    """Of these nodes, so many answered by every worker that was waited for: a dead one of a name that lives counts for
    nothing here."""
    return len({answer.node for answer in answers} & nodes - silent)


def of_nodes(lost: Iterable[PresentNode], answers: Iterable[Acknowledgement], *, now: float) -> tuple[Unheard, ...]:
    """Of the lost workers, those that have not answered after all; by node, each with its longest silence."""
    said = {(answer.node, answer.worker) for answer in answers}
    longest: dict[str, float] = {}
    for one in lost:
        if (one.node, one.worker) not in said:
            longest[one.node] = max(longest.get(one.node, 0.0), now - one.beat_at)
    return tuple(Unheard(node, round(longest[node], 1)) for node in sorted(longest))


async def forget_node(store: Store, clock: Clock, *, node: str) -> int:
    """Somebody knows that what is not heard of by this name is gone. How many workers were forgotten; one that lives
    is not, and would be back with its next heartbeat. Raises StoreError."""
    lost = [one for one in await store.presence.unheard(now=clock.now()) if one.node == node]
    for one in lost:
        await store.presence.leave(node=one.node, worker=one.worker)
    return len(lost)


def summary(result: Revoked) -> str:
    """The line that `doorward revoke` prints."""
    noun = "connection" if result.closed == 1 else "connections"
    line = (
        f"closed {result.closed} {noun} on {result.answered} of {_count(result.nodes)} in {result.took * 1000:.0f} ms"
    )
    if result.asked:
        line += f"; {result.asked} asked to renew or given other roles"
    if result.silent:
        line += f"; no answer from {', '.join(result.silent)}"
    for one in result.unheard:
        line += f"; {not_heard_of(one)}"
    if not result.durable:
        line += "; not durable: the store of record is away, the nodes keep trying"
    return line


def not_heard_of(one: Unheard) -> str:
    return f"{one.node} not heard of for {one.seconds:.0f} s"


def met_nobody(result: Revoked, *, target: Target, effect: Effect) -> str:
    """What to tell where every node answered and nobody was hit: a name that is misspelt looks just so. Else empty."""
    hit = result.identities or result.closed or result.asked
    if hit or result.silent or result.unheard or not result.nodes:
        return ""
    fate = "given these roles" if effect is Effect.ROLES else "refused"
    match target.kind:
        case TargetKind.IDENTITY:
            return f"nobody named {target.value!r} is connected now; tokens issued until now are {fate} all the same"
        case TargetKind.TENANT | TargetKind.ISSUER:
            kind = target.kind.value
            return f"nobody of this {kind} is connected now; tokens issued until now are {fate} all the same"
        case TargetKind.SESSION | TargetKind.TOKEN | TargetKind.CONNECTION:
            return f"nobody is connected by this {target.kind.value} now; it is {fate} all the same"
        case _:
            assert_never(target.kind)


def _count(nodes: int) -> str:
    return f"{nodes} node" if nodes == 1 else f"{nodes} nodes"


async def ban(store: Store, wanted: Ban, *, now: float) -> tuple[Ban, bool]:
    """The ban, and whether it is new: one that says the same, for as long, is left alone. Raises StoreError."""
    same = next((old for old in await store.bans.all(now=now) if covers(old, wanted)), None)
    if same is not None:
        return same, False
    wanted = replace(wanted, cause=clean(wanted.cause, MAX_TEXT))
    return replace(wanted, id=await store.bans.add(wanted)), True


def covers(old: Ban, new: Ban) -> bool:
    """Does `old` ban the same, for as long or longer?"""
    if (old.network, old.subject, old.issuer, old.tenant) != (new.network, new.subject, new.issuer, new.tenant):
        return False
    if old.expires_at is None or new.expires_at is None:
        return old.expires_at is None
    return old.expires_at >= new.expires_at - min(SAME_WITHIN, (new.expires_at - new.made_at) / 10)


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom to issue something to. `ttl` in seconds."""

    subject: str
    tenant: str = ""
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    ttl: float = 600.0


def issue_token(
    signer: TokenSigner, grant: Grant, *, issuer: str, audience: str, clock: Clock, entropy: Entropy
) -> str:
    """An access token of our own (RFC 9068), with a fractional iat, so that no revocation shares its second."""
    now = clock.now()
    claims: dict[str, object] = {
        "iss": issuer,
        "aud": audience,
        "sub": grant.subject,
        "iat": round(now, 6),
        "exp": round(now + grant.ttl, 6),
        "jti": new_id(entropy.bytes(16)),
    }
    if grant.tenant:
        claims["tenant"] = grant.tenant
    if grant.roles:
        claims["roles"] = list(grant.roles)
    if grant.permissions:
        claims["scope"] = " ".join(grant.permissions)
    return signer.sign(typ=ACCESS_TYPE, claims=claims)


async def issue_ticket(
    store: Store, grant: Grant, rules: Rules, *, issuer: str, path: str | None, clock: Clock, entropy: Entropy
) -> tuple[Secret, str]:
    """A ticket by the operator's own authority: (code, connection id). Raises StoreError."""
    now = clock.now()
    code, connection = new_id(entropy.bytes(32)), new_id(entropy.bytes(16))
    principal = Principal(
        identity=Identity(issuer, grant.subject, grant.tenant),
        kind=Kind.TICKET,
        issued_at=now,
        expires_at=now + rules.issuers[issuer].max_life,
        token_id=new_id(entropy.bytes(16)),
        roles=grant.roles,
        granted=grant.permissions,
        permissions=effective(grant.permissions, grant.roles, rules.roles),
    )
    ticket = Ticket(
        digest=digest(code),
        principal=principal,
        connection=connection,
        issued_at=now,
        expires_at=now + grant.ttl,
        path=path,
    )
    await store.tickets.put(ticket, most=10)
    return Secret(code), connection


async def record_revocation(
    store: Store, clock: Clock, *, target: Target, effect: Effect, cause: str, by: str, result: Revoked
) -> None:
    """The command's own record of what it did, beside one of every worker. Raises StoreError."""
    now = clock.now()
    revocation = Revocation(target=target, instant=now, effect=effect, cause=cause, expires_at=now)
    place = f"log {result.sequence}" if result.durable else f"not durable yet, {result.id}"
    event = replace(
        revoked(
            revocation,
            f"{place}: {clean(cause)}; {summary(result)}; by {clean(by)}",
            hit=result.closed + result.asked,
        ),
        at=now,
        node="command",
        duration=result.took,
    )
    await store.audit.append([(event, to_json(event))])


async def record(store: Store, clock: Clock, *, kind: EventKind, by: str, subject: str = "", detail: str) -> None:
    """An administrative act, in the store's audit. Raises StoreError: what can't be recorded was still done."""
    event = AuditEvent(
        kind=kind,
        outcome=Outcome.DONE,
        at=clock.now(),
        node="command",
        subject=clean(subject),
        detail=clean(f"{detail}; by {by}"),
    )
    await store.audit.append([(event, to_json(event))])
