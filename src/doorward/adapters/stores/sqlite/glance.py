"""Has anybody committed since? SQLite's own note of it, read without asking SQLite.

Every commit to a WAL, by whatever process, changes the header of the shared index (SQLite, "WAL-mode File Format",
section 2.1); a reader of SQLite's compares it first, and goes on in what it knows where it is as it was. So may we, for
a hundredth of what a query costs that finds nothing new. Where the header is not as that page says, nobody can tell,
and SQLite is asked.

No map is closed while SQLite has the file open in this process: with any close of a file a process loses all its locks
on it (SQLite, "How To Corrupt", section 2.2). Maps are shared by inode, and the last user closes.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import Final

_COPY: Final = 48  # bytes; the header stands there twice, and the copies differ while somebody is writing it
_VERSION: Final = struct.pack("=I", 3007000)
_HAS_CONTENT: Final = 12  # offset of isInit


class _Shared:
    """The maps of this process, by device and inode, each with the number of its users."""

    def __init__(self) -> None:
        self._maps: dict[tuple[int, int], tuple[mmap.mmap, int, int]] = {}

    def take(self, path: Path) -> tuple[tuple[int, int], mmap.mmap]:
        """Raises OSError, and ValueError for what is too short to be one."""
        found = path.stat()
        key = (found.st_dev, found.st_ino)
        held = self._maps.get(key)
        if held is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                held = (mmap.mmap(descriptor, 2 * _COPY, access=mmap.ACCESS_READ), descriptor, 0)
            except BaseException:
                os.close(descriptor)
                raise
        index, descriptor, users = held
        self._maps[key] = (index, descriptor, users + 1)
        return key, index

    def give_back(self, key: tuple[int, int]) -> None:
        index, descriptor, users = self._maps.pop(key)
        if users > 1:
            self._maps[key] = (index, descriptor, users - 1)
        else:
            index.close()
            os.close(descriptor)


_SHARED: Final = _Shared()


class Glance:
    """For one database file, while a connection of ours has it open and has read from it: `begin` then, and again when
    that connection was another one. `end` when this process has no connection to the file any more."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-shm")
        self._index: mmap.mmap | None = None
        self._held: list[tuple[int, int]] = []

    def begin(self) -> None:
        """Never raises: where there is no shared index, nothing can be told."""
        self._index = None
        try:
            key, self._index = _SHARED.take(self._path)
        except (OSError, ValueError):
            return
        self._held.append(key)

    def pause(self) -> None:
        """The connection is gone, and with the last one the file may be: nothing can be told until `begin`."""
        self._index = None

    def look(self) -> bytes | None:
        """What stays the same exactly while nobody commits; None where that can't be told."""
        if self._index is None:
            return None
        header = self._index[: 2 * _COPY]
        if header[:_COPY] != header[_COPY:] or header[:4] != _VERSION or not header[_HAS_CONTENT]:
            return None
        return header

    def end(self) -> None:
        self._index = None
        while self._held:
            _SHARED.give_back(self._held.pop())
