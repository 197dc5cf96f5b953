"""The door: the order of its thirteen steps, and what each of them asks, takes and refuses."""

import pytest

from doorward.core.admission import entitled
from doorward.core.proving import digest
from doorward.testing import Played
from doorward.values.admission import Admission, BackendAnswer
from doorward.values.audit import Trail
from doorward.values.ban import Ban
from doorward.values.credential import Kind, Place
from doorward.values.decision import MISSING, Allow, Decision, Deny, Found, Reason, Step, Unavailable
from doorward.values.lease import LeaseTerms
from doorward.values.peer import Wire
from doorward.values.principal import Identity
from doorward.values.question import (
    AskBan,
    AskRevocations,
    BackendFailed,
    FetchSession,
    OpenBackend,
    Question,
    Register,
    Slot,
    SlotsFull,
    SpendTicket,
    TakePending,
    TakeRate,
    TakeSlot,
    VerifySignature,
)
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import (
    ClusterLimits,
    Compression,
    ControlMessages,
    Limits,
    WhenFull,
    WithoutOrigin,
)
from doorward.values.session import Session
from doorward.values.ticket import SpentTicket, Ticket
from doorward.values.token import Signature
from tests.unit.core.making import CODE, ISSUER, NOW, handshake, knock, principal, route, rules, token

BAN = Ban(None, "alice", None, None, "test", NOW, None)
BY_TICKET = {"authorization": None}


def ticket(**changes) -> Ticket:
    base = {"digest": digest(CODE), "principal": principal(), "connection": "c-ticket", "issued_at": NOW - 5}
    return Ticket(**{**base, "expires_at": NOW + 25, **changes})


def allowed(played: Played[Decision]) -> Admission:
    assert isinstance(played.result, Allow), played.result
    return played.result.admission


def refused(played: Played[Decision]) -> tuple[Reason, Step]:
    assert isinstance(played.result, Deny), played.result
    return played.result.reason, played.result.step


def ban_of(who: str, answer: object):
    """AskBan is asked twice: of the address, and of the identity."""
    return lambda question: answer if (question.identity is None) == (who == "address") else MISSING


def rate_of(name: str, answer: object):
    return lambda question: answer if question.name == name else Found(0.0)


def revocation(effect: Effect = Effect.CLOSE, *, at: float = NOW, roles: tuple[str, ...] = ()) -> Revocation:
    return Revocation(Target(TargetKind.IDENTITY, "alice"), at, effect, "test", at + 600, roles=roles)


