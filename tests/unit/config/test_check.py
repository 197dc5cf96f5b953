"""It does not start on …: PRODUCT section 4's list and SECURITY's OPS-01, each with its key; and the warnings."""

import subprocess
import sys

import pytest

from doorward.config.check import unsafe_keys
from doorward.config.fields import Many, Table, key
from doorward.config.problem import Severity
from tests.unit.config.making import ISSUER, ROUTE, SECRET, bad, errors, good, private, warnings

PUBLIC = '[server]\npublic_url = "https://rt.test"\nlisten = "{}"\n'
JWKS = 'jwks_url = "https://login.test/jwks"\n'
OURSELVES = '[server]\npublic_url = "https://a.test"\n[[issuers]]\nissuer = "https://a.test"\naudience = "a"\n'
HOLLOW = '[[issuers]]\nissuer = "https://login.test/"\n'


@pytest.mark.parametrize("listen", ["0.0.0.0:8800", "[::]:8800", "10.0.0.5:8800", "192.0.2.1:443"])
def test_a_public_bind_without_tls_and_without_trusted_proxies(tmp_path, listen) -> None:
    found = errors(tmp_path, PUBLIC.format(listen))
    assert found == [("server.listen", "is public, without TLS and without trusted proxies")]
    good(tmp_path, PUBLIC.format(listen) + 'trusted_proxies = ["10.0.0.0/8"]\n')


@pytest.mark.parametrize("how", ['places = ["header", "cookie"]\n', 'credentials = ["token", "session"]\n'])
def test_cookies_with_no_origin_list(tmp_path, how) -> None:
    texts = [text for _, text in errors(tmp_path, ROUTE + how)]
    assert "takes cookies while origins.allow is empty" in texts
    listed = '[origins]\nallow = ["https://a.test"]\n' + ROUTE + how
    assert "takes cookies while origins.allow is empty" not in [text for _, text in errors(tmp_path, listed)]


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        (ISSUER + 'algorithms = ["HS256"]\nsecret = "qm7LzT4vRk"\n', "issuers[0].secret", "has 10 bytes"),
        (ISSUER + "algorithms = []\n" + JWKS, "issuers[0].algorithms", "is an empty list"),
        (ISSUER + JWKS, "issuers[0].algorithms", "is required"),
        (HOLLOW + 'algorithms = ["ES256"]\n' + JWKS, "issuers[0].audience", "is required"),
        (HOLLOW + 'audience = ""\nalgorithms = ["ES256"]\n' + JWKS, "issuers[0].audience", "names nobody"),
        (
            ROUTE + 'protection = "signed"\ncontrol_messages = "never"\n',
            "routes[0].protection",
            "needs control messages",
        ),
        (
            ISSUER + f'algorithms = ["HS256", "RS256"]\nsecret = "{SECRET}"\n',
            "issuers[0].algorithms",
            "mixes shared-secret and public-key algorithms",
        ),
        (
            ISSUER + 'algorithms = ["HS256"]\n' + JWKS,
            "issuers[0].algorithms",
            "names a shared-secret algorithm beside a JWKS",
        ),
        (
            ISSUER + f'algorithms = ["ES256"]\nsecret = "{SECRET}"\n',
            "issuers[0].algorithms",
            "names no shared-secret algorithm beside a secret",
        ),
        (
            ISSUER + f'algorithms = ["HS256", "HS384"]\nsecret = "{SECRET}{SECRET[::-1]}"\n',
            "issuers[0].algorithms",
            "names several algorithms for one secret",
        ),
        (ISSUER + 'algorithms = ["None"]\n' + JWKS, "issuers[0].algorithms[0]", "is no signature at all"),
        (ISSUER + 'algorithms = ["ES256"]\n', "issuers[0].jwks_url", "is required, or another source of keys"),
        (ISSUER + f'algorithms = ["ES256"]\n{JWKS}jwks_file = "x"\n', "issuers[0].jwks_file", "stands beside jwks_url"),
        (
            (ISSUER + 'algorithms = ["ES256"]\n' + JWKS) * 2,
            "issuers[1].issuer",
            "is the same as issuers[0]",
        ),
        (
            OURSELVES + 'algorithms = ["ES256"]\n' + JWKS,
            "issuers[0].issuer",
            "is our own public_url",
        ),
        ('[server]\ntrusted_proxies = ["10.0.0.1", "0.0.0.0/0"]\n', "server.trusted_proxies[1]", "trusts every"),
        ('[server]\ntrusted_proxies = ["::/0"]\n', "server.trusted_proxies[0]", "trusts every address there is"),
        ('[server]\nforwarded_header = "proxy-protocol"\n', "server.forwarded_header", "needs server.trusted_proxies"),
        ('[server]\nworkers = 2\n[store]\nurl = "memory:"\n', "store.url", "is memory, with several workers"),
        ('[store]\nurl = "postgresql://u:p/ss@h/d"\n', "store.url", "is not a PostgreSQL URL"),
        ('[store]\nurl = "postgres://u@h/d?password=p"\n', "store.url", "has a password after the question mark"),
        ('[store]\nurl = "mysql://h"\n', "store.url", "is no store that this version knows"),
        ('[store]\nurl = "sqlite://x.db"\n', "store.url", "is not a SQLite URL"),
        ('[store]\nurl = "sqlite:///nowhere/x.db"\n', "store.url", "lies in a folder that is not there"),
        ('[store]\nurl = "memory:"\ncluster_url = "redis://h"\n', "store.cluster_url", "has nothing durable beside it"),
        ('[store]\ncluster_url = "http://u:hunter2@h"\n', "store.cluster_url", "can't be read: a Redis URL begins"),
        ('[store]\ncluster_url = "valkey://:hunter2@h"\n', "store.cluster_url", "can't be read: valkey:// is written"),
        ('[store]\ncluster_url = "redis://:hunter2@h:x"\n', "store.cluster_url", "can't be read: a Redis URL's host"),
        ('[store]\ncluster_url = "redis+cluster://h/3"\n', "store.cluster_url", "can't be read: a Redis Cluster has"),
        ('[audit]\nfile = "nowhere/audit.jsonl"\n', "audit.file", "lies in a folder that is not there"),
        ('[admin]\nlisten = "127.0.0.1:8800"\n', "admin.listen", "is the gateway's own address"),
        ('[admin]\nlisten = "0.0.0.0:8800"\n', "admin.listen", "is the gateway's own address"),
    ],
)  # fmt: skip
def test_it_does_not_start(tmp_path, text, path, found) -> None:
    said = dict(errors(tmp_path, text))
    assert path in said
    assert said[path].startswith(found) or any(
        at == path and what.startswith(found) for at, what in errors(tmp_path, text)
    )


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://login.test/jwks", "is not https"),
        ("http://10.0.0.1/jwks", "is not https"),
        ("http://127.0.0.1:8803/jwks", "is a private address that our own calls may not reach"),
        ("http://localhost:8803/jwks", "is a private address that our own calls may not reach"),
        ("https://10.0.0.1/jwks", "is a private address that our own calls may not reach"),
        ("https://169.254.169.254/latest", "is a private address that our own calls may not reach"),
        ("https://[fd00::1]/jwks", "is a private address that our own calls may not reach"),
        ("https://user:pw@login.test/jwks", "has a user name or a fragment in it"),
        ("https://login.test/jwks#x", "has a user name or a fragment in it"),
        ("file:///etc/passwd", "is not a URL"),
        ("gopher://login.test/", "is not a URL"),
        ("https://", "is not a URL"),
        ("https://login.test:99999/", "is not a URL"),
        ("https://login.test/a b", "is not a URL"),
        ("not a url", "is not a URL"),
    ],
)
def test_where_our_own_calls_may_go(tmp_path, url, found) -> None:
    text = f'{ISSUER}algorithms = ["ES256"]\njwks_url = "{url}"\n'
    assert errors(tmp_path, text) == [("issuers[0].jwks_url", found)]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8803/jwks", "http://localhost:8803/jwks", "https://127.0.0.1/jwks"])
