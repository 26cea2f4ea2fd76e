"""Values of interactions in templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils.safestring import SafeString

from feedback import story
from feedback.browsing import Cell, Facet, Row
from feedback.telemetry import unread
from feedback.waterfall import Bar
from projects import charts
from projects.models import Project
from projects.rendering import fill, fill_each, show_unseen
from projects.templatetags.ui import icon, milliseconds

register = template.Library()
FLAG = 30  # characters of a flag's name in the list


@register.filter
def pretty(value: Any) -> str:
    """JSON from outside for reading inside ``<pre>``; escaped as usual."""
    return story.pretty(value)


@register.simple_tag
def bar(share: float) -> SafeString:
    """A bar filled to ``share``, 0 to 1; the figure stands beside it."""
    return charts.bar(share)


@register.simple_tag
def unread_traces(project: Project) -> int:
    """How many of the newest traces could not be read as interactions."""
    return unread.count(project)


@register.simple_tag
def choices(facet: Facet) -> SafeString:
    """The boxes of a facet. In Python, as ``interaction_row``: hundreds of small template parts take milliseconds."""
    return fill_each(
        '<label><input type="checkbox" name="{}" value="{}"{}><span class="ellipsis" title="{}">{}</span>'
        '<span class="c">{}</span></label>',
        (
            (facet.name, choice.value, _CHECKED if choice.chosen else "", choice.word, show_unseen(choice.word),
             f"{choice.count:,}")
            for choice in facet.choices
        ),
    )  # fmt: skip


_CHECKED = SafeString(" checked")
_DASH = SafeString('<span class="dim">–</span>')


@register.simple_tag
def interaction_row(row: Row, tail: str) -> SafeString:
    """A line of the list, with a box to tick it; ``tail`` is what its link ends with."""
    return fill(
        '<tr data-row><td><input type="checkbox" name="pk" value="{}" form="bulk" aria-label="Select {}"></td>'
        '<td class="num dim">{}</td><td>{}{}<a class="q" href="{}/{}">{}</a> <span class="a">{}</span></td>'
        '<td>{}</td>{}<td title="{} {}">{}</td><td class="r">{}</td><td class="r">{}</td></tr>',
        row.pk, row.when, row.when, _failed(row.failed),
        fill_each(
            '<span class="badge machine">{}{}</span> ', ((icon("flag", "sm"), _short(flag)) for flag in row.flags)
        ),
        row.pk, tail, row.question, row.answer, _said(row.feedback) if row.feedback else "",
        fill_each("<td>{}</td>", ((_said(cell) if cell else _DASH,) for cell in row.cells)),
        row.model, row.prompt, row.prompt, row.took, row.cost,
    )  # fmt: skip


def _failed(word: str) -> SafeString | str:
    return fill('<span class="badge fail">{}{}</span> ', icon("bad"), word) if word else ""


def _said(cell: Cell) -> SafeString:
    drawn = icon(cell.icon) if cell.icon else ""
    return fill('<span class="st {}">{}{}</span>', cell.tone or "mute", drawn, show_unseen(cell.text))


def _short(text: str) -> str:
    return show_unseen(text if len(text) <= FLAG else text[: FLAG - 1] + "…")


@register.simple_tag
def steps_address(query: str, flipped: Sequence[str], chosen: str = "", first: int = 0) -> str:
    """The query string of the page with these steps folded the other way."""
    parts = [("fold", one) for one in flipped]
    parts += [("span", chosen)] if chosen else []
    parts += [("first", str(first))] if first else []
    return "?" + "&".join(part for part in (query, urlencode(parts)) if part)


@register.simple_tag
def trace_step(bar: Bar, current: int, chosen: str, query: str, flipped: Sequence[str]) -> SafeString:
    """A row of the trace: a link to the step, a link that folds it, its bar and its time. In Python for the same
    reason as ``interaction_row``."""
    span = bar.span
    return fill(
        '<li data-step{}><span class="name l{}">{}<a class="step" id="step-{}" href="{}#span-detail" hx-get="{}" '
        'hx-target="#span-detail" hx-swap="outerHTML" hx-sync="#steps:replace">{}</a>{}{}</span>'
        '<svg class="w" aria-hidden="true">{}</svg><span class="t">{}</span></li>',
        _CURRENT if span.pk == current else "", bar.level, icon(bar.icon), span.pk,
        steps_address(query, flipped, span.external_id), steps_address("", (), span.external_id),
        _short_name(span.name or span.external_id), _FAILED if bar.failed else "",
        _fold(bar, chosen, query, flipped) if bar.within else "", _bar_of(bar), milliseconds(bar.milliseconds),
    )  # fmt: skip


_CURRENT = SafeString(' aria-current="true"')
_FAILED = SafeString("<span>failed</span>")
NAME = 60  # characters of a step's name


def _short_name(text: str) -> str:
    return show_unseen(text if len(text) <= NAME else text[: NAME - 1] + "…")


def _fold(bar: Bar, chosen: str, query: str, flipped: Sequence[str]) -> SafeString:
    own = bar.span.external_id
    other = [one for one in flipped if one != own] if own in flipped else [*flipped, own]
    return fill(
        '<a class="fold-step" id="fold-{}" href="{}#trace" hx-get="{}" hx-include="#span-detail [name=span]" '
        'hx-target="#steps" hx-swap="outerHTML" hx-sync="#steps:replace" aria-expanded="{}" '
        'aria-label="{} inside {}">{}{}</a>',
        bar.span.pk, steps_address(query, other, chosen), steps_address(query, other),
        "false" if bar.folded else "true", bar.within, _short_name(bar.span.name or own),
        f"{bar.within} inside" if bar.folded else "", icon("right" if bar.folded else "down", "sm"),
    )  # fmt: skip


def _bar_of(bar: Bar) -> SafeString | str:
    if bar.left is None:
        return ""
    whole = fill('<rect class="{}" x="{}%" width="{}%" y="10" height="12"/>', bar.css, bar.left, bar.width)
    if bar.waiting is None or bar.css == "err":
        return whole
    return whole + fill('<rect class="ttft" x="{}%" width="{}%" y="10" height="12"/>', bar.left, bar.waiting)
