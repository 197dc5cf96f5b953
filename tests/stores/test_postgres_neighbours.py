"""Another role of the same database, with as little right as it can have, and what it may do to the store: nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from doorward.adapters.stores.postgres.connecting import Place
from doorward.adapters.stores.postgres.migrating import migrate, shipped
from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.ports import StoreError
from doorward.values.question import Slot
from tests.servers.postgres import PASSWORD, Postgres
from tests.stores.calling import at, outcomes, until
from tests.stores.clock import NOW
from tests.stores.grounds import PostgresGround
from tests.stores.made import revocation, slot, ticket

pytestmark = pytest.mark.servers

# pg_catalog has no operator of just these types for many of them: there ours would be the best match.
_OPERATORS = ("+", "-", "*", "/", "||", "&", "=", "<>", "<", "<=", ">", ">=")
_TYPES = (
    "int4",
    "int8",
    "float8",
    "numeric",
    "text",
    "bytea",
    "name",
    "oid",
    "text[]",
    "int8[]",
    "float8[]",
    "bytea[]",
)
_ENDS = {"=": "boolean", "<>": "boolean", "<": "boolean", "<=": "boolean", ">": "boolean", ">=": "boolean"}
# Those that take any array, or a literal of another type: one that takes just ours would be called instead.
_FUNCTIONS = (
    "cardinality(text[])", "cardinality(float8[])", "array_agg(text)", "unnest(text[])", "unnest(float8[])",
    "array_position(text[], text)", "array_cat(text[], text[])", "array_append(int8[], int8)", "nextval(text)",
    "hashtext(name)", "pg_notify(text, int8)", "set_config(text, text, text)", "concat_ws(text, text)",
    "count(text)", "format(text, name)", "coalesce(float8, float8)", "doorward_sweep_rates(float8, int4)",
)  # fmt: skip


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[PostgresGround]:
    ground = PostgresGround(tmp_path)
    yield ground
    await ground.end()


@pytest.fixture
def server(ground: PostgresGround) -> Postgres:
    ground.server.sql(
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'mallory') THEN "
        f"CREATE ROLE mallory LOGIN PASSWORD '{PASSWORD}'; END IF; END $$"
    )
    return ground.server


@pytest.fixture
def database(ground: PostgresGround) -> str:
    return ground.url.rpartition("/")[2]


@pytest.fixture
def mallory(server: Postgres, database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.url(database, user="mallory"), autocommit=True) as connection:
        yield connection


@pytest.fixture
async def store(ground: PostgresGround) -> PostgresStore:
    store = await ground.store("a:0")
    assert isinstance(store, PostgresStore)
    return store


# ---- what she puts in our way


@pytest.mark.parametrize("whom", ["PUBLIC", "mallory", "gang"])
async def test_a_schema_in_which_others_may_create_is_not_opened(
    ground: PostgresGround, server: Postgres, database: str, whom: str
) -> None:
    """PUBLIC may by default, in the schema public of PostgreSQL 13 and 14."""
    if whom == "gang":  # she need not inherit it to make use of it
        server.sql("DROP ROLE IF EXISTS gang")
        server.sql("CREATE ROLE gang")
        server.sql("ALTER ROLE mallory NOINHERIT")
        server.sql("GRANT gang TO mallory")
    server.sql(f"GRANT CREATE ON SCHEMA public TO {whom}", database=database)
    told = f"others may create in schema public.*REVOKE CREATE ON SCHEMA public FROM .*{whom}"
    with pytest.raises(StoreError, match=told) as caught:
        await at(ground.url).open()
    assert "CREATE SCHEMA" not in str(caught.value), "what is in this one would be left behind"
    server.sql("ALTER TABLE doorward_migrations RENAME TO hidden", database=database)
    with pytest.raises(StoreError, match=told + ".*; or give Doorward its own: CREATE SCHEMA doorward AUTH"):
        await at(ground.url).open()
    server.sql(f"REVOKE CREATE ON SCHEMA public FROM {whom}", database=database)
    if whom == "gang":
        server.sql("ALTER ROLE mallory INHERIT")
        server.sql("DROP ROLE gang")
    server.sql("ALTER TABLE hidden RENAME TO doorward_migrations", database=database)
    await ground.store("a:1")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("FUNCTION public.evil(float8, int8) RETURNS float8 LANGUAGE sql AS 'SELECT $1'", "function evil of mallory"),
        ("TABLE public.doorward_later (n int)", "table doorward_later of mallory"),
        ("DOMAIN public.evil AS int", "type evil of mallory"),
        ("OPERATOR public.* (LEFTARG = float8, RIGHTARG = int8, FUNCTION = pg_catalog.float84mul)", "operator"),
    ],
)
async def test_what_she_has_put_there_before_is_found(
    ground: PostgresGround, server: Postgres, database: str, mallory: psycopg.Connection, made: str, told: str
) -> None:
    server.sql("GRANT CREATE ON SCHEMA public TO mallory", database=database)
    if told == "operator":
        mallory.execute("CREATE FUNCTION public.by(float8, int8) RETURNS float8 LANGUAGE sql AS 'SELECT $1'")
        made, told = made.replace("pg_catalog.float84mul", "public.by"), r"operator \* of mallory"
    mallory.execute("CREATE " + made)
    server.sql("REVOKE CREATE ON SCHEMA public FROM mallory", database=database)
    with pytest.raises(StoreError, match=f"somebody else put there.*{told}"):
        await at(ground.url).open()


async def test_a_schema_of_hers_by_our_name_is_not_opened(
    ground: PostgresGround, server: Postgres, database: str, mallory: psycopg.Connection, store: PostgresStore
) -> None:
    """The path begins with "$user" by default: what she makes by that name would come before ours."""
    server.sql(f"GRANT CREATE ON DATABASE {database} TO mallory")
    mallory.execute("CREATE SCHEMA doorward")
    mallory.execute("GRANT ALL ON SCHEMA doorward TO PUBLIC")
    with pytest.raises(StoreError, match="schema doorward is owned by mallory"):
        await at(ground.url).open()
    # Those that are open stay where they are, with new connections too.
    await _end_sessions(server, store, database)
    assert set((await outcomes(store)).values()) == {"done"}
    assert server.sql("SELECT count(*) FROM public.doorward_revocations", database=database) == [(1,)]


async def test_no_other_schema_is_looked_into(ground: PostgresGround, server: Postgres, database: str) -> None:
    """Not even where the path names it: hers holds all that would fit better."""
    server.sql("CREATE SCHEMA hers", database=database)
    server.sql("GRANT USAGE ON SCHEMA hers TO PUBLIC", database=database)
    _set_traps(server, database, schema="hers")
    server.sql(
        "CREATE FUNCTION hers.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT 1 / 0'",
        database=database,
    )
    server.sql("CREATE TABLE hers.pg_namespace (oid oid, nspname name)", database=database)
    server.sql("ALTER ROLE doorward SET search_path = public, hers, pg_catalog")
    try:
        store = await ground.store("a:0")
        assert set((await outcomes(store)).values()) == {"done"}
    finally:
        server.sql("ALTER ROLE doorward RESET search_path")


async def test_all_that_is_asked_is_pg_catalogs_own(
    ground: PostgresGround, server: Postgres, database: str, store: PostgresStore
) -> None:
    """Belt and braces: were something in our schema all the same, it would fit no call of ours better."""
    assert _set_traps(server, database, schema="public") > 500
    await _end_sessions(server, store, database)
    for n in range(3):
        done = await outcomes(store)
        assert set(done.values()) == {"done"}, {name: told for name, told in done.items() if told != "done"}
        assert await store.slots.take(slot(f"d{n}", per_identity=2), now=NOW) is not None
    await store.sweep()
    await store.slots.beat(now=NOW + 100)
    await store.close()


async def test_migrations_too_take_nothing_of_hers(server: Postgres, database: str) -> None:
    url = server.database()
    name = url.rpartition("/")[2]
    server.sql("CREATE SCHEMA hers", database=name)
    server.sql("GRANT USAGE ON SCHEMA hers TO PUBLIC", database=name)
    _set_traps(server, name, schema="hers")
    server.sql("CREATE TABLE hers.doorward_migrations (number bigint, checksum text)", database=name)
    store = at(url + "?options=-csearch_path%3Dpublic%2Chers%2Cpg_catalog")
    await store.open()
    assert set((await outcomes(store)).values()) == {"done"}
    await store.close()
    server.drop(url)


# ---- what she holds


async def test_a_lock_of_hers_holds_nobody_up(mallory: psycopg.Connection, store: PostgresStore) -> None:
    """An advisory lock is everybody's: those that were used once are free to take, and do nothing."""
    for kind in (1685024626, 1685024627, 1685024628):
        for what in ("192.0.2.1", ""):
            mallory.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (kind, what))
    mallory.execute("SELECT pg_advisory_lock(1685024629, 0)")
    await store.tickets.put(ticket("old"), most=10)
    assert isinstance(await store.slots.take(slot("c1"), now=NOW), Slot)
    locks = mallory.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()")
    assert locks.fetchone() == (0,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        mallory.execute("SELECT 1 FROM doorward_locks FOR UPDATE")


async def test_a_schema_that_can_not_be_locked_says_so(server: Postgres, mallory: psycopg.Connection) -> None:
    url = server.database()
    with psycopg.connect(url.replace("//doorward:", "//mallory:"), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(1685024630, hashtext('public'))")
        connection = await Place(url).connect()
        with pytest.raises(StoreError, match=r"another session has held a lock for 0\.1 s.*pg_stat_activity"):
            await migrate(connection, shipped(), now=NOW, lock_within=0.1)
        await connection.close()
    server.drop(url)


# ---- what she says


async def test_whatever_is_notified_is_a_hint_to_look_and_no_more(
    mallory: psycopg.Connection, store: PostgresStore
) -> None:
    await store.revocations.append(revocation("first"))
    await _read_out(store)
    for payload in ("²", "٣", "9" * 5000, "9" * 18, "-1", "", "1.5", "\N{SNOWMAN}", "{}", "2\n", " 2"):
        mallory.execute("SELECT pg_notify('doorward', %s)", (payload,))
        await until(store.revocations.touched)
        await _read_out(store)
    await store.revocations.append(revocation("second"))
    await until(store.revocations.touched)
    assert [one.target.value for one in await store.revocations.read(after=1)] == ["second"]
    await _read_out(store)


async def test_a_number_that_was_read_already_wakes_nobody(mallory: psycopg.Connection, store: PostgresStore) -> None:
    await store.revocations.append(revocation("first"))
    await _read_out(store)
    heard = store._listener.heard
    mallory.execute("SELECT pg_notify('doorward', '1'), pg_notify('doorward', '0'), pg_notify('doorward', '01')")
    mallory.execute("SELECT pg_notify('doorward', 'last')")
    await until(store.revocations.touched)
    assert store._listener.heard == heard + 1


async def test_a_flood_is_heard_as_little_and_is_over_once_it_is(
    mallory: psycopg.Connection, store: PostgresStore
) -> None:
    """Who hears too much stops listening for a moment; the log is read unasked meanwhile, and nobody is told "no"."""
    await _read_out(store)
    began = asyncio.get_running_loop().time()
    lives, heard = store._listener.lives, store._listener.heard
    flood = "SELECT count(pg_notify('doorward', 'flood ' || n)) FROM generate_series(1, 20000) AS n"
    await asyncio.to_thread(mallory.execute, flood)
    await until(lambda: store._listener.lives > lives)
    took = asyncio.get_running_loop().time() - began
    assert store._listener.heard - heard <= took / 0.01 + 2
    await until(lambda: store.revocations.touched() is not None)
    await _read_out(store)
    await store.revocations.append(revocation("after"))
    await until(store.revocations.touched)
    assert [one.target.value for one in await store.revocations.read(after=0)] == ["after"]


async def _end_sessions(server: Postgres, store: PostgresStore, database: str) -> None:
    """Every connection of the store's is a new one from then on."""
    lanes = store._link._lanes
    server.sql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND usename = 'doorward'"
    )
    await until(lambda: all(lane.is_stale() for lane in lanes))


async def _read_out(store: PostgresStore) -> None:
    """Until nothing more is heard of."""
    async with asyncio.timeout(60):
        while store.revocations.touched() is not False:
            await store.revocations.read(after=0)
            await asyncio.sleep(0.02)


def _set_traps(server: Postgres, database: str, *, schema: str) -> int:
    """Every operator and function that would be a better match than pg_catalog's: whoever falls into one, fails."""
    made = 0
    with server.connect(server.url(database, user="postgres")) as connection, connection.transaction():
        for result in ("boolean", "float8"):
            for left in _TYPES:
                for right in _TYPES:
                    connection.execute(
                        f"CREATE FUNCTION {schema}.trap_{result}({left}, {right}) RETURNS {result} LANGUAGE plpgsql "
                        "AS 'BEGIN RAISE EXCEPTION ''trapped''; END'".encode()
                    )
        for operator in _OPERATORS:
            for left in _TYPES:
                for right in _TYPES:
                    connection.execute(
                        f"CREATE OPERATOR {schema}.{operator} (LEFTARG = {left}, RIGHTARG = {right}, "
                        f"FUNCTION = {schema}.trap_{_ENDS.get(operator, 'float8')})".encode()
                    )
                    made += 1
        for function in _FUNCTIONS:
            connection.execute(
                f'CREATE FUNCTION {schema}."{function.partition("(")[0]}"({function.partition("(")[2]} '
                "RETURNS int8 LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END'".encode()
            )
            made += 1
    return made
