"""Addresses of the intake's API and of the pages that show what came in."""

from django.urls import path, register_converter
from django.urls.converters import PathConverter

from feedback import api, api_browser, api_peers, api_telemetry
from feedback.views import feedback, interaction, interaction_acts, interactions, sample_chat, traces


class IdConverter(PathConverter):
    """``<id:…>``: whatever was accepted as an id can be asked for. The dot of ``<path:…>`` stops at a line break."""

    regex = r"[\s\S]+"


register_converter(IdConverter, "id")
app_name = "feedback"
urlpatterns = [
    path("api/v1/interactions", api.Interactions.as_view(), name="api-interactions"),
    path("api/v1/feedback", api.FeedbackView.as_view(), name="api-feedback"),
    path("api/v1/interactions/batch", api.InteractionBatch.as_view(), name="api-interaction-batch"),
    path("api/v1/interactions/<id:external_id>", api.InteractionDetail.as_view(), name="api-interaction"),
    path("api/v1/feedback/beacon", api_browser.Beacon.as_view(), name="api-feedback-beacon"),
    path("api/v1/feedback/batch", api.FeedbackBatch.as_view(), name="api-feedback-batch"),
    path("api/v1/scores", api.Scores.as_view(), name="api-scores"),
    path("api/public/scores", api_peers.LangfuseScores.as_view(), name="peer-langfuse"),
    path("api/v1/traces/unread", api_telemetry.UnreadTraces.as_view(), name="api-traces-unread"),
    path("v1/traces", api_telemetry.Traces.as_view(), name="traces"),
    path("p/<slug:project>/interactions/", interactions.interaction_list, name="interaction-list"),
    path("p/<slug:project>/interactions/act/", interaction_acts.interaction_act, name="interaction-act"),
    path("p/<slug:project>/interactions/export/", interaction_acts.interaction_export, name="interaction-export"),
    path("p/<slug:project>/views/new/", interaction_acts.view_new, name="view-new"),
    path("p/<slug:project>/views/<int:pk>/", interaction_acts.view_open, name="view-open"),
    path("p/<slug:project>/views/<int:pk>/change/", interaction_acts.view_change, name="view-change"),
    path("p/<slug:project>/views/<int:pk>/remove/", interaction_acts.view_remove, name="view-remove"),
    path("p/<slug:project>/interactions/<int:pk>/", interaction.interaction_detail, name="interaction-detail"),
    path("p/<slug:project>/interactions/<int:pk>/json/", interaction.interaction_json, name="interaction-json"),
    path("p/<slug:project>/feedback/unlinked/", feedback.feedback_unlinked, name="feedback-unlinked"),
    path("p/<slug:project>/traces/", traces.trace_list, name="trace-list"),
    path("feedback", api_peers.LangsmithFeedback.as_view(), name="peer-langsmith"),
    path("sample-chat/", sample_chat.chat_show, name="sample-chat"),
    path("sample-chat/received/", sample_chat.chat_received, name="sample-chat-received"),
    path("sample-chat/say/", sample_chat.chat_say, name="sample-chat-say"),
    path("widget.js", api_browser.widget, name="widget"),
]
