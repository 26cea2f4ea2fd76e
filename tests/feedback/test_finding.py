"""Finding interactions: the same answer from the newest rows and by index, in the order in which things happened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from feedback import filters, finding, search, services
from feedback.models import Inbox, Interaction
from projects.models import Project
from tests.feedback.bodies import full_interaction, interaction, thumbs


def found(project: Project, size: int = 50, **query: Any) -> list[str]:
    """The ids that a query finds, in order."""
    wanted = filters.parse({name: value if isinstance(value, list) else [value] for name, value in query.items()})
    names = dict(Interaction.objects.values_list("pk", "external_id"))
    return [names[pk] for pk in finding.page(project, wanted, size=size).pks]


def store(project: Project, **changes: Any) -> None:
    services.record_interaction(project, full_interaction(**changes))


@pytest.fixture
def twelve(project: Project) -> None:
    """r00 to r11, one an hour, the models a, b and c in turn; r00 is the only one of its feature, user and tag."""
    for n in range(12):
        rare = {"feature": "rare", "user_id": "u-rare", "tags": ["rare", "vip"], "latency_ms": 9000} if n == 0 else {}
        store(project, id=f"r{n:02}", created_at=f"2026-11-20T{n:02}:00:00Z", model="abc"[n % 3], **rare)
    services.record_feedback(project, thumbs("down", interaction_id="r01", comment="the wrong fee"))
    services.record_feedback(project, thumbs("up", interaction_id="r02"))
    services.record_feedback(project, {"interaction_id": "r02", "kind": "implicit", "value": "copied"})
    services.record_score(project, {"interaction_id": "r03", "name": "faithful", "value": 0.3, "flagged": True})
    services.record_score(project, {"interaction_id": "r04", "name": "faithful", "value": 0.5})
    services.record_score(project, {"interaction_id": "r05", "name": "faithful", "value": 0.9})


@pytest.fixture(params=["among the newest", "a little deeper", "by index"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every search thrice: with all rows in sight, after reading on, and with so few that the rest is looked up."""
    if request.param != "among the newest":
        monkeypatch.setattr(finding, "NEAR", 2)
        monkeypatch.setattr(finding, "DEEPER", 100 if request.param == "a little deeper" else 0)


@pytest.mark.usefixtures("twelve", "way")
class TestFilters:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"model": "a"}, ["r09", "r06", "r03", "r00"]),
            ({"model": ["a", "b"], "until": "2026-11-20T05:00:00Z"}, ["r04", "r03", "r01", "r00"]),
            ({"model": "a", "feature": "rare", "environment": "production"}, ["r00"]),
            ({"model": "b", "feature": "rare"}, []),
            ({"user": "u-rare"}, ["r00"]),
            ({"session": "s-1", "since": "2026-11-20T10:00:00Z"}, ["r11", "r10"]),
            ({"tag": ["rare", "vip"]}, ["r00"]),
            ({"min_latency_ms": "9000"}, ["r00"]),
            ({"min_latency_ms": "9000.5"}, []),
            ({"max_cost_usd": "0.003"}, []),
            ({"feedback": "thumbs-down"}, ["r01"]),
            ({"feedback": ["thumbs-down", "copied"]}, ["r02", "r01"]),
            ({"feedback": "comment"}, ["r01"]),
            ({"feedback": ["none", "positive"], "until": "2026-11-20T03:00:00Z"}, ["r02", "r00"]),
            ({"flag": "faithful"}, ["r03"]),
            ({"score": "faithful:under 0.50"}, ["r03"]),
            ({"score": ["faithful:0.50 to 0.80", "faithful:over 0.80"]}, ["r05", "r04"]),
            ({"score": "faithful:under 0.50", "model": "b"}, []),
            ({"q": "r07"}, ["r07"]),
            ({"q": "wrong fee"}, ["r01"]),
            ({"q": "cost", "model": "b", "since": "2026-11-20T08:00:00Z"}, ["r10"]),
        ],
    )
    def test_each_finds_what_it_says_newest_first(
        self, project: Project, query: dict[str, Any], expected: list[str]
    ) -> None:
        assert found(project, **query) == expected

    def test_pages_go_on_until_the_last_match(self, project: Project) -> None:
        wanted, seen, cursor = filters.parse({"model": ["a", "c"]}), [], ""
        while True:
            page = finding.page(project, wanted, cursor=cursor, size=3)
            seen += page.pks
            cursor = page.next
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == 8
        assert seen == sorted(seen, reverse=True)

    def test_neighbours_are_the_rows_beside_it_in_the_list(self, project: Project) -> None:
        keys = {row.external_id: row for row in Interaction.objects.all()}
        wanted = filters.parse({"model": ["b"]})
        assert finding.neighbours(project, wanted, keys["r04"]) == (keys["r07"].pk, keys["r01"].pk)
        assert finding.neighbours(project, wanted, keys["r10"])[0] is None
        assert finding.neighbours(project, wanted, keys["r01"])[1] is None

    def test_nothing_of_another_project_is_found(self, project: Project, other_project: Project) -> None:
        store(other_project, id="foreign", model="a", user_id="u-rare", tags=["rare", "vip"])
        services.record_feedback(other_project, thumbs("down", interaction_id="foreign", comment="wrong fee"))
        for query in ({"model": "a"}, {"tag": "rare"}, {"q": "fee"}, {"feedback": "any"}, {"q": "foreign"}):
            assert "foreign" not in found(project, **query)


