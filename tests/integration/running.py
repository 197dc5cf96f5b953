"""A real `doorward run` on free ports, with a backend in the test's own loop, and all that stands around a gateway.

Whatever is started here is ended here, and every wait has an end.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import ssl
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from typer.testing import CliRunner
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from doorward.cli import app
from tests.integration.ports import free_port
from tests.integration.warm import FORGE, Child

WITHIN = 40.0
STARTS_WITHIN = 45.0
ISSUER = "https://login.test"
OTHER_ISSUER = "https://elsewhere.test"
AUDIENCE = "chat"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
DOORWARD = (sys.executable, str(Path(sys.executable).with_name("doorward")))

# Dies with the tests (PR_SET_PDEATHSIG, prctl(2)), sets resource limits by their names, becomes what follows them.
LAUNCH = """
import ctypes, json, os, resource, sys
ctypes.CDLL(None).prctl(1, 9)
for name, most in json.loads(sys.argv[1]).items():
    resource.setrlimit(getattr(resource, name), (most, most))
os.execv(sys.argv[2], sys.argv[2:])
"""

Config = dict[str, Any]


# ---- tokens ----------------------------------------------------------------------------------------------------------


def _segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def mint(secret: str, *, subject: str, life: float = 60.0, issuer: str = ISSUER, **claims: object) -> str:
    """An HS256 token, issued in this second, that ends with the last whole second within `life`. Other issuers' tokens
    have whole seconds. A claim of None is left out."""
    now = time.time()
    body: dict[str, object] = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": int(now),
        "exp": int(now + life),
        "jti": secrets.token_hex(8),
        **claims,
    }
    kept = {name: value for name, value in body.items() if value is not None}
    signed = ".".join(_segment(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, kept))
    return f"{signed}.{_segment(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def claims_of(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


# ---- the backend -----------------------------------------------------------------------------------------------------


class Backend:
    """Echoes, unless a test puts another `serve` in place. `heads` are the handshakes that it was shown."""

    def __init__(self) -> None:
        self.serve: Callable[[ServerConnection], Awaitable[None]] = echo
        self.sockets: set[ServerConnection] = set()
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.port = 0
        self._server: Server | None = None

    async def start(self) -> None:
        self._server = await serve(
            self._accept, "127.0.0.1", self.port, max_size=1 << 24, compression=None, ping_interval=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _accept(self, socket: ServerConnection) -> None:
        request = socket.request
        if request is not None:
            self.heads.append((request.path, {name.lower(): value for name, value in request.headers.raw_items()}))
        self.sockets.add(socket)
        try:
            await self.serve(socket)
        except ConnectionClosed:
            pass
        finally:
            self.sockets.discard(socket)

    async def emptied(self) -> None:
        """Until the backend has no connection any more."""
        async with asyncio.timeout(WITHIN):
            await asyncio.gather(*(socket.wait_closed() for socket in list(self.sockets)))


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


# ---- a client --------------------------------------------------------------------------------------------------------


class Client:
    """A socket through the gateway. Messages are told apart: control messages of Doorward, and all else."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, message: str | bytes | Mapping[str, object]) -> None:
        await self.socket.send(json.dumps(message, separators=(",", ":")) if isinstance(message, dict) else message)

    async def auth(self, token: str, **more: object) -> None:
        await self.send({"type": "doorward.auth", "token": token, **more})

    async def next(self, within: float = WITHIN) -> str | bytes:
        async with asyncio.timeout(within):
            return await self.socket.recv()

    async def hear(self, kind: str, within: float = WITHIN) -> dict[str, Any]:
        """The next control message, which must be a doorward.`kind`; application messages before it are dropped."""
        async with asyncio.timeout(within):
            while True:
                message = await self.socket.recv()
                if isinstance(message, str) and message.startswith('{"type":"doorward.'):
                    said: dict[str, Any] = json.loads(message)
                    assert said["type"] == f"doorward.{kind}", said
                    return said

    async def echoes(self, text: str = "still here") -> bool:
        """Does a message still go to the backend and back?"""
        await self.send(text)
        return await self.next() == text

    async def closed(self, within: float = WITHIN) -> tuple[int | None, str | None]:
        """(code, reason) that ends it, whatever comes before. 1006: without a Close."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(within):
                while True:
                    await self.socket.recv()
        return self.socket.close_code, self.socket.close_reason

    async def close(self) -> None:
        await self.socket.close()


class Raw:
    """A socket through the gateway, byte by byte, for what a decent client would not do. It reads when asked to."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self.unread = b""

    async def read(self, within: float = WITHIN) -> bytes:
        """What is there, at least one byte; nothing at the end. Raises ConnectionError for a reset."""
        async with asyncio.timeout(within):
            return await self._loop.sock_recv(self._sock, 65536)

    async def _exactly(self, size: int, within: float) -> bytes:
        while len(self.unread) < size:
            more = await self.read(within)
            if not more:
                raise EOFError
            self.unread += more
        taken, self.unread = self.unread[:size], self.unread[size:]
        return taken

    async def head(self) -> bytes:
        while b"\r\n\r\n" not in self.unread:
            self.unread += await self.read() or b"\r\n\r\n"
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        return head

    async def frame(self, within: float = WITHIN) -> tuple[int, bytes]:
        """(first byte, payload) of the next frame. Raises EOFError or ConnectionError at the end."""
        first, length = await self._exactly(2, within)
        if length >= 126:
            length = int.from_bytes(await self._exactly(2 if length == 126 else 8, within))
        return first, await self._exactly(length, within)

    async def say(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def send(self, first: int, payload: bytes) -> None:
        """One small frame, masked with zeros, which a mask may be."""
        await self.say(bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload)


@dataclass(frozen=True)
class Refused:
    """What a handshake got instead of a socket. Status 0: it was cut."""

    status: int
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


async def attempt(
    url: str,
    *,
    token: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    protocols: Iterable[str] = (),
    **settings: Any,
) -> ClientConnection | Refused:
    """With a bearer token, if there is one, after the headers. `settings` are those of websockets' `connect`."""
    shown = [*headers, *([] if token is None else [("Authorization", f"Bearer {token}")])]
    settled: Any = {"compression": None, "ping_interval": None, "max_size": 1 << 24, "proxy": None, **settings}
    offered: Any = list(protocols) or None
    try:
        return await ws_connect(url, subprotocols=offered, additional_headers=shown, open_timeout=WITHIN, **settled)
    except InvalidStatus as refused:
        answer = refused.response
        try:
            reason = json.loads(bytes(answer.body or b"{}")).get("reason", "")
        except ValueError:
            reason = ""
        return Refused(answer.status_code, reason, dict(answer.headers.raw_items()))
    except (OSError, EOFError, InvalidMessage):
        return Refused(0)


# ---- the gateway -----------------------------------------------------------------------------------------------------


def toml(value: object) -> str:
    """A TOML value; tables are written inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {toml(member)}" for name, member in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def written(config: Mapping[str, Any]) -> str:
    """A configuration as TOML: a table each, and a list of tables where there are several."""
    lines: list[str] = []
    for name, table in config.items():
        for one in table if isinstance(table, list) else [table]:
            lines.append(f"[[{name}]]" if isinstance(table, list) else f"[{name}]")
            lines += [f"{json.dumps(key)} = {toml(value)}" for key, value in one.items()]
    return "\n".join(lines) + "\n"


class Gateway:
    """A configuration in a folder, and `doorward run` over it. Started, ended, killed and started again at will.

    `more` changes the configuration: name of a table -> members put into it, or a list that takes its place. Routes
    come from `routes`, each with this gateway's backend where it names none. `tls`: what its clients trust.
    `cold`: it does its own imports, as at a terminal.
    """

    def __init__(
        self,
        folder: Path,
        backend: Backend,
        *,
        routes: list[Config] | None = None,
        environment: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
        cold: bool = False,
        **more: Any,
    ) -> None:
        self.tls = tls
        self.cold = cold
        self.folder = folder
        self.backend = backend
        self.config = folder / "doorward.toml"
        self.secrets = {ISSUER: secrets.token_urlsafe(32), OTHER_ISSUER: secrets.token_urlsafe(32)}
        self.printed = ""
        self.process: Child | None = None
        self.port = self.admin_port = 0
        self._environment: dict[str, str] = {**ENVIRONMENT, **(environment or {})}
        self._limits = dict(limits or {})
        self._printing: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._http = httpx2.AsyncClient(timeout=WITHIN, trust_env=False)
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "doorward.key"
        if not key.exists():
            key.write_text(secrets.token_urlsafe(48) + "\n")
            key.chmod(0o600)
        self.settings = self._settings(routes or [{"path": "/{rest*}"}], more)
        self.write()

    def _settings(self, routes: list[Config], more: Mapping[str, Any]) -> Config:
        settings: Config = {
            "server": {"listen": f"127.0.0.1:{free_port()}", "node": "gw-test", "drain_timeout": "3s"},
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
            "origins": {"allow": ["https://app.test"], "without_origin": "allow"},
            "cluster_limits": {
                "connections_per_subject": 1000,
                "connections_per_address": 1000,
                "handshakes_per_address": "100000/min",
                "handshakes_per_subject": "100000/min",
                "refusals_per_address": "100000/min",
                "pending_per_address": 500,
            },
            "issuers": [
                {
                    "issuer": issuer,
                    "audience": AUDIENCE,
                    "algorithms": ["HS256"],
                    "secret": secret,
                    "skew": "0s",
                    "claims": {"tenant": "tenant"},
                }
                for issuer, secret in self.secrets.items()
            ],
            "routes": [],
        }
        for name, members in more.items():
            settings[name] = members if isinstance(members, list) else {**settings.get(name, {}), **members}
        for route in routes:
            terms = {"backend": f"ws://127.0.0.1:{self.backend.port}", **route}
            terms["limits"] = {"messages": "off", "connections_per_subject": 1000, **terms.get("limits", {})}
            settings["routes"].append(terms)
        return settings

    def write(self) -> None:
        """Write the settings as they are now: for the next start, or the next SIGHUP."""
        self.config.write_text(written(self.settings))

    @property
    def workers(self) -> int:
        return int(self.settings["server"].get("workers", 1))

    # its life

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        self._up.clear()
        arguments = ["run", "-c", str(self.config)]
        if self.cold:
            self.process = await self._exec(arguments)
        else:
            self.process = await asyncio.to_thread(
                FORGE.start, arguments, limits=self._limits, environment=self._environment
            )
        self._printing = asyncio.create_task(self._read(self.process.output))
        ended = asyncio.create_task(self.process.wait())
        up = asyncio.create_task(self._up.wait())
        try:
            await asyncio.wait({up, ended}, timeout=STARTS_WITHIN, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
            ended.cancel()
        if not self._up.is_set():
            await self.kill()
            raise AssertionError(f"the gateway did not start: {self.printed}")

    async def _exec(self, arguments: list[str]) -> Child:
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", LAUNCH, json.dumps(self._limits)),
            *(*DOORWARD, *arguments),
            stdin=DEVNULL,
            stdout=writing,
            stderr=writing,
            env=self._environment,
            start_new_session=True,
        )
        os.close(writing)
        ended: Future[int] = Future()
        self._waiting = asyncio.create_task(process.wait())
        self._waiting.add_done_callback(lambda task: ended.set_result(task.result()))
        return Child(process.pid, reading, ended)

    async def _read(self, output: int) -> None:
        reader = asyncio.StreamReader()
        with open(output, "rb") as file:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), file
            )
            try:
                await self._follow(reader)
            finally:
                transport.close()

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        up = 0
        async for raw in reader:
            line = raw.decode(errors="replace")
            self.printed += line
            place = re.search(r"gateway on https?://127\.0\.0\.1:(\d+), admin on http://127\.0\.0\.1:(\d+)", line)
            if place is not None:
                self.port, self.admin_port = int(place[1]), int(place[2])
                up += 1
                if up >= self.workers:
                    self._up.set()

    def tell(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def stand_still(self, worker: int | None = None) -> None:
        """SIGSTOP, between two writes: whoever is stopped inside one holds the store's lock, and nobody can write.
        `worker` is the pid of one of several."""
        pid = self.pid if worker is None else worker

        async def stopped() -> bool:
            return _states(pid) == {"T"}

        async def at_rest() -> bool:
            os.kill(pid, signal.SIGSTOP)
            await self.until(stopped)
            if not self._may_be_written():
                os.kill(pid, signal.SIGCONT)
                return False
            return True

        await self.until(at_rest)

    def _may_be_written(self) -> bool:
        with closing(sqlite3.connect(self.folder / "doorward.db", timeout=0.0, isolation_level=None)) as asking:
            try:
                asking.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            asking.execute("ROLLBACK")
            return True

    async def ended(self, within: float = WITHIN) -> int:
        """Its exit code, once it has ended and said all that it had to say."""
        assert self.process is not None
        assert self._printing is not None
        code = await asyncio.wait_for(self.process.wait(), within)
        await asyncio.wait_for(self._printing, within)
        return code

    async def stop(self) -> int:
        """In order, by SIGTERM twice: nobody waits for a drain here."""
        assert self.process is not None
        if self.process.returncode is None:
            self.tell(signal.SIGTERM)
            with suppress(ProcessLookupError):  # on a busy machine it may have ended by the first
                self.tell(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """kill -9 of the whole group: parent and workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.ended()

    async def left(self) -> None:
        await self._http.aclose()

    def worker_pids(self) -> list[int]:
        """The workers, where there are several."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    # sockets

    @property
    def url(self) -> str:
        return f"{'ws' if self.tls is None else 'wss'}://127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    def token(self, subject: str, life: float = 60.0, *, issuer: str = ISSUER, **claims: object) -> str:
        return mint(self.secrets[issuer], subject=subject, life=life, issuer=issuer, **claims)

    async def try_connect(
        self, path: str = "/chat", *, token: str | None = None, protocols: tuple[str, ...] = (), **more: Any
    ) -> Client | Refused:
        settled: Any = {"ssl": self.tls, **more}
        found = await attempt(self.url + path, token=token, protocols=protocols, **settled)
        return found if isinstance(found, Refused) else Client(found)

    async def connect(self, path: str = "/chat", *, token: str | None = None, **more: Any) -> Client:
        client = await self.try_connect(path, token=token, **more)
        assert isinstance(client, Client), (client, self.printed)
        return client

    async def enter(
        self, subject: str, path: str = "/chat", *, life: float = 60.0, **claims: Any
    ) -> tuple[Client, dict[str, Any]]:
        """A socket with control messages on, and its doorward.ready."""
        token = self.token(subject, life, **claims)
        client = await self.connect(path, token=token, protocols=("doorward.v1",))
        return client, await client.hear("ready")

    @asynccontextmanager
    async def raw(self, path: str = "/chat", *, token: str, receive_buffer: int | None = None) -> AsyncIterator[Raw]:
        """A raw socket after its 101, cut at the end. `receive_buffer` is SO_RCVBUF, in bytes."""
        with socket.socket() as sock:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
            raw = Raw(sock)
            await raw.say(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                f"Authorization: Bearer {token}\r\n\r\n".encode()
            )
            answer = await raw.head()
            assert answer.startswith(b"HTTP/1.1 101 "), answer
            yield raw

    async def status(self, path: str = "/chat", **more: Any) -> int:
        """101, or the status of the refusal."""
        client = await self.try_connect(path, **more)
        if isinstance(client, Refused):
            return client.status
        await client.close()
        return 101

    async def post(
        self, path: str, body: Mapping[str, object] | None = None, *, token: str | None = None
    ) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return await self._http.post(f"{self.http}{path}", json=body or {}, headers=headers)

    async def get(self, path: str, *, admin: bool = False) -> httpx2.Response:
        where = f"http://127.0.0.1:{self.admin_port}" if admin else self.http
        return await self._http.get(where + path)

    async def ready(self) -> int:
        return (await self.get("/readyz")).status_code

    async def buy(self, token: str, path: str | None = None) -> dict[str, Any]:
        """A ticket, as the endpoint answers it."""
        answer = await self.post("/auth/ticket", {} if path is None else {"path": path}, token=token)
        assert answer.status_code == 201, answer.text
        bought: dict[str, Any] = answer.json()
        return bought

    async def until(self, true: Callable[[], Awaitable[bool]], within: float = WITHIN) -> None:
        """Ask again and again, for what no event tells."""
        async with asyncio.timeout(within):
            while True:
                if await true():
                    return
                await asyncio.sleep(0.02)

    # from another terminal

    async def command(self, *arguments: str) -> tuple[int, str]:
        """(exit code, all that it printed) of a command in a process of its own."""
        process = await asyncio.create_subprocess_exec(
            *(*DOORWARD, *arguments, "-c", str(self.config)),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=self._environment,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), STARTS_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def cli(self, *arguments: str) -> tuple[int, str]:
        """The same command in a thread of ours: it opens the store for itself, and saves a second of imports."""
        async with _one_at_a_time():
            ended = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "-c", str(self.config)])
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended.exit_code, ended.output

    # the audit

    def audit_file(self, worker: int = 1) -> Path:
        return self.folder / ("audit.jsonl" if worker == 1 else f"audit.{worker}.jsonl")

    def events(self, **wanted: object) -> list[dict[str, Any]]:
        """All that the workers' audit files hold by now and whose members are as wanted."""
        found = []
        for worker in range(1, self.workers + 1):
            path = self.audit_file(worker)
            for line in path.read_text().splitlines() if path.exists() else ():
                with suppress(ValueError):
                    event = json.loads(line)
                    if all(event.get(name) == value for name, value in wanted.items()):
                        found.append(event)
        return found

    async def audited(self, *, count: int = 1, within: float = WITHIN, **wanted: object) -> list[dict[str, Any]]:
        """The same, once there are at least `count`."""
        try:
            await self.until(lambda: _true(len(self.events(**wanted)) >= count), within)
        except TimeoutError:
            raise AssertionError(f"{count} times {wanted} not in the audit, which ends: {self.events()[-5:]}") from None
        return self.events(**wanted)


def _states(pid: int) -> set[str]:
    """Of a process's threads, each by its letter: T is stopped."""
    return {task.read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").glob("*/stat")}


async def _true(value: bool) -> bool:
    return value


_locks: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}


def _one_at_a_time() -> asyncio.Lock:
    """A command in a thread has this process's stdout while it runs."""
    return _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


@asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[Gateway]:
    """A gateway that is up, before a backend that echoes; both are stopped at the end."""
    backend = Backend()
    await backend.start()
    gateway = Gateway(folder, backend, **more)
    try:
        await gateway.start()
        yield gateway
    finally:
        try:
            if gateway.process is not None and gateway.process.returncode is None:
                for pid in gateway.worker_pids():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
                try:
                    await gateway.stop()
                except TimeoutError:
                    await gateway.kill()
                    raise
        finally:
            await backend.stop()
            await gateway.left()
    assert "Traceback" not in gateway.printed, gateway.printed
