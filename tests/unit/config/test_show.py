"""What is printed is what is in effect, can be loaded again, and holds no secret."""

import json
import tomllib

import pytest

from doorward.config.environment import read
from doorward.config.rules import rules_of
from doorward.config.schema import Settings
from doorward.config.show import as_toml, derived, effective, environment_lines, json_schema
from tests.architecture.source import ROOT
from tests.unit.config.making import ISSUER, ROUTE, SECRET, errors, good

TEXT = (
    '[server]\nnode = "gw-1"\ntrusted_proxies = ["10.0.0.0/8", "192.0.2.1"]\nworkers = 2\n[origins]\nallow = ["https://a.test"]\n'
    '[roles]\n"team lead" = ["chat:*", "*"]\n[store]\nurl = "sqlite:///x.db"\n'
    + ROUTE
    + 'permission = "rooms/{room}:join"\nrequire = { "https://claims.test/tenant" = "{room}" }\n'
    'lease = { idle = "90s" }\n'
    'limits = { messages = "off", message_size = 1000 }\n'
    '[[routes]]\npath = "/{rest*}"\nbackend = "wss://[::1]:9/"\nbackend_tls = { server_name = "chat.internal" }\n'
)


def test_it_is_what_was_loaded(tmp_path) -> None:
    first = good(tmp_path, TEXT)
    again = good(tmp_path, as_toml(effective(first), derived=derived(first)))
    assert rules_of(again) == rules_of(first)
    assert effective(again) == effective(first)


def test_what_was_left_out_is_marked(tmp_path) -> None:
    config = good(tmp_path, TEXT)
    text = as_toml(effective(config), derived=derived(config))
    assert 'public_url = "http://127.0.0.1:8800"  # derived' in text
    assert "max_connections = 9900  # derived" in text
    assert text.count("# derived") == 3
    assert 'node = "gw-1"\n' in text


def test_secrets_are_masked(tmp_path) -> None:
    text = (
        f'{ISSUER}algorithms = ["HS256"]\nsecret = "{SECRET}"\n{ROUTE}assertion_algorithm = "HS256"\n'
        f'assertion_secret = "{SECRET}"\n'
    )
    config = good(tmp_path, text)
    for shown in (as_toml(effective(config)), json.dumps(effective(config)), repr(config), repr(config.settings)):
        assert SECRET not in shown
    assert effective(config)["issuers"][0]["secret"] == "***"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h/d", "postgresql://***@h/d"),
        ("postgresql://u:hun/ter@2@h/d", "postgresql://***@h/d"),
        ("redis://:hunter2@h:6379/0", "redis://***@h:6379/0"),
        ("postgresql://h/d?sslpassword=hunter2&sslmode=require", "postgresql://h/d?sslpassword=***&sslmode=require"),
    ],
)
def test_a_password_in_a_stores_url_is_masked(tmp_path, url, shown) -> None:
    config = good(tmp_path, "")
    store = config.settings.store.model_copy(update={"url": url, "cluster_url": url})
    settings = config.settings.model_copy(update={"store": store})
    tree = effective(
        type(config)(**{**{name: getattr(config, name) for name in config.__slots__}, "settings": settings})
    )
    assert tree["store"]["url"] == tree["store"]["cluster_url"] == shown


def test_a_store_is_named_without_its_password(tmp_path) -> None:
    config = good(tmp_path, '[store]\nurl = "postgresql://u:hunter2@db.test:5433,[::1]/d"\n')
    assert config.store_name == "PostgreSQL at db.test, ::1"
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "\x00\x7f\t", "ü€", "# x", "''", "{a}"])
def test_any_text_survives(text) -> None:
    tree = {"section": {"key": text, text: [text], "inline": {text: text}}, "tables": [{"x": [{text: text}]}]}
    assert tomllib.loads(as_toml(tree)) == tree


def test_the_environment_form_names_every_key_and_its_default(tmp_path) -> None:
    lines = list(environment_lines())
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    layer = read(given, folder=tmp_path)
    assert layer.faults == []
    assert Settings.model_validate(layer.tree) == Settings()
    commented = [line for line in lines if line.startswith("# DOORWARD_")]
    assert "# DOORWARD_SERVER__PUBLIC_URL=" in commented
    assert errors(tmp_path, "", environment=given) == []
    assert any("DOORWARD_STORE__URL_FILE" in line for line in lines)


def test_the_json_schema_describes_every_key() -> None:
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["additionalProperties"] is False
    for table in [schema, *schema["$defs"].values()]:
        for name, about in table["properties"].items():
            assert "description" in about, name
    server = schema["$defs"]["ServerTable"]["properties"]
    assert server["handshake_timeout"]["default"] == "5s"
    assert schema["$defs"]["IssuerTable"]["required"] == ["issuer", "audience", "algorithms"]
    assert schema["$defs"]["IssuerTable"]["properties"]["secret"]["anyOf"][0]["writeOnly"] is True


def test_the_schema_has_every_key_of_the_contracts_page() -> None:
    """The full example is PRODUCT section 4; no key of it may be unknown."""
    Settings.model_validate(tomllib.loads((ROOT / "examples/full.toml").read_text(encoding="utf-8")))
