"""Coefficients in templates."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def coefficient(value: float | None) -> str:
    """``0.71``, ``−0.05``; a dash where nothing is known."""
    return "–" if value is None else f"{value + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "−")


@register.filter
def span(found: object) -> str:
    """The interval of a figure: ``0.66 to 0.76``; nothing where there is none."""
    low, high = getattr(found, "low", None), getattr(found, "high", None)
    return "" if low is None or high is None else f"{coefficient(low)} to {coefficient(high)}"


@register.filter
def span_percent(found: object) -> str:
    """The interval of a share: ``73 to 81 %``; nothing where there is none."""
    low, high = getattr(found, "low", None), getattr(found, "high", None)
    return "" if low is None or high is None else f"{low * 100:.0f} to {high * 100:.0f}\u00a0%"


@register.filter
def ends(interval: tuple[float, float]) -> str:
    """Both ends of the interval of a share: ``71 to 85 %``."""
    low, high = interval
    return f"{low * 100:.0f} to {high * 100:.0f}\u00a0%"
