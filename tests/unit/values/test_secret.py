"""A secret never shows itself."""

import copy
import json
import pickle  # noqa: TID251 - to see that it is refused
from dataclasses import replace

import pytest

from doorward.values.credential import Credential, Kind, Place
from doorward.values.secret import MASK, Secret

TEXT = "s3cr3t"


@pytest.mark.parametrize("show", [repr, str, format, "{0}".format, "{0!r}".format, "{0:>9}".format, lambda it: f"{it}"])
def test_it_is_masked_however_it_is_shown(show) -> None:
    assert show(Secret(TEXT)) == MASK


def test_nor_inside_another_value() -> None:
    credential = Credential(Kind.TOKEN, Place.HEADER, Secret(TEXT))
    assert TEXT not in repr(credential)
    assert TEXT not in str([credential, {"a": credential}])
    assert TEXT not in repr(replace(credential, kind=Kind.TICKET))


def test_expose_is_the_one_way() -> None:
    assert Secret(TEXT).expose() == TEXT
    assert len(Secret(TEXT)) == 6


def test_it_is_compared_by_matches_only() -> None:
    assert Secret(TEXT).matches(TEXT)
    assert Secret("é").matches("é")
    assert not Secret(TEXT).matches(TEXT + "x")
    assert not Secret(TEXT).matches("")
    with pytest.raises(TypeError):
        _ = Secret(TEXT) == Secret(TEXT)
    with pytest.raises(TypeError):
        _ = Secret(TEXT) != TEXT
    with pytest.raises(TypeError):
        hash(Secret(TEXT))
    with pytest.raises(TypeError):
        _ = {Secret(TEXT)}


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_it_does_not_leave_the_process(leave) -> None:
    with pytest.raises(TypeError):
        leave(Secret(TEXT))


def test_it_takes_no_other_attribute() -> None:
    with pytest.raises(AttributeError):
        Secret(TEXT).other = 1  # type: ignore[attr-defined]
