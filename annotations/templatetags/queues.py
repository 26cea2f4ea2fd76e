"""Tasks in templates: when they are due, in words and with how urgent that is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.utils import timezone

from annotations import priority
from projects.templatetags.ui import duration

register = template.Library()
NEAR = timedelta(hours=4)


@register.filter
def due_in(task: Any) -> dict[str, str]:
    """``{"words": "in 3 h", "tone": "warn"}`` of a task or its section: near within four hours, failed when past."""
    left = _of(task, "due_at") - timezone.now()
    if left < timedelta(0):
        return {"words": f"{duration(-left)} ago", "tone": "fail"}
    return {"words": f"in {duration(left)}", "tone": "warn" if left <= NEAR else ""}


@register.filter
def score_in_words(task: Any) -> str:
    """``56 points (Thumbs-down 25, Judge faithfulness 0.31 15)``, of a task or its section."""
    points, _, why = priority.explained(_of(task, "terms")).partition(": ")
    return f"{points} ({why})" if why else points


def _of(task: Any, name: str) -> Any:
    return task[name] if isinstance(task, dict) else getattr(task, name)
