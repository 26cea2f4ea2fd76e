"""The review API: the queues, and what its other parts share. For personal tokens."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import queries, routing
from projects.access import Right
from projects.auth import allow, caller_of
from projects.models import User


def person(request: Request) -> User:
    """The person behind a personal token; the permission lets nobody else in."""
    user = caller_of(request).user
    assert user is not None
    return user


def answer(body: Any, status: int = 200) -> HttpResponse:
    """JSON by msgspec, as everywhere in the API."""
    return HttpResponse(msgspec.json.encode(body), status=status, content_type="application/json")


def queue_row(row: queries.QueueRow) -> dict[str, Any]:
    """A queue in the list, with what waits in it."""
    return {
        "slug": row.queue.slug, "name": row.queue.name, "paused": row.queue.paused_at is not None, "open": row.open,
        "oldest_due_at": row.next_due_at, "oldest_enqueued_at": row.oldest_enqueued_at,
    }  # fmt: skip


class Queues(APIView):
    """The queues that this person may work."""

    permission_classes = [allow(right=Right.REVIEW)]

    def get(self, request: Request) -> HttpResponse:
        project, user = caller_of(request).project, person(request)
        workable = set(routing.workable(user, project).values_list("pk", flat=True))
        done = queries.done_by(project, user)
        rows = [row for row in queries.queue_overview(project, user) if row.queue.paused_at is None]
        return answer({
            "results": [
                queue_row(row) | {"done_by_you": done.get(row.queue.pk, 0)} for row in rows if row.queue.pk in workable
            ]
        })  # fmt: skip
