"""What the audit says of revocations: whom they name stands where every other event has it."""

from dataclasses import replace
from typing import Final

from doorward.core.auditing import clean, mask
from doorward.values.audit import AuditEvent, EventKind, Outcome
from doorward.values.revocation import Revocation, Target, TargetKind

_MEMBERS: Final = {
    TargetKind.IDENTITY: "subject",
    TargetKind.SESSION: "session",
    TargetKind.CONNECTION: "connection",
    TargetKind.TENANT: "tenant",
    TargetKind.ISSUER: "issuer",
}


def revoked(revocation: Revocation, done: str, *, hit: int) -> AuditEvent:
    """`done` is what came of it, `hit` how many connections that were.

    Only a token's id has no member of its own: `detail` shows it, masked, since a whole token may have been pasted.
    """
    named = _named(revocation.target)
    target, effect = revocation.target.kind.value, revocation.effect.value
    detail = f"{done}; {named.detail}" if named.detail else done
    return replace(named, reason=f"{target}_{effect}", count=hit, detail=detail)


def made_durable(revocation: Revocation, *, now: float) -> AuditEvent:
    """One that the store of record could not take at once."""
    waited = max(0.0, now - revocation.instant)
    by = f"; by {clean(revocation.by)}" if revocation.by else ""
    done = f"log {revocation.sequence}: {clean(mask(revocation.cause))}; durable after {waited:.1f} s{by}"
    return revoked(revocation, done, hit=0)


def notices_refused(why: str, count: int) -> AuditEvent:
    """Entries of the revocation feed that none of our nodes wrote as this one reads them."""
    return AuditEvent(
        EventKind.REVOCATION,
        Outcome.REFUSED,
        reason="notice_refused",
        count=count,
        detail=f"entries of the revocation feed dropped: {clean(why)}",
    )


def _named(target: Target) -> AuditEvent:
    members = {"issuer": target.issuer or "", "tenant": target.tenant or ""}
    if target.kind is TargetKind.TOKEN:
        members["detail"] = f"token {mask(target.value)}"
    else:
        members[_MEMBERS[target.kind]] = target.value
    cleaned = {name: clean(value) for name, value in members.items()}
    return AuditEvent(EventKind.REVOCATION, Outcome.DONE, **cleaned)  # type: ignore[arg-type]
