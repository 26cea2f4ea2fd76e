"""Addresses of how golden datasets are curated, brought in and kept clean."""

from django.urls import path

from evals import api_hygiene
from evals.views import curation, hygiene, imports

urlpatterns = [
    path("p/<slug:project>/datasets/settings/", curation.curation_settings, name="curation-settings"),
    path("p/<slug:project>/datasets/<slug:slug>/import/", imports.dataset_import, name="dataset-import"),
    path("p/<slug:project>/imports/<int:pk>/", imports.import_detail, name="import-detail"),
    path("p/<slug:project>/imports/<int:pk>/run/", imports.import_run, name="import-run"),
    path("p/<slug:project>/imports/<int:pk>/discard/", imports.import_discard, name="import-discard"),
    path("p/<slug:project>/datasets/<slug:slug>/hygiene/", hygiene.dataset_hygiene, name="dataset-hygiene"),
    path("p/<slug:project>/datasets/<slug:slug>/hygiene/act/", hygiene.hygiene_act, name="hygiene-act"),
    path("p/<slug:project>/hygiene/<int:pk>/undo/", hygiene.hygiene_undo, name="hygiene-undo"),
    path("p/<slug:project>/datasets/<slug:slug>/terms/", curation.dataset_terms, name="dataset-terms"),
    path(
        "p/<slug:project>/datasets/<slug:slug>/v<int:number>/changes/", curation.version_changes, name="version-changes"
    ),
    path("api/v1/datasets/<slug:slug>/hygiene", api_hygiene.Hygiene.as_view(), name="api-hygiene"),
    path("api/v1/datasets/<slug:slug>/coverage", api_hygiene.Coverage.as_view(), name="api-coverage"),
    path("api/v1/hygiene/<int:pk>/undo", api_hygiene.HygieneUndo.as_view(), name="api-hygiene-undo"),
]
