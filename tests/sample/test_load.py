"""Loading the sample through the real services, looking at it, and taking it away again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Count, F
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from reviewhub_client import checks

from annotations import agreement_report, audits, coding, shared_items
from annotations.models import (
    Adjudication,
    Annotation,
    Audit,
    Claim,
    Cluster,
    ClusterMember,
    FailureMode,
    Label,
    NoteGroup,
    Task,
    TriageRevision,
    TriageRule,
)
from evals import calibration
from evals.models import DatasetVersion, Example, Judge, JudgeJob, Run
from feedback.models import Feedback, Inbox, Interaction, Score
from monitoring.models import Alert, MetricBucket
from projects.models import Membership, Project, Role, User
from reviewhub.sample.load import SAMPLE_USERS, load, remove
from tests.sample.test_content import TWELVE

# Audit entries are append-only: what happened to the sample stays on record.
KEPT = {"projects.AuditEntry"}


@pytest.fixture(scope="module")
def sample(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[Project]:
    """The loaded sample, once for all tests of this file; what they do is rolled back by themselves."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        before = rows_by_table()
        yield load(passwords={person.email: "a long enough password" for person in SAMPLE_USERS})
        remove()
        assert rows_by_table() == before
        connection.close()


def rows_by_table() -> dict[str, int]:
    return {model._meta.label: model.objects.count() for model in apps.get_models() if model._meta.label not in KEPT}


@pytest.mark.django_db
def test_everything_was_taken_in_and_read_by_every_stage(sample: Project) -> None:
    assert 1100 <= Interaction.objects.filter(project=sample).count() <= 2000
    assert not Inbox.objects.exists()
    assert Score.objects.filter(source="detector", interaction__isnull=False).count() > 500
    assert MetricBucket.objects.filter(project=sample).exists()
    assert not Feedback.objects.filter(interaction=None).exists()
    assert FailureMode.objects.filter(project=sample, slug__in=TWELVE).count() == len(TWELVE)


@pytest.mark.django_db
def test_there_is_one_person_of_each_role_and_three_reviewers_have_labelled(sample: Project) -> None:
    roles = Counter(Membership.objects.filter(project=sample).values_list("role", flat=True))
    assert roles == Counter({role: 3 if role == Role.REVIEWER else 1 for role in Role.values})
    assert sample.is_sample
    assert Annotation.objects.filter(project=sample).values("reviewer").distinct().count() == 3
    assert all(email.endswith(".example") for email, _, _ in SAMPLE_USERS)
    assert User.objects.get(email=SAMPLE_USERS[0].email).check_password("a long enough password")


@pytest.mark.django_db
def test_labels_are_settled_and_a_living_backlog_is_left(sample: Project) -> None:
    labels = Label.objects.filter(project=sample, superseded_at=None)
    assert labels.count() >= 120
    assert labels.filter(task__sampled=True).count() >= 40
    assert set(labels.filter(verdict="fail").values_list("primary_category__slug", flat=True)) >= TWELVE - {
        "misread-intent", "wrong-refusal", "safety-or-privacy", "retrieval-miss",
    }  # fmt: skip
    waiting = Task.objects.filter(project=sample, state="open")
    assert 18 <= waiting.count() <= 45
    assert waiting.values("queue").distinct().count() in {3, 4}  # the newest of the reading queue are few, or none
    assert not Claim.objects.filter(state="leased").exists()


@pytest.mark.django_db
def test_open_notes_are_many_and_different_and_on_their_way_into_groups(sample: Project) -> None:
    notes = list(coding.open_notes(sample).values_list("note", flat=True))
    assert 20 <= len(notes) <= 60
    assert len(set(notes)) >= 0.85 * len(notes)
    measured, free = coding.meter(sample)
    assert 5 <= measured.groups <= 12
    assert 5 <= free <= 12
    groups = NoteGroup.objects.filter(project=sample)
    assert not groups.filter(proposed=True).exists()
    assert groups.filter(notes__annotation__reviewer__isnull=False).distinct().count() == measured.groups
    queue = sample.queues.get(phase="open")
    assert queue.tasks.filter(state="done", labels__verdict="pass").exists(), "what is fine is read as well"


