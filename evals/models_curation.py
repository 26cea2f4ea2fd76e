"""How a project curates its golden datasets."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from projects.models import Project, User


class CurationSetting(models.Model):
    """A project's choice; without a row anybody who curates may approve what they proposed themselves."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="curation")
    second_person = models.BooleanField(default=False, help_text="Whoever proposed, voted or edited may not approve")
    changed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    changed_at = models.DateTimeField(db_default=Now())
