from django.apps import AppConfig


class ReviewhubConfig(AppConfig):
    name = "reviewhub"

    def ready(self) -> None:
        # Every process that rings, the web server too, must know the configured broker, not Celery's default.
        from reviewhub.celery import app

        app.set_default()
