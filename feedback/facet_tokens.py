"""What makes rare values quick to find: every value that a list filters by, as one array of words per row."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Func, TextField


class FacetTokens(Func):
    """``{"7:feature:billing", "7:model:x", …, tags}`` of a row: from the columns of the project, the tags, the facets.

    Never stored: it exists in the keys of an index and in the conditions that use it, and both have to be spelt
    alike, so both are made here.
    """

    output_field = ArrayField(TextField())

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[str | int, ...]]:
        project, tags, *columns = [compiler.compile(part)[0] for part in self.get_source_expressions()]
        return f"({spelt(project, tags, columns)})", ()


def spelt(project: str, tags: str, columns: list[str]) -> str:
    """The expression over these columns, each as SQL; the last part of its name says which facet it is."""
    names = [column.rsplit(".", 1)[-1].strip('"') for column in columns]
    words = ", ".join(f"{project}::text || ':{name}:' || {column}" for name, column in zip(names, columns, strict=True))
    return f"ARRAY[{words}]::text[] || {tags}::text[]"


def token(project_id: int, column: str, value: str) -> str:
    """The word that a row has whose ``column`` is ``value``."""
    return f"{project_id}:{column}:{value}"
