"""Texts from outside in templates, and figures that the other filters do not write."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from projects.rendering import render_markdown, render_to_mark, show_unseen

register = template.Library()


@register.filter
def markdown(text: str | None) -> SafeString:
    """Markdown from outside, sanitised. Put it inside an element with ``hx-disable``."""
    return render_markdown(text or "")


@register.filter
def to_mark(text: str | None) -> SafeString:
    """As ``markdown``, with the place of every word in the stored text, so that passages can be marked."""
    return render_to_mark(text or "")


@register.filter
def seen(text: object) -> str:
    """Plain text from outside, escaped as usual, with what cannot be seen written out."""
    return show_unseen("" if text is None else str(text))


@register.filter
def clock(seconds: int) -> str:
    """``522`` → ``8:42``."""
    return f"{seconds // 60}:{seconds % 60:02d}"


@register.filter
def thousands(number: int | None) -> str:
    """``1842`` → ``1,842``; a dash where it is unknown."""
    return "–" if number is None else f"{number:,}"
