"""What a fuzzer throws bytes at, and what must hold whatever they are: a target takes bytes, and raises where not.

No target knows the fuzzer: tests/fuzz/__main__.py drives them by coverage, test_targets.py by a fixed list of seeds.
Where another implementation is at hand it is asked too: what we let through, it must read as we did.
"""

import base64
import json
import re
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import pairwise
from time import thread_time
from typing import Any, Final
from urllib.parse import unquote

import h11
import httptools

from doorward.adapters.gateway.heads import Head
from doorward.adapters.gateway.proxy_protocol import Malformed as NoProxy
from doorward.adapters.gateway.proxy_protocol import Proxied, read_proxy
from doorward.config import grammar, patterns
from doorward.config.load import load
from doorward.core.auditing import clean, mask, mask_target
from doorward.core.control import PREFIX, Auth, Malformed, Ping, parse_control
from doorward.core.forwarding import backend_headers, backend_target, clean_query
from doorward.core.frames import Walker
from doorward.core.handshakes import decode_path, parse_head, read_parts, upgrade_fault
from doorward.core.origins import is_origin, judge_origin
from doorward.core.peering import peer_of, presumed_peer
from doorward.core.reading import csrf_of, read
from doorward.core.routing import find_route
from doorward.core.scopes import handshake_of_scope, wire_of_scope
from doorward.core.tokens import encode_segment, parse_token
from doorward.core.verifying import original_of
from doorward.values.credential import Kind, Place
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake
from doorward.values.message import FrameRules, PeerClosed, Recognise, Violation
from doorward.values.peer import Wire
from doorward.values.rules import ForwardedHeader, Rate, WithoutOrigin
from doorward.values.token import SignedToken
from tests.unit.core.framing import joined, passed
from tests.unit.core.making import ORIGIN, peer, principal, route, rules

MOST: Final = 0.5
"""Seconds of CPU that no input of a few tens of KiB may take: far beyond what any needs, far below a quadratic one."""

EVERYTHING = route("/{rest*}", backend="ws://b/x/{rest}", credentials=frozenset(Kind), places=frozenset(Place))
LAW = rules(EVERYTHING, route("/chat/{room}"))
PROXY, CLIENT = ip_address("10.0.0.7"), ip_address("203.0.113.9")
BEHIND = {
    kind: replace(LAW, trusted_proxies=(ip_network("10.0.0.0/8"),), forwarded_header=kind)
    for kind in (ForwardedHeader.X_FORWARDED_FOR, ForwardedHeader.FORWARDED)
}


