"""The review API as a client sees it: over HTTP, with a personal token."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from annotations.models import Annotation, Claim, Label, Queue, Task
from projects.models import Project, User
from tests.annotations.flow import complaint, vote
from tests.conftest import Api

LINE = "/api/v1/queues/negative-feedback"


@pytest.fixture
def reviewer(token_of: Callable[[str], Api]) -> Api:
    return token_of("reviewer")


@pytest.fixture
def lead(token_of: Callable[[str], Api]) -> Api:
    return token_of("lead")


def claimed(api: Api) -> str:
    status, body = api.post(f"{LINE}/claim")
    assert status == 200
    return str(body["claim"]["token"])


def at(token: str, verb: str) -> str:
    return f"/api/v1/claims/{token}/{verb}"


def run_out(token: str) -> None:
    Claim.objects.filter(token=token).update(expires_at=Now() - timedelta(seconds=1))


def test_a_new_project_has_its_queues(reviewer: Api) -> None:
    status, body = reviewer.get("/api/v1/queues")
    assert status == 200
    assert [(row["slug"], row["name"], row["open"], row["oldest_due_at"]) for row in body["results"]] == [
        ("negative-feedback", "Negative feedback", 0, None),
        ("flagged", "Flagged by machine", 0, None),
        ("random-sample", "Random sample", 0, None),
    ]


def test_the_list_counts_what_waits_for_this_person_and_leaves_paused_queues_out(
    reviewer: Api, project: Project
) -> None:
    first = complaint(project, "a")
    complaint(project, "b")
    Queue.objects.filter(project=project, slug="flagged").update(paused_at=Now())
    rows = reviewer.get("/api/v1/queues")[1]["results"]
    assert [row["slug"] for row in rows] == ["negative-feedback", "random-sample"]
    assert rows[0]["open"] == 2
    assert rows[0]["oldest_due_at"].startswith(first.due_at.strftime("%Y-%m-%dT%H:%M:%S"))


def test_the_list_holds_the_queues_that_this_person_may_work_and_what_they_did(
    reviewer: Api, lead: Api, project: Project
) -> None:
    Queue.objects.filter(project=project, slug="flagged").update(open_to_all=False)
    complaint(project, "a")
    complaint(project, "b")
    reviewer.post(at(claimed(reviewer), "submit"), vote("pass"))
    rows = {row["slug"]: row for row in reviewer.get("/api/v1/queues")[1]["results"]}
    assert set(rows) == {"negative-feedback", "random-sample"}
    assert (rows["negative-feedback"]["open"], rows["negative-feedback"]["done_by_you"]) == (1, 1)
    assert lead.get("/api/v1/queues")[1]["results"][0]["done_by_you"] == 0


def test_what_is_not_this_persons_to_do_is_not_counted_as_waiting(
    reviewer: Api, lead: Api, project: Project, people: dict[str, User]
) -> None:
    complaint(project, "a")
    others, passed_on = complaint(project, "b"), complaint(project, "c")
    Task.objects.filter(pk=others.pk).update(assigned_to=people["engineer"])
    Task.objects.filter(pk=passed_on.pk).update(lane="escalated", escalated_at=Now())
    assert reviewer.get("/api/v1/queues")[1]["results"][0]["open"] == 1
    assert lead.get("/api/v1/queues")[1]["results"][0]["open"] == 2
    reviewer.post(at(claimed(reviewer), "snooze"), {"seconds": 3600})
    assert reviewer.get("/api/v1/queues")[1]["results"][0]["open"] == 0


def test_a_claim_brings_the_whole_item_and_why_it_is_there(reviewer: Api, project: Project) -> None:
    task = complaint(project, "req-8f2")
    status, body = reviewer.post(f"{LINE}/claim")
    assert status == 200
    uuid.UUID(body["claim"]["token"])
    assert body["claim"]["expires_at"]
    assert body["task"]["id"] == str(task.pk)
    assert body["task"]["lane"] == "risk"
    assert body["task"]["due_at"]
    assert body["task"]["interaction"]["id"] == "req-8f2"
    assert body["task"]["interaction"]["output"] == "It is 5."
    assert body["task"]["interaction"]["messages"][0]["content"] == "Fee?"
    assert body["task"]["interaction"]["documents"] == []
    assert [(reason["text"], reason["quote"]) for reason in body["task"]["reasons"]] == [("Thumbs-down", "wrong fee")]


def test_claiming_again_resumes_the_same_lease(reviewer: Api, project: Project) -> None:
    complaint(project, "a")
    complaint(project, "b")
    assert claimed(reviewer) == claimed(reviewer)


def test_an_empty_queue_says_why(reviewer: Api, lead: Api, project: Project) -> None:
    assert reviewer.post(f"{LINE}/claim")[1] == {
        "claim": None,
        "empty": {
            "open": 0, "leased": 0, "leased_until": None, "snoozed": 0, "snoozed_until": None, "skipped": 0,
            "not_your_topics": 0, "assigned": 0, "escalated": 0, "done_by_you": 0, "shed": 0, "paused": False,
            "member": True,
        },
    }  # fmt: skip
    complaint(project, "a")
    claimed(lead)
    empty = reviewer.post(f"{LINE}/claim")[1]["empty"]
    assert (empty["open"], empty["leased"]) == (1, 1)
    assert empty["leased_until"]


def test_a_blind_queue_shows_neither_reasons_nor_who_answered(reviewer: Api, project: Project) -> None:
    Queue.objects.filter(project=project).update(blind=True)
    complaint(project, "a")
    task = reviewer.post(f"{LINE}/claim")[1]["task"]
    assert (task["reasons"], task["terms"], task["score"]) == ([], [], None)
    assert {"model", "provider", "release", "variant", "prompt"}.isdisjoint(task["interaction"])


def test_the_body_of_the_contract_is_counted_and_settles(reviewer: Api, project: Project) -> None:
    complaint(project, "a")
    token = claimed(reviewer)
    body = {
        "submission_id": str(uuid.uuid4()), "verdict": "fail", "primary_category": "unsupported-claim",
        "categories": ["incomplete"], "severity": 2,
        "spans": [{"target": "output", "ref": None, "start": 6, "end": 8, "category": "unsupported-claim"}],
        "desired_output": "It is 4.90.", "note": "see § 2.3",
        "assertions": [{"type": "must", "text": "names 4.90"}], "suggestion_seen": False, "seconds": 21,
    }  # fmt: skip
    status, answer = reviewer.post(at(token, "submit"), body)
    assert (status, answer["status"]) == (201, "counted")
    label = Label.objects.get()
    assert answer["label"] == {"id": label.pk, "verdict": "fail", "settled_by": "single"}
    assert (label.severity, label.categories, label.desired_output) == (2, ["incomplete"], "It is 4.90.")
    assert label.spans == [{"target": "output", "start": 6, "end": 8, "category": "unsupported-claim"}]
    status, again = reviewer.post(at(token, "submit"), body)
    assert (status, again["status"], again["annotation_id"]) == (200, "replayed", answer["annotation_id"])
    status, other = reviewer.post(at(token, "submit"), {**body, "verdict": "pass"})
    assert (status, other["error"]["code"]) == (422, "idempotency_mismatch")


def test_a_late_vote_is_kept_as_surplus(reviewer: Api, lead: Api, project: Project) -> None:
    complaint(project, "a")
    slow = claimed(reviewer)
    run_out(slow)
    assert lead.post(at(claimed(lead), "submit"), vote("pass"))[0] == 201
    status, body = reviewer.post(at(slow, "submit"), vote(note="ten minutes of thought"))
    assert (status, body["status"], body["label"]) == (202, "surplus", None)
    assert Annotation.objects.get(state="surplus").note == "ten minutes of thought"
    assert reviewer.get("/api/v1/queues")[0] == 200


def test_the_verbs_of_a_live_lease(reviewer: Api, project: Project) -> None:
    complaint(project, "a")
    complaint(project, "b")
    token = claimed(reviewer)
    status, body = reviewer.post(at(token, "heartbeat"))
    assert (status, body["claim"]["token"]) == (200, token)
    status, body = reviewer.put(at(token, "draft"), {"verdict": "fail", "note": "wor"})
    assert status == 200
    assert body["saved_at"]
    assert reviewer.post(f"{LINE}/claim")[1]["draft"] == {"verdict": "fail", "note": "wor"}
    assert reviewer.post(at(token, "release"))[1] == {"released": True}
    assert reviewer.post(at(token, "release"))[1] == {"released": False}
    again = reviewer.post(f"{LINE}/claim")[1]
    assert again["draft"] == {"verdict": "fail", "note": "wor"}
    assert reviewer.post(at(again["claim"]["token"], "skip"), {"reason": "unclear"})[0] == 200
    assert Task.objects.get(skips=1).taken == 0


def test_a_lost_lease_is_told_plainly_and_the_draft_is_kept(reviewer: Api, lead: Api, project: Project) -> None:
    complaint(project, "a")
    token = claimed(reviewer)
    run_out(token)
    claimed(lead)
    for verb in ("heartbeat", "skip"):
        status, body = reviewer.post(at(token, verb))
        assert (status, body["error"]["code"]) == (409, "lease_lost")
    assert reviewer.put(at(token, "draft"), {"note": "still typing"})[0] == 200
    assert Claim.objects.get(token=token).draft == {"note": "still typing"}


@pytest.mark.parametrize("verb", ["heartbeat", "release", "skip", "submit", "draft"])
def test_nobody_elses_claim_exists(verb: str, reviewer: Api, lead: Api, project: Project) -> None:
    complaint(project, "a")
    token = claimed(lead)
    method = "PUT" if verb == "draft" else "POST"
    assert reviewer.call(method, at(token, verb), vote())[0] == 404
    assert reviewer.call(method, at(str(uuid.uuid4()), verb), vote())[0] == 404
    assert Claim.objects.get(token=token).state == "leased"


def test_a_token_of_another_project_sees_neither_queue_nor_claim(
    reviewer: Api, project: Project, people: dict[str, Any], other_project: Project
) -> None:
    from projects import keys
    from projects.models import Membership

    complaint(project, "a")
    token = claimed(reviewer)
    Queue.objects.create(project=other_project, slug="theirs", name="Theirs")
    Membership.objects.create(project=other_project, user=people["reviewer"], role="reviewer")
    elsewhere = Api(keys.create_key(project=other_project, kind="pat", name="t", user=people["reviewer"])[1])
    assert elsewhere.post(at(token, "heartbeat"))[0] == 404
    assert reviewer.post("/api/v1/queues/theirs/claim")[0] == 404


def test_a_secret_key_cannot_review(sk: Api) -> None:
    assert sk.get("/api/v1/tasks/mine")[0] == 403


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b"{", 400, None),
        (b"[]", 422, "/"),
        ({}, 422, "/verdict"),
        (vote(primary_category="made-up"), 422, "/primary_category"),
        (vote(spans=[{"target": "output", "start": 0, "end": 2, "category": "made-up"}]), 422, "/spans/0/category"),
        (vote(spans=[{"target": "output", "start": 0, "end": 900}]), 422, "/spans/0/end"),
        (vote(severity=1), 422, "/note"),
    ],
)
def test_a_faulty_vote_leaves_the_lease_as_it_was(
    body: Any, status: int, path: str | None, reviewer: Api, project: Project
) -> None:
    complaint(project, "a")
    token = claimed(reviewer)
    code, answer = reviewer.post(at(token, "submit"), body)
    assert code == status
    if path:
        assert path in [fault["path"] for fault in answer["error"]["details"]]
    assert Claim.objects.get(token=token).state == "leased"
    assert not Annotation.objects.exists()


def test_hostile_text_is_stored_as_text_and_comes_back_as_sent(reviewer: Api, project: Project) -> None:
    complaint(project, "a")
    token = claimed(reviewer)
    note = "<script>alert(1)</script> \u202e \U0001f600 a\u0000b"
    assert reviewer.post(at(token, "submit"), vote(note=note))[0] == 201
    assert Annotation.objects.get().note == note.replace("\0", "\ufffd")


def test_the_published_document_describes_the_review_api(sk: Api) -> None:
    import json

    from drf_spectacular.generators import SchemaGenerator

    document = json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str))
    submit = document["paths"]["/api/v1/claims/{token}/submit"]["post"]
    assert {"200", "201", "202", "404", "422"} <= set(submit["responses"])
    body = submit["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["submission_id", "verdict"]
    assert body["properties"]["verdict"]["enum"] == ["pass", "fail", "unsure"]
    claim = document["paths"]["/api/v1/queues/{queue}/claim"]["post"]["responses"]["200"]
    assert set(claim["content"]["application/json"]["schema"]["properties"]) == {"claim", "task", "draft", "empty"}
