"""What this app adds to the list of interactions: labelled ones into a dataset, and a judge's verdict on any."""

from __future__ import annotations

from collections.abc import Sequence

from annotations.models import Label, Verdict
from evals import datasets, judges, judging
from evals.models import Dataset, Judge
from feedback.bulk import Action
from feedback.models import Interaction
from projects.access import Right
from projects.errors import invalid
from projects.models import Project, User


def propose(project: Project, user: User, pks: Sequence[int], slug: str) -> str:
    """Proposes for the draft what people have said of these interactions; the rest is told, and why."""
    dataset = Dataset.objects.filter(project=project, slug=slug).first()
    if dataset is None:
        raise invalid("/dataset", "Choose a dataset.")
    labels = Label.objects.filter(interaction__in=pks, superseded_at=None).exclude(verdict=Verdict.UNSURE)
    found = list(labels.select_related("interaction", "project", "task").order_by("pk"))
    for label in found:
        datasets.propose(label, dataset=dataset, actor=user)
    told = f"Proposed {len(found):,} of {len(pks):,} for {dataset.name}."
    left = len(pks) - len(found)
    return told + (f" {left:,} {'has' if left == 1 else 'have'} no label yet: send them to a queue." if left else "")


def datasets_of(project: Project) -> list[tuple[str, str]]:
    return datasets.offered(project)


def ask_judge(project: Project, user: User, pks: Sequence[int], slug: str) -> str:
    """Lets the judge's version in use look at these interactions; what it has seen it does not see again."""
    judge = next((judge for judge in _able(project) if judge.slug == slug), None)
    if judge is None:
        raise invalid("/judge", "Choose a judge that is in use and has a key.")
    items = list(Interaction.objects.filter(project=project, pk__in=pks))
    asked = judges.ask_about(judge, items, actor=user)
    told = f"{judge.name} will look at {asked:,} interaction{'' if asked == 1 else 's'}."
    kept = len(pks) - asked
    return told + (f" {kept:,} it has seen, or there is no answer to judge." if kept else "")


def judges_of(project: Project) -> list[tuple[str, str]]:
    return [(judge.slug, judge.name) for judge in _able(project)]


def _able(project: Project) -> list[Judge]:
    """The versions in use that can be asked now."""
    enabled = Judge.objects.filter(project=project, enabled=True).select_related("connection").order_by("name", "pk")
    return [judge for judge in enabled if not judging.missing_key(judge)]


TO_DATASET = Action("dataset", "Propose", "layers", "p", "Dataset", (Right.LEAD, Right.BUILD), propose, datasets_of)
TO_JUDGE = Action("judge", "Judge", "gauge", "e", "Judge", (Right.BUILD,), ask_judge, judges_of)
