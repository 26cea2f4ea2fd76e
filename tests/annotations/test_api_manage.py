"""Queues and rules over HTTP: the whole life of each, by key and by token, and where errors point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from annotations import backfill, triage
from projects import keys
from projects.models import AuditEntry, Project
from tests.annotations.flow import complaint, interaction
from tests.conftest import Api

RULE: dict[str, Any] = {
    "name": "Important customers", "condition": {"field": "tags", "op": "has", "value": "vip"},
    "queue": "negative-feedback", "action": "force",
}  # fmt: skip


def test_the_life_of_a_queue(sk: Api) -> None:
    status, queue = sk.post("/api/v1/queues", {"name": "Billing", "sla_max_hours": 24, "fallback": "flagged"})
    assert (status, queue["slug"], queue["version"], queue["fallback"]) == (201, "billing", 1, "flagged")
    assert sk.get("/api/v1/queues/billing") == (200, queue)
    status, changed = sk.patch("/api/v1/queues/billing", {"overlap": 2, "paused": True})
    assert (status, changed["version"], changed["overlap"], changed["paused"]) == (200, 2, 2, True)
    status, listed = sk.get("/api/v1/queues")
    assert {row["slug"]: row["paused"] for row in listed["results"]}["billing"] is True
    assert sk.call("DELETE", "/api/v1/queues/billing")[0] == 204
    assert sk.get("/api/v1/queues/billing")[0] == 404
    entry = AuditEntry.objects.get(action="queue.removed")
    assert (entry.actor_name, entry.target) == ("key", "billing")


def test_a_queue_with_tasks_says_what_to_do(project: Project, sk: Api) -> None:
    complaint(project, "i-1")
    status, body = sk.call("DELETE", "/api/v1/queues/negative-feedback")
    assert (status, body["error"]["code"]) == (409, "in_use")
    assert len(body["error"]["details"]) == 2


def test_a_person_sees_the_queues_that_are_open_and_a_key_sees_all(token_of: Callable[[str], Api], sk: Api) -> None:
    sk.patch("/api/v1/queues/flagged", {"paused": True})
    seen = {who: [row["slug"] for row in api.get("/api/v1/queues")[1]["results"]]
            for who, api in {"lead": token_of("lead"), "key": sk}.items()}  # fmt: skip
    assert seen == {
        "lead": ["negative-feedback", "random-sample"], "key": ["negative-feedback", "flagged", "random-sample"],
    }  # fmt: skip


def test_the_life_of_a_rule(sk: Api) -> None:
    status, rule = sk.post("/api/v1/rules", RULE)
    assert (status, rule["slug"], rule["version"], rule["position"]) == (201, "important-customers", 1, 6)
    assert sk.get("/api/v1/rules/important-customers") == (200, rule)
    status, moved = sk.patch("/api/v1/rules/important-customers", {"position": 1, "severity": 0.5})
    assert (status, moved["version"], moved["severity"]) == (200, 2, 0.5)
    slugs = [row["slug"] for row in sk.get("/api/v1/rules")[1]["results"]]
    assert slugs[:2] == ["important-customers", "negative-feedback"]
    assert sk.call("DELETE", "/api/v1/rules/important-customers")[0] == 204
    assert sk.get("/api/v1/rules/important-customers")[0] == 404


def test_faults_come_with_their_places(sk: Api) -> None:
    status, body = sk.post("/api/v1/rules", {**RULE, "condition": {"any": [{"signal": "anger"}]}, "rate": 0})
    assert (status, body["error"]["code"]) == (422, "invalid")
    assert {fault["path"] for fault in body["error"]["details"]} == {"/condition/any/0/signal", "/rate"}
    assert sk.post("/api/v1/rules", [])[0] == 422
    assert sk.post("/api/v1/queues", [])[0] == 422


def test_a_rule_is_tried_before_it_acts(project: Project, sk: Api) -> None:
    interaction(project, "i-1", tags=["vip"])
    interaction(project, "i-2")
    status, found = sk.post("/api/v1/rules/preview", RULE)
    assert (status, found) == (200, {"matched": 1, "of": 2, "drawn": 1, "newest": ["i-1"], "faults": []})
    found = sk.post("/api/v1/rules/preview", {"rule": "negative-feedback", "queue": "nowhere", "last": 1})[1]
    assert (found["of"], found["matched"], [fault["path"] for fault in found["faults"]]) == (1, 0, ["/queue"])
    assert sk.post("/api/v1/rules/preview", {**RULE, "rule": "nothing"})[0] == 422
    status, body = sk.post("/api/v1/rules/preview", {**RULE, "rule": 7, "last": 0})
    assert (status, [fault["path"] for fault in body["error"]["details"]]) == (422, ["/last", "/rule"])


@pytest.mark.django_db(transaction=True)
def test_a_rule_is_applied_to_the_past(project: Project, sk: Api) -> None:
    for number in range(4):
        interaction(project, f"i-{number}", tags=["vip"])
    triage.run()
    sk.post("/api/v1/rules", RULE)
    place = "/api/v1/rules/important-customers/backfill"
    assert sk.get(place)[0] == 404
    counted = sk.post(place, {"dry_run": True, "since": "2020-01-01T00:00:00Z"})
    assert counted == (200, {"of": 4, "matched": 4, "would_make": 4, "exact": True})
    status, job = sk.post(place, {})
    assert (status, job["state"], job["total"], job["seen"]) == (202, "running", 4, 0)
    assert sk.post(place, {})[0] == 409
    assert not backfill.work()
    status, job = sk.get(place)
    assert (status, job["state"], job["seen"], job["made"]) == (200, "done", 4, 4)
    assert sk.post(place, {})[0] == 202
    assert sk.call("DELETE", place)[1]["state"] == "stopped"


@pytest.mark.parametrize("since", ["yesterday", "2026-11-20T12:00:00", "2026-13-40T12:00:00Z", 7, "9999-01-01T00:00Z"])
def test_a_time_that_is_none_is_refused(sk: Api, since: Any) -> None:
    status, body = sk.post("/api/v1/rules/negative-feedback/backfill", {"since": since})
    assert (status, body["error"]["details"][0]["path"]) == (422, "/since")


@pytest.mark.parametrize(
    ("who", "reads", "changes"),
    [("viewer", 200, 403), ("reviewer", 403, 403), ("engineer", 200, 403), ("lead", 200, 201), ("admin", 200, 201)],
)
def test_who_may_read_and_who_may_change(who: str, reads: int, changes: int, token_of: Callable[[str], Api]) -> None:
    api = token_of(who)
    assert api.get("/api/v1/rules")[0] == reads
    assert api.get("/api/v1/queues/flagged")[0] == reads
    assert api.post("/api/v1/rules", RULE)[0] == changes
    assert api.post("/api/v1/queues", {"name": "New"})[0] == changes


def test_a_key_without_the_scope_write_only_reads(project: Project) -> None:
    reader = Api(keys.create_key(project=project, kind="sk", name="r", scopes=["read"])[1])
    assert reader.get("/api/v1/rules")[0] == 200
    assert reader.get("/api/v1/queues")[0] == 200
    assert reader.post("/api/v1/rules", RULE)[0] == 403
    assert reader.post("/api/v1/rules/preview", RULE)[0] == 403


def test_things_of_other_projects_do_not_exist(other_project: Project, sk: Api) -> None:
    other = Api(keys.create_key(project=other_project, kind="sk", name="o", scopes=["read", "write"])[1])
    assert other.post("/api/v1/rules", RULE)[0] == 201
    assert other.post("/api/v1/queues", {"name": "Theirs"})[0] == 201
    for method, path in (("GET", "/api/v1/rules/important-customers"), ("PATCH", "/api/v1/rules/important-customers"),
                         ("DELETE", "/api/v1/rules/important-customers"), ("GET", "/api/v1/queues/theirs"),
                         ("POST", "/api/v1/rules/important-customers/backfill")):  # fmt: skip
        assert sk.call(method, path, {} if method != "GET" else None)[0] == 404
