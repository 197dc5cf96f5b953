"""A stranger follows a page: types its commands, saves its files, and looks whether what it shows is what happens.

Each page is followed in one fresh folder. What it cannot know on a shared machine is put in its place: free ports for
those that the page names, and `pip install` and `make`, which belong to the clone that is being tested.
"""

import asyncio
import os
import re
import shlex
import signal
import sys
import tomllib
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from doorward.config.config import Config
from doorward.config.load import load
from doorward.config.show import as_toml
from tests.architecture.source import ROOT
from tests.integration.blocks import Block, blocks, same
from tests.integration.ports import free_ports

WITHIN = 45.0
BIN = Path(sys.executable).parent
PORTS = (8800, 8801, 8802, 8803, 8810, 8811, 8900, 9000, 5173, 443, 5432, 6379)
_TERMINAL = re.compile(r'terminal: ([a-z]+)(?:, until "([^"]+)")?')


class UnfollowableError(AssertionError):
    """The page can't be followed."""


@dataclass
class Terminal:
    """A shell with something running in it."""

    process: Process
    printed: str = ""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(4096):
            async with self.changed:
                self.printed += chunk.decode(errors="replace")
                self.changed.notify_all()
        async with self.changed:
            self.changed.notify_all()

    async def until(self, true: Callable[[str], bool], reader: asyncio.Task[None]) -> bool:
        """Whether what it printed came to satisfy `true` before it ended, or time ran out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN), self.changed:
                await self.changed.wait_for(lambda: true(self.printed) or reader.done())
        return true(self.printed)


Show = Callable[["Stranger", Block], Coroutine[Any, Any, None]]


class Stranger:
    """Somebody with a terminal and this page. `shows` are the blocks that need more than a terminal, by their note."""

    def __init__(self, folder: Path, shows: Mapping[str, Show]) -> None:
        self.folder = folder
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.output = ""
        self.kept = ExitStack()
        """What blocks have started besides terminals: ended after them."""
        self._shows = shows
        self._terminals: dict[str, tuple[Terminal, asyncio.Task[None]]] = {}
        self.environment = self._environment()

    def _environment(self) -> dict[str, str]:
        tools = self.folder.parent / "bin"
        tools.mkdir()
        make = tools / "make"
        # the page's `make` is typed in the clone, the one that is being tested
        make.write_text(f'#!/bin/sh\nexec /usr/bin/make --no-print-directory -C {shlex.quote(str(ROOT))} "$@"\n')
        make.chmod(0o755)
        (self.folder / ".venv").symlink_to(BIN.parent)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DOORWARD_", "MAKE", "MFLAGS", "PYTEST_"))
        }
        flags = {"port": 8800, "admin-port": 8801, "backend-port": 8802, "issuer-port": 8803}
        demo = [f"--folder {shlex.quote(str(self.folder / '.doorward-demo'))}"]
        return kept | {
            "PATH": os.pathsep.join([str(tools), str(BIN), kept.get("PATH", os.defpath), "/usr/sbin"]),
            "PYTHONUNBUFFERED": "1",
            "DOORWARD_SERVER__LISTEN": f"127.0.0.1:{self.ports[8800]}",
            "DOORWARD_ADMIN__LISTEN": f"127.0.0.1:{self.ports[8801]}",
            "DEMO": " ".join(demo + [f"--{flag} {self.ports[port]}" for flag, port in flags.items()]),
        }

    def here(self, text: str) -> str:
        """A page's text with this machine's ports."""
        for port, free in self.ports.items():
            text = re.sub(rf"(?<![\w.-]){port}\b(?!-)", str(free), text)
        return text

    async def follow(self, block: Block) -> None:
        """Do what a block says. Raises UnfollowableError for one that nobody knows, or that is not true."""
        text = self.here(block.text)
        note = block.note
        if note in self._shows:
            return await self._shows[note](self, block)
        terminal = _TERMINAL.fullmatch(note)
        if note == "picture" and block.language == "text":
            return None
        if block.language == "sh" and terminal is not None:
            return await self.restart(terminal[1], text, until=terminal[2], where=block.where)
        if block.language == "sh" and (not note or note.startswith("exits ")):
            return await self.type(text, code=int(note.removeprefix("exits ") or 0), where=block.where)
        if block.language == "text" and note == "output":
            return self._compare(block, text, self.output)
        if block.language == "text" and note.startswith("output of "):
            return await self._compare_terminal(block, text, note.removeprefix("output of "))
        if note.startswith("file: ") and block.language:
            return self.save(note.removeprefix("file: "), text)
        if block.language == "toml" and note in {"fragment", "fragment: keep"}:
            return self._merge(block, text, keep=note.endswith("keep"))
        if block.language == "python" and not note:
            self.save("block.py", text)
            return await self.type("python block.py", where=block.where)
        if not block.language and note.startswith("stop: "):
            return await self.stop(note.removeprefix("stop: "))
        raise UnfollowableError(f"{block.where}: nobody knows how to follow {block.language or 'this'} <!-- {note} -->")

    def save(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    # configuration

    def _merge(self, block: Block, text: str, *, keep: bool) -> None:
        """A fragment goes into the file that init wrote, and the whole must load without an error or a warning more."""
        file = self.folder / "doorward.toml"
        before = tomllib.loads(file.read_text(encoding="utf-8"))
        beside = self.folder / f".{block.where.replace(':', '-')}.toml"
        beside.write_text(as_toml(merged(before, tomllib.loads(text))), encoding="utf-8")
        found = load(beside, environment={})
        if not isinstance(found, Config):
            raise UnfollowableError(f"{block.where}: {[str(problem) for problem in found]}")
        if keep:
            beside.replace(file)
        else:
            beside.unlink()

    # terminals

    async def type(self, text: str, *, code: int = 0, where: str = "") -> None:
        """In the terminal at hand: to its end. A command that fails on the way fails the block."""
        process = await self._shell(self._script(text) if code == 0 else f"set +e\n{self._script(text)}")
        try:
            async with asyncio.timeout(WITHIN):
                printed, _ = await process.communicate()
        except TimeoutError:
            kill(process)
            raise UnfollowableError(f"{where}: does not end:\n{text}") from None
        self.output = printed.decode(errors="replace")
        if process.returncode != code:
            raise UnfollowableError(f"{where}: exit {process.returncode}, not {code}:\n{text}\n{self.output}")

    async def restart(self, name: str, text: str, *, until: str | None, where: str = "") -> None:
        """In a terminal of that name, where Ctrl-C comes first if something still runs."""
        if name in self._terminals:
            await self.stop(name)
        terminal = Terminal(await self._shell(self._script(text)))
        reader = asyncio.create_task(terminal.read())
        self._terminals[name] = terminal, reader
        if until is not None and not await terminal.until(lambda printed: until in printed, reader):
            raise UnfollowableError(f"{where}: never printed {until!r}:\n{terminal.printed}")

    async def _shell(self, script: str) -> Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-e", "-o", "pipefail", "-c", script),
            cwd=self.folder,
            env=self.environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )

    def _script(self, text: str) -> str:
        """The block as it is typed, less what the clone under test has done already."""
        return "".join(line for line in text.splitlines(keepends=True) if not _is_install(line))

    async def stop(self, name: str) -> None:
        """Ctrl-C, and until it is over."""
        terminal, reader = self._terminals.pop(name)
        if terminal.process.returncode is None:
            os.killpg(terminal.process.pid, signal.SIGINT)
        try:
            async with asyncio.timeout(WITHIN):
                await terminal.process.wait()
                await reader
        except TimeoutError:
            kill(terminal.process)
            raise UnfollowableError(f"{name} does not stop:\n{terminal.printed}") from None

    async def leave(self) -> None:
        """End all that runs still, the newest first; by force what does not stop."""
        with self.kept:
            for name in reversed(list(self._terminals)):
                terminal, reader = self._terminals[name]
                try:
                    await self.stop(name)
                finally:
                    kill(terminal.process)
                    reader.cancel()

    def printed(self, name: str) -> str:
        return self._terminals[name][0].printed

    # output

    def _compare(self, block: Block, shown: str, real: str) -> None:
        if not same(shown, real):
            raise UnfollowableError(f"{block.where} shows\n{shown}\nbut it is\n{real}")

    async def _compare_terminal(self, block: Block, shown: str, name: str) -> None:
        terminal, reader = self._terminals[name]
        if not await terminal.until(lambda printed: same(shown, printed), reader):
            self._compare(block, shown, terminal.printed)


def kill(process: Process) -> None:
    """The whole group, with what the shell has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def merged(before: Mapping[str, Any], fragment: Mapping[str, Any]) -> dict[str, Any]:
    """The file with a fragment written into it: tables are filled in, all else takes the place of what stood there."""
    both = dict(before)
    for name, value in fragment.items():
        there = both.get(name)
        both[name] = merged(there, value) if isinstance(there, Mapping) and isinstance(value, Mapping) else value
    return both


