"""The pages of datasets and runs: what they show, what they do, and how many queries they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations.models import Label
from evals import datasets, gate, runs
from evals.models import Dataset, Example, Run
from feedback.models import Interaction
from projects.models import Project, User
from tests.evals import golden

Browser = Callable[[str], Client]


def url(name: str, *parts: Any) -> str:
    return reverse(f"evals:{name}", args=["acme", *parts])


def page(client: Client, name: str, *parts: Any, **query: str) -> str:
    response = client.get(url(name, *parts), query)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert client.get(address).status_code == 200
    return len(seen)


def test_a_draft_shows_what_waits_with_the_difference(project: Project, browser_of: Browser) -> None:
    answer = golden.interaction(project, output="The transfer is free.")
    mode = project.failure_modes.get(slug="unsupported-claim")
    said = golden.label(project, answer, desired_output="The transfer costs 50 cents.", primary_category=mode)
    datasets.propose(said)
    text = page(browser_of("lead"), "dataset-detail", "golden")
    assert "<del>is free.</del>" in text
    assert "<ins>costs 50 cents.</ins>" in text
    assert "Unsupported claim, major" in text, "a category is shown by its name"
    assert "Freeze v1" in text


def test_approve_edit_remove_and_freeze_by_plain_forms(project: Project, browser_of: Browser) -> None:
    lead = browser_of("lead")
    kept, gone = (datasets.propose(golden.label(project)) for _ in range(2))
    edited = lead.post(
        url("example-edit", kept.pk), {"output": "It costs 50 cents.", "must": "50 cents\n\n", "must_not": "free"}
    )
    assert edited.status_code == 302
    assert Example.objects.get(pk=kept.pk).expected["assertions"] == [
        {"type": "must", "text": "50 cents"}, {"type": "must_not", "text": "free"},
    ]  # fmt: skip
    lead.post(url("example-remove", gone.pk))
    lead.post(url("example-approve", kept.pk))
    assert "Frozen." in lead.post(url("dataset-freeze", "golden"), {"note": "first"}, follow=True).content.decode()
    version = Dataset.objects.get(project=project).versions.get()
    assert (version.count, version.note, version.frozen_by.email) == (1, "first", "lead@example.com")  # type: ignore[union-attr]
    text = page(lead, "version-detail", "golden", 1)
    assert version.checksum in text
    assert "Freeze v" not in text


def test_an_example_leads_to_the_interaction_it_is_a_copy_of_while_that_is_stored(
    project: Project, browser_of: Browser
) -> None:
    example = datasets.propose(golden.label(project))
    client = browser_of("viewer")
    interaction = Interaction.objects.get(external_id=example.provenance["interaction_id"])
    door = reverse("feedback:interaction-detail", args=["acme", interaction.pk])
    assert door in page(client, "example-detail", example.pk)
    interaction.delete()
    assert door not in page(client, "example-detail", example.pk)


def test_a_refusal_is_told_on_the_page(project: Project, browser_of: Browser) -> None:
    datasets.propose(golden.label(project))
    answer = browser_of("engineer").post(url("dataset-freeze", "golden"), follow=True)
    assert "No example is approved yet." in answer.content.decode()


def test_a_settled_failure_is_proposed_by_one_button(project: Project, browser_of: Browser) -> None:
    settled = golden.label(project, golden=False)
    client = browser_of("engineer")
    assert "Settled failures in no dataset" in page(client, "dataset-detail", "golden")
    client.post(url("dataset-propose", "golden", settled.pk))
    assert Example.objects.get().label == settled
    assert "Settled failures in no dataset" not in page(client, "dataset-detail", "golden")


def test_an_example_whose_label_was_taken_back_cannot_be_approved(project: Project, browser_of: Browser) -> None:
    from django.db.models.functions import Now

    example = datasets.propose(golden.label(project))
    Label.objects.update(superseded_at=Now())
    client = browser_of("lead")
    assert "The label behind it was taken back" in page(client, "dataset-detail", "golden")
    assert "was taken back" in client.post(url("example-approve", example.pk), follow=True).content.decode()
    assert Example.objects.get().approved_at is None


def test_a_new_dataset_gets_its_slug_from_its_name(project: Project, browser_of: Browser) -> None:
    client = browser_of("engineer")
    assert client.post(url("dataset-new"), {"name": "Fees & refunds"})["Location"] == url(
        "dataset-detail", "fees-refunds"
    )
    assert (
        "already a dataset" in client.post(url("dataset-new"), {"name": "Fees refunds"}, follow=True).content.decode()
    )
    assert "Write a name" in client.post(url("dataset-new"), {"name": "!!!"}, follow=True).content.decode()


def test_the_download_is_the_export(project: Project, browser_of: Browser) -> None:
    version = golden.frozen(project, golden.content("a"))
    response = browser_of("viewer").get(url("version-export", "golden", 1, "jsonl"))
    assert response["ETag"] == f'"{version.checksum}"'
    assert response.getvalue().startswith(b'{"count":1')
    assert browser_of("viewer").get(url("version-export", "golden", 1, "exe")).status_code == 302


def test_an_example_shows_its_context_and_nothing_runs(project: Project, browser_of: Browser) -> None:
    hostile = "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)>"
    messages = [
        {"role": "system", "content": hostile},
        {"role": "user", "content": hostile},
        {"role": "assistant", "content": None, "tool_calls": [{"function": hostile}]},
        {"role": "x", "content": []},
    ]
    version = golden.frozen(
        project,
        golden.content(
            "a",
            input={"messages": messages, "documents": [{"id": hostile, "content": hostile}, {}]},
            expected={
                "output": hostile,
                "assertions": [{"type": "must", "text": hostile}],
                "label": {"category": hostile},
            },
            provenance={"settled_by": hostile, "reviewers": hostile},
            metadata={"answer": hostile},
            tags=[hostile],
        ),
    )
    client = browser_of("viewer")
    run, _ = runs.start_run(project, version=version, candidate=hostile)
    said = ({"name": hostile, "passed": False, "detail": hostile},)
    runs.add_results(run, [runs.ResultItem(example="a", output=hostile, checks=said, passed=False)])
    runs.finish_run(run)
    texts = [
        page(client, "example-detail", version.examples.get().pk),
        page(client, "dataset-detail", "golden"),
        page(client, "run-list"),
        page(client, "run-detail", run.pk),
    ]
    for each in texts:
        assert "<script>alert" not in each
        assert "<img src=x" not in each
        assert 'href="javascript:' not in each
        assert "&lt;script&gt;alert" in each


def test_a_run_page_lists_what_newly_fails_first(
    project: Project, browser_of: Browser, people: dict[str, User]
) -> None:
    version = golden.frozen(project, *(golden.content(f"k{n}") for n in range(4)))
    baseline = finished(project, version, "v1", [True, True, False, True])
    client = browser_of("engineer")
    client.post(url("run-approve", baseline.pk))
    assert Run.objects.get(pk=baseline.pk).approved_by == people["engineer"]
    candidate = finished(project, version, "v2", [False, True, True, True], baseline=Run.objects.get(pk=baseline.pk))
    text = page(client, "run-detail", candidate.pk)
    assert "Not enough evidence" in text
    assert 'aria-current="page">Newly fail <span class="count">1</span>' in text
    assert "Does not say “right k0”" in text
    assert "McNemar exact p = 1 on 2 flips" in text
    assert page(client, "run-detail", candidate.pk, show="fixed").count("Question k2") >= 1
    assert "v1" in page(client, "run-list")


def test_a_running_run_says_how_to_go_on(project: Project, browser_of: Browser) -> None:
    version = golden.frozen(project, golden.content("a"))
    started, _ = runs.start_run(project, version=version, candidate="v1")
    client = browser_of("engineer")
    assert f"--resume {started.pk}" in page(client, "run-detail", started.pk)
    client.post(url("run-abandon", started.pk))
    assert "given up" in page(client, "run-detail", started.pk)


def finished(project: Project, version: Any, candidate: str, right: list[bool], baseline: Run | None = None) -> Run:
    run, _ = runs.start_run(project, version=version, candidate=candidate, baseline=baseline, rules=gate.Rules())
    items = [
        runs.ResultItem(example=key, output=f"right {key}" if good else "no")
        for key, good in zip(version.examples.values_list("key", flat=True), right, strict=True)
    ]
    runs.add_results(run, items)
    return runs.finish_run(run)


@pytest.mark.parametrize("size", [4])
def test_pages_take_as_many_queries_for_twice_the_rows(project: Project, browser_of: Browser, size: int) -> None:
    client = browser_of("lead")

    def grow(start: int) -> Run:
        version = golden.frozen(project, *(golden.content(f"{n:03}") for n in range(start, start + size)))
        for _ in range(size):
            datasets.propose(golden.label(project))
            golden.label(project, golden=False)
        total = version.count or 0
        baseline = finished(project, version, f"b{start}", [True] * total)
        return finished(project, version, f"c{start}", [n % 2 == 0 for n in range(total)], baseline=baseline)

    first = grow(0)
    addresses = [url("dataset-list"), url("dataset-detail", "golden"), url("run-list"), url("run-detail", first.pk)]
    for address in addresses:
        client.get(address)
    before = [queries(client, address) for address in addresses]
    second = grow(size)
    addresses[-1] = url("run-detail", second.pk)
    assert [queries(client, address) for address in addresses] == before
    assert max(before) <= 20


def test_pages_page(project: Project, browser_of: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    from evals import queries as read

    monkeypatch.setattr(read, "PAGE", 3)
    version = golden.frozen(project, *(golden.content(f"k{n}") for n in range(5)))
    run = finished(project, version, "v1", [True] * 5)
    client = browser_of("viewer")
    assert "Question k3" not in page(client, "version-detail", "golden", 1)
    assert "Question k3" in page(client, "version-detail", "golden", 1, after="k2")
    assert "Question k4" in page(client, "run-detail", run.pk, show="pass", after="k2")
    for n in range(4):
        finished(project, version, f"r{n}", [True] * 5)
    older = page(client, "run-list")
    assert "r0" not in older
    assert "Older" in older


def test_a_nul_in_a_form_is_replaced_and_nothing_else_is_lost(project: Project, browser_of: Browser) -> None:
    lead = browser_of("lead")
    assert lead.post(url("dataset-new"), {"name": "Fe\0es", "description": "a\0b"}).status_code == 302
    made = Dataset.objects.get(project=project, slug="fees")
    assert (made.name, made.description) == ("Fe\ufffdes", "a\ufffdb")
    example = datasets.propose(golden.label(project))
    lead.post(url("example-edit", example.pk), {"output": "50\0cents", "must": "50\0", "must_not": ""})
    example.refresh_from_db()
    assert example.expected["output"] == "50\ufffdcents"
    assert example.expected["assertions"] == [{"type": "must", "text": "50\ufffd"}]
    lead.post(url("example-approve", example.pk))
    assert lead.post(url("dataset-freeze", "golden"), {"note": "first\0"}).status_code == 302
    assert golden.dataset(project).versions.get(number=1).note == "first\ufffd"


@pytest.mark.parametrize(
    "before", ["2026-13-45T00:00:00", "2026-01-01T00:00:00-23:59", "0001-01-01T00:00:00+23:59", "yesterday", "\u00b2"]
)
def test_the_list_of_runs_asked_for_at_odd_times(project: Project, browser_of: Browser, before: str) -> None:
    assert page(browser_of("viewer"), "run-list", before=before)
