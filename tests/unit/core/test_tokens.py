"""The pre-parser, by its notes: each refusal is for the reason it is meant for. SECURITY B5 is in tests/security."""

import json

import pytest

from doorward.core.tokens import (
    MAX_TOKEN,
    canonical_algorithm,
    decode_segment,
    encode_segment,
    parse_object,
    parse_token,
)
from doorward.values.decision import Deny, Reason, Step
from doorward.values.token import SignedToken

CLAIMS = {"iss": "https://issuer.example", "sub": "alice"}
HEADER = {"alg": "HS256", "typ": "at+jwt", "kid": "k-1"}
SIGNATURE = bytes(range(32))


def written(header: object = HEADER, claims: object = CLAIMS, signature: bytes = SIGNATURE) -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    return ".".join(encode_segment(part) for part in (*parts, signature))


def note(text: str) -> str:
    outcome = parse_token(text)
    assert isinstance(outcome, Deny)
    assert outcome.step is Step.PROVE
    assert (outcome.reason is Reason.TOKEN_HEADER) == outcome.note.startswith(("header", "alg", "kid", "typ", "cty"))
    return outcome.note


def test_a_token_is_taken_apart() -> None:
    text = written()
    outcome = parse_token(text)
    assert isinstance(outcome, SignedToken)
    assert outcome == SignedToken(
        algorithm="HS256",
        key_id="k-1",
        typ="at+jwt",
        issuer="https://issuer.example",
        claims=CLAIMS,
        signing_input=text.rsplit(".", 1)[0].encode(),
        signature=SIGNATURE,
    )
    assert "alice" not in repr(outcome)


def test_what_may_be_absent_is_none() -> None:
    outcome = parse_token(written({"alg": "EdDSA"}))
    assert isinstance(outcome, SignedToken)
    assert (outcome.algorithm, outcome.key_id, outcome.typ) == ("Ed25519", None, None)


def test_two_names_of_one_algorithm() -> None:
    assert canonical_algorithm("EdDSA") == canonical_algorithm("Ed25519") == "Ed25519"
    assert canonical_algorithm("eddsa") == "eddsa"
    assert canonical_algorithm("ES256") == "ES256"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a" * (MAX_TOKEN + 1), "too long"),
        ("a.b", "not three segments"),
        ("a.b.c.d", "not three segments"),
        ("a.e30.AA", "a segment is not canonical base64url"),
        ("e30=.e30.AA", "a segment is not canonical base64url"),
        (written(b"[]"), "JSON is not an object"),
        (written(claims=b"\xff"), "JSON is not UTF-8"),
        (written(claims=b'{"a":1'), "JSON is malformed"),
        (written(claims=b"{}" * 2), "JSON is malformed"),
        (written(claims=b"\xef\xbb\xbf{}"), "JSON is malformed"),
        (written(claims=b'{"a":1,"a":1}'), "JSON has a name twice"),
        (written(claims=b'{"x":{"a":1,"a":1}}'), "JSON has a name twice"),
        (written(claims=b'{"a":NaN}'), "JSON has NaN"),
        (written(claims=b'{"a":-Infinity}'), "JSON has -Infinity"),
        (written(claims=b'{"a":1e400}'), "JSON has a number too large"),
        (written(claims=b'{"a":12345678901234567890}'), "JSON has a number too long"),
        (written(claims=b'{"a":' + b"[" * 16 + b"]" * 16 + b"}"), "JSON is too deep"),
        (written(claims=b"[" * 1_000), "JSON is too deep"),
        (written(claims={str(n): 1 for n in range(257)}), "JSON has too many members"),
        (written(claims={"x": [{str(n): {} for n in range(256)}]}), "JSON has too many members"),
        (written({str(n): 1 for n in range(65)}), "JSON has too many members"),
        (written(claims=b'{"a":"\\ud800"}'), "JSON has a lone surrogate"),
        (written(claims=b'{"\\uDFFF":1}'), "JSON has a lone surrogate"),
        (written(claims={}), "iss is not a string of 1 to 512 characters"),
        (written(claims={"iss": ""}), "iss is not a string of 1 to 512 characters"),
        (written(claims={"iss": "x" * 513}), "iss is not a string of 1 to 512 characters"),
        (written(claims={"iss": [CLAIMS["iss"]]}), "iss is not a string of 1 to 512 characters"),
        (written(signature=b"") + "A", "the signature is not canonical base64url"),
        (written(signature=b""), "the signature is not canonical base64url"),
        (written({}), "alg is missing, not a string, or none"),
        (written({"alg": "nOne"}), "alg is missing, not a string, or none"),
        (written({**HEADER, "kid": "a b"}), "kid is not a plain string of 1 to 128 characters"),
        (written({**HEADER, "kid": None}), "kid is not a plain string of 1 to 128 characters"),
        (written({**HEADER, "typ": None}), "typ is not a short string"),
        (written({**HEADER, "cty": "JWT"}), "cty says that there is a token inside"),
        *((written({**HEADER, name: value}), f"header member {name}") for name in ("jwk", "jku", "x5u", "x5c", "crit")
          for value in ("", "x", 1)),
        *((written({**HEADER, name: True}), f"header member {name}") for name in ("b64", "zip", "enc")),
    ],
)  # fmt: skip
def test_why_it_is_refused(text: str, why: str) -> None:
    assert note(text) == why


