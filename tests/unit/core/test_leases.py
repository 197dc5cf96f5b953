"""The lease arithmetic of PRODUCT section 7, by example; tests/property has its invariants."""

import pytest

from doorward.core.leases import grant, renew_now
from doorward.values.lease import Lease, LeaseTerms

NOW = 1000.0
TERMS = LeaseTerms(renew_every=600.0, grace=60.0, max=7200.0)


def granted(*, expires: float | None, renewable: bool = True, terms: LeaseTerms = TERMS, opened: float = NOW) -> Lease:
    return grant(terms, expires_at=expires, renewable=renewable, opened_at=opened, now=NOW)


@pytest.mark.parametrize(
    ("expires", "renew_at", "deadline"),
    [
        (NOW + 3600, NOW + 600, NOW + 660),  # renew_every comes first, and grace after it
        (NOW + 500, NOW + 440, NOW + 500),  # the expiry comes first: asked grace before it, and it ends there
        (NOW + 660, NOW + 600, NOW + 660),  # both at once
        (NOW + 90, NOW + 60, NOW + 90),  # grace is a third of what is left
        (NOW + 180, NOW + 120, NOW + 180),
        (NOW + 3, NOW + 2, NOW + 3),
        (NOW, NOW, NOW),
        (NOW - 5, NOW - 5, NOW - 5),  # over already: due and dead at once
        (None, NOW + 600, NOW + 660),  # a proof without an expiry
    ],
)
def test_who_can_renew_is_asked_in_time(expires, renew_at, deadline) -> None:
    assert granted(expires=expires) == Lease(NOW, renew_at, deadline, NOW + 7200)


@pytest.mark.parametrize("expires", [NOW + 3600, NOW + 10, None])
def test_who_cannot_is_not_asked_and_ends_with_the_credential_or_at_max(expires) -> None:
    assert granted(expires=expires, renewable=False) == Lease(NOW, None, expires, NOW + 7200)


def test_off_is_off() -> None:
    off = LeaseTerms(renew_every=None, grace=60.0, max=None)
    assert granted(expires=NOW + 3600, terms=off) == Lease(NOW, NOW + 3540, NOW + 3600, None)
    assert granted(expires=None, terms=off) == Lease(NOW, None, None, None)


def test_max_counts_from_the_opening_whatever_is_renewed() -> None:
    assert granted(expires=NOW + 3600, opened=NOW - 7000).ends_at == NOW + 200


class TestRenewNow:
    def test_due_at_once_with_the_routes_grace(self) -> None:
        lease = granted(expires=NOW + 3600)
        assert renew_now(lease, TERMS, expires_at=NOW + 3600, now=NOW + 5) == Lease(NOW, NOW + 5, NOW + 65, NOW + 7200)

    def test_never_past_what_held_before(self) -> None:
        lease = granted(expires=NOW + 3600)
        late = renew_now(lease, TERMS, expires_at=NOW + 3600, now=NOW + 640)
        assert late.deadline == lease.deadline == NOW + 660

    def test_never_past_the_credential(self) -> None:
        lease = Lease(NOW, None, None, None)
        assert renew_now(lease, TERMS, expires_at=NOW - 1, now=NOW).deadline == NOW - 1

    def test_grace_is_a_third_of_what_is_left_here_too(self) -> None:
        lease = granted(expires=NOW + 90, renewable=False)
        assert renew_now(lease, TERMS, expires_at=NOW + 90, now=NOW).deadline == NOW + 30

    def test_without_an_expiry_it_is_the_routes(self) -> None:
        lease = Lease(NOW, None, None, None)
        assert renew_now(lease, TERMS, expires_at=None, now=NOW) == Lease(NOW, NOW, NOW + 60, None)
