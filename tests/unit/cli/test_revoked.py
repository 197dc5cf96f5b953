"""What `revoke --json` prints: as the admin API tells it."""

import json
from dataclasses import fields, replace

import pytest

from doorward.adapters.admin import shown
from doorward.cli.acting import revoked_as_json
from doorward.service.operate import Revoked, Unheard
from doorward.values.principal import Identity

VICTIM = Identity("https://rt.example.com", "auth0|123", "")
MEMBERS = {field.name: 1 for field in fields(Revoked)}
REVOKED = Revoked(
    **{  # type: ignore[arg-type]
        **MEMBERS,
        "id": "r" * 22,
        "sequence": 7,
        "durable": True,
        "silent": ("gw-2",),
        "took": 0.02,
        "identities": (VICTIM.text,),
        "unheard": (Unheard("gw-3", 42.1),),
    }
)


def test_who_was_hit_is_told_member_by_member_as_by_the_admin_api() -> None:
    told = json.loads(json.dumps(revoked_as_json(REVOKED)))
    assert told["identities"] == [{"issuer": "https://rt.example.com", "subject": "auth0|123", "tenant": ""}]
    assert told["identities"] == [one.model_dump() for one in shown.identities(REVOKED.identities)]
    assert (told["silent"], told["unheard"]) == (["gw-2"], [{"node": "gw-3", "seconds": 42.1}])
    assert set(told) == set(MEMBERS)


@pytest.mark.parametrize(("sequence", "told"), [(7, 7), (0, None)])
def test_what_is_not_durable_has_no_place_in_the_log(sequence, told) -> None:
    result = replace(REVOKED, sequence=sequence, durable=sequence > 0)
    assert revoked_as_json(result)["sequence"] == told


def test_both_commands_print_it(doorward) -> None:
    assert doorward("init", "--backend", "ws://127.0.0.1:9001").code == 0
    assert doorward("token", "issue", "alice").code == 0
    for words in (("revoke", "--subject", "bob"), ("connections", "close", "c1")):
        told = json.loads(doorward(*words, "--json").out)
        assert (told["durable"], told["identities"]) == (True, [])
        assert told["sequence"] > 0
