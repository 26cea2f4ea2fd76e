"""From a settled label to a frozen version that nothing changes."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from annotations.models import Label
from evals import curation, datasets, lines, snapshot, tasks
from evals.models import Dataset, DatasetVersion, Example
from feedback import inbox
from feedback.models import Inbox
from projects.errors import ApiError
from projects.models import AuditEntry, Project, User
from tests.evals import golden

People = dict[str, User]


def test_a_new_project_has_a_golden_dataset(project: Project) -> None:
    assert Dataset.objects.get(project=project).slug == "golden"


def test_an_example_is_a_copy_of_the_whole_context(project: Project) -> None:
    seen = golden.interaction(
        project,
        external_id="req-1",
        session_id="s-1",
        documents=[{"id": "kb-1", "content": "Instant transfers cost 50 cents."}],
        tools=[{"name": "fees"}],
        parameters={"temperature": 0.2},
        tags=["vip"],
        model="m-1",
        prompt_version="14",
        output_schema={"type": "object"},
    )
    settled = golden.label(
        project,
        seen,
        primary_category=golden.mode(project),
        assertions=[{"type": "must", "text": "50 cents"}],
        blind=True,
    )
    example = datasets.propose(settled)
    Label.objects.filter(pk=settled.pk).delete()
    seen.delete()
    example.refresh_from_db()
    assert example.input == {
        "messages": seen.messages,
        "documents": [{"id": "kb-1", "content": "Instant transfers cost 50 cents."}],
        "tools": [{"name": "fees"}],
        "parameters": {"temperature": 0.2},
    }
    assert example.expected == {
        "output": "An instant transfer costs 50 cents.",
        "assertions": [{"type": "must", "text": "50 cents"}],
        "label": {"verdict": "fail", "category": "made-up-fee", "severity": 2},
        "schema": {"type": "object"},
    }
    provenance = example.provenance
    assert {name: provenance[name] for name in ("interaction_id", "annotation_ids", "settled_by", "blind")} == {
        "interaction_id": "req-1", "annotation_ids": [11], "settled_by": "single", "blind": True,
    }  # fmt: skip
    assert provenance["sha256"]["documents"] == lines.sha256(seen.documents)
    assert example.metadata["answer"] == seen.output
    assert (example.tags, example.metadata["prompt_version"]) == (["vip"], "14")
    assert example.approved_at is None


def test_a_passing_answer_is_its_own_desired_answer(project: Project) -> None:
    settled = golden.label(project, verdict="pass", desired_output="")
    assert datasets.propose(settled).expected["output"] == settled.interaction.output


def test_proposing_twice_is_proposing_once(project: Project) -> None:
    settled = golden.label(project)
    assert datasets.propose(settled) == datasets.propose(settled)
    assert Example.objects.count() == 1


def test_a_newer_label_replaces_the_content_and_asks_for_approval_again(project: Project, people: People) -> None:
    old = golden.label(project)
    example = datasets.propose(old)
    datasets.approve(example, actor=people["lead"])
    Label.objects.filter(pk=old.pk).update(superseded_at=Now())
    datasets.propose(golden.label(project, old.interaction, desired_output="It costs 1 euro."))
    example.refresh_from_db()
    assert (example.expected["output"], example.approved_at) == ("It costs 1 euro.", None)


@pytest.mark.parametrize(("fields", "status"), [({"superseded_at": Now()}, 409), ({"verdict": "unsure"}, 422)])
def test_what_says_nothing_certain_is_not_proposed(project: Project, fields: dict[str, Any], status: int) -> None:
    settled = golden.label(project, **fields)
    settled.refresh_from_db()
    with pytest.raises(ApiError) as refused:
        datasets.propose(settled)
    assert refused.value.status_code == status


def test_one_session_is_never_torn_apart_by_the_split(project: Project) -> None:
    splits = {
        datasets.propose(golden.label(project, golden.interaction(project, session_id="s-7"))).split for _ in range(12)
    }
    assert len(splits) == 1


def test_splits_follow_their_shares() -> None:
    drawn = [snapshot.split_of(snapshot.group_of(f"session {n}", "")) for n in range(3000)]
    shares = {split: drawn.count(split) / 3000 for split in set(drawn)}
    assert shares == {"test": pytest.approx(0.6, abs=0.03), "dev": pytest.approx(0.2, abs=0.03),
                      "train": pytest.approx(0.2, abs=0.03)}  # fmt: skip


def test_the_same_question_without_a_session_stays_together() -> None:
    assert snapshot.group_of("", "What  is the FEE?") == snapshot.group_of("", "what is the fee?")


def test_only_approved_examples_are_frozen_and_the_rest_moves_on(project: Project, people: People) -> None:
    kept, waiting = datasets.propose(golden.label(project)), datasets.propose(golden.label(project))
    datasets.approve(kept, actor=people["lead"])
    version = datasets.freeze(golden.dataset(project), actor=people["lead"], note="first")
    assert (version.number, version.count, version.note, version.frozen_by) == (1, 1, "first", people["lead"])
    assert [example.key for example in version.examples.all()] == [kept.key]
    draft = DatasetVersion.objects.get(dataset=version.dataset, number=2)
    assert dict(draft.examples.values_list("key", "approved_at")) == {
        kept.key: version.examples.get().approved_at, waiting.key: None,
    }  # fmt: skip


def test_the_checksum_is_the_sha256_of_the_lines(project: Project) -> None:
    import hashlib

    version = golden.frozen(project, golden.content("b"), golden.content("a"), golden.content("B"))
    text = b"".join(lines.line(row) for row in lines.rows(version))
    assert version.checksum == hashlib.sha256(text).hexdigest()
    assert [row["key"] for row in lines.rows(version)] == ["B", "a", "b"]  # bytewise, whatever the database's language


def test_a_long_version_is_read_page_by_page_without_a_gap(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    version = golden.frozen(project, *(golden.content(f"{n:02}") for n in range(25)))
    monkeypatch.setattr(lines, "CHUNK", 7)
    assert [row["key"] for row in lines.rows(version)] == [f"{n:02}" for n in range(25)]


def test_the_next_draft_starts_as_a_copy(project: Project) -> None:
    first = golden.frozen(project, golden.content("a"), golden.content("b"))
    second = golden.frozen(project, golden.content("c"))
    assert list(second.examples.values_list("key", flat=True)) == ["a", "b", "c"]
    assert list(first.examples.values_list("key", flat=True)) == ["a", "b"]


def test_an_unapproved_change_leaves_the_old_example_in_the_version(project: Project) -> None:
    golden.frozen(project, golden.content("a"), golden.content("b"))
    changed = golden.content("a", expected={"output": "new", "assertions": [], "label": {}})
    datasets.add_examples(golden.dataset(project), [changed], actor=None)
    second = golden.frozen(project, golden.content("c"))
    assert second.examples.get(key="a").expected["output"] == "Answer a"
    draft = DatasetVersion.objects.get(dataset=second.dataset, frozen_at=None)
    assert (draft.examples.get(key="a").expected["output"], draft.examples.get(key="a").approved_at) == ("new", None)
    assert draft.examples.count() == 3


def test_nothing_new_is_not_frozen_again(project: Project) -> None:
    golden.frozen(project, golden.content("a"))
    for prepare in (lambda: None, lambda: datasets.draft_of(golden.dataset(project))):
        prepare()
        with pytest.raises(ApiError) as refused:
            datasets.freeze(golden.dataset(project), actor=None)
        assert refused.value.error_code == "unchanged"


def test_nothing_approved_is_not_frozen(project: Project) -> None:
    example = datasets.propose(golden.label(project))
    with pytest.raises(ApiError) as refused:
        datasets.freeze(golden.dataset(project), actor=None)
    assert refused.value.error_code == "empty"
    assert Example.objects.filter(pk=example.pk, version__frozen_at=None).exists()


@pytest.mark.parametrize(
    "sabotage",
    [
        lambda v: Example.objects.filter(version=v).update(expected={"output": "other"}),
        lambda v: Example.objects.filter(version=v).delete(),
        lambda v: Example.objects.create(version=v, key="late", split="dev", input={}, expected={}),
        lambda v: DatasetVersion.objects.filter(pk=v.pk).update(checksum="0" * 64),
        lambda v: DatasetVersion.objects.filter(pk=v.pk).delete(),
    ],
)
def test_the_database_refuses_every_change_of_a_frozen_version(project: Project, sabotage: Any) -> None:
    version = golden.frozen(project, golden.content("a"))
    with pytest.raises(IntegrityError), transaction.atomic():
        sabotage(version)
    assert lines.checksum(version) == (version.checksum, 1)


def test_a_frozen_example_is_not_approved_edited_or_removed(project: Project, people: People) -> None:
    example = golden.frozen(project, golden.content("a")).examples.get()
    for act in (
        lambda: datasets.approve(example, actor=people["lead"]),
        lambda: datasets.remove(example, actor=people["lead"]),
        lambda: datasets.edit_expected(example, actor=people["lead"], output="x"),
    ):
        with pytest.raises(ApiError) as refused:
            act()
        assert refused.value.error_code == "frozen"


def test_an_edited_expectation_waits_for_approval_and_says_so(project: Project, people: People) -> None:
    example = datasets.propose(golden.label(project))
    datasets.approve(example, actor=people["lead"])
    example = datasets.edit_expected(example, actor=people["lead"], output="It costs 60 cents.")
    assert (example.expected["output"], example.approved_at, example.provenance["edited"]) == (
        "It costs 60 cents.", None, True,
    )  # fmt: skip


def test_approving_twice_counts_once_and_a_fallen_label_is_not_approved(project: Project, people: People) -> None:
    example = datasets.propose(golden.label(project))
    assert datasets.approve(example, actor=people["lead"])
    assert not datasets.approve(example, actor=people["engineer"])
    fallen = datasets.propose(golden.label(project))
    Label.objects.filter(pk=fallen.label_id).update(superseded_at=Now())
    with pytest.raises(ApiError):
        datasets.approve(fallen, actor=people["lead"])
    assert datasets.approve_all(golden.dataset(project), actor=people["lead"]) == 0


def test_freezing_is_audited(project: Project, people: People) -> None:
    golden.frozen(project, golden.content("a"), actor=people["engineer"])
    assert AuditEntry.objects.filter(action="dataset.frozen", target="golden@1", actor=people["engineer"]).count() == 1


def test_labels_marked_golden_are_proposed_by_the_curate_stage(project: Project) -> None:
    marked, unmarked, unsure = (
        golden.label(project),
        golden.label(project, golden=False),
        golden.label(project, verdict="unsure"),
    )
    inbox.announce(Inbox.Kind.LABEL, project.pk, [marked.pk, unmarked.pk, unsure.pk])
    tasks.curate()
    assert [example.label for example in Example.objects.all()] == [marked]
    assert not Inbox.objects.filter(stage="curate").exists()


def test_a_label_taken_back_takes_its_proposal_along(project: Project, people: People) -> None:
    taken, approved = golden.label(project), golden.label(project)
    for settled in (taken, approved):
        datasets.propose(settled)
    datasets.approve(Example.objects.get(label=approved), actor=people["lead"])
    Label.objects.update(superseded_at=Now())
    inbox.announce(Inbox.Kind.LABEL, project.pk, [taken.pk, approved.pk])
    tasks.curate()
    assert [example.label for example in Example.objects.all()] == [approved]


def test_a_new_label_without_the_mark_withdraws_the_old_proposal(project: Project) -> None:
    old = golden.label(project)
    datasets.propose(old)
    Label.objects.filter(pk=old.pk).update(superseded_at=Now())
    new = golden.label(project, old.interaction, golden=False)
    inbox.announce(Inbox.Kind.LABEL, project.pk, [new.pk])
    tasks.curate()
    assert not Example.objects.exists()


def test_failures_in_no_dataset_are_offered(project: Project) -> None:
    proposed, offered = golden.label(project), golden.label(project, golden=False)
    golden.label(project, verdict="pass", golden=False)
    datasets.propose(proposed)
    assert list(curation.settled_failures(project)) == [offered]


@pytest.mark.django_db(transaction=True)
def test_a_proposal_during_a_freeze_lands_in_the_next_draft(project: Project) -> None:
    settled = golden.label(project)
    dataset = golden.dataset(project)
    datasets.add_examples(dataset, [golden.content("a")], actor=None, approve=True)
    done = threading.Event()

    def propose() -> None:
        datasets.propose(settled)
        done.set()
        connection.close()

    with transaction.atomic():
        version = datasets.freeze(dataset, actor=None)
        other = threading.Thread(target=propose)
        other.start()
        assert not done.wait(0.3)  # it waits for the lock of the dataset
    other.join(10)
    assert list(version.examples.values_list("key", flat=True)) == ["a"]
    assert Example.objects.get(label=settled).version.number == 2
