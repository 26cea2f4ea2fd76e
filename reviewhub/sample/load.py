"""Loads and removes the sample project. What is stored goes through the services that everybody uses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from django.db import transaction

from annotations import clusters, triage
from annotations.models import Cluster, ClusterMember, Task
from evals import analysis, spending
from evals.models import DetectorSetting, Judge, JudgeJob
from feedback import inbox, services
from feedback.models import Inbox, Interaction, Score
from monitoring import buckets
from projects import services as projects
from projects.models import Project
from reviewhub.sample import audit, golden, people, reading, reviews, routing, second, watch
from reviewhub.sample.content import read
from reviewhub.sample.generate import SEED, Traffic, generate
from reviewhub.sample.people import SAMPLE_USERS, Team
from reviewhub.sample.stamps import stamp

__all__ = ["SAMPLE_USERS", "SLUG", "load", "remove"]

SLUG = "sample"
BATCH = 500
# A stage that reads the whole month at once writes each task and each bucket once, not once a batch.
ALL_AT_ONCE = 20_000
# The default of 2 % until the lead wanted to see what prompt 14 would do, a week ahead of it.
SAMPLE_RATES = (0.02, 0.15)
MONTH = timedelta(days=30)
CLOSER_LOOK = timedelta(days=-14)
# The assistants answer in their own words; at the default of 0.4 one good answer in ten would be flagged.
GROUNDEDNESS = 0.14
JUDGE_WAIT = timedelta(seconds=9)
ARRIVES_AFTER, DETECTED_AFTER = timedelta(seconds=1), timedelta(seconds=4)
JUDGE, JUDGE_CRITERION = (
    "faithfulness",
    "Is every statement of the answer supported by the sources or the tool results?",
)


@transaction.atomic
def load(now: datetime | None = None, *, seed: int = SEED, passwords: dict[str, str] | None = None) -> Project:
    """The sample project, made if it is not there yet; a second call changes nothing.

    ``passwords`` by e-mail are given to accounts that are new; the others get none and cannot sign in.
    ValueError where somebody's own project has the sample's address.
    """
    existing = Project.objects.filter(slug=SLUG).first()
    if existing is not None:
        if not existing.is_sample:
            raise ValueError(f"There is a project {SLUG} already, and it is not the sample project.")
        return existing
    now = now or datetime.now(UTC)
    team = people.accounts(passwords or {})
    project = projects.create_project(
        slug=SLUG, name=read().company.project, created_by=team.admin, owner=team.lead, is_sample=True
    )
    people.join(project, team)
    judge = _settings(project, now)
    traffic = generate(now, seed=seed)
    start, middle = now - MONTH, now + CLOSER_LOOK
    routing.set_up(project, team, start)
    second.ask_for_them(project, team)
    stretches = zip(traffic.split(middle), (start, middle), (middle, now), SAMPLE_RATES, strict=True)
    for part, begins, ends, rate in stretches:
        routing.set_rate(project, team, rate, begins)
        _record(project, judge, part)
        _all_stored(services.record_interactions(project, routing.health_checks(begins, ends)))
        inbox.drain(Inbox.Stage.ANALYSE, analysis.analyse, batch=ALL_AT_ONCE)
        triage.run(batch=ALL_AT_ONCE)
    routing.draw_by_feature(project, team)
    _work(project, traffic, team, now, Random(seed))  # noqa: S311
    version = golden.curate(project, team, now)
    golden.run_twice(project, version, traffic, team, now)
    golden.settle_draft(project, team)
    watch.replay(project, team, now)
    return project


@transaction.atomic
def remove() -> None:
    """Deletes the sample project with all that belongs to it, and its people's accounts."""
    project = Project.objects.filter(slug=SLUG, is_sample=True).first()
    if project is not None:
        projects.remove_project(project, actor=None)
    people.remove_accounts()


def _settings(project: Project, now: datetime) -> Judge:
    """What this project's people have set differently; and its judge, under the name of the model that it asks."""
    DetectorSetting.objects.create(project=project, detector="groundedness", threshold=GROUNDEDNESS)
    model = read().model("heron-large-2.1")
    Judge.objects.filter(project=project, slug=JUDGE).update(
        model=model.name, input_price=Decimal(str(model.input_per_million)),
        output_price=Decimal(str(model.output_per_million)), created_at=now - timedelta(days=31),
    )  # fmt: skip
    return Judge.objects.get(project=project, slug=JUDGE)


