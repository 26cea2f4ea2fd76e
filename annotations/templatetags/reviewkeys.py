"""Key caps of the review screen: those of the person who looks at it."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from projects.templatetags.ui import kbd

register = template.Library()


def _own(context: template.Context, key: str) -> str:
    user = context.get("user")
    keys: dict[str, str] = getattr(user, "keys", None) or {}
    return keys.get(key.lower(), key)


@register.simple_tag(takes_context=True)
def key(context: template.Context, name: str) -> SafeString:
    """``{% key "P" %}``: the cap of the key that does this for the person; nothing where they have switched it off."""
    own = _own(context, name)
    return kbd(own.upper()) if own else SafeString("")


@register.simple_tag(takes_context=True)
def shortcut(context: template.Context, name: str) -> SafeString:
    """``{% shortcut "p" %}``: ``data-key``, which names what the control does, and the person's key for readers."""
    own = _own(context, name)
    return format_html('data-key="{}"{}', name, format_html(' aria-keyshortcuts="{}"', own) if own else "")
