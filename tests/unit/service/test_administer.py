"""What the admin API asks and does: pages that no change tears, orders that are carried out once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from doorward.ports import PresentConnection, PresentNode, StoreError
from doorward.service.administer import Administration, Done, KeyTaken, Order, Page, place_of
from doorward.service.operate import Unheard, covers
from doorward.service.overview import Counts, Survey
from doorward.service.present import Present
from doorward.testing import START
from doorward.values.audit import EventKind
from doorward.values.ban import Ban
from doorward.values.decision import Reason
from doorward.values.revocation import Acknowledgement, Effect, Target, TargetKind
from tests.unit.service.world import World, handshake, subject, token

KEY = "k" * 22


def row(number: int, *, opened_at: float | None = None, **more: object) -> PresentConnection:
    plain = PresentConnection(
        connection=f"c{number:05}",
        node="gw",
        worker=0,
        issuer="https://login.example.com/",
        subject="alice",
        tenant="",
        session="",
        address="192.0.2.7",
        route="/chat/{room}",
        opened_at=START + number if opened_at is None else opened_at,
        expires_at=None,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def counts(*names: str) -> dict[str, dict[tuple[str, ...], float]]:
    known: dict[str, dict[tuple[str, ...], float]] = {
        "doorward_handshakes_total": {
            ("/a", "allowed", ""): 3.0,
            ("/b", "allowed", ""): 2.0,
            ("", "refused", "token_expired"): 4.0,
            ("/a", "refused", "token_expired"): 1.0,
        },
        "doorward_closes_total": {("revoked",): 2.0},
        "doorward_renewals_total": {},
    }
    return {name: known[name] for name in names}


class Place:
    def __init__(self, counted: Counts = counts) -> None:
        self.world = world = World()
        self.ready = True
        present = Present(world.store.presence, world.clock)
        survey = Survey(
            store=world.store,
            present=present,
            withdrawals=world.withdrawals,
            clock=world.clock,
            node="gw",
            counts=counted,
            ready=self.is_ready,
            ahead=lambda: 0.25,
        )
        self.administration = Administration(
            watch=world.watch,
            store=world.store,
            withdrawals=world.withdrawals,
            present=present,
            survey=survey,
            entropy=world.entropy,
            counts_for=lambda: 86400.0,
            within=lambda: 5.0,
        )

    async def is_ready(self) -> bool:
        return self.ready

    async def beat(self, node: str = "gw", worker: int = 0, *, ago: float = 0.0, cursor: int = 0) -> None:
        await self.world.store.presence.beat(
            PresentNode(
                node=node,
                worker=worker,
                pid=1,
                started_at=START - 100,
                beat_at=self.world.clock.now() - ago,
                cursor=cursor,
                connections=1,
            )
        )

    async def put(self, *rows: PresentConnection) -> None:
        await self.world.store.presence.note(opened=rows, closed=())

    async def page(
        self, after: tuple[int, str] | None = None, *, limit: int = 100, **wanted: str
    ) -> Page[PresentConnection]:
        return await self.administration.connections(wanted, after=after, limit=limit)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        await self.world.follower.start()
        await self.beat()
        following = [asyncio.create_task(work()) for work in (self.world.follower.poll, self.world.follower.act)]
        try:
            yield
        finally:
            for one in following:
                one.cancel()


# ---- connections


async def test_the_newest_first_page_by_page() -> None:
    place = Place()
    await place.beat()
    await place.put(*(row(number) for number in range(5)), row(9, opened_at=START + 2))
    page = await place.page(limit=2)
    assert ([one.connection for one in page.rows], page.more) == (["c00004", "c00003"], True)
    page = await place.page(place_of(page.rows[-1]), limit=2)
    assert ([one.connection for one in page.rows], page.more) == (["c00002", "c00009"], True)
    page = await place.page(place_of(page.rows[-1]), limit=2)
    assert ([one.connection for one in page.rows], page.more) == (["c00001", "c00000"], False)


async def test_lg_24_filters_are_compared_and_nothing_else() -> None:
    place = Place()
    await place.beat()
    await place.put(row(1), row(2, subject="' OR 1=1--"), row(3, subject="%"), row(4, tenant="acme", address="::1"))
    for name, value, found in (
        ("subject", "' OR 1=1--", ["c00002"]),
        ("subject", "%", ["c00003"]),
        ("subject", "_lice", []),
        ("subject", "ALICE", []),
        ("tenant", "acme", ["c00004"]),
        ("address", "::1", ["c00004"]),
        ("route", "/chat/{room}", ["c00004", "c00003", "c00002", "c00001"]),
        ("node", "gw2", []),
    ):
        page = await place.administration.connections({name: value}, after=None, limit=100)
        assert [one.connection for one in page.rows] == found, value
    assert [one.connection for one in (await place.page(subject="alice", tenant="acme")).rows] == ["c00004"]


async def test_one_connection() -> None:
    place = Place()
    await place.beat()
    await place.put(row(1), row(2))
    assert await place.administration.connection("c00002") == row(2)
    assert await place.administration.connection("c0000") is None


async def test_ten_thousand_leave_the_loop_to_others() -> None:
    """In slices: while a list of 10,000 is gone through, others have their turn every thousand rows."""
    place = Place()
    await place.beat()
    await place.put(*(row(number) for number in range(10_000)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    page = await place.page(limit=1000)
    beside.cancel()
    assert [page.rows[0].connection, page.rows[-1].connection] == ["c09999", "c09000"]
    assert turns >= 9


@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=60, unique_by=lambda one: one[0]),
    st.lists(st.tuples(st.integers(31, 60), st.integers(-40, 70)), max_size=20, unique_by=lambda one: one[0]),
    st.integers(1, 7),
)
async def test_lg_24_pages_are_stable_under_changes(
    old: list[tuple[int, bool]], new: list[tuple[int, int]], limit: int
) -> None:
    """Who is there all the time stands on exactly one page, whoever comes and goes between two of them."""
    place = Place()
    await place.beat()
    await place.put(*(row(number) for number, _ in old))
    leaving = [f"c{number:05}" for number, stays in old if not stays]
    coming = [row(number, opened_at=START + at) for number, at in new]
    seen: list[str] = []
    after = None
    while True:
        page = await place.page(after, limit=limit)
        seen += [one.connection for one in page.rows]
        if not page.more:
            break
        after = place_of(page.rows[-1])
        gone = [leaving.pop()] if leaving else []
        await place.world.store.presence.note(opened=[coming.pop()] if coming else [], closed=gone)
    assert len(seen) == len(set(seen))
    assert {f"c{number:05}" for number, stays in old if stays} <= set(seen)


# ---- revocations


async def test_an_order_is_carried_out_and_told() -> None:
    place = Place()
    async with place.following():
        live, _ = await place.world.inside(handshake(bearer=token()))
        done = await place.administration.revoke(Order(subject(), cause="left\x1b us, ticket 4711", key=KEY), by="ops")
        assert isinstance(done, Done)
        assert live.ended is Reason.REVOKED
        assert (done.result.closed, done.result.silent, done.result.durable, done.again) == (1, (), True, False)
        assert (done.revocation.id, done.revocation.by) == (KEY, "ops")
        assert done.revocation.cause == "left\\u001b us, ticket 4711"
        event = next(event for event in place.world.audited() if event.kind is EventKind.REVOCATION)
        assert event.detail == "log 1: left\\u001b us, ticket ***; closed 1, asked 0"
        told = await place.administration.revocation(KEY)
        assert told is not None
        assert [answer.closed for answer in told.acknowledgements] == [1]
        page = await place.administration.revocations(before=None, limit=1)
        assert (page.rows, page.more) == ((done.revocation,), False)
    assert await place.administration.revocation("unknown") is None


async def test_asked_twice_it_is_done_once_and_told_alike() -> None:
    place = Place()
    async with place.following():
        await place.world.inside(handshake(bearer=token()))
        first = await place.administration.revoke(Order(subject(), key=KEY), by="ops")
        place.world.clock.advance(60)
        second = await place.administration.revoke(Order(subject(), cause="another", key=KEY), by="other")
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert second == Done(first.result, first.revocation, again=True)
    assert len(place.world.withdrawals) == 1


async def test_what_was_done_is_told_though_the_log_can_not_be_read_again() -> None:
    place = Place()
    world = place.world
    read, asked = world.store.revocations.read, 0

    class Once:
        """The log, whose reading fails after the first time."""

        async def read(self, *, after: int) -> object:
            nonlocal asked
            asked += 1
            if asked > 1:
                raise StoreError("away")
            return await read(after=after)

    world.withdrawals._log = Once()  # type: ignore[assignment]
    done = await place.administration.revoke(Order(subject(), key=KEY), by="ops")
    assert isinstance(done, Done)
    assert (done.revocation.id, done.revocation.sequence, done.revocation.by) == (KEY, 1, "ops")
    assert [one.id for one in await read(after=0)] == [KEY]


async def test_a_key_is_for_one_order() -> None:
    place = Place()
    async with place.following():
        done = await place.administration.revoke(Order(subject(), key=KEY), by="ops")
        assert isinstance(done, Done)
        for other in (
            Order(subject("bob"), key=KEY),
            Order(Target(TargetKind.IDENTITY, "alice", tenant="acme"), key=KEY),
            Order(subject(), Effect.RENEW, key=KEY),
            Order(subject(), Effect.ROLES, ("viewer",), key=KEY),
        ):
            assert await place.administration.revoke(other, by="ops") == KeyTaken(done.revocation)
        assert isinstance(await place.administration.close("c", cause="x", key=KEY, by="ops"), KeyTaken)
    assert len(place.world.withdrawals) == 1


async def test_who_has_not_answered_is_named() -> None:
    place = Place()
    world = place.world
    await world.follower.start()
    await place.beat()
    await place.beat("gone", ago=1.0)
    asked = asyncio.create_task(place.administration.revoke(Order(subject(), key=KEY), by="ops"))
    await asyncio.sleep(0)  # it is in the log, and waited for
    await world.withdrawals.catch_up()
    await world.follower.act_now()
    world.clock.advance(5.0)
    done = await asked
    assert isinstance(done, Done)
    assert (done.result.nodes, done.result.silent) == (2, ("gone",))
    again = await place.administration.revoke(Order(subject(), key=KEY), by="ops")
    assert isinstance(again, Done)
    assert again.result.silent == ("gone",)
    await world.store.revocations.acknowledge(Acknowledgement(KEY, 1, "gone", 0, 2, 0, START + 3, 0.1))
    again = await place.administration.revoke(Order(subject(), key=KEY), by="ops")
    assert isinstance(again, Done)
    assert (again.result.silent, again.result.closed, again.result.took) == ((), 2, 3.0)


async def test_who_is_not_heard_of_is_named_and_seen() -> None:
    place = Place()
    async with place.following():
        await place.beat("gone", ago=42.0)
        seen = await place.administration.overview()
        assert [(one.present.node, one.stale, one.age) for one in seen.workers] == [
            ("gone", True, 42.0),
            ("gw", False, 0.0),
        ]
        for _ in range(2):  # the second is told what became of the first
            done = await place.administration.revoke(Order(subject(), key=KEY), by="ops")
            assert isinstance(done, Done)
            assert (done.result.nodes, done.result.silent) == (2, ())
            assert done.result.unheard == (Unheard("gone", 42.0),)


async def test_one_connection_is_closed() -> None:
    place = Place()
    async with place.following():
        live, hands = await place.world.inside(handshake(bearer=token()))
        done = await place.administration.close(live.connection, cause="noise", key="", by="ops")
        assert isinstance(done, Done)
        assert done.result.closed == 1
        assert hands.done == [("close", 4403, "doorward:closed_by_operator", False)]
        nobody = await place.administration.close("nobody", cause="noise", key="", by="ops")
        assert isinstance(nobody, Done)
        assert (nobody.result.closed, nobody.result.silent) == (0, ())


# ---- bans


def ban(**more: object) -> Ban:
    plain = Ban(ip_network("192.0.2.0/24"), None, None, None, "noise", START, START + 600, "ops")
    return replace(plain, **more)  # type: ignore[arg-type]


async def test_a_ban_is_made_once_and_lifted_once() -> None:
    place = Place()
    held, new = await place.administration.ban(ban(cause="x\n password reset requested"))
    assert (held.id, new, held.cause) == (1, True, "x\\u000a password reset requested")
    assert await place.administration.ban(ban()) == (held, False)
    longer, new = await place.administration.ban(ban(expires_at=None))
    assert (longer.id, new) == (2, True)
    page = await place.administration.bans(after=0, limit=1)
    assert (page.rows, page.more) == ((held,), True)
    page = await place.administration.bans(after=1, limit=1)
    assert (page.rows, page.more) == ((longer,), False)
    assert await place.administration.unban(1) == held
    assert await place.administration.unban(1) is None


def test_what_covers_what() -> None:
    assert covers(ban(), ban(expires_at=START + 660))
    assert not covers(ban(), ban(expires_at=START + 661))
    assert covers(ban(expires_at=None), ban())
    assert not covers(ban(), ban(expires_at=None))
    assert not covers(ban(), ban(network=ip_network("192.0.2.0/25")))


def test_a_short_ban_is_not_covered_by_one_that_is_nearly_over() -> None:
    minute = ban(expires_at=START + 60)
    assert covers(minute, ban(made_at=START + 6, expires_at=START + 66))
    assert not covers(minute, ban(made_at=START + 59, expires_at=START + 119))


# ---- the overview


async def test_everything_at_one_look() -> None:
    place = Place()
    await place.world.revoke(subject())
    await place.world.revoke(subject("bob"))
    await place.beat(cursor=2)
    await place.beat(worker=1, ago=5.5, cursor=1)
    await place.beat("gw2", ago=4.9, cursor=2)
    await place.put(row(1), row(2, route="/b"), row(3, node="gw2"))
    seen = await place.administration.overview()
    assert (seen.node, seen.ready, seen.newest, seen.ahead) == ("gw", True, 2, 0.25)
    assert [(one.present.node, one.present.worker, one.stale, one.behind) for one in seen.workers] == [
        ("gw", 0, False, 0),
        ("gw", 1, True, 1),
        ("gw2", 0, False, 0),
    ]
    assert seen.routes == {"/chat/{room}": 2, "/b": 1}
    assert (seen.counted.allowed, seen.counted.refused) == (5, {"token_expired": 5})
    assert (seen.counted.closes, seen.counted.renewals) == ({"revoked": 2}, {})
    place.ready = False
    assert not (await place.administration.overview()).ready
