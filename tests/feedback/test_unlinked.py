"""Feedback whose interaction has not come: listed on a page and by the API, never deleted, linked when it comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from feedback import services, unlinked
from feedback.models import Feedback
from projects.models import Project
from tests.conftest import Api
from tests.feedback.bodies import interaction, thumbs

PAGE, URL = "/p/acme/feedback/unlinked/", "/api/v1/feedback?linked=false"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def orphan(project: Project) -> Callable[..., Feedback]:
    """Stores feedback on something unknown that arrived some days ago."""

    def store(name: str, days: float = 0, **changes: Any) -> Feedback:
        at = timezone.now() - timedelta(days=days)
        outcome = services.record_feedback(project, thumbs(**{"interaction_id": name, **changes}), received_at=at)
        return Feedback.objects.get(pk=outcome.pk)

    return store


@pytest.fixture
def viewer(browser_of: Callable[[str], Client]) -> Client:
    return browser_of("viewer")


def ids(answer: tuple[int, Any]) -> list[str]:
    assert answer[0] == 200, answer
    return [row["interaction_id"] for row in answer[1]["results"]]


class TestApi:
    def test_it_lists_what_waits_and_what_is_missing(self, orphan: Callable[..., Feedback], sk: Api) -> None:
        sk.post("/api/v1/interactions", interaction())
        sk.post("/api/v1/feedback", thumbs())
        orphan("old", days=7.01)
        orphan("young", days=6.99)
        assert ids(sk.get(URL)) == ["young", "old"]
        assert ids(sk.get(f"{URL}&state=missing")) == ["old"]
        assert ids(sk.get(f"{URL}&state=waiting")) == ["young"]

    def test_what_was_missing_for_months_is_linked_when_its_interaction_comes(
        self, orphan: Callable[..., Feedback], sk: Api
    ) -> None:
        stored = orphan("req-1", days=200)
        assert ids(sk.get(URL)) == ["req-1"]
        sk.post("/api/v1/interactions", interaction())
        assert ids(sk.get(URL)) == []
        stored.refresh_from_db()
        assert stored.interaction is not None

    def test_kind_and_time_narrow_it(self, orphan: Callable[..., Feedback], sk: Api) -> None:
        orphan("a", days=1)
        orphan("b", days=3, kind="comment", value=None, comment="late")
        orphan("c", days=5, kind="report", value=None)
        day = (timezone.now() - timedelta(days=3)).date().isoformat()
        assert ids(sk.get(f"{URL}&kind=comment&kind=report")) == ["b", "c"]
        assert ids(sk.get(f"{URL}&since={day}")) == ["a", "b"]
        assert ids(sk.get(f"{URL}&until={day}")) == ["b", "c"]

    def test_pages_lose_nothing_and_repeat_nothing(self, orphan: Callable[..., Feedback], sk: Api) -> None:
        for n in range(7):
            orphan(f"r{n}", days=n // 3, user_id=f"u{n}")
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            status, body = sk.get(f"{URL}&limit=3&cursor={cursor}")
            assert status == 200
            seen += [row["interaction_id"] for row in body["results"]]
            cursor = body["next"]
        assert sorted(seen) == [f"r{n}" for n in range(7)]

    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("", "/linked"), ("?linked=true", "/linked"), ("?linked=false&linked=false", "/linked"),
            ("?linked=false&state=lost", "/state"), ("?linked=false&kind=applause", "/kind"),
            ("?linked=false&since=soon", "/since"), ("?linked=false&limit=0", "/limit"),
            ("?linked=false&cursor=x", "/cursor"), ("?linked=false&colour=red", "/colour"),
            ("?linked=false&kind=%00", "/kind"), ("?linked=false&until=%00", "/until"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused_with_its_place(self, query: str, path: str, sk: Api) -> None:
        status, body = sk.get(f"/api/v1/feedback{query}")
        assert (status, body["error"]["details"][0]["path"]) == (422, path)

    def test_another_project_sees_nothing(
        self, orphan: Callable[..., Feedback], sk: Api, other_project: Project
    ) -> None:
        services.record_feedback(other_project, thumbs(interaction_id="theirs"))
        orphan("ours")
        assert ids(sk.get(URL)) == ["ours"]


class TestPage:
    def test_each_line_says_what_came_and_for_what(self, orphan: Callable[..., Feedback], viewer: Client) -> None:
        orphan(HOSTILE, days=8, comment=f"wrong {HOSTILE}")
        page = viewer.get(PAGE).content.decode()
        for said in ("Down", "wrong &lt;script&gt;", "Server", "Verified", "1 missing after 7 days, 0 waiting"):
            assert said in page
        assert HOSTILE not in page

    def test_unsigned_feedback_of_a_page_is_marked(self, pk: Api, viewer: Client) -> None:
        pk.post("/api/v1/feedback", thumbs(), Origin="https://chat.example.com")
        page = viewer.get(PAGE).content.decode()
        assert "Not verified" in page
        assert "Browser" in page

    def test_filters_stay_while_one_turns_pages(
        self, orphan: Callable[..., Feedback], viewer: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(51):
            orphan(f"r{n}", days=8 + n / 100, user_id=f"u{n}")
        page = viewer.get(f"{PAGE}?state=missing&kind=thumbs").content.decode()
        assert "50 shown" in page
        older = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        assert older.startswith("?state=missing&kind=thumbs&cursor=")
        assert "1 shown" in viewer.get(PAGE + older).content.decode()

    def test_a_filter_that_does_not_fit_is_named(self, orphan: Callable[..., Feedback], viewer: Client) -> None:
        orphan("a")
        for query in ("state=lost", "cursor=x", "since=soon"):
            response = viewer.get(f"{PAGE}?{query}")
            assert response.status_code == 422
            assert f"{query.split('=')[0]}: " in response.content.decode()

    def test_an_empty_list_says_whether_that_is_good(self, orphan: Callable[..., Feedback], viewer: Client) -> None:
        assert "All feedback has found its interaction" in viewer.get(PAGE).content.decode()
        orphan("a")
        assert "Nothing matches" in viewer.get(f"{PAGE}?state=missing").content.decode()

    def test_it_is_reached_from_the_interactions(self, viewer: Client) -> None:
        assert f'href="{PAGE}"' in viewer.get("/p/acme/interactions/").content.decode()

    def test_its_queries_do_not_grow_with_what_it_shows(self, orphan: Callable[..., Feedback], viewer: Client) -> None:
        counts = []
        for start in (0, 5):
            for n in range(start, start + 5):
                orphan(f"r{n}")
            with CaptureQueriesContext(connection) as said:
                viewer.get(PAGE)
            counts.append(len(said))
        assert counts[0] == counts[1]


def test_the_numbers_are_watched(orphan: Callable[..., Feedback], sk: Api) -> None:
    orphan("old", days=8)
    for n in range(2):
        orphan(f"young-{n}")
    text = sk.get("/metrics")[1].decode()
    assert 'reviewhub_feedback_unlinked{project="acme",state="missing"} 1' in text
    assert 'reviewhub_feedback_unlinked{project="acme",state="waiting"} 2' in text
    assert unlinked.DAYS == 7
