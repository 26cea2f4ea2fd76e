"""Kills at random while batches are sent, looked for and stored: each item ends once, and the provider is paid once.

The worker is another process on the test's own database and dies by SIGKILL, as in ``test_judge_kills``.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum

from evals import batches, judges, judging, spending
from evals.models import Judge, JudgeBatch, JudgeCall, JudgeJob, Spend
from feedback.models import Score
from projects.models import Project
from tests.evals import golden
from tests.evals.judge_work import judge
from tests.evals.test_judge_kills import Provider, worker
from tests.fakes import batches as downloads
from tests.fakes.provider import FakeProvider
from tests.fakes.server import Answer


class BatchProvider(Provider):
    """Batches of which a quarter of the requests come to nothing, beside single calls that meet faults."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        chance = self.chance
        self.batches.outcome = lambda name: chance.choice(("", "", "", "", "", "", "expired", "errored", "missing"))
        self.batches.creating.extend([Answer(hang_up=True), Answer(200, b"<html>")])
        self.batches.refusing.extend([Answer(429, headers={"Retry-After": "0"}), Answer(500)])
        self.batches.downloads.extend([downloads.half, downloads.page])

    def respond(self, request: Any) -> Answer:
        if self._read(request) is not None:
            return super().respond(request)
        return FakeProvider.respond(self, request)


def taken(of: Judge) -> Decimal:
    spend = Spend.objects.filter(judge=of, period="day").first() or Spend()
    return Decimal(spend.reserved_usd + spend.settled_usd + spend.unknown_usd)


def ordeal(project: Project, items: int, kills: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("REVIEWHUB_KILL_SEED") or random.SystemRandom().randrange(2**32))
    chance = random.Random(seed)
    monkeypatch.setattr(batches, "ITEMS", 20)
    with BatchProvider(seed) as provider:
        monkeypatch.setattr("django.conf.settings.BATCH_HOSTS", ["127.0.0.1"])
        monkeypatch.setattr("django.conf.settings.OPENAI_BASE_URL", provider.openai_url)
        of = judge(project)
        for _ in range(items):
            golden.interaction(project)
        assert judges.start_backfill(of, limit=items, actor=None, batch=True) == items
        prompt = judging.prompt_for(of, JudgeJob.objects.all()[0].interaction)
        most = spending.most_of(of, prompt, batched=True)
        assert most
        cap = most * 50  # of a few batches at once
        Judge.objects.filter(pk=of.pk).update(day_cap_usd=cap)
        began, killed, next_kill = time.monotonic(), 0, 1.0
        with worker(provider) as process:
            assert process.stdout
            child = int(process.stdout.readline())
            while JudgeJob.objects.filter(finished_at=None).exists() or killed < kills:
                after = time.monotonic() - began
                left = list(JudgeBatch.objects.exclude(state="ended").values_list("state", "error"))
                assert after < seconds, f"seed {seed}: {left} after {seconds} s"
                assert taken(of) <= cap, f"seed {seed}"
                time.sleep(0.03)
                if killed < kills and after > next_kill:
                    os.kill(child, signal.SIGKILL)
                    killed, next_kill = killed + 1, after + chance.uniform(0.2, 1.2)
                    child = int(process.stdout.readline())
                elif killed == kills and cap < 50:
                    cap = Decimal(50)
                    Judge.objects.filter(pk=of.pk).update(day_cap_usd=cap)
        time.sleep(2)  # the last calls of the dead
        spending.give_up_lost()
        story = f"seed {seed}: {killed} kills, {len(provider.batches.made)} batches, {len(provider.calls)} calls"
        scores = Score.objects.filter(source="judge")
        assert set(Counter(scores.values_list("interaction", flat=True)).values()) == {1}, story
        assert scores.count() == JudgeJob.objects.filter(error="").count() > items * 0.7, story
        assert not JudgeJob.objects.exclude(batch=None).exists(), story
        # Whatever was killed or hung up, the provider has none that was not found again.
        assert set(provider.batches.made) == set(JudgeBatch.objects.exclude(name="").values_list("name", flat=True)), (
            story
        )
        assert not JudgeCall.objects.filter(state="open").exists(), story
        day = Spend.objects.get(judge=of, period="day")
        sums = JudgeCall.objects.aggregate(settled=Sum("settled_usd"), unknown=Sum("unknown_usd"))
        assert (day.reserved_usd, day.settled_usd, day.unknown_usd) == (0, sums["settled"], sums["unknown"]), story
        one, half = (spending.cost_usd(of, *provider.usage, batched=batched) for batched in (False, True))
        assert one
        assert half
        charged = one * provider.charged + half * provider.batches.charged
        assert day.settled_usd <= charged <= day.settled_usd + day.unknown_usd, story


@pytest.mark.django_db(transaction=True)
def test_kills_lose_no_batch_and_pay_for_none_unseen(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ordeal(project, 100, 5, 150, monkeypatch)


@pytest.mark.nightly
@pytest.mark.django_db(transaction=True)
def test_a_thousand_results_of_batches_after_twenty_kills(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ordeal(project, 1000, 20, 600, monkeypatch)
