"""Charts as inline SVG, drawn on the server: pure functions from plain values to markup.

Geometry that scales without stretching text: texts, dots and grid lines use percent for x and pixels for y and
stand in an outer ``<svg>`` without a viewBox; lines and bands live in a nested one with
``preserveAspectRatio="none"`` and strokes that do not scale. Coordinates have one decimal. Everything passes
through ``format_html``, so names from outside are text and never markup. There is no script and no inline style.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH = 1000.0  # of the nested viewBox
TOP = 18  # room above the plot for annotations
FOOT = 22  # room below it for the labels of the x axis
SPARK_HEIGHT, SPARK_PAD = 28.0, 2.5
MAX_ANNOTATIONS = 6
LABEL_HEIGHT = 14
NOTHING = SafeString("")
Number = float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One line. ``values`` has None where there is a gap; ``kind`` is s1 (ours), s2 (reference) or dash (a third).

    ``low`` and ``high`` draw a band behind the line; ``label`` stands at the line's end.
    """

    values: Sequence[Number]
    kind: str = "s1"
    label: str = ""
    low: Sequence[Number] = ()
    high: Sequence[Number] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: a dotted vertical at ``at`` (0 to 1 of the width) with its name above the plot."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Everything around the lines of a time series."""

    key: str
    title: str
    description: str
    x: Sequence[Tick] = ()
    marks: Sequence[Mark] = ()
    threshold: float | None = None
    threshold_label: str = ""
    breach: str = ""  # ">" or "<": shade where the first series crosses the threshold
    zero: bool = True
    height: int = 160
    text: Callable[[float], str] = field(default=lambda value: f"{value:g}")


