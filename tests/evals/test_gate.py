"""The gate's statistics against published or hand-made figures, and each verdict."""

from __future__ import annotations

import random
from typing import Any

import pytest

from evals import gate
from evals.gate import Outcome, Rules


@pytest.mark.parametrize(
    ("broken", "fixed", "p"),
    [
        (147, 8, 3.182e-34),  # RAGTruth dev by source, gpt-4 to mistral
        (25, 25, 1.0),
        (24, 56, 0.00045151727),
        (46, 59, 0.2414317),
        (7, 17, 0.0639146566),
        (0, 0, 1.0),
        (0, 1, 1.0),
        (0, 6, 0.03125),  # 2 / 2**6
        (5, 15, 0.04138947),  # Fagerland, Lydersen, Laake 2013 use such tables; scipy.stats.binomtest agrees
    ],
)
def test_the_exact_mcnemar_p_value(broken: int, fixed: int, p: float) -> None:
    assert gate.mcnemar(broken, fixed) == pytest.approx(p, rel=1e-3)
    assert gate.mcnemar(fixed, broken) == gate.mcnemar(broken, fixed)


def test_the_p_value_holds_far_beyond_the_range_of_a_float() -> None:
    assert gate.mcnemar(1500, 1400) == pytest.approx(0.066, abs=0.001)
    assert gate.mcnemar(4000, 0) == 0.0


def test_the_interval_of_the_difference_is_that_of_agresti_and_min() -> None:
    delta, low, high = gate.difference(7, 17, 248)
    assert (delta, low, high) == pytest.approx((0.0403, 0.00106, 0.0789), abs=0.0005)


def test_without_a_flip_the_interval_still_has_a_width() -> None:
    assert gate.difference(0, 0, 10)[1] < -0.1
    assert gate.difference(0, 0, 0) == (0.0, -1.0, 1.0)


