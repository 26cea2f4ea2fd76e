"""Addresses of judges, detectors and provider connections."""

from django.urls import path

from evals.views import connections, judges

urlpatterns = [
    # /p/<project>/judges/, /detectors/
    path("p/<slug:project>/judges/", judges.judge_list, name="judge-list"),
    path("p/<slug:project>/judges/new/", judges.judge_new, name="judge-new"),
    path("p/<slug:project>/judges/<slug:judge>/", judges.judge_detail, name="judge-detail"),
    path("p/<slug:project>/judges/<slug:judge>/rate/", judges.judge_rate, name="judge-rate"),
    path("p/<slug:project>/judges/<slug:judge>/backfill/", judges.judge_backfill, name="judge-backfill"),
    path("p/<slug:project>/judges/<slug:judge>/replay/", judges.judge_replay, name="judge-replay"),
    path("p/<slug:project>/judges/<slug:judge>/switch/", judges.judge_switch, name="judge-switch"),
    path("p/<slug:project>/detectors/<slug:detector>/set/", judges.detector_set, name="detector-set"),
    # /p/<project>/connections/
    path("p/<slug:project>/connections/", connections.connection_list, name="connection-list"),
    path("p/<slug:project>/connections/<int:pk>/key/", connections.connection_key, name="connection-key"),
    path("p/<slug:project>/connections/<int:pk>/remove/", connections.connection_remove, name="connection-remove"),
]
