"""A ticket's seal: whole, or unknown."""

import pytest

from doorward.adapters.stores.redis.sealing import SealError, TicketSeal
from doorward.ports import StoreError
from tests.stores.made import digest, principal, ticket

KEY = bytes(range(32))
SEAL = TicketSeal(KEY)


@pytest.mark.parametrize("owner", [principal(), principal(issued_at=None, expires_at=None, claims={}, roles=())])
def test_what_was_sealed_is_what_is_read(owner) -> None:
    one = ticket(1, owner)
    assert SEAL.open(SEAL.close(one, life="a"), digest=one.digest, life="a") == one


@pytest.mark.parametrize(("of", "life", "key"), [(2, "a", KEY), (1, "b", KEY), (1, "", KEY), (1, "a", bytes(32))])
def test_another_digest_life_or_key_opens_nothing(of: int, life: str, key: bytes) -> None:
    sealed = SEAL.close(ticket(1), life="a")
    with pytest.raises(SealError):
        TicketSeal(key).open(sealed, digest=digest(of), life=life)


def test_no_bit_of_it_may_change() -> None:
    sealed = SEAL.close(ticket(1), life="a")
    for place in range(len(sealed)):
        for bit in (1, 128):
            changed = bytearray(sealed)
            changed[place] ^= bit
            with pytest.raises(SealError):
                SEAL.open(bytes(changed), digest=digest(1), life="a")
    for cut in (b"", sealed[:31], sealed[:-1], sealed + b" "):
        with pytest.raises(SealError):
            SEAL.open(cut, digest=digest(1), life="a")


def test_digest_and_life_can_not_run_into_each_other() -> None:
    sealed = SEAL.close(ticket(1, digest=b"ab"), life="c")
    with pytest.raises(SealError):
        SEAL.open(sealed, digest=b"a", life="bc")


def test_what_another_version_sealed_is_an_error_and_no_ticket() -> None:
    text = b'{"principal":1}'
    sealed = SEAL._seal(text, digest(1), "a") + text
    with pytest.raises(StoreError):
        SEAL.open(sealed, digest=digest(1), life="a")


def test_the_key_is_long_and_is_not_shown() -> None:
    with pytest.raises(ValueError, match="32"):
        TicketSeal(b"short")
    assert KEY.hex() not in repr(SEAL)
    assert repr(KEY) not in repr(SEAL)
