"""B1, slowness: one deadline for the whole head, whatever trickles in, and it costs the others nothing (HS)."""

import threading

import pytest

from tests.security.hostile.attacking import Peer, aftermath, before, good_client, head, judge_refusal, parse
from tests.security.hostile.standing import WITHIN, Standing

DEADLINE = 1.0  # the siege's handshake_timeout
SLACK = 1.5


@pytest.mark.parametrize(
    "octets",
    [b"", b"GET /ws/a HT", head(token="x")[:-2], b"\r\n", head(token="x", X_A="a" * 4000)[:-4]],
    ids=["nothing", "half-line", "no-empty-line", "empty-line", "long"],
)
def test_hs34_who_stops_is_cut(siege: Standing, octets: bytes) -> None:
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(octets)
        late = siege.lateness()
        took = peer.finish(WITHIN)
    assert DEADLINE - 0.1 < took < DEADLINE + 1.0 + SLACK + late()
    if octets:
        judge_refusal(parse(peer.data), 408)
    else:
        assert peer.data == b""
    (record,) = aftermath(siege, was)
    assert (record["kind"], record["reason"]) == ("handshake", "head_timeout")


def test_hs34_a_byte_at_a_time_prolongs_nothing(siege: Standing) -> None:
    """Many at once, so that it is a slowloris; others come in meanwhile."""
    was = before(siege)
    patience: list[float] = []
    answers: list[bytes] = []

    def drip() -> None:
        with Peer(siege) as peer:
            patience.append(peer.drip(head(token="x", X_A="a" * 500), every=0.05))
            peer.finish(WITHIN)
            answers.append(peer.data)

    late = siege.lateness()
    threads = [threading.Thread(target=drip) for _ in range(20)]
    for thread in threads:
        thread.start()
    good_client(siege)
    for thread in threads:
        thread.join(DEADLINE + WITHIN)
    assert all(DEADLINE - 0.1 < took < DEADLINE + SLACK + late() for took in patience), patience
    for answer in answers:
        judge_refusal(parse(answer), 408)
    records = [record for record in aftermath(siege, was, attacker_was_in=True) if "subject" not in record]
    assert [record["reason"] for record in records] == ["head_timeout"] * 20


def test_hs34_a_head_that_can_be_none_waits_for_no_deadline(siege: Standing) -> None:
    """A TLS hello, SSH, garbage: said so at the first byte."""
    for octets in (b"\x16\x03\x01\x02\x00", b"\x00", b"\xff\xff", b"<policy-file-request/>\x00"):
        with Peer(siege) as peer:
            late = siege.lateness()
            peer.send(octets)
            assert peer.finish(WITHIN) < DEADLINE + late()
            judge_refusal(parse(peer.data), 400)


@pytest.mark.parametrize("octets", [b"", b"GET /ws", head(token="x")[:-2]], ids=["nothing", "half", "almost"])
def test_hs34_an_end_before_the_end_is_told_at_once(siege: Standing, octets: bytes) -> None:
    was = before(siege)
    with Peer(siege) as peer:
        late = siege.lateness()
        peer.send(octets)
        peer.socket.shutdown(1)
        assert peer.finish(WITHIN) < DEADLINE + late()
    records = aftermath(siege, was)
    if octets:
        judge_refusal(parse(peer.data), 400)
        assert [record["reason"] for record in records] == ["head_grammar"]
    else:
        assert peer.data == b""
        assert records == []


def test_hs34_a_slow_body_at_our_own_endpoint_has_a_deadline_too(siege: Standing) -> None:
    """admission_timeout bounds an exchange; the siege's is 2 s."""
    was = before(siege)
    sent = (
        b"POST /auth/ticket HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/json\r\nContent-Length: 400\r\n"
        b"Authorization: Bearer x\r\n\r\n"
    )
    with Peer(siege) as peer:
        late = siege.lateness()
        peer.send(sent)
        took = peer.drip(b" " * 400, every=0.1)
        peer.finish(WITHIN)
    assert 1.9 < took < 2.0 + SLACK + late()
    judge_refusal(parse(peer.data), 408)
    (record,) = aftermath(siege, was)
    assert (record["reason"], record["path"]) == ("head_timeout", "/auth/ticket")


def test_hs34_who_does_not_read_our_answer_is_cut(siege: Standing) -> None:
    """An answer that has begun is not begun again."""
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        peer.finish(WITHIN)
    assert peer.data.count(b"HTTP/1.1 200") == 1
    assert aftermath(siege, was) == []
