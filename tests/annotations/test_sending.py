"""Putting interactions into a queue by hand, and filtering the list by what review knows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from annotations import claims, triage
from annotations.models import Task
from feedback import filters, finding, services
from feedback.models import Interaction
from projects.models import Project, User
from tests.annotations import flow

ACT = "/p/acme/interactions/act/"


@pytest.fixture
def lead(browser_of: Callable[[str], Client]) -> Client:
    return browser_of("lead")


def send(lead: Client, *names: str, queue: str = "random-sample") -> str:
    pks = list(Interaction.objects.filter(external_id__in=names).values_list("pk", flat=True))
    body = {"action": "queue", "pk": pks, "for-queue": queue}
    return lead.post(ACT, body, follow=True).content.decode()


def found(project: Project, **query: str) -> list[str]:
    names = dict(Interaction.objects.values_list("pk", "external_id"))
    wanted = filters.parse({name: [value] for name, value in query.items()})
    return sorted(names[pk] for pk in finding.page(project, wanted).pks)


class TestSending:
    def test_sent_ones_wait_in_the_queue_with_who_sent_them_and_count_towards_no_rate(
        self, lead: Client, project: Project
    ) -> None:
        flow.interaction(project, "a")
        flow.interaction(project, "b")
        assert "Sent 2 interactions to" in send(lead, "a", "b")
        for task in Task.objects.all():
            assert (task.queue.slug, task.state, task.sampled, task.inclusion_p) == (
                "random-sample",
                "open",
                False,
                None,
            )
            assert [reason["text"] for reason in task.reasons] == ["Sent by Lead"]

    def test_what_waits_elsewhere_moves_with_its_reasons_and_what_was_in_the_queue_stays(
        self, lead: Client, project: Project
    ) -> None:
        flow.complaint(project, "waits")
        flow.interaction(project, "new")
        before = Task.objects.get()
        html = send(lead, "waits", "new")
        assert "Sent 2 interactions to Random sample, 1 from another queue." in html
        moved = Task.objects.get(pk=before.pk)
        assert (before.queue.slug, moved.queue.slug) == ("negative-feedback", "random-sample")
        assert [reason["kind"] for reason in moved.reasons][-1] == "sent"
        assert len(moved.reasons) == len(before.reasons) + 1
        assert (moved.sampled, moved.due_at) == (before.sampled, before.due_at)
        flow.thumbs_down(project, "waits")
        triage.run()
        assert Task.objects.get(pk=before.pk).queue.slug == "random-sample"
        html = send(lead, "waits", "new")
        assert "Sent 0 interactions to Random sample. 2 had been in it, or somebody has them." in html
        assert Task.objects.count() == 2

    def test_what_somebody_has_stays_with_them(self, lead: Client, project: Project, people: dict[str, User]) -> None:
        flow.complaint(project, "held")
        flow.complaint(project, "assigned")
        first, other = Task.objects.order_by("pk")
        queue = project.queues.get(slug="negative-feedback")
        Task.objects.filter(pk=other.pk).update(assigned_to=people["reviewer"])
        assert claims.claim_task(user=people["reviewer"], task=first)
        assert "2 had been in it, or somebody has them." in send(lead, "held", "assigned")
        assert set(Task.objects.values_list("queue", flat=True)) == {queue.pk}

    def test_later_facts_neither_drop_nor_move_it_and_add_their_reasons(self, lead: Client, project: Project) -> None:
        flow.interaction(project, "a")
        triage.run()
        Task.objects.all().delete()
        send(lead, "a")
        services.record_feedback(project, {"interaction_id": "a", "kind": "thumbs", "value": "up"})
        triage.run()
        assert Task.objects.get().state == "open"
        flow.thumbs_down(project, "a")
        triage.run()
        task = Task.objects.get()
        assert task.queue.slug == "random-sample"
        kinds = {reason["kind"] for reason in task.reasons}
        assert "sent" in kinds
        assert len(kinds) > 1

    def test_a_reviewer_gets_it(self, lead: Client, project: Project, people: dict[str, User]) -> None:
        flow.interaction(project, "a")
        send(lead, "a")
        queue = project.queues.get(slug="random-sample")
        claim = claims.claim_next(user=people["reviewer"], queue=queue)
        assert claim is not None
        assert claim.task.interaction.external_id == "a"

    def test_a_queue_that_does_not_exist_is_refused(self, lead: Client, project: Project) -> None:
        flow.interaction(project, "a")
        assert "Choose a queue." in send(lead, "a", queue="nope")

    def test_only_leads_send(self, browser_of: Callable[[str], Client], project: Project) -> None:
        flow.interaction(project, "a")
        body = {"action": "queue", "pk": Interaction.objects.get().pk, "for-queue": "random-sample"}
        assert browser_of("engineer").post(ACT, body).status_code == 403


def test_the_list_is_filtered_by_task_and_verdict(lead: Client, project: Project) -> None:
    for name in ("sent", "free"):
        flow.interaction(project, name)
    send(lead, "sent")
    assert found(project, task="open") == ["sent"]
    assert found(project, task="none") == ["free"]
    assert found(project, verdict="none") == ["free", "sent"]
    assert found(project, verdict="fail") == []
    assert found(project, category="unsupported-claim") == []
