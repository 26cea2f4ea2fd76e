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

from annotations.models import (
    Adjudication,
    Annotation,
    Audit,
    AuditItem,
    Backfill,
    Claim,
    Cluster,
    ClusterMember,
    FailureMode,
    Label,
    NoteGroup,
    Question,
    Queue,
    QueueMember,
    Rubric,
    StratumRate,
    Task,
    TriageRevision,
    TriageRule,
    Turn,
)
from evals.models import (
    Dataset,
    DatasetVersion,
    DetectorSetting,
    Example,
    Judge,
    JudgeBatch,
    JudgeBudget,
    JudgeCall,
    JudgeJob,
    ProviderState,
    Replay,
    ReplayAttempt,
    Result,
    Run,
    Spend,
)
from feedback.models import Feedback, Inbox, Interaction, SavedView, Score, Span, TelemetryChunk, TelemetryTrace
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
    "telemetry_chunk": (TelemetryChunk, lambda w: {"trace": w.trace, "digest": b"d", "body": "[]"}),
    "view": (SavedView, lambda w: {"project": w.project, "owner": w.user, "name": "v"}),
    "queue": (Queue, lambda w: {"project": w.project, "slug": "q", "name": "Q"}),
    "rule": (
        TriageRule, lambda w: {"project": w.project, "queue": w.queue, "slug": "r", "name": "R", "condition": {}}
    ),
    "member": (QueueMember, lambda w: {"queue": w.queue, "user": w.user}),
    "rule_revision": (
        TriageRevision, lambda w: {"project": w.project, "rule": w.rule, "version": 1, "snapshot": {}}
    ),
    "queue_revision": (
        TriageRevision, lambda w: {"project": w.project, "queue": w.queue, "version": 1, "snapshot": {}}
    ),
    "stratum": (StratumRate, lambda w: {"rule": w.rule, "stratum": "s", "rate": 0.5}),
    "backfill": (
        Backfill, lambda w: {"project": w.project, "rule": w.rule, "rule_version": 1, "newest": 1, "total": 1}
    ),
    "cluster": (Cluster, lambda w: {"project": w.project, "head": w.interaction, "title": "t"}),
    "clustermember": (ClusterMember, lambda w: {"cluster": w.cluster, "interaction": w.interaction}),
    "task": (
        Task,
        lambda w: {
            "project": w.project, "queue": w.queue, "interaction": w.interaction, "lane": "risk", "due_at": NOW,
        },
    ),
    "claim": (Claim, lambda w: {"task": w.task, "reviewer": w.user, "expires_at": NOW}),
    "turn": (Turn, lambda w: {"reviewer": w.user, "queue": w.queue}),
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
    "adjudication": (
        Adjudication,
        lambda w: {
            "task": w.task, "adjudicator": w.user, "label": w.label, "cause": "edge_case", "reason": "Both can be read"
        },
    ),
    "question": (Question, lambda w: {"task": w.task, "asked_by": w.user, "text": "Which fee?"}),
    "note_group": (NoteGroup, lambda w: {"project": w.project, "name": "n"}),
    "audit": (
        Audit,
        lambda w: {
            "project": w.project, "queue": w.queue, "name": "a", "since": NOW - timedelta(7), "until": NOW, "size": 40,
            "seed": "s",
        },
    ),
    "audit_item": (AuditItem, lambda w: {"audit": w.audit, "interaction": w.interaction, "inclusion_p": 0.1}),
    "check": (
        Task,
        lambda w: {
            "project": w.project, "queue": w.queue, "interaction": w.interaction, "lane": "calibration",
            "due_at": NOW, "purpose": "gold", "known": w.label, "assigned_to": w.user,
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
    "judge_batch": (JudgeBatch, lambda w: {"judge": w.judge, "mark": "m", "items": 1}),
    "judge_budget": (JudgeBudget, lambda w: {"project": w.project}),
    "spend": (Spend, lambda w: {"project": w.project, "period": "day", "starts": NOW.date()}),
    "judge_call": (JudgeCall, lambda w: {"judge": w.judge, "job": w.job, "fence": 1, "day": NOW.date()}),
    "provider_state": (ProviderState, lambda w: {"key": "environment:openai"}),
    "dataset": (Dataset, lambda w: {"project": w.project, "slug": "d", "name": "D"}),
    "version": (DatasetVersion, lambda w: {"dataset": w.dataset, "number": 1}),
    "example": (Example, lambda w: {"version": w.version, "key": "e", "split": "dev", "input": {}, "expected": {}}),
    "run": (Run, lambda w: {"project": w.project, "version": w.version, "candidate": "c"}),
    "result": (Result, lambda w: {"run": w.run, "example_key": "e", "passed": True, "fingerprint": b"f"}),
    "replay": (
        Replay,
        lambda w: {
            "project": w.project, "interaction": w.interaction, "provider": "openai", "model": "m", "request": {},
            "times": 1,
        },
    ),
    "attempt": (ReplayAttempt, lambda w: {"replay": w.replay, "number": 1}),
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
    "project_token_policy_known": lambda w: Project.objects.create(slug="p", token_policy="maybe"),
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
    "telemetry_chunk_once": again("telemetry_chunk"),
    "view_name_once": again("view"),
    "queue_slug_once": again("queue"),
    "queue_overlap_range": new("queue", overlap=0),
    "queue_sla_ordered": new("queue", sla_min_hours=5, sla_max_hours=4),
    "queue_kind_known": new("queue", kind="odd"),
    "rule_slug_once": again("rule"),
    "rule_rate_is_share": new("rule", rate=1.5),
    "rule_queue_iff_it_routes": new("rule", queue=None),
    "rule_cap_iff_it_caps": new("rule", cap=50),
    "rule_severity_is_share": new("rule", severity=2),
    "rule_sampling_known": new("rule", sampling="odd"),
    "rule_strata_iff_stratified": new("rule", sampling="stratified", strata="model"),
    "queue_admission_is_share": new("queue", admission_p=0),
    "queue_capacity_positive": new("queue", capacity_per_day=0),
    "queue_no_fallback_to_itself": lambda w: Queue.objects.filter(pk=w.queue.pk).update(fallback=w.queue),
    "queue_member_once": again("member"),
    "revision_of_rule_once": again("rule_revision"),
    "revision_of_queue_once": again("queue_revision"),
    "revision_of_one_thing": new("rule_revision", rule=None),
    "stratum_once_per_rule": again("stratum"),
    "backfill_one_running_per_rule": again("backfill"),
    "backfill_state_known": new("backfill", state="somehow", ended_at=NOW),
    "backfill_ended_iff_not_running": new("backfill", state="done"),
    "stratum_rate_is_share": new("stratum", rate=0),
    "cluster_similarity_is_share": new("clustermember", similarity=2),
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
    "task_lane_known": new("task", lane="odd"),
    "task_admission_is_share": new("task", admission_p=0),
    "task_escalated_with_time": new("task", lane="escalated"),
    "claim_snoozed_with_time": new("claim", state="snoozed", ended_at=NOW),
    "claim_once_per_reviewer": again("claim"),
    "claim_ended_iff_not_leased": new("claim", state="submitted"),
    "claim_state_known": new("claim", state="odd", ended_at=NOW),
    "turn_once_per_queue": again("turn"),
    "task_one_check_open": again("check"),
    "task_purpose_says_what_it_is_held_against": new("task", purpose="gold"),
    "queue_checks_are_shares": new("queue", gold_share=0.6),
    "queue_calibration_is_share": new("queue", calibration_share=0.6),
    "queue_phase_known": new("queue", phase="odd"),
    "mode_merged_is_retired": lambda w: FailureMode.objects.create(
        project=w.project, slug="n", label="N", merged_into=w.mode
    ),
    "mode_not_merged_into_itself": lambda w: FailureMode.objects.filter(pk=w.mode.pk).update(
        merged_into=w.mode, retired_at=NOW
    ),
    "mode_in_use_counts_as_itself": lambda w: FailureMode.objects.create(
        project=w.project, slug="n", label="N", counts_as=w.mode
    ),
    "annotation_reveal_known": new("annotation", reveal="odd"),
    "adjudication_cause_known": new("adjudication", cause="odd"),
    "adjudication_has_reason": new("adjudication", reason=""),
    "question_one_open": again("question"),
    "question_says_something": new("question", text=""),
    "note_group_name_once": again("note_group"),
    "audit_period_ordered": new("audit", until=NOW - timedelta(8)),
    "audit_size_positive": new("audit", size=0),
    "audit_signed_by_somebody": new("audit", signed_at=NOW),
    "audit_signed_with_figures": new("audit", result={}),
    "audit_allocation_known": new("audit", allocation="by feeling"),
    "audit_item_once": again("audit_item"),
    "audit_item_p_is_probability": new("audit_item", inclusion_p=0),
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
    "judgejob_batched_is_open": new("job", batch_id=1, finished_at=NOW),
    "judgebatch_ended_iff_time": new("judge_batch", state="ended"),
    "judgebatch_named_when_running": new("judge_batch", state="running", sent_at=NOW),
    "judge_limits_make_sense": new("judge", at_once=0),
    "judgebudget_not_negative": new("judge_budget", day_cap_usd=-1),
    "spend_once": again("spend"),
    "spend_not_negative": new("spend", reserved_usd=-1),
    "judgecall_once": again("judge_call"),
    "judgecall_open_iff_not_ended": new("judge_call", state="settled"),
    "judgecall_unknown_is_reserved": new(
        "judge_call", state="unknown", ended_at=NOW, reserved_usd=1, unknown_usd=2, settled_usd=0
    ),
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
    "result_score_is_share": new("result", score=float("nan")),
    "run_override_has_reason": new("run", overridden_at=NOW),
    "replay_times_bounded": new("replay", times=0),
    "replayattempt_once": again("attempt"),
    "replayattempt_says_when_finished": new("attempt", output="x"),
    "replayattempt_judged_has_answer": new("attempt", finished_at=NOW, fails=True, error="HTTP 500"),
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