class TestTheOrder:
    def test_every_question_in_its_place(self) -> None:
        played = knock(handshake(), rules())
        allowed(played)
        assert played.kinds() == [
            TakePending,
            AskBan,
            TakeRate,
            TakeRate,  # 4
            VerifySignature,
            AskRevocations,  # 8
            AskBan,
            TakeRate,  # 10
            TakeSlot,
            OpenBackend,
            Register,
            AskRevocations,  # 11, 12, 13, 13
        ]
        names = [question.name for question in played.asked if isinstance(question, TakeRate)]
        assert names == ["refusals_per_address", "handshakes_per_address", "handshakes_per_subject"]

    FAULTS: tuple = (
        # (how the handshake changes, how the answers do, the step that answers), in the order of the steps
        ({"sec_websocket_version": "8"}, {}, Step.UPGRADE),
        ({"x_forwarded_for": "1.2.3.4"}, {}, Step.TRANSPORT),
        ({}, {AskBan: Found(BAN)}, Step.ADDRESS),
        ({"target": "/nowhere"}, {}, Step.ROUTE),
        ({"origin": "https://evil.example"}, {}, Step.ORIGIN),
        ({"cookie": "a=b", "authorization": "Nonsense x"}, {}, Step.READ),
        ({}, {VerifySignature: Found(Signature.BAD)}, Step.PROVE),
        ({}, {TakeRate: rate_of("handshakes_per_subject", Found(9.0))}, Step.PERMIT),
        ({}, {TakeSlot: Found(SlotsFull(Reason.SLOTS_IDENTITY))}, Step.SLOT),
        ({}, {OpenBackend: Found(BackendFailed(Reason.BACKEND_TIMEOUT))}, Step.BACKEND),
        ({}, {Register: MISSING}, Step.REGISTER),
    )

    @pytest.mark.parametrize("first", range(len(FAULTS)))
    def test_with_all_faults_from_one_on_that_one_answers(self, first) -> None:
        changes: dict = {}
        answers: dict = {}
        for change, answer, _ in reversed(self.FAULTS[first:]):
            changes, answers = {**changes, **change}, {**answers, **answer}
        target = changes.pop("target", "/chat/lobby")
        played = knock(handshake(target, **changes), rules(), answers)
        assert refused(played)[1] is self.FAULTS[first][2]

    def test_nothing_is_asked_after_a_refusal_and_nothing_before_the_address(self) -> None:
        for changes in ({"sec_websocket_version": "8"}, {"host": "evil.example"}, {"x_forwarded_for": "1.2.3.4"}):
            assert knock(handshake(**changes), rules()).asked == ()
        assert knock(handshake("/nowhere"), rules()).kinds() == [TakePending, AskBan, TakeRate, TakeRate]

    def test_the_origin_is_judged_before_any_credential_is_looked_at(self) -> None:
        """ORG-05: no oracle for credentials, and no ticket burnt by a stranger's page (TS-04)."""
        for change in ({}, {"authorization": "Bearer x, Bearer y"}, {"authorization": None}):
            played = knock(handshake(f"/chat/lobby?ticket={CODE}", origin="https://evil.example", **change), rules())
            assert refused(played) == (Reason.ORIGIN_UNLISTED, Step.ORIGIN)
            assert SpendTicket not in played.kinds()

    def test_the_trail_knows_what_was_shown_by_then(self) -> None:
        trail = Trail()
        knock(handshake("/nowhere?ticket=x", "User-Agent: ua"), rules(), trail=trail)
        assert (trail.path, trail.user_agent, trail.origin) == ("/nowhere", "ua", "https://app.example")
        assert (trail.peer is not None, trail.route, trail.kind) == (True, None, None)
        trail = Trail()
        knock(handshake(), rules(), {TakeSlot: Unavailable()}, trail=trail)
        assert (trail.kind, trail.place) == (Kind.TOKEN, Place.HEADER)
        assert (trail.identity, trail.connection) == (Identity(ISSUER, "alice"), "c-fresh")


class TestTheAddress:
    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            ({AskBan: ban_of("address", Found(BAN))}, Reason.ADDRESS_BANNED),
            ({AskBan: ban_of("address", Unavailable())}, Reason.STORE_UNAVAILABLE),
            ({TakePending: MISSING}, Reason.ADDRESS_PENDING),
            ({TakePending: Unavailable()}, Reason.STORE_UNAVAILABLE),
            ({TakeRate: rate_of("refusals_per_address", Found(3.5))}, Reason.ADDRESS_REFUSALS),
            ({TakeRate: rate_of("refusals_per_address", Unavailable())}, Reason.STORE_UNAVAILABLE),
            ({TakeRate: rate_of("handshakes_per_address", Found(0.1))}, Reason.ADDRESS_RATE),
            ({TakeRate: rate_of("handshakes_per_address", MISSING)}, Reason.STORE_UNAVAILABLE),
        ],
    )
    def test_what_stops_it(self, answers, reason) -> None:
        assert refused(knock(handshake(), rules(), answers)) == (reason, Step.ADDRESS)

    def test_the_wait_is_passed_on(self) -> None:
        played = knock(handshake(), rules(), {TakeRate: rate_of("handshakes_per_address", Found(3.5))})
        assert isinstance(played.result, Deny)
        assert played.result.retry_after == 3.5

    def test_a_refusal_is_only_looked_at_here_and_charged_by_whoever_refuses(self) -> None:
        asked = [question for question in knock(handshake(), rules()).asked if isinstance(question, TakeRate)]
        assert [(question.name, question.cost) for question in asked] == [
            ("refusals_per_address", 0),
            ("handshakes_per_address", 1),
            ("handshakes_per_subject", 1),
        ]

    def test_a_unix_socket_has_no_address_to_ban_but_a_name_to_count(self) -> None:
        played = knock(handshake(), rules(), wire=Wire(None))
        allowed(played)
        assert played.kinds()[0] is TakePending
        assert TakePending("unix", 20) in played.asked


