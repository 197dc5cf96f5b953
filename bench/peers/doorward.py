"""Doorward as its contract says, with everything on that costs: audit file, hash chain, assertion, limits, SQLite."""

import json
import os
import subprocess
from pathlib import Path
from typing import ClassVar, Final

from bench.load import ORIGIN, Url, ask
from bench.peers.base import Peer
from bench.processes import BenchError, free_port
from bench.tokens import AUDIENCE, ISSUER

_ROOT: Final = Path(__file__).parents[2]
_COMMAND: Final = _ROOT / ".venv/bin/doorward"

_CONFIGURATION: Final = """
[server]
listen = "127.0.0.1:{port}"
node = "bench"
{tls}

[admin]
listen = "127.0.0.1:{admin}"

[origins]
allow = ["{origin}"]

[store]
url = "sqlite:///doorward.db"

[tokens]
key_file = "doorward.key"
audience = "{audience}"
ticket_ttl = "120s"

[[issuers]]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["HS256"]
secret_file = "issuer.secret"

[cluster_limits]
connections_per_subject = 100000
connections_per_address = 100000
handshakes_per_address = "1000000/s"
handshakes_per_subject = "1000000/s"
refusals_per_address = "1000000/s"
pending_per_address = 100000

[[routes]]
path = "/bench"
backend = "ws://127.0.0.1:{backend}"
credentials = ["token", "ticket"]
control_messages = "offered"
limits = {{ messages = "1000000/s", connections_per_subject = 100000 }}

[audit]
file = "audit.jsonl"
hash_chain = true
"""


class Doorward(Peer):
    """`doorward run` of this work tree's own environment, one worker."""

    name: ClassVar[str] = "doorward"
    authenticates: ClassVar[bool] = True
    shows: ClassVar[tuple[str, ...]] = ("x-doorward-subject", "x-doorward-assertion")
    sells_tickets: ClassVar[bool] = True

    def command(self) -> list[str | Path]:
        if not _COMMAND.exists():
            raise BenchError("could not start: .venv/bin/doorward is missing (`make install`)")
        certificate = self.site.certificate
        tls = (
            f'tls = {{ certificate_file = "{certificate.certificate}", key_file = "{certificate.key}" }}'
            if self.tls
            else ""
        )
        configuration = self.folder / "doorward.toml"
        self._make_key()
        _secret(self.folder / "issuer.secret", self.site.secret)
        configuration.write_text(
            _CONFIGURATION.format(
                port=self.port,
                admin=free_port(),
                tls=tls,
                origin=ORIGIN,
                audience=AUDIENCE,
                issuer=ISSUER,
                backend=self.site.backend_port,
            )
        )
        return [_COMMAND, "run", "-c", configuration]

    @classmethod
    def version(cls) -> str:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=_ROOT, capture_output=True, text=True, timeout=10
        )
        return f"doorward at {said.stdout.strip() or 'an unknown commit'}"

    def audited(self) -> int | None:
        try:
            return (self.folder / "audit.jsonl").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def _make_key(self) -> None:
        """`doorward init` makes the master key, in its own format; its configuration is then replaced by ours."""
        made = subprocess.run(
            [_COMMAND, "init", "--backend", f"ws://127.0.0.1:{self.site.backend_port}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=30,
        )
        if made.returncode != 0 or not (self.folder / "doorward.key").exists():
            tail = " / ".join(made.stderr.strip().splitlines()[-4:])
            raise BenchError(f"could not start: `doorward init` ended with {made.returncode}: {tail}")


async def buy_ticket(url: Url, *, token: str) -> str:
    """One ticket for `token` (POST /auth/ticket). Raises BenchError when it isn't sold."""
    body = "{}"
    status, answer = await ask(
        url,
        (
            f"POST /auth/ticket HTTP/1.1\r\nHost: 127.0.0.1:{url.port}\r\nOrigin: {ORIGIN}\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode(),
    )
    if status != 201:
        raise BenchError(f"a ticket was not sold: {status} {answer[:200].decode(errors='replace')}")
    ticket: str = json.loads(answer)["ticket"]
    return ticket


def _secret(path: Path, raw: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(raw)
