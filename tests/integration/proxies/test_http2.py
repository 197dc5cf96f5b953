"""A WebSocket asked for over HTTP/2 (RFC 8441): a proxy refuses it, or makes a strict handshake of it (PX-16)."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import h2.connection
import h2.events
import pytest
from h2.settings import SettingCodes

from tests.integration.proxies.attacks import FORGED, smuggled
from tests.integration.proxies.recipes import NAME
from tests.integration.proxies.world import ROUTES, fresh, gateway_for, way_through
from tests.integration.running import WITHIN, free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Stream:
    """One HTTP/2 connection with one stream. Responses are read until it is decided."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = h2.connection.H2Connection()
        self.status = ""
        self.reset = False
        self.data = b""
        self.connects = False
        self._settled = False

    async def open(self) -> None:
        """Until the other side has said its settings, and whether it takes extended CONNECT."""
        self._h2.initiate_connection()
        self._flush()
        async with asyncio.timeout(WITHIN):
            while not self._settled:
                await self._read()
        self.connects = self._h2.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL, 0) == 1

    async def ask(self, *headers: tuple[str, str]) -> None:
        """A websocket by extended CONNECT, whether it was offered or not, until there is an answer."""
        pseudo = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/chat"),
            (":authority", NAME),
            ("sec-websocket-version", "13"),
        ]
        self._h2.config.validate_outbound_headers = False
        self._h2.send_headers(1, [*pseudo, *headers])
        self._flush()
        async with asyncio.timeout(WITHIN):
            while not self.status and not self.reset:
                await self._read()

    async def post(self, fields: list[tuple[str, str]], body: bytes) -> None:
        """A request to our own endpoint, until it is decided; nothing of it is checked here."""
        pseudo = [(":method", "POST"), (":scheme", "https"), (":path", "/auth/ticket"), (":authority", NAME)]
        self._h2.config.validate_outbound_headers = False
        self._h2.config.normalize_outbound_headers = False
        self._h2.send_headers(1, [*pseudo, *fields])
        self._h2.send_data(1, body, end_stream=True)
        self._flush()
        async with asyncio.timeout(WITHIN):
            while not self.status and not self.reset:
                await self._read()

    async def say(self, octets: bytes, *, until: bytes) -> None:
        self._h2.send_data(1, octets)
        self._flush()
        async with asyncio.timeout(WITHIN):
            while until not in self.data:
                assert not self.reset
                await self._read()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    async def _read(self) -> None:
        octets = await self._reader.read(65536)
        if not octets:
            self.reset = self._settled = True
            return
        for event in self._h2.receive_data(octets):
            match event:
                case h2.events.RemoteSettingsChanged():
                    self._settled = True
                case h2.events.ResponseReceived():
                    self.status = dict(event.headers)[b":status"].decode()
                case h2.events.DataReceived():
                    self.data += event.data
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    self.reset = True
                case _:
                    pass
        self._flush()


class NoHttp2Error(Exception):
    """The proxy does not speak it."""


@asynccontextmanager
async def stream(way, source: str):
    trust = ssl.create_default_context(cafile=way.site.authority)
    trust.set_alpn_protocols(["h2"])
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", way.secure, ssl=trust, server_hostname=NAME, local_addr=(source, 0)
        )
    except ssl.SSLError:  # no_application_protocol
        raise NoHttp2Error from None
    try:
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            raise NoHttp2Error
        opened = Stream(reader, writer)
        await opened.open()
        yield opened
    finally:
        writer.transport.abort()


async def test_by_its_recipe_no_proxy_takes_a_websocket_over_http_2(way, source, subject) -> None:
    """Caddy speaks HTTP/2 for everything else: a browser sees from its settings that a WebSocket needs HTTP/1.1."""
    if way.proxy.kind.name == "caddy":
        async with stream(way, source) as opened:
            assert not opened.connects
            await opened.ask(("authorization", f"Bearer {way.gateway.token(subject)}"))
            assert (opened.status, opened.reset) == ("", True)
    else:
        with pytest.raises(NoHttp2Error):
            async with stream(way, source):
                pass
    assert way.backend.entered(subject) == 0


HTTP2 = {
    "nginx": {"listen 443 ssl;": "listen 443 ssl;\n    listen 127.0.0.1:PORT ssl http2;"},
    "haproxy": {"alpn http/1.1": "alpn h2,http/1.1"},
    "envoy": {"alpn_protocols: [http/1.1]": "alpn_protocols: [h2, http/1.1]", "codec_type: HTTP1": "codec_type: AUTO"},
    "envoy that allows it": {
        "alpn_protocols: [http/1.1]": "alpn_protocols: [h2, http/1.1]",
        "codec_type: HTTP1": "codec_type: AUTO\n                http2_protocol_options: { allow_connect: true }",
    },
}
# (the proxy offers it, what a client that asks all the same gets: a status, or nothing and a reset)
ANSWERS = {
    "nginx": (False, "400"),
    "haproxy": (True, "200"),
    "envoy": (False, ""),
    # it makes a handshake of it that has no Sec-WebSocket-Key, and Doorward takes none without
    "envoy that allows it": (True, "400"),
}


