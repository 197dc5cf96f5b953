"""A shared secret is long, random, and nobody else's: what is short, known, patterned or really a key is refused.

RFC 7518 section 3.2, SECURITY JWT-06 and AUT-15. A refusal never shows the secret.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Final

from doorward.adapters.crypto.algorithms import ALGORITHMS, SYMMETRIC, VerifyingKey, secret_key
from doorward.adapters.crypto.key_sets import KeysError, KeySet
from doorward.core.tokens import decode_segment
from doorward.values.token import Signature

MAX_SECRET: Final = 4096
MIN_DISTINCT: Final = 8

# Secrets that stand in specifications, tutorials and templates, lower case, letters and digits only.
SAMPLES: Final = frozenset(
    {
        "asecretkeyforhmacwithatleast256bits",
        "astringsecretatleast256bitslong",
        "avalidstringsecretthatisatleast256bitslong",
        "avalidstringsecretthatisatleast384bitslongtoworkproperly",
        "avalidstringsecretthatisatleast512bitslongwhichisverylong",
        "changemechangemechangemechangeme",
        "changethistoarandomsecretkeyinproduction",
        "changethistoasecurerandomstringinproduction",
        "mysupersecretkeythatnobodyshouldknow",
        "pleasechangethissecretbeforegoingtoproduction",
        "replacethiswithasecurerandomsecret",
        "superlongandsecurejwtsecretkeyforproduction",
        "supersecretjwttokenwithatleast32characterslong",
        "thisisaverylongsecretkeyforjwtsigning",
        "yoursecretkeymustbeatleast32characterslong",
        "yoursupersecretjwttokenwithatleast32characterslong",
        "your256bitsecret",
        "your384bitsecret",
        "your512bitsecret",
    }
)
# RFC 7515 appendix A.1.1, which every implementer has at hand.
RFC_7515_KEY: Final = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"

_KEY_TEXT: Final = re.compile(rb'-----BEGIN|---- BEGIN|ssh-(rsa|dss|ed25519) |ecdsa-sha2-|"kty"\s*:')
_REPEATED: Final = re.compile(rb"(.{1,16}?)\1+.{0,15}", re.DOTALL)
_PLAIN: Final = re.compile(r"[^a-z0-9]")


def read_secret_file(path: Path) -> bytes:
    """A secret from its file, without the line's end. Raises KeysError."""
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_SECRET + 1)
    except OSError as fault:
        raise KeysError(f"the secret's file can't be read: {fault.strerror}") from fault
    if len(octets) > MAX_SECRET:
        raise KeysError(f"a secret has at most {MAX_SECRET} bytes")
    return octets.rstrip(b"\r\n")


def weakness(secret: bytes, *, least: int = 32) -> str:
    """What is wrong with a secret, or "". `least` in bytes."""
    if not secret.strip():
        return "is empty or blank"
    if len(secret) < least:
        return f"has {len(secret)} bytes and needs at least {least}: try `openssl rand -base64 48`"
    if len(secret) > MAX_SECRET:
        return f"has more than {MAX_SECRET} bytes"
    if _KEY_TEXT.search(secret) or secret.lstrip()[:1] == b"{" or _is_der(secret):
        return "is a key or certificate (PEM, DER, SSH or JWK), not a secret"
    steps = sum(abs(here - there) == 1 for here, there in pairwise(secret))
    if len(set(secret)) < MIN_DISTINCT or _REPEATED.fullmatch(secret) or steps > len(secret) // 2:
        return "is a pattern, not a random text"
    plain = _PLAIN.sub("", secret.decode("utf-8", "replace").lower())
    if plain in SAMPLES or secret in {RFC_7515_KEY.encode(), decode_segment(RFC_7515_KEY)}:
        return "is a sample that everybody knows"
    return ""


class SharedSecret:
    """The key of an issuer that signs with a shared secret. There is one, so a token's key id is not looked at."""

    def __init__(self, secret: bytes, *, algorithms: frozenset[str]) -> None:
        """Raises KeysError. The list has one symmetric algorithm and no other: a key has exactly one, and where both
        kinds may be used a public key becomes a secret (RFC 8725 sections 2.1 and 3.1, CVE-2022-29217)."""
        if len(algorithms) != 1 or not algorithms <= SYMMETRIC:
            raise KeysError(f"an issuer with a secret lists exactly one of {', '.join(sorted(SYMMETRIC))}")
        algorithm = ALGORITHMS[next(iter(algorithms))]
        text = weakness(secret, least=algorithm.secret or MAX_SECRET)
        if text:
            raise KeysError(f"the secret {text}")
        self._keys = KeySet([secret_key(secret, algorithm)])

    async def key(self, *, key_id: str | None, algorithm: str) -> VerifyingKey | Signature:
        return self._keys.find(key_id=None, algorithm=algorithm)


def _is_der(secret: bytes) -> bool:
    """Whether it is exactly one ASN.1 SEQUENCE, as every DER key and certificate is (X.690 section 8.1.3)."""
    if secret[0] != 0x30:
        return False
    length, start = secret[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(secret[2:start], "big")
    return start + length == len(secret)
