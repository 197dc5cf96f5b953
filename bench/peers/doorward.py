"""Doorward as its contract says, with everything on that costs: audit file, hash chain, assertion, limits, SQLite."""

import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from bench.load import ORIGIN, Url, ask
from bench.peers.base import Peer, Site
from bench.processes import BenchError, free_port
from bench.tokens import AUDIENCE, ISSUER

ROOT: Final = Path(__file__).parents[2]
_COMMAND: Final = ROOT / ".venv/bin/doorward"

_CONFIGURATION: Final = """
[server]
listen = "127.0.0.1:{port}"
node = "{node}"
workers = {workers}
{tls}

[admin]
listen = "127.0.0.1:{admin}"

[origins]
allow = ["{origin}"]

[store]
{store}

[tokens]
key_file = "doorward.key"
audience = "{audience}"
ticket_ttl = "120s"

[[issuers]]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["HS256"]
secret_file = "issuer.secret"
{claims}

[cluster_limits]
connections_per_subject = 100000
connections_per_address = 100000
handshakes_per_address = "1000000/s"
handshakes_per_subject = "1000000/s"
refusals_per_address = "1000000/s"
pending_per_address = 100000

{routes}
[audit]
file = "audit.jsonl"
hash_chain = true
"""

_ROUTE: Final = """
[[routes]]
path = "{path}"
backend = "ws://127.0.0.1:{backend}"
credentials = ["token", "ticket"]
control_messages = "offered"
limits = {{ messages = "1000000/s", connections_per_subject = 100000 }}
"""


@dataclass(frozen=True, slots=True)
class Build:
    """How a study's Doorward differs from the rows': more workers, more backends (each at `path_of(n)`), the tenant
    read from the token, a watch on its loop that writes to this file; other stores, another name among several nodes,
    and the master secret of the first of them."""

    workers: int = 1
    more_backends: tuple[int, ...] = ()
    tenants: bool = False
    watch: Path | None = None
    store_url: str = "sqlite:///doorward.db"
    cluster_url: str = ""
    node: str = "bench"
    key_file: Path | None = None


PLAIN: Final = Build()


def path_of(backend: int) -> str:
    """The route of a backend by its number: the site's own is 0."""
    return "/bench" if backend == 0 else f"/bench-{backend}"


class Doorward(Peer):
    """`doorward run` of this work tree's own environment, one worker."""

    name: ClassVar[str] = "doorward"
    authenticates: ClassVar[bool] = True
    shows: ClassVar[tuple[str, ...]] = ("x-doorward-subject", "x-doorward-assertion")
    sells_tickets: ClassVar[bool] = True

    def __init__(self, site: Site, *, tls: bool, build: Build = PLAIN) -> None:
        super().__init__(site, tls=tls)
        self.build = build

    @property
    def configuration(self) -> Path:
        return self.folder / "doorward.toml"

    @property
    def key_file(self) -> Path:
        return self.folder / "doorward.key"

    def command(self) -> list[str | Path]:
        if not _COMMAND.exists():
            raise BenchError("could not start: .venv/bin/doorward is missing (`make setup`)")
        certificate = self.site.certificate
        tls = (
            f'tls = {{ certificate_file = "{certificate.certificate}", key_file = "{certificate.key}" }}'
            if self.tls
            else ""
        )
        build = self.build
        if build.key_file is None:
            make_key(self.folder, backend=self.site.backend_port)
        else:
            write_secret(self.key_file, build.key_file.read_bytes())
        write_secret(self.folder / "issuer.secret", self.site.secret)
        backends = (self.site.backend_port, *build.more_backends)
        routes = [_ROUTE.format(path=path_of(number), backend=port) for number, port in enumerate(backends)]
        self.configuration.write_text(
            _CONFIGURATION.format(
                port=self.port,
                node=build.node,
                workers=build.workers,
                store=store_of(build),
                admin=free_port(),
                tls=tls,
                origin=ORIGIN,
                audience=AUDIENCE,
                issuer=ISSUER,
                claims='claims = { tenant = "org" }' if build.tenants else "",
                routes="".join(routes),
            )
        )
        run: list[str | Path] = ["run", "-c", self.configuration]
        if build.watch is None:
            return [_COMMAND, *run]
        return [_COMMAND.with_name("python"), ROOT / "bench/watched.py", build.watch, *run]

    @classmethod
    def version(cls) -> str:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, timeout=10
        )
        return f"doorward at {said.stdout.strip() or 'an unknown commit'}"

    def audited(self) -> int | None:
        return sum(path.read_bytes().count(b"\n") for path in self._audits())

    def reasons(self, kind: str) -> Counter[str]:
        """The reasons in the audit's events of this kind, each with how often."""
        counts: Counter[str] = Counter()
        for path in self._audits():
            for text in path.read_text().splitlines():
                event = json.loads(text)
                if event["kind"] == kind and (reason := event.get("reason")):
                    counts[reason] += 1
        return counts

    def _audits(self) -> list[Path]:
        return sorted(self.folder.glob("audit*.jsonl"))


def store_of(build: Build) -> str:
    """The lines of [store]."""
    shared = f'\ncluster_url = "{build.cluster_url}"' if build.cluster_url else ""
    return f'url = "{build.store_url}"{shared}'


def told(counts: Counter[str]) -> str:
    """In words."""
    return ", ".join(f"{reason} {count}" for reason, count in counts.most_common()) or "none"


def make_key(folder: Path, *, backend: int) -> None:
    """`doorward init` makes the master key, in its own format; its configuration is then replaced by ours."""
    made = subprocess.run(
        [_COMMAND, "init", "--backend", f"ws://127.0.0.1:{backend}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )
    if made.returncode != 0 or not (folder / "doorward.key").exists():
        tail = " / ".join(made.stderr.strip().splitlines()[-4:])
        raise BenchError(f"could not start: `doorward init` ended with {made.returncode}: {tail}")


def write_secret(path: Path, raw: bytes) -> None:
    """A file of mode 0600, made now."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(raw)


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
