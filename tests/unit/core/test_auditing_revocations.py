"""What the audit says of revocations: whom they name in its place, cleaned, and no token whole."""

from dataclasses import replace
from typing import Any

import pytest

from doorward.core.auditing_revocations import made_durable, notices_refused, revoked
from doorward.values.audit import EventKind, Outcome
from doorward.values.revocation import Effect, Revocation, Target, TargetKind


def revocation(target: Target, **more: Any) -> Revocation:
    return Revocation(target, 100.0, Effect.CLOSE, "left\nthe company", 200.0, by="op", sequence=7, **more)


@pytest.mark.parametrize(
    ("target", "members"),
    [
        (Target(TargetKind.IDENTITY, "ali\nce", "https://i", "acme"), ("ali\\u000ace", "https://i", "acme")),
        (Target(TargetKind.IDENTITY, "alice"), ("alice", "", "")),
        (Target(TargetKind.ISSUER, "https://i"), ("", "https://i", "")),
        (Target(TargetKind.TENANT, "acme", issuer="https://i"), ("", "https://i", "acme")),
    ],
)
def test_it_names_whom_it_hits(target: Target, members: tuple[str, str, str]) -> None:
    event = revoked(revocation(target), "done", hit=2)
    assert (event.subject, event.issuer, event.tenant) == members
    assert (event.kind, event.outcome, event.reason) == (
        EventKind.REVOCATION,
        Outcome.DONE,
        f"{target.kind.value}_close",
    )
    assert (event.detail, event.count) == ("done", 2)


def test_a_session_and_a_connection_have_places_and_a_token_is_masked() -> None:
    assert revoked(revocation(Target(TargetKind.SESSION, "s1")), "", hit=1).session == "s1"
    assert revoked(revocation(Target(TargetKind.CONNECTION, "c1")), "", hit=1).connection == "c1"
    whole = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
    detail = revoked(revocation(Target(TargetKind.TOKEN, whole)), "done", hit=1).detail
    assert detail.startswith("done; token ")
    assert whole not in detail


def test_what_was_made_durable_late_says_when_and_by_whom() -> None:
    event = made_durable(revocation(Target(TargetKind.IDENTITY, "alice")), now=102.55)
    assert event.detail == "log 7: left\\u000athe company; durable after 2.5 s; by op"
    assert event.count == 0


def test_a_cause_that_may_be_a_secret_is_masked() -> None:
    given = replace(revocation(Target(TargetKind.IDENTITY, "alice")), cause="token=abc")
    assert made_durable(given, now=101.0).detail == "log 7: token=***; durable after 1.0 s; by op"


def test_refused_notices_are_a_number() -> None:
    event = notices_refused("forged", 300)
    assert (event.kind, event.outcome, event.reason, event.count) == (
        EventKind.REVOCATION,
        Outcome.REFUSED,
        "notice_refused",
        300,
    )
    assert event.detail == "entries of the revocation feed dropped: forged"
