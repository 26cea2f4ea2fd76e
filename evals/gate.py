"""The regression gate: from paired outcomes to pass, fail or not enough evidence.

Pure. The same examples are answered by a baseline and a candidate, so outcomes come in pairs, and only the
pairs that differ tell the two apart. The statistics are in ``evals.paired``, the pass rate of one system in
``annotations.estimation.wilson``; formulas and sources in docs/evaluation.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from annotations.estimation import wilson
from evals import paired
from evals.paired import Flakiness

ALPHA = 0.05
MAX_LISTED = 500
COMPARED = "not worse than the baseline"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a candidate must meet. Shares are 0 to 1; ``margin`` is the loss of pass rate that is tolerated.

    ``score_margin`` is the same for the mean score, which is looked at only where it is set. ``max_latency_p95_ms``
    are milliseconds; ``max_cost_increase`` is a share of the baseline's cost for the same examples.
    """

    margin: float = 0.05
    alpha: float = ALPHA
    min_pass_rate: float | None = None
    category_floors: dict[str, float] = field(default_factory=dict)
    critical_severity: int = 1
    max_unanswered: float = 0.05
    score_margin: float | None = None
    max_latency_p95_ms: float | None = None
    max_cost_increase: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Rules:
        """Rules from outside; ValueError names what does not fit."""
        known = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"{unknown[0]} is no rule; known are {', '.join(sorted(known))}")
        given = {name: value for name, value in values.items() if value is not None}
        for name, value in given.items():
            if name == "critical_severity":
                if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 4:
                    raise ValueError("critical_severity must be 0 (none) to 4")
            elif name == "category_floors":
                if not isinstance(value, dict) or not all(_is_share(floor) for floor in value.values()):
                    raise ValueError("category_floors must map a category to a share from 0 to 1")
            elif name in ("max_latency_p95_ms", "max_cost_increase"):
                if not _is_number(value) or value < 0:
                    raise ValueError(f"{name} must be a number from 0 on")
            elif not _is_share(value):
                raise ValueError(f"{name} must be a share from 0 to 1")
        if not 0 < float(given.get("alpha", ALPHA)) < 1:
            raise ValueError("alpha must lie between 0 and 1")
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One example: did the candidate pass, did the baseline? None where there is no answer to compare.

    ``repeats`` and ``before`` are passes and judged answers of either side, where an example was asked several times.
    ``score`` and ``baseline_score`` are means of the answers' scores, 0 to 1. ``known_flaky`` says that an earlier run
    contradicted itself on it.
    """

    key: str
    passed: bool | None
    baseline: bool | None = None
    severity: int | None = None
    category: str = ""
    repeats: tuple[int, int] = (0, 0)
    before: tuple[int, int] = (0, 0)
    score: float | None = None
    baseline_score: float | None = None
    known_flaky: bool = False

    @property
    def flaky(self) -> bool:
        """Whether one side contradicts itself on this example, or an earlier run did."""
        return self.known_flaky or any(0 < passes < answers for passes, answers in (self.repeats, self.before))


@dataclass(frozen=True, slots=True)
class Load:
    """What the answers took. ``cost_usd`` and ``baseline_cost_usd`` are sums over the same examples, for ``costed``
    of them; None where a side did not say."""

    latency_p95_ms: float | None = None
    cost_usd: float | None = None
    baseline_cost_usd: float | None = None
    costed: int = 0


@dataclass(frozen=True, slots=True)
class Test:
    """One rule with what was found. ``met`` is None where the evidence does not suffice."""

    name: str
    met: bool | None
    detail: str
    figures: dict[str, float | int | None] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "met": self.met, "detail": self.detail, **self.figures}


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict and everything it rests on. ``change`` says in a word how the candidate compares."""

    verdict: str
    reason: str
    change: str
    counts: dict[str, int]
    flips: dict[str, Any]
    tests: list[Test]
    needed: int | None = None
    categories: list[dict[str, Any]] = field(default_factory=list)
    flake: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict, "reason": self.reason, "change": self.change, "counts": self.counts,
            "flips": self.flips, "tests": [test.as_dict() for test in self.tests], "needed": self.needed,
            "categories": self.categories, "flake": self.flake,
        }  # fmt: skip


