from django.apps import AppConfig


class EvalsConfig(AppConfig):
    name = "evals"

    def ready(self) -> None:
        """Gives every new project its golden dataset and its first judge, and reviewers the datasets to choose from."""
        from annotations.golden import offers
        from evals.datasets import create_default_dataset, offered
        from evals.defaults import create_default_judge
        from projects.services import project_defaults

        if offered not in offers:
            offers.append(offered)
        for make in (create_default_dataset, create_default_judge):
            if make not in project_defaults:
                project_defaults.append(make)
