"""One factory per model that tests build directly: the smallest row that is valid."""

from __future__ import annotations

import factory

from projects import services
from projects.models import Project, User


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@example.com")
    name = factory.Sequence(lambda n: f"Person {n}")


class ProjectFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Project

    slug = factory.Sequence(lambda n: f"project-{n}")
    name = factory.LazyAttribute(lambda project: project.slug.title())

    @classmethod
    def _create(cls, model_class: type[Project], *args: object, **kwargs: object) -> Project:
        return services.create_project(**kwargs)
