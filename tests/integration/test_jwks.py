"""Key sets over real sockets: one fetch for many, the checked address and no other, the name that TLS verifies.

Everything is on this machine; names are resolved by the test, so that no lookup leaves it.
"""

import asyncio
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from doorward.adapters.crypto.algorithms import VerifyingKey
from doorward.adapters.crypto.jwks import PublishedKeys
from doorward.adapters.crypto.outbound import Outbound, OutboundError
from doorward.adapters.crypto.verifier import Verifier
from doorward.testing.clock import FakeClock
from doorward.values.decision import Deny, Reason
from doorward.values.principal import Principal
from doorward.values.token import Signature
from tests.security.forging import ISSUER, Door, claims, compact, ec_jwk, es256, issuer_rules, token

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def page(body: bytes | str, *more: str, status: str = "200 OK") -> bytes:
    octets = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(octets)}", *(more or ("Content-Type: application/json",))]
    return "\r\n".join([*lines, "", ""]).encode() + octets


ONE = page(json.dumps({"keys": [ec_jwk()]}))
TWO = page(json.dumps({"keys": [ec_jwk(), ec_jwk("b", kid="ec-2")]}))


class Web:
    """A server that says what the test tells it to, and keeps every request head."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.visits = 0
        self.respond: Respond | None = None
        self.answer = ONE
        self.port = 0

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Web"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if self.respond is not None:
                await self.respond(reader, writer)
            else:
                writer.write(self.answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return  # the client went away, as some tests want it to
        finally:
            writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with Web().open() as server:
        yield server


def lookup(*addresses: str) -> tuple[Callable[[str, int], Awaitable[Sequence[str]]], list[str]]:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return addresses

    return resolve, asked


def published(web: Web, clock: FakeClock, reports: list[str] | None = None) -> PublishedKeys:
    return PublishedKeys(
        url=f"http://127.0.0.1:{web.port}/jwks.json",
        algorithms=frozenset({"ES256"}),
        outbound=Outbound(allow=LOOPBACK),
        clock=clock,
        report=(reports if reports is not None else []).append,
    )


async def test_a_hundred_handshakes_one_fetch(web: Web) -> None:
    keys = published(web, FakeClock())
    found = await asyncio.gather(*(keys.key(key_id="ec-1", algorithm="ES256") for _ in range(100)))
    assert all(isinstance(key, VerifyingKey) for key in found)
    assert web.visits == 1


async def test_oa_12_a_new_key_appears_during_five_hundred_handshakes(web: Web) -> None:
    clock = FakeClock()
    keys = published(web, clock)
    gate = Door({ISSUER: issuer_rules("ES256")}, Verifier({ISSUER: keys}, report=pytest.fail))
    assert isinstance(await gate.present(token("ES256")), Principal)
    clock.advance(60)
    web.answer = TWO
    fresh = compact({"alg": "ES256", "kid": "ec-2"}, claims(), lambda octets: es256(octets, "b"))
    outcomes = await asyncio.gather(*(gate.present(fresh if n % 2 else token("ES256")) for n in range(500)))
    assert all(isinstance(outcome, Principal) for outcome in outcomes)
    assert web.visits == 2


async def test_oa_12_the_server_goes_away_and_the_keys_stay() -> None:
    clock = FakeClock()
    reports: list[str] = []
    async with Web().open() as web:
        keys = published(web, clock, reports)
        gate = Door({ISSUER: issuer_rules("ES256")}, Verifier({ISSUER: keys}, report=pytest.fail))
        assert isinstance(await gate.present(token("ES256")), Principal)
    clock.advance(601)
    assert isinstance(await gate.present(token("ES256")), Principal)
    unknown = await gate.present(token("ES256", header={"kid": "new"}))
    assert isinstance(unknown, Deny)
    assert unknown.reason is Reason.VERIFIER_UNAVAILABLE
    assert len(reports) == 1
    clock.advance(86_400)
    gone = await gate.present(token("ES256"))
    assert isinstance(gone, Deny)
    assert gone.reason is Reason.VERIFIER_UNAVAILABLE


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent", "304 Same"]
)
async def test_oa_05_redirects_are_not_followed(web: Web, status: str) -> None:
    async with Web().open() as inside:
        web.answer = page("", f"Location: http://127.0.0.1:{inside.port}/", status=status)
        with pytest.raises(OutboundError, match="redirect"):
            await Outbound(allow=LOOPBACK).call(f"http://127.0.0.1:{web.port}/", most=9_999, within=5.0)
        assert inside.visits == 0


async def test_oa_05_a_page_that_refreshes_is_no_key_set(web: Web) -> None:
    web.answer = page('<meta http-equiv="refresh" content="0;url=http://127.0.0.1/">', "Content-Type: text/html")
    reports: list[str] = []
    keys = published(web, FakeClock(), reports)
    await keys.warm()
    assert "text/html" in reports[0]


async def test_oa_04_private_addresses_are_not_connected_to(web: Web) -> None:
    with pytest.raises(OutboundError, match="not public"):
        await Outbound().call(f"http://127.0.0.1:{web.port}/", most=9_999, within=5.0)
    resolve, _ = lookup("127.0.0.1")
    with pytest.raises(OutboundError, match="not public"):
        await Outbound(resolve=resolve).call(f"https://issuer.test:{web.port}/", most=9_999, within=5.0)
    assert web.visits == 0


async def test_oa_06_the_checked_address_is_the_one_that_is_called(web: Web) -> None:
    """The name is looked up once and by us alone: no second answer can lead elsewhere."""
    resolve, asked = lookup("127.0.0.1")
    answer = await Outbound(allow=LOOPBACK, resolve=resolve).call(
        f"http://issuer.test:{web.port}/jwks?x=1", most=9_999, within=5.0
    )
    assert answer.status == 200
    assert asked == ["issuer.test"]
    head = web.heads[0].lower()
    assert head.startswith("get /jwks?x=1 http/1.1\r\n")
    assert f"\r\nhost: issuer.test:{web.port}\r\n" in head


async def test_oa_06_of_mixed_answers_only_the_allowed_are_called(web: Web) -> None:
    resolve, _ = lookup("10.255.255.1", "127.0.0.1")
    outbound = Outbound(allow=[ip_network("127.0.0.1/32")], resolve=resolve)
    assert (await outbound.call(f"http://issuer.test:{web.port}/", most=9_999, within=5.0)).status == 200


async def test_the_next_address_is_tried_when_one_is_down(web: Web) -> None:
    resolve, _ = lookup("127.0.0.9", "127.0.0.1")
    outbound = Outbound(allow=LOOPBACK, resolve=resolve)
    assert (await outbound.call(f"http://issuer.test:{web.port}/", most=9_999, within=5.0)).status == 200
    assert web.visits == 1


async def test_oa_08_too_much(web: Web) -> None:
    web.answer = page(b" " * 65_537)
    with pytest.raises(OutboundError, match="more than 65536"):
        await Outbound(allow=LOOPBACK).call(f"http://127.0.0.1:{web.port}/", most=65_536, within=5.0)


async def test_oa_08_without_end(web: Web) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while sent < 1_000_000_000:
            writer.write(b" " * 65_536)
            await writer.drain()
            sent += 65_536

    web.respond = flood
    with pytest.raises(OutboundError, match="more than"):
        await Outbound(allow=LOOPBACK).call(f"http://127.0.0.1:{web.port}/", most=65_536, within=5.0)
    assert sent < 50_000_000


async def drip(writer: asyncio.StreamWriter, start: bytes, drop: bytes) -> None:
    writer.write(start)
    while True:
        writer.write(drop)
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b""),
    ],
)
async def test_oa_08_too_slow(web: Web, start: bytes, drop: bytes) -> None:
    web.respond = lambda reader, writer: drip(writer, start, drop)
    with pytest.raises(OutboundError, match="within"):
        await Outbound(allow=LOOPBACK).call(f"http://127.0.0.1:{web.port}/", most=9_999, within=0.4)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-odd"])
async def test_oa_08_compressed(web: Web, encoding: str) -> None:
    web.answer = page(b"\x1f\x8b" + bytes(100), f"Content-Encoding: {encoding}", "Content-Type: application/json")
    with pytest.raises(OutboundError, match="compressed"):
        await Outbound(allow=LOOPBACK).call(f"http://127.0.0.1:{web.port}/", most=9_999, within=5.0)
    assert "accept-encoding: identity" in web.heads[0].lower()


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"\x00" * 70_000]
)
async def test_what_is_no_http(web: Web, answer: bytes) -> None:
    web.answer = answer
    with pytest.raises(OutboundError, match="failed"):
        await Outbound(allow=LOOPBACK).call(f"http://127.0.0.1:{web.port}/", most=9_999, within=5.0)


async def test_oa_10_the_environment_is_ignored(web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with Web().open() as evil:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{evil.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login root password hunter2\n")
        monkeypatch.setenv("NETRC", str(netrc))
        web.answer = page("{}", "Set-Cookie: a=b", "Content-Type: application/json")
        outbound = Outbound(allow=LOOPBACK)
        for _ in range(2):
            await outbound.call(f"http://127.0.0.1:{web.port}/", most=9_999, within=5.0)
        assert evil.visits == 0
    assert web.visits == 2
    assert not any(word in head.lower() for head in web.heads for word in ("cookie:", "authorization:"))


class Authority:
    """A certificate authority for one test, and what it signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self._key, self._name, authority=True)

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.certificate.public_bytes(Encoding.PEM).decode())

    def server(self, name: str, *, days: int = 1) -> ssl.SSLContext:
        key = generate_private_key(SECP256R1())
        certificate = self._sign(key, x509.Name([]), host=name, days=days)
        path = self._folder / f"{name}.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(path)
        return tls

    def _sign(
        self, key, name: x509.Name, *, host: str = "", days: int = 1, authority: bool = False
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=30))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        return builder.sign(self._key, SHA256())


