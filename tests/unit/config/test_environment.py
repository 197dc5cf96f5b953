"""The environment form: every key has one, lists and tables are JSON, secrets may come from files."""

import json
from pathlib import Path

import pytest

from doorward.config.environment import leaves, read, table_at
from doorward.config.schema import ServerTable
from doorward.config.schema_routes import LeaseTable
from tests.unit.config.making import SECRET, errors, good, private


def layer(environment, folder=Path()):
    return read(environment, folder=folder)


def said(environment, folder=Path()):
    return [(name, fault.text) for name, fault in layer(environment, folder).faults]


def test_every_key_has_one_variable() -> None:
    variables = [leaf.variable for leaf in leaves()]
    assert len(variables) == len(set(variables))
    assert {
        "DOORWARD_SERVER__LISTEN",
        "DOORWARD_ORIGINS__ALLOW",
        "DOORWARD_ROUTES",
        "DOORWARD_SERVER__TLS__KEY_FILE",
    } <= {*variables}


def test_text_is_taken_as_it_is_and_the_rest_is_json() -> None:
    found = layer(
        {
            "DOORWARD_SERVER__LISTEN": "127.0.0.1:1",
            "DOORWARD_SERVER__WORKERS": "2",
            "DOORWARD_ORIGINS__ALLOW": '["https://a.test"]',
            "DOORWARD_AUDIT__HASH_CHAIN": "false",
            "DOORWARD_ROUTES": '[{"path": "/a", "backend": "ws://h"}]',
            "DOORWARD_PASSWORDS__LOCKOUT__FAILURES": "5",
        }
    )
    assert found.faults == []
    assert found.tree == {
        "server": {"listen": "127.0.0.1:1", "workers": 2},
        "origins": {"allow": ["https://a.test"]},
        "audit": {"hash_chain": False},
        "routes": [{"path": "/a", "backend": "ws://h"}],
        "passwords": {"lockout": {"failures": 5}},
    }
    assert found.variables["server", "listen"] == "DOORWARD_SERVER__LISTEN"


def test_a_whole_table_is_json_and_a_single_key_goes_over_it() -> None:
    found = layer(
        {
            "DOORWARD_SERVER__TLS__KEY_FILE": "mine.pem",
            "DOORWARD_SERVER__TLS": '{"key_file": "k.pem", "certificate_file": "c.pem"}',
        }
    )
    assert found.tree == {"server": {"tls": {"key_file": "mine.pem", "certificate_file": "c.pem"}}}
    assert found.variables["server", "tls", "certificate_file"] == "DOORWARD_SERVER__TLS"


@pytest.mark.parametrize(
    ("name", "value"),
    [("DOORWARD_ORIGINS__ALLOW", "https://a.test"), ("DOORWARD_SERVER__WORKERS", "two"), ("DOORWARD_ROUTES", "[")],
)
def test_what_is_not_json_is_said(name, value) -> None:
    assert said({name: value}) == [(name, "is not JSON")]


def test_a_table_that_is_not_one_is_said() -> None:
    assert said({"DOORWARD_SERVER__TLS": "[]"}) == [("DOORWARD_SERVER__TLS", "is not a table in JSON")]


def test_an_unknown_variable_is_an_error_with_a_suggestion() -> None:
    [(name, fault)] = layer({"DOORWARD_SERVER__LISTN": "x"}).faults
    assert (name, fault.text) == ("DOORWARD_SERVER__LISTN", "is no key of the configuration")
    assert "DOORWARD_SERVER__LISTEN" in fault.hint


@pytest.mark.parametrize(
    "name",
    [
        "DOORWARD_SERVICE_HOST",
        "DOORWARD_SERVICE_PORT",
        "DOORWARD_SERVICE_PORT_HTTP",
        "DOORWARD_PORT",
        "DOORWARD_PORT_8800_TCP",
        "DOORWARD_PORT_8800_TCP_ADDR",
        "DOORWARD_ADMIN_PORT_8801_TCP_PORT",
    ],
)
def test_what_kubernetes_sets_for_a_service_of_our_name_is_nobodys_mistake(name) -> None:
    assert said({name: "tcp://10.0.0.1:8800"}) == []


def test_other_programs_variables_are_not_ours() -> None:
    assert layer({"PATH": "x", "DOORWARDEN": "y", "doorward_x": "z", "DOORWARD_CONFIG": "f"}).faults == []


def test_a_secret_comes_from_a_file(tmp_path) -> None:
    private(tmp_path / "store-url", "sqlite:///other.db\n")
    found = layer({"DOORWARD_STORE__URL_FILE": "store-url"}, tmp_path)
    assert found.tree == {"store": {"url": "sqlite:///other.db"}}


def test_a_secret_file_is_there_private_and_the_only_one(tmp_path) -> None:
    assert said({"DOORWARD_STORE__URL_FILE": "nowhere"}, tmp_path) == [
        ("DOORWARD_STORE__URL_FILE", "names a file that is not there")
    ]
    private(tmp_path / "url", "memory:").chmod(0o644)
    assert said({"DOORWARD_STORE__URL_FILE": "url"}, tmp_path)[0][1] == "names a file that others can read or change"
    both = {"DOORWARD_STORE__URL_FILE": "url", "DOORWARD_STORE__URL": "memory:"}
    assert said(both, tmp_path) == [("DOORWARD_STORE__URL_FILE", "is given twice")]


def test_only_secrets_have_a_file_form() -> None:
    assert said({"DOORWARD_SERVER__LISTEN_FILE": "x"}) == [
        ("DOORWARD_SERVER__LISTEN_FILE", "is no key of the configuration")
    ]


def test_tables_are_found_by_key() -> None:
    assert table_at(("server",)) is ServerTable
    assert table_at(("routes", 3, "lease")) is LeaseTable
    assert table_at(("server", "listen")) is None
    assert table_at(("nowhere",)) is None


def test_a_problem_names_the_variable_and_not_the_file(tmp_path) -> None:
    found = errors(tmp_path, "", environment={"DOORWARD_SERVER__LISTEN": "nonsense"})
    assert found == [("server.listen", "is not an address and port")]


def test_a_whole_issuer_in_the_environment(tmp_path) -> None:
    issuer = {"issuer": "https://i.test", "audience": "chat", "algorithms": ["HS256"], "secret": SECRET}
    config = good(tmp_path, "", environment={"DOORWARD_ISSUERS": json.dumps([issuer])})
    assert list(config.key_sources) == ["https://i.test"]
