"""The order of a loop's passes, by a loop that is a list: how many pieces there are between two looks at the live."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from doorward.adapters.gateway.turns import (
    HOLD,
    LEAST_REST,
    LONGEST,
    PASSES,
    RESERVE,
    REST,
    WHEN_ALL_HAVE_COME,
    WHILE_MORE_COME,
    Afterwards,
    Heard,
    Turns,
)


class Passes:
    """As much of an event loop as Turns needs: `run` is one pass, which runs what was ready when it began. Time stands
    still but in `work` and in `sleep`."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.later: list[tuple[float, Callable[..., None]]] = []
        self.now = 1000.0

    def call_soon(self, callback: Callable[..., None], *arguments: Any) -> None:
        self.ready.append((callback, arguments))

    def call_later(self, delay: float, callback: Callable[..., None]) -> None:
        self.later.append((self.now + delay, callback))

    def run(self) -> None:
        for _ in range(len(self.ready)):
            callback, arguments = self.ready.popleft()
            callback(*arguments)

    def sleep(self) -> float:
        """Until the next timer, as a loop does that has nothing to do. How long."""
        assert not self.ready
        before = self.now
        self.now, callback = self.later.pop(0)
        self.ready.append((callback, ()))
        return self.now - before

    def seconds(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


def made(*, live: bool = True) -> tuple[Passes, Turns]:
    passes, turns, _ = flooded(live=live)
    return passes, turns


def flooded(*, live: bool = True) -> tuple[Passes, Turns, Heard]:
    passes = Passes()
    heard = Heard(passes.seconds)
    turns = Turns(cast(Any, passes), is_anyone_live=lambda: live, heard=heard, seconds=passes.seconds)
    return passes, turns, heard


def flood(passes: Passes, turns: Turns, *, pieces: int, each: float) -> list[float]:
    """So many pieces at once, of `each` seconds; the rests between them."""
    for _ in range(pieces):
        turns.wait(partial(passes.work, each))
    rests = []
    while passes.ready or passes.later:
        if passes.ready:
            passes.run()
        else:
            rests.append(passes.sleep())
    return rests


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
    assert len(looks) == 999 * (PASSES + 1) + 1


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


def test_addresses_take_turns_so_that_none_has_them_all() -> None:
    passes, turns = made()
    done: list[str] = []
    for number in range(1000):
        turns.wait(partial(done.append, f"flood {number}"), of="192.0.2.1")
    for number in range(2):
        turns.wait(partial(done.append, f"good {number}"), of="192.0.2.2")
    while passes.ready:
        passes.run()
    assert done[:5] == ["flood 0", "good 0", "flood 1", "good 1", "flood 2"]
    assert done[5:] == [f"flood {number}" for number in range(3, 1000)], "of one address first come, first served"


def test_what_was_begun_does_not_wait_for_a_flood_at_each_of_its_steps() -> None:
    """Two turns for TLS, one for the head, one at the door: behind all others each time, and it would be late."""
    passes, turns = made()
    done: list[str] = []

    def handshake(steps: int) -> None:
        done.append("good")
        if steps > 1:
            turns.wait(lambda: handshake(steps - 1), of="good", begun=True)

    turns.wait(lambda: handshake(4), of="good")
    for number in range(1000):
        turns.wait(partial(done.append, "flood"), of=f"flood {number}")
    while passes.ready:
        passes.run()
    assert done[:7] == ["good", *["good", "flood"] * 3]
    assert len(done) == 1004


def test_who_drips_has_no_more_than_every_other_turn() -> None:
    passes, turns = made()
    done: list[str] = []
    for number in range(1000):
        turns.wait(partial(done.append, "drip"), of=f"slow {number}", begun=True)
    for number in range(3):
        turns.wait(partial(done.append, "new"), of=f"good {number}")
    while passes.ready:
        passes.run()
    assert done[:6] == ["drip", "new"] * 3
    assert done[6:] == ["drip"] * 997


@pytest.mark.parametrize("each", [0.0001, 0.0003, 0.002, 0.006])
def test_while_anybody_is_live_pieces_have_a_share_of_the_time_and_no_more(each: float) -> None:
    """Else a message waits for a piece both ways, and a flood makes it take twice as long, or ten times under TLS."""
    passes, turns = made()
    pieces = round(0.3 / each)
    rests = flood(passes, turns, pieces=pieces, each=each)
    worked = pieces * each
    assert sum(rests) == pytest.approx(worked * REST - RESERVE, rel=0.05), "and what is not needed is not wasted"
    assert min(rests) >= LEAST_REST * 0.999, "a rest is slept, and not spun through"
    longest = max(LEAST_REST, each * REST)
    assert max(rests) <= longest * 1.001, "and is short: who waits is served many times a second"


def test_in_a_flood_no_piece_begins_between_a_message_and_a_quick_answer_to_it() -> None:
    passes, turns, heard = flooded()
    flood(passes, turns, pieces=1000, each=0.0003)
    begun: list[float] = []
    turns.wait(lambda: begun.append(passes.now))
    said = heard.now()
    answered = said + HOLD * 0.9
    while passes.now < answered:
        assert not begun
        passes.run()
        passes.work(0.00001)
    assert not begun, "the answer goes out, and is heard as well"


def test_who_is_live_and_never_silent_holds_up_a_piece_for_a_moment_alone() -> None:
    passes, turns, heard = flooded()
    flood(passes, turns, pieces=1000, each=0.0003)
    done: list[int] = []
    for number in range(100):
        turns.wait(partial(done.append, number))
    began = passes.now
    while len(done) < 100:
        heard.now()
        if passes.ready:
            passes.run()
            passes.work(0.00001)
        else:
            passes.sleep()
    assert passes.now - began <= 100 * (HOLD + (PASSES + 2) * 0.00001)


def test_outside_of_floods_nobody_is_held_up() -> None:
    passes, turns, heard = flooded()
    done: list[int] = []
    for number in range(10):
        heard.now()
        turns.wait(partial(done.append, number))
        passes.run()
        assert done[-1] == number


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_jump_of_the_clock_costs_one_rest(jump: float) -> None:
    passes, turns, _ = flooded()
    flood(passes, turns, pieces=300, each=0.0003)
    passes.now += jump
    assert sum(flood(passes, turns, pieces=1, each=0.0003)) <= LONGEST * (1 + REST) + LEAST_REST


def test_where_nobody_is_live_pieces_have_all_the_time() -> None:
    passes, turns = made(live=False)
    assert flood(passes, turns, pieces=1000, each=0.0003) == []


def test_a_few_at_once_wait_for_no_rest_and_after_a_quiet_moment_neither_do_the_next() -> None:
    passes, turns = made()
    few = int(RESERVE / (1 + REST) / 0.0003)
    for _ in range(10):
        assert flood(passes, turns, pieces=few, each=0.0003) == []
        passes.work(few * 0.0003 * (1 + REST))


def test_a_piece_that_the_machine_kept_waiting_is_not_paid_for_by_those_who_come_after() -> None:
    passes, turns = made()
    turns.wait(partial(passes.work, 30.0))
    rests = flood(passes, turns, pieces=1, each=0.0001)
    assert sum(rests) <= LONGEST * (1 + REST)


def test_what_was_done_while_nobody_was_live_is_not_owed_to_who_is() -> None:
    passes = Passes()
    live = False
    turns = Turns(cast(Any, passes), is_anyone_live=lambda: live, heard=Heard(passes.seconds), seconds=passes.seconds)
    assert flood(passes, turns, pieces=1000, each=0.0003) == []
    live = True
    assert sum(flood(passes, turns, pieces=2, each=0.0003)) <= RESERVE


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
