"""Every reason has a meaning, in a line; a hint is about a reason that exists."""

from doorward.service.reasons import HINTS, MEANINGS
from doorward.values.decision import Reason


def test_every_reason_has_a_meaning_of_one_line() -> None:
    assert tuple(MEANINGS) == tuple(Reason)
    for text in [*MEANINGS.values(), *HINTS.values()]:
        assert text
        assert "\n" not in text
        assert "|" not in text
    assert set(HINTS) <= set(Reason)
