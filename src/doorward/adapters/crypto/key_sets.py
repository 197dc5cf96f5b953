"""A set of keys is taken key by key: an unfit one is skipped and reported, and never spoils or weakens the others.

Looked up by (key id, algorithm) in a map, inside one issuer's set: another issuer's key is never in reach
(CVE-2026-49998). Sources: RFC 7517 sections 4 and 5, SECURITY JWT-08, -17 and OAU-05.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from doorward.adapters.crypto.algorithms import (
    ALGORITHMS,
    PRIVATE_MEMBERS,
    PUBLIC_MEMBERS,
    Algorithm,
    VerifyingKey,
    public_key,
)
from doorward.core.tokens import canonical_algorithm, parse_object
from doorward.values.token import Signature

MAX_DOCUMENT: Final = 64 * 1024
MAX_KEYS: Final = 32
MAX_MEMBERS: Final = 32 * 24
MAX_KEY_ID: Final = 128

Report = Callable[[str], None]


class KeysError(Exception):
    """A set of keys, or one that the configuration names, can't be used. The text shows no secret."""


class KeySource(Protocol):
    """Where one issuer's keys come from."""

    async def key(self, *, key_id: str | None, algorithm: str) -> VerifyingKey | Signature:
        """The key, or KEY_UNKNOWN or KEY_UNFIT. Raises VerifierError when that can't be found out."""


class KeySet:
    """An issuer's usable keys, and the ids of those that are known and unfit. Never changed once made."""

    def __init__(self, keys: Iterable[VerifyingKey], *, unfit: frozenset[str] = frozenset()) -> None:
        self._by_id = {(key.key_id, key.algorithm): key for key in keys}
        self._ids = frozenset(key_id for key_id, _ in self._by_id if key_id is not None) | unfit
        self._by_algorithm: dict[str, list[VerifyingKey]] = {}
        for key in self._by_id.values():
            self._by_algorithm.setdefault(key.algorithm, []).append(key)

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, *, key_id: str | None, algorithm: str) -> VerifyingKey | Signature:
        """By id and algorithm. Without an id only where the algorithm has one key: none is ever tried in turn."""
        if key_id is None:
            candidates = self._by_algorithm.get(algorithm, [])
            return candidates[0] if len(candidates) == 1 else Signature.KEY_UNKNOWN
        found = self._by_id.get((key_id, algorithm))
        if found is not None:
            return found
        return Signature.KEY_UNFIT if key_id in self._ids else Signature.KEY_UNKNOWN


class FixedKeys:
    """A source whose keys don't change until the configuration is read again: a secret, or a JWKS file."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def key(self, *, key_id: str | None, algorithm: str) -> VerifyingKey | Signature:
        return self._keys.find(key_id=key_id, algorithm=algorithm)


def read_key_set(document: bytes, *, algorithms: frozenset[str], report: Report) -> KeySet:
    """The usable keys of a JWKS document. Raises KeysError when the whole of it is unfit, or none is usable.

    `algorithms` are the issuer's. `report` gets a line for each key that is skipped.
    """
    if len(document) > MAX_DOCUMENT:
        raise KeysError(f"a key set has at most {MAX_DOCUMENT} bytes")
    try:
        listed = parse_object(document, members=MAX_MEMBERS).get("keys")
    except ValueError as fault:
        raise KeysError(f"the key set: {fault}") from None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise KeysError(f"a key set has a list `keys` of at most {MAX_KEYS}")
    accepted = frozenset(canonical_algorithm(name) for name in algorithms)
    usable: dict[tuple[str | None, str], VerifyingKey | None] = {}
    unfit: set[str] = set()
    for place, jwk in enumerate(listed):
        key_id = jwk.get("kid") if isinstance(jwk, dict) else None
        try:
            key = _read_key(jwk, accepted)
        except KeysError as fault:
            report(f"key {place} of the set is skipped: {fault}")
            if isinstance(key_id, str):
                unfit.add(key_id)
            continue
        name = (key.key_id, key.algorithm)
        if name in usable:
            report(f"key {place} of the set has the id of another: neither is used")
            usable[name] = None
            if key.key_id is not None:
                unfit.add(key.key_id)
        else:
            usable[name] = key
    found = KeySet((key for key in usable.values() if key is not None), unfit=frozenset(unfit))
    if not len(found):
        raise KeysError("the key set has no usable key")
    return found


def _read_key(jwk: object, accepted: frozenset[str]) -> VerifyingKey:
    if not isinstance(jwk, dict):
        raise KeysError("not an object")
    key_id = jwk.get("kid")
    if "kid" in jwk and not (isinstance(key_id, str) and 0 < len(key_id) <= MAX_KEY_ID):
        raise KeysError("kid is not a string of 1 to 128 characters")
    kty = jwk.get("kty")
    if not isinstance(kty, str) or kty not in PUBLIC_MEMBERS:
        raise KeysError("its type is not RSA, EC or OKP; a shared secret is never published")
    if PRIVATE_MEMBERS & jwk.keys():
        raise KeysError("it has private parts: its owner has published it, and it must be replaced")
    if jwk.get("use", "sig") != "sig":
        raise KeysError("its use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeysError("its key_ops do not include verify")
    members = {name: value for name in ("kty", *PUBLIC_MEMBERS[kty]) if isinstance(value := jwk.get(name), str)}
    if len(members) != 1 + len(PUBLIC_MEMBERS[kty]):
        raise KeysError("a member that its type needs is missing or not a string")
    algorithm = _algorithm(jwk, kty, accepted)
    try:
        return public_key(members, algorithm, key_id=key_id)
    except Exception as fault:
        # Whatever the library makes of a strange key, that key is unfit, and the others are not.
        raise KeysError(str(fault) or f"the library refuses it ({type(fault).__name__})") from fault


def _algorithm(jwk: Mapping[str, object], kty: str, accepted: frozenset[str]) -> Algorithm:
    """The one algorithm of a key: what it says itself, else the only one of the issuer's that fits it."""
    said = jwk.get("alg")
    fitting = [
        algorithm
        for algorithm in ALGORITHMS.values()
        if algorithm.name in accepted and algorithm.kty == kty and algorithm.curve in {None, jwk.get("crv")}
    ]
    if "alg" in jwk:
        if not isinstance(said, str):
            raise KeysError("alg is not a string")
        fitting = [algorithm for algorithm in fitting if algorithm.name == canonical_algorithm(said)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise KeysError(f"it has no alg, and the issuer lists {len(fitting)} algorithms that fit it: list one")
    raise KeysError("no algorithm of the issuer's fits its type, curve and alg")
