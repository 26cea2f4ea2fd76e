"""What the judge pages show: figures and lists, in a fixed number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Avg, Count, Max, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from evals import calibration, judging
from evals.calibration import Corrected, Difference, Pair, Threshold
from evals.detectors import Detector, detectors
from evals.judge_agreement import Agreement
from evals.judge_biases import LengthBias, PositionBias, length_bias, position_bias
from evals.models import CalibrationRead, DetectorSetting, Judge, JudgeJob
from feedback.models import Interaction, Score
from projects.charts import Bin
from projects.models import Project

WEEK = timedelta(days=7)
# The cells of the matrix, (people fail, judge fails) by the names that the page's links carry.
CELLS = {"found": (True, True), "missed": (True, False), "false-alarms": (False, True), "cleared": (False, False)}
FAILED = "failed"  # the dead list


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
    threshold: float | None  # None flags nothing
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
    seen_flagged: int
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
        enabled = setting.enabled if setting else detector.default_on
        own = setting.threshold if setting else None
        rows.append(DetectorRow(detector, enabled, detector.threshold if own is None else own, flagged, found))
    return rows


def figures(judge: Judge, pairs: Sequence[Pair]) -> Figures:
    """The figures of one version, its agreement over these pairs; two queries."""
    recent = Q(finished_at__gte=Now() - WEEK, score__isnull=False)
    jobs = JudgeJob.objects.filter(judge=judge)
    did = jobs.aggregate(
        verdicts=Count("score"), flagged=Count("pk", filter=Q(score__flagged=True)),
        waiting=Count("pk", filter=Q(finished_at=None)), failed=Count("pk", filter=~Q(error="")),
        seen=Count("interaction", filter=recent & Q(interaction__created_at__gte=Now() - WEEK), distinct=True),
        seen_flagged=Count(
            "interaction", distinct=True,
            filter=recent & Q(interaction__created_at__gte=Now() - WEEK, score__flagged=True),
        ),
        cost_usd=Sum("cost_usd"), input_tokens=Sum("input_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0), average=Avg("score__value"),
    )  # fmt: skip
    total = Interaction.objects.filter(project=judge.project_id, created_at__gte=Now() - WEEK).count()
    return Figures(agreement=calibration.agreement(pairs), total=total, **did)


def visible(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that may be looked at: all but those of the test part."""
    return [pair for pair in pairs if pair.part != calibration.TEST]


def agreement(judge: Judge) -> Agreement:
    """The judge's verdicts beside people's settled labels, without the test part. "Unsure" is no pair."""
    return calibration.agreement(visible(calibration.pairs(judge)))


@dataclass(frozen=True, slots=True)
class Trust:
    """How far a version can be trusted: by the labels that may be looked at, and by the test part once it was read.

    ``waiting`` counts the labels of the test part; ``bar`` is pass or fail, "" while it was not read.
    """

    threshold: Threshold | None
    corrected: Corrected | None
    ece: float | None
    verbosity: Difference | None
    length: LengthBias | None
    drift: Difference | None
    due: str
    read: CalibrationRead | None
    waiting: int

    @property
    def tested(self) -> Agreement | None:
        row = self.read
        return Agreement(row.found, row.missed, row.false_alarms, row.cleared) if row else None

    @property
    def bar(self) -> str:
        return "" if self.tested is None else "pass" if self.tested.good_enough else "fail"


def trust(judge: Judge, pairs: Sequence[Pair], shown: Figures) -> Trust:
    """Everything that the labels say of a version; one query."""
    seen = visible(pairs)
    read = CalibrationRead.objects.filter(judge=judge).select_related("read_by").first()
    measured = Agreement(read.found, read.missed, read.false_alarms, read.cleared) if read else shown.agreement
    moved = calibration.drift(seen, timezone.now())
    return Trust(
        threshold=calibration.best_threshold(seen),
        corrected=calibration.corrected_pass_rate(shown.seen_flagged, shown.seen, measured),
        ece=calibration.reliability(seen)[1],
        verbosity=calibration.verbosity(seen), length=length_bias(seen), drift=moved,
        due=calibration.due(read.read_at if read else None, moved, timezone.now()),
        read=read, waiting=len(pairs) - len(seen),
    )  # fmt: skip


def positions(judge: Judge) -> PositionBias | None:
    """How far a comparison's verdicts hang on the order of the two answers; None for other judges. One query."""
    if judge.kind != Judge.Kind.PAIRWISE:
        return None
    told = JudgeJob.objects.filter(judge=judge, score__detail__has_key="places").order_by("-pk")
    rows = told.values_list("score__detail__places", flat=True)[: calibration.MOST_PAIRS]
    return position_bias([(one, other) for one, other in rows])


def score_bins(pairs: Sequence[Pair]) -> list[Bin]:
    """Ten bins of scores with people's verdicts in them."""
    counts = Counter((min(int(pair.score * 10), 9), pair.fails) for pair in pairs)
    return [Bin(f"{tenth / 10:.1f}", fails=counts[tenth, True], passes=counts[tenth, False]) for tenth in range(10)]


def verdicts(judge: Judge, *, cell: str = "", pairs: Sequence[Pair] = (), limit: int = 50) -> list[JudgeJob]:
    """The newest finished jobs; with ``cell`` only those of a cell of these pairs' matrix, or those that ``failed``."""
    jobs = JudgeJob.objects.filter(judge=judge)
    if cell == FAILED:
        jobs = jobs.exclude(error="")
    elif cell:
        jobs = jobs.filter(pk__in=[pair.job for pair in pairs if (pair.fails, pair.flagged) == CELLS[cell]])
    return list(
        jobs.filter(finished_at__isnull=False)
        .select_related("score", "interaction")
        .only("finished_at", "error", "attempts", "score__value", "score__flagged", "score__explanation",
              "interaction__external_id", "interaction__messages")
        .order_by("-finished_at", "-pk")[:limit]
    )  # fmt: skip
