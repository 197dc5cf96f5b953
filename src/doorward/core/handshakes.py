"""Steps 1 and 2: a request head is strict HTTP/1.1 and a strict RFC 6455 upgrade, or it is refused with its reason.

No server is trusted to have checked any of it (SECURITY, appendix E1): every form refused here got a 101 somewhere.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.rules import Rules

MAX_HEAD: Final = 16384
MAX_LINE: Final = 8192
MAX_TARGET: Final = 4096
MAX_HEADERS: Final = 100
MAX_LEADING_LINES: Final = 2
_KEPT_NAME: Final = 64

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_CONTROLS: Final = bytes((*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F))  # less HT, and CR LF
_C1: Final = re.compile("[\x80-\x9f\u2028\u2029]")
_REQUEST_LINE: Final = re.compile(r"([!-~]+) ([!-~]+) (HTTP/[0-9]\.[0-9])")
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*)+")  # RFC 3986 section 3.3
_QUERY: Final = re.compile(r"[!$-;=?-~]*")  # visible ASCII without " # < >, as browsers leave it
_UNSAFE_IN_PATH: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_HOST: Final = re.compile(r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.\-]*)|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?")
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")  # canonical base64 of 16 bytes, RFC 6455 section 4.1 item 7

SINGLE: Final = (
    "host",
    "origin",
    "authorization",
    "sec-websocket-key",
    "sec-websocket-version",
    "content-length",
    "upgrade",
    "dpop",
)


def parse_head(head: bytes) -> Handshake | Deny:
    """Read one request head, from its first byte to the empty line (RFC 9112 sections 2 to 5).

    Returns Deny with step 1 for a head that is too long or not in the grammar. Nothing is normalised into a match:
    bare CR or LF, obs-fold, control characters, white space before the colon and two spaces in the request line
    are refused, where RFC 9112 lets a recipient be lenient.
    """
    if len(head) > MAX_HEAD:
        return _head(Reason.TARGET_TOO_LONG if _begins_with_long_line(head) else Reason.HEAD_TOO_LARGE)
    breaks = head.count(b"\r\n")
    if not head.endswith(b"\r\n\r\n") or head.count(b"\n") != breaks or head.count(b"\r") != breaks:
        return _head(Reason.HEAD_GRAMMAR, "line ends are CR LF only")
    if len(head.translate(None, _CONTROLS)) != len(head):  # a third of what a search costs
        return _head(Reason.HEAD_GRAMMAR, "a control character")
    lines = head[:-4].decode("latin-1").split("\r\n")
    leading = 0
    while leading < len(lines) and not lines[leading]:
        leading += 1
    if leading > MAX_LEADING_LINES or leading == len(lines):
        return _head(Reason.HEAD_GRAMMAR, "empty lines before the request line")
    request = _request_line(lines[leading])
    if isinstance(request, Deny):
        return request
    method, target, version = request
    headers = _headers(lines[leading + 1 :])
    return headers if isinstance(headers, Deny) else handshake_of(method, target, version, headers)


def sender_of(head: bytes) -> Handshake | None:
    """What else stands in a head whose target is malformed, with an empty path: for whom it is refused, and no more.

    Behind a proxy only the headers tell who that is (OPS-05). None for a head that is not even in the grammar.
    """
    line, _, rest = head.lstrip(b"\r\n").partition(b"\r\n")
    method, version = line.partition(b" ")[0], line.rpartition(b" ")[2]
    found = parse_head(b"%b / %b\r\n%b" % (method, version, rest))
    return None if isinstance(found, Deny) else replace(found, target="", path="")


def read_parts(*, method: str, target: str, version: str, headers: Iterable[tuple[bytes, bytes]]) -> Handshake | Deny:
    """The same from a head that a server has split already (an ASGI scope): no server is trusted to have checked it.

    What splitting hides (line ends, white space before the colon) was `parse_head`'s, or is the server's to refuse.
    """
    lines = []
    size = len(method) + len(target) + len(version)
    for name, value in headers:
        if not _TOKEN.fullmatch(name.decode("latin-1")):  # or a colon in it would move the name's end
            return _head(Reason.HEAD_GRAMMAR, "a header's name")
        if len(value.translate(None, _CONTROLS)) != len(value) or b"\r" in value or b"\n" in value:
            return _head(Reason.HEAD_GRAMMAR, "a control character")
        lines.append((name + b":" + value).decode("latin-1"))
        size += len(name) + len(value)
    if size > MAX_HEAD:
        return _head(Reason.HEAD_TOO_LARGE)
    request = _request_line(f"{method} {target} {version}".encode("utf-8", "surrogatepass").decode("latin-1"))
    if isinstance(request, Deny):
        return request
    split = _headers(lines)
    return split if isinstance(split, Deny) else handshake_of(method, target, version, split)


def handshake_of(method: str, target: str, version: str, headers: tuple[tuple[str, str], ...]) -> Handshake | Deny:
    """A handshake of parts that are in the grammar, names in lower case; of the target only the path is judged."""
    path = decode_path(target)
    if isinstance(path, Deny):
        return path
    by_name: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        by_name[name] = (*by_name[name], value) if name in by_name else (value,)
    return Handshake(
        method=method,
        target=target,
        path=path,
        query=target.partition("?")[2],
        version=version,
        headers=headers,
        by_name=MappingProxyType(by_name),
    )


def _head(reason: Reason, note: str = "") -> Deny:
    return Deny(reason, Step.HEAD, note=note)


def _begins_with_long_line(head: bytes) -> bool:
    """Is the request line over the limit, ended or not? Then it is the target that is too long (414)."""
    rest = head.lstrip(b"\r\n")
    return len(rest) > MAX_LINE and rest.find(b"\r\n", 0, MAX_LINE + 2) == -1


def _request_line(line: str) -> tuple[str, str, str] | Deny:
    if len(line) > MAX_LINE:
        return _head(Reason.TARGET_TOO_LONG)
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        return _head(Reason.HEAD_GRAMMAR, "the request line")
    method, target, version = match.groups()
    if len(target) > MAX_TARGET:
        return _head(Reason.TARGET_TOO_LONG)
    if not _TOKEN.fullmatch(method):
        return _head(Reason.HEAD_GRAMMAR, "the method")
    return method, target, version


def _headers(lines: list[str]) -> tuple[tuple[str, str], ...] | Deny:
    """Names and values of header lines, each character of which stands for one byte."""
    if len(lines) > MAX_HEADERS:
        return _head(Reason.HEAD_TOO_LARGE, f"more than {MAX_HEADERS} headers")
    headers = []
    for line in lines:
        if len(line) > MAX_LINE:
            return _head(Reason.HEAD_TOO_LARGE, f"a header over {MAX_LINE} bytes")
        text, colon, value = line.partition(":")
        name = _header_name(text) if len(text) <= _KEPT_NAME else _read_name(text)
        if not colon or name is None:
            return _head(Reason.HEAD_GRAMMAR, "a header's name")
        if not value.isascii() and not _is_clean_utf8(value):
            return _head(Reason.HEAD_GRAMMAR, "a header's value")
        headers.append((name, value.strip(" \t")))
    return tuple(headers)


def _read_name(text: str) -> str | None:
    """The name in lower case, None when it is no token."""
    return text.lower() if _TOKEN.fullmatch(text) else None


# the same dozen names come with every head; what a flood of new ones can make it hold is bounded
_header_name = lru_cache(maxsize=512)(_read_name)


def _is_clean_utf8(value: str) -> bool:
    """Not ASCII: then UTF-8 without C1 controls or line separators, so that no reader splits the value (LOG-03)."""
    try:
        return not _C1.search(value.encode("latin-1").decode())
    except UnicodeDecodeError:
        return False


def decode_path(target: str) -> str | Deny:
    """A target's path after exactly one percent-decoding (HSK-16); what decodes into another structure is refused."""
    refused = Deny(Reason.TARGET_MALFORMED, Step.UPGRADE)
    raw, mark, query = target.partition("?")
    if not _PATH.fullmatch(raw) or (mark and not _QUERY.fullmatch(query)):
        return refused
    if "%" not in raw:
        path = raw
    else:
        try:
            path = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return refused
        if path.count("/") != raw.count("/") or _UNSAFE_IN_PATH.search(path):
            return refused
    # `..;x` is `..` to servers that know path parameters, such as Tomcat
    if "//" in path or ("/." in path and any(part.partition(";")[0] in {".", ".."} for part in path.split("/"))):
        return refused
    return path


