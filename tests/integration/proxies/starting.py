"""Real nginx, HAProxy, Caddy and Envoy on loopback, each with the text of its configuration, in a folder of its own.

Whatever is started here is ended here, dies with the tests, and its start fails if it warns of its configuration.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.integration.running import ENVIRONMENT, LAUNCH, free_port

WITHIN = 45.0

NGINX = """\
{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{text}
}}
"""
CADDY = """\
{{
    admin 127.0.0.1:{admin}
    auto_https off
    persist_config off
    storage file_system {folder}/storage
    log {{
        level WARN
    }}
}}
{text}
"""


def _binary(name: str) -> str:
    """From the environment of the tests, or of the machine. Debian's servers are not on everybody's PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    assert found is not None, f"{name} is not installed: `make test` installs it"
    return found


@dataclass(frozen=True)
class Kind:
    """How one proxy is run. `wrap` makes a whole configuration of the part that a site writes."""

    name: str
    file: str
    command: Callable[["Proxy"], Sequence[str]]
    wrap: Callable[["Proxy", str], str]
    reload: Callable[["Proxy"], signal.Signals | Sequence[str]]
    complaints: tuple[str, ...]


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "nginx",
            "nginx.conf",
            lambda proxy: (
                *(_binary("nginx"), "-p", str(proxy.folder), "-e", "stderr"),
                *("-c", str(proxy.file)),
            ),
            lambda proxy, text: NGINX.format(
                folder=proxy.folder, text=text, user="user root;\n" if os.geteuid() == 0 else ""
            ),
            lambda proxy: signal.SIGHUP,
            ("[warn]", "[emerg]"),
        ),
        Kind(
            "haproxy",
            "haproxy.cfg",
            lambda proxy: (_binary("haproxy"), "-W", "-S", f"127.0.0.1:{proxy.admin_port}", "-f", str(proxy.file)),
            lambda proxy, text: text,
            lambda proxy: signal.SIGUSR2,
            ("[WARNING]  (", "[ALERT]"),
        ),
        Kind(
            "caddy",
            "Caddyfile",
            lambda proxy: (_binary("caddyserver"), "run", "--adapter", "caddyfile", "--config", str(proxy.file)),
            lambda proxy, text: CADDY.format(folder=proxy.folder, text=text, admin=proxy.admin_port),
            lambda proxy: (
                *(_binary("caddyserver"), "reload", "--adapter", "caddyfile", "--config", str(proxy.file)),
                *("--address", f"127.0.0.1:{proxy.admin_port}", "--force"),
            ),
            ('"level":"error"',),
        ),
        Kind(
            "envoy",
            "envoy.yaml",
            lambda proxy: (
                *(_binary("envoy"), "-c", str(proxy.file), "--concurrency", "1", "--disable-hot-restart"),
                *("-l", "warning"),
            ),
            lambda proxy, text: text,
            lambda proxy: (),
            ("[critical]", "[error]"),
        ),
    )
}


class Proxy:
    """One proxy over a configuration file. `ports` are those that it must listen on to be up."""

    def __init__(self, kind: str, folder: Path, text: str, *, ports: Sequence[int]) -> None:
        self.kind = KINDS[kind]
        self.folder: Path = folder
        self.ports = tuple(ports)
        self.admin_port: int = free_port()
        self.file: Path = folder / self.kind.file
        self._log = folder / "said.log"
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.write(text)

    def write(self, text: str) -> None:
        """The site's part of the configuration, for the next start or reload."""
        self.file.write_text(self.kind.wrap(self, text), encoding="utf-8")

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", LAUNCH, json.dumps({})),
                *self.kind.command(self),
                cwd=self.folder,
                env={**ENVIRONMENT, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)},
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(WITHIN):
                await asyncio.gather(*map(self._listens, self.ports))
        except TimeoutError:
            await self.stop()
            raise AssertionError(f"{self.kind.name} does not listen on {self.ports}: {self.said}") from None
        complaints = [line for line in self.said.splitlines() if any(word in line for word in self.kind.complaints)]
        assert complaints == [], f"{self.kind.name} complains of its configuration"

    async def _listens(self, port: int) -> None:
        """Until a connection is taken: no proxy tells when it is up."""
        while True:
            assert self._process is not None
            assert self._process.returncode is None, f"{self.kind.name} ended: {self.said}"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return

    async def reload(self) -> None:
        """As its documentation says to, with whatever `write` has put there; until it was told, not until it is done.
        Envoy has no such thing for a static configuration."""
        assert self._process is not None
        how = self.kind.reload(self)
        if isinstance(how, signal.Signals):
            if self.kind.name == "haproxy":
                async with asyncio.timeout(WITHIN):
                    await self._master_hears()
            os.kill(self._process.pid, how)
            return
        telling = await asyncio.create_subprocess_exec(
            *how, env={**ENVIRONMENT, "HOME": str(self.folder)}, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        said, _ = await asyncio.wait_for(telling.communicate(), WITHIN)
        assert telling.returncode == 0, said.decode()

    async def _master_hears(self) -> None:
        """HAProxy's master overhears a signal until its loop runs, and its workers serve before that: not until it
        answers on its own socket is it done with its start, or the last reload."""
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.admin_port)
                try:
                    writer.write(b"show proc\n")
                    if await reader.read(1):
                        return
                finally:
                    writer.close()
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """The whole group at once: nobody waits for a proxy's own end."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()


@asynccontextmanager
async def standing(kind: str, folder: Path, text: str, *, ports: Sequence[int]) -> AsyncIterator[Proxy]:
    """A proxy that is up: "nginx" (`text` goes into its http block), "haproxy", "caddy" or "envoy"."""
    proxy = Proxy(kind, folder, text, ports=ports)
    try:
        await proxy.start()
        yield proxy
    finally:
        await proxy.stop()
