"""The going-live audit: what is fine on a desk and not on the internet."""

import pytest

from doorward.config.problem import Severity
from doorward.config.production import audit
from tests.unit.config.certificates import NOW, write_pair
from tests.unit.config.making import ISSUER, ROUTE, SECRET, good, private

SERVER = (
    '[server]\nlisten = "0.0.0.0:443"\npublic_url = "https://rt.acme.dev"\nworkers = 2\n'
    'tls = { certificate_file = "cert.pem", key_file = "key.pem" }\n'
)
ORIGINS = '[origins]\nallow = ["https://app.acme.dev"]\n'
FIT = SERVER + ORIGINS + ROUTE + 'permission = "chat:join"\n'


def audited(folder, text, *, user=1000, severity=Severity.ERROR):
    if not (folder / "cert.pem").exists():
        write_pair(folder)
    config = good(folder, text)
    found = audit(config, now=NOW.timestamp(), user=user)
    return [(problem.path, problem.text) for problem in found if problem.severity is severity]


def test_a_fit_configuration_has_nothing_to_say(tmp_path) -> None:
    assert audited(tmp_path, FIT) == []
    assert audited(tmp_path, FIT, severity=Severity.WARNING) == []


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        (
            ('public_url = "https://rt.acme.dev"', 'public_url = "http://rt.acme.dev"'),
            "server.public_url",
            "is not https",
        ),
        (("rt.acme.dev", "rt.example.com"), "server.public_url", "is an example"),
        (("https://app", "http://app"), "origins.allow[0]", "is a page without TLS"),
        (("[origins]", '[audit]\nfile = ""\n[origins]'), "audit.file", "is off: nobody can say"),
        (("[origins]", '[admin]\nlisten = "0.0.0.0:8801"\n[origins]'), "admin.listen", "is on every address"),
        (("[origins]", '[admin]\nlisten = "8.8.8.8:8801"\n[origins]'), "admin.listen", "is a public address"),
        (("[origins]", '[admin]\nlisten = "10.0.0.9:8801"\n[origins]'), "admin.listen", "is on a network"),
        (("workers = 2", 'hosts = ["localhost"]\nworkers = 2'), "server.hosts", "lists loopback names only"),
        (("workers = 2\n", ""), "store.url", "is memory: a restart forgets every revocation"),
    ],
)
def test_what_nobody_should_go_live_with(tmp_path, change, path, text) -> None:
    changed = FIT.replace(*change)
    if path == "store.url":
        changed += '[store]\nurl = "memory:"\n'
    [(at, found)] = audited(tmp_path, changed)
    assert at == path
    assert found.startswith(text)


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        (("https://rt.acme.dev", "https://localhost"), "server.public_url", "is this machine's own name"),
        (("0.0.0.0:443", "127.0.0.1:443"), "server.listen", "is loopback: nobody elsewhere"),
        (("workers = 2", "workers = 1"), "server.workers", "is 1: one process uses one core"),
        (("key.pem\" }", "key.pem\", minimum_version = \"1.2\" }"), "server.tls.minimum_version", "allows TLS 1.2"),
        (('permission = "chat:join"\n', ""), "routes[0].path", "asks for no permission"),
        (("127.0.0.1:9000", "10.0.0.9:9000"), "routes[0].backend", "is reached without TLS"),
        (("https://app.acme.dev", "https://localhost:3000"), "origins.allow[0]", "is a page on the visitor"),
        (("[origins]", "[audit]\nhash_chain = false\n[origins]"), "audit.hash_chain", "is off"),
        (
            ('permission = "chat:join"', 'assertion_algorithm = "none"\npermission = "a"'),
            "routes[0].assertion_algorithm",
            "sends the backend no assertion",
        ),
    ],
)  # fmt: skip
def test_what_deserves_a_word(tmp_path, change, path, text) -> None:
    found = dict(audited(tmp_path, FIT.replace(*change), severity=Severity.WARNING))
    assert found[path].startswith(text)
    assert len(found) == 1


def test_loopback_without_tls_and_without_a_proxy_serves_nobody(tmp_path) -> None:
    found = audited(tmp_path, ROUTE + 'permission = "a"\n')
    assert found == [
        ("server.public_url", "is left out, so it is the listen address"),
        ("server.tls", "is not given, and no proxy is trusted: nobody but loopback can connect"),
    ]


def test_behind_a_proxy_hsts_is_the_proxys(tmp_path) -> None:
    tls = 'tls = { certificate_file = "cert.pem", key_file = "key.pem" }'
    text = FIT.replace(tls, 'trusted_proxies = ["10.0.0.1"]')
    assert audited(tmp_path, text) == []
    assert audited(tmp_path, text, severity=Severity.WARNING) == [
        ("server.trusted_proxies", "leaves HSTS to the proxy")
    ]


