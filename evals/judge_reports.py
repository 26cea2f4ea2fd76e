"""What the judge pages show: figures and lists, in a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Avg, Count, F, Max, Q, QuerySet, Sum, Value
from django.db.models.functions import Floor, Least, Now

from evals import judging
from evals.detectors import Detector, detectors
from evals.judge_agreement import Agreement
from evals.models import DetectorSetting, Judge, JudgeJob
from feedback.models import Interaction, Score
from projects.charts import Bin
from projects.models import Project

WEEK = timedelta(days=7)
# The cells of the matrix, by the names that the page's links carry.
CELLS = {
    "found": Q(score__flagged=True, interaction__labels__verdict="fail"),
    "missed": Q(score__flagged=False, interaction__labels__verdict="fail"),
    "false-alarms": Q(score__flagged=True, interaction__labels__verdict="pass"),
    "cleared": Q(score__flagged=False, interaction__labels__verdict="pass"),
}


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """A judge as the list shows it. Counts are of the last 7 days but for ``waiting`` and ``failed``."""

    judge: Judge
    needs: str
    verdicts: int
    flagged: int
    waiting: int
    failed: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class DetectorRow:
    detector: Detector
    enabled: bool
    threshold: float
    flagged: int
    found: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One judge version: what it has done, what it costs, and how it agrees with people."""

    agreement: Agreement
    verdicts: int
    flagged: int
    waiting: int
    failed: int
    seen: int
    total: int
    cost_usd: Decimal | None
    input_tokens: int
    output_tokens: int
    average: float | None

    @property
    def coverage(self) -> float | None:
        return self.seen / self.total if self.total else None


def newest_versions(project: Project) -> list[Judge]:
    """Of each judge the version at work, else the newest."""
    judges = Judge.objects.filter(project=project).select_related("connection").order_by("slug", "-enabled", "-version")
    return list(judges.distinct("slug"))


def judge_rows(project: Project) -> list[JudgeRow]:
    """Every judge with its week, in two queries."""
    judges = newest_versions(project)
    recent = Q(finished_at__gte=Now() - WEEK, score__isnull=False)
    counts = {
        row["judge"]: (row["verdicts"], row["flagged"], row["waiting"], row["failed"], row["last"])
        for row in JudgeJob.objects.filter(judge__in=judges).values("judge").annotate(
            verdicts=Count("pk", filter=recent), flagged=Count("pk", filter=recent & Q(score__flagged=True)),
            waiting=Count("pk", filter=Q(finished_at=None)), failed=Count("pk", filter=~Q(error="")),
            last=Max("finished_at"),
        )
    }  # fmt: skip
    rows = []
    for judge in judges:
        verdicts, flagged, waiting, failed, last = counts.get(judge.pk, (0, 0, 0, 0, None))
        rows.append(JudgeRow(judge, judging.missing_key(judge), verdicts, flagged, waiting, failed, last))
    return rows


def detector_rows(project: Project) -> list[DetectorRow]:
    """Every detector with the project's choice and what it flagged in the last 7 days, in two queries."""
    settings = {one.detector: one for one in DetectorSetting.objects.filter(project=project)}
    names = [detector.name for detector in detectors()]
    counts = {
        row["name"]: (row["flagged"], row["found"])
        for row in Score.objects.filter(
            project=project, name__in=names, source=Score.Source.DETECTOR, created_at__gte=Now() - WEEK
        )
        .values("name")
        .annotate(found=Count("pk"), flagged=Count("pk", filter=Q(flagged=True)))
    }
    rows = []
    for detector in detectors():
        setting, (flagged, found) = settings.get(detector.name), counts.get(detector.name, (0, 0))
        own = setting.threshold if setting else None
        rows.append(
            DetectorRow(
                detector, setting is None or setting.enabled, detector.threshold if own is None else own,
                flagged, found,
            )
        )  # fmt: skip
    return rows


def figures(judge: Judge) -> Figures:
    """The figures of one version, in three queries."""
    recent = Q(finished_at__gte=Now() - WEEK, score__isnull=False)
    jobs = JudgeJob.objects.filter(judge=judge)
    did = jobs.aggregate(
        verdicts=Count("score"), flagged=Count("pk", filter=Q(score__flagged=True)),
        waiting=Count("pk", filter=Q(finished_at=None)), failed=Count("pk", filter=~Q(error="")),
        seen=Count("interaction", filter=recent & Q(interaction__created_at__gte=Now() - WEEK), distinct=True),
        cost_usd=Sum("cost_usd"), input_tokens=Sum("input_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0), average=Avg("score__value"),
    )  # fmt: skip
    total = Interaction.objects.filter(project=judge.project_id, created_at__gte=Now() - WEEK).count()
    return Figures(agreement=agreement(judge), total=total, **did)


def _against_people(judge: Judge) -> QuerySet[JudgeJob]:
    """Jobs whose interaction has a settled label of pass or fail."""
    return JudgeJob.objects.filter(
        judge=judge, score__flagged__isnull=False, interaction__labels__superseded_at=None,
        interaction__labels__verdict__in=["pass", "fail"],
    )  # fmt: skip


def agreement(judge: Judge) -> Agreement:
    """The judge's verdicts beside people's settled labels. A label of "unsure" is no pair."""
    counts = _against_people(judge).aggregate(
        **{name.replace("-", "_"): Count("interaction", filter=cell, distinct=True) for name, cell in CELLS.items()}
    )
    return Agreement(**counts)


def score_bins(judge: Judge) -> list[Bin]:
    """Ten bins of scores with people's verdicts in them."""
    counts = {
        (int(tenth), verdict): count
        for tenth, verdict, count in _against_people(judge)
        .annotate(tenth=Least(Floor(F("score__value") * 10), Value(9.0)))
        .values_list("tenth", "interaction__labels__verdict")
        .annotate(count=Count("pk"))
    }
    return [
        Bin(f"{tenth / 10:.1f}", fails=counts.get((tenth, "fail"), 0), passes=counts.get((tenth, "pass"), 0))
        for tenth in range(10)
    ]


def verdicts(judge: Judge, *, cell: str = "", limit: int = 50) -> list[JudgeJob]:
    """The newest finished jobs; with ``cell`` only those of one cell of the matrix."""
    jobs = _against_people(judge).filter(CELLS[cell]) if cell else JudgeJob.objects.filter(judge=judge)
    return list(
        jobs.filter(finished_at__isnull=False)
        .select_related("score", "interaction")
        .only("finished_at", "error", "attempts", "score__value", "score__flagged", "score__explanation",
              "interaction__external_id", "interaction__messages")
        .order_by("-finished_at", "-pk")[:limit]
    )  # fmt: skip
