from typing import Any

from django.apps import AppConfig


class AnnotationsConfig(AppConfig):
    name = "annotations"

    def ready(self) -> None:
        """Takes its places in the apps below: a new project's defaults, an interaction's page, imported labels."""
        from annotations import defaults, imported, sections  # models can be imported only now
        from feedback import browsing, bulk, detail, filters, importers, sample_chat
        from projects import services

        places: list[tuple[list[Any], Any]] = [
            (services.project_defaults, defaults.create_defaults),
            (detail.sections, sections.LABELS),
            (detail.sections, sections.TASKS),
            (detail.sections, sections.CLUSTER),
            (importers.label_sinks, imported.take),
            *((filters.facts, fact) for fact in sections.FACTS),
            (browsing.columns, sections.VERDICT),
            (bulk.actions, sections.TO_QUEUE),
            (sample_chat.places, sections.places_of),
        ]
        for registry, entry in places:
            if entry not in registry:
                registry.append(entry)
