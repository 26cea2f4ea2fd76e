"""What the page of a disputed task shows: the item, the votes side by side, and the form's values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from annotations import adjudication, settlement
from annotations.models import Annotation, FailureMode, Task
from annotations.views.screen import SEVERITIES, Values
from feedback.models import Interaction, Score, text_of
from projects.models import Project
from projects.rendering import WordDiff, word_diff

LETTERS = "ABCDEFGHI"


@dataclass(frozen=True)
class Cell:
    """What one reviewer said in one respect."""

    text: str
    diff: WordDiff | None = None
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class Line:
    """One respect, reviewer by reviewer; ``differs`` where they did not all say the same."""

    name: str
    kind: str
    cells: list[Cell]
    differs: bool


@dataclass
class Side:
    """A vote and the letter by which it is taken."""

    letter: str
    vote: Annotation

    @property
    def key(self) -> str:
        return self.letter.lower()


@dataclass
class Entered:
    """What stands in the form of the decision."""

    take: str = ""
    cause: str = ""
    reason: str = ""
    guide_note: str = ""
    gold_check: bool = False
    own: Values = field(default_factory=Values)


def sides_of(task: Task) -> list[Side]:
    """The votes that count, in the order in which they came."""
    return [Side(letter, vote) for letter, vote in zip(LETTERS, settlement.counted(task), strict=False)]


def lines_of(task: Task, votes: Sequence[Annotation]) -> list[Line]:
    """The votes respect by respect. Desired answers are shown as changes to the model's."""
    severities = dict(SEVERITIES)
    names = dict(FailureMode.objects.filter(project=task.project).values_list("slug", "label"))
    output = task.interaction.output
    columns: list[tuple[str, str, list[Cell], list[Any]]] = [
        ("Verdict", "verdict", [Cell(vote.verdict) for vote in votes], [vote.verdict for vote in votes]),
        ("Category", "", [Cell(_categories(vote, names)) for vote in votes],
         [(vote.primary_category_id, sorted(vote.categories)) for vote in votes]),
        ("Severity", "", [Cell(severities.get(vote.severity or 0, "")) for vote in votes],
         [vote.severity for vote in votes]),
        ("Marks", "marks", [Cell("", marks=_quotes(vote)) for vote in votes], [_places(vote) for vote in votes]),
        ("Desired", "diff", [Cell("", word_diff(output, vote.desired_output) if vote.desired_output else None)
                             for vote in votes], [vote.desired_output.split() for vote in votes]),
        ("Must and must not", "", [Cell(_assertions(vote)) for vote in votes], [vote.assertions for vote in votes]),
        ("Note", "", [Cell(vote.note) for vote in votes], []),
    ]  # fmt: skip
    return [
        Line(name, kind, cells, any(one != compared[0] for one in compared))
        for name, kind, cells, compared in columns
        if name != "Must and must not" or any(compared)
    ]


def _categories(vote: Annotation, names: dict[str, str]) -> str:
    main = [vote.primary_category.label] if vote.primary_category else []
    return ", ".join([*main, *(names.get(slug, slug) for slug in vote.categories)])


def _quotes(vote: Annotation) -> list[str]:
    return [
        f"{'Evidence: ' if mark.get('kind') == 'evidence' else ''}“{str(mark.get('quote') or '')[:160]}”"
        for mark in vote.spans
    ]


def _places(vote: Annotation) -> list[tuple[Any, ...]]:
    return sorted(
        (str(mark.get("target")), str(mark.get("ref") or ""), mark.get("start"), mark.get("end")) for mark in vote.spans
    )


def _assertions(vote: Annotation) -> str:
    words = {"must": "Must", "must_not": "Must not"}
    return "; ".join(f"{words.get(one['type'], one['type'])}: {one['text']}" for one in vote.assertions)


def heading(lines: Sequence[Line]) -> str:
    """``Verdict and category differ``."""
    names = [line.name.lower() for line in lines if line.differs] or ["answers"]
    said = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{said[0].upper()}{said[1:]} {'differs' if len(names) == 1 and names[0] != 'answers' else 'differ'}"


def item_of(interaction: Interaction) -> dict[str, Any]:
    """The conversation as the page shows it: what came before, sources, what machines said."""
    earlier = [part for part in interaction.messages if isinstance(part, dict)]
    return {
        "interaction": interaction,
        "earlier": [(str(part.get("role") or "message"), text_of(part.get("content"))) for part in earlier[:-1]],
        "sources": [
            (str(part.get("title") or part.get("id") or "Untitled"), text_of(part.get("content")))
            for part in interaction.documents
            if isinstance(part, dict)
        ],
        "scores": _newest(interaction),
    }


def _newest(interaction: Interaction) -> list[Score]:
    found = {score.name: score for score in interaction.scores.order_by("created_at", "id")[:100]}
    return list(found.values())


def label_form(project: Project, values: Values) -> dict[str, Any]:
    """What the short form of a label needs: failure modes, severities and what stands in it."""
    modes = FailureMode.objects.filter(project=project, retired_at=None)
    return {
        "values": values,
        "severities": SEVERITIES,
        "categories": [{"mode": mode, "checked": mode.slug in values.pressed} for mode in modes],
    }


def context_of(task: Task, entered: Entered | None = None, errors: dict[str, str] | None = None) -> dict[str, Any]:
    """Everything that the page of a disputed task needs, its place among the others included."""
    waiting = list(adjudication.disputes(task.project).values_list("pk", flat=True))
    place = waiting.index(task.pk) if task.pk in waiting else 0
    sides = sides_of(task)
    lines = lines_of(task, [side.vote for side in sides])
    entered = entered or Entered(own=Values.of({}, task.interaction.output))
    return {
        "section": "disputes", "task": task, "sides": sides, "lines": lines, "heading": heading(lines),
        "entered": entered, "errors": errors or {}, "causes": adjudication.CAUSES,
        "question": adjudication.question_of(task), "place": place + 1, "count": len(waiting),
        "before": waiting[place - 1] if place else None,
        "after": waiting[place + 1] if place + 1 < len(waiting) else None,
        **item_of(task.interaction), **label_form(task.project, entered.own),
    }  # fmt: skip