def test_the_wilson_interval() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I: 81/263, 15/148, 0/20, 1/29
    for passed, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
                                     (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert gate.wilson(passed, total) == pytest.approx((low, high), abs=0.0001)


def outcomes(still_pass: int = 0, broken: int = 0, fixed: int = 0, still_fail: int = 0, **fields: Any) -> list[Outcome]:
    kinds = [(True, True)] * still_pass + [(False, True)] * broken + [(True, False)] * fixed
    kinds += [(False, False)] * still_fail
    return [Outcome(f"k{place:04}", now, before, **fields) for place, (now, before) in enumerate(kinds)]


@pytest.mark.parametrize(
    ("table", "verdict", "change"),
    [
        (outcomes(140, 147, 8, 12), "fail", "worse"),
        (outcomes(230, 25, 25, 27), "pass", "no clear difference"),
        (outcomes(200, 24, 56, 27), "pass", "better"),
        (outcomes(170, 46, 59, 32), "pass", "no clear difference"),
        (outcomes(10, 0, 0, 0), "pass", "no clear difference"),
        (outcomes(10, 2, 1, 0), "inconclusive", "no clear difference"),
        (outcomes(0, 6, 0, 4), "fail", "worse"),
        (outcomes(1, 1, 0, 0), "inconclusive", "no clear difference"),
        ([], "inconclusive", "no clear difference"),
    ],
)
def test_against_a_baseline(table: list[Outcome], verdict: str, change: str) -> None:
    report = gate.decide(table, Rules(), has_baseline=True)
    assert (report.verdict, report.change) == (verdict, change)


@pytest.mark.parametrize(
    ("passed", "failed", "floor", "verdict"),
    [
        (3, 0, None, "pass"),
        (2, 1, None, "fail"),
        (9, 1, 0.9, "pass"),
        (8, 2, 0.9, "fail"),
        (0, 0, None, "inconclusive"),
    ],
)
def test_without_a_baseline_a_floor_decides(passed: int, failed: int, floor: float | None, verdict: str) -> None:
    table = [Outcome(f"k{place}", place < passed) for place in range(passed + failed)]
    assert gate.decide(table, Rules(min_pass_rate=floor), has_baseline=False).verdict == verdict


def test_a_critical_example_that_newly_fails_closes_the_gate() -> None:
    table = [*outcomes(300, 1, 40), Outcome("worst", False, True, severity=1)]
    report = gate.decide(table, Rules(), has_baseline=True)
    assert (report.verdict, report.reason) == ("fail", "1 critical example newly fails")
    assert report.flips["broken_keys"][0] == "worst"
    assert gate.decide(table, Rules(critical_severity=0), has_baseline=True).verdict == "pass"


def test_a_category_below_its_floor_closes_the_gate_although_the_whole_is_better() -> None:
    table = outcomes(200, 0, 60, category="over-refusal") + outcomes(5, 0, 0, 20, category="unsafe-compliance")
    rules = Rules(category_floors={"unsafe-compliance": 0.9, "over-refusal": 0.5})
    report = gate.decide(table, rules, has_baseline=True)
    assert (report.verdict, report.change) == ("fail", "better")
    assert "unsafe-compliance" in report.reason


def test_many_missing_answers_are_not_enough_evidence() -> None:
    table = [*outcomes(90), *(Outcome(f"m{n}", None, True) for n in range(10))]
    assert gate.decide(table, Rules(), has_baseline=True).verdict == "inconclusive"
    assert gate.decide(table, Rules(max_unanswered=0.2), has_baseline=True).verdict == "pass"


def test_a_floor_is_open_while_missing_answers_could_lift_or_sink_the_rate() -> None:
    table = [*(Outcome(f"k{n}", True) for n in range(97)), *(Outcome(f"m{n}", None) for n in range(3))]
    assert gate.decide(table, Rules(min_pass_rate=1.0), has_baseline=False).verdict == "inconclusive"
    assert gate.decide(table, Rules(min_pass_rate=0.97), has_baseline=False).verdict == "pass"


def test_an_open_verdict_says_how_many_examples_would_settle_it() -> None:
    report = gate.decide(outcomes(80, 9, 5, 6), Rules(), has_baseline=True)
    assert report.verdict == "inconclusive"
    assert report.needed is not None
    assert report.needed > 100


def test_a_closed_gate_asks_for_no_more_examples() -> None:
    table = [*outcomes(80, 9, 5, 6), Outcome("worst", False, True, severity=1)]
    report = gate.decide(table, Rules(), has_baseline=True)
    assert (report.verdict, report.needed) == ("fail", None)


def test_identical_systems_rarely_fail_and_a_real_loss_is_caught() -> None:
    """The gate's error rates, by simulation: 200 examples, the same answer passes 9 times in 10."""
    rng = random.Random(7)

    def share(drop: float, rules: Rules) -> float:
        def pairs() -> list[Outcome]:
            return [
                Outcome(str(n), rng.random() < (rate := 0.98 if n % 5 else 0.5) - drop, rng.random() < rate)
                for n in range(200)
            ]

        reports = [gate.decide(pairs(), rules, has_baseline=True) for _ in range(300)]
        return sum(report.verdict == "fail" for report in reports) / 300

    assert share(0.0, Rules()) <= 0.05
    assert share(0.1, Rules()) >= 0.9


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"marign": 0.1}, "marign"), ({"margin": "0.1"}, "margin"), ({"margin": 2}, "margin"), ({"alpha": 0}, "alpha"),
        ({"margin": float("nan")}, "margin"), ({"category_floors": [1]}, "category_floors"),
        ({"critical_severity": 5}, "critical_severity"), ({"min_pass_rate": True}, "min_pass_rate"),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit_are_named(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Rules.parse(values)


def test_rules_survive_their_way_through_json() -> None:
    rules = Rules(margin=0.02, category_floors={"a": 0.5})
    assert Rules.parse(rules.as_dict()) == rules
