"""The way to PostgreSQL under TLS: what the URL asks for is what is done."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorward.ports import StoreError
from tests.integration.gateway.certificates import Authority
from tests.servers.postgres import PASSWORD, Postgres, running
from tests.stores.calling import at, outcomes

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Postgres]:
    """Known as 127.0.0.1 to whoever trusts the authority. It lets nobody in without TLS."""
    pair = authority.issue("127.0.0.1")
    with running() as server:
        owner = server.data.stat()
        for name, file in (("server.crt", pair.certificate), ("server.key", pair.key)):
            shutil.copy(file, server.data / name)
            (server.data / name).chmod(0o600)
            os.chown(server.data / name, owner.st_uid, owner.st_gid)
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")
        (server.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        server.restart()
        yield server


async def test_a_server_that_is_known_is_used(server: Postgres, authority: Authority) -> None:
    url = server.database()
    store = at(f"{url}?sslmode=verify-full&sslrootcert={authority.file}")
    await store.open()
    assert set((await outcomes(store)).values()) == {"done"}
    sessions = server.sql(
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'doorward'"
    )
    assert sessions == [(True,)]
    await store.close()


async def test_one_that_anybody_may_have_made_is_not(server: Postgres, folder: Path) -> None:
    stranger = Authority(folder, "stranger")
    with pytest.raises(StoreError, match="certificate verify failed") as caught:
        await at(f"{server.url('postgres')}?sslmode=verify-full&sslrootcert={stranger.file}").open()
    assert PASSWORD not in str(caught.value)


async def test_one_of_another_name_is_not(server: Postgres, authority: Authority) -> None:
    url = server.url("postgres").replace("127.0.0.1", "localhost")
    with pytest.raises(StoreError, match="does not match host name"):
        await at(f"{url}?sslmode=verify-full&sslrootcert={authority.file}").open()


async def test_without_tls_it_lets_nobody_in(server: Postgres) -> None:
    with pytest.raises(StoreError, match="no encryption"):
        await at(f"{server.url('postgres')}?sslmode=disable").open()