def test_loopback_may_be_called_where_outbound_allow_says_so(tmp_path, url) -> None:
    good(tmp_path, f'[server]\noutbound_allow = ["127.0.0.0/8"]\n{ISSUER}algorithms = ["ES256"]\njwks_url = "{url}"\n')


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        (ROUTE, "origins.allow", "lists no origin: browsers are refused"),
        ('[origins]\nallow = ["https://a.test", "https://a.test"]\n', "origins.allow[1]", "is listed twice"),
        ('[server]\ntrusted_proxies = ["10.0.0.0/7"]\n', "server.trusted_proxies[0]", "trusts a very wide network"),
        ('[server]\ntrusted_proxies = ["2000::/3"]\n', "server.trusted_proxies[0]", "trusts a very wide network"),
        ('[server]\nlisten = "127.0.0.1:0"\n', "server.listen", "lets the system choose the port"),
        ('[admin]\nlisten = "10.0.0.9:8801"\n', "admin.listen", "is not loopback, and has no TLS"),
        ('[admin]\nlisten = "0.0.0.0:8801"\n', "admin.listen", "is not loopback, and has no TLS"),
        (
            '[server]\npublic_url = "https://rt.test:8443"\nhosts = ["other.test"]\n',
            "server.hosts",
            "does not list public_url's own host",
        ),
    ],
)
def test_it_starts_with_a_warning(tmp_path, text, path, found) -> None:
    assert errors(tmp_path, text) == []
    assert (path, found) in warnings(tmp_path, text)


