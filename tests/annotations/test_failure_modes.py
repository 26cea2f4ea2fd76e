"""The taxonomy: what is a version, what is refused, where old labels go, and opening them again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotations import claims, failure_modes, labelling, reopening, sections, settlement
from annotations.models import Annotation, Claim, FailureMode, Label, Queue, Rubric, Task
from annotations.taxonomy import PALETTE
from evals import snapshot
from feedback import filters
from monitoring import quality
from projects.errors import ApiError
from projects.models import AuditEntry, Project, User
from tests.annotations.flow import complaint
from tests.annotations.test_settlement import cast, current, send

A, B, C = "unsupported-claim", "contradicts-source", "incomplete"


def mode(project: Project, slug: str) -> FailureMode:
    return FailureMode.objects.get(project=project, slug=slug)


def version(project: Project) -> int:
    return Rubric.objects.filter(project=project).latest("version").version


def save(project: Project, slug: str | None = None, **fields: Any) -> FailureMode:
    old = mode(project, slug) if slug else None
    return failure_modes.save(project=project, actor=None, mode=old, fields=fields)


def refused(work: Callable[[], object]) -> tuple[int, list[str]]:
    with pytest.raises(ApiError) as caught:
        work()
    return caught.value.status_code, [fault["path"] for fault in caught.value.details]


class TestVersions:
    def test_what_changes_the_meaning_is_a_version_with_author_and_reason(
        self, project: Project, people: dict[str, User]
    ) -> None:
        before = FailureMode.objects.get(project=project, slug=A)
        failure_modes.save(
            project=project, actor=people["lead"], mode=before, note="Lawyers asked",
            fields={"label": "No source for it", "guide": "Choose it where\n\nno source says so."},
        )  # fmt: skip
        rubric = Rubric.objects.get(project=project, version=2)
        assert (rubric.changed_by, rubric.note) == (people["lead"], "Lawyers asked")
        assert rubric.snapshot[0]["label"] == "No source for it"
        assert rubric.snapshot[0]["slug"] == A  # a new name is the same mode
        assert Rubric.objects.get(project=project, version=1).snapshot[0]["label"] == "Unsupported claim"
        assert AuditEntry.objects.filter(project=project).latest("id").action == "failure_mode.changed"

    def test_keys_order_and_what_stays_as_it_was_are_none(self, project: Project) -> None:
        save(project, A, digit="")
        save(project, A, label="Unsupported claim")
        failure_modes.arrange(project=project, actor=None, order=[B, A], digits={A: "2", B: "1"})
        assert version(project) == 1
        assert [(one.slug, one.digit) for one in project.failure_modes.all()[:2]] == [(B, "1"), (A, "2")]

    def test_a_vote_keeps_the_version_it_was_made_under(self, project: Project, people: dict[str, User]) -> None:
        task = complaint(project, "one")
        done = cast(project, people["reviewer"], task)
        save(project, B, description="Says otherwise than a source")
        vote = Annotation.objects.get(pk=done.annotation.pk)
        assert vote.rubric.version == 1
        assert cast(project, people["reviewer"], complaint(project, "two")).annotation.rubric.version == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "path"),
        [
            ({"label": ""}, "/label"),
            ({"label": "x" * 81}, "/label"),
            ({"digit": "p"}, "/digit"),
            ({"digit": "12"}, "/digit"),
            ({"digit": None}, "/digit"),
            ({"default_severity": 5}, "/default_severity"),
            ({"examples": ["x" * 501]}, "/examples/0"),
            ({"examples": "one"}, "/examples"),
            ({"guide": 3}, "/guide"),
            ({"colour": "red"}, "/colour"),
        ],
    )
    def test_what_does_not_fit_is_named_with_its_place(
        self, project: Project, fields: dict[str, Any], path: str
    ) -> None:
        assert refused(lambda: save(project, A, **fields)) == (422, [path])
        assert version(project) == 1

    @pytest.mark.parametrize(
        ("fields", "path"), [({"label": "contradicts SOURCE"}, "/label"), ({"digit": "2"}, "/digit")]
    )
    def test_what_another_one_has_is_refused_beside_everything_else(
        self, project: Project, fields: dict[str, Any], path: str
    ) -> None:
        assert refused(lambda: save(project, A, **fields)) == (409, [path])
        assert refused(lambda: save(project, A, guide=3, **fields)) == (422, ["/guide", path])
        assert version(project) == 1

    def test_two_cannot_have_the_same_key_in_an_arrangement(self, project: Project) -> None:
        def same() -> None:
            failure_modes.arrange(project=project, actor=None, order=[], digits={A: "2"})

        assert refused(same) == (422, ["/digits"])
        assert mode(project, A).digit == "1"

    def test_a_retired_one_is_neither_changed_nor_retired_again_nor_merged_into(self, project: Project) -> None:
        failure_modes.retire(actor=None, mode=mode(project, A))
        assert refused(lambda: save(project, A, label="x"))[0] == 409
        assert refused(lambda: failure_modes.retire(actor=None, mode=mode(project, A)))[0] == 409
        merge = lambda into: lambda: failure_modes.merge(actor=None, mode=mode(project, B), into=into)  # noqa: E731
        assert refused(merge(A)) == (422, ["/into"])
        assert refused(merge(B)) == (422, ["/into"])

    def test_a_split_needs_two_different_parts_and_says_which_does_not_fit(self, project: Project) -> None:
        def split(*into: dict[str, Any], counts: str | None = None) -> Callable[[], object]:
            return lambda: failure_modes.split(actor=None, mode=mode(project, A), into=into, counts=counts)

        assert refused(split({"slug": B})) == (422, ["/into"])
        assert refused(split({"slug": B}, {"slug": B})) == (422, ["/into"])
        assert refused(split({"slug": B}, {"slug": A})) == (422, ["/into/1/slug"])
        assert refused(split({"slug": B}, {"label": "Contradicts source"})) == (409, ["/into/1/label"])
        assert refused(split({"slug": B}, {"slug": C}, counts="tool-misuse")) == (422, ["/counts_as"])
        assert version(project) == 1
        assert mode(project, A).retired_at is None


class TestForward:
    def test_labels_follow_through_any_number_of_merges_and_votes_stay(
        self, project: Project, people: dict[str, User]
    ) -> None:
        task = complaint(project, "one")
        cast(project, people["reviewer"], task, primary_category=A, categories=[C])
        failure_modes.merge(actor=None, mode=mode(project, A), into=B)
        failure_modes.merge(actor=None, mode=mode(project, B), into=C)
        assert failure_modes.forward(project) == {A: C, B: C}
        label = current(task)
        assert label is not None
        assert (label.primary_category, label.categories) == (mode(project, A), [C])  # as it was said
        shown = sections.labels_of(task.interaction)[0]
        assert (shown["primary_category"], shown["category_given"]) == (C, "Unsupported claim")
        failure_modes.bring_back(actor=None, mode=mode(project, B))
        assert failure_modes.forward(project) == {A: B}

    def test_filters_counts_and_examples_read_what_it_counts_as(
        self, project: Project, people: dict[str, User]
    ) -> None:
        task = complaint(project, "one")
        cast(project, people["reviewer"], task, primary_category=A)
        failure_modes.merge(actor=None, mode=mode(project, A), into=B)
        since, until = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)
        assert [(row.slug, row.count) for row in quality.failures(project, since, until)] == [(B, 1)]
        for slug in (A, B):  # an old address still finds them
            assert len(quality.failed_labels(project, since, until, category=slug)) == 1
        label = Label.objects.select_related("interaction").get(interaction=task.interaction_id)
        assert snapshot.of_label(label).expected["label"]["category"] == B

    def test_a_split_leaves_old_labels_where_they_are_unless_a_part_is_named(self, project: Project) -> None:
        parts = [{"label": "Made-up fee", "digit": "1"}, {"label": "Made-up date"}]
        failure_modes.split(actor=None, mode=mode(project, A), into=parts)
        old = mode(project, A)
        assert (old.counts_as, [part.slug for part in old.split_into.all()]) == (None, ["made-up-fee", "made-up-date"])
        assert (mode(project, "made-up-fee").digit, mode(project, "made-up-fee").default_severity) == ("1", 2)
        failure_modes.split(actor=None, mode=mode(project, B), into=[{"slug": C}, {"label": "Old"}], counts="Old")
        assert failure_modes.forward(project) == {B: "old"}
        retired = [one for one in Rubric.objects.get(project=project, version=3).snapshot if one.get("retired")]
        assert [(one["slug"], one["merged_into"], one["split_into"]) for one in retired] == [
            (A, None, ["made-up-fee", "made-up-date"]), (B, "old", [C, "old"]),
        ]  # fmt: skip

    def test_one_that_comes_back_loses_a_key_that_another_has_now(self, project: Project) -> None:
        failure_modes.retire(actor=None, mode=mode(project, A))
        save(project, B, digit="1")
        back = failure_modes.bring_back(actor=None, mode=mode(project, A))
        assert (back.retired_at, back.digit) == (None, "")


class TestPresets:
    @pytest.mark.parametrize("preset", failure_modes.PRESETS)
    def test_each_fits_the_number_row_and_replaces_what_is_there(self, project: Project, preset: str) -> None:
        modes = failure_modes.PRESETS[preset].modes
        added = failure_modes.adopt(project=project, actor=None, preset=preset, replace=True)
        used = list(FailureMode.objects.filter(project=project, retired_at=None))
        assert {one.slug for one in used} == {one.slug for one in modes}
        assert len({one.digit for one in used if one.digit}) == min(len(modes), 12)
        assert added == len(modes) - len({one.slug for one in modes} & {one.slug for one in PALETTE})

    def test_adding_one_keeps_what_is_there_and_brings_back_what_was_retired(self, project: Project) -> None:
        failure_modes.retire(actor=None, mode=mode(project, A))
        assert failure_modes.adopt(project=project, actor=None, preset="palette") == 1
        assert mode(project, A).retired_at is None
        assert refused(lambda: failure_modes.adopt(project=project, actor=None, preset="x")) == (422, ["/preset"])


class TestReopening:
    @pytest.fixture
    def labelled(self, project: Project, people: dict[str, User]) -> Task:
        task = complaint(project, "one")
        cast(project, people["reviewer"], task, primary_category=A, categories=[C], note="Which fee?", severity=3)
        return task

    def reopen(self, project: Project, **more: Any) -> int:
        parts = [{"label": "Made-up fee"}, {"label": "Made-up date"}]
        failure_modes.split(actor=None, mode=mode(project, A), into=parts, **more)
        return reopening.reopen(actor=None, mode=mode(project, A))

    def test_items_of_a_split_mode_wait_again_and_keep_their_label_until_somebody_says_more(
        self, project: Project, people: dict[str, User], labelled: Task
    ) -> None:
        old = current(labelled)
        assert self.reopen(project) == 1
        labelled.refresh_from_db()
        assert (labelled.state, labelled.taken, labelled.assigned_to) == ("open", 0, people["reviewer"])
        assert (
            labelled.reasons[0]["text"] == "“Unsupported claim” was split into Made-up fee, Made-up date: which is it?"
        )
        assert current(labelled) == old
        assert reopening.settled(mode(project, A)).count() == 0
        assert reopening.waiting(mode(project, A)) == 1
        vote = Annotation.objects.get(task=labelled)
        assert (vote.state, vote.primary_category) == ("earlier", mode(project, A))

    def test_whoever_labelled_it_finds_their_words_without_the_mode_that_is_gone(
        self, project: Project, people: dict[str, User], labelled: Task
    ) -> None:
        self.reopen(project)
        claim = claims.claim_next(user=people["reviewer"], queue=labelled.queue)
        assert claim is not None
        assert claim.draft is not None
        assert (claim.draft["primary_category"], claim.draft["note"], claim.draft["severity"]) == (C, "Which fee?", 3)
        done = send(project, people["reviewer"], claim, primary_category="made-up-fee")
        label = current(labelled)
        assert label is not None
        assert (label.primary_category, label.rubric_version) == (mode(project, "made-up-fee"), 2)
        assert Annotation.objects.get(pk=done.annotation.pk).supersedes is not None
        first = settlement.independent_votes(project).get()
        assert first.primary_category == mode(project, A)  # what was said before anything was known

    def test_undoing_the_new_label_brings_the_old_one_back(
        self, project: Project, people: dict[str, User], labelled: Task
    ) -> None:
        old = current(labelled)
        self.reopen(project)
        cast(project, people["reviewer"], labelled, primary_category="made-up-fee")
        assert labelling.undo(user=people["reviewer"], project=project) is not None
        assert current(labelled) == old

    def test_another_reviewer_starts_from_nothing(
        self, project: Project, people: dict[str, User], labelled: Task
    ) -> None:
        self.reopen(project)
        Task.objects.filter(pk=labelled.pk).update(assigned_to=None)
        claim = claims.claim_next(user=people["engineer"], queue=labelled.queue)
        assert claim is not None
        assert claim.draft is None
        send(project, people["engineer"], claim, "pass")
        label = current(labelled)
        assert label is not None
        assert (label.verdict, label.reviewers) == ("pass", 1)

    def test_with_an_overlap_all_reviewers_are_asked_again(self, project: Project, people: dict[str, User]) -> None:
        Queue.objects.filter(project=project).update(overlap=2)
        task = complaint(project, "two")
        for who in ("reviewer", "engineer"):
            cast(project, people[who], task, primary_category=A)
        assert self.reopen(project) == 1
        task.refresh_from_db()
        assert (task.needed, task.taken, task.assigned_to) == (2, 0, None)
        cast(project, people["reviewer"], task, primary_category="made-up-fee")
        label = current(task)
        assert label is not None
        assert label.primary_category == mode(project, A)
        cast(project, people["engineer"], task, primary_category="made-up-fee")
        label = current(task)
        assert label is not None
        assert (label.settled_by, label.primary_category) == ("unanimous", mode(project, "made-up-fee"))

    def test_a_mode_in_use_opens_nothing_and_neither_does_an_item_that_waits_elsewhere(
        self, project: Project, people: dict[str, User], labelled: Task
    ) -> None:
        assert refused(lambda: reopening.reopen(actor=None, mode=mode(project, A)))[0] == 409
        elsewhere = Queue.objects.get(project=project, slug="flagged")
        Task.objects.create(
            project=project, queue=elsewhere, interaction_id=labelled.interaction_id, lane="risk",
            due_at=timezone.now(),
        )  # fmt: skip
        assert self.reopen(project) == 0
        assert Claim.objects.filter(task=labelled, state="submitted").count() == 1


def test_the_interactions_of_a_merged_mode_are_found_under_the_other(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "one")
    cast(project, people["reviewer"], task, primary_category=A)
    failure_modes.merge(actor=None, mode=mode(project, A), into=B)
    fact = next(one for one in filters.facts if one.name == "category")
    assert list(fact.rows(project)) == [(task.interaction_id, B)]
