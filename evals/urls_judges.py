"""Addresses of judges, detectors and provider connections."""

from django.urls import path

from evals import api_detectors, api_judge_making, api_judges, api_quality
from evals.views import connections, judge_new, judges

urlpatterns = [
    # /p/<project>/judges/, /detectors/
    path("p/<slug:project>/judges/", judges.judge_list, name="judge-list"),
    path("p/<slug:project>/judges/new/", judge_new.judge_new, name="judge-new"),
    path("p/<slug:project>/judge-draft/", judge_new.judge_draft, name="judge-draft"),
    path("p/<slug:project>/judge-budget/", judges.judge_budget, name="judge-budget"),
    path("p/<slug:project>/judges/<slug:judge>/", judges.judge_detail, name="judge-detail"),
    path("p/<slug:project>/judges/<slug:judge>/rate/", judges.judge_rate, name="judge-rate"),
    path("p/<slug:project>/judges/<slug:judge>/calibrate/", judges.judge_calibrate, name="judge-calibrate"),
    path("p/<slug:project>/judges/<slug:judge>/limits/", judges.judge_limits, name="judge-limits"),
    path("p/<slug:project>/judges/<slug:judge>/backfill/", judges.judge_backfill, name="judge-backfill"),
    path(
        "p/<slug:project>/judges/<slug:judge>/batches/cancel/",
        judges.judge_batches_cancel,
        name="judge-batches-cancel",
    ),
    path("p/<slug:project>/judges/<slug:judge>/replay/", judges.judge_replay, name="judge-replay"),
    path("p/<slug:project>/judges/<slug:judge>/switch/", judges.judge_switch, name="judge-switch"),
    path("p/<slug:project>/detectors/<slug:detector>/set/", judges.detector_set, name="detector-set"),
    path("api/v1/detectors", api_detectors.Detectors.as_view(), name="api-detectors"),
    path("api/v1/detectors/<slug:detector>", api_detectors.OneDetector.as_view(), name="api-detector"),
    path("api/v1/quality", api_quality.QualityRate.as_view(), name="api-quality"),
    path("api/v1/judges", api_judges.Judges.as_view(), name="api-judges"),
    path("api/v1/judge-presets", api_judge_making.Presets.as_view(), name="api-judge-presets"),
    path("api/v1/judge-draft", api_judge_making.RubricDraft.as_view(), name="api-judge-draft"),
    path("api/v1/judge-preview", api_judge_making.Preview.as_view(), name="api-judge-preview"),
    path("api/v1/judges/<slug:judge>/dead", api_judges.DeadJobs.as_view(), name="api-judge-dead"),
    path("api/v1/judges/<slug:judge>/replay", api_judges.Replay.as_view(), name="api-judge-replay"),
    path("api/v1/judges/<slug:judge>/backfill", api_judges.Backfill.as_view(), name="api-judge-backfill"),
    path("api/v1/judges/<slug:judge>/batches", api_judges.Batches.as_view(), name="api-judge-batches"),
    path("api/v1/judges/<slug:judge>/batches/cancel", api_judges.CancelBatches.as_view(), name="api-judge-cancel"),
    # /p/<project>/connections/
    path("p/<slug:project>/connections/", connections.connection_list, name="connection-list"),
    path("p/<slug:project>/connections/<int:pk>/key/", connections.connection_key, name="connection-key"),
    path("p/<slug:project>/connections/<int:pk>/remove/", connections.connection_remove, name="connection-remove"),
]
