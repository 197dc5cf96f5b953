"""The keyring: who signs, who verifies, what is published, and what two processes make of one store."""

import json

import pytest

from doorward.adapters.crypto.algorithms import PRIVATE_MEMBERS, VerifyingKey
from doorward.adapters.crypto.assertion import assertion_key
from doorward.adapters.crypto.keys import Keyring
from doorward.adapters.crypto.master import KeyFileError, MasterSecret
from doorward.adapters.crypto.verifier import Verifier
from doorward.core.tokens import parse_token
from doorward.ports import StoredKey, StoreError, TokenSigner, VerifierError
from doorward.testing.clock import FakeClock
from doorward.testing.entropy import FakeEntropy
from doorward.values.token import Signature, SignedToken
from tests.unit.adapters.crypto.fakes import NOW, Keys, at

MASTER = MasterSecret(FakeEntropy("master").bytes(32))
CLAIMS: dict[str, object] = {"iss": "https://us.example", "sub": "alice"}


def ring(
    store: Keys, clock: FakeClock, *, seed: str = "ring", algorithm: str = "Ed25519", master: MasterSecret = MASTER
) -> Keyring:
    return Keyring(store=store, master=master, clock=clock, entropy=FakeEntropy(seed), algorithm=algorithm)


def signed(keyring: Keyring) -> SignedToken:
    token = parse_token(keyring.sign(typ="at+jwt", claims=CLAIMS))
    assert isinstance(token, SignedToken)
    return token


async def verdict(keyring: Keyring, token: SignedToken) -> Signature:
    return await Verifier({"https://us.example": keyring}, report=pytest.fail).verify(token)


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
async def test_the_first_key_is_made_and_kept(algorithm: str) -> None:
    store, clock = Keys(), FakeClock()
    first = ring(store, clock, algorithm=algorithm)
    await first.open()
    token = signed(first)
    assert (token.algorithm, token.typ) == (algorithm, "at+jwt")
    assert await verdict(first, token) is Signature.GOOD
    again = ring(store, clock, seed="other", algorithm=algorithm)
    await again.open()
    assert signed(again).key_id == token.key_id
    assert await verdict(again, token) is Signature.GOOD
    assert len(await store.keys()) == 1


async def test_two_starts_make_one_key() -> None:
    """Both have seen an empty store before either adds."""
    store, clock = Keys(), FakeClock()

    class Late(Keys):
        raced = False

        async def keys(self) -> list[StoredKey]:
            found = list(await store.keys())
            if not self.raced:
                self.raced = True
                await ring(store, clock, seed="quicker").open()
            return found

        async def add(self, key: StoredKey, *, retire_others_at: float | None) -> bool:
            return await store.add(key, retire_others_at=retire_others_at)

        async def version(self) -> int:
            return await store.version()

    slow = ring(Late(), clock, seed="slower")
    await slow.open()
    quick = ring(store, clock)
    await quick.open()
    assert signed(slow).key_id == signed(quick).key_id
    assert len(await store.keys()) == 1


async def test_rotation_refuses_nobody() -> None:
    store, clock = Keys(), FakeClock()
    keyring = ring(store, clock)
    await keyring.open()
    old = signed(keyring)
    await keyring.rotate(keep=600)
    new = signed(keyring)
    assert new.key_id != old.key_id
    for later, expected in ((0.0, Signature.GOOD), (599.9, Signature.GOOD), (600.0, Signature.KEY_UNKNOWN)):
        at(clock, NOW + later)
        assert await verdict(keyring, old) is expected
        assert await verdict(keyring, new) is Signature.GOOD
        listed = [key["kid"] for key in keyring.jwks()["keys"]]
        assert (old.key_id in listed) == (expected is Signature.GOOD)
    assert len(keyring.listed()) == 2


async def test_a_key_may_be_published_before_it_signs() -> None:
    store, clock = Keys(), FakeClock()
    keyring = ring(store, clock)
    await keyring.open()
    old = signed(keyring)
    new_id = await keyring.rotate(keep=600, ahead=900)
    assert signed(keyring).key_id == old.key_id
    assert new_id in [key["kid"] for key in keyring.jwks()["keys"]]
    at(clock, NOW + 900)
    assert signed(keyring).key_id == new_id
    assert await verdict(keyring, old) is Signature.GOOD
    at(clock, NOW + 1500)
    assert await verdict(keyring, old) is Signature.KEY_UNKNOWN


async def test_rotating_twice_does_not_prolong_the_first() -> None:
    store, clock = Keys(), FakeClock()
    keyring = ring(store, clock)
    await keyring.open()
    first = signed(keyring)
    await keyring.rotate(keep=60)
    await keyring.rotate(keep=6000)
    at(clock, NOW + 61)
    assert await verdict(keyring, first) is Signature.KEY_UNKNOWN


async def test_another_process_rotates() -> None:
    store, clock = Keys(), FakeClock()
    here, there = ring(store, clock), ring(store, clock, seed="there")
    await here.open()
    await there.open()
    before = store.reads
    await here.refresh()
    assert store.reads == before, "nothing has changed: the version is asked, not the keys"
    await there.rotate(keep=600)
    fresh = signed(there)
    clock.advance(1)
    assert await verdict(here, fresh) is Signature.GOOD, "an unknown id is looked up"
    assert signed(here).key_id == fresh.key_id