def host_fault(handshake: Handshake, rules: Rules) -> Deny | None:
    """Exactly one Host, well formed, on the list (HSK-02). Also for our own HTTP endpoints."""
    hosts = handshake.all("host")
    if len(hosts) != 1:
        return _upgrade(Reason.HOST_MALFORMED if not hosts else Reason.HEADER_DUPLICATED, "Host")
    match = _HOST.fullmatch(hosts[0])
    if match is None or int(match["port"] or 1) > 65535:
        return _upgrade(Reason.HOST_MALFORMED)
    if match["host"].lower() not in rules.hosts:
        return _upgrade(Reason.HOST_FOREIGN)
    return None


def duplicate_fault(handshake: Handshake) -> Deny | None:
    """A header that means one thing stands once (HSK-07), before any credential is read."""
    if len(handshake.headers) == len(handshake.by_name):
        return None
    for name in SINGLE:
        values = handshake.by_name.get(name)
        if values is not None and len(values) > 1:
            return _upgrade(Reason.HEADER_DUPLICATED, name)
    return None


def upgrade_fault(handshake: Handshake, rules: Rules, *, routed: bool) -> Deny | None:
    """Step 2: what keeps this from being a strict upgrade (RFC 6455 section 4.2.1). None when it is one.

    `routed`: a route matches the path, so a plain request can be told what is missing (405, 426).
    """
    if not handshake.all("upgrade") and not handshake.all("sec-websocket-key") and not routed:
        return Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE)
    if handshake.version != "HTTP/1.1":
        return _upgrade(Reason.HTTP_VERSION)
    fault = duplicate_fault(handshake) or host_fault(handshake, rules)
    if fault is not None:
        return fault
    if handshake.method != "GET":
        return _upgrade(Reason.METHOD if routed else Reason.UPGRADE_MALFORMED)
    if handshake.all("transfer-encoding") or handshake.all("content-length") not in ((), ("0",)):
        return _upgrade(Reason.BODY_PRESENT)
    upgrade = handshake.one("upgrade")
    if upgrade is None:
        return _upgrade(Reason.NOT_AN_UPGRADE if routed else Reason.UPGRADE_MALFORMED)
    if upgrade.lower() != "websocket":
        return _upgrade(Reason.UPGRADE_MALFORMED)
    if "upgrade" not in _connection_options(handshake):
        return _upgrade(Reason.CONNECTION_MALFORMED)
    if handshake.one("sec-websocket-version") != "13":
        return _upgrade(Reason.WEBSOCKET_VERSION if routed else Reason.UPGRADE_MALFORMED)
    if not _KEY.fullmatch(handshake.one("sec-websocket-key") or ""):
        return _upgrade(Reason.KEY_MALFORMED)
    if offered_protocols(handshake) is None:
        return _upgrade(Reason.PROTOCOLS_MALFORMED)
    return None


def _upgrade(reason: Reason, note: str = "") -> Deny:
    return Deny(reason, Step.UPGRADE, note=note)


def _connection_options(handshake: Handshake) -> frozenset[str]:
    return frozenset(option.strip(" \t").lower() for line in handshake.all("connection") for option in line.split(","))


def offered_protocols(handshake: Handshake) -> tuple[str, ...] | None:
    """The subprotocols that the client offers, in its order; None when the offer is not in the grammar.

    RFC 6455 section 4.1 item 10: distinct tokens. Ours carry credentials, so no case is folded.
    """
    lines = handshake.all("sec-websocket-protocol")
    if not lines:
        return ()
    offers = [offer.strip(" \t") for line in lines for offer in line.split(",")]
    if len(set(offers)) != len(offers) or not all(map(_TOKEN.fullmatch, offers)):
        return None
    return tuple(offers)
