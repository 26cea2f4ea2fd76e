"""A reviewer's figures: what their votes add up to, who may see it, and in how few queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotations import reviewer_report
from annotations.agreement import percent
from annotations.models import Annotation, Label, Task
from annotations.reviewer_report import Share
from projects.models import Project, User
from tests.annotations.votes import crowd, voted
from tests.conftest import Api
from tests.factories import UserFactory

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def pair(project: Project) -> list[User]:
    return crowd(project, "Ines", "Tomasz")


def checked(project: Project, user: User, owner: User, right: int, wrong: int) -> None:
    """Known items that this person got right and wrong."""
    known = voted(project, [owner], [["fail"]] * (right + wrong), name=f"known-{user.pk}", days_ago=20)
    labels = [
        Label.objects.create(
            project=project, interaction_id=task.interaction_id, task=task, verdict="fail", settled_by="single",
            rubric_version=1, gold_check=True,
        )
        for task in known
    ]  # fmt: skip
    again = voted(
        project, [user], [["fail"]] * right + [["pass"]] * wrong, name=f"gold-{user.pk}", queue="flagged"
    )  # fmt: skip
    for task, label in zip(again, labels, strict=True):
        Task.objects.filter(pk=task.pk).update(
            purpose="gold", known=label, assigned_to=user, interaction=label.interaction_id
        )


def session(project: Project, people: list[User], said: list[list[str]], minutes: float, seconds: list[float]) -> None:
    """One long session three days ago: a vote of the first person every so many minutes."""
    tasks = voted(project, people, said, name="long", days_ago=3)
    begin = timezone.now() - timedelta(days=3)
    for number, task in enumerate(tasks):
        Annotation.objects.filter(task=task, reviewer=people[0]).update(
            created_at=begin + timedelta(minutes=minutes * number), seconds=seconds[number]
        )


def test_a_day_holds_what_was_said_on_it_and_times_have_a_middle_and_quarters(
    project: Project, pair: list[User]
) -> None:
    tasks = voted(project, [pair[0]], [["pass"]] * 8, days_ago=2)
    voted(project, [pair[0]], [["fail"]] * 3, days_ago=45, name="old")
    voted(project, [pair[1]], [["fail"]] * 3, name="not-mine")
    times = [10.0, 20, 30, 40, 50, 60, 70, 500]
    for task, seconds in zip(tasks, times, strict=True):
        Annotation.objects.filter(task=task).update(seconds=seconds)
    Annotation.objects.filter(task=tasks[0]).update(created_at=timezone.now() - timedelta(days=4))
    found = reviewer_report.report(project, pair[0])
    assert (found.items, len(found.by_day)) == (8, 30)
    day = (datetime.now(UTC) - timedelta(days=4)).date()
    assert dict(found.by_day)[day] == 1
    assert sum(count for _, count in found.by_day) == 8
    low, middle, high = quantiles(times, n=4, method="inclusive")
    assert (found.pace.lower, found.pace.median, found.pace.upper) == (low, middle, high)
    assert sum(week.items for week in found.weeks) == 11


def test_known_items_give_a_beta_interval_from_ten_on(
    project: Project, pair: list[User], browser_of: Callable[[str], Client]
) -> None:
    checked(project, pair[0], pair[1], 8, 1)
    lead = browser_of("lead")
    address = f"/p/acme/reviewers/{pair[0].pk}/"
    assert "9 of 10 checks" in lead.get(address).content.decode()
    checked(project, pair[1], pair[0], 9, 3)
    found = reviewer_report.report(project, pair[1])
    assert (found.known.right, found.known.wrong) == (9, 3)
    # Quantiles of Beta(10, 4), by numerical integration of its density.
    assert [round(end, 4) for end in found.known.interval] == [0.4619, 0.9091]
    text = lead.get(f"/p/acme/reviewers/{pair[1].pk}/").content.decode()
    assert "46 to 91" in text
    assert "9 of 12" in text


def test_agreement_with_others_is_of_shared_items_and_first_votes(project: Project, pair: list[User]) -> None:
    said = [["pass", "pass"]] * 20 + [["fail", "pass"]] * 12
    voted(project, pair, said)
    voted(project, [pair[0]], [["pass"]] * 9, name="alone")
    found = reviewer_report.report(project, pair[0])
    assert found.same == percent(said)
    (other,) = found.pairs
    assert (other.shared, other.same) == (32, 20)
    assert [week.same.n for week in found.weeks if week.same.n] == [32]


def test_what_moved_beyond_chance_is_said_with_both_figures(project: Project, pair: list[User]) -> None:
    voted(project, [pair[0]], [["fail"]] * 4 + [["pass"]] * 56, days_ago=50, name="before")
    voted(project, [pair[0]], [["fail"]] * 5 + [["pass"]] * 45, days_ago=1, name="same")
    assert reviewer_report.report(project, pair[0]).drift == []
    voted(project, [pair[0]], [["fail"]] * 40 + [["pass"]] * 10, days_ago=1, name="lately")
    assert reviewer_report.report(project, pair[0]).drift == [
        "45% of what they see fails, 7% in the eight weeks before"
    ]


def test_long_sessions_are_compared_early_and_late_and_put_with_care(
    project: Project, pair: list[User], browser_of: Callable[[str], Client]
) -> None:
    # One item every 1.5 minutes for more than three hours: 40 in the first hour, after two hours slower and less alike.
    count = 125
    said = [["pass", "pass"] if number < 80 or number % 3 else ["fail", "pass"] for number in range(count)]
    said = [["fail", "pass"] if number >= 80 and number % 2 else one for number, one in enumerate(said)]
    seconds = [30.0 if number < 80 else 60.0 for number in range(count)]
    session(project, pair, said, 1.5, seconds)
    tired = reviewer_report.report(project, pair[0]).fatigue
    assert (tired.sessions, tired.fresh.pace.n, tired.late.pace.n) == (1, 40, 45)
    assert (tired.fresh.pace.median, tired.late.pace.median) == (30.0, 60.0)
    assert tired.fresh.same == Share(40, 40)
    assert (tired.slower, tired.less_alike) == (True, True)
    text = browser_of("lead").get(f"/p/acme/reviewers/{pair[0].pk}/").content.decode()
    assert "It may be tiredness, or that what comes later in the day is harder." in text
    calm = reviewer_report.report(project, pair[1]).fatigue
    assert (calm.sessions, calm.enough, calm.slower) == (0, False, False)


def test_a_share_is_told_from_thirty_on() -> None:
    assert Share(29, 29).value is None
    assert Share(15, 30).value == 0.5
    assert not Share(20, 29).apart(Share(1, 100))
    assert Share(25, 30).apart(Share(10, 100))


# Who sees it


def test_a_person_sees_their_own_page_and_nobody_elses(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client], pair: list[User]
) -> None:
    voted(project, [people["reviewer"], pair[0]], [["pass", "fail"]] * 3)
    reviewer = browser_of("reviewer")
    own = reviewer.get(f"/p/acme/reviewers/{people['reviewer'].pk}/")
    assert own.status_code == 200
    assert "Only you and the leads of this project see this page" in own.content.decode()
    assert f"/p/acme/reviewers/{people['reviewer'].pk}/" in reviewer.get("/p/acme/labels/mine/").content.decode()
    for pk in (pair[0].pk, people["lead"].pk, people["outsider"].pk, 0):
        assert reviewer.get(f"/p/acme/reviewers/{pk}/").status_code == 404
    assert reviewer.get("/p/acme/reviewers/").status_code == 403
    assert browser_of("engineer").get(f"/p/acme/reviewers/{pair[0].pk}/").status_code == 404
    lead = browser_of("lead")
    assert lead.get(f"/p/acme/reviewers/{pair[0].pk}/").status_code == 200
    assert lead.get(f"/p/acme/reviewers/{people['outsider'].pk}/").status_code == 404
    assert f'href="/p/acme/reviewers/{pair[0].pk}/"' in lead.get("/p/acme/reviewers/").content.decode()


def test_the_list_goes_by_name_and_holds_who_has_left(
    project: Project, browser_of: Callable[[str], Client], pair: list[User]
) -> None:
    gone = UserFactory(name="Zoe" + HOSTILE)
    voted(project, [*pair, gone], [["pass", "pass", "fail"]] * 31)
    checked(project, pair[0], pair[1], 4, 8)
    rows = {str(row.user): row for row in reviewer_report.rows(project)}
    assert list(rows) == sorted(rows, key=str.lower)
    assert rows["Ines"].items == 31 + 12
    assert (rows["Ines"].same, rows["Tomasz"].median) == (Share(31, 62), 30.0)
    assert rows["Ines"].known.low
    text = browser_of("lead").get("/p/acme/reviewers/").content.decode()
    assert "Zoe&lt;script&gt;" in text
    assert "\u202e" not in text
    page = browser_of("lead").get(f"/p/acme/reviewers/{gone.pk}/").content.decode()
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_my_figures_over_the_api_are_those_of_my_page(
    project: Project, people: dict[str, User], token_of: Callable[[str], Api], pair: list[User], sk: Api
) -> None:
    voted(project, [people["reviewer"], pair[0]], [["pass", "pass"]] * 30 + [["fail", "pass"]] * 10)
    status, body = token_of("reviewer").get("/api/v1/reviewers/me")
    assert (status, body["reviewer"], body["items"]) == (200, "reviewer@example.com", 40)
    assert (body["same_verdict"]["value"], body["same_verdict"]["n"]) == (0.75, 40)
    assert body["known_items"] == {"value": None, "low": None, "high": None, "right": 0, "wrong": 0, "unsure": 0}
    assert (len(body["by_day"]), len(body["weeks"])) == (30, 12)
    assert pair[0].email not in str(body)
    assert token_of("lead").get("/api/v1/reviewers/me")[1]["items"] == 0
    assert (token_of("viewer").get("/api/v1/reviewers/me")[0], sk.get("/api/v1/reviewers/me")[0]) == (403, 403)


@pytest.mark.parametrize("path", ["", "{pk}/"])
def test_the_pages_ask_the_same_number_of_queries_for_twice_the_votes(
    path: str, project: Project, pair: list[User], browser_of: Callable[[str], Client],
    django_assert_num_queries: Any, django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    lead = browser_of("lead")
    voted(project, pair, [["pass", "fail:incomplete:1"]] * 20, name="a")
    checked(project, pair[0], pair[1], 5, 5)
    address = "/p/acme/reviewers/" + path.format(pk=pair[0].pk)
    with django_assert_max_num_queries(16) as first:
        lead.get(address)
    more = crowd(project, "Lena", "Priya")
    voted(project, [*pair, *more], [["pass", "fail", "unsure", "pass"]] * 40, name="b")
    checked(project, more[0], pair[0], 5, 5)
    with django_assert_num_queries(len(first)):
        lead.get(address)