def _record(project: Project, judge: Judge, traffic: Traffic) -> None:
    """All that came from outside, and the judge's verdicts with the jobs that they came from."""
    for start in range(0, len(traffic.interactions), BATCH):
        _all_stored(services.record_interactions(project, traffic.interactions[start : start + BATCH]))
    _all_stored(services.record_feedback_batch(project, traffic.feedback))
    verdicts = [
        {
            "interaction_id": verdict.ident, "name": judge.slug, "version": str(judge.version),
            "value": verdict.value, "flagged": verdict.flagged, "label": "fail" if verdict.flagged else "pass",
            "explanation": verdict.explanation, "created_at": verdict.at.isoformat(),
            "detail": {"judge": judge.pk, "model": judge.model}, "key": f"sample:{judge.slug}:{verdict.ident}",
        }
        for verdict in traffic.verdicts
    ]  # fmt: skip
    _all_stored(services.record_scores(project, verdicts, source=Score.Source.JUDGE))
    scores = Score.objects.filter(project=project, source=Score.Source.JUDGE, interaction__isnull=False, judge_job=None)
    JudgeJob.objects.bulk_create([_job(judge, score) for score in scores])


def _job(judge: Judge, score: Score) -> JudgeJob:
    """The finished job that a verdict would have come from."""
    asked_at = score.created_at - JUDGE_WAIT
    reads, writes = 900 + 40 * len(score.explanation), 20 + len(score.explanation) // 4
    return JudgeJob(
        project_id=judge.project_id, judge=judge, interaction_id=score.interaction_id or 0, score=score, attempts=1,
        created_at=asked_at, not_before=asked_at, finished_at=score.created_at,
        input_tokens=reads, output_tokens=writes, cost_usd=spending.cost_usd(judge, reads, writes),
    )  # fmt: skip


def _all_stored(outcomes: Sequence[services.Outcome | services.FactOutcome]) -> None:
    for outcome in outcomes:
        if outcome.error:
            raise ValueError(f"item {outcome.index} of the sample was refused: {outcome.error}")


def _work(project: Project, traffic: Traffic, team: Team, now: datetime, rng: Random) -> None:
    """What the reviewers did with the tasks, then the buckets; and the times of all of it."""
    asked = dict(Interaction.objects.filter(project=project).values_list("external_id", "created_at"))
    rows = dict(Interaction.objects.filter(project=project).values_list("pk", "external_id"))
    found = Score.objects.filter(project=project, source=Score.Source.DETECTOR).values_list("pk", "interaction_id")
    stamp(Score, {pk: {"created_at": asked[rows[item]] + DETECTED_AFTER} for pk, item in found})
    tasks = _enqueued(project, traffic, asked)
    votes = reviews.plan(rng, tasks, traffic.exchanges, team, now)
    reviews.cast(project, votes, second.Differences(team, now))
    audit.hold(project, traffic.exchanges, team, now, rng)
    reading.hold(project, traffic.exchanges, team, now, rng)
    inbox.drain(Inbox.Stage.MEASURE, buckets.measure, batch=ALL_AT_ONCE)
    _clustered(project, asked)
    # Only now: while it counts as history that arrived at once, the five-minute buckets of a month are not filled.
    stamp(Interaction, {pk: {"received_at": asked[ident] + ARRIVES_AFTER} for pk, ident in rows.items()})


def _clustered(project: Project, asked: dict[str, datetime]) -> None:
    """The clusters, as if each complaint had joined when it came, counted by that."""
    rows = ClusterMember.objects.filter(cluster__project=project).values_list(
        "pk", "cluster", "interaction__external_id"
    )
    joined = {pk: (cluster, asked[ident] + DETECTED_AFTER) for pk, cluster, ident in rows}
    stamp(ClusterMember, {pk: {"joined_at": at} for pk, (_, at) in joined.items()})
    times: dict[int, list[datetime]] = {}
    for cluster, at in joined.values():
        times.setdefault(cluster, []).append(at)
    stamp(Cluster, {pk: {"started_at": min(found), "newest_at": max(found)} for pk, found in times.items()})
    clusters.recount(list(times))


def _enqueued(project: Project, traffic: Traffic, asked: dict[str, datetime]) -> list[Task]:
    """The tasks, as if each had been made when its first reason came up."""
    complained: dict[str, datetime] = {}
    for body in traffic.feedback:
        if body.get("value") not in {"up", "copied", 4, 5}:
            complained.setdefault(body["interaction_id"], datetime.fromisoformat(body["created_at"]))
    judged = {verdict.ident: verdict.at for verdict in traffic.verdicts if verdict.flagged}
    tasks = list(Task.objects.filter(project=project).select_related("interaction", "queue").order_by("pk"))
    for task in tasks:
        ident = task.interaction.external_id
        came = {"negative-feedback": complained, "flagged": judged}.get(task.queue.slug, asked)
        at = came.get(ident, asked[ident]) + DETECTED_AFTER
        task.enqueued_at, task.due_at = at, at + (task.due_at - task.enqueued_at)
    stamp(Task, {task.pk: {"enqueued_at": task.enqueued_at, "due_at": task.due_at} for task in tasks})
    return tasks
