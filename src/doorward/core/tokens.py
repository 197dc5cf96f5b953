"""A token is taken apart here before any library sees it, and what is not exactly a compact JWS goes no further.

Nothing is believed yet: the signature is not checked, and `iss` only chooses among configured issuers.
Sources: RFC 7515 section 7.1 (compact form), RFC 8725 section 3 (strictness), SECURITY JWT-01 to -09 and D18.
"""

import json
import re
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Final, NoReturn

from doorward.values.decision import Deny, Reason, Step
from doorward.values.token import SignedToken

MAX_TOKEN: Final = 5 * 1024
MAX_DEPTH: Final = 16
MAX_HEADER_MEMBERS: Final = 64
MAX_CLAIM_MEMBERS: Final = 256
MAX_DIGITS: Final = 19
MAX_ISSUER: Final = 512
MAX_TYP: Final = 64

# They would say where to find a key, what else must be understood, or that the content is not what it seems.
REFUSED_HEADERS: Final = ("jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc")

# Real key ids are base64 with its + / =, and URN-like with : and @. They are only ever looked up in a map.
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._~=+/:@-]{1,128}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST: Final = (_ALPHABET, "", _ALPHABET[::16], _ALPHABET[::4])  # by the length over fours: no byte has one character
_PADDING: Final = ("", "", "==", "=")
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_ABSENT: Final = object()


def parse_token(text: str) -> SignedToken | Deny:
    """Take a compact JWS apart: at most 5 KiB, two dots, canonical base64url, two strict JSON objects, a sane header.

    Never raises. The length comes first, so that four megabytes cost nothing.
    """
    if len(text) > MAX_TOKEN:
        return _malformed("too long")
    segments = text.split(".", 3)
    if len(segments) != 3:
        return _malformed("not three segments")
    head, body, tail = segments
    header = _judge_header(head)
    if isinstance(header, Deny):
        return header
    claims = _read_object(body, members=MAX_CLAIM_MEMBERS)
    if isinstance(claims, Deny):
        return claims
    signature = decode_segment(tail)
    if signature is None:
        return _malformed("the signature is not canonical base64url")
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not 0 < len(issuer) <= MAX_ISSUER:
        return _malformed("iss is not a string of 1 to 512 characters")
    return SignedToken(
        algorithm=header.algorithm,
        key_id=header.key_id,
        typ=header.typ,
        issuer=issuer,
        claims=claims,
        signing_input=text[: -len(tail) - 1].encode("ascii"),
        signature=signature,
    )


def canonical_algorithm(name: str) -> str:
    """EdDSA and Ed25519 are one algorithm here (RFC 9864 names the curve; SECURITY X38). No other name is changed."""
    return "Ed25519" if name == "EdDSA" else name


def encode_segment(octets: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return b2a_base64(octets, newline=False).rstrip(b"=").translate(_TO_URL).decode("ascii")


def decode_segment(segment: str) -> bytes | None:
    """The bytes of a base64url segment; None unless encoding them again gives the same text (SECURITY JWT-02).

    It does where no other character stands in it, and where the bits that its last one has to spare are zero.
    """
    spare = len(segment) % 4
    if not _SEGMENT.fullmatch(segment) or segment[-1] not in _LAST[spare]:
        return None
    return a2b_base64(segment.replace("-", "+").replace("_", "/") + _PADDING[spare])


def parse_object(document: bytes, *, members: int, depth: int = MAX_DEPTH) -> dict[str, object]:
    """One strict JSON object: UTF-8 without BOM, distinct names, finite numbers, whole text (SECURITY JWT-03).

    `members` counts those of all objects in it together. Raises ValueError, and nothing else, with a text that shows
    nothing of the document.
    """
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("JSON is not UTF-8") from None
    if not _is_shallow(text, depth):
        raise ValueError("JSON is too deep")
    try:
        value = _DECODER.decode(text)
    except _StrictError:
        raise
    except ValueError:
        raise ValueError("JSON is malformed") from None
    if not isinstance(value, dict):
        raise ValueError("JSON is not an object")
    # Every member has its colon: few colons need no count.
    if text.count(":") > members and _count_members(value) > members:
        raise ValueError("JSON has too many members")
    if _SURROGATE.search(text) and not _is_encodable(value):
        raise ValueError("JSON has a lone surrogate")
    return value


class _StrictError(ValueError):
    """A fault that our own hooks found, to be told apart from the parser's, whose texts quote the document."""


def _is_shallow(text: str, depth: int) -> bool:
    if text.count("[") + text.count("{") <= depth:
        return True
    level = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = match[0][0]
        if first in "[{":
            level += 1
            if level > depth:
                return False
        elif first != '"':
            level -= 1
    return True


def _count_members(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_members, value.values()))
    return sum(map(_count_members, value)) if isinstance(value, list) else 0


def _is_encodable(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _StrictError("JSON has a name twice")
    return found


def _integer(text: str) -> int:
    # int() of many digits takes quadratic time: the digits are counted first.
    if len(text) > MAX_DIGITS:
        raise _StrictError("JSON has a number too long")
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise _StrictError("JSON has a number too large")
    return value


def _constant(name: str) -> NoReturn:
    raise _StrictError(f"JSON has {name}")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


@dataclass(frozen=True, slots=True)
class _Header:
    algorithm: str
    key_id: str | None
    typ: str | None


# An issuer's tokens share a few headers, and the same text always means the same. Bounded: 128 of at most 5 KiB.
@lru_cache(maxsize=128)
def _judge_header(segment: str) -> _Header | Deny:
    header = _read_object(segment, members=MAX_HEADER_MEMBERS)
    if isinstance(header, Deny):
        return header
    for name in REFUSED_HEADERS:
        if name in header:
            return _unfit(f"header member {name}")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm.strip().lower() in {"", "none"}:
        return _unfit("alg is missing, not a string, or none")
    key_id, typ, content = (header.get(name, _ABSENT) for name in ("kid", "typ", "cty"))
    if key_id is not _ABSENT and not (isinstance(key_id, str) and _KEY_ID.fullmatch(key_id)):
        return _unfit("kid is not a plain string of 1 to 128 characters")
    if typ is not _ABSENT and not (isinstance(typ, str) and 0 < len(typ) <= MAX_TYP and typ.isascii()):
        return _unfit("typ is not a short string")
    if content is not _ABSENT and not (isinstance(content, str) and content.lower() not in {"jwt", "application/jwt"}):
        return _unfit("cty says that there is a token inside")
    return _Header(
        algorithm=canonical_algorithm(algorithm),
        key_id=key_id if isinstance(key_id, str) else None,
        typ=typ if isinstance(typ, str) else None,
    )


def _read_object(segment: str, *, members: int) -> dict[str, object] | Deny:
    document = decode_segment(segment)
    if document is None:
        return _malformed("a segment is not canonical base64url")
    try:
        return parse_object(document, members=members)
    except ValueError as fault:
        return _malformed(str(fault))


def _unfit(note: str) -> Deny:
    """Notes name members, never their values: they go to the audit."""
    return Deny(Reason.TOKEN_HEADER, Step.PROVE, note=note)


def _malformed(note: str) -> Deny:
    return Deny(Reason.TOKEN_MALFORMED, Step.PROVE, note=note)
