"""The gate's statistics against published or hand-made figures, and each verdict."""

from __future__ import annotations

import random
from typing import Any

import pytest

from evals import gate, paired
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
    assert paired.mcnemar(broken, fixed) == pytest.approx(p, rel=1e-3)
    assert paired.mcnemar(fixed, broken) == paired.mcnemar(broken, fixed)


def test_the_p_value_holds_far_beyond_the_range_of_a_float() -> None:
    assert paired.mcnemar(1500, 1400) == pytest.approx(0.066, abs=0.001)
    assert paired.mcnemar(4000, 0) == 0.0


def test_the_interval_of_the_difference_is_that_of_agresti_and_min() -> None:
    delta, low, high = paired.difference(7, 17, 248)
    assert (delta, low, high) == pytest.approx((0.0403, 0.00106, 0.0789), abs=0.0005)


def test_without_a_flip_the_interval_still_has_a_width() -> None:
    assert paired.difference(0, 0, 10)[1] < -0.1
    assert paired.difference(0, 0, 0) == (0.0, -1.0, 1.0)


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


@pytest.mark.parametrize(
    ("rules", "categories"),
    [(Rules(), 0), (Rules(), 6), (Rules(score_margin=0.05), 6)],
    ids=["flips", "categories", "scores"],
)
def test_identical_systems_rarely_fail_and_a_real_loss_is_caught(rules: Rules, categories: int) -> None:
    """The gate's error rates, by simulation: 200 examples, the same answer passes 9 times in 10, also with six
    categories and with a score beside each verdict, which are more chances of a false alarm."""
    rng = random.Random(7)

    def pair(n: int, drop: float) -> Outcome:
        rate = 0.98 if n % 5 else 0.5
        now, before = rng.random() < rate - drop, rng.random() < rate
        scores = (rng.gauss(rate - drop, 0.15), rng.gauss(rate, 0.15)) if rules.score_margin else (None, None)
        return Outcome(
            str(n), now, before, 2, f"c{n % categories}" if categories else "", (now, 1), (before, 1), *scores
        )

    def share(drop: float) -> float:
        reports = [gate.decide([pair(n, drop) for n in range(200)], rules, has_baseline=True) for _ in range(300)]
        return sum(report.verdict == "fail" for report in reports) / 300

    assert share(0.0) <= 0.05
    assert share(0.1) >= 0.9


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


def test_two_chances_of_a_false_alarm_are_corrected_by_holm() -> None:
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # R: p.adjust(p, "holm")
    assert paired.holm([]) == []


def test_fishers_exact_test_on_the_lady_tasting_tea() -> None:
    assert paired.fisher(1, 4, 3, 4) == pytest.approx(0.242857, abs=1e-6)
    assert paired.fisher(0, 4, 4, 4) == pytest.approx(1 / 70)
    assert paired.fisher(3, 4, 1, 4) == pytest.approx(69 / 70)
    assert paired.repeats_needed(0, 2, 2, 2, 0.05) == 4  # 1 / C(6, 3) = 0.05 is not below, 1 / C(8, 4) is
    assert paired.repeats_needed(1, 2, 1, 2, 0.05) is None


def test_the_bootstrap_covers_the_true_loss_and_says_how_surprising_it_is() -> None:
    rng, covered = random.Random(3), 0
    for _ in range(60):
        shift = paired.bootstrap([rng.gauss(-0.05, 0.2) for _ in range(60)])
        assert shift is not None
        covered += shift.low <= -0.05 <= shift.high
    assert covered >= 53  # 95 % of 60 is 57; three standard errors below
    values = [rng.gauss(-0.05, 0.2) for _ in range(400)]
    small, large = paired.bootstrap(values), paired.bootstrap(values * 10)
    assert small is not None
    assert large is not None
    assert small.worse < 0.001
    assert (large.mean, large.pairs) == (pytest.approx(small.mean), 4000)
    assert large.high - large.low == pytest.approx((small.high - small.low) / 10**0.5, rel=0.05)
    assert paired.bootstrap([0.1]) is None
    assert paired.bootstrap([0.0] * 5) == paired.Shift(0.0, 0.0, 0.0, 1.0, 5)


def test_the_flake_rate_is_the_chance_that_two_answers_differ() -> None:
    rng, p = random.Random(5), 0.9
    repeats = [(sum(rng.random() < p for _ in range(3)), 3) for _ in range(4000)]
    found = paired.disagreement(repeats)
    assert found is not None
    assert found.rate == pytest.approx(2 * p * (1 - p), abs=0.02)
    assert found.low < 0.18 < found.high
    assert found.expected_flips(100) == pytest.approx(18, abs=2)
    assert paired.disagreement([(1, 1), (0, 0)]) is None


def critical(repeats: tuple[int, int], before: tuple[int, int], *, known: bool = False) -> gate.Report:
    worst = Outcome("worst", False, True, severity=1, repeats=repeats, before=before, known_flaky=known)
    return gate.decide([*outcomes(300), worst], Rules(), has_baseline=True)


def test_a_flaky_critical_example_is_asked_again_before_it_closes_the_gate() -> None:
    report = critical((1, 3), (3, 3))
    assert report.verdict == "inconclusive"
    assert "worst is critical and flaky: 1 of 3 pass now, 3 of 3 pass before; ask it" in report.reason
    assert report.flake is not None
    assert report.flake["keys"] == ["worst"]
    assert critical((1, 10), (10, 10)).verdict == "fail"  # beyond chance
    assert critical((0, 3), (3, 3)).verdict == "fail"  # it never passes now: that is not flaky
    assert critical((0, 1), (1, 1)).verdict == "fail"


