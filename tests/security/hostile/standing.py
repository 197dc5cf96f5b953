"""What is attacked: a real `doorward run`, a backend that counts who reaches it, and an operator with the store open.

All of it is blocking sockets and threads: the attacker's order of bytes is then exactly the order of the lines here.
"""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote

from doorward.config.load import load
from doorward.config.making import Opened, opened
from doorward.core.frame_headers import encode_frame
from doorward.values.ids import new_id
from doorward.values.revocation import Effect, Revocation, Target
from tests.integration.running import AUDIENCE, DOORWARD, ENVIRONMENT, ISSUER, OTHER_ISSUER, free_port, mint, written

T = TypeVar("T")
Event = dict[str, Any]

STARTS_WITHIN = 45.0
WITHIN = 10.0
ORIGIN = "https://app.test"
ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PAUSE = threading.Event()


def until(true: Callable[[], T], *, within: float = WITHIN, what: str = "it") -> T:
    """Look again and again at what another process gives no event of; the first true answer."""
    end = monotonic() + within
    while not (found := true()):
        assert monotonic() < end, f"{what} did not happen within {within} s"
        _PAUSE.wait(0.004)
    return found


# ---- the backend -----------------------------------------------------------------------------------------------------


class Backend:
    """Raw, one thread a connection. The first segment of the path says what it does:

    `mute` reads the head and answers nothing until `released`; `deaf` says 101 and reads no more; `no` says 403; `push`
    sends without end; `sink` reads and says nothing; `masked` answers by masked frames; all else echoes.
    """

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.messages: list[tuple[str, int, bytes]] = []
        self.open = 0
        self.released = threading.Event()
        self.arrived = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with self.arrived:
                self.open += 1
                self._sockets.add(peer)
            self._run(self._serve, peer)

    def _serve(self, peer: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                self._speak(peer)
        finally:
            peer.close()
            with self.arrived:
                self.open -= 1
                self._sockets.discard(peer)
                self.arrived.notify_all()

    def _speak(self, peer: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = peer.recv(65536)
            if not more:
                return
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        with self.arrived:
            self.heads.append(head)
            self.arrived.notify_all()
        path = head.split(b" ")[1].decode("latin-1")
        mode = path.split("/")[1]
        if mode == "no":
            peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nX-Inside: backend-banner\r\n\r\nsecret-no")
            return
        if mode == "mute":
            self.released.wait(30)
        peer.sendall(_switching(head))
        if mode == "deaf":
            self.released.wait(30)
            return
        if mode == "push":
            while True:
                peer.sendall(encode_frame(2, b"\x55" * 16384, mask=None))
        if mode == "sink":
            while peer.recv(1 << 20):
                pass
            return
        self._echo(peer, path, rest, mask=b"abcd" if mode == "masked" else None)

    def _echo(self, peer: socket.socket, path: str, data: bytes, *, mask: bytes | None) -> None:
        while True:
            frame, data = take_frame(data)
            while frame is None:
                more = peer.recv(262144)
                if not more:
                    return
                frame, data = take_frame(data + more)
            opcode, payload = frame
            if opcode == 8:
                peer.sendall(encode_frame(8, payload, mask=None))
                return
            if opcode == 9:
                peer.sendall(encode_frame(10, payload, mask=None))
            elif opcode != 10:
                with self.arrived:
                    self.messages.append((path, opcode, payload))
                    self.arrived.notify_all()
                peer.sendall(encode_frame(opcode or 1, payload, mask=mask))

    def entered(self, subject: str) -> int:
        """How many handshakes of one subject reached it."""
        return sum(header(head, "x-doorward-subject") == subject for head in self.heads)

    def until_entered(self, subject: str, *, times: int = 1) -> None:
        """Until handshakes of this subject have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.entered(subject) >= times, WITHIN), subject

    def release(self) -> None:
        """Those that were told to wait go on; later ones wait again."""
        self.released.set()
        self.released = threading.Event()

    def head_of(self, subject: str) -> bytes:
        """The newest handshake of a subject."""
        return next(head for head in reversed(self.heads) if header(head, "x-doorward-subject") == subject)

    def close(self) -> None:
        self.released.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self.arrived:
            for peer in list(self._sockets):
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


def header(head: bytes, name: str) -> str | None:
    """A header's value in a head, None where it is missing."""
    for line in head.split(b"\r\n")[1:]:
        found, _, value = line.partition(b":")
        if found.decode("latin-1").lower() == name:
            return value.strip().decode("latin-1")
    return None


def _switching(head: bytes) -> bytes:
    from base64 import b64encode
    from hashlib import sha1

    key = (header(head, "sec-websocket-key") or "").encode()
    offers = [offer.strip() for offer in (header(head, "sec-websocket-protocol") or "").split(",")]
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + b64encode(sha1(key + ACCEPT_GUID).digest()),
    ]
    if "app.v1" in offers:
        lines.append(b"Sec-WebSocket-Protocol: app.v1")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def take_frame(data: bytes) -> tuple[tuple[int, bytes] | None, bytes]:
    """(opcode, unmasked payload) of a first whole frame, and the rest. Fragments come as frames of their own."""
    if len(data) < 2:
        return None, data
    length, at = data[1] & 0x7F, 2
    if length > 125:
        size = 2 if length == 126 else 8
        if len(data) < at + size:
            return None, data
        length = int.from_bytes(data[at : at + size])
        at += size
    key = b""
    if data[1] & 0x80:
        key, at = data[at : at + 4], at + 4
    if len(data) < at + length:
        return None, data
    payload = data[at : at + length]
    if any(key):
        payload = bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
    return (data[0] & 0x0F, payload), data[at + length :]


# ---- the operator ----------------------------------------------------------------------------------------------------


class Operator:
    """Another process's view of the store, as the commands have it, on a loop of its own."""

    def __init__(self, config: Path) -> None:
        found = load(config, environment=ENVIRONMENT)
        assert not isinstance(found, list), found
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._opening = opened(found, report=lambda line: None)
        self.tools: Opened = self.do(self._opening.__aenter__())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN)

    def withdraw(self, target: Target, effect: Effect = Effect.CLOSE, *, roles: tuple[str, ...] = ()) -> Revocation:
        """Into the log, and no waiting for anybody's answer. As the log has it."""
        now = self.tools.clock.now()
        id = new_id(self.tools.entropy.bytes(16))
        revocation = Revocation(target, now, effect, "siege", now + 86400, roles=roles, id=id)
        return replace(revocation, sequence=self.do(self.tools.store.revocations.append(revocation)))

    def close(self) -> None:
        self.do(self._opening.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN)
        self._loop.close()


