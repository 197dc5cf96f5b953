"""What fails around the gateway refuses who comes, keeps who is inside, and is over when it is over: no restart."""

import asyncio
import base64
import json
import os
import resource
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward.adapters.stores.sqlite import SqliteStore
from doorward.adapters.system import SystemClock
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from tests.integration.running import AUDIENCE, Config, Gateway, Refused, free_port, running
from tests.unit.adapters.audit.following import follow

# ---- the store and the audit log


@contextmanager
def limited(gateway: Gateway, what: int, most: int):
    """A resource limit of the running gateway, as a disk that is full or a system that is crowded."""
    _, hard = resource.prlimit(gateway.pid, what)
    before = resource.prlimit(gateway.pid, what, (most, hard))
    try:
        yield
    finally:
        resource.prlimit(gateway.pid, what, before)


async def turned_away(gateway: Gateway, path: str = "/chat", **shown) -> bool:
    return await gateway.status(path, **shown) == 503


async def let_in(gateway: Gateway) -> bool:
    return await gateway.status(token=gateway.token("again")) == 101


async def is_ready(gateway: Gateway, status: int) -> bool:
    return await gateway.ready() == status


async def revoked(gateway: Gateway, subject: str) -> None:
    """Written to the log by another process than the gateway, which may still write."""
    clock = SystemClock()
    store = SqliteStore(gateway.folder / "doorward.db", clock=clock, process="test", shared=False)
    await store.open()
    try:
        now = clock.now()
        target = Target(TargetKind.IDENTITY, subject)
        await store.revocations.append(Revocation(target, now, Effect.CLOSE, "test", now + 3600))
    finally:
        await store.close()


async def test_a_full_disk(tmp_path) -> None:
    async with running(tmp_path) as gateway:
        inside, _ = await gateway.enter("ann")
        blocked, _ = await gateway.enter("bob")
        ticket = (await gateway.buy(gateway.token("cyd")))["ticket"]
        with limited(gateway, resource.RLIMIT_FSIZE, 1):
            await gateway.until(lambda: turned_away(gateway, token=gateway.token("dee")))
            assert await gateway.status(f"/chat?ticket={ticket}") == 503
            assert (await gateway.post("/auth/ticket", token=gateway.token("cyd"))).status_code == 503
            await gateway.until(lambda: is_ready(gateway, 503))
            assert (await gateway.get("/healthz")).status_code == 200
            for turn in range(20):
                assert await inside.echoes(f"message {turn}")
            await inside.auth(gateway.token("ann", 120))
            await inside.hear("ready")
            await revoked(gateway, "bob")
            assert await blocked.closed() == (4002, "doorward:revoked")
        await gateway.until(lambda: let_in(gateway))
        await gateway.until(lambda: is_ready(gateway, 200))
        assert await inside.echoes("and on it goes")
        gaps = await gateway.audited(kind="gap")
        assert gaps[0]["count"] >= 1
        await gateway.until(lambda: told_by_the_store(gateway, "revocation"))
        assert not await told_by_the_store(gateway, "gap"), "it was away, and has missed nothing"
        await inside.close()
        await gateway.stop()
    followed = follow(gateway.audit_file().read_bytes())
    assert followed.faults == []
    assert not [event for event in followed.events if event["kind"] == "fault"]


