"""The spans of an interaction as a waterfall: a tree in order of time, with bars in percent of the whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feedback.models import Interaction, Span

LEAST_WIDTH = 0.4  # percent; narrower bars would not be seen
DEEPEST = 6  # levels with an indent of their own
FOLD_ABOVE, FOLD_DEPTH = 100, 2
ROWS = 300
ICONS = {
    "llm": "bot", "retriever": "search", "tool": "tool", "chain": "branch", "agent": "comment", "embedding": "layers",
    "guardrail": "shield", "other": "dot",
}  # fmt: skip
BARS = {"llm": "llm", "retriever": "ret", "embedding": "ret"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One row. ``left`` and ``width`` are percent of the whole, None where the span has no times.

    ``waiting`` is how much of ``width`` a model took until its first token, None where that is not known.
    """

    span: Span
    level: int
    icon: str
    css: str
    left: float | None
    width: float | None
    milliseconds: float | None
    waiting: float | None
    within: int  # spans inside
    folded: bool  # whether those inside are not shown

    @property
    def failed(self) -> bool:
        return self.span.status == Interaction.Status.ERROR


@dataclass(frozen=True, slots=True)
class Waterfall:
    """At most ROWS of the rows that are not folded, from the ``first`` one; ``later`` more come after them."""

    bars: list[Bar]
    total_ms: float
    ticks: list[tuple[float, str]]  # percent, label
    spans: int
    hidden: int  # folded away
    first: int
    later: int

    @property
    def next(self) -> int:
        return self.first + ROWS

    @property
    def waits(self) -> bool:
        """Whether the wait for a first token is drawn."""
        return any(bar.waiting is not None for bar in self.bars)


@dataclass(frozen=True, slots=True)
class _Scale:
    """What places a bar: when all of it began, how many milliseconds it took, and when its first token came."""

    begin: datetime | None
    total: float
    first_token_ms: float | None
    answering: str  # the model call during which the first token came


def draw(
    spans: Sequence[Span], *, flipped: Collection[str] = (), first: int = 0, first_token_ms: float | None = None
) -> Waterfall:
    """The tree of the spans. Spans whose parent is not here are roots; a circle of parents is cut open.

    Of many spans only the upper levels are open. ``flipped`` are the ids of those that are the other way.
    ``first_token_ms`` counts from the beginning of the trace.
    """
    scale = _scale(spans, first_token_ms)
    order, inside = _tree(spans)
    many = len(spans) > FOLD_ABOVE
    shown: list[tuple[Span, int, bool]] = []
    closed: int | None = None  # the depth of the folded span that we are inside of
    for span, depth in order:
        if closed is not None and depth > closed:
            continue
        folded = bool(inside[span.external_id]) and (many and depth >= FOLD_DEPTH) != (span.external_id in flipped)
        closed = depth if folded else None
        shown.append((span, depth, folded))
    bars = [
        _bar(span, depth, scale, inside[span.external_id], folded=folded)
        for span, depth, folded in shown[first : first + ROWS]
    ]
    later = max(len(shown) - first - ROWS, 0)
    return Waterfall(bars, scale.total, _ticks(scale.total), len(spans), len(spans) - len(shown), first, later)


def _scale(spans: Sequence[Span], first_token_ms: float | None) -> _Scale:
    begin, total = _stretch(spans)
    answering = ""
    if begin and first_token_ms is not None and 0 <= first_token_ms <= total:
        moment = begin + timedelta(milliseconds=first_token_ms)
        during = [
            span for span in spans
            if span.kind == Span.Kind.LLM and span.started_at and span.ended_at
            and span.started_at <= moment <= span.ended_at
        ]  # fmt: skip
        # Calls that wrap calls cover the moment too: the one that began last is the model's own.
        answering = max(during, key=lambda span: span.started_at or moment).external_id if during else ""
    return _Scale(begin, total, first_token_ms, answering)


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


def _bar(span: Span, depth: int, scale: _Scale, within: int, *, folded: bool) -> Bar:
    left = width = milliseconds = waiting = None
    begin, total = scale.begin, scale.total
    if begin and span.started_at and span.ended_at:
        milliseconds = max((span.ended_at - span.started_at) / timedelta(milliseconds=1), 0.0)
        before = (span.started_at - begin) / timedelta(milliseconds=1)
        left = round(min(100 * before / total if total else 0.0, 100 - LEAST_WIDTH), 2)
        width = max(100 * milliseconds / total if total else 100.0, LEAST_WIDTH)
        width = round(min(width, 100 - left), 2)
        if span.external_id == scale.answering and scale.first_token_ms is not None and total:
            waiting = round(min(100 * (scale.first_token_ms - before) / total, width), 2)
    css = "err" if span.status == Interaction.Status.ERROR else BARS.get(span.kind, "")
    return Bar(
        span, min(depth, DEEPEST), ICONS.get(span.kind, "dot"), css, left, width, milliseconds, waiting, within, folded
    )


def _ticks(total: float) -> list[tuple[float, str]]:
    if not total:
        return []
    seconds = total >= 1000
    values = [total * quarter / 4 / (1000 if seconds else 1) for quarter in range(5)]
    digits = 0 if values[-1] >= 100 else 1 if values[-1] >= 2 else 2
    labels = [f"{value:.{digits}f}" for value in values]
    labels[0], labels[-1] = "0", f"{labels[-1]}\u00a0{'s' if seconds else 'ms'}"
    return [(quarter * 25.0, label) for quarter, label in enumerate(labels)]
