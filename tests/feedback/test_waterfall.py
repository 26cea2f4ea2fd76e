"""The waterfall: a tree whatever the spans say, with bars that stay inside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from feedback import waterfall
from feedback.models import Span

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)


def span(name: str, parent: str = "", begin: float | None = None, end: float | None = None, **fields: str) -> Span:
    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else T0 + timedelta(seconds=seconds)

    return Span(
        external_id=name, parent_external_id=parent, name=name, started_at=at(begin), ended_at=at(end), **fields
    )


def shape(*spans: Span) -> list[tuple[str, int]]:
    return [(bar.span.external_id, bar.level) for bar in waterfall.draw(spans).bars]


def test_children_follow_their_parent_in_order_of_time() -> None:
    spans = [span("c", "r", 2, 3), span("r", "", 0, 4), span("d", "b", 1, 1.5), span("b", "r", 1, 2)]
    assert shape(*spans) == [("r", 0), ("b", 1), ("d", 2), ("c", 1)]


@pytest.mark.parametrize(
    "spans",
    [
        [span("a", "b"), span("b", "a")],
        [span("a", "a")],
        [span("a", "missing"), span("b", "a")],
        [span("a", "c"), span("b", "a"), span("c", "b"), span("x")],
    ],
)
def test_every_span_is_shown_once_whatever_its_parents(spans: list[Span]) -> None:
    assert sorted(name for name, _ in shape(*spans)) == sorted(row.external_id for row in spans)


def test_bars_are_percent_of_the_whole() -> None:
    drawn = waterfall.draw([span("r", "", 0, 2), span("a", "r", 0.5, 1.5)])
    assert [(bar.left, bar.width, bar.milliseconds) for bar in drawn.bars] == [(0, 100, 2000), (25, 50, 1000)]
    assert drawn.total_ms == 2000
    assert [label for _, label in drawn.ticks] == ["0", "0.5", "1.0", "1.5", "2.0\u00a0s"]


@pytest.mark.parametrize(("begin", "end"), [(1, 1), (2, 2), (1.999, 2), (2, 1), (0, 2)])
def test_no_bar_vanishes_or_leaves_the_plot(begin: float, end: float) -> None:
    bar = waterfall.draw([span("r", "", 0, 2), span("a", "r", begin, end)]).bars[1]
    assert bar.left is not None
    assert bar.width is not None
    assert bar.width >= waterfall.LEAST_WIDTH
    assert bar.left >= 0
    assert bar.left + bar.width <= 100.01


def test_a_span_without_times_has_no_bar() -> None:
    drawn = waterfall.draw([span("a"), span("b", "a", 1, None)])
    assert all(bar.left is None for bar in drawn.bars)
    assert drawn.ticks == []


def test_errors_are_marked() -> None:
    assert waterfall.draw([span("a", status="error", kind="llm")]).bars[0].css == "err"


def test_many_spans_are_folded_below_the_third_level_and_counted() -> None:
    spans = [span("r"), span("a", "r"), span("b", "a"), *(span(f"c{n}", "b") for n in range(200))]
    drawn = waterfall.draw(spans)
    assert [bar.span.external_id for bar in drawn.bars] == ["r", "a", "b"]
    assert (drawn.bars[2].within, drawn.hidden, drawn.spans) == (200, 200, 203)


def test_a_chain_of_a_thousand_does_not_overflow_the_stack() -> None:
    spans = [span(str(n), str(n - 1) if n else "") for n in range(1000)]
    assert waterfall.draw(spans).bars[2].within == 997
