"""Calibration: parts, thresholds, corrected rates, biases, drift; and how the page keeps the test part shut."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotations.models import Label
from evals import calibration, tasks
from evals.calibration import DEV, TEST, TRAIN, Pair, part_of
from evals.judge_agreement import Agreement
from evals.models import CalibrationRead, Judge
from projects import webhooks
from projects.models import AuditEntry, Delivery, Project
from tests import realdata
from tests.evals.judge_work import judge
from tests.evals.test_judge_pages import BrowserOf, judged, page, post
from tests.fakes.provider import FakeProvider

NOW = timezone.now()


def pair(score: float, fails: bool, *, threshold: float = 0.5, **fields: Any) -> Pair:
    values = {"job": 1, "part": DEV, "length": 100, "settled_at": NOW, **fields}
    return Pair(score=score, flagged=score < threshold, fails=fails, **values)


def test_sessions_are_split_whole_and_for_good() -> None:
    parts = [part_of(f"s{n}", "") for n in range(10_000)]
    shares = {name: parts.count(name) / 10_000 for name in (TRAIN, DEV, TEST)}
    assert shares == pytest.approx({TRAIN: 0.15, DEV: 0.45, TEST: 0.40}, abs=0.02)
    assert part_of("s1", "a") == part_of("s1", "b") == part_of("", "s1")
    # Were these to change, labels would wander from test to dev.
    assert [part_of("", name) for name in ("req-1", "req-2", "req-3", "req-4")] == [DEV, DEV, TEST, TRAIN]


def test_the_threshold_is_where_the_weaker_rate_is_best() -> None:
    dev = [pair(0.6, True)] * 20 + [pair(0.2, True)] * 5 + [pair(0.9, False)] * 30 + [pair(0.7, False)] * 10
    found = calibration.best_threshold(dev)
    assert found
    assert (found.value, found.finds, found.clears) == (0.65, 1.0, 1.0)
    assert calibration.best_threshold(dev[:20]) is None


def test_the_corrected_rate_of_the_published_example() -> None:
    """judgy 0.1 on its own example, and Rogan and Gladen by hand: (0.2 + 0.9 − 1) / (0.8 + 0.9 − 1)."""
    found = calibration.corrected_pass_rate(200, 1000, Agreement(80, 20, 10, 90))
    assert found
    assert 1 - found.value == pytest.approx(0.1 / 0.7)
    assert found.low < found.value < found.high
    assert calibration.corrected_pass_rate(200, 1000, Agreement(50, 50, 50, 50)) is None  # chance
    assert calibration.corrected_pass_rate(0, 0, Agreement(80, 20, 10, 90)) is None


@pytest.mark.parametrize(("fails", "tpr", "tnr"), [(0.1, 0.8, 0.93), (0.3, 0.7, 0.9), (0.05, 0.95, 0.85)])
def test_intervals_of_corrected_rates_cover_the_truth(fails: float, tpr: float, tnr: float) -> None:
    chance = random.Random(20261121)
    hits, rounds = 0, 1500
    for _ in range(rounds):
        found = sum(chance.random() < tpr for _ in range(80))
        cleared = sum(chance.random() < tnr for _ in range(160))
        flagged = sum(chance.random() < (tpr if chance.random() < fails else 1 - tnr) for _ in range(800))
        one = calibration.corrected_pass_rate(flagged, 800, Agreement(found, 80 - found, 160 - cleared, cleared))
        assert one
        hits += one.low <= 1 - fails <= one.high
    assert 0.93 <= hits / rounds <= 0.98


def test_a_difference_is_newcombes() -> None:
    """Table II of the paper, (a): 56/70 less 48/80, method 10: 0.0524 to 0.3339."""
    found = calibration.difference(56, 70, 48, 80)
    assert found
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert calibration.difference(1, 2, 0, 0) is None


def test_a_judge_that_likes_long_answers_is_found_out_and_one_that_does_not_is_not() -> None:
    chance = random.Random(7)
    fair, fond = [], []
    for number in range(400):
        length, fails = chance.randrange(100, 2000), chance.random() < 0.3
        fair.append(pair(0.2 if fails else 0.8, fails, length=length, job=number))
        fond.append(pair(0.9 if length > 1000 or not fails else 0.1, fails, length=length, job=number))
    assert calibration.verbosity(fair) is not None
    assert not calibration.verbosity(fair).certain  # type: ignore[union-attr]
    found = calibration.verbosity(fond)
    assert found
    assert found.certain
    assert found.value > 0.1
    assert calibration.verbosity(fond[:20]) is None


def test_a_judge_that_drifts_from_people_is_noticed_and_noise_is_not() -> None:
    old = NOW - timedelta(days=60)
    before = [pair(0.1, True, settled_at=old)] * 90 + [pair(0.9, True, settled_at=old)] * 10
    good = [pair(0.1, True)] * 36 + [pair(0.9, True)] * 4
    bad = [pair(0.1, True)] * 20 + [pair(0.9, True)] * 20
    assert not calibration.drift([*before, *good], NOW).certain  # type: ignore[union-attr]
    found = calibration.drift([*before, *bad], NOW)
    assert found
    assert found.high < 0
    assert calibration.due(NOW, found, NOW).startswith("it agrees with people 40% less often")
    assert calibration.drift([*before, *good[:29]], NOW) is None
    assert "91 days ago" in calibration.due(NOW - timedelta(days=91), None, NOW)
    assert calibration.due(None, found, NOW) == calibration.due(NOW, None, NOW) == ""


def test_reliability_compares_scores_with_shares_of_passes() -> None:
    exact = [pair(0.9, False)] * 36 + [pair(0.9, True)] * 4
    bins, error = calibration.reliability(exact)
    assert error == pytest.approx(0.0, abs=1e-12)
    assert [(one.n, one.passes) for one in bins] == [(40, 0.9)]
    assert calibration.reliability([pair(0.9, True)] * 40)[1] == pytest.approx(0.9)
    assert calibration.reliability(exact[:10])[1] is None


@pytest.mark.data
def test_recorded_judges_of_refusals_have_the_figures_that_were_published() -> None:
    """XSTest dev: GPT-4's TPR 0.7119 [0.6801, 0.7417] and TNR 0.9539 [0.9356, 0.9672] on any refusal."""
    cells = Agreement(588, 238, 32, 662)
    assert sum(1 for _ in realdata.records("xstest")) == cells.pairs
    assert cells.finds_fails.value == pytest.approx(0.7119, abs=5e-5)
    assert cells.finds_fails.interval == pytest.approx((0.6801, 0.7417), abs=5e-5)
    assert cells.clears_passes.interval == pytest.approx((0.9356, 0.9672), abs=5e-5)