def test_what_an_earlier_run_found_flaky_does_not_close_the_gate_by_one_answer() -> None:
    once = critical((0, 1), (1, 1), known=True)
    assert once.verdict == "inconclusive"
    assert "worst is critical and flaky: 0 of 1 pass now, 1 of 1 pass before; ask it 4 times" in once.reason
    assert critical((0, 4), (4, 4), known=True).verdict == "fail"


@pytest.mark.parametrize("asked", [1, 3, 10])
def test_critical_examples_known_to_be_flaky_raise_few_false_alarms(asked: int) -> None:
    """Identical systems, 20 critical examples of which four pass every other time: the false alarms of 400 runs."""
    rng = random.Random(asked)

    def side(share: float) -> tuple[int, int]:
        return sum(rng.random() < share for _ in range(asked)), asked

    def outcome(number: int) -> Outcome:
        share = 0.5 if number < 4 else 1.0
        now, before = side(share), side(share)
        return Outcome(f"k{number:03}", now[0] * 2 > asked, before[0] * 2 > asked, 1 if number < 20 else 3,
                       repeats=now, before=before, known_flaky=share < 1)  # fmt: skip

    failed = sum(
        gate.decide([outcome(number) for number in range(200)], Rules(), has_baseline=True).verdict == "fail"
        for _ in range(400)
    )
    assert failed / 400 <= 0.05


def test_flakiness_says_how_many_flips_it_makes_by_itself() -> None:
    table = [Outcome(str(n), n % 10 > 0, True, repeats=(2 if n % 2 else 3, 3), before=(1, 1)) for n in range(100)]
    flake = gate.decide(table, Rules(), has_baseline=True).flake
    assert flake is not None
    assert (flake["rate"], flake["examples"]) == (pytest.approx(1 / 3), 100)
    assert flake["expected_flips"] == 33.3


def scored(n: int, now: float, before: float, spread: float = 0.1, seed: int = 1) -> list[Outcome]:
    rng = random.Random(seed)
    return [
        Outcome(str(k), True, True, score=now + rng.gauss(0, spread), baseline_score=before + rng.gauss(0, spread))
        for k in range(n)
    ]


def test_scores_decide_where_a_margin_for_them_is_set() -> None:
    rules = Rules(score_margin=0.02)
    assert gate.decide(scored(100, 0.7, 0.8), Rules(), has_baseline=True).verdict == "pass"
    lost = gate.decide(scored(100, 0.7, 0.8), rules, has_baseline=True)
    assert (lost.verdict, "lower than the baseline's" in lost.reason) == ("fail", True)
    assert gate.decide(scored(100, 0.8, 0.7), rules, has_baseline=True).verdict == "pass"
    unsure = gate.decide(scored(8, 0.79, 0.8), rules, has_baseline=True)
    assert unsure.verdict == "inconclusive"
    assert unsure.needed is not None
    assert unsure.needed > 8
    assert gate.decide(outcomes(9), rules, has_baseline=True).verdict == "inconclusive"  # nobody gave scores


def test_identical_systems_with_scores_fail_at_most_one_time_in_twenty() -> None:
    """Pass and score are two chances of a false alarm about the same noise."""
    rng = random.Random(11)

    def table() -> list[Outcome]:
        def answer() -> tuple[bool, float]:
            score = min(1.0, max(0.0, rng.gauss(0.7, 0.2)))
            return score >= 0.5, score

        pairs = [(answer(), answer()) for _ in range(60)]
        return [
            Outcome(str(n), now[0], was[0], score=now[1], baseline_score=was[1]) for n, (now, was) in enumerate(pairs)
        ]

    rules = Rules(score_margin=0.05)
    failed = sum(gate.decide(table(), rules, has_baseline=True).verdict == "fail" for _ in range(120))
    assert failed <= 9  # 5 % of 120 is 6; the bootstrap p-value of 60 pairs is not exact


def test_a_category_that_lost_beyond_chance_is_a_question_and_chance_among_many_is_not() -> None:
    table = outcomes(300, 2, 12, category="fees") + outcomes(30, 9, 0, category="overdraft")
    report = gate.decide(table, Rules(), has_baseline=True)
    assert report.verdict == "inconclusive"
    assert report.reason.startswith("overdraft: 9 newly fail, 0 newly pass")
    assert [(row["name"], row["worse"]) for row in report.categories] == [("overdraft", True), ("fees", False)]
    many = outcomes(300, 0, 12, category="fees") + outcomes(30, 5, 0, category="overdraft")
    many += [entry for name in "abcdefgh" for entry in outcomes(20, category=name)]
    assert gate.decide(many, Rules(), has_baseline=True).verdict == "pass"  # p = 0.03 of ten categories


def test_time_and_cost_have_bounds_of_their_own() -> None:
    load = gate.Load(latency_p95_ms=2900, cost_usd=1.2, baseline_cost_usd=1.0, costed=10)
    rules = Rules(max_latency_p95_ms=5000, max_cost_increase=0.25)
    assert gate.decide(outcomes(10), rules, has_baseline=True, load=load).verdict == "pass"
    slow = gate.decide(outcomes(10), Rules(max_latency_p95_ms=1000), has_baseline=True, load=load)
    assert slow.reason == "p95 2.9\u00a0s of at most 1\u00a0s"
    dear = gate.decide(outcomes(10), Rules(max_cost_increase=0.1), has_baseline=True, load=load)
    assert (dear.verdict, dear.reason) == ("fail", "+20.0 % on 10 examples, at most 10\u00a0% more")
    assert gate.decide(outcomes(10), rules, has_baseline=True).verdict == "inconclusive"
