"""The gate: Autobahn says of Doorward, in both roles, what it says of an echo without it, but for what is explained."""

import pytest

from tests.integration.autobahn import doors
from tests.integration.autobahn.explained import unexplained
from tests.integration.autobahn.programs import echo
from tests.integration.autobahn.relay import relay
from tests.integration.autobahn.verdicts import FAST, FAST_CASES, Verdict, of_server

OK = Verdict("OK", "OK", 1000)
BAD = Verdict("FAILED", "FAILED", None)


@pytest.mark.timeout(240)
async def test_as_a_server_the_fast_cases_go_as_without_it():
    async with echo() as backend, relay(backend) as front:
        without = await of_server(f"127.0.0.1:{backend}")
        walked = await of_server(f"127.0.0.1:{front}")
    through = await doors.server_through_gateway(FAST)
    assert len(without) == FAST_CASES
    assert {verdict.behavior for verdict in without.values()} == {"OK", "INFORMATIONAL"}
    assert unexplained("server/walker/none", without, walked) == []
    assert unexplained("server/gateway/conformance", without, through) == []


@pytest.mark.timeout(240)
async def test_as_a_client_the_fast_cases_go_as_without_it():
    without = await doors.client_alone(FAST)
    through = await doors.client_through_gateway(FAST)
    assert len(without) == FAST_CASES
    assert {verdict.behavior for verdict in without.values()} == {"OK", "INFORMATIONAL"}
    assert unexplained("client/gateway/conformance", without, through) == []


@pytest.mark.timeout(240)
async def test_under_uvicorn_the_fast_cases_go_through_the_middleware_as_without_it():
    without = await doors.uvicorn_alone(FAST)
    through = await doors.middleware_under_uvicorn(FAST)
    assert len(without) == FAST_CASES
    assert unexplained("server/middleware/conformance", without, through) == []


def test_what_is_not_explained_is_told():
    strict = Verdict("OK", "OK", 1002)
    other = Verdict("NON-STRICT", "OK", 1002)
    assert unexplained("server/gateway/x", {"3.2": strict}, {"3.2": other}) == []
    assert unexplained("server/elsewhere/x", {"3.2": strict}, {"3.2": other}) != []
    assert unexplained("server/gateway/x", {"1.1.1": OK}, {"1.1.1": BAD}) != []
    assert unexplained("server/gateway/x", {"1.1.1": OK}, {}) != []
    assert unexplained("server/gateway/x", {}, {"1.1.1": OK}) != []


def test_what_is_explained_and_no_longer_true_is_told():
    (told,) = unexplained("server/gateway/x", {"9.3.1": OK}, {"9.3.1": OK})
    assert told.startswith("9.3.1: does not differ")
