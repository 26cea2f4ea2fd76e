"""Addresses of failure modes, of the notes they are made from, and of the rubric's versions."""

from django.urls import path

from annotations import api_taxonomy as api
from annotations.urls_coding import urlpatterns as coding_urls
from annotations.views import taxonomy

PAGE, API = "p/<slug:project>/taxonomy/", "api/v1/failure-modes"
urlpatterns = [
    # /p/<project>/taxonomy/
    path(PAGE, taxonomy.mode_list, name="mode-list"),
    path(f"{PAGE}arrange/", taxonomy.mode_arrange, name="mode-arrange"),
    path(f"{PAGE}preset/", taxonomy.preset_adopt, name="preset-adopt"),
    path(f"{PAGE}versions/", taxonomy.rubric_list, name="rubric-list"),
    path(f"{PAGE}modes/new/", taxonomy.mode_new, name="mode-new"),
    path(f"{PAGE}modes/<slug:slug>/", taxonomy.mode_edit, name="mode-edit"),
    path(f"{PAGE}modes/<slug:slug>/retire/", taxonomy.mode_retire, name="mode-retire"),
    path(f"{PAGE}modes/<slug:slug>/bring-back/", taxonomy.mode_bring_back, name="mode-bring-back"),
    path(f"{PAGE}modes/<slug:slug>/merge/", taxonomy.mode_merge, name="mode-merge"),
    path(f"{PAGE}modes/<slug:slug>/split/", taxonomy.mode_split, name="mode-split"),
    path(f"{PAGE}modes/<slug:slug>/reopen/", taxonomy.mode_reopen, name="mode-reopen"),
    *coding_urls,
    # /api/v1/failure-modes, /rubrics
    path(API, api.FailureModes.as_view(), name="api-failure-modes"),
    path(f"{API}/<slug:slug>", api.OneFailureMode.as_view(), name="api-failure-mode"),
    path(f"{API}/<slug:slug>/retire", api.Retire.as_view(), name="api-failure-mode-retire"),
    path(f"{API}/<slug:slug>/bring-back", api.BringBack.as_view(), name="api-failure-mode-bring-back"),
    path(f"{API}/<slug:slug>/merge", api.Merge.as_view(), name="api-failure-mode-merge"),
    path(f"{API}/<slug:slug>/split", api.Split.as_view(), name="api-failure-mode-split"),
    path(f"{API}/<slug:slug>/reopen", api.Reopen.as_view(), name="api-failure-mode-reopen"),
    path("api/v1/rubrics", api.Rubrics.as_view(), name="api-rubrics"),
    path("api/v1/rubrics/<int:version>", api.OneRubric.as_view(), name="api-rubric"),
]
