"""Applications that report to Langfuse or LangSmith report here by changing an address."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from feedback.models import Feedback, Score
from projects.models import Project
from tests.conftest import Api


def langfuse(sk: Api, **item: Any) -> int:
    secret = sk.headers["Authorization"].removeprefix("Bearer ")
    basic = base64.b64encode(f"pk-anything:{secret}".encode()).decode()
    return Api(None).post("/api/public/scores", {"traceId": "t-1", **item}, Authorization=f"Basic {basic}")[0]


def langsmith(sk: Api, **item: Any) -> int:
    secret = sk.headers["Authorization"].removeprefix("Bearer ")
    return Api(None).post("/feedback", {"run_id": "t-1", **item}, **{"x-api-key": secret})[0]


def test_a_langfuse_user_score_is_a_thumb(sk: Api, project: Project) -> None:
    assert langfuse(sk, name="user-feedback", value=0, dataType="BOOLEAN", comment="wrong fee", id="s1") == 200
    assert langfuse(sk, name="user-feedback", value=0, dataType="BOOLEAN", comment="wrong fee", id="s1") == 200
    vote = Feedback.objects.get(project=project)
    assert (vote.interaction_external_id, vote.kind, vote.number, vote.comment) == ("t-1", "thumbs", -1, "wrong fee")


def test_other_langfuse_scores_stay_scores(sk: Api, project: Project) -> None:
    langfuse(sk, name="helpfulness", value=0.9, dataType="NUMERIC", comment="clear")
    langfuse(sk, name="tone", value="rude", dataType="CATEGORICAL")
    scores = Score.objects.filter(project=project).order_by("id")
    assert [(s.name, s.value, s.label, s.explanation) for s in scores] == [
        ("helpfulness", 0.9, "", "clear"),
        ("tone", None, "rude", ""),
    ]


def test_a_langfuse_correction_and_text_are_feedback(sk: Api, project: Project) -> None:
    langfuse(sk, name="output", value="It is 4.90.", dataType="CORRECTION")
    langfuse(sk, name="remark", value="too long", dataType="TEXT")
    rows = Feedback.objects.filter(project=project).order_by("id")
    assert [(row.kind, row.correction or row.comment) for row in rows] == [
        ("correction", "It is 4.90."),
        ("comment", "too long"),
    ]


def test_langsmith_feedback_by_a_person_is_a_thumb_and_a_correction_a_correction(sk: Api, project: Project) -> None:
    item = {
        "id": "f1", "key": "correctness", "score": 0, "comment": "no", "feedback_source": {"type": "app"},
        "correction": {"answer": "4.90"},
    }  # fmt: skip
    assert langsmith(sk, **item) == 200
    rows = Feedback.objects.filter(project=project).order_by("id")
    assert [(row.kind, row.number, row.correction) for row in rows] == [
        ("correction", None, "4.90"),
        ("thumbs", -1, ""),
    ]


def test_langsmith_evaluators_give_scores(sk: Api, project: Project) -> None:
    langsmith(sk, key="faithfulness", score=0.31, comment="one claim is not in the sources", trace_id="t-9")
    score = Score.objects.get(project=project)
    assert (score.interaction_external_id, score.name, score.value) == ("t-9", "faithfulness", 0.31)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/public/scores", {"name": "x", "value": 1}),
        ("/api/public/scores", {"traceId": 7, "name": "x", "value": 1}),
        ("/api/public/scores", {"traceId": "t", "name": "x", "value": []}),
        ("/feedback", {"key": "x", "score": 1}),
        ("/feedback", []),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_path(path: str, body: Any, sk: Api) -> None:
    status, answer = sk.post(path, body)
    assert status == 422
    assert answer["error"]["details"][0]["path"]


def test_a_wrong_or_missing_key_is_refused(project: Project) -> None:
    assert Api(None).post("/feedback", {}, **{"x-api-key": "lsv2_pt_x"})[0] == 401
    assert Api(None).post("/feedback", {})[0] == 401
    assert Api(None).post("/api/public/scores", {}, Authorization="Basic %%%")[0] == 401
