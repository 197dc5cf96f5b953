"""Gateways and proxies are replaced while people are connected, and nobody gets an error for it."""

import asyncio
import re
import shutil
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count

import pytest

from tests.integration.proxies.recipes import recipe
from tests.integration.proxies.world import HEADER_PROXIES, ROUTES, Guest, fresh, gateway_for, way_through
from tests.integration.running import Refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

LATE = count()
DRAINING = re.compile(r"doorward:draining; retry_after=\d+")
ANOTHER = "127.0.0.1:8810"

# what the pages say of two gateways, with checks more often than there, and as patient: by itself HAProxy waits no
# longer than its interval, and a disk that is slow for 400 ms would take out both gateways at once
TWO = {
    "nginx": {
        "server {\n": (
            f"upstream gateways {{ server 127.0.0.1:8800 max_fails=0; server {ANOTHER} max_fails=0; }}\n\nserver {{\n"
        ),
        "proxy_pass http://127.0.0.1:8800;": (
            "proxy_pass http://gateways;\n        proxy_next_upstream error timeout http_503;"
            "\n        proxy_connect_timeout 2s;"
        ),
    },
    "haproxy": {
        "server gw1 127.0.0.1:8800": f"server gw1 127.0.0.1:8800\n    server gw2 {ANOTHER}",
        "option httpchk GET /readyz": "option httpchk GET /readyz\n    timeout check 2s",
        "inter 2s": "inter 200ms",
    },
    "caddy": {
        "reverse_proxy 127.0.0.1:8800 {": (
            f"reverse_proxy 127.0.0.1:8800 {ANOTHER} {{\n\t\tlb_try_duration 5s\n"
            "\t\thealth_uri /readyz\n\t\thealth_interval 200ms"
        ),
    },
    "envoy": {
        "route: { cluster: doorward }": (
            "route: { cluster: doorward, retry_policy: { retry_on: 'connect-failure,retriable-status-codes',"
            " retriable_status_codes: [503], num_retries: 2, retry_host_predicate: ["
            "{ name: envoy.retry_host_predicates.previous_hosts, typed_config: { '@type': "
            "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate } }] } }"
        ),
        "interval: 2s, timeout: 2s": "interval: 0.2s, no_traffic_interval: 0.2s, timeout: 2s",
        "          - lb_endpoints:\n": (
            "          - lb_endpoints:\n"
            "              - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 8810 } } }\n"
        ),
    },
}
# by its own checks alone: it passes a 503 on while it has not noticed
MAY_SAY_503 = {"caddy"}


@asynccontextmanager
async def _two_gateways(kind, certificate, folder, *, drain_timeout: str = "6s"):
    """Two nodes on one store behind one proxy."""
    more = {"routes": ROUTES, "store": {"url": f"sqlite:///{folder}/shared.db"}}
    (folder / "two").mkdir(parents=True)
    async with gateway_for(folder / "one", server={"drain_timeout": drain_timeout, "node": "one"}, **more) as one:
        shutil.copy(folder / "one" / "doorward.key", folder / "two")
        issuers = one.settings["issuers"]
        async with gateway_for(
            folder / "two", server={"drain_timeout": drain_timeout, "node": "two"}, issuers=issuers, **more
        ) as two:
            two.secrets = one.secrets
            changes = {
                there: instead.replace("8810", str(two.port)).replace("8800", str(one.port))
                for there, instead in TWO[kind].items()
            }
            async with way_through(kind, folder, certificate, one, also=changes) as way:
                yield one, two, way


@pytest.mark.timeout(120)
async def test_gateways_are_rolled_and_nobody_notices(certificate, tmp_path) -> None:
    """Each of two is drained and started again, while handshakes go on all the time. Behind all proxies at once."""
    statuses = await asyncio.gather(*(_rolled(kind, certificate, fresh(), tmp_path / kind) for kind in HEADER_PROXIES))
    for kind, seen in zip(HEADER_PROXIES, statuses, strict=True):
        bad = [status for status in seen if status != (101, "")]
        if kind in MAY_SAY_503:
            assert set(bad) <= {(503, "draining")}
            assert len(bad) < len(seen) / 4, "its check takes it out"
        else:
            assert bad == [], f"{kind}, of {len(seen)}"


