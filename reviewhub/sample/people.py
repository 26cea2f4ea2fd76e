"""The people of the sample project: one of each role, and three reviewers who share the work."""

from __future__ import annotations

from typing import NamedTuple

from projects import services
from projects.models import Membership, Project, Role, User


class Person(NamedTuple):
    email: str
    name: str
    role: Role


SAMPLE_USERS = [
    Person("lukas.brandt@nordlicht.example", "Lukas Brandt", Role.ADMIN),
    Person("marit.oldenburg@nordlicht.example", "Marit Oldenburg", Role.LEAD),
    Person("priya.raman@nordlicht.example", "Priya Raman", Role.ENGINEER),
    Person("henrik.aas@nordlicht.example", "Henrik Aas", Role.VIEWER),
    Person("aylin.demir@nordlicht.example", "Aylin Demir", Role.REVIEWER),
    Person("tomasz.wilk@nordlicht.example", "Tomasz Wilk", Role.REVIEWER),
    Person("carla.benedetti@nordlicht.example", "Dr. Carla Benedetti", Role.REVIEWER),
]


class Team:
    """The accounts once they exist."""

    def __init__(self, users: dict[str, User]) -> None:
        self._users = users
        self.admin, self.lead, self.engineer = (
            self._of(role)[0] for role in (Role.ADMIN, Role.LEAD, Role.ENGINEER)
        )  # fmt: skip
        self.service, self.billing, self.pharmacist = self._of(Role.REVIEWER)

    def _of(self, role: Role) -> list[User]:
        return [self._users[person.email] for person in SAMPLE_USERS if person.role == role]


def accounts(passwords: dict[str, str]) -> Team:
    """The accounts of the team; without a password in ``passwords`` (by e-mail) one cannot sign in yet."""
    users = {}
    for person in SAMPLE_USERS:
        user = User.objects.filter(email=person.email).first()
        users[person.email] = user or User.objects.create_user(
            person.email, passwords.get(person.email), name=person.name
        )  # fmt: skip
    return Team(users)


def join(project: Project, team: Team) -> None:
    """Everybody gets their role; the admin has theirs from creating the project."""
    for person in SAMPLE_USERS:
        if person.role != Role.ADMIN:
            services.set_member(project, email=person.email, role=person.role, actor=team.admin)


def remove_accounts() -> None:
    """Deletes the team's accounts, except those that somebody has put to use in another project."""
    emails = [person.email for person in SAMPLE_USERS]
    busy = Membership.objects.filter(user__email__in=emails).values("user")
    User.objects.filter(email__in=emails).exclude(pk__in=busy).delete()
