"""A peer is one gateway, configured as its manual says, on a core of its own, in front of the one backend."""

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from bench.certificate import Certificate
from bench.load import Url
from bench.processes import CORE_UNDER_TEST, BenchError, Process, free_port

START_SECONDS: Final = 15.0
MANY: Final = 1_000_000
"""Where a peer has a limit, it is set to this: limits are checked, and never hit."""


@dataclass(frozen=True, slots=True)
class Site:
    """What every peer is set up with: scratch folder, backend's port, the issuer's HS256 secret, certificate."""

    folder: Path
    backend_port: int
    secret: bytes
    certificate: Certificate


class Peer(ABC):
    """One peer, plain or under TLS. Made anew for every start."""

    name: ClassVar[str]
    authenticates: ClassVar[bool]
    """Whether it checks the token itself; what doesn't is labelled so in the report."""

    shows: ClassVar[tuple[str, ...]] = ()
    """Headers that the backend must see on every admitted upgrade."""

    sells_tickets: ClassVar[bool] = False
    has_tls: ClassVar[bool] = True
    only_handshakes: ClassVar[bool] = False
    """Whether everything but its handshakes costs what another peer's does."""

    def __init__(self, site: Site, *, tls: bool) -> None:
        self.site = site
        self.tls = tls
        self.port = free_port()
        self.folder = site.folder / f"{self.name}-{self.port}"
        self._process: Process | None = None

    @property
    def url(self) -> Url:
        return Url(self.port, trust=self.site.certificate.client() if self.tls else None)

    @property
    def backend_port(self) -> int:
        """Where the upgrades arrive that it admits."""
        return self.site.backend_port

    def start(self) -> None:
        """Write the configuration and start. Raises BenchError with what the peer wrote when it doesn't come up."""
        self.folder.mkdir()
        self.launch()

    def launch(self) -> None:
        """`start`, once the folder is there."""
        self._process = Process(
            self.command(),
            folder=self.folder,
            name=self.name,
            core=CORE_UNDER_TEST,
            environment=self.environment(),
        )
        self._process.wait_listening(self.port, seconds=START_SECONDS)

    def pids(self) -> tuple[int, ...]:
        """All its processes. Raises BenchError when it isn't running."""
        if self._process is None:
            raise BenchError(f"{self.name} is not running")
        return self._process.pids()

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Its processes by the part that they play, where there are several whose CPU is worth telling apart."""
        return {}

    def obituary(self) -> str | None:
        """What it wrote before it ended; None while it runs."""
        return None if self._process is None or self._process.running() else self._process.stderr_tail()

    def stop(self) -> None:
        """End it, and remove what it wrote."""
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self) -> dict[str, str] | None:
        """Its environment variables; None for those of the bench."""
        return None

    @abstractmethod
    def command(self) -> list[str | Path]:
        """Write the configuration into `self.folder`; the command that starts the peer in the foreground."""

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """Name and version for the report."""

    def audited(self) -> int | None:
        """How many audit records it has written so far, None for a peer without an audit."""
        return None
