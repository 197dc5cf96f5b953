"""B1, the upgrade: nothing but a strict RFC 6455 handshake is one; what browsers really send is (HS)."""

import pytest

from tests.security.hostile.attacking import Peer, frame, head, parse, refused, text
from tests.security.hostile.heads import UPGRADES
from tests.security.hostile.standing import Standing


@pytest.mark.parametrize(("heads", "status", "reason"), [pytest.param(*row[1:], id=row[0]) for row in UPGRADES])
def test_it_is_refused_and_leaves_nothing(siege: Standing, heads: tuple[bytes, ...], status: int, reason: str) -> None:
    token = siege.token(siege.name()).encode()
    refused(siege, *(sent.replace(b"Bearer @", b"Bearer " + token) for sent in heads), status=status, reason=reason)


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
