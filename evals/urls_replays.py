"""Addresses of replays."""

from django.urls import path

from evals import api_replays
from evals.views import replays

urlpatterns = [
    path("p/<slug:project>/interactions/<int:pk>/replay/", replays.replay_new, name="replay-new"),
    path("p/<slug:project>/replays/<int:pk>/", replays.replay_detail, name="replay-detail"),
    path("p/<slug:project>/replays/<int:pk>/attach/", replays.replay_attach, name="replay-attach"),
    path("p/<slug:project>/replays/<int:pk>/<int:number>/mark/", replays.replay_mark, name="replay-mark"),
    path("p/<slug:project>/replays/<int:pk>/<int:number>/golden/", replays.replay_golden, name="replay-golden"),
    path("api/v1/replays", api_replays.Replays.as_view(), name="api-replays"),
    path("api/v1/replays/<int:pk>", api_replays.ReplayDetail.as_view(), name="api-replay"),
]
