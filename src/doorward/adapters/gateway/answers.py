"""A backend's answer to our upgrade, read as strictly as a client's request: a 101 that keeps RFC 6455 section 4.1.

Nothing of any other answer goes on to the peer, neither its status nor its body.
"""

import re
from functools import lru_cache
from typing import Final

from doorward.adapters.gateway.upgrading import accept_of
from doorward.values.admission import BackendAnswer
from doorward.values.decision import Reason
from doorward.values.question import BackendFailed

MAX_ANSWER: Final = 16384
MAX_HEADERS: Final = 100
BEGINNING: Final = b"HTTP/1.1 "

_STATUS_LINE: Final = re.compile(r"HTTP/1\.1 ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*)?")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROLS: Final = bytes((*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F))
_SAMPLE: Final = "AAAAAAAAAAAAAAAAAAAAAA=="
_SAMPLE_ACCEPT: Final = accept_of(_SAMPLE).encode("ascii")
_MOST_KEPT: Final = 1024
_DEFLATE: Final = re.compile(
    r"permessage-deflate"
    r"(?:[ \t]*;[ \t]*(?:server_no_context_takeover|client_no_context_takeover"
    r"|(?:server|client)_max_window_bits=(?:[89]|1[0-5]|\"(?:[89]|1[0-5])\")))*"
)


def read_answer(head: bytes, *, key: str, protocols: tuple[str, ...], deflate: bool) -> BackendAnswer | BackendFailed:
    """Judge an answer's head, up to and with its empty line.

    `key` is the Sec-WebSocket-Key that was sent, `protocols` and `deflate` what was offered to the backend.
    """
    accept = accept_of(key).encode("ascii")
    if len(head) <= _MOST_KEPT and head.count(accept) == 1 and _SAMPLE_ACCEPT not in head:
        # a backend says the same each time, but for this one value
        return _judged_once(head.replace(accept, _SAMPLE_ACCEPT), protocols, deflate)
    return _judge(head, key=key, protocols=protocols, deflate=deflate)


@lru_cache(maxsize=64)
def _judged_once(head: bytes, protocols: tuple[str, ...], deflate: bool) -> BackendAnswer | BackendFailed:
    return _judge(head, key=_SAMPLE, protocols=protocols, deflate=deflate)


def _judge(head: bytes, *, key: str, protocols: tuple[str, ...], deflate: bool) -> BackendAnswer | BackendFailed:
    breaks = head.count(b"\r\n")
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
        return _nonsense("line ends are CR LF only")
    if len(head.translate(None, _CONTROLS)) != len(head):
        return _nonsense("a control character")
    status_line, *lines = head[:-4].decode("latin-1").split("\r\n")
    status = _STATUS_LINE.fullmatch(status_line)
    if status is None:
        return _nonsense("the status line")
    if status[1] != "101":
        return BackendFailed(Reason.BACKEND_REFUSED, f"status {status[1]}")
    headers = _headers(lines)
    if headers is None:
        return _nonsense("the headers")
    fault = _fault(headers, key)
    if fault:
        return _nonsense(fault)
    chosen = headers.get("sec-websocket-protocol", [])
    if len(chosen) > 1 or any(protocol not in protocols for protocol in chosen):
        return _nonsense("a subprotocol that was not offered")
    extensions = headers.get("sec-websocket-extensions", [])
    if extensions and not (deflate and len(extensions) == 1 and _is_deflate(extensions[0])):
        return _nonsense("an extension that was not offered")
    return BackendAnswer(protocol=chosen[0] if chosen else None, deflate=extensions[0] if extensions else None)


def _headers(lines: list[str]) -> dict[str, list[str]] | None:
    if len(lines) > MAX_HEADERS:
        return None
    headers: dict[str, list[str]] = {}
    for line in lines:
        text, colon, value = line.partition(":")
        name = _name(text)
        if not colon or name is None:
            return None
        headers.setdefault(name, []).append(value.strip(" \t"))
    return headers


@lru_cache(maxsize=256)  # of backends, which are the operator's: the same few come with every answer
def _name(text: str) -> str | None:
    """The name in lower case, None when it is no token."""
    return text.lower() if _TOKEN.fullmatch(text) else None


def _fault(headers: dict[str, list[str]], key: str) -> str:
    if [value.lower() for value in headers.get("upgrade", [])] != ["websocket"]:
        return "Upgrade is not websocket"
    options = [option.strip(" \t").lower() for line in headers.get("connection", []) for option in line.split(",")]
    if "upgrade" not in options:
        return "Connection has no upgrade"
    if headers.get("sec-websocket-accept") != [accept_of(key)]:
        return "Sec-WebSocket-Accept is not the key's"
    return ""


def _is_deflate(extension: str) -> bool:
    """RFC 7692 section 7.1: one permessage-deflate whose parameters are its own, each once."""
    names = [part.partition("=")[0].strip(" \t") for part in extension.split(";")]
    return _DEFLATE.fullmatch(extension) is not None and len(set(names)) == len(names)


def _nonsense(note: str) -> BackendFailed:
    return BackendFailed(Reason.BACKEND_NONSENSE, note)
