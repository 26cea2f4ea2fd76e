"""Addresses of judges, golden datasets and regression runs: their pages, and the API for programs."""

from django.urls import path

from evals import api, api_imports, api_runs
from evals.urls_datasets import urlpatterns as dataset_urls
from evals.urls_judges import urlpatterns as judge_urls
from evals.urls_replays import urlpatterns as replay_urls
from evals.views import datasets, runs

app_name = "evals"

urlpatterns = [
    *dataset_urls,
    path("p/<slug:project>/datasets/", datasets.dataset_list, name="dataset-list"),
    path("p/<slug:project>/datasets/new/", datasets.dataset_new, name="dataset-new"),
    path("p/<slug:project>/datasets/<slug:slug>/", datasets.dataset_detail, name="dataset-detail"),
    path("p/<slug:project>/datasets/<slug:slug>/v<int:number>/", datasets.dataset_detail, name="version-detail"),
    path(
        "p/<slug:project>/datasets/<slug:slug>/v<int:number>/export/<slug:format>/",
        datasets.dataset_export,
        name="version-export",
    ),
    path("p/<slug:project>/datasets/<slug:slug>/freeze/", datasets.dataset_freeze, name="dataset-freeze"),
    path("p/<slug:project>/datasets/<slug:slug>/approve/", datasets.dataset_approve, name="dataset-approve"),
    path(
        "p/<slug:project>/datasets/<slug:slug>/propose/<int:label>/", datasets.dataset_propose, name="dataset-propose"
    ),
    path("p/<slug:project>/examples/<int:pk>/", datasets.example_detail, name="example-detail"),
    path("p/<slug:project>/examples/<int:pk>/approve/", datasets.example_approve, name="example-approve"),
    path("p/<slug:project>/examples/<int:pk>/remove/", datasets.example_remove, name="example-remove"),
    path("p/<slug:project>/examples/<int:pk>/edit/", datasets.example_edit, name="example-edit"),
    path("p/<slug:project>/runs/", runs.run_list, name="run-list"),
    path("p/<slug:project>/runs/<uuid:pk>/", runs.run_detail, name="run-detail"),
    path("p/<slug:project>/runs/<uuid:pk>/approve/", runs.run_approve, name="run-approve"),
    path("p/<slug:project>/runs/<uuid:pk>/compare/", runs.run_compare, name="run-compare"),
    path("p/<slug:project>/runs/<uuid:pk>/report/<slug:form>/", runs.run_report, name="run-report"),
    path("p/<slug:project>/datasets/<slug:slug>/history/<str:key>/", runs.example_history, name="example-history"),
    path("p/<slug:project>/runs/<uuid:pk>/override/", runs.run_override, name="run-override"),
    path("p/<slug:project>/runs/<uuid:pk>/abandon/", runs.run_abandon, name="run-abandon"),
    path("api/v1/datasets", api.Datasets.as_view(), name="api-datasets"),
    path("api/v1/datasets/<slug:slug>/versions", api.Versions.as_view(), name="api-versions"),
    path("api/v1/datasets/<slug:slug>/examples", api.Examples.as_view(), name="api-examples"),
    path("api/v1/datasets/<slug:slug>/import", api_imports.Import.as_view(), name="api-import"),
    path("api/v1/datasets/<slug:slug>/versions/<str:number>/export", api.Export.as_view(), name="api-export"),
    path("api/v1/datasets/<slug:slug>/versions/<str:number>/flaky", api_runs.Flaky.as_view(), name="api-flaky"),
    path("api/v1/runs", api_runs.Runs.as_view(), name="api-runs"),
    path("api/v1/runs/<uuid:run_id>", api_runs.RunDetail.as_view(), name="api-run"),
    path("api/v1/runs/<uuid:run_id>/results", api_runs.RunResults.as_view(), name="api-run-results"),
    path("api/v1/runs/<uuid:run_id>/finish", api_runs.RunFinish.as_view(), name="api-run-finish"),
    path("api/v1/runs/<uuid:run_id>/override", api_runs.RunOverride.as_view(), name="api-run-override"),
    *judge_urls,
    *replay_urls,
]