def test_public_urls_host_is_found_whatever_its_form(tmp_path) -> None:
    for url, host in (
        ("https://rt.test", "rt.test"),
        ("https://[::1]:8443", "::1"),
        ("http://127.0.0.1:1", "127.0.0.1"),
    ):
        text = f'[server]\npublic_url = "{url}"\nhosts = ["{host}"]\n'
        assert "server.hosts" not in dict(warnings(tmp_path, text))


def test_one_cause_is_said_once(tmp_path) -> None:
    """A listen address that is not one must not also be called public, nor its TLS missing."""
    assert errors(tmp_path, '[server]\nlisten = "everywhere"\n') == [("server.listen", "is not an address and port")]
    broken = '[server]\nlisten = "0.0.0.0:1"\npublic_url = "https://rt.test"\ntrusted_proxies = ["x"]\n'
    assert errors(tmp_path, broken) == [("server.trusted_proxies[0]", "is not a network")]


def test_a_finding_stands_beside_a_fault_elsewhere(tmp_path) -> None:
    text = PUBLIC.format("0.0.0.0:1") + ROUTE + 'lease = { grace = "1w" }\n' + ISSUER + "algorithms = []\n" + JWKS
    assert {path for path, _ in errors(tmp_path, text)} == {
        "server.listen",
        "routes[0].lease.grace",
        "issuers[0].algorithms",
    }


class Inner(Table):
    unsafe_inner: bool = key(False, "x")


class Outer(Table):
    unsafe_outer: bool = key(False, "x")
    inner: Inner = key(Inner(), "x")
    many: Many[Inner] = key((), "x")


def test_dangerous_settings_are_found_by_their_name() -> None:
    assert list(unsafe_keys(Outer())) == []
    table = Outer.model_validate(
        {"unsafe_outer": True, "inner": {"unsafe_inner": True}, "many": [{}, {"unsafe_inner": True}]}
    )
    assert set(unsafe_keys(table)) == {("unsafe_outer",), ("inner", "unsafe_inner"), ("many", 1, "unsafe_inner")}


def test_a_world_readable_key_file_starts_nothing(tmp_path) -> None:
    private(tmp_path / "doorward.key", "x").chmod(0o644)
    [problem] = [problem for problem in bad(tmp_path, "") if problem.path == "tokens.key_file"]
    assert "chmod 600" in problem.hint


@pytest.mark.parametrize("store", ['url = "postgresql://h/d"', 'cluster_url = "redis://h"'])
def test_nodes_that_each_go_by_their_own_address_refuse_one_anothers_tokens(tmp_path, store: str) -> None:
    """Our own issuer is the public_url, which is where we listen unless it is written."""
    [text] = [text for path, text in warnings(tmp_path, f"[store]\n{store}\n") if path == "server.public_url"]
    assert "a node with another one refuses the tokens of this one" in text
    written = f'[server]\npublic_url = "https://rt.test"\n[store]\n{store}\n'
    assert [path for path, _ in warnings(tmp_path, written) if path == "server.public_url"] == []
    assert [path for path, _ in warnings(tmp_path, "") if path == "server.public_url"] == []


@pytest.mark.parametrize("url", ["http://h", "valkeys://h", "redis://:hunter2@h:x"])
def test_who_wrote_no_redis_url_is_told_its_forms(tmp_path, url: str) -> None:
    [problem] = [one for one in bad(tmp_path, f'[store]\ncluster_url = "{url}"\n') if one.path == "store.cluster_url"]
    for form in ("redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "DOORWARD_STORE__CLUSTER_URL_FILE"):
        assert form in problem.hint
    assert "hunter2" not in f"{problem.text} {problem.hint}"


@pytest.mark.parametrize(
    ("store", "path", "library", "extra"),
    [
        ('cluster_url = "redis://h"', "store.cluster_url", "redis", "redis"),
        ('cluster_url = "redis://h"', "store.cluster_url", "hiredis", "redis"),
        ('url = "postgresql://h/d"', "store.url", "psycopg", "postgres"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    tmp_path, monkeypatch, store: str, path: str, library: str, extra: str
) -> None:
    assert errors(tmp_path, f"[store]\n{store}\n") == []
    monkeypatch.setitem(sys.modules, library, None)
    (problem,) = [one for one in bad(tmp_path, f"[store]\n{store}\n") if one.severity is Severity.ERROR]
    assert (problem.path, problem.text) == (path, "needs a library that is not installed")
    assert problem.hint == f"pip install 'doorward[{extra}]'"


def test_the_plain_install_needs_no_library_of_an_extra(tmp_path) -> None:
    """Nothing of Redis or PostgreSQL is imported where they are not configured."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['redis', 'hiredis', 'psycopg'])); "
        "import doorward.cli, doorward.config.assemble, doorward.config.middleware, doorward.config.making"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=110)
