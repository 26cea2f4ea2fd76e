"""A cluster in the list of interactions: its facet, its filter, and the links that lead there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotations.models import Cluster, Queue
from feedback import filters, finding
from projects.models import Project
from tests.annotations.flow import interaction, routed
from tests.annotations.test_clusters import QUESTION, asked
from tests.conftest import Api

HOSTILE = '<img src=x onerror=alert(1)> "fees" {{ 7*7 }} and the rest of it'
LIST = "/p/acme/interactions/"


@pytest.fixture
def fees(project: Project) -> Cluster:
    """Three complaints of one kind, of which the second failed; two of another; and what nobody complains about."""
    asked(project, "a")
    asked(project, "b", status="error", error={"type": "timeout"})
    asked(project, "c", tags=["vip"])
    for name in ("d", "e"):
        asked(project, name, HOSTILE)
    interaction(project, "quiet", input=QUESTION)
    routed(project)
    return Cluster.objects.get(head__external_id="a")


def ids(sk: Api, query: str) -> list[str]:
    status, body = sk.get(f"/api/v1/interactions?{query}")
    assert status == 200, body
    return [one["id"] for one in body["results"]]


@pytest.mark.parametrize("near", [finding.NEAR, 2])
def test_the_filter_finds_its_members_together_with_any_other(
    fees: Cluster, sk: Api, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among the newest rows, and with so few in sight that the rest is looked up by index."""
    monkeypatch.setattr(finding, "NEAR", near)
    other = Cluster.objects.get(head__external_id="d")
    assert ids(sk, f"cluster={fees.pk}") == ["c", "b", "a"]
    assert ids(sk, f"cluster={fees.pk}&cluster={other.pk}") == ["e", "d", "c", "b", "a"]
    assert ids(sk, f"cluster={fees.pk}&status=error") == ["b"]
    assert ids(sk, f"cluster={fees.pk}&tag=vip&feedback=thumbs-down&task=open&q=refund") == ["c"]
    assert ids(sk, "cluster=none") == ["quiet"]
    assert ids(sk, f"cluster=none&cluster={other.pk}") == ["quiet", "e", "d"]
    assert ids(sk, "cluster=999999999999999999") == []


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 19, "٣", "none,1", "05"])
def test_what_is_no_key_is_refused(fees: Cluster, sk: Api, value: str) -> None:
    status, body = sk.get(f"/api/v1/interactions?cluster={value}")
    assert (status, body["error"]["details"][0]["path"]) == (422, "/cluster")


def test_a_cluster_of_another_project_finds_nothing_and_is_not_named(
    fees: Cluster, other_project: Project, browser_of: Callable[[str], Client]
) -> None:
    for name in ("x", "y"):
        asked(other_project, name, "Their secret question about the merger")
    routed(other_project)
    theirs = Cluster.objects.get(project=other_project)
    html = browser_of("viewer").get(f"{LIST}?cluster={theirs.pk}").content.decode()
    assert "Nothing matches" in html
    assert "merger" not in html


def test_the_facet_offers_what_several_have_and_the_chip_says_its_words(
    fees: Cluster, browser_of: Callable[[str], Client], project: Project
) -> None:
    asked(project, "alone", "Which documents do I need to open an account")
    routed(project)
    viewer = browser_of("viewer")
    html = viewer.get(LIST).content.decode()
    offered = [f'name="cluster" value="{one.pk}"' in html for one in Cluster.objects.order_by("pk")]
    assert offered == [True, True, False]
    assert "<img" not in html
    html = viewer.get(f"{LIST}?cluster={fees.pk}&status=error").content.decode()
    assert f'aria-label="Remove filter Cluster {QUESTION}"' in html
    assert 'href="?status=error"' in html


def test_what_is_chosen_is_counted_though_others_are_commoner(
    fees: Cluster, browser_of: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "KEYS", 1)
    rare = Cluster.objects.get(head__external_id="d")
    listing = browser_of("lead").get(f"{LIST}?cluster={rare.pk}").context["listing"]
    (facet,) = [facet for facet in listing.facets if facet.name == "cluster"]
    assert [(choice.value, choice.count, choice.chosen) for choice in facet.choices] == [(str(rare.pk), 2, True)]


def test_the_page_and_its_counts_cost_the_same_queries_with_twice_the_clusters(
    fees: Cluster, browser_of: Callable[[str], Client], project: Project
) -> None:
    viewer, counts = browser_of("viewer"), []
    for start in (0, 4):
        for number in range(start, start + 4):
            for half in "ab":
                asked(project, f"q{number}{half}", f"How does number-less topic {chr(97 + number) * 5} work for me")
        routed(project)
        with CaptureQueriesContext(connection) as queries:
            assert viewer.get(f"{LIST}?cluster={fees.pk}").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_what_is_rare_is_looked_up_by_the_index_of_clusters(
    fees: Cluster, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That must not read the members of every cluster."""
    monkeypatch.setattr(finding, "NEAR", 1)
    with CaptureQueriesContext(connection) as queries:
        finding.page(project, filters.parse({"cluster": [str(fees.pk)]}))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + queries[-1]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Cond: (cluster_id = ANY" in plan, plan


class TestLinks:
    def test_cluster_tasks_queue_and_item_lead_to_the_list(
        self, fees: Cluster, browser_of: Callable[[str], Client]
    ) -> None:
        lead = browser_of("lead")
        to_list = f'href="{LIST}?cluster={fees.pk}"'
        for path in (f"clusters/{fees.pk}/", "tasks/", f"interactions/{fees.head_id}/"):
            html = lead.get(f"/p/acme/{path}").content.decode()
            assert to_list in html, path
            assert "<img" not in html, path
        html = lead.get("/p/acme/tasks/").content.decode()
        assert html.count("One of 3 alike") == 3
        assert html.count("One of 2 alike") == 2

    def test_who_may_not_read_the_list_is_led_to_the_cluster(
        self, fees: Cluster, browser_of: Callable[[str], Client]
    ) -> None:
        reviewer = browser_of("reviewer")
        for path in ("queues/", "queues/negative-feedback/review/"):
            html = reviewer.get(f"/p/acme/{path}").content.decode()
            assert "alike: see them all" in html, path
            assert f"{LIST}?cluster" not in html, path
            assert "/p/acme/clusters/" in html, path

    def test_a_blind_item_does_not_say_how_many_complained(
        self, fees: Cluster, browser_of: Callable[[str], Client]
    ) -> None:
        Queue.objects.update(blind=True)
        reviewer = browser_of("reviewer")
        for path in ("queues/", "queues/negative-feedback/review/"):
            assert "alike: see them all" not in reviewer.get(f"/p/acme/{path}").content.decode(), path

    def test_the_api_names_the_cluster_of_an_interaction(self, fees: Cluster, sk: Api) -> None:
        said = sk.get("/api/v1/interactions/b")[1]["cluster"]
        assert said == {"id": fees.pk, "title": QUESTION, "size": 3}
        assert sk.get("/api/v1/interactions/quiet")[1]["cluster"] is None
