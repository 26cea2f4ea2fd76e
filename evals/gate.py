"""The regression gate: from paired outcomes to pass, fail or not enough evidence.

Pure. The same examples are answered by a baseline and a candidate, so outcomes come in pairs, and only the
pairs that differ tell the two apart. Formulas and sources are in docs/evaluation.md; in short:

* ``mcnemar``: exact two-sided test on the flips (McNemar 1947; exact form in Fagerland, Lydersen, Laake 2013).
* ``difference``: interval for the difference of the pass rates (Agresti and Min 2005).
* ``wilson``: interval for one pass rate (Wilson 1927).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import ceil, isfinite, sqrt
from typing import Any

Z = 1.959963984540054  # 97.5 % point of the normal distribution
Z_POWER = 0.8416212335729143  # 80 % point
ALPHA = 0.05
MAX_LISTED = 500


@dataclass(frozen=True, slots=True)
class Rules:
    """What a candidate must meet. Shares are 0 to 1; ``margin`` is the loss of pass rate that is tolerated."""

    margin: float = 0.05
    alpha: float = ALPHA
    min_pass_rate: float | None = None
    category_floors: dict[str, float] = field(default_factory=dict)
    critical_severity: int = 1
    max_unanswered: float = 0.05

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
            elif not _is_share(value):
                raise ValueError(f"{name} must be a share from 0 to 1")
        if not 0 < float(given.get("alpha", ALPHA)) < 1:
            raise ValueError("alpha must lie between 0 and 1")
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One example: did the candidate pass, did the baseline? None where there is no answer to compare."""

    key: str
    passed: bool | None
    baseline: bool | None = None
    severity: int | None = None
    category: str = ""


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

    def as_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict, "reason": self.reason, "change": self.change, "counts": self.counts,
            "flips": self.flips, "tests": [test.as_dict() for test in self.tests], "needed": self.needed,
        }  # fmt: skip


def mcnemar(broken: int, fixed: int) -> float:
    """Two-sided exact p-value of McNemar's test.

    Under "no change" each flip is a fair coin: p = min(1, 2 · P(X ≤ min(b, c))), X ~ Binomial(b + c, ½).
    Whole numbers throughout, so that 3e-34 is not lost to rounding.
    """
    flips, fewer = broken + fixed, min(broken, fixed)
    if broken == fixed:
        return 1.0
    term = total = 1
    for count in range(fewer):
        term = term * (flips - count) // (count + 1)
        total += term
    p: float = 2 * total / 2**flips
    return min(1.0, p)


def difference(broken: int, fixed: int, pairs: int) -> tuple[float, float, float]:
    """Candidate's pass rate minus the baseline's, with its 95 % interval.

    Agresti and Min: half an observation is added to each of the four cells before the usual interval, which
    keeps its coverage with few flips; the plain one has width nought when nothing flipped.
    """
    if pairs == 0:
        return 0.0, -1.0, 1.0
    b, c, n = broken + 0.5, fixed + 0.5, pairs + 2
    centre = (c - b) / n
    half = Z * sqrt(max(b + c - (c - b) ** 2 / n, 0.0)) / n
    return (fixed - broken) / pairs, max(-1.0, centre - half), min(1.0, centre + half)