class TestTheCredential:
    def test_none(self) -> None:
        assert refused(knock(handshake(authorization=None), rules())) == (Reason.CREDENTIAL_MISSING, Step.READ)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Found(Signature.BAD), Reason.TOKEN_SIGNATURE),
            (Found(Signature.KEY_UNKNOWN), Reason.TOKEN_KEY),
            (Found(Signature.KEY_UNFIT), Reason.TOKEN_KEY),
            (Unavailable("keys"), Reason.VERIFIER_UNAVAILABLE),
            (MISSING, Reason.VERIFIER_UNAVAILABLE),
            (Found(True), Reason.VERIFIER_UNAVAILABLE),
        ],
    )
    def test_only_a_good_signature_admits(self, answer, reason) -> None:
        played = knock(handshake(), rules(), {VerifySignature: answer})
        assert refused(played) == (reason, Step.PROVE)
        assert AskRevocations not in played.kinds()

    def test_it_is_judged_by_the_time_that_the_keys_took(self) -> None:
        late = handshake(authorization=f"Bearer {token(exp=int(NOW) + 5)}")
        assert refused(knock(late, rules(), pace=2.0)) == (Reason.TOKEN_EXPIRED, Step.PROVE)

    def test_a_ticket_lends_its_parent_and_its_connection_id(self) -> None:
        played = knock(handshake(f"/chat/lobby?ticket={CODE}", **BY_TICKET), rules(), {SpendTicket: Found(ticket())})
        found = allowed(played)
        assert (found.connection, found.kind, found.place) == ("c-ticket", Kind.TICKET, Place.QUERY)
        assert found.principal == principal()
        assert found.renewable
        assert SpendTicket(digest(CODE)) in played.asked
        slot = next(question for question in played.asked if isinstance(question, TakeSlot))
        assert slot.connection == "c-ticket"
        assert all(
            question.connection == "c-ticket" for question in played.asked if isinstance(question, AskRevocations)
        )

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (MISSING, Reason.TICKET_UNKNOWN),
            (Unavailable("store"), Reason.STORE_UNAVAILABLE),
            (Found(None), Reason.STORE_UNAVAILABLE),
            (Found(SpentTicket("c0", NOW - 1)), Reason.TICKET_SPENT),
            (Found(ticket(expires_at=NOW)), Reason.TICKET_EXPIRED),
            (Found(ticket(principal=principal(expires_at=NOW))), Reason.TICKET_EXPIRED),
            (Found(ticket(path="/chat/other")), Reason.TICKET_ELSEWHERE),
            (Found(ticket(origin="https://other.example")), Reason.TICKET_ELSEWHERE),
        ],
    )
    def test_a_ticket_that_does_not_hold(self, answer, reason) -> None:
        played = knock(handshake(f"/chat/lobby?ticket={CODE}", **BY_TICKET), rules(), {SpendTicket: answer})
        assert refused(played) == (reason, Step.PROVE)

    @pytest.mark.parametrize("kind", [Kind.PASSWORD])
    def test_what_is_not_built_is_refused_even_where_a_route_lists_it(self, kind) -> None:
        law = rules(route(credentials=frozenset({kind})))
        played = knock(handshake(authorization="Basic dTpw"), law)
        assert refused(played) == (Reason.CREDENTIAL_MISPLACED, Step.READ)


class TestRevocation:
    def test_step_8_refuses_what_was_withdrawn(self) -> None:
        played = knock(handshake(), rules(), {AskRevocations: Found((revocation(),))})
        assert refused(played) == (Reason.REVOKED_BEFORE, Step.PROVE)

    def test_step_13_refuses_what_was_withdrawn_meanwhile(self) -> None:
        """REV-02: registered first, then the log once more."""
        played = knock(handshake(), rules(), {AskRevocations: [Found(()), Found((revocation(),))]})
        assert refused(played) == (Reason.REVOKED_BEFORE, Step.REGISTER)
        assert played.kinds()[-2:] == [Register, AskRevocations]

    @pytest.mark.parametrize("time", [0, 1])
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Unavailable(), Reason.STORE_UNAVAILABLE),
            (MISSING, Reason.STORE_UNAVAILABLE),
            (Found([]), Reason.INTERNAL),
            (Found(None), Reason.INTERNAL),
        ],
    )
    def test_a_log_that_cannot_be_read_lets_nobody_in(self, time, answer, reason) -> None:
        answers = [Found(()), Found(())]
        answers[time] = answer
        step = (Step.PROVE, Step.REGISTER)[time]
        assert refused(knock(handshake(), rules(), {AskRevocations: answers})) == (reason, step)

    def test_other_roles_count_from_step_10_on(self) -> None:
        law = rules(route(permission="chat:join"))
        as_member = handshake(authorization=f"Bearer {token(roles=['member'])}")
        assert allowed(knock(as_member, law)).principal.roles == ("member",)
        stripped = {AskRevocations: Found((revocation(Effect.ROLES),))}
        assert refused(knock(as_member, law, stripped)) == (Reason.PERMISSION, Step.PERMIT)
        raised = {AskRevocations: Found((revocation(Effect.ROLES, roles=("moderator",)),))}
        found = allowed(knock(handshake(), law, raised))
        assert found.principal.roles == ("moderator",)
        assert found.principal.permissions == {"chat:*"}

    def test_roles_that_change_during_the_handshake_refuse_it(self) -> None:
        answers = {AskRevocations: [Found(()), Found((revocation(Effect.ROLES, roles=("member",)),))]}
        assert refused(knock(handshake(), rules(), answers)) == (Reason.REVOKED_BEFORE, Step.REGISTER)


