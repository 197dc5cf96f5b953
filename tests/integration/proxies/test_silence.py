"""A minute and a half in which nobody says anything: our pings keep the socket through every proxy's own timeouts.

All proxies wait at the same time, each with the timeouts of its recipe or its own defaults. One nginx stands before a
backend that does not ping, to show that there is something to be kept from.
"""

import asyncio
import ssl
import time

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.integration.proxies.conftest import gateway_for, way_through
from tests.integration.proxies.recipes import NAME, recipe
from tests.integration.proxies.starting import standing
from tests.integration.running import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE = 92.0
NGINX_CUTS_AFTER = 60.0


@pytest.mark.timeout(180)
async def test_a_silent_socket_is_alive_after_ninety_seconds(ways, certificate, source, tmp_path) -> None:
    async with (
        gateway_for(tmp_path / "gateway", server={"forwarded_header": "proxy-protocol"}) as gateway,
        way_through("haproxy-proxy-protocol", tmp_path, certificate, gateway) as tunnel,
    ):
        all_ways = {**ways, "haproxy in TCP mode": tunnel}
        clients = {name: await way.enter("silent", source=source, life=600.0) for name, way in all_ways.items()}
        waiting = asyncio.create_task(_unpinged(certificate, tmp_path, gateway.backend.port))
        await asyncio.sleep(SILENCE)
        for name, client in clients.items():
            assert await client.echoes(), name
            client.leave()
        # forty health checks later: those over PROXY protocol speak for nobody (LOCAL), and were answered
        late = await tunnel.enter("late", source=source)
        late.leave()
        cut_after = await waiting
        assert NGINX_CUTS_AFTER - 2 < cut_after < SILENCE


async def _unpinged(certificate, folder, backend: int) -> float:
    """Seconds that the same nginx leaves a silent socket alone when nobody pings."""
    secure = free_port()
    text = recipe("nginx", certificate, secure=secure, gateway=backend)
    trust = ssl.create_default_context(cafile=certificate.authority)
    async with (
        standing("nginx", folder / "unpinged", text, ports=[secure]),
        connect(
            f"wss://{NAME}/",
            host="127.0.0.1",
            port=secure,
            ssl=trust,
            proxy=None,
            ping_interval=None,
            additional_headers={"X-Doorward-Subject": "nobody"},
        ) as socket,
    ):
        begun = time.monotonic()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), SILENCE)
        return time.monotonic() - begun
