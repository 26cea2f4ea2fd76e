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


def names(drawn: waterfall.Waterfall) -> list[str]:
    return [bar.span.external_id for bar in drawn.bars]


def test_a_few_spans_are_open_and_can_be_folded() -> None:
    spans = [span("r"), span("a", "r"), span("b", "a"), span("c", "r")]
    assert names(waterfall.draw(spans)) == ["r", "a", "b", "c"]
    folded = waterfall.draw(spans, flipped={"a"})
    assert names(folded) == ["r", "a", "c"]
    assert [(bar.within, bar.folded) for bar in folded.bars] == [(3, False), (1, True), (0, False)]
    assert folded.hidden == 1


def test_of_many_spans_one_that_is_opened_shows_the_next_level_only() -> None:
    spans = [span("r"), span("a", "r"), span("b", "a"), span("c", "b"), *(span(f"d{n}", "c") for n in range(200))]
    assert names(waterfall.draw(spans, flipped={"b"})) == ["r", "a", "b", "c"]
    assert len(waterfall.draw(spans, flipped={"b", "c"}).bars) == 204


def test_a_wide_trace_is_drawn_in_parts_and_none_is_lost() -> None:
    spans = [span("r"), *(span(f"a{n}", "r") for n in range(2 * waterfall.ROWS))]
    first, second, third = (waterfall.draw(spans, first=part * waterfall.ROWS) for part in range(3))
    assert [first.later, second.later, third.later] == [waterfall.ROWS + 1, 1, 0]
    assert names(first) + names(second) + names(third) == [row.external_id for row in spans]


@pytest.mark.parametrize(
    ("first_token_ms", "waiting"),
    [(1500, {"answer": 25.0}), (1000, {"answer": 0.0}), (500, {"rewrite": 12.5}), (None, {}), (9999, {}), (-1, {}),
     (3500, {})],
)  # fmt: skip
def test_the_wait_for_the_first_token_is_part_of_the_call_during_which_it_came(
    first_token_ms: float | None, waiting: dict[str, float]
) -> None:
    spans = [
        span("r", "", 0, 2), span("wrapper", "r", 0, 2, kind="chain"), span("rewrite", "r", 0.25, 0.75, kind="llm"),
        span("outer", "r", 0.9, 1.9, kind="llm"), span("answer", "outer", 1, 1.8, kind="llm"),
    ]  # fmt: skip
    drawn = waterfall.draw(spans, first_token_ms=first_token_ms)
    assert {bar.span.external_id: bar.waiting for bar in drawn.bars if bar.waiting is not None} == waiting
    assert drawn.waits is bool(waiting)
