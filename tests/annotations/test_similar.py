"""Items like the one in hand: of its cluster, then near it, with their labels; hidden where one judges blind."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotations import claims, similar
from annotations.models import Queue, Task
from feedback.models import Interaction
from projects.models import Project, User
from tests.annotations.flow import interaction, routed
from tests.annotations.test_clusters import QUESTION, asked
from tests.annotations.test_settlement import cast

Browser = Callable[[str], Client]


def of(name: str) -> Interaction:
    return Interaction.objects.get(external_id=name)


def test_those_of_the_cluster_come_first_and_of_them_those_with_a_label(
    project: Project, people: dict[str, User]
) -> None:
    for name in ("first", "second", "third"):
        asked(project, name)
    asked(project, "near", "How long does a refund take when I have sent the shoes back")
    asked(project, "far", "Which documents do I need to open an account")
    routed(project)
    cast(project, people["reviewer"], Task.objects.get(interaction=of("first")))
    found = similar.items_like(of("third"), project)
    assert [(like.interaction.external_id, like.same) for like in found] == [
        ("first", True), ("second", True), ("near", False),
    ]  # fmt: skip
    assert found[0].label is not None
    assert found[0].label.verdict == "fail"
    assert found[1].label is None
    assert found[2].alike < 0.6 <= found[1].alike


def test_an_item_without_a_complaint_finds_those_near_it(project: Project) -> None:
    asked(project, "a")
    routed(project)
    interaction(project, "quiet", input=QUESTION)
    assert [like.interaction.external_id for like in similar.items_like(of("quiet"), project)] == ["a"]
    interaction(project, "wordless", input="?!")
    assert similar.items_like(of("wordless"), project) == []


def test_twice_as_many_cost_no_more_queries(project: Project) -> None:
    counts = []
    for n in range(6):
        asked(project, f"i{n}")
        routed(project)
        if n in {2, 5}:
            with CaptureQueriesContext(connection) as queries:
                similar.items_like(of("i0"), project)
            counts.append(len(queries))
    assert counts[0] == counts[1] <= 6


def test_the_page_shows_them_and_a_blind_queue_does_not(
    project: Project, people: dict[str, User], browser_of: Browser
) -> None:
    for name in ("first", "second"):
        asked(project, name)
    routed(project)
    head = Task.objects.filter(state="open").first()
    assert head is not None
    claim = claims.hold(user=people["reviewer"], task=head)
    assert claim is not None
    page, client = f"/p/{project.slug}/claims/{claim.token}/similar/", browser_of("reviewer")
    html = client.get(page).content.decode()
    assert "100" in html
    assert "The whole pattern" in html
    part = client.get(page, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    Queue.objects.filter(pk=head.queue_id).update(blind=True)
    blind = client.get(page).content.decode()
    assert "Hidden until you have saved" in blind
    assert "The whole pattern" not in blind
    assert browser_of("lead").get(page).status_code == 404