def decide(outcomes: Sequence[Outcome], rules: Rules, *, has_baseline: bool, load: Load | None = None) -> Report:
    """Holds the candidate against the rules. It fails if one rule is broken, and passes if all are met."""
    answered = [outcome for outcome in outcomes if outcome.passed is not None]
    pairs = [outcome for outcome in answered if outcome.baseline is not None]
    broken = [outcome for outcome in pairs if outcome.baseline and not outcome.passed]
    fixed = [outcome for outcome in pairs if outcome.passed and not outcome.baseline]
    flake = paired.disagreement([entry for outcome in outcomes for entry in (outcome.repeats, outcome.before)])
    categories = compare_categories(pairs, rules.alpha) if has_baseline else []
    tests = [_answered(len(outcomes), len(answered), rules)]
    if has_baseline:
        tests.append(_no_critical(pairs, rules))
        tests += _no_losses(broken, fixed, pairs, rules)
        tests += _no_category(categories, rules)
    floor = rules.min_pass_rate if rules.min_pass_rate is not None else None if has_baseline else 1.0
    if floor is not None:
        tests.append(_floor("pass rate", outcomes, floor))
    by_category: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_category[outcome.category].append(outcome)
    tests += [_floor(f"pass rate of {name}", by_category[name], least) for name, least in rules.category_floors.items()]
    tests += _bounds(load or Load(), rules, has_baseline=has_baseline)
    verdict, reason = _verdict(tests)
    told = [int(test.figures["needed"] or 0) for test in tests if test.met is None and test.figures.get("needed")]
    return Report(
        verdict, reason, _change(len(broken), len(fixed), rules) if has_baseline else "",
        _counts(outcomes, answered, pairs), _flips(broken, fixed), tests,
        max(told) if told and verdict == "inconclusive" else None, categories,
        _flaky(flake, outcomes, pairs) if flake else None,
    )  # fmt: skip


def compare_categories(pairs: Sequence[Outcome], alpha: float = ALPHA) -> list[dict[str, Any]]:
    """The change within each category, the worst first. ``adjusted`` is Holm's p-value of "no loss" over all of them,
    so that among many categories one that is unlucky raises no alarm; ``worse`` where it is below ``alpha``."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in pairs:
        if outcome.category:
            groups[outcome.category].append(outcome)
    rows: list[dict[str, Any]] = []
    for name, members in groups.items():
        lost = sum(bool(entry.baseline and not entry.passed) for entry in members)
        won = sum(bool(entry.passed and not entry.baseline) for entry in members)
        delta, low, high = paired.difference(lost, won, len(members))
        rows.append({
            "name": name, "pairs": len(members), "broken": lost, "fixed": won, "difference": delta, "low": low,
            "high": high, "p": paired.loss(lost, won),
        })  # fmt: skip
    for row, adjusted in zip(rows, paired.holm([float(row["p"]) for row in rows]), strict=True):
        row |= {"adjusted": adjusted, "worse": adjusted < alpha}
    return sorted(rows, key=lambda row: (row["difference"], row["name"]))


def _verdict(tests: list[Test]) -> tuple[str, str]:
    failed = [test for test in tests if test.met is False]
    unknown = [test for test in tests if test.met is None]
    if failed:
        return "fail", failed[0].detail
    if unknown:
        return "inconclusive", unknown[0].detail
    told = [test for test in tests if test.name == COMPARED] or tests
    return "pass", told[-1].detail


def _answered(total: int, answered: int, rules: Rules) -> Test:
    missing = total - answered
    met = None if total == 0 or missing > rules.max_unanswered * total else True
    detail = "there is no example" if total == 0 else f"{answered} of {total} examples have an answer"
    return Test("answered", met, detail, {"unanswered": missing})


def _no_critical(pairs: list[Outcome], rules: Rules) -> Test:
    """A critical example that newly fails closes the gate.

    Where it is flaky, the answers of both sides are compared by Fisher's test, by Holm's correction over all critical
    flaky ones: below alpha it fails, otherwise the question is open until it was asked more often.
    """
    critical = [entry for entry in pairs if entry.severity is not None and entry.severity <= rules.critical_severity]
    worst = [entry for entry in critical if entry.baseline and not entry.passed]
    flaky = [entry for entry in critical if entry.flaky]
    chance = {entry.key: p for entry, p in zip(flaky, paired.holm([_fisher(entry) for entry in flaky]), strict=True)}
    unsure = [entry for entry in worst if chance.get(entry.key, 0.0) >= rules.alpha]
    name, lost = "no critical newly fails", len(worst) - len(unsure)
    figures: dict[str, float | int | None] = {"count": lost, "flaky": len(unsure)}
    if lost:
        detail = f"{lost} critical example{'s' if lost != 1 else ''} newly fail{'s' if lost == 1 else ''}"
        return Test(name, False, detail, figures)
    if unsure:
        first = unsure[0]
        often = paired.repeats_needed(*first.repeats, *first.before, rules.alpha / len(flaky))
        detail = f"{first.key} is critical and flaky: {_of(first.repeats)} now, {_of(first.before)} before"
        return Test(name, None, detail + (f"; ask it {often} times on both sides" if often else ""), figures)
    return Test(name, True, "no critical example newly fails", figures)


def _fisher(entry: Outcome) -> float:
    return paired.fisher(*entry.repeats, *entry.before)


def _of(repeats: tuple[int, int]) -> str:
    return f"{repeats[0]} of {repeats[1]} pass"


def _no_losses(broken: list[Outcome], fixed: list[Outcome], pairs: list[Outcome], rules: Rules) -> list[Test]:
    """The tests for a loss: on the flips and, if asked for, on the scores. Two chances of a false alarm are corrected
    by Holm, so that the gate's own chance stays at alpha."""
    p = paired.loss(len(broken), len(fixed))
    if rules.score_margin is None:
        return [_not_worse(len(broken), len(fixed), len(pairs), p, rules)]
    differences = [
        entry.score - entry.baseline_score
        for entry in pairs
        if entry.score is not None and entry.baseline_score is not None
    ]
    shift = paired.bootstrap(differences, margin=rules.score_margin)
    adjusted = paired.holm([p, 1.0 if shift is None else shift.worse])
    return [
        _not_worse(len(broken), len(fixed), len(pairs), adjusted[0], rules),
        _score_kept(shift, adjusted[1], rules, rules.score_margin),
    ]


