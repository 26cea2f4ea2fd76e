from django.apps import AppConfig
from django.core import checks as django_checks

from reviewhub import checks


class ReviewhubConfig(AppConfig):
    name = "reviewhub"

    def ready(self) -> None:
        django_checks.register(checks.database_keeps_its_word, django_checks.Tags.database)
