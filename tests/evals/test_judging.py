"""Judging end to end against a provider that misbehaves in every way we could think of."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction

from evals import judging, llm
from evals.models import Judge, JudgeJob, ProviderState
from feedback.models import Inbox, Score
from projects import leases, outbound, secrets
from projects.connections import create_connection
from projects.models import Project
from tests.evals import golden
from tests.evals.judge_work import due, job, judge
from tests.fakes import provider as faults
from tests.fakes.provider import FakeProvider


def only(of: Judge) -> JudgeJob:
    return JudgeJob.objects.select_related("score").get(judge=of)


# ── The good case, both providers ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_verdict_becomes_one_score_with_reason_tokens_and_cost(
    project: Project, provider: FakeProvider, kind: str
) -> None:
    of = judge(project, provider=kind, model="gpt-4o-mini" if kind == "openai" else "claude-haiku-4-5")
    item = golden.interaction(project, documents=[{"id": "kb-1", "title": "Fees", "content": "It costs 50 cents."}])
    job(of, item)
    Inbox.objects.all().delete()

    assert judging.work() is False

    done = only(of)
    assert done.finished_at is not None
    assert (done.error, done.attempts, done.input_tokens, done.output_tokens) == ("", 1, 100, 20)
    assert done.cost_usd is not None
    assert done.cost_usd > 0
    score = done.score
    assert score is not None
    assert (score.interaction, score.name, score.version, score.source) == (item, "correct", "1", "judge")
    assert (score.value, score.label, score.flagged) == (0.9, "pass", False)
    assert score.explanation == faults.VERDICT["reasoning"]
    assert score.detail["model"] == of.model
    assert Inbox.objects.filter(kind="score", object_id=score.pk, stage="triage").exists()
    (call,) = provider.calls
    assert call.key == f"sk-{kind}-canary"
    assert call.model == of.model
    assert call.schema is not None
    assert call.schema["additionalProperties"] is False
    assert list(call.schema["properties"]) == ["reasoning", "score"]
    assert "It costs 50 cents." in call.user


def test_a_low_score_is_flagged(project: Project, provider: FakeProvider) -> None:
    provider.reply = lambda call: {"reasoning": "It is wrong.", "score": 0.2}
    of = judge(project)
    job(of)
    judging.work()
    score = only(of).score
    assert score is not None
    assert (score.label, score.flagged) == ("fail", True)


def test_models_with_a_fixed_temperature_are_asked_for_none(project: Project, provider: FakeProvider) -> None:
    for model in ("gpt-4o-mini", "gpt-5-mini", "o4-mini"):
        job(judge(project, slug=model, model=model))
    judging.work()
    assert {call.model: "temperature" in call.body for call in provider.calls} == {
        "gpt-4o-mini": True, "gpt-5-mini": False, "o4-mini": False,
    }  # fmt: skip


def test_an_unknown_price_is_unknown_and_not_nothing(project: Project, provider: FakeProvider) -> None:
    of = judge(project, model="our-own-model")
    job(of)
    judging.work()
    assert only(of).cost_usd is None
    assert only(of).input_tokens == 100


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────────

UNUSABLE = [
    faults.html, faults.truncated, faults.nan, faults.huge, faults.stopped_early, faults.refusal, faults.empty,
    faults.says({"reasoning": "x", "score": 0.9, "extra": 1}), faults.says({"reasoning": "x", "score": "11/10"}),
    faults.says({"reasoning": "x", "score": 11}), faults.says("The score is 0.9"),
    faults.says({"reasoning": "x" * 5000, "score": 0.5}),
]  # fmt: skip
UNUSABLE_IDS = [
    "html", "truncated", "nan", "huge", "length", "refusal", "empty", "extra", "11/10", "11", "prose", "long",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("fault", UNUSABLE, ids=UNUSABLE_IDS)
def test_an_unusable_reply_is_asked_for_once_more_and_then_no_score(
    project: Project, provider: FakeProvider, fault: Any, kind: str
) -> None:
    of = judge(project, provider=kind)
    job(of)
    provider.script(fault, fault)
    judging.work()
    done = only(of)
    assert done.finished_at is not None
    assert done.error.startswith("Invalid output: ")
    assert Score.objects.count() == 0
    assert len(provider.calls) == 2
    assert "could not be used" in provider.calls[1].user


@pytest.mark.parametrize("fault", UNUSABLE, ids=UNUSABLE_IDS)
def test_a_second_reply_that_is_good_counts(project: Project, provider: FakeProvider, fault: Any) -> None:
    of = judge(project)
    job(of)
    provider.script(fault)
    judging.work()
    done = only(of)
    assert done.score is not None
    assert done.attempts == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.busy(), "busy"),
        (faults.status(500), "(500)"),
        (faults.status(529), "busy"),
        (faults.status(401), "(401)"),
        (faults.hang_up, "broke"),
        (faults.cut_off, "broke"),
        (faults.redirect("http://169.254.169.254/"), "redirect"),
    ],
    ids=["429", "500", "529", "401", "hang-up", "cut-off", "redirect"],
)
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_passing_fault_is_retried_later_and_ends_after_the_last_attempt(
    project: Project, provider: FakeProvider, fault: Any, words: str, kind: str
) -> None:
    of = judge(project, provider=kind)
    job(of)
    for attempt in range(1, judging.MAX_ATTEMPTS + 1):
        provider.script(fault)
        ProviderState.objects.all().delete()
        due(of)
        judging.work()
        assert only(of).attempts == attempt
        assert (only(of).finished_at is None) == (attempt < judging.MAX_ATTEMPTS)
    done = only(of)
    assert words in done.error
    assert "stack trace" not in done.error
    assert len(provider.calls) == judging.MAX_ATTEMPTS
    assert Score.objects.count() == 0


def test_a_job_put_back_waits_and_then_succeeds(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    job(of)
    provider.script(faults.status(503))
    judging.work()
    judging.work()
    assert len(provider.calls) == 1  # not before its time
    assert only(of).leased_until is None
    due(of)
    judging.work()
    assert only(of).score is not None


def test_retry_after_is_honoured(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    job(of)
    provider.script(faults.busy(retry_after=1200))
    judging.work()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM not_before - now()) FROM evals_judgejob")
        (wait,) = cursor.fetchone()
    assert 1190 < wait < 1500


def test_after_a_429_the_provider_is_left_alone_for_a_while(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    job(of)
    provider.script(faults.busy())
    judging.work()
    job(of)
    judging.work()
    assert len(provider.calls) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("1.5", 1.5), ("999999", 3600), ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
     (None, None), ("", None), ("-5", None), ("nan", None), ("soon", None), ("1" * 30, None), ("٣", None)],
)  # fmt: skip
def test_retry_after_is_read_strictly(header: str | None, seconds: float | None) -> None:
    assert llm.retry_after(header) == seconds


def test_back_off_outlasts_half_an_hour_and_is_spread() -> None:
    least = sum(min(judging.delay_of(attempt, None) for _ in range(200)) for attempt in range(1, judging.MAX_ATTEMPTS))
    assert least > 30 * 60
    assert len({judging.delay_of(1, None) for _ in range(10)}) > 1


@pytest.mark.parametrize(("status", "words"), [(400, "(400)"), (404, "does not know"), (422, "(422)")])
def test_a_fault_that_will_not_pass_ends_the_job_at_once(
    project: Project, provider: FakeProvider, status: int, words: str
) -> None:
    of = judge(project)
    job(of)
    provider.script(faults.status(status))
    judging.work()
    assert words in only(of).error
    assert len(provider.calls) == 1


@pytest.mark.parametrize("fault", [faults.hang, faults.drip(0.02)], ids=["hang", "drip"])
def test_the_deadline_is_the_wall_clock(
    project: Project, provider: FakeProvider, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm, "DEADLINE_SECONDS", 0.4)
    of = judge(project)
    job(of)
    provider.script(fault)
    started = time.monotonic()
    judging.work()
    assert time.monotonic() - started < 3
    assert only(of).finished_at is None
    assert only(of).attempts == 1


def test_a_reply_arrives_late_but_in_time(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    job(of)
    provider.script(faults.slow(0.2))
    judging.work()
    assert only(of).score is not None


def test_an_address_that_is_not_permitted_is_never_called(
    project: Project, provider: FakeProvider, settings: Any
) -> None:
    settings.OUTBOUND_ALLOW = []
    of = judge(project)
    job(of)
    judging.work()
    assert "Only https://" in only(of).error
    assert provider.requests == []


def test_a_fault_of_ours_costs_one_job_an_attempt(
    project: Project, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = judge(project)
    job(of)
    monkeypatch.setattr(judging, "read_verdict", lambda reply: 1 / 0)
    judging.work()
    assert (only(of).finished_at, only(of).attempts) == (None, 1)


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_key_jobs_wait_and_lose_no_attempt(project: Project, provider: FakeProvider, settings: Any) -> None:
    settings.OPENAI_API_KEY = ""
    of = judge(project)
    job(of)
    assert judging.missing_key(of) == "needs a key: OPENAI_API_KEY"
    assert judging.missing_key(judge(project, slug="b", provider="anthropic")) == ""
    judging.work()
    assert (only(of).attempts, only(of).finished_at) == (0, None)
    settings.OPENAI_API_KEY = "sk-late"
    judging.work()
    assert only(of).score is not None


def test_a_judge_that_is_switched_off_rests(project: Project, provider: FakeProvider) -> None:
    of = judge(project, enabled=False)
    job(of)
    judging.work()
    assert provider.calls == []


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_connection_brings_its_own_key_and_nothing_of_the_environment_leaves(
    project: Project, provider: FakeProvider, kind: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = "sk-canary-operator"
    for name, value in {
        "OPENAI_API_KEY": "sk-canary-env", "OPENAI_ADMIN_KEY": "canary-admin", "OPENAI_ORG_ID": "org-canary",
        "OPENAI_PROJECT_ID": "proj-canary", "OPENAI_CUSTOM_HEADERS": "X-Extra: canary", "ANTHROPIC_API_KEY": "canary",
        "ANTHROPIC_AUTH_TOKEN": "canary-token", "ANTHROPIC_CUSTOM_HEADERS": "X-Extra: canary",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    base_url = provider.openai_url if kind == "openai" else provider.anthropic_url
    link = create_connection(project, name="Ours", kind=kind, base_url=base_url, key="sk-ours", actor=None)
    of = judge(project, provider=kind, connection=link)
    job(of)
    judging.work()
    assert only(of).error == ""
    assert provider.calls[0].key == "sk-ours"
    assert "canary" not in str(provider.requests[0].headers)


def test_a_connection_without_a_key_serves_local_models(project: Project, provider: FakeProvider) -> None:
    link = create_connection(project, name="Local", kind="openai", base_url=provider.openai_url, key="", actor=None)
    assert link.key_sealed == ""
    of = judge(project, connection=link)
    job(of)
    assert judging.missing_key(of) == ""
    judging.work()
    assert only(of).score is not None


def test_a_key_that_is_moved_to_another_address_cannot_be_read(project: Project, provider: FakeProvider) -> None:
    link = create_connection(
        project, name="Ours", kind="openai", base_url="https://api.openai.com/v1", key="sk-ours", actor=None
    )
    type(link).objects.filter(pk=link.pk).update(base_url=provider.openai_url)
    of = Judge.objects.get(pk=judge(project, connection=link).pk)
    job(of)
    judging.work()
    assert "enter it again" in judging.missing_key(of)
    assert provider.requests == []
    assert only(of).attempts == 0


def test_the_key_never_shows(project: Project, provider: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    of = judge(project)
    job(of)
    provider.script(faults.status(500), faults.html)
    judging.work()
    assert "sk-openai-canary" not in caplog.text
    assert "sk-openai-canary" not in repr(judging.access_of(of))
    assert "sk-openai-canary" not in only(of).error


# ── Exactly once ─────────────────────────────────────────────────────────────────────────────────────


def _claimed(of: Judge) -> JudgeJob:
    (claimed,) = leases.claim(JudgeJob.objects.filter(judge=of).order_by("id"), limit=1, lease=judging.LEASE)
    return claimed


GOOD = judging.Outcome(judging.Verdict("Right.", 1.0), input_tokens=1, output_tokens=1)


def test_a_worker_that_lost_its_lease_stores_nothing(project: Project) -> None:
    of = judge(project)
    job(of)
    late = _claimed(of)
    JudgeJob.objects.update(leased_until="2020-01-01T00:00:00Z")  # as if it had been killed or stopped
    successor = _claimed(of)
    assert judging.settle(late, GOOD) is False
    assert judging.settle(late, judging.Outcome(error="x", again=True)) is False
    assert Score.objects.count() == 0
    assert judging.settle(successor, GOOD) is True
    assert judging.settle(successor, GOOD) is False
    assert judging.settle(late, GOOD) is False
    assert Score.objects.count() == 1
    assert only(of).attempts == 2


def test_a_crash_between_reply_and_commit_leaves_neither_score_nor_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = judge(project)
    job(of)
    claimed = _claimed(of)
    monkeypatch.setattr(judging, "_spent", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        judging.settle(claimed, GOOD)
    assert Score.objects.count() == 0
    assert only(of).finished_at is None


def test_a_job_that_kills_its_worker_three_times_is_given_up(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    job(of, attempts=3, leased_until="2020-01-01T00:00:00Z")
    job(of, attempts=3)  # put back in order, with attempts left
    job(of, attempts=2, leased_until="2020-01-01T00:00:00Z")
    judging.work()
    assert Counter(JudgeJob.objects.values_list("error", flat=True)) == {
        "The worker stopped 3 times while judging this.": 1, "": 2,
    }  # fmt: skip
    assert len(provider.calls) == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_make_one_score_for_each_job_and_hold_no_transaction_during_calls(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    of = judge(request.getfixturevalue("project"))
    for _ in range(40):
        job(of)
    idle: list[int] = []
    exchange = outbound.exchange

    def watched(*args: Any, **options: Any) -> Any:
        assert not connection.in_atomic_block
        answer = exchange(*args, **options)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND state LIKE 'idle in transaction%' AND state_change < now() - interval '300 ms'"
            )
            idle.append(cursor.fetchone()[0])
        connections.close_all()
        return answer

    monkeypatch.setattr(outbound, "exchange", watched)
    provider.script(*[faults.slow(0.05)] * 10, *[faults.slow(0.4)] * 4)
    # The lock keeps two rounds of one process apart; here they play two processes.
    rounds = [threading.Thread(target=_round_of_its_own) for _ in range(2)]
    for one in rounds:
        one.start()
    for one in rounds:
        one.join(30)
    assert JudgeJob.objects.filter(finished_at__isnull=False, error="").count() == 40
    assert Score.objects.count() == 40
    assert Score.objects.values("interaction").distinct().count() == 40
    assert len(provider.calls) == 40
    assert sum(idle) == 0
    assert provider.most_at_once > 5


def _round_of_its_own() -> None:
    try:
        judging._round(time.monotonic() + 10, 10)
    finally:
        connections.close_all()


def test_a_second_round_in_the_same_process_goes_home(project: Project, provider: FakeProvider) -> None:
    job(judge(project))
    with judging._one_round:
        assert judging.work() is False
    assert provider.calls == []


def test_one_judge_whose_provider_hangs_leaves_places_for_another(
    project: Project, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm, "DEADLINE_SECONDS", 1.0)
    stuck, well = judge(project, model="stuck"), judge(project, slug="well", model="well")
    for _ in range(8):
        job(stuck)
    job(well)
    respond = provider.envelope
    done_at: dict[str, float] = {}

    def slow_for_one(call: Any, reply: Any, **options: Any) -> Any:
        answer = respond(call, reply, **options)
        answer.delay = 30 if call.model == "stuck" else 0
        done_at.setdefault(call.model, time.monotonic())
        return answer

    monkeypatch.setattr(provider, "envelope", slow_for_one)
    started = time.monotonic()
    judging.work(concurrency=8)
    assert only(well).score is not None
    assert done_at["well"] - started < 1.0


# ── Enqueueing ───────────────────────────────────────────────────────────────────────────────────────


def test_a_backfill_takes_the_newest_that_were_not_judged_and_takes_them_once(
    project: Project, other_project: Project
) -> None:
    of = judge(project)
    items = [golden.interaction(project, created_at=f"2026-11-{day:02}T00:00:00Z") for day in range(1, 8)]
    golden.interaction(project, status="error", error_type="timeout", output="")
    golden.interaction(project, output="")
    golden.interaction(other_project)
    job(of, items[6])
    assert judging.not_judged(of).count() == 6
    assert judging.backfill(of, limit=4) == 4
    assert set(JudgeJob.objects.filter(purpose="backfill").values_list("interaction", flat=True)) == {
        item.pk for item in items[2:6]
    }
    assert judging.backfill(of, limit=100) == 2
    assert judging.backfill(of, limit=100) == 0


def test_failed_jobs_can_be_played_again(project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    job(of)
    job(of)
    provider.script(faults.status(400))
    judging.work()
    assert judging.replay(of) == 1
    judging.work()
    assert Score.objects.count() == 2
    assert judging.replay(of) == 0


def test_what_a_used_judge_asks_cannot_change(project: Project) -> None:
    of = judge(project)
    Judge.objects.filter(pk=of.pk).update(criterion="Is it wrong?")
    job(of)
    Judge.objects.filter(pk=of.pk).update(sample_rate=0.1, enabled=False, name="Other name")
    for change in ({"criterion": "Is it blue?"}, {"model": "other"}, {"threshold": 0.9}, {"provider": "anthropic"}):
        with pytest.raises(IntegrityError, match="cannot change"), transaction.atomic():
            Judge.objects.filter(pk=of.pk).update(**change)


def test_a_sealed_key_is_not_in_the_row(project: Project) -> None:
    link = create_connection(
        project, name="Ours", kind="openai", base_url="https://api.openai.com/v1/", key="sk-canary", actor=None
    )
    assert "sk-canary" not in link.key_sealed
    assert link.base_url == "https://api.openai.com/v1"
    assert secrets.unseal(
        link.key_sealed, secrets.place("projects_providerconnection", project.pk, link.base_url)
    ) == "sk-canary"  # fmt: skip
