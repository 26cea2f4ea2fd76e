from __future__ import annotations

from django.test import Client

from projects import services
from projects.models import Project, User
from tests.factories import UserFactory


def make_user(password: str = "correct horse battery") -> User:
    user: User = UserFactory(email="ines@example.com")
    services.change_password(user, password)
    return user


def sign_in(client: Client, password: str, email: str = "ines@example.com", **more: str) -> int:
    answer = client.post("/login/", {"username": email, "password": password, **more})
    return answer.status_code


def test_the_right_password_signs_in_and_goes_on_where_one_wanted_to_be(client: Client, db: None) -> None:
    make_user()
    answer = client.post(
        "/login/", {"username": "Ines@Example.com", "password": "correct horse battery", "next": "/account/"}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert client.get("/account/").status_code == 200


def test_a_foreign_address_to_go_on_to_is_ignored(client: Client, db: None) -> None:
    make_user()
    answer = client.post(
        "/login/",
        {"username": "ines@example.com", "password": "correct horse battery", "next": "https://evil.example/"},
    )
    assert answer["Location"] == "/"


def test_a_wrong_password_and_an_unknown_account_get_the_same_answer(client: Client, db: None) -> None:
    make_user()
    known = client.post("/login/", {"username": "ines@example.com", "password": "wrong"})
    unknown = client.post("/login/", {"username": "nobody@example.com", "password": "wrong"})
    strip = lambda answer, email: answer.content.decode().replace(email, "")  # noqa: E731
    assert known.status_code == unknown.status_code == 422
    assert b"do not match" in known.content
    token = 'name="csrfmiddlewaretoken" value="'
    cut = lambda text: text.split(token)[0] + text.split(token)[1][64:]  # noqa: E731
    assert cut(strip(known, "ines@example.com")) == cut(strip(unknown, "nobody@example.com"))


def test_after_ten_failures_even_the_right_password_has_to_wait(client: Client, db: None) -> None:
    make_user()
    for _ in range(10):
        assert sign_in(client, "wrong") == 422
    answer = client.post("/login/", {"username": "ines@example.com", "password": "correct horse battery"})
    assert answer.status_code == 422
    assert b"Too many tries" in answer.content


def test_signing_in_gives_the_session_a_new_key(client: Client, db: None) -> None:
    make_user()
    client.get("/login/")
    before = client.session.session_key
    sign_in(client, "correct horse battery")
    assert client.session.session_key != before


def test_a_changed_password_ends_other_sessions(db: None) -> None:
    make_user()
    here, there = Client(), Client()
    assert sign_in(here, "correct horse battery") == sign_in(there, "correct horse battery") == 302
    here.post("/account/password/", {"current": "correct horse battery", "new": "another long password"})
    assert here.get("/account/").status_code == 200
    assert there.get("/account/").status_code == 302


def test_hostile_text_in_the_form_is_escaped(client: Client, db: None) -> None:
    answer = client.post("/login/", {"username": '"><script>alert(1)</script>', "password": "x"})
    assert b"<script>alert" not in answer.content


def test_pages_carry_the_security_headers(client: Client, project: Project) -> None:
    answer = client.get("/login/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "no-store" in answer["Cache-Control"]
