"""Kills at random while a provider misbehaves: each item ends once, and nothing is spent above the cap.

The worker is another process on the test's own database and dies by SIGKILL. The provider keeps the ledger.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Now

from evals import spending
from evals.models import Judge, JudgeCall, JudgeJob, Spend
from feedback.models import Score
from projects.models import Project
from tests.evals import golden
from tests.evals.judge_work import judge
from tests.fakes import provider as faults
from tests.fakes.provider import Call, FakeProvider
from tests.fakes.server import Answer

ROOT = Path(__file__).resolve().parent.parent.parent
FREE = (faults.busy(), faults.busy(retry_after=0.05), faults.status(500))
CHARGED = (
    faults.html, faults.truncated, faults.nan, faults.huge, faults.drip(0.05), faults.hang, faults.hang_up,
    faults.says({"reasoning": "x", "score": 0.9, "extra": 1}), faults.empty,
)  # fmt: skip
# Reached by the first dozen of attempts whose cost nobody knows, whatever the seed; and about what one reserves.
FIRST_CAP, ONE_ATTEMPT = Decimal("0.05"), Decimal("0.004")


class Provider(FakeProvider):
    """Every third call meets a fault. Charges for all that it worked on, whoever reads the answer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.charged = 0

    def respond(self, request: Any) -> Answer:
        call = self._read(request)
        assert call is not None
        with self._lock:
            self.calls.append(call)
            fault = self.chance.choice((*FREE, *CHARGED)) if self.chance.random() < 0.3 else None
            self.charged += fault not in FREE
        return fault(self, call) if fault else self._good(call)

    def _good(self, call: Call) -> Answer:
        answer = self.envelope(call, faults.VERDICT)
        answer.delay = 0.02
        return answer


@contextmanager
def worker(provider: FakeProvider) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", "DJANGO_SETTINGS_MODULE": "reviewhub.settings",
        "SECRET_KEY": "x" * 50, "JUDGE_WORKER_DATABASE": str(connection.settings_dict["NAME"]),
        "OPENAI_API_KEY": "sk-fake", "OPENAI_BASE_URL": provider.openai_url,
        "REVIEWHUB_OUTBOUND_ALLOW": "127.0.0.1",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.evals.judge_worker"], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(10)


def ordeal(
    project: Project, items: int, kills: int, seconds: float, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("REVIEWHUB_KILL_SEED") or random.SystemRandom().randrange(2**32))
    chance = random.Random(seed)
    with Provider(seed) as provider:
        of = judge(project)
        jobs = [JudgeJob(project=project, judge=of, interaction=golden.interaction(project)) for _ in range(items)]
        JudgeJob.objects.bulk_create(jobs)
        Judge.objects.filter(pk=of.pk).update(day_cap_usd=FIRST_CAP)
        done = killed = 0
        began = time.monotonic()
        rested = False
        with worker(provider) as process:
            assert process.stdout
            child = int(process.stdout.readline())
            while done < items:
                assert time.monotonic() - began < seconds, f"seed {seed}: {done} of {items} after {seconds} s"
                time.sleep(0.03)
                done = JudgeJob.objects.filter(finished_at__isnull=False).count()
                spend = Spend.objects.get_or_create(
                    project=project, judge=of, period="day", starts=spending.today()
                )[0]  # fmt: skip
                of.refresh_from_db()
                taken = spend.reserved_usd + spend.settled_usd + spend.unknown_usd
                assert taken <= (of.day_cap_usd or 0), f"seed {seed}"
                if killed < kills and done >= items * (killed + chance.random()) / (kills + 1):
                    os.kill(child, signal.SIGKILL)
                    killed += 1
                    child = int(process.stdout.readline())
                # The next attempt does not fit any more: nothing starts until the cap is lifted.
                if not rested and taken > FIRST_CAP - ONE_ATTEMPT and not JudgeJob.objects.filter(
                    leased_until__gt=Now()
                ).exists():  # fmt: skip
                    rested = True
                    assert _ledger(of, provider) <= FIRST_CAP
                    Judge.objects.filter(pk=of.pk).update(day_cap_usd=50)
        time.sleep(2)  # the last calls of the dead
        spending.give_up_lost()
        story = f"seed {seed}: {killed} kills, {len(provider.calls)} calls, {time.monotonic() - began:.0f} s"
        assert (killed, rested) == (kills, True), story
        scores = Score.objects.filter(source="judge")
        assert set(Counter(scores.values_list("interaction", flat=True)).values()) == {1}, story
        ended = Counter(bool(error) for error in JudgeJob.objects.values_list("error", flat=True))
        assert JudgeJob.objects.filter(finished_at__isnull=False).count() == items, story
        assert scores.count() == ended[False] == JudgeJob.objects.filter(score__isnull=False).count(), story
        assert ended[False] > items * 0.7, f"{story}: {ended}"
        record_property("story", story)
        assert not JudgeCall.objects.filter(state="open").exists(), story
        day = Spend.objects.get(project=project, judge=of, period="day")
        sums = JudgeCall.objects.aggregate(settled=Sum("settled_usd"), unknown=Sum("unknown_usd"))
        assert (day.reserved_usd, day.settled_usd, day.unknown_usd) == (0, sums["settled"], sums["unknown"]), story
        assert day.settled_usd <= _ledger(of, provider) <= day.settled_usd + day.unknown_usd, story


def _ledger(of: Judge, provider: Any) -> Decimal:
    one = spending.cost_usd(of, *provider.usage)
    assert one
    return one * int(provider.charged)


@pytest.mark.django_db(transaction=True)
def test_kills_and_faults_cost_no_result_and_no_cent_above_the_cap(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    ordeal(project, 120, 5, 120, record_property)


@pytest.mark.nightly
@pytest.mark.django_db(transaction=True)
def test_a_thousand_results_each_once_after_twenty_kills(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    ordeal(project, 1000, 20, 600, record_property)
