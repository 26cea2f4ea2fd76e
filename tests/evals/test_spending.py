"""What judges may spend, and how providers are left alone: reservations, caps, pauses, the breaker, limits."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from evals import judging, llm, spending, throttle
from evals.models import Judge, JudgeBudget, JudgeCall, JudgeJob, ProviderState, Spend
from projects import leases
from projects.models import Project
from tests.evals.judge_work import due, job, judge
from tests.fakes import provider as faults
from tests.fakes.provider import FakeProvider

PRICE = Decimal("0.000027")  # of one answer: 100 tokens in, 20 out, gpt-4o-mini


def only_call(of: Judge) -> JudgeCall:
    return JudgeCall.objects.get(judge=of)


def taken(project: Project, of: Judge | None = None) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    return {
        row.period: (row.reserved_usd, row.settled_usd, row.unknown_usd)
        for row in Spend.objects.filter(project=project, judge=of)
    }


# ── The ledger ───────────────────────────────────────────────────────────────────────────────────────


def test_what_the_provider_charges_stands_in_the_ledger_and_in_all_sums(
    project: Project, provider: FakeProvider
) -> None:
    of = judge(project)
    for _ in range(3):
        job(of)
    judging.work()
    assert JudgeCall.objects.filter(state="settled", settled_usd=PRICE, unknown_usd=0).count() == 3
    whole = (Decimal(0), PRICE * 3, Decimal(0))
    assert taken(project, of) == taken(project) == {"day": whole, "month": whole}
    assert {one.cost_usd for one in JudgeJob.objects.all()} == {PRICE}


def test_a_second_question_is_paid_too_and_the_unusable_reply_is_kept(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    job(of)
    provider.script(faults.says("I would say 0.9"))
    judging.work()
    call = only_call(of)
    assert (call.asked, call.settled_usd, call.reply) == (2, PRICE * 2, "I would say 0.9")


@pytest.mark.parametrize("fault", [faults.html, faults.truncated])
def test_a_reply_that_tells_no_tokens_is_booked_at_its_reserved_price(
    project: Project, provider: FakeProvider, fault: Any
) -> None:
    of = judge(project)
    job(of)
    provider.script(fault)
    judging.work()
    call = only_call(of)
    assert call.reserved_usd is not None
    assert (call.state, call.settled_usd) == ("unknown", PRICE)
    assert call.unknown_usd == call.reserved_usd / 2
    assert len(call.reply) > 10
    assert len(call.reply) <= llm.MAX_KEPT


@pytest.mark.parametrize("fault", [faults.busy(), faults.status(500), faults.status(400)])
def test_a_refused_request_costs_nothing(project: Project, provider: FakeProvider, fault: Any) -> None:
    of = judge(project)
    job(of)
    provider.script(fault)
    judging.work()
    assert (only_call(of).state, only_call(of).settled_usd, only_call(of).unknown_usd) == ("settled", 0, 0)
    assert taken(project)["day"] == (0, 0, 0)


def test_a_broken_line_may_have_cost_what_was_reserved(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    job(of)
    provider.script(faults.cut_off)
    judging.work()
    call = only_call(of)
    assert call.reserved_usd
    assert (call.state, call.unknown_usd) == ("unknown", call.reserved_usd / 2)
    assert taken(project)["month"] == (0, 0, call.unknown_usd)


def test_a_host_that_was_never_reached_cost_nothing(project: Project, provider: FakeProvider, settings: Any) -> None:
    settings.OPENAI_BASE_URL = "http://127.0.0.1:1/v1"
    of = judge(project)
    job(of)
    judging.work()
    assert only_call(of).unknown_usd == 0


def _claimed(of: Judge) -> JudgeJob:
    with transaction.atomic():
        (one,) = leases.claim(JudgeJob.objects.filter(judge=of), limit=1, lease=judging.LEASE)
        one.judge = of
        assert spending.reserve(of, [(one, judging.prompt_for(of, one.interaction))]) == 1
    return one


def test_a_dead_workers_call_is_booked_at_its_reserved_price_and_corrected_if_it_lives_after_all(
    project: Project,
) -> None:
    of = judge(project)
    job(of)
    late = _claimed(of)
    assert spending.give_up_lost() == 0  # its lease holds
    JudgeJob.objects.update(leased_until="2020-01-01T00:00:00Z")
    assert spending.give_up_lost() == 1
    reserved = only_call(of).reserved_usd
    assert reserved
    assert taken(project, of)["day"] == (0, 0, reserved)
    successor = _claimed(of)
    spending.settle(of, late, spending.Bill(1, 0, 100, 20))
    assert taken(project, of)["day"] == (reserved, PRICE, 0)
    spending.settle(of, late, spending.Bill(1, 0, 100, 20))  # once
    spending.settle(of, successor, spending.Bill(1, 0, 100, 20))
    assert taken(project, of)["day"] == (0, PRICE * 2, 0)


# ── Caps ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reservation_covers_the_longest_reply_to_a_text_of_any_script(project: Project) -> None:
    of = judge(project)
    one = job(of)
    one.interaction.output = "नमस्ते 🙂 " * 1000
    prompt = judging.prompt_for(of, one.interaction)
    most = spending.most_of(of, prompt)
    assert most
    assert most >= 2 * (
        Decimal(len(prompt.user.encode()) * 15) / 10**8 + Decimal(llm.MAX_REPLY_TOKENS * 60) / 10**8
    )  # fmt: skip


@pytest.mark.parametrize("cap", ["judge", "day", "month"])
def test_what_does_not_fit_under_a_cap_is_not_called_and_loses_no_attempt(
    project: Project, provider: FakeProvider, cap: str
) -> None:
    of = judge(project)
    for _ in range(5):
        job(of)
    one = spending.most_of(of, judging.prompt_for(of, JudgeJob.objects.all()[0].interaction))
    assert one
    amount = one * 2 + Decimal("0.0001")
    if cap == "judge":
        Judge.objects.filter(pk=of.pk).update(day_cap_usd=amount)
    else:
        JudgeBudget.objects.create(project=project, **{f"{cap}_cap_usd": amount})
    assert judging.work(seconds=0.01) in (True, False)
    for row in (taken(project, of), taken(project)):
        assert sum(row["day"]) <= amount
    unfinished = JudgeJob.objects.filter(finished_at=None)
    assert set(unfinished.values_list("attempts", "leased_until")) <= {(0, None)}
    assert len(provider.calls) == JudgeCall.objects.count() < 5 or sum(taken(project)["day"]) <= amount


def test_a_spent_budget_is_told_and_the_next_day_has_a_new_one(
    project: Project, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = judge(project, day_cap_usd=Decimal("0.00001"))
    job(of)
    judging.work()
    assert provider.calls == []
    assert spending.obstacle(of) == ""  # something is left, only not enough
    Spend.objects.filter(judge=of, period="day").update(settled_usd=Decimal("0.00001"))
    assert "spent the budget of the day of this version" in spending.obstacle(of)
    Judge.objects.filter(pk=of.pk).update(day_cap_usd=1)
    tomorrow = spending.today() + timedelta(days=1)
    monkeypatch.setattr(spending, "today", lambda: tomorrow)
    judging.work()
    assert len(provider.calls) == 1
    assert Spend.objects.filter(judge=of, period="day").count() == 2


def test_with_a_cap_a_model_without_a_price_is_not_asked(project: Project, provider: FakeProvider) -> None:
    of = judge(project, model="our-own-model", day_cap_usd=1)
    job(of)
    judging.work()
    assert provider.calls == []
    assert "no price is known for our-own-model" in spending.obstacle(of)
    Judge.objects.filter(pk=of.pk).update(input_price=10, output_price=100)
    judging.work()
    assert JudgeJob.objects.get().cost_usd == Decimal("0.003")


@pytest.mark.django_db(transaction=True)
def test_two_workers_cannot_both_take_the_last_cent(request: pytest.FixtureRequest) -> None:
    project = request.getfixturevalue("project")
    of = judge(project)
    jobs = [job(of) for _ in range(16)]
    one = spending.most_of(of, judging.prompt_for(of, jobs[0].interaction))
    assert one
    Judge.objects.filter(pk=of.pk).update(day_cap_usd=one * 4)
    of.refresh_from_db()
    start, fits = threading.Barrier(8), []

    def reserve(two: list[JudgeJob]) -> None:
        start.wait(10)
        with transaction.atomic():
            fits.append(spending.reserve(of, [(each, judging.prompt_for(of, each.interaction)) for each in two]))
        connections.close_all()

    threads = [threading.Thread(target=reserve, args=[jobs[n : n + 2]]) for n in range(0, 16, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(fits) == 8
    assert sum(fits) == JudgeCall.objects.count()
    assert sum(taken(project, of)["day"]) <= one * 4
    assert sum(fits) >= 3


# ── Providers ────────────────────────────────────────────────────────────────────────────────────────


def _ended(of: Judge, *, again: bool = False, busy: bool = False, retry_after: float | None = None) -> None:
    """One more call of the judge comes to this."""
    job(of)
    due(of)
    judging.settle(_claimed_next(of), judging.Outcome(
        None if again or busy else judging.Verdict("Right.", 1.0), error="x" if again or busy else "",
        again=again or busy, busy=busy, retry_after=retry_after,
    ))  # fmt: skip


def _claimed_next(of: Judge) -> JudgeJob:
    (one,) = leases.claim(JudgeJob.objects.filter(judge=of, finished_at=None), limit=1, lease=judging.LEASE)
    return one


def _room(of: Judge, most: int = 10) -> int:
    with transaction.atomic():
        return throttle.room(of, most)


def test_five_failures_in_a_row_open_the_breaker_and_one_call_tries_later(project: Project) -> None:
    of = judge(project)
    for _ in range(throttle.FAILURES):
        assert _room(of) == 10
        _ended(of, again=True)
    assert _room(of) == 0
    assert throttle.paused(of) is not None
    ProviderState.objects.update(paused_until=timezone.now())
    assert _room(of) == 1
    assert _room(of) == 0  # the others wait for how it ends
    _ended(of, again=True)
    state = ProviderState.objects.get()
    assert state.paused_until
    assert state.paused_until - timezone.now() > throttle.OPEN * 1.5
    ProviderState.objects.update(paused_until=timezone.now())
    assert _room(of) == 1
    _ended(of)
    assert _room(of) == 10
    assert throttle.paused(of) is None


def test_a_success_between_failures_keeps_the_breaker_closed(project: Project) -> None:
    of = judge(project)
    for _ in range(3):
        for _ in range(throttle.FAILURES - 1):
            _ended(of, again=True)
        _ended(of)
    assert _room(of) == 10


def test_failures_far_apart_do_not_open_the_breaker(project: Project) -> None:
    of = judge(project)
    for _ in range(throttle.FAILURES * 2):
        _ended(of, again=True)
        ProviderState.objects.update(failing_since=timezone.now() - timedelta(seconds=61))
    assert _room(of) == 10


def test_the_breaker_is_the_providers_and_not_the_judges(project: Project) -> None:
    one, same = judge(project), judge(project, slug="b")
    other = judge(project, slug="c", provider="anthropic")
    for _ in range(throttle.FAILURES):
        _ended(one, again=True)
    assert (_room(one), _room(same), _room(other)) == (0, 0, 10)


def test_a_429_halves_the_places_and_they_come_back(project: Project) -> None:
    of = judge(project)
    _ended(of, busy=True, retry_after=0.0)
    JudgeJob.objects.update(leased_until=None)
    assert ProviderState.objects.get().at_once == judging.places_of_one() // 2
    places = judging.places_of_one()
    assert _room(of, places) == places // 2
    ProviderState.objects.update(slowed_at=timezone.now() - throttle.RECOVERS * 2)
    assert _room(of, places) == places
    assert ProviderState.objects.get().at_once is None


def test_retry_after_pauses_the_provider_for_as_long_as_it_asks(project: Project) -> None:
    of = judge(project)
    _ended(of, busy=True, retry_after=900.0)
    state = throttle.paused(of)
    assert state
    assert state.paused_until
    assert 850 < (state.paused_until - timezone.now()).total_seconds() <= 900
    assert _room(of) == 0


def test_limits_of_a_judge_hold_over_all_workers(project: Project) -> None:
    of = judge(project, at_once=3)
    for _ in range(5):
        job(of)
    assert _room(of) == 3
    _claimed_next(of)
    _claimed_next(of)
    assert _room(of) == 1
    slow = judge(project, slug="slow", per_minute=2)
    job(slow)
    assert _room(slow) == 2
    _claimed(slow)
    assert _room(slow) == 1
