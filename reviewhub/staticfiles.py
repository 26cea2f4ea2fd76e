"""Static files that a browser may keep: their address carries the version of their content."""

import hashlib
from functools import cache

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage


@cache
def _digest(name: str) -> str:
    path = finders.find(name)
    if not path:
        return ""
    with open(path, "rb") as handle:
        return hashlib.sha256(handle.read()).hexdigest()[:12]


class VersionedStorage(StaticFilesStorage):
    """Serves from the source tree (no collectstatic step) and appends ``?v=<content hash>``.

    Road not taken: ManifestStaticFilesStorage needs a build step before the first page, which a clone
    that is started by one command does not have.
    """

    def url(self, name: str | None) -> str:
        address = super().url(name)
        digest = _digest(name or "")
        return f"{address}?v={digest}" if digest else address
