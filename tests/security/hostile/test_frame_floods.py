"""B4, exhaustion: what a peer sends or leaves unread costs bounded memory and ends where it must (FR)."""

import pytest

from tests.security.hostile.attacking import (
    CONTROLS,
    Peer,
    aftermath,
    before,
    closed,
    enter,
    frame,
    good_client,
    head,
    text,
)
from tests.security.hostile.standing import WITHIN, Standing, until

MIB = 1 << 20
PLENTY = 200 * MIB
GENEROUS = 6 * MIB
"""Of growth in resident memory: the allocator's whims included. What these attacks cost elsewhere is 40 to 200."""


def test_hs36_what_is_sent_before_the_decision_is_not_kept(siege: Standing) -> None:
    """The backend is silent, so the decision waits; what comes meanwhile stays in the kernel's buffers."""
    was, memory = before(siege), siege.memory()
    subject = siege.name()
    with Peer(siege) as peer:
        peer.send(head("/mute/a", token=siege.token(subject)))
        siege.backend.until_entered(subject)
        sent = peer.flood(text("a" * 60000), most=PLENTY, within=1.0)
        assert siege.memory() - memory < GENEROUS
        assert sent < 16 * MIB
        peer.finish(WITHIN)
    siege.backend.release()
    records = aftermath(siege, was, attacker_was_in=True)
    assert [record["reason"] for record in records] == ["backend_timeout"]


def test_hs36_many_at_once(siege: Standing) -> None:
    """50 times 64 KiB that came with a head, and as many more that did not fit."""
    was, memory = before(siege), siege.memory()
    peers = []
    for _ in range(50):
        subject = siege.name()
        peer = Peer(siege)  # not before: a head has a second, and a slow machine takes more for fifty
        peers.append(peer)
        peer.send(head("/mute/a", token=siege.token(subject)) + b"\x00" * 60000)
        siege.backend.until_entered(subject)
        peer.flood(b"\x00" * 65536, most=MIB, within=0.02)
    assert siege.memory() - memory < 4 * GENEROUS
    good_client(siege)
    for peer in peers:
        peer.finish(WITHIN)
        peer.socket.close()
    siege.backend.release()
    aftermath(siege, was, attacker_was_in=True)


def test_fr13_after_our_close_nothing_is_kept_and_the_end_comes(siege: Standing) -> None:
    """We said 1002; the peer answers nothing and sends on."""
    was, memory = before(siege), siege.memory()
    with enter(siege, siege.name()) as peer:
        peer.send(frame(1, b"x", masked=False))
        peer.flood(b"\x82\xfe\xff\xff" + bytes(65539), most=100 * MIB, within=7.0)
        peer.finish(WITHIN)
        assert siege.memory() - memory < GENEROUS
    aftermath(siege, was, attacker_was_in=True)


def test_fr15_a_frame_of_2_to_the_62_waits_for_nothing(siege: Standing) -> None:
    was = before(siege)
    with enter(siege, siege.name()) as peer:
        peer.send(b"\x82\xff\x40" + bytes(7) + bytes(4) + b"a" * 100)
        assert peer.farewell(WITHIN)[0] == 1009
    assert [record.get("reason", "") for record in aftermath(siege, was, attacker_was_in=True)] == [
        "",
        "message_too_big",
    ]


def test_fr18_fragments_of_one_byte(siege: Standing) -> None:
    memory = siege.memory()
    subject = siege.name()
    with enter(siege, subject) as peer:
        peer.flood(frame(1, b"a", fin=False) + frame(0, b"a", fin=False) * 65535, most=7 * 65536, within=5.0)
        code = peer.farewell(WITHIN)[0]
        assert code in {1009, None}
        peer.finish(WITHIN)
    assert siege.record(subject=subject, kind="close")["reason"] == "frame_count"
    assert siege.memory() - memory < GENEROUS


@pytest.mark.parametrize("opcode", [9, 10], ids=["FR-25-pings", "FR-26-pongs"])
def test_control_frames_have_a_rate(siege: Standing, opcode: int) -> None:
    """Never reading, as fast as it goes."""
    memory = siege.memory()
    subject = siege.name()
    with enter(siege, subject) as peer:
        peer.flood(frame(opcode, b"p" * 125) * 100, most=20 * MIB, within=3.0)
        peer.finish(WITHIN)
    assert siege.record(subject=subject, kind="close")["reason"] == "control_rate"
    assert siege.memory() - memory < GENEROUS


