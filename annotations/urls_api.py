"""Addresses of the review API."""

from django.urls import path

from annotations import api

urlpatterns = [
    path("api/v1/queues", api.Queues.as_view(), name="api-queues"),
    path("api/v1/queues/<slug:queue>/claim", api.QueueClaim.as_view(), name="api-claim"),
    path("api/v1/claims/<uuid:token>/heartbeat", api.ClaimHeartbeat.as_view(), name="api-claim-heartbeat"),
    path("api/v1/claims/<uuid:token>/release", api.ClaimRelease.as_view(), name="api-claim-release"),
    path("api/v1/claims/<uuid:token>/skip", api.ClaimSkip.as_view(), name="api-claim-skip"),
    path("api/v1/claims/<uuid:token>/draft", api.ClaimDraft.as_view(), name="api-claim-draft"),
    path("api/v1/claims/<uuid:token>/submit", api.ClaimSubmit.as_view(), name="api-claim-submit"),
]