class TestCsrf:
    SECRET = "csrf-token"
    SESSION = Session("s1", principal(kind=Kind.SESSION), digest(SECRET), NOW + 3600)
    LAW = rules(route(credentials=frozenset({Kind.SESSION}), places=frozenset({Place.COOKIE})))

    def enter(self, target: str = "/chat/lobby", *lines: str, **changes) -> Played[Decision]:
        cookie = {"cookie": "__Host-doorward=abc", "authorization": None}
        found = handshake(target, *lines, **{**cookie, **changes})
        return knock(found, self.LAW, {FetchSession: Found(self.SESSION)})

    def test_by_subprotocol_or_query(self) -> None:
        assert allowed(self.enter(f"/chat/lobby?csrf={self.SECRET}")).place is Place.COOKIE
        allowed(self.enter("/chat/lobby", f"Sec-WebSocket-Protocol: doorward.csrf.{self.SECRET}"))
        assert FetchSession(digest("abc")) in self.enter(f"/chat/lobby?csrf={self.SECRET}").asked

    @pytest.mark.parametrize(
        "target", ["/chat/lobby", "/chat/lobby?csrf=", "/chat/lobby?csrf=other", "/chat/lobby?x=1"]
    )
    def test_missing_or_foreign(self, target) -> None:
        assert refused(self.enter(target)) == (Reason.CSRF, Step.CSRF)

    def test_an_ambient_credential_needs_an_origin_whatever_the_route_says(self) -> None:
        """OR-08"""
        lenient = rules(
            route(
                credentials=frozenset({Kind.SESSION}),
                places=frozenset({Place.COOKIE}),
                without_origin=WithoutOrigin.ALLOW,
            )
        )
        found = handshake(cookie="__Host-doorward=abc", authorization=None, origin=None)
        played = knock(found, lenient, {FetchSession: Found(self.SESSION)})
        assert refused(played) == (Reason.ORIGIN_MISSING, Step.ORIGIN)
        assert FetchSession not in played.kinds()

    def test_the_lease_ends_with_the_session(self) -> None:
        """PRODUCT section 7: a session lends its end."""
        endless = Session("s1", principal(kind=Kind.SESSION, expires_at=None), digest(self.SECRET), NOW + 60)
        found = handshake(f"/chat/lobby?csrf={self.SECRET}", cookie="__Host-doorward=abc", authorization=None)
        admission = allowed(knock(found, self.LAW, {FetchSession: Found(endless)}))
        assert admission.principal.expires_at == admission.lease.deadline == NOW + 60