async def _rolled(kind, certificate, source: str, folder) -> list[tuple[int, str]]:
    """What everybody got who came meanwhile."""
    statuses: list[tuple[int, str]] = []
    async with _two_gateways(kind, certificate, folder) as (one, two, way):
        rolling = True

        async def come_and_go() -> None:
            for number in count():
                if not rolling:
                    return
                client = await way.try_enter(one.token(f"passer-{number}"), source=source)
                if isinstance(client, Guest):
                    statuses.append((101, ""))
                    client.leave()
                else:
                    statuses.append((client.status, client.reason))
                await asyncio.sleep(0.05)

        coming = asyncio.create_task(come_and_go())
        for gateway in (one, two):
            inside = await _some_inside(way, gateway, source)
            began = len(statuses)
            gateway.tell(signal.SIGTERM)
            assert await gateway.ended() == 0
            ended = [client for client in inside if await _has_ended(client)]
            told = [await client.closed() for client in ended]
            assert told, "nobody was on it"
            assert all(code == 1012 and DRAINING.fullmatch(reason or "") for code, reason in told), told
            for client in inside:
                client.leave()
            await gateway.start()
            # until it is seen to be back, before the other one goes
            back = len(gateway.events(kind="handshake", outcome="allowed"))
            await gateway.audited(kind="handshake", outcome="allowed", count=back + 3, within=25.0)
            assert len(statuses) > began + 5
        rolling = False
        await coming
    return statuses


async def _some_inside(way, gateway, source: str) -> list[Guest]:
    """Clients that stay, some of them on this gateway of the two."""
    inside: list[Guest] = []
    names: list[str] = []  # new each time: those of an earlier round are gone
    async with asyncio.timeout(20):
        while sum([len(gateway.events(kind="handshake", subject=name)) for name in names]) < 3:
            names.append(f"inside-{next(LATE)}")
            inside.append(await way.enter(names[-1], source=source))
    return inside


async def _has_ended(client: Guest) -> bool:
    """A message still goes through, or its Close has come."""
    try:
        return not await client.echoes()
    except Exception:  # noqa: BLE001 - however it ended, `closed` says how
        return True


@pytest.mark.timeout(120)
async def test_a_health_check_takes_out_a_gateway_that_drains(certificate, tmp_path) -> None:
    """Those who are inside stay for their drain; nobody new is even sent there. HAProxy asks over HTTP/1.0."""
    checking = [kind for kind in HEADER_PROXIES if kind != "nginx"]
    await asyncio.gather(*(_taken_out(kind, certificate, fresh(), tmp_path / kind) for kind in checking))


async def _taken_out(kind, certificate, source: str, folder) -> None:
    async with _two_gateways(kind, certificate, folder, drain_timeout="600s") as (one, two, way):
        inside = await _some_inside(way, one, source)
        one.tell(signal.SIGTERM)
        await one.until(lambda: _drains(one))
        await two.until(lambda: _nobody_is_sent_to(one, way, two, source), within=60.0)
        alive = [client for client in inside if not await _has_ended(client)]
        assert len(alive) > len(inside) / 2, kind
        for client in inside:
            client.leave()


async def _nobody_is_sent_to(one, way, two, source: str) -> bool:
    """Ten in a row come in, and the one has not even refused one of them: a retry would hide that from them."""
    before = await _handshakes(one)
    for _ in range(10):
        client = await way.try_enter(two.token(f"late-{next(LATE)}"), source=source)
        if isinstance(client, Refused):
            return False
        client.leave()
    return await _handshakes(one) == before


