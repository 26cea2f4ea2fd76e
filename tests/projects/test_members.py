from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from projects.models import AuditEntry, Membership, Project, User


def test_adding_an_unknown_person_makes_an_account_and_shows_its_password_once(
    browser_of: Callable[[str], Client], project: Project
) -> None:
    admin = browser_of("admin")
    answer = admin.post("/p/acme/members/", {"email": "New@Example.com", "name": "Nora New", "role": "lead"})
    assert answer.status_code == 201
    password = answer.context["password"]
    assert password.encode() in answer.content
    assert password.encode() not in admin.get("/p/acme/members/").content
    assert Client().post("/login/", {"username": "new@example.com", "password": password}).status_code == 302
    assert Membership.objects.get(project=project, user__email="new@example.com").role == "lead"


def test_adding_a_known_person_changes_their_role_and_not_their_password(
    browser_of: Callable[[str], Client], people: dict[str, User], project: Project
) -> None:
    answer = browser_of("admin").post("/p/acme/members/", {"email": "outsider@example.com", "role": "viewer"})
    assert answer.status_code == 302
    assert Membership.objects.get(project=project, user=people["outsider"]).role == "viewer"


def test_the_last_admin_can_neither_leave_nor_step_down(
    browser_of: Callable[[str], Client], project: Project, people: dict[str, User]
) -> None:
    mine = project.memberships.get(user=people["admin"])
    admin = browser_of("admin")
    admin.post(f"/p/acme/members/{mine.pk}/role/", {"role": "viewer"})
    answer = admin.post(f"/p/acme/members/{mine.pk}/remove/", follow=True)
    assert b"This is the last admin" in answer.content
    mine.refresh_from_db()
    assert mine.role == "admin"


def test_a_member_of_another_project_cannot_be_reached_through_this_one(
    browser_of: Callable[[str], Client], people: dict[str, User]
) -> None:
    foreign = Membership.objects.get(user=people["outsider"])
    assert browser_of("admin").post(f"/p/acme/members/{foreign.pk}/remove/").status_code == 404


def test_changes_are_in_the_audit_log(browser_of: Callable[[str], Client], project: Project) -> None:
    admin = browser_of("admin")
    admin.post("/p/acme/members/", {"email": "new@example.com", "role": "lead"})
    entry = AuditEntry.objects.filter(project=project, action="member.set").latest("id")
    assert (entry.actor_name, entry.target, entry.detail) == ("Admin", "new@example.com", {"role": "lead"})
    assert b"new@example.com" in admin.get("/p/acme/audit/").content
