"""SECURITY B5, the form of a token: JT-01 to -10, -29, -30, -52. What is not exactly a compact JWS goes no further."""

import json
import time
from typing import Any

import pytest

from doorward.core.tokens import MAX_TOKEN, parse_token
from doorward.values.decision import Deny, Reason
from doorward.values.principal import Principal
from tests.security.forging import HEADERS, claims, compact, door, encoded, hs256, segment, token

HEADER = HEADERS["HS256"]
BOTH = {Reason.TOKEN_MALFORMED, Reason.TOKEN_HEADER}


async def refused(text: str) -> Reason:
    """Refused by the pre-parser: no signature was looked at, nothing was raised."""
    gate = door()
    outcome = await gate.present(text)
    assert isinstance(outcome, Deny)
    assert outcome.reason in BOTH
    assert gate.asked == 0
    assert not gate.problems
    return outcome.reason


async def test_the_good_token_is_good() -> None:
    outcome = await door().present(token())
    assert isinstance(outcome, Principal)


SIZES = {
    "a 1 MiB claim": token(padding="x" * 1_048_576),
    "8193 bytes": token(padding="x" * 8193)[:8193],
    "one byte too many": "a" * (MAX_TOKEN + 1),
    "4 MiB": "A" * 4_194_304,
    "10 million dots": "." * 10_000_000,
}


@pytest.mark.parametrize("text", SIZES.values(), ids=SIZES)
async def test_jt_01_too_long(text: str) -> None:
    assert await refused(text) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("text", SIZES.values(), ids=SIZES)
def test_jt_01_costs_nothing(text: str) -> None:
    """CPU time, the best of several: what another process does at the same time is not the parser's."""
    costs = []
    for _ in range(20):
        begun = time.process_time()
        parse_token(text)
        costs.append(time.process_time() - begun)
    assert min(costs) < 0.001


@pytest.mark.parametrize(
    "text", ["a.b", "a.b.c.d", "a.b.c.d.e", "a.b.c.", ".a.b.c", "..", ".", "", "Bearer", "a..c", ".b.c", "a.b."]
)
async def test_jt_02_not_three_segments(text: str) -> None:
    await refused(text)


