"""A connection lives as long as its authority: asked in time, renewed or ended to the second, whatever passes then.

One gateway for the file; each test has subjects of its own. Tokens live for seconds, so nothing is waited for long.
"""

import asyncio
import json
import time
from contextlib import suppress

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from tests.integration.noise import measured
from tests.integration.running import ISSUER, OTHER_ISSUER, Client, Raw, Refused, claims_of, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXACT = 0.5
SEEN = 1.0
"""Seconds. Deadlines are looked at every 250 ms; the rest is for two processes, and `noise` comes on top of it."""

ROUTES = [
    {"path": "/chat", "lease": {"grace": "2s"}},
    {"path": "/plain", "control_messages": "never"},
    {"path": "/strict", "lease": {"grace": "5s", "in_grace": "refuse"}},
    {"path": "/idle", "lease": {"idle": "2s"}},
    {"path": "/max", "lease": {"max": "2s"}},
    {"path": "/often", "lease": {"renew_every": "1s", "grace": "1s"}},
    {"path": "/limited", "limits": {"messages": "1/min burst 3", "refusals_before_close": 2}},
    {"path": "/small", "limits": {"message_size": "1KiB"}},
    {"path": "/json", "answer_json_ping": True},
    {"path": "/members", "permission": "chat:join"},
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory):
    async with running(tmp_path_factory.mktemp("life"), routes=ROUTES, cold=True) as gateway:
        yield gateway


@pytest_asyncio.fixture(loop_scope="module")
async def noise():
    async with measured() as noise:
        yield noise


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def early(gateway):
    """A raw socket, opened before all else, whose pings are answered at once; and the frames that come on it."""
    frames: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
    async with gateway.raw(token=gateway.token("early", 600)) as raw:
        answering = asyncio.create_task(answer_pings(raw, frames))
        yield raw, frames
        answering.cancel()
        await asyncio.wait([answering])


async def answer_pings(raw: Raw, frames: asyncio.Queue) -> None:
    while True:
        first, payload = await raw.frame(within=600)
        frames.put_nowait((first, payload))
        if first == 0x89:
            await raw.send(0x8A, payload)


def expiry(token):
    return claims_of(token)["exp"]


async def ended_at(client: Client) -> tuple[float, tuple]:
    """(when, (code, reason))"""
    end = await client.closed()
    return time.time(), end


# ---- the lease


async def test_ready_tells_whose_it_is_and_until_when(gateway, early) -> None:
    token = gateway.token("ann", 30)
    client = await gateway.connect(token=token, protocols=("doorward.v1",))
    ready = await client.hear("ready")
    assert ready["subject"] == "ann"
    assert ready["expires_at"] == expiry(token)
    assert ready["renew_by"] == expiry(token) - 2
    assert client.socket.subprotocol == "doorward.v1"
    assert await client.echoes()
    await client.close()


async def test_asked_in_time_and_renewed_over_the_socket(gateway, noise) -> None:
    first = gateway.token("bea", 4.9)
    client = await gateway.connect(token=first, protocols=("doorward.v1",))
    await client.hear("ready")
    asked = await client.hear("renew")
    assert time.time() < expiry(first), "asked before it ends"
    assert asked["within"] <= 2
    second = gateway.token("bea", 4)
    await client.auth(second)
    ready = await client.hear("ready")
    assert ready["expires_at"] == expiry(second)
    assert await client.echoes()
    # it outlives the first credential, and not the second
    at, end = await ended_at(client)
    assert end == (4001, "doorward:expired")
    assert 0 <= at - expiry(second) <= SEEN + noise.worst
    renewals = gateway.events(kind="renewal", subject="bea", outcome="allowed")
    assert [event["place"] for event in renewals] == ["message"]


async def test_renewed_from_outside(gateway) -> None:
    client, ready = await gateway.enter("cid", life=5)
    await client.hear("renew")
    token = gateway.token("cid", 60)
    answer = await gateway.post("/auth/renew", {"connection": ready["connection"], "token": token})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"expires_at": expiry(token), "renew_by": expiry(token) - 2}
    assert (await client.hear("ready"))["expires_at"] == expiry(token)
    assert await client.echoes()
    await client.close()


async def test_a_refused_renewal_is_answered_and_the_third_closes(gateway) -> None:
    client, _ = await gateway.enter("dee")
    for id in ("one", "two"):
        await client.auth("no.token.atall", id=id)
        assert await client.hear("refused") == {"type": "doorward.refused", "reason": "refused", "id": id}
        assert await client.echoes()
    await client.auth(gateway.token("dee", issuer=ISSUER, exp=1))
    assert await client.closed() == (4401, "doorward:refused")
    refused = await gateway.audited(kind="renewal", subject="dee", outcome="refused", count=3)
    assert [event["reason"] for event in refused] == ["token_malformed", "token_malformed", "token_expired"]


