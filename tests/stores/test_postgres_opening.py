"""What PostgreSQL's store says when it can't be opened, and whose schema it opens: never a secret in its words."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doorward.ports import StoreError
from tests.servers.postgres import PASSWORD
from tests.stores.calling import at, outcomes
from tests.stores.grounds import PostgresGround

pytestmark = pytest.mark.servers


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[PostgresGround]:
    ground = PostgresGround(tmp_path)
    yield ground
    await ground.end()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("password", "wrong password"),
        ("database", 'database "nowhere" does not exist'),
        ("port", "Connection refused"),
        ("name", "Name or service not known|name resolution|not known"),
        ("permission", "permission denied for schema public"),
        ("schema", "no schema of the search_path is there"),
        ("read-only", "is read-only"),
        ("encoding", "encoding is LATIN1"),
        ("newer", "run a newer one"),
        ("other", "another 0001_tickets_and_rates.sql"),
        ("option", "PostgreSQL"),
    ],
)
async def test_what_can_not_be_opened_is_told_without_a_secret(ground: PostgresGround, wrong: str, told: str) -> None:
    server, url = ground.server, ground.url
    database = url.rpartition("/")[2]
    match wrong:
        case "password":
            url = url.replace(PASSWORD, "hunter2-hunter2")
        case "database":
            url = server.url("nowhere")
        case "port":
            url = f"postgresql://doorward:{PASSWORD}@127.0.0.1:1/d"
        case "name":
            url = f"postgresql://doorward:{PASSWORD}@nowhere.invalid/d"
        case "permission":
            url = server.url("postgres")
        case "schema":
            url += "?options=-c%20search_path%3Dnowhere"
        case "read-only":
            url += "?options=-c%20default_transaction_read_only%3Don"
        case "encoding":
            server.sql(f"CREATE DATABASE latin_{database} OWNER doorward TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
            url = server.url(f"latin_{database}")
        case "newer":
            server.sql("INSERT INTO doorward_migrations VALUES (9999, '9999_later.sql', '', 0)", database=database)
        case "other":
            server.sql("UPDATE doorward_migrations SET checksum = 'changed' WHERE number = 1", database=database)
        case _:
            url += f"?nonsense={PASSWORD}"
    with pytest.raises(StoreError, match=told) as caught:
        await at(url).open()
    for text in (str(caught.value), repr(caught.value), repr(caught.value.__cause__)):
        assert PASSWORD not in text
        assert "hunter2" not in text


async def test_a_schema_of_its_own_is_respected(ground: PostgresGround) -> None:
    database = ground.url.rpartition("/")[2]
    ground.server.sql("CREATE SCHEMA theirs AUTHORIZATION doorward", database=database)
    store = at(ground.url + "?options=-c%20search_path%3Dtheirs&application_name=ours")
    await store.open()
    assert set((await outcomes(store)).values()) == {"done"}
    found = ground.server.sql(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'theirs' AND tablename LIKE 'doorward%'", database=database
    )
    assert found[0][0] >= 10
    assert ground.server.sql("SELECT count(*) FROM doorward_revocations", database=database) == [(0,)]
    assert ground.server.sql("SELECT count(*) > 1 FROM pg_stat_activity WHERE application_name = 'ours'") == [(True,)]
    await store.close()
    assert ground.server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours'") == [(0,)]


async def test_no_variable_of_libpq_leads_elsewhere(ground: PostgresGround, monkeypatch: pytest.MonkeyPatch) -> None:
    """With PGHOSTADDR libpq would go there, whatever host the URL names and `check --production` has looked at."""
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.99")
    monkeypatch.setenv("PGHOST", "127.0.0.98")
    store = at(ground.url)
    await store.open()
    assert set((await outcomes(store)).values()) == {"done"}
    await store.close()
