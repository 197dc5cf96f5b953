"""The order of a loop's passes, by a loop that is a list: how many pieces there are between two looks at the live."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from doorward.adapters.gateway.turns import RESTS, WHEN_ALL_HAVE_COME, WHILE_MORE_COME, Afterwards, Turns


class Passes:
    """As much of an event loop as Turns needs: `run` is one pass, which runs what was ready when it began."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., None], *arguments: Any) -> None:
        self.ready.append((callback, arguments))

    def run(self) -> None:
        for _ in range(len(self.ready)):
            callback, arguments = self.ready.popleft()
            callback(*arguments)


def made() -> tuple[Passes, Turns]:
    passes = Passes()
    return passes, Turns(cast(Any, passes))


def test_who_is_alone_waits_for_nobody() -> None:
    passes, turns = made()
    done: list[int] = []
    for number in range(3):
        turns.wait(partial(done.append, number))
        passes.run()
        assert done[-1] == number
    assert not passes.ready, "an idle loop sleeps"


def test_of_a_flood_there_is_one_piece_between_two_looks_at_the_live() -> None:
    passes, turns = made()
    done: list[int] = []
    for number in range(1000):
        turns.wait(partial(done.append, number))
    looks = []
    while passes.ready:
        before = len(done)
        passes.run()
        looks.append(len(done) - before)
    assert max(looks) == 1
    assert done == list(range(1000)), "first come, first served"
    assert len(looks) == 999 * (RESTS + 1) + 1


def test_what_a_piece_begins_is_done_before_the_next_piece() -> None:
    """The door's work is a task: it has a pass for itself, and so has what it leaves behind."""
    passes, turns = made()
    done: list[str] = []

    def piece(name: str) -> None:
        done.append(f"{name} read")
        passes.call_soon(judged, name)

    def judged(name: str) -> None:
        done.append(f"{name} judged")
        passes.call_soon(done.append, f"{name} charged")

    turns.wait(lambda: piece("a"))
    turns.wait(lambda: piece("b"))
    while passes.ready:
        passes.run()
    assert done == ["a read", "a judged", "a charged", "b read", "b judged", "b charged"]


def test_who_comes_while_one_rests_is_next() -> None:
    passes, turns = made()
    done: list[str] = []
    turns.wait(lambda: done.append("a"))
    turns.wait(lambda: done.append("b"))
    passes.run()
    turns.wait(lambda: done.append("c"))
    passes.run()
    assert done == ["a"]
    while passes.ready:
        passes.run()
    assert done == ["a", "b", "c"]


def test_one_slow_head_has_one_turn_for_each_piece_of_it_behind_all_others() -> None:
    passes, turns = made()
    done: list[str] = []

    def dripping(left: int) -> None:
        done.append(f"drip {left}")
        if left:
            turns.wait(lambda: dripping(left - 1))

    turns.wait(lambda: dripping(2))
    turns.wait(lambda: done.append("good"))
    while passes.ready:
        passes.run()
    assert done == ["drip 2", "good", "drip 1", "drip 0"]


def afterwards() -> tuple[Passes, Afterwards]:
    passes = Passes()
    return passes, Afterwards(cast(Any, passes))


def test_what_comes_afterwards_is_not_put_off_where_there_is_little() -> None:
    passes, later = afterwards()
    done: list[int] = []
    for number in range(3):
        later.wait(partial(done.append, number))
        passes.run()
        assert done[-1] == number
    assert not passes.ready, "an idle loop sleeps"


def test_it_is_done_in_order_and_mostly_once_no_more_comes() -> None:
    passes, later = afterwards()
    done: list[int] = []
    for number in range(160):
        later.wait(partial(done.append, number))
        if number % 16 == 15:
            before = len(done)
            passes.run()
            assert len(done) - before == WHILE_MORE_COME
    while passes.ready:
        before = len(done)
        passes.run()
        assert len(done) - before <= WHEN_ALL_HAVE_COME
    assert done == list(range(160))


def test_a_bug_in_one_piece_loses_no_other() -> None:
    passes, later = afterwards()
    done: list[str] = []
    for name in "ab":
        later.wait(lambda: 1 / 0)  # type: ignore[arg-type]
        later.wait(partial(done.append, name))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            passes.run()
    passes.run()
    assert done == ["a", "b"]
    assert not passes.ready
