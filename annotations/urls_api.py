"""Addresses of the review API."""

from django.urls import path

from annotations import api_claims, api_clusters, api_manage, api_tasks

urlpatterns = [
    # first what each item asks for: an address is looked for from the top, 0.6 microseconds for each one before it
    path("api/v1/queues/<slug:queue>/claim", api_claims.QueueClaim.as_view(), name="api-claim"),
    path("api/v1/claims/<uuid:token>/submit", api_claims.ClaimSubmit.as_view(), name="api-claim-submit"),
    path("api/v1/queues", api_manage.Queues.as_view(), name="api-queues"),
    path("api/v1/queues/<slug:queue>", api_manage.OneQueue.as_view(), name="api-queue"),
    path("api/v1/rules", api_manage.Rules.as_view(), name="api-rules"),
    path("api/v1/rules/preview", api_manage.RulePreview.as_view(), name="api-rule-preview"),
    path("api/v1/rules/<slug:slug>", api_manage.OneRule.as_view(), name="api-rule"),
    path("api/v1/rules/<slug:slug>/backfill", api_manage.RuleBackfill.as_view(), name="api-rule-backfill"),
    path("api/v1/clusters", api_clusters.Clusters.as_view(), name="api-clusters"),
    path("api/v1/clusters/<int:pk>/apply", api_clusters.ClusterApply.as_view(), name="api-cluster-apply"),
    path("api/v1/claims/<uuid:token>/heartbeat", api_claims.ClaimHeartbeat.as_view(), name="api-claim-heartbeat"),
    path("api/v1/claims/<uuid:token>/release", api_claims.ClaimRelease.as_view(), name="api-claim-release"),
    path("api/v1/claims/<uuid:token>/skip", api_claims.ClaimSkip.as_view(), name="api-claim-skip"),
    path("api/v1/claims/<uuid:token>/snooze", api_claims.ClaimSnooze.as_view(), name="api-claim-snooze"),
    path("api/v1/claims/<uuid:token>/escalate", api_claims.ClaimEscalate.as_view(), name="api-claim-escalate"),
    path("api/v1/claims/<uuid:token>/return", api_claims.ClaimReturn.as_view(), name="api-claim-return"),
    path("api/v1/claims/<uuid:token>/draft", api_claims.ClaimDraft.as_view(), name="api-claim-draft"),
    path("api/v1/tasks", api_tasks.Tasks.as_view(), name="api-tasks"),
    path("api/v1/tasks/<int:pk>", api_tasks.OneTask.as_view(), name="api-task"),
    path("api/v1/tasks/mine", api_claims.MyTasks.as_view(), name="api-tasks-mine"),
]
