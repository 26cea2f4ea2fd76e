"""Statements that the server has planned before, within a transaction; and storing one new row by such a statement.

A vote takes ten statements. Planned anew each time and written by Django, they cost four times as much.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import Field, JSONField, Model
from django.db.models.expressions import DatabaseDefault

from feedback.services.writing import as_text


def one(statement: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """Runs a prepared statement without a savepoint and returns its first row, () if it has none.

    For transactions that an error of the database ends anyway; otherwise as ``say_prepared``.
    """
    with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]  # our engine's
        cursor.execute(statement, {name: as_text(value) for name, value in parameters.items()})
        return (cursor.fetchone() or ()) if cursor.description else ()


def insert(row: Model, *, beside: str = "", **parameters: Any) -> None:
    """Stores a new row and sets its key and what the database filled in.

    ``beside`` are more parts of the same statement (``name AS (…), …``), which may read ``stored.id``; ``parameters``
    are theirs. All parts see what was committed before the statement began.
    """
    model = type(row)
    said = {
        field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields if field is not _key(model)
    }
    left_out = tuple(name for name, value in said.items() if isinstance(value, DatabaseDefault))
    fields = {field.attname: field for field in model._meta.concrete_fields}
    values = {name: _as_text(fields[name], value) for name, value in said.items() if name not in left_out}
    found = one(_statement(model, left_out, beside), {**values, **parameters})
    for name, value in zip((_key(model).attname, *left_out), found, strict=True):
        setattr(row, name, value)
    row._state.adding, row._state.db = False, connection.alias


def as_row(row: Model) -> dict[str, Any]:
    """A new row by columns, as ``jsonb_populate_record`` reads it, without its key and what the database fills in."""
    values = {
        field: getattr(row, field.attname) for field in type(row)._meta.concrete_fields if field is not _key(type(row))
    }
    return {
        str(field.column): value if value is None or isinstance(field, JSONField | ArrayField) else as_text(value)
        for field, value in values.items()
        if not isinstance(value, DatabaseDefault)
    }


def _key(model: type[Model]) -> Field[Any, Any]:
    key: Field[Any, Any] | None = model._meta.pk
    assert key is not None
    return key


@lru_cache
def _statement(model: type[Model], left_out: tuple[str, ...], beside: str) -> str:
    fields = [
        field for field in model._meta.concrete_fields if field is not _key(model) and field.attname not in left_out
    ]
    back = ", ".join(f'"{name}"' for name in (_key(model).attname, *left_out))
    columns, places = (
        ", ".join(f'"{field.column}"' for field in fields),
        ", ".join(f"%({one.attname})s" for one in fields),
    )
    table = model._meta.db_table
    stored = f'stored AS (INSERT INTO "{table}" ({columns}) VALUES ({places}) RETURNING {back})'  # noqa: S608  # names
    return f"WITH {stored}{', ' if beside else ''}{beside} SELECT {back} FROM stored"  # noqa: S608  # names of ours


def _as_text(field: Field[Any, Any], value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(field, JSONField):
        return json.dumps(value)
    if isinstance(field, ArrayField):
        return array(value)
    return as_text(value)


def array(values: Iterable[Any]) -> str:
    """An array as PostgreSQL reads it from text."""
    return "{" + ",".join(_quoted(str(one)) for one in values) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