class TestPermission:
    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            ({AskBan: ban_of("identity", Found(BAN))}, Reason.IDENTITY_BANNED),
            ({AskBan: ban_of("identity", Unavailable())}, Reason.STORE_UNAVAILABLE),
            ({TakeRate: rate_of("handshakes_per_subject", Found(1.0))}, Reason.IDENTITY_RATE),
            ({TakeRate: rate_of("handshakes_per_subject", Unavailable())}, Reason.STORE_UNAVAILABLE),
        ],
    )
    def test_what_stops_an_identity(self, answers, reason) -> None:
        assert refused(knock(handshake(), rules(), answers)) == (reason, Step.PERMIT)

    def test_two_issuers_alice_are_counted_apart(self) -> None:
        asked = knock(handshake(), rules()).asked
        assert TakeRate("handshakes_per_subject", f"{ISSUER}\nalice\n", rules().limits.handshakes_per_subject) in asked
        assert AskBan(identity=Identity(ISSUER, "alice", "")) in asked

    def test_the_routes_permission(self) -> None:
        room = route(permission="rooms/{room}:join")
        inside = handshake(authorization=f"Bearer {token(scope='rooms/lobby:join')}")
        allowed(knock(inside, rules(room)))
        outside = handshake("/chat/other", authorization=f"Bearer {token(scope='rooms/lobby:join')}")
        assert refused(knock(outside, rules(room))) == (Reason.PERMISSION, Step.PERMIT)

    def test_entitled(self) -> None:
        own = route("/{tenant}/{room}", require=(("tenant", "{tenant}"), ("plan", "gold")))
        parameters = (("tenant", "acme"), ("room", "lobby"))
        gold = principal(identity=Identity(ISSUER, "alice", "acme"), claims={"plan": "gold"})
        assert entitled(gold, own, parameters) is None
        for other in (
            principal(identity=Identity(ISSUER, "alice", "other"), claims={"plan": "gold"}),
            principal(identity=Identity(ISSUER, "alice", ""), claims={"plan": "gold"}),
            principal(identity=Identity(ISSUER, "alice", "acme"), claims={"plan": "silver"}),
            principal(identity=Identity(ISSUER, "alice", "acme"), claims={"plan": ["gold"]}),
            principal(identity=Identity(ISSUER, "alice", "acme"), claims={"plan": None}),
            principal(identity=Identity(ISSUER, "alice", "acme")),
        ):
            found = entitled(other, own, parameters)
            assert found is not None
            assert (found.reason, found.step) == (Reason.CLAIM_REQUIRED, Step.PERMIT)

    @pytest.mark.parametrize("rest", ["public:secret", "public/a:b", "*", "public:*", ":"])
    def test_a_parameter_adds_no_part_and_no_wildcard_to_a_permission(self, rest) -> None:
        """{rest*} may hold a colon: "files:public:*" must not cover what a client writes after one of its own."""
        files = route("/files/{rest*}", permission="files:{rest}:read")
        reader = principal(permissions=frozenset({"files:public:*", "files:*:read", "files:public:*:read"}))
        found = entitled(reader, files, (("rest", rest),))
        assert found is not None
        assert found.reason is Reason.PERMISSION
        assert entitled(reader, files, (("rest", "public"),)) is None

    def test_nothing_is_no_claim_even_where_the_path_has_nothing(self) -> None:
        rest = route("/{rest*}", require=(("tenant", "{rest}"),))
        assert entitled(principal(), rest, (("rest", ""),)) is not None


class TestSlots:
    def test_what_is_asked(self) -> None:
        law = rules(
            route(limits=Limits(connections_per_subject=3)),
            limits=ClusterLimits(connections_per_subject=5, when_full=WhenFull.REPLACE_OLDEST),
        )
        slot = next(question for question in knock(handshake(), law).asked if isinstance(question, TakeSlot))
        assert slot == TakeSlot("c-fresh", Identity(ISSUER, "alice"), "127.0.0.1", 3, 100, WhenFull.REPLACE_OLDEST)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Found(SlotsFull(Reason.SLOTS_IDENTITY)), Reason.SLOTS_IDENTITY),
            (Found(SlotsFull(Reason.SLOTS_ADDRESS)), Reason.SLOTS_ADDRESS),
            (Unavailable(), Reason.STORE_UNAVAILABLE),
            (MISSING, Reason.STORE_UNAVAILABLE),
            (Found(None), Reason.STORE_UNAVAILABLE),
        ],
    )
    def test_only_a_slot_is_a_slot(self, answer, reason) -> None:
        assert refused(knock(handshake(), rules(), {TakeSlot: answer})) == (reason, Step.SLOT)

    def test_replacing_goes_on(self) -> None:
        allowed(knock(handshake(), rules(), {TakeSlot: Found(Slot(("c-old",)))}))


