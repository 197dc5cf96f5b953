"""A live connection over ASGI: messages are judged whole, none is lost or reordered, after the end nothing passes."""

import asyncio
import json
from typing import Any

import pytest

from doorward.adapters.asgi.socket import EACH_HELD, MOST_HELD, ConnectionClosedError
from doorward.values.lease import InGrace, LeaseTerms
from doorward.values.rules import ClusterLimits, Limits, Rate, WhenFull
from tests.unit.adapters.asgi.serving import Visit, echo, scope_of, visit
from tests.unit.service.world import World, handshake, route, rules, subject, token


def controlled():
    return scope_of(handshake(bearer=token(), protocols="doorward.v1"))


class Listener:
    """An application that notes what it hears, when it is asked to listen."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.turn = asyncio.Event()
        self.raised: list[BaseException] = []
        self.receive: Any = None
        self.send: Any = None
        self.inside = asyncio.Event()
        self.leave = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        self.receive, self.send = receive, send
        await receive()
        await send({"type": "websocket.accept"})
        self.inside.set()
        await self.leave.wait()

    async def hear(self) -> Any:
        async with asyncio.timeout(5):
            message = await self.receive()
        return message.get("text") or message.get("bytes") or message


async def act(world: World) -> None:
    """The revocation log is followed, once."""
    await world.follower.start()
    await world.follower.act_now()


# ---- from the peer


async def test_messages_of_both_kinds_pass_as_they_are() -> None:
    async with visit(echo) as it:
        await it.server.told("websocket.accept")
        for said in ("a", "", b"b", b"", "é"):
            it.server.hears(said)
        await it.server.told("websocket.send", 5)
        sent = [message.get("text", message.get("bytes")) for message in it.server.sent[1:]]
        assert sent == ["a", "", b"b", b"", "é"]
        it.server.says("websocket.disconnect", code=1000)
        await it.ended()
        closed = it.audited("close")
        assert [(event.reason, event.close) for event in closed] == [("peer_closed", 1000)]
        assert (closed[0].messages_in, closed[0].bytes_in, closed[0].messages_out, closed[0].bytes_out) == (5, 4, 5, 4)


async def test_an_application_that_gives_up_waiting_loses_nothing() -> None:
    app = Listener()
    async with visit(app) as it:
        await app.inside.wait()
        for number in range(20):
            waiting = asyncio.ensure_future(app.hear())
            await asyncio.sleep(0)
            if number % 2:
                it.server.hears(f"m{number}")  # at the very moment
            waiting.cancel()
            await asyncio.wait({waiting})
            if not number % 2:
                it.server.hears(f"m{number}")
            assert await app.hear() == f"m{number}"
        assert it.server.asked == 22, "the server is asked by us alone, and not again for each who gives up"
        app.leave.set()


async def test_what_nobody_asks_for_is_held_and_no_more_than_that() -> None:
    app = Listener()
    world = World(rules(routes=(route(limits=Limits(message_size=40_000, messages=None)),)))
    async with visit(app, world=world) as it:
        await app.inside.wait()
        for number in range(9):
            it.server.hears(f"{number}" * 30_000)
        for _ in range(50):
            await asyncio.sleep(0)
        held = 9 - it.server.waiting
        assert held == 3
        assert (held - 1) * 30_000 <= MOST_HELD
        assert [await app.hear() for _ in range(9)] == [f"{number}" * 30_000 for number in range(9)]
        app.leave.set()


async def test_of_small_messages_and_empty_ones_no_more_is_held_than_what_they_take() -> None:
    """What is empty takes memory as well (FRM-18, and the class of CVE-2026-62389)."""
    app = Listener()
    world = World(rules(routes=(route(limits=Limits(messages=None)),)))
    async with visit(app, world=world) as it:
        await app.inside.wait()
        for _ in range(1000):
            it.server.hears("")
        for _ in range(1010):
            await asyncio.sleep(0)
        assert 1000 - it.server.waiting <= MOST_HELD // EACH_HELD + 1
        for _ in range(1000):
            assert (await app.hear())["text"] == ""
        app.leave.set()


async def test_what_was_handed_over_at_the_moment_of_the_end_is_not_heard_any_more() -> None:
    app = Listener()
    async with visit(app) as it:
        await app.inside.wait()
        waiting = asyncio.ensure_future(app.hear())
        await asyncio.sleep(0)
        it.server.hears("too late")
        await asyncio.sleep(0)  # it has a taker by now, who has not gone on yet
        assert it.server.waiting == 0
        next(iter(it.world.connections)).revoke()
        assert (await waiting)["code"] == 4002
        app.leave.set()
        await it.ended()


async def test_a_renewal_is_read_though_the_application_never_listens() -> None:
    app = Listener()
    async with visit(app, controlled()) as it:
        await app.inside.wait()
        fresh = token(exp=int(it.world.clock.now()) + 6000)
        it.server.hears("before")
        it.server.hears(json.dumps({"type": "doorward.auth", "token": fresh}).replace(": ", ":").replace(", ", ","))
        it.server.hears('{"type":"doorward.ping"}')
        await it.server.told("websocket.send", 3)
        assert [json.loads(text)["type"] for text in it.server.texts()] == [
            "doorward.ready",
            "doorward.pong",
            "doorward.ready",
        ]
        assert await app.hear() == "before"
        app.leave.set()


async def test_what_was_said_before_the_end_is_heard_before_the_end() -> None:
    app = Listener()
    async with visit(app) as it:
        await app.inside.wait()
        it.server.hears("last words")
        it.server.says("websocket.disconnect", code=4000, reason="bye")
        await asyncio.sleep(0)
        assert await app.hear() == "last words"
        for _ in range(2):
            assert await app.hear() == {"type": "websocket.disconnect", "code": 4000, "reason": ""}
        with pytest.raises(ConnectionClosedError):
            await app.send({"type": "websocket.send", "text": "x"})
        app.leave.set()
        await it.ended()


async def test_one_reader_at_a_time() -> None:
    app = Listener()
    async with visit(app) as it:
        await app.inside.wait()
        waiting = asyncio.ensure_future(app.hear())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already"):
            await app.receive()
        it.server.hears("x")
        assert await waiting == "x"
        app.leave.set()


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        ("x" * 65537, 1009, "message_too_big"),
        (b"x" * 65537, 1009, "message_too_big"),
        ('{"type":"doorward.what"}', 4400, "control_malformed"),
        ('{"type": "doorward.auth", "token": "secret"}', 4400, "control_malformed"),
    ],
)
async def test_a_message_against_the_rules_closes(said, code, reason) -> None:
    async with visit(echo, controlled()) as it:
        await it.server.told("websocket.send")
        it.server.hears(said)
        close = await it.server.told("websocket.close")
        await it.ended()
        assert close["code"] == code
        assert [event.reason for event in it.audited("close")] == [reason]


async def test_a_message_over_the_rate_is_refused_and_the_next_passes() -> None:
    limits = Limits(messages=Rate(1, 1.0, 1), refusals_before_close=1)
    async with visit(echo, controlled(), World(rules(routes=(route(limits=limits),)))) as it:
        await it.server.told("websocket.send")
        it.server.hears("one")
        it.server.hears("two")
        await it.server.told("websocket.send", 3)
        assert sorted(text[:27] for text in it.server.texts()[1:]) == ["one", '{"type":"doorward.refused",']
        it.world.clock.advance(1.0)
        it.server.hears("three")
        await it.server.told("websocket.send", 4)
        it.server.hears("four")
        assert (await it.server.told("websocket.close"))["code"] == 4429
        await it.ended()


async def test_in_grace_nothing_passes_where_the_route_says_so() -> None:
    terms = LeaseTerms(in_grace=InGrace.REFUSE, grace=60.0)
    async with visit(echo, controlled(), World(rules(routes=(route(lease=terms),)))) as it:
        await it.server.told("websocket.send")
        live = next(iter(it.world.connections))
        it.world.clock.advance(540.0)
        live.tick(it.world.clock.now())
        assert '"doorward.renew"' in (await it.server.told("websocket.send", 2))["text"]
        it.server.hears("late")
        assert '"reason":"expired"' in (await it.server.told("websocket.send", 3))["text"]
        it.world.clock.advance(60.0)
        live.tick(it.world.clock.now())
        assert await it.server.told("websocket.close") == {
            "type": "websocket.close",
            "code": 4001,
            "reason": "doorward:expired",
        }
        await it.ended()


async def test_a_json_ping_is_answered_where_the_route_says_so() -> None:
    async with visit(echo, world=World(rules(routes=(route(answer_json_ping=True),)))) as it:
        await it.server.told("websocket.accept")
        it.server.hears('{"type":"ping"}')
        assert (await it.server.told("websocket.send"))["text"] == '{"type":"pong"}'


async def test_pings_are_the_servers_and_nobody_is_closed_for_a_pong() -> None:
    async with visit(echo) as it:
        await it.server.told("websocket.accept")
        live = next(iter(it.world.connections))
        for _ in range(10):
            it.world.clock.advance(20.0)
            live.tick(it.world.clock.now())
        assert it.server.kinds() == ["accept"]


# ---- from the application


@pytest.mark.parametrize("text", ['{"type":"doorward.ready"}', '{"type": "doorward.ready"}'])
async def test_a_control_message_of_the_applications_is_dropped(text) -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.send", "text": "mine"})
        await receive()

    async with visit(app, controlled()) as it:
        await it.server.told("websocket.send", 2)
        assert it.server.texts()[1:] == ["mine"]
        assert [event.detail for event in it.audited("dropped_message")] == ["from the application"]
    async with visit(app) as it:  # where they are off it is its own affair
        await it.server.told("websocket.send", 2)
        assert it.server.texts() == [text, "mine"]


async def test_sends_are_one_at_a_time_and_in_order() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.gather(*(send({"type": "websocket.send", "text": str(number)}) for number in range(9)))
        await receive()

    async with visit(app) as it:
        await it.server.told("websocket.send", 9)
        assert it.server.texts() == [str(number) for number in range(9)]


@pytest.mark.parametrize("code", [1000, 3000, None])
async def test_its_own_close_passes(code) -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "reason": "bye"} | ({} if code is None else {"code": code}))
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(RuntimeError, match=r"after websocket\.close"):
            await send({"type": "websocket.send", "text": "late"})

    async with visit(app) as it:
        await it.ended()
        assert it.server.kinds() == ["accept", "close"]
        assert it.server.sent[-1]["reason"] == "bye"
        assert [(event.reason, event.close) for event in it.audited("close")] == [("backend_closed", code or 1000)]


async def test_an_application_that_returns_has_closed() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    async with visit(app) as it:
        await it.ended()
        assert await it.server.told("websocket.close") == {"type": "websocket.close", "code": 1000}


async def test_an_exception_closes_with_1011_and_is_the_servers_to_log() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise ValueError("secret of a bug")

    async with visit(app) as it:
        with pytest.raises(ValueError, match="secret of a bug"):
            await it.ended()
        assert it.server.sent[-1] == {"type": "websocket.close", "code": 1011, "reason": "doorward:internal"}
        assert [(event.reason, event.detail) for event in it.audited("close")] == [("app_failed", "ValueError")]


async def test_a_second_accept_closes() -> None:
    """HSK-23."""

    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        with pytest.raises(RuntimeError, match=r"after websocket\.accept"):
            await send({"type": "websocket.accept"})
        assert (await receive())["code"] == 1011

    async with visit(app) as it:
        await it.ended()
        assert it.server.kinds() == ["accept", "close"]
        assert [event.reason for event in it.audited("close")] == ["app_failed"]


# ---- our own end


async def test_a_revocation_closes_and_both_sides_know() -> None:
    app = Listener()
    async with visit(app, controlled()) as it:
        await app.inside.wait()
        it.server.hears("never heard")
        waiting = asyncio.ensure_future(app.hear())
        await waiting
        waiting = asyncio.ensure_future(app.hear())
        await asyncio.sleep(0)
        await it.world.revoke(subject())
        await act(it.world)
        assert await it.server.told("websocket.close") == {
            "type": "websocket.close",
            "code": 4002,
            "reason": "doorward:revoked",
        }
        assert await waiting == {"type": "websocket.disconnect", "code": 4002, "reason": "doorward:revoked"}
        with pytest.raises(ConnectionClosedError):
            await app.send({"type": "websocket.send", "text": "x"})
        it.server.hears("too late")
        assert (await app.receive())["type"] == "websocket.disconnect"
        app.leave.set()
        await it.ended()
        assert [event.reason for event in it.audited("close")] == ["revoked"]


async def test_what_was_held_when_we_closed_is_not_delivered() -> None:
    app = Listener()
    async with visit(app) as it:
        await app.inside.wait()
        it.server.hears("held")
        for _ in range(5):
            await asyncio.sleep(0)
        next(iter(it.world.connections)).close_by_operator()
        assert (await app.hear())["code"] == 4403
        app.leave.set()


async def test_an_application_that_does_not_end_is_ended(monkeypatch) -> None:
    monkeypatch.setattr("doorward.adapters.asgi.entrance.END_WITHIN", 0.01)
    app = Listener()
    async with visit(app) as it:
        await app.inside.wait()
        next(iter(it.world.connections)).revoke()
        await it.ended()
        assert it.server.kinds() == ["accept", "close"]


async def test_errors_that_only_say_closed_are_not_raised_again() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with asyncio.TaskGroup() as group:
            group.create_task(talk(send))
            group.create_task(talk(send))

    async def talk(send) -> None:
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await asyncio.sleep(0)

    async with visit(app) as it:
        await it.server.told("websocket.send")
        next(iter(it.world.connections)).revoke()
        await it.ended()


async def test_a_slow_peer_is_closed_and_cut_when_that_does_not_help(monkeypatch) -> None:
    monkeypatch.setattr("doorward.adapters.asgi.entrance.END_WITHIN", 0.01)

    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "x"})

    async with visit(app) as it:
        await it.server.told("websocket.send")
        it.server.hold = asyncio.Event()
    app = Listener()
    async with visit(app) as it:
        await app.inside.wait()
        it.server.hold = asyncio.Event()
        waiting = asyncio.ensure_future(app.send({"type": "websocket.send", "text": "x"}))
        await asyncio.sleep(0)
        live = next(iter(it.world.connections))
        it.world.clock.advance(10.0)
        live.tick(it.world.clock.now())
        assert [event.reason for event in it.audited("close")] == ["slow_consumer"]
        it.world.clock.advance(5.0)
        live.tick(it.world.clock.now())
        await it.ended()
        assert it.server.kinds() == ["accept"]
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_a_closed_peer_while_we_say_something() -> None:
    async with visit(echo, controlled()) as it:
        await it.server.told("websocket.send")
        it.server.broken = OSError("gone")
        it.server.hears('{"type":"doorward.ping"}')
        it.server.says("websocket.disconnect", code=1006)
        await it.ended()
        assert [event.reason for event in it.audited("close")] == ["peer_gone"]


async def test_a_server_that_breaks_its_word_ends_this_connection_alone() -> None:
    async with visit(echo) as it:
        await it.server.told("websocket.accept")
        it.server.says("websocket.receive", text=7)
        assert (await it.server.told("websocket.close"))["code"] == 1011
        await it.ended()
        assert [event.reason for event in it.audited("close")] == ["internal"]


async def test_limits_and_replacement_as_at_the_gateway() -> None:
    world = World(rules(limits=ClusterLimits(connections_per_subject=1, when_full=WhenFull.REPLACE_OLDEST)))
    first = Visit(world, echo, scope_of()).begin()
    await first.server.told("websocket.accept")
    async with visit(echo, world=world) as second:
        await second.server.told("websocket.accept")
        assert (await first.server.told("websocket.close"))["code"] == 4409
        await first.ended()


async def test_a_drain_closes_and_refuses() -> None:
    world = World()
    async with visit(echo, world=world) as it:
        await it.server.told("websocket.accept")
        next(iter(world.connections)).drain(reconnect_after=3.0)
        close = await it.server.told("websocket.close")
        assert (close["code"], close["reason"]) == (1012, "doorward:draining; retry_after=3")
        await it.ended()
