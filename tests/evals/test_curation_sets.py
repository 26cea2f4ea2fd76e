"""A reviewer says which dataset an item belongs into; what settles is proposed there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from annotations import claims, golden
from annotations.models import Annotation, Label, Task
from evals import curation
from evals.models import Dataset, Example
from feedback import inbox
from feedback.models import Inbox
from projects.errors import ApiError
from projects.models import Project, User
from tests.annotations.flow import complaint
from tests.annotations.test_settlement import cast

Browser = Callable[[str], Client]


@pytest.fixture
def attacks(project: Project) -> Dataset:
    return Dataset.objects.create(project=project, slug="attacks", name="Attacks", kind=Dataset.Kind.ADVERSARIAL)


def proposed() -> list[str]:
    """Slugs of the datasets in whose drafts something stands, once label facts are read."""
    inbox.drain(Inbox.Stage.CURATE, curation.handle, batch=100)
    return list(Example.objects.values_list("version__dataset__slug", flat=True))


def test_the_usual_dataset_comes_first(project: Project, attacks: Dataset) -> None:
    assert [slug for slug, _ in golden.sets(project)] == ["golden", "attacks"]


def test_a_label_is_proposed_where_the_reviewer_said(
    project: Project, people: dict[str, User], attacks: Dataset
) -> None:
    cast(project, people["reviewer"], complaint(project, "one"), golden=True, golden_set="attacks")
    assert (Annotation.objects.get().golden_set, Label.objects.get().golden_set) == ("attacks", "attacks")
    assert proposed() == ["attacks"]


def test_without_a_name_or_once_it_is_gone_the_usual_one_is_meant(
    project: Project, people: dict[str, User], attacks: Dataset
) -> None:
    cast(project, people["reviewer"], complaint(project, "one"), golden=True)
    cast(project, people["reviewer"], complaint(project, "two"), golden=True, golden_set="attacks")
    attacks.delete()
    assert proposed() == ["golden", "golden"]


def test_a_dataset_that_is_not_there_is_refused(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "one")
    with pytest.raises(ApiError) as refused:
        cast(project, people["reviewer"], task, golden=True, golden_set="nowhere")
    assert refused.value.details == [{"path": "/golden_set", "message": "There is no such dataset."}]


def test_the_form_offers_a_choice_where_there_is_one(
    project: Project, people: dict[str, User], browser_of: Browser
) -> None:
    task = Task.objects.get(pk=complaint(project, "one").pk)
    claim = claims.hold(user=people["reviewer"], task=task)
    assert claim is not None
    page, client = f"/p/acme/queues/{task.queue.slug}/review/?claim={claim.token}", browser_of("reviewer")
    assert 'name="golden_set"' not in client.get(page).content.decode()
    Dataset.objects.create(project=project, slug="attacks", name="Attacks")
    assert 'name="golden_set"' in client.get(page).content.decode()
    form = {"verdict": "fail", "note": "n", "golden": "on", "golden_set": "attacks"}
    client.post(f"/p/acme/claims/{claim.token}/draft/", form)
    assert '<option value="attacks" selected>' in client.get(page).content.decode()
