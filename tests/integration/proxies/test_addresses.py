"""Behind every proxy the client's own address is what is limited, banned and audited, whatever it says of itself."""

import pytest

from tests.integration.proxies.world import ROUTES, Guest, gateway_for, upgrade, way_through
from tests.integration.running import Refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

FORGED = "203.0.113.9"
SAYINGS = {
    "X-Forwarded-For": FORGED,
    "X-Forwarded-Proto": "https",
    "Forwarded": f"for={FORGED};proto=https",
    "X-Real-IP": FORGED,
    "X-Client-IP": FORGED,
    "True-Client-IP": FORGED,
    "CF-Connecting-IP": FORGED,
    "X-Forwarded-Host": "evil.example",
    "X-Original-URL": "/admin",
    "Via": f"1.1 {FORGED}",
    "X-Envoy-External-Address": FORGED,
    "X-Doorward-Subject": "root",
    "X_Doorward_Subject": "root",
    "X-Forwarded-User": "root",
    "X-Auth-User": "root",
    "Remote-User": "root",
    "X-SSL-Client-S-DN": "CN=root",
    "Client-Cert": ":MIIB:",
}


async def test_the_client_is_seen_and_its_own_word_is_not(way, source, subject) -> None:
    client = await way.enter(subject, source=source, headers=SAYINGS)
    assert await client.echoes()
    seen = way.backend.head_of(subject)
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"], seen["x-forwarded-host"]) == (
        source,
        "https",
        "rt.example.com",
    )
    assert seen["forwarded"] == f'for={source};proto=https;host="rt.example.com"'
    said = " ".join(f"{name}: {value}" for name, value in seen.items())
    assert FORGED not in said
    assert "root" not in said
    assert "evil" not in said
    (record,) = await way.gateway.audited(kind="handshake", subject=subject)
    assert (record["address"], record["direct"]) == (source, "127.0.0.1")
    client.leave()
    (record,) = await way.gateway.audited(kind="close", subject=subject)
    assert record["address"] == source


CHAINS = [
    [("X-Forwarded-For", FORGED)],
    [("X-Forwarded-For", "127.0.0.1")],
    [("X-Forwarded-For", f"{FORGED}, 127.0.0.1, 127.0.0.1")],
    [("X-Forwarded-For", FORGED), ("X-Forwarded-For", "127.0.0.1")],
    [("X-Forwarded-For", '"')],
    [("X-Forwarded-For", "")],
    [("x_forwarded_for", FORGED), ("X-Forwarded-Proto", "http")],
    # hop-by-hop by the client's own word: a proxy that strikes them out after writing them would speak for nobody
    [("Connection", "X-Forwarded-For, X-Forwarded-Proto, X-Real-IP, Forwarded")],
]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[0][1] or "empty")
async def test_no_form_of_a_chain_hides_the_client(way, source, subject, chain) -> None:
    client = await way.try_enter(way.gateway.token(subject), source=source, headers=chain)
    if isinstance(client, Guest):
        assert way.backend.head_of(subject)["x-forwarded-for"] == source
        (record,) = await way.gateway.audited(kind="handshake", subject=subject)
        assert record["address"] == source
        client.leave()
    else:
        assert way.backend.entered(subject) == 0
        assert client.status == 400, "refused by the proxy"


async def test_a_ban_hits_the_client_and_nobody_else_behind_the_proxy(way, source, another, subject) -> None:
    code, printed = await way.gateway.cli("ban", "add", "--address", source, "--for", "1h")
    assert code == 0, printed
    for chain in ([], [("X-Forwarded-For", another)]):
        refused = await way.try_enter(way.gateway.token(subject), source=source, headers=chain)
        assert isinstance(refused, Refused)
        assert (refused.status, refused.reason) == (403, "forbidden")
    client = await way.enter(subject, source=another)
    client.leave()
    (banned,) = await way.gateway.audited(kind="handshake", address=source, outcome="refused")
    assert banned["reason"] == "address_banned", "its repeats will have a record together"


