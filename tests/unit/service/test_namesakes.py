"""One name, one worker: who finds another living one under its own takes a number of its own, and both say so."""

from collections.abc import Iterable
from dataclasses import replace

from doorward.ports import PresentNode
from doorward.service.namesakes import APART, SAID_EVERY, Namesakes
from doorward.testing import START, FakeEntropy

OTHER = PresentNode(node="gw-1", worker=1, pid=0, started_at=START + 5, beat_at=START + 6, cursor=0, connections=0)


def met(names: Namesakes, present: Iterable[PresentNode], *, after: float = 10.0) -> bool:
    return names.meet(present, started_at=START, now=START + after)


def worker(number: int = 1) -> Namesakes:
    return Namesakes(node="gw-1", worker=number, entropy=FakeEntropy())


def test_another_that_beats_under_our_name_is_told_apart_and_said_once_a_minute() -> None:
    names = worker()
    assert met(names, [OTHER])
    assert names.worker > APART
    assert names.worker % APART == 1
    moved = names.worker
    assert not met(names, [OTHER], after=20)
    assert met(names, [OTHER], after=10 + SAID_EVERY)
    assert names.worker == moved, "it is apart already"


def test_the_one_that_keeps_the_number_says_it_as_well() -> None:
    names = worker()
    assert met(names, [replace(OTHER, worker=1 + 7 * APART)])
    assert names.worker == 1


def test_an_earlier_life_and_the_other_workers_and_nodes_are_nobody() -> None:
    names = worker()
    earlier = replace(OTHER, started_at=START - 60, beat_at=START - 1)
    others = [earlier, replace(OTHER, worker=2), replace(OTHER, node="gw-2")]
    assert not met(names, others)
    assert names.worker == 1


def test_who_drains_is_told_apart_and_not_complained_about() -> None:
    names = worker()
    assert not met(names, [replace(OTHER, ready=False)])
    assert names.worker > APART


def test_who_is_written_over_all_the_time_does_not_move_all_the_time() -> None:
    names = worker()
    met(names, [OTHER])
    moved = names.worker
    met(names, [replace(OTHER, worker=moved, beat_at=START + 12)], after=12)
    assert names.worker == moved
    met(names, [replace(OTHER, worker=moved, beat_at=START + 80)], after=80)
    assert names.worker != moved