class TestCounts:
    @pytest.mark.usefixtures("twelve", "way")
    def test_rare_matches_are_counted_exactly(self, project: Project) -> None:
        page, counts = finding.survey(project, filters.parse({"feature": ["rare"]}), ["model", "tag"], size=5)
        assert (len(page.pks), counts.matches, counts.of) == (1, 1, None)
        assert counts.facets["model"] == [("a", 1)]
        assert sorted(counts.facets["tag"]) == [("rare", 1), ("vip", 1)]

    @pytest.mark.usefixtures("twelve")
    def test_a_facet_that_is_set_is_counted_as_if_it_were_not(self, project: Project) -> None:
        wanted = filters.parse({"model": ["a"], "feedback": ["none"]})
        _, counts = finding.survey(project, wanted, ["model", "feedback", "score"], size=5)
        assert counts.matches == 4
        assert sorted(counts.facets["model"]) == [("a", 4), ("b", 3), ("c", 3)]
        assert counts.facets["feedback"] == []  # of the model a, nobody said anything
        assert counts.facets["score"] == [("faithful:under 0.50", 1)]

    @pytest.mark.usefixtures("twelve")
    def test_what_promises_a_page_is_read_on_for_and_counted_there(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(finding, "NEAR", 3)
        with CaptureQueriesContext(connection) as queries:
            page, counts = finding.survey(project, filters.parse({"model": ["c"]}), ["model"], size=2)
        names = dict(Interaction.objects.values_list("pk", "external_id"))
        assert [names[pk] for pk in page.pks] == ["r11", "r08"]
        assert (counts.matches, counts.of, page.next != "") == (4, None, True)
        assert sorted(counts.facets["model"]) == [("a", 4), ("b", 4), ("c", 4)]
        assert len(queries) == 2
        monkeypatch.setattr(finding, "DEEPER", 4)
        store(project, id="older", created_at="2026-11-19T00:00:00Z")
        _, counts = finding.survey(project, filters.parse({"model": ["c"]}), [], size=1)
        assert (counts.matches, counts.of) == (3, 9), "of the nine newest, c are r11, r08 and r05"

    def test_more_rare_matches_than_are_counted_are_called_more(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(finding, "NEAR", 1)
        monkeypatch.setattr(finding, "EXACTLY", 2)
        for n in range(4):
            store(project, id=str(n), model="x")
        _, counts = finding.survey(project, filters.parse({"model": ["x"]}), [], size=5)
        assert (counts.matches, counts.more, counts.of) == (2, True, None)

    @pytest.mark.usefixtures("twelve")
    def test_a_page_is_one_statement_however_many_filters_are_set(self, project: Project) -> None:
        wanted = filters.parse({"model": ["a"], "feature": ["billing-faq"], "feedback": ["none"], "q": ["cost"]})
        with CaptureQueriesContext(connection) as queries:
            finding.survey(project, wanted, ["model", "feedback"], size=5)
        assert len(queries) == 1


class TestOrder:
    def test_a_clock_that_runs_ahead_does_not_keep_an_answer_on_top(self, project: Project) -> None:
        ahead = timezone.now() + timedelta(days=300)
        store(project, id="ahead", created_at=ahead.isoformat())
        store(project, id="after", created_at=None)
        assert found(project) == ["after", "ahead"]
        assert Interaction.objects.get(external_id="ahead").created_at == ahead

    def test_what_is_told_late_stands_where_it_happened(self, project: Project) -> None:
        store(project, id="now", created_at=None)
        store(project, id="late", created_at="2026-11-19T00:00:00Z")
        assert found(project) == ["now", "late"]
        assert found(project, until="2026-11-19") == ["late"]


class TestSearch:
    @pytest.fixture(params=["indexed", "waiting"], autouse=True)
    def _texts(self, request: pytest.FixtureRequest, project: Project) -> None:
        """Once as the worker leaves them, once before it has come."""
        for name, question, output in (
            ("fees", "Why was I charged €4.90?", "The monthly fee is due for November."),
            ("card", "Is a replacement card free?", "Yes, free of charge. No fee-related cost."),
            ("deutsch", "Was kostet die Kontoschließung?", "Sie ist kostenlos."),
            ("japan", "手数料はいくらですか", "無料です"),
            ("parts", [{"type": "text", "text": "What about sepa@example.com?"}], "O'Reilly \\ said: 100%"),
        ):
            body = interaction(id=name, messages=[{"role": "user", "content": question}], output=output)
            services.record_interaction(project, body)
        if request.param == "indexed":
            search.index(Interaction.objects.values_list("pk", flat=True))
            Inbox.objects.all().delete()

    @pytest.mark.parametrize(
        ("q", "expected"),
        [
            ("fee", {"fees", "card"}), ("monthly", {"fees"}), ("month", {"fees"}), ("MONTHLY", {"fees"}),
            ("mont* fee", {"fees"}), ('"monthly fee"', {"fees"}), ('"fee monthly"', set()), ('"monthly fee', {"fees"}),
            ("free -card", set()), ("fee -monthly", {"card"}), ("4.90", {"fees"}), ("kontoschließung", {"deutsch"}),
            ("手数料", {"japan"}), ("数料", {"japan"}), ("料手", set()), ("sepa@example.com", {"parts"}),
            ("o'reilly", {"parts"}), ("\\", set()), ("???", set()), ("' | 'fee", {"card", "fees"}), ('"" -', set()),
            ("%(words)s %s", set()), ("card", {"card"}), ("charged november", {"fees"}),
        ],
    )  # fmt: skip
    def test_finds(self, project: Project, q: str, expected: set[str]) -> None:
        assert set(found(project, q=q)) == expected

    def test_an_answer_that_changes_is_found_by_its_new_words(self, project: Project) -> None:
        Interaction.objects.filter(external_id="card").update(output="Entirely new.")
        search.index([Interaction.objects.get(external_id="card").pk])
        assert found(project, q="entirely") == ["card"]


def test_a_long_text_is_searchable_to_its_limit(project: Project) -> None:
    words = [f"w{n}" for n in range(15_000)]
    store(project, id="long", output=" ".join(words))
    search.index(Interaction.objects.values_list("pk", flat=True))
    Inbox.objects.all().delete()
    assert found(project, q="w9000") == ["long"]
    assert found(project, q="w14999") == []
