"""B1 and B2, bytes behind a head: they are frames of one who is in, or nobody's; never another request (HS, PX)."""

import pytest

from tests.security.hostile.attacking import (
    CONTROLS,
    Peer,
    aftermath,
    before,
    frame,
    head,
    judge_refusal,
    parse,
    post,
    refused,
    text,
)
from tests.security.hostile.standing import WITHIN, Standing

INTERNAL = b"GET /internal HTTP/1.1\r\nHost: gw.test\r\n\r\n"


@pytest.mark.parametrize("second", [INTERNAL, head("/ws/b"), text("in"), b"\x00" * 60000])
def test_px01_behind_a_refusal_nothing_is_read(siege: Standing, second: bytes) -> None:
    """One answer, an end, and no trace of the second request."""
    token = siege.token(siege.name())
    behind = second.replace(b"Origin:", f"Authorization: Bearer {token}\r\nOrigin:".encode())
    refused(siege, head(token="bad") + behind, status=403, reason="token_malformed")


def test_px01_more_behind_a_refusal_than_is_ever_held_is_one_answer_too(siege: Standing) -> None:
    """Which of the two faults is seen first is the kernel's cut of the bytes; either is one refusal and an end."""
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(head(token="bad") + b"x" * 200000)
        peer.finish(WITHIN)
    answer = parse(peer.data)
    judge_refusal(answer, 431 if answer.status == 431 else 403)
    reason = {431: "head_too_large", 403: "token_malformed"}[answer.status]
    assert [(record["kind"], record["outcome"], record["reason"]) for record in aftermath(siege, was)] == [
        ("handshake", "refused", reason)
    ]


def test_hs46_two_handshakes_in_one_segment_are_one_and_garbage(siege: Standing) -> None:
    was = before(siege)
    subject = siege.name()
    token = siege.token(subject)
    with Peer(siege) as peer:
        peer.send(head(token=token) + head("/ws/b", token=token))
        peer.upgraded()
        assert peer.farewell(5.0)[0] == 1002
        peer.finish(6.0)
    assert peer.data.count(b"HTTP/1.1") == 1
    assert siege.backend.entered(subject) == 1
    assert [record["kind"] for record in aftermath(siege, was, attacker_was_in=True)] == ["handshake", "close"]


def test_hs41_a_frame_with_the_head_is_delivered_once_one_is_in(siege: Standing) -> None:
    with Peer(siege) as peer:
        peer.send(head(token=siege.token(siege.name())) + text("first") + text("second"))
        peer.upgraded()
        assert [peer.message(), peer.message()] == ["first", "second"]


def test_hs41_sixty_four_kib_of_frames_with_the_head_arrive_in_order(siege: Standing) -> None:
    frames = [frame(2, bytes([number]) * 1000) for number in range(60)]
    with Peer(siege) as peer:
        peer.send(head(token=siege.token(siege.name())) + b"".join(frames))
        peer.upgraded()
        assert [peer.frame()[1][:1] for _ in frames] == [bytes([number]) for number in range(60)]


@pytest.mark.parametrize("way", ["in one segment", "in two"])
def test_frames_in_tls_records_before_the_101_are_not_lost_either(siege: Standing, way: str) -> None:
    """What comes while the door decides waits in the socket, or is taken over: in order, and whole."""
    with Peer(siege) as peer:
        peer.send(head(token=siege.token(siege.name())) + text("a"))
        if way == "in two":
            peer.send(text("b"))
        else:
            peer.until(lambda data: b"\r\n\r\n" in data)
            peer.send(text("b"))
        peer.upgraded()
        assert [peer.message(), peer.message()] == ["a", "b"]


def test_a_control_message_with_the_head_goes_no_further(siege: Standing) -> None:
    subject = siege.name()
    was = len(siege.backend.messages)
    with Peer(siege) as peer:
        token = siege.token(subject)
        peer.send(head(token=token, **CONTROLS) + text('{"type":"doorward.ping"}') + text("in"))
        peer.upgraded()
        assert {peer.message(), peer.message(), peer.message()} >= {'{"type":"doorward.pong"}', "in"}
    assert [payload for _, _, payload in siege.backend.messages[was:]] == [b"in"]


CHUNKED = {"Content_Length": None, "Transfer_Encoding": "chunked"}


