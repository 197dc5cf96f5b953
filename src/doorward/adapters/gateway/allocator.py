"""One setting of the C library's allocator, without which a TLS connection comes to cost twice as much after a while.

uvloop gives each TLS connection a buffer of 256 KiB, of which an idle one touches a page or two. While glibc takes such
a block from the system by itself, only those pages count. But once it has given one back, it raises its threshold, and
takes the next from the heap, among small blocks: 46 KiB a connection were measured instead of 22 (mallopt(3),
M_MMAP_THRESHOLD: setting it turns that off).
"""

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_THRESHOLD: Final = 128 * 1024  # glibc's own, at first


def keep_large_blocks_apart() -> bool:
    """False where the C library has no such setting; nothing is lost then but memory."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _THRESHOLD))
