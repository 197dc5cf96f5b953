"""The one predicate: whom a revocation names, what it withdraws, and what it lets pass."""

from dataclasses import replace
from math import inf, nan
from operator import attrgetter
from types import SimpleNamespace

import pytest

from doorward.core.revocation import MEMBERS, can_be_held, hits, is_holdable, keys_of, names, refusal, roles_of
from doorward.values.principal import Identity, Principal
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import IssuerRules
from tests.unit.core.making import ISSUER, principal

T = 1000.0
ALICE = principal(
    identity=Identity(ISSUER, "alice", "acme"), session="s1", token_id="j1", issued_at=T - 10, expires_at=T + 600
)
BARE = principal(identity=Identity(ISSUER, "bob"), issued_at=T - 10)
ISSUERS = {ISSUER: IssuerRules(issuer=ISSUER, audiences=("chat",), algorithms=frozenset({"HS256"}), skew=2.0)}


def revocation(
    kind: TargetKind = TargetKind.IDENTITY,
    value: str = "alice",
    *,
    effect: Effect = Effect.CLOSE,
    at: float = T,
    roles: tuple[str, ...] = (),
    sequence: int = 0,
    **narrow: str,
) -> Revocation:
    target = Target(kind, value, **narrow)
    return Revocation(target, at, effect, "test", expires_at=at + 600, roles=roles, sequence=sequence)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TargetKind.IDENTITY, "alice"),
        (TargetKind.SESSION, "s1"),
        (TargetKind.TOKEN, "j1"),
        (TargetKind.CONNECTION, "c1"),
        (TargetKind.TENANT, "acme"),
        (TargetKind.ISSUER, ISSUER),
    ],
)
class TestNames:
    def test_it_names_by_that_value_alone(self, kind, value) -> None:
        assert names(Target(kind, value), ALICE, "c1")
        assert not names(Target(kind, value + "x"), ALICE, "c1")
        assert not names(Target(kind, value.upper() + "!"), ALICE, "c1")
        others = [other for other in TargetKind if other is not kind]
        assert [other for other in others if names(Target(other, value), ALICE, "c1")] == []

    def test_issuer_and_tenant_narrow_it(self, kind, value) -> None:
        assert names(Target(kind, value, issuer=ISSUER, tenant="acme"), ALICE, "c1")
        assert not names(Target(kind, value, issuer="https://other.example/"), ALICE, "c1")
        assert not names(Target(kind, value, tenant="other"), ALICE, "c1")
        assert not names(Target(kind, value, tenant=""), ALICE, "c1")

    def test_whom_it_names_has_the_value_where_one_looks_first(self, kind, value) -> None:
        live = SimpleNamespace(principal=ALICE, connection="c1")
        assert attrgetter(MEMBERS[kind])(live) == value

    def test_an_index_finds_it(self, kind, value) -> None:
        assert (kind, value) in keys_of(ALICE, "c1")


@pytest.mark.parametrize("kind", [TargetKind.SESSION, TargetKind.TOKEN, TargetKind.TENANT])
def test_nothing_is_not_a_name(kind) -> None:
    """A proof without a session is not in the session "": a revocation of that would hit everybody."""
    assert not names(Target(kind, ""), BARE, "c1")
    assert kind not in {key for key, _ in keys_of(BARE, "c1")}


class TestWhatWasIssuedWhen:
    @pytest.mark.parametrize("kind", [TargetKind.IDENTITY, TargetKind.TENANT, TargetKind.ISSUER])
    @pytest.mark.parametrize(
        ("issued", "hit"),
        [(T - 600, True), (T, True), (T + 2, True), (T + 2.001, False), (T + 60, False), (None, True)],
    )
    def test_at_or_before_the_instant_and_the_skew(self, kind, issued, hit) -> None:
        """RV-13"""
        value = {TargetKind.IDENTITY: "alice", TargetKind.TENANT: "acme", TargetKind.ISSUER: ISSUER}[kind]
        proof = principal(identity=ALICE.identity, issued_at=issued)
        assert hits(revocation(kind, value), proof, "c1", ISSUERS) is hit

    def test_own_tokens_have_no_skew(self) -> None:
        own = {ISSUER: IssuerRules(issuer=ISSUER, audiences=(), algorithms=frozenset(), skew=0.0, own=True)}
        assert hits(revocation(at=T), principal(issued_at=T), "c1", own)
        assert not hits(revocation(at=T), principal(issued_at=T + 0.001), "c1", own)

    def test_an_issuer_that_nobody_knows_any_more(self) -> None:
        assert hits(revocation(), principal(issued_at=T), "c1", {})
        assert not hits(revocation(), principal(issued_at=T + 1), "c1", {})

    @pytest.mark.parametrize(
        ("kind", "value"), [(TargetKind.SESSION, "s1"), (TargetKind.TOKEN, "j1"), (TargetKind.CONNECTION, "c1")]
    )
    def test_a_session_token_or_connection_that_is_closed_never_comes_back(self, kind, value) -> None:
        later = principal(identity=ALICE.identity, session="s1", token_id="j1", issued_at=T + 9999)
        assert hits(revocation(kind, value), later, "c1", ISSUERS)

    @pytest.mark.parametrize("effect", [Effect.RENEW, Effect.ROLES])
    @pytest.mark.parametrize(
        ("kind", "value"), [(TargetKind.SESSION, "s1"), (TargetKind.TOKEN, "j1"), (TargetKind.CONNECTION, "c1")]
    )
    def test_one_that_shall_prove_again_may(self, kind, value, effect) -> None:
        """Effect renew wants something issued after; effect roles overrides what was issued before. Not for ever."""
        before, after = (
            principal(identity=ALICE.identity, session="s1", token_id="j1", issued_at=at) for at in (T, T + 60)
        )
        assert hits(revocation(kind, value, effect=effect), before, "c1", ISSUERS)
        assert not hits(revocation(kind, value, effect=effect), after, "c1", ISSUERS)


