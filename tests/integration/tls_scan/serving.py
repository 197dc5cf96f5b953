"""A real `doorward run` under TLS, to be scanned: from one minimum version on, with a certificate of this run."""

import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.gateway.certificates import Authority
from tests.integration.running import running

MINIMA = ("1.2", "1.3")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What scanners are told: where it is, and who signed its certificate."""

    port: int
    authority: Path

    @property
    def place(self) -> str:
        return f"localhost:{self.port}"


@asynccontextmanager
async def under_tls(minimum: str) -> AsyncIterator[Scanned]:
    with tempfile.TemporaryDirectory(prefix="scanned-") as name:
        folder = Path(name)
        authority = Authority(folder)
        pair = authority.issue("localhost", "127.0.0.1")
        pair.key.chmod(0o600)
        tls = {
            "certificate_file": str(pair.certificate),
            "key_file": str(pair.key),
            "minimum_version": minimum,
        }
        trust = ssl.create_default_context(cafile=authority.file)
        async with running(folder / "gateway", server={"tls": tls}, tls=trust) as gate:
            yield Scanned(gate.port, authority.file)