def test_the_limits_are_exact() -> None:
    head = written().split(".")[0]
    room = (MAX_TOKEN - len(head) - 2 - len(encode_segment(SIGNATURE))) * 3 // 4
    claims = json.dumps({**CLAIMS, "x": ""}).encode()
    fits = claims[:-2] + b"x" * (room - len(claims)) + claims[-2:]
    assert MAX_TOKEN - 2 < len(written(claims=fits)) <= MAX_TOKEN
    assert isinstance(parse_token(written(claims=fits)), SignedToken)
    assert note(written(claims=b"   " + fits)) == "too long"
    assert isinstance(parse_token(written(claims={**CLAIMS, **{str(n): ":" for n in range(254)}})), SignedToken)
    assert isinstance(parse_token(written(claims={**CLAIMS, "n": 2**63 - 1, "m": -(2**53)})), SignedToken)


def test_strings_are_not_structure() -> None:
    crowded = {**CLAIMS, "a": '[{"' * 50, "b": "\\", "c": '\\"[[[', "d": [], "é[{": "\U0001f600"}
    for text in (written(claims=crowded), written(claims=json.dumps(crowded, ensure_ascii=False).encode())):
        outcome = parse_token(text)
        assert isinstance(outcome, SignedToken)
        assert outcome.claims == crowded


@pytest.mark.parametrize(
    ("octets", "segment"),
    [(b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff", "-_8"), (b"\x00" * 3, "AAAA")],
)
def test_base64url(octets: bytes, segment: str) -> None:
    assert encode_segment(octets) == segment
    assert decode_segment(segment) == octets


@pytest.mark.parametrize(
    "segment", ["", "Z", "Zh", "Zm9", "Zg==", "Zm8=", "+_8", "-/8", "Zg\n", " Zg", "Zgé", "Zm9vZ", "\ud800"]
)
def test_not_base64url(segment: str) -> None:
    assert decode_segment(segment) is None


def test_a_strict_object_for_others() -> None:
    """The same reader serves key sets, with their own measure."""
    assert parse_object(b'{"keys":[{},{}]}', members=1) == {"keys": [{}, {}]}
    with pytest.raises(ValueError, match="too many"):
        parse_object(b'{"keys":[{"a":1}]}', members=1)
    with pytest.raises(ValueError, match="too deep"):
        parse_object(b'{"keys":[]}', members=1, depth=1)
    for document in (b"", b"[]", b'{"a":"secret', b'{"secret":secret}'):
        with pytest.raises(ValueError, match=r"^JSON is [a-z ]+$"):
            parse_object(document, members=9)
