"""B11: whatever is under way when authority is withdrawn, nobody is left behind, and nobody comes back (RV)."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from time import time

import pytest

from doorward.values.revocation import Effect, Target, TargetKind
from tests.security.hostile.attacking import CONTROLS, Peer, aftermath, before, enter, frame, head, parse, post, text
from tests.security.hostile.standing import WITHIN, Standing, until
from tests.security.hostile.test_half_open import live_of
from tests.security.hostile.test_ticket_races import buy


def subject_of(name: str) -> Target:
    return Target(kind=TargetKind.IDENTITY, value=name)


def auth(token: str) -> bytes:
    return text(json.dumps({"type": "doorward.auth", "token": token}, separators=(",", ":")))


def test_rv09_all_that_an_identity_has_dies_within_the_second(siege: Standing) -> None:
    """20 sockets, tickets, and tokens issued before; what is issued afterwards comes in."""
    subject = siege.name()
    token = siege.token(subject)
    tickets = [buy(siege, subject)["ticket"] for _ in range(3)]
    peers = [enter(siege, subject) for _ in range(20)]
    bystander = enter(siege, siege.name("bystander"))
    at, late = time(), siege.lateness()
    siege.operator.withdraw(subject_of(subject))
    for peer in peers:
        with peer:
            assert peer.farewell(WITHIN) == (4002, "doorward:revoked")
    assert time() - at < 1.5 + late()
    for sent in (head(token=token), *(head(f"/ws/a?ticket={code}") for code in tickets)):
        with Peer(siege) as again:
            again.send(sent)
            assert again.answer().status == 403
    with bystander:
        bystander.send(text("here"))
        assert bystander.message() == "here"
    until(lambda: int(time()) > at + 0.5, what="a later second, for tokens have whole ones")
    with enter(siege, subject):
        pass


def test_rv24_a_revocation_at_any_moment_of_a_handshake_leaves_no_survivor(siege: Standing) -> None:
    """60 rounds: handshakes under way while the log is written; a second later the subject has no socket."""
    chance = random.Random(20261122)
    subjects = []
    for _ in range(60):
        subject = siege.name()
        subjects.append(subject)
        sent = head(token=siege.token(subject))
        peers = [Peer(siege) for _ in range(3)]
        early = chance.randrange(3)
        for peer in peers[:early]:
            peer.send(sent)
        revoking = threading.Thread(target=lambda name=subject: siege.operator.withdraw(subject_of(name)))
        revoking.start()
        for peer in peers[early:]:
            if chance.random() < 0.5:
                threading.Event().wait(chance.random() / 200)
            peer.send(sent)
        revoking.join(WITHIN)
        for peer in peers:
            peer.until(lambda data: b"\r\n\r\n" in data)
            status = parse(peer.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").status
            assert status in {101, 403}
            if status == 101:
                peer.upgraded()
                begun, late = time(), siege.lateness()
                assert peer.farewell(WITHIN) in {(4002, "doorward:revoked"), (None, "")}
                assert time() - begun < 2.0 + late()
            peer.finish(WITHIN)
            peer.socket.close()
    until(lambda: not [subject for subject in subjects if live_of(siege, subject)], what="nobody is left")


def test_rv24_a_revocation_while_the_backend_is_asked(siege: Standing) -> None:
    """Registered or not yet, the log is read once more: 403 and no 101."""
    for _ in range(5):
        was = before(siege)
        subject = siege.name()
        with Peer(siege) as peer:
            peer.send(head("/mute/a", token=siege.token(subject)))
            siege.backend.until_entered(subject)
            siege.operator.withdraw(subject_of(subject))
            siege.backend.release()
            assert peer.answer().status == 403
        records = [record for record in aftermath(siege, was, attacker_was_in=True) if record["kind"] != "revocation"]
        assert [(record["kind"], record["reason"]) for record in records] == [("handshake", "revoked_before")]


def test_a_renewal_that_is_under_way_saves_nobody(siege: Standing) -> None:
    """Renewals by the socket and from outside without end, while the log is written: all the same 4002."""
    for _ in range(15):
        subject = siege.name()
        with enter(siege, subject, **CONTROLS) as peer:
            connection = peer.hears("ready")["connection"]
            token = siege.token(subject)

            def outside(connection: str = connection, token: str = token) -> None:
                with Peer(siege) as asking:
                    asking.send(post("/auth/renew", {"connection": connection, "token": token}))
                    asking.finish(WITHIN)

            with ThreadPoolExecutor(3) as pool:
                pool.submit(outside)
                peer.send(auth(token))
                pool.submit(siege.operator.withdraw, subject_of(subject))
                pool.submit(outside)
                peer.send(auth(token))
            code, said = peer.farewell(WITHIN)
            assert (code, said) in {(4002, "doorward:revoked"), (4401, "doorward:refused")}
            with Peer(siege) as again:
                again.send(head(token=token))
                assert again.answer().status == 403


def test_rv13_the_cutoff_is_an_instant(siege: Standing) -> None:
    """Issued before, at, and after it."""
    subject, now = siege.name(), int(time())
    tokens = {offset: siege.token(subject, iat=now + offset) for offset in (-1, 0, 2)}
    revocation_at = siege.operator.tools.clock.now
    until(lambda: revocation_at() < now + 1.5)
    siege.operator.withdraw(subject_of(subject))
    got = {}
    for offset, token in tokens.items():
        with Peer(siege) as peer:
            peer.send(head(token=token))
            peer.until(lambda data: b"\r\n\r\n" in data)
            got[offset] = parse(peer.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").status
    assert got == {-1: 403, 0: 403, 2: 101}


def test_a_token_without_an_issue_time_is_older_than_everything(siege: Standing) -> None:
    subject = siege.name()
    siege.operator.withdraw(subject_of(subject))
    with Peer(siege) as peer:
        peer.send(head(token=siege.token(subject, iat=None)))
        assert peer.answer().status == 403


def test_roles_put_in_place_are_not_undone_by_what_was_issued_before(siege: Standing) -> None:
    """Effect roles: a renewal by an older token gets the new roles, and a handshake too; without them it ends."""
    subject = siege.name()
    old = {"roles": ["admin"], "iat": int(time()) - 5}
    token = siege.token(subject, **old)
    with (
        enter(siege, subject, "/admin/a", claims=old, **CONTROLS) as inside,
        enter(siege, subject, claims=old, **CONTROLS) as other,
    ):
        inside.hears("ready")
        other.hears("ready")
        siege.operator.withdraw(subject_of(subject), Effect.ROLES, roles=("member",))
        assert inside.farewell(WITHIN) == (4403, "doorward:forbidden")
        other.hears("ready")
        other.send(auth(token))
        other.hears("ready")
        with Peer(siege) as again:
            again.send(head("/admin/a", token=token))
            assert again.answer().status == 403
    with enter(siege, subject, claims=old):
        pass
    assert b"X-Doorward-Roles: member\r\n" in siege.backend.head_of(subject)


def test_roles_newest_last_however_fast_they_come(siege: Standing) -> None:
    """100 changes of roles at once, more than one read of the log takes: the last one stands, here and at the door."""
    subject = siege.name()
    claims = {"roles": ["admin"], "iat": int(time()) - 5}
    with enter(siege, subject, claims=claims, **CONTROLS) as peer:
        peer.hears("ready")
        for number in range(100):
            roles = ("admin",) if number % 2 else ("member",)
            siege.operator.withdraw(subject_of(subject), Effect.ROLES, roles=roles)
            if number % 10 == 0:  # who comes just then may be told to come again
                with Peer(siege) as again:
                    again.send(head(token=siege.token(subject, **claims)))
                    again.until(lambda data: b"\r\n\r\n" in data)
        last = siege.operator.withdraw(subject_of(subject), Effect.ROLES, roles=("member",))
        until(lambda: siege.operator.do(siege.operator.tools.store.revocations.acknowledgements(last.id)))
        with enter(siege, subject, claims=claims):
            pass
        assert b"X-Doorward-Roles: member\r\n" in siege.backend.head_of(subject)
        with Peer(siege) as again:
            again.send(head("/admin/a", token=siege.token(subject, **claims)))
            assert again.answer().status == 403


@pytest.mark.parametrize("renewing", [True, False])
def test_effect_renew_wants_something_newer(siege: Standing, renewing: bool) -> None:
    subject = siege.name()
    old = {"iat": int(time()) - 5}
    with enter(siege, subject, claims=old, **(CONTROLS if renewing else {})) as peer:
        if not renewing:
            siege.operator.withdraw(subject_of(subject), Effect.RENEW)
            assert peer.farewell(WITHIN)[0] == 4001
            return
        peer.hears("ready")
        siege.operator.withdraw(subject_of(subject), Effect.RENEW)
        assert peer.hears("renew")["within"] > 0
        peer.send(auth(siege.token(subject, **old)))
        assert peer.hears("refused")["reason"] == "refused"
        until(lambda: time() > int(time()) and time() > old["iat"] + 7)
        peer.send(auth(siege.token(subject)))
        peer.hears("ready")


def test_in_grace_that_refuses_is_not_opened_by_a_change_of_roles(siege: Standing) -> None:
    """Asked to prove again, on a route that delivers nothing meanwhile: other roles are no proof."""
    subject = siege.name()
    old = {"iat": int(time()) - 5, "roles": ["member"]}
    was = len(siege.backend.messages)
    with enter(siege, subject, "/grace/a", claims=old, **CONTROLS) as peer:
        peer.hears("ready")
        siege.operator.withdraw(subject_of(subject), Effect.RENEW)
        peer.hears("renew")
        peer.send(text("one"))
        assert peer.hears("refused")["reason"] == "expired"
        siege.operator.withdraw(subject_of(subject), Effect.ROLES, roles=("admin",))
        peer.hears("ready")
        peer.send(text("two"))
        assert peer.hears("refused")["reason"] == "expired"
    assert siege.backend.messages[was:] == []


def test_rv26_many_denials_push_no_earlier_one_out(siege: Standing) -> None:
    """300 revocations of nobody, then an early one is asked for; and each is acknowledged once."""
    subject = siege.name()
    token = siege.token(subject)
    first = siege.operator.withdraw(subject_of(subject))
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: siege.operator.withdraw(subject_of(f"nobody-{number}")), range(300)))
    last = max(made, key=lambda revocation: revocation.sequence)
    with Peer(siege) as peer:
        peer.send(head(token=token))
        assert peer.answer().status == 403
    log = siege.operator.tools.store.revocations
    until(lambda: siege.operator.do(log.acknowledgements(last.id)), what="the last acknowledgement")
    assert len(siege.operator.do(log.acknowledgements(first.id))) == 1
    acted = [event for event in siege.events() if event["kind"] == "revocation" and event.get("subject") == subject]
    assert len(acted) == 1


def test_rv27_what_is_queued_for_a_revoked_peer_is_dropped(siege: Standing) -> None:
    """The backend pushes, the peer does not read; after the revocation it gets no more than the kernel had already."""
    subject = siege.name()
    with enter(siege, subject, "/push/a") as peer:
        peer.until(lambda data: len(data) > 100_000)
        siege.operator.withdraw(subject_of(subject))
        closed = siege.record(subject=subject, kind="close")
        assert closed["reason"] == "revoked"
        at = len(peer.data)
        peer.finish(WITHIN)
        # 4 MiB is the most that two kernels hold between them here; the queue of ours is not among it
        assert len(peer.data) - at < 8 << 20
        assert peer.reset or b"doorward:revoked" in peer.data[-40:]


def test_a_connection_that_an_operator_closed_says_so(siege: Standing) -> None:
    subject = siege.name()
    with enter(siege, subject, **CONTROLS) as peer:
        connection = peer.hears("ready")["connection"]
        siege.operator.withdraw(Target(kind=TargetKind.CONNECTION, value=connection))
        assert peer.farewell(WITHIN) == (4403, "doorward:closed_by_operator")
        with Peer(siege) as asking:
            asking.send(post("/auth/renew", {"connection": connection, "token": siege.token(subject)}))
            assert asking.answer().status in {403, 404}


def test_revoking_who_is_closing_and_who_has_gone(siege: Standing) -> None:
    """A Close under way, a vanished peer, a FIN: each ends once, and is recorded once."""
    was = before(siege)
    subject = siege.name()
    closing, gone, fin = (enter(siege, subject) for _ in range(3))
    closing.send(frame(8, b"\x03\xe8"))
    gone.vanish()
    fin.socket.shutdown(1)
    siege.operator.withdraw(subject_of(subject))
    closing.finish(WITHIN)
    fin.finish(WITHIN)
    for peer in (closing, fin):
        peer.socket.close()
    records = aftermath(siege, was, attacker_was_in=True)
    assert len([record for record in records if record["kind"] == "close"]) == 3
