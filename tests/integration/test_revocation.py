"""Authority that is withdrawn is gone at once: from live connections, from the way back, from what was queued."""

import asyncio
import re
import signal
import time

import pytest
import pytest_asyncio

from tests.integration.noise import measured
from tests.integration.running import OTHER_ISSUER, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = [
    {"path": "/chat", "lease": {"grace": "2s"}},
    {"path": "/members", "permission": "chat:join"},
    {"path": "/queue", "limits": {"output_queue": "64KiB"}},
]
REVOKED = (4002, "doorward:revoked")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory):
    roles = {"member": ["chat:join"], "reader": ["chat:read"]}
    async with running(tmp_path_factory.mktemp("revocation"), routes=ROUTES, roles=roles, cold=True) as gateway:
        yield gateway


def summary(printed: str) -> tuple[int, int, int]:
    """(connections closed, nodes that answered, nodes)"""
    found = re.search(r"closed (\d+) connections? on (\d+) of (\d+) nodes? in \d+ ms", printed)
    assert found, printed
    return int(found[1]), int(found[2]), int(found[3])


async def later(moment: float) -> int:
    """The first whole second after a moment, once it has come: foreign tokens are issued in whole seconds."""
    second = int(moment) + 1
    await asyncio.sleep(max(0.0, second - time.time()))
    return second


@pytest.mark.parametrize(
    ("hit", "spared", "target"),
    [
        ({"subject": "s1"}, {"subject": "s1x"}, ["--subject", "s1"]),
        (
            {"subject": "s2"},
            {"subject": "s2", "issuer": OTHER_ISSUER},
            ["--subject", "s2", "--issuer", "https://login.test"],
        ),
        ({"subject": "s3", "sid": "one"}, {"subject": "s3", "sid": "two"}, ["--session", "one"]),
        ({"subject": "s4", "jti": "this"}, {"subject": "s4", "jti": "that"}, ["--token", "this"]),
        ({"subject": "s5", "tenant": "acme"}, {"subject": "s5", "tenant": "umbrella"}, ["--tenant", "acme"]),
        ({"subject": "s6", "tenant": "t"}, {"subject": "s6", "tenant": "u"}, ["--subject", "s6", "--tenant", "t"]),
    ],
    ids=["subject", "issuer-and-subject", "session", "token", "tenant", "subject-of-tenant"],
)
async def test_those_it_names_close_and_no_others(hit, spared, target, gateway) -> None:
    token = gateway.token(**hit)
    inside = [await gateway.connect(token=token, protocols=("doorward.v1",)) for _ in range(3)]
    inside.append(await gateway.connect(token=token))
    other_token = gateway.token(**spared)
    other = await gateway.connect(token=other_token)
    ticket = (await gateway.buy(token))["ticket"]
    code, printed = await gateway.cli("revoke", *target)
    assert code == 0, printed
    assert summary(printed) == (4, 1, 1)
    assert hit["subject"] in printed, "each identity that was hit is named"
    assert [await client.closed() for client in inside] == [REVOKED] * 4
    assert await other.echoes()
    # the way back, by what it was and by what was bought with it
    assert await gateway.status(token=token) == 403
    assert await gateway.status(f"/chat?ticket={ticket}") == 403
    assert (await gateway.post("/auth/ticket", token=token)).status_code in {401, 403}
    assert await gateway.status(token=other_token) == 101
    await other.close()
    reasons = {event["reason"] for event in await gateway.audited(kind="close", subject=hit["subject"], count=4)}
    assert "revoked" in reasons


async def test_a_later_token_comes_in_and_a_closed_session_never(gateway) -> None:
    earlier = gateway.token("u1", sid="gone")
    code, printed = await gateway.cli("revoke", "--subject", "u1")
    assert code == 0, printed
    code, printed = await gateway.cli("revoke", "--session", "gone")
    assert code == 0, printed
    after = await later(time.time())
    assert await gateway.status(token=earlier) == 403
    assert await gateway.status(token=gateway.token("u1", iat=after)) == 101
    assert await gateway.status(token=gateway.token("u1", iat=None)) == 403, "no iat: before everything"
    assert await gateway.status(token=gateway.token("u1", iat=after, sid="gone")) == 403