def _is_install(line: str) -> bool:
    """`pip install` of what this clone is or needs, and is installed here. Raises UnfollowableError for all else."""
    if line.split()[:2] != ["pip", "install"]:
        return False
    words = shlex.split(line)
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    tested_with = [*project["dependencies"], *pyproject["dependency-groups"]["dev"]]
    needed = {re.split(r"[^\w-]", one, maxsplit=1)[0] for one in tested_with}
    for word in words[2:]:
        name, _, extras = word.rstrip("]").partition("[")
        known = set(project.get("optional-dependencies", {})) if name in {".", project["name"]} else set()
        if name not in {".", project["name"], *needed} or not set(filter(None, extras.split(","))) <= known:
            raise UnfollowableError(f"pyproject.toml knows nothing of: {line}")
        metadata.version(project["name"] if name == "." else name)
    return True


@asynccontextmanager
async def stranger(folder: Path, shows: Mapping[str, Show]) -> AsyncIterator[Stranger]:
    """Somebody in an empty folder; all that was started is ended at the end."""
    folder.mkdir()
    who = Stranger(folder, shows)
    try:
        yield who
    finally:
        await who.leave()


async def follow(page: Path, folder: Path, shows: Mapping[str, Show]) -> int:
    """The whole page from the top; how many blocks it had."""
    found = blocks(page)
    async with stranger(folder, shows) as who:
        for block in found:
            await who.follow(block)
    return len(found)