async def _handshakes(gateway) -> float:
    """All that it has decided so far."""
    said = (await gateway.get("/metrics", admin=True)).text
    return sum(float(line.split(" ")[1]) for line in said.splitlines() if line.startswith("doorward_handshakes_total{"))


async def _drains(gateway) -> bool:
    return await gateway.ready() == 503


@pytest.mark.timeout(90)
async def test_a_gateway_alone_that_drains_says_so(certificate, source, tmp_path) -> None:
    """Its 503 comes through, or the proxy has taken it out and says 503 itself; those inside hear 1012."""
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(gateway_for(tmp_path / "gateway", server={"drain_timeout": "8s"}))
        ways = [
            await stack.enter_async_context(way_through(kind, tmp_path, certificate, gateway))
            for kind in HEADER_PROXIES
        ]
        clients = [await way.enter("inside", source=fresh()) for way in ways for _ in range(3)]
        gateway.tell(signal.SIGTERM)
        await gateway.until(lambda: _drains(gateway))
        refusals = await asyncio.gather(*(way.try_enter(gateway.token("late"), source=source) for way in ways))
        assert [refused.status for refused in refusals if isinstance(refused, Refused)] == [503] * len(ways)
        for client in clients:
            code, reason = await client.closed()
            assert code == 1012
            assert DRAINING.fullmatch(reason or ""), reason
        assert await gateway.ended() == 0


# ---- the proxy's own reload ------------------------------------------------------------------------------------------

GENERATION = {
    "nginx": {"max-age=31536000": "max-age=2"},
    "haproxy": {"max-age=31536000": "max-age=2"},
    "caddy": {"max-age=31536000": "max-age=2"},
}


@pytest.mark.parametrize("kind", GENERATION)
async def test_live_sockets_survive_a_reload_of_the_proxy(kind, certificate, source, tmp_path) -> None:
    async with (
        gateway_for(tmp_path / "gateway", routes=ROUTES) as gateway,
        way_through(kind, tmp_path, certificate, gateway) as way,
    ):
        old = [await way.enter(f"old-{number}", source=source) for number in range(4)]
        for generation in (2, 3):
            text = recipe(kind, certificate, secure=way.secure, plain=way.plain, gateway=gateway.port)
            way.proxy.write(text.replace("max-age=31536000", f"max-age={generation}"))
            await way.proxy.reload()
            await gateway.until(partial(_is_of, way, source, generation))
            for client in old:
                assert await client.echoes(), generation
        new = await way.enter("new", source=source)
        assert await new.echoes()
        code, printed = await gateway.cli("revoke", "--subject", "old-0")
        assert code == 0, printed
        assert await old[0].closed() == (4002, "doorward:revoked")
        for client in (*old[1:], new):
            client.leave()


async def _is_of(way, source: str, generation: int) -> bool:
    client = await way.try_enter(way.gateway.token("asking"), source=source)
    if isinstance(client, Refused):
        assert client.status == 503, client  # a machine that is slow: everything else would be the reload's
        return False
    header = client.socket.response.headers.get("Strict-Transport-Security")
    client.leave()
    return header == f"max-age={generation}"


async def test_caddy_without_its_delay_closes_all_sockets_at_a_reload(certificate, source, tmp_path) -> None:
    """Why the recipe has that line."""
    async with (
        gateway_for(tmp_path / "gateway", routes=ROUTES) as gateway,
        way_through("caddy", tmp_path, certificate, gateway, also={"\t\tstream_close_delay 8h\n": ""}) as way,
    ):
        client = await way.enter("old", source=source)
        way.proxy.write(
            recipe("caddy", certificate, secure=way.secure, plain=way.plain, gateway=gateway.port).replace(
                "max-age=31536000", "max-age=2"
            )
        )
        await way.proxy.reload()
        code, _ = await client.closed()
        print("closed by Caddy with", code)
        assert code in {1001, 1006}
