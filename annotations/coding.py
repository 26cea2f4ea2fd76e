"""Open notes on their way to failure modes: grouping them, naming the groups, and saying what they are from now on.

An open note is what a reviewer wrote of an answer that is not fine without choosing a failure mode. Groups may be
proposed by likeness of words (``note_groups``); what a person has placed, named or confirmed no proposal touches.
A confirmed group is a failure mode with its notes as examples; the votes stay as they are. The items can be opened
again with the mode filled in, and a person decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now

from annotations import failure_modes, keymap, labelling, note_groups, queue_settings, reopening
from annotations.checking import Settings, text
from annotations.models import Annotation, FailureMode, GroupedNote, NoteGroup, Queue, Verdict
from annotations.saturation import Saturation, saturation
from annotations.settlement import SETTLING
from projects import audit
from projects.errors import ApiError, invalid
from projects.models import Project, User

MAX_NAME, MAX_DESCRIPTION, MOST = 80, 300, 200  # groups of a project
LOCK = 0x52484E  # the family of the lock that lets one person at a time move a project's notes
STATES = [Annotation.State.COUNTED, Annotation.State.EARLIER]


def open_notes(project: Project) -> QuerySet[Annotation]:
    """The votes that say in words alone what is wrong, in the order in which they came."""
    votes = Annotation.objects.filter(
        project=project, state__in=STATES, primary_category=None, task__purpose__in=SETTLING
    )
    said_anew = Annotation.objects.filter(supersedes=OuterRef("pk"), state__in=STATES, primary_category=None)
    votes = votes.filter(~Exists(said_anew.exclude(note="")))
    return votes.exclude(verdict=Verdict.PASS).exclude(note="").order_by("created_at", "pk")


def ungrouped(project: Project) -> QuerySet[Annotation]:
    """The open notes that are in no group."""
    return open_notes(project).filter(~Exists(GroupedNote.objects.filter(annotation=OuterRef("pk"))))


def meter(project: Project) -> tuple[Saturation, int]:
    """The saturation of the notes that have a group, in the order in which they came, and how many have none."""
    groups = list(open_notes(project).values_list("note_group__group", flat=True))
    return saturation([group for group in groups if group is not None]), sum(group is None for group in groups)


@transaction.atomic
def propose(*, project: Project, actor: User | None) -> int:
    """Groups the notes that nobody has placed, in place of earlier proposals; returns how many groups there are.

    Looks at the oldest 400 at once. Whatever is like no other note stays in no group.
    """
    _locked(project)
    NoteGroup.objects.filter(project=project, proposed=True).delete()
    notes = list(ungrouped(project).values_list("pk", "note")[: note_groups.MOST])
    room = MOST - NoteGroup.objects.filter(project=project).count()
    found = note_groups.propose([note for _, note in notes])[:room]
    names = set(NoteGroup.objects.filter(project=project).values_list("name", flat=True))
    for place, group in enumerate(found):
        name = _free_name(group.name or "Alike", names)
        names.add(name)
        row = NoteGroup.objects.create(project=project, name=name, position=1_000 + place, proposed=True)
        GroupedNote.objects.bulk_create(
            GroupedNote(group=row, annotation_id=notes[number][0], proposed=True) for number in group.notes
        )
    audit.record(project, actor, "notes.proposed", by="key", groups=len(found), notes=len(notes))
    return len(found)


@transaction.atomic
def place(
    *, project: Project, actor: User | None, notes: Collection[int], group: int | None = None, name: str = ""
) -> int:
    """Puts notes (keys of votes) into a group, into a new one of this ``name``, or into none; returns how many.

    A proposed group that is left empty goes. ApiError 422 for no notes, an unknown group, or a name that is taken.
    """
    _locked(project)
    found = list(open_notes(project).filter(pk__in=notes).values_list("pk", flat=True))
    if not found:
        raise invalid("/notes", "Choose at least one note.")
    row = _made(project, name) if name.strip() else None
    if row is None and group is not None:
        row = NoteGroup.objects.filter(project=project, pk=group).first()
        if row is None:
            raise invalid("/group", "There is no such group any more.")
    GroupedNote.objects.filter(annotation__in=found).delete()
    if row is not None:
        GroupedNote.objects.bulk_create(
            GroupedNote(group=row, annotation_id=pk, placed_by=actor) for pk in found
        )  # fmt: skip
        NoteGroup.objects.filter(pk=row.pk).update(proposed=False)
    NoteGroup.objects.filter(project=project, proposed=True, notes=None).delete()
    return len(found)


@transaction.atomic
def describe(*, group: NoteGroup, fields: Mapping[str, Any]) -> NoteGroup:
    """Names or describes a group; from then on it is a person's, with the notes in it. ApiError 422."""
    _locked(group.project)
    settings = Settings(fields)
    settings.know(("name", "description"))
    group.name = settings.take("name", group.name, text(MAX_NAME))
    group.description = settings.take("description", group.description, text(MAX_DESCRIPTION, empty=True))
    if NoteGroup.objects.filter(project=group.project_id, name=group.name).exclude(pk=group.pk).exists():
        settings.refuse("/name", "Another group has this name.")
    settings.done()
    _confirmed(group)
    return group


