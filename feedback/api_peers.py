"""The doors of two peers, so that an application that reports to them can report here by changing an address.

Langfuse ``POST /api/public/scores`` (Basic: the password is our secret key) and LangSmith ``POST /feedback``
(header ``x-api-key``). What a person said becomes feedback; everything else a score.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.views import APIView

from feedback import bodies, limits, services
from projects import keys
from projects.auth import KeyAuthentication, allow, caller_of
from projects.errors import invalid
from projects.keys import Caller
from projects.models import Project

# The names under which both peers' own documentation collects a user's thumbs.
THUMBS = {
    "user-feedback",
    "user_feedback",
    "feedback",
    "thumbs",
    "user-thumbs",
    "thumbs_up",
    "user_score",
    "user-score",
}
VOTES: dict[float, str] = {1: "up", 0: "down", -1: "down"}  # True and False are 1 and 0 here


def _door(*named_by: str, texts: Sequence[str], **fields: Any) -> dict[str, Any]:
    """What the document says of a peer's door: one of ``named_by`` names the interaction."""
    said = {"type": "string", "nullable": True}
    body = {
        "type": "object", "properties": {**dict.fromkeys((*named_by, *texts), said), **fields},
        "anyOf": [
            {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}} for name in named_by
        ],
    }  # fmt: skip
    stored = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    return {"request": {"application/json": body}, "responses": {200: stored}, "tags": ["Peers"]}


class PeerKey(BaseAuthentication):
    """Our secret key where the peer's client puts its own: Basic password or ``x-api-key``."""

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        header = request.headers.get("Authorization", "")
        text = request.headers.get("x-api-key", "")
        if not text and header[:6].lower() == "basic ":
            try:
                _, _, text = base64.b64decode(header[6:].strip(), validate=True).decode("ascii").partition(":")
            except (binascii.Error, ValueError):
                raise exceptions.AuthenticationFailed("The Basic credentials cannot be read.") from None
        if not text:
            return None
        caller = keys.check(text)
        if caller is None:
            raise exceptions.AuthenticationFailed("The key is not valid: unknown, revoked or expired.")
        return caller.user, caller

    def authenticate_header(self, request: Request) -> str:
        """Without it, DRF would answer 403 where 401 is meant."""
        return 'Basic realm="Review Hub"'


class PeerView(APIView):
    """What both doors share: their key, ours, and bodies that are one object."""

    authentication_classes = [PeerKey, KeyAuthentication]
    permission_classes = [allow(scope="ingest")]

    def item(self, request: Request) -> dict[str, Any]:
        """The JSON object of the body."""
        value = bodies.one(request._request, limits.FEEDBACK_BODY).value
        if not isinstance(value, dict):
            raise invalid("/", "The body is one JSON object.")
        return value


class LangfuseScores(PeerView):
    @extend_schema(
        operation_id="langfuse_score",
        **_door("traceId", "sessionId", texts=("id", "name", "dataType", "comment"), value={}, metadata={}),
    )
    def post(self, request: Request) -> HttpResponse:
        """A Langfuse score. ``traceId`` is the interaction; ``id`` makes it arrive once."""
        item = self.item(request)
        trace, session = _text(item, "traceId"), _text(item, "sessionId")
        interaction = trace or session
        if not interaction:
            raise invalid("/traceId", "Name the trace that the score is about.")
        kind = _text(item, "dataType").upper()
        said: dict[str, Any] = {
            "interaction_id": interaction,
            "name": _text(item, "name") or "score",
            "value": item.get("value"),
            "comment": _text(item, "comment"),
            "key": _text(item, "id"),
            "metadata": item.get("metadata"),
        }
        if kind == "CORRECTION":
            return _answer(_correction(caller_of(request).project, said, _text(item, "value")), said["key"])
        return _answer(_record(caller_of(request).project, said, person=kind == "TEXT"), said["key"])


class LangsmithFeedback(PeerView):
    @extend_schema(
        operation_id="langsmith_feedback",
        **_door(
            "trace_id",
            "run_id",
            texts=("id", "key", "comment"),
            score={},
            value={},
            correction={},
            feedback_source={},
            extra={},
        ),
    )
    def post(self, request: Request) -> HttpResponse:
        """LangSmith feedback. ``trace_id``, else ``run_id``, is the interaction; ``id`` makes it arrive once."""
        item = self.item(request)
        trace, run = _text(item, "trace_id"), _text(item, "run_id")
        interaction = trace or run
        if not interaction:
            raise invalid("/run_id", "Name the run that the feedback is about.")
        source = item.get("feedback_source")
        origin = source.get("type") if isinstance(source, dict) else None
        score = item.get("score")
        said: dict[str, Any] = {
            "interaction_id": interaction,
            "name": _text(item, "key") or "feedback",
            "value": score if score is not None else item.get("value"),
            "comment": _text(item, "comment"),
            "key": _text(item, "id"),
            "metadata": item.get("extra"),
        }
        project = caller_of(request).project
        pk = ""
        if correction := item.get("correction"):
            text = correction if isinstance(correction, str) else _desired(correction)
            pk = _correction(project, {**said, "key": f"{said['key']}:correction" if said["key"] else ""}, text)
        if said["value"] is not None or (said["comment"] and not pk):
            pk = _record(project, said, person=origin == "app")
        if not pk:
            raise invalid("/score", "Send a score, a value, a comment or a correction.")
        return _answer(pk, said["key"])


def _desired(correction: Any) -> str:
    """LangSmith's corrections are objects of the run's outputs; the one text in it is what should have been said."""
    if isinstance(correction, dict):
        texts = [value for value in correction.values() if isinstance(value, str)]
        if len(texts) == 1:
            return texts[0]
    return json.dumps(correction, ensure_ascii=False)


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(f"/{name}", "This must be text.")
    return value


def _correction(project: Project, said: dict[str, Any], text: str) -> str:
    item = {"interaction_id": said["interaction_id"], "kind": "correction", "correction": text}
    return _feedback(project, said, item)


def _record(project: Project, said: dict[str, Any], *, person: bool) -> str:
    value = said["value"]
    named_thumbs = said["name"].lower() in THUMBS
    if isinstance(value, bool | int | float) and value in VOTES and (named_thumbs or person):
        return _feedback(project, said, {"kind": "thumbs", "value": VOTES[value], "comment": said["comment"]})
    if person:
        words = value if isinstance(value, str) and value else said["comment"]
        return _feedback(project, said, {"kind": "comment", "comment": words})
    item: dict[str, Any] = {"interaction_id": said["interaction_id"], "name": said["name"][: limits.SHORT_NAME]}
    if isinstance(value, bool | int | float):
        item["value"] = float(value)
    elif isinstance(value, str) and value:
        item["label"] = value[: limits.NAME]
    else:
        raise invalid("/value", "A score has a number or a text.")
    if said["comment"]:
        item["explanation"] = said["comment"]
    if said["key"]:
        item["key"] = said["key"]
    return str(services.record_score(project, item).score.pk)


def _feedback(project: Project, said: dict[str, Any], item: dict[str, Any]) -> str:
    item = {"interaction_id": said["interaction_id"], **item}
    if said["key"]:
        item["key"] = said["key"]
    if isinstance(said["metadata"], dict):
        item["metadata"] = said["metadata"]
    return str(services.record_feedback(project, item).pk)


def _answer(pk: str, key: str) -> HttpResponse:
    return HttpResponse(msgspec.json.encode({"id": key or pk}), content_type="application/json")
