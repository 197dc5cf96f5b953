"""What is left out is derived, and an empty list means none."""

import pytest

from doorward.config.config import BackendTls, JwksFile, JwksUrl
from doorward.config.settle import MOST_CONNECTIONS, files_needed, max_connections, sqlite_path
from tests.unit.config.making import ISSUER, OPEN_FILES, ROUTE, SECRET, errors, good, private, warnings
from tests.unit.config.test_files import PUBLIC

PUBLIC_SERVER = '[server]\nlisten = "0.0.0.0:443"\ntrusted_proxies = ["10.0.0.0/8"]\n'


@pytest.mark.parametrize(
    ("listen", "url", "host"),
    [
        ("127.0.0.1:8800", "http://127.0.0.1:8800", "127.0.0.1"),
        ("[::1]:80", "http://[::1]", "[::1]"),
        ("localhost:9", "http://localhost:9", "localhost"),
        ("127.0.0.9:9", "http://127.0.0.9:9", "127.0.0.9"),
        ("127.0.0.1:0", "http://127.0.0.1", "127.0.0.1"),
    ],
)
def test_public_url_is_the_listen_address_while_that_is_loopback(tmp_path, listen, url, host) -> None:
    config = good(tmp_path, f'[server]\nlisten = "{listen}"\n')
    assert config.public_url == url
    assert set(config.hosts) == {host, "localhost", "127.0.0.1", "[::1]"}


def test_public_url_is_required_elsewhere(tmp_path) -> None:
    assert errors(tmp_path, PUBLIC_SERVER) == [("server.public_url", "is required, since listen is not loopback")]
    config = good(tmp_path, PUBLIC_SERVER + 'public_url = "https://rt.test:8443"\n')
    assert config.hosts == ("rt.test", "localhost", "127.0.0.1", "[::1]")


def test_hosts_that_are_listed_are_all_of_them(tmp_path) -> None:
    assert good(tmp_path, '[server]\nhosts = ["RT.test", "::1"]\n').hosts == ("rt.test", "[::1]")
    assert good(tmp_path, "[server]\nhosts = []\n").hosts == ()
    assert ("server.hosts", "is empty: every request is refused with 421") in warnings(
        tmp_path, "[server]\nhosts = []\n"
    )


@pytest.mark.parametrize(
    ("open_files", "connections"),
    [(1024, 412), (20_000, 9_900), (202, 1), (100, 1), (1 << 62, MOST_CONNECTIONS)],
)
def test_max_connections_is_what_the_limit_allows(open_files, connections) -> None:
    assert max_connections(open_files) == connections
    assert connections == 1 or files_needed(connections) <= open_files


def test_too_few_open_files_start_nothing(tmp_path) -> None:
    assert errors(tmp_path, "", open_files=1024) == []
    assert good(tmp_path, "", open_files=1024).max_connections == 412
    assert errors(tmp_path, "[server]\nmax_connections = 9000\n", open_files=1024) == [
        ("server.max_connections", "needs 18200 open files, and the limit is 1024")
    ]
    assert good(tmp_path, "[server]\nmax_connections = 9000\n", open_files=OPEN_FILES).max_connections == 9000
    assert errors(tmp_path, "", open_files=150) == [
        ("server.max_connections", "needs 202 open files, and the limit is 150")
    ]


def test_stores(tmp_path) -> None:
    assert good(tmp_path, "").store_path == tmp_path / "doorward.db"
    assert good(tmp_path, f'[store]\nurl = "sqlite:///{tmp_path}/x.db"\n').store_path == tmp_path / "x.db"
    assert good(tmp_path, '[store]\nurl = "memory:"\n').store_path is None
    assert sqlite_path("sqlite:///", tmp_path) is None


def test_the_audit_file_can_be_turned_off(tmp_path) -> None:
    assert good(tmp_path, '[audit]\nfile = ""\nhash_chain = false\n').audit_file is None


def test_key_sources_are_by_issuer(tmp_path) -> None:
    (tmp_path / "keys.json").write_text('{"keys": [' + str(PUBLIC).replace("'", '"') + "]}")
    text = (
        f'{ISSUER}algorithms = ["ES256"]\njwks_url = "https://login.test/jwks"\n'
        f'{ISSUER.replace("login", "other")}algorithms = ["EdDSA"]\njwks_file = "keys.json"\n'
    )
    config = good(tmp_path, text)
    assert config.key_sources == {
        "https://login.test/": JwksUrl("https://login.test/jwks"),
        "https://other.test/": JwksFile(tmp_path / "keys.json"),
    }


def test_backends_are_by_route(tmp_path) -> None:
    private(tmp_path / "assertion.secret", SECRET)
    (tmp_path / "ca.pem").write_text("")
    text = (
        '[[routes]]\npath = "/a"\nbackend = "wss://chat.internal/x"\nbackend_tls = { ca_file = "ca.pem", '
        'server_name = "Chat.Internal" }\nassertion_algorithm = "HS256"\nassertion_secret_file = "assertion.secret"\n'
        '[[routes]]\npath = "/b"\nbackend = "ws://[::1]:9"\nassertion_algorithm = "none"\n'
    )
    config = good(tmp_path, text)
    first, second = config.backends["/a"], config.backends["/b"]
    assert (first.host, first.port, first.tls) == ("chat.internal", 443, True)
    assert first.backend_tls == BackendTls(ca_file=tmp_path / "ca.pem", server_name="chat.internal")
    assert first.assertion_secret is not None
    assert first.assertion_secret.expose() == SECRET
    assert (second.host, second.port, second.tls, second.assertion_algorithm) == ("::1", 9, False, "none")


def test_a_secret_stands_once(tmp_path) -> None:
    private(tmp_path / "s", SECRET)
    text = f'{ISSUER}algorithms = ["HS256"]\nsecret = "{SECRET}"\nsecret_file = "s"\n'
    assert errors(tmp_path, text) == [("issuers[0].secret", "is given twice")]


def test_what_the_assembly_is_told(tmp_path) -> None:
    text = (
        '[server]\nnode = "gw-1"\nworkers = 2\nhandshake_timeout = "2s"\nadmission_timeout = "3s"\n'
        'drain_timeout = "0s"\noutbound_allow = ["10.0.0.0/8"]\nprefix = ""\n[store]\nlive_when_unavailable = "close"\n'
        '[tokens]\nalgorithm = "ES256"\naccess_ttl = "60s"\nticket_ttl = "5s"\naudience = "chat"\n'
    ) + ROUTE
    config = good(tmp_path, text)
    assert (config.node, config.workers, config.prefix) == ("gw-1", 2, "")
    assert (config.handshake_timeout, config.admission_timeout, config.drain_timeout) == (2.0, 3.0, 0.0)
    assert [str(network) for network in config.outbound_allow] == ["10.0.0.0/8"]
    assert not config.keep_live_without_store
    assert (config.algorithm, config.access_ttl, config.ticket_ttl, config.audience) == ("ES256", 60.0, 5.0, "chat")
