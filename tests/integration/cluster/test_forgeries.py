"""Who can write to Redis can stop the nodes; he closes no connection, opens no door, and answers for no node."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from doorward.adapters.stores.redis.feed import KEPT, STREAM
from doorward.adapters.stores.redis.notices import BansChanged, Notices
from doorward.core.proving import digest
from doorward.values.revocation import Acknowledgement
from tests.integration.cluster.nodes import Cluster, Node, all_chat, all_revoked, clustered, until
from tests.servers.redis import RedisServer, running_redis
from tests.stores.made import revocation

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]

STRANGER = Notices(b"a key that somebody made up, 32 b")
SIGNED = 32


@pytest.fixture(scope="module")
def redis(tmp_path_factory) -> Any:
    folder = tmp_path_factory.mktemp("forged") / "redis"
    with running_redis(folder, options={"maxmemory-policy": "noeviction"}) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(own_postgres, redis: RedisServer, tmp_path_factory) -> AsyncIterator[Cluster]:
    if not own_postgres.is_running:
        own_postgres.start()
    folder = tmp_path_factory.mktemp("forgeries")
    async with clustered(
        folder, nodes=2, own_ways=False, store_url=own_postgres.database(), cluster_url=redis.url
    ) as cluster:
        yield cluster


def newest(redis: RedisServer) -> bytes:
    """The last entry of the stream, as it lies there. Nothing while it is empty: nodes begin it anew within moments."""
    found = redis.ask("XREVRANGE", STREAM, "+", "-", "COUNT", 1)
    return bytes(found[0][1][1]) if found else b""


def put(redis: RedisServer, text: bytes, *, field: str = "n") -> None:
    redis.ask("XADD", STREAM, "*", field, text)


def about(subject: str) -> Any:
    """A revocation of everybody of this name, by whoever writes it."""
    made = revocation(subject, id=f"forged-{subject}")
    return made.__class__(
        target=made.target.__class__(made.target.kind, subject),
        instant=4e9, effect=made.effect, cause="forged", expires_at=5e9, sequence=0, id=made.id,
    )  # fmt: skip


def altered(true: bytes, subject: str) -> bytes:
    """A true one's signature over another name."""
    fields = json.loads(true[SIGNED:])
    fields["target"][1] = subject
    fields["id"] = "altered"
    return true[:SIGNED] + json.dumps(fields).encode()


FORGERIES: dict[str, Callable[[bytes, str], bytes]] = {
    "unsigned": lambda true, subject: STRANGER.of(about(subject))[SIGNED:],
    "signed by a stranger": lambda true, subject: STRANGER.of(about(subject)),
    "a true signature over something else": altered,
    "a signature of zeros": lambda true, subject: bytes(SIGNED) + STRANGER.of(about(subject))[SIGNED:],
    "cut short": lambda true, subject: true[:-2],
    "nothing": lambda true, subject: b"",
    "no text": lambda true, subject: bytes(range(256)) * 4,
    "far too long": lambda true, subject: STRANGER.of(about(subject)) + b" " * 200_000,
    "deep": lambda true, subject: bytes(SIGNED) + b"[" * 20_000,
    "a stranger's word that the bans changed": lambda true, subject: STRANGER.of(BansChanged(1 << 40)),
}


def refusals(node: Node) -> list[dict[str, Any]]:
    """What the node's audit says of entries that it dropped."""
    return node.events(kind="revocation", outcome="refused")


async def _more_refusals(node: Node, than: int) -> bool:
    return len(refusals(node)) > than


async def changes_nothing(
    cluster: Cluster, redis: RedisServer, act: Callable[[bytes, str], None], *, told: bool
) -> None:
    """After it everybody is where they were, the audit knows, and a true revocation works."""
    first = cluster.fresh("revoked-before")
    before = await cluster.revoke(first)
    assert before.code == 0, before.text
    subject = cluster.fresh("meant")
    meant, others = await cluster.inside(subject, each=1), await cluster.bystanders()
    counts = [len(refusals(node)) for node in cluster.nodes]
    act(newest(redis), subject)
    for node in cluster.nodes:
        await cluster.looks_in(node, cluster.token(subject))
        await cluster.stays_out(node, token=cluster.ledger.revoked[first], why=f"{first} was revoked before")
    if told:
        for node, count in zip(cluster.nodes, counts, strict=True):
            await until(partial(_more_refusals, node, count), f"{node.name} has it in the audit", of=[node])
    await all_chat([*meant, *others])
    printed = await cluster.revoke(subject)
    assert (printed.code, printed.figures) == (0, (2, 2, 2)), printed.text
    await all_revoked(meant)
    await all_chat(others)
    await cluster.until_admits()
    for node in cluster.nodes:
        await cluster.stays_out(node, token=cluster.ledger.revoked[subject], why=f"{subject} was revoked")
    for client in others:
        await client.close()


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=list(FORGERIES))
async def test_an_entry_in_the_stream(forge, cluster, redis) -> None:
    await changes_nothing(cluster, redis, lambda true, subject: put(redis, forge(true, subject)), told=True)


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=list(FORGERIES))
async def test_a_field_of_those_not_durable_yet(forge, cluster, redis) -> None:
    def act(true: bytes, subject: str) -> None:
        redis.ask("HSET", KEPT, f"forged-{subject}", forge(true, subject))
        redis.ask("DEL", STREAM)  # whoever finds it empty reads that hash

    await changes_nothing(cluster, redis, act, told=True)
    redis.ask("DEL", KEPT)


