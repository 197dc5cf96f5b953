"""B4 and B11, many at once: some who do not read cost the others nothing, and hundreds are revoked as fast as one."""

from threading import Event
from time import monotonic

from doorward.values.revocation import Target, TargetKind
from tests.security.hostile.attacking import Peer, aftermath, before, enter, frame, text
from tests.security.hostile.standing import WITHIN, Standing

FROZEN, LIVELY, REVOKED = 10, 30, 200
KEPT = 24 << 20
"""Of memory for ten full output queues of 1 MiB, and what the allocator makes of them."""


def test_fr28_who_does_not_read_delays_nobody_else(siege: Standing) -> None:
    """Ten frozen sockets with full queues; thirty others are echoed, each in a fraction of the stall's ten seconds."""
    was, memory = before(siege), siege.memory()
    frozen = [enter(siege, siege.name("frozen"), "/push/a") for _ in range(FROZEN)]
    lively = [enter(siege, siege.name("lively"), "/ws/a") for _ in range(LIVELY)]
    waits = []
    late = siege.lateness()
    for peer in lively:
        begun = monotonic()
        peer.send(text("there?"))
        assert peer.message() == "there?"
        waits.append(monotonic() - begun)
    assert sorted(waits)[LIVELY // 2] < 0.5 + late() / LIVELY
    assert siege.memory() - memory < KEPT
    for peer in [*frozen, *lively]:
        peer.vanish()
    aftermath(siege, was, attacker_was_in=True)


def test_rv32_hundreds_are_revoked_at_once(siege: Standing) -> None:
    """Of one identity; whoever else is in stays in, and what it was let in with is refused from then on."""
    was = before(siege)
    subject = siege.name("many")
    peers = [enter(siege, subject) for _ in range(REVOKED)]
    bystander = enter(siege, siege.name("bystander"))
    begun, late = monotonic(), siege.lateness()
    siege.operator.withdraw(Target(kind=TargetKind.IDENTITY, value=subject))
    ends = {peer.farewell(WITHIN) for peer in peers}
    assert ends == {(4002, "doorward:revoked")}
    assert monotonic() - begun < 3.0 + late()
    bystander.send(text("still here"))
    assert bystander.message() == "still here"
    for peer in [*peers, bystander]:
        peer.vanish()
    records = aftermath(siege, was, attacker_was_in=True)
    assert sum(record["kind"] == "close" and record["reason"] == "revoked" for record in records) == REVOKED


def test_fr30_pings_are_no_life(siege: Standing) -> None:
    """Only messages count against `idle`: a peer that pings, and one that answers our pings, ends all the same."""
    subject = siege.name()
    begun = monotonic()
    with enter(siege, subject, "/idle/a") as peer:
        found = (10, b"")
        while found[0] != 8 and monotonic() - begun < WITHIN:
            peer.send(frame(9, b"x"))
            found = peer.frame(3.0)
            Event().wait(0.3)
        assert found == (8, (4408).to_bytes(2) + b"doorward:idle")
        peer.finish(6.0)
    assert siege.record(subject=subject, kind="close")["reason"] == "idle"


def test_who_is_refused_by_hundreds_leaves_room_for_one(siege: Standing) -> None:
    """Handshakes wait for their turn, and the live connection for none of them (bench/flood.py measures it)."""
    was = before(siege)
    with enter(siege, siege.name("inside")) as inside:
        crowd = [Peer(siege, source="127.0.0.9") for _ in range(200)]
        for peer in crowd:
            peer.send(b"GET /ws/a HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer bad\r\n\r\n")
        inside.send(text("there?"))
        assert inside.message(2.0) == "there?"
        for peer in crowd:
            peer.finish(WITHIN)
            peer.socket.close()
    records = aftermath(siege, was, attacker_was_in=True)
    assert sum(record.get("reason") == "not_an_upgrade" for record in records) == len(crowd)
