"""What a lead may do with a label on the page of its interaction."""

from __future__ import annotations

from typing import Any

from django import template

from annotations.checks import may_be_known
from annotations.models import Label

register = template.Library()


@register.simple_tag(takes_context=True)
def known_item(context: template.Context, label: dict[str, Any]) -> Label | None:
    """The label, for leads, who alone may know what is a known item; None for one that cannot be one.

    One query for the label that counts, none for the others.
    """
    if not (context.get("rights") or {}).get("lead") or not label["current"]:
        return None
    row = Label.objects.get(pk=label["id"])
    return row if may_be_known(row) else None
