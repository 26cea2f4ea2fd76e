"""What the audit log can be narrowed by. Only these fields and look-ups exist for a request."""

from __future__ import annotations

import django_filters

from projects.models import AuditEntry


class AuditFilter(django_filters.FilterSet):  # type: ignore[misc]  # the library has no types
    """Who, what, on what, and from when to when (days in UTC, both included)."""

    who = django_filters.CharFilter("actor_name", "icontains", max_length=254)
    what = django_filters.CharFilter("action", "istartswith", max_length=60)
    target = django_filters.CharFilter("target", "icontains", max_length=200)
    since = django_filters.DateFilter("at", "date__gte")
    until = django_filters.DateFilter("at", "date__lte")

    class Meta:
        model = AuditEntry
        fields: list[str] = []