def _not_worse(broken: int, fixed: int, pairs: int, adjusted: float, rules: Rules) -> Test:
    """Only a loss closes the gate, so the test for it is one-sided at alpha; "better" is claimed two-sided.

    Without a significant change the gate opens if the interval excludes a loss beyond the margin.
    """
    p = paired.mcnemar(broken, fixed)
    delta, low, high = paired.difference(broken, fixed, pairs)
    figures: dict[str, float | int | None] = {
        "broken": broken, "fixed": fixed, "pairs": pairs, "p": p, "difference": delta, "low": low, "high": high,
        "margin": rules.margin,
    }  # fmt: skip
    name, count = COMPARED, f"{broken} newly fail, {fixed} newly pass"
    if pairs == 0:
        return Test(name, None, "no example can be compared with the baseline", figures)
    if broken > fixed and adjusted < rules.alpha:
        return Test(name, False, f"{count}: worse than the baseline (one-sided p = {adjusted:.2g})", figures)
    if broken == 0:
        return Test(name, True, f"{count}: all that the baseline passes is passed", figures)
    if fixed > broken and p < rules.alpha:
        return Test(name, True, f"{count}: better than the baseline (p = {p:.2g})", figures)
    if low > -rules.margin:
        return Test(name, True, f"{count}: at most {_points(rules.margin)} worse, if at all", figures)
    figures["needed"] = paired.needed_examples(broken, fixed, pairs, rules.margin)
    return Test(name, None, f"{count}: this could be chance (p = {p:.2g}) or a loss of up to {_points(-low)}", figures)


def _score_kept(shift: paired.Shift | None, adjusted: float, rules: Rules, margin: float) -> Test:
    name = "score not lower than the baseline's"
    if shift is None:
        return Test(name, None, "fewer than two examples have a score on both sides")
    figures: dict[str, float | int | None] = {
        "difference": shift.mean, "low": shift.low, "high": shift.high, "p": shift.worse, "pairs": shift.pairs,
        "margin": margin,
    }  # fmt: skip
    told = f"mean score {shift.mean:+.3f}, interval {shift.low:+.3f} to {shift.high:+.3f}"
    if shift.mean < 0 and adjusted < rules.alpha:
        return Test(name, False, f"{told}: lower than the baseline's (one-sided p = {adjusted:.2g})", figures)
    if shift.low > -margin or shift.low >= 0:
        return Test(name, True, told, figures)
    figures["needed"] = shift.needed
    return Test(name, None, f"{told}: a loss beyond {margin:g} is not excluded", figures)


def _no_category(categories: list[dict[str, Any]], rules: Rules) -> list[Test]:
    """A category that lost more than chance allows is a question to a person, not a verdict: what closes the gate for
    a category is its floor, and the test of the whole keeps all of alpha."""
    if len(categories) < 2:
        return []
    worse = [row for row in categories if row["worse"]]
    name = "no category is worse"
    if not worse:
        return [Test(name, True, f"none of {len(categories)} categories lost more than chance allows")]
    first = worse[0]
    detail = (
        f"{first['name']}: {first['broken']} newly fail, {first['fixed']} newly pass "
        f"(p = {first['adjusted']:.2g} after Holm's correction)"
    )
    return [Test(name, None, detail, {"count": len(worse)})]


