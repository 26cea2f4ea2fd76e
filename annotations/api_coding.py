"""Open notes and their groups for programs: the same services as the page, for whoever may open it."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from annotations import coding, openapi_coding
from annotations.api import answer
from annotations.api_manage import READ, Managed
from annotations.api_taxonomy import mode_as_json
from annotations.checking import Check, Settings, maybe, text, whole
from annotations.models import Annotation, NoteGroup
from projects.access import Right
from projects.auth import allow, caller_of
from projects.errors import invalid
from projects.models import ApiKey, Project

PAGE, MOST = 100, 500  # notes in a list; notes moved at once
NONE = "none"
key: Check[int] = whole(1, 10**openapi_coding.KEY_DIGITS - 1)


def note_as_json(note: Annotation) -> dict[str, Any]:
    """A vote that says in words alone what is wrong, and the group in which it stands."""
    place = getattr(note, "note_group", None)
    return {
        "id": note.pk, "note": note.note, "verdict": note.verdict, "interaction": note.task.interaction.external_id,
        "reviewer": note.reviewer.email, "created_at": note.created_at, "group": place.group_id if place else None,
        "proposed": place.proposed if place else False,
    }  # fmt: skip


def group_as_json(group: NoteGroup, notes: int) -> dict[str, Any]:
    """A group; ``proposed`` until a person has confirmed, named or filled it."""
    return {
        "id": group.pk, "name": group.name, "description": group.description, "proposed": group.proposed,
        "failure_mode": group.failure_mode.slug if group.failure_mode else None, "notes": notes,
    }  # fmt: skip


def notes_of(value: Any, path: str) -> list[int]:
    """Keys of notes in a body."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST:
        raise invalid(path, f"A list of 1 to {MOST} ids of notes.")
    return [key(one, f"{path}/{number}") for number, one in enumerate(value)]


