"""B1, the upgrade: nothing but a strict RFC 6455 handshake is one; what browsers really send is (HS)."""

from typing import Any

import pytest

from tests.security.hostile.attacking import KEY, Peer, frame, head, parse, refused, text
from tests.security.hostile.standing import Standing

Changes = tuple[dict[str, Any], ...]
Row = tuple[str, Changes, int, str]


def rows(name: str, status: int, reason: str, *changes: dict[str, Any]) -> list[Row]:
    return [(name, changes, status, reason)]


def header(name: str, *values: object) -> list[dict[str, object]]:
    return [{name: value} for value in values]


ROWS = [
    *rows(
        "HS-14-h2c",
        400,
        "upgrade_malformed",
        {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2_Settings": "AAMAAABkAAQAAP__"},
        *header(
            "Upgrade", "websocket, h2c", "websocket/13", "websocke", "", "h2c, websocket", "TLS/1.0", "websocket;q=1"
        ),
    ),
    *rows(
        "HS-14-two-upgrades", 400, "header_duplicated", {"extra": ["Upgrade: h2c"]}, {"extra": ["Upgrade: websocket"]}
    ),
    *rows("HS-16-plain", 426, "not_an_upgrade", {"Upgrade": None}, {"Upgrade": None, "Connection": None}),
    *rows(
        "HS-18-connection",
        400,
        "connection_malformed",
        *header("Connection", "notupgrade", "close", None, "", "upgrade;x", '"upgrade"', "up grade", "keep-alive"),
    ),
    *rows(
        "HS-20-two-keys",
        400,
        "header_duplicated",
        {"extra": [f"Sec-WebSocket-Key: {KEY}"]},
        {"extra": ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]},
    ),
    *rows(
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
    *rows(
        "HS-22-version",
        426,
        "websocket_version",
        *header("Sec_WebSocket_Version", None, "8", "0", "14", "013", "13, 8", "13x", "", "13.0", "-13", "1337"),
    ),
    *rows("HS-22-two-versions", 400, "header_duplicated", {"extra": ["Sec-WebSocket-Version: 13"]}),
    *rows(
        "HS-38-protocols",
        400,
        "protocols_malformed",
        *header("Sec_WebSocket_Protocol", "a, a", "a b", '"a"', "é", "", ",", "a,,b", "a, ", " " * 8000, "a;b", "a\tb"),
        {"Sec_WebSocket_Protocol": "a", "extra": ["Sec-WebSocket-Protocol: a"]},
    ),
    *rows(
        "HS-38-too-many",
        431,
        "head_too_large",
        *header("Sec_WebSocket_Protocol", ", ".join(f"p{number}" for number in range(10000)), " " * 40960),
    ),
    *rows(
        "HS-38-ours-and-unknown",
        400,
        "protocols_malformed",
        *header("Sec_WebSocket_Protocol", "doorward.v2", "doorward.", "doorward.auth", "doorward.tokenx"),
    ),
]


@pytest.mark.parametrize(("changes", "status", "reason"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_it_is_refused_and_leaves_nothing(siege: Standing, changes: Changes, status: int, reason: str) -> None:
    token = siege.token(siege.name())
    refused(siege, *(head(token=token, **changed) for changed in changes), status=status, reason=reason)


@pytest.mark.parametrize("name", ["Sec_WebSocket_Key", "Sec_WebSocket_Version", "Sec_WebSocket_Protocol"])
def test_hs21_what_was_wrong_is_not_echoed(siege: Standing, name: str) -> None:
    canary = siege.keep_secret("canary-f9b1c2d3e4")
    with Peer(siege) as peer:
        peer.send(head(token=siege.token(siege.name()), **{name: f"{canary} {canary}"}))
        assert canary.encode() not in peer.answer().raw


def test_hs16_a_plain_request_is_told_what_is_missing(siege: Standing) -> None:
    with Peer(siege) as peer:
        peer.send(head(Upgrade=None))
        answer = peer.answer()
    assert (answer.headers["upgrade"], answer.headers["sec-websocket-version"]) == ("websocket", "13")


@pytest.mark.parametrize(
    "changed",
    [
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "keep-alive", "extra": ["Connection: UPGRADE"]},
        {"Upgrade": "WebSocket"},
        {"Upgrade": "WEBSOCKET", "Connection": "upgrade"},
        {"Host": "GW.TEST:8443"},
        {"Host": "127.0.0.1"},
        {"Sec_WebSocket_Protocol": "constructor"},
        {"Sec_WebSocket_Protocol": "__proto__, toString"},
        {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"},
        {"Sec_WebSocket_Extensions": 'x; y="' + ";" * 2000},
        {"Sec_WebSocket_Extensions": ",,,permessage-deflate;;;="},
        {"Pragma": "no-cache", "Cache_Control": "no-cache", "Sec_Fetch_Mode": "websocket"},
    ],
    ids=lambda changed: "-".join(changed)[:40],
)
def test_hs17_what_browsers_and_clients_send_comes_in(siege: Standing, changed: dict[str, object]) -> None:
    subject = siege.name()
    with Peer(siege) as peer:
        peer.send(head(token=siege.token(subject), **changed))
        answer = peer.upgraded()
        assert "sec-websocket-protocol" not in answer.headers
        assert "sec-websocket-extensions" not in answer.headers
        peer.send(text("hello"))
        assert peer.message() == "hello"
    assert b"extensions" not in siege.backend.head_of(subject).lower()


def test_hs40_a_token_among_the_protocols_is_in_no_answer_and_goes_no_further(siege: Standing) -> None:
    from base64 import urlsafe_b64encode

    subject = siege.name()
    offer = "doorward.token." + urlsafe_b64encode(siege.token(subject).encode()).rstrip(b"=").decode()
    siege.keep_secret(offer)
    with Peer(siege) as peer:
        peer.send(head(Sec_WebSocket_Protocol=f"{offer}, app.v1, other"))
        assert peer.upgraded().headers["sec-websocket-protocol"] == "app.v1"
    assert b"Sec-WebSocket-Protocol: app.v1, other\r\n" in siege.backend.head_of(subject)


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [("{}", None), ("{}, doorward.plain", "doorward.plain"), ("{}, doorward.v1, other", "doorward.v1")],
)
def test_hs40_alone_it_is_never_selected(siege: Standing, offers: str, chosen: str | None) -> None:
    from base64 import urlsafe_b64encode

    token = urlsafe_b64encode(siege.token(siege.name()).encode()).rstrip(b"=").decode()
    with Peer(siege) as peer:
        peer.send(head(Sec_WebSocket_Protocol=offers.format(f"doorward.token.{token}")))
        assert peer.upgraded().headers.get("sec-websocket-protocol") == chosen


def test_hs42_a_close_instead_of_a_status_says_no_more(siege: Standing) -> None:
    """refuse_as close: a 101 and a Close, by the same constants; and no frame that came along is read."""
    was = len(siege.backend.heads)
    with Peer(siege) as peer:
        peer.send(head("/close/a", token="bad", Sec_WebSocket_Protocol="app.v1") + text("in") + frame(9, b"x"))
        answer = peer.upgraded()
        assert answer.headers["sec-websocket-protocol"] == "app.v1"
        assert peer.frame() == (8, (4401).to_bytes(2) + b"doorward:refused")
        peer.finish(6.0)
        assert peer.data.endswith(b"doorward:refused")
    assert len(siege.backend.heads) == was


def test_hs45_plain_http_gets_no_redirect(siege: Standing) -> None:
    with Peer(siege) as peer:
        peer.send(head("/ws/a?ticket=x", Upgrade=None, Cookie="a=b"))
        peer.finish(2.0)
        assert "location" not in parse(peer.data).headers
