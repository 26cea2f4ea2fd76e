"""Tasks over the API: read, given to somebody, let in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db.models.functions import Now

from annotations.models import Task
from projects.models import Project, User
from tests.annotations.flow import complaint
from tests.conftest import Api


def test_tasks_are_listed_page_by_page_and_narrowed(sk: Api, project: Project) -> None:
    tasks = [complaint(project, f"i{number}") for number in range(5)]
    names, after = [], "0"
    while after is not None:
        status, page = sk.get(f"/api/v1/tasks?queue=negative-feedback&limit=2&after={after}")
        assert status == 200
        names += [row["interaction_id"] for row in page["results"]]
        after = page["next"]
    assert names == [f"i{number}" for number in range(5)]
    for queue in ("flagged", "no-such", "%00"):
        assert sk.get(f"/api/v1/tasks?queue={queue}")[1]["results"] == []
    Task.objects.filter(pk=tasks[0].pk).update(state="shed", done_at=Now())
    assert [row["id"] for row in sk.get("/api/v1/tasks?state=shed")[1]["results"]] == [str(tasks[0].pk)]


def test_a_task_is_given_to_a_person_and_to_everybody_again(
    sk: Api, token_of: Callable[[str], Api], project: Project, people: dict[str, User]
) -> None:
    address = f"/api/v1/tasks/{complaint(project, 'i').pk}"
    status, task = token_of("lead").patch(address, {"assigned_to": people["reviewer"].email.upper()})
    assert (status, task["assigned_to"]) == (200, people["reviewer"].email)
    assert token_of("reviewer").get("/api/v1/tasks/mine")[1]["assigned"][0]["interaction_id"] == "i"
    assert sk.patch(address, {"assigned_to": None})[1]["assigned_to"] is None
    assert sk.get(address)[1]["assigned_to"] is None


def test_what_was_shed_is_let_in_and_given_to_somebody_at_once(
    sk: Api, project: Project, people: dict[str, User]
) -> None:
    task = complaint(project, "i")
    Task.objects.filter(pk=task.pk).update(state="shed", done_at=Now())
    status, body = sk.patch(f"/api/v1/tasks/{task.pk}", {"state": "open", "assigned_to": people["reviewer"].email})
    assert (status, body["state"], body["assigned_to"]) == (200, "open", people["reviewer"].email)
    assert sk.patch(f"/api/v1/tasks/{task.pk}", {"state": "open"})[1]["error"]["code"] == "not_shed"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"assigned_to": "nobody@example.com"}, "/assigned_to"), ({"assigned_to": 3}, "/assigned_to"),
        ({"state": "done"}, "/state"), ({"queue": "flagged"}, "/queue"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_path(
    sk: Api, project: Project, fields: dict[str, object], path: str
) -> None:
    task = complaint(project, "i")
    Task.objects.filter(pk=task.pk).update(state="shed", done_at=Now())
    status, body = sk.patch(f"/api/v1/tasks/{task.pk}", {"state": "open", **fields})
    assert (status, body["error"]["details"][0]["path"]) == (422, path)
    task.refresh_from_db()
    assert task.state == "shed"


@pytest.mark.parametrize("query", ["limit=x", "after=-1", "state=gone", "page=2"])
def test_a_list_that_is_asked_for_wrongly_says_so(sk: Api, project: Project, query: str) -> None:
    status, body = sk.get(f"/api/v1/tasks?{query}")
    assert (status, body["error"]["details"][0]["path"]) == (422, "/" + query.split("=")[0])


def test_tasks_of_another_project_do_not_exist(sk: Api, other_project: Project) -> None:
    task = complaint(other_project, "theirs")
    assert sk.get("/api/v1/tasks")[1]["results"] == []
    assert sk.get(f"/api/v1/tasks/{task.pk}")[0] == 404
    assert sk.patch(f"/api/v1/tasks/{task.pk}", {"assigned_to": None})[0] == 404
