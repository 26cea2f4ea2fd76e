"""The analyse stage: new interactions get their detector scores once, and judges their share."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evals import analysis, tasks
from evals.detectors import Detector
from evals.models import DetectorSetting, JudgeJob
from feedback.models import Inbox, Interaction, Score
from feedback.services import record_interactions
from projects.models import Project
from tests.evals.judge_work import judge


def send(project: Project, *bodies: dict[str, Any]) -> None:
    outcomes = record_interactions(project, list(bodies))
    assert [outcome.status for outcome in outcomes] == [201] * len(bodies)


def body(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"req-{number}", "input": "What is the fee?", "output": "The fee is 4.90 euros.", **fields}


def scores(project: Project) -> dict[tuple[str, str], bool | None]:
    return {
        (score.interaction_external_id, score.name): score.flagged for score in Score.objects.filter(project=project)
    }


def test_new_interactions_are_scored_once(project: Project) -> None:
    document = {"id": "kb-1", "content": "The account fee is 4.90 euros a month."}
    send(
        project,
        body(1),
        body(2, output="I'm sorry, but I can't help with that."),
        body(3, output=""),
        body(4, documents=[document]),
        body(5, output="Premium customers receive airport lounge vouchers.", documents=[document]),
        body(6, output="{}", output_schema={"type": "object", "required": ["fee"]}),
    )
    tasks.analyse()
    tasks.analyse()
    assert scores(project) == {
        ("req-2", "refusal"): True,
        ("req-3", "malformed"): True,
        ("req-4", "groundedness"): False,
        ("req-5", "groundedness"): True,
        ("req-6", "malformed"): True,
    }
    assert Score.objects.count() == 5
    assert set(Score.objects.values_list("source", "version")) == {("detector", "1")}
    assert not Inbox.objects.filter(stage="analyse").exists()
    assert Inbox.objects.filter(stage="triage", kind="score").count() == 5


def test_a_failed_request_is_not_called_malformed(project: Project) -> None:
    send(project, {"id": "req-1", "input": "Hi", "status": "error", "error": {"type": "timeout", "message": "x"}})
    tasks.analyse()
    assert scores(project) == {}


def test_a_project_switches_detectors_off_and_moves_thresholds(project: Project, other_project: Project) -> None:
    DetectorSetting.objects.create(project=project, detector="malformed", enabled=False)
    DetectorSetting.objects.create(project=project, detector="refusal", threshold=0.99)
    for one in (project, other_project):
        send(one, body(1, output=""), body(2, output="I'm sorry, but I can't help with that."))
    tasks.analyse()
    assert scores(project) == {("req-2", "refusal"): False}
    assert scores(other_project) == {("req-1", "malformed"): True, ("req-2", "refusal"): True}


def test_a_detector_that_fails_costs_the_others_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Detector("broken", "1", "Broken", "", 0.5, lambda subject: 1 / 0)  # type: ignore[arg-type,return-value]
    ours = analysis.detectors()
    monkeypatch.setattr(analysis, "detectors", lambda: (broken, *ours))
    send(project, body(1, output=""))
    tasks.analyse()
    assert scores(project) == {("req-1", "malformed"): True}


def test_an_interaction_that_is_gone_is_passed_over(project: Project) -> None:
    send(project, body(1, output=""), body(2, output=""))
    Interaction.objects.filter(external_id="req-1").delete()
    tasks.analyse()
    assert scores(project) == {("req-2", "malformed"): True}


def test_the_number_of_queries_does_not_grow_with_the_batch(project: Project) -> None:
    judge(project)
    counts = []
    for size, start in ((5, 0), (50, 100)):
        send(project, *[body(start + number, output="") for number in range(size)],
             *[body(start + 50 + number) for number in range(size)])  # fmt: skip
        with CaptureQueriesContext(
            connection,
        ) as queries:
            tasks.analyse()
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_judges_get_their_share_and_the_same_one_each_time(project: Project) -> None:
    half = judge(project, sample_rate=0.5)
    judge(project, slug="never", sample_rate=0)
    judge(project, slug="off", enabled=False)
    send(project, *[body(number) for number in range(200)], body(1000, output=""))
    tasks.analyse()
    jobs = JudgeJob.objects.filter(purpose="live")
    assert {job.judge_id for job in jobs} == {half.pk}
    assert 70 < jobs.count() < 130
    drawn = {job.interaction_id for job in jobs}
    successor = judge(project, slug=half.slug, version=2, sample_rate=0.5, enabled=False)
    assert {item.pk for item in Interaction.objects.all() if analysis.drawn(successor, item)} == drawn


def test_a_new_project_has_a_judge_that_sends_nothing_by_itself(project: Project) -> None:
    (default,) = project.judges.all()
    assert (default.slug, default.sample_rate, default.enabled) == ("faithfulness", 0.0, True)
    send(project, body(1))
    tasks.analyse()
    assert JudgeJob.objects.count() == 0
