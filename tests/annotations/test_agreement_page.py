"""The agreement page, its lists and its door: the figures of ``agreement`` over independent votes, in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotations import agreement_report, shared_items
from annotations.agreement import cohen, gwet, krippendorff, percent
from annotations.models import Annotation, FailureMode, Queue, Task
from annotations.shared_items import Narrowed
from projects.models import Project, User
from tests import realdata
from tests.annotations.votes import crowd, voted
from tests.conftest import Api
from tests.factories import UserFactory

EVEN = [["pass", "pass"]] * 40 + [["fail", "fail"]] * 30 + [["pass", "fail"]] * 6 + [["fail", "pass"]] * 4
ONE_SIDED = [["pass", "pass"]] * 118 + [["pass", "fail"]] * 5 + [["fail", "pass"]] * 2
HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def pair(project: Project) -> list[User]:
    return crowd(project, "Ines", "Tomasz")


def page(browser_of: Callable[[str], Client], query: str = "", path: str = "") -> str:
    return browser_of("lead").get(f"/p/acme/agreement/{path}?{query}").content.decode()


def test_the_figures_are_those_of_the_coefficients_over_shared_items(project: Project, pair: list[User]) -> None:
    voted(project, pair, EVEN)
    voted(project, pair, [["pass", ""]] * 20, name="alone")
    found = agreement_report.report(shared_items.load(project))
    assert found.n == 80
    assert found.verdict.share == percent(EVEN)
    assert found.verdict.alpha == krippendorff(EVEN)
    assert found.verdict.gwet == gwet(EVEN, ["pass", "fail", "unsure"])
    (only,) = found.pairs
    assert only.kappa == cohen(map(tuple, EVEN), resamples=agreement_report.CELL_RESAMPLES)  # type: ignore[arg-type]
    assert (only.same, found.median_kappa) == (70, only.kappa.value)
    assert (found.table["pass", "fail"], found.table["fail", "pass"], found.opposed) == (6, 4, 10)


@pytest.mark.data
def test_pandalm_has_the_agreement_that_other_programs_find(project: Project) -> None:
    # Through votes and the report: κ of scikit-learn, α of the package krippendorff.
    words = {"1": "pass", "2": "fail", "tie": "unsure"}
    rows = [
        {label["annotator"]: words[str(label["label"])] for label in record["human_labels"]}
        for record in realdata.records("pandalm")
        if record.get("human_labels")
    ]
    names = sorted(rows[0])
    voted(project, crowd(project, *names), [[row[name] for name in names] for row in rows])
    found = agreement_report.report(shared_items.load(project))
    kappas = sorted(round(pair.kappa.value or 0, 4) for pair in found.pairs)
    assert (found.n, kappas) == (690, [0.8626, 0.8665, 0.8679])
    assert [round(one.value or 0, 4) for one in (found.verdict.alpha, found.verdict.gwet)] == [0.8657, 0.8837]


def test_of_each_person_the_first_vote_counts_and_what_was_not_said_alone_does_not(
    project: Project, pair: list[User]
) -> None:
    tasks = voted(project, pair, [["pass", "fail"]] * 3)
    second = Task.objects.create(
        project=project, queue=Queue.objects.get(project=project, slug="flagged"), lane="risk",
        interaction_id=tasks[0].interaction_id, due_at=timezone.now(), state="done", done_at=timezone.now(), reasons=[],
    )  # fmt: skip
    again = Annotation.objects.filter(task=tasks[0], reviewer=pair[0]).get()
    again.pk, again.task, again.verdict, again.submission_id = None, second, "fail", "0" * 32
    again.save()
    Annotation.objects.filter(task=tasks[1], reviewer=pair[1]).update(state="retracted", ended_at=timezone.now())
    Task.objects.filter(pk=tasks[2].pk).update(purpose="audit")
    shared = shared_items.load(project)
    assert {item.interaction for item in shared.items} == {tasks[0].interaction_id, tasks[2].interaction_id}
    assert {vote.verdict for item in shared.items for vote in item.votes if vote.reviewer == pair[0].pk} == {"pass"}


def test_queue_and_period_narrow_and_the_newest_are_kept(project: Project, pair: list[User]) -> None:
    voted(project, pair, [["pass", "pass"]] * 4, name="new")
    voted(project, pair, [["fail", "fail"]] * 3, name="old", days_ago=60)
    voted(project, pair, [["fail", "pass"]] * 2, name="elsewhere", queue="flagged")
    month = timezone.now() - timedelta(days=30)
    flagged = Queue.objects.get(project=project, slug="flagged")

    def count(**which: Any) -> int:
        return len(shared_items.load(project, **which).items)

    assert (count(), count(since=month), count(until=month), count(queue=flagged)) == (9, 6, 3, 2)
    newest = shared_items.load(project, most=5)
    assert newest.more
    assert len(newest.items) == 5
    assert not shared_items.load(project, most=9).more


def test_category_and_severity_are_compared_where_two_say_that_it_fails(project: Project, pair: list[User]) -> None:
    said = (
        [["fail:incomplete:2", "fail:incomplete:2"]] * 20
        + [["fail:wrong-refusal:1", "fail:wrong-refusal:2"]] * 15
        + [["fail:incomplete:3", "fail:wrong-refusal:3"]] * 5
        + [["pass", "pass"]] * 30
    )
    voted(project, pair, said)
    found = agreement_report.report(shared_items.load(project))
    _, category, severity = found.questions
    mains = [[one.split(":")[1] for one in item] for item in said[:40]]
    assert category.alpha == krippendorff(mains)
    levels = [[int(one.split(":")[2]) for one in item] for item in said[:40]]
    assert severity.alpha == krippendorff(levels, "ordinal")
    assert severity.gwet == gwet(levels, [1, 2, 3, 4], "quadratic")
    one = next(mode for mode in found.modes if mode.slug == "incomplete")
    assert (one.named, one.differ, one.enough) == (25, 5, True)
    named = [["incomplete" in answer for answer in item] for item in said]
    assert one.alpha == krippendorff(named, resamples=agreement_report.CELL_RESAMPLES)


def test_a_merged_failure_mode_counts_as_what_it_went_into(project: Project, pair: list[User]) -> None:
    voted(project, pair, [["fail:incomplete:2", "fail:wrong-refusal:2"]] * 3)
    modes = FailureMode.objects.filter(project=project)
    modes.filter(slug="incomplete").update(
        merged_into=modes.get(slug="wrong-refusal"), retired_at=timezone.now(), digit=""
    )
    found = agreement_report.report(shared_items.load(project))
    assert [(mode.slug, mode.named, mode.differ) for mode in found.modes] == [("wrong-refusal", 3, 0)]
    assert [item.differs_in for item in found.shared.items] == [[]] * 3


# The page


def test_the_page_says_what_the_case_is(
    project: Project, pair: list[User], browser_of: Callable[[str], Client]
) -> None:
    assert "Nothing to compare yet" in page(browser_of)
    voted(project, pair, EVEN)
    text = page(browser_of)
    assert "Reviewers agree fairly well: good enough for trends" in text
    assert "80 items" in text
    assert "Krippendorff’s alpha" in text
    assert 'href="/p/acme/agreement/items/?first=pass&amp;second=fail&amp;period=30d"' in text


def test_low_kappa_with_high_agreement_is_explained_and_not_painted_red(
    project: Project, pair: list[User], browser_of: Callable[[str], Client]
) -> None:
    voted(project, pair, ONE_SIDED)
    text = page(browser_of)
    assert "Reviewers seldom differ, but nearly all their verdicts are the same" in text
    assert "no proof either that they know a failure" in text
    assert "agree too little" not in text
    matrix = text.split("Who agrees with whom")[1].split("Where verdicts differ")[0]
    assert " off" not in matrix


def test_under_thirty_items_no_figure_is_shown(
    project: Project, pair: list[User], browser_of: Callable[[str], Client], sk: Api
) -> None:
    voted(project, pair, [["pass", "fail"]] * 5 + [["fail:incomplete:2", "fail:incomplete:2"]] * 20)
    text = page(browser_of)
    assert "Too few labels to tell" in text
    assert "Krippendorff’s alpha" not in text
    assert " %</span>" not in text.split('id="al-h"')[1].split("By question")[0]
    status, body = sk.get("/api/v1/agreement")
    assert (status, body["items"]) == (200, 25)
    figures = [body["questions"][0]["krippendorff_alpha"], body["categories"][0]["krippendorff_alpha"],
               body["pairs"][0]["cohen_kappa"]]  # fmt: skip
    assert [(one["value"], one["low"], one["reading"]) for one in figures] == [(None, None, "few")] * 3


def test_a_cell_leads_to_its_items(project: Project, pair: list[User], browser_of: Callable[[str], Client]) -> None:
    third = crowd(project, "Lena")[0]
    voted(project, pair, [["pass", "fail"]] * 3 + [["pass", "pass"]] * 2, name="a")
    voted(project, [pair[0], third], [["fail:incomplete:1", "fail:wrong-refusal:1"]], name="b")

    def count(query: str) -> int:
        return page(browser_of, query, "items/").count("<tr data-row>")

    assert [count(""), count("first=pass&second=fail"), count("differ=verdict")] == [6, 3, 3]
    assert [count(f"pair={pair[0].pk}-{third.pk}"), count(f"pair={pair[1].pk}-{third.pk}")] == [1, 0]
    assert [count("mode=incomplete"), count("mode=incomplete&differ=category"), count("differ=category")] == [1, 1, 1]
    assert [count("mode=incomplete&queue=flagged"), count("mode=no-such")] == [0, 0]
    lead = browser_of("lead")
    for query in ("pair=1", "first=maybe", "differ=mood"):
        assert lead.get(f"/p/acme/agreement/items/?{query}").status_code == 400
    assert lead.get("/p/acme/agreement/?queue=no-such").status_code == 404


def test_narrowing_by_a_pair_looks_at_their_votes_only(project: Project, pair: list[User]) -> None:
    voted(project, [*pair, *crowd(project, "Lena")], [["pass", "pass", "fail"]])
    (item,) = shared_items.load(project).items
    one, other, third = (vote.reviewer for vote in item.votes)
    assert not Narrowed(pair=(one, other), differ="verdict").holds(item)
    assert Narrowed(pair=(one, third), differ="verdict").holds(item)
    assert Narrowed(pair=(third, one), first="fail", second="pass").holds(item)


def test_hostile_names_and_questions_are_text(project: Project, browser_of: Callable[[str], Client]) -> None:
    people = [UserFactory(name=HOSTILE), UserFactory(name="B" + HOSTILE)]
    tasks = voted(project, people, [["pass", "fail"]] * 31)
    FailureMode.objects.filter(project=project, slug="incomplete").update(label=HOSTILE)
    tasks[0].interaction.messages = [{"role": "user", "content": HOSTILE}]
    tasks[0].interaction.save()
    Task.objects.filter(pk=tasks[0].pk).update(state="disputed")
    for text in (page(browser_of), page(browser_of, "", "items/"), page(browser_of, f"mode={HOSTILE}", "items/")):
        assert "<script>alert" not in text
        assert "\u202e" not in text


@pytest.mark.parametrize("path", ["", "items/"])
def test_the_pages_ask_the_same_number_of_queries_for_twice_the_items(
    path: str, project: Project, pair: list[User], browser_of: Callable[[str], Client],
    django_assert_num_queries: Any, django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    lead = browser_of("lead")
    voted(project, pair, [["pass", "fail:incomplete:1"]] * 20, name="a")
    Task.objects.update(state="disputed")
    with django_assert_max_num_queries(18) as first:
        lead.get(f"/p/acme/agreement/{path}")
    voted(project, [*pair, *crowd(project, "Lena", "Priya")], [["pass", "fail", "unsure", "pass"]] * 40, name="b")
    Task.objects.update(state="disputed")
    with django_assert_num_queries(len(first)):
        lead.get(f"/p/acme/agreement/{path}")


def test_leads_see_it_and_reviewers_do_not(
    browser_of: Callable[[str], Client], token_of: Callable[[str], Api], project: Project
) -> None:
    assert 'href="/p/acme/agreement/"' in page(browser_of)
    for who in ("reviewer", "engineer", "viewer"):
        assert browser_of(who).get("/p/acme/agreement/").status_code == 403
        assert token_of(who).get("/api/v1/agreement")[0] == 403
    assert token_of("lead").get("/api/v1/agreement")[0] == 200


def test_the_api_tells_what_the_page_tells(project: Project, pair: list[User], token_of: Callable[[str], Api]) -> None:
    voted(project, pair, EVEN)
    voted(project, pair, [["pass", "pass"]] * 9, days_ago=50, name="old")
    status, body = token_of("lead").get("/api/v1/agreement")
    assert status == 200
    assert (body["items"], body["more"]) == (80, False)
    verdict = body["questions"][0]
    alpha = krippendorff(EVEN)
    assert verdict["krippendorff_alpha"] == {
        "value": alpha.value, "low": alpha.low, "high": alpha.high, "n": 80, "reading": "tentative"
    }  # fmt: skip
    assert body["pairs"][0]["reviewers"] == ["ines@example.com", "tomasz@example.com"]
    assert {"first": "pass", "second": "fail", "items": 6} in body["verdicts"]
    since = (timezone.now() - timedelta(days=90)).isoformat().replace("+", "%2B")
    assert token_of("lead").get(f"/api/v1/agreement?since={since}")[1]["items"] == 89
    assert token_of("lead").get("/api/v1/agreement?queue=flagged")[1]["items"] == 0
    assert token_of("lead").get("/api/v1/agreement?queue=no-such")[0] == 404
    status, body = token_of("lead").get("/api/v1/agreement?since=yesterday")
    assert (status, body["error"]["details"][0]["path"]) == (422, "/since")
