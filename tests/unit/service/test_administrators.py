"""Whoever uses the admin API is asked for anew at each request; who fails waits, who is good never does."""

import json
from dataclasses import replace
from ipaddress import ip_address

from doorward.core.handshakes import parse_head
from doorward.ports import StoreError, VerifierError
from doorward.service.administrators import RATE, Administrators, issue_admin_token
from doorward.testing import START, FakeEntropy
from doorward.values.administrator import Administrator, AdminRole
from doorward.values.audit import EventKind, Outcome
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire
from doorward.values.revocation import Target, TargetKind
from doorward.values.rules import ClusterLimits, IssuerRules, Rate
from tests.unit.service.world import GOOD, World, rules, segment, subject

OURS = "https://rt.example"
PEER = Wire(address=ip_address("192.0.2.7"))


class Signer:
    """Signs as the canned verifier likes it."""

    def sign(self, *, typ: str, claims: dict[str, object]) -> str:
        parts = ({"alg": "EdDSA", "kid": "k", "typ": typ}, claims)
        return ".".join([*(segment(json.dumps(part).encode()) for part in parts), segment(GOOD)])


def issue(role: AdminRole = AdminRole.OPERATOR, *, now: float = START, life: float = 600.0) -> str:
    token, _ = issue_admin_token(
        Signer(), name="ops", role=role, life=life, issuer=OURS, now=now, entropy=FakeEntropy()
    )
    return token


def asked(token: str | None, *, method: str = "GET", path: str = "/api/bans") -> Handshake:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    found = parse_head(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert isinstance(found, Handshake)
    return found


class Place:
    def __init__(self, *, most: int = 3) -> None:
        limits = ClusterLimits(refusals_per_address=Rate(most, 60.0, most))
        own = IssuerRules(OURS, ("chat",), frozenset({"Ed25519"}), skew=0.0, own=True)
        self.world = World(rules(limits=limits, issuers={OURS: own}))
        self.administrators = Administrators(watch=self.world.watch, store=self.world.store, answers=self.world.answers)

    async def admit(self, token: str | None, wire: Wire = PEER) -> Administrator | Deny:
        handshake = asked(token)
        return await self.administrators.admit(handshake, self.administrators.peer(wire, handshake))

    async def reason(self, token: str | None, wire: Wire = PEER) -> Reason:
        outcome = await self.admit(token, wire)
        assert isinstance(outcome, Deny)
        return outcome.reason


async def test_what_is_issued_is_what_comes_in() -> None:
    place = Place()
    for role in AdminRole:
        found = await place.admit(issue(role))
        assert isinstance(found, Administrator)
        assert (found.name, found.role, found.issued_at, found.expires_at) == ("ops", role, START, START + 600)


async def test_it_is_over_when_it_expires_or_is_revoked_and_at_once() -> None:
    place = Place()
    token = issue()
    assert isinstance(await place.admit(token), Administrator)
    found = await place.admit(token)
    assert isinstance(found, Administrator)
    await place.world.revoke(Target(TargetKind.TOKEN, found.token_id))
    assert await place.reason(token) is Reason.REVOKED_BEFORE
    other = Place()
    await other.world.revoke(subject("ops"))
    assert await other.reason(token) is Reason.REVOKED_BEFORE
    late = Place()
    late.world.clock.advance(600)
    assert await late.reason(token) is Reason.TOKEN_EXPIRED


async def test_who_fails_waits_and_who_is_good_never_does() -> None:
    place = Place(most=3)
    assert [await place.reason("a.b.c") for _ in range(3)] == [Reason.TOKEN_MALFORMED] * 3
    for token in ("a.b.c", None, issue(life=-1)):
        outcome = await place.admit(token)
        assert isinstance(outcome, Deny)
        assert outcome.reason is Reason.ADDRESS_REFUSALS
        assert outcome.retry_after is not None
    assert isinstance(await place.admit(issue()), Administrator), "its neighbour's noise is not its own"
    elsewhere = Wire(address=ip_address("192.0.2.8"))
    assert await place.reason(None, elsewhere) is Reason.CREDENTIAL_MISSING


async def test_its_rate_is_its_own() -> None:
    place = Place(most=1)
    await place.reason(None)
    wait = await place.world.store.rates.take(
        name="refusals_per_address", key="192.0.2.7", rate=Rate(1, 60.0, 1), cost=1, now=START
    )
    assert wait == 0.0, "the door counts by itself"
    wait = await place.world.store.rates.take(name=RATE, key="192.0.2.7", rate=Rate(1, 60.0, 1), cost=0, now=START)
    assert wait > 0.0


class Away:
    async def take(self, **_: object) -> float:
        raise StoreError("away")

    async def read(self, *, after: int) -> object:
        raise StoreError("away")


async def test_a_store_that_is_away_is_no_yes_and_costs_nobody() -> None:
    place = Place(most=1)
    place.world.withdrawals._log = Away()  # type: ignore[assignment]
    for _ in range(3):
        assert await place.reason(issue()) is Reason.STORE_UNAVAILABLE
    place.world.verifier.error = VerifierError("away")
    assert await place.reason(issue()) is Reason.VERIFIER_UNAVAILABLE
    place.world.verifier.error = KeyError("a bug")
    assert await place.reason(issue()) is Reason.INTERNAL
    place.world.store.rates = Away()
    assert await place.reason(None) is Reason.STORE_UNAVAILABLE


async def test_an_act_leaves_its_actor_and_a_stranger_leaves_no_name() -> None:
    place = Place()
    administrators, handshake = place.administrators, asked(issue(), method="POST")
    peer = administrators.peer(PEER, handshake)
    found = await place.admit(issue())
    assert isinstance(found, Administrator)
    administrators.done(handshake, peer, found, status=201, what="ban 1 \x1b[31m; before: none; after: ban 1")
    deny = Deny(Reason.PERMISSION, Step.PERMIT)
    administrators.refused(handshake, peer, deny, status=403, administrator=replace(found, role=AdminRole.VIEWER))
    administrators.refused(asked(None), peer, Deny(Reason.CREDENTIAL_MISSING, deny.step), status=401)
    administrators.refused(handshake, peer, Deny(Reason.STORE_UNAVAILABLE, deny.step), status=503, administrator=found)
    did, forbidden, stranger, failed = place.world.audited()
    assert (did.kind, did.outcome, did.status) == (EventKind.ADMIN, Outcome.DONE, 201)
    assert (did.issuer, did.subject, did.address, did.path) == (OURS, "ops", "192.0.2.7", "/api/bans")
    assert did.detail.startswith(f"operator jti={found.token_id} POST: ban 1 \\u001b[31m; before: none")
    assert (forbidden.kind, forbidden.outcome, forbidden.reason) == (EventKind.ADMIN, Outcome.REFUSED, "permission")
    assert forbidden.detail == f"viewer jti={found.token_id} POST"
    assert (stranger.kind, stranger.subject, stranger.status) == (EventKind.HTTP, "", 401)
    assert (failed.outcome, failed.status) == (Outcome.FAILED, 503)