async def test_unknown_ids_do_not_become_reads() -> None:
    store, clock = Keys(), FakeClock()
    keyring = ring(store, clock)
    await keyring.open()
    clock.advance(5)
    assert await keyring.key(key_id="x", algorithm="Ed25519") is Signature.KEY_UNKNOWN
    store.failing = True
    for _ in range(100):
        assert await keyring.key(key_id="y", algorithm="Ed25519") is Signature.KEY_UNKNOWN
    clock.advance(1)
    with pytest.raises(VerifierError):
        await keyring.key(key_id="y", algorithm="Ed25519")
    known = signed(keyring).key_id
    assert isinstance(await keyring.key(key_id=known, algorithm="Ed25519"), VerifyingKey), "known keys need no store"


async def test_a_key_has_one_algorithm_and_needs_its_id() -> None:
    store, clock = Keys(), FakeClock()
    keyring = ring(store, clock)
    await keyring.open()
    known = signed(keyring).key_id
    assert await keyring.key(key_id=known, algorithm="ES256") is Signature.KEY_UNFIT
    assert await keyring.key(key_id=None, algorithm="Ed25519") is Signature.KEY_UNKNOWN


async def test_a_changed_algorithm_gets_its_own_key_and_the_old_one_verifies_on() -> None:
    store, clock = Keys(), FakeClock()
    keyring = ring(store, clock)
    await keyring.open()
    old = signed(keyring)
    changed = ring(store, clock, seed="2", algorithm="ES256")
    await changed.open()
    assert signed(changed).algorithm == "ES256"
    assert await verdict(changed, old) is Signature.GOOD


async def test_where_all_have_retired_a_new_one_follows() -> None:
    store, clock = Keys(), FakeClock()
    keyring = ring(store, clock)
    await keyring.open()
    first = (await store.keys())[0]
    await store.add(StoredKey("gone", "Ed25519", "{}", b"", NOW - 9), retire_others_at=NOW + 1)
    lonely = Keys()
    await lonely.add(
        StoredKey(first.key_id, "Ed25519", first.public_jwk, first.wrapped, NOW - 9, NOW - 1), retire_others_at=None
    )
    late = ring(lonely, clock, seed="late")
    await late.open()
    assert signed(late).key_id != first.key_id
    assert await verdict(late, signed(late)) is Signature.GOOD


async def test_a_clock_behind_its_makers_still_signs() -> None:
    store = Keys()
    await ring(store, FakeClock(NOW + 5)).open()
    behind = ring(store, FakeClock(NOW), seed="behind")
    await behind.open()
    assert await verdict(behind, signed(behind)) is Signature.GOOD
    assert len(await store.keys()) == 1


async def test_another_key_file_opens_nothing() -> None:
    store, clock = Keys(), FakeClock()
    await ring(store, clock).open()
    stranger = ring(store, clock, master=MasterSecret(FakeEntropy("stranger").bytes(32)))
    with pytest.raises(KeyFileError, match="another"):
        await stranger.open()


async def test_a_public_key_written_into_the_store_is_none() -> None:
    store, clock = Keys(), FakeClock()
    await ring(store, clock).open()
    stored = (await store.keys())[0]
    forged = Keys()
    evil = json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": stored.key_id})
    await forged.add(StoredKey(stored.key_id, "Ed25519", evil, stored.wrapped, NOW), retire_others_at=None)
    keyring = ring(forged, clock)
    await keyring.open()
    assert "A" * 43 not in json.dumps(keyring.jwks())
    swapped = Keys()
    wrapped = MASTER.wrap(bytes(range(32)), key_id=stored.key_id, algorithm="Ed25519", entropy=FakeEntropy())
    await swapped.add(StoredKey(stored.key_id, "Ed25519", "{}", wrapped, NOW), retire_others_at=None)
    with pytest.raises(KeyFileError, match="not the key"):
        await ring(swapped, clock).open()


async def test_what_is_published() -> None:
    store, clock = Keys(), FakeClock()
    keyring = ring(store, clock)
    await keyring.open()
    await keyring.rotate(keep=60)
    extra = assertion_key(MASTER, algorithm="ES256")
    document = keyring.jwks(extra)
    assert len({key["kid"] for key in document["keys"]}) == 3
    allowed = {"kty", "crv", "x", "y", "kid", "alg", "use"}
    for key in document["keys"]:
        assert key.keys() <= allowed
        assert not PRIVATE_MEMBERS & key.keys()
    assert await keyring.key(key_id=extra.key_id, algorithm="ES256") is Signature.KEY_UNKNOWN


async def test_a_store_that_is_away_starts_nothing() -> None:
    store = Keys()
    store.failing = True
    with pytest.raises(StoreError):
        await ring(store, FakeClock()).open()


async def test_signing_before_it_is_open_is_a_bug() -> None:
    signer: TokenSigner = ring(Keys(), FakeClock())
    with pytest.raises(RuntimeError):
        signer.sign(typ="at+jwt", claims={})
