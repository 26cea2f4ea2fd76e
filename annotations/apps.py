from django.apps import AppConfig


class AnnotationsConfig(AppConfig):
    name = "annotations"

    def ready(self) -> None:
        """Takes its places in the apps below: a new project's defaults, an interaction's page, imported labels."""
        from annotations import defaults, imported, sections  # models can be imported only now
        from feedback import detail, importers, sample_chat
        from projects import services

        for registry, entry in (
            (services.project_defaults, defaults.create_defaults),
            (detail.sections, sections.LABELS),
            (detail.sections, sections.TASKS),
            (importers.label_sinks, imported.take),
            (sample_chat.onward, sections.IN_THE_QUEUE),
        ):
            if entry not in registry:
                registry.append(entry)  # type: ignore[arg-type]