def _r(value: float) -> str:
    """One decimal, without a trailing zero and never "-0"."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def round_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Three to five round numbers that enclose ``low`` to ``high``: steps of 1, 2, 2.5 or 5 times a power of ten."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 2.5, 5, 10, 20):
        step = factor * power
        first = math.floor(low / step + 1e-9)
        last = math.ceil(high / step - 1e-9)
        if last - first + 1 <= most:
            break
    if last - first < 2:
        last = first + 2
    return [round(number * step, 12) for number in range(first, last + 1)]


def _known(values: Sequence[Number]) -> list[float]:
    return [value for value in values if value is not None]


def _runs(values: Sequence[Number]) -> list[list[tuple[int, float]]]:
    """The stretches of a series between its gaps."""
    runs: list[list[tuple[int, float]]] = []
    before = False
    for place, value in enumerate(values):
        if value is None:
            before = False
            continue
        if not before:
            runs.append([])
        runs[-1].append((place, value))
        before = True
    return runs


@dataclass(frozen=True, slots=True)
class _Frame:
    """From values to coordinates."""

    count: int
    low: float
    high: float
    height: float

    def x(self, place: float) -> float:
        return WIDTH * place / (self.count - 1) if self.count > 1 else WIDTH / 2

    def percent(self, place: float) -> str:
        return _r(self.x(place) / WIDTH * 100) + "%"

    def y(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self.height * (self.high - inside) / (self.high - self.low)

    def line(self, values: Sequence[Number]) -> str:
        """A path with a gap where values are missing; a lone point becomes a short dash."""
        parts = []
        for run in _runs(values):
            points = [f"{_r(self.x(place))} {_r(self.y(value))}" for place, value in run]
            if len(points) == 1:
                points.append(f"{_r(self.x(run[0][0]) + 2)} {_r(self.y(run[0][1]))}")
            parts.append("M" + " L".join(points))
        return "".join(parts)

    def band(self, low: Sequence[Number], high: Sequence[Number]) -> str:
        both = [None if one is None or other is None else (one, other) for one, other in zip(low, high, strict=True)]
        parts = []
        for run in _runs([None if pair is None else 0.0 for pair in both]):
            pairs = [(place, pair) for place, _ in run if (pair := both[place]) is not None]
            upper = [f"{_r(self.x(place))} {_r(self.y(pair[1]))}" for place, pair in pairs]
            lower = [f"{_r(self.x(place))} {_r(self.y(pair[0]))}" for place, pair in reversed(pairs)]
            parts.append("M" + " L".join(upper + lower) + "Z")
        return "".join(parts)


def spark(values: Sequence[Number], *, bad: bool = False) -> SafeString:
    """A small line without axes, for beside a figure that says the same; nothing at all below two points."""
    known = _known(values)
    if len(known) < 2:
        return NOTHING
    low, high = min(known), max(known)
    inner = SPARK_HEIGHT - 2 * SPARK_PAD

    def point(place: int, value: float) -> str:
        share = (high - value) / (high - low) if high > low else 0.5
        return f"{_r(100 * place / (len(values) - 1))} {_r(SPARK_PAD + inner * share)}"

    lines, areas = [], []
    for run in _runs(values):
        points = [point(place, value) for place, value in run]
        lines.append("M" + " L".join(points))
        if len(run) > 1:
            first, last = (_r(100 * run[end][0] / (len(values) - 1)) for end in (0, -1))
            areas.append(f"M{' L'.join(points)} L{last} {_r(SPARK_HEIGHT)} L{first} {_r(SPARK_HEIGHT)}Z")
    return format_html(
        '<svg class="spark{}" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="area" d="{}"/><path d="{}"/></svg>',
        " bad" if bad else "", "".join(areas), "".join(lines),
    )  # fmt: skip


def timeseries(series: Sequence[Series], plot: Plot) -> SafeString:
    """Lines over time with their bands, a threshold, and what happened when. All series have the same length."""
    values = [number for one in series for numbers in (one.values, one.low, one.high) for number in _known(numbers)] + (
        [plot.threshold] if plot.threshold is not None else []
    )
    count = max((len(one.values) for one in series), default=0)
    if not _known([number for one in series for number in one.values]):
        return _empty_plot(plot)
    ticks = round_ticks(0.0 if plot.zero else min(values), max(values))
    frame = _Frame(count, ticks[0], ticks[-1], float(plot.height))
    return format_html(
        '<svg class="chart" width="100%" height="{}" role="img" aria-labelledby="{key}-t {key}-d">'
        '<title id="{key}-t">{}</title><desc id="{key}-d">{}</desc>'
        '<g transform="translate(0 {})">{}'
        '<svg width="100%" height="{}" viewBox="0 0 1000 {}" preserveAspectRatio="none">{}{}</svg>{}{}{}{}</g></svg>',
        TOP + plot.height + FOOT, plot.title, plot.description, TOP, _grid(ticks, frame, plot), plot.height,
        plot.height, _breach(series[0], frame, plot), _lines(series, frame), _threshold(frame, plot),
        _marks(plot), _ends(series, frame, plot), _x_labels(plot), key=plot.key,
    )  # fmt: skip


def _empty_plot(plot: Plot) -> SafeString:
    return format_html(
        '<svg class="chart no-gutter" width="100%" height="{}" role="img" aria-labelledby="{key}-t {key}-d">'
        '<title id="{key}-t">{}</title><desc id="{key}-d">{}</desc>'
        '<text x="50%" y="{}" text-anchor="middle">Nothing was measured in this period</text></svg>',
        TOP + plot.height + FOOT, plot.title, plot.description, (TOP + plot.height + FOOT) // 2, key=plot.key,
    )  # fmt: skip


def _grid(ticks: Sequence[float], frame: _Frame, plot: Plot) -> SafeString:
    return format_html_join(
        "",
        '<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/><text x="-8" y="{t}" text-anchor="end">{label}</text>',
        ({"y": _r(frame.y(tick)), "t": _r(frame.y(tick) + 4), "label": plot.text(tick)} for tick in ticks),
    )


def _lines(series: Sequence[Series], frame: _Frame) -> SafeString:
    bands = format_html_join(
        "", '<path class="{}" d="{}"/>',
        (("band" if one.kind == "s1" else "band2", frame.band(one.low, one.high)) for one in series if one.low),
    )  # fmt: skip
    lines = format_html_join(
        "", '<path class="{}" d="{}"/>',
        (("s2 dash" if one.kind == "dash" else one.kind, frame.line(one.values)) for one in reversed(series)),
    )  # fmt: skip
    return bands + lines


def _crossed(value: Number, plot: Plot) -> bool:
    if value is None or plot.threshold is None:
        return False
    return value > plot.threshold if plot.breach == ">" else plot.breach == "<" and value < plot.threshold


def _breach(first: Series, frame: _Frame, plot: Plot) -> SafeString:
    """Shades the time in which the first series is on the wrong side of the threshold, half a step to each side."""
    half = 0.5 if frame.count > 1 else 0.0
    stretches: list[tuple[float, float]] = []
    for run in _runs([1.0 if _crossed(value, plot) else None for value in first.values]):
        left, right = (frame.x(max(run[0][0] - half, 0)), frame.x(min(run[-1][0] + half, max(frame.count - 1, 0))))
        stretches.append((left, right))
    return format_html_join(
        "", '<path class="breach" d="M{} 0H{}V{}H{}Z"/>',
        ((_r(left), _r(right), plot.height, _r(left)) for left, right in stretches),
    )  # fmt: skip


def _threshold(frame: _Frame, plot: Plot) -> SafeString:
    if plot.threshold is None:
        return NOTHING
    y = frame.y(plot.threshold)
    return format_html(
        '<line class="thr" x1="0" x2="100%" y1="{y}" y2="{y}"/><text class="thr-t" x="4" y="{}">{}</text>',
        _r(y - 6 if y > 20 else y + 15), plot.threshold_label, y=_r(y),
    )  # fmt: skip


def _marks(plot: Plot) -> SafeString:
    """Verticals with names; a name that would touch the one before it becomes a dot with a tooltip."""
    parts = []
    free_from = -1.0
    for mark in sorted(plot.marks, key=lambda mark: mark.at)[:MAX_ANNOTATIONS]:
        reach = 0.006 * len(mark.label) + 0.01  # half the width of the text, as a share of a plot of about 600 px
        x = _r(100 * min(max(mark.at, 0.0), 1.0)) + "%"
        line = format_html('<line x1="{x}" x2="{x}" y1="-4" y2="{}"/>', plot.height, x=x)
        if mark.at - reach >= free_from:
            free_from = mark.at + reach
            anchor = "start" if mark.at < reach else "end" if mark.at > 1 - reach else "middle"
            name = format_html('<text x="{}" y="-8" text-anchor="{}">{}</text>', x, anchor, mark.label)
        else:
            name = format_html('<circle cx="{}" cy="-8" r="2.5"><title>{}</title></circle>', x, mark.label)
        parts.append((line, name))
    return format_html_join("", '<g class="anno">{}{}</g>', parts)


def _ends(series: Sequence[Series], frame: _Frame, plot: Plot) -> SafeString:
    """A dot at the last point of each series, and its label above it where it has one, clear of the label above."""
    ends: list[tuple[float, int, str, Series]] = []
    for place, one in enumerate(series):
        last = next(((spot, value) for spot, value in reversed(list(enumerate(one.values))) if value is not None), None)
        if last is not None:
            spot, value = last
            kind = "dot fail" if place == 0 and _crossed(value, plot) else "dot" if one.kind == "s1" else "dot hollow"
            ends.append((frame.y(value), spot, kind, one))
    parts, free_from = [], -math.inf
    for y, spot, kind, one in sorted(ends, key=lambda end: end[0]):
        label = NOTHING
        if one.label:
            free_from = max(y - 8 if y > 16 else y + 18, free_from) + LABEL_HEIGHT
            label = format_html(
                '<text class="lab" x="{}" y="{}" text-anchor="{}">{}</text>', frame.percent(spot),
                _r(free_from - LABEL_HEIGHT), "end" if frame.x(spot) > WIDTH / 2 else "start", one.label,
            )  # fmt: skip
        parts.append((kind, frame.percent(spot), _r(y), label))
    return format_html_join("", '<circle class="{}" cx="{}" cy="{}" r="3.5"/>{}', parts)


def _x_labels(plot: Plot) -> SafeString:
    """The first label at the start, the last at the end, the rest centred."""

    def anchor(at: float) -> str:
        return "start" if at <= 0.02 else "end" if at >= 0.98 else "middle"

    return format_html_join(
        "",
        '<text x="{}%" y="{}" text-anchor="{}">{}</text>',
        ((_r(100 * tick.at), plot.height + 17, anchor(tick.at), tick.label) for tick in plot.x),
    )


def bar(share: float, kind: str = "") -> SafeString:
    """A horizontal bar filled to ``share`` (0 to 1); decorative, the figure stands beside it."""
    width = _r(100 * min(max(share, 0.0), 1.0)) + "%"
    return format_html(
        '<svg class="bar" aria-hidden="true"><rect class="{}" x="0%" width="{}" height="100%"/></svg>', kind, width
    )


def interval_row(
    value: float, low: float, high: float, *, scale: tuple[float, float], kind: str = "", line: float = 0.0
) -> SafeString:
    """A 95 % interval with caps and its estimate on a common scale; what leaves the scale is cut at its edge.

    ``kind``: good, bad, warn or nothing. ``line`` is where the vertical stands that it is compared with.
    """
    start, end = scale
    span = (end - start) or 1.0

    def at(number: float) -> str:
        return _r(100 * min(max((number - start) / span, 0.0), 1.0)) + "%"

    caps = format_html_join(
        "", '<line class="ci {k}" x1="{x}" x2="{x}" y1="7" y2="17"/>',
        ({"k": kind, "x": at(edge)} for edge in (low, high) if start <= edge <= end),
    )  # fmt: skip
    zero = NOTHING
    if start < line < end:
        zero = format_html('<line class="zero" x1="{x}" x2="{x}" y1="0" y2="24"/>', x=at(line))
    return format_html(
        '<svg class="chart no-gutter" width="100%" height="24" aria-hidden="true">{}'
        '<line class="ci {k}" x1="{}" x2="{}" y1="12" y2="12"/>{}<circle class="pt {k}" cx="{}" cy="12" r="4"/></svg>',
        zero, at(low), at(high), caps, at(value), k=kind,
    )  # fmt: skip


def reading_scale(
    value: float, low: float, high: float, *, bounds: tuple[float, float], words: tuple[str, str, str], label: str
) -> SafeString:
    """A coefficient with its interval on 0 to 1, over the stretches that ``bounds`` part and ``words`` name.

    What is under 0 stands at 0: it is as chance would have it, or worse. ``label`` says the same in a sentence.
    """

    def at(number: float) -> str:
        return _r(100 * min(max(number, 0.0), 1.0)) + "%"

    first, second = bounds
    stretches = format_html_join(
        "", '<rect x="{}" y="30" width="{}" height="12" rx="3" fill="var({})"/>',
        ((at(0), at(first), "--hover"), (at(first), at(second - first), "--data-5"),
         (at(second), at(1 - second), "--data-4")),
    )  # fmt: skip
    caps = format_html_join(
        "", '<line class="ci" x1="{x}" x2="{x}" y1="31" y2="41"/>', ({"x": at(edge)} for edge in (low, high))
    )
    anchor = "start" if value < 0.05 else "end" if value > 0.95 else "middle"
    return format_html(
        '<svg class="scale" width="100%" height="74" role="img" aria-label="{}">{}'
        '<line class="ci" x1="{}" x2="{}" y1="36" y2="36"/>{}<circle class="pt" cx="{x}" cy="36" r="6"/>'
        '<text class="v" x="{x}" y="20" text-anchor="{}">α {}</text>'
        '<text x="0" y="60">0, as chance</text><text class="wide" x="{}" y="60" text-anchor="middle">{}</text>'
        '<text x="{}" y="60">{}<tspan class="wide"> {}</tspan></text>'
        '<text x="{}" y="60">{}<tspan class="wide"> {}</tspan></text>'
        '<text class="wide" x="100%" y="60" text-anchor="end">1</text></svg>',
        label, stretches, at(low), at(high), caps, anchor, f"{value:.2f}".replace("-", "−"), at(first / 2), words[0],
        at(first), f"{first:.2f}", words[1], at(second), f"{second:.2f}", words[2], x=at(value),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bin:
    """One column of a histogram: how many passed and failed among the scores of a tenth. It begins at its label."""

    label: str
    fails: int = 0
    passes: int = 0


def histogram(
    bins: Sequence[Bin], *, key: str, title: str, description: str, height: int = 140,
    threshold: float | None = None, threshold_label: str = "",
) -> SafeString:  # fmt: skip
    """Stacked columns, fails at the bottom. ``threshold`` is a place from 0 to 1 of the width."""
    most = max((one.fails + one.passes for one in bins), default=0)
    plot = Plot(key=key, title=title, description=description, height=height)
    if not most:
        return _empty_plot(plot)
    ticks = round_ticks(0, most)
    frame = _Frame(2, ticks[0], ticks[-1], float(height))
    step = 100 / len(bins)
    columns = []
    for place, one in enumerate(bins):
        for kind, count, below in (("b-fail", one.fails, 0), ("b-pass", one.passes, one.fails)):
            if count:
                y = frame.y(count + below)
                columns.append(
                    (kind, _r(step * place + step * 0.1), _r(step * 0.8), _r(y), _r(frame.y(below) - y), count)
                )
    rects = format_html_join(
        "",
        '<rect class="{}" x="{}%" width="{}%" y="{}" height="{}"><title>{}</title></rect>',
        columns,
    )
    labels = format_html_join(
        "", '<text x="{}%" y="{}" text-anchor="middle">{}</text>',
        ((_r(step * place), height + 17, one.label) for place, one in enumerate(bins)),
    )  # fmt: skip
    line = NOTHING
    if threshold is not None:
        line = format_html(
            '<line class="thr" x1="{x}" x2="{x}" y1="-4" y2="{}"/>'
            '<text class="thr-t" x="{x}" y="-8" text-anchor="middle">{}</text>',
            height, threshold_label, x=_r(100 * threshold) + "%",
        )  # fmt: skip
    return format_html(
        '<svg class="chart" width="100%" height="{}" role="img" aria-labelledby="{key}-t {key}-d">'
        '<title id="{key}-t">{}</title><desc id="{key}-d">{}</desc><g transform="translate(0 {})">{}{}{}{}</g></svg>',
        TOP + height + FOOT, title, description, TOP, _grid(ticks, frame, plot), rects, labels, line, key=key,
    )  # fmt: skip


def reliability(points: Sequence[tuple[float, float, float, float]], *, height: int = 180) -> SafeString:
    """Shares of passes (with the ends of their intervals) over mean scores, all from 0 to 1, beside the diagonal."""
    rows = [(share, height * (1 - share)) for share in (0.0, 0.5, 1.0)]
    grid = format_html_join(
        "", '<line class="grid" x1="0" x2="100%" y1="{}" y2="{}"/><text x="-8" y="{}" text-anchor="end">{} %</text>',
        ((_r(y), _r(y), _r(y + 4), f"{share:.0%}".removesuffix("%")) for share, y in rows),
    )  # fmt: skip
    marks = format_html_join(
        "",
        '<line class="ci" x1="{}%" x2="{}%" y1="{}" y2="{}"/>'
        '<circle class="dot" cx="{}%" cy="{}" r="4.5"><title>{}</title></circle>',
        (
            (_r(score * 100), _r(score * 100), _r(height * (1 - low)), _r(height * (1 - high)), _r(score * 100),
             _r(height * (1 - share)), f"score {score:.2f}: people pass {share:.0%}")
            for score, share, low, high in points
        ),
    )  # fmt: skip
    said = "; ".join(f"at {score:.2f} people pass {share:.0%}" for score, share, _, _ in points)
    return format_html(
        '<svg class="chart" width="100%" height="{}" role="img" aria-label="Scores against shares of passes: {}.">'
        '<g transform="translate(0 6)">{}<line class="zero" x1="0" y1="{}" x2="100%" y2="0" stroke-dasharray="3 3"/>{}'
        '<text x="0" y="{}">score 0</text><text x="100%" y="{}" text-anchor="end">1</text></g></svg>',
        height + 6 + FOOT, said, grid, height, marks, height + 18, height + 18,
    )  # fmt: skip
