"""The PROXY protocol's header, versions 1 and 2, read to its last byte and no further; whatever is malformed is a cut.

The specification is HAProxy's "The PROXY protocol", 2020/03/05. Who may send one is the front's business.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from doorward.values.peer import Address

MAX_V1: Final = 107  # section 2.1, with its CR LF
MAX_V2: Final = 4096  # ours: addresses and a few TLVs; the format could say 64 KiB
SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"

_V2_FIXED: Final = 16
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6, _UNSPEC = 0x11, 0x21, 0x00
_TYPE_SSL: Final = 0x20
_CLIENT_SSL: Final = 0x01


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a header says. `size`: its bytes. `address` None: the proxy speaks for itself, or cannot say for whom.

    `tls`: what version 2's TLS TLV says of the client's own leg; None where there is none.
    """

    size: int
    address: Address | None = None
    tls: bool | None = None


class Malformed:
    """It is no PROXY header, or a lying one."""


MALFORMED: Final = Malformed()


def read_proxy(data: bytes) -> Proxied | Malformed | None:
    """The header at the beginning of `data`; None when more bytes are needed to know."""
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _read_v2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _read_v1(data)
    return MALFORMED


def _read_v1(data: bytes) -> Proxied | Malformed | None:
    """Section 2.1: one line of ASCII, at most 107 bytes."""
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        return None if len(data) < MAX_V1 else MALFORMED
    try:
        words = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        return MALFORMED
    if words[1] == "UNKNOWN":
        return Proxied(end + 2)
    if len(words) != 6 or words[1] not in {"TCP4", "TCP6"}:
        return MALFORMED
    source, destination = (_address(word, words[1]) for word in words[2:4])
    if source is None or destination is None or not all(map(_is_port, words[4:])):
        return MALFORMED
    return Proxied(end + 2, address=source)


def _address(word: str, family: str) -> Address | None:
    try:
        found = ip_address(word)
    except ValueError:
        return None
    wanted = IPv4Address if family == "TCP4" else IPv6Address
    return found if isinstance(found, wanted) and "%" not in word else None


def _is_port(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 5 and str(int(word)) == word and int(word) <= 65535


def _read_v2(data: bytes) -> Proxied | Malformed | None:
    """Section 2.2: a signature, a command, a family, a length, the addresses, and TLVs that fill the length exactly."""
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):
        return MALFORMED
    if len(data) < _V2_FIXED:
        return None
    command, family = data[12], data[13]
    size = _V2_FIXED + int.from_bytes(data[14:16])
    if size > MAX_V2:
        return MALFORMED
    if len(data) < size:
        return None
    if command == _LOCAL:  # the proxy's own, as for a health check: what else stands there is to be skipped
        return Proxied(size)
    body = data[_V2_FIXED:size]
    addresses = {_TCP4: 12, _TCP6: 36, _UNSPEC: 0}.get(family)
    if addresses is None or len(body) < addresses:
        return MALFORMED
    tls = _read_tlvs(body[addresses:])
    if isinstance(tls, Malformed):
        return MALFORMED
    if family == _TCP4:
        return Proxied(size, address=IPv4Address(body[:4]), tls=tls)
    if family == _TCP6:
        return Proxied(size, address=IPv6Address(body[:16]), tls=tls)
    return Proxied(size, tls=tls)


def _read_tlvs(body: bytes) -> bool | Malformed | None:
    """Section 2.2.6: only PP2_TYPE_SSL tells us something; but every length must be true."""
    tls: bool | None = None
    at = 0
    while at < len(body):
        if len(body) - at < 3:
            return MALFORMED
        kind, length = struct.unpack_from("!BH", body, at)
        value = body[at + 3 : at + 3 + length]
        if len(value) != length:
            return MALFORMED
        if kind == _TYPE_SSL:
            if tls is not None or length < 5 or isinstance(_read_tlvs(value[5:]), Malformed):
                return MALFORMED
            tls = bool(value[0] & _CLIENT_SSL)
        at += 3 + length
    return tls
