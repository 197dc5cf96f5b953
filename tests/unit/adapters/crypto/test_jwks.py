"""The cache of published keys by its clock: when it asks, when it waits, when it trusts what it has, when it stops."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from doorward.adapters.crypto.algorithms import VerifyingKey
from doorward.adapters.crypto.jwks import PublishedKeys, keys_from_file
from doorward.adapters.crypto.key_sets import KeysError
from doorward.adapters.crypto.outbound import OutboundAnswer, OutboundError
from doorward.ports import VerifierError
from doorward.testing.clock import FakeClock
from doorward.values.token import Signature
from tests.security.forging import ec_jwk, ed_jwk
from tests.unit.adapters.crypto.fakes import Site

URL = "https://issuer.example/jwks.json"
DOWN = OutboundError("down")


def page(*jwks: Any, status: int = 200, content_type: str = "application/json") -> OutboundAnswer:
    return OutboundAnswer(status, content_type, json.dumps({"keys": list(jwks)}).encode())


ONE = page(ec_jwk())
TWO = page(ec_jwk(), ec_jwk("b", kid="ec-2"))
OTHER = page(ec_jwk("b", kid="ec-2"))


class Published:
    """The keys under test, with their site, clock and reports."""

    def __init__(self, *answers: OutboundAnswer | OutboundError) -> None:
        self.site = Site(*answers)
        self.clock = FakeClock()
        self.reports: list[str] = []
        self.keys = PublishedKeys(
            url=URL,
            algorithms=frozenset({"ES256"}),
            outbound=self.site,
            clock=self.clock,
            report=self.reports.append,
        )

    async def ask(self, key_id: str = "ec-1") -> str:
        try:
            found = await self.keys.key(key_id=key_id, algorithm="ES256")
        except VerifierError:
            return "unavailable"
        if isinstance(found, VerifyingKey):
            return "known"
        return str(found)

    async def settle(self) -> None:
        """Let a call that runs beside the traffic end."""
        for _ in range(3):
            await asyncio.sleep(0)


async def test_fetched_once_and_kept() -> None:
    published = Published(ONE)
    for _ in range(100):
        assert await published.ask() == "known"
    assert published.site.calls == 1


async def test_many_at_once_share_one_call() -> None:
    published = Published(ONE)
    assert set(await asyncio.gather(*(published.ask() for _ in range(100)))) == {"known"}
    assert published.site.calls == 1


async def test_unknown_ids_ask_once_per_cooldown() -> None:
    published = Published(ONE, ONE, TWO)
    assert await published.ask() == "known"
    for _ in range(50):
        assert await published.ask("ec-2") == Signature.KEY_UNKNOWN
    assert published.site.calls == 1
    published.clock.advance(29.9)
    assert await published.ask("ec-2") == Signature.KEY_UNKNOWN
    assert published.site.calls == 1
    published.clock.advance(0.1)
    assert await published.ask("ec-2") == Signature.KEY_UNKNOWN
    assert published.site.calls == 2
    published.clock.advance(30)
    assert await published.ask("ec-2") == "known"


async def test_a_clock_that_was_set_back_keeps_nobody_from_looking_again() -> None:
    published = Published(ONE, TWO)
    assert await published.ask() == "known"
    published.clock._now -= 3600
    assert await published.ask("ec-2") == "known"
    assert published.site.calls == 2


async def test_unfit_ids_ask_nobody() -> None:
    published = Published(page(ec_jwk(), ed_jwk()))
    assert await published.ask() == "known"
    published.clock.advance(100)
    assert await published.ask("ed-1") == Signature.KEY_UNFIT
    assert published.site.calls == 1


async def test_before_they_are_old_they_are_renewed_beside_the_traffic() -> None:
    published = Published(ONE, TWO)
    assert await published.ask() == "known"
    published.clock.advance(479)
    assert await published.ask() == "known"
    assert published.site.calls == 1
    published.clock.advance(1)
    assert await published.ask() == "known"
    await published.settle()
    assert published.site.calls == 2
    published.clock.advance(479)
    assert await published.ask("ec-2") == "known"
    assert published.site.calls == 2


async def test_a_key_that_is_withdrawn_ends_with_the_caches_time() -> None:
    """OAU-06: also where nobody came while it grew old."""
    published = Published(ONE, OTHER)
    assert await published.ask() == "known"
    published.clock.advance(600)
    assert await published.ask() == Signature.KEY_UNKNOWN
    assert await published.ask("ec-2") == "known"


async def test_stale_keys_serve_while_the_issuer_is_away() -> None:
    published = Published(ONE, *[DOWN] * 3, OTHER)
    assert await published.ask() == "known"
    published.clock.advance(600)
    assert await published.ask() == "known", "the first one waits, and it failed"
    assert published.site.calls == 2
    for _ in range(50):
        assert await published.ask() == "known"
        assert await published.ask("ec-2") == "unavailable", "it may be new, and that can't be found out"
    assert published.site.calls == 2
    published.clock.advance(30)
    assert await published.ask() == "known"
    await published.settle()
    assert published.site.calls == 3
    published.clock.advance(86_400 - 630 - 0.1)
    assert await published.ask() == "known"
    await published.settle()
    assert published.site.calls == 4
    published.clock.advance(0.1)
    assert await published.ask() == "unavailable", "24 h are enough"
    published.clock.advance(30)
    assert await published.ask("ec-2") == "known"
    assert len(published.reports) == 3


async def test_nothing_to_begin_with() -> None:
    """FX-04: while the issuer is away the answer comes at once, and one call per cooldown looks again."""
    published = Published(DOWN, DOWN, ONE)
    for _ in range(50):
        assert await published.ask() == "unavailable"
    assert published.site.calls == 1
    published.clock.advance(30)
    assert await published.ask() == "unavailable"
    published.clock.advance(30)
    assert await published.ask() == "known"


@pytest.mark.parametrize(
    "answer",
    [
        page(),
        OutboundAnswer(200, "application/json", b"{}"),
        OutboundAnswer(200, "application/json", b"<html>"),
        page(ec_jwk(), status=500),
        page(ec_jwk(), status=404),
        page(ec_jwk(), status=204),
        page(ec_jwk(), content_type="text/html"),
        page(ec_jwk(), content_type=""),
        page(ed_jwk()),
        page(*(ec_jwk(kid=str(n)) for n in range(33))),
    ],
)
async def test_oa_12_nonsense_does_not_erase_good_keys(answer: OutboundAnswer) -> None:
    published = Published(ONE, answer, answer)
    assert await published.ask() == "known"
    published.clock.advance(600)
    assert await published.ask() == "known"
    assert published.site.calls == 2
    assert published.reports
    empty = Published(answer)
    assert await empty.ask() == "unavailable"


@pytest.mark.parametrize("content_type", ["application/json", "application/jwk-set+json"])
async def test_types_of_a_key_set(content_type: str) -> None:
    assert await Published(page(ec_jwk(), content_type=content_type)).ask() == "known"


async def test_warmed_before_the_first_handshake() -> None:
    published = Published(ONE)
    await published.keys.warm()
    assert published.site.calls == 1
    assert await published.ask() == "known"
    failed = Published(DOWN)
    await failed.keys.warm()
    assert failed.reports == [f"{URL}: down"]


async def test_an_operator_drops_the_keys_at_once() -> None:
    published = Published(ONE, OTHER)
    assert await published.ask() == "known"
    published.keys.forget()
    assert await published.ask() == Signature.KEY_UNKNOWN
    assert published.site.calls == 2


class SlowSite(Site):
    """Answers when it is told to."""

    def __init__(self, *answers: OutboundAnswer) -> None:
        super().__init__(*answers)
        self.gate = asyncio.Event()

    async def call(self, url: str, **rest: object) -> OutboundAnswer:
        self.calls += 1
        await self.gate.wait()
        return ONE


async def test_a_handshake_that_leaves_does_not_take_the_call_with_it() -> None:
    published = Published()
    site = SlowSite()
    published.keys = PublishedKeys(
        url=URL, algorithms=frozenset({"ES256"}), outbound=site, clock=published.clock, report=published.reports.append
    )
    leaver, stayer = (asyncio.create_task(published.ask()) for _ in range(2))
    await published.settle()
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    site.gate.set()
    assert await stayer == "known"
    assert site.calls == 1


async def test_what_a_call_from_before_brings_home_is_not_trusted() -> None:
    published = Published()
    site = SlowSite()
    published.keys = PublishedKeys(
        url=URL, algorithms=frozenset({"ES256"}), outbound=site, clock=published.clock, report=published.reports.append
    )
    waiting = asyncio.create_task(published.ask())
    await published.settle()
    published.keys.forget()
    site.gate.set()
    assert await waiting == "unavailable"
    assert await published.ask() == "known"
    assert site.calls == 2


async def test_closing_ends_the_call() -> None:
    published = Published()
    site = SlowSite()
    published.keys = PublishedKeys(
        url=URL, algorithms=frozenset({"ES256"}), outbound=site, clock=published.clock, report=published.reports.append
    )
    warming = asyncio.create_task(published.keys.warm())
    await published.settle()
    await published.keys.close()
    assert isinstance((await asyncio.gather(warming, return_exceptions=True))[0], asyncio.CancelledError)
    await published.keys.close()


class Broken(Site):
    async def call(self, url: str, **rest: object) -> OutboundAnswer:
        raise RuntimeError("a bug")


async def test_a_bug_in_our_own_call_is_no_answer() -> None:
    published = Published()
    published.keys = PublishedKeys(
        url=URL,
        algorithms=frozenset({"ES256"}),
        outbound=Broken(),
        clock=published.clock,
        report=published.reports.append,
    )
    assert await published.ask() == "unavailable"
    assert published.reports == [f"{URL}: RuntimeError in our own call"]


async def test_keys_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(ONE.body)
    source = keys_from_file(path, algorithms=frozenset({"ES256"}), report=pytest.fail)
    assert isinstance(await source.key(key_id="ec-1", algorithm="ES256"), VerifyingKey)
    for content in (b"{", b"[]", b"x" * 70_000):
        path.write_bytes(content)
        with pytest.raises(KeysError):
            keys_from_file(path, algorithms=frozenset({"ES256"}), report=pytest.fail)
    with pytest.raises(KeysError, match="can't be read"):
        keys_from_file(tmp_path / "none", algorithms=frozenset({"ES256"}), report=pytest.fail)
