"""The form of a triage rule: what it shows, and what was posted as ``rules`` takes it. Nothing is checked here."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from annotations import builder
from annotations.builder import Group
from annotations.conditions import compiled
from annotations.models import TriageRule
from projects import strictjson
from projects.errors import ApiError
from projects.strictjson import clean_text

Action, Sampling = TriageRule.Action, TriageRule.Sampling
ROUTES = {Action.QUEUE, Action.FORCE}
PLAIN = ("name", "action", "queue", "severity", "cap", "sampling", "rate", "strata", "quota_per_week")
START = Group(parts=[builder.Row()])


@dataclass(slots=True)
class Shown:
    """What stands in the form. ``group`` are the condition's rows; None where it is edited as ``text``, JSON."""

    values: dict[str, Any]
    group: Group | None
    text: str
    as_rows: bool = True  # whether the rows could say it
    errors: dict[str, list[str]] = field(default_factory=dict)

    def add(self, faults: list[dict[str, str]]) -> None:
        """Puts what is wrong to the control that it is about; inside a condition with the place."""
        for fault in faults:
            name, _, inside = fault["path"].removeprefix("/").partition("/")
            said = f"{fault['message']} ({inside.replace('/', ' › ')})" if inside else fault["message"]
            self.errors.setdefault(name or "rule", []).append(said)


def shown(rule: TriageRule | None) -> Shown:
    """The form of a rule, or of a new one."""
    row = rule or TriageRule(condition=builder.condition_of(START))
    values = {
        "name": row.name, "action": row.action, "queue": row.queue.slug if row.queue else "",
        "severity": _text(row.severity), "cap": _text(row.cap), "sampling": row.sampling,
        "rate": _text(round(row.rate * 100, 10)), "strata": row.strata, "quota_per_week": _text(row.quota_per_week),
        "enabled": row.enabled,
    }  # fmt: skip
    group = builder.rows(row.condition)
    return Shown(values, group, _json(row.condition), group is not None)


def posted(post: QueryDict) -> Shown:
    """The form as it was sent."""
    values: dict[str, Any] = {name: clean_text(post.get(name, "")).strip() for name in PLAIN}
    values["enabled"] = "enabled" in post
    if "condition" in post:
        text = clean_text(post.get("condition", ""))
        return Shown(values, None, text, as_rows=_rows_of(text) is not None)
    group = builder.numbered(builder.posted(post))
    return Shown(values, group, _json(builder.condition_of(group)))


def turned(form: Shown, deed: str) -> Shown:
    """The form after one of the buttons of its condition: another row, another view."""
    if deed == "json":
        form.group = None
    elif deed == "rows" and form.group is None:
        form.group = _rows_of(form.text)
        if form.group is None:
            form.add([{"path": "/condition", "message": "The rows cannot show this condition, or it is not complete."}])
    elif form.group is not None:
        form.group = builder.changed(form.group, deed)
        form.text = _json(builder.condition_of(form.group))
    return form


def fields_of(form: Shown, old: TriageRule | None) -> dict[str, Any]:
    """The settings as the service takes them, without those that do not belong to the action. ApiError 422 for JSON
    that cannot be read."""
    values = form.values
    fields: dict[str, Any] = {name: values[name] for name in ("name", "action", "enabled")}
    fields["condition"] = _condition(form, old)
    if values["action"] in ROUTES:
        fields |= {
            "queue": values["queue"] or None, "severity": _number(values["severity"]), "sampling": values["sampling"],
            "rate": _share(values["rate"]),
        }  # fmt: skip
        if values["sampling"] == Sampling.STRATIFIED:
            fields |= {"strata": values["strata"], "quota_per_week": _number(values["quota_per_week"])}
    elif values["action"] == Action.CAP:
        fields["cap"] = _number(values["cap"])
    return fields


def _condition(form: Shown, old: TriageRule | None) -> Any:
    """What the rows or the text say; the stored condition where it says the same in other words."""
    if form.group is None:
        try:
            return strictjson.parse(form.text.encode()).value
        except ApiError as error:
            raise ApiError(422, "invalid", error.message, [
                {"path": "/condition", "message": f"This is not JSON: {error.message}"}
            ]) from None  # fmt: skip
    condition = builder.condition_of(form.group)
    same = builder.rows(old.condition) if old else None
    return old.condition if old and same and builder.condition_of(same) == condition else condition


def _rows_of(text: str) -> Group | None:
    try:
        condition = strictjson.parse(text.encode()).value
        compiled(condition)
    except ApiError:
        return None
    return builder.rows(condition)


def _json(condition: Any) -> str:
    return json.dumps(condition, ensure_ascii=False, indent=2)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _share(text: str) -> Any:
    """A part of one from per cent."""
    value = _number(text)
    return value / 100 if isinstance(value, int | float) else text


def _number(text: str) -> Any:
    if not text:
        return None
    try:
        value = float(text.replace(",", ".").removesuffix("%").strip())
    except ValueError:
        return text
    if not math.isfinite(value):
        return text
    return int(value) if value.is_integer() else value
