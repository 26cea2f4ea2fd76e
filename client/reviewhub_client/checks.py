"""Deterministic checks of an answer against a golden example.

Pure: values in, verdicts out. The client and the server judge with this one module, so that an answer that
passes on a developer's machine passes on the server too.

What is checked follows from the example (``derive``), unless a run names its own checks. Texts are compared
after ``normalise``: Unicode NFKC, case folded, white space collapsed, typographic quotes made plain.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reviewhub_client import refusals, schema

try:  # the server has RE2, whose time is linear in the text; the light client may do without
    import re2
except ImportError:
    re2 = None

SIMILAR_FROM = 0.5
MAX_PATTERN = 500
MAX_SEARCHED = 20_000
MAX_CHECKS = 50

_QUOTES = str.maketrans("‘’‚‛“”„«»‐‑–—", '\'\'\'\'"""""----')
_WORDS = re.compile(r"\w+")
_NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:[ ,'\u00a0\u202f]\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")
_BARE_NUMBER = re.compile(rf"\s*(?:[^\w\s]\s*)?{_NUMBER.pattern}\s*(?:\W|[A-Za-z]{{1,3}})?\s*")


class BadCheck(ValueError):
    """A check that cannot be run as it is written; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check said."""

    name: str
    passed: bool
    detail: str = ""
    score: float | None = None

    def as_dict(self) -> dict[str, Any]:
        told = {"name": self.name, "passed": self.passed, "detail": self.detail}
        return told if self.score is None else {**told, "score": self.score}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all checks said: an answer passes if every one does."""

    passed: bool
    findings: tuple[Finding, ...]

    @property
    def score(self) -> float | None:
        """The mean of those checks that measure (similarity, a judge), 0 to 1; None where none did."""
        scores = [finding.score for finding in self.findings if finding.score is not None]
        return round(sum(scores) / len(scores), 6) if scores else None

    def as_dicts(self) -> list[dict[str, Any]]:
        return [finding.as_dict() for finding in self.findings]


@dataclass(frozen=True, slots=True)
class Spent:
    """What an answer took: milliseconds and US dollars; None where nobody measured."""

    latency_ms: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model thinks of an answer: how far it meets a criterion, 0 to 1, and why."""

    score: float
    reason: str = ""


# Asks a model how far an answer (second) to an example (first) meets a criterion (third).
Ask = Callable[[Mapping[str, Any], str, str], Opinion]


def judge(
    example: Mapping[str, Any], output: str, checks: Sequence[Mapping[str, Any]] = (), *, spent: Spent | None = None,
    ask: Ask | None = None,
) -> Judgement:  # fmt: skip
    """Holds ``output`` against ``example`` (a line of the native export).

    Without ``checks`` those that follow from the example apply; ``{"type": "expected"}`` in ``checks`` stands
    for them. With ``ask`` an assertion that its words do not settle is put to a model. Raises BadCheck, and whatever
    ``ask`` raises.
    """
    wanted: list[Mapping[str, Any]] = []
    for check in checks or [{"type": "expected"}]:
        wanted.extend(derive(example) if check.get("type") == "expected" else [check])
    context = _Context(example, output, spent or Spent(), ask)
    findings = tuple(_run(check, context) for check in wanted)
    return Judgement(all(finding.passed for finding in findings), findings)


def derive(example: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checks that follow from an example.

    1. The answer is not empty.
    2. Each assertion: ``must`` text occurs, ``must_not`` text does not.
    3. Where an output schema is known, the answer is JSON that fits it. Where a refusal is expected, as of an attack,
       the answer declines.
    4. Where the recorded answer was judged a failure, the new answer is not the same text again.
    5. Only if neither 2 nor 3 apply, the desired answer: a bare number must be hit to within 1e-9, any other
       text must be similar from SIMILAR_FROM on. Word overlap is a coarse measure; assertions are better.
    """
    expected = example.get("expected") or {}
    desired = expected.get("output") or ""
    checks: list[dict[str, Any]] = [{"type": "not_empty"}]
    specific = [
        {
            "type": "contains" if assertion.get("type") == "must" else "not_contains",
            "text": assertion.get("text", ""),
            "assertion": True,
        }
        for assertion in expected.get("assertions") or []
    ]
    if expected.get("schema"):
        specific.append({"type": "json_schema", "schema": expected["schema"]})
    if expected.get("refusal"):
        specific.append({"type": "refuses"})
    checks += specific
    rejected = (example.get("metadata") or {}).get("answer") or ""
    if rejected and (expected.get("label") or {}).get("verdict") == "fail" and not _same(rejected, desired):
        checks.append({"type": "differs", "text": rejected})
    if desired and not specific:
        checks.append({"type": "numeric"} if _BARE_NUMBER.fullmatch(desired) else {"type": "similar"})
    return checks


def validate(checks: Any) -> list[dict[str, Any]]:
    """The checks of a run as they were sent, once they are known to be runnable; raises BadCheck with the place."""
    if not isinstance(checks, list):
        raise BadCheck("checks must be a list")
    if len(checks) > MAX_CHECKS:
        raise BadCheck(f"more than {MAX_CHECKS} checks")
    for place, check in enumerate(checks):
        kind = check.get("type") if isinstance(check, dict) else None
        if not isinstance(kind, str) or kind not in {"expected", *_CHECKS, *_WITH_CONTEXT}:
            known = ", ".join(sorted([*_CHECKS, *_WITH_CONTEXT, "expected"]))
            raise BadCheck(f"checks/{place}: type must be one of {known}")
        if kind == "regex":
            compile_pattern(check.get("pattern"))
        for name in {"max_latency": ["ms"], "max_cost": ["usd"]}.get(kind, []):
            _bound(check, name)
        if kind == "json_schema" and "schema" in check:
            schema.faults({}, check["schema"])
    return checks


def needs_client(checks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether only the caller can run these checks: they ask a model."""
    return any(check.get("type") == "judge" or check.get("judge") for check in checks)


def normalise(text: str) -> str:
    """The text as checks compare it."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold().split())


def similarity(left: str, right: str) -> float:
    """F1 of the word overlap, 0 to 1: the measure of SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1).

    Linear in the length of the texts. Road not taken: difflib's ratio, which is cubic at worst, so that one long
    answer made of few words could hold up a worker for minutes.
    """
    mine, theirs = Counter(_WORDS.findall(normalise(left))), Counter(_WORDS.findall(normalise(right)))
    if not mine or not theirs:
        return float(mine == theirs)
    shared = sum((mine & theirs).values())
    return 2 * shared / (sum(mine.values()) + sum(theirs.values()))


def occurs(needle: str, text: str) -> bool:
    """Whether the text says ``needle``. A figure counts only whole: "4.41" does not occur in "14.41" or "4.412"."""
    wanted = normalise(needle)
    if not wanted:
        return False
    before = r"(?<!\d)(?<!\d[.,])" if wanted[0].isdigit() else ""
    after = r"(?!\d)(?![.,]\d)" if wanted[-1].isdigit() else ""
    return re.search(before + re.escape(wanted) + after, normalise(text)) is not None


def numbers(text: str) -> list[float]:
    """The figures in a text, in order; thousands may be grouped by comma, apostrophe or (no-break) space."""
    found = [re.sub("[ ,'\u00a0\u202f]", "", match).replace("−", "-") for match in _NUMBER.findall(text)]
    return [value for value in map(float, found) if math.isfinite(value)]


def compile_pattern(pattern: object) -> Any:
    """The compiled pattern, or BadCheck: too long, malformed, or not of RE2's language, which the server runs.

    Where RE2 is not installed, Python's matcher takes its place. It backtracks, so that what RE2 does not know is
    refused (groups that look around, references back), and so is a form whose running time can explode: a repeat
    without a small bound inside another one, ``(a+)+``, and alternatives inside one, ``(a|ab)*``.
    """
    if not isinstance(pattern, str) or not pattern:
        raise BadCheck("regex: pattern must be a text")
    if len(pattern) > MAX_PATTERN:
        raise BadCheck(f"regex: pattern is longer than {MAX_PATTERN} characters")
    if re2 is not None:
        try:
            options = re2.Options()
            options.log_errors = False
            return re2.compile(f"(?m){pattern}", options)
        except re2.error as error:
            raise BadCheck(f"regex: {_told(error)}") from None
    try:
        compiled = re.compile(pattern, re.MULTILINE | re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadCheck(f"regex: {error}") from None
    if _BEYOND_RE2.search(re.sub(r"\\\\", "", pattern)):
        raise BadCheck("regex: looking around and references back are not understood by RE2")
    if _may_explode(_without_classes(pattern)):
        raise BadCheck("regex: a repeat inside a repeat, or alternatives inside one, can take for ever; write it flat")
    return compiled


_BEYOND_RE2 = re.compile(r"\(\?(?:=|!|<=|<!|>|\(|P=)|\\[1-9]|[*+?}]\+")


def _told(error: Exception) -> str:
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _may_explode(pattern: str) -> bool:
    """Whether a group that holds an unbounded repeat or an alternative is itself repeated without a bound."""
    branching = [False]  # by open group: does it hold one?
    for token in re.finditer(r"(?P<open>\()|(?P<close>\)(?P<again>[*+]|\{\d*,\})?)|[*+|]|\{\d*,\}", pattern):
        if token["open"]:
            branching.append(False)
        elif token["close"]:
            holds = len(branching) > 1 and branching.pop()
            if holds and token["again"]:
                return True
            branching[-1] = branching[-1] or holds or bool(token["again"])
        else:
            branching[-1] = True
    return False


def _without_classes(pattern: str) -> str:
    """Escapes and character classes become a letter, so that only the operators are left to look at."""
    return re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "x", re.sub(r"\\[^\[\]]", "x", pattern, flags=re.DOTALL))


def _same(left: str, right: str) -> bool:
    return normalise(left) == normalise(right)


@dataclass(frozen=True, slots=True)
class _Context:
    example: Mapping[str, Any]
    output: str
    spent: Spent
    ask: Ask | None


def _run(check: Mapping[str, Any], context: _Context) -> Finding:
    kind = check.get("type")
    if not isinstance(kind, str) or kind not in {*_CHECKS, *_WITH_CONTEXT}:
        raise BadCheck(f"no such check: {kind!r}")
    name = str(check.get("name") or kind)
    if kind in _WITH_CONTEXT:
        return replace(_WITH_CONTEXT[kind](check, context), name=name)
    passed, detail = _CHECKS[kind](check, context.example.get("expected") or {}, context.output)
    if check.get("assertion") and context.ask is not None and passed == (kind == "not_contains"):
        return replace(_asserted(check, context, context.ask), name=name)  # its words alone do not settle it
    return Finding(name, passed, detail)


Verdict = tuple[bool, str]
Expected = Mapping[str, Any]
Check = Mapping[str, Any]


def _not_empty(check: Check, expected: Expected, output: str) -> Verdict:
    return (True, "") if output.strip() else (False, "the answer is empty")


def _refuses(check: Check, expected: Expected, output: str) -> Verdict:
    """By the phrases with which assistants decline, in seven languages; what declines in other words is missed."""
    value, hits = refusals.weigh(output)
    return (True, f"declines: {refusals.quoted(output, hits)}") if hits and value >= refusals.THRESHOLD else (
        False, "does not read like a refusal"
    )  # fmt: skip


def _exact(check: Check, expected: Expected, output: str) -> Verdict:
    wanted = _text(check, expected)
    return (True, "") if output == wanted else (False, f"is not exactly {_short(wanted)}")


def _equals(check: Check, expected: Expected, output: str) -> Verdict:
    wanted = _text(check, expected)
    return (True, "") if _same(output, wanted) else (False, f"does not say the same as {_short(wanted)}")


def _differs(check: Check, expected: Expected, output: str) -> Verdict:
    text = str(check.get("text") or "")
    return (False, "is the answer that was judged a failure") if _same(output, text) else (True, "")


def _contains(check: Check, expected: Expected, output: str) -> Verdict:
    wanted = _text(check, expected)
    return (True, _short(wanted)) if occurs(wanted, output) else (False, f"does not say {_short(wanted)}")


def _not_contains(check: Check, expected: Expected, output: str) -> Verdict:
    text = str(check.get("text") or "")
    return (False, f"says {_short(text)}") if occurs(text, output) else (True, _short(text))


def _regex(check: Check, expected: Expected, output: str) -> Verdict:
    found = compile_pattern(check.get("pattern")).search(output[:MAX_SEARCHED]) is not None
    wanted = not check.get("negate")
    return found == wanted, "" if found == wanted else "does not match" if wanted else "matches"


def _json_schema(check: Check, expected: Expected, output: str) -> Verdict:
    wanted = check.get("schema") or expected.get("schema") or {}
    try:
        value = json.loads(output, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False, "is not JSON"
    try:
        faults = schema.faults(value, wanted)
    except schema.BadSchema as error:
        raise BadCheck(f"json_schema: {error}") from None
    return (False, faults[0]) if faults else (True, "")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _numeric(check: Check, expected: Expected, output: str) -> Verdict:
    wanted = numbers(_text(check, expected))
    if not wanted:
        raise BadCheck("numeric: the desired answer has no number")
    relative, absolute = _share(check, "relative", 1e-9), _share(check, "absolute", 0.0)
    found = numbers(output)
    missing = [
        value
        for value in wanted
        if not any(math.isclose(value, have, rel_tol=relative, abs_tol=absolute) for have in found)
    ]
    return (False, f"does not give {missing[0]:g}") if missing else (True, "")


def _similar(check: Check, context: _Context) -> Finding:
    least = _share(check, "min", SIMILAR_FROM)
    value = similarity(context.output, _text(check, context.example.get("expected") or {}))
    return Finding("similar", value >= least, f"{value:.2f} of at least {least:.2f}", round(value, 6))


def _asserted(check: Check, context: _Context, ask: Ask) -> Finding:
    """What a model says of an assertion: a demand that is met in other words, or something forbidden in other words."""
    text = str(check.get("text") or "")
    demand = "meets this demand" if check["type"] == "contains" else "keeps clear of this"
    opinion = ask(context.example, context.output, f"The answer {demand}: {text}")
    return Finding("", opinion.score >= SIMILAR_FROM, _judged(text, opinion), opinion.score)


def _judge(check: Check, context: _Context) -> Finding:
    criterion, least = check.get("criterion"), _share(check, "min", SIMILAR_FROM)
    if not isinstance(criterion, str) or not criterion.strip():
        raise BadCheck("judge: criterion must be a text")
    if context.ask is None:
        raise BadCheck("judge: name a model to ask (--judge openai:MODEL)")
    opinion = context.ask(context.example, context.output, criterion)
    return Finding("judge", opinion.score >= least, _judged(criterion, opinion), opinion.score)


def _judged(text: str, opinion: Opinion) -> str:
    return f"{_short(text)}: {opinion.score:.2f}, {opinion.reason}"[:1000]


def _max_latency(check: Check, context: _Context) -> Finding:
    most, took = _bound(check, "ms"), context.spent.latency_ms
    if took is None:
        return Finding("max_latency", False, "nobody measured how long it took")
    return Finding("max_latency", took <= most, f"{took:.0f} ms of at most {most:g}")


def _max_cost(check: Check, context: _Context) -> Finding:
    most, cost = _bound(check, "usd"), context.spent.cost_usd
    if cost is None:
        return Finding("max_cost", False, "nobody knows what it cost")
    return Finding("max_cost", cost <= most, f"${cost:.6f} of at most ${most:g}")


def _bound(check: Check, name: str) -> float:
    if name not in check:
        raise BadCheck(f"{check.get('type')}: {name} must be a number from 0 on")
    return _share(check, name, 0.0)


def _max_length(check: Check, expected: Expected, output: str) -> Verdict:
    most = check.get("characters")
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise BadCheck("max_length: characters must be a whole number")
    return len(output) <= most, f"{len(output)} characters of at most {most}"


_CHECKS: dict[str, Callable[[Check, Expected, str], Verdict]] = {
    "not_empty": _not_empty,
    "exact": _exact,
    "equals": _equals,
    "differs": _differs,
    "contains": _contains,
    "not_contains": _not_contains,
    "regex": _regex,
    "json_schema": _json_schema,
    "numeric": _numeric,
    "max_length": _max_length,
    "refuses": _refuses,
}
_WITH_CONTEXT: dict[str, Callable[[Check, _Context], Finding]] = {
    "similar": _similar,
    "judge": _judge,
    "max_latency": _max_latency,
    "max_cost": _max_cost,
}


def _text(check: Check, expected: Expected) -> str:
    """What to compare with: the check's own text, else the desired answer."""
    return str(check["text"]) if "text" in check else str(expected.get("output") or "")


def _share(check: Check, name: str, default: float) -> float:
    value = check.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise BadCheck(f"{check.get('type')}: {name} must be a number from 0 on")
    return float(value)


def _short(text: str, limit: int = 80) -> str:
    flat = " ".join(text.split())
    return f"“{flat if len(flat) <= limit else flat[: limit - 1] + '…'}”"
