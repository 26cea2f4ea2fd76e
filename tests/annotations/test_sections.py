"""What review adds to an interaction's page and to its answer by API."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from annotations import labelling
from projects.models import Project, User
from tests.annotations.flow import complaint
from tests.annotations.test_settlement import cast
from tests.conftest import Api


def test_the_api_tells_labels_and_tasks(project: Project, people: dict[str, User], sk: Api) -> None:
    task = complaint(project, "i")
    cast(project, people["reviewer"], task, "pass")
    labelling.undo(user=people["reviewer"], project=project)
    cast(project, people["reviewer"], task, desired_output="It is 4.90.")
    status, body = sk.get("/api/v1/interactions/i")
    assert status == 200
    assert [(label["verdict"], label["current"]) for label in body["labels"]] == [("fail", True), ("pass", False)]
    assert body["labels"][0]["primary_category"] == "contradicts-source"
    assert [(one["queue"], one["state"], one["sampled"]) for one in body["tasks"]] == [
        ("negative-feedback", "done", False)
    ]
    assert body["tasks"][0]["reasons"][0]["text"] == "Thumbs-down"


def test_the_page_shows_them_as_text(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client]
) -> None:
    task = complaint(project, "i")
    hostile = "<script>alert(1)</script>"
    cast(project, people["reviewer"], task, note=hostile, desired_output=f"It is **4.90**. {hostile}")
    page = browser_of("engineer").get(f"/p/acme/interactions/{task.interaction_id}/")
    html = page.content.decode()
    assert page.status_code == 200
    assert "Fail, Contradicts source" in html
    assert "Labelled fail, Contradicts source" in html
    assert "Settled by 1 reviewer" in html
    assert "<strong>4.90</strong>" in html
    assert "Thumbs-down 25" in html
    assert hostile not in html


def test_an_interaction_without_either_says_so(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client]
) -> None:
    from feedback.models import Interaction
    from tests.annotations.flow import interaction

    interaction(project, "i")
    pk = Interaction.objects.get().pk
    assert "Nobody has labelled it yet" in browser_of("viewer").get(f"/p/acme/interactions/{pk}/").content.decode()
