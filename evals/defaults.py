"""What a new project gets: one judge that is ready to be tried and does nothing by itself."""

from __future__ import annotations

from evals.models import Judge
from projects.models import Project

FAITHFULNESS = (
    "Is every factual claim of the answer supported by the documents? List the claims, look for the passage that "
    "supports each, and let the score be the share of claims that are supported. A claim that a document contradicts "
    "counts as not supported, even where the rest of its sentence is right. An answer that makes no factual claim, "
    "such as a refusal or a question back, is supported."
)


def create_default_judge(project: Project) -> None:
    """A judge of faithfulness with a sample rate of 0.

    It waits for a key and then for a person: texts of users leave for a provider, and cost money, only after
    somebody has raised the rate or asked for a backfill.
    """
    Judge.objects.create(
        project=project, slug="faithfulness", name="Faithfulness", criterion=FAITHFULNESS,
        provider=Judge.Provider.OPENAI, model="gpt-4o-mini", threshold=0.5, sample_rate=0.0,
    )  # fmt: skip
