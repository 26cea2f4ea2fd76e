"""What a single web server or worker looks at before it starts without a supervisor."""

from __future__ import annotations

import contextlib

from django.conf import settings

from reviewhub.runner import database
from reviewhub.runner.home import CannotStart, home


def preflight() -> None:
    """Raises CannotStart if the database is away, unsafe or not migrated."""
    if settings.EMBEDDED_DATABASE and not home().holder():
        raise CannotStart(
            "There is no database: DATABASE_URL is not set and `reviewhub run` is not running. "
            "Start that (it brings its own database), or set DATABASE_URL."
        )
    with contextlib.closing(database.connect(settings.DATABASE_URL)) as connection:
        found = database.problems(database.facts_of(connection))
        if found:
            raise CannotStart("This database cannot be used. " + " ".join(found) + " Nothing was changed.")
        if waiting := database.waiting_migrations(connection, settings.INSTALLED_APPS):
            raise CannotStart(
                f"{len(waiting)} migrations are not applied ({waiting[0]}, …). Run `reviewhub migrate` first."
            )