@pytest.mark.django_db
def test_items_that_two_people_labelled_blind_tell_how_far_they_agree(sample: Project) -> None:
    figures = agreement_report.report(shared_items.load(sample))
    assert figures.n >= 40
    assert 0.4 < (figures.verdict.alpha.value or 0) < 0.96
    disputed = Task.objects.filter(project=sample, state="disputed").count()
    settled = Adjudication.objects.filter(task__project=sample)
    assert 1 <= disputed <= 8
    assert settled.count() >= 3
    assert not settled.exclude(created_at=F("label__settled_at")).exists()


@pytest.mark.django_db
def test_last_weeks_audit_is_signed_with_a_rate_for_the_whole_week(sample: Project) -> None:
    audit = Audit.objects.get(project=sample)
    figures = audits.result(audit)
    assert audit.signed_by
    assert (figures.total.drawn, figures.waiting) == (40, 0)
    assert figures.total.enough
    assert len(figures.lines) >= 2
    assert not Task.objects.filter(queue=audit.queue, state="open").exists()


@pytest.mark.django_db
def test_the_rules_show_what_rules_can_do(sample: Project) -> None:
    rows = list(TriageRule.objects.filter(project=sample).order_by("position"))
    assert [row.action for row in rows[:2]] == ["drop", "force"]
    assert {"cap", "stratified"} <= {row.action for row in rows} | {row.sampling for row in rows}
    probes = Interaction.objects.filter(project=sample, end_user_id="probe-uptime")
    assert probes.count() >= 50
    assert not Task.objects.filter(interaction__in=probes).exists()
    first = Task.objects.filter(project=sample, rule=rows[1])
    assert set(first.values_list("score", flat=True)) == {100.0}
    stratified = next(row for row in rows if row.sampling == "stratified")
    assert not Task.objects.filter(rule=stratified).exists()  # it was made when the month was over
    kept = TriageRevision.objects.filter(rule__slug="random-sample", rule__project=sample).order_by("version")
    assert [round(was.snapshot["rate"], 2) for was in kept] == [0.02, 0.15]
    assert kept[1].changed_at - kept[0].changed_at == timedelta(days=16)


@pytest.mark.django_db
def test_times_are_in_the_order_in_which_things_happen(sample: Project) -> None:
    now = datetime.now(UTC)
    tasks = Task.objects.filter(project=sample)
    assert not tasks.filter(enqueued_at__lt=F("interaction__created_at")).exists()
    assert not tasks.filter(enqueued_at__gt=now).exists()
    assert not tasks.filter(done_at__lt=F("enqueued_at")).exists()
    assert not Annotation.objects.filter(created_at__lt=F("task__enqueued_at")).exists()
    assert not Label.objects.exclude(settled_at=F("task__done_at")).exists()
    assert not ClusterMember.objects.filter(joined_at__lt=F("interaction__created_at")).exists()
    assert Cluster.objects.filter(project=sample, newest_at__lt=now - timedelta(days=7)).exists()
    assert Cluster.objects.filter(project=sample, users__gt=0).exists()
    assert not Score.objects.filter(created_at__lt=F("interaction__created_at")).exists()
    assert Label.objects.filter(settled_at__lt=now - timedelta(days=20)).exists()


@pytest.mark.django_db
def test_the_judge_has_a_job_for_each_verdict_and_mostly_agrees_with_the_reviewers(sample: Project) -> None:
    judge = Judge.objects.get(project=sample)
    assert judge.sample_rate == 0  # nothing leaves for a provider
    verdicts = dict(Score.objects.filter(source="judge").values_list("interaction_id", "flagged"))
    assert JudgeJob.objects.filter(judge=judge, score__isnull=False).count() == len(verdicts)
    labels = Label.objects.filter(interaction__in=verdicts, verdict__in=["pass", "fail"])
    agreed = [verdicts[item] is (verdict == "fail") for item, verdict in labels.values_list("interaction", "verdict")]
    assert len(agreed) >= 30
    assert not JudgeJob.objects.filter(judge=judge, cost_usd=None).exists()  # at the fictional model's fictional price
    assert 0.72 <= sum(agreed) / len(agreed) <= 0.95
    pairs = calibration.pairs(judge)
    for part in (calibration.DEV, calibration.TEST):  # the page has its figures, and the test part can be read
        assert calibration.agreement(pair for pair in pairs if pair.part == part).enough, part


