"""Celery's doors to this app. Each drains what waits in PostgreSQL; a lost message only costs time."""

from __future__ import annotations

from celery import shared_task

from evals import analysis, batches, curation, judge_watch, judging, replaying
from feedback import inbox
from feedback.models import Inbox
from projects import doorbell


@shared_task(name="inbox.analyse")
def analyse() -> None:
    """Runs the detectors over new interactions. Exactly once in effect: scores and inbox rows share a transaction."""
    inbox.drain(Inbox.Stage.ANALYSE, analysis.analyse)


@shared_task(name="evals.judge")
def judge() -> None:
    """Judges what waits. At least once per attempt, exactly one score per job: stored under the job's fence."""
    if judging.work():
        doorbell.ring("evals.judge")


@shared_task(name="evals.batch")
def batch() -> None:
    """Sends and follows batches of judge jobs. At most one submission unseen; one score per job, see ``batches``."""
    if batches.work():
        doorbell.ring("evals.batch")


@shared_task(name="evals.watch_judges")
def watch_judges() -> None:
    """Tells of judges that have drifted from people. Once for each, by a mark in the transaction of the message."""
    judge_watch.watch()


@shared_task(name="evals.replay")
def replay() -> None:
    """Asks what is to be asked again. At least once per attempt, one answer for each: stored under its fence."""
    if replaying.work():
        doorbell.ring("evals.replay")


@shared_task(name="inbox.curate")
def curate() -> None:
    """Proposes golden examples from settled labels. Exactly once in effect: one transaction with the inbox rows."""
    inbox.drain(Inbox.Stage.CURATE, curation.handle)