def waited(pid: int) -> float:
    """Seconds for which a process's main thread waited for a processor so far (Linux's sched-stats)."""
    path = Path(f"/proc/{pid}/schedstat")
    return int(path.read_text().split()[1]) / 1e9 if path.exists() else 0.0


# ---- the gateway -----------------------------------------------------------------------------------------------------


class Standing:
    """One `doorward run` and everything that it prints and writes. `tables` change the configuration table by table."""

    def __init__(self, folder: Path, backend: Backend, **tables: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.backend = folder, backend
        self.port = free_port()
        self.secrets = {ISSUER: secrets.token_urlsafe(32), OTHER_ISSUER: secrets.token_urlsafe(32)}
        key = folder / "doorward.key"
        key.write_text(secrets.token_urlsafe(48) + "\n")
        key.chmod(0o600)
        self.config = folder / "doorward.toml"
        self.config.write_text(written(self._settings(tables)))
        self.printed = b""
        self.settled = False
        self._up = threading.Event()
        self._events: list[Event] = []
        self._read_to = 0
        self._torn = b""
        self._operator: Operator | None = None
        self._number = 0
        self.canaries: dict[str, str] = {secret: f"the secret of {issuer}" for issuer, secret in self.secrets.items()}
        self.canaries[key.read_text().strip()] = "the master secret"
        self.answers: list[bytes] = []
        self.process = subprocess.Popen(
            [*DOORWARD, "run", "-c", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._up.wait(STARTS_WITHIN) or self.process.poll() is not None:
            self.kill()
            raise AssertionError(f"it did not start: {self.printed.decode(errors='replace')}")

    def _settings(self, tables: Mapping[str, Any]) -> dict[str, Any]:
        plenty = "1000000/min"
        settings: dict[str, Any] = {
            "server": {
                "listen": f"127.0.0.1:{self.port}",
                "node": "siege",
                "hosts": ["gw.test", "127.0.0.1"],
                "handshake_timeout": "1s",
                "admission_timeout": "2s",
                "drain_timeout": "1s",
                "max_connections": 2000,
            },
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
            "origins": {"allow": [ORIGIN], "without_origin": "allow"},
            "roles": {"member": ["chat:join"], "admin": ["admin:*"]},
            "cluster_limits": {
                "connections_per_subject": 500,
                "connections_per_address": 1000,
                "handshakes_per_address": plenty,
                "handshakes_per_subject": plenty,
                "refusals_per_address": plenty,
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
            "audit": {"file": "audit.jsonl"},
        }
        routes = tables.get("routes") or [{"path": "/ws/{room}"}]
        for name, members in tables.items():
            if name != "routes":
                settings[name] = members if isinstance(members, list) else {**settings.get(name, {}), **members}
        settings["routes"] = [
            {
                "backend": f"ws://127.0.0.1:{self.backend.port}",
                **route,
                "limits": {"messages": "off", "connections_per_subject": 500, **route.get("limits", {})},
            }
            for route in routes
        ]
        return settings

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line
            if b"gateway on " in line:
                self._up.set()
        self._up.set()

    # what it shows

    @property
    def audit_file(self) -> Path:
        return self.folder / "audit.jsonl"

    def events(self) -> list[Event]:
        """All audit records so far, in their order."""
        with self.audit_file.open("rb") as file:
            file.seek(self._read_to)
            data = self._torn + file.read()
            self._read_to = file.tell()
        lines, _, self._torn = data.rpartition(b"\n")
        self._events += [json.loads(line) for line in lines.split(b"\n") if line]
        return self._events

    def record(self, **members: object) -> Event:
        """The newest record with these members, once it is written."""
        wanted = members.items()

        def newest() -> Event | None:
            newest_first = islice(reversed(self.events()), 500)
            return next((event for event in newest_first if wanted <= event.items()), None)

        found = until(newest, what=f"a record of {members}")
        assert found is not None
        return found

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self) -> int:
        """Resident bytes."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def processor_time(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def lateness(self) -> Callable[[], float]:
        """From now on: seconds for which the gateway or we were ready and had no processor. A deadline that is kept is
        kept plus that, which is the machine's."""
        before = waited(self.process.pid) + waited(os.getpid())
        return lambda: max(0.0, waited(self.process.pid) + waited(os.getpid()) - before)

    def everything_written(self) -> bytes:
        """All that the process ever put anywhere: its output, and every file in its folder but its configuration."""
        kept = [path for path in sorted(self.folder.iterdir()) if path.name not in {"doorward.toml", "doorward.key"}]
        return b"\n".join([self.printed, *(path.read_bytes() for path in kept)])

    # who comes

    def name(self, kind: str = "mallory") -> str:
        """A subject that nobody had before."""
        self._number += 1
        return f"{kind}-{self._number}"

    def token(self, subject: str, life: float = 60.0, *, issuer: str = ISSUER, **claims: object) -> str:
        """A token, and from now on a secret that may not be seen anywhere."""
        token = mint(self.secrets[issuer], subject=subject, life=life, issuer=issuer, **claims)
        return self.keep_secret(token, whose=f"a token of {subject}")

    def keep_secret(self, text: str, *, whose: str = "a credential") -> str:
        self.canaries[text] = whose
        return text

    @property
    def operator(self) -> Operator:
        if self._operator is None:
            self._operator = Operator(self.config)
        return self._operator

    # its end

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def stop(self) -> int:
        """In order, and in a hurry. Its exit code."""
        for _ in range(2):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        if self._operator is not None:
            self._operator.close()
            self._operator = None
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(20)
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@contextmanager
def standing(folder: Path, **tables: Any) -> Iterator[Standing]:
    """A gateway of its own with its backend; at the end no secret of anybody's may lie anywhere."""
    backend = Backend()
    try:
        gateway = Standing(folder, backend, **tables)
        try:
            yield gateway
        finally:
            code = gateway.stop()
    finally:
        backend.close()
    assert code == 0, gateway.printed.decode(errors="replace")
    assert leaks(gateway) == []


def leaks(gateway: Standing, *, of: str = "") -> list[str]:
    """Whose secrets lie in what the gateway printed, wrote, answered, or sent to its backend; in whatever spelling.

    `of`: of whose secrets alone, by how their name begins. Tokens are many, and all begin alike: they are searched for
    only in what has such a beginning.
    """
    places = {
        "output and files": gateway.everything_written(),
        "answers": b"\n".join(gateway.answers),
        "backend": b"\n".join(gateway.backend.heads),
    }
    found = []
    for place, text in places.items():
        has_tokens = any(beginning in text for beginning in _spellings("eyJ"))
        for secret, whose in gateway.canaries.items():
            if whose.startswith(of) and len(secret) > 7 and (has_tokens or not secret.startswith("eyJ")):
                found += [f"{whose} in {place}" for spelling in _spellings(secret) if spelling in text]
    return found


def _spellings(secret: str) -> set[bytes]:
    """As it is, and as base64, a URL or a hex dump would have it."""
    octets = secret.encode("utf-8", "surrogateescape")
    encoded = base64.b64encode(octets).rstrip(b"=")
    kept = encoded[: len(encoded) - len(octets) % 3]  # what follows it would change the last characters
    return {
        octets,
        kept,
        kept.translate(bytes.maketrans(b"+/", b"-_")),
        quote(secret, safe="").encode(),
        octets.hex().encode(),
    }
