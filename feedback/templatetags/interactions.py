"""Values of interactions in templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString

from feedback import story
from projects import charts

register = template.Library()


@register.filter
def pretty(value: Any) -> str:
    """JSON from outside for reading inside ``<pre>``; escaped as usual."""
    return story.pretty(value)


@register.simple_tag
def bar(share: float) -> SafeString:
    """A bar filled to ``share``, 0 to 1; the figure stands beside it."""
    return charts.bar(share)
