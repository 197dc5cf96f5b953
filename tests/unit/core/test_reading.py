"""Step 7: one explicit credential in its place, or the ambient one; two are refused, never combined."""

import base64

import pytest

from doorward.core.reading import cookie_pairs, csrf_of, query_pairs, read
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.rules import Route
from tests.unit.core.making import CODE, handshake, route

EVERYWHERE = route(
    credentials=frozenset(Kind) - {Kind.CERTIFICATE}, places=frozenset(Place) - {Place.BODY, Place.TLS, Place.MESSAGE}
)
SESSION = route(credentials=frozenset({Kind.TOKEN, Kind.SESSION}), places=frozenset({Place.HEADER, Place.COOKIE}))
TOKEN = "doorward.token." + base64.urlsafe_b64encode(b"a.b.c").rstrip(b"=").decode()
TICKET = f"doorward.ticket.{CODE}"


def shown(
    *lines: str, target: str = "/chat/lobby", authorization: str | None = None, route: Route = EVERYWHERE
) -> tuple[Kind, Place, str] | Reason:
    found = read(handshake(target, *lines, authorization=authorization), route)
    if isinstance(found, Credential):
        return found.kind, found.place, found.secret.expose()
    assert isinstance(found, Deny)
    assert found.step is Step.READ
    return found.reason


def offer(*offers: str) -> str:
    return f"Sec-WebSocket-Protocol: {', '.join(offers)}"