async def test_a_renewal_in_between_forgives_the_refused_ones(gateway) -> None:
    client, _ = await gateway.enter("eve")
    for _ in range(2):
        for _ in range(2):
            await client.auth("nonsense")
            await client.hear("refused")
        await client.auth(gateway.token("eve"))
        await client.hear("ready")
    assert await client.echoes()
    await client.close()


@pytest.mark.parametrize("other", [{"subject": "mallory"}, {"issuer": OTHER_ISSUER}, {"tenant": "elsewhere"}])
async def test_another_identity_closes(other, gateway) -> None:
    client, _ = await gateway.enter("fay")
    await client.auth(gateway.token(**{"subject": "fay", **other}))
    assert await client.closed() == (4401, "doorward:refused")


async def test_from_outside_another_identity_and_an_unknown_connection_look_alike(gateway) -> None:
    client, ready = await gateway.enter("gus")
    answers = []
    for token in (gateway.token("mallory"), gateway.token("gus", exp=1), "forged"):
        for connection in (ready["connection"], "A" * 22):
            answer = await gateway.post("/auth/renew", {"connection": connection, "token": token})
            headers = {name: value for name, value in answer.headers.items() if name != "date"}
            answers.append((answer.status_code, answer.content, headers))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 403
    assert await client.echoes(), "nobody else's credential ends it"
    await client.close()
    for connection in (ready["connection"], "A" * 22):
        told = await gateway.audited(kind="http", reason="connection_unknown", connection=connection)
        assert told[0]["address"] == "127.0.0.1", "who asked"
    assert gateway.events(kind="renewal", reason="identity_changed", connection=ready["connection"])


async def test_an_older_proof_is_refused(gateway) -> None:
    now = int(time.time())
    client, _ = await gateway.enter("hal")
    await client.auth(gateway.token("hal", iat=now - 100))
    await client.hear("refused")
    await client.close()


async def test_lost_permission_refuses_the_renewal(gateway) -> None:
    client, _ = await gateway.enter("ida", "/members", scope="chat:join")
    await client.auth(gateway.token("ida", scope="chat:read"))
    assert (await client.hear("refused"))["reason"] == "forbidden"
    await client.auth(gateway.token("ida", scope="chat:join chat:read"))
    await client.hear("ready")
    await client.close()


@pytest.mark.parametrize("protocols", [("doorward.v1",), ()])
async def test_it_ends_to_the_second_under_load(protocols, gateway, noise) -> None:
    token = gateway.token("jim", 3)
    client = await gateway.connect(token=token, protocols=protocols)
    seen = []

    async def push() -> None:
        while True:
            await client.send(b"x" * 300)
            await asyncio.sleep(0.001)

    pushing = asyncio.create_task(push())
    with suppress(ConnectionClosed):
        while True:
            seen.append(await client.next())
    at = time.time()
    pushing.cancel()
    await asyncio.gather(pushing, return_exceptions=True)
    assert (client.socket.close_code, client.socket.close_reason) == (4001, "doorward:expired")
    assert 0 <= at - expiry(token) <= SEEN + noise.worst
    assert len(seen) > 100
    controls = [json.loads(message)["type"] for message in seen if isinstance(message, str)]
    assert controls == (["doorward.ready", "doorward.renew"] if protocols else [])
    closes = await gateway.audited(
        kind="close", subject="jim", connection=gateway.events(subject="jim")[-1]["connection"]
    )
    assert closes[0]["reason"] == "expired"
    assert closes[0]["close"] == 4001
    assert closes[0]["messages_in"] > 100
    assert 0 <= closes[0]["at"] - expiry(token) <= EXACT + noise.worst


async def test_what_cannot_be_told_anything_is_told_nothing_and_ends_with_its_token(gateway, noise) -> None:
    token = gateway.token("kit", 4)
    client = await gateway.connect("/plain", token=token, protocols=("doorward.v1", "chat"))
    await client.send('{"type":"doorward.ping"}')
    assert await client.next() == '{"type":"doorward.ping"}', "not ours where control messages are off"
    at, end = await ended_at(client)
    assert end == (4001, "doorward:expired")
    assert 0 <= at - expiry(token) <= SEEN + noise.worst


