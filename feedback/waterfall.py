"""The spans of an interaction as a waterfall: a tree in order of time, with bars in percent of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feedback.models import Interaction, Span

LEAST_WIDTH = 0.4  # percent; narrower bars would not be seen
DEEPEST = 3  # levels with an indent of their own
FOLD_ABOVE, FOLD_DEPTH = 100, 2
ROWS = 300
ICONS = {
    "llm": "bot", "retriever": "search", "tool": "tool", "chain": "branch", "agent": "comment", "embedding": "layers",
    "guardrail": "shield", "other": "dot",
}  # fmt: skip
BARS = {"llm": "llm", "retriever": "ret", "embedding": "ret"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One row. ``left`` and ``width`` are percent of the whole, None where the span has no times."""

    span: Span
    level: int
    icon: str
    css: str
    left: float | None
    width: float | None
    milliseconds: float | None
    within: int  # spans inside that are not shown

    @property
    def failed(self) -> bool:
        return self.span.status == Interaction.Status.ERROR


@dataclass(frozen=True, slots=True)
class Waterfall:
    bars: list[Bar]
    total_ms: float
    ticks: list[tuple[float, str]]  # percent, label
    spans: int
    hidden: int


def draw(spans: Sequence[Span]) -> Waterfall:
    """The tree of the spans. Spans whose parent is not here are roots; a circle of parents is cut open."""
    begin, total = _stretch(spans)
    order, inside = _tree(spans)
    fold = len(spans) > FOLD_ABOVE
    bars: list[Bar] = []
    for span, depth in order:
        if (fold and depth > FOLD_DEPTH) or len(bars) == ROWS:
            continue
        within = inside[span.external_id] if fold and depth == FOLD_DEPTH else 0
        bars.append(_bar(span, depth, begin, total, within))
    return Waterfall(bars, total, _ticks(total), len(spans), len(spans) - len(bars))


def _stretch(spans: Sequence[Span]) -> tuple[datetime | None, float]:
    begins = [span.started_at for span in spans if span.started_at]
    ends = [span.ended_at for span in spans if span.ended_at]
    if not begins or not ends:
        return None, 0.0
    return min(begins), max((max(ends) - min(begins)) / timedelta(milliseconds=1), 0.0)


def _tree(spans: Sequence[Span]) -> tuple[list[tuple[Span, int]], dict[str, int]]:
    """Spans with their depth, parents before children and siblings by time; and how many each has inside."""
    known = {span.external_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.started_at is None, span.started_at or 0, span.pk or 0)):
        parent = span.parent_external_id if span.parent_external_id in known - {span.external_id} else ""
        children.setdefault(parent, []).append(span)
    order: list[tuple[Span, int]] = []
    seen: set[str] = set()
    inside: dict[str, int] = dict.fromkeys(known, 0)

    def walk(start: Span) -> None:
        path: list[str] = []
        stack = [(start, 0)]
        while stack:
            span, depth = stack.pop()
            if span.external_id in seen:
                continue
            seen.add(span.external_id)
            del path[depth:]
            for ancestor in path:
                inside[ancestor] += 1
            path.append(span.external_id)
            order.append((span, depth))
            stack += [(child, depth + 1) for child in reversed(children.get(span.external_id, []))]

    for root in children.get("", []):
        walk(root)
    for span in spans:  # what is left hangs in circles
        if span.external_id not in seen:
            walk(span)
    return order, inside


def _bar(span: Span, depth: int, begin: datetime | None, total: float, within: int) -> Bar:
    left = width = milliseconds = None
    if begin and span.started_at and span.ended_at:
        milliseconds = max((span.ended_at - span.started_at) / timedelta(milliseconds=1), 0.0)
        left = 100 * ((span.started_at - begin) / timedelta(milliseconds=1)) / total if total else 0.0
        width = max(100 * milliseconds / total if total else 100.0, LEAST_WIDTH)
        left = round(min(left, 100 - LEAST_WIDTH), 2)
        width = round(min(width, 100 - left), 2)
    css = "err" if span.status == Interaction.Status.ERROR else BARS.get(span.kind, "")
    return Bar(span, min(depth, DEEPEST), ICONS.get(span.kind, "dot"), css, left, width, milliseconds, within)


def _ticks(total: float) -> list[tuple[float, str]]:
    if not total:
        return []
    seconds = total >= 1000
    values = [total * quarter / 4 / (1000 if seconds else 1) for quarter in range(5)]
    digits = 0 if values[-1] >= 100 else 1 if values[-1] >= 2 else 2
    labels = [f"{value:.{digits}f}" for value in values]
    labels[0], labels[-1] = "0", f"{labels[-1]}\u00a0{'s' if seconds else 'ms'}"
    return [(quarter * 25.0, label) for quarter, label in enumerate(labels)]
