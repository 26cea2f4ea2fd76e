"""What the sample's engineer made of the labels: two frozen versions, a draft, and two runs that tell them apart."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from django.db import transaction
from django.db.models import Q

from annotations.models import Label, Verdict
from annotations.taxonomy import HARM
from evals import curation, datasets, lines, runs
from evals.models import Dataset, DatasetVersion, Example, Run
from evals.runs import ResultItem
from feedback import inbox
from feedback.models import Inbox
from projects.models import Project
from reviewhub.sample.generate import Traffic
from reviewhub.sample.people import Team
from reviewhub.sample.written import Exchange

FREEZE_DAYS = (-13, -4)
NOTES = ("First set: the faults of the first two weeks", "Adds fee and tariff questions after prompt 14")
BASELINE_WEAK, FIXED, BROKEN = 8, 5, 3


def curate(project: Project, team: Team, now: datetime) -> DatasetVersion:
    """Lets the labels propose examples in the order in which they were settled, and freezes twice on the way."""
    dataset = Dataset.objects.get(project=project, slug=datasets.DEFAULT_SLUG)
    for day, note in zip(FREEZE_DAYS, NOTES, strict=True):
        moment = now + timedelta(days=day)
        _propose(project, moment)
        datasets.approve_all(dataset, actor=team.engineer)
        _freeze(dataset, team, moment, note)
    inbox.drain(Inbox.Stage.CURATE, curation.handle)
    return dataset.versions.filter(frozen_at__isnull=False).order_by("-number")[0]


@transaction.atomic
def _propose(project: Project, until: datetime) -> None:
    """Lets the labels that were settled by then propose examples. They were not cast in the order of their dates."""
    settled = Label.objects.filter(project=project, settled_at__lt=until)
    unread = Inbox.objects.filter(stage=Inbox.Stage.CURATE, kind=Inbox.Kind.LABEL, object_id__in=settled.values("pk"))
    rows = list(unread.order_by("pk"))
    curation.handle(rows)
    Inbox.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _freeze(dataset: Dataset, team: Team, moment: datetime, note: str) -> None:
    """What ``datasets.freeze`` does when nothing waits for approval, but at a time in the past.

    The service stamps the database's time, and a trigger refuses any change of a frozen version, its time
    included; so the sample, whose versions are days old, has to write that time in the one allowed moment.
    """
    draft = datasets.draft_of(dataset)
    examples = Example.objects.filter(version=draft)
    earlier = moment - timedelta(minutes=25)
    examples.update(created_at=earlier, approved_at=earlier, approved_by=team.engineer)
    checksum, count = lines.checksum(draft)
    DatasetVersion.objects.filter(pk=draft.pk, frozen_at=None).update(
        created_at=earlier, frozen_at=moment, frozen_by=team.engineer, checksum=checksum, count=count, note=note
    )


def run_twice(project: Project, version: DatasetVersion, traffic: Traffic, team: Team, now: datetime) -> None:
    """Release r42 as the approved baseline, and a candidate that repairs five answers and spoils three.

    One of the three can do harm: a candidate can be better on the whole and still not be fit to ship.
    """
    rng = Random(version.number)  # noqa: S311
    rows = version.examples.order_by("key").values_list(
        "key", "provenance__interaction_id", "expected__label__verdict", "expected__label__severity"
    )
    exchanges = {key: traffic.exchanges[ident] for key, ident, _, _ in rows}
    # Only where an expert has settled how it fails, an answer can be given that fails again.
    known = [(severity, key) for key, _, verdict, severity in rows if verdict == Verdict.FAIL]
    rng.shuffle(known)
    known.sort(key=lambda entry: entry[0] == HARM)
    weak, spoiled = known[:BASELINE_WEAK], [known[-1], *known[BASELINE_WEAK : BASELINE_WEAK + BROKEN - 1]]
    baseline = _run(
        project, version, "release r42, heron-small-2.1", exchanges, {key for _, key in weak}, None, team,
        now + timedelta(days=FREEZE_DAYS[1], hours=2), rng,
    )  # fmt: skip
    runs.approve_baseline(baseline, actor=team.lead)
    Run.objects.filter(pk=baseline.pk).update(approved_at=baseline.created_at + timedelta(hours=1))
    _run(
        project, version, "release r44-rc1 with energy-help 15", exchanges,
        {key for _, key in [*weak[FIXED:], *spoiled]}, baseline, team, now - timedelta(hours=20), rng,
    )  # fmt: skip


def _run(
    project: Project, version: DatasetVersion, candidate: str, exchanges: dict[str, Exchange], failing: set[str],
    baseline: Run | None, team: Team, at: datetime, rng: Random,
) -> Run:  # fmt: skip
    run, _ = runs.start_run(
        project, version=version, candidate=candidate, target={"kind": "file", "name": "answers.jsonl"},
        baseline=baseline, actor=team.engineer,
    )  # fmt: skip
    runs.add_results(
        run,
        [
            ResultItem(
                example=key, output=exchange.answer if key in failing else _good(exchange),
                latency_ms=round(rng.lognormvariate(7.3, 0.35)), cost_usd=Decimal(rng.randrange(250, 700)) / 1_000_000,
            )
            for key, exchange in exchanges.items()
        ],
    )  # fmt: skip
    runs.finish_run(run)
    Run.objects.filter(pk=run.pk).update(created_at=at, finished_at=at + timedelta(minutes=2, seconds=11))
    return Run.objects.get(pk=run.pk)


def _good(exchange: Exchange) -> str:
    return exchange.opinion.desired if exchange.opinion else exchange.answer


def settle_draft(project: Project, team: Team) -> None:
    """Approves half of what waits in the draft, so that its page shows both."""
    waiting = Example.objects.filter(Q(version__dataset__project=project), version__frozen_at=None, approved_at=None)
    for example in waiting.order_by("key")[: waiting.count() // 2]:
        datasets.approve(example, actor=team.engineer)
