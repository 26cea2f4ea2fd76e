"""What people and programs see of judges at work: previews, budgets, pauses, progress, the dead list."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evals import backfills, judging, spending
from evals.models import JudgeBudget, JudgeJob, ProviderState, Spend
from projects.models import AuditEntry, Project
from tests.conftest import Api
from tests.evals import golden
from tests.evals.judge_work import job, judge
from tests.evals.test_judge_pages import BrowserOf, page, post
from tests.fakes import provider as faults
from tests.fakes.provider import FakeProvider


def test_a_preview_says_count_and_cost_and_starts_nothing(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    of = judge(project)
    for _ in range(3):
        golden.interaction(project, output="x" * 4000)
    found = backfills.preview(of, 2)
    assert found.count == 2
    assert 2000 < found.input_tokens < 5000
    assert found.likely_usd is not None
    assert found.most_usd is not None
    assert Decimal("0.0003") < found.likely_usd < found.most_usd
    text = page(browser_of("engineer"), "judges/correct/backfill/?limit=2")
    assert "Judge 2 older interactions" in text
    assert "Start the backfill" in text
    assert not JudgeJob.objects.exists()


def test_a_preview_reads_the_same_number_of_rows_for_any_count(browser_of: BrowserOf, project: Project) -> None:
    judge(project)
    client, counts = browser_of("engineer"), []
    for _ in range(2):
        for _ in range(5):
            golden.interaction(project)
        with CaptureQueriesContext(connection) as queries:
            page(client, "judges/correct/backfill/?limit=1000")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_preview_warns_where_it_does_not_fit_and_where_no_price_is_known(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    of = judge(project, day_cap_usd=Decimal("0.00001"))
    golden.interaction(project)
    assert "More than is left of the budget" in page(browser_of("engineer"), "judges/correct/backfill/?limit=1")
    type(of).objects.filter(pk=of.pk).update(model="our-own")
    assert "No price is known for our-own" in page(browser_of("engineer"), "judges/correct/backfill/?limit=1")


def test_limits_and_budgets_are_set_in_forms_and_audited(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    of = judge(project)
    client = browser_of("engineer")
    post(
        client, "judges/correct/limits/", day_cap_usd="1.5", at_once="4", per_minute="", input_price="", output_price=""
    )
    of.refresh_from_db()
    assert (of.day_cap_usd, of.at_once, of.per_minute, of.input_price) == (Decimal("1.5"), 4, None, None)
    for wrong in ({"day_cap_usd": "-1"}, {"at_once": "0"}, {"input_price": "3"}, {"day_cap_usd": "nan"}):
        post(client, "judges/correct/limits/", **wrong)
    of.refresh_from_db()
    assert of.at_once == 4
    post(client, "judge-budget/", day_cap_usd="2", month_cap_usd="20")
    budget = JudgeBudget.objects.get()
    assert (budget.day_cap_usd, budget.month_cap_usd) == (2, 20)
    post(client, "judge-budget/", day_cap_usd="x")
    assert JudgeBudget.objects.get().day_cap_usd == 2
    assert set(AuditEntry.objects.filter(action__startswith="judge").values_list("action", flat=True)) >= {
        "judge.limits_set", "judges.budget_set",
    }  # fmt: skip
    text = page(client, "judges/correct/")
    assert "$1.50 taken" in text
    assert "$20.00 taken" in text
    assert 'value="20.00000000"' in page(client, "judges/")


def test_the_page_says_why_a_judge_rests_and_how_far_a_backfill_is(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    of = judge(project, day_cap_usd=1)
    job(of, purpose="backfill", finished_at=timezone.now())
    job(of, purpose="backfill")
    client = browser_of("viewer")
    ProviderState.objects.create(key="environment:openai", paused_until=timezone.now() + judging.LEASE, reason="Away.")
    assert "Its provider is left alone until" in page(client, "judges/correct/")
    Spend.objects.create(project=project, judge=of, period="day", starts=spending.today(), settled_usd=1)
    assert "has spent the budget of the day of this version" in page(client, "judges/correct/")
    assert "Backfill: 1 of 2" in page(browser_of("engineer"), "judges/correct/")


def test_one_job_of_the_dead_list_is_tried_again(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    of = judge(project)
    first, second = job(of), job(of)
    provider.script(faults.status(400), faults.status(400))
    judging.work()
    client = browser_of("engineer")
    text = page(client, "judges/correct/?cell=failed")
    assert text.count("Try again</button>") == 2
    post(client, "judges/correct/replay/", job=first.pk)
    judging.work()
    assert {one.pk: bool(one.error) for one in JudgeJob.objects.all()} == {first.pk: False, second.pk: True}


# ── For programs ─────────────────────────────────────────────────────────────────────────────────────


def test_programs_list_judges_and_replay_the_dead(sk: Api, project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    one, _ = job(of), job(of)
    provider.script(faults.status(400), faults.status(404))
    judging.work()
    status, body = sk.get("/api/v1/judges")
    assert status == 200
    listed = {row["judge"]: row for row in body["results"]}["correct"]
    assert (listed["version"], listed["failed"], listed["needs"]) == (1, 2, None)
    status, body = sk.get("/api/v1/judges/correct/dead")
    assert (status, body["version"]) == (200, 1)
    assert {row["error"][-6:] for row in body["results"]} == {"(400).", "(404)."}
    assert sk.post("/api/v1/judges/correct/replay", {"jobs": [one.pk]}) == (200, {"replayed": 1})
    assert sk.post("/api/v1/judges/correct/replay", {}) == (200, {"replayed": 1})
    judging.work()
    assert sk.get("/api/v1/judges/correct/dead")[1]["results"] == []


def test_programs_preview_and_start_backfills(sk: Api, project: Project, provider: FakeProvider) -> None:
    judge(project)
    golden.interaction(project)
    status, body = sk.post("/api/v1/judges/correct/backfill", {"limit": 10, "preview": True})
    assert (status, body["count"], body["left_usd"], body["needs"]) == (200, 1, None, None)
    assert 0 < body["likely_usd"] < body["most_usd"]
    assert not JudgeJob.objects.exists()
    assert sk.post("/api/v1/judges/correct/backfill", {"limit": 10}) == (201, {"started": 1})


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("backfill", {}, "/limit"),
        ("backfill", {"limit": True}, "/limit"),
        ("backfill", {"limit": 10_001}, "/limit"),
        ("backfill", {"limit": 1, "preview": "yes"}, "/preview"),
        ("replay", {"jobs": ["x"]}, "/jobs"),
        ("replay", {"version": "x"}, "/version"),
        ("replay", [], "/"),
    ],
)
def test_a_fault_is_told_with_its_place(sk: Api, project: Project, path: str, body: object, place: str) -> None:
    judge(project)
    status, answer = sk.post(f"/api/v1/judges/correct/{path}", body)
    assert status == 422
    assert [one["path"] for one in answer["error"]["details"]] == [place]


def test_an_unknown_judge_is_not_found(sk: Api, project: Project, other_project: Project) -> None:
    judge(other_project, slug="theirs")
    for path in ("theirs/dead", "nothing/dead"):
        assert sk.get(f"/api/v1/judges/{path}")[0] == 404
    assert sk.post("/api/v1/judges/theirs/replay", {})[0] == 404
