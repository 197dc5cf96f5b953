"""What the API shows of values that say too much or too little by themselves."""

import pytest

from doorward.adapters.admin import shown
from doorward.ports import PresentNode
from doorward.service.overview import Counted, Overview, WorkerSeen
from doorward.values.revocation import Effect, Revocation, Target, TargetKind


@pytest.mark.parametrize(("sequence", "told"), [(7, 7), (0, None)])
def test_what_is_not_durable_has_no_place_in_the_log(sequence, told) -> None:
    one = Revocation(Target(TargetKind.IDENTITY, "alice"), 1.0, Effect.CLOSE, "left", 9.0, sequence=sequence, id="r")
    assert shown.revocation(one).sequence == told
    assert shown.revocation(one).durable is (told is not None)


@pytest.mark.parametrize(("age", "said", "ready"), [(0.5, True, True), (0.5, False, False), (24.0, True, False)])
def test_who_is_stale_is_not_ready_whatever_was_said_last(age, said, ready) -> None:
    seen = WorkerSeen(PresentNode("gw-2", 1, 11, 0.0, 0.0, 6, 1, "1.2.2", ready=said), age, 0)
    told = shown.overview(Overview(24.0, "gw-1", True, 6, (seen,), {}, Counted()), version="1.2.3")
    assert [worker.ready for node in told.nodes for worker in node.workers] == [ready]
