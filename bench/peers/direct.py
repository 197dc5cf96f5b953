"""The backend without a gateway: what the load and the wire cost by themselves. Never compared with."""

import platform
import sys
from pathlib import Path
from typing import ClassVar

from bench.peers.base import Peer


class Direct(Peer):
    """The echo backend itself, a second copy, on the core of the process under test."""

    name: ClassVar[str] = "direct"
    authenticates: ClassVar[bool] = False
    has_tls: ClassVar[bool] = False

    @property
    def backend_port(self) -> int:
        return self.port

    def command(self) -> list[str | Path]:
        return [sys.executable, "-P", Path(__file__).parents[1] / "backend.py", str(self.port)]

    @classmethod
    def version(cls) -> str:
        return f"echo backend, Python {platform.python_version()}"
