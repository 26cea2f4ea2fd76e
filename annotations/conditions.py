"""The language of triage rules: what an item must be like, as JSON that people can read and a form can edit.

A condition is a group or a leaf::

    {"all": [c, …]}   {"any": [c, …]}   {"not": c}           an empty ``all`` is met by everything
    {"signal": "negative_feedback"}                          what the hub derives: see SIGNALS
    {"feedback": {"kind": "thumbs", "value": "down", "verified": true}}     one feedback that is all of this
    {"score": {"name": "faithfulness", "op": "below", "value": 0.5}}        the newest score of that name
    {"score": {"source": "judge", "flagged": true}}                         any newest score of that source
    {"field": "model", "op": "is", "value": "gpt-4o"}        what was sent with the interaction: see FIELDS
    {"text": {"in": "question", "words": ["refund"]}}        or "matches": a regular expression

``compiled`` checks a condition and refuses with the path of a fault; what it returns says of the facts about
one item whether it is met and why, in words. Regular expressions run on RE2, whose time is linear in the
text whatever the pattern (Cox 2010, "Regular expression matching in the wild"): no rule can stall a worker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

import re2

from annotations.priority import Reason
from projects.errors import invalid

SIGNALS = {
    "negative_feedback": "negative feedback",
    "flagged_score": "a score that flags a problem",
    "error": "a failed request",
    "soft_error": "an answer of the wrong form",
    "disagreement": "user and judge differ",
}
FEEDBACK_KINDS = ("thumbs", "rating", "category", "comment", "correction", "report", "implicit")
SCORE_SOURCES = ("detector", "judge", "api", "import", "otlp")
TEXTS = {"question": "question", "answer": "answer", "comment": "comment", "any": "text"}
TEXT_OPS = {"is": "is", "is_not": "is not", "in": "is one of", "not_in": "is none of", "starts_with": "starts with",
            "contains": "contains", "known": "is known", "unknown": "is not known"}  # fmt: skip
NUMBER_OPS = {"at_least": "is at least", "at_most": "is at most", "above": "is above", "below": "is below",
              "known": "is known", "unknown": "is not known"}  # fmt: skip
SET_OPS = {"has": "has", "has_not": "has not", "has_any": "has any of"}
DEPTH, PARTS, WORDS, PATTERN, VALUE = 6, 60, 50, 500, 200
REGEX_MEMORY = 1 << 20  # bytes that a compiled pattern may take
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "at_least": lambda have, want: have >= want,
    "at_most": lambda have, want: have <= want,
    "above": lambda have, want: have > want,
    "below": lambda have, want: have < want,
}
_SIGNS = {"at_least": "≥", "at_most": "≤", "above": ">", "below": "<"}


@dataclass(frozen=True, slots=True)
class FieldKind:
    """A field that rules may ask for: its words, its kind (text, number or set), and the columns it is read from."""

    label: str
    kind: str
    columns: tuple[str, ...]


FIELDS: dict[str, FieldKind] = {
    "model": FieldKind("Model", "text", ("model",)),
    "provider": FieldKind("Provider", "text", ("provider",)),
    "prompt_name": FieldKind("Prompt", "text", ("prompt_name",)),
    "prompt_version": FieldKind("Prompt version", "text", ("prompt_version",)),
    "release": FieldKind("Release", "text", ("release",)),
    "variant": FieldKind("Variant", "text", ("variant",)),
    "feature": FieldKind("Feature", "text", ("feature",)),
    "environment": FieldKind("Environment", "text", ("environment",)),
    "language": FieldKind("Language", "text", ("language",)),
    "status": FieldKind("Status", "text", ("status",)),
    "error_type": FieldKind("Error", "text", ("error_type",)),
    "user_id": FieldKind("User", "text", ("end_user_id",)),
    "user_tier": FieldKind("User tier", "text", ("metadata",)),
    "segment": FieldKind("Segment", "text", ("metadata",)),
    "tags": FieldKind("Tags", "set", ("tags",)),
    "cost_usd": FieldKind("Cost in US dollars", "number", ("cost_usd",)),
    "latency_ms": FieldKind("Latency in milliseconds", "number", ("latency_ms",)),
    "input_tokens": FieldKind("Input tokens", "number", ("input_tokens",)),
    "output_tokens": FieldKind("Output tokens", "number", ("output_tokens",)),
    "answer_length": FieldKind("Length of the answer", "number", ("output",)),
    "question_length": FieldKind("Length of the question", "number", ("messages",)),
    "turns": FieldKind("Messages so far", "number", ("messages",)),
    "cluster_size": FieldKind("Items of the same kind", "number", ()),
    "cluster_users": FieldKind("Users of the same kind, 7 days", "number", ()),
}
LATE = "late"
METADATA = "metadata."  # any key of the metadata is a field too: metadata.team


@dataclass(frozen=True, slots=True)
class Voice:
    """One feedback that counts, as rules see it."""

    kind: str
    value: str
    number: float | None
    negative: bool
    verified: bool
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The newest score of one name from one source, as rules see it."""

    name: str
    source: str
    value: float | None
    label: str
    flagged: bool | None


