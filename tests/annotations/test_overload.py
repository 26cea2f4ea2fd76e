"""A queue under load for 60 days of simulated time: what ordering can do, and what only admission can.

The product's own functions decide who is served first and what is let in; only the clock is simulated.
"""

from __future__ import annotations

import pytest

from tests.annotations.overload import DAY, PER_HOUR, Gate, Key, Outcome, deadline, fifo, simulate, strict

CAPACITY = PER_HOUR * DAY
HOUR = 1.0


@pytest.mark.parametrize(
    ("load", "key", "severe_p95", "light_longest"),
    [
        (0.9, fifo, 0.4, 0.9),
        (1.2, fifo, 236, 249),
        (0.9, strict, 0.02, 15),
        (1.2, strict, 0.02, 1440),  # whoever is not severe is never served
        (0.9, deadline, 0.02, 9),
        (1.2, deadline, 157, 296),
        (2.0, deadline, 603, 771),
    ],
)
def test_ordering_alone_cannot_hold_an_overloaded_queue(
    load: float, key: Key, severe_p95: float, light_longest: float
) -> None:
    """Hours that items of 70 and more points wait, the 95th percentile, and the longest wait of those below 20."""
    found = simulate(load, key)
    assert found.severe_p95 == pytest.approx(severe_p95, rel=0.1, abs=0.05)
    assert found.light_longest == pytest.approx(light_longest, rel=0.1)


@pytest.mark.parametrize(("load", "shed"), [(0.9, 0.006), (1.2, 0.24), (2.0, 0.54)])
def test_with_admission_what_is_severe_waits_minutes_at_twice_the_capacity(load: float, shed: float) -> None:
    gate = Gate(CAPACITY)
    found = simulate(load, deadline, gate)
    assert found.severe_p95 < 0.1 * HOUR
    assert found.light_longest < 72 * HOUR
    assert found.shed_share == pytest.approx(shed, abs=0.01)
    assert gate.stands_for == pytest.approx(gate.below, rel=0.02)  # what was let in speaks for what was not


@pytest.mark.parametrize("load", [1.2, 2.0])
def test_a_capacity_that_nobody_has_set_is_found_out(load: float) -> None:
    gate = Gate()
    found = simulate(load, deadline, gate)
    assert found.severe_p95 < HOUR
    assert found.light_longest < 7 * DAY
    assert gate.measured == pytest.approx(CAPACITY, rel=0.15)


def test_a_queue_that_keeps_up_sheds_nothing_and_does_not_talk_itself_down() -> None:
    gate = Gate()
    found = simulate(0.9, deadline, gate)
    assert (found.shed, gate.p) == (0, 1.0)
    assert gate.measured == pytest.approx(0.9 * CAPACITY, rel=0.1)


def test_severe_items_wait_no_longer_than_if_they_were_alone() -> None:
    alone: Outcome = simulate(2.0, strict)
    assert simulate(2.0, deadline, Gate(CAPACITY)).severe_p95 <= alone.severe_p95 + 0.05
