"""Gives stored rows the times at which they would have come about.

The services stamp what they store with the database's clock, as they must: nobody may claim to have labelled
something last week. A sample of a month has to look as if it had grown over that month, so the loader moves
these times afterwards, by UPDATE, and only here.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, models


def stamp(model: type[models.Model], times: dict[int, dict[str, datetime]]) -> None:
    """Sets the time columns of rows by primary key; every row names the same columns."""
    if not times:
        return
    fields = [model._meta.get_field(name) for name in next(iter(times.values()))]
    quote = connection.ops.quote_name
    table, key = quote(model._meta.db_table), quote(str(model._meta.pk and model._meta.pk.column))
    columns = [quote(str(field.column)) for field in fields if isinstance(field, models.Field)]
    statement = (
        f"UPDATE {table} SET {', '.join(f'{name} = given.{name}' for name in columns)} "  # noqa: S608
        f"FROM unnest(%s::bigint[]{', %s::timestamptz[]' * len(columns)}) AS given (pk, {', '.join(columns)}) "
        f"WHERE {table}.{key} = given.pk"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(times), *([row[field.name] for row in times.values()] for field in fields)])