async def test_a_name_that_nobody_has_is_told_of(gateway) -> None:
    code, printed = await gateway.cli("revoke", "--subject", "nosuch")
    assert code == 0, printed
    assert summary(printed) == (0, 1, 1)
    assert "nobody named 'nosuch' is connected now" in printed


async def test_an_issuer_is_withdrawn_whole(gateway) -> None:
    client, _ = await gateway.enter("v1", issuer=OTHER_ISSUER)
    kept, _ = await gateway.enter("v1")
    code, printed = await gateway.cli("revoke", "--issuer", OTHER_ISSUER)
    assert code == 0, printed
    assert await client.closed() == REVOKED
    assert await gateway.status(token=gateway.token("anybody", issuer=OTHER_ISSUER)) == 403
    assert await kept.echoes()
    await kept.close()


async def test_effect_renew_wants_something_issued_after(gateway) -> None:
    asked, _ = await gateway.enter("w1")
    cannot = await gateway.connect(token=gateway.token("w1"))
    code, printed = await gateway.cli("revoke", "--subject", "w1", "--effect", "renew")
    assert code == 0, printed
    assert summary(printed)[0] == 1, "who can't renew ends"
    assert "1 asked to renew" in printed
    assert (await asked.hear("renew"))["within"] <= 2
    assert await cannot.closed() == (4001, "doorward:expired")
    assert await gateway.status(token=gateway.token("w1", iat=int(time.time()) - 5)) == 403
    await asked.auth(gateway.token("w1", iat=int(time.time()) - 1))
    await asked.hear("refused")
    after = await later(time.time())
    await asked.auth(gateway.token("w1", iat=after))
    await asked.hear("ready")
    assert await asked.echoes()
    await asked.close()


async def test_effect_renew_ends_who_does_not_within_grace(gateway) -> None:
    client, _ = await gateway.enter("w2")
    begun = time.time()
    async with measured() as noise:
        code, printed = await gateway.cli("revoke", "--subject", "w2", "--effect", "renew")
        assert code == 0, printed
        told = time.time()
        await client.hear("renew")
        assert await client.closed() == (4001, "doorward:expired")
    assert time.time() - begun >= 2
    assert time.time() - told <= 2 + 1 + noise.worst


async def test_effect_roles_counts_at_once_and_shuts_what_needs_more(gateway) -> None:
    member = gateway.token("x1", roles=["member"])
    inside = await gateway.connect("/members", token=member, protocols=("doorward.v1",))
    chatting = await gateway.connect("/chat", token=member, protocols=("doorward.v1",))
    await inside.hear("ready")
    await chatting.hear("ready")
    code, printed = await gateway.cli("revoke", "--subject", "x1", "--effect", "roles", "--role", "reader")
    assert code == 0, printed
    assert await inside.closed() == (4403, "doorward:forbidden")
    await chatting.hear("ready")
    assert await chatting.echoes()
    assert await gateway.status("/members", token=member) == 403
    assert await gateway.status("/chat", token=member) == 101
    assert gateway.backend.heads[-1][1]["x-doorward-roles"] == "reader"
    after = await later(time.time())
    assert await gateway.status("/members", token=gateway.token("x1", roles=["member"], iat=after)) == 101
    await chatting.close()


async def test_the_operator_closes_one_connection(gateway) -> None:
    client, ready = await gateway.enter("y1")
    other, _ = await gateway.enter("y1")
    await gateway.until(lambda: _listed(gateway, ready["connection"]))
    code, printed = await gateway.cli("connections", "close", ready["connection"])
    assert code == 0, printed
    assert await client.closed() == (4403, "doorward:closed_by_operator")
    assert await other.echoes()
    code, printed = await gateway.cli("connections", "close", "A" * 22)
    assert code == 1, printed
    await other.close()


