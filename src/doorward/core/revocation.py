"""The one predicate of revocation: the same for the handshake, the live connection, the ticket and the renewal."""

from collections.abc import Iterable, Mapping
from math import inf, isfinite
from typing import Final

from doorward.values.principal import Principal
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import IssuerRules

MEMBERS: Final[Mapping[TargetKind, str]] = {
    TargetKind.IDENTITY: "principal.identity.subject",
    TargetKind.SESSION: "principal.session",
    TargetKind.TOKEN: "principal.token_id",
    TargetKind.CONNECTION: "connection",
    TargetKind.TENANT: "principal.identity.tenant",
    TargetKind.ISSUER: "principal.identity.issuer",
}
"""What of a principal or its connection must equal a target's value for `names` to hold: to leave the others out."""

_FOR_EVER: Final = frozenset({TargetKind.SESSION, TargetKind.TOKEN, TargetKind.CONNECTION})

LONGEST: Final = 2048
"""Bytes of each text of a revocation: 512 characters, as the admin API takes them."""


def can_be_held(revocation: Revocation) -> bool:
    """Can every store hold it? None holds what is no UTF-8 or has no end, and PostgreSQL no NUL."""
    target = revocation.target
    texts = (target.value, target.issuer or "", target.tenant or "", revocation.cause, revocation.by, revocation.id)
    numbers = (revocation.instant, revocation.expires_at)
    return all(map(is_holdable, (*texts, *revocation.roles))) and all(map(isfinite, numbers))


def is_holdable(text: str) -> bool:
    """Text that every store can hold."""
    try:
        return "\0" not in text and len(text.encode()) <= LONGEST
    except UnicodeEncodeError:
        return False


def keys_of(principal: Principal, connection: str) -> tuple[tuple[TargetKind, str], ...]:
    """Under which (kind, value) a revocation that hits this principal can lie: for an index, as a superset of hits."""
    identity = principal.identity
    keys = [
        (TargetKind.IDENTITY, identity.subject),
        (TargetKind.ISSUER, identity.issuer),
        (TargetKind.CONNECTION, connection),
    ]
    if identity.tenant:
        keys.append((TargetKind.TENANT, identity.tenant))
    if principal.session:
        keys.append((TargetKind.SESSION, principal.session))
    if principal.token_id:
        keys.append((TargetKind.TOKEN, principal.token_id))
    return tuple(keys)


def names(target: Target, principal: Principal, connection: str) -> bool:
    """Does the target name this principal or connection? Issuer and tenant narrow it where they are given."""
    identity = principal.identity
    if target.issuer is not None and target.issuer != identity.issuer:
        return False
    if target.tenant is not None and target.tenant != identity.tenant:
        return False
    match target.kind:
        case TargetKind.IDENTITY:
            return target.value == identity.subject
        case TargetKind.SESSION:
            return target.value == principal.session != ""
        case TargetKind.TOKEN:
            return target.value == principal.token_id != ""
        case TargetKind.CONNECTION:
            return target.value == connection
        case TargetKind.TENANT:
            return target.value == identity.tenant != ""
        case TargetKind.ISSUER:
            return target.value == identity.issuer


def hits(revocation: Revocation, principal: Principal, connection: str, issuers: Mapping[str, IssuerRules]) -> bool:
    """Is this principal's proof withdrawn? What was issued at or before the instant, plus the issuer's skew, is.

    A session, token or connection that is closed is withdrawn whenever it was issued: it never comes back. One that
    shall only prove again, or has other roles, is free of that with what was issued after. A proof without an issue
    time counts as issued before everything, one of an unknown issuer gets no benefit of the doubt.
    """
    if not names(revocation.target, principal, connection):
        return False
    if revocation.effect is Effect.CLOSE and revocation.target.kind in _FOR_EVER:
        return True
    if principal.issued_at is None:
        return True
    rules = issuers.get(principal.identity.issuer)
    skew = rules.skew if rules is not None else 0.0
    return principal.issued_at <= revocation.instant + skew


def refusal(
    revocations: Iterable[Revocation], principal: Principal, connection: str, issuers: Mapping[str, IssuerRules]
) -> Revocation | None:
    """The first that bars the way in: effect `close`, or `renew` (which wants something issued after)."""
    for revocation in revocations:
        if revocation.effect is not Effect.ROLES and hits(revocation, principal, connection, issuers):
            return revocation
    return None


def roles_of(
    revocations: Iterable[Revocation], principal: Principal, connection: str, issuers: Mapping[str, IssuerRules]
) -> tuple[str, ...] | None:
    """The roles that the newest hit of effect `roles` puts in place of the proof's own; None: they stand.

    The newest is the one made last: its place in the log only tells apart those of one instant, since one that could
    not be made durable at once gets its place late, and has none (sequence 0) until then.
    """
    named = [
        revocation
        for revocation in revocations
        if revocation.effect is Effect.ROLES and hits(revocation, principal, connection, issuers)
    ]
    return max(named, key=_age).roles if named else None


def _age(revocation: Revocation) -> tuple[float, float]:
    """Grows from older to newer. What has no place in the log yet comes after what has."""
    return revocation.instant, revocation.sequence or inf
