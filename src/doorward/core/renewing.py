"""A renewal is a second admission of the same identity: proved, permitted and leased by the same steps as the first."""

from dataclasses import dataclass

from doorward.core import leases
from doorward.core.admission import banned, entitled
from doorward.core.proving import Steps, prove, unrevoked
from doorward.values.admission import Admission
from doorward.values.audit import Trail
from doorward.values.credential import Credential
from doorward.values.decision import Deny, Reason, Step
from doorward.values.lease import Lease
from doorward.values.principal import Principal
from doorward.values.rules import Route, Rules


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a live connection holds from now on."""

    principal: Principal
    lease: Lease
    route: Route


def renew(
    credential: Credential,
    admission: Admission,
    rules: Rules,
    *,
    held: Principal,
    opened_at: float,
    trail: Trail,
    now: float,
) -> Steps[Renewal | Deny]:
    """Judge a fresh credential for a live connection. `held` is its principal now; times are epoch seconds.

    Another identity is refused, and so is an older proof than the one it would replace (REF-07). Permissions and
    limits come from the new credential and the rules of now: a route that a reload has taken away refuses. The
    revocation log is read last, for until it is taken no revocation finds the new credential on the connection.
    """
    route = next((route for route in rules.routes if route.pattern == admission.route.pattern), None)
    if route is None:
        return Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE)
    if credential.kind not in route.credentials:
        return Deny(Reason.CREDENTIAL_MISPLACED, Step.READ)
    trail.kind, trail.place = credential.kind, credential.place
    proof = yield from prove(
        credential,
        rules,
        connection=admission.connection,
        path=admission.path,
        origin=admission.origin,
        trail=trail,
        now=now,
    )
    if isinstance(proof, Deny):
        return proof
    principal, connection, _, now = proof
    if principal.identity != admission.principal.identity:
        return Deny(Reason.IDENTITY_CHANGED, Step.PROVE)
    if is_older(principal, held):
        return Deny(Reason.RENEWAL_REFUSED, Step.PROVE, note="older than the proof it would replace")
    fault = yield from banned(principal)
    if fault is not None:
        return fault
    current = yield from unrevoked(principal, rules, connection=connection, step=Step.REGISTER)
    if isinstance(current, Deny):
        return current
    principal, now = current
    fault = entitled(principal, route, admission.parameters)
    if fault is not None:
        return fault
    lease = leases.grant(
        route.lease,
        expires_at=principal.expires_at,
        renewable=admission.renewable,
        opened_at=opened_at,
        now=now,
    )
    return Renewal(principal, lease, route)


def is_older(new: Principal, held: Principal) -> bool:
    """One without an issue time is older than everything that has one, as in a revocation."""
    return held.issued_at is not None and (new.issued_at is None or new.issued_at < held.issued_at)
