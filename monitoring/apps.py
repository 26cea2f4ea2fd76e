"""What to watch: metric buckets, alert rules, alerts, the health page."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "monitoring"

    def ready(self) -> None:
        from monitoring.alerts import create_defaults  # models can be imported only now
        from projects.services import project_defaults

        project_defaults.append(create_defaults)
