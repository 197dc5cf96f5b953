"""Notices: what was signed is read as it was written; everything else is refused by one of a few fixed words."""

import hmac
import json
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.adapters.stores.redis.notices import MOST, BansChanged, NoticeError, Notices
from doorward.values.revocation import Effect, Target, TargetKind
from tests.stores.made import acknowledgement, revocation

KEY = bytes(range(32))
NOTICES = Notices(KEY)


def signed(body: bytes, place: bytes = b"doorward/feed/1\0") -> bytes:
    return hmac.digest(KEY, place + body, sha256) + body


def fields(**changed: object) -> bytes:
    written = json.loads(NOTICES.of(revocation(id="a"))[32:])
    return signed(json.dumps({**written, **changed}).encode())


@pytest.mark.parametrize("kind", TargetKind)
@pytest.mark.parametrize("effect", Effect)
def test_a_revocation_is_read_as_it_was_written(kind: TargetKind, effect: Effect) -> None:
    written = revocation(
        target=Target(kind, "ü\n", issuer=None, tenant=""), effect=effect, roles=("a", "b"), sequence=7
    )
    assert NOTICES.read(NOTICES.of(written)) == written


def test_the_bans_version_is_read_as_it_was_written() -> None:
    assert NOTICES.read(NOTICES.of(BansChanged(12))) == BansChanged(12)


def test_an_acknowledgement_is_read_as_it_was_written() -> None:
    written = acknowledgement("a", identities=("i|ü|", "j||"))
    assert NOTICES.read_answer(NOTICES.of_answer(written)) == written


def test_no_place_takes_what_was_signed_for_another() -> None:
    with pytest.raises(NoticeError, match="forged"):
        NOTICES.read(NOTICES.of_answer(acknowledgement("a")))
    with pytest.raises(NoticeError, match="forged"):
        NOTICES.read_answer(NOTICES.of(revocation()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "unsigned"),
        (bytes(32), "unsigned"),
        (b'{"v":1,"kind":"bans","version":1}' + bytes(32), "forged"),
        (Notices(bytes(32)).of(revocation()), "forged"),
        (NOTICES.of(revocation())[:-1], "forged"),
        (NOTICES.of(revocation()) + b" ", "forged"),
        (bytes(MOST + 1), "too long"),
        (signed(b"not json"), "malformed"),
        (signed(b"[1]"), "malformed"),
        (signed(b"[" * 30_000), "malformed"),
        (signed(b'{"v":1,"kind":"bans"}'), "malformed"),
        (signed(b'{"v":1,"kind":"bans","version":"x"}'), "malformed"),
        (signed(b'{"v":2,"kind":"bans","version":1}'), "of another version"),
        (signed(b'{"kind":"bans","version":1}'), "of another version"),
        (signed(b'{"v":1,"kind":"else"}'), "of an unknown kind"),
        (signed(b'{"v":1}'), "malformed"),
        (fields(target=["identity"]), "malformed"),
        (fields(target=["nobody", "x", None, None]), "malformed"),
        (fields(effect="nothing"), "malformed"),
        (fields(sequence=-1), "malformed"),
        (fields(id=""), "malformed"),
        (fields(instant="soon"), "malformed"),
        (fields(roles=None), "malformed"),
    ],
)
def test_everything_else_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(NoticeError) as refused:
        NOTICES.read(text)
    assert str(refused.value) == why


@given(st.binary(max_size=200))
def test_no_bytes_are_a_crash(text: bytes) -> None:
    for read in (NOTICES.read, NOTICES.read_answer):
        for one in (text, signed(text), signed(text, b"doorward/acknowledgement/1\0")):
            try:
                read(one)
            except NoticeError:
                pass
            else:
                raise AssertionError(one)


def test_what_is_too_long_is_not_written() -> None:
    with pytest.raises(NoticeError, match="too long"):
        NOTICES.of(revocation(cause="x" * MOST))
    with pytest.raises(NoticeError, match="too long"):
        NOTICES.of_answer(replace(acknowledgement("a"), identities=("x" * MOST,)))
