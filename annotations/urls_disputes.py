"""Addresses of differences between reviewers, as pages and in the API."""

from django.urls import path

from annotations import api_disputes
from annotations.views import adjudication

urlpatterns = [
    # /p/<project>/disputes/
    path("p/<slug:project>/disputes/", adjudication.dispute_list, name="dispute-list"),
    path("p/<slug:project>/disputes/<int:pk>/", adjudication.dispute_detail, name="dispute-detail"),
    path("p/<slug:project>/disputes/<int:pk>/resolve/", adjudication.dispute_resolve, name="dispute-resolve"),
    path("p/<slug:project>/disputes/<int:pk>/ask/", adjudication.dispute_ask, name="dispute-ask"),
    path("p/<slug:project>/disputes/notes/<int:pk>/done/", adjudication.guide_note_done, name="guide-note-done"),
    path("p/<slug:project>/labels/questions/<int:pk>/", adjudication.question_answer, name="question-answer"),
    # /api/v1/disputes
    path("api/v1/disputes", api_disputes.Disputes.as_view(), name="api-disputes"),
    path("api/v1/disputes/<int:pk>/resolve", api_disputes.DisputeResolve.as_view(), name="api-dispute-resolve"),
    path("api/v1/disputes/<int:pk>/ask", api_disputes.DisputeAsk.as_view(), name="api-dispute-ask"),
]
