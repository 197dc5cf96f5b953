"""No bytes make a proxy and the gateway disagree about what is a request, and who asks (B2; PX-01, 02, 04, 06, 08, 10).

All attacks run at once, each through every proxy, from an address of its own. What each proxy does by itself is told in
docs/explain/proxies.md, whose table is compared with what happened.
"""

import asyncio
import re
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.architecture.source import ROOT
from tests.integration.proxies.attacks import ATTACKS, FORGED, smuggled
from tests.integration.proxies.recipes import NAME
from tests.integration.proxies.world import HEADER_PROXIES, ROUTES, Way, gateway_for, upgrade, way_through
from tests.integration.running import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = ROOT / "docs/explain/proxies.md"
AT_ONCE = 40
QUIET = 2.0
ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


@dataclass(frozen=True)
class Outcome:
    """What came of one attack through one proxy. `good` and `inner` are the subjects that it had credentials of."""

    source: str
    good: str
    inner: str
    said: bytes

    @property
    def cell(self) -> str:
        """The statuses in their order, those that the proxy gave by itself in italics."""
        answers = [
            status.decode() if status == b"101" or b"application/problem+json" in fields else f"*{status.decode()}*"
            for status, fields in ANSWER.findall(self.said)
            if status != b"100"
        ]
        return ", ".join(answers) or "*cut*"


@dataclass(frozen=True)
class Siege:
    gateway: Gateway
    ways: dict[str, Way]
    outcomes: dict[tuple[str, str], Outcome]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def siege(tmp_path_factory, certificate):
    folder = tmp_path_factory.mktemp("siege")
    async with (
        gateway_for(folder / "gateway", routes=ROUTES) as gateway,
        way_through("nginx", folder, certificate, gateway) as nginx,
        way_through("haproxy", folder, certificate, gateway) as haproxy,
        way_through("caddy", folder, certificate, gateway) as caddy,
        way_through("envoy", folder, certificate, gateway) as envoy,
    ):
        ways = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy, "envoy": envoy}
        places = asyncio.Semaphore(AT_ONCE)
        pairs = [(name, kind) for name in ATTACKS for kind in HEADER_PROXIES]
        done = await asyncio.gather(
            *(_attack(places, ways[kind], name, number) for number, (name, kind) in enumerate(pairs))
        )
        yield Siege(gateway, ways, dict(zip(pairs, done, strict=True)))


async def _attack(places: asyncio.Semaphore, way: Way, name: str, number: int) -> Outcome:
    good, inner, source = f"good-{number}", f"inner-{number}", f"127.2.{number // 250}.{number % 250 + 1}"
    sent = ATTACKS[name](upgrade(way.gateway.token(good)), smuggled(way.gateway.token(inner)))
    async with places:
        spoken = await way.raw(sent, source=source)
        said = await spoken.rest(QUIET)
        await spoken.close()
    return Outcome(source, good, inner, said)


@pytest.mark.timeout(120)
async def test_all_proxies_and_the_gateway_survive_it(siege, source, subject) -> None:
    for kind, way in siege.ways.items():
        client = await way.enter(f"{subject}-{kind}", source=source)
        assert await client.echoes()
        client.leave()


@pytest.mark.parametrize("name", ATTACKS)
async def test_what_reaches_the_backend_was_admitted_as_what_it_is(siege, name) -> None:
    for kind in HEADER_PROXIES:
        outcome = siege.outcomes[name, kind]
        backend = siege.ways[kind].backend
        entered = 0
        for subject in (outcome.good, outcome.inner):
            heads = [head for _, head in backend.heads if head["x-doorward-subject"] == subject]
            entered += len(heads)
            assert len(heads) <= 1, kind
            for head in heads:
                (record,) = await siege.gateway.audited(kind="handshake", subject=subject, outcome="allowed")
                assert record["address"] == outcome.source, kind
                assert record["direct"] == "127.0.0.1"
                assert head["host"] == NAME, kind
                assert (head["x-forwarded-for"], head["x-forwarded-proto"]) == (outcome.source, "https"), kind
                believed = [name for name, value in head.items() if FORGED in value]
                assert believed in ([], ["x-a"]), kind  # that one is the attack's own, whose value went on growing
        assert entered == len(re.findall(rb"HTTP/1\.[01] 101 ", outcome.said)), kind


async def test_nobody_else_ever_reached_the_backend(siege) -> None:
    known = {name for outcome in siege.outcomes.values() for name in (outcome.good, outcome.inner)}
    strangers = [
        head["x-doorward-subject"]
        for _, head in siege.gateway.backend.heads
        if head["x-doorward-subject"] not in known and not head["x-doorward-subject"].startswith("client-")
    ]
    assert strangers == []
    addresses = {event.get("address") for event in siege.gateway.events()}
    assert FORGED not in addresses
    assert "127.0.0.1" not in addresses, "the proxy was taken for a client"
    assert "Traceback" not in siege.gateway.printed


async def test_what_each_proxy_does_is_told(siege) -> None:
    """Versions as CI has them; a proxy that behaves otherwise is worth a look, and then a line in the table."""
    told = PAGE.read_text(encoding="utf-8")
    rows = [
        f"| {' | '.join([name, *(siege.outcomes[name, kind].cell for kind in HEADER_PROXIES)])} |" for name in ATTACKS
    ]
    missing = [row for row in rows if row not in told]
    assert missing == [], "\n".join(missing)
