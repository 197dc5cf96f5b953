"""The other ways in which proxies name a client: PROXY protocol with its TLS, RFC 7239, and two proxies in a row."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.integration.proxies.recipes import NAME, recipe
from tests.integration.proxies.starting import standing
from tests.integration.proxies.test_addresses import FORGED, SAYINGS
from tests.integration.proxies.world import Guest, Way, gateway_for, upgrade, way_through
from tests.integration.running import Refused, free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROXIED = {"forwarded_header": "proxy-protocol"}


async def seen_as(way: Way, source: str, subject: str, headers=SAYINGS) -> None:
    """It comes in as itself, and leaves no trace of what it said of itself."""
    client = await way.enter(subject, source=source, headers=headers)
    assert await client.echoes()
    (record,) = await way.gateway.audited(kind="handshake", subject=subject)
    assert record["address"] == source
    seen = way.backend.head_of(subject)
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == (source, "https")
    assert FORGED not in " ".join(seen.values())
    client.leave()


async def refused_as_unsafe(way: Way, source: str, subject: str, *, tls: bool = True) -> None:
    refused = await way.try_enter(way.gateway.token(subject), source=source, headers=SAYINGS, tls=tls)
    assert isinstance(refused, Refused)
    assert (refused.status, refused.reason) == (403, "forbidden")
    (record,) = await way.gateway.audited(kind="handshake", address=source)
    assert record["reason"] == "transport_insecure"


# ---- PROXY protocol --------------------------------------------------------------------------------------------------


async def test_tls_ended_at_haproxy_is_told_by_the_tls_tlv(certificate, source, another, subject, tmp_path) -> None:
    async with (
        gateway_for(tmp_path / "gateway", server=PROXIED, cluster_limits={"refusals_per_address": "3/min"}) as gateway,
        way_through("haproxy-proxy-protocol", tmp_path, certificate, gateway) as way,
    ):
        await seen_as(way, source, subject)
        # the plain port of the same proxy: its TLV says that there was no TLS
        await refused_as_unsafe(way, another, subject, tls=False)
        refusals = [await way.try_enter("bad", source=another) for _ in range(4)]
        statuses = [refused.status for refused in refusals if isinstance(refused, Refused)]
        assert statuses == [403, 403, 429, 429], "the client's own rate, and the first was refused above"
        await seen_as(way, source, f"{subject}-again")
        # a second header is the client's, and no head
        spoken = await way.raw(b"PROXY TCP4 203.0.113.9 127.0.0.1 1 443\r\nGET /chat HTTP/1.1\r\n\r\n", source=source)
        assert (await spoken.rest(5.0)).startswith(b"HTTP/1.1 400 ")
        await spoken.close()


async def test_tls_ended_at_haproxy_and_begun_again_behind_it(certificate, source, another, subject, tmp_path) -> None:
    """With headers, our TLS is the proxy's own. With PROXY protocol it would be the client's, so the TLV must count."""
    server = {"tls": {"certificate_file": str(certificate.certificate), "key_file": str(certificate.key)}}
    again = f"ssl verify required ca-file {certificate.authority} sni str({NAME}) check-sni {NAME}"
    async with (
        gateway_for(tmp_path / "gateway", server=server) as gateway,
        way_through(
            "haproxy",
            tmp_path,
            certificate,
            gateway,
            also={"server gw1 127.0.0.1:8800": f"server gw1 127.0.0.1:8800 {again}"},
        ) as way,
    ):
        await seen_as(way, source, subject)
        await refused_as_unsafe(way, another, subject, tls=False)


async def test_tls_that_haproxy_only_passes_on(certificate, source, subject, tmp_path) -> None:
    """The TLS is ours and the client's, whatever PROXY protocol's version."""
    server = {
        **PROXIED,
        "tls": {"certificate_file": str(certificate.certificate), "key_file": str(certificate.key)},
    }
    for number, sends in enumerate(("send-proxy-v2", "send-proxy")):
        passes = {
            " ssl crt /etc/ssl/rt.example.com.pem": "",
            "option httpchk GET /readyz": "",
            "send-proxy-v2-ssl": sends,
        }
        async with (
            gateway_for(tmp_path / f"gateway-{number}", server=server) as gateway,
            _haproxy("haproxy-proxy-protocol", tmp_path / f"proxy-{number}", certificate, gateway, passes) as way,
        ):
            await seen_as(way, source, f"{subject}-{number}")


@asynccontextmanager
async def _haproxy(name, folder, certificate, gateway, changes, *, onto: int | None = None):
    """HAProxy by a recipe that is changed, with one port; before port `onto` where that is given."""
    secure = free_port()
    text = recipe(name, certificate, secure=secure, gateway=onto or gateway.port, also=changes)
    async with standing("haproxy", folder, text, ports=[secure]) as proxy:
        yield Way(gateway, proxy, certificate, secure, secure)


@pytest.mark.parametrize("sends", ["send-proxy", "send-proxy-v2"])
async def test_without_the_tls_tlv_nobody_says_that_it_was_tls(certificate, source, subject, tmp_path, sends) -> None:
    async with (
        gateway_for(tmp_path / "gateway", server=PROXIED) as gateway,
        way_through("haproxy-proxy-protocol", tmp_path, certificate, gateway, also={"send-proxy-v2-ssl": sends}) as way,
    ):
        await refused_as_unsafe(way, source, subject)


# ---- RFC 7239 --------------------------------------------------------------------------------------------------------

FORWARDED = {
    "nginx": {
        "X-Forwarded-For $remote_addr;": 'Forwarded "for=$remote_addr;proto=$scheme";',
        "        proxy_set_header X-Forwarded-Proto $scheme;\n": "",
    },
    "nginx that appends": {
        "X-Forwarded-For $remote_addr;": 'Forwarded "$http_forwarded, for=$remote_addr;proto=$scheme";',
    },
    "haproxy": {
        "http-request set-header X-Forwarded-For %[src]": (
            'http-request set-header Forwarded "for=\\"%[src]\\";proto=https" if { ssl_fc }'
        ),
    },
    "caddy": {
        "stream_close_delay": 'header_up Forwarded "for={remote_host};proto={scheme}"\n\t\tstream_close_delay',
    },
    "envoy": {
        "response_headers_to_add:": (
            "request_headers_to_add:\n"
            "                        - append_action: OVERWRITE_IF_EXISTS_OR_ADD\n"
            "                          header:\n"
            "                            key: Forwarded\n"
            "                            value: for=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%;proto=https\n"
            "                      response_headers_to_add:"
        ),
    },
}
OPEN_QUOTES = [
    {"Forwarded": f"for={FORGED};proto=https"},
    {"Forwarded": f'for="{FORGED}'},
    {"Forwarded": f'for="{FORGED};proto="https, for=127.0.0.1, '},
    {"Forwarded": 'for="\\'},
    {"Forwarded": "for=127.0.0.1;proto=https, for=127.0.0.1;proto=https"},
]


@pytest.mark.timeout(120)
async def test_rfc_7239_names_the_client_too(certificate, source, subject, tmp_path) -> None:
    async with gateway_for(tmp_path / "gateway", server={"forwarded_header": "forwarded"}) as gateway:
        for kind, changes in FORWARDED.items():
            proxy = kind.partition(" ")[0]
            async with way_through(proxy, tmp_path / kind.replace(" ", "-"), certificate, gateway, also=changes) as way:
                for number, said in enumerate([SAYINGS, *OPEN_QUOTES]):
                    await seen_as(way, source, f"{subject}-{kind}-{number}".replace(" ", "-"), headers=said)


# ---- two proxies in a row --------------------------------------------------------------------------------------------

FIRST = "127.0.0.10"
CHAIN = {"trusted_proxies": ["127.0.0.1/32", f"{FIRST}/32"]}


async def test_two_proxies_that_append(certificate, source, another, subject, tmp_path) -> None:
    """HAProxy, nginx, gateway: nginx appends whom it heard from. And whoever goes round HAProxy is seen as well."""
    appends = {"X-Forwarded-For $remote_addr": "X-Forwarded-For $proxy_add_x_forwarded_for"}
    async with (
        gateway_for(tmp_path / "gateway", server=CHAIN) as gateway,
        way_through("nginx", tmp_path, certificate, gateway, also=appends) as second,
    ):
        onward = f"source {FIRST} ssl verify required ca-file {certificate.authority} sni str({NAME})"
        # nginx answers for NAME, and the check must say so
        check = f"http-check send meth GET uri /readyz hdr Host {NAME}"
        changes = {
            "127.0.0.1:8800": f"127.0.0.1:8800 {onward} check-sni {NAME}",
            "option httpchk GET /readyz": f"option httpchk\n    {check}",
        }
        first = _haproxy("haproxy", tmp_path / "first", certificate, gateway, changes, onto=second.secure)
        async with first as way:
            await seen_as(way, source, subject)
            await seen_as(second, another, f"{subject}-round", headers={"X-Forwarded-For": f"{FORGED}, {FIRST}"})
            code, _ = await gateway.cli("ban", "add", "--address", source)
            assert code == 0
            refused = await way.try_enter(gateway.token(subject), source=source, headers=SAYINGS)
            assert isinstance(refused, Refused)
            assert refused.status == 403
            assert isinstance(await way.try_enter(gateway.token(subject), source=another), Guest)


async def test_two_proxies_of_which_the_second_is_told_by_proxy_protocol(
    certificate, source, another, subject, tmp_path
) -> None:
    """HAProxy in TCP mode, then nginx, which takes the address from it and ends TLS."""
    takes = {
        "listen 443 ssl;": f"listen 443 ssl;\n    set_real_ip_from {FIRST};\n    real_ip_header proxy_protocol;",
    }
    async with gateway_for(tmp_path / "gateway", server=CHAIN) as gateway:
        port = free_port()
        text = recipe("nginx", certificate, secure=port, gateway=gateway.port, also=takes)
        text = text.replace(f"127.0.0.1:{port} ssl;", f"127.0.0.1:{port} ssl proxy_protocol;")
        changes = {
            " ssl crt /etc/ssl/rt.example.com.pem": "",
            "option httpchk GET /readyz": "",
            "send-proxy-v2-ssl": f"send-proxy-v2 source {FIRST}",
        }
        async with (
            standing("nginx", tmp_path / "nginx", text, ports=[port]),
            _haproxy("haproxy-proxy-protocol", tmp_path / "first", certificate, gateway, changes, onto=port) as way,
        ):
            await seen_as(way, source, subject)
            # who goes round HAProxy and forges its header: nginx believes its set_real_ip_from only
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(another, 0))
            writer.write(f"PROXY TCP4 {FORGED} 127.0.0.1 1 443\r\n".encode())
            await writer.start_tls(way.trust, server_hostname=NAME)
            writer.write(upgrade(gateway.token(f"{subject}-round")))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.transport.abort()
            (record,) = await gateway.audited(kind="handshake", subject=f"{subject}-round")
            assert record["address"] == another