@pytest.mark.django_db
def test_two_versions_are_frozen_and_a_draft_waits(sample: Project) -> None:
    first, second, draft = DatasetVersion.objects.filter(dataset__project=sample).order_by("number")
    assert first.frozen_at < second.frozen_at < datetime.now(UTC) - timedelta(days=3)
    assert 10 < first.count < second.count
    assert draft.frozen_at is None
    assert draft.examples.filter(approved_at=None).exists()


@pytest.mark.django_db
def test_what_is_expected_of_a_golden_example_is_met_by_the_desired_answer(sample: Project) -> None:
    for example in Example.objects.filter(version__dataset__project=sample, version__number=2):
        line = {"expected": example.expected, "metadata": example.metadata}
        assert checks.judge(line, example.expected["output"]).passed, example.key
        if example.expected["label"]["verdict"] == "fail":
            assert not checks.judge(line, example.metadata.get("answer", "")).passed


@pytest.mark.django_db
def test_the_candidate_mends_five_breaks_three_and_is_stopped_by_harm(sample: Project) -> None:
    baseline, candidate = Run.objects.filter(project=sample).order_by("created_at")
    assert baseline.approved_at
    assert candidate.baseline == baseline
    assert (candidate.summary["flips"]["fixed"], candidate.summary["flips"]["broken"]) == (5, 3)
    assert candidate.verdict == "fail"


@pytest.mark.django_db
def test_the_trouble_of_the_provider_closed_its_alert_and_the_complaints_keep_one_open(sample: Project) -> None:
    errors = Alert.objects.get(rule__project=sample, rule__metric="error_rate")
    assert errors.opened_at < errors.closed_at < datetime.now(UTC) - timedelta(days=7)
    assert errors.taken_by
    assert Alert.objects.get(rule__project=sample, closed_at=None).rule.metric == "thumbs_down_rate"


@pytest.mark.django_db
def test_a_second_load_adds_nothing(sample: Project) -> None:
    before = rows_by_table()
    assert load() == sample
    assert rows_by_table() == before


@pytest.mark.django_db
def test_somebodys_own_project_of_that_name_is_left_alone(sample: Project) -> None:
    Project.objects.filter(pk=sample.pk).update(is_sample=False)
    with pytest.raises(ValueError, match="not the sample project"):
        load()
    remove()
    assert Project.objects.filter(pk=sample.pk).exists()


@pytest.mark.django_db
def test_every_page_of_the_project_opens_for_its_admin(sample: Project) -> None:
    admin = Client()
    admin.force_login(User.objects.get(email=SAMPLE_USERS[0].email))
    pages = sorted(set(project_pages(sample.slug)))
    opened = 0
    for page in pages:
        response = admin.get(page, follow=True)
        assert response.status_code in {200, 405}, page  # 405: a verb, which takes POST only
        opened += response.status_code == 200
    assert opened >= 12


@pytest.mark.django_db
def test_each_kind_of_object_has_a_page_that_opens(sample: Project) -> None:
    admin = Client()
    admin.force_login(User.objects.get(email=SAMPLE_USERS[0].email))
    picked = Interaction.objects.filter(project=sample).annotate(steps=Count("spans"))
    for interaction in [picked.order_by("-steps")[0], picked.filter(status="error")[0], picked.filter(output="")[0]]:
        page = reverse("feedback:interaction-detail", args=[sample.slug, interaction.pk])
        assert admin.get(page).status_code == 200, interaction


def project_pages(slug: str) -> Iterator[str]:
    """Every address under /p/<project>/ that needs nothing but the project and takes GET."""
    for name in names(get_resolver()):
        try:
            page = reverse(name, args=[slug])
        except NoReverseMatch:
            continue
        if page.startswith(f"/p/{slug}/"):
            yield page


def names(resolver: URLResolver, space: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from names(entry, f"{space}{entry.namespace}:" if entry.namespace else space)
        elif isinstance(entry, URLPattern) and entry.name:
            yield f"{space}{entry.name}"
