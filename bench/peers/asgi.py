"""One uvicorn process with the echo app: bare, and behind Doorward's middleware. Their difference is the middleware.

Both run in the environment that Doorward is installed in, with uvicorn's own choice of parts (uvloop, httptools,
websockets).
"""

import os
import platform
import subprocess
from pathlib import Path
from typing import ClassVar, Final

from bench.load import ORIGIN
from bench.peers.base import Peer
from bench.peers.doorward import ROOT, Doorward, make_key, write_secret
from bench.processes import BenchError
from bench.tokens import AUDIENCE, ISSUER

_PYTHON: Final = ROOT / ".venv/bin/python"

_CONFIGURATION: Final = """
[server]
listen = "127.0.0.1:{port}"
node = "bench"

[origins]
allow = ["{origin}"]

[store]
url = "sqlite:///doorward.db"

[tokens]
key_file = "doorward.key"
audience = "{audience}"

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
credentials = ["token", "ticket"]
control_messages = "offered"
limits = {{ messages = "1000000/s", connections_per_subject = 100000 }}

[audit]
file = "audit.jsonl"
hash_chain = true
"""


class Uvicorn(Peer):
    """The app without a door."""

    name: ClassVar[str] = "uvicorn"
    authenticates: ClassVar[bool] = False
    has_tls: ClassVar[bool] = False
    app: ClassVar[str] = "app"

    @property
    def backend_port(self) -> int:
        return self.port

    def command(self) -> list[str | Path]:
        if not _PYTHON.exists():
            raise BenchError("could not start: .venv is missing (`make setup`)")
        return [
            *(_PYTHON, "-m", "uvicorn", f"bench.peers.echo_app:{self.app}", "--port", str(self.port)),
            *("--no-access-log", "--log-level", "warning", "--backlog", "4096"),
        ]

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
        return {**kept, "PYTHONPATH": str(ROOT)}

    @classmethod
    def version(cls) -> str:
        said = subprocess.run(
            [_PYTHON, "-c", "import importlib.metadata as m; print(m.version('uvicorn'), m.version('websockets'))"],
            capture_output=True,
            text=True,
            timeout=20,
        )
        uvicorn, _, websockets = said.stdout.strip().partition(" ")
        return f"uvicorn/{uvicorn} with websockets/{websockets}, Python {platform.python_version()}"


class Middleware(Uvicorn):
    """The same app behind `Doorward(app, config=…)`: audit with hash chain, SQLite store and all limits on."""

    name: ClassVar[str] = "middleware"
    authenticates: ClassVar[bool] = True
    shows: ClassVar[tuple[str, ...]] = ("principal",)
    app: ClassVar[str] = "guarded"

    def command(self) -> list[str | Path]:
        make_key(self.folder, backend=self.port)
        write_secret(self.folder / "issuer.secret", self.site.secret)
        self._file.write_text(_CONFIGURATION.format(port=self.port, origin=ORIGIN, audience=AUDIENCE, issuer=ISSUER))
        return super().command()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "DOORWARD_CONFIG": str(self._file)}

    @classmethod
    def version(cls) -> str:
        return Doorward.version()

    def audited(self) -> int | None:
        try:
            return (self.folder / "audit.jsonl").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    @property
    def _file(self) -> Path:
        return self.folder / "doorward.toml"
