"""A token that has passed the pre-parser: well formed, and nothing in it believed yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Signature(StrEnum):
    """What a verifier says of a signature. Only GOOD admits."""

    GOOD = "good"
    BAD = "bad"
    KEY_UNKNOWN = "key_unknown"
    KEY_UNFIT = "key_unfit"  # the key's use, key_ops or alg forbid it


@dataclass(frozen=True, slots=True, repr=False)
class SignedToken:
    """A compact JWS taken apart. `signing_input` is the exact bytes that the signature covers.

    `issuer` is the claim `iss`, used only to choose among configured issuers until the signature is known good.
    """

    algorithm: str
    key_id: str | None
    typ: str | None
    issuer: str
    claims: Mapping[str, object]
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        return f"<SignedToken {self.algorithm} of {self.issuer!r}>"
