"""Who may approve, what a split must not tear apart, and what a version says of its use."""

from __future__ import annotations

import pytest

from annotations.models import Cluster, ClusterMember, Label
from evals import datasets, export, grouping, packing
from evals.formats import formats
from evals.models import Dataset, Example
from projects.errors import ApiError
from projects.models import AuditEntry, Project, User
from tests.conftest import Api
from tests.evals import golden

People = dict[str, User]


def clustered(project: Project, *labels: Label) -> Cluster:
    cluster = Cluster.objects.create(project=project, head=labels[0].interaction, title="Fees")
    for label in labels:
        ClusterMember.objects.create(cluster=cluster, interaction=label.interaction)
    return cluster


def test_a_second_person_approves_where_the_project_asks_for_one(project: Project, people: People) -> None:
    datasets.ask_second_person(project, True, actor=people["admin"])
    example = datasets.propose(golden.label(project), actor=people["engineer"])
    with pytest.raises(ApiError) as refused:
        datasets.approve(example, actor=people["engineer"])
    assert (refused.value.status_code, refused.value.error_code) == (409, "second_person")
    assert datasets.approve_all(golden.dataset(project), actor=people["engineer"]) == 0
    assert datasets.approve(example, actor=people["lead"])
    example = datasets.edit_expected(example, actor=people["lead"], output="It costs 60 cents.")
    with pytest.raises(ApiError):
        datasets.approve(example, actor=people["lead"])
    assert datasets.approve_all(golden.dataset(project), actor=people["admin"]) == 1
    assert AuditEntry.objects.filter(project=project, action="curation.second_person").count() == 1


def test_whoever_voted_for_it_is_no_second_person(project: Project, people: People) -> None:
    from annotations.models import Annotation, Queue, Rubric, Task

    of = golden.interaction(project)
    task = Task.objects.create(
        project=project,
        queue=Queue.objects.filter(project=project)[0],
        interaction=of,
        due_at=of.created_at,
        lane="risk",
    )
    vote = Annotation.objects.create(
        project=project, task=task, reviewer=people["reviewer"], verdict="fail", severity=2, fingerprint=b"f",
        rubric=Rubric.objects.filter(project=project)[0], submission_id="00000000-0000-0000-0000-000000000001",
    )  # fmt: skip
    datasets.ask_second_person(project, True, actor=people["admin"])
    example = datasets.propose(golden.label(project, of, annotation_ids=[vote.pk]))
    assert example.proposers == [people["reviewer"].pk]
    with pytest.raises(ApiError):
        datasets.approve(example, actor=people["reviewer"])


def test_without_the_setting_the_proposer_may_approve(project: Project, people: People) -> None:
    example = datasets.propose(golden.label(project), actor=people["lead"])
    assert datasets.approve(example, actor=people["lead"])


def test_a_program_cannot_approve_where_a_second_person_must(project: Project, people: People, sk: Api) -> None:
    datasets.ask_second_person(project, True, actor=people["admin"])
    given = {"input": {"messages": [{"role": "user", "content": "Fee?"}]}, "expected": {"output": "50 cents"}}
    status, body = sk.post("/api/v1/datasets/golden/examples", {"examples": [given], "approve": True})
    assert (status, body["error"]["code"]) == (409, "second_person")
    assert sk.post("/api/v1/datasets/golden/examples", {"examples": [given]})[0] == 201


def test_one_cluster_of_complaints_is_never_torn_apart(project: Project) -> None:
    labels = [golden.label(project, golden.interaction(project, session_id=f"s-{n}")) for n in range(12)]
    cluster = clustered(project, *labels)
    splits = {datasets.propose(label).split for label in labels}
    assert len(splits) == 1
    assert set(Example.objects.values_list("provenance__cluster", flat=True)) == {cluster.pk}
    assert Example.objects.values("provenance__group").distinct().count() == 1


def test_an_example_that_joins_two_groups_brings_them_together(project: Project, people: People) -> None:
    apart = [golden.label(project, golden.interaction(project, session_id=f"s-{n}")) for n in range(8)]
    joining = golden.label(project, golden.interaction(project, session_id="s-7"))
    clustered(project, *apart[:7], joining)
    for label in (apart[7], *apart[:7]):
        datasets.approve(datasets.propose(label), actor=people["lead"])
    assert Example.objects.values("provenance__group").distinct().count() == 2
    datasets.propose(joining)
    assert Example.objects.values("provenance__group", "split").distinct().count() == 1
    assert Example.objects.filter(approved_at__isnull=False).count() == 8, "a move takes no approval away"


def test_a_version_whose_groups_are_torn_is_not_frozen(project: Project) -> None:
    there = [
        golden.content("a", provenance={"group": "g"}),
        golden.content("b", split="dev", provenance={"group": "g"}),
    ]
    with pytest.raises(ApiError) as refused:
        golden.frozen(project, *there)
    assert (refused.value.status_code, refused.value.error_code) == (409, "group_torn")
    assert [(each.group, each.keys) for each in grouping.torn(datasets.draft_of(golden.dataset(project)))] == [
        ("g", ["a", "b"])
    ]


def test_a_version_keeps_the_licence_it_was_frozen_with(project: Project, people: People) -> None:
    def terms(licence: str) -> None:
        datasets.set_terms(
            golden.dataset(project), actor=people["lead"], description="", licence=licence, consent="Terms, section 4"
        )

    terms("CC-BY-4.0")
    first = golden.frozen(project, golden.content("a"))
    terms("internal use only")
    second = golden.frozen(project, golden.content("b"))
    told = [packing.manifest(export.source_of(version, {}), formats()["hf"]) for version in (first, second)]
    assert [each["licence"] for each in told] == ["CC-BY-4.0", "internal use only"]
    assert told[0]["consent"] == "Terms, section 4"
    card = b"".join(formats()["hf"].members(export.source_of(second, {}))[0][1](export.source_of(second, {}))).decode()  # type: ignore[misc, index]
    assert 'license: other\nlicense_name: "internal use only"\n' in card


def test_a_dataset_has_one_of_three_kinds(project: Project) -> None:
    assert datasets.create_dataset(project, slug="attacks", name="Attacks", kind="adversarial").kind == "adversarial"
    with pytest.raises(ApiError):
        datasets.create_dataset(project, slug="other", name="Other", kind="silver")
    assert set(Dataset.Kind.values) == {"golden", "adversarial", "reference"}