class TestWhereOneMayStand:
    @pytest.mark.parametrize("value", ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c"])
    def test_bearer(self, value) -> None:
        assert shown(authorization=value) == (Kind.TOKEN, Place.HEADER, "a.b.c")

    def test_basic(self) -> None:
        assert shown(authorization="Basic dTpw") == (Kind.PASSWORD, Place.HEADER, "dTpw")

    def test_in_the_query(self) -> None:
        assert shown(target="/chat/lobby?token=a.b.c") == (Kind.TOKEN, Place.QUERY, "a.b.c")
        assert shown(target="/chat/lobby?access_token=a.b.c") == (Kind.TOKEN, Place.QUERY, "a.b.c")
        assert shown(target=f"/chat/lobby?x=1&ticket={CODE}&y") == (Kind.TICKET, Place.QUERY, CODE)

    def test_in_the_subprotocols(self) -> None:
        assert shown(offer("chat.v2", TOKEN)) == (Kind.TOKEN, Place.SUBPROTOCOL, "a.b.c")
        assert shown(offer("doorward.v1", TICKET)) == (Kind.TICKET, Place.SUBPROTOCOL, CODE)
        assert shown(offer("doorward.plain"), offer(TICKET)) == (Kind.TICKET, Place.SUBPROTOCOL, CODE)

    def test_in_a_cookie(self) -> None:
        assert shown("Cookie: a=b; __Host-doorward=s1; c=d") == (Kind.SESSION, Place.COOKIE, "s1")
        assert shown("Cookie: a=b", "Cookie: __Host-doorward=s1") == (Kind.SESSION, Place.COOKIE, "s1")

    @pytest.mark.parametrize("name", ["%74oken", "tok%65n", "t%6fken"])
    def test_no_spelling_of_a_name_hides_it(self, name) -> None:
        assert shown(target=f"/chat/lobby?{name}=a.b.c") == (Kind.TOKEN, Place.QUERY, "a.b.c")

    def test_nothing_shown(self) -> None:
        assert shown() is Reason.CREDENTIAL_MISSING
        assert shown("Cookie: other=1", offer("chat.v2", "doorward.v1")) is Reason.CREDENTIAL_MISSING
        assert shown(target="/chat/lobby?Token=x&tickets=y&x=token=z") is Reason.CREDENTIAL_MISSING

    @pytest.mark.parametrize(
        "cookie", ["__host-doorward=s", "__Host-Doorward=s", '"__Host-doorward"=s', "$Version=1", "x__Host-doorward=s"]
    )
    def test_a_cookie_has_one_name(self, cookie) -> None:
        assert shown(f"Cookie: {cookie}") is Reason.CREDENTIAL_MISSING


class TestTwo:
    @pytest.mark.parametrize(
        ("lines", "target", "authorization"),
        [
            ([], "/chat/lobby?token=x", "Bearer a.b.c"),
            ([], f"/chat/lobby?ticket={CODE}", "Bearer a.b.c"),
            ([], f"/chat/lobby?ticket={CODE}&ticket={CODE}", None),
            ([], "/chat/lobby?token=x&access_token=x", None),
            ([], "/chat/lobby?token=x&%74oken=x", None),
            ([offer(TOKEN)], "/chat/lobby", "Bearer a.b.c"),
            ([offer(TOKEN, TICKET)], "/chat/lobby", None),
            ([offer(TOKEN), offer(TICKET)], "/chat/lobby", None),
            ([offer(TICKET)], f"/chat/lobby?ticket={CODE}", None),
            ([offer(TICKET)], "/chat/lobby", "Basic dTpw"),
            ([], "/chat/lobby", "Bearer GOOD, Bearer BAD"),
            ([], "/chat/lobby", "Bearer GOOD,Basic BAD"),
        ],
    )
    def test_explicit_ones_are_refused(self, lines, target, authorization) -> None:
        assert shown(*lines, target=target, authorization=authorization) is Reason.CREDENTIAL_REPEATED

    @pytest.mark.parametrize(
        "lines",
        [
            ["Cookie: __Host-doorward=a; __Host-doorward=b"],
            ["Cookie: __Host-doorward=a; __Host-doorward=a"],
            ["Cookie: __Host-doorward=a", "Cookie: __Host-doorward=b"],
        ],
    )
    def test_sessions_are_refused(self, lines) -> None:
        assert shown(*lines) is Reason.CREDENTIAL_REPEATED

    def test_the_explicit_one_counts_beside_a_cookie_and_they_are_never_combined(self) -> None:
        found = shown("Cookie: __Host-doorward=s", authorization="Bearer a.b.c")
        assert found == (Kind.TOKEN, Place.HEADER, "a.b.c")


class TestMisplaced:
    DEFAULT = route()

    @pytest.mark.parametrize("name", ["token", "access_token", "%61ccess_token"])
    def test_a_token_in_a_url_is_told_apart(self, name) -> None:
        assert shown(target=f"/chat/lobby?{name}=a.b.c", route=self.DEFAULT) is Reason.TOKEN_IN_URL

    def test_a_ticket_may_always_come_by_query(self) -> None:
        assert shown(target=f"/chat/lobby?ticket={CODE}", route=self.DEFAULT) == (Kind.TICKET, Place.QUERY, CODE)

    def test_but_only_where_the_route_takes_tickets(self) -> None:
        only = route(credentials=frozenset({Kind.TOKEN}))
        assert shown(target=f"/chat/lobby?ticket={CODE}", route=only) is Reason.CREDENTIAL_MISPLACED

    @pytest.mark.parametrize("value", ["Basic dTpw", "Digest x", "Negotiate x", "DPoP x", "a.b.c", "", "Bearer\ta.b.c"])
    def test_a_kind_that_the_route_does_not_list(self, value) -> None:
        assert shown(authorization=value, route=self.DEFAULT) is Reason.CREDENTIAL_MISPLACED

    def test_a_place_that_the_route_does_not_list(self) -> None:
        by_ticket = route(places=frozenset({Place.SUBPROTOCOL}))
        assert shown(authorization="Bearer a.b.c", route=by_ticket) is Reason.CREDENTIAL_MISPLACED
        by_header = route(places=frozenset({Place.HEADER}))
        assert shown(offer(TOKEN), route=by_header) is Reason.CREDENTIAL_MISPLACED
        assert shown(offer(TICKET), route=by_header) is Reason.CREDENTIAL_MISPLACED

    def test_an_ambient_one_that_it_does_not_list_is_no_fault_and_no_credential(self) -> None:
        assert shown("Cookie: __Host-doorward=s", route=self.DEFAULT) is Reason.CREDENTIAL_MISSING

    def test_a_session_counts_where_both_its_kind_and_its_place_are_listed(self) -> None:
        assert shown("Cookie: __Host-doorward=s", route=SESSION) == (Kind.SESSION, Place.COOKIE, "s")
        nowhere = route(credentials=frozenset({Kind.TOKEN, Kind.SESSION}), places=frozenset({Place.HEADER}))
        assert shown("Cookie: __Host-doorward=s", route=nowhere) is Reason.CREDENTIAL_MISSING


class TestUnreadable:
    def test_bearer_of_nothing(self) -> None:
        assert shown(authorization="Bearer") is Reason.CREDENTIAL_MALFORMED

    @pytest.mark.parametrize("value", ["Bearer  a.b.c", "Bearer a b", "Bearer é", 'Bearer "a.b.c"', "Bearer a=b"])
    def test_what_is_no_token_is_shown_all_the_same_and_left_to_step_8(self, value) -> None:
        raw = value.encode().decode("latin-1")
        assert shown(authorization=raw) == (Kind.TOKEN, Place.HEADER, "")

    @pytest.mark.parametrize("text", ["", "!", "a", "w6k", "x.y", "Y*Q"])
    def test_a_token_offer_that_does_not_decode(self, text) -> None:
        assert shown(offer(f"doorward.token.{text}")) == (Kind.TOKEN, Place.SUBPROTOCOL, "")

    @pytest.mark.parametrize("code", ["", "A" * 42, "A" * 44, "A" * 42 + "*", "A" * 3900])
    def test_a_code_that_no_ticket_has(self, code) -> None:
        assert shown(target=f"/chat/lobby?ticket={code}") == (Kind.TICKET, Place.QUERY, "")
        assert shown(offer(f"doorward.ticket.{code}")) == (Kind.TICKET, Place.SUBPROTOCOL, "")

    @pytest.mark.parametrize("name", ["doorward.", "doorward.v2", "doorward.auth", "doorward.tokens.x"])
    def test_an_offer_of_ours_that_nobody_knows(self, name) -> None:
        assert shown(offer(name)) is Reason.PROTOCOLS_MALFORMED

    def test_case_is_not_folded(self) -> None:
        assert shown(offer("Doorward.v1", "DOORWARD.TICKET.x")) is Reason.CREDENTIAL_MISSING


@pytest.mark.parametrize(
    ("lines", "target", "proof"),
    [
        ([offer("doorward.csrf.abc")], "/", "abc"),
        ([], "/?csrf=abc", "abc"),
        ([], "/?%63srf=a%62c", "abc"),
        ([], "/", None),
        ([offer("doorward.csrf.abc")], "/?csrf=abc", None),
        ([], "/?csrf=a&csrf=a", None),
        ([offer("doorward.csrf.a", "doorward.csrf.b")], "/", None),
        ([], "/?CSRF=abc", None),
    ],
)
def test_csrf_of(lines, target, proof) -> None:
    found = csrf_of(handshake(target, *lines))
    assert (None if found is None else found.expose()) == proof


def test_query_pairs() -> None:
    assert list(query_pairs("")) == []
    assert list(query_pairs("a=1&b&c=&=d&a=2&e=f=g&%20h=+i")) == [
        ("a", "1"),
        ("b", ""),
        ("c", ""),
        ("", "d"),
        ("a", "2"),
        ("e", "f=g"),
        (" h", " i"),
    ]


def test_cookie_pairs() -> None:
    found = handshake("/", 'Cookie: a=1;b="2" ; c', "Cookie: d=e=f;")
    assert list(cookie_pairs(found)) == [("a", "1"), ("b", '"2"'), ("c", ""), ("d", "e=f"), ("", "")]
