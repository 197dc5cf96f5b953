"""A value that no store can hold is a usage error, said once, before anybody is told and anything is opened."""

import pytest

LONG = "x" * 513
BAD = ["mallory\udcff", "mal\0lory", LONG]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    "words",
    [
        ("revoke", "--subject"),
        ("revoke", "--session"),
        ("revoke", "--token"),
        ("revoke", "--tenant"),
        ("revoke", "--issuer"),
        ("revoke", "--subject", "bob", "--issuer"),
        ("revoke", "--subject", "bob", "--tenant"),
        ("revoke", "--subject", "bob", "--cause"),
        ("revoke", "--subject", "bob", "--effect", "roles", "--role", "fine", "--role"),
        ("ban", "add", "--subject"),
        ("ban", "add", "--subject", "bob", "--issuer"),
        ("ban", "add", "--subject", "bob", "--tenant"),
        ("ban", "add", "--address", "192.0.2.7", "--cause"),
        ("connections", "close"),
    ],
)
def test_it_is_refused_by_name(doorward, words, bad):
    said = doorward(*words, bad)
    assert said.code == 2
    assert said.out == ""
    assert said.err.count("\n") <= 2
    assert "can't be held" in said.err
    assert (words[-1] if words[-1].startswith("--") else "ID") in said.err
    assert len(said.err) < 300


def test_controls_are_in_no_name_and_may_be_in_a_cause(doorward):
    assert "can't be held" in doorward("revoke", "--subject", "bob\n").err
    assert "can't be held" in doorward("revoke", "--subject", "bob", "--issuer", "").err
    assert "can't be held" not in doorward("revoke", "--subject", "bob", "--cause", "two\nlines").err
    assert "can't be held" not in doorward("revoke", "--subject", "ж" * 512).err
