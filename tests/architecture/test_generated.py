"""What is made from the core's tables is fresh, the same every time, and says everything that the tables say."""

import json

import pytest

from doorward.core.endings import ENDINGS, close_text
from doorward.core.lifecycle import Action, Event
from doorward.values.decision import Reason, Retry
from tests.architecture.source import ROOT
from tools.generate import ACTIONS, GENERATED, RETRIES, stale


def test_nothing_generated_is_stale() -> None:
    assert stale() == [], "run `python -m tools.generate`"


@pytest.mark.parametrize("name", GENERATED)
def test_it_comes_out_the_same_every_time(name) -> None:
    assert GENERATED[name]() == GENERATED[name]()
    assert GENERATED[name]().endswith("\n")


def test_the_catalogue_holds_every_reason_once_with_its_ending() -> None:
    catalogue = json.loads((ROOT / "spec/endings.json").read_text(encoding="utf-8"))
    said = {
        reason["name"]: (ending["name"], reason["status"], ending["close"], ending["retry"], ending["text"])
        for ending in catalogue["endings"]
        for reason in ending["reasons"]
    }
    assert said == {
        reason.value: (ending.name, ending.status, ending.close, ending.retry.value, close_text(ending))
        for reason, ending in ENDINGS.items()
    }
    assert sum(len(ending["reasons"]) for ending in catalogue["endings"]) == len(Reason)
    assert set(catalogue["retries"]) == {retry.value for retry in Retry}


def test_the_words_of_the_pages_are_total() -> None:
    assert set(RETRIES) == set(Retry)
    assert set(ACTIONS) == set(Action)
    page = (ROOT / "docs/explain/lifecycle.md").read_text(encoding="utf-8")
    assert [event.value for event in Event if f"`{event.value}`" not in page] == []
