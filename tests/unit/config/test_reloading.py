"""A reload that would need other sockets, stores or keys is refused by name; keys once fetched are not forgotten."""

import pytest

from doorward.config.config import Config
from doorward.config.reloading import issuers_as_before, needs_restart
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
        ("tokens.algorithm", '[tokens]\nalgorithm = "ES256"\n'),
        ("audit.file", '[audit]\nfile = "other.jsonl"\n'),
    ],
)
def test_what_needs_a_restart_is_named(name: str, changed: str, tmp_path) -> None:
    before = made(tmp_path, ROUTE)
    assert needs_restart(before, made(tmp_path, changed + ROUTE)) == [f"{name} needs a restart"]


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
