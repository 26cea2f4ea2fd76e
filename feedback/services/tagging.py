"""Tags that people give to interactions that are stored already."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, transaction

from feedback import limits
from projects import audit
from projects.errors import invalid
from projects.models import Project, User

ADD = """
UPDATE feedback_interaction SET tags = tags || %(tag)s::varchar
WHERE project_id = %(project)s AND id = ANY(%(ids)s) AND NOT tags @> ARRAY[%(tag)s]::varchar[]
  AND cardinality(tags) < %(most)s"""


@transaction.atomic
def tag_interactions(project: Project, user: User, pks: Sequence[int], tag: str) -> int:
    """Adds a tag to those without it that may have one more; returns to how many.

    ApiError 422 for a tag that is empty or too long.
    """
    tag = tag.strip()
    if not tag or len(tag) > limits.TAG or "\0" in tag:
        raise invalid("/tag", f"A tag has 1 to {limits.TAG} characters.")
    with connection.cursor() as cursor:
        cursor.execute(ADD, {"tag": tag, "project": project.pk, "ids": list(pks), "most": limits.TAGS})
        changed: int = cursor.rowcount
    audit.record(project, user, "interactions.tagged", tag, count=changed)
    return changed