@transaction.atomic
def remove(*, actor: User | None, group: NoteGroup) -> None:
    """Takes a group apart: its notes are in none again. A failure mode that it has become stays."""
    _locked(group.project)
    audit.record(group.project, actor, "note_group.removed", group.name, by="key")
    group.delete()


@transaction.atomic
def confirm(*, actor: User | None, group: NoteGroup, into: str = "") -> FailureMode:
    """Makes a group a failure mode with its notes as examples, or adds them to the one in use that ``into`` names.

    A new one gets the first free key. ApiError 409 if the group is one already, 422 or 409 where its name does not fit.
    """
    _locked(group.project)
    group = NoteGroup.objects.select_related("project", "failure_mode").get(pk=group.pk)
    if group.failure_mode is not None:
        raise ApiError(409, "confirmed", f"This group is the failure mode “{group.failure_mode}” already.")
    words = [note[: failure_modes.MAX_EXAMPLE] for note in _notes(group).values_list("note", flat=True)]
    if not words:
        raise invalid("/notes", "A group without notes says nothing.")
    modes = FailureMode.objects.filter(project=group.project, retired_at=None)
    save: dict[str, Any] = {"project": group.project, "actor": actor, "note": f"From {len(words)} open notes"}
    if into:
        mode = modes.filter(slug=into).first()
        if mode is None:
            raise invalid("/into", "There is no such failure mode in use.")
        examples = list(dict.fromkeys([*mode.examples, *words]))[: failure_modes.EXAMPLES]
        mode = failure_modes.save(mode=mode, fields={"examples": examples}, **save)
    else:
        used = set(modes.values_list("digit", flat=True))
        fields = {
            "label": group.name, "description": group.description, "examples": words[: failure_modes.EXAMPLES],
            "digit": next((key for key in keymap.ROW if key not in used), ""),
        }  # fmt: skip
        mode = failure_modes.save(mode=None, fields=fields, **save)
    _confirmed(group, mode)
    return mode


def reclassifiable(group: NoteGroup) -> int:
    """How many items of the group's notes can be opened again with its failure mode filled in."""
    return _notes(group).filter(task__state="done").values("task").distinct().count()


@transaction.atomic
def reclassify(*, actor: User | None, group: NoteGroup) -> int:
    """Opens the items of a confirmed group again; whoever wrote a note finds it with the mode chosen. How many.

    ApiError 409 before the group is a failure mode in use.
    """
    mode = failure_modes.now(group.failure_mode)
    if mode is None or mode.retired_at is not None:
        raise ApiError(409, "not_confirmed", "Confirm the group first: then its notes have a failure mode.")
    tasks = list(_notes(group).values_list("task", flat=True)[: reopening.AT_ONCE])

    def draft(vote: Annotation) -> dict[str, Any]:
        severity = vote.severity or mode.default_severity
        return {**labelling.draft_of(vote), "primary_category": mode.slug, "severity": severity}

    why = f"Your note became “{mode.label}”: is it that?"
    count = reopening.open_again(group.project, tasks, why, draft)
    if count:
        audit.record(group.project, actor, "note_group.reclassified", group.name, by="key", count=count)
    return count


def begin_classifying(*, actor: User | None, queue: Queue) -> Queue:
    """From now on reviewers of this queue choose failure modes instead of writing notes. The notes stay."""
    return queue_settings.save(
        project=queue.project, actor=actor, queue=queue, fields={"phase": str(Queue.Phase.CLASSIFY)}
    )


def _notes(group: NoteGroup) -> QuerySet[Annotation]:
    return Annotation.objects.filter(note_group__group=group, state__in=STATES).order_by("created_at", "pk")


def _confirmed(group: NoteGroup, mode: FailureMode | None = None) -> None:
    """A person stands behind it and what is in it."""
    group.proposed, group.failure_mode = False, mode or group.failure_mode
    group.save()
    GroupedNote.objects.filter(group=group, proposed=True).update(proposed=False, placed_at=Now())


def _made(project: Project, name: str) -> NoteGroup:
    if NoteGroup.objects.filter(project=project).count() >= MOST:
        raise ApiError(409, "too_many", f"A project has at most {MOST} groups. Remove some first.")
    name = text(MAX_NAME)(name, "/name")
    if NoteGroup.objects.filter(project=project, name=name).exists():
        raise invalid("/name", "Another group has this name.")
    NoteGroup.objects.filter(project=project, position__lt=30_000).update(position=F("position") + 1)
    return NoteGroup.objects.create(project=project, name=name, position=0)


def _free_name(name: str, taken: Collection[str]) -> str:
    base, count = name[: MAX_NAME - 5], 1
    while (found := base if count == 1 else f"{base} {count}") in taken:
        count += 1
    return found


def _locked(project: Project) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, project.pk & 0x7FFFFFFF])