class Coding(Managed):
    """Leads, as on the page; keys with the scope ``read`` to read and ``write`` to change."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == READ:
            return [allow(scope=ApiKey.Scope.READ, right=Right.LEAD)()]
        return super().get_permissions()

    @staticmethod
    def group(request: Request, pk: int) -> NoteGroup:
        """The group of this key; 404 otherwise."""
        rows = NoteGroup.objects.select_related("project", "failure_mode__counts_as")
        return get_object_or_404(rows, project=caller_of(request).project, pk=pk)

    @staticmethod
    def told(group: NoteGroup) -> dict[str, Any]:
        """The group as it is now."""
        row = NoteGroup.objects.select_related("failure_mode").annotate(count=Count("notes")).get(pk=group.pk)
        return group_as_json(row, row.count)

    @staticmethod
    def known(project: Project, notes: list[int]) -> list[int]:
        """The keys, if all of them are open notes of the project; ApiError 422 names the first that is none."""
        found = set(coding.open_notes(project).filter(pk__in=notes).values_list("pk", flat=True))
        for number, pk in enumerate(notes):
            if pk not in found:
                raise invalid(f"/notes/{number}", "There is no such open note.")
        return notes

    def nothing(self, request: Request) -> None:
        """Refuses a body that says anything."""
        settings = Settings(self.body(request))
        settings.know(())
        settings.done()


class Notes(Coding):
    """``/api/v1/notes``."""

    @extend_schema(operation_id="note_list", **openapi_coding.NOTES)
    def get(self, request: Request) -> HttpResponse:
        """The open notes in the order in which they were written; of one group, or of ``none``."""
        notes = coding.open_notes(caller_of(request).project)
        if group := request.GET.get("group", ""):
            notes = notes.filter(
                note_group__group=None if group == NONE else _number(group, "/group", openapi_coding.KEY_DIGITS)
            )
        page = _number(request.GET.get("page", "1"), "/page", openapi_coding.PAGE_DIGITS)
        rows = Paginator(notes.select_related("task__interaction", "reviewer", "note_group"), PAGE)
        found = rows.page(page) if page <= rows.num_pages else []
        return answer({
            "results": [note_as_json(note) for note in found], "page": page, "pages": rows.num_pages,
            "count": rows.count,
        })  # fmt: skip


class NotesPlace(Coding):
    """``/api/v1/notes/place``."""

    @extend_schema(operation_id="note_place", **openapi_coding.PLACE)
    def post(self, request: Request) -> HttpResponse:
        """Move notes into a group, or with null into none. A proposed group that is left empty goes."""
        caller, settings = caller_of(request), Settings(self.body(request))
        settings.know(("notes", "group"))
        for name in ("notes", "group"):
            settings.need(name, "Say which notes, and where they go; null for no group.")
        notes: list[int] = settings.take("notes", [], notes_of)
        group: int | None = settings.take("group", None, maybe(key))
        settings.done()
        known = self.known(caller.project, notes)
        moved = coding.place(project=caller.project, actor=caller.user, notes=known, group=group)
        return answer({"moved": moved})


class NoteGroups(Coding):
    """``/api/v1/note-groups``."""

    @extend_schema(operation_id="note_group_list", **openapi_coding.GROUPS)
    def get(self, request: Request) -> HttpResponse:
        """The groups in the order of the page, with how saturated the notes are and how many are in none."""
        project = caller_of(request).project
        rows = NoteGroup.objects.filter(project=project).select_related("failure_mode")
        rows = rows.annotate(count=Count("notes")).order_by("position", "pk")
        measured, free = coding.meter(project)
        return answer({
            "results": [group_as_json(row, row.count) for row in rows], "ungrouped": free, "saturation": measured,
        })  # fmt: skip

    @extend_schema(operation_id="note_group_create", **openapi_coding.CREATE)
    def post(self, request: Request) -> HttpResponse:
        """Make a group of notes that say the same. They leave the groups in which they were."""
        caller, settings = caller_of(request), Settings(self.body(request))
        settings.know(("name", "notes"))
        settings.need("name", "A group has a name.")
        settings.need("notes", "A group without notes says nothing.")
        name = settings.take("name", "", text(coding.MAX_NAME))
        notes: list[int] = settings.take("notes", [], notes_of)
        settings.done()
        known = self.known(caller.project, notes)
        coding.place(project=caller.project, actor=caller.user, notes=known, name=name)
        return answer(self.told(get_object_or_404(NoteGroup, project=caller.project, name=name)), 201)


class NoteGroupsPropose(Coding):
    """``/api/v1/note-groups/propose``."""

    @extend_schema(operation_id="note_group_propose", **openapi_coding.PROPOSE)
    def post(self, request: Request) -> HttpResponse:
        """Propose groups of the notes that nobody has placed, in place of earlier proposals."""
        caller = caller_of(request)
        self.nothing(request)
        return answer({"proposed": coding.propose(project=caller.project, actor=caller.user)})


class OneNoteGroup(Coding):
    """``/api/v1/note-groups/{id}``."""

    @extend_schema(operation_id="note_group_read", **openapi_coding.ONE)
    def get(self, request: Request, pk: int) -> HttpResponse:
        """One group."""
        return answer(self.told(self.group(request, pk)))

    @extend_schema(operation_id="note_group_update", **openapi_coding.UPDATE)
    def patch(self, request: Request, pk: int) -> HttpResponse:
        """Name or describe it; absent fields stay. From then on it is a person's, with the notes in it."""
        return answer(self.told(coding.describe(group=self.group(request, pk), fields=self.body(request))))

    @extend_schema(operation_id="note_group_remove", **openapi_coding.REMOVE)
    def delete(self, request: Request, pk: int) -> HttpResponse:
        """Take it apart: its notes are in none again. A failure mode that it has become stays."""
        coding.remove(actor=caller_of(request).user, group=self.group(request, pk))
        return HttpResponse(status=204)


class NoteGroupConfirm(Coding):
    """``/api/v1/note-groups/{id}/confirm``."""

    @extend_schema(operation_id="note_group_confirm", **openapi_coding.CONFIRM)
    def post(self, request: Request, pk: int) -> HttpResponse:
        """Make it a failure mode with its notes as examples, or add them to the one that ``into`` names."""
        group, settings = self.group(request, pk), Settings(self.body(request))
        settings.know(("into",))
        into = settings.take("into", "", text(openapi_coding.MAX_SLUG))
        settings.done()
        return answer(mode_as_json(coding.confirm(actor=caller_of(request).user, group=group, into=into)))


class NoteGroupReclassify(Coding):
    """``/api/v1/note-groups/{id}/reclassify``."""

    @extend_schema(operation_id="note_group_reclassify", **openapi_coding.RECLASSIFY)
    def post(self, request: Request, pk: int) -> HttpResponse:
        """Open the items of a confirmed group again, up to 500, with the failure mode filled in. People decide."""
        group = self.group(request, pk)
        self.nothing(request)
        return answer({"opened": coding.reclassify(actor=caller_of(request).user, group=group)})


def _number(said: str, path: str, digits: int) -> int:
    if not (said.isascii() and said.isdecimal() and len(said) <= digits and int(said)):
        raise invalid(path, "A number from 1.")
    return int(said)