async def test_a_replay(cluster, redis) -> None:
    """The true bytes of an earlier one, again and again: whoever has proven since who they are stays."""
    subject = cluster.fresh("back")
    printed = await cluster.revoke(subject)
    assert printed.code == 0, printed.text
    true = newest(redis)
    moment = int(time.time()) + 2  # its instant is the newest that any node has, which may be a little ahead
    await asyncio.sleep(max(0.0, moment - time.time()))
    token = cluster.token(subject, iat=moment)
    inside = [await cluster.comes_in(node, token, "/chat") for node in cluster.nodes]

    def act(newer: bytes, meant: str) -> None:
        for _turn in range(50):
            put(redis, true)
        redis.ask("HSET", KEPT, "again", true)

    await changes_nothing(cluster, redis, act, told=False)
    await all_chat(inside)
    assert cluster.logged().count(subject) == 1
    redis.ask("DEL", KEPT)


@pytest.mark.parametrize(
    "hurt",
    [
        [("DEL", STREAM)],
        [("XTRIM", STREAM, "MAXLEN", 0)],
        [("DEL", STREAM), ("SET", STREAM, "a text")],
        [("XADD", STREAM, "18446744073709551615-18446744073709551615", "n", "the last there can be")],
        [("XADD", STREAM, "*", "other", "field"), ("XADD", STREAM, "*", "n", "1", "m", "2")],
        [("XGROUP", "CREATE", STREAM, "group", "$"), ("XSETID", STREAM, "9999999999999-0")],
        [("SET", KEPT, "a text")],
        [("SCRIPT", "FLUSH")],
        [("FLUSHALL",)],
    ],
    ids=["deleted", "emptied", "another type", "no id left", "other fields", "its last id set", "the hash", "scripts",
         "everything"],
)  # fmt: skip
async def test_what_is_hurt_heals(hurt, cluster, redis) -> None:
    def act(_: bytes, __: str) -> None:
        for command in hurt:
            redis.ask(*command)

    await changes_nothing(cluster, redis, act, told=False)
    redis.ask("DEL", KEPT)


async def test_a_revocation_that_the_stream_loses_is_in_the_log(cluster, redis) -> None:
    """Somebody takes out every entry as soon as it is there."""
    ending = asyncio.Event()

    async def erase() -> None:
        while not ending.is_set():
            redis.ask("XTRIM", STREAM, "MAXLEN", 0)
            await asyncio.sleep(0.001)

    erasing = asyncio.create_task(erase())
    try:
        for _ in range(5):
            subject = cluster.fresh("erased")
            meant = await cluster.inside(subject, each=1)
            printed = await cluster.revoke(subject)
            assert (printed.code, printed.figures) == (0, (2, 2, 2)), printed.text
            await all_revoked(meant)
            for node in cluster.nodes:
                await cluster.stays_out(node, token=cluster.ledger.revoked[subject], why=f"{subject} was revoked")
    finally:
        ending.set()
        await erasing


async def test_an_answer_for_a_node_that_gave_none(cluster, redis) -> None:
    """A stranger's, and the other node's own under this one's name: the command says who was silent."""
    silent = cluster[1]
    answered = asyncio.create_task(_answer_for(redis, silent.name))
    silent.tell(signal.SIGSTOP)
    try:
        printed = await cluster.revoke(cluster.fresh("unanswered"))
    finally:
        silent.tell(signal.SIGCONT)
        answered.cancel()
        await asyncio.wait([answered])
    assert answered.cancelled()
    # where the command itself was slow it may be waited for no longer
    assert (printed.code, [*printed.silent, *printed.unheard]) == (1, [silent.name]), printed.text
    await cluster.until_admits()


async def _answer_for(redis: RedisServer, name: str) -> None:
    seen = newest(redis)
    while True:
        await asyncio.sleep(0.002)
        text = newest(redis)
        if not text or text == seen:
            continue
        seen = text
        fields = json.loads(text[SIGNED:])
        if "id" not in fields:
            continue
        key = f"doorward:a:{fields['id']}"
        answer = Acknowledgement(
            sequence=fields["sequence"],
            revocation=fields["id"],
            node=name,
            worker=1,
            closed=0,
            asked=0,
            at=0.0,
            took=0.0,
        )
        redis.ask("HSET", key, f"{name} 1", STRANGER.of_answer(answer), "", STRANGER.of_answer(answer))
        for value in redis.ask("HVALS", key):
            redis.ask("HSET", key, f"{name}:1", value)


async def test_a_ticket_that_nobody_sold(cluster, redis) -> None:
    """Another's ticket under a code that the thief knows; one with another's name in it; one that lost its end."""
    ticket = (await cluster[0].buy(cluster.token(cluster.fresh("buyer"))))["ticket"]
    prefix = "doorward:{t}:ticket:"
    bought = prefix + digest(ticket).hex()
    held = redis.ask("HGETALL", bought)
    assert held, "it lies there under its digest"
    for number, change in enumerate([lambda value: value, lambda value: value[:-1] + b"x", lambda value: b"{}"]):
        code = f"{'A' * 42}{number}"
        redis.ask("HSET", prefix + digest(code).hex(), *(change(part) if place % 2 and len(part) > 40 else part
                                                         for place, part in enumerate(held)))  # fmt: skip
        for node in cluster.nodes:
            await cluster.stays_out(node, f"/chat?ticket={code}", why="a ticket that nobody sold")
    assert await cluster.spend(cluster[1], ticket) == 101
    await cluster.stays_out(cluster[0], f"/chat?ticket={ticket}", why="a spent ticket")


async def test_at_the_end_every_promise_holds(cluster) -> None:
    """Last in this file."""
    await cluster.holds()
