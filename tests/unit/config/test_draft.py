"""All faults at once: what is broken does not hide what stands beside it, and nobody blames what was taken out."""

import pytest

from doorward.config.draft import validate
from doorward.config.problem import Fault, shown


def texts(tree):
    return {shown(fault.key): fault.text for fault in validate(tree).faults}


def test_every_fault_of_every_section_is_found_in_one_go() -> None:
    tree = {
        "server": {"listen": 3, "worker": 1, "workers": True, "hosts": ["*"], "node": "a b", "max_connections": 0},
        "tokens": {"access_ttl": "bad", "algorithm": "ed25519"},
        "issuers": [{"issuer": "x", "audience": []}, {"audience": "", "algorithms": ["none"]}],
        "routes": [3, {"backend": "ws://h:1"}],
        "roles": {"a": ["x*"], "b": "x"},
        "audit": {"hash_chain": 1},
        "nonsense": {},
    }
    assert texts(tree) == {
        "server.listen": 'must be an address and port such as "127.0.0.1:8800", as text in quotes',
        "server.worker": "is no key of the configuration",
        "server.workers": "must be a whole number",
        "server.hosts[0]": "is a wildcard",
        "server.node": "holds characters that it may not",
        "server.max_connections": "must be at least 1",
        "tokens.access_ttl": "is not a duration",
        "tokens.algorithm": 'must be "Ed25519" or "ES256"',
        "issuers[0].audience": "names nobody",
        "issuers[0].algorithms": "is required",
        "issuers[1].issuer": "is required",
        "issuers[1].audience": "names nobody",
        "issuers[1].algorithms[0]": "is no signature at all",
        "routes[0]": "must be a table",
        "routes[1].path": "is required",
        "roles.a[0]": "has a wildcard inside a part",
        "roles.b": "must be a list",
        "audit.hash_chain": "must be true or false",
        "nonsense": "is no key of the configuration",
    }


@pytest.mark.parametrize(
    ("tree", "hint"),
    [
        ({"server": {"listn": "x"}}, 'did you mean "listen"?'),
        ({"servr": {}}, 'did you mean "server"?'),
        ({"routes": [{"path": "/a", "backend": "ws://h", "lease": {"idel": "1s"}}]}, 'did you mean "idle"?'),
        ({"server": {"grace": "1s"}}, "it stands in [routes.lease]"),
        ({"server": {"zzzzzz": 1}}, "`doorward config env` lists them all"),
        ({"origins": {"without_origin": "Allow"}}, 'did you mean "allow"?'),
        ({"routes": {"path": "/"}}, "with two brackets: [[routes]]"),
        ({"issuers": [{"issuer": "x", "audience": "a", "algorithms": ["es256"]}]}, 'write "ES256"'),
    ],
)
def test_a_slip_is_met_with_a_suggestion(tree, hint) -> None:
    assert hint in [fault.hint for fault in validate(tree).faults]


@pytest.mark.parametrize("spelling", ["none", "None", "NONE", "nOnE"])
def test_algorithm_none_can_not_be_written(spelling) -> None:
    tree = {"issuers": [{"issuer": "x", "audience": "a", "algorithms": [spelling]}]}
    assert texts(tree) == {"issuers[0].algorithms[0]": "is no signature at all"}


def test_what_is_sound_stays_and_keeps_its_place() -> None:
    draft = validate(
        {
            "server": {"listen": "nonsense", "workers": 4},
            "routes": [{"path": "bad", "backend": "ws://h"}, {"path": "/b", "backend": "ws://h", "permission": "a"}],
        }
    )
    assert draft.settings.server.workers == 4
    assert str(draft.settings.server.listen) == "127.0.0.1:8800"
    assert draft.settings.routes[1].permission == "a"


def test_findings_that_rest_on_a_broken_key_are_not_trusted() -> None:
    draft = validate({"server": {"listen": "x"}, "routes": [{"path": "bad", "backend": "ws://h"}]})
    assert not draft.trusts(Fault(("server", "listen"), "is public"))
    assert not draft.trusts(Fault(("server", "public_url"), "is required", needs=(("server", "listen"),)))
    assert not draft.trusts(Fault(("routes", 0, "backend"), "is the gateway itself"))
    assert draft.trusts(Fault(("server", "workers"), "is 1"))


def test_nothing_is_coerced() -> None:
    for value in ("2", 2.0, True, None, [2]):
        assert texts({"server": {"workers": value}}) == {"server.workers": "must be a whole number"}


def test_the_tree_that_was_given_is_not_changed() -> None:
    tree = {"server": {"listen": "x"}, "routes": [{}]}
    validate(tree)
    assert tree == {"server": {"listen": "x"}, "routes": [{}]}


def test_no_fault_repeats_a_value() -> None:
    canary = "hunter2-hunter2"
    values = [canary, [canary], {canary: canary}, {"x": canary}]
    for section in ("server", "issuers", "routes", "store", "roles"):
        for value in values:
            for tree in ({section: value}, {section: {"listen": value, "url": value}}, {section: [{"secret": value}]}):
                for fault in validate(tree).faults:
                    assert canary not in f"{fault.text}{fault.hint}"