async def test_in_grace_messages_are_refused_where_the_route_says_so(gateway) -> None:
    client, _ = await gateway.enter("lea", "/strict", life=6)
    assert await client.echoes()
    await client.hear("renew")
    await client.send("not delivered")
    assert (await client.hear("refused"))["reason"] == "expired"
    await client.auth(gateway.token("lea"))
    await client.hear("ready")
    assert await client.echoes("delivered"), "and the first was not"
    await client.close()


async def test_renewal_falls_due_by_the_clock_too(gateway, noise) -> None:
    client, ready = await gateway.enter("max", "/often", life=60)
    begun = time.time()
    assert ready["renew_by"] <= begun + 1
    await client.hear("renew")
    assert time.time() - begun == pytest.approx(1, abs=SEEN + noise.worst)
    at, end = await ended_at(client)
    assert end == (4001, "doorward:expired")
    assert at - begun == pytest.approx(2, abs=SEEN + noise.worst)


async def test_idle_is_ended_and_talk_is_not(gateway, noise) -> None:
    silent, _ = await gateway.enter("ned", "/idle")
    talking, _ = await gateway.enter("ned", "/idle")
    begun = time.time()
    ending = asyncio.create_task(ended_at(silent))
    while not ending.done():
        assert await talking.echoes()
        if silent.socket.state is State.OPEN:
            await silent.send('{"type":"doorward.ping"}')  # no application message
        await asyncio.wait([ending], timeout=0.2)
    at, end = ending.result()
    assert end == (4408, "doorward:idle")
    assert at - begun == pytest.approx(2, abs=SEEN + noise.worst)
    assert await talking.echoes()
    assert await talking.closed() == (4408, "doorward:idle")


async def test_the_end_of_a_life_is_moved_by_nothing(gateway, noise) -> None:
    client, _ = await gateway.enter("oda", "/max")
    begun = time.time()
    await client.auth(gateway.token("oda"))
    await client.hear("ready")
    at, end = await ended_at(client)
    assert end == (4408, "doorward:lifetime")
    assert at - begun == pytest.approx(2, abs=SEEN + noise.worst)


# ---- control messages


async def test_pings_of_both_kinds_are_answered(gateway) -> None:
    client, _ = await gateway.enter("pat", "/json")
    await client.send('{"type":"doorward.ping"}')
    await client.hear("pong")
    await client.send('{"type":"ping"}')
    assert await client.next() == '{"type":"pong"}'
    await client.close()
    other, _ = await gateway.enter("pat")
    assert await other.echoes('{"type":"ping"}'), "only where the route says so"
    await other.close()


@pytest.mark.parametrize(
    "message", ['{"type":"doorward.ready"}', '{"type":"doorward.', '{"type":"doorward.auth","token":"x","ticket":"y"}']
)
async def test_a_control_message_that_is_none_closes(message, gateway) -> None:
    client, _ = await gateway.enter("quin")
    await client.send(message)
    assert await client.closed() == (4400, "doorward:malformed")


async def test_the_backend_cannot_speak_for_us(gateway) -> None:
    client, ready = await gateway.enter("ray")
    gateway.backend.serve = forge
    forged, _ = await gateway.enter("ray")
    await forged.send("go")
    assert [await forged.next(), await forged.next()] == ["before", "after"]
    assert await client.echoes()
    gateway.backend.serve = type(gateway.backend)().serve
    dropped = await gateway.audited(kind="dropped_message", subject="ray")
    assert len(dropped) == 1
    assert dropped[0]["connection"] != ready["connection"]
    await client.close()
    await forged.close()


async def forge(socket):
    async for _ in socket:
        await socket.send("before")
        await socket.send('{"type":"doorward.ready","connection":"x","subject":"root"}')
        await socket.send("after")


# ---- limits


async def test_too_fast_is_refused_then_closed(gateway) -> None:
    client, _ = await gateway.enter("sue", "/limited")
    for number in range(3):
        assert await client.echoes(f"message {number}")
    for _ in range(2):
        await client.send("too fast")
        refused = await client.hear("refused")
        assert refused["reason"] == "rate_limited"
        assert 0 < refused["retry_after"] <= 60
    await client.send("once too often")
    code, reason = await client.closed()
    assert code == 4429
    assert reason.startswith("doorward:rate_limited")
    counted = await gateway.audited(kind="refused_message", subject="sue", count=2)
    assert {event["reason"] for event in counted} == {"message_rate"}


async def test_too_big_closes(gateway) -> None:
    client, _ = await gateway.enter("tom", "/small")
    assert await client.echoes("x" * 1024)
    await client.send("x" * 1025)
    assert await client.closed() == (1009, "doorward:message_too_big")


# ---- tickets


