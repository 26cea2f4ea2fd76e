"""Several workers joining at once: one cluster of each group of near-duplicates, rightly counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotations import cluster_counts, clusters, triage
from annotations.models import Cluster
from feedback.models import Inbox
from projects.models import Project
from tests.annotations.flow import interaction, routed, thumbs_down
from tests.annotations.test_claims import at_once
from tests.annotations.test_clusters import clusters as members

WORKERS, EACH, BATCH = 4, 8, 2
COMPANY = 0.04  # seconds in which another worker may come to look as well
GROUPS = {
    "refund": "How long does a refund take when I pay by card",
    "parcel": "Where is my parcel now, it was due on Monday morning",
    "papers": "Which documents do I need to open an account abroad",
}


class _Meeting:
    """Where workers look for clusters: each waits for company, so that two look before either of them writes."""

    def __init__(self) -> None:
        self.here, self.most = 0, 0
        self.changed = threading.Condition()

    def wait(self) -> None:
        with self.changed:
            self.here += 1
            self.most = max(self.most, self.here)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.here > 1, timeout=COMPANY)

    def leave(self) -> None:
        with self.changed:
            self.here -= 1


@contextmanager
def _met(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Meeting]:
    """Every worker waits for company between looking for clusters and writing its own."""
    meeting, look = _Meeting(), clusters._heads

    def looked(bands: list[tuple[int, ...]]) -> Any:
        found = look(bands)
        meeting.wait()
        meeting.leave()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(clusters, "_heads", looked)
        yield meeting


def _unlocked(project: Project) -> datetime:
    return timezone.now()


@pytest.fixture
def waiting(transactional_db: None, project: Project) -> Project:
    """Complaints of all groups in turn that no worker has read yet: one fact each."""
    names = [f"{group}-{number}" for number in range(EACH) for group in GROUPS]
    for name in names:
        interaction(project, name, input=f"{GROUPS[name.partition('-')[0]]} {'please' if name[-1] in '1357' else ''}")
    routed(project)
    for name in names:
        thumbs_down(project, name, "")
    assert Inbox.objects.filter(stage=Inbox.Stage.TRIAGE).count() == len(names)
    return project


def test_workers_that_join_at_once_make_one_cluster_of_each_group(
    waiting: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _met(monkeypatch) as meeting:
        at_once(lambda _: triage.run(batch=BATCH), WORKERS)
    assert meeting.most == 1, "nobody looks while another has looked and not written"
    groups = sorted(sorted(names) for names in members(waiting).values())
    assert groups == sorted([f"{group}-{number}" for number in range(EACH)] for group in GROUPS)
    assert [cluster.size for cluster in Cluster.objects.all()] == [EACH] * len(GROUPS)
    cluster_counts.refresh()
    assert [cluster.size for cluster in Cluster.objects.all()] == [EACH] * len(GROUPS)


def test_without_the_lock_the_same_workers_begin_a_cluster_twice(
    waiting: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above might pass because it cannot fail."""
    monkeypatch.setattr(triage, "locked", _unlocked)
    with _met(monkeypatch) as meeting:
        at_once(lambda _: triage.run(batch=BATCH), WORKERS)
    connection.close()
    assert meeting.most > 1
    assert len(members(waiting)) > len(GROUPS)
