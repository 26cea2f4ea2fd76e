"""Labels that come with files: what they say, and that reading a file again adds nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from annotations import claims, labelling
from annotations.imported import take
from annotations.models import Label
from annotations.submission import parse_submission
from feedback import importers
from feedback.importers import HumanLabel
from feedback.models import Inbox, Interaction
from projects.models import Project, User
from tests import realdata
from tests.annotations.flow import complaint, interaction, vote


def said(interaction_id: str, label: str, annotator: str = "a", **more: Any) -> HumanLabel:
    pk = Interaction.objects.get(external_id=interaction_id).pk
    values = {"key": f"{interaction_id}:{label}:{annotator}", "level": "response", "interaction_pk": pk, **more}
    return HumanLabel(interaction_id=interaction_id, label=label, annotator=annotator, **values)


def test_people_who_agree_give_their_verdict_with_marks_and_comments(project: Project) -> None:
    interaction(project, "i")
    marks = [
        said("i", "hallucination", level="span", category="baseless", severity="evident", start=6, end=8, quote="5."),
        said("i", "hallucination", level="span", category="conflict", severity="subtle", quote="somewhere"),
        said("i", "error", level="span", category="completeness", target="human_answer", start=0, end=3),
    ]
    assert take(project, [said("i", "hallucinated", comment="no such fee"), *marks]) == 4
    label = Label.objects.get()
    assert (label.verdict, label.settled_by, label.severity, label.note) == ("fail", "imported", 2, "no such fee")
    assert label.primary_category is not None
    assert label.primary_category.slug == "unsupported-claim"
    assert label.spans == [
        {"target": "output", "quote": "5.", "category": "unsupported-claim", "start": 6, "end": 8},
        {"target": "output", "quote": "somewhere", "category": "contradicts-source"},
    ]
    assert Inbox.objects.filter(kind="label", object_id=label.pk).exists()


def test_people_who_differ_leave_it_open(project: Project) -> None:
    interaction(project, "i")
    take(project, [said("i", "bad", "a"), said("i", "excellent", "b"), said("i", "could_be_improved", "c")])
    label = Label.objects.get()
    assert (label.verdict, label.reviewers, label.primary_category) == ("unsure", 3, None)
    assert label.note == "Reviewers differ: 2 fail, 1 pass"


def test_the_last_word_decides(project: Project) -> None:
    interaction(project, "i")
    words = [said("i", "full_compliance", "x-a1"), said("i", "full_refusal", "x-final", category="over_refusal")]
    take(project, words)
    label = Label.objects.get()
    assert (label.verdict, label.primary_category and label.primary_category.slug) == ("fail", "wrong-refusal")


def test_words_that_nobody_knows_and_pairs_are_left_alone(project: Project) -> None:
    interaction(project, "i")
    assert take(project, [said("i", "purple"), said("i", "1", level="pair"), said("i", "4", level="session")]) == 0
    assert not Label.objects.exists()


def test_a_label_of_ours_is_not_replaced(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "i")
    claim = claims.claim_task(user=people["reviewer"], task=task)
    assert claim is not None
    submission = parse_submission(project, vote("pass"))
    labelling.submit(user=people["reviewer"], token=claim.token, submission=submission)
    assert take(project, [said("i", "bad")]) == 0
    assert Label.objects.get().verdict == "pass"


def test_an_experts_label_replaces_an_imported_one(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "i")
    take(project, [said("i", "bad")])
    claim = claims.claim_task(user=people["reviewer"], task=task)
    assert claim is not None
    submission = parse_submission(project, vote("pass"))
    labelling.submit(user=people["reviewer"], token=claim.token, submission=submission)
    assert Label.objects.get(superseded_at=None).settled_by == "single"


@pytest.mark.data
def test_ragtruth_is_labelled_once(project: Project) -> None:
    file = realdata.path("ragtruth")
    report = importers.run(file, format="ragtruth", project=project)
    assert (report.interactions, report.human_labels) == (1842, 2898)
    again = importers.run(file, format="ragtruth", project=project)
    assert (again.interactions, again.human_labels) == (0, 0)
    labels = list(Label.objects.filter(project=project).select_related("interaction"))
    assert Counter(label.verdict for label in labels) == {"pass": 1191, "fail": 651}
    marks = [(label, mark) for label in labels for mark in label.spans]
    assert len(marks) == 1056
    assert all(label.interaction.output[mark["start"] : mark["end"]] == mark["quote"] for label, mark in marks)
