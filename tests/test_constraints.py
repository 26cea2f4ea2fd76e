"""Each database constraint is violated once: a constraint that nothing can break is not there."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from annotations.models import Annotation, Claim, FailureMode, Label, Queue, Rubric, Task, TriageRule
from evals.models import Dataset, DatasetVersion, DetectorSetting, Example, Judge, JudgeJob, Result, Run
from feedback.models import Feedback, Inbox, Interaction, Score, Span, TelemetrySpan, TelemetryTrace
from monitoring.models import Alert, AlertRule, MetricBucket
from projects import audit, services
from projects.models import (
    ApiKey,
    AuditEntry,
    Delivery,
    Membership,
    Project,
    ProviderConnection,
    RateCounter,
    User,
    Webhook,
)
from tests.factories import ProjectFactory, UserFactory

NOW = timezone.now()
APPS = ["projects", "feedback", "annotations", "evals", "monitoring"]


class World:
    """The smallest valid row of every model, made when first asked for."""

    def __init__(self) -> None:
        self.project: Project = ProjectFactory(slug="bare")
        self.user: User = UserFactory()
        self._made: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._made:
            model, fields = VALID[name]
            self._made[name] = model.objects.create(**fields(self))
        return self._made[name]


VALID: dict[str, tuple[type[models.Model], Callable[[World], dict[str, Any]]]] = {
    "membership": (Membership, lambda w: {"project": w.project, "user": w.user, "role": "viewer"}),
    "key": (ApiKey, lambda w: {"project": w.project, "kind": "sk", "name": "k", "public_id": "a", "digest": b"1"}),
    "connection": (
        ProviderConnection,
        lambda w: {"project": w.project, "name": "c", "kind": "openai", "base_url": "https://a.example"},
    ),
    "webhook": (
        Webhook, lambda w: {"project": w.project, "url": "https://a.example", "events": [], "secret_sealed": "x"}
    ),
    "delivery": (Delivery, lambda w: {"webhook": w.webhook, "event": "e", "payload": {}}),
    "counter": (RateCounter, lambda w: {"key": "k", "window": 1, "count": 1, "ends_at": NOW}),
    "interaction": (
        Interaction,
        lambda w: {"project": w.project, "external_id": "i", "created_at": NOW, "messages": [], "fingerprint": b"f"},
    ),
    "span": (Span, lambda w: {"interaction": w.interaction, "external_id": "s", "name": "n"}),
    "feedback": (
        Feedback,
        lambda w: {
            "project": w.project, "interaction_external_id": "i", "kind": "thumbs", "number": 1, "key": "k",
            "fingerprint": b"f", "created_at": NOW,
        },
    ),
    "score": (
        Score,
        lambda w: {
            "project": w.project, "interaction_external_id": "i", "name": "n", "source": "api", "value": 1.0,
            "key": "k", "fingerprint": b"f",
        },
    ),
    "inbox": (Inbox, lambda w: {"stage": "triage", "kind": "score", "project_id": w.project.pk, "object_id": 1}),
    "trace": (TelemetryTrace, lambda w: {"project": w.project, "trace_id": "t"}),
    "telemetry_span": (TelemetrySpan, lambda w: {"trace": w.trace, "span_id": "s", "rank": "r", "body": {}}),
    "queue": (Queue, lambda w: {"project": w.project, "slug": "q", "name": "Q"}),
    "rule": (
        TriageRule, lambda w: {"project": w.project, "queue": w.queue, "slug": "r", "name": "R", "condition": {}}
    ),
    "task": (
        Task,
        lambda w: {
            "project": w.project, "queue": w.queue, "interaction": w.interaction, "lane": "risk", "due_at": NOW,
        },
    ),
    "claim": (Claim, lambda w: {"task": w.task, "reviewer": w.user, "expires_at": NOW}),
    "mode": (FailureMode, lambda w: {"project": w.project, "slug": "m", "label": "M", "digit": "z"}),
    "rubric": (Rubric, lambda w: {"project": w.project, "version": 99, "snapshot": []}),
    "annotation": (
        Annotation,
        lambda w: {
            "project": w.project, "task": w.task, "reviewer": w.user, "rubric": w.rubric, "verdict": "pass",
            "submission_id": uuid.UUID(int=1), "fingerprint": b"f",
        },
    ),
    "label": (
        Label,
        lambda w: {
            "project": w.project, "interaction": w.interaction, "verdict": "pass", "settled_by": "single",
            "rubric_version": 1,
        },
    ),
    "setting": (DetectorSetting, lambda w: {"project": w.project, "detector": "d"}),
    "judge": (
        Judge,
        lambda w: {
            "project": w.project, "slug": "j", "name": "J", "criterion": "?", "provider": "openai", "model": "m",
        },
    ),
    "job": (JudgeJob, lambda w: {"project": w.project, "judge": w.judge, "interaction": w.interaction}),
    "dataset": (Dataset, lambda w: {"project": w.project, "slug": "d", "name": "D"}),
    "version": (DatasetVersion, lambda w: {"dataset": w.dataset, "number": 1}),
    "example": (Example, lambda w: {"version": w.version, "key": "e", "split": "dev", "input": {}, "expected": {}}),
    "run": (Run, lambda w: {"project": w.project, "version": w.version, "candidate": "c"}),
    "result": (Result, lambda w: {"run": w.run, "example_key": "e", "passed": True, "fingerprint": b"f"}),
    "bucket": (MetricBucket, lambda w: {"project": w.project, "metric": "m", "width": 300, "start": NOW}),
    "alertrule": (
        AlertRule,
        lambda w: {"project": w.project, "name": "bare", "metric": "m", "op": ">", "threshold": 1.0},
    ),
    "alert": (Alert, lambda w: {"rule": w.alertrule, "value": 1.0, "worst": 1.0}),
}  # fmt: skip


def again(name: str, **changes: Any) -> Callable[[World], object]:
    """A second row beside the valid one, which stays."""

    def act(world: World) -> object:
        getattr(world, name)
        model, fields = VALID[name]
        return model.objects.create(**{**fields(world), **changes})

    return act


def new(name: str, **changes: Any) -> Callable[[World], object]:
    """A row that is valid but for these changes."""

    def act(world: World) -> object:
        model, fields = VALID[name]
        return model.objects.create(**{**fields(world), **changes})

    return act


VIOLATIONS: dict[str, Callable[[World], object]] = {
    "user_email_lower_case": lambda w: User.objects.create(email="Upper@example.com"),
    "membership_once_per_project": again("membership"),
    "membership_role_known": new("membership", role="owner"),
    "apikey_kind_known": new("key", kind="xx"),
    "apikey_personal_iff_user": new("key", kind="pat"),
    "apikey_publishable_without_scopes": new("key", kind="pk", scopes=["read"]),
    "connection_name_once": again("connection"),
    "connection_kind_known": new("connection", kind="other"),
    "delivery_event_once": lambda w: Delivery.objects.create(
        webhook=w.webhook, event_id=w.delivery.event_id, event="e", payload={}
    ),
    "delivery_ends_once": new("delivery", delivered_at=NOW, dead_at=NOW),
    "ratecounter_once": again("counter"),
    "interaction_id_once": again("interaction"),
    "interaction_status_known": new("interaction", status="meh"),
    "interaction_latency_positive": new("interaction", latency_ms=-1),
    "interaction_cost_positive": new("interaction", cost_usd=-1),
    "span_id_once": again("span"),
    "span_kind_known": new("span", kind="odd"),
    "feedback_key_once": again("feedback", kind="comment"),
    "feedback_one_vote_counts": again("feedback", key="other"),
    "feedback_kind_known": new("feedback", kind="odd"),
    "feedback_thumbs_range": new("feedback", number=2),
    "score_key_once": again("score"),
    "score_says_something": new("score", value=None),
    "inbox_stage_known": new("inbox", stage="odd"),
    "inbox_kind_known": new("inbox", kind="odd"),
    "trace_once": again("trace"),
    "telemetry_span_once": again("telemetry_span"),
    "queue_slug_once": again("queue"),
    "queue_overlap_range": new("queue", overlap=0),
    "queue_sla_ordered": new("queue", sla_min_hours=5, sla_max_hours=4),
    "queue_kind_known": new("queue", kind="odd"),
    "rule_slug_once": again("rule"),
    "rule_rate_is_share": new("rule", rate=1.5),
    "task_once_per_queue": again("task", state="done", done_at=NOW),
    "task_one_open": lambda w: Task.objects.create(
        project=w.project,
        interaction=w.task.interaction,
        lane="risk",
        due_at=NOW,
        queue=Queue.objects.create(project=w.project, slug="second", name="Second"),
    ),
    "task_ended_iff_not_open": new("task", state="done"),
    "task_never_overfull": new("task", taken=2),
    "task_score_range": new("task", score=101),
    "task_sampled_with_p": new("task", sampled=True),
    "task_state_known": new("task", state="odd", done_at=NOW),
    "claim_once_per_reviewer": again("claim"),
    "claim_ended_iff_not_leased": new("claim", state="submitted"),
    "claim_state_known": new("claim", state="odd", ended_at=NOW),
    "mode_slug_once": again("mode", digit=""),
    "mode_key_once": again("mode", slug="other"),
    "mode_severity_range": new("mode", default_severity=5),
    "rubric_version_once": again("rubric"),
    "annotation_submission_once": again("annotation", state="surplus"),
    "annotation_one_vote_counts": again("annotation", submission_id=uuid.UUID(int=2)),
    "annotation_verdict_known": new("annotation", verdict="odd"),
    "annotation_severity_range": new("annotation", severity=0),
    "annotation_ended_iff_retracted": new("annotation", state="retracted"),
    "label_one_current": again("label"),
    "label_settled_how": new("label", settled_by="luck"),
    "detector_setting_once": again("setting"),
    "judge_version_once": again("judge", enabled=False),
    "judge_one_enabled": again("judge", version=2),
    "judge_rate_is_share": new("judge", sample_rate=2),
    "judge_threshold_range": new("judge", threshold=2),
    "judgejob_once": again("job"),
    "judgejob_outcome_iff_finished": new("job", error="x"),
    "dataset_slug_once": again("dataset"),
    "version_number_once": again("version", frozen_at=NOW, checksum="x", count=0),
    "version_one_draft": again("version", number=2),
    "version_frozen_iff_checksum": new("version", frozen_at=NOW),
    "example_key_once": again("example"),
    "run_ended_iff_not_running": new("run", state="finished"),
    "run_verdict_when_finished": new("run", verdict="pass"),
    "run_baseline_is_finished": new("run", approved_at=NOW),
    "result_once": again("result"),
    "result_judged_or_error": new("result", passed=None),
    "bucket_once": again("bucket"),
    "bucket_counts_positive": new("bucket", n=-1),
    "alertrule_name_once": again("alertrule"),
    "alertrule_op_known": new("alertrule", op="="),
    "alertrule_minutes_range": new("alertrule", minutes=1),
    "alert_one_open": again("alert"),
    "alert_closes_later": new("alert", opened_at=NOW, closed_at=NOW - timedelta(1)),
}


def constraints() -> list[str]:
    return sorted(
        constraint.name
        for app in APPS
        for model in apps.get_app_config(app).get_models()
        for constraint in model._meta.constraints
    )


def test_every_constraint_has_its_violation() -> None:
    assert constraints() == sorted(VIOLATIONS)


@pytest.mark.parametrize("name", sorted(VIOLATIONS))
def test_the_database_refuses(name: str, db: None) -> None:
    world = World()
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        VIOLATIONS[name](world)


@pytest.mark.parametrize("name", sorted(VALID))
def test_and_takes_the_row_that_is_valid(name: str, db: None) -> None:
    assert getattr(World(), name).pk


def test_the_audit_log_can_only_grow(project: Project) -> None:
    audit.record(project, None, "something", by="test")
    entry = AuditEntry.objects.filter(project=project).latest("id")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).update(action="nothing")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        entry.delete()


@pytest.mark.parametrize(
    "change",
    [
        lambda v: Example.objects.filter(version=v).update(expected={"output": "other"}),
        lambda v: Example.objects.filter(version=v).delete(),
        lambda v: Example.objects.create(version=v, key="late", split="dev", input={}, expected={}),
        lambda v: DatasetVersion.objects.filter(pk=v.pk).update(note="other"),
        lambda v: DatasetVersion.objects.filter(pk=v.pk).update(frozen_at=None, checksum="", count=None),
        lambda v: DatasetVersion.objects.filter(pk=v.pk).delete(),
    ],
)
def test_a_frozen_version_can_neither_change_nor_go(change: Callable[[DatasetVersion], object], db: None) -> None:
    world = World()
    assert world.example.pk
    DatasetVersion.objects.filter(pk=world.version.pk).update(frozen_at=NOW, checksum="x", count=1)
    with pytest.raises(IntegrityError, match="frozen"), transaction.atomic():
        change(world.version)


def test_removing_a_project_removes_its_frozen_versions_too(db: None) -> None:
    world = World()
    assert all(getattr(world, name).pk for name in VALID)
    DatasetVersion.objects.filter(pk=world.version.pk).update(frozen_at=NOW, checksum="x", count=1)
    services.remove_project(world.project, actor=None)
    assert not Example.objects.exists()
    assert not Interaction.objects.exists()
