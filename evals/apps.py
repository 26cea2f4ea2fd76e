from django.apps import AppConfig


class EvalsConfig(AppConfig):
    name = "evals"

    def ready(self) -> None:
        """Gives every new project its golden dataset."""
        from evals.datasets import create_default_dataset
        from projects.services import project_defaults

        if create_default_dataset not in project_defaults:
            project_defaults.append(create_default_dataset)
