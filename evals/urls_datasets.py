"""Addresses of how golden datasets are curated, brought in and kept clean."""

from django.urls import path

from evals.views import curation

urlpatterns = [
    path("p/<slug:project>/datasets/settings/", curation.curation_settings, name="curation-settings"),
    path("p/<slug:project>/datasets/<slug:slug>/terms/", curation.dataset_terms, name="dataset-terms"),
    path(
        "p/<slug:project>/datasets/<slug:slug>/v<int:number>/changes/", curation.version_changes, name="version-changes"
    ),
]
