"""A17: no way around the rates, none to spend a victim's, and what they refuse costs next to nothing (RAT)."""

import json
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
    parse,
    post,
    text,
)
from tests.security.hostile.standing import WITHIN, Standing, standing, until

# addresses of their own, all of them through one trusted proxy: what one spends is not the next one's


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(
        tmp_path_factory.mktemp("strict"),
        server={"trusted_proxies": ["127.0.0.0/8"]},
        cluster_limits={
            "refusals_per_address": "6/min",
            "handshakes_per_address": "40/min",
            "handshakes_per_subject": "8/min",
            "pending_per_address": 4,
            "connections_per_address": 6,
            "connections_per_subject": 4,
        },
        routes=[
            {"path": "/ws/{room}"},
            {"path": "/mute/{room}"},
            {"path": "/rated/{room}", "limits": {"messages": "5/s burst 5"}},
        ],
    ) as gateway:
        yield gateway


def through(address: str) -> dict[str, list[str]]:
    return {"extra": [f"X-Forwarded-For: {address}", "X-Forwarded-Proto: https"]}


def status_of(gateway: Standing, sent: bytes) -> int:
    """101 or the refusal's; a socket that was let in is left at once."""
    with Peer(gateway) as peer:
        peer.send(sent)
        peer.until(lambda data: b"\r\n\r\n" in data)
        answer = parse(peer.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        if answer.status == 101:
            peer.send(frame(8, b"\x03\xe8"))
        peer.finish(WITHIN)
        if b"rate_limited" in peer.data:  # for a place nobody knows how long one would wait
            assert answer.status == 429
            assert int(answer.headers["retry-after"]) >= 1
        return answer.status


WRONG = {
    "bad-token": lambda address: head(token="bad", **through(address)),
    "no-credential": lambda address: head(**through(address)),
    "evil-origin": lambda address: head(token="x", Origin="https://evil.example", **through(address)),
    "no-route": lambda address: head("/nowhere", token="x", **through(address)),
    "unknown-ticket": lambda address: head("/ws/a?ticket=" + "A" * 43, **through(address)),
    "malformed": lambda address: head(Sec_WebSocket_Key="x", **through(address)),
    "foreign-host": lambda address: head(Host="evil.example", **through(address)),
    "desk-bad-token": lambda address: post("/auth/ticket", {}, token="bad", **through(address)),
    "desk-no-token": lambda address: post("/auth/ticket", {}, **through(address)),
    "desk-body": lambda address: post("/auth/ticket", b"[", token="bad", **through(address)),
    "desk-renew": lambda address: post("/auth/renew", {"connection": "A" * 22, "token": "bad"}, **through(address)),
    "desk-host": lambda address: post("/auth/ticket", {}, Host="evil.example", **through(address)),
    "desk-path": lambda address: post("/auth/nothing", {}, **through(address)),
}


@pytest.mark.parametrize("way", WRONG)
def test_every_wrong_way_spends_the_strict_rate(strict: Standing, way: str) -> None:
    """Six of them, one after the other; then a good token from there waits as well, and nobody else does."""
    address = f"198.51.100.{[*WRONG].index(way) + 1}"
    for _ in range(6):
        assert status_of(strict, WRONG[way](address)) in {400, 401, 403, 404, 421}
        # a refusal is counted behind its answer
        strict.operator.do(strict.operator.tools.store.check())
    last = status_of(strict, head(token=strict.token(strict.name()), **through(address)))
    assert last == 429
    assert status_of(strict, post("/auth/ticket", {}, token=strict.token(strict.name()), **through(address))) == 429
    assert status_of(strict, head(token=strict.token(strict.name()), **through("198.51.100.200"))) == 101


def test_hurrying_buys_no_more_than_the_pending_places(strict: Standing) -> None:
    """Refusals in parallel are counted after their answers: what slips by is bounded by the places (RAT-03)."""
    address = "203.0.113.1"
    with ThreadPoolExecutor(30) as pool:
        got = list(pool.map(lambda _: status_of(strict, head(token="bad", **through(address))), range(60)))
    assert got.count(403) <= 6 + 2 * 4, got
    assert set(got) <= {403, 429}


def test_the_wide_rate_is_everybodys_of_an_address(strict: Standing) -> None:
    """45 good handshakes: 40 pass."""
    address = "203.0.113.2"
    got = []
    for number in range(45):
        got.append(status_of(strict, head(token=strict.token(f"wide-{number}"), **through(address))))
    assert got.count(101) in {40, 41}
    assert set(got) == {101, 429}


def test_a_victims_rate_is_spent_by_its_own_proofs_alone(strict: Standing) -> None:
    """RAT-09: forged tokens of the victim from many addresses, then the victim, from anywhere."""
    victim = strict.name("victim")
    token = strict.token(victim)
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    for number in range(20):
        assert status_of(strict, head(token=forged, **through(f"192.0.2.{number + 1}"))) == 403
    assert status_of(strict, head(token=token, **through("192.0.2.200"))) == 101


def test_a_subjects_rate_follows_it_from_address_to_address(strict: Standing) -> None:
    subject = strict.name("mover")
    got = [
        status_of(strict, head(token=strict.token(subject), **through(f"192.0.2.{number + 30}")))
        for number in range(10)
    ]
    assert got[:8] == [101] * 8
    assert got[8:] == [429, 429]


def test_ts08_tickets_have_a_rate_of_their_own(strict: Standing) -> None:
    subject = strict.name("buyer")
    got = []
    for number in range(10):
        sent = post("/auth/ticket", {}, token=strict.token(subject), **through(f"192.0.2.{number + 60}"))
        with Peer(strict) as peer:
            peer.send(sent)
            got.append(peer.answer().status)
            peer.data = b""
    assert got == [201] * 8 + [429] * 2


def test_pending_places_come_back_however_a_handshake_ends(strict: Standing) -> None:
    """Four that wait for a silent backend; the fifth is told to wait; when they are gone, or cut, there is room."""
    address = "203.0.113.3"
    for way in ("vanish", "timeout"):
        waiting = []
        for _ in range(4):
            subject = strict.name()
            peer = Peer(strict)
            peer.send(head("/mute/a", token=strict.token(subject), **through(address)))
            strict.backend.until_entered(subject)
            waiting.append(peer)
        assert status_of(strict, head(token=strict.token(strict.name()), **through(address))) == 429
        for peer in waiting:
            if way == "vanish":
                peer.vanish()
            else:
                peer.finish(WITHIN)
                peer.socket.close()
        strict.backend.release()

        def room() -> bool:
            return status_of(strict, head(token=strict.token(strict.name()), **through(address))) == 101

        until(room, what="room again")


def test_slots_come_back_however_a_connection_ends(strict: Standing) -> None:
    subject, address = strict.name("slots"), "203.0.113.4"
    for way in ("close", "fin", "vanish", "fault"):
        peers = []
        for number in range(4):
            peer = Peer(strict)
            # the subject's own rate is not what is tried here
            peer.send(head(token=strict.token(f"{subject}-{way}"), **through(f"203.0.113.{100 + number}")))
            peer.upgraded()
            peers.append(peer)
        assert status_of(strict, head(token=strict.token(f"{subject}-{way}"), **through(address))) == 429
        for peer in peers:
            if way == "close":
                peer.send(frame(8, b"\x03\xe8"))
            elif way == "fin":
                peer.socket.shutdown(1)
            elif way == "fault":
                peer.send(b"\xff\xff")
            if way == "vanish":
                peer.vanish()
            else:
                peer.finish(WITHIN)
                peer.socket.close()

        def room(way: str = way) -> bool:
            return status_of(strict, head(token=strict.token(f"{subject}-{way}"), **through("203.0.113.5"))) in {101}

        until(room, what=f"room after {way}")


def test_sixty_at_once_for_six_places(strict: Standing) -> None:
    """RAT-03: exactly as many as there are, and with the rest gone no place is lost."""
    address = "203.0.113.6"
    peers: list[Peer] = []

    def attempt(number: int) -> int:
        peer = Peer(strict)
        peers.append(peer)
        peer.send(head(token=strict.token(f"crowd-{number}"), **through(address)))
        peer.until(lambda data: b"\r\n\r\n" in data)
        return parse(peer.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").status

    with ThreadPoolExecutor(30) as pool:
        got = list(pool.map(attempt, range(30)))
    assert got.count(101) <= 6
    for peer in peers:
        peer.vanish()


def test_a_flood_of_addresses_takes_nobodys_count_away(strict: Standing) -> None:
    """RAT-04: 400 new addresses, and who was over its rate still is."""
    guilty = "203.0.113.7"
    for _ in range(8):
        status_of(strict, head(token="bad", **through(guilty)))
    memory = strict.memory()
    for number in range(400):
        status_of(strict, head(token="bad", **through(f"2001:db8:{number:x}::1")))
    assert status_of(strict, head(token=strict.token(strict.name()), **through(guilty))) == 429
    assert strict.memory() - memory < 8 << 20


def test_what_the_rate_refuses_is_counted_and_not_written_out(strict: Standing) -> None:
    address = "203.0.113.8"
    for _ in range(10):
        status_of(strict, head(token="bad", **through(address)))
    was, size = before(strict), strict.audit_file.stat().st_size
    work = strict.processor_time()
    for _ in range(500):
        assert status_of(strict, head(token="bad", **through(address))) == 429
    assert strict.audit_file.stat().st_size - size < 4000
    assert (strict.processor_time() - work) / 500 < 0.005
    aftermath(strict, was, attacker_was_in=True)


def test_renewals_do_not_buy_a_way_around(strict: Standing) -> None:
    """Renewing over the socket without end meets the rate of control messages."""
    subject = strict.name()
    with enter(strict, subject, **CONTROLS, **through("203.0.113.9")) as peer:
        peer.hears("ready")
        for _ in range(30):
            peer.send(
                text(json.dumps({"type": "doorward.auth", "token": strict.token(subject)}, separators=(",", ":")))
            )
        assert peer.farewell(WITHIN)[0] == 4429
    good_client(strict)
