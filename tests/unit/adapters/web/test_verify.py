"""GET /auth/verify as a proxy sees it: 200 with every identity header, or 401, or 403, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from doorward.core.endings import ENDINGS
from doorward.values.admission import Admission
from doorward.values.credential import Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.lease import Lease
from doorward.values.peer import Peer
from doorward.values.principal import Identity, Principal
from doorward.values.rules import PathPattern, Route
from tests.unit.adapters.web.asking import BEARER, HOST, ORIGIN, TOKEN, Answer, FakeDoor, Site, ask, scope_of

ROUTE = Route(PathPattern("/chat", (("chat", False),)), None)
ALICE = Principal(Identity("https://login.example/", "alice"), Kind.TOKEN, issued_at=1790000000.0, expires_at=None)
HEADERS = {"issuer", "subject", "roles", "permissions", "tenant", "session", "expires"}


def door(principal: Principal = ALICE) -> FakeDoor:
    """Lets everybody in, as this principal."""
    return FakeDoor(
        Admission(
            connection="c" * 22,
            principal=principal,
            lease=Lease(proven_at=0.0, renew_at=None, deadline=None, ends_at=None),
            route=ROUTE,
            path="/chat",
            parameters=(),
            peer=Peer(address=None, direct=None, secure=True),
            origin=None,
            kind=Kind.TOKEN,
            place=Place.HEADER,
            controls=False,
            renewable=False,
        )
    )


def told(answer: Answer) -> dict[str, str]:
    return {name[11:]: value for name, value in answer.headers if name.startswith("x-doorward-")}


async def test_it_tells_who_they_are_in_all_seven_headers() -> None:
    whole = replace(
        ALICE,
        identity=Identity("https://login.example/", "a,b c", "acme"),
        expires_at=1790000600.9,
        session="s-1",
        roles=("member", "möbel"),
        permissions=frozenset({"chat:join", "chat:*"}),
    )
    answer = await Site(door=door(whole)).ask("GET", "/auth/verify", BEARER)
    assert (answer.status, answer.body) == (200, b"")
    assert told(answer) == {
        "issuer": "https://login.example/",
        "subject": "a%2Cb%20c",
        "tenant": "acme",
        "roles": "member,m%C3%B6bel",
        "permissions": "chat:*,chat:join",
        "session": "s-1",
        "expires": "1790000600",
    }


async def test_a_header_without_a_value_is_there_all_the_same() -> None:
    answer = await Site(door=door()).ask("GET", "/auth/verify", BEARER)
    assert told(answer).keys() == HEADERS
    assert [name for name, value in told(answer).items() if value] == ["issuer", "subject"]


@pytest.mark.parametrize("target", ["/auth/verify", "/auth/verify/", "/auth/verify/chat?ticket=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PROPFIND"])
async def test_it_is_the_doors_to_decide_whatever_the_method(method: str, target: str) -> None:
    site = Site()
    answer = await site.ask(method, target, ("origin", ORIGIN))
    assert (answer.status, len(site.door.asked)) == (401, 1)
    assert (site.door.asked[0].method, site.door.asked[0].target) == (method, target)


@pytest.mark.parametrize("reason", Reason)
async def test_a_refusal_is_401_or_403_and_names_its_ending(reason: Reason) -> None:
    answer = await Site(door=FakeDoor(Deny(reason, Step.READ, retry_after=2.5))).ask("GET", "/auth/verify")
    status = 401 if reason is Reason.CREDENTIAL_MISSING else 403
    assert (answer.status, answer.json["status"]) == (status, status)
    assert (answer.json["reason"], answer.json["retry_after"]) == (ENDINGS[reason].name, 3)
    assert answer.one("retry-after") == "3"
    assert (answer.one("www-authenticate") is not None) is (status == 401)
    assert (answer.one("allow"), told(answer)) == (None, {})


async def test_one_that_helps_nobody_to_wait_says_nothing_of_it() -> None:
    answer = await Site().ask("GET", "/auth/verify")
    assert (answer.one("retry-after"), "retry_after" in answer.json) == (None, False)


async def test_what_can_not_be_read_is_refused_and_told_to_the_door() -> None:
    site = Site()
    answer = await site.ask("GET", "/auth/verify", BEARER, BEARER)
    assert (answer.status, answer.json["reason"]) == (403, "malformed")
    assert [deny.reason for deny in site.door.refused] == [Reason.HEADER_DUPLICATED]
    assert site.door.asked == []


async def test_a_bug_of_ours_is_a_refusal() -> None:
    bug = RuntimeError("a secret")
    site = Site(door=FakeDoor(breaks=bug))
    answer = await site.ask("GET", "/auth/verify")
    assert (answer.status, answer.json["reason"], site.faults) == (403, "internal", [bug])
    assert b"secret" not in answer.body


@pytest.mark.parametrize("door", [door(), FakeDoor()], ids=["200", "401"])
async def test_nobody_keeps_it_or_reads_it_from_a_page(door: FakeDoor) -> None:
    answer = await Site(door=door).ask("GET", "/auth/verify", BEARER, ("origin", ORIGIN))
    assert answer.one("cache-control") == "no-store"
    assert answer.one("connection") == "close"
    assert answer.one("access-control-allow-origin") is None
    assert TOKEN not in str(answer.headers)


async def test_where_our_endpoints_are_off_there_is_none() -> None:
    site = Site(door=door()).with_rules(prefix="")
    assert (await site.ask("GET", "/auth/verify")).status == 404
    moved = Site(door=door()).with_rules(prefix="/door")
    assert (await moved.ask("GET", "/door/verify")).status == 200


def socket_scope(*headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    """What a server makes of a request that kept its Upgrade (ECOSYSTEM, trap 2)."""
    scope = scope_of("GET", "/auth/verify", [("host", HOST), ("upgrade", "websocket"), *headers])
    del scope["method"]
    return scope | {"type": "websocket", "scheme": "ws"} | more


@pytest.mark.parametrize(("door", "status"), [(door(), 200), (FakeDoor(), 401)])
async def test_a_socket_that_a_server_made_of_it_is_answered_as_http(door: FakeDoor, status: int) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    scope = socket_scope(BEARER, extensions={"websocket.http.response": {}})
    await Site(door=door).app(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert sent[0]["status"] == status
    assert (b"x-doorward-subject", b"alice") in sent[0]["headers"] or status == 401


async def test_a_server_that_can_not_answer_a_socket_refuses_it() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    vouching = door()
    await Site(door=vouching).app(socket_scope(BEARER), receive, send)
    assert (sent, vouching.asked) == (["websocket.close"], [])


async def test_asking_goes_by_no_other_path() -> None:
    for target in ("/auth/verifyx", "/auth/verif", "/verify", "/auth//verify"):
        site = Site(door=door())
        answer = await ask(site.app, scope_of("GET", target, [("host", HOST)]))
        assert answer.status in (400, 404)
        assert site.door.asked == []