# ── The page ─────────────────────────────────────────────────────────────────────────────────────────


def in_part(of: Judge, part: str, score: float, verdict: str) -> None:
    judged(of, score, verdict, part=part)


def good_test(of: Judge) -> None:
    for _ in range(40):
        in_part(of, TEST, 0.1, "fail")
        in_part(of, TEST, 0.9, "pass")


def test_the_test_part_is_shut_until_it_is_read_and_read_once(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    of = judge(project)
    good_test(of)
    client = browser_of("engineer")
    text = page(client, "judges/correct/")
    assert "0 of 30 labels" in text  # nothing of the test part shows
    assert "80 labels wait" in text
    assert page(client, "judges/correct/?cell=found").count("data-row") == 0
    post(client, "judges/correct/calibrate/")
    row = CalibrationRead.objects.get(judge=of)
    assert (row.found, row.missed, row.false_alarms, row.cleared) == (40, 0, 0, 40)
    assert AuditEntry.objects.filter(action="judge.test_read").count() == 1
    for _ in range(5):
        in_part(of, TEST, 0.9, "fail")
    post(client, "judges/correct/calibrate/")
    assert CalibrationRead.objects.get().missed == 0
    assert AuditEntry.objects.filter(action="judge.test_read").count() == 1
    assert "Meets the bar" in page(client, "judges/correct/")


def test_a_test_part_with_too_few_labels_stays_shut(browser_of: BrowserOf, project: Project) -> None:
    of = judge(project)
    for _ in range(10):
        in_part(of, TEST, 0.1, "fail")
    post(browser_of("engineer"), "judges/correct/calibrate/")
    assert not CalibrationRead.objects.exists()


def test_a_judge_that_misses_does_not_meet_the_bar(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    of = judge(project)
    for _ in range(20):
        in_part(of, TEST, 0.1, "fail")
        in_part(of, TEST, 0.9, "fail")
        in_part(of, TEST, 0.9, "pass")
    post(browser_of("engineer"), "judges/correct/calibrate/")
    assert "Does not meet the bar" in page(browser_of("viewer"), "judges/correct/")


def test_the_page_shows_threshold_corrected_rate_and_reliability(browser_of: BrowserOf, project: Project) -> None:
    of = judge(project)
    for _ in range(20):
        in_part(of, DEV, 0.55, "fail")
        in_part(of, DEV, 0.2, "fail")
        in_part(of, DEV, 0.95, "pass")
        in_part(of, DEV, 0.9, "pass")
    text = page(browser_of("viewer"), "judges/correct/")
    assert "At 0.73 it would find" in text
    assert "Corrected quality" in text
    assert "judge alone says" in text
    assert "ECE" in text
    assert "long answers" in text


def test_drift_from_people_is_an_alarm(browser_of: BrowserOf, project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    for _ in range(20):
        in_part(of, DEV, 0.1, "fail")
        in_part(of, DEV, 0.9, "pass")
    Label.objects.update(settled_at=timezone.now() - timedelta(days=40))
    CalibrationRead.objects.create(judge=of, found=20, missed=0, false_alarms=0, cleared=20)
    for _ in range(30):
        in_part(of, DEV, 0.9, "fail")
    assert "Calibrate it again" in page(browser_of("viewer"), "judges/correct/")
    webhooks.create(project, url="https://hooks.example.com/x", events=["judge.due"], actor=None)
    tasks.watch_judges()
    tasks.watch_judges()
    (told,) = Delivery.objects.values_list("event", "payload")
    assert told == ("judge.due", {"judge": "correct", "version": of.version, "drift": -1.0})
    assert "calibrate it again" in page(browser_of("viewer"), "judges/")
    Label.objects.filter(settled_at__gt=timezone.now() - timedelta(days=28)).delete()
    tasks.watch_judges()
    assert "calibrate it again" not in page(browser_of("viewer"), "judges/")


def test_queries_do_not_grow_with_labels(browser_of: BrowserOf, project: Project) -> None:
    of = judge(project)
    client, counts = browser_of("engineer"), []
    for _ in range(2):
        good_test(of)
        for _ in range(20):
            in_part(of, DEV, 0.2, "fail")
            in_part(of, DEV, 0.8, "pass")
        with CaptureQueriesContext(connection) as queries:
            page(client, "judges/correct/")
        counts.append(len(queries))
    assert counts[0] == counts[1]
