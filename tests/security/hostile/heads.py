"""The handshakes of B1 that nobody may let in, as data: what is sent, and what the gateway answers and records.

`Bearer @` in each is where the token goes: every head shows a good one, so that only what is named is wrong with it.
The tests of the gateway send them to it, and test_servers.py to each ASGI server with the middleware behind it.
"""

from typing import Any

from tests.security.hostile.attacking import KEY, head

Row = tuple[str, tuple[bytes, ...], int, str]


def rows(name: str, status: int, reason: str, *heads: bytes) -> list[Row]:
    return [(name, heads, status, reason)]


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
HEADS = [*HOSTS, *LINES, *GRAMMAR, *BODIES, *SIZES, *TARGETS]


def changed(name: str, status: int, reason: str, *changes: dict[str, Any]) -> list[Row]:
    """Rows of the base request with the headers changed."""
    return rows(name, status, reason, *(head(token="@", **change) for change in changes))


def header(name: str, *values: object) -> list[dict[str, object]]:
    return [{name: value} for value in values]


UPGRADES = [
    *changed(
        "HS-14-h2c",
        400,
        "upgrade_malformed",
        {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2_Settings": "AAMAAABkAAQAAP__"},
        *header(
            "Upgrade", "websocket, h2c", "websocket/13", "websocke", "", "h2c, websocket", "TLS/1.0", "websocket;q=1"
        ),
    ),
    *changed(
        "HS-14-two-upgrades", 400, "header_duplicated", {"extra": ["Upgrade: h2c"]}, {"extra": ["Upgrade: websocket"]}
    ),
    *changed("HS-16-plain", 426, "not_an_upgrade", {"Upgrade": None}, {"Upgrade": None, "Connection": None}),
    *changed(
        "HS-18-connection",
        400,
        "connection_malformed",
        *header("Connection", "notupgrade", "close", None, "", "upgrade;x", '"upgrade"', "up grade", "keep-alive"),
    ),
    *changed(
        "HS-20-two-keys",
        400,
        "header_duplicated",
        {"extra": [f"Sec-WebSocket-Key: {KEY}"]},
        {"extra": ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]},
    ),
    *changed(
        "HS-21-key",
        400,
        "key_malformed",
        *header(
            "Sec_WebSocket_Key",
            None,
            "",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZWU=",
            "====",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBs ZSBub25jZQ==",
            "__hlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ",
            f"{KEY}, {KEY}",
            "A" * 5000,
        ),
    ),
    *changed(
        "HS-22-version",
        426,
        "websocket_version",
        *header("Sec_WebSocket_Version", None, "8", "0", "14", "013", "13, 8", "13x", "", "13.0", "-13", "1337"),
    ),
    *changed("HS-22-two-versions", 400, "header_duplicated", {"extra": ["Sec-WebSocket-Version: 13"]}),
    *changed(
        "HS-38-protocols",
        400,
        "protocols_malformed",
        *header("Sec_WebSocket_Protocol", "a, a", "a b", '"a"', "é", "", ",", "a,,b", "a, ", " " * 8000, "a;b", "a\tb"),
        {"Sec_WebSocket_Protocol": "a", "extra": ["Sec-WebSocket-Protocol: a"]},
    ),
    *changed(
        "HS-38-too-many",
        431,
        "head_too_large",
        *header("Sec_WebSocket_Protocol", ", ".join(f"p{number}" for number in range(10000)), " " * 40960),
    ),
    *changed(
        "HS-38-ours-and-unknown",
        400,
        "protocols_malformed",
        *header("Sec_WebSocket_Protocol", "doorward.v2", "doorward.", "doorward.auth", "doorward.tokenx"),
    ),
]
