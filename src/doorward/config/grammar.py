"""The small languages of the configuration: durations, sizes, rates, networks, addresses, origins. Text in, value out.

Every parser takes what TOML or JSON gave and raises GrammarError, whose text and hint never repeat what was written: it
could be a secret in the wrong place. The printers give back the shortest form that parses to the same value.
"""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from doorward.core.origins import is_origin
from doorward.values.rules import Network, Rate

_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)?")
_RATE: Final = re.compile(r"([0-9]{1,9})/(s|min|h|d)(?: burst ([0-9]{1,9}))?")
_HOST: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?)*"
)
_ORIGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)(.*)", re.DOTALL)
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~\-]+)+")

SECONDS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
BYTES: Final = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
PERIODS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class GrammarError(ValueError):
    """Not in the grammar. `hint` says what would be."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class Listen(NamedTuple):
    """Where to listen: an IP address without brackets, or "localhost"; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return self.host == "localhost" or ip_address(self.host).is_loopback

    @property
    def is_every_address(self) -> bool:
        return self.host != "localhost" and ip_address(self.host).is_unspecified

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def text_of(value: object, what: str) -> str:
    """The text that a grammar wants. Raises GrammarError for another type."""
    if not isinstance(value, str):
        raise GrammarError(f"must be {what}, as text in quotes")
    return value


def duration(value: object) -> float:
    """Seconds of "500ms", "30s", "10m", "12h", "30d"."""
    match = _DURATION.fullmatch(text_of(value, 'a duration such as "30s"'))
    if match is None:
        raise GrammarError("is not a duration", hint='a number and ms, s, m, h or d: "30s", "10m", "12h"')
    return round(float(match[1]) * SECONDS[match[2]], 6)


def show_duration(seconds: float) -> str:
    for unit, factor in SECONDS.items():
        count = seconds / factor
        if seconds and count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def size(value: object) -> int:
    """Bytes of "64KiB", "1MiB", or of a plain number."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise GrammarError("is a size below zero")
        return value
    match = _SIZE.fullmatch(text_of(value, 'a size such as "64KiB", or a number of bytes'))
    if match is None:
        raise GrammarError("is not a size", hint='a number and B, KiB, MiB or GiB: "64KiB"; a plain number is bytes')
    return int(match[1]) * BYTES[match[2] or "B"]


def show_size(count: int) -> str | int:
    for unit, factor in BYTES.items():
        if unit != "B" and count >= factor and count % factor == 0:
            return f"{count // factor}{unit}"
    return count


def rate(value: object) -> Rate:
    """A Rate of "100/min" or "10/s burst 50"; the burst is the count unless it is given."""
    match = _RATE.fullmatch(text_of(value, 'a rate such as "100/min"'))
    if match is None:
        raise GrammarError(
            "is not a rate", hint='a count per s, min, h or d, perhaps with a burst: "100/min", "10/s burst 50"'
        )
    count = int(match[1])
    burst = int(match[3]) if match[3] is not None else count
    if count < 1 or burst < 1:
        raise GrammarError("is a rate of nothing", hint="a count and a burst are at least 1")
    return Rate(count=count, period=PERIODS[match[2]], burst=burst)


def steady_rate(value: object) -> Rate:
    """A Rate that is kept to at every moment: it has no burst."""
    found = rate(value)
    if " " in text_of(value, "a rate"):
        raise GrammarError("takes no burst", hint='a count per s, min, h or d: "200/s"')
    return found


def show_rate(value: Rate) -> str:
    unit = next(name for name, seconds in PERIODS.items() if seconds == value.period)
    text = f"{value.count}/{unit}"
    return text if value.burst == value.count else f"{text} burst {value.burst}"


def network(value: object) -> Network:
    """An address range such as 10.0.0.0/8, or one address."""
    text = text_of(value, 'a network such as "10.0.0.0/8"')
    try:
        found: IPv4Network | IPv6Network = ip_network(text, strict=True)
    except ValueError:
        try:
            better = ip_network(text, strict=False)
        except ValueError:
            raise GrammarError(
                "is not a network", hint='an address or a range: "10.0.0.0/8", "2001:db8::/32"'
            ) from None
        raise GrammarError("is an address with a range's length", hint=f'the range is "{better}"') from None
    if isinstance(found.network_address, IPv6Address) and found.network_address.ipv4_mapped is not None:
        raise GrammarError("is an IPv4 address in IPv6 form", hint="peers are compared in IPv4 form: write it so")
    return found


def show_network(value: Network) -> str:
    return str(value.network_address) if value.prefixlen == value.max_prefixlen else str(value)


def listen(value: object) -> Listen:
    """An address and port: "127.0.0.1:8800", "[::1]:8800", "0.0.0.0:443"."""
    text = text_of(value, 'an address and port such as "127.0.0.1:8800"')
    host, colon, port = text.rpartition(":")
    number = _port(port)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or number is None or (":" in bare and bare == host):
        raise GrammarError("is not an address and port", hint='"127.0.0.1:8800"; IPv6 in brackets: "[::1]:8800"')
    if bare != "localhost":
        try:
            bare = str(ip_address(bare))
        except ValueError:
            hint = 'an IP address or "localhost"; "0.0.0.0" or "[::]" for every address of the machine'
            raise GrammarError("is not an address of this machine", hint=hint) from None
    return Listen(bare, number)


def _port(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535 or str(int(text)) != text:
        return None
    return int(text)


def host(value: object) -> str:
    """A name of ours as it stands in Host, without port: lower case, IPv6 in brackets."""
    text = text_of(value, "a host name")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare:
        try:
            return f"[{IPv6Address(bare)}]"
        except ValueError:
            raise GrammarError("is not a host name", hint="the name alone, without scheme, port and path") from None
    if "*" in text:
        raise GrammarError("is a wildcard", hint="hosts are listed one by one: a Host is accepted exactly or not")
    if not _HOST.fullmatch(text.lower()):
        raise GrammarError("is not a host name", hint="the name alone, without scheme, port and path")
    return text.lower()


def host_and_port(value: object) -> str:
    """A Host header's value: a name, perhaps with a port."""
    text = text_of(value, "a host name, perhaps with a port")
    name, colon, port = text.rpartition(":")
    if colon and not text.endswith("]"):
        if not _port(port) or (":" in name.strip("[]") and not name.startswith("[")):
            raise GrammarError("is not a host and port", hint='"chat.internal" or "chat.internal:9000"')
        return f"{host(name)}:{port}"
    return host(text)