class TestRefusal:
    def test_the_first_that_bars(self) -> None:
        other, close = revocation(value="bob"), revocation()
        assert refusal([other, close], ALICE, "c1", ISSUERS) is close
        assert refusal([other], ALICE, "c1", ISSUERS) is None
        assert refusal([], ALICE, "c1", ISSUERS) is None

    def test_renew_bars_what_was_issued_before(self) -> None:
        renew = revocation(effect=Effect.RENEW)
        assert refusal([renew], ALICE, "c1", ISSUERS) is renew
        assert refusal([renew], principal(issued_at=T + 60), "c1", ISSUERS) is None

    def test_roles_bar_nobody(self) -> None:
        assert refusal([revocation(effect=Effect.ROLES)], ALICE, "c1", ISSUERS) is None


class TestRoles:
    def test_the_newest_that_hits_counts(self) -> None:
        def put(roles: tuple[str, ...], sequence: int, **more) -> Revocation:
            return revocation(effect=Effect.ROLES, roles=roles, sequence=sequence, **more)

        log = [put(("b",), 2), put(("c",), 3), put(("a",), 1), put(("d",), 4, value="bob"), put(("e",), 5, at=T - 60)]
        assert roles_of(log, ALICE, "c1", ISSUERS) == ("c",)
        assert roles_of(log, BARE, "c1", ISSUERS) == ("d",)
        assert roles_of([*log, put((), 6)], ALICE, "c1", ISSUERS) == ()

    def test_the_newest_is_the_one_made_last_whenever_it_became_durable(self) -> None:
        """One that the store of record could not take at once gets its place late: it overrides nothing newer."""

        def put(roles: tuple[str, ...], sequence: int, at: float) -> Revocation:
            return revocation(effect=Effect.ROLES, roles=roles, sequence=sequence, at=at)

        late, newer = put(("late",), 9, T), put(("newer",), 8, T + 1)
        assert roles_of([newer, late], ALICE, "c1", ISSUERS) == ("newer",)
        pending = put(("pending",), 0, T + 2)
        for log in ([newer, pending, late], [pending, late, newer]):
            assert roles_of(log, ALICE, "c1", ISSUERS) == ("pending",)
        assert roles_of([put(("no place",), 0, T), put(("first",), 1, T)], ALICE, "c1", ISSUERS) == ("no place",)

    def test_none_where_none_hits(self) -> None:
        late: Principal = principal(issued_at=T + 60)
        assert roles_of([revocation(effect=Effect.ROLES, roles=("a",))], late, "c1", ISSUERS) is None
        assert roles_of([revocation(), revocation(effect=Effect.RENEW)], ALICE, "c1", ISSUERS) is None


@pytest.mark.parametrize(
    ("text", "holdable"),
    [("", True), ("alice", True), ("\U0001f600" * 512, True), ("x" * 2049, False), ("a\0b", False), ("\ud800", False)],
)
def test_what_every_store_can_hold(text: str, holdable: bool) -> None:
    assert is_holdable(text) is holdable


def test_a_revocation_without_an_end_is_held_by_none() -> None:
    one = Revocation(Target(TargetKind.IDENTITY, "alice"), 0.0, Effect.CLOSE, "test", 100.0)
    assert can_be_held(one)
    assert not can_be_held(replace(one, expires_at=inf))
    assert not can_be_held(replace(one, instant=nan))
    assert not can_be_held(replace(one, target=Target(TargetKind.IDENTITY, "alice", tenant="\udcff")))
