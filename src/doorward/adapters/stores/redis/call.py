"""One command on its way: its bytes, who waits for it, and until when."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import hiredis

from doorward.adapters.stores.redis.script import Script

Argument = str | bytes | int | float

# Its stub says tuples of one.
_pack: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]

ASKING: Final = _pack(("ASKING",))


class Call:
    """`slot` is the cluster's slot of its keys; `hops` counts the nodes that sent it on. `sent`: a line has it now."""

    __slots__ = ("command", "future", "hops", "script", "sent", "slot", "until")

    def __init__(
        self, command: bytes, future: asyncio.Future[Any], *, until: float, slot: int, script: Script | None = None
    ) -> None:
        self.command = command
        self.future = future
        self.until = until
        self.slot = slot
        self.script = script
        self.hops = 0
        self.sent = False


def packed(*command: Argument) -> bytes:
    """As RESP wants it. A float keeps its full precision."""
    return _pack(command)


def packed_script(script: Script, keys: tuple[str, ...], arguments: tuple[Argument, ...]) -> bytes:
    return _pack(("EVALSHA", script.sha, len(keys), *keys, *arguments))


def packed_load(script: Script) -> bytes:
    return _pack(("SCRIPT", "LOAD", script.text))


def key_of(command: tuple[Argument, ...]) -> str | bytes:
    """The first key of a command as we write them: it says which node of a cluster serves it."""
    match command:
        case ("EVAL" | "EVALSHA", _, _, str() | bytes() as key, *_):
            return key
        case ("XREAD", *rest) if "STREAMS" in rest[:-1]:
            stream = rest[rest.index("STREAMS") + 1]
            return stream if isinstance(stream, bytes) else str(stream)
        case (_, str() | bytes() as key, *_):
            return key
        case _:
            return ""
