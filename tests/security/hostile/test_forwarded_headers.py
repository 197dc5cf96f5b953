"""B2: who a peer is, is never its own word: by no header, by no PROXY line, for no log, rate or ban (PX)."""

import json
import socket
import struct
from collections.abc import Iterator

import pytest

from doorward.values.ban import Ban
from tests.security.hostile.attacking import (
    Peer,
    aftermath,
    before,
    enter,
    good_client,
    head,
    judge_refusal,
    parse,
    refused,
)
from tests.security.hostile.standing import Standing, standing, until

CLIENT = "203.0.113.7"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A gateway whose every peer is a trusted proxy, with strict rates for refusals."""
    with standing(
        tmp_path_factory.mktemp("behind"),
        server={"trusted_proxies": ["127.0.0.0/8"]},
        cluster_limits={"refusals_per_address": "5/min"},
    ) as gateway:
        good_client(gateway)
        yield gateway


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(
        tmp_path_factory.mktemp("proxied"),
        server={"trusted_proxies": ["127.0.0.0/8"], "forwarded_header": "proxy-protocol"},
    ) as gateway:
        yield gateway


UNTRUSTED = [
    "X-Forwarded-For: 10.0.0.1",
    "x-forwarded-for: 203.0.113.9",
    "Forwarded: for=9.9.9.9;proto=https",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: app.test",
    "X-Real-IP: 203.0.113.9",
    "CF-Connecting-IP: 203.0.113.9",
    "True-Client-IP: 203.0.113.9",
    "Via: 1.1 proxy",
]


@pytest.mark.parametrize("line", UNTRUSTED, ids=lambda line: line.partition(":")[0])
def test_px05_px09_a_neighbour_that_forwards_untrusted_is_refused(siege: Standing, line: str) -> None:
    sent = head(token=siege.token(siege.name()), extra=[line])
    record = refused(siege, sent, status=403, reason="forwarder_untrusted")
    assert record["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    "line", ["X_Forwarded_For: 203.0.113.9", "X.Forwarded.For: 203.0.113.9", "X-Original-URL: /admin/a", "X-Host: evil"]
)
def test_px10_what_nobody_reads_changes_nothing(siege: Standing, line: str) -> None:
    subject = siege.name()
    with enter(siege, subject, extra=[line]):
        pass
    assert siege.record(subject=subject, kind="handshake")["address"] == "127.0.0.1"
    assert b"203.0.113.9" not in siege.backend.head_of(subject)
    assert b"evil" not in siege.backend.head_of(subject)


CHAINS = [
    ("6.6.6.6, 203.0.113.7", CLIENT),
    ("203.0.113.7", CLIENT),
    ("6.6.6.6, 203.0.113.7, 127.0.0.9", CLIENT),
    ("203.0.113.7:4711", CLIENT),
    ("::ffff:203.0.113.7", CLIENT),
    ("[2001:db8::7]:443", "2001:db8::7"),
    ("127.0.0.1\r\nX-Forwarded-For: 203.0.113.7", CLIENT),
    ("203.0.113.7\r\nX-Forwarded-For: unknown", "127.0.0.1"),
    ("6.6.6.6, _hidden", "127.0.0.1"),
    ("6.6.6.6, 999.1.1.1", "127.0.0.1"),
    ("6.6.6.6, 203.0.113.7%eth0", "127.0.0.1"),
    ("6.6.6.6, 0x7f000001", "127.0.0.1"),
    ("6.6.6.6, 010.0.0.1", "127.0.0.1"),
    ("6.6.6.6,", "127.0.0.1"),
    ("", "127.0.0.1"),
]


@pytest.mark.parametrize(("chain", "address"), CHAINS)
def test_px06_the_right_most_untrusted_hop_counts(behind: Standing, chain: str, address: str) -> None:
    subject = behind.name()
    with enter(behind, subject, extra=[f"X-Forwarded-For: {chain}", "X-Forwarded-Proto: https"]):
        pass
    assert behind.record(subject=subject, kind="handshake")["address"] == address
    seen = behind.backend.head_of(subject).decode()
    assert f"X-Forwarded-For: {address}\r\n" in seen
    assert "6.6.6.6" not in seen


def test_px08_the_other_header_is_not_read(behind: Standing) -> None:
    subject = behind.name()
    lines = ["Forwarded: for=9.9.9.9", f"X-Forwarded-For: {CLIENT}", "X-Forwarded-Proto: https", "X-Real-IP: 8.8.8.8"]
    with enter(behind, subject, extra=lines):
        pass
    assert behind.record(subject=subject, kind="handshake")["address"] == CLIENT
    assert b"9.9.9.9" not in behind.backend.head_of(subject)


@pytest.mark.parametrize("proto", ["http", "https, http", "http, https", "ws", "https;", "", "HTTP"])
def test_px09_a_way_that_is_not_tls_all_along_is_refused(behind: Standing, proto: str) -> None:
    sent = head(
        token=behind.token(behind.name()), extra=["X-Forwarded-For: 203.0.113.99", f"X-Forwarded-Proto: {proto}"]
    )
    refused(behind, sent, status=403, reason="transport_insecure")


EARLY = {
    "step 2": (head(Sec_WebSocket_Key="bad", extra=["X-Forwarded-For: {}", "X-Forwarded-Proto: https"]), 400),
    "host": (head(Host="evil.example", extra=["X-Forwarded-For: {}", "X-Forwarded-Proto: https"]), 421),
    "method": (head(method="PUT", extra=["X-Forwarded-For: {}", "X-Forwarded-Proto: https"]), 405),
}


@pytest.mark.parametrize("case", EARLY)
def test_a_malformed_handshake_is_the_clients_and_not_its_proxys(behind: Standing, case: str) -> None:
    """fail2ban reads the plain line. If it named the proxy, one client could have the proxy banned for everybody."""
    sent, status = EARLY[case]
    client = f"198.51.100.{[*EARLY].index(case) + 1}"
    was = before(behind)
    with Peer(behind) as peer:
        peer.send(sent.replace(b"{}", client.encode()))
        judge_refusal(peer.answer(), status)
    (record,) = aftermath(behind, was)
    assert (record["address"], record["direct"]) == (client, "127.0.0.1")
    until(lambda: f"refused {client} ".encode() in behind.printed, what="the plain line")
    assert b"refused 127.0.0.1 " not in behind.printed[was.printed :]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\n\n", b"\x16\x03\x01", b"GET /ws/a HT"], ids=["lf", "tls", "slow"])
def test_what_nobody_can_read_is_not_charged_to_the_proxy_either(behind: Standing, sent: bytes) -> None:
    """No head, so no client is known: the plain line names nobody that fail2ban could ban."""
    was = before(behind)
    with Peer(behind) as peer:
        peer.send(sent)
        peer.finish(4.0)
    (record,) = aftermath(behind, was)
    assert record["direct"] == "127.0.0.1"
    assert "address" not in record
    plain = behind.printed[was.printed :]
    assert b" refused 127.0.0.1 " not in plain
    good_client(behind)


def test_malformed_handshakes_through_a_proxy_are_charged_to_the_client(behind: Standing) -> None:
    """Step 2 comes before step 4, and is no way around its strict rate."""
    lines = ["X-Forwarded-For: 198.51.100.77", "X-Forwarded-Proto: https"]
    statuses = []
    for _ in range(7):
        with Peer(behind) as peer:
            peer.send(head(Sec_WebSocket_Key="bad", extra=lines))
            statuses.append(peer.answer().status)
        good_client(behind)
    assert set(statuses) == {400}
    with Peer(behind) as peer:
        peer.send(head(token=behind.token(behind.name()), extra=lines))
        assert peer.answer().status == 429


def test_px05_changing_the_left_of_the_chain_buys_no_new_rate(behind: Standing) -> None:
    """100 bad tokens, each with another left-most address: the strict rate trips on the real one."""
    statuses = []
    for number in range(12):
        lines = [f"X-Forwarded-For: 10.9.8.{number}, 198.51.100.88", "X-Forwarded-Proto: https"]
        with Peer(behind) as peer:
            peer.send(head(token="bad", extra=lines))
            statuses.append(peer.answer().status)
    assert statuses[:5] == [403] * 5
    assert statuses[-1] == 429
    good_client(behind)


def test_a_ban_holds_for_every_spelling_of_an_address(behind: Standing) -> None:
    from ipaddress import ip_network

    store, now = behind.operator.tools.store, behind.operator.tools.clock.now()
    for network in ("192.0.2.0/24", "2001:db8:bad::/64"):
        ban = Ban(ip_network(network), None, None, None, "siege", now, now + 600)
        behind.operator.do(store.bans.add(ban))
    for spelling in (
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "::ffff:c000:201",
        "[::ffff:192.0.2.1]:80",
        "0:0:0:0:0:ffff:192.0.2.1",
        "2001:db8:bad::1",
        "2001:0DB8:0BAD:0:ffff::1",
    ):
        with Peer(behind) as peer:
            lines = [f"X-Forwarded-For: {spelling}", "X-Forwarded-Proto: https"]
            peer.send(head(token=behind.token(behind.name()), extra=lines))
            assert peer.answer().status == 403, spelling


def test_one_64_is_one_neighbour(behind: Standing) -> None:
    """A /64 has 2^64 addresses, and one rate."""
    statuses = []
    for number in range(8):
        lines = [f"X-Forwarded-For: 2001:db8:1:2::{number:x}", "X-Forwarded-Proto: https"]
        with Peer(behind) as peer:
            peer.send(head(token="bad", extra=lines))
            statuses.append(peer.answer().status)
    assert statuses[-1] == 429


# ---- RFC 7239 --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rfc7239(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(
        tmp_path_factory.mktemp("rfc7239"),
        server={"trusted_proxies": ["127.0.0.0/8"], "forwarded_header": "forwarded"},
    ) as gateway:
        yield gateway


REAL = f"for={CLIENT};proto=https"
BEFORE_IT = {
    "nothing": [REAL],
    "a forged hop": [f"for=6.6.6.6;proto=https, {REAL}"],
    "an open quote in its line": [f'for="6.6.6.6, {REAL}'],
    "an open quote in another line": ['for="6.6.6.6', REAL],
    "an escaped quote": [f'for="\\", {REAL}'],
    "a quoted comma": [f'for="6.6.6.6, 127.0.0.1", {REAL}'],
    "empty elements": [f",,,,{REAL}"],
    "no pairs": [f"=;=;;;, {REAL}"],
    "trusted hops": [f"for=127.0.0.2;proto=https,for=127.0.0.3;proto=https,{REAL}"],
    "a thousand of them": ["for=127.0.0.2," * 500 + REAL],
    "a quote and a thousand commas": ['"' + "," * 3000 + REAL],
    "thousands of quotes": ['"' * 7001, REAL],
    "a parameter twice": [f"for=6.6.6.6;for=7.7.7.7, {REAL}"],
}


@pytest.mark.parametrize("case", BEFORE_IT)
def test_px06_nothing_that_a_client_writes_hides_what_its_proxy_says(rfc7239: Standing, case: str) -> None:
    """Whoever could spoil the last hop would pass for the proxy: no ban and no rate would find him."""
    subject = rfc7239.name()
    lines = [f"Forwarded: {value}" for value in BEFORE_IT[case]]
    with enter(rfc7239, subject, extra=lines):
        pass
    assert rfc7239.record(subject=subject, kind="handshake")["address"] == CLIENT


@pytest.mark.parametrize("filler", [";", "", "for=127.0.0.2", '"', 'for="127.0.0.2";a=b;c=d'])
def test_a_long_chain_costs_no_more_than_a_short_one(rfc7239: Standing, filler: str) -> None:
    """Step 3 comes before any rate: 16 KiB of hops must not hold up the loop."""
    chain = ",".join([filler] * (7000 // (len(filler) + 1)))
    sent = head(token="bad", extra=[f"Forwarded: {chain}", f"Forwarded: {chain},{REAL}"])
    good_client(rfc7239)
    work = rfc7239.processor_time()
    for _ in range(60):
        with Peer(rfc7239) as peer:
            peer.send(sent)
            judge_refusal(peer.answer(), 403)
    assert (rfc7239.processor_time() - work) / 60 < 0.005


# ---- PROXY protocol --------------------------------------------------------------------------------------------------

V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(body: bytes, *, command: int = 0x21, family: int = 0x11, size: int | None = None) -> bytes:
    return V2 + bytes([command, family]) + (len(body) if size is None else size).to_bytes(2) + body


TCP4 = socket.inet_aton(CLIENT) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 4711, 443)
SSL = b"\x20" + (5).to_bytes(2) + b"\x01" + bytes(4)

CUT = {
    "missing": b"",
    "v1-garbage": b"PROXY TCP4 8.8.8.8\r\n",
    "v1-long": b"PROXY TCP4 " + b"8" * 200,
    "v1-family": b"PROXY TCP6 8.8.8.8 127.0.0.1 1 2\r\n",
    "v1-port": b"PROXY TCP4 8.8.8.8 127.0.0.1 01 2\r\n",
    "v1-zone": b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
    "v1-lower": b"proxy TCP4 8.8.8.8 127.0.0.1 1 2\r\n",
    "v2-tlv-over": v2(TCP4 + b"\x20\xff\xff\x01"),
    "v2-tlv-short": v2(TCP4 + b"\x20"),
    "v2-tlv-inside": v2(TCP4 + b"\x20" + (8).to_bytes(2) + b"\x01" + bytes(4) + b"\x21\xff\xff"),
    "v2-two-ssl": v2(TCP4 + SSL + SSL),
    "v2-too-short": v2(TCP4[:8]),
    "v2-huge": v2(b"", size=65535),
    "v2-command": v2(TCP4, command=0x22),
    "v2-version": v2(TCP4, command=0x11),
    "v2-family": v2(TCP4, family=0x31),
}


@pytest.mark.parametrize("case", CUT)
def test_px14_a_proxy_header_that_lies_is_a_cut(proxied: Standing, case: str) -> None:
    with Peer(proxied) as peer:
        peer.send(CUT[case] + head(token=proxied.token(proxied.name())))
        peer.finish(3.0)
    assert peer.data == b""
    assert proxied.record(kind="handshake")["reason"] == "proxy_protocol"
    assert proxied.backend.heads == []


@pytest.mark.parametrize("lead", [v2(TCP4 + SSL), v2(TCP4 + b"\x04\x00\x03abc" + SSL)], ids=["plain", "with-noop"])
def test_px14_one_that_is_true_names_the_client(proxied: Standing, lead: bytes) -> None:
    subject = proxied.name()
    with Peer(proxied) as peer:
        peer.send(lead + head(token=proxied.token(subject), extra=["X-Forwarded-For: 6.6.6.6"]))
        peer.upgraded()
    assert proxied.record(subject=subject, kind="handshake")["address"] == CLIENT
    assert b"6.6.6.6" not in proxied.backend.head_of(subject)
    proxied.backend.heads.clear()


def test_px14_a_second_header_is_no_head(proxied: Standing) -> None:
    with Peer(proxied) as peer:
        peer.send(v2(TCP4 + SSL) * 2 + head(token=proxied.token(proxied.name())))
        assert parse(peer.data if peer.finish(3.0) else b"").status == 400


def test_px14_a_header_nobody_asked_for_is_no_head(siege: Standing) -> None:
    refused(
        siege,
        b"PROXY TCP4 8.8.8.8 127.0.0.1 1 2\r\n" + head(token=siege.token(siege.name())),
        status=400,
        reason="head_grammar",
    )
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(v2(TCP4 + SSL) + head(token=siege.token(siege.name())))
        judge_refusal(peer.answer(), 400)
    assert json.dumps(aftermath(siege, was)).count('"head_grammar"') == 1