@pytest.mark.parametrize("kind", HTTP2)
async def test_where_http_2_is_on_a_handshake_is_made_of_it_or_none(
    kind, certificate, source, subject, tmp_path
) -> None:
    port = free_port()
    changes = {there: instead.replace("PORT", str(port)) for there, instead in HTTP2[kind].items()}
    async with (
        gateway_for(tmp_path / "gateway", routes=ROUTES) as gateway,
        way_through(kind.split(" ")[0], tmp_path, certificate, gateway, also=changes) as way,
    ):
        if kind == "nginx":
            way.secure = port
        async with stream(way, source) as opened:
            shown = ("authorization", f"Bearer {gateway.token(subject)}")
            await opened.ask(shown, ("x-forwarded-for", FORGED), ("x-forwarded-proto", "https"))
            assert (opened.connects, opened.status) == ANSWERS[kind]
            if opened.status == "200":
                await opened.say(b"\x81\x85\x00\x00\x00\x00hello", until=b"\x81\x05hello")
                assert way.backend.head_of(subject)["x-forwarded-for"] == source
                (record,) = await gateway.audited(kind="handshake", subject=subject)
                assert record["address"] == source
            elif opened.connects:
                (record,) = await gateway.audited(kind="handshake", outcome="refused")
                assert (record["reason"], record["address"]) == ("key_malformed", source)
        assert way.backend.entered(subject) == (1 if opened.status == "200" else 0)


# A request in HTTP/2 has no ambiguous length; the HTTP/1.1 that a proxy makes of it may have one.
DOWNGRADES = {
    "a length that is too short": [("content-length", "0")],
    "a length that is too long": [("content-length", "4000")],
    "two lengths": [("content-length", "0"), ("content-length", "{size}")],
    "chunked": [("transfer-encoding", "chunked")],
    "a line end in a value": [("x-a", "b\r\nX-Forwarded-For: 203.0.113.9\r\nX-B: c")],
    "a bare LF in a value": [("x-a", "b\nX-Forwarded-For: 203.0.113.9")],
    "a line end in a name": [("x-a: b\r\nx-forwarded-for", "203.0.113.9")],
    "a colon in a name": [("x-forwarded-for: 203.0.113.9, x", "y")],
    "a line end in the path": [(":path", "/auth/ticket HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\nX-B: c")],
    "another host": [("host", "evil.example")],
    "an upgrade": [("connection", "upgrade"), ("upgrade", "websocket")],
    "its own way": [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "http"),
        ("x_forwarded_for", "127.0.0.1"),
    ],
}
SPEAKS = {kind: changes for kind, changes in HTTP2.items() if " " not in kind} | {"caddy": {}}


@pytest.mark.parametrize("kind", SPEAKS)
async def test_no_request_over_http_2_becomes_two_or_somebody_elses(kind, certificate, subject, tmp_path) -> None:
    port = free_port()
    changes = {there: instead.replace("PORT", str(port)) for there, instead in SPEAKS[kind].items()}
    async with (
        gateway_for(tmp_path / "gateway", routes=ROUTES) as gateway,
        way_through(kind, tmp_path, certificate, gateway, also=changes) as way,
    ):
        if kind == "nginx":
            way.secure = port
        inner = smuggled(gateway.token(subject))

        async def answer(fields) -> str:
            async with stream(way, fresh()) as opened:
                await opened.post([(field, value.replace("{size}", str(len(inner)))) for field, value in fields], inner)
                return opened.status or "reset"

        answers = dict(zip(DOWNGRADES, await asyncio.gather(*map(answer, DOWNGRADES.values())), strict=True))
        # 401: a request without a credential, as one; 502: Caddy, of a body that ends before its length
        assert set(answers.values()) <= {"400", "401", "502", "reset"}, answers
        assert way.backend.heads == []
        # a good one afterwards: whatever was left over on a connection between the two would come before it
        client = await way.enter(f"{subject}-after", source=fresh())
        assert await client.echoes()
        client.leave()
        assert [head["x-doorward-subject"] for _, head in way.backend.heads] == [f"{subject}-after"]
        addresses = {event.get("address") for event in gateway.events()}
        assert not addresses & {FORGED, "127.0.0.1"}, addresses
