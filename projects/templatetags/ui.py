"""Small pieces that every page uses: icons, key caps, avatars, figures as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import floor, log10

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from projects.models import User
from projects.rendering import fill, fill_each, show_unseen

register = template.Library()
NO_BREAK = "\u00a0"


@register.simple_tag
@lru_cache(maxsize=512)
def icon(name: str, size: str = "") -> SafeString:
    """``{% icon "inbox" %}``, ``{% icon "x" "sm" %}``: decorative; the name comes from the text beside it."""
    classes = f"i i-{size}" if size else "i"
    return fill(
        '<svg class="{}" aria-hidden="true"><use href="{}#i-{}"/></svg>', classes, static("reviewhub/icons.svg"), name
    )


@register.simple_tag
@lru_cache(maxsize=512)
def kbd(*keys: str) -> SafeString:
    """Key caps; the same key belongs into ``aria-keyshortcuts`` of the control."""
    return fill('<span class="kbds" aria-hidden="true">{}</span>', fill_each("<kbd>{}</kbd>", ((k,) for k in keys)))


@register.simple_tag
def avatar(user: User) -> SafeString:
    name = show_unseen(str(user))
    return fill(
        '<span class="av t{}" title="{}" role="img" aria-label="{}">{}</span>', user.pk % 4 + 1, name, name,
        show_unseen(user.initials),
    )  # fmt: skip


@register.filter
def percent(share: float | None, digits: int = 1) -> str:
    """``0.874`` → ``87.4 %`` with a no-break space; a dash where nothing is known."""
    return "–" if share is None else f"{share * 100:.{digits}f}{NO_BREAK}%"


@register.filter
def points(change: float | None) -> str:
    """A difference of two shares in percentage points: ``0.05`` → ``5 points``, with a real minus sign."""
    if change is None:
        return "–"
    number = f"{abs(change) * 100:.0f}"
    return f"{'−' if change < 0 and number != '0' else ''}{number}{NO_BREAK}points"


@register.filter
def usd(amount: Decimal | float | None) -> str:
    """US dollars: cents from one dollar up, two significant digits below a cent; unknown is a dash, never 0."""
    if amount is None:
        return "–"
    value = float(amount)
    if value >= 1 or value == 0:
        return f"${value:,.2f}"
    places = 4 if value >= 0.01 else 1 - floor(log10(value))
    return f"${value:.{places}f}"


@register.filter
def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}{NO_BREAK}ms" if value < 1000 else f"{value / 1000:.1f}{NO_BREAK}s"


@register.filter
def duration(span: timedelta | float | None) -> str:
    """A length of time in its two largest units: ``5 h 12 min``, ``2 d 3 h``, ``38 s``."""
    if span is None:
        return "–"
    seconds = int(span.total_seconds() if isinstance(span, timedelta) else span)
    sign = "−" if seconds < 0 else ""
    seconds = abs(seconds)
    for name, size, below, below_name in (("d", 86400, 3600, "h"), ("h", 3600, 60, "min"), ("min", 60, 1, "s")):
        if seconds >= size:
            rest = seconds % size // below
            tail = f"{NO_BREAK}{rest}{NO_BREAK}{below_name}" if rest and (size > 60 or seconds < 600) else ""
            return f"{sign}{seconds // size}{NO_BREAK}{name}{tail}"
    return f"{sign}{seconds}{NO_BREAK}s"


@register.simple_tag
def when(moment: object) -> SafeString:
    """A time as people say it: relative up to a day, then the date; the exact time is in the title."""
    if not isinstance(moment, datetime):
        return SafeString("–")
    local = timezone.localtime(moment)
    age = timezone.now() - moment
    if timedelta(0) <= age < timedelta(seconds=60):
        text = "just now"
    elif timedelta(0) <= age < timedelta(days=1):
        text = f"{duration(age)} ago"
    else:
        text = f"{local.day} {local:%b %Y, %H:%M}"
    return fill('<time datetime="{}" title="{}">{}</time>', local.isoformat(), f"{local:%d %b %Y, %H:%M:%S %Z}", text)


@register.filter
def plain(value: object) -> str:
    """A value from a JSON column as people write it: lists with commas, yes and no, a dash for nothing."""
    if isinstance(value, list):
        return ", ".join(plain(entry) for entry in value) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value in (None, "") else str(value)


@register.filter
def items(mapping: object) -> list[tuple[str, object]]:
    """Pairs of a dict from outside: ``{{ data.items }}`` would look up a key named "items" first."""
    return list(mapping.items()) if isinstance(mapping, dict) else []


@register.simple_tag(takes_context=True)
def nav_link(
    context: template.Context, name: str, icon_name: str, text: str, section: str, key: str = ""
) -> SafeString:
    """One entry of the sidebar; ``key`` is what follows ``g`` to go there."""
    return fill(
        '<a href="{}"{}{}>{}{}</a>',
        reverse(name, args=[context["project"].slug]),
        SafeString(' aria-current="page"') if context.get("section") == section else "",
        fill(' data-go="{}"', key) if key else "",
        icon(icon_name),
        text,
    )
