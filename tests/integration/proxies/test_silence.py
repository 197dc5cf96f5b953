"""A minute and a half in which nobody says anything: our pings keep the socket through every proxy's own timeouts."""

import asyncio
import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE = 92.0
NGINX_CUTS_AFTER = 60.0


@pytest.mark.timeout(180)
async def test_a_silent_socket_is_alive_after_ninety_seconds(world, source) -> None:
    """Those that came with the first test of the folder: most of the time is over when this one begins."""
    silence = world.silence
    await asyncio.sleep(max(0.0, silence.since + SILENCE - time.monotonic()))
    for name, client in silence.clients.items():
        assert await client.echoes(), name
    # as many seconds of health checks later: those over PROXY protocol speak for nobody (LOCAL), and were answered
    late = await silence.tunnel.enter("late", source=source)
    late.leave()
    cut_after = await asyncio.wait_for(silence.unpinged, 5)
    assert NGINX_CUTS_AFTER - 2 < cut_after < SILENCE