async def test_an_audit_log_that_cannot_be_written_while_the_store_can(tmp_path) -> None:
    size = 1 << 20
    audit = tmp_path / "audit.jsonl"
    audit.write_text("{}\n" * (size // 3))
    async with running(tmp_path) as gateway:
        inside, _ = await gateway.enter("ann")
        with limited(gateway, resource.RLIMIT_FSIZE, audit.stat().st_size):
            await gateway.until(lambda: turned_away(gateway, token=gateway.token("bob")))
            await gateway.until(lambda: is_ready(gateway, 503))
            assert await inside.echoes()
        await gateway.until(lambda: is_ready(gateway, 200))
        assert await gateway.status(token=gateway.token("bob")) == 101
        assert (await gateway.audited(kind="gap"))[0]["count"] >= 1
        await gateway.until(lambda: told_by_the_store(gateway, "handshake"))
        code, printed = await gateway.cli("audit", "query", "--kind", "gap", "--json")
        assert (code, printed.strip()) == (0, ""), "the store has missed nothing"
        await inside.close()


async def told_by_the_store(gateway: Gateway, kind: str, *asked: str) -> bool:
    code, printed = await gateway.cli("audit", "query", "--kind", kind, *asked, "--json")
    return code == 0 and kind in printed


async def test_a_locked_database(tmp_path) -> None:
    async with running(tmp_path, server={"admission_timeout": "1s"}) as gateway:
        inside, _ = await gateway.enter("ann")
        ticket = (await gateway.buy(gateway.token("bob")))["ticket"]
        with closing(sqlite3.connect(gateway.folder / "doorward.db", isolation_level=None)) as neighbour:
            neighbour.execute("BEGIN EXCLUSIVE")
            assert await gateway.status(f"/chat?ticket={ticket}") == 503
            await gateway.until(lambda: is_ready(gateway, 503))
            await gateway.until(lambda: turned_away(gateway, token=gateway.token("cyd")))
            for turn in range(20):
                assert await inside.echoes(f"message {turn}")
            neighbour.execute("ROLLBACK")
        await gateway.until(lambda: let_in(gateway))
        await gateway.until(lambda: is_ready(gateway, 200))
        assert await inside.echoes("and on it goes")
        await gateway.until(lambda: told_by_the_store(gateway, "handshake", "--reason", "store_unavailable"))
        assert not await told_by_the_store(gateway, "gap"), "it was away, and has missed nothing"
        await inside.close()


async def test_a_second_gateway_over_the_same_files_does_not_start_and_disturbs_nobody(tmp_path) -> None:
    async with running(tmp_path) as gateway:
        inside, _ = await gateway.enter("ann")
        code, printed = await gateway.command("run")
        assert code == 3, printed
        assert "could not start" in printed
        assert "Traceback" not in printed
        assert await inside.echoes()
        assert await let_in(gateway)
        code, printed = await gateway.cli("revoke", "--subject", "ann")
        assert code == 0, printed
        assert await inside.closed() == (4002, "doorward:revoked")


# ---- the backend

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """A TCP server on a port of its own."""
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()

    return serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.read()


async def test_a_backend_that_is_down_silent_or_mad(tmp_path) -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    cases = {
        "/silent": (silent, 504, "backend_timeout"),
        "/no": (saying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nsecret"), 502, "backend_refused"),
        "/page": (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"), 502, "backend_refused"),
        "/mad": (saying(b"\x00\xff" * 40 + b"\r\n\r\n"), 502, "backend_nonsense"),
        "/accept": (saying(upgrade + b"Sec-WebSocket-Accept: bm90IHlvdXJz\r\n\r\n"), 502, "backend_nonsense"),
        "/nothing": (saying(b""), 504, "backend_timeout"),
    }
    async with AsyncExitStack() as stack:
        routes: list[Config] = [{"path": "/down", "backend": f"ws://127.0.0.1:{free_port()}"}]
        for path, (serve, _, _) in cases.items():
            port = await stack.enter_async_context(listening(serve))
            routes.append({"path": path, "backend": f"ws://127.0.0.1:{port}"})
        for route in routes:
            route["limits"] = {"connections_per_subject": 1}
        gateway = await stack.enter_async_context(
            running(tmp_path, routes=[*routes, {"path": "/chat"}], server={"admission_timeout": "1s"})
        )
        expected = {"/down": (502, "backend_unreachable")} | {path: case[1:] for path, case in cases.items()}

        async def asked(path: str) -> list[int]:
            """The first refusal, and the first after it that is not for the one place, which comes free in a moment."""
            token = gateway.token(f"u{path[1:]}")
            first = second = await gateway.status(path, token=token)

            async def tried() -> bool:
                nonlocal second
                second = await gateway.status(path, token=token)
                return second != 429

            await gateway.until(tried)
            return [first, second]

        found = await asyncio.gather(*map(asked, expected))
        assert dict(zip(expected, found, strict=True)) == {path: [status] * 2 for path, (status, _) in expected.items()}
        for path, (_, reason) in expected.items():
            assert await gateway.audited(kind="handshake", path=path, reason=reason), gateway.events(path=path)
        assert await let_in(gateway)
        assert "secret" not in gateway.printed + gateway.audit_file().read_text()


async def test_a_backend_that_dies_takes_its_connections_and_nothing_else(tmp_path) -> None:
    async with running(tmp_path) as gateway:
        client, _ = await gateway.enter("ann")
        for socket in list(gateway.backend.sockets):
            socket.transport.abort()
        code, reason = await client.closed()
        assert (code, reason) == (1014, "doorward:backend_unavailable")
        await gateway.backend.stop()
        assert await gateway.status(token=gateway.token("ann")) == 502
        await gateway.backend.start()
        assert await gateway.status(token=gateway.token("ann")) == 101


# ---- an issuer's keys


class Keys:
    """An issuer with a key set of its own, that can be there or not."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.port = free_port()
        self.key = Ed25519PrivateKey.generate()
        self.visits = 0
        self._server: asyncio.Server | None = None

    @property
    def table(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "audience": AUDIENCE,
            "algorithms": ["Ed25519"],
            "jwks_url": f"http://127.0.0.1:{self.port}/jwks.json",
        }

    async def open(self) -> None:
        jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": _text(self.key.public_key().public_bytes_raw())}
        body = json.dumps({"keys": [jwk]}).encode()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            self.visits += 1
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            writer.close()

        self._server = await asyncio.start_server(answer, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def token(self, kid: str = "one") -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 60}
        parts = [_text(json.dumps(part).encode()) for part in ({"alg": "Ed25519", "kid": kid}, claims)]
        return ".".join([*parts, _text(self.key.sign(".".join(parts).encode()))])


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


async def test_an_issuer_whose_keys_cannot_be_had(tmp_path) -> None:
    there, away = Keys("https://there.test"), Keys("https://away.test")
    await there.open()
    try:
        issuers = [there.table, away.table]
        async with running(tmp_path, issuers=issuers, server={"outbound_allow": ["127.0.0.0/8"]}) as gateway:
            assert await gateway.status(token=there.token()) == 101
            refused = await gateway.try_connect(token=away.token())
            assert isinstance(refused, Refused)
            assert (refused.status, refused.reason) == (503, "unavailable")
            assert await gateway.audited(kind="handshake", reason="verifier_unavailable")
            await there.close()
            assert await gateway.status(token=there.token()) == 101, "what was fetched is still good"
            assert await gateway.status(token=there.token("two")) == 403, "not in the set that was fetched just now"
            gateway.settings["origins"]["allow"] = ["https://new.test"]
            gateway.write()
            gateway.tell(signal.SIGHUP)
            await gateway.audited(kind="reloaded", outcome="done")
            assert await gateway.status(token=there.token()) == 101, "nor does a reload forget it"
            assert there.visits == 1, "once at the start, and not for each token"
    finally:
        await there.close()


# ---- open files


async def test_no_more_open_files(tmp_path) -> None:
    async with running(tmp_path) as gateway:
        pid = gateway.pid
        inside, _ = await gateway.enter("ann")
        assert await inside.echoes()
        used = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
        crowd = []
        with limited(gateway, resource.RLIMIT_NOFILE, used + 2):
            for _ in range(40):
                crowd.append(await asyncio.open_connection("127.0.0.1", gateway.port))
            begun, worked = time.monotonic(), cpu(pid)
            for turn in range(20):
                assert await inside.echoes(f"message {turn}")
                await asyncio.sleep(0.05)
            share = (cpu(pid) - worked) / (time.monotonic() - begun)
            print(f"\nwithout open files: {share:.0%} of a processor")
            assert share < 0.5, "no busy loop"
        for _, writer in crowd:
            writer.transport.abort()
        await gateway.until(lambda: let_in(gateway))
        assert await inside.echoes()
        await inside.close()


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
