"""`doorward demo` as somebody at a terminal meets it: what it refuses, what it prints, and that it leaves nothing."""

import asyncio
import json
import os
import signal
import socket
from contextlib import closing, suppress

import httpx2
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.browser.demos import WITHIN, doorward, is_free, running_demo
from tests.integration.ports import free_ports

# each demo is four processes that do their imports, and each command one more
pytestmark = pytest.mark.timeout(240)

LOOPBACK = "127.0.0.1"
shares = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory):
    async with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
async def own_demo(tmp_path):
    """Its own, for what the next test would feel."""
    async with running_demo(tmp_path / "demo") as demo:
        yield demo


async def access_token(demo, name):
    async with httpx2.AsyncClient() as client:
        body = {"username": name, "password": demo.accounts[name]}
        return (await client.post(f"{demo.issuer}/token", json=body)).json()["access_token"]


async def enter(demo, name, path="/chat/lobby"):
    """A program's socket: the token in a header, control messages on, no Origin."""
    token = await access_token(demo, name)
    headers = {"Authorization": f"Bearer {token}"}
    return await connect(
        demo.socket + path, subprotocols=[Subprotocol("doorward.v1")], additional_headers=headers, proxy=None
    )


async def hear(socket, kind):
    """The next message of that type."""
    async with asyncio.timeout(WITHIN):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def closed(socket):
    """(code, reason) of the Close that ends it, whatever comes before."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(WITHIN):
            async for _ in socket:
                pass
    return socket.close_code, socket.close_reason


async def gone(pid):
    """Until a process that is not our child has ended."""
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), WITHIN)
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def status(demo, **headers):
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{demo.socket}/chat/lobby", additional_headers=headers, proxy=None)
    return refused.value.response.status_code


async def curl(demo, *arguments):
    process = await asyncio.create_subprocess_exec(
        "curl", "-K", str(demo.folder / "handshake"), *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), WITHIN)
    return output.decode().strip()


# ---- what it refuses


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
async def test_only_loopback_is_bound(address, tmp_path) -> None:
    code, printed = await doorward("demo", "--bind", address, "--folder", str(tmp_path / "demo"))
    assert code == 2, printed
    assert "--bind" in printed
    assert not (tmp_path / "demo").exists()


async def test_every_address_is_refused_even_when_asked_for(tmp_path) -> None:
    code, printed = await doorward("demo", "--bind", "0.0.0.0", "--unsafe-bind", "--folder", str(tmp_path / "demo"))
    assert code == 2, printed


async def test_the_ports_differ(tmp_path) -> None:
    code, printed = await doorward("demo", "--port", "8801", "--folder", str(tmp_path / "demo"))
    assert code == 2, printed


@pytest.mark.parametrize("flag", ["--port", "--admin-port", "--backend-port", "--issuer-port"])
async def test_a_taken_port_is_named_with_its_flag(flag, tmp_path) -> None:
    ports = dict(zip(("--port", "--admin-port", "--backend-port", "--issuer-port"), free_ports(4), strict=True))
    with closing(socket.create_server(("127.0.0.1", ports[flag]))):
        arguments = [word for name, port in ports.items() for word in (name, str(port))]
        code, printed = await doorward("demo", *arguments, "--folder", str(tmp_path / "demo"))
    assert code == 3, printed
    assert flag in printed
    assert str(ports[flag]) in printed
    assert "Traceback" not in printed


async def test_all_taken_ports_are_named_at_once_for_make_as_well(tmp_path) -> None:
    ports = dict(zip(("--port", "--admin-port", "--backend-port", "--issuer-port"), free_ports(4), strict=True))
    with (
        closing(socket.create_server(("127.0.0.1", ports["--port"]))),
        closing(socket.create_server(("127.0.0.1", ports["--issuer-port"]))),
    ):
        arguments = [word for name, port in ports.items() for word in (name, str(port))]
        code, printed = await doorward("demo", *arguments, "--folder", str(tmp_path / "demo"))
    assert code == 3, printed
    assert str(ports["--port"]) in printed
    assert str(ports["--issuer-port"]) in printed
    assert 'make demo DEMO="--port ' in printed


async def test_somebody_elses_folder_is_left_alone(tmp_path) -> None:
    (tmp_path / "doorward.toml").write_text("[server]\n")
    ports = free_ports(4)
    flags = ("--port", "--admin-port", "--backend-port", "--issuer-port")
    arguments = [word for flag, port in zip(flags, ports, strict=True) for word in (flag, str(port))]
    code, printed = await doorward("demo", *arguments, "--folder", str(tmp_path))
    assert code == 3, printed
    assert (tmp_path / "doorward.toml").read_text() == "[server]\n"


# ---- what it is


@shares
async def test_what_it_prints_is_true(demo) -> None:
    assert f"{demo.page}/" in demo.printed
    assert all(password in demo.printed for password in demo.accounts.values())
    for command in ("revoke --subject bob", "audit tail", "connections list"):
        assert f"{command} -c {demo.config}" in demo.printed


@shares
async def test_the_printed_handshakes_get_the_printed_answers(demo) -> None:
    assert await curl(demo, "-H", f"@{demo.folder}/forged") == "403"
    assert await curl(demo) == "401"
    assert await curl(demo, "-H", "Origin: https://evil.example") == "403"
    refused = {event["reason"] for event in await demo.audited(kind="handshake", outcome="refused")}
    assert {"token_signature", "credential_missing", "origin_unlisted"} <= refused


@shares
async def test_programs_chat_through_the_gateway(demo) -> None:
    async with await enter(demo, "alice") as alice, await enter(demo, "bob") as bob:
        ready = await hear(alice, "doorward.ready")
        assert ready["subject"] == "alice"
        await bob.send(json.dumps({"type": "say", "text": "hello"}))
        assert await hear(alice, "said") == {"type": "said", "who": "bob", "text": "hello"}
        assert (await hear(bob, "said"))["who"] == "bob"


async def test_a_revocation_from_another_terminal_closes_bob_alone(own_demo) -> None:
    demo = own_demo
    async with await enter(demo, "alice") as alice, await enter(demo, "bob") as bob:
        await hear(alice, "doorward.ready")
        await hear(bob, "doorward.ready")
        code, printed = await demo.doorward("revoke", "--subject", "bob")
        assert code == 0, printed
        assert "closed 1 connection on 1 of 1 node" in printed
        assert await closed(bob) == (4002, "doorward:revoked")
        await alice.send(json.dumps({"type": "say", "text": "still here"}))
        assert (await hear(alice, "said"))["text"] == "still here"
    assert await status(demo, Authorization=f"Bearer {await access_token(demo, 'bob')}") == 403


@shares
async def test_the_staff_room_is_closed_to_bob_and_says_why(demo) -> None:
    async with await enter(demo, "alice", "/staff/office") as alice:
        assert (await hear(alice, "joined"))["room"] == "staff-office"
    async with await enter(demo, "bob", "/staff/office") as bob:
        assert await closed(bob) == (4403, "doorward:forbidden")


@shares
async def test_the_page_is_served_under_its_policy(demo) -> None:
    async with httpx2.AsyncClient() as client:
        page = await client.get(f"{demo.page}/")
        assert page.status_code == 200
        assert f"connect-src 'self' {demo.issuer} {demo.socket}" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (await client.get(f"{demo.page}/demo/nothing.js")).status_code == 404
        assert (await client.post(f"{demo.page}/", content=b"x")).status_code == 405


# ---- the chat behind it


@shares
async def test_the_chat_names_whom_the_gateway_names(demo) -> None:
    url = f"{demo.backend}/rooms/hall"
    async with connect(url, additional_headers={"X-Doorward-Subject": "ann%20b"}, proxy=None) as ann:
        assert await hear(ann, "joined") == {"type": "joined", "who": "ann b", "room": "hall", "here": ["ann b"]}
        async with connect(url, proxy=None) as nobody:
            assert (await hear(ann, "joined"))["here"] == ["a stranger", "ann b"]
            await nobody.send("nonsense")
            assert (await hear(nobody, "sorry"))["text"]
            await nobody.send(json.dumps({"type": "say", "text": "hi"}))
            assert (await hear(ann, "said"))["who"] == "a stranger"
        assert (await hear(ann, "left"))["here"] == ["ann b"]
    with pytest.raises(InvalidStatus):
        await connect(f"{demo.backend}/elsewhere", proxy=None)


# ---- how it ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_stops_everything_it_started(number, own_demo) -> None:
    demo = own_demo
    async with await enter(demo, "alice") as alice:
        await hear(alice, "doorward.ready")
        assert len(demo.children()) == 3
        demo.tell(number)
        code, printed = await demo.ended()
        assert code == 0, printed
        assert "Traceback" not in printed
        assert (await closed(alice))[0] == 1012
    assert all(is_free(port) for port in demo.ports)


async def test_it_leaves_nothing_behind_even_when_killed(own_demo) -> None:
    demo = own_demo
    children = demo.children()
    assert len(children) == 3
    demo.process.kill()
    await demo.process.wait()
    await asyncio.gather(*(gone(pid) for pid in children.values()))
    assert all(is_free(port) for port in demo.ports)


@pytest.mark.parametrize("part", ["backend", "issuer", "gateway"])
async def test_when_a_part_ends_the_demo_ends_and_says_so(part, own_demo) -> None:
    demo = own_demo
    os.kill(demo.children()[f"doorward.demo.{part}"], signal.SIGKILL)
    code, printed = await demo.ended()
    assert code == 1
    assert f"the {part} ended" in printed
    assert all(is_free(port) for port in demo.ports)


async def test_beyond_loopback_only_page_and_issuer_are_reached_and_by_tls(tmp_path) -> None:
    address = own_address()
    async with running_demo(tmp_path, more=("--bind", address, "--unsafe-bind")) as demo:
        gateway, admin, backend, issuer = demo.ports
        scheme = "http" if address == LOOPBACK else "https"
        assert f"{scheme}://{address}:{gateway}/" in demo.printed
        async with httpx2.AsyncClient(verify=False) as client:
            page = await client.get(f"{scheme}://{address}:{gateway}/")
            assert f"{scheme}://{address}:{issuer}" in page.headers["content-security-policy"]
            body = {"username": "alice", "password": demo.accounts["alice"]}
            token = (await client.post(f"{scheme}://{address}:{issuer}/token", json=body)).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            sold = await client.post(f"{scheme}://{address}:{gateway}/auth/ticket", json={}, headers=headers)
            assert sold.status_code == 201
        for port in (admin, backend) if address != LOOPBACK else ():
            with pytest.raises(OSError):
                socket.create_connection((address, port), timeout=5)


def own_address():
    """An address of this machine that is not loopback, where it has one. Nothing is sent."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return LOOPBACK
        return probe.getsockname()[0]


async def test_it_can_be_started_again_with_the_same_accounts(tmp_path) -> None:
    async with running_demo(tmp_path) as first:
        accounts = first.accounts
        code, printed = await first.doorward("revoke", "--subject", "bob")
        assert code == 0, printed
    async with running_demo(tmp_path) as second:
        assert second.accounts == accounts
        async with await enter(second, "alice") as alice:
            assert (await hear(alice, "doorward.ready"))["subject"] == "alice"