def test_files_that_others_can_read(tmp_path) -> None:
    audited(tmp_path, FIT)
    (tmp_path / "doorward.key").chmod(0o640)
    for name in ("audit.jsonl", "doorward.db"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o644)
    assert audited(tmp_path, FIT, severity=Severity.WARNING) == [
        ("audit.file", "can be read by every user of this machine"),
        ("store.url", "can be read by every user of this machine"),
        ("tokens.key_file", "can be read by its group"),
    ]


def test_a_secret_in_a_file_that_everybody_can_read(tmp_path) -> None:
    text = FIT + f'{ISSUER}algorithms = ["HS256"]\nsecret = "{SECRET}"\n'
    good(tmp_path, "")
    (tmp_path / "doorward.toml").chmod(0o644)
    assert audited(tmp_path, text) == [("", "holds a secret and can be read by every user")]
    (tmp_path / "doorward.toml").chmod(0o600)
    assert audited(tmp_path, text) == []
    assert ("issuers[0].secret", "stands in the configuration") in audited(tmp_path, text, severity=Severity.WARNING)


@pytest.mark.parametrize(
    ("url", "fit"),
    [
        ("postgresql://u@10.0.0.5/d", False),
        ("postgresql://u@db.acme.dev/d?sslmode=require", False),
        ("postgresql://u@/d?host=db.acme.dev", False),
        ("postgresql://u@localhost,db.acme.dev/d", False),
        ("postgresql://u@db.acme.dev/d?sslmode=verify-full&sslrootcert=system", True),
        ("postgresql://u@localhost/d", True),
        ("postgresql://u@[::1]:5433/d", True),
        ("postgresql:///d?host=/run/postgresql", True),
    ],
)
def test_postgresql_elsewhere_is_reached_by_tls_that_knows_its_name(tmp_path, url, fit) -> None:
    found = audited(tmp_path, f'{FIT}[store]\nurl = "{url}"\n')
    assert found == ([] if fit else [("store.url", "reaches PostgreSQL without being sure who it is")])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:pw@redis.acme.dev", ["is reached without TLS"]),
        ("redis+cluster://:pw@10.0.0.5", ["is reached without TLS"]),
        ("rediss://:pw@redis.acme.dev", []),
        ("redis://:pw@localhost", []),
        ("redis://:pw@[::1]:6380/2", []),
    ],
)
def test_redis_elsewhere_is_reached_by_tls(tmp_path, url: str, said: list[str]) -> None:
    text = f'{FIT}[store]\nurl = "postgresql://localhost/d"\ncluster_url = "{url}"\n'
    assert [what for at, what in audited(tmp_path, text) if at == "store.cluster_url"] == said


def test_redis_without_a_password_and_beside_a_file_is_warned_of(tmp_path) -> None:
    text = f'{FIT}[store]\ncluster_url = "redis://localhost"\n'
    found = audited(tmp_path, text, severity=Severity.WARNING)
    warned = [what for at, what in found if at == "store.cluster_url"]
    assert warned == ["has no password", "has SQLite beside it: all nodes must be on this machine"]


def test_a_password_of_the_store_in_a_file_that_everybody_can_read(tmp_path) -> None:
    url = "postgresql://u:hunter2@localhost/d"
    good(tmp_path, "")
    (tmp_path / "doorward.toml").chmod(0o644)
    assert audited(tmp_path, f'{FIT}[store]\nurl = "{url}"\n') == [("", "holds a secret and can be read by every user")]
    private(tmp_path / "url", url + "\n")
    config = good(tmp_path, FIT, environment={"DOORWARD_STORE__URL_FILE": "url"})
    assert config.store_url == url
    assert [one for one in audit(config, now=NOW.timestamp(), user=1000) if one.severity is Severity.ERROR] == []


def test_root_and_an_old_certificate(tmp_path) -> None:
    assert audited(tmp_path, FIT, user=0, severity=Severity.WARNING) == [("", "would run as root")]
    write_pair(tmp_path, days=1)
    assert audited(tmp_path, FIT) == [("server.tls.certificate_file", "has expired")]


def test_keys_over_plain_http(tmp_path) -> None:
    text = FIT.replace("workers = 2", 'workers = 2\noutbound_allow = ["127.0.0.1"]') + (
        f'{ISSUER}algorithms = ["ES256"]\njwks_url = "http://127.0.0.1:8803/jwks"\n'
    )
    assert audited(tmp_path, text) == [("issuers[0].jwks_url", "is not https")]