class Feed:
    """Takes choices off the front of the input; at its end all are nought."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, most: int) -> int:
        """0 … most, of one byte, or of two where one is too few."""
        width = 1 if most < 256 else 2
        taken, self.data = self.data[:width], self.data[width:]
        return int.from_bytes(taken) % (most + 1)

    def rest(self) -> bytes:
        data, self.data = self.data, b""
        return data

    def pieces(self, data: bytes, cuts: int) -> list[bytes]:
        places = sorted({0, len(data), *(self.number(len(data)) for _ in range(cuts))})
        return [data[start:end] for start, end in pairwise(places)]


# ---- heads -----------------------------------------------------------------------------------------------------------


def head(data: bytes) -> None:
    """A head has one meaning or none: said again it is the same, and two other parsers read what we read."""
    found = parse_head(data)
    if isinstance(found, Deny):
        return
    again = f"{found.method} {found.target} {found.version}\r\n"
    again += "".join(f"{name}: {value}\r\n" for name, value in found.headers) + "\r\n"
    assert parse_head(again.encode("latin-1")) == found
    lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.headers]
    parts = read_parts(method=found.method, target=found.target, version=found.version, headers=lines)
    assert parts == found, (parts, found)
    segments = found.path.split("/")
    assert not {".", ".."} & set(segments), found.path
    assert found.path.count("/") == found.target.partition("?")[0].count("/")
    _nothing_raises(found)
    if upgrade_fault(found, LAW, routed=True) is None:
        _others_agree(data, found)


def _nothing_raises(found: Handshake) -> None:
    read(found, EVERYTHING)
    csrf_of(found)
    routed = find_route(LAW.routes, found.path)
    assert routed is not None
    target = backend_target(found, EVERYTHING.backend or "", routed[1])
    assert target.isascii(), target
    assert target.isprintable(), target
    assert " " not in target
    for shown in (clean(mask(found.target)), mask_target(found.target)):
        assert not set(shown) & set("\r\n\x00\x1b\u2028")
    names = [
        name.lower().replace("_", "-")
        for name, value in backend_headers(
            found, route=EVERYTHING, peer=peer(), principal=principal(), connection="c", protocols=(), deflate=False
        )
        if not _splits(value)
    ]
    ours = [name for name in names if name.startswith("x-doorward-") or name in ("host", "forwarded", "connection")]
    assert len(set(ours)) == len(ours), ours
    assert "authorization" not in names


def _splits(value: str) -> bool:
    assert not set(value) & {"\r", "\n", "\x00"}, value
    return False


class _Seen:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.whole = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.whole = True


def _others_agree(data: bytes, found: Handshake) -> None:
    """An upgrade that we let through is to every backend what it is to us (the one thing that smuggling needs)."""
    ours = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.headers]
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    with suppress(httptools.HttpParserUpgrade):
        parser.feed_data(data)
    assert seen.whole, data
    assert seen.url.decode("latin-1") == found.target, (seen.url, found.target)
    assert parser.get_method().decode() == found.method
    assert seen.headers == ours, (seen.headers, ours)
    other = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    other.receive_data(data.lstrip(b"\r\n"))
    event = other.next_event()
    assert isinstance(event, h11.Request), event
    assert [(bytes(name), bytes(value)) for name, value in event.headers] == ours
    assert event.target.decode("latin-1") == found.target


def collecting(data: bytes) -> None:
    """A head that comes in pieces is the same head, with the same rest, as one that comes whole."""
    feed = Feed(data)
    cuts = feed.number(6)
    choices, octets = feed.data[: 2 * cuts], feed.data[2 * cuts :]
    pieces = Feed(choices).pieces(octets, cuts)
    whole, parted = Head(), Head()
    expected: bool | Deny = whole.add(octets)
    got: bool | Deny = False
    rest = list(pieces)
    while rest and got is False:
        got = parted.add(rest.pop(0))
    if expected is True and got is True:
        assert whole.head == parted.head
        assert whole.surplus == parted.surplus + b"".join(rest)
    elif expected is False:
        assert got is False, (got, pieces)
    elif isinstance(expected, Deny):
        # a shorter beginning may look like a head already, and then its grammar refuses it
        assert isinstance(got, Deny) or (got is True and isinstance(parse_head(parted.head), Deny)), (expected, pieces)
    else:
        # in pieces it may be seen sooner that it can be none; whole, its grammar says so
        assert isinstance(got, Deny), (got, pieces)
        assert isinstance(parse_head(whole.head), Deny), (whole.head, got)


def scope(data: bytes) -> None:
    """Whatever a server puts into an ASGI scope, or a proxy asks at /verify, is judged and raises nothing."""
    feed = Feed(data)
    choice = feed.number(7)
    lines = [tuple((line + b"\x01").split(b"\x01")[:2]) for line in feed.rest().split(b"\n")]
    target = lines[0][0]
    claimed: dict[str, Any] = {
        "type": "websocket",
        "method": "GET",
        "http_version": ("1.1", "1.0", "2", "1.1")[choice % 4],
        "raw_path": target,
        "query_string": lines[0][1],
        "headers": lines[1:],
        "subprotocols": ["a", "\u20ac"] if choice > 3 else [],
        "client": ("10.0.0.7", choice),
        "scheme": "ws",
    }
    found = handshake_of_scope(claimed)
    wire = wire_of_scope(claimed)
    if isinstance(found, Deny):
        return
    for name, value in found.headers:
        assert not set(value) & {"\r", "\n", "\x00"}, (name, value)
    law = BEHIND[ForwardedHeader.X_FORWARDED_FOR]
    presumed_peer(wire, found, law)
    asked = original_of(found, Wire(PROXY, port=1), law)
    if isinstance(asked, Handshake):
        assert {".", ".."}.isdisjoint(asked.path.split("/"))
        upgrade_fault(asked, law, routed=True)


def path(data: bytes) -> None:
    """One decoding, one meaning: what is accepted has as many segments decoded as raw, and none that climbs."""
    target = data.decode("latin-1")
    found = decode_path(target)
    if isinstance(found, Deny):
        return
    raw = target.partition("?")[0]
    assert found == unquote(raw, errors="strict")
    assert found.startswith("/")
    assert "//" not in found
    assert "\\" not in found
    assert len(found.split("/")) == len(raw.split("/"))
    assert {".", ".."}.isdisjoint(part.partition(";")[0] for part in found.split("/"))
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", found)
    find_route(LAW.routes, found)
    cleaned = clean_query(target.partition("?")[2])
    assert clean_query(cleaned) == cleaned


# ---- frames ----------------------------------------------------------------------------------------------------------


def frames(data: bytes) -> None:
    """However a stream is cut, the walker says the same; once a rule is broken, not one byte more passes."""
    feed = Feed(data)
    traits = feed.number(255)
    terms = FrameRules(
        masked=bool(traits & 1),
        message_size=(None, 65536, 200, 10)[traits >> 1 & 3],
        frames_per_message=(1024, 3)[traits >> 3 & 1],
        empty_frames_per_message=(16, 1)[traits >> 3 & 1],
        message_rate=(None, Rate(3, 1.0, 3))[traits >> 4 & 1],
        control_rate=(None, Rate(2, 1.0, 2))[traits >> 4 & 1],
        refusals_before_close=(None, 1)[traits >> 5 & 1],
        deflate=bool(traits >> 5 & 1),
        control_messages=list(Recognise)[(traits >> 6) % len(Recognise)],
        control_message_size=(20, 8192)[traits >> 7 & 1],
        json_ping=bool(traits & 8),
        own_ping_marker=(None, b"{")[traits >> 2 & 1],
    )
    cuts = feed.number(6)
    choices, octets = feed.data[: 2 * cuts], feed.data[2 * cuts :]
    whole, parted, bytewise = Walker(terms), Walker(terms), Walker(terms)
    said = joined(whole.feed(octets, 5.0))
    pieces = Feed(choices).pieces(octets, cuts)
    assert said == joined(piece for chunk in pieces for piece in parted.feed(chunk, 5.0)), pieces
    if len(octets) < 400:
        single = [octets[at : at + 1] for at in range(len(octets))]
        assert said == joined(piece for chunk in single for piece in bytewise.feed(chunk, 5.0))
    ends = [place for place, piece in enumerate(said) if isinstance(piece, Violation | PeerClosed)]
    if ends and isinstance(said[ends[0]], Violation):
        assert said[ends[0] + 1 :] == [], said
        assert whole.feed(octets, 5.0) == []
    # with nothing to take out of it, what passes is a beginning of what came
    if terms.control_messages is Recognise.OFF and not terms.json_ping and terms.message_rate is None:
        assert octets.startswith(passed(said)) or terms.own_ping_marker is not None
    _frames_are_whole(passed(said), masked=terms.masked)


def _frames_are_whole(stream: bytes, *, masked: bool) -> None:
    """What passed is a row of frames of the right direction, the last one perhaps still on its way."""
    at = 0
    while at + 2 <= len(stream):
        assert bool(stream[at + 1] & 0x80) is masked, stream[at : at + 14]
        assert stream[at] & 0x30 == 0
        assert stream[at] & 0x0F in (0, 1, 2, 8, 9, 10)
        length, size = stream[at + 1] & 0x7F, 2
        if length > 125:
            width = 2 if length == 126 else 8
            if at + 2 + width > len(stream):
                return
            length, size = int.from_bytes(stream[at + 2 : at + 2 + width]), 2 + width
        at += size + (4 if masked else 0) + length


# ---- credentials and messages ----------------------------------------------------------------------------------------


def token(data: bytes) -> None:
    """A token that is taken apart can be put together again, byte for byte; json reads in it what we read."""
    text = data.decode("utf-8", "replace")
    begun = thread_time()
    found = parse_token(text)
    assert thread_time() - begun < MOST
    if isinstance(found, Deny):
        return
    assert isinstance(found, SignedToken)
    assert found.signing_input.decode() + "." + encode_segment(found.signature) == text
    body = found.signing_input.split(b".")[1]
    raw = base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4))
    assert json.loads(raw) == dict(found.claims)
    assert found.issuer == found.claims["iss"]


def shaped_token(data: bytes) -> None:
    """The same, with the base64url done: header, claims and signature are what the input says."""
    header, _, rest = data.partition(b"\x00")
    claims, _, signature = rest.partition(b"\x00")
    token(b".".join(encode_segment(part).encode() for part in (header, claims, signature)))


def control(data: bytes) -> None:
    begun = thread_time()
    said = parse_control(data)
    assert thread_time() - begun < MOST
    match said:
        case Auth(credential, identifier):
            assert credential.secret.expose().encode() is not None
            assert identifier is None or len(identifier) <= 128
            assert json.loads(data)["type"] == "doorward.auth"
        case Ping():
            assert json.loads(data)["type"] == "doorward.ping"
        case Malformed(note):
            assert note
    parse_control(PREFIX + data)


def origin(data: bytes) -> None:
    """Only what stands on the list, letter for letter, comes in."""
    text = data.decode("latin-1")
    fault = judge_origin(text, frozenset({ORIGIN}), WithoutOrigin.ALLOW)
    assert (fault is None) is (text == ORIGIN)
    try:
        listed = grammar.origin(text)
    except grammar.GrammarError:
        return
    # what the configuration takes can match, and is taken again as it is
    assert is_origin(listed), (text, listed)
    assert grammar.origin(listed) == listed
    assert judge_origin(listed, frozenset({listed}), WithoutOrigin.REFUSE) is None


# ---- proxies ---------------------------------------------------------------------------------------------------------


def forwarding(data: bytes) -> None:
    """Whatever a client writes, the address that the trusted proxy adds is the one that counts (PX-06)."""
    feed = Feed(data)
    chained = bool(feed.number(1))
    lines = [
        line
        for line in (
            re.sub(r"[\x00-\x08\x0a-\x1f\x7f-\xff]", "", part.decode("latin-1")) for part in feed.rest().split(b"\n")
        )
        if line
    ][:20]
    for kind, name, add in (
        (ForwardedHeader.X_FORWARDED_FOR, "X-Forwarded-For", str(CLIENT)),
        (ForwardedHeader.FORWARDED, "Forwarded", f"for={CLIENT};proto=https"),
    ):
        said = [f"{name}: {line}" for line in lines]
        said = [*said[:-1], f"{said[-1]}, {add}"] if chained and said else [*said, f"{name}: {add}"]
        asked = parse_head(_with(said))
        if isinstance(asked, Deny):
            continue
        begun = thread_time()
        judged = peer_of(Wire(PROXY, port=1, tls=True), asked, BEHIND[kind])
        assert thread_time() - begun < MOST
        presumed = presumed_peer(Wire(PROXY, port=1, tls=True), asked, BEHIND[kind])
        assert presumed.address == CLIENT, (kind, said)
        assert isinstance(judged, Deny) or judged.address == CLIENT, (kind, said)


def _with(lines: list[str]) -> bytes:
    base = "GET /chat/a HTTP/1.1\r\nHost: gw.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return (base + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def proxy(data: bytes) -> None:
    """A PROXY header is the same however much of what follows has come, and nothing shorter is one."""
    for lead in (b"", b"\r\n\r\n\x00\r\nQUIT\n", b"PROXY "):
        octets = lead + data
        found = read_proxy(octets)
        if found is None:
            continue
        if isinstance(found, NoProxy):
            assert isinstance(read_proxy(octets + b"x"), NoProxy)
            continue
        assert isinstance(found, Proxied)
        assert 0 < found.size <= len(octets)
        assert read_proxy(octets[: found.size] + b"\xff" * 9) == found
        assert read_proxy(octets[: found.size - 1]) is None, octets


# ---- configuration ---------------------------------------------------------------------------------------------------

_READERS: Final[tuple[Callable[[object], object], ...]] = (
    grammar.duration,
    grammar.size,
    grammar.rate,
    grammar.network,
    grammar.listen,
    grammar.host,
    grammar.host_and_port,
    grammar.origin,
    grammar.public_url,
    grammar.prefix,
    patterns.path_pattern,
    patterns.backend,
    patterns.template,
    patterns.permission,
    patterns.granted,
)


def words(data: bytes) -> None:
    """Each little language takes a text or says what is wrong with it; what it shows, it takes again."""
    text = data.decode("utf-8", "replace")
    for reader in _READERS:
        begun = thread_time()
        with suppress(grammar.GrammarError):
            reader(text)
        assert thread_time() - begun < MOST, reader
    with suppress(grammar.GrammarError):
        seconds = grammar.duration(text)
        assert grammar.duration(grammar.show_duration(seconds)) == seconds, text
    with suppress(grammar.GrammarError):
        rate = grammar.rate(text)
        assert grammar.rate(grammar.show_rate(rate)) == rate, text


def configuration(data: bytes) -> None:
    """Any TOML is a configuration or a list of problems."""
    try:
        tree = tomllib.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return
    found = load(None, environment={}, tree=tree, open_files=20000)
    if isinstance(found, list):
        assert found
        assert all(str(problem.text) for problem in found)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        head,
        collecting,
        scope,
        path,
        frames,
        token,
        shaped_token,
        control,
        origin,
        forwarding,
        proxy,
        words,
        configuration,
    )
}
