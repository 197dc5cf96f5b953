"""B1, the head: what another reader of it could take for something else is refused, at once and by a constant (HS)."""

import pytest

from tests.security.hostile.attacking import KEY, Peer, aftermath, before, enter, head, parse, refused
from tests.security.hostile.heads import HEADS
from tests.security.hostile.standing import Standing


@pytest.mark.parametrize(("heads", "status", "reason"), [pytest.param(*row[1:], id=row[0]) for row in HEADS])
def test_it_is_refused_and_leaves_nothing(siege: Standing, heads: tuple[bytes, ...], status: int, reason: str) -> None:
    token = siege.token(siege.name()).encode()
    refused(siege, *(sent.replace(b"Bearer @", b"Bearer " + token) for sent in heads), status=status, reason=reason)


def test_a_hand_in_the_method_is_told_which_one_to_use(siege: Standing) -> None:
    with Peer(siege) as peer:
        peer.send(head(method="TRACE", token=siege.token(siege.name()), X_Canary=siege.keep_secret("trace-canary")))
        assert peer.answer().headers["allow"] == "GET"


def test_hs09_head_gets_no_body(siege: Standing) -> None:
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(head(method="HEAD", token=siege.token(siege.name())))
        answer = peer.answer()
    assert (answer.status, answer.body) == (405, b"")
    assert [record["reason"] for record in aftermath(siege, was)] == ["method"]


def test_hs53_ten_million_empty_lines_cost_nothing(siege: Standing) -> None:
    was, memory = before(siege), siege.memory()
    with Peer(siege) as peer:
        peer.flood(b"\r\n" * 32768, most=20_000_000, within=2.0)
        peer.finish(3.0)
        assert parse(peer.data).status == 400
    assert [record["reason"] for record in aftermath(siege, was)] == ["head_grammar"]
    assert siege.memory() - memory < 4 << 20


@pytest.mark.parametrize("lead", [b"\r\n", b"\r\n\r\n"], ids=["one", "two"])
def test_hs53_one_or_two_are_forgiven(siege: Standing, lead: bytes) -> None:
    with Peer(siege) as peer:
        peer.send(lead + head(token=siege.token(siege.name())))
        peer.upgraded()


def test_hs13_no_body_said_once_is_no_body(siege: Standing) -> None:
    with enter(siege, siege.name(), Content_Length="0"):
        pass


def test_hs44_nothing_is_expected(siege: Standing) -> None:
    """`Expect` is neither answered by 100 nor passed on."""
    subject = siege.name()
    with enter(siege, subject, Expect="100-continue") as peer:
        assert b"100 " not in peer.data.partition(b"\r\n")[0]
    assert b"expect" not in siege.backend.head_of(subject).lower()


@pytest.mark.parametrize(
    "target",
    ["/ws/a%250d%250aSet-Cookie:a=b", "/raw/%25%30d", "/raw/a'b(c)!$&*+,;=:@", "/ws/a?x=%0d%0aSet-Cookie:%20a=b"],
)
def test_hs42_no_byte_of_the_target_comes_back(siege: Standing, target: str) -> None:
    """Let in or not: nothing of it is in our answer, and the backend sees it as it was sent."""
    subject = siege.name()
    with Peer(siege) as peer:
        peer.send(head(target, token=siege.token(subject)))
        peer.until(lambda data: b"\r\n\r\n" in data)
        assert b"Set-Cookie" not in peer.data
        if parse(peer.data).status == 101:
            assert siege.backend.head_of(subject).startswith(f"GET {target} HTTP/1.1\r\n".encode())


FORGED = [
    "X_Auth_User: admin",
    "x-auth_user: admin",
    "X-Auth-User: admin",
    "X-AUTH.USER: admin",
    "X-Doorward-Subject: admin",
    "X_Doorward_Subject: admin",
    "x-doorward_roles: admin",
    "X.Doorward.Roles: admin",
    "X-Doorward-Assertion: eyJ.admin",
    "X-Remote-User: admin",
    "Remote-User: admin",
    "Remote_User: admin",
    "X-Authenticated-Roles: admin",
    "X-Original-URL: /admin/a",
    "X-Rewrite-URL: /admin/a",
    "X-Host: admin.example",
    "Client-Cert: :MIIBadmin:",
    "X-SSL-Client-S-DN: CN=admin",
    "X-Client-Cert: admin",
    "Content_Length: 5",
    "Transfer_Encoding: admin",
    "Proxy: http://admin.example",
    "Sec_WebSocket_Protocol: admin",
]


def test_hs30_px13_px18_nobody_brings_an_identity_of_his_own(siege: Standing) -> None:
    """The backend sees our values alone, each once, whatever a client wrote and however it spelt it."""
    subject = siege.name()
    with enter(siege, subject, extra=FORGED, claims={"roles": ["member"]}):
        pass
    seen = siege.backend.head_of(subject).decode()
    assert "admin" not in seen
    assert seen.lower().count("x-doorward-subject:") == 1
    assert "X-Doorward-Roles: member\r\n" in seen
    assert seen.lower().count("\r\nhost:") == 1


@pytest.mark.parametrize(
    "named",
    [
        "Upgrade, Authorization",
        "Upgrade, X-Doorward-Subject, X-Doorward-Roles",
        "Upgrade, X-Forwarded-For, Forwarded, Host",
        "Upgrade, Origin, Sec-WebSocket-Key, Cookie",
        "Upgrade, X-Doorward-Assertion, Sec-WebSocket-Version",
    ],
)
def test_hs18_what_connection_names_is_not_struck_out_of_ours(siege: Standing, named: str) -> None:
    subject = siege.name()
    with enter(siege, subject, Connection=named, Cookie="app=1"):
        pass
    seen = siege.backend.head_of(subject).decode().lower()
    for name in (
        f"x-doorward-subject: {subject}",
        "x-doorward-roles:",
        "x-forwarded-for: 127.0.0.1",
        "forwarded: for=",
        "host: gw.test",
        "origin: https://app.test",
        f"sec-websocket-key: {KEY.lower()}",
        "x-doorward-assertion: ey",
        "cookie: app=1",
    ):
        assert f"\r\n{name}" in seen, name
    assert "authorization" not in seen


def test_hs18_a_stripped_credential_is_none(siege: Standing) -> None:
    """A proxy that takes Connection at its word leaves a request without a credential: 401, and nobody anonymous."""
    refused(siege, head(Connection="Upgrade, Authorization"), status=401, reason="credential_missing")