async def _listed(gateway, connection):
    code, printed = await gateway.cli("connections", "list")
    return code == 0 and connection in printed


async def test_what_was_queued_for_the_revoked_is_not_delivered(gateway) -> None:
    sent = 0

    async def flood(socket):
        nonlocal sent
        while True:
            await socket.send(sent.to_bytes(4) * 1024)
            sent += 1

    serve, gateway.backend.serve = gateway.backend.serve, flood
    async with gateway.raw("/queue", token=gateway.token("z1"), receive_buffer=4096) as slow:
        await gateway.until(_stands_still(lambda: sent))
        gateway.backend.serve = serve
        assert sent * 4096 > 500_000, "more than any socket of the reader's holds"
        code, printed = await gateway.cli("revoke", "--subject", "z1")
        assert code == 0, printed
        assert summary(printed)[0] == 1
        seen = slow.unread
        try:
            while more := await slow.read():
                seen += more
            raise AssertionError("it was closed in order, with all that was queued")
        except ConnectionResetError:
            pass
    assert len(seen) < 65536, "what its own kernel had by then, and nothing after"
    closes = await gateway.audited(kind="close", subject="z1")
    assert closes[0]["reason"] == "revoked"


def _stands_still(count):
    """True once the count has not changed for a third of a second."""
    seen = [-1, 0.0]

    async def look():
        if count() != seen[0]:
            seen[:] = [count(), time.monotonic()]
        return seen[0] > 0 and time.monotonic() - seen[1] > 0.33

    return look


async def test_many_connections_of_one_close_and_the_figure_is_told(gateway) -> None:
    took = []
    for number in range(20):
        token = gateway.token(f"many{number}")
        clients = [await gateway.connect(token=token) for _ in range(10)]
        code, printed = await gateway.cli("revoke", "--subject", f"many{number}")
        assert code == 0, printed
        assert summary(printed)[0] == 10
        took.append(int(printed.partition(" in ")[2].partition(" ms")[0]))
        assert {await client.closed() for client in clients} == {REVOKED}
    took.sort()
    print(f"\n20 revocations of 10 connections, call to last close: median {took[10]} ms, most {took[-1]} ms")
    assert took[10] < 1000


async def test_a_node_that_stands_still_is_named_and_obeys_when_it_goes_on(gateway) -> None:
    client = await gateway.connect(token=gateway.token("still"))
    await gateway.cli("connections", "list")  # the first command does the imports
    await gateway.stand_still()
    begun = time.monotonic()
    try:
        async with measured() as noise:
            code, printed = await gateway.cli("revoke", "--subject", "still")
        took = time.monotonic() - begun
    finally:
        gateway.tell(signal.SIGCONT)
    assert code == 1, printed
    assert summary(printed) == (0, 0, 1)
    assert "no answer from gw-test" in printed
    assert took < 5 + 5 + noise.worst, "its own deadline"
    assert await client.closed() == REVOKED


async def test_it_outlives_the_process(gateway) -> None:
    """Last in this file: the gateway is another one afterwards."""
    token = gateway.token("last")
    client = await gateway.connect(token=token)
    code, printed = await gateway.command("revoke", "--subject", "last")
    assert code == 0, printed
    assert summary(printed) == (1, 1, 1)
    assert await client.closed() == REVOKED
    await gateway.kill()
    # and while nobody serves: whoever comes back under this name answers for what it had missed
    absent = gateway.token("absent")
    gateway.cold = False
    begun = time.monotonic()
    revoking = asyncio.create_task(gateway.cli("revoke", "--subject", "absent"))
    await gateway.start()
    took = time.monotonic() - begun
    code, printed = await revoking
    if took < 5:  # what the command waits for an answer
        assert code == 0, printed
    assert summary(printed) == (0, 1 - code, 1)
    assert await gateway.status(token=token) == 403
    assert await gateway.status(token=absent) == 403
    assert await gateway.status(token=gateway.token("somebody")) == 101