def _bounds(load: Load, rules: Rules, *, has_baseline: bool) -> list[Test]:
    tests = []
    if (most := rules.max_latency_p95_ms) is not None:
        name, took = "latency", load.latency_p95_ms
        known = (
            f"p95 {_milliseconds(took)} of at most {_milliseconds(most)}" if took is not None else "nobody measured it"
        )
        tests.append(Test(name, None if took is None else took <= most, known, {"p95_ms": took, "max": most}))
    if (more := rules.max_cost_increase) is not None and has_baseline:
        now, before = load.cost_usd, load.baseline_cost_usd
        figures: dict[str, float | int | None] = {"cost_usd": now, "baseline_cost_usd": before, "max": more}
        if now is None or not before:
            tests.append(Test("cost", None, "no example has a cost on both sides", figures))
        else:
            change = now / before - 1
            told = f"{change * 100:+.1f} % on {load.costed} examples, at most {_percent(more)} more"
            tests.append(Test("cost", change <= more + 1e-9, told, figures | {"change": change}))
    return tests


def _flaky(flake: Flakiness, outcomes: Sequence[Outcome], pairs: Sequence[Outcome]) -> dict[str, Any]:
    """What the repeats say about noise: the rate, its interval, and the flips that noise alone would make."""
    single = [entry for entry in pairs if min(entry.repeats[1], entry.before[1]) <= 1]
    return {
        "rate": flake.rate, "low": flake.low, "high": flake.high, "examples": flake.examples,
        "expected_flips": round(flake.expected_flips(len(single)), 1),
        "keys": [entry.key for entry in outcomes if entry.flaky][:MAX_LISTED],
    }  # fmt: skip


def _floor(name: str, outcomes: Sequence[Outcome], least: float) -> Test:
    """The rate on these very examples: a golden set is a requirement, not a sample, so no interval decides.

    An example without an answer counts for neither side: the floor is missed if even they could not lift it,
    met if even they could not sink it, and open in between.
    """
    passed, total = sum(bool(entry.passed) for entry in outcomes), len(outcomes)
    unanswered = sum(entry.passed is None for entry in outcomes)
    low, high = wilson(passed, total - unanswered)
    figures: dict[str, float | int | None] = {"passed": passed, "total": total, "low": low, "high": high, "min": least}
    if total == 0:
        return Test(name, None, f"{name}: no example", figures)
    enough, lost = _reaches(passed, least, total), not _reaches(passed + unanswered, least, total)
    detail = f"{name} {_percent(passed / total)} of at least {_percent(least)}"
    return Test(name, True if enough else False if lost else None, detail, figures)


def _reaches(passed: int, least: float, total: int) -> bool:
    return passed >= least * total - 1e-9


def _change(broken: int, fixed: int, rules: Rules) -> str:
    p = paired.mcnemar(broken, fixed)
    if broken > fixed and p / 2 < rules.alpha:
        return "worse"
    return "better" if fixed > broken and p < rules.alpha else "no clear difference"


def _counts(outcomes: Sequence[Outcome], answered: Sequence[Outcome], pairs: Sequence[Outcome]) -> dict[str, int]:
    return {
        "examples": len(outcomes), "answered": len(answered), "passed": sum(bool(entry.passed) for entry in answered),
        "failed": sum(not entry.passed for entry in answered), "unanswered": len(outcomes) - len(answered),
        "pairs": len(pairs), "baseline_passed": sum(bool(entry.baseline) for entry in pairs),
        "still_pass": sum(bool(entry.passed and entry.baseline) for entry in pairs),
        "still_fail": sum(not entry.passed and not entry.baseline for entry in pairs),
    }  # fmt: skip


def _flips(broken: list[Outcome], fixed: list[Outcome]) -> dict[str, Any]:
    order = sorted(broken, key=lambda entry: (entry.severity or 9, entry.key))
    return {
        "fixed": len(fixed), "broken": len(broken), "broken_keys": [entry.key for entry in order][:MAX_LISTED],
        "fixed_keys": sorted(entry.key for entry in fixed)[:MAX_LISTED],
    }  # fmt: skip


def _percent(share: float) -> str:
    """``0.75`` → ``75 %``, with a no-break space; one decimal where it is needed."""
    return f"{share * 100:.1f}".removesuffix(".0") + "\u00a0%"


def _points(share: float) -> str:
    """``0.05`` → ``5 pts``: by how much two percentages differ."""
    return _percent(share).replace("%", "pts")


def _milliseconds(value: float) -> str:
    return f"{value / 1000:.2g}\u00a0s" if value >= 1000 else f"{value:.0f}\u00a0ms"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]
