"""Words and phrases in questions, answers and what users wrote about them.

The words of an interaction are parsed by the worker, within a second or so of its arrival; until then the few that
wait are parsed by whoever searches. The configuration is ``simple``: no stemming and no stop words, since one
project's texts may be of several languages. Scripts without spaces are split into single characters, and what is
searched for as well, so that it is found as a phrase. Typographic signs become spaces: a database whose locale is C
takes each of them for a letter, and “fee” with its quotation marks for one word.
"""

# ruff: noqa: S608  # only constants of this module are written into SQL; every value is a parameter
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import F, Func, TextField, Value

LONGEST = 60_000  # characters of a question or an answer that are searched; a tsvector holds 1 MB
RECENT = 500  # interactions that the worker has not come to and a search still looks at
_UNITS = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
# Japanese, Chinese, Thai; or Latin-1 signs, punctuation, currencies, letterlike and other symbols, wide punctuation
ALONE = (
    r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f])"
    r"|[\u00a0-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2100-\u2bff"
    r"\u3000-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
)
_WORDS = rf"""to_tsvector('simple', regexp_replace(concat_ws(' ', (
    SELECT left(string_agg(part #>> '{{}}', ' '), {LONGEST})
    FROM (SELECT jsonb_path_query_array(row.messages, '$[*] ? (@.role == "user").content') -> -1) AS asked (content),
      LATERAL (SELECT jsonb_path_query(content, '$[*] ? (@.type() == "string")')
               UNION ALL SELECT jsonb_path_query(content, '$[*].text ? (@.type() == "string")')) AS found (part)
  ), left(row.output, {LONGEST})), '{ALONE}', ' \1 ', 'g'))"""
INDEX = f"""
INSERT INTO feedback_searchtext (interaction_id, words)
SELECT row.id, {_WORDS} FROM feedback_interaction AS row WHERE row.id = ANY(%(ids)s)
ON CONFLICT (interaction_id) DO UPDATE SET words = EXCLUDED.words"""
# As the index feedback_words spells it.
_SAID = "to_tsvector('simple'::regconfig, {} || ' ' || {})".format(
    *(f"COALESCE(regexp_replace({column}, '{ALONE}', ' \\1 ', 'g'), '')" for column in ("comment", "correction"))
)
_SAYS = "(NOT (comment = '') OR NOT (correction = ''))"
ELSEWHERE = f"""
SELECT interaction_id FROM feedback_feedback
WHERE project_id = %(project)s AND {_SAYS} AND {_SAID} @@ to_tsquery('simple', %(words)s)
UNION ALL SELECT id FROM feedback_interaction WHERE project_id = %(project)s AND external_id = %(q)s
UNION ALL SELECT row.id FROM (
  SELECT object_id, project_id, kind FROM feedback_inbox WHERE stage = 'analyse' ORDER BY id DESC LIMIT {RECENT}
) AS waiting JOIN feedback_interaction AS row ON row.id = waiting.object_id
WHERE waiting.project_id = %(project)s AND waiting.kind = 'interaction' AND {_WORDS} @@ to_tsquery('simple', %(words)s)
"""


def words_apart(column: str) -> Func:
    """A column's text for an index over its words, with what stands alone set apart as everywhere here."""
    return Func(
        F(column), Value(ALONE), Value(r" \1 "), Value("g"), function="regexp_replace", output_field=TextField()
    )


def index(ids: Iterable[int]) -> None:
    """Makes these interactions findable by their words; once more for those whose text has changed."""
    with connection.cursor() as cursor:
        cursor.execute(INDEX, {"ids": list(ids)})


@dataclass(frozen=True, slots=True)
class Words:
    """A search as SQL conditions over a table with the column ``id``."""

    parameters: dict[str, Any]
    near = f"""(near.id IN (SELECT interaction_id FROM feedback_searchtext AS text
      WHERE text.interaction_id BETWEEN (SELECT low FROM ends) AND (SELECT high FROM ends)
        AND text.words @@ to_tsquery('simple', %(words)s))
      OR near.id IN ({ELSEWHERE}))"""
    anywhere = f"""id = ANY(ARRAY(SELECT interaction_id FROM feedback_searchtext
      WHERE words @@ to_tsquery('simple', %(words)s) UNION ALL {ELSEWHERE}))"""


def words(project_id: int, q: str) -> Words:
    """What ``q`` asks for: words, all of them; "a phrase"; -without; and the last word as far as it is typed."""
    units = []
    for minus, phrase, word in _UNITS.findall(q):
        text = phrase or word.rstrip("*")
        if not text:
            continue
        begins = not phrase and (word.endswith("*") or (q.endswith(word) and len(word) > 1))
        units.append(("!" if minus else "") + _quoted(text) + (":*" if begins else ""))
    return Words({"project": project_id, "q": q, "words": " & ".join(units)})


def _quoted(text: str) -> str:
    text = re.sub(ALONE, r" \1 ", text)
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