async def test_jt_02_a_second_space_or_scheme_is_not_stripped() -> None:
    for lead in (" ", "Bearer ", "bearer "):
        await refused(lead + token())


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("strange", ["\n", " ", "+", "/", "%2E", "\u200b", "\x00", "é", "\udc80", "\t", "\r\n"])
async def test_jt_04_strange_characters(strange: str, place: int) -> None:
    segments = token().split(".")
    for at in (0, len(segments[place]) // 2, len(segments[place])):
        changed = [*segments]
        changed[place] = segments[place][:at] + strange + segments[place][at:]
        await refused(".".join(changed))


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_jt_05_not_canonical(place: int) -> None:
    """The last character may differ in bits that mean nothing, and libraries would give the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for padding in ("", "x", "xx"):
        segments = compact({**HEADER, "x": padding}, claims(x=padding), hs256()).split(".")
        last = segments[place][-1]
        spare = {1: 0, 2: 15, 3: 3, 0: 0}[len(segments[place]) % 4]
        for other in (alphabet[alphabet.index(last) ^ bits] for bits in range(1, spare + 1)):
            await refused(".".join([*segments[:place], segments[place][:-1] + other, *segments[place + 1 :]]))


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_jt_05_padding(place: int) -> None:
    segments = token().split(".")
    for padding in ("=", "==", "===="):
        await refused(".".join([*segments[:place], segments[place] + padding, *segments[place + 1 :]]))


async def test_jt_06_polyglots() -> None:
    """CVE-2022-39227: one text that is a JSON serialisation to one reader and a compact one to another."""
    head, body, tail = token().split(".")
    await refused(f'{{"  {token()}  ": "", "protected":"{head}","payload":"{body}","signature":"{tail}"}}')
    await refused(json.dumps({"protected": head, "payload": body, "signature": tail}))
    await refused(f'{head}.{{"sub":"admin"}}.{tail}')


@pytest.mark.parametrize(
    "body",
    [
        b'{"iss":"https://issuer.example","aud":"us","sub":"alice","sub":"admin","exp":1790000300}',
        b'{"iss":"https://issuer.example","aud":"us","sub":"alice","exp":1,"exp":9999999999}',
        b'{"iss":"https://issuer.example","aud":"us","sub":"alice","s\\u0075b":"admin","exp":1790000300}',
        b'{"iss":"https://issuer.example","aud":"us","sub":"alice","exp":1790000300,"x":{"a":1,"a":2}}',
    ],
)
async def test_jt_08_duplicate_claims(body: bytes) -> None:
    assert await refused(compact(HEADER, body, hs256())) is Reason.TOKEN_MALFORMED


async def test_jt_08_duplicate_header_members() -> None:
    await refused(compact(b'{"alg":"none","alg":"HS256"}', claims(), hs256()))


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(claims()).encode("utf-16-le"),
        json.dumps(claims()).encode("utf-16"),
        json.dumps(claims()).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(claims()).encode(),
        json.dumps(claims(x="\ud800")).encode(),
        json.dumps(claims(x={"y": ["\udfff\ud800"]})).encode(),
        json.dumps(claims(**{"\udc00": 1})).encode(),
        json.dumps(claims(x="é"), ensure_ascii=False).encode("latin-1"),
        b"\x00" + json.dumps(claims()).encode(),
    ],
)
async def test_jt_09_not_utf_8(body: bytes) -> None:
    assert await refused(compact(HEADER, body, hs256())) is Reason.TOKEN_MALFORMED


async def test_jt_09_a_surrogate_pair_is_one_character() -> None:
    body = json.dumps(claims(x="\U0001f600", y="a backslash and \\ud800"))
    outcome = await door().present(compact(HEADER, body, hs256()))
    assert isinstance(outcome, Principal)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 1_800 + b"]" * 1_800,
        b'{"a":' * 600 + b"1" + b"}" * 600,
        b'{"iss":"' + b"https://issuer.example" + b'","x":' + b"[" * 16 + b"]" * 16 + b"}",
        b'"' + b"[" * 3_000,
        json.dumps({**claims(), "many": dict.fromkeys(map(str, range(256)))}).encode(),
        json.dumps({str(place): 1 for place in range(100_000)}).encode(),
        b'{"exp":' + b"9" * 1_000_000 + b"}",
        b'{"exp":' + b"9" * 3_000 + b"}",
        b'{"exp":-' + b"9" * 20 + b"}",
        b'{"exp":1e400}',
        b'{"exp":' + b"1" * 3_000 + b".5}",
        b'{"x":NaN}',
        b'{"x":[Infinity]}',
        b'{"x":-Infinity}',
        b"[]",
        b'"x"',
        b"null",
        b"1",
        b"{}",
        b"{} {}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":1}\x00',
        b'{"a":"\n"}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b"// c\n{}",
    ],
)
async def test_jt_10_not_one_plain_object(body: bytes) -> None:
    assert await refused(compact(HEADER, body, hs256())) is Reason.TOKEN_MALFORMED


async def test_jt_10_depth_and_members_are_exact() -> None:
    deep: object = 1
    for _ in range(15):
        deep = [deep]
    assert isinstance(await door().present(token(x=deep)), Principal)
    await refused(token(x=[deep]))
    brackets = "[" * 200 + '\\" {'
    assert isinstance(await door().present(token(x=brackets)), Principal), "brackets in strings are no depth"
    fits: dict[str, Any] = {f"c{place}": "::" for place in range(256 - len(claims()))}
    assert isinstance(await door().present(token(**fits)), Principal)
    await refused(token(**fits, one_more=1))
    await refused(compact({**HEADER, **{f"h{place}": 1 for place in range(63)}}, claims(), hs256()))


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": "exp"},
        {"crit": ["exp", "exp"], "exp": 1},
        {"crit": ["b64"]},
        {"crit": None},
        {"crit": ["exp"], "exp": 9999999999},
    ],
)
async def test_jt_29_crit(extra: dict[str, object]) -> None:
    assert await refused(token(header=extra)) is Reason.TOKEN_HEADER


async def test_jt_30_unencoded_or_detached_payload() -> None:
    assert await refused(token(header={"b64": False, "crit": ["b64"]})) is Reason.TOKEN_HEADER
    assert await refused(token(header={"b64": False})) is Reason.TOKEN_HEADER
    head, _, tail = token().split(".")
    await refused(f"{head}..{tail}")
    await refused(f"{head}.{'x' * 4_000_000}.{tail}")


async def test_jt_52_compressed_or_nested() -> None:
    assert await refused(token(header={"zip": "DEF"})) is Reason.TOKEN_HEADER
    contents: tuple[object, ...] = ("JWT", "jwt", "application/jwt", 1, None, [])
    for content in contents:
        assert await refused(token(header={"cty": content})) is Reason.TOKEN_HEADER
    nested = token()
    for _ in range(50):
        nested = compact({**HEADER, "cty": "JWT"}, encoded(nested), hs256()) if len(nested) < 4_000 else nested
    await refused(nested)
    assert await refused(token(header={"enc": "A256GCM"})) is Reason.TOKEN_HEADER


async def test_a_jwe_is_no_jws() -> None:
    await refused(".".join([encoded({"alg": "dir", "enc": "A256GCM"}), "", *[segment(b"x" * 12)] * 3]))
