"""A flood with a key that anybody can read in a page moves nobody: no points, no earlier deadline, no alert."""

from __future__ import annotations

import pytest
from reviewhub_client import interaction_token

from annotations import triage
from annotations.models import Task
from feedback import inbox
from feedback.models import Feedback, Inbox, Interaction
from monitoring import alerts, buckets
from monitoring.models import Alert, AlertRule
from projects import keys
from projects.models import Project
from tests.conftest import Api
from tests.feedback.bodies import interaction, thumbs

ORIGIN = {"Origin": "https://chat.example.com"}
URL = "/api/v1/feedback"
COUNT = 40


@pytest.fixture
def answers(project: Project, sk: Api) -> list[str]:
    """Answers of today, and rules that the slightest complaint would open."""
    AlertRule.objects.all().delete()
    for metric, op, threshold in (("thumbs_down_rate", ">", 0.0), ("feedback_rate", ">", 0.0)):
        AlertRule.objects.create(
            project=project, name=metric, metric=metric, op=op, threshold=threshold, minutes=60, min_count=1
        )
    names = [f"r-{n}" for n in range(COUNT)]
    items = [interaction(id=name) for name in names]
    assert sk.post("/api/v1/interactions/batch", items)[0] == 200
    return names


def work() -> None:
    triage.run()
    inbox.drain(Inbox.Stage.MEASURE, buckets.measure)
    alerts.evaluate()


def test_unsigned_votes_raise_no_priority_and_no_alert(answers: list[str], pk: Api) -> None:
    for name in answers:
        assert pk.post(URL, thumbs(interaction_id=name), **ORIGIN)[0] == 201
    for user in range(30):
        assert pk.post(URL, thumbs(interaction_id="r-0", user_id=f"made-up-{user}"), **ORIGIN)[0] == 201
    work()
    assert Feedback.objects.filter(verified=False).count() == COUNT + 30
    assert not Alert.objects.exists()
    assert set(Task.objects.values_list("score", flat=True)) <= {0.0}


def test_the_same_votes_with_tokens_do_both(answers: list[str], pk: Api, project: Project) -> None:
    """Otherwise the test above would show nothing."""
    backend = keys.create_key(project=project, kind="sk", name="backend")[1]
    for name in answers:
        token = {"X-Interaction-Token": interaction_token(backend, name, "u-1")}
        assert pk.post(URL, thumbs(interaction_id=name), **ORIGIN, **token)[0] == 201
    work()
    assert set(Alert.objects.values_list("rule__metric", flat=True)) == {"thumbs_down_rate", "feedback_rate"}
    assert Task.objects.filter(score__gt=0).count() == COUNT


def test_unsigned_votes_do_not_bring_an_item_forward(answers: list[str], sk: Api, pk: Api) -> None:
    sk.post(URL, thumbs(interaction_id="r-0"))
    work()
    before = Task.objects.values("score", "due_at", "queue").get(interaction__external_id="r-0")
    for user in range(30):
        pk.post(URL, thumbs(interaction_id="r-0", user_id=f"made-up-{user}"), **ORIGIN)
    work()
    assert Task.objects.values("score", "due_at", "queue").get(interaction__external_id="r-0") == before


def test_where_tokens_are_required_nothing_unsigned_is_stored(answers: list[str], pk: Api, project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(token_policy="require")
    keys.forget()
    assert {pk.post(URL, thumbs(interaction_id=name), **ORIGIN)[0] for name in answers} == {401}
    work()
    assert not Feedback.objects.exists()
    assert Interaction.objects.count() == COUNT
