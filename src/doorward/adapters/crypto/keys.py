"""Our own signing keys: the newest one that has begun signs, and each verifies until it retires.

They lie in the store, sealed by the master secret, so that every process and node signs with the same ones. Two
processes that start on an empty store make one key between them. PRODUCT sections 3 (`keys`) and 5 (jwks.json).
"""

import json
from collections.abc import Sequence
from math import inf
from typing import Final

from doorward.adapters.crypto.algorithms import ALGORITHMS, VerifyingKey, public_key
from doorward.adapters.crypto.master import KeyFileError, MasterSecret
from doorward.adapters.crypto.signing_keys import (
    SEED_SIZE,
    SigningKey,
    encode_header,
    load_key,
    make_key,
    sign_token,
)
from doorward.ports import Clock, Entropy, KeyStore, StoredKey, StoreError, VerifierError
from doorward.values.token import Signature

LOOK_AGAIN: Final = 1.0


class Keyring:
    """The keys as this process knows them. `open` before use; `refresh` now and then."""

    def __init__(
        self, *, store: KeyStore, master: MasterSecret, clock: Clock, entropy: Entropy, algorithm: str
    ) -> None:
        self._store = store
        self._master = master
        self._clock = clock
        self._entropy = entropy
        self._algorithm = algorithm
        self._version: int | None = None
        self._looked_at = 0.0
        self._keys: dict[str, tuple[StoredKey, SigningKey, VerifyingKey]] = {}
        self._headers: dict[tuple[str, str], str] = {}

    async def open(self) -> None:
        """Load the keys, and make the first one. Raises StoreError, and KeyFileError for another file's keys."""
        await self._load()
        if self._newest() is None:
            # Added only if no other process was first; and if all that there were have retired, after those.
            await self._add(active_from=self._clock.now(), retire_others_at=None)
        if self._newest() is None:
            await self._add(active_from=self._clock.now(), retire_others_at=self._clock.now())

    async def refresh(self) -> None:
        """Read the keys again if another process changed them. Cheap otherwise. Raises as `open`."""
        self._looked_at = self._clock.now()
        if await self._store.version() != self._version:
            await self._load()

    async def rotate(self, *, keep: float, ahead: float = 0.0) -> str:
        """Add a key that signs `ahead` seconds from now; the others verify for `keep` seconds longer than that.

        Give `keep` the longest life of a token, so that rotation refuses nobody. Returns the new key's id. Raises
        StoreError.
        """
        begins = self._clock.now() + ahead
        return await self._add(active_from=begins, retire_others_at=begins + keep)

    def sign(self, *, typ: str, claims: dict[str, object]) -> str:
        """A compact JWS by the newest key that has begun (ports.TokenSigner)."""
        key = self._newest()
        if key is None:
            raise RuntimeError("the keyring is not open")
        header = self._headers.get((key.key_id, typ))
        if header is None:
            header = self._headers[key.key_id, typ] = encode_header(key, typ=typ)
        return sign_token(key, header=header, claims=claims)

    async def key(self, *, key_id: str | None, algorithm: str) -> VerifyingKey | Signature:
        """The KeySource of our own tokens. An unknown id is looked up in the store, at most once a second."""
        found = self._find(key_id, algorithm)
        if found is Signature.KEY_UNKNOWN and not 0.0 <= self._clock.now() - self._looked_at < LOOK_AGAIN:
            try:
                await self.refresh()
            except (StoreError, KeyFileError) as fault:
                raise VerifierError("our own keys can't be read") from fault
            found = self._find(key_id, algorithm)
        return found

    def jwks(self, *also: SigningKey) -> dict[str, list[dict[str, str]]]:
        """The public document: every key that verifies or will, and `also` (the assertion's). No private member."""
        now = self._clock.now()
        keys = [key for stored, key, _ in self._keys.values() if _verifies(stored, now)]
        return {"keys": [key.public for key in (*keys, *also) if key.public]}

    def listed(self) -> Sequence[StoredKey]:
        """For `keys list`: the retired ones too, in the order of their beginning."""
        return [stored for stored, _, _ in self._keys.values()]

    def _find(self, key_id: str | None, algorithm: str) -> VerifyingKey | Signature:
        if key_id is None or key_id not in self._keys:
            return Signature.KEY_UNKNOWN
        stored, _, verifying = self._keys[key_id]
        if not _verifies(stored, self._clock.now()):
            return Signature.KEY_UNKNOWN
        return verifying if verifying.algorithm == algorithm else Signature.KEY_UNFIT

    def _newest(self) -> SigningKey | None:
        """The last one that has begun; where none has, since our clock is behind its maker's, the first one."""
        now = self._clock.now()
        fit = [
            (stored.active_from, key)
            for stored, key, _ in self._keys.values()
            if stored.algorithm == self._algorithm and _verifies(stored, now)
        ]
        begun = [key for active_from, key in fit if active_from <= now]
        if begun:
            return begun[-1]
        return fit[0][1] if fit else None

    async def _add(self, *, active_from: float, retire_others_at: float | None) -> str:
        key = make_key(algorithm=self._algorithm, seed=self._entropy.bytes(SEED_SIZE[self._algorithm]))
        stored = StoredKey(
            key_id=key.key_id,
            algorithm=key.algorithm,
            public_jwk=json.dumps(key.public),
            wrapped=self._master.wrap(key.private, key_id=key.key_id, algorithm=key.algorithm, entropy=self._entropy),
            active_from=active_from,
        )
        await self._store.add(stored, retire_others_at=retire_others_at)
        await self._load()
        return key.key_id

    async def _load(self) -> None:
        # The version first: a change in between is then seen as one at the next look.
        version = await self._store.version()
        stored = sorted(await self._store.keys(), key=_order)
        self._keys = {key.key_id: self._unseal(key) for key in stored}
        self._version = version

    def _unseal(self, stored: StoredKey) -> tuple[StoredKey, SigningKey, VerifyingKey]:
        """The public half is computed from the private one: a public key that somebody wrote into the store is none."""
        private = self._master.unwrap(stored.wrapped, key_id=stored.key_id, algorithm=stored.algorithm)
        key = load_key(algorithm=stored.algorithm, private=private)
        if key.key_id != stored.key_id:
            raise KeyFileError(f"signing key {stored.key_id} in the store is not the key that it says it is")
        return stored, key, public_key(key.public, ALGORITHMS[key.algorithm], key_id=key.key_id)


def _order(stored: StoredKey) -> tuple[float, float, str]:
    """By their beginning; of two that began at once, the one that lasts is the newer."""
    return stored.active_from, inf if stored.retired_at is None else stored.retired_at, stored.key_id


def _verifies(stored: StoredKey, now: float) -> bool:
    return stored.retired_at is None or now < stored.retired_at
