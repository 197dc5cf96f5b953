"""The gate: Autobahn says of the walker what it says of the backend alone, case by case."""

import pytest

from tests.integration.autobahn.echo import echo
from tests.integration.autobahn.relay import relay
from tests.integration.autobahn.verdicts import FAST_CASES, differences, verdicts


@pytest.mark.timeout(200)
async def test_the_fast_cases_have_the_same_verdict_through_the_walker() -> None:
    async with echo() as backend, relay(backend) as front:
        without = await verdicts("127.0.0.1", backend, within=90)
        through = await verdicts("127.0.0.1", front, within=90)
    assert len(without) == FAST_CASES
    assert differences(without, through) == []