def test_fr29_a_backend_that_reads_nothing_stops_the_peer(siege: Standing) -> None:
    was, memory = before(siege), siege.memory()
    with enter(siege, siege.name(), "/deaf/a") as peer:
        sent = peer.flood(frame(2, b"a" * 60000), most=PLENTY, within=1.5)
        assert sent < 32 * MIB
        assert siege.memory() - memory < GENEROUS
        peer.vanish()
    siege.backend.release()
    aftermath(siege, was, attacker_was_in=True)


def test_fr27_a_peer_that_reads_nothing_stops_the_backend(siege: Standing) -> None:
    """The backend pushes without end: the queue is 1 MiB and no more, and others are served meanwhile."""
    was, memory = before(siege), siege.memory()
    with enter(siege, siege.name(), "/push/a") as peer:
        good_client(siege)
        assert siege.memory() - memory < GENEROUS
        peer.vanish()
    aftermath(siege, was, attacker_was_in=True)


def test_fr32_empty_messages_are_messages(siege: Standing) -> None:
    """10,000 of them on a route of 5/s: three are told, the fourth ends it, and the backend saw the burst alone."""
    subject = siege.name()
    was = len(siege.backend.messages)
    with enter(siege, subject, "/rated/a") as peer:
        peer.send(frame(1, b"") * 10000)
        assert peer.farewell(WITHIN)[0] == 4429
        peer.finish(WITHIN)
    assert siege.record(subject=subject, kind="close")["reason"] == "message_rate"
    assert len(siege.backend.messages) - was <= 6


def test_fr40_a_hundred_thousand_tiny_frames(siege: Standing) -> None:
    """Few large segments full of them: a bounded price, and everybody else is served meanwhile."""
    was, memory, work = before(siege), siege.memory(), siege.processor_time()
    tiny = b"".join(frame(2, b"a" * (number % 11)) for number in range(1000))
    with enter(siege, siege.name(), "/rated/a") as rated, enter(siege, siege.name(), "/sink/a") as free:
        assert free.flood(tiny, most=200 * len(tiny), within=30.0) >= 200 * len(tiny)
        rated.flood(tiny, most=100 * len(tiny), within=3.0)
        good_client(siege)
        rated.finish(WITHIN)
        free.vanish()
    assert siege.memory() - memory < GENEROUS
    assert siege.processor_time() - work < 3.0
    aftermath(siege, was, attacker_was_in=True)


def test_refused_messages_are_told_a_few_times(siege: Standing) -> None:
    """What answers a flood must not be one."""
    subject = siege.name()
    with enter(siege, subject, "/rated/a", **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(text("x") * 2000)
        assert peer.farewell(WITHIN)[0] == 4429
        peer.finish(WITHIN)
    siege.record(subject=subject, kind="close")
    refusals = [
        event for event in siege.events() if event.get("subject") == subject and event["kind"] == "refused_message"
    ]
    assert 1 <= len(refusals) <= 5
    assert peer.data.count(b"doorward.refused") <= 5


def test_pings_while_a_message_of_the_backends_is_under_way(siege: Standing) -> None:
    """Control messages that must wait for a message's end are bounded by the rate of what asks for them."""
    memory = siege.memory()
    with enter(siege, siege.name(), **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(frame(1, b"a", fin=False))
        peer.flood(text('{"type":"doorward.ping"}') * 20, most=MIB, within=1.0)
        peer.finish(WITHIN)
    assert siege.memory() - memory < GENEROUS


def test_the_surplus_of_a_close(siege: Standing) -> None:
    """A Close and 1 MiB of anything behind it, at once."""
    closed(
        siege,
        frame(8, b"\x03\xe8") + b"\x81\x80" * 300000,
        code=1000,
        reason="peer_closed",
        target="/ws/b",
    )


def test_fr41_three_hundred_that_vanish_together(siege: Standing) -> None:
    """All is given back: files, slots, presence."""
    was = before(siege)
    peers = [enter(siege, f"crowd-{number % 40}") for number in range(300)]
    for peer in peers:
        peer.vanish()
    until(lambda: siege.backend.open <= was.open, what="all of them are gone")
    aftermath(siege, was, attacker_was_in=True)
    store, now = siege.operator.tools.store, siege.operator.tools.clock.now()

    def nobody() -> bool:
        return not siege.operator.do(store.presence.connections(now=now))

    until(nobody, what="presence is empty")
