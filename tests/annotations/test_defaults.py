"""What a new project finds: queues, rules and the twelve failure modes, once."""

from __future__ import annotations

import re
from pathlib import Path

from annotations import ruleset
from annotations.defaults import create_defaults
from annotations.models import FailureMode, Queue, Rubric, TriageRule
from annotations.taxonomy import PALETTE, slug_of
from projects.models import Project

SLUGS = [
    "unsupported-claim", "contradicts-source", "wrong-fact-or-reasoning", "retrieval-miss", "ignored-context",
    "instruction-not-followed", "misread-intent", "incomplete", "tool-misuse", "wrong-refusal",
    "format-tone-or-length", "safety-or-privacy",
]  # fmt: skip


def test_a_slug_is_the_label_in_lower_case_with_hyphens() -> None:
    assert [slug_of(mode.label) for mode in PALETTE] == SLUGS


def test_the_failure_modes_fill_the_number_row(project: Project) -> None:
    modes = FailureMode.objects.filter(project=project)
    assert [(mode.slug, mode.digit) for mode in modes] == list(zip(SLUGS, "1234567890-=", strict=True))
    assert [mode.default_severity for mode in modes] == [2, 2, 2, 2, 3, 2, 2, 3, 1, 3, 4, 1]


def test_the_first_rubric_holds_the_modes_as_they_are(project: Project) -> None:
    rubric = Rubric.objects.get(project=project)
    assert (rubric.version, [mode["slug"] for mode in rubric.snapshot]) == (1, SLUGS)


def test_the_queues_stand_in_their_order_with_rules_that_triage_knows(project: Project) -> None:
    queues = Queue.objects.filter(project=project)
    assert [(queue.slug, queue.kind, queue.position) for queue in queues] == [
        ("negative-feedback", "targeted", 1), ("flagged", "targeted", 2), ("random-sample", "random", 3),
    ]  # fmt: skip
    rules = TriageRule.objects.filter(project=project)
    assert [rule.slug for rule in ruleset.ready(rules)] == [rule.slug for rule in rules]
    assert {rule.queue_id for rule in rules} == {queue.pk for queue in queues}
    assert rules.get(slug="random-sample").rate == 0.02


def test_defaults_given_twice_change_nothing(project: Project) -> None:
    Queue.objects.filter(project=project, slug="flagged").update(name="Ours")
    before = [model.objects.count() for model in (Queue, TriageRule, FailureMode, Rubric)]
    create_defaults(project)
    assert [model.objects.count() for model in (Queue, TriageRule, FailureMode, Rubric)] == before
    assert Queue.objects.get(project=project, slug="flagged").name == "Ours"


def test_the_page_of_concepts_lists_them_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text()
    rows = re.findall(r"^\| (\S) \| ([^|]+) \| `([a-z-]+)` \|", page, re.MULTILINE)
    assert rows == [(mode.digit, mode.label, mode.slug) for mode in PALETTE]
