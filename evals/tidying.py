"""Remedies of the hygiene page: one function each way, and the way back. Whatever they touch is kept as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime

from evals import datasets, grouping, hygiene, lines
from evals.hygiene import KINDS, Finding
from evals.models import Dataset, DatasetVersion, Example, HygieneStep
from projects import audit
from projects.errors import ApiError, invalid
from projects.models import User

STEPS = 5  # that are shown
MOVES = {"move", "train"}
_KEPT = [*lines.COLUMNS, "label_id", "proposers", "approved_at", "approved_by_id"]


@transaction.atomic
def act(dataset: Dataset, *, kind: str, fingerprint: str, verb: str, actor: User | None, key: str = "") -> HygieneStep:
    """Does one remedy to one finding of the draft, which is made if there is none.

    ``key`` is the example that ``keep`` keeps, or that ``drop`` drops. 422 for what cannot be done about such a
    finding, 409 where the finding has changed or gone since it was shown.
    """
    if kind not in KINDS:
        raise invalid("/kind", "There is no such list.")
    if verb not in KINDS[kind].verbs:
        raise invalid("/verb", "This cannot be done about such a finding.")
    draft = datasets.draft_of(dataset)
    found = next((each for each in hygiene.report(dataset).found[kind] if each.fingerprint == fingerprint), None)
    if found is None or verb not in found.verbs:
        raise ApiError(409, "changed", "This has changed in the meantime. Look at it again.")
    if key and key not in {item.key for item in found.items}:
        raise invalid("/key", "No such example in this finding.")
    touched = draft.examples.filter(key__in={item.key for item in found.items} | _members(draft, found, verb))
    before = [_as_json(row) for row in touched.values(*_KEPT)] if verb != "reviewed" else []
    _DO[verb](draft, found, key)
    step = HygieneStep.objects.create(
        dataset=dataset, kind=kind, verb=verb, finding=fingerprint, before=before, count=len(found.items), actor=actor
    )
    audit.record(
        dataset.project, actor, f"hygiene.{verb}", f"{dataset.slug}@{draft.number}", kind=kind,
        keys=[item.key for item in found.items][:50], kept=key or found.keep if verb == "keep" else "",
    )  # fmt: skip
    return step


def _keep(draft: DatasetVersion, found: Finding, key: str) -> None:
    gone = [item.key for item in found.items if item.key != (key or found.keep)]
    draft.examples.filter(key__in=gone).delete()


def _drop(draft: DatasetVersion, found: Finding, key: str) -> None:
    draft.examples.filter(key__in=[key] if key else [item.key for item in found.items]).delete()


def _move(draft: DatasetVersion, found: Finding, key: str) -> None:
    """All into the group and the split of the most of them."""
    splits = [item.split for item in found.items]
    split = min(set(splits), key=lambda each: (-splits.count(each), each))
    group = next((item.group for item in found.items if item.split == split and item.group), "")
    group = group or lines.sha256(found.fingerprint)[:20]
    for example in draft.examples.filter(key__in={item.key for item in found.items} | _members(draft, found, "move")):
        grouping.move(example, group=group, split=split)


def _train(draft: DatasetVersion, found: Finding, key: str) -> None:
    """Into the train split, with its whole group: half of it would be torn."""
    for example in draft.examples.filter(key__in={item.key for item in found.items} | _members(draft, found, "train")):
        group = str(example.provenance.get("group") or lines.sha256(example.key)[:20])
        grouping.move(example, group=group, split=Example.Split.TRAIN)


def _members(draft: DatasetVersion, found: Finding, verb: str) -> set[str]:
    """Who else is moved: the other members of the groups, whatever they say. Other remedies touch nobody else."""
    groups = {item.group for item in found.items} - {""} if verb in MOVES else set()
    return set(draft.examples.filter(provenance__group__in=groups).values_list("key", flat=True)) if groups else set()


def _let(draft: DatasetVersion, found: Finding, key: str) -> None:
    """Changes nothing: the step itself says that it was looked at."""


_DO: dict[str, Callable[[DatasetVersion, Finding, str], None]] = {
    "keep": _keep, "drop": _drop, "move": _move, "train": _train,
    "reviewed": _let,
}  # fmt: skip


@transaction.atomic
def undo(step: HygieneStep, *, actor: User | None) -> None:
    """Takes a remedy back: what was dropped comes in again as it was, what was moved goes back.

    409 where it was taken back already, or where an example has come in or changed under the same key since.
    """
    draft = datasets.draft_of(step.dataset)
    step = HygieneStep.objects.select_for_update(of=("self",)).select_related("dataset__project").get(pk=step.pk)
    if step.undone_at is not None:
        raise ApiError(409, "undone", "This was taken back already.")
    for row in step.before:
        _restored(draft, row, moved=step.verb in MOVES)
    HygieneStep.objects.filter(pk=step.pk).update(undone_at=Now())
    audit.record(step.dataset.project, actor, "hygiene.undone", f"{step.dataset.slug}@{draft.number}", verb=step.verb)


def _restored(draft: DatasetVersion, row: dict[str, Any], *, moved: bool) -> None:
    there = draft.examples.filter(key=row["key"]).first()
    if moved:
        if there is not None:
            was = {"group": row["provenance"]["group"]} if "group" in row["provenance"] else {}
            rest = {name: value for name, value in there.provenance.items() if name != "group"}
            there.split, there.provenance = row["split"], {**rest, **was}
            there.save(update_fields=["split", "provenance"])
        return
    if there is None:
        values = {**row, "approved_at": parse_datetime(row["approved_at"]) if row["approved_at"] else None}
        Example(version=draft, **values).save(force_insert=True)
    elif any(getattr(there, name) != row[name] for name in lines.COLUMNS):
        raise ApiError(409, "changed", f"{row['key']} has come in or changed since. Nothing was taken back.")


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    at = row["approved_at"]
    return {**row, "approved_at": at.isoformat() if at else None}


def newest(dataset: Dataset) -> list[HygieneStep]:
    """The newest remedies that can be taken back."""
    steps = dataset.hygiene_steps.filter(undone_at=None).select_related("actor").defer("before").order_by("-id")
    return list(steps[:STEPS])


def told(step: HygieneStep) -> str:
    """What a step did, in words."""
    examples = f"{step.count} example{'' if step.count == 1 else 's'}"
    return {
        "drop": f"Dropped {examples}", "keep": f"Kept one of {examples}", "move": f"Brought {examples} together",
        "train": f"Moved {examples} into the train split",
        "reviewed": f"Let {examples} stay as they are" if step.count > 1 else "Let one example stay as it is",
    }[step.verb]  # fmt: skip
