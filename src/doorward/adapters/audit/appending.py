"""A file that only grows: private, written by one process at a time, and a block stands in it whole or not at all.

The kernel writes back when it likes: a killed process loses nothing that was appended, a power cut may lose seconds.
"""

import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# far more than any line has; what has no line end within it is none of ours
TAIL: Final = 262144


@dataclass(frozen=True, slots=True)
class Tail:
    """How a file ends: its last whole lines, as many as `TAIL` holds, and what stands torn behind them."""

    whole: bytes
    torn: bytes


class Appending:
    """Raises OSError, from every method, for what the system refuses; then the file is as it was before the call,
    or `torn` says that it is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _open(path)
        self.torn = False

    def append(self, block: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._take_back(size, begun=len(rest) < len(block))
            raise

    def _take_back(self, size: int, *, begun: bool) -> None:
        """Nobody else writes here, so what is beyond `size` is the block that failed."""
        if begun:
            try:
                os.ftruncate(self._descriptor, size)
            except OSError:
                self.torn = True

    def tail(self) -> Tail:
        """Read the end. Of what is no regular file (a terminal, a pipe) nothing is known."""
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return Tail(b"", b"")
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            whole, _, torn = file.read().rpartition(b"\n")
        return Tail(whole, torn)

    def reopen(self) -> bool:
        """Go on in the file that has the name now (logrotate). False when it is this one: nobody has rotated.

        The old one is kept when the new one can't be opened.
        """
        if self._is_current():
            return False
        old, self._descriptor = self._descriptor, _open(self._path)
        self.torn = False
        os.close(old)
        return True

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        os.close(self._descriptor)


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            # a second writer would break the chain and could not take a failed block back
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if mode & 0o027:
                os.fchmod(descriptor, stat.S_IMODE(mode) & 0o750)
    except BlockingIOError as error:
        os.close(descriptor)
        raise BlockingIOError(error.errno, f"another process writes to {path}") from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
