"""Addresses of judges, golden datasets and regression runs: their pages, and the API for programs."""

from django.urls import path

from evals import api

app_name = "evals"

urlpatterns = [
    path("api/v1/datasets", api.Datasets.as_view(), name="api-datasets"),
    path("api/v1/datasets/<slug:slug>/versions", api.Versions.as_view(), name="api-versions"),
    path("api/v1/datasets/<slug:slug>/examples", api.Examples.as_view(), name="api-examples"),
    path("api/v1/datasets/<slug:slug>/versions/<str:number>/export", api.Export.as_view(), name="api-export"),
    path("api/v1/runs", api.Runs.as_view(), name="api-runs"),
    path("api/v1/runs/<uuid:run_id>", api.RunDetail.as_view(), name="api-run"),
    path("api/v1/runs/<uuid:run_id>/results", api.RunResults.as_view(), name="api-run-results"),
    path("api/v1/runs/<uuid:run_id>/finish", api.RunFinish.as_view(), name="api-run-finish"),
]
