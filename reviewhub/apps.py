from django.apps import AppConfig
from django.core import checks as django_checks

from reviewhub import celery, checks


class ReviewhubConfig(AppConfig):
    name = "reviewhub"

    def ready(self) -> None:
        # Whoever rings the doorbell asks for the current app: in a web server, too, it must be ours.
        celery.app.set_current()
        celery.app.set_default()
        django_checks.register(checks.database_keeps_its_word, django_checks.Tags.database)
        django_checks.register(checks.proxies_are_named, django_checks.Tags.security, deploy=True)
