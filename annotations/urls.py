"""Addresses of queues, review, and one's own labels."""

from django.urls import path

from annotations.urls_api import urlpatterns as api_urls
from annotations.views import history, queues, review

app_name = "annotations"
urlpatterns = [
    # /p/<project>/queues/
    path("p/<slug:project>/queues/", queues.queue_list, name="queue-list"),
    path("p/<slug:project>/queues/<slug:queue>/review/", review.review, name="review"),
    # /p/<project>/claims/, /tasks/
    path("p/<slug:project>/claims/<uuid:token>/label/", review.claim_label, name="claim-label"),
    path("p/<slug:project>/claims/<uuid:token>/draft/", review.claim_draft, name="claim-draft"),
    path("p/<slug:project>/claims/<uuid:token>/heartbeat/", review.claim_heartbeat, name="claim-heartbeat"),
    path("p/<slug:project>/claims/<uuid:token>/skip/", review.claim_skip, name="claim-skip"),
    path("p/<slug:project>/claims/<uuid:token>/release/", review.claim_release, name="claim-release"),
    path("p/<slug:project>/tasks/<int:pk>/claim/", review.task_claim, name="task-claim"),
    # /p/<project>/labels/mine/
    path("p/<slug:project>/labels/mine/", history.annotation_list, name="annotation-list"),
    path("p/<slug:project>/labels/mine/undo/", history.annotation_undo, name="annotation-undo"),
    *api_urls,
]
