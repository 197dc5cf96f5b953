"""SECURITY B5, keys that a token names: JT-21 to -28. Nothing in a token is ever fetched, opened or executed."""

import asyncio
import sys
from contextvars import ContextVar
from typing import Any

import pytest

from doorward.values.decision import Deny, Reason
from doorward.values.principal import Principal
from tests.security.forging import (
    HEADERS,
    SIGNERS,
    claims,
    compact,
    door,
    ec_jwk,
    ed_jwk,
    es256,
    hs256,
    key_set,
    token,
)

WATCHED = {"open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"}
seen: list[tuple[str, str]] = []
watching = ContextVar("watching", default=False)


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in WATCHED and watching.get():
        seen.append((event, repr(arguments)[:200]))


sys.addaudithook(watch)  # never taken away again: it looks only while a test says so


async def refusal(text: str, algorithm: str = "ES256") -> Reason:
    """Refused with no file opened, no name looked up, nothing connected to, no program started."""
    gate = door(algorithm)
    seen.clear()
    before = watching.set(True)
    try:
        outcome = await gate.present(text)
    finally:
        watching.reset(before)
    assert isinstance(outcome, Deny)
    assert seen == []
    assert gate.problems == []
    return outcome.reason


def test_the_watch_sees() -> None:
    before = watching.set(True)
    try:
        seen.clear()
        with open(__file__, "rb"):
            pass
    finally:
        watching.reset(before)
    assert [event for event, _ in seen] == ["open"]


async def test_jt_21_embedded_key() -> None:
    forged = compact({**HEADERS["ES256"], "jwk": ec_jwk("evil")}, claims(), lambda octets: es256(octets, "evil"))
    assert await refusal(forged) is Reason.TOKEN_HEADER


URLS = [
    "https://evil/jwks.json",
    "http://127.0.0.1:1/",
    "file:///etc/passwd",
    "https://issuer.example@evil/",
    "https://issuer.example.evil/",
    "https://issuer.example/redirect?to=evil",
    "https://issuer.example#/jwks",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("member", ["jku", "x5u"])
async def test_jt_22_and_24_key_urls(member: str, url: str) -> None:
    assert await refusal(token("ES256", header={member: url})) is Reason.TOKEN_HEADER


async def test_jt_22_a_listener_sees_nobody() -> None:
    visits = 0

    def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1
        writer.close()

    server = await asyncio.start_server(came, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for header, more in (({"jku": url}, {}), ({"x5u": url}, {}), ({"kid": url}, {}), ({}, {"iss": url})):
            assert isinstance(await door("ES256").present(token("ES256", header=header, **more)), Deny)
    assert visits == 0


async def test_certificate_chains_are_refused_and_thumbprints_are_not_read() -> None:
    assert await refusal(token("ES256", header={"x5c": ["MIIB"]})) is Reason.TOKEN_HEADER
    assert isinstance(await door("ES256").present(token("ES256", header={"x5t": "abc", "x5t#S256": "d"})), Principal)


@pytest.mark.parametrize(
    "kid",
    ["../../../../dev/null", "/dev/null", "/proc/self/environ", "C:\\Windows\\win.ini", "file:///dev/null", "\x00"],
)
@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
async def test_jt_25_key_id_as_a_path(kid: str, algorithm: str) -> None:
    forged = compact({"alg": algorithm, "kid": kid}, claims(), hs256(b""))
    assert await refusal(forged, algorithm) in {Reason.TOKEN_HEADER, Reason.TOKEN_KEY, Reason.TOKEN_SIGNATURE}


@pytest.mark.parametrize(
    "kid",
    [
        "x' UNION SELECT 'k",
        "' OR 1=1--",
        "${jndi:ldap://x}",
        "$(id)",
        "|id",
        "",
        "x" * 129,
        1,
        None,
        ["rsa-1"],
        {},
        "é",
    ],
)
async def test_jt_26_key_id_as_code(kid: object) -> None:
    """The note that the audit gets shows nothing of it."""
    gate = door("ES256")
    outcome = await gate.present(compact({"alg": "ES256", "kid": kid}, claims(), es256))
    assert isinstance(outcome, Deny)
    assert outcome.reason is Reason.TOKEN_HEADER
    assert gate.asked == 0
    assert not (isinstance(kid, str) and kid and kid in outcome.note)


@pytest.mark.parametrize("kid", ["mR3/aB+cd9==", "urn:keys:2026-11", "a@b~c.d_e-f", "x" * 128])
async def test_key_ids_that_real_issuers_use(kid: str) -> None:
    gate = door("ES256", source=key_set(ec_jwk(kid=kid), algorithms={"ES256"}))
    assert isinstance(await gate.present(token("ES256", header={"kid": kid})), Principal)


async def test_jt_28_no_key_id_with_two_keys() -> None:
    two = key_set(ec_jwk(), {**ec_jwk("b"), "kid": "ec-2"}, algorithms={"ES256"})
    nameless = compact({"alg": "ES256"}, claims(), es256)
    outcome = await door("ES256", source=two).present(nameless)
    assert isinstance(outcome, Deny)
    assert outcome.reason is Reason.TOKEN_KEY
    one = key_set(ec_jwk(), ed_jwk(), algorithms={"ES256", "Ed25519"})
    assert isinstance(await door("ES256", source=one).present(nameless), Principal), "one key for the algorithm"


@pytest.mark.parametrize("kid", ["EC-1", "ec-1.", "ec", "ed-1", "ec-2"])
async def test_jt_28_another_key_id(kid: str) -> None:
    assert await refusal(token("ES256", header={"kid": kid})) is Reason.TOKEN_KEY


async def test_a_secret_has_no_id() -> None:
    """There is one: a key id can't choose another, so it is not looked at."""
    text = compact({"alg": "HS256", "kid": "anything"}, claims(), SIGNERS["HS256"])
    assert isinstance(await door().present(text), Principal)
