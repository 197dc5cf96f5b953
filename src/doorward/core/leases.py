"""The lease arithmetic: nothing outlives its credential, and whoever can renew is asked in time (PRODUCT section 7)."""

from doorward.values.lease import Lease, LeaseTerms


def grant(terms: LeaseTerms, *, expires_at: float | None, renewable: bool, opened_at: float, now: float) -> Lease:
    """The lease of a proof made at `now`. All instants are epoch seconds.

    Renewal falls due at the earlier of `renew_every` after the proof and `grace` before the credential's expiry;
    the connection ends `grace` later. Grace is at most a third of the credential's remaining life. A connection
    that can't renew is not asked, and ends with its credential or at `max`.
    """
    ends_at = None if terms.max is None else opened_at + terms.max
    if not renewable:
        return Lease(proven_at=now, renew_at=None, deadline=expires_at, ends_at=ends_at)
    grace = _grace(terms, expires_at, now)
    dues = []
    if terms.renew_every is not None:
        dues.append(now + terms.renew_every)
    if expires_at is not None:
        dues.append(expires_at - grace)
    if not dues:
        return Lease(proven_at=now, renew_at=None, deadline=None, ends_at=ends_at)
    renew_at = min(dues)
    deadline = renew_at + grace
    if expires_at is not None:
        deadline = min(deadline, expires_at)
    return Lease(proven_at=now, renew_at=renew_at, deadline=deadline, ends_at=ends_at)


def renew_now(lease: Lease, terms: LeaseTerms, *, expires_at: float | None, now: float) -> Lease:
    """A revocation with effect `renew`: due at once, with the grace of any renewal, never past what held before."""
    ends = [now + _grace(terms, expires_at, now)]
    ends += [end for end in (lease.deadline, expires_at) if end is not None]
    return Lease(proven_at=lease.proven_at, renew_at=now, deadline=min(ends), ends_at=lease.ends_at)


def postponed(lease: Lease, terms: LeaseTerms, *, expires_at: float | None, now: float) -> Lease:
    """A renewal was tried and could not be judged, for a store or verifier is away: who tries has another grace, and
    never beyond what the proof that is held lasts."""
    if lease.deadline is None:
        return lease
    later = max(lease.deadline, now + terms.grace)
    deadline = later if expires_at is None else min(later, expires_at)
    return Lease(proven_at=lease.proven_at, renew_at=lease.renew_at, deadline=deadline, ends_at=lease.ends_at)


def sooner(lease: Lease, *, by: float) -> Lease:
    """The same lease after the clock went back by so many seconds: it lasts no longer than it would have (RAT-06)."""

    def moved(instant: float | None) -> float | None:
        return None if instant is None else instant - by

    return Lease(
        proven_at=lease.proven_at - by,
        renew_at=moved(lease.renew_at),
        deadline=moved(lease.deadline),
        ends_at=moved(lease.ends_at),
    )


def _grace(terms: LeaseTerms, expires_at: float | None, now: float) -> float:
    return terms.grace if expires_at is None else min(terms.grace, max(0.0, expires_at - now) / 3)
