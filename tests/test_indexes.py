"""An index costs each INSERT a write: none may hold only what the beginning of another one holds."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

# B-trees of one column, not unique and of all rows, whose column leads another index of all rows.
REPEATED = """
SELECT short.indrelid::regclass::text, short.indexrelid::regclass::text, min(long.indexrelid::regclass::text)
FROM pg_index AS short
JOIN pg_index AS long ON long.indrelid = short.indrelid AND long.indexrelid <> short.indexrelid
JOIN pg_class AS s ON s.oid = short.indexrelid
JOIN pg_class AS l ON l.oid = long.indexrelid AND l.relam = s.relam
JOIN pg_am ON pg_am.oid = s.relam AND pg_am.amname = 'btree'
WHERE short.indnatts = 1 AND NOT short.indisunique AND long.indnatts > 1
  AND short.indexprs IS NULL AND short.indpred IS NULL AND long.indpred IS NULL
  AND long.indkey[0] = short.indkey[0] AND long.indclass[0] = short.indclass[0]
GROUP BY 1, 2 ORDER BY 1, 2
"""


@pytest.mark.django_db
def test_no_index_holds_only_what_the_beginning_of_another_holds() -> None:
    ours = {
        model._meta.db_table
        for model in apps.get_models()
        if not model.__module__.startswith("django.")  # its tables are not ours to change
    }
    with connection.cursor() as cursor:
        cursor.execute(REPEATED)
        repeated = [row for row in cursor.fetchall() if row[0] in ours]
    assert repeated == []
