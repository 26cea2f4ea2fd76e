"""What of a version production has left behind: prompts, documents and tools that it uses in another version by now.

Compared with the newest RECENT interactions of the project: an example is left behind where production used the same
prompt, document or tool among these, but never as the example has it. What production does not use at all is not
told: the example may be about something rare.
"""

from __future__ import annotations

from collections import defaultdict

from django.db import connection

from evals.models import DatasetVersion

RECENT = 2_000  # interactions
NOTES = 3  # documents and tools that are named for each example

_RECENT = """
WITH recent AS MATERIALIZED (
  SELECT id, prompt_name, prompt_version, documents, tools FROM feedback_interaction
  WHERE project_id = %(project)s ORDER BY happened_at DESC, id DESC LIMIT %(recent)s
)"""
_PROMPTS = """
SELECT e.key, e.metadata->>'prompt_name', e.metadata->>'prompt_version', max(r.prompt_version)
FROM evals_example e JOIN recent r ON r.prompt_name = e.metadata->>'prompt_name'
WHERE e.version_id = %(version)s AND e.metadata->>'prompt_version' <> '' AND r.prompt_version <> ''
GROUP BY e.id HAVING NOT bool_or(r.prompt_version = e.metadata->>'prompt_version')"""
# Parts of a list by their name, and what stands for each.
_DOCUMENTS = ("documents", "part->>'id'", "part->>'content'")
_TOOLS = ("tools", "coalesce(part->'function'->>'name', part->>'name')", "part::text")
_PARTS = """, used AS MATERIALIZED (
  SELECT DISTINCT {name} AS name, md5({content}) AS said
  FROM recent, jsonb_array_elements(CASE jsonb_typeof({column}) WHEN 'array' THEN {column} ELSE '[]' END) part
  WHERE {name} <> '' AND {content} IS NOT NULL
)
SELECT DISTINCT e.key, {name} FROM evals_example e,
  jsonb_array_elements(CASE jsonb_typeof(e.input->'{column}') WHEN 'array' THEN e.input->'{column}' ELSE '[]' END) part
WHERE e.version_id = %(version)s AND {name} IN (SELECT name FROM used)
  AND NOT EXISTS (SELECT FROM used WHERE used.name = {name} AND used.said = md5({content}))
ORDER BY 1, 2"""


def left_behind(version: DatasetVersion) -> dict[str, list[str]]:
    """By the keys of examples what production uses otherwise by now, in sentences. Three queries."""
    found: dict[str, list[str]] = defaultdict(list)
    given = {"project": version.dataset.project_id, "version": version.pk, "recent": RECENT}
    with connection.cursor() as cursor:
        cursor.execute(_RECENT + _PROMPTS, given)
        for key, name, was, now in cursor.fetchall():
            found[key].append(f"prompt {name} is {now} now, was {was}")
        for what, parts in (("document", _DOCUMENTS), ("tool", _TOOLS)):
            column, name, content = parts
            cursor.execute(_RECENT + _PARTS.format(column=column, name=name, content=content), given)
            told: dict[str, list[str]] = defaultdict(list)
            for key, part in cursor.fetchall():
                told[key].append(part)
            for key, names in told.items():
                more = f" and {len(names) - NOTES} more" if len(names) > NOTES else ""
                found[key].append(f"{what} {', '.join(name[:60] for name in names[:NOTES])}{more} changed")
    return dict(found)