async def test_tls_verifies_the_name_though_an_address_is_called(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    resolve, _ = lookup("127.0.0.1")
    outbound = Outbound(allow=LOOPBACK, tls=authority.trusted(), resolve=resolve)
    async with Web().open(authority.server("issuer.test")) as web:
        answer = await outbound.call(f"https://issuer.test:{web.port}/jwks", most=9_999, within=5.0)
        assert answer.status == 200
        with pytest.raises(OutboundError, match="CERTIFICATE_VERIFY_FAILED"):
            await outbound.call(f"https://other.test:{web.port}/jwks", most=9_999, within=5.0)
        with pytest.raises(OutboundError, match="CERTIFICATE_VERIFY_FAILED"):
            await outbound.call(f"https://127.0.0.1:{web.port}/jwks", most=9_999, within=5.0)
        assert len(web.heads) == 1


async def test_oa_22_expired_or_of_an_unknown_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    resolve, _ = lookup("127.0.0.1")
    async with Web().open(authority.server("issuer.test", days=-1)) as web:
        outbound = Outbound(allow=LOOPBACK, tls=authority.trusted(), resolve=resolve)
        with pytest.raises(OutboundError, match="CERTIFICATE_VERIFY_FAILED"):
            await outbound.call(f"https://issuer.test:{web.port}/", most=9_999, within=5.0)
    async with Web().open(authority.server("issuer.test")) as web:
        with pytest.raises(OutboundError, match="CERTIFICATE_VERIFY_FAILED"):
            await Outbound(allow=LOOPBACK, resolve=resolve).call(f"https://issuer.test:{web.port}/", most=9, within=5.0)
    assert web.heads == []


async def test_a_call_with_a_body(web: Web) -> None:
    """For introspection and webhooks."""
    bodies: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readexactly(7))
        writer.write(page("{}", status="401 No"))

    web.respond = take
    answer = await Outbound(allow=LOOPBACK).call(
        f"http://127.0.0.1:{web.port}/", method="POST", headers={"x-a": "b"}, body=b"token=x", most=99, within=5.0
    )
    assert (answer.status, answer.content_type, answer.body) == (401, "application/json", b"{}")
    assert bodies == [b"token=x"]
    assert web.heads[0].startswith("POST / ")
    assert "x-a: b" in web.heads[0].lower()


async def test_unknown_ids_over_a_real_socket(web: Web) -> None:
    clock = FakeClock()
    keys = published(web, clock)
    for _ in range(3):
        strangers = (keys.key(key_id=f"stranger-{n}", algorithm="ES256") for n in range(200))
        assert set(await asyncio.gather(*strangers)) == {Signature.KEY_UNKNOWN}
    assert web.visits == 1
    clock.advance(30)
    await asyncio.gather(*(keys.key(key_id=f"stranger-{n}", algorithm="ES256") for n in range(200)))
    assert web.visits == 2
