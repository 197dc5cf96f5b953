"""What this version does not carry out is refused, and never quietly left undone; at its default it is accepted."""

import re

import pytest

from doorward.config.environment import table_at
from doorward.config.not_built import NOT_BUILT
from doorward.config.schema import Settings
from tests.unit.config.making import ISSUER, ROUTE, SECRET, errors, good

SERVER_TLS = '[server]\ntls = { certificate_file = "c", key_file = "k", '
CASES = {
    "server.tls.client_ca_file": SERVER_TLS + 'client_ca_file = "ca" }\n',
    "server.tls.client_certificates": SERVER_TLS + 'client_certificates = "required" }\n',
    "tokens.format": '[tokens]\nformat = "opaque"\n',
    "tokens.refresh_ttl": '[tokens]\nrefresh_ttl = "1d"\n',
    "issuers[0].introspection": ISSUER
    + 'algorithms = ["ES256"]\nintrospection = { url = "https://i.test", client_id = "a" }\n',
    "providers[0]": '[[providers]]\nname = "corp"\nissuer = "https://i.test"\nclient_id = "a"\n',
    "passwords.minimum_length": "[passwords]\nminimum_length = 15\n",
    "passwords.lockout.failures": "[passwords]\nlockout = { failures = 3 }\n",
    "passwords.lockout.within": '[passwords]\nlockout = { within = "1h" }\n',
    "passwords.lockout.duration": '[passwords]\nlockout = { duration = "1h" }\n',
    "cluster_limits.logins_per_address": '[cluster_limits]\nlogins_per_address = "5/min"\n',
    "routes[0].credentials[1]": ROUTE + 'credentials = ["token", "password"]\n',
    "routes[0].places[0]": ROUTE + 'places = ["message"]\n',
    "routes[0].subprotocols[0]": ROUTE + 'subprotocols = ["chat.v1"]\n',
    "routes[0].lease.recheck_every": ROUTE + 'lease = { recheck_every = "30s" }\n',
    "routes[0].lease.recheck_grace": ROUTE + 'lease = { recheck_grace = "30s" }\n',
    "routes[0].lease.message_deadline": ROUTE + 'lease = { message_deadline = "1s" }\n',
    "routes[0].message_token": ROUTE + "message_token = true\n",
    "routes[0].protection": ROUTE + 'protection = "signed"\n',
    "routes[0].type_field": ROUTE + 'type_field = "/kind"\n',
    "routes[0].unlisted_messages": ROUTE + 'unlisted_messages = "deliver"\n',
    "routes[0].binary_messages": ROUTE + 'binary_messages = "refuse"\n',
    "routes[0].messages[0]": ROUTE + '[[routes.messages]]\ntype = "x"\n',
    "alerts[0]": '[[alerts]]\nwhen = ["login-burst"]\n',
}


@pytest.mark.parametrize("path", CASES)
def test_it_is_refused(tmp_path, path) -> None:
    found = dict(errors(tmp_path, CASES[path]))
    assert found[path].endswith("is not in this version")
    assert "hunter2" not in found[path]


def test_every_row_of_the_table_has_its_case() -> None:
    rows = {".".join(part for part in row.key if part != "*") for row in NOT_BUILT}
    assert {re.sub(r"\[[0-9]+\]", "", path) for path in CASES} == rows


def test_the_table_names_keys_that_there_are() -> None:
    for row in NOT_BUILT:
        key = tuple(0 if part == "*" else part for part in row.key)
        table = table_at(key[:-1]) or Settings
        assert key[-1] in table.model_fields
        assert row.reason


def test_everything_at_its_default_is_accepted(tmp_path) -> None:
    """The keys of the table written out, with the values that PRODUCT shows as the defaults."""
    text = (
        '[store]\ncluster_url = ""\n[tokens]\nformat = "jwt"\nrefresh_ttl = "720h"\n'
        '[passwords]\nminimum_length = 12\nlockout = { failures = 5, within = "15m", duration = "900s" }\n'
        f'[cluster_limits]\nlogins_per_address = "20/min burst 20"\n{ROUTE}'
        'credentials = ["ticket"]\nplaces = ["query"]\nsubprotocols = []\nmessage_token = false\nprotection = "none"\n'
        'type_field = "type"\nunlisted_messages = "refuse"\nbinary_messages = "deliver"\n'
        'lease = { recheck_every = "60s", recheck_grace = "5m", message_deadline = "5s" }\n'
    )
    good(tmp_path, text)


def test_a_secret_of_a_kind_that_is_not_built_stays_hidden(tmp_path) -> None:
    provider = f'[[providers]]\nname = "corp"\nissuer = "i"\nclient_id = "a"\nclient_secret = "{SECRET}"\n'
    assert SECRET not in repr(errors(tmp_path, provider))