def wilson(passed: int, total: int) -> tuple[float, float]:
    """95 % score interval of a share; 0 to 1 where nothing is known."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = passed / total, Z * Z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z * sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)


def needed_examples(broken: int, fixed: int, pairs: int, margin: float) -> int | None:
    """About how many examples would settle it, if the flips go on as they have; None where that cannot be said.

    n = (z₀.₉₇₅ + z₀.₈₀)² (ψ − δ²) / Δ² for paired shares (Connor 1987), with ψ the share of flips, δ the observed
    difference and Δ its distance to the nearest border: nought, or the margin.
    """
    if pairs == 0:
        return None
    share, delta = (broken + fixed + 1) / (pairs + 2), (fixed - broken) / pairs
    distance = max(delta + margin, -delta)
    if distance <= 0:
        return None
    return max(pairs + 1, ceil((Z + Z_POWER) ** 2 * (share - delta * delta) / distance**2))


def decide(outcomes: Sequence[Outcome], rules: Rules, *, has_baseline: bool) -> Report:
    """Holds the candidate against the rules. It fails if one rule is broken, and passes if all are met."""
    answered = [outcome for outcome in outcomes if outcome.passed is not None]
    pairs = [outcome for outcome in answered if outcome.baseline is not None]
    broken = [outcome for outcome in pairs if outcome.baseline and not outcome.passed]
    fixed = [outcome for outcome in pairs if outcome.passed and not outcome.baseline]
    tests = [_answered(len(outcomes), len(answered), rules)]
    open_question = False
    if has_baseline:
        tests.append(_no_critical(broken, rules))
        tests.append(_not_worse(len(broken), len(fixed), len(pairs), rules))
        open_question = tests[-1].met is None
    floor = rules.min_pass_rate if rules.min_pass_rate is not None else None if has_baseline else 1.0
    if floor is not None:
        tests.append(_floor("pass rate", outcomes, floor))
    by_category: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_category[outcome.category].append(outcome)
    tests += [_floor(f"pass rate of {name}", by_category[name], least) for name, least in rules.category_floors.items()]
    verdict, reason = _verdict(tests)
    settles = open_question and verdict == "inconclusive"
    needed = needed_examples(len(broken), len(fixed), len(pairs), rules.margin) if settles else None
    return Report(
        verdict, reason, _change(len(broken), len(fixed), rules) if has_baseline else "",
        _counts(outcomes, answered, pairs), _flips(broken, fixed), tests, needed,
    )  # fmt: skip


def _verdict(tests: list[Test]) -> tuple[str, str]:
    failed = [test for test in tests if test.met is False]
    unknown = [test for test in tests if test.met is None]
    if failed:
        return "fail", failed[0].detail
    if unknown:
        return "inconclusive", unknown[0].detail
    return "pass", tests[-1].detail


def _answered(total: int, answered: int, rules: Rules) -> Test:
    missing = total - answered
    met = None if total == 0 or missing > rules.max_unanswered * total else True
    detail = "there is no example" if total == 0 else f"{answered} of {total} examples have an answer"
    return Test("answered", met, detail, {"unanswered": missing})


def _no_critical(broken: list[Outcome], rules: Rules) -> Test:
    worst = [entry for entry in broken if entry.severity is not None and entry.severity <= rules.critical_severity]
    detail = (
        f"{len(worst)} critical example{'s' if len(worst) != 1 else ''} newly fail{'s' if len(worst) == 1 else ''}"
        if worst
        else "no critical example newly fails"
    )
    return Test("no critical newly fails", not worst, detail, {"count": len(worst)})


def _not_worse(broken: int, fixed: int, pairs: int, rules: Rules) -> Test:
    """Only a loss closes the gate, so the test for it is one-sided at alpha; "better" is claimed two-sided.

    Without a significant change the gate opens if the interval excludes a loss beyond the margin.
    """
    p = mcnemar(broken, fixed)
    delta, low, high = difference(broken, fixed, pairs)
    figures: dict[str, float | int | None] = {
        "broken": broken, "fixed": fixed, "pairs": pairs, "p": p, "difference": delta, "low": low, "high": high,
        "margin": rules.margin,
    }  # fmt: skip
    name, count = "not worse than the baseline", f"{broken} newly fail, {fixed} newly pass"
    if pairs == 0:
        return Test(name, None, "no example can be compared with the baseline", figures)
    if broken > fixed and p / 2 < rules.alpha:
        return Test(name, False, f"{count}: worse than the baseline (one-sided p = {p / 2:.2g})", figures)
    if broken == 0:
        return Test(name, True, f"{count}: all that the baseline passes is passed", figures)
    if fixed > broken and p < rules.alpha:
        return Test(name, True, f"{count}: better than the baseline (p = {p:.2g})", figures)
    if low > -rules.margin:
        return Test(name, True, f"{count}: at most {_points(rules.margin)} worse, if at all", figures)
    return Test(name, None, f"{count}: this could be chance (p = {p:.2g}) or a loss of up to {_points(-low)}", figures)


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
    p = mcnemar(broken, fixed)
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


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and 0 <= value <= 1
