"""Any chain of hops: the client's address is the right-most that is no proxy, whatever stands to its left."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.peering import is_in, peer_of
from doorward.values.decision import Deny, Reason
from doorward.values.handshake import Handshake
from doorward.values.peer import Peer, Wire
from doorward.values.rules import ForwardedHeader
from tests.unit.core.making import handshake, rules

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY = ip_address("10.0.0.5")
OPEN = handshake(authorization=None)

strangers = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(
    lambda address: not is_in(address, TRUSTED) and getattr(address, "ipv4_mapped", None) is None
)
trusted = st.one_of(st.ip_addresses(network="10.0.0.0/8"), st.ip_addresses(network="fd00::/8"))
junk = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), max_size=20)
ports = st.sampled_from(["", ":1", ":65535"])


def with_header(name: str, *values: str) -> Handshake:
    more = tuple((name, value) for value in values)
    by_name = {**OPEN.by_name, name: tuple(values), "x-forwarded-proto": ("https",)}
    return Handshake(OPEN.method, OPEN.target, OPEN.path, OPEN.query, OPEN.version, OPEN.headers + more, by_name)


def seen(header: ForwardedHeader, *values: str) -> Peer | Deny:
    law = rules(trusted_proxies=TRUSTED, forwarded_header=header)
    return peer_of(Wire(PROXY), with_header(header.value, *values), law)


def written(address: object, port: str) -> str:
    text = str(address)
    return f"[{text}]{port}" if ":" in text and port else f"{text}{port}"


@given(
    st.lists(junk | strangers.map(str) | trusted.map(str), max_size=5), strangers, ports, st.lists(trusted, max_size=4)
)
def test_what_stands_left_of_the_client_changes_nothing(left, client, port, right) -> None:
    hops = [*left, written(client, port), *map(str, right)]
    found = seen(ForwardedHeader.X_FORWARDED_FOR, ", ".join(hops))
    assert isinstance(found, Peer)
    assert found.address == client
    assert (found.direct, found.secure, found.forwarded) == (PROXY, True, True)


@given(st.lists(st.lists(junk | strangers.map(str) | trusted.map(str), min_size=1, max_size=3), min_size=1, max_size=4))
def test_lines_are_one_list(lines) -> None:
    apart = seen(ForwardedHeader.X_FORWARDED_FOR, *[",".join(line) for line in lines])
    joined = seen(ForwardedHeader.X_FORWARDED_FOR, ",".join(",".join(line) for line in lines))
    assert apart == joined


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80), st.sampled_from(ForwardedHeader))
def test_any_text_is_an_address_or_the_proxys_own(text, header) -> None:
    found = seen(header, text)
    if isinstance(found, Deny):
        assert found.reason is Reason.TRANSPORT_INSECURE
        return
    assert found.address is not None
    if found.address != PROXY:
        plain = text.lower().replace(" ", "")
        assert header is ForwardedHeader.X_FORWARDED_FOR or "for=" in plain


@given(strangers, st.lists(strangers, max_size=3))
def test_forwarded_says_the_same_as_x_forwarded_for(client, left) -> None:
    quoted = [f'for="[{address}]"' if address.version == 6 else f"for={address}" for address in [*left, client]]
    found = seen(ForwardedHeader.FORWARDED, ", ".join(f"{element};proto=https" for element in quoted))
    assert isinstance(found, Peer)
    assert found.address == client


@given(strangers, st.booleans(), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30))
def test_no_header_of_a_stranger_changes_who_it_is(client, tls, text) -> None:
    for name in ("x-forwarded-for", "forwarded", "x-forwarded-proto", "x-real-ip"):
        found = peer_of(Wire(client, tls=tls), with_header(name, text), rules(trusted_proxies=TRUSTED))
        if isinstance(found, Peer):
            assert (found.address, found.direct, found.forwarded) == (client, client, False)
            assert tls or client.is_loopback