@dataclass(slots=True)
class Facts:
    """Everything that is known of one item when the rules look at it. ``texts`` holds question and answer."""

    values: Mapping[str, Any] = field(default_factory=dict)
    signals: Mapping[str, Sequence[Reason]] = field(default_factory=dict)
    voices: Sequence[Voice] = ()
    scores: Sequence[Verdict] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


Met = Callable[[Facts], list[Reason] | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked condition: ``met`` gives the reasons if the facts meet it (maybe none), else None.

    ``needs`` are the fields, and ``question``, ``answer``, ``comment``, that it reads. ``late``: it also looks at
    what comes after the interaction (feedback, scores), so its answer may change.
    """

    met: Met
    needs: frozenset[str]
    late: bool


def compiled(value: Any, path: str = "/condition") -> Condition:
    """Checks a condition and makes it ready; ApiError 422 with the path of a fault."""
    needs: set[str] = set()
    left = [PARTS]
    met = _node(value, path, 0, left, needs)
    return Condition(met, frozenset(needs - {LATE}), bool(needs & {LATE, "comment", "cluster_size", "cluster_users"}))


def _node(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    left[0] -= 1
    if left[0] < 0:
        raise invalid(path, f"A condition has at most {PARTS} parts.")
    if depth > DEPTH:
        raise invalid(path, f"Groups are nested at most {DEPTH} deep.")
    if not isinstance(value, dict) or not value:
        raise invalid(path, "A condition is an object: all, any, not, signal, feedback, score, field or text.")
    name = next((key for key in _READERS if key in value), None)
    if name is None:
        raise invalid(path, f"Unknown condition {sorted(map(str, value))[0]!r}.")
    extra = sorted(set(value) - {name, *({"op", "value"} if name == "field" else ())})
    if extra:
        raise invalid(f"{path}/{extra[0]}", "A condition says one thing; put several into all or any.")
    return _READERS[name](value, f"{path}/{name}", depth, left, needs)


def _parts(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> list[Met]:
    if not isinstance(value, list):
        raise invalid(path, "A list of conditions.")
    return [_node(part, f"{path}/{place}", depth + 1, left, needs) for place, part in enumerate(value)]


def _all(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    parts = _parts(value["all"], path, depth, left, needs)

    def met(facts: Facts) -> list[Reason] | None:
        reasons: list[Reason] = []
        for part in parts:
            found = part(facts)
            if found is None:
                return None
            reasons += found
        return reasons

    return met


def _any(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    parts = _parts(value["any"], path, depth, left, needs)
    if not parts:
        raise invalid(path, "Nothing can meet an empty list; add a condition.")

    def met(facts: Facts) -> list[Reason] | None:
        found = [reasons for part in parts if (reasons := part(facts)) is not None]
        return [reason for reasons in found for reason in reasons] if found else None

    return met


def _not(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    part = _node(value["not"], path, depth + 1, left, needs)
    return lambda facts: [] if part(facts) is None else None


def _signal(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    signal = value["signal"]
    _one_of(signal, SIGNALS, path)
    needs.add(LATE)

    def met(facts: Facts) -> list[Reason] | None:
        return list(facts.signals.get(signal, ())) or None

    return met


def _feedback(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    wanted = _object(value["feedback"], path, {"kind", "value", "verified", "negative"})
    if not wanted:
        raise invalid(path, "Say which feedback: kind, value, verified or negative.")
    kind, word = wanted.get("kind"), wanted.get("value")
    if kind is not None:
        _one_of(kind, FEEDBACK_KINDS, f"{path}/kind")
    if word is not None:
        _text(word, f"{path}/value")
    for flag in ("verified", "negative"):
        if not isinstance(wanted.get(flag, False), bool):
            raise invalid(f"{path}/{flag}", "true or false.")
    needs.add(LATE)
    says = " ".join(part.replace("_", " ") for part in (kind or "feedback", word or "") if part)

    def met(facts: Facts) -> list[Reason] | None:
        for voice in facts.voices:
            if (
                (kind is None or voice.kind == kind)
                and (word is None or voice.value == word)
                and wanted.get("verified", voice.verified) == voice.verified
                and wanted.get("negative", voice.negative) == voice.negative
            ):
                return [_told(says.capitalize(), "thumb-down" if voice.negative else "comment")]
        return None

    return met


def _score(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    wanted = _object(value["score"], path, {"name", "source", "op", "value", "label", "flagged"})
    if not wanted.keys() & {"name", "source"}:
        raise invalid(path, "Say whose score: name or source.")
    if not wanted.keys() & {"op", "label", "flagged"}:
        raise invalid(path, "Say what of the score: op with value, label or flagged.")
    if "source" in wanted:
        _one_of(wanted["source"], SCORE_SOURCES, f"{path}/source")
    for name in ("name", "label"):
        if name in wanted:
            _text(wanted[name], f"{path}/{name}")
    if not isinstance(wanted.get("flagged", False), bool):
        raise invalid(f"{path}/flagged", "true or false.")
    needs.add(LATE)
    compare, limit = None, 0.0
    if "op" in wanted:
        _one_of(wanted["op"], _COMPARE, f"{path}/op")
        compare, limit = _COMPARE[wanted["op"]], _number(wanted.get("value"), f"{path}/value")

    def met(facts: Facts) -> list[Reason] | None:
        for score in facts.scores:
            if (
                wanted.get("name", score.name) == score.name
                and wanted.get("source", score.source) == score.source
                and wanted.get("label", score.label) == score.label
                and ("flagged" not in wanted or score.flagged is wanted["flagged"])
                and (compare is None or (score.value is not None and compare(score.value, limit)))
            ):
                figure = f" {score.value:.2f}" if score.value is not None else f" {score.label}"
                return [_told(f"{score.name.replace('_', ' ').capitalize()}{figure}", "gauge")]
        return None

    return met


def _field(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    name, op, want = value["field"], value.get("op"), value.get("value")
    place = path.removesuffix("/field")
    if not isinstance(name, str):
        raise invalid(path, "The name of a field.")
    kind = _kind(name, op, path)
    needs.add(name)
    label = FIELDS[name].label if name in FIELDS else name.removeprefix(METADATA)
    ops = {"text": TEXT_OPS, "number": NUMBER_OPS, "set": SET_OPS}[kind]
    _one_of(op, ops, f"{place}/op")
    if op in {"known", "unknown"}:
        if "value" in value:
            raise invalid(f"{place}/value", "This needs no value.")
        known = op == "known"
        return lambda facts: (
            [_told(f"{label} {ops[op]}")] if (facts.values.get(name) not in (None, "")) == known else None
        )
    if kind == "number":
        return _number_met(name, label, op, _number(want, f"{place}/value"))
    several = op in {"in", "not_in", "has_any"}
    words = _words(want, f"{place}/value") if several else [_text(want, f"{place}/value")]
    return _set_met(name, label, op, words) if kind == "set" else _text_met(name, label, op, words)


def _kind(name: str, op: Any, path: str) -> str:
    if name in FIELDS:
        return FIELDS[name].kind
    if name.startswith(METADATA) and len(name) > len(METADATA):
        return "number" if op in _COMPARE else "text"
    raise invalid(path, f"There is no field {name[:40]!r}. Fields: {', '.join(FIELDS)}, metadata.KEY.")


def _number_met(name: str, label: str, op: str, limit: float) -> Met:
    compare = _COMPARE[op]

    def met(facts: Facts) -> list[Reason] | None:
        have = facts.values.get(name)
        if isinstance(have, bool) or not isinstance(have, int | float | Decimal) or not compare(float(have), limit):
            return None
        return [_told(f"{label} {float(have):,.6g} {_SIGNS[op]} {limit:,.6g}")]

    return met


def _text_met(name: str, label: str, op: str, words: list[str]) -> Met:
    wanted, first = frozenset(words), words[0]
    tests: dict[str, Callable[[str], bool]] = {
        "is": lambda have: have == first,
        "is_not": lambda have: have != first,
        "in": lambda have: have in wanted,
        "not_in": lambda have: have not in wanted,
        "starts_with": lambda have: have.startswith(first),
        "contains": lambda have: first.casefold() in have.casefold(),
    }
    test = tests[op]

    def met(facts: Facts) -> list[Reason] | None:
        have = facts.values.get(name)
        text = "" if have is None else str(have)
        return [_told(f"{label} {text or 'not known'}")] if test(text) else None

    return met


def _set_met(name: str, label: str, op: str, words: list[str]) -> Met:
    wanted = frozenset(words)

    def met(facts: Facts) -> list[Reason] | None:
        found = wanted.intersection(facts.values.get(name) or ())
        if op == "has_not":
            return None if found else [_told(f"{label} without {words[0]}")]
        return [_told(f"{label} {', '.join(sorted(found))}")] if found else None

    return met


def _text_leaf(value: Any, path: str, depth: int, left: list[int], needs: set[str]) -> Met:
    wanted = _object(value["text"], path, {"in", "words", "matches"})
    where = wanted.get("in", "any")
    _one_of(where, TEXTS, f"{path}/in")
    places = ("question", "answer", "comment") if where == "any" else (where,)
    needs.update(places)
    if ("words" in wanted) == ("matches" in wanted):
        raise invalid(path, "Say either words or matches.")
    if "words" in wanted:
        words = _words(wanted["words"], f"{path}/words")
        pattern = regex(r"(?:^|\W)(" + "|".join(re2.escape(word) for word in words) + r")(?:\W|$)", f"{path}/words")
    else:
        pattern = regex(_text(wanted["matches"], f"{path}/matches", PATTERN), f"{path}/matches")

    def met(facts: Facts) -> list[Reason] | None:
        for place in places:
            for text in _texts(facts, place):
                if found := pattern.search(text):
                    said = found.group(1) if "words" in wanted else found.group(0)
                    return [_told(f"{TEXTS[place].capitalize()} says “{said[:40]}”", "search")]
        return None

    return met


def _texts(facts: Facts, place: str) -> Sequence[str]:
    if place == "comment":
        return [voice.comment for voice in facts.voices if voice.comment]
    return (facts.texts.get(place, ""),)


@lru_cache(maxsize=1000)
def _regex(pattern: str) -> Any:
    options = re2.Options()
    options.case_sensitive, options.log_errors, options.max_mem = False, False, REGEX_MEMORY
    return re2.compile(pattern, options=options)


def regex(pattern: str, path: str) -> Any:
    """A linear-time, case-insensitive pattern; ApiError 422 for one that RE2 does not take or that is too large."""
    try:
        return _regex(pattern)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        message = f"This is not a pattern we can run in linear time: {said}."
        raise invalid(path, message) from None


def _object(value: Any, path: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(path, "An object.")
    unknown = sorted(set(map(str, value)) - known)
    if unknown:
        raise invalid(f"{path}/{unknown[0]}", f"Known here: {', '.join(sorted(known))}.")
    return value


def _one_of(value: Any, known: Mapping[str, Any] | Sequence[str], path: str) -> None:
    if not isinstance(value, str) or value not in known:
        raise invalid(path, f"One of: {', '.join(known)}.")


def _text(value: Any, path: str, longest: int = VALUE) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise invalid(path, "A text that is not empty.")
    if len(value) > longest:
        raise invalid(path, f"At most {longest} characters.")
    return value


def _words(value: Any, path: str) -> list[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= WORDS:
        raise invalid(path, f"A list of 1 to {WORDS} texts.")
    return [_text(word, f"{path}/{place}") for place, word in enumerate(value)]


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e15:
        raise invalid(path, "A number.")
    return float(value)


def _told(text: str, icon: str = "filter") -> Reason:
    return Reason("rule", "", 0.0, icon, text)


_READERS: dict[str, Callable[[Any, str, int, list[int], set[str]], Met]] = {
    "all": _all, "any": _any, "not": _not, "signal": _signal, "feedback": _feedback, "score": _score,
    "field": _field, "text": _text_leaf,
}  # fmt: skip

__all__ = ["FIELDS", "SIGNALS", "Condition", "Facts", "FieldKind", "Verdict", "Voice", "compiled", "regex"]
