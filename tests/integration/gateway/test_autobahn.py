"""The gate: Autobahn says of the gateway what it says of the backend alone, case by case."""

import pytest

from doorward.values.rules import Compression
from tests.integration.autobahn.echo import echo
from tests.integration.autobahn.verdicts import FAST_CASES, differences, verdicts
from tests.integration.gateway.standing_in import Limits, gateway, route

WIDE = route(compression=Compression.PASS, limits=Limits(messages=None, message_size=1 << 24))


@pytest.mark.timeout(240)
async def test_the_fast_cases_have_the_same_verdict_through_the_gateway():
    async with echo() as backend, gateway(backend, route_of=WIDE, path="/") as gate:
        without = await verdicts("127.0.0.1", backend, within=90)
        through = await verdicts("127.0.0.1", gate.port, within=120)
    assert len(without) == FAST_CASES
    assert differences(without, through) == []
