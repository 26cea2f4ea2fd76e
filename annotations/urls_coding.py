"""Addresses of open notes and their groups."""

from django.urls import path

from annotations.views import coding

PAGE = "p/<slug:project>/coding/"
urlpatterns = [
    path(PAGE, coding.coding_show, name="coding"),
    path(f"{PAGE}propose/", coding.notes_propose, name="notes-propose"),
    path(f"{PAGE}place/", coding.notes_place, name="notes-place"),
    path(f"{PAGE}groups/<int:pk>/", coding.group_describe, name="note-group-describe"),
    path(f"{PAGE}groups/<int:pk>/remove/", coding.group_remove, name="note-group-remove"),
    path(f"{PAGE}groups/<int:pk>/confirm/", coding.group_confirm, name="note-group-confirm"),
    path(f"{PAGE}groups/<int:pk>/reclassify/", coding.group_reclassify, name="note-group-reclassify"),
    path(f"{PAGE}queues/<slug:queue>/classify/", coding.queue_classify, name="queue-classify"),
]
