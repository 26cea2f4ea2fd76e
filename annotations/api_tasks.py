"""Single tasks for programs and leads: which there are, whose they are, and letting in what was shed."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from annotations import admission, openapi_tasks, routing
from annotations.api import answer
from annotations.api_manage import Managed
from annotations.checking import Settings, maybe, one_of, text
from annotations.models import Task
from annotations.sections import LISTED
from projects.access import RIGHTS, Right
from projects.auth import caller_of
from projects.errors import invalid
from projects.models import Project, User

LONGEST = 200
REVIEWERS = [role for role, rights in RIGHTS.items() if Right.REVIEW in rights]


def task_as_json(task: Task) -> dict[str, Any]:
    """A task with why it is there and whose it is."""
    return {
        "id": str(task.pk), "queue": task.queue.slug, "interaction_id": task.interaction.external_id,
        "state": task.state, "lane": task.lane, "topic": task.topic, "score": task.score, "reasons": task.reasons,
        "enqueued_at": task.enqueued_at, "due_at": task.due_at,
        "assigned_to": task.assigned_to.email if task.assigned_to else None,
    }  # fmt: skip


def _of(project: Project) -> Any:
    tasks = Task.objects.filter(project=project, purpose__in=LISTED)
    return tasks.select_related("queue", "interaction", "assigned_to")


class Tasks(Managed):
    """``/api/v1/tasks``."""

    @extend_schema(operation_id="task_list", **openapi_tasks.TASK_LIST)
    def get(self, request: Request) -> HttpResponse:
        """Tasks by age, oldest first. ``next`` is the ``after`` of the page behind this one, or null."""
        given = Settings({name: request.query_params[name] for name in request.query_params})
        given.know(openapi_tasks.PARAMETERS)
        project = caller_of(request).project
        state = given.take("state", Task.State.OPEN.value, one_of(Task.State.values))
        after, limit = (given.take(name, value, _number) for name, value in (("after", 0), ("limit", 50)))
        given.done()
        tasks = _of(project).filter(state=state, pk__gt=after).order_by("pk")
        if "queue" in given.fields:
            tasks = tasks.filter(queue=dict(project.queues.values_list("slug", "pk")).get(given.fields["queue"]))
        size = min(max(limit, 1), LONGEST)
        page = list(tasks[: size + 1])
        following = str(page[size - 1].pk) if len(page) > size else None
        return answer({"results": [task_as_json(task) for task in page[:size]], "next": following})


class OneTask(Managed):
    """``/api/v1/tasks/{id}``."""

    @extend_schema(operation_id="task_read", **openapi_tasks.TASK_READ)
    def get(self, request: Request, pk: int) -> HttpResponse:
        """One task."""
        return answer(task_as_json(get_object_or_404(_of(caller_of(request).project), pk=pk)))

    @extend_schema(operation_id="task_update", **openapi_tasks.TASK_UPDATE)
    def patch(self, request: Request, pk: int) -> HttpResponse:
        """Give it to one person, or to everybody again with null; let in what its queue had shed with ``open``."""
        caller = caller_of(request)
        task = get_object_or_404(_of(caller.project), pk=pk)
        given = Settings(self.body(request))
        given.know(("assigned_to", "state"))
        email = given.take("assigned_to", None, maybe(text(254)))
        given.take("state", None, one_of([Task.State.OPEN.value]))
        given.done()
        with transaction.atomic():
            if "state" in given.fields:
                admission.pull_in(actor=caller.user, task=task)
            if "assigned_to" in given.fields:
                routing.assign(actor=caller.user, task=task, user=_person(caller.project, email))
        return answer(task_as_json(_of(caller.project).get(pk=pk)))


def _person(project: Project, email: str | None) -> User | None:
    if email is None:
        return None
    people = User.objects.filter(memberships__project=project, memberships__role__in=REVIEWERS, is_active=True)
    found = people.filter(email__iexact=email).first()
    if found is None:
        raise invalid("/assigned_to", "Nobody with this address reviews in this project.")
    return found


def _number(value: Any, path: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    raise invalid(path, "A whole number, 0 or more.")