class TestTheBackend:
    def opened(self, played: Played[Decision]) -> OpenBackend:
        return next(question for question in played.asked if isinstance(question, OpenBackend))

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Found(BackendFailed(Reason.BACKEND_REFUSED, "404")), Reason.BACKEND_REFUSED),
            (Found(BackendFailed(Reason.BACKEND_TIMEOUT)), Reason.BACKEND_TIMEOUT),
            (Unavailable(), Reason.BACKEND_UNREACHABLE),
            (MISSING, Reason.BACKEND_UNREACHABLE),
            (Found(None), Reason.BACKEND_UNREACHABLE),
            (Found(BackendAnswer("never-offered")), Reason.BACKEND_NONSENSE),
            (Found(BackendAnswer("doorward.v1")), Reason.BACKEND_NONSENSE),
        ],
    )
    def test_what_is_no_answer(self, answer, reason) -> None:
        found = handshake("/chat/lobby", "Sec-WebSocket-Protocol: chat.v2, doorward.v1")
        played = knock(found, rules(), {OpenBackend: answer})
        assert refused(played) == (reason, Step.BACKEND)
        assert Register not in played.kinds()

    @pytest.mark.parametrize(
        ("offers", "chosen", "selected"),
        [
            (None, None, None),
            ("chat.v2", "chat.v2", "chat.v2"),
            ("chat.v2", None, None),
            ("chat.v2, doorward.v1", "chat.v2", "chat.v2"),
            ("chat.v2, doorward.v1", None, "doorward.v1"),
            ("chat.v2, doorward.plain", None, "doorward.plain"),
            ("doorward.plain, doorward.v1", None, "doorward.v1"),
        ],
    )
    def test_the_subprotocol(self, offers, chosen, selected) -> None:
        played = knock(handshake(sec_websocket_protocol=offers), rules(), {OpenBackend: Found(BackendAnswer(chosen))})
        assert allowed(played).protocol == selected
        assert self.opened(played).protocols == tuple(offer for offer in ("chat.v2",) if offer in (offers or ""))

    @pytest.mark.parametrize(
        ("mode", "offers", "on"),
        [
            (ControlMessages.OFFERED, "doorward.v1", True),
            (ControlMessages.OFFERED, "doorward.plain", False),
            (ControlMessages.OFFERED, None, False),
            (ControlMessages.ALWAYS, None, True),
            (ControlMessages.NEVER, "doorward.v1", False),
        ],
    )
    def test_control_messages(self, mode, offers, on) -> None:
        played = knock(handshake(sec_websocket_protocol=offers), rules(route(control_messages=mode)))
        assert allowed(played).controls is allowed(played).renewable is on

    @pytest.mark.parametrize(
        ("compression", "offers", "deflate"),
        [
            (Compression.PASS, None, True),
            (Compression.PASS, "doorward.v1", False),
            (Compression.REFUSE, None, False),
        ],
    )
    def test_compression(self, compression, offers, deflate) -> None:
        found = handshake(sec_websocket_protocol=offers, sec_websocket_extensions="permessage-deflate")
        answer = {OpenBackend: Found(BackendAnswer(None, "permessage-deflate"))}
        played = knock(found, rules(route(compression=compression)), answer)
        assert self.opened(played).deflate is deflate
        assert allowed(played).deflate == ("permessage-deflate" if deflate else None)


class TestRegistration:
    @pytest.mark.parametrize(
        ("answer", "reason"), [(MISSING, Reason.OVERLOADED), (Unavailable(), Reason.STORE_UNAVAILABLE)]
    )
    def test_no_room_in_the_table(self, answer, reason) -> None:
        assert refused(knock(handshake(), rules(), {Register: answer})) == (reason, Step.REGISTER)

    def test_what_is_registered_is_what_is_allowed(self) -> None:
        played = knock(handshake(), rules())
        assert Register(allowed(played)) in played.asked

    def test_the_lease_begins_when_the_backend_has_answered(self) -> None:
        law = rules(route(lease=LeaseTerms(renew_every=100.0, max=1000.0)))
        lease = allowed(knock(handshake(sec_websocket_protocol="doorward.v1"), law, pace=1.0)).lease
        assert (lease.proven_at, lease.renew_at, lease.ends_at) == (NOW + 10, NOW + 110, NOW + 1010)

    @pytest.mark.parametrize("spent", [8.0, 7.5])
    def test_nothing_is_let_in_that_ran_out_on_the_way(self, spent) -> None:
        """exp is exact, and a backend may take its time: a 101 after it would open what is over already."""
        short = handshake(authorization=f"Bearer {token(exp=int(NOW) + 60)}")
        played = knock(short, rules(), pace=spent)
        assert played.now >= NOW + 60
        assert refused(played) == (Reason.TOKEN_EXPIRED, Step.REGISTER)

    def test_nor_a_ticket_whose_parent_did(self) -> None:
        held = ticket(expires_at=NOW + 100, principal=principal(expires_at=NOW + 60))
        found = handshake(f"/chat/lobby?ticket={CODE}", **BY_TICKET)
        played = knock(found, rules(), {SpendTicket: Found(held)}, pace=7.5)
        assert refused(played) == (Reason.TICKET_EXPIRED, Step.REGISTER)

    def test_every_question_is_a_question(self) -> None:
        assert all(isinstance(question, Question) for question in knock(handshake(), rules()).asked)
