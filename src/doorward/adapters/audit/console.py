"""Our process's own log: nothing is printed before it is masked and cleaned, whoever logged it.

uvicorn logs a socket's path with its query string, and libraries log what they were given (HOUSE; LOG-03, LOG-04).
"""

import logging
import re
import traceback
from typing import Final, TextIO

from doorward.adapters.audit.printing import Printer
from doorward.core.auditing import clean, mask, mask_target

MAX_LINE: Final = 2048
MAX_TRACEBACK: Final = 16384
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LIBRARIES: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio", "concurrent.futures")
_WORD: Final = re.compile(r"[^\s\"']++")


def masked(text: str, limit: int = MAX_LINE) -> str:
    """One line of text from anywhere, safe to print: targets' secrets and look-alikes masked, controls escaped."""
    return clean(mask(_WORD.sub(_masked_word, text)), limit)


def _masked_word(found: re.Match[str]) -> str:
    """What has a query may be a target."""
    return mask_target(found[0]) if "?" in found[0] else found[0]


class Masking(logging.Filter):
    """Put on a handler, it masks every record that the handler prints. Lines of a traceback stay lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = masked(record.getMessage())
        record.args = None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = _lines("".join(traceback.format_exception(record.exc_info[1])))
        elif record.exc_text:
            record.exc_text = _lines(record.exc_text)
        record.exc_info = None
        if record.stack_info:
            record.stack_info = _lines(record.stack_info)
        return True


def _lines(text: str) -> str:
    return "\n".join(masked(line) for line in text[:MAX_TRACEBACK].rstrip("\n").split("\n"))


def install(stream: TextIO | Printer, *, level: int = logging.INFO) -> logging.Handler:
    """Make `stream` the one place where this process logs. For a process of ours, not for somebody's application."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(Masking())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    return handler
