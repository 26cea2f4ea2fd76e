from django.apps import AppConfig


class EvalsConfig(AppConfig):
    name = "evals"

    def ready(self) -> None:
        """Gives a new project its golden dataset and its first judge, reviewers the datasets, and the list its acts."""
        from annotations.golden import offers
        from evals import acts
        from evals.datasets import create_default_dataset, offered
        from evals.defaults import create_default_judge
        from evals.replay_pages import SECTION
        from feedback import detail
        from feedback.bulk import actions
        from projects.services import project_defaults

        if offered not in offers:
            offers.append(offered)
        for act in (acts.TO_DATASET, acts.TO_JUDGE):
            if act not in actions:
                actions.append(act)
        if SECTION not in detail.sections:
            detail.sections.append(SECTION)
        for make in (create_default_dataset, create_default_judge):
            if make not in project_defaults:
                project_defaults.append(make)
