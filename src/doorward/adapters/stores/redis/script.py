"""A step that must be atomic is one Lua script: a file beside this one, its first line its law.

A script touches only keys of one hash tag, so that Redis Cluster can run it (cluster specification, "hash tags").
"""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """`sha` is the name that the server knows it by, once it was loaded."""

    name: str
    text: bytes
    sha: str


def script(name: str, *, after: str = "") -> Script:
    """The script of that file; `after` is a file of functions that stands before it."""
    folder = files("doorward.adapters.stores.redis") / "lua"
    text = b"\n".join((folder / f"{one}.lua").read_bytes() for one in (after, name) if one)
    # Redis names scripts so; nothing secret hangs on it.
    return Script(name=name, text=text, sha=sha1(text, usedforsecurity=False).hexdigest())
