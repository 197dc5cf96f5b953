"""A reload that would need other sockets, stores or keys is refused by name; keys once fetched are not forgotten."""

import pytest

from doorward.config.config import Config
from doorward.config.problem import Problem, Severity
from doorward.config.reloading import in_short, issuers_as_before, needs_restart, told
from doorward.core.auditing import MAX_DETAIL
from tests.unit.config.making import ISSUER, ROUTE, SECRET, good

JWKS = ISSUER + 'algorithms = ["ES256"]\njwks_url = "https://login.test/jwks.json"\n'


def made(tmp_path, text: str) -> Config:
    return good(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("server.listen", '[server]\nlisten = "127.0.0.1:8899"\npublic_url = "http://127.0.0.1:8800"\n'),
        ("admin.listen", '[admin]\nlisten = "127.0.0.1:8899"\n'),
        ("server.workers", "[server]\nworkers = 2\n"),
        ("server.public_url", '[server]\npublic_url = "https://rt.test"\n'),
        ("store.url", '[store]\nurl = "sqlite:///other.db"\n'),
        ("store.cluster_url", '[store]\ncluster_url = "redis://localhost"\n'),
        ("tokens.algorithm", '[tokens]\nalgorithm = "ES256"\n'),
        ("audit.file", '[audit]\nfile = "other.jsonl"\n'),
    ],
)
def test_what_needs_a_restart_is_named(name: str, changed: str, tmp_path) -> None:
    before = made(tmp_path, ROUTE)
    assert needs_restart(before, made(tmp_path, changed + ROUTE)) == [f"{name} needs a restart"]


def test_an_address_that_follows_listen_is_not_named_beside_it(tmp_path) -> None:
    before, after = made(tmp_path, ROUTE), made(tmp_path, '[server]\nlisten = "127.0.0.1:8899"\n' + ROUTE)
    assert needs_restart(before, after) == ["server.listen needs a restart"]


def test_only_errors_are_reasons_and_they_keep_their_hints() -> None:
    error = Problem(path="server.listen", line=2, text="is none", hint='"127.0.0.1:8800"', source="a.toml")
    other = Problem(path="x", line=3, text="is unknown", source="a.toml")
    warned = Problem(path="y", line=1, text="is odd", severity=Severity.WARNING, source="a.toml")
    reasons = told([warned, error, other])
    assert reasons == ['a.toml:2: server.listen: is none ("127.0.0.1:8800")', "a.toml:3: x: is unknown"]
    assert in_short(reasons) == 'a.toml:2: server.listen: is none ("127.0.0.1:8800"); and 1 more'
    assert in_short(reasons[1:]) == "a.toml:3: x: is unknown"
    assert in_short([]) == ""
    assert len(in_short(["x" * 9999, "y"])) <= MAX_DETAIL + 1


def test_all_else_may_change(tmp_path) -> None:
    before = made(tmp_path, ROUTE)
    after = '[server]\ndrain_timeout = "1s"\nmax_connections = 7\n[origins]\nallow = ["https://a.test"]\n'
    assert needs_restart(before, made(tmp_path, after + ROUTE + JWKS)) == []


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (ROUTE + JWKS, True),
        ('[origins]\nallow = ["https://a.test"]\n' + ROUTE + JWKS, True),
        (ROUTE + JWKS.replace('"chat"', '"other"'), True),
        (ROUTE + JWKS.replace("jwks.json", "keys.json"), False),
        (ROUTE + JWKS.replace("ES256", "RS256"), False),
        ('[server]\noutbound_allow = ["10.0.0.0/8"]\n' + ROUTE + JWKS, False),
        (ROUTE + ISSUER + f'algorithms = ["HS256"]\nsecret = "{SECRET}"\n', False),
        (ROUTE, False),
    ],
    ids=["same", "elsewhere", "audience", "url", "algorithms", "outbound", "secret", "gone"],
)
def test_fetched_keys_stay_where_they_come_from_the_same_place(after: str, kept: bool, tmp_path) -> None:
    before = made(tmp_path, ROUTE + JWKS)
    expected = {"https://login.test/"} if kept else set()
    assert issuers_as_before(before, made(tmp_path, after)) == expected


def test_secrets_are_read_anew(tmp_path) -> None:
    text = ROUTE + ISSUER + f'algorithms = ["HS256"]\nsecret = "{SECRET}"\n'
    assert issuers_as_before(made(tmp_path, text), made(tmp_path, text)) == frozenset()


def test_a_new_issuer_has_nothing_to_keep(tmp_path) -> None:
    assert issuers_as_before(made(tmp_path, ROUTE), made(tmp_path, ROUTE + JWKS)) == frozenset()