def origin(value: object) -> str:
    """A serialised origin, exactly as a browser sends it: the one form that can ever match (RFC 6454 section 6.1)."""
    text = text_of(value, 'an origin such as "https://app.example.com"')
    if text == "null":
        hint = "null is what every sandboxed frame and local file sends: it would let in any page of the web"
        raise GrammarError("is no origin that may be allowed", hint=hint)
    if "*" in text:
        raise GrammarError("is a wildcard", hint="origins are listed one by one, exactly: scheme://host[:port]")
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise GrammarError("is not an origin", hint="scheme://host[:port], as the browser sends it")
    scheme, authority, rest = match[1].lower(), match[2], match[3]
    if "@" in authority:
        raise GrammarError("has a user name in it", hint="scheme://host[:port], and nothing else")
    if not authority.isascii():
        raise GrammarError("has letters outside ASCII", hint="write the host's xn-- form: that is what browsers send")
    if scheme in {"ws", "wss", "file", "data", "blob"}:
        raise GrammarError(
            "can't be an origin", hint="the origin is the page's, so its scheme is https (or http on loopback)"
        )
    normal = f"{scheme}://{_without_default_port(scheme, authority.lower())}"
    if not is_origin(normal):
        raise GrammarError("is not an origin", hint="scheme://host[:port], as the browser sends it")
    if rest or normal != text:
        raise GrammarError("is not in the form that browsers send", hint=f'write "{normal}"')
    return normal


def _without_default_port(scheme: str, authority: str) -> str:
    default = DEFAULT_PORTS.get(scheme)
    return authority.removesuffix(f":{default}") if default is not None else authority


def public_url(value: object) -> str:
    """Our own origin: http or https, and nothing after the port."""
    found = origin(value)
    if not found.startswith(("https://", "http://")):
        raise GrammarError("must begin with https://", hint='the address that clients use: "https://rt.example.com"')
    return found


def prefix(value: object) -> str:
    """The path before our own endpoints, or "" for none of them."""
    text = text_of(value, 'a path such as "/auth"')
    if text and not _PREFIX.fullmatch(text):
        raise GrammarError("is not a prefix", hint='it begins with a slash and ends without one: "/auth"; "" for none')
    if {".", ".."} & set(text.split("/")):
        raise GrammarError("holds a dot segment", hint="such a path never arrives")
    return text


def origin_of_listen(where: Listen, *, tls: bool) -> str:
    """The origin under which a loopback listener is reached; without a port where the system will choose it."""
    scheme = "https" if tls else "http"
    if not where.port:
        return f"{scheme}://{bracketed(where.host)}"
    return f"{scheme}://{_without_default_port(scheme, str(where))}"
