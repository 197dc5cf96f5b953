"""B4: frames that break a rule end the connection, and nothing of them or behind them reaches the backend (FR)."""

import json
from typing import Any

import pytest

from tests.security.hostile.attacking import CONTROLS, closed, enter, frame, head, text
from tests.security.hostile.standing import WITHIN, Standing, until

HELLO = b"Hello"
PAY = text('{"do":"pay"}')
LIMIT = 65536

# (id, what is sent, close code, reason); PAY stands behind each: FR-34, nothing behind a fault is processed
LIES: list[tuple[str, bytes, int, str]] = [
    ("FR-01-unmasked", frame(1, HELLO, masked=False), 1002, "protocol_error"),
    ("FR-02-rsv1", frame(1, HELLO, rsv=4), 1002, "protocol_error"),
    ("FR-02-rsv2", frame(1, HELLO, rsv=2), 1002, "protocol_error"),
    ("FR-02-rsv3", frame(1, HELLO, rsv=1), 1002, "protocol_error"),
    *(
        (f"FR-03-opcode-{code}", frame(code, HELLO), 1002, "protocol_error")
        for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    ("FR-04-16-bit", frame(1, HELLO, form=2), 1002, "protocol_error"),
    ("FR-04-64-bit", frame(1, HELLO, form=8), 1002, "protocol_error"),
    ("FR-04-64-bit-long", frame(2, b"a" * 300, form=8), 1002, "protocol_error"),
    ("FR-05-top-bit", b"\x82\xff\x80" + bytes(7) + bytes(4), 1002, "protocol_error"),
    ("FR-05-all-bits", b"\xff" * 10 + bytes(4), 1002, "protocol_error"),
    ("FR-05-declared-2^62", b"\x82\xff\x40" + bytes(7) + bytes(4), 1009, "message_too_big"),
    ("FR-06-long-ping", frame(9, b"a" * 126), 1002, "protocol_error"),
    ("FR-06-long-ping-form", frame(9, b"a", form=2), 1002, "protocol_error"),
    ("FR-07-cut-ping", frame(9, b"a", fin=False), 1002, "protocol_error"),
    ("FR-07-cut-close", frame(8, b"", fin=False), 1002, "protocol_error"),
    ("FR-08-continuation-first", frame(0, HELLO), 1002, "protocol_error"),
    ("FR-08-text-inside", frame(1, HELLO, fin=False) + frame(1, HELLO), 1002, "protocol_error"),
    ("FR-08-binary-inside", frame(1, HELLO, fin=False) + frame(2, HELLO, fin=False), 1002, "protocol_error"),
    ("FR-10-close-reason", frame(8, b"\x03\xe8\xff"), 1007, "invalid_text"),
    *(
        (f"FR-11-close-{code}", frame(8, code.to_bytes(2)), 1002, "protocol_error")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
    ),
    ("FR-11-close-one-byte", frame(8, b"\x03"), 1002, "protocol_error"),
    ("FR-14-too-big", frame(2, b"", length=LIMIT + 1, form=8), 1009, "message_too_big"),
    ("FR-24-rsv1-continuation", frame(1, HELLO, fin=False) + frame(0, HELLO, rsv=4), 1002, "protocol_error"),
    ("FR-24-rsv1-ping", frame(9, HELLO, rsv=4), 1002, "protocol_error"),
    ("FR-38-close-126", frame(8, b"\x03\xe8" + b"a" * 124), 1002, "protocol_error"),
]


@pytest.mark.parametrize(("sent", "code", "reason"), [pytest.param(*row[1:], id=row[0]) for row in LIES])
def test_it_ends_and_nothing_behind_it_is_processed(siege: Standing, sent: bytes, code: int, reason: str) -> None:
    delivered = [HELLO] if sent[:1] == b"\x01" else []
    closed(siege, sent + PAY * 3, code=code, reason=reason, delivered=delivered)


def test_fr08_a_continuation_after_the_end(siege: Standing) -> None:
    sent = frame(1, b"a", fin=False) + frame(0, b"b") + frame(0, b"c")
    closed(siege, sent + PAY, code=1002, reason="protocol_error", delivered=[b"a", b"b"])


@pytest.mark.parametrize("cut", [1, 2, 7, 50], ids=lambda cut: f"in-{cut}s")
def test_fr16_the_sum_of_fragments_counts(siege: Standing, cut: int) -> None:
    """64 fragments of 2 KiB: refused at the header of the one that goes over, however the bytes are cut."""
    subject = siege.name()
    sent = frame(2, b"a" * 2048, fin=False) + frame(0, b"b" * 2048, fin=False) * 63
    with enter(siege, subject) as peer:
        for start in range(0, len(sent), len(sent) // cut):
            peer.send(sent[start : start + len(sent) // cut])
        assert peer.farewell(WITHIN)[0] == 1009
    assert siege.record(subject=subject, kind="close")["reason"] == "message_too_big"


@pytest.mark.parametrize("fragments", [1, 64], ids=["whole", "cut"])
def test_fr17_exactly_the_limit_is_delivered(siege: Standing, fragments: int) -> None:
    part = "€".encode() * (LIMIT // 3 // fragments)
    parts = [part] * fragments
    parts[-1] += b"a" * (LIMIT - len(part) * fragments)
    frames = [frame(1 if place == 0 else 0, each, fin=place == fragments - 1) for place, each in enumerate(parts)]
    with enter(siege, siege.name()) as peer:
        peer.send(b"".join(frames))
        assert b"".join(peer.frame()[1] for _ in frames) == b"".join(parts)


def test_fr10_a_ping_between_two_halves_of_a_character(siege: Standing) -> None:
    with enter(siege, siege.name()) as peer:
        peer.send(frame(1, b"\xe2", fin=False) + frame(9, b"p") + frame(0, b"\x82\xac"))
        assert sorted([peer.frame(), peer.frame(), peer.frame()]) == [(1, b"\x82\xac"), (1, b"\xe2"), (10, b"p")]


def test_fr12_behind_a_close_nothing_is_read(siege: Standing) -> None:
    subject = siege.name()
    was = len(siege.backend.messages)
    with enter(siege, subject) as peer:
        peer.send(frame(8, b"\x03\xe8bye") + PAY * 10)
        assert peer.farewell(WITHIN) == (1000, "bye")
        peer.finish(WITHIN)
    assert siege.backend.messages[was:] == []
    assert siege.record(subject=subject, kind="close")["reason"] == "peer_closed"


def test_fr19_empty_fragments_have_a_number(siege: Standing) -> None:
    sent = frame(1, b"", fin=False) + frame(0, b"", fin=False) * 40
    subject = siege.name()
    with enter(siege, subject) as peer:
        peer.send(sent)
        assert peer.farewell(WITHIN)[0] == 1009
    assert siege.record(subject=subject, kind="close")["reason"] == "frame_count"


def test_fr37_a_backend_that_masks_is_none(siege: Standing) -> None:
    """FR-37: the backend's fault is 1014 to the client, and says nothing of the backend."""
    subject = siege.name()
    with enter(siege, subject, "/masked/a") as peer:
        peer.send(text("hello"))
        assert peer.farewell(WITHIN) == (1014, "doorward:backend_unavailable")
        peer.finish(WITHIN)
    assert siege.record(subject=subject, kind="close")["reason"] == "backend_protocol"


# ---- control messages ------------------------------------------------------------------------------------------------

PREFIX = '{"type":"doorward.'
CONTROL_LIES: list[tuple[str, bytes, str]] = [
    ("unknown", text(PREFIX + 'x"}'), "control_malformed"),
    ("ready", text(PREFIX + 'ready"}'), "control_malformed"),
    ("not-json", text(PREFIX + "x"), "control_malformed"),
    ("two-types", text(PREFIX + 'ping","type":"doorward.auth"}'), "control_malformed"),
    ("more", text(PREFIX + 'ping","x":"y"}'), "control_malformed"),
    ("token-number", text(PREFIX + 'auth","token":1}'), "control_malformed"),
    ("token-list", text(PREFIX + 'auth","token":["a"]}'), "control_malformed"),
    ("two-credentials", text(PREFIX + 'auth","token":"a","ticket":"b"}'), "control_malformed"),
    ("deep", text(PREFIX + 'auth","token":' + "[" * 2000 + "]" * 2000 + "}"), "control_malformed"),
    ("half-character", text(PREFIX + 'auth","token":"\\ud800"}'), "control_malformed"),
    ("id-long", text(PREFIX + 'auth","token":"a","id":"' + "i" * 129 + '"}'), "control_malformed"),
    ("bad-utf8", frame(1, PREFIX.encode() + b'ping\xff"}'), "control_malformed"),
    ("too-large", text(PREFIX + 'auth","token":"' + "a" * 9000 + '"}'), "control_malformed"),
    ("space", text('{"type": "doorward.auth","token":"a"}'), "control_malformed"),
    ("space-before", text(' {"type":"doorward.ping"}'), "control_malformed"),
    ("lines", text('{\n  "type": "doorward.ping"\n}'), "control_malformed"),
    ("space-cut", frame(1, b'{"type": "door', fin=False) + frame(0, b'ward.ping"}'), "control_malformed"),
    ("cut", frame(1, PREFIX.encode() + b'ping"', fin=False) + frame(0, b"}"), "control_fragmented"),
    ("cut-in-prefix", frame(1, b'{"type":"door', fin=False) + frame(0, b'ward.ping"}'), "control_fragmented"),
    (
        "cut-by-bytes",
        b"".join(frame(1 if place == 0 else 0, bytes([byte]), fin=False) for place, byte in enumerate(PREFIX.encode())),
        "control_fragmented",
    ),
]


@pytest.mark.parametrize(("sent", "reason"), [pytest.param(*row[1:], id=row[0]) for row in CONTROL_LIES])
def test_a_control_message_that_is_none_closes_with_4400(siege: Standing, sent: bytes, reason: str) -> None:
    was = len(siege.backend.messages)
    subject = siege.name()
    with enter(siege, subject, **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(sent + PAY)
        assert peer.farewell(WITHIN) == (4400, "doorward:malformed")
    assert siege.record(subject=subject, kind="close")["reason"] == reason
    assert siege.backend.messages[was:] == []


LOOKALIKES = [
    '{"type": "doorward","x":"doorward."}',
    '{"ty pe":"doorward.ready"}',
    '{"Type":"doorward.ready"}',
    '{"type":"doorwardx"}',
    '{"type":"\\u0064oorward.ready"}',
    '{"connection":"x","type":"doorward.ready"}',
    '\ufeff{"type":"doorward.ready"}',
    '{"type":"doorward',
    "",
]


@pytest.mark.parametrize("payload", LOOKALIKES, ids=range(len(LOOKALIKES)))
def test_what_is_not_the_prefix_is_an_application_message(siege: Standing, payload: str) -> None:
    """Both ends know the prefix, and white space in it: what is none passes, both ways, and changes nothing here."""
    with enter(siege, siege.name(), **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(text(payload))
        assert peer.message() == payload


def test_a_control_message_from_the_backend_never_arrives(siege: Standing) -> None:
    """The backend echoes what a binary frame says, as text it would be ours; whole or cut, it is dropped."""
    subject = siege.name()
    with enter(siege, subject, **CONTROLS) as peer:
        peer.hears("ready")
        forged = b'{"type":"doorward.ready","connection":"forged"}'
        # an echo keeps the opcode, and a continuation comes back as a text frame of its own
        peer.send(frame(2, b"x", fin=False) + frame(0, forged))
        peer.send(text("after"))
        assert peer.frame() == (2, b"x")
        assert peer.message() == "after"
    assert siege.record(subject=subject, kind="dropped_message")["outcome"] == "refused"


def test_where_they_are_off_they_are_nobodys(siege: Standing) -> None:
    with enter(siege, siege.name()) as peer:
        peer.send(text('{"type":"doorward.auth","token":"x"}'))
        assert peer.message() == '{"type":"doorward.auth","token":"x"}'


def test_a_json_ping_is_answered_only_exactly(siege: Standing) -> None:
    with enter(siege, siege.name(), "/ping/a") as peer:
        for payload in (
            '{"type":"ping"}',
            '{"type": "ping"}',
            '{"type":"ping"} ',
            '{"type":"pong"}',
            '{"type":"pinG"}',
        ):
            peer.send(text(payload))
            assert peer.message() == ('{"type":"pong"}' if payload == '{"type":"ping"}' else payload)


def test_json_pings_have_the_rate_of_pings(siege: Standing) -> None:
    subject = siege.name()
    with enter(siege, subject, "/ping/a") as peer:
        peer.send(text('{"type":"ping"}') * 100)
        assert peer.farewell(WITHIN)[0] == 4429
    assert siege.record(subject=subject, kind="close")["reason"] == "control_rate"


# ---- renewals over the socket ----------------------------------------------------------------------------------------


def renewal(token: str, **more: str) -> bytes:
    return text(json.dumps({"type": "doorward.auth", "token": token, **more}, separators=(",", ":")))


def test_rv02_the_third_refused_renewal_closes(siege: Standing) -> None:
    subject = siege.name()
    with enter(siege, subject, **CONTROLS) as peer:
        peer.hears("ready")
        for number in range(2):
            peer.send(renewal("bad", id=f"n{number}"))
            assert peer.hears("refused") == {"type": "doorward.refused", "reason": "refused", "id": f"n{number}"}
        peer.send(renewal("bad"))
        assert peer.farewell(WITHIN) == (4401, "doorward:refused")
    assert siege.record(subject=subject, kind="close")["reason"] == "renewal_refused"


@pytest.mark.parametrize("claims", [{"tenant": "other"}, {"sub": "admin"}], ids=["tenant", "subject"])
def test_rv04_another_identity_closes(siege: Standing, claims: dict[str, Any]) -> None:
    subject = siege.name()
    with enter(siege, subject, **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(
            renewal(siege.token(**({"subject": subject} | ({"subject": claims["sub"]} if "sub" in claims else claims))))
        )
        assert peer.farewell(WITHIN) == (4401, "doorward:refused")
    until(lambda: siege.backend.entered(subject) == 1)


def test_rv06_a_narrower_proof_narrows(siege: Standing) -> None:
    """The route's permission must be in the new one as well: else it is refused, and the old one stands."""
    subject = siege.name()
    with enter(siege, subject, "/admin/a", claims={"scope": "admin:all"}, **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(renewal(siege.token(subject)))
        assert peer.hears("refused")["reason"] == "forbidden"


def test_rv10_nothing_outlives_its_token_under_load(siege: Standing) -> None:
    """A token of under 4 s, a message every few milliseconds: 4001 on time, and nothing is delivered after it."""
    from time import time

    subject = siege.name()
    ends, late = int(time()) + 4, 0.0
    peer = enter(siege, subject, claims={"exp": ends}, **CONTROLS)
    with peer:
        peer.hears("ready")
        while time() < ends + 2 and not peer.over and b"\x88" not in peer.data[peer.read_to :][-80:]:
            begun = time()
            peer.flood(text("tick"), most=len(text("tick")), within=0.01)
            peer.drip(b"", every=0)
            late = max(late, time() - begun)  # it takes milliseconds where the machine is ours
        said = peer.farewell(WITHIN)
        assert said == (4001, "doorward:expired")
        assert ends - 0.1 <= siege.record(subject=subject, kind="close")["at"] < ends + 1.0 + late


def test_head_after_head(siege: Standing) -> None:
    """A second handshake inside a live connection is bytes of a frame, and no frame at all."""
    closed(siege, head("/ws/b", token="x"), code=1002, reason="protocol_error")
