"""The nouns: frozen, slotted, closed, and of the words that PRODUCT uses."""

import dataclasses
import importlib
import pkgutil
import re
from enum import Enum
from ipaddress import ip_address

import pytest

import doorward.values
from doorward.values.decision import MISSING, Found, Missing, Reason, Step, Unavailable
from doorward.values.ids import new_id
from doorward.values.peer import Peer, network_of
from doorward.values.principal import Identity
from tests.unit.core.making import handshake, principal

MODULES = [
    importlib.import_module(found.name) for found in pkgutil.walk_packages(doorward.values.__path__, "doorward.values.")
]
CLASSES: list[type] = [
    thing
    for module in MODULES
    for _, thing in sorted(vars(module).items())
    if isinstance(thing, type) and thing.__module__ == module.__name__
]
MUTABLE = {"Trail"}  # owned by one admission, read once it has ended


@pytest.mark.parametrize("thing", [thing for thing in CLASSES if dataclasses.is_dataclass(thing)])
def test_a_value_is_frozen_and_slotted(thing) -> None:
    parameters = thing.__dataclass_params__
    assert parameters.frozen or thing.__name__ in MUTABLE
    assert "__slots__" in vars(thing)


@pytest.mark.parametrize("thing", [thing for thing in CLASSES if issubclass(thing, Enum)])
def test_an_enumeration_names_each_thing_once(thing) -> None:
    assert len(thing.__members__) == len(list(thing))


def test_the_steps_are_thirteen_in_order() -> None:
    assert [step.value for step in Step] == list(range(1, 14))


@pytest.mark.parametrize("reason", Reason)
def test_a_reasons_name_is_its_word(reason) -> None:
    assert reason.value == reason.name.lower()


def test_the_three_answers_are_three() -> None:
    assert len({Found(None), MISSING, Unavailable()}) == 3
    assert list(Missing) == [MISSING]


@pytest.mark.parametrize(
    ("address", "key"),
    [
        (None, "unix"),
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
    ],
)
def test_network_of(address, key) -> None:
    """IPv6 counts by /64: whoever has one has 18 quintillion."""
    assert network_of(None if address is None else ip_address(address)) == key


def test_a_peer_without_an_address_is_of_this_machine() -> None:
    assert Peer(None, None, secure=True).shown == "unix"
    assert Peer(ip_address("::1"), None, secure=True).shown == "::1"


def test_an_identity_is_all_three() -> None:
    assert Identity("i", "s") == Identity("i", "s", "")
    assert len({Identity("i", "s"), Identity("j", "s"), Identity("i", "s", "t"), Identity("i", "t", "s")}) == 4


def test_a_handshake_shows_no_header() -> None:
    assert "Bearer" not in repr(handshake())
    assert "alice" in repr(principal())


def test_no_id_can_be_taken_for_an_option() -> None:
    """Of one connection in 64 `connections close ID` was an unknown option."""
    ids = [new_id(bytes([first]) + bytes(15)) for first in range(256)]
    assert not any(id.startswith("-") for id in ids)
    assert {len(id) for id in ids} == {22}
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", id) for id in ids)


@pytest.mark.parametrize("subject", ["alice", "auth0|7f3a", "|", ""])
@pytest.mark.parametrize("tenant", ["", "acme"])
def test_an_identitys_text_names_it(subject, tenant) -> None:
    one = Identity("https://login.example.com/", subject, tenant)
    assert Identity.of_text(one.text) == one
