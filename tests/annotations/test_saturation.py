"""Saturation of notes: worked by hand, what too few notes say, and the chance of something new against the truth."""

from __future__ import annotations

import random

from annotations.saturation import saturation


def test_new_information_is_the_new_groups_of_a_run_by_those_of_the_base() -> None:
    # Base of four: a b c d. Runs of two: (e, a) brings one of four, (a, a) none, (a, f) and (f, a) one.
    found = saturation(list("abcdeaafa"), base=4, run=2, threshold=0.05)
    assert (found.groups, found.notes) == (6, 9)
    assert found.ratio == 1 / 4
    assert found.reached == 7  # the run of the sixth and the seventh is the first without a new one
    assert saturation(list("abcdea"), base=4, run=2).ratio == 1 / 4
    assert saturation(list("abcdeaaf"), base=4, run=2).ratio == 1 / 4


def test_percentages_are_of_the_groups_of_the_base() -> None:
    # A base of 37 groups: 7 new ones in a run are 19 %, one is 3 %.
    base = [("b", number) for number in range(37)]
    seven = [("r", number) for number in range(7)]
    assert round(saturation(base + seven, base=37, run=7).ratio or 0, 2) == 0.19
    again = [*seven[:1], *base[:6]]
    assert round(saturation(base + again, base=37, run=7).ratio or 0, 2) == 0.03
    assert saturation(base + again, base=37, run=7, threshold=0.05).reached == 44


def test_too_few_notes_say_nothing() -> None:
    assert (saturation([]).ratio, saturation([]).unseen, saturation([]).since) == (None, None, 0)
    few = saturation(["a"] * 59)
    assert (few.ratio, few.reached, few.enough) == (None, None, False)
    assert saturation(["a"] * 60).ratio == 0.0
    assert not saturation(["a"] * 99).enough
    assert saturation(["a"] * 100).enough


def test_runs_and_the_distance_from_the_last_new_group() -> None:
    found = saturation([*"ab", *["a"] * 30, "c", *["a"] * 7])
    assert found.by_run == (2, 1)
    assert (found.since, found.recent) == (7, 1)
    assert found.unseen == 2 / 40


def test_the_chance_of_something_new_is_right_on_average() -> None:
    """Good and Turing's estimate against the truth: of 30 kinds by a law of powers, what 100 notes have not met."""
    rng = random.Random(7)
    weights = [1 / (kind + 1) for kind in range(30)]
    total, gaps = sum(weights), []
    for _ in range(400):
        notes = rng.choices(range(30), weights, k=100)
        truth = sum(weights[kind] for kind in set(range(30)) - set(notes)) / total
        gaps.append((saturation(notes).unseen or 0) - truth)
    assert abs(sum(gaps) / len(gaps)) < 0.005
