"""The gateway's hands run on uvloop, and so do their tests."""

import asyncio
import ssl
from collections.abc import Callable, Mapping

import pytest
import uvloop

from doorward.adapters.gateway.tls import client_context, server_context
from tests.integration.gateway.certificates import Authority, Pair


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def pair(authority: Authority) -> Pair:
    return authority.issue("gw.example", "127.0.0.1")


@pytest.fixture(scope="session")
def serving(pair: Pair) -> ssl.SSLContext:
    return server_context(certificate=pair.certificate, key=pair.key, minimum="1.3")


@pytest.fixture(scope="session")
def trusting(authority: Authority) -> ssl.SSLContext:
    return client_context(authorities=authority.file)


@pytest.fixture(params=["plain", "tls"])
def either(request: pytest.FixtureRequest, serving: ssl.SSLContext, trusting: ssl.SSLContext):
    """(our own context, the client's), both None in the plain half of the tests."""
    return (serving, trusting) if request.param == "tls" else (None, None)
