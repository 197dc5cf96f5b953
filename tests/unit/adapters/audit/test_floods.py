"""Floods: the first at once, repeats as a count, bounded whoever comes, and nothing else is ever held."""

from typing import Any

import pytest

from doorward.adapters.audit.floods import EARLY, MANY, REPEATED, Floods
from doorward.testing import START, FakeClock
from doorward.values.audit import EventKind, Outcome
from doorward.values.decision import Reason
from tests.unit.adapters.audit.making import Sink, event


class Stream:
    """Numbers what it is given, as the event stream does."""

    def __init__(self, **more: Any) -> None:
        self.clock = FakeClock()
        self.sink = Sink()
        self.floods = Floods(self.sink, clock=self.clock, **more)
        self.sequence = 0

    def refuse(self, reason: str = "address_refusals", *, times: int = 1, **members: Any) -> None:
        for _ in range(times):
            self.sequence += 1
            self.floods.write([event(self.sequence, reason=reason, at=self.clock.now(), **members)])

    @property
    def told(self) -> list[tuple[str, str, int]]:
        return [(event.address, event.reason, event.count) for event in self.sink.written]


def test_the_first_at_once_and_the_repeats_as_one() -> None:
    stream = Stream()
    stream.refuse(times=1000)
    assert stream.told == [("203.0.113.7", "address_refusals", 1)]
    stream.clock.advance(10)
    stream.floods.write([])
    assert stream.told[1:] == [("203.0.113.7", "address_refusals", 999)]
    summary = stream.sink.written[1]
    assert (summary.sequence, summary.at) == (1000, START)


def test_the_numbers_add_up() -> None:
    stream = Stream()
    for _ in range(7):
        stream.refuse(times=13)
        stream.refuse(reason="token_expired", times=2)
        stream.refuse(times=3, address="203.0.113.8")
        stream.clock.advance(4)
    stream.floods.close()
    assert sum(event.count for event in stream.sink.written) == stream.sequence
    assert len(set(stream.sink.sequences)) == len(stream.sink.sequences)


def test_each_address_and_reason_is_its_own_flood() -> None:
    stream = Stream()
    stream.refuse(times=2)
    stream.refuse(times=2, address="203.0.113.8")
    stream.refuse(reason="address_banned", times=2)
    stream.refuse(times=2, kind=EventKind.HTTP)
    assert len(stream.told) == 4
    stream.floods.close()
    assert [count for _, _, count in stream.told] == [1] * 8


def test_ipv6_counts_by_64() -> None:
    stream = Stream()
    for host in range(100):
        stream.refuse(address=f"2001:db8::{host:x}")
    stream.refuse(address="2001:db8:0:1::1")
    assert len(stream.told) == 2


def test_a_single_one_has_no_repeat() -> None:
    stream = Stream()
    stream.refuse()
    stream.clock.advance(60)
    stream.refuse()
    stream.floods.close()
    assert [count for _, _, count in stream.told] == [1, 1]


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.value not in REPEATED])
def test_everything_else_has_its_own_record(reason: Reason) -> None:
    stream = Stream()
    stream.refuse(reason=reason.value, times=3)
    assert [count for _, _, count in stream.told] == [1, 1, 1]


def test_what_no_rate_bounds_has_some_records_of_its_own_and_then_a_count() -> None:
    stream = Stream(early=5)
    stream.refuse("head_grammar", times=4)
    stream.refuse("host_foreign", times=3)
    stream.refuse("head_grammar", times=10)
    stream.refuse("head_grammar", times=2, address="198.51.100.1")
    stream.refuse("token_signature", times=2)
    assert len(stream.told) == 4 + 1 + 2 + 2
    stream.clock.advance(10)
    stream.refuse("head_grammar")
    assert stream.told[9:] == [
        ("203.0.113.7", "host_foreign", 2),
        ("203.0.113.7", "head_grammar", 10),
        ("203.0.113.7", "head_grammar", 1),
    ]


def test_the_window_of_an_address_is_the_same_for_all_that_is_early() -> None:
    stream = Stream(early=1)
    stream.refuse("head_grammar")
    for reason in sorted(EARLY):
        stream.refuse(reason)
    assert len(stream.told) == 1
    stream.floods.close()
    assert sum(count for _, _, count in stream.told) == 1 + len(EARLY)


def test_what_was_not_refused_is_never_held() -> None:
    stream = Stream()
    stream.refuse(times=3, outcome=Outcome.DONE)
    assert len(stream.told) == 3


def test_state_is_bounded_and_a_flood_of_addresses_is_counted_together() -> None:
    stream = Stream(most=10)
    for number in range(1000):
        stream.refuse(address=f"198.51.{number // 256}.{number % 256}")
    assert len(stream.told) == 10
    stream.clock.advance(10)
    stream.floods.write([])
    assert stream.told[10:] == [("", "address_refusals", 990)]
    assert stream.sink.written[10].detail == MANY


def test_what_is_owed_stays_owed_while_the_sink_fails() -> None:
    stream = Stream()
    stream.refuse(times=5)
    stream.clock.advance(10)
    stream.sink.fails = OSError(28, "full")
    with pytest.raises(OSError):
        stream.floods.write([])
    stream.sink.fails = None
    stream.floods.write([])
    assert stream.told[1:] == [("203.0.113.7", "address_refusals", 4)]
    stream.floods.write([])
    assert len(stream.told) == 2


def test_closing_lets_out_what_is_held_and_closes_the_sink_whatever_happens() -> None:
    stream = Stream()
    stream.refuse(times=2)
    stream.sink.fails = OSError(28, "full")
    with pytest.raises(OSError):
        stream.floods.close()
    assert stream.sink.closed


@pytest.mark.parametrize("address", ["", "unix", "strange"])
def test_a_peer_without_an_address_floods_too(address: str) -> None:
    stream = Stream()
    stream.refuse(times=10, address=address)
    assert len(stream.told) == 1
