"""Backfills in batches, end to end through the providers' own clients: sent, followed, found again, settled."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client

from evals import batches, judges, judging, llm_batches, spending
from evals.models import Judge, JudgeBatch, JudgeCall, JudgeJob, Spend
from feedback.models import Score
from projects import connections
from projects.models import Project, User
from tests.conftest import Api
from tests.evals import golden
from tests.evals.judge_work import due, judge
from tests.fakes import batches as downloads
from tests.fakes import provider as faults
from tests.fakes.provider import FakeProvider
from tests.fakes.server import Answer

BOTH = pytest.mark.parametrize("of", ["openai", "anthropic"], indirect=True)
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-of-ours"}


class Killed(BaseException):
    """What a worker does not live to handle."""


@pytest.fixture
def of(request: pytest.FixtureRequest, project: Project, provider: FakeProvider) -> Judge:
    """A judge of OpenAI, or of the provider that the test names; both at the same price."""
    kind = getattr(request, "param", "openai")
    return judge(project, provider=kind, model=MODELS[kind], input_price=Decimal(1), output_price=Decimal(5))


ONE = Decimal("0.0001")  # of an answer in a batch: half of 100 tokens in at 1 and 20 out at 5 dollars a million


def begin(of: Judge, items: int = 3) -> list[JudgeJob]:
    for _ in range(items):
        golden.interaction(of.project)
    assert judges.start_backfill(of, limit=100, actor=None, batch=True) == items
    return list(JudgeJob.objects.filter(judge=of).order_by("pk"))


def rounds(count: int) -> None:
    """So many rounds of the worker, each after the pause that lies between them."""
    for _ in range(count):
        JudgeBatch.objects.update(due_at="2020-01-01T00:00:00Z")
        batches.work()


def died() -> None:
    """The lease of a worker that was killed has run out."""
    JudgeBatch.objects.update(leased_until="2020-01-01T00:00:00Z")


def to_the_end() -> None:
    for _ in range(12):
        if not JudgeBatch.objects.exclude(state="ended").exists():
            return
        rounds(1)
    raise AssertionError(list(JudgeBatch.objects.values("state", "error")))


def fails(*numbers: int, how: str) -> Callable[[str], str]:
    """The outcome of requests whose place in the batch is one of these."""
    seen: list[str] = []

    def outcome(name: str) -> str:
        seen.append(name)
        return how if len(seen) - 1 in numbers else ""

    return outcome


def booked(of: Judge) -> tuple[Decimal, Decimal, Decimal]:
    """Reserved, settled and unknown of the day; the calls and all four sums agree with it."""
    rows = set(Spend.objects.filter(project=of.project).values_list("reserved_usd", "settled_usd", "unknown_usd"))
    assert len(rows) == 1
    (row,) = rows
    calls = JudgeCall.objects.filter(judge=of)
    sums = calls.aggregate(settled=Sum("settled_usd"), unknown=Sum("unknown_usd"))
    reserved = calls.filter(state="open").aggregate(sum=Sum("reserved_usd"))["sum"]
    assert row == (reserved or 0, sums["settled"] or 0, sums["unknown"] or 0)
    return row


# ── All is well ──────────────────────────────────────────────────────────────────────────────────────


@BOTH
def test_results_in_any_order_become_one_score_each_at_half_the_price(of: Judge, provider: FakeProvider) -> None:
    jobs = begin(of)
    provider.reply = lambda call: {"reasoning": "As asked.", "score": len(call.user) % 7 / 10}
    rounds(1)
    reserved = booked(of)[0]
    assert reserved == sum(call.reserved_usd or 0 for call in JudgeCall.objects.all()) > 0
    assert judging.work(seconds=0.01) is True or provider.calls == []  # no call of its own meanwhile
    assert provider.calls == []
    to_the_end()
    assert booked(of) == (0, ONE * 3, 0)
    assert provider.batches.charged == len(provider.calls) == 3
    scores = {score.interaction_id: score for score in Score.objects.filter(source="judge")}
    asked = {call.user.split("END")[-2]: call for call in provider.calls}
    assert len(asked) == 3
    for job in JudgeJob.objects.filter(pk__in=[one.pk for one in jobs]).select_related("score"):
        assert job.score == scores[job.interaction_id]
        assert (job.cost_usd, job.batch, job.attempts, job.error) == (ONE, None, 1, "")
    batch = JudgeBatch.objects.get()
    assert (batch.state, batch.items, batch.done, batch.error) == ("ended", 3, 0, "")
    assert batch.calls.count() == 3


@BOTH
def test_each_result_belongs_to_its_own_interaction(of: Judge, provider: FakeProvider) -> None:
    for number in range(4):
        golden.interaction(of.project, output=f"answer {number}")
    judges.start_backfill(of, limit=100, actor=None, batch=True)
    provider.reply = lambda call: {"reasoning": "x", "score": int(call.user.split("answer ")[1][0]) / 10}
    to_the_end()
    found = JudgeJob.objects.values_list("interaction__output", "score__value")
    assert dict(found) == {f"answer {number}": number / 10 for number in range(4)}


@BOTH
def test_what_was_sent_is_deleted_at_the_provider(of: Judge, provider: FakeProvider) -> None:
    begin(of, 1)
    to_the_end()
    held = set(provider.batches.files) or set(provider.batches.made)
    assert set(provider.batches.deleted) == held


@BOTH
def test_a_comparison_is_asked_in_both_orders(of: Judge, provider: FakeProvider) -> None:
    pair = judge(
        of.project, slug="pair", kind="pairwise", provider=of.provider, model=of.model, input_price=1, output_price=5
    )
    golden.label(of.project)
    assert judges.start_backfill(pair, limit=100, actor=None, batch=True) == 1
    provider.reply = lambda call: {"reasoning": "The place.", "preferred": "first"}
    to_the_end()
    job = JudgeJob.objects.get(judge=pair)
    assert job.score
    assert (job.score.value, job.score.detail["flipped"], job.cost_usd) == (0.5, True, ONE * 2)


# ── What a batch leaves ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["expired", "errored", "missing"])
@BOTH
def test_what_has_no_result_is_judged_by_a_call_of_its_own(of: Judge, provider: FakeProvider, how: str) -> None:
    begin(of)
    provider.batches.outcome = fails(1, how=how)
    to_the_end()
    left = JudgeJob.objects.get(finished_at=None)
    assert (left.batch, left.leased_until, left.attempts) == (None, None, 1)
    reserved, settled, unknown = booked(of)
    assert (reserved, settled) == (0, ONE * 2)
    assert (unknown > 0) == (how == "missing")  # nobody told that it cost nothing
    due(of)
    judging.work()
    assert JudgeJob.objects.filter(score__isnull=False).count() == Score.objects.filter(source="judge").count() == 3
    assert booked(of)[:2] == (0, ONE * 2 + ONE * 2)


def test_a_reply_that_is_no_verdict_is_asked_for_once_more_alone(of: Judge, provider: FakeProvider) -> None:
    begin(of)
    provider.script(faults.says("I would say 0.9"))
    to_the_end()
    left = JudgeJob.objects.get(finished_at=None)
    call = left.calls.get()
    assert (call.reply, call.settled_usd, call.error[:15]) == ("I would say 0.9", ONE, "Invalid output:")
    assert booked(of) == (0, ONE * 3, 0)


@BOTH
def test_a_request_that_is_refused_for_good_ends_with_its_reason(of: Judge, provider: FakeProvider) -> None:
    begin(of)
    provider.batches.outcome = fails(0, how="invalid")
    to_the_end()
    dead = JudgeJob.objects.exclude(error="").get()
    assert dead.error.startswith("The provider refused the request")
    assert "secret" not in dead.error
    assert judges.replay(of, actor=None) == 1
    judging.work()
    assert Score.objects.filter(source="judge").count() == 3


@pytest.mark.parametrize("fault", [downloads.half, downloads.page])
@BOTH
def test_a_broken_download_is_fetched_again(of: Judge, provider: FakeProvider, fault: Any) -> None:
    begin(of)
    provider.batches.downloads.append(fault)
    rounds(3)
    batch = JudgeBatch.objects.get()
    assert (batch.state, batch.error[:25]) == ("running", "Its results came incomple")
    assert not Score.objects.filter(source="judge").exists()
    to_the_end()
    assert booked(of) == (0, ONE * 3, 0)
    assert Score.objects.filter(source="judge").count() == 3


def test_after_two_days_what_can_be_read_counts_and_the_rest_is_booked_as_unknown(
    of: Judge, provider: FakeProvider
) -> None:
    begin(of)
    provider.batches.downloads.append(downloads.half)
    rounds(2)
    JudgeBatch.objects.update(sent_at="2020-01-01T00:00:00Z")
    to_the_end()
    scores = Score.objects.filter(source="judge").count()
    assert scores in (1, 2)
    reserved, settled, unknown = booked(of)
    assert (reserved, settled) == (0, ONE * scores)
    assert settled + unknown >= ONE * provider.batches.charged
    assert JudgeJob.objects.filter(finished_at=None, batch=None).count() == 3 - scores


def test_a_provider_that_never_ends_a_batch_is_given_up(of: Judge, provider: FakeProvider) -> None:
    begin(of)
    provider.batches.steps = ("in_progress",) * 100
    rounds(3)
    JudgeBatch.objects.update(sent_at="2020-01-01T00:00:00Z")
    most = booked(of)[0]
    to_the_end()
    assert booked(of) == (0, 0, most)
    assert JudgeJob.objects.filter(finished_at=None, batch=None).count() == 3


# ── Kills and broken lines ───────────────────────────────────────────────────────────────────────────


@BOTH
def test_a_worker_killed_after_the_provider_took_the_batch_pays_for_it_once(
    of: Judge, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(of)
    create = llm_batches.create

    def killed(*args: Any) -> str:
        create(*args)
        raise Killed

    monkeypatch.setattr(llm_batches, "create", killed)
    with pytest.raises(Killed):
        rounds(1)
    monkeypatch.setattr(llm_batches, "create", create)
    rounds(1)  # its lease holds: nobody touches it
    assert JudgeBatch.objects.get().state == "sending"
    assert spending.give_up_lost() == 0
    died()
    to_the_end()
    assert len(provider.batches.made) == 1
    assert booked(of) == (0, ONE * 3, 0)
    assert Score.objects.filter(source="judge").count() == 3


def test_a_worker_killed_before_the_call_sends_again_and_keeps_the_reservation_as_unknown(
    of: Judge, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(of)
    create = llm_batches.create

    def killed(*args: Any) -> str:
        raise Killed

    monkeypatch.setattr(llm_batches, "create", killed)
    with pytest.raises(Killed):
        rounds(1)
    monkeypatch.setattr(llm_batches, "create", create)
    most = booked(of)[0]
    died()
    to_the_end()
    assert len(provider.batches.made) == 1
    assert booked(of) == (0, ONE * 3, most)
    assert set(JudgeJob.objects.values_list("attempts", "error")) == {(2, "")}


def test_a_batch_that_is_lost_three_times_ends(of: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(of)

    def killed(*args: Any) -> str:
        raise Killed

    monkeypatch.setattr(llm_batches, "create", killed)
    for _ in range(batches.MAX_LOST):
        with pytest.raises(Killed):
            rounds(1)
        died()
    rounds(1)
    assert set(JudgeJob.objects.values_list("batch", "error")) == {
        (None, "The provider does not have the batch that was sent.")
    }
    assert JudgeBatch.objects.get().state == "ended"


@pytest.mark.parametrize("answer", [Answer(hang_up=True), Answer(200, b"<html>", content_type="text/html")])
@BOTH
def test_an_answer_that_says_nothing_does_not_lead_to_a_second_batch(
    of: Judge, provider: FakeProvider, answer: Answer
) -> None:
    begin(of)
    provider.batches.creating.append(answer)
    to_the_end()
    assert len(provider.batches.made) == 1
    assert booked(of) == (0, ONE * 3, 0)


def test_a_worker_killed_while_it_stores_results_leaves_the_rest_to_its_successor(
    of: Judge, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(of)
    monkeypatch.setattr(batches, "STORED_TOGETHER", 1)
    finish, calls = judging.finish_all, []

    def killed(done: Any) -> int:
        calls.append(done)
        if len(calls) == 2:
            raise Killed
        return finish(done)

    monkeypatch.setattr(judging, "finish_all", killed)
    with pytest.raises(Killed):
        rounds(5)
    assert Score.objects.filter(source="judge").count() == 1
    died()
    to_the_end()
    assert Score.objects.filter(source="judge").count() == 3
    assert booked(of) == (0, ONE * 3, 0)


def test_a_verdict_that_cannot_be_stored_holds_up_no_other(
    of: Judge, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = begin(of)
    record = judging.record_score

    def refuses(project: Project, item: dict[str, Any], **rest: Any) -> Any:
        if item["key"] == f"judge-job:{first.pk}":
            raise ValueError(item)
        return record(project, item, **rest)

    monkeypatch.setattr(judging, "record_score", refuses)
    to_the_end()
    assert Score.objects.filter(source="judge").count() == 2
    assert JudgeJob.objects.exclude(error="").get().error == "Review Hub could not store the verdict."
    assert booked(of) == (0, ONE * 3, 0)


@pytest.mark.parametrize(
    ("answer", "ends"),
    [(faults.busy(30)(None, None), False), (Answer(500), False), (Answer(401), False), (Answer(404), True)],  # type: ignore[arg-type]
)
@BOTH
def test_a_batch_that_is_not_taken_costs_nothing(of: Judge, provider: FakeProvider, answer: Answer, ends: bool) -> None:
    begin(of)
    provider.batches.refusing.append(answer)
    rounds(1)
    assert booked(of) == (0, 0, 0)
    assert provider.batches.made == {}
    assert JudgeBatch.objects.get().state == ("ended" if ends else "waiting")
    assert JudgeJob.objects.exclude(error="").count() == (3 if ends else 0)
    if not ends:
        to_the_end()
        assert Score.objects.filter(source="judge").count() == 3


def test_a_batch_that_the_provider_finds_invalid_ends_with_its_reason(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    begin(of)
    provider.batches.steps = ("failed",)
    to_the_end()
    assert set(JudgeJob.objects.values_list("error", flat=True)) == {"The provider refused the batch."}
    assert booked(of) == (0, 0, 0)


# ── Money, people, keys ──────────────────────────────────────────────────────────────────────────────


def test_what_does_not_fit_under_the_cap_waits_for_room_in_a_batch_of_its_own(
    of: Judge, provider: FakeProvider
) -> None:
    begin(of, 5)
    job = JudgeJob.objects.all()[0]
    most = spending.most_of(of, judging.prompt_for(of, job.interaction), batched=True)
    assert most
    cap = most * 2 + Decimal("0.002")
    Judge.objects.update(day_cap_usd=cap)
    for _ in range(4):
        rounds(1)
        assert sum(booked(of)) <= cap
    to_the_end()
    assert len(provider.batches.made) >= 3
    assert booked(of) == (0, ONE * 5, 0)
    assert set(JudgeJob.objects.values_list("attempts", flat=True)) == {1}


def test_a_batch_is_no_larger_than_a_worker_can_hold(
    of: Judge, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm_batches, "MAX_SENT_BYTES", 7000)
    begin(of, 4)
    to_the_end()
    assert len(provider.batches.made) >= 2
    assert Score.objects.filter(source="judge").count() == 4


@BOTH
def test_a_cancelled_batch_keeps_what_it_has_judged_and_lists_the_rest(of: Judge, provider: FakeProvider) -> None:
    begin(of)
    provider.batches.steps = ("in_progress",) * 100
    rounds(2)
    assert judges.cancel_batches(of, actor=None) == 3
    provider.batches.outcome = fails(1, 2, how="canceled")
    to_the_end()
    assert provider.batches.charged == 0 or Score.objects.filter(source="judge").count() == provider.batches.charged
    assert booked(of) == (0, ONE * provider.batches.charged, 0)
    assert set(JudgeJob.objects.filter(score=None).values_list("error", flat=True)) == {batches.CANCELLED}


def test_a_batch_that_waits_is_cancelled_at_once(of: Judge, provider: FakeProvider) -> None:
    begin(of)
    judges.cancel_batches(of, actor=None)
    assert not JudgeBatch.objects.exclude(state="ended").exists()
    assert set(JudgeJob.objects.values_list("error", "attempts")) == {(batches.CANCELLED, 0)}
    rounds(1)
    assert provider.requests == []


def test_a_batch_waits_while_its_key_cannot_be_used_and_its_connection_stays(
    project: Project, provider: FakeProvider, people: dict[str, User]
) -> None:
    connection = connections.create_connection(
        project, name="Ours", kind="openai", base_url=provider.openai_url, key="sk-1", actor=None
    )
    of = judge(project, connection=connection, input_price=1, output_price=5)
    begin(of)
    rounds(1)
    with pytest.raises(Exception, match="is in use"):
        connections.remove_connection(connection, actor=None)
    sealed = connection.key_sealed
    connection.key_sealed = "broken"
    connection.save()
    rounds(2)
    batch = JudgeBatch.objects.get()
    assert (batch.state, batch.error) == ("running", "The judge the key of “Ours” cannot be read; enter it again.")
    connection.key_sealed = sealed
    connection.save()
    to_the_end()
    assert booked(of) == (0, ONE * 3, 0)


def test_a_key_is_not_sent_to_another_address_that_results_are_said_to_have(
    project: Project, provider: FakeProvider
) -> None:
    of = judge(project, provider="anthropic", model=MODELS["anthropic"])
    begin(of)
    with FakeProvider() as other:
        provider.batches.url = other.url
        rounds(4)
        assert other.requests == []
    assert JudgeBatch.objects.get().error == "The provider named an address that is not its own."


# ── Pages and programs ───────────────────────────────────────────────────────────────────────────────


def test_a_person_sees_both_prices_chooses_the_batch_and_stops_it(
    of: Judge, browser_of: Callable[[str], Client], provider: FakeProvider
) -> None:
    golden.interaction(of.project)
    browser = browser_of("engineer")
    page = browser.get("/p/acme/judges/correct/backfill/?limit=5").content.decode()
    assert "One by one, from now on" in page
    assert "As a batch, half the price, done within 24 hours" in page
    browser.post("/p/acme/judges/correct/backfill/", {"limit": 5, "batch": "on", "version": 1})
    assert "1 waiting to be sent" in browser.get("/p/acme/judges/correct/").content.decode()
    rounds(1)
    page = browser.get("/p/acme/judges/correct/").content.decode()
    assert "1 sent, 0 of them answered" in page
    browser.post("/p/acme/judges/correct/batches/cancel/", {"version": 1})
    assert "Being stopped" in browser.get("/p/acme/judges/correct/").content.decode()


def test_batches_are_offered_only_where_they_cost_half(
    project: Project, provider: FakeProvider, settings: Any, browser_of: Callable[[str], Client], sk: Api
) -> None:
    of = judge(project)
    golden.interaction(project)
    settings.BATCH_HOSTS = ["api.openai.com"]
    assert "As a batch" not in browser_of("engineer").get("/p/acme/judges/correct/backfill/?limit=5").content.decode()
    browser_of("engineer").post("/p/acme/judges/correct/backfill/", {"limit": 5, "batch": "on"})
    assert not JudgeJob.objects.filter(judge=of).exists()
    status, body = sk.post("/api/v1/judges/correct/backfill", {"limit": 5, "batch": True})
    assert (status, body["error"]["details"][0]["path"]) == (422, "/batch")


def test_programs_start_follow_and_cancel_batches(of: Judge, sk: Api, provider: FakeProvider) -> None:
    golden.interaction(of.project)
    _, preview = sk.post("/api/v1/judges/correct/backfill", {"limit": 5, "preview": True})
    assert preview["batch_offered"] is True
    assert 0 < preview["batch_likely_usd"] < preview["likely_usd"]
    assert sk.post("/api/v1/judges/correct/backfill", {"limit": 5, "batch": True}) == (201, {"started": 1})
    rounds(1)
    _, listed = sk.get("/api/v1/judges/correct/batches")
    (one,) = listed["results"]
    assert (one["state"], one["items"], one["answered"]) == ("running", 1, 0)
    assert one["provider_batch"] in provider.batches.made
    assert sk.post("/api/v1/judges/correct/batches/cancel", {}) == (200, {"items": 1})
    to_the_end()
    assert sk.get("/api/v1/judges/correct/batches")[1]["results"][0]["state"] == "ended"
