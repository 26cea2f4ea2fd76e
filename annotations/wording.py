"""Rules and queue settings as people say them: what a condition asks for, what a rule does, what a version changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotations.conditions import FIELDS, METADATA, NUMBER_OPS, SET_OPS, SIGNALS, TEXT_OPS, TEXTS
from annotations.models import Task, TriageRule

Action, Sampling = TriageRule.Action, TriageRule.Sampling
OPS = {**TEXT_OPS, **NUMBER_OPS, **SET_OPS}
TERMS = {
    "negative": "Complaints",
    "severity": "Severity: harm, errors",
    "disagreement": "User and judge differ",
    "machine": "Judge and detectors",
    "impact": "How many users it meets",
    "novelty": "How new it is",
    "spike": "How fast it grows",
    "forced": "Put first by a rule",
    "capped": "Limited by a rule",
}
LANES = {**{lane.value: str(lane.label) for lane in Task.Lane}, "oldest": "The oldest first"}
SETTINGS = {
    "name": "Name", "description": "Description", "kind": "Kind", "overlap": "Labels for each item", "blind": "Blind",
    "phase": "Phase",
    "calibration_share": "For calibration",
    "lease_seconds": "Reserved for, seconds", "sla_min_hours": "Due at the earliest, hours",
    "sla_max_hours": "Due at the latest, hours", "paused": "Paused", "open_to_all": "Open to all reviewers",
    "members": "Members", "topics": "Topics", "fallback": "Goes to", "weights": "Points", "lanes": "Lanes",
    "admission": "Thin out when overloaded", "admission_below": "Thin out below", "capacity_per_day": "Capacity a day",
    "condition": "Condition", "action": "What it does", "queue": "Queue", "severity": "Severity",
    "cap": "Highest score", "sampling": "Draws", "rate": "Share", "strata": "Groups by",
    "quota_per_week": "Of each group a week", "enabled": "On", "position": "Place",
}  # fmt: skip


def condition(value: Any) -> str:
    """A checked condition as a sentence without a full stop: ``thumbs down, and model is “gpt-4o”``."""
    if not isinstance(value, dict) or not value:
        return "everything"
    if "all" in value or "any" in value:
        name = "all" if "all" in value else "any"
        parts = [_bracketed(part) for part in value[name]]
        return (", and " if name == "all" else ", or ").join(parts) or "everything"
    if "not" in value:
        return f"not {_bracketed(value['not'])}"
    return _leaf(value)


def _bracketed(value: Any) -> str:
    said = condition(value)
    group = isinstance(value, dict) and len(value.get("all") or value.get("any") or ()) > 1
    return f"({said})" if group else said


def _leaf(value: Mapping[str, Any]) -> str:
    if "signal" in value:
        return SIGNALS.get(value["signal"], str(value["signal"]))
    if "feedback" in value:
        return _feedback(value["feedback"])
    if "score" in value:
        return _score(value["score"])
    if "field" in value:
        return _field(value)
    text = value.get("text", {})
    where = "any text" if text.get("in", "any") == "any" else f"the {TEXTS[text['in']]}"
    if "matches" in text:
        return f"{where} matches {text['matches']}"
    return f"{where} says {_listed(text.get('words', ()))}"


def _feedback(wanted: Mapping[str, Any]) -> str:
    kind = str(wanted.get("kind", "feedback")).replace("_", " ")
    said = f"{kind} {quoted(wanted['value'])}" if "value" in wanted else kind
    for name, words in (("negative", ("negative", "not negative")), ("verified", ("verified", "not verified"))):
        if name in wanted:
            said += f", {words[0 if wanted[name] else 1]}"
    return said


def _score(wanted: Mapping[str, Any]) -> str:
    said = " ".join(str(wanted[name]).replace("_", " ") for name in ("source", "name") if name in wanted)
    said = said if "name" in wanted else f"{said} score"
    if "op" in wanted:
        said += f" {NUMBER_OPS[wanted['op']]} {wanted.get('value'):g}"
    if "label" in wanted:
        said += f" says {quoted(wanted['label'])}"
    if "flagged" in wanted:
        said += " flags a problem" if wanted["flagged"] else " flags no problem"
    return said


def _field(value: Mapping[str, Any]) -> str:
    name, op, want = value["field"], value.get("op", ""), value.get("value")
    label = FIELDS[name].label.lower() if name in FIELDS else name.removeprefix(METADATA)
    said = f"{label} {OPS.get(op, op)}"
    if op in {"known", "unknown"}:
        return said
    return f"{said} {_listed(want)}" if isinstance(want, list) else f"{said} {quoted(want)}"


def _listed(values: Any) -> str:
    return " or ".join(quoted(value) for value in values)


def quoted(value: Any) -> str:
    """Texts in quotation marks, numbers bare."""
    return f"“{value}”" if isinstance(value, str) else format(value, "g") if isinstance(value, int | float) else "–"


def deed(rule: Mapping[str, Any], queues: Mapping[str, str]) -> str:
    """What a rule does, from its snapshot; ``queues`` are the names of queues by slug."""
    action = rule["action"]
    if action == Action.DROP:
        return "kept out of every queue"
    if action == Action.CAP:
        return f"score limited to {rule['cap']:g}"
    queue = queues.get(rule["queue"] or "", rule["queue"] or "–")
    said = f"{draws(rule)} to {queue}" + (", first of all" if action == Action.FORCE else "")
    return f"{said}, severity {rule['severity']:g}" if rule["severity"] else said


def draws(rule: Mapping[str, Any]) -> str:
    """Which of the items that match a rule takes, from its snapshot."""
    share = f"{rule['rate'] * 100:.3g} %"
    if rule["sampling"] == Sampling.ALL:
        return "every one" if rule["rate"] >= 1 else f"{share} of them"
    if rule["sampling"] == Sampling.RANDOM:
        return f"a random {share}"
    if rule["sampling"] == Sampling.STRATIFIED:
        name = rule["strata"]
        label = FIELDS[name].label.lower() if name in FIELDS else name
        return f"a random {share} by {label}, of each at least {rule['quota_per_week']} a week"
    why = {Sampling.UNCERTAINTY: "the judge is unsure of", Sampling.DISAGREEMENT: "users and judges differ on"}
    return f"up to {share}, most of what {why.get(rule['sampling'], 'is new')}"


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """What a version changed, in lines: ``Share: 2 % → 5 %``. Of a first version: nothing."""
    if before is None:
        return []
    names = [name for name in after if name != "position" and before.get(name) != after[name]]
    found = [f"{SETTINGS.get(name, name)}: {_plain(name, before.get(name))} → {_plain(name, after[name])}"
             for name in names]  # fmt: skip
    if before.get("position") != after.get("position"):
        found.append(f"Place: {before.get('position')} → {after.get('position')}")
    return found


def _plain(name: str, value: Any) -> str:
    if name == "condition":
        return condition(value)
    if name == "rate":
        return f"{value * 100:.3g} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "members":
        return ", ".join(_member(member) for member in value or ()) or "nobody"
    if isinstance(value, dict):
        words = {**TERMS, **LANES}
        return ", ".join(f"{words.get(key, key)} {part:g}" for key, part in value.items()) or "the usual ones"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else format(value, "g") if isinstance(value, float) else str(value)


def _member(member: Mapping[str, Any]) -> str:
    topics = member.get("topics")
    return f"{member['user']} ({', '.join(topics)})" if topics else str(member["user"])
