"""SystemClock over clocks that are told what to say: the wall's slips, the store's time, and a store that is away."""

from time import CLOCK_BOOTTIME, CLOCK_MONOTONIC

import pytest

from doorward.adapters.system import SystemClock, SystemEntropy, even_clock
from doorward.core.timekeeping import Sample

EPOCH = 1_790_000_000.0


class Machine:
    """An even clock that began somewhere, and a wall clock that is wrong by `wrong`."""

    def __init__(self, wrong: float = 0.0) -> None:
        self.true = EPOCH
        self.wrong = wrong
        self.clock = SystemClock(wall=lambda: self.true + self.wrong, ticks=lambda: self.true - EPOCH + 777.0)

    def sample(self, *, ahead: float = 0.0, trip: float = 0.002) -> Sample:
        """The store's clock is right but for `ahead`."""
        before = self.clock.ticks()
        self.true += trip
        return Sample(before, self.clock.ticks(), self.true - trip / 2 + ahead)


def test_without_a_stores_time_it_is_the_wall_clocks() -> None:
    machine = Machine(wrong=2.0)
    assert machine.clock.now() == pytest.approx(EPOCH + 2)
    machine.wrong = 2.04
    assert machine.clock.discipline() is None
    assert machine.clock.now() == pytest.approx(EPOCH + 2.04), "small differences at once"


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_jump_of_the_wall_clock_counts_after_a_minute(jump: float) -> None:
    machine = Machine()
    machine.wrong = jump
    for _ in range(60):
        assert machine.clock.discipline() is None
        machine.true += 1
    assert machine.clock.now() == pytest.approx(machine.true)
    assert machine.clock.discipline() == pytest.approx(jump)
    assert machine.clock.now() == pytest.approx(machine.true + jump)


@pytest.mark.parametrize("wrong", [2.0, -2.0, 86400.0])
def test_the_stores_time_is_taken_at_once_and_the_wall_clock_means_nothing_then(wrong: float) -> None:
    machine = Machine(wrong)
    machine.clock.set_by(machine.sample())
    assert machine.clock.now() == pytest.approx(machine.true)
    assert machine.clock.ahead() == pytest.approx(wrong)
    machine.wrong -= 3600
    for _ in range(120):
        machine.true += 1
        assert machine.clock.discipline() is None
    assert machine.clock.now() == pytest.approx(machine.true), "set back by an hour, and nobody noticed"


def test_a_store_that_is_away_leaves_the_time_going_on() -> None:
    machine = Machine(2.0)
    machine.clock.set_by(machine.sample())
    machine.true += 3600
    assert machine.clock.discipline() is None
    assert machine.clock.now() == pytest.approx(machine.true)


@pytest.mark.parametrize("ahead", [5.0, -5.0])
def test_a_failover_to_a_machine_that_is_off_counts_when_it_lasts(ahead: float) -> None:
    machine = Machine()
    machine.clock.set_by(machine.sample())
    for _ in range(3):
        assert machine.clock.heard(machine.sample(ahead=ahead)) is None
        machine.true += 2
    assert machine.clock.now() == pytest.approx(machine.true)
    assert machine.clock.heard(machine.sample(ahead=ahead)) == pytest.approx(ahead)
    assert machine.clock.now() == pytest.approx(machine.true + ahead)
    assert machine.clock.heard(machine.sample(ahead=ahead)) is None


def test_slow_answers_move_nothing() -> None:
    machine = Machine()
    machine.clock.set_by(machine.sample())
    for _ in range(10):
        assert machine.clock.heard(machine.sample(ahead=30.0, trip=0.2)) is None
        machine.true += 2
    assert machine.clock.now() == pytest.approx(machine.true)


def test_drift_is_followed() -> None:
    """A quartz of 100 ppm, over an hour: the store's clock is always within some milliseconds."""
    machine = Machine()
    machine.clock.set_by(machine.sample())
    for beat in range(1800):
        assert machine.clock.heard(machine.sample(ahead=beat * 2 * 1e-4)) is None
        machine.true += 2
    assert machine.clock.now() == pytest.approx(machine.true + 0.36, abs=0.005)


class Kernel:
    """A machine that may be suspended, during which only some of its clocks go on."""

    def __init__(self, *, known: set[int]) -> None:
        self.known = known
        self.awake = 1000.0
        self.suspended = 0.0

    def read(self, clock: int) -> float:
        if clock not in self.known:
            raise OSError(22, "Invalid argument")
        return self.awake + (self.suspended if clock == CLOCK_BOOTTIME else 0.0)


def test_after_the_machine_was_suspended_the_time_is_right_at_once() -> None:
    """Else a token that expired meanwhile would pass until the wall clock's or the store's jump has lasted."""
    kernel = Kernel(known={CLOCK_BOOTTIME, CLOCK_MONOTONIC})
    clock = SystemClock(
        wall=lambda: EPOCH + kernel.awake + kernel.suspended,
        ticks=even_clock(kernel.read),
    )
    kernel.awake += 5
    kernel.suspended += 3600
    assert clock.now() == pytest.approx(EPOCH + 1000 + 3605)
    assert clock.discipline() is None, "no jump"


def test_a_kernel_without_that_clock_has_the_monotonic_one() -> None:
    kernel = Kernel(known={CLOCK_MONOTONIC})
    ticks = even_clock(kernel.read)
    assert ticks() == 1000.0
    kernel.awake += 5
    assert ticks() == 1005.0


def test_entropy_is_the_systems() -> None:
    assert len({SystemEntropy().bytes(16) for _ in range(4)}) == 4
