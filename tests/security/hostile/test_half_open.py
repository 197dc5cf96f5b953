"""B4 and B14: whoever goes at the worst moment takes everything with him; nobody half there keeps anything (FR, FX)."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.security.hostile.attacking import (
    CONTROLS,
    Peer,
    aftermath,
    before,
    enter,
    frame,
    good_client,
    head,
    post,
    text,
)
from tests.security.hostile.standing import Standing, standing, until


def test_fr36_a_fin_without_a_close_ends_it(siege: Standing) -> None:
    was = before(siege)
    with enter(siege, siege.name()) as peer:
        peer.socket.shutdown(socket.SHUT_WR)
        peer.finish(5.0)
    assert [record.get("reason", "") for record in aftermath(siege, was, attacker_was_in=True)] == ["", "peer_gone"]


def test_fr36_a_close_and_a_fin_still_get_the_answer(siege: Standing) -> None:
    was = before(siege)
    with enter(siege, siege.name()) as peer:
        peer.send(frame(8, b"\x03\xe8"))
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.farewell(5.0)[0] == 1000
        peer.finish(5.0)
    assert [record.get("reason", "") for record in aftermath(siege, was, attacker_was_in=True)] == ["", "peer_closed"]


@pytest.mark.parametrize("end", ["fin", "reset"])
def test_fx06_who_goes_while_the_backend_is_asked_was_never_in(siege: Standing, end: str) -> None:
    """The backend says 101 to nobody: no socket is registered, and the slot is free again."""
    was = before(siege)
    subject = siege.name()
    with Peer(siege) as peer:
        peer.send(head("/mute/a", token=siege.token(subject)))
        siege.backend.until_entered(subject)
        if end == "fin":
            peer.socket.shutdown(socket.SHUT_WR)
        else:
            peer.vanish()
        siege.backend.release()
        record = siege.record(reason="peer_left", subject=subject)
    assert aftermath(siege, was, attacker_was_in=True) == [record]


def test_fx06_a_backend_that_answers_after_the_deadline_is_not_taken(siege: Standing) -> None:
    was = before(siege)
    subject = siege.name()
    with Peer(siege) as peer:
        peer.send(head("/mute/a", token=siege.token(subject)))
        answer = peer.answer()
        assert answer.status == 504
    siege.backend.release()
    (record,) = aftermath(siege, was, attacker_was_in=True)
    assert record["reason"] == "backend_timeout"


@pytest.mark.parametrize("mode", ["no", "nowhere"])
def test_a_backend_that_says_no_tells_the_peer_nothing(siege: Standing, mode: str) -> None:
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(head("/no/a", token=siege.token(siege.name())))
        answer = peer.answer()
    assert answer.status == 502
    assert b"secret-no" not in answer.raw
    assert b"backend-banner" not in answer.raw
    (record,) = aftermath(siege, was, attacker_was_in=True)
    assert record["reason"] == "backend_refused"


def test_two_hundred_that_vanish_anywhere_in_their_handshake(siege: Standing) -> None:
    """RST after every prefix of bytes, before and after the decision: one record each where a head was there, and
    nothing kept."""
    was = before(siege)
    token = siege.token(siege.name("hasty"))
    sent = head(token=token)

    def hasty(place: int) -> None:
        with Peer(siege) as peer:
            peer.send(sent if place % 2 else sent[: len(sent) * place // 200])
            if place % 4 == 1:
                peer.drip(b"", every=0)
            if place % 8 == 3:
                peer.until(lambda data: data != b"")
            peer.vanish()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hasty, range(200)))
    records = aftermath(siege, was, attacker_was_in=True)
    handshakes = [record for record in records if record["kind"] == "handshake"]
    entered = [record["connection"] for record in handshakes if record["outcome"] == "allowed"]
    ended = [record["connection"] for record in records if record["kind"] == "close"]
    assert sorted(entered) == sorted(ended)
    assert len([record for record in handshakes if record["outcome"] == "refused"]) + len(entered) >= 100


def test_vanishing_in_the_middle_of_our_own_endpoints(siege: Standing) -> None:
    was = before(siege)
    sent = post("/auth/ticket", {"path": "/ws/a"}, token=siege.token(siege.name()))
    for place in range(0, len(sent), 23):
        with Peer(siege) as peer:
            peer.send(sent[:place])
            peer.vanish()
    aftermath(siege, was)


def test_renewing_while_going(siege: Standing) -> None:
    """A renewal that is judged when its connection has ended does nothing, and fails nobody."""
    was = before(siege)
    subject = siege.name()
    for how in ("vanish", "close"):
        with enter(siege, subject, **CONTROLS) as peer:
            peer.hears("ready")
            peer.send(text('{"type":"doorward.auth","token":"' + siege.token(subject) + '"}'))
            if how == "vanish":
                peer.vanish()
            else:
                peer.send(frame(8, b"\x03\xe8"))
                peer.finish(5.0)
    records = aftermath(siege, was, attacker_was_in=True)
    assert not [record for record in records if record["kind"] == "fault"]


# ---- room ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """Room for 20 connections in all, 5 a subject, the oldest of which is replaced."""
    with standing(
        tmp_path_factory.mktemp("small"),
        server={"max_connections": 20},
        cluster_limits={"connections_per_subject": 5, "when_full": "replace_oldest"},
        routes=[{"path": "/ws/{room}"}, {"path": "/no/{room}"}, {"path": "/mute/{room}"}],
    ) as gateway:
        for _ in range(3):
            good_client(gateway)
        yield gateway


def is_open(peer: Peer) -> bool:
    """Does it still echo?"""
    peer.send(text("?"))
    try:
        return peer.message() == "?"
    except AssertionError:
        return False


def test_fx08_silent_sockets_beyond_the_limit_are_told_so_and_the_others_stay(small: Standing) -> None:
    was = before(small)
    inside = [enter(small, small.name("inside")) for _ in range(5)]
    silent = [Peer(small) for _ in range(15)]
    with Peer(small) as late:
        late.send(head(token=small.token(small.name())))
        answer = late.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    more = [Peer(small) for _ in range(120)]
    assert all(is_open(peer) for peer in inside)
    for peer in [*silent, *more]:
        peer.finish(5.0)
        peer.socket.close()
    assert all(is_open(peer) for peer in inside)
    for peer in inside:
        peer.send(frame(8, b"\x03\xe8"))
        peer.finish(5.0)
        peer.socket.close()
    aftermath(small, was, attacker_was_in=True)


def live_of(gateway: Standing, subject: str) -> int:
    """How many sockets of a subject are open, by the audit."""
    events = [event for event in gateway.events() if event.get("subject") == subject]
    opened = {event["connection"] for event in events if event["kind"] == "handshake" and event["outcome"] == "allowed"}
    return len(opened - {event["connection"] for event in events if event["kind"] == "close"})


@pytest.mark.parametrize("way", ["refused by the backend", "gone while the backend is asked", "gone at once"])
def test_slots_are_not_freed_by_handshakes_that_come_to_nothing(small: Standing, way: str) -> None:
    """Whoever is replaced for a handshake that then fails ends as well: nobody holds more sockets than slots."""
    was = before(small)
    subject = small.name("hoarder")
    kept: list[Peer] = []
    for _ in range(3):
        kept += [enter(small, subject) for _ in range(2)]
        for number in range(6):
            token = small.token(subject)
            with Peer(small) as peer:
                if way == "refused by the backend":
                    peer.send(head("/no/a", token=token))
                    assert peer.answer().status == 502
                elif way == "gone at once":
                    peer.send(head(token=token))
                    peer.drip(b"", every=0)
                    if number % 2:
                        select_a_little(peer)
                    peer.vanish()
                else:
                    entered = small.backend.entered(subject)
                    peer.send(head("/mute/a", token=token))
                    small.backend.until_entered(subject, times=entered + 1)
                    peer.vanish()
                    small.backend.release()
    good_client(small)
    assert live_of(small, subject) <= 5
    for peer in kept:
        peer.vanish()
    aftermath(small, was, attacker_was_in=True)


def select_a_little(peer: Peer) -> None:
    """Some hundred microseconds: about as long as a slot takes."""
    threading.Event().wait(0.0008)


def test_when_full_the_oldest_of_the_same_identity_goes_and_nobody_elses(small: Standing) -> None:
    was = before(small)
    victim = enter(small, small.name("victim"))
    subject = small.name("many")
    with ThreadPoolExecutor(6) as pool:
        mine = list(pool.map(lambda _: enter(small, subject), range(9)))
    good_client(small)
    assert live_of(small, subject) == 5
    assert is_open(victim)
    for peer in [victim, *mine]:
        peer.vanish()
    aftermath(small, was, attacker_was_in=True)


def test_a_head_that_is_full_of_promise(small: Standing) -> None:
    """max_connections counts sockets, whatever they are: after the flood every place is free again."""
    was = before(small)
    for _ in range(3):
        peers = [Peer(small) for _ in range(40)]
        for peer in peers:
            peer.send(b"GET /ws/a HTTP/1.1\r\nHost: gw.test\r\n")
        for peer in peers:
            peer.vanish()

    def is_admitted() -> bool:
        with Peer(small) as peer:
            peer.send(head(token=small.token(small.name())))
            peer.until(lambda data: b"\r\n\r\n" in data)
            return peer.data.startswith(b"HTTP/1.1 101")

    until(is_admitted, what="room again")
    aftermath(small, was, attacker_was_in=True)


def test_hsk20_silence_from_one_address_leaves_room_for_the_others(roomy: Standing) -> None:
    """400 places: one address without a head gets a quarter of them, from another one there is room; then all again."""
    was = before(roomy)
    inside = enter(roomy, roomy.name("inside"), source="127.0.0.5")
    silent = [Peer(roomy, source="127.0.0.6") for _ in range(450)]
    with Peer(roomy, source="127.0.0.6") as late:
        answer = late.answer()
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    with Peer(roomy, source="127.0.0.7") as other:
        other.send(head(token=roomy.token(roomy.name())))
        other.upgraded()
    assert is_open(inside)
    for peer in silent:
        peer.vanish()
    inside.vanish()

    def room() -> bool:
        with Peer(roomy, source="127.0.0.6") as peer:
            peer.send(head(token="bad"))
            return peer.answer().status == 403

    until(room, what="room again")
    aftermath(roomy, was, attacker_was_in=True)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("roomy"), server={"max_connections": 400}) as gateway:
        good_client(gateway)
        yield gateway
