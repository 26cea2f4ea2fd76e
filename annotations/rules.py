"""Triage rules as leads keep them: checked against each other, with every version they have had, and tried out."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from annotations import facts, ruleset, triage
from annotations.checking import Settings, flag, free_slug, maybe, number, one_of, text, whole
from annotations.condition_logic import impossible, includes
from annotations.conditions import FIELDS, METADATA, compiled
from annotations.models import Queue, TriageRevision, TriageRule
from annotations.ruleset import Rule
from feedback.models import Interaction
from projects import audit
from projects.errors import ApiError, invalid
from projects.models import AuditEntry, Project, User

Action, Sampling = TriageRule.Action, TriageRule.Sampling
ROUTES = (Action.QUEUE, Action.FORCE)
SETTINGS = ("name", "condition", "action", "queue", "severity", "cap", "sampling", "rate", "strata", "quota_per_week",
            "enabled", "position")  # fmt: skip
# The groups of a stratified rule are the values of a text. Users are too many to be groups.
STRATA = tuple(name for name, kind in FIELDS.items() if kind.kind == "text" and name != "user_id")
MOST, QUOTA = 200, 100_000
LAST, NEWEST, CHUNK = 10_000, 20, 500


@dataclass
class Preview:
    """What a rule would have done: of the last ``of`` interactions ``matched`` meet its condition, and on ``drawn``
    it would have acted. ``newest`` are some that match; ``faults`` are what saving would refuse."""

    matched: int = 0
    of: int = 0
    drawn: int = 0
    newest: list[Interaction] = field(default_factory=list)
    faults: list[dict[str, str]] = field(default_factory=list)


@transaction.atomic
def save(*, project: Project, actor: User | None, rule: TriageRule | None, fields: dict[str, Any]) -> TriageRule:
    """A new rule (``rule`` is None), or changes of one; absent fields stay as they are. ``queue`` is a slug.

    Every change raises the version and keeps a revision; what changes nothing does neither. A new rule is read
    last, but one that keeps items out first, because it acts only on the rules below it. Waits until the facts that
    are being routed are, so that no task is made by a version that has ended.
    ApiError 422 with everything that is wrong; 404 if the rule has been removed, 409 if there are too many.
    """
    triage.locked(project)
    rows = _rows(project)
    old = _current(rule, rows)
    if old is None and len(rows) >= MOST:
        raise ApiError(409, "too_many", f"A project has at most {MOST} rules. Remove one first.")
    settings = Settings(fields)
    draft, order = _drafted(project, old, rows, settings)
    settings.done()
    was = snapshot(old) if old else None
    if old and was == snapshot(draft):
        return old
    if old:
        keep_revision(old)  # of rules that are older than revisions
        draft.version += 1
        draft.changed_at = Now()
        if old.strata != draft.strata:
            draft.stratum_rates.all().delete()
    draft.save()
    draft.refresh_from_db(fields=["changed_at"])
    _number(order)
    keep_revision(draft, actor)
    now = snapshot(draft)
    changed = {name: now[name] for name in now if was is None or was[name] != now[name]}
    action = "rule.changed" if old else "rule.created"
    audit.record(project, actor, action, draft.slug, by="key", version=draft.version, changed=changed)
    return draft


@transaction.atomic
def remove(*, actor: User | None, rule: TriageRule) -> None:
    """Deletes a rule. Its tasks keep their reasons and draws; what the rule was stands in the audit log."""
    triage.locked(rule.project)
    audit.record(rule.project, actor, "rule.removed", rule.slug, by="key", version=rule.version, was=snapshot(rule))
    TriageRule.objects.filter(pk=rule.pk).delete()
    _number(_rows(rule.project))


def move(*, actor: User | None, rule: TriageRule, to: int) -> TriageRule:
    """Puts a rule at this place of the reading, from 1; the others close up."""
    return save(project=rule.project, actor=actor, rule=rule, fields={"position": to})


def snapshot(rule: TriageRule) -> dict[str, Any]:
    """All that a rule says: what its revisions keep and what the API tells."""
    return {
        "name": rule.name, "condition": rule.condition, "action": str(rule.action),
        "queue": rule.queue.slug if rule.queue else None, "severity": rule.severity, "cap": rule.cap,
        "sampling": str(rule.sampling), "rate": rule.rate, "strata": rule.strata,
        "quota_per_week": rule.quota_per_week, "enabled": rule.enabled, "position": rule.position,
    }  # fmt: skip


def keep_revision(rule: TriageRule, actor: User | None = None) -> None:
    """Stores what the rule is at its version, unless that is stored already."""
    TriageRevision.objects.get_or_create(
        rule=rule, version=rule.version,
        defaults={"project_id": rule.project_id, "snapshot": snapshot(rule), "changed_by": actor},
    )  # fmt: skip


def preview(
    project: Project, fields: dict[str, Any], *, last: int = LAST, rule: TriageRule | None = None
) -> Preview:  # fmt: skip
    """Tries a draft, or changes of a rule, on the newest interactions. Reads only, in chunks, and takes no locks.

    On what a rule above keeps out it would not act. A draw depends on the interaction's id and the rule's slug
    alone, so that it is the one that a rule of this name would make.
    """
    rows = _rows(project)
    old = _current(rule, rows)
    settings = Settings(fields)
    draft, order = _drafted(project, old, rows, settings)
    found = Preview(faults=settings.faults)
    if settings.faulty("/condition") or not isinstance(draft.condition, dict):
        return found
    draft.queue = draft.queue or Queue(project=project)  # where it is still to be chosen, draws can be tried
    above = [row for row in order[: order.index(draft)] if row.enabled and row.action == Action.DROP]
    *drops, tried = ruleset.ready([*above, draft])
    pks = list(Interaction.objects.filter(project=project).order_by("-happened_at", "-pk").values_list("pk", flat=True)[
        :last
    ])  # fmt: skip
    newest: list[int] = []
    for start in range(0, len(pks), CHUNK):
        part = pks[start : start + CHUNK]
        items = facts.load(project, part, needs=ruleset.needs([*drops, tried]), arrived=set(part))
        found.of += len(items)
        for pk in part:
            if pk in items and tried.condition.met(items[pk].facts) is not None:
                found.matched += 1
                found.drawn += acts(drops, tried, items[pk])
                newest.append(pk)
        del newest[NEWEST:]
    rows_by_pk = Interaction.objects.in_bulk(newest)
    found.newest = [rows_by_pk[pk] for pk in newest if pk in rows_by_pk]
    return found


def acts(drops: Sequence[Rule], rule: Rule, item: facts.Item) -> bool:
    """Whether a rule, whose condition an item meets, does something with it: the drops above let it, it is drawn."""
    if any(drop.condition.met(item.facts) is not None for drop in drops):
        return False
    return rule.row.action not in ROUTES or rule.row in ruleset.judge([rule], item).by


def _rows(project: Project) -> list[TriageRule]:
    return list(TriageRule.objects.select_related("queue").filter(project=project).order_by("position", "id"))


def _current(rule: TriageRule | None, rows: Sequence[TriageRule]) -> TriageRule | None:
    """The rule as it is now."""
    if rule is None:
        return None
    for row in rows:
        if row.pk == rule.pk:
            return row
    raise ApiError(404, "not_found", "This rule has been removed.")


def _number(order: Sequence[TriageRule]) -> None:
    """Gives the rules the places in which they stand. Not a version of the others: among them nothing has changed."""
    moved = []
    for place, row in enumerate(order, start=1):
        if row.position != place:
            row.position = place
            moved.append(row)
    TriageRule.objects.bulk_update(moved, ["position"])


def _drafted(
    project: Project, old: TriageRule | None, rows: Sequence[TriageRule], settings: Settings
) -> tuple[TriageRule, list[TriageRule]]:
    """The rule as it would be, not saved, and all rules in the order in which they would be read."""
    settings.know(SETTINGS)
    draft = copy.copy(old) if old else TriageRule(project=project, condition=None)
    if old is None:
        settings.need("name", "A rule has a name.")
        settings.need("condition", 'A rule has a condition; {"all": []} is met by everything.')
    draft.name = settings.take("name", draft.name, text(120))
    draft.condition = settings.take("condition", draft.condition, _condition)
    draft.action = settings.take("action", draft.action, one_of(Action.values))
    draft.enabled = settings.take("enabled", draft.enabled, flag)
    _routing(project, draft, settings)
    _sampling(draft, settings)
    if old is None:
        draft.slug = free_slug(draft.name, _used(project, rows), "rule")
    order = [row for row in rows if old is None or row.pk != old.pk]
    first, end = 1, len(order) + 1
    place = min(old.position, end) if old else first if draft.action == Action.DROP else end
    draft.position = settings.take("position", place, whole(first, end))
    order.insert(draft.position - 1, draft)
    readable = draft.condition is not None and not settings.faulty("/condition") and not settings.faulty("/action")
    if readable and draft.enabled:
        path = next((f"/{name}" for name in ("condition", "action", "position", "enabled") if name in settings.fields),
                    "/condition")  # fmt: skip
        for message in _conflicts(order, draft):
            settings.refuse(path, message)
    return draft, order


def _used(project: Project, rows: Sequence[TriageRule]) -> set[str]:
    """Slugs of rules that are or were: draws are told apart by slug and version, so no slug comes back."""
    gone = AuditEntry.objects.filter(project=project, action="rule.removed").values_list("target", flat=True)
    return {row.slug for row in rows} | set(gone)


def _condition(value: Any, path: str) -> dict[str, Any]:
    compiled(value, path)
    if impossible(value):
        raise invalid(path, "Nothing can ever meet this condition: its parts contradict each other.")
    condition: dict[str, Any] = value
    return condition


def _routing(project: Project, draft: TriageRule, settings: Settings) -> None:
    """Queue, severity and cap: each belongs to some actions only."""
    routes, caps = draft.action in ROUTES, draft.action == Action.CAP
    draft.cap = settings.take("cap", draft.cap, maybe(number(0, 100)))
    draft.severity = settings.take("severity", draft.severity, maybe(number(0, 1)))
    draft.queue = settings.take("queue", draft.queue, maybe(lambda value, path: _queue(project, value, path)))
    _belongs(draft, settings, "queue", routes, None, "Only a rule that puts items in a queue names one.")
    _belongs(draft, settings, "severity", routes, None, "Only a rule that puts items in a queue adds severity.")
    _belongs(draft, settings, "cap", caps, None, "Only a rule that limits the score has a cap.")
    if routes and draft.queue is None:
        settings.refuse("/queue", "Say in which queue: its slug.")
    if caps and draft.cap is None:
        settings.refuse("/cap", "Say the highest score, 0 to 100.")


def _queue(project: Project, value: Any, path: str) -> Queue:
    queue = Queue.objects.filter(project=project, slug=value).first() if isinstance(value, str) else None
    if queue is None:
        raise invalid(path, f"There is no queue {str(value)[:60]!r} in this project.")
    if not queue.open_to_all and not queue.memberships.exists():
        raise invalid(path, f"The queue {queue.name} has no members: nobody would ever see these items.")
    return queue


def _sampling(draft: TriageRule, settings: Settings) -> None:
    """Which of the items that match are taken, and with what probability."""
    routes = draft.action in ROUTES
    draft.sampling = settings.take("sampling", draft.sampling, one_of(Sampling.values))
    draft.rate = settings.take("rate", draft.rate, number(0, 1, above=True))
    draft.strata = settings.take("strata", draft.strata, _strata)
    draft.quota_per_week = settings.take("quota_per_week", draft.quota_per_week, maybe(whole(1, QUOTA)))
    _belongs(draft, settings, "sampling", routes, Sampling.ALL, "Only a rule that puts items in a queue draws a share.")
    _belongs(draft, settings, "rate", routes, 1.0, "Only a rule that puts items in a queue draws a share.")
    stratified = draft.sampling == Sampling.STRATIFIED
    _belongs(draft, settings, "strata", stratified, "", "Only a stratified rule has groups.")
    _belongs(draft, settings, "quota_per_week", stratified, None, "Only a stratified rule has a quota.")
    if stratified and not draft.strata:
        settings.refuse("/strata", "Say by which field the items are grouped.")
    if stratified and draft.quota_per_week is None:
        settings.refuse("/quota_per_week", "Say how many of each group are wanted a week at least.")


def _strata(value: Any, path: str) -> str:
    if value == "":
        return ""
    name = text(40)(value, path)
    if name not in STRATA and not (name.startswith(METADATA) and name != METADATA):
        raise invalid(path, f"Groups are the values of one of: {', '.join(STRATA)}, metadata.KEY.")
    return name


def _belongs(draft: TriageRule, settings: Settings, name: str, applies: bool, empty: Any, message: str) -> None:
    """A setting that does not apply becomes empty by itself; to send one that does not apply is a mistake."""
    if applies:
        return
    if settings.fields.get(name, empty) not in (None, empty):
        settings.refuse(f"/{name}", message)
    setattr(draft, name, empty)


def _conflicts(order: Sequence[TriageRule], draft: TriageRule) -> list[str]:
    """What is wrong between this rule and the others that are switched on."""
    found: list[str] = []
    below = False
    for other in order:
        if other is draft:
            below = True
        elif other.enabled and isinstance(other.condition, dict) and other.condition:
            first, second = (draft, other) if below else (other, draft)
            if said := _contradiction(first, second, other):
                found.append(said)
            elif first.action == Action.DROP and includes(first.condition, second.condition):
                found.append(
                    f"“{other.name}” below would never act again: this rule keeps out all that it is about. Put it "
                    "further down, or narrow it." if below else
                    f"This would never act: “{other.name}” above keeps out all that it is about. Put it further up."
                )  # fmt: skip
    return found


def _contradiction(first: TriageRule, second: TriageRule, other: TriageRule) -> str:
    """What two rules that are about the same items want of each other's opposite; empty if they get along."""
    actions = {first.action, second.action}
    if not (actions == {Action.FORCE, Action.CAP} or (Action.DROP in actions and actions & set(ROUTES))):
        return ""
    if Action.DROP in actions and second.action == Action.DROP and (first.sampling != Sampling.ALL or first.rate < 1):
        return ""  # a share of them is looked at and the rest kept out, which makes sense
    if not _same(first.condition, second.condition):
        return ""
    wants = {Action.DROP: "keeps them out", Action.CAP: "limits their score", Action.FORCE: "puts them first of all",
             Action.QUEUE: "puts them in a queue"}[Action(other.action)]  # fmt: skip
    return f"This contradicts “{other.name}”, which has the same condition and {wants}."


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True):
        return True
    return includes(one, other) and includes(other, one)