async def test_refusals_and_slots_count_for_the_client(way, source, another, subject) -> None:
    """A hundred bad tokens in a client's name, or a fifth connection, are its own affair: not its proxy's."""
    refusals = [
        await way.try_enter("bad", source=source, headers={"X-Forwarded-For": f"198.51.100.{number}"})
        for number in range(8)
    ]
    assert [refused.status for refused in refusals if isinstance(refused, Refused)] == [403] * 6 + [429] * 2
    clients = [await way.enter(subject, source=another) for _ in range(4)]
    full = await way.try_enter(way.gateway.token(subject), source=another)
    assert isinstance(full, Refused)
    assert (full.status, full.reason) == (429, "connection_limit")
    for client in clients:
        client.leave()


async def test_without_tls_at_the_proxy_nobody_comes_in(way, source, subject) -> None:
    """The way is not safe, and the client can't say that it is."""
    for said in ({}, {"X-Forwarded-Proto": "https", "Forwarded": "for=1.2.3.4;proto=https", "X-Forwarded-Ssl": "on"}):
        refused = await way.try_enter(way.gateway.token(subject), source=source, headers=said, tls=False)
        assert isinstance(refused, Refused)
        assert (refused.status, refused.reason) == (403, "forbidden")
    assert way.backend.entered(subject) == 0
    records = await way.gateway.audited(kind="handshake", address=source, count=2)
    assert {record["reason"] for record in records} == {"transport_insecure"}


async def test_a_proxy_line_of_the_clients_own_is_no_request(way, source, subject) -> None:
    """PROXY protocol, both versions, where no proxy asked for it."""
    v2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x7f\x00\x00\x01\x00\x05\x01\xbb"
    head = upgrade(way.gateway.token(subject))
    for line in (b"PROXY TCP4 203.0.113.9 127.0.0.1 1 443\r\n", v2):
        spoken = await way.raw(line + head, source=source)
        said = await spoken.rest(1.0)
        await spoken.close()
        assert b" 101 " not in said
    assert way.backend.entered(subject) == 0


async def test_a_path_that_nobody_routes_is_the_clients_affair_too(way, source, another, subject) -> None:
    """Its head could be read, all but the target: it counts for the address that stands there, and is recorded."""
    statuses = []
    for _ in range(7):
        spoken = await way.raw(upgrade(None, path="/chat/%2e%2e/x"), source=source)
        statuses.append((await spoken.until(b"\r\n\r\n")).split(b" ")[1])
        await spoken.close()
    assert statuses == [b"400"] * 7, "step 2 comes before the rate, and is no way around it"
    (record, *_) = await way.gateway.audited(kind="handshake", address=source)
    assert (record["reason"], record["direct"]) == ("target_malformed", "127.0.0.1")
    refused = await way.try_enter(way.gateway.token(subject), source=source)
    assert isinstance(refused, Refused)
    assert refused.status == 429
    client = await way.enter(subject, source=another)
    client.leave()


async def test_names_with_underscores_are_nobodys(certificate, source, subject, tmp_path) -> None:
    """nginx drops them by itself, unless it is told not to; the others pass them on, and so does this one."""
    lets = {"server {\n": "server {\n    underscores_in_headers on;\n"}
    async with (
        gateway_for(tmp_path / "gateway", routes=ROUTES) as gateway,
        way_through("nginx", tmp_path, certificate, gateway, also=lets) as way,
    ):
        said = {name.replace("-", "_"): value for name, value in SAYINGS.items() if "-" in name}
        client = await way.enter(subject, source=source, headers={**said, "X_Harmless": "kept"})
        seen = way.backend.head_of(subject)
        assert seen["x_harmless"] == "kept", "they came as far as the gateway"
        assert FORGED not in " ".join(seen.values())
        assert "root" not in " ".join(seen.values())
        assert seen["x-forwarded-for"] == source
        client.leave()
