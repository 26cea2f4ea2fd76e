"""What goes into a golden example: a copy of an interaction and of what people settled about it.

Pure. A copy, because an example outlives both: retention may delete the interaction, and a frozen version stays.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from annotations import failure_modes
from annotations.models import Label, Verdict
from evals.lines import sha256
from evals.models import Example
from feedback.models import text_of

# Shares of the splits: most examples are for testing; dev is for building prompts, train for few-shots and tuning.
TEST_BELOW, DEV_BELOW = 0.6, 0.8


@dataclass(frozen=True, slots=True)
class Content:
    """Everything of an example that is exported."""

    key: str
    split: str
    input: dict[str, Any]
    expected: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """The values of the row, but for its key."""
        return {
            "split": self.split, "input": self.input, "expected": self.expected, "provenance": self.provenance,
            "tags": self.tags, "metadata": self.metadata,
        }  # fmt: skip


def of_label(label: Label, *, cluster: int | None = None) -> Content:
    """The example that a settled label proposes; ``cluster`` is that of its complaint.

    The desired answer is the reviewer's; where a passing answer was not corrected, it is that answer itself.
    The answer that was judged goes to ``metadata.answer``: a failing one must not come back.
    """
    interaction = label.interaction
    answer = interaction.output
    desired = label.desired_output or (answer if label.verdict == Verdict.PASS else "")
    inputs = {
        "messages": interaction.messages,
        "documents": interaction.documents,
        "tools": interaction.tools or [],
        "parameters": interaction.parameters or {},
    }
    expected: dict[str, Any] = {
        "output": desired,
        "assertions": label.assertions,
        "label": {
            "verdict": label.verdict,
            "category": mode.slug if (mode := failure_modes.now(label.primary_category)) else None,
            "severity": label.severity,
        },
    }
    if interaction.output_schema:
        expected["schema"] = interaction.output_schema
    group = group_of(interaction.session_id, interaction.question)
    return Content(
        key=key_of(interaction.external_id),
        split=split_of(group),
        input=inputs,
        expected=expected,
        provenance={
            "interaction_id": interaction.external_id,
            "annotation_ids": label.annotation_ids,
            "settled_by": label.settled_by,
            "rubric_version": label.rubric_version,
            "blind": label.blind,
            "reviewers": label.reviewers,
            "suggestion_seen": label.suggestion_seen,
            "group": group,
            **({"cluster": cluster} if cluster is not None else {}),
            "sha256": {name: sha256(value) for name, value in inputs.items()},
        },
        tags=list(interaction.tags),
        metadata=_known(
            answer=answer,
            feature=interaction.feature,
            language=interaction.language,
            environment=interaction.environment,
            release=interaction.release,
            provider=interaction.provider,
            model=interaction.model,
            prompt_name=interaction.prompt_name,
            prompt_version=interaction.prompt_version,
            document_marks=_document_marks(label),
        ),
    )


def key_of(external_id: str) -> str:
    """The key of an interaction's example: the same in every version, whoever labels it again."""
    return "i-" + hashlib.sha256(external_id.encode()).hexdigest()[:20]


def group_of(session_id: str, question: str) -> str:
    """What must not be torn apart by a split: the session; without one, the question in plain small letters."""
    text = f"session:{session_id}" if session_id else f"question:{' '.join(question.casefold().split())}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def split_of(group: str) -> str:
    """The split of a group, by hash: stable over versions and machines, without any stored state."""
    share = int.from_bytes(hashlib.sha256(f"split:{group}".encode()).digest()[:8], "big") / 2**64
    if share < TEST_BELOW:
        return Example.Split.TEST
    return Example.Split.DEV if share < DEV_BELOW else Example.Split.TRAIN


def _document_marks(label: Label) -> list[dict[str, Any]]:
    """The passages of documents that reviewers marked, with their words: offsets alone would not outlive the text."""
    texts = {str(each.get("id")): text_of(each.get("content")) for each in label.interaction.documents or []}
    marks = [span for span in label.spans or [] if span.get("target") == "document"]
    return [
        {"ref": mark.get("ref"), "category": mark.get("category"),
         "text": texts.get(str(mark.get("ref")), "")[mark.get("start") or 0 : mark.get("end") or 0]}
        for mark in marks
    ]  # fmt: skip


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