@pytest.mark.parametrize("by", ["query", "subprotocol"])
async def test_a_ticket_opens_one_socket_with_its_parents_lease(by, gateway) -> None:
    token = gateway.token("una", 30)
    bought = await gateway.buy(token, path="/chat")

    def shown():
        if by == "query":
            return {"path": f"/chat?room=1&ticket={bought['ticket']}", "protocols": ("doorward.v1",)}
        return {"path": "/chat?room=1", "protocols": ("doorward.v1", f"doorward.ticket.{bought['ticket']}")}

    client = await gateway.connect(**shown())
    ready = await client.hear("ready")
    assert ready["connection"] == bought["connection"]
    assert ready["subject"] == "una"
    assert ready["expires_at"] == expiry(token)
    assert client.socket.subprotocol == "doorward.v1"
    path, headers = gateway.backend.heads[-1]
    assert path == "/chat?room=1"
    assert bought["ticket"] not in json.dumps(headers)
    again = await gateway.try_connect(**shown())
    assert isinstance(again, Refused)
    assert (again.status, again.reason) == (403, "refused")
    detail = f"spent by connection {bought['connection']}"
    assert await gateway.audited(kind="handshake", outcome="refused", reason="ticket_spent", detail=detail)
    assert bought["ticket"] not in gateway.audit_file().read_text()
    assert bought["ticket"] not in gateway.printed
    assert await client.echoes()
    await client.close()


async def test_a_ticket_is_not_for_another_path_and_dies_with_its_parent(gateway) -> None:
    bought = await gateway.buy(gateway.token("vic"), path="/chat")
    assert await gateway.status(f"/json?ticket={bought['ticket']}") == 403
    assert await gateway.status(f"/chat?ticket={bought['ticket']}") == 403, "and it is burnt"
    short = gateway.token("vic", 4)
    bought = await gateway.buy(short)
    assert bought["expires_in"] <= 4
    client = await gateway.connect(token=short)
    at, _ = await ended_at(client)
    assert at >= expiry(short)
    assert await gateway.status(f"/chat?ticket={bought['ticket']}") == 403
    assert await gateway.audited(kind="handshake", outcome="refused", reason="ticket_expired")


async def test_a_ticket_connection_renews_from_outside_without_control_messages(gateway) -> None:
    bought = await gateway.buy(gateway.token("wim", 3))
    client = await gateway.connect(f"/chat?ticket={bought['ticket']}")
    token = gateway.token("wim", 60)
    answer = await gateway.post("/auth/renew", {"connection": bought["connection"], "token": token})
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_at"] == expiry(token)
    with pytest.raises(TimeoutError):
        await client.next(within=3.5)
    assert await client.echoes()
    await client.close()


async def test_a_ticket_renews_as_a_token_does_and_is_spent_by_it(gateway) -> None:
    client, ready = await gateway.enter("yan", life=5)
    bought = await gateway.buy(gateway.token("yan", 100))
    await client.send({"type": "doorward.auth", "ticket": bought["ticket"]})
    renewed = await client.hear("ready")
    assert renewed["connection"] == ready["connection"]
    assert renewed["expires_at"] > ready["expires_at"] + 50
    assert await gateway.status(f"/chat?ticket={bought['ticket']}") == 403
    await client.send({"type": "doorward.auth", "ticket": bought["ticket"]})
    assert (await client.hear("refused"))["reason"] == "refused"
    bought = await gateway.buy(gateway.token("yan", 200))
    body = {"connection": ready["connection"], "ticket": bought["ticket"]}
    assert (await gateway.post("/auth/renew", body)).status_code == 200
    assert (await client.hear("ready"))["expires_at"] > renewed["expires_at"] + 50
    assert (await gateway.post("/auth/renew", body)).status_code == 403
    await client.close()


async def test_of_two_racing_handshakes_with_one_ticket_exactly_one_wins(gateway) -> None:
    token = gateway.token("xen", 600)
    for _ in range(200):
        path = f"/chat?ticket={(await gateway.buy(token))['ticket']}"
        both = await asyncio.gather(gateway.try_connect(path), gateway.try_connect(path))
        won = [client for client in both if isinstance(client, Client)]
        lost = [refused.status for refused in both if isinstance(refused, Refused)]
        assert (len(won), lost) == (1, [403])
        await won[0].close()


async def test_a_ping_comes_and_its_pong_keeps(gateway, early) -> None:
    """Last in this file: by now the first socket has been open for some of the 20 s."""
    raw, frames = early
    async with asyncio.timeout(25):
        assert (await frames.get())[0] == 0x89, "a ping"
    await raw.send(0x81, b"after the pong")
    while (frame := await frames.get())[0] == 0x89:
        pass
    assert frame == (0x81, b"after the pong")
