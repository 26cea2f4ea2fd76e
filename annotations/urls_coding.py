"""Addresses of open notes and their groups."""

from django.urls import path

from annotations import api_coding as api
from annotations.views import coding

PAGE, API = "p/<slug:project>/coding/", "api/v1/note-groups"
urlpatterns = [
    path(PAGE, coding.coding_show, name="coding"),
    path(f"{PAGE}propose/", coding.notes_propose, name="notes-propose"),
    path(f"{PAGE}place/", coding.notes_place, name="notes-place"),
    path(f"{PAGE}groups/<int:pk>/", coding.group_describe, name="note-group-describe"),
    path(f"{PAGE}groups/<int:pk>/remove/", coding.group_remove, name="note-group-remove"),
    path(f"{PAGE}groups/<int:pk>/confirm/", coding.group_confirm, name="note-group-confirm"),
    path(f"{PAGE}groups/<int:pk>/reclassify/", coding.group_reclassify, name="note-group-reclassify"),
    path(f"{PAGE}queues/<slug:queue>/classify/", coding.queue_classify, name="queue-classify"),
    # /api/v1/notes, /note-groups
    path("api/v1/notes", api.Notes.as_view(), name="api-notes"),
    path("api/v1/notes/place", api.NotesPlace.as_view(), name="api-notes-place"),
    path(API, api.NoteGroups.as_view(), name="api-note-groups"),
    path(f"{API}/propose", api.NoteGroupsPropose.as_view(), name="api-note-groups-propose"),
    path(f"{API}/<int:pk>", api.OneNoteGroup.as_view(), name="api-note-group"),
    path(f"{API}/<int:pk>/confirm", api.NoteGroupConfirm.as_view(), name="api-note-group-confirm"),
    path(f"{API}/<int:pk>/reclassify", api.NoteGroupReclassify.as_view(), name="api-note-group-reclassify"),
]
