"""Addresses of queues, review, and one's own labels."""

from django.urls import path

from annotations.urls_api import urlpatterns as api_urls
from annotations.urls_disputes import urlpatterns as dispute_urls
from annotations.urls_quality import urlpatterns as quality_urls
from annotations.urls_taxonomy import urlpatterns as taxonomy_urls
from annotations.urls_triage import urlpatterns as triage_urls
from annotations.views import aside, clusters, history, known, queues, reveal, review, similar

app_name = "annotations"
urlpatterns = [
    *api_urls,
    # /p/<project>/queues/
    path("p/<slug:project>/queues/", queues.queue_list, name="queue-list"),
    path("p/<slug:project>/queues/<slug:queue>/review/", review.review, name="review"),
    # /p/<project>/claims/, /tasks/
    path("p/<slug:project>/claims/<uuid:token>/label/", review.claim_label, name="claim-label"),
    path("p/<slug:project>/claims/<uuid:token>/draft/", review.claim_draft, name="claim-draft"),
    path("p/<slug:project>/claims/<uuid:token>/heartbeat/", review.claim_heartbeat, name="claim-heartbeat"),
    path("p/<slug:project>/claims/<uuid:token>/blind/", review.claim_blind, name="claim-blind"),
    path("p/<slug:project>/claims/<uuid:token>/ahead/", review.claim_ahead, name="claim-ahead"),
    path("p/<slug:project>/claims/<uuid:token>/give-back/", review.claim_give_back, name="claim-give-back"),
    path("p/<slug:project>/claims/<uuid:token>/similar/", similar.claim_similar, name="claim-similar"),
    path("p/<slug:project>/claims/<uuid:token>/skip/", review.claim_skip, name="claim-skip"),
    path("p/<slug:project>/claims/<uuid:token>/snooze/", aside.claim_snooze, name="claim-snooze"),
    path("p/<slug:project>/claims/<uuid:token>/escalate/", aside.claim_escalate, name="claim-escalate"),
    path("p/<slug:project>/claims/<uuid:token>/release/", review.claim_release, name="claim-release"),
    path("p/<slug:project>/tasks/<int:pk>/claim/", review.task_claim, name="task-claim"),
    # /p/<project>/clusters/
    path("p/<slug:project>/clusters/", clusters.cluster_list_page, name="cluster-list"),
    path("p/<slug:project>/clusters/<int:pk>/", clusters.cluster_detail, name="cluster-detail"),
    path("p/<slug:project>/clusters/<int:pk>/apply/", clusters.cluster_apply, name="cluster-apply"),
    path("p/<slug:project>/clusters/<int:pk>/take-back/", clusters.cluster_take_back, name="cluster-take-back"),
    path("p/<slug:project>/labels/<int:pk>/reveal/", reveal.reveal_show, name="reveal"),
    path("p/<slug:project>/labels/<int:pk>/reveal/answer/", reveal.reveal_answer, name="reveal-answer"),
    # /p/<project>/labels/mine/
    path("p/<slug:project>/labels/mine/", history.annotation_list, name="annotation-list"),
    path("p/<slug:project>/labels/<int:pk>/known/", known.label_known, name="label-known"),
    path("p/<slug:project>/labels/mine/undo/", history.annotation_undo, name="annotation-undo"),
    *triage_urls,
    *dispute_urls,
    *quality_urls,
    *taxonomy_urls,
]
