"""B1, the head: what another reader of it could take for something else is refused, at once and by a constant (HS)."""

import pytest

from tests.security.hostile.attacking import KEY, Peer, aftermath, before, enter, head, parse, refused
from tests.security.hostile.standing import Standing

Row = tuple[str, tuple[bytes, ...], int, str]


def rows(name: str, status: int, reason: str, *heads: bytes) -> list[Row]:
    return [(name, heads, status, reason)]


# `Bearer @` in each is where the token goes: every head shows a good one, so that only what is named is wrong with it.
HOSTS = [
    *rows("HS-01-no-host", 400, "host_malformed", head(token="@", drop=["Host"])),
    *rows(
        "HS-02-two-hosts",
        400,
        "header_duplicated",
        head(token="@", extra=["Host: evil.example"]),
        head(token="@", Host="evil.example", extra=["Host: gw.test"]),
        head(token="@", extra=["Host: gw.test"]),
    ),
    *rows("HS-04-other-host", 421, "host_foreign", head(token="@", Host="other.example")),
    *rows(
        "HS-05-host-form",
        400,
        "host_malformed",
        *(
            head(token="@", Host=host)
            for host in (
                "u@gw.test",
                "gw.test:0",
                "gw.test:99999",
                "gw.test:443:443",
                "[::1",
                "",
                "gw.test/evil",
                "gw.test?x",
                "gw.test#x",
                "gw.test, evil.example",
                "gw.test:",
                "gw_test",
                "gw%2etest",
                "\uff47w.test",
            )
        ),
    ),
    *rows("HS-05-host-dot", 421, "host_foreign", head(token="@", Host="gw.test.")),
]
LINES = [
    *rows("HS-06-http-1.0", 400, "http_version", head(token="@", version="HTTP/1.0")),
    *rows("HS-08-h2-preface", 400, "target_malformed", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    *rows(
        "HS-09-method",
        405,
        "method",
        *(
            head(token="@", method=method)
            for method in ("POST", "PUT", "TRACE", "OPTIONS", "CONNECT", "get", "GETX", "Q" * 300)
        ),
    ),
    *rows("HS-09-method-form", 400, "head_grammar", head(token="@", method="G(T"), head(token="@", method="G\x1bT")),
    *rows("HS-48-version", 400, "http_version", head(token="@", version="HTTP/2.0"), head(version="HTTP/0.9")),
    *rows(
        "HS-48-version-form",
        400,
        "head_grammar",
        *(
            head(token="@", version=version)
            for version in (
                "HTTP/1.32",
                "HTTP/1.1x",
                "http/1.1",
                "HTTP/01.1",
                "HTTP/4294967297.1",
                "HTTP/1.1 ",
                "HTTP/1",
                "",
            )
        ),
        head(token="@", line=b"GET /ws/a"),
    ),
    *rows(
        "HS-49-separators",
        400,
        "head_grammar",
        *(
            head(token="@", line=line)
            for line in (
                b"GET  /ws/a HTTP/1.1",
                b"GET /ws/a  HTTP/1.1",
                b"GET\t/ws/a\tHTTP/1.1",
                b" GET /ws/a HTTP/1.1",
                b"GET /ws/a\x0bHTTP/1.1",
                b"GET\n/ws/a\nHTTP/1.1",
                b"GET /ws/a\xa0HTTP/1.1",
            )
        ),
    ),
    *rows(
        "HS-53-leading-lines",
        400,
        "head_grammar",
        b"\r\n" * 3 + head(token="@"),
        b"\r\n" * 1000 + head(token="@"),
        b"\n" + head(token="@"),
        b"\r" + head(token="@"),
        b"\x00" + head(token="@"),
    ),
]
GRAMMAR = [
    *rows(
        "HS-25-space-before-colon",
        400,
        "head_grammar",
        head(extra=["Authorization\t: Bearer @"]),
        head(extra=["Authorization : Bearer @"]),
        head(token="@", drop=["Host"], extra=["Host : gw.test"]),
    ),
    *rows(
        "HS-26-obs-fold",
        400,
        "head_grammar",
        head(token="@", extra=["X-A: b\r\n c"]),
        head(extra=["Authorization: Bearer\r\n @"]),
        head(token="@", extra=["X-A: b\r\n\tc"]),
    ),
    *rows(
        "HS-28-bare-cr",
        400,
        "head_grammar",
        head(token="@", extra=[b"X-A: b\rX-Role: admin"]),
        head(token="@", extra=[b"X-A: b\r\rX-Role: admin"]),
    ),
    *rows(
        "HS-29-control-in-value",
        400,
        "head_grammar",
        *(
            head(token="@", extra=[b"X-A: b" + control + b"X-Role: admin"])
            for control in (
                b"\x00",
                b"\x0b",
                b"\x0c",
                b"\x1c",
                b"\x1d",
                b"\x1e",
                b"\x7f",
                b"\x85",
                b"\xc2\x85",
                b"\xe2\x80\xa8",
                b"\xff",
                b"\xc0\xaf",
            )
        ),
    ),
    *rows(
        "HS-30-name",
        400,
        "head_grammar",
        *(
            head(token="@", extra=[line])
            for line in (b"X(A: b", b"X A: b", b": v", b"\xc3\xa4: v", b"X-A", b"X/A: b", b"X;A: b", b'X"A: b')
        ),
    ),
    *rows(
        "HS-47-bare-lf",
        400,
        "head_grammar",
        head(token="@").replace(b"\r\n", b"\n"),
        head(token="@", extra=[b"X-A: b\nX-Role: admin"]),
        head(token="@")[:-4] + b"\n\n",
    ),
    *rows(
        "HS-54-escape",
        400,
        "head_grammar",
        *(head(token="@", User_Agent=b"a" + control) for control in (b"\x1b[2J", b"\x7f", b"\x07", b"\x08")),
    ),
]
BODIES = [
    *rows(
        "HS-10-body",
        400,
        "body_present",
        head(token="@", Content_Length="5") + b"hello",
        head(token="@", Transfer_Encoding="chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    ),
    *rows(
        "HS-12-both-lengths",
        400,
        "body_present",
        head(token="@", Content_Length="4", Transfer_Encoding="chunked") + b"0\r\n\r\n" + head("/ws/second", token="@"),
    ),
    *rows("HS-13-twice", 400, "header_duplicated", head(token="@", Content_Length="0", extra=["Content-Length: 0"])),
    *rows(
        "HS-13-length-form",
        400,
        "body_present",
        *(
            head(token="@", Content_Length=length)
            for length in ("0, 5", "+0", "-1", "0x0", "\u0660", "", "0_0", "00", "0, 0", "0 0", "0;", "1e0")
        ),
        head(token="@", Content_Length="010") + b"0123456789",
    ),
    *rows(
        "HS-52-coding",
        400,
        "body_present",
        *(
            head(token="@", Transfer_Encoding=coding)
            for coding in (",chunked", "blegh", "identity", "", "chunked, chunked", "\tchunked", "xchunked")
        ),
        head(token="@", extra=["Transfer-Encoding: chunked", "Transfer-Encoding: identity"]),
    ),
    *rows("HS-52-smuggled-spelling", 400, "head_grammar", head(token="@", extra=["Transfer-Encoding : chunked"])),
]
SIZES = [
    *rows(
        "HS-32-too-large",
        431,
        "head_too_large",
        head(token="@", X_A="a" * 65536),
        head(token="@", Cookie="; ".join(f"c{number}=1" for number in range(10000))),
        head(token="@", Authorization="Bearer " + "a" * (1 << 20)),
        head(token="@", extra=[f"X-{number}: a" for number in range(101)]),
        head(token="@", extra=[f"X-{number}: {'a' * 4000}" for number in range(5)]),
        head(token="@", Sec_WebSocket_Key="A" * 10240),
    ),
    *rows(
        "HS-33-target",
        414,
        "target_too_long",
        head("/ws/" + "a" * 16384, token="@"),
        head("/ws/a?" + "a" * 16384, token="@"),
        head("/ws/a?" + "&".join(f"p{number}=1" for number in range(5000)), token="@"),
        head("/ws/a?" + "a" * 4097, token="@"),
        b"Q" * 20000,
    ),
]
TARGETS = [
    *rows(
        "HS-37-target",
        400,
        "target_malformed",
        *(
            head(target, token="@")
            for target in (
                "//ws/a",
                "/ws//a",
                "/ws/../admin/a",
                "/ws/./a",
                "/%2e%2e/admin/a",
                "/ws/%2e%2e/admin/a",
                "/ws/.%2e/a",
                "/ws%2f..%2fadmin",
                "/ws/a%2fb",
                "/ws\\..\\admin",
                "/ws/%5c..%5cadmin",
                "/ws/..;/admin",
                "/ws/..;x=y/admin",
                "/ws/a%00",
                "/ws/a%0d%0aX:%20y",
                "/ws/a%7f",
                "/ws/%c2%85",
                "/%ff",
                "/ws/%c0%ae%c0%ae/admin",
                "/%",
                "/ws/%2",
                "/ws/%zz",
                "http://evil/ws/a",
                "http://gw.test/ws/a",
                "*",
                "@google.com",
                "ws",
                "!",
                "@evil",
                "/ws/a#x",
                "/ws/a?x#y",
                '/ws/a?x="',
                "/ws/a?<x>",
                "/ws/{a}",
                "/ws/a|b",
            )
        ),
    ),
    *rows("HS-50-raw", 400, "head_grammar", head(b"/ws/\xff", token="@"), head("/ws/ä", token="@")),
    *rows(
        "HS-37-no-route",
        404,
        "route_unknown",
        *(
            head(target, token="@")
            for target in ("/ws;a=b", "/ws", "/ws/", "/ws/a/", "/WS/a", "/ws/a;b", "/ws/a%20b", "/ws/" + "a" * 129, "/")
        ),
    ),
    *rows(
        "HS-37-policy-of-its-own",
        403,
        "permission",
        *(head(target, token="@") for target in ("/admin/a", "/%61dmin/a", "/admin/%61", "/adm%69n/a?x=/ws/a")),
    ),
]
ALL = [*HOSTS, *LINES, *GRAMMAR, *BODIES, *SIZES, *TARGETS]


@pytest.mark.parametrize(("heads", "status", "reason"), [pytest.param(*row[1:], id=row[0]) for row in ALL])
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
