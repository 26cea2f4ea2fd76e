from django.apps import AppConfig


class AnnotationsConfig(AppConfig):
    name = "annotations"

    def ready(self) -> None:
        from annotations.defaults import create_defaults  # models can be imported only now
        from projects.services import project_defaults

        project_defaults.append(create_defaults)