@pytest.mark.parametrize(
    "behind",
    [INTERNAL, post("/auth/ticket", {}, token="@"), b"\r\n\r\n", b"garbage", b"GET / HTTP/9.9\r\n\r\n"],
    ids=["get", "post", "lines", "garbage", "version"],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_our_own_endpoints_answer_one_request(siege: Standing, behind: bytes, chunked: bool) -> None:
    """One exchange a connection: one ticket, one record, whatever follows the body."""
    was = before(siege)
    token = siege.token(siege.name("buyer"))
    sent = (
        post("/auth/ticket", b"2\r\n{}\r\n0\r\n\r\n", token=token, **CHUNKED)
        if chunked
        else post("/auth/ticket", {}, token=token)
    )
    with Peer(siege) as peer:
        peer.send(sent + behind.replace(b"@", token.encode()))
        answer = peer.answer()
    assert answer.status == 201, answer.raw
    assert answer.raw.count(b"HTTP/1.1 ") == 1, answer.raw
    assert [record["kind"] for record in aftermath(siege, was)] == ["ticket"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"zz\r\n{}\r\n0\r\n\r\n", "size is no number"),
        (b"-2\r\n{}\r\n0\r\n\r\n", "size is negative"),
        (b"2\n{}\n0\n\n", "bare LF"),
        (b"2\r\n{}x\r\n0\r\n\r\n", "longer than it says"),
        (b"ffffffffffffffffff\r\n{}", "size overflows"),
        (b"2;" + b"a" * 70000 + b"\r\n{}\r\n0\r\n\r\n", "an endless extension"),
        (b"0\r\nX-Admin: 1\r\nContent-Length: 5\r\n\r\n", "trailers"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_chunked_body_that_is_none_gets_our_own_words(siege: Standing, body: bytes, why: str) -> None:
    """FX-12: no library's text, one record, and an end."""
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(post("/auth/ticket", body, token=siege.token(siege.name("buyer")), **CHUNKED))
        late = siege.lateness()
        took = peer.finish(WITHIN)
        assert took < 2.5 + late(), why
        if peer.data:
            answer = parse(peer.data)
            assert answer.raw.count(b"HTTP/1.1 ") == 1
            if answer.status != 201:
                assert answer.headers["content-type"] == "application/problem+json", answer.raw
    records = aftermath(siege, was)
    assert len(records) == 1, records


@pytest.mark.parametrize("method", ["GETX", "get", "Q" * 300, "TRACE", "CONNECT", "PRI", "DELETE"])
def test_a_method_that_nobody_knows_gets_our_own_words(siege: Standing, method: str) -> None:
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(post("/auth/ticket", {}, token=siege.token(siege.name("buyer"))).replace(b"POST", method.encode()))
        answer = peer.answer()
    assert answer.status in {400, 405}
    assert answer.headers["content-type"] == "application/problem+json", answer.raw
    assert len(aftermath(siege, was)) == 1


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        ({"Content_Length": "2", "Transfer_Encoding": "chunked"}, 400, "body_present"),
        ({"extra": ["Content-Length: 2"]}, 400, "body_present"),
        ({"Content_Length": "+2"}, 400, "body_present"),
        ({"Content_Length": None, "Transfer_Encoding": "gzip, chunked"}, 400, "body_present"),
        ({"Content_Length": "99999999999999999999"}, 400, "body_present"),
    ],
)
def test_px_smuggling_into_our_own_endpoints(siege: Standing, changed, status: int, reason: str) -> None:
    sent = post("/auth/ticket", b"{}", token=siege.token(siege.name()), **changed)
    record = refused(siege, sent + INTERNAL, status=status, reason=reason)
    assert record["path"] == "/auth/ticket"


def test_an_upgrade_of_our_own_endpoint_is_http(siege: Standing) -> None:
    """/auth/ticket with Upgrade: websocket is a GET, 405, and no socket."""
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(head("/auth/ticket", token=siege.token(siege.name())) + text("in"))
        assert peer.answer().status == 405
    (record,) = aftermath(siege, was)
    assert (record["kind"], record["reason"]) == ("http", "method")


def test_a_refusal_is_all_there_is(siege: Standing) -> None:
    with Peer(siege) as peer:
        peer.send(head(token="bad") * 3)
        peer.finish(3.0)
        judge_refusal(parse(peer.data), 403)
