"""The way to Redis: everybody gets his own answer, in time, or is told at once that there is none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha1
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from doorward.adapters.stores.redis.address import read_address
from doorward.adapters.stores.redis.link import RedisLink
from doorward.adapters.stores.redis.script import Script
from doorward.adapters.system import SystemEntropy
from doorward.core.auditing import mask
from doorward.ports import StoreError
from tests.integration.gateway.certificates import Authority
from tests.servers.redis import RedisServer, running_cluster, running_redis, shared

pytestmark = pytest.mark.servers


@asynccontextmanager
async def linked(
    url: str, *, deadline: float = 10.0, asked_every: float = 60.0, open: bool = True
) -> AsyncIterator[RedisLink]:
    """`link.said` has what was noted, and `link.back` is set each time it came back."""
    said: list[str] = []
    link = RedisLink(
        read_address(url), entropy=SystemEntropy(), deadline=deadline, asked_every=asked_every, note=said.append
    )
    back = asyncio.Event()

    async def came_back(_: object) -> None:
        back.set()

    link.on_back(came_back)
    link.said, link.back = said, back  # type: ignore[attr-defined]
    try:
        if open:
            await link.open()
        yield link
    finally:
        await link.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """One to be hurt."""
    with running_redis(tmp_path / "redis") as server:
        yield server


async def answered(link: RedisLink) -> None:
    """Returns once callers are served again."""
    async with asyncio.timeout(60):
        while not link.here:
            link.back.clear()  # type: ignore[attr-defined]
            await link.back.wait()  # type: ignore[attr-defined]
            await asyncio.sleep(0)


async def failed(link: RedisLink, *command: str) -> float:
    """After how many seconds it said that it is away."""
    began = monotonic()
    with pytest.raises(StoreError):
        await link.call(*command)
    return monotonic() - began


def fails_at_once(link: RedisLink) -> None:
    """It says so before it would wait for anything: the loop does not even turn."""
    for ask in (link.call("GET", "k"), link.check()):
        with pytest.raises(StoreError):
            ask.send(None)
    with pytest.raises(StoreError):
        link.run(_script(b"return 1"), keys=("k",))
    with pytest.raises(StoreError):
        link.life("k")


async def test_everybody_gets_his_own_answer() -> None:
    async with linked(shared().url) as link:
        answers = await asyncio.gather(*(link.call("EVAL", "return ARGV[1]", 1, "{x}", str(n)) for n in range(2000)))
        assert [int(answer) for answer in answers] == list(range(2000))


async def test_what_is_asked_in_one_turn_is_one_write() -> None:
    server = shared()
    async with linked(server.url) as link:
        await link.call("GET", "k")
        before = _reads(server)
        await asyncio.gather(*(link.call("GET", "k") for _ in range(50)))
        assert _reads(server) - before <= 3  # that write, and this very question


async def test_who_is_cancelled_takes_nobodys_answer_along() -> None:
    """CVE-2023-28858: callers go at every stage of their way, by the hundred."""
    async with linked(shared().url) as link:

        async def ask(n: int) -> int:
            return int(await link.call("EVAL", "return ARGV[1]", 1, "{x}", str(n)))

        for turn in range(40):
            tasks = [asyncio.create_task(ask(turn * 1000 + n)) for n in range(60)]
            for n in range(0, 60, 2):
                for _ in range(n % 5):
                    await asyncio.sleep(0)
                tasks[n].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for n, outcome in enumerate(outcomes):
                assert isinstance(outcome, asyncio.CancelledError) or outcome == turn * 1000 + n
            assert list(outcomes[1::2]) == [turn * 1000 + n for n in range(1, 60, 2)]
        assert link.here


async def test_a_script_that_the_server_forgot_is_loaded_again() -> None:
    server = shared()
    script = _script(b"return {KEYS[1], ARGV[1]}")
    async with linked(server.url) as link:
        for _ in range(2):
            server.ask("SCRIPT", "FLUSH")
            answers = await asyncio.gather(*(link.run(script, n, keys=("{x}",)) for n in range(20)))
            assert answers == [[b"{x}", str(n).encode()] for n in range(20)]


async def test_an_error_is_its_callers_alone() -> None:
    server = shared()
    async with linked(server.url) as link:
        server.ask("SET", "{x}text", "word")
        outcomes = await asyncio.gather(
            link.call("GET", "{x}text"),
            link.call("INCR", "{x}text"),
            link.call("NOSUCHCOMMAND", "{x}"),
            link.run(_script(b"return redis.call('INCR', KEYS[1])"), keys=("{x}text",)),
            link.run(_script(b"this is no Lua"), keys=("{x}text",)),
            link.call("GET", "{x}text"),
            return_exceptions=True,
        )
        assert [outcome if isinstance(outcome, bytes) else type(outcome) for outcome in outcomes] == [
            b"word",
            *[StoreError] * 4,
            b"word",
        ]
        assert link.here


async def test_a_server_that_stands_still_holds_nobody_longer_than_the_deadline(server: RedisServer) -> None:
    async with linked(server.url, deadline=2.0) as link:
        await link.call("SET", "k", "before")
        server.pause()
        began = monotonic()
        outcomes = await asyncio.gather(*(link.call("GET", "k") for _ in range(500)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreError}
        assert 0.9 < monotonic() - began < 10
        assert not link.here
        for _ in range(100):
            fails_at_once(link)
        server.resume()
        await answered(link)
        # the answers that came too late were thrown away with their connection
        await link.call("SET", "k", "after")
        assert await asyncio.gather(*(link.call("GET", "k") for _ in range(100))) == [b"after"] * 100


async def test_a_server_that_answers_four_seconds_late_is_away(server: RedisServer) -> None:
    async with linked(server.url, deadline=2.0) as link:
        server.ask("CLIENT", "PAUSE", 4000, "ALL")
        assert await failed(link, "GET", "k") < 10
        fails_at_once(link)
        await answered(link)
        assert await link.call("GET", "k") is None


async def test_who_stood_still_himself_does_not_blame_the_server() -> None:
    """A long pause of ours (a suspended machine, a mass close): the answers lie there, unread."""
    async with linked(shared().url, deadline=2.0) as link:
        waiting = [asyncio.ensure_future(link.call("GET", "{x}none")) for _ in range(50)]
        for _ in range(5):
            await asyncio.sleep(0)
        end = monotonic() + 2.5
        while monotonic() < end:
            pass
        assert await asyncio.gather(*waiting) == [None] * 50
        assert link.here


async def test_callers_who_left_do_not_hide_a_server_that_stands_still(server: RedisServer) -> None:
    async with linked(server.url, deadline=2.0) as link:
        server.pause()
        tasks = [asyncio.create_task(link.call("GET", "k")) for _ in range(50)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await failed(link, "GET", "k") < 10
        server.resume()
        await answered(link)


async def test_kill_9_fails_those_who_wait_and_a_restart_brings_it_back(server: RedisServer) -> None:
    async with linked(server.url) as link:
        server.pause()
        waiting = [asyncio.ensure_future(link.call("GET", "k")) for _ in range(200)]
        await asyncio.sleep(0)
        epoch = link.epoch
        server.kill()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreError}
        fails_at_once(link)
        server.restart()
        await answered(link)
        assert await link.call("GET", "k") is None
        assert link.epoch > epoch
        away, back = link.said  # type: ignore[attr-defined]
        assert "is away" in away
        assert "is back" in back


async def test_hooks_come_before_anybody_else_and_keep_it_away_while_they_fail(server: RedisServer) -> None:
    async with linked(server.url) as link:
        order: list[str] = []
        failing = [True, True, False]

        async def put_back(asker: Any) -> None:
            with pytest.raises(StoreError):
                await link.call("GET", "k")
            await asker.call("SET", "k", "put back")
            order.append("hook")
            if failing.pop(0):
                raise StoreError("not yet")

        link._hooks.insert(0, put_back)
        life = link.life("k")
        server.kill()
        with pytest.raises(StoreError):
            await link.call("GET", "k")
        server.restart()
        await answered(link)
        assert order == ["hook"] * 3
        assert await link.call("GET", "k") == b"put back"
        assert link.life("k") != life


async def test_a_hook_with_a_bug_does_not_keep_it_away_for_ever(server: RedisServer) -> None:
    async with linked(server.url) as link:
        faults = [ZeroDivisionError("a bug")]

        async def put_back(_: object) -> None:
            if faults:
                raise faults.pop()

        link._hooks.insert(0, put_back)
        server.kill()
        with pytest.raises(StoreError):
            await link.call("GET", "k")
        server.restart()
        await answered(link)
        assert not faults


async def test_it_comes_back_where_nobody_can_be_told_that_it_was_away(server: RedisServer) -> None:
    """Standard error is a pipe whose reader has gone, and a hook has a bug besides."""
    bugs = [ZeroDivisionError("a bug")]
    back = asyncio.Event()

    def unwritten(*told: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    async def put_back(_: object) -> None:
        if bugs:
            raise bugs.pop()
        back.set()

    link = RedisLink(read_address(server.url), entropy=SystemEntropy(), deadline=10.0, note=unwritten, fault=unwritten)
    link.on_back(put_back)
    await link.open()
    try:
        server.kill()
        with pytest.raises(StoreError):
            await link.call("GET", "k")
        server.restart()
        await asyncio.wait_for(back.wait(), 60)
        await asyncio.sleep(0)
        assert await link.call("GET", "k") is None
    finally:
        await link.close()


async def test_a_master_that_was_made_a_replica_is_away_until_it_is_one_again(
    server: RedisServer, tmp_path: Path
) -> None:
    with running_redis(tmp_path / "other") as other:
        async with linked(server.url) as link:
            life = link.life("k")
            server.ask("REPLICAOF", "127.0.0.1", other.port)
            assert await failed(link, "SET", "k", "v") < 10
            assert not link.here
            server.ask("REPLICAOF", "NO", "ONE")
            await answered(link)
            assert await link.call("SET", "k", "v") == b"OK"
            assert link.life("k") != life


async def test_a_full_server_refuses_and_is_not_away(server: RedisServer) -> None:
    async with linked(server.url) as link:
        server.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreError, match="maxmemory"):
            await link.call("SET", "k", "v")
        with pytest.raises(StoreError, match="maxmemory"):
            await link.check()
        with pytest.raises(StoreError):
            await link.run(_script(b"return redis.call('SET', KEYS[1], 'v')"), keys=("k",))
        assert await link.call("GET", "k") is None
        server.ask("CONFIG", "SET", "maxmemory", "0")
        await link.check()


async def test_too_many_at_once_are_refused_and_not_kept(server: RedisServer) -> None:
    async with linked(server.url) as link:
        link._most_waiting = 10
        outcomes = await asyncio.gather(*(link.call("GET", "k") for _ in range(20)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None)] * 10 + [StoreError] * 10
        assert await link.call("GET", "k") is None


async def test_a_closed_link_says_so() -> None:
    async with linked(shared().url) as link:
        await link.close()
        await link.close()
        fails_at_once(link)
        await link.open()
        assert await link.call("GET", "{x}none") is None


async def test_closing_fails_those_who_wait(server: RedisServer) -> None:
    async with linked(server.url) as link:
        server.pause()
        waiting = asyncio.ensure_future(link.call("GET", "k"))
        await asyncio.sleep(0)
        await link.close()
        with pytest.raises(StoreError, match="closed"):
            await waiting


# the reader


async def test_the_reader_waits_apart_and_comes_back(server: RedisServer) -> None:
    async with linked(server.url) as link:
        reader = link.reader()
        read = ("XREAD", "COUNT", 10, "BLOCK", 60_000, "STREAMS", "{f}s", "0-0")
        waiting = asyncio.create_task(reader.call(*read, within=60))
        assert await link.call("GET", "{f}none") is None
        await link.call("XADD", "{f}s", "*", "n", "1")
        [[name, entries]] = await waiting
        assert (name, len(entries)) == (b"{f}s", 1)
        with pytest.raises(StoreError):
            await reader.call("XREAD", "BLOCK", 60_000, "STREAMS", "{f}none", "0-0", within=0.05)
        leaving = asyncio.create_task(reader.call("XREAD", "BLOCK", 60_000, "STREAMS", "{f}none", "0-0", within=60))
        await asyncio.sleep(0.05)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (await reader.call(*read, within=60))[0][0] == b"{f}s"
        server.kill()
        with pytest.raises(StoreError):
            await reader.call(*read, within=60)
        server.restart()
        await answered(link)
        assert await reader.call("XREAD", "BLOCK", 1, "STREAMS", "{f}s", "0-0", within=60) is None
        await reader.close()


# opening


async def refusal(url: str, *, deadline: float = 10.0) -> str:
    async with linked(url, open=False, deadline=deadline) as link:
        with pytest.raises(StoreError) as refused:
            await link.open()
        return str(refused.value)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "allkeys-random", "volatile-ttl"])
async def test_a_server_that_evicts_is_refused(server: RedisServer, policy: str) -> None:
    """RV-26."""
    server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    assert f"maxmemory-policy is {policy}" in await refusal(server.url)
    assert "set `maxmemory-policy noeviction`" in await refusal(server.url)


async def refused_for_its_policy(link: RedisLink) -> None:
    """Returns once the link is away for that."""
    refused = asyncio.Event()
    lost = link._lost

    def hear(why: str) -> None:
        lost(why)
        if "set `maxmemory-policy noeviction`" in why:
            refused.set()

    link._lost = hear  # type: ignore[method-assign]
    await asyncio.wait_for(refused.wait(), 30)
    assert not link.here


async def test_a_server_that_came_back_without_its_users_is_told_with_where_to_look(server: RedisServer) -> None:
    """ACL SETUSER lasts as long as the server. Said in words that our log does not mask."""
    user = ("ACL", "SETUSER", "doorward", "on", ">battery-staple-7", "~*", "+@all")
    server.ask(*user)
    url = server.url.replace("redis://", "redis://doorward:battery-staple-7@")
    async with linked(url) as link:
        told = asyncio.Event()
        note = link._note

        def hear(line: str) -> None:
            note(line)
            if "still" in line:
                told.set()

        link._note = hear
        server.ask("ACL", "DELUSER", "doorward")
        await asyncio.wait_for(told.wait(), 30)
        server.ask(*user)
        await answered(link)
        _, still, _ = link.said  # type: ignore[attr-defined]
        assert "is away still: wrong user name or password" in still
        assert still.endswith("was Redis restarted without its ACL (aclfile, or the user in redis.conf)?")
        assert mask(still) == still


async def test_a_server_that_evicts_from_now_on_is_refused_when_we_come_back(server: RedisServer) -> None:
    async with linked(server.url) as link:
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await refused_for_its_policy(link)
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await answered(link)


async def test_a_server_that_evicts_from_now_on_is_refused_while_we_are_connected(server: RedisServer) -> None:
    """RV-26: it may drop a place or a rate at any moment, and nothing else would tell."""
    async with linked(server.url, asked_every=0.02) as link:
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        await refused_for_its_policy(link)
        assert "is away: its maxmemory-policy is allkeys-lru" in link.said[0]  # type: ignore[attr-defined]
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await answered(link)
        assert await link.call("PING") == b"PONG"


async def test_each_master_of_a_cluster_is_asked_what_it_evicts(tmp_path: Path) -> None:
    with running_cluster(tmp_path / "cluster") as cluster:
        async with linked(cluster.url, asked_every=0.02) as link:
            cluster.server_of("{s}").ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            await refused_for_its_policy(link)
            cluster.server_of("{s}").ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await answered(link)


async def test_a_replica_is_refused(server: RedisServer, tmp_path: Path) -> None:
    with running_redis(tmp_path / "replica", options={"replicaof": f"127.0.0.1 {server.port}"}) as replica:
        assert "replica" in await refusal(replica.url)


async def test_nobody_there_is_said_at_once() -> None:
    assert "Connect" in await refusal("redis://127.0.0.1:1")


async def test_a_password_is_needed_and_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running_redis(tmp_path / "redis", password="canary-right") as server:
        async with linked(server.url) as link:
            assert await link.call("GET", "k") is None
            assert "canary" not in f"{link!r} {link.__dict__}"
        wrong = await refusal(f"redis://:canary-wrong@127.0.0.1:{server.port}")
        assert "password" in wrong
        none = await refusal(f"redis://127.0.0.1:{server.port}")
        assert "auth" in none.lower()
        unknown = await refusal(f"redis://nobody:canary-wrong@127.0.0.1:{server.port}")
    assert "canary" not in wrong + none + unknown + caplog.text


async def test_a_user_without_scripts_or_info_is_told_what_it_lacks(tmp_path: Path) -> None:
    users = [
        "noscripts on >secret1 ~* +@all -@scripting",
        "noinfo on >secret2 ~* +@all -info",
        "enough on >secret3 ~doorward:* +@read +@write +@scripting +@connection +info +time",
    ]
    with running_redis(tmp_path / "redis", users=users) as server:
        at = f"127.0.0.1:{server.port}"
        assert "+@scripting" in await refusal(f"redis://noscripts:secret1@{at}")
        assert "+info" in await refusal(f"redis://noinfo:secret2@{at}")
        async with linked(f"redis://enough:secret3@{at}") as link:
            await link.check()
            with pytest.raises(StoreError):
                await link.call("GET", "not-ours")


async def test_a_database_of_its_own() -> None:
    server = shared()
    async with linked(f"{server.url}/3") as link:
        await link.call("SET", "k", "v")
        assert server.ask("GET", "k") is None


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_tls_checks_chain_and_name(tmp_path: Path, authority: Authority) -> None:
    """TRN-14."""
    right = authority.issue("127.0.0.1", stem="right")
    other = Authority(tmp_path, "other")
    with running_redis(tmp_path / "redis", tls=(right.certificate, right.key, authority.file)) as server:
        async with linked(server.url) as link:
            answers = await asyncio.gather(*(link.call("EVAL", "return ARGV[1]", 1, "{x}", str(n)) for n in range(300)))
            assert [int(answer) for answer in answers] == list(range(300))
        at = f"127.0.0.1:{server.port}"
        assert "/no/such/file" in await refusal(f"rediss://{at}?ssl_ca_certs=/no/such/file")
        assert str(right.key) in await refusal(f"rediss://{at}?ssl_ca_certs={right.key}")
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(f"rediss://{at}")
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(f"rediss://{at}?ssl_ca_certs={other.file}")
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(
            f"rediss://localhost:{server.port}?ssl_ca_certs={authority.file}"
        )
        assert await refusal(f"redis://{at}")
    with running_redis(tmp_path / "plain") as plain:
        # it waits for the end of a line, and says nothing
        url = f"rediss://127.0.0.1:{plain.port}?ssl_ca_certs={authority.file}"
        assert "no connection within" in await refusal(url, deadline=1.0)


def _script(text: bytes) -> Script:
    return Script("test", text, sha1(text).hexdigest())


def _reads(server: RedisServer) -> int:
    text = server.ask("INFO", "stats").decode()
    return int(next(line for line in text.splitlines() if line.startswith("total_reads_processed")).split(":")[1])
