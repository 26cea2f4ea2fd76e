"""The commands of ``reviewhub`` that work on a database: what they print, make and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client

from projects import connections, keys, services, webhooks
from projects.models import ApiKey, AuditEntry, Membership, Project, Role, User
from reviewhub import cli
from reviewhub.commands import bootstrap, import_, rotate_secrets, sample
from reviewhub.runner import banner
from reviewhub.runner.database import Facts, problems
from reviewhub.runner.home import home

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``run(module, "words", …)``: exit code, standard output, standard error."""

    def call(module: Any, *words: str) -> tuple[int, str, str]:
        code = module.handle(cli.parser().parse_args(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def start(run: Any, *more: str) -> dict[str, Any]:
    words = ["bootstrap", "--project", "shop", "--admin", "Ada@Example.com", "--reviewer", "rob@example.com", "--json"]
    code, out, _ = run(bootstrap, *words, *more)
    assert code == 0
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_bootstrap_prints_what_works(run: Any) -> None:
    made = start(run)
    assert list(made) == ["project", "url", "secret_key", "publishable_key", "users"]
    assert [(user["email"], user["role"]) for user in made["users"]] == [
        ("ada@example.com", "admin"),
        ("rob@example.com", "reviewer"),
    ]
    for user in made["users"]:
        assert Client().login(username=user["email"], password=user["password"])
        caller = keys.check(user["token"])
        assert caller is not None
        assert caller.user == User.objects.get(email=user["email"])
    secret = keys.check(made["secret_key"])
    assert secret is not None
    assert secret.scopes == {"ingest", "read", "write", "runs"}
    assert keys.check(made["publishable_key"])


def test_a_repeated_bootstrap_keeps_people_and_project_and_issues_new_keys(run: Any) -> None:
    first = start(run)
    Membership.objects.filter(user__email="rob@example.com").update(role=Role.LEAD)
    again = start(run)
    assert (Project.objects.count(), User.objects.count()) == (1, 2)
    assert [user["password"] for user in again["users"]] == [None, None]
    assert again["users"][1]["role"] == "lead", "a role that was changed since is not taken back"
    assert again["secret_key"] != first["secret_key"]
    assert keys.check(first["secret_key"]), "keys in use go on working"


def test_a_given_password_is_for_new_people_only(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    start(run)
    monkeypatch.setenv("FIRST_PASSWORD", "long enough for all")
    made = start(run, "--reviewer", "new@example.com", "--password-env", "FIRST_PASSWORD")
    assert [user["password"] for user in made["users"]] == [None, None, "long enough for all"]
    assert Client().login(username="new@example.com", password="long enough for all")


@pytest.mark.parametrize("password", ["", "short"])
def test_a_bad_password_makes_nothing(run: Any, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("FIRST_PASSWORD", password)
    with pytest.raises(ValidationError):
        start(run, "--password-env", "FIRST_PASSWORD")
    assert not Project.objects.exists()


def test_a_wrong_word_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["bootstrap"], ["launch"], ["web", "--threads", "0"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(words)
        assert stopped.value.code == 2
        assert "usage:" in capsys.readouterr().err


def test_import_tells_what_became_of_each_line(run: Any, project: Project, tmp_path: Path) -> None:
    lines = [
        {"id": "a", "messages": [{"role": "user", "content": "Hello?"}], "output": "Hello."},
        {"id": "b", "messages": "not a list", "output": 3},
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["import", str(path), "--project", project.slug]
    code, out, err = run(import_, *words)
    assert code == 1, "a refused line must not look like success"
    assert "line 2" in err
    code, out, _ = run(import_, *words, "--json")
    counts = json.loads(out)
    assert (counts["interactions"], counts["interactions_known"], counts["rejected"]) == (0, 1, 1)


@pytest.mark.parametrize(("file", "slug"), [("missing.jsonl", "acme"), ("there.jsonl", "no-such-project")])
def test_import_of_nothing_is_refused(run: Any, project: Project, tmp_path: Path, file: str, slug: str) -> None:
    (tmp_path / "there.jsonl").write_text("")
    with pytest.raises(ValidationError, match="There is no"):
        run(import_, "import", str(tmp_path / file), "--project", slug)


def test_the_sample_is_shown_with_sign_ins_that_work(
    run: Any, project: Project, people: dict[str, User], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVIEWHUB_HOME", str(tmp_path))
    monkeypatch.setattr(sample, "load", lambda: project)
    home().make()
    assert run(sample, "sample", "load")[0] == 0
    assert home().sample.stat().st_mode & 0o077 == 0, "it holds passwords"

    connection.ensure_connection()
    shown = banner.Shown.read(home().sample, connection.connection)
    assert [user["role"] for user in shown.users] == Role.values
    for user in shown.users:
        assert Client().login(username=user["email"], password=user["password"])
    assert keys.check(shown.secret_key)
    text = banner.text("http://127.0.0.1:8000", shown)
    assert "/p/acme/queues/negative-feedback/review/" in text
    assert all(user["password"] in text for user in shown.users)

    people["lead"].set_password("a new one of my own")
    people["lead"].save(update_fields=["password"])
    services.revoke_key(ApiKey.objects.get(kind="pk", name="sample"), actor=None)
    later = banner.Shown.read(home().sample, connection.connection)
    assert {user["role"]: user["password"] for user in later.users}["lead"] == "(changed since)"
    assert (later.secret_key, later.publishable_key) == (shown.secret_key, "(revoked)")

    monkeypatch.setattr(sample, "remove", lambda: None)
    run(sample, "sample", "remove")
    assert banner.Shown.read(home().sample, connection.connection) == banner.Shown()
    assert home().sample.exists(), "so that the next start does not load it again"


def test_rotating_seals_every_secret_with_the_first_key(project: Project, settings: Any) -> None:
    """The secrets are stored and read back by those who own them, so that both sides must agree on the place."""
    settings.SECRETS_KEYRING = "old:" + "a" * 40
    connection = connections.create_connection(
        project, name="p", kind="openai", base_url="https://api.openai.com/v1", key="sk-provider", actor=None
    )
    webhook, webhook_secret = webhooks.create(
        project, url="https://hooks.example.com/x", events=["alert.opened"], actor=None
    )
    key, text = keys.create_key(project=project, kind="sk", name="k")

    settings.SECRETS_KEYRING = f"new:{'b' * 40},old:{'a' * 40}"
    assert rotate_secrets.rotate() == (3, [])
    settings.SECRETS_KEYRING = "new:" + "b" * 40
    for row in (connection, webhook, key):
        row.refresh_from_db()
    assert connections.key_of(connection) == "sk-provider"
    assert webhooks.secret_of(webhook) == webhook_secret
    assert keys.signing_secret_of(key) == keys.signing_secret(text)
    assert AuditEntry.objects.filter(action="secrets.rotated").count() == 1

    settings.SECRETS_KEYRING = "other:" + "c" * 40
    moved, lost = rotate_secrets.rotate()
    assert (moved, len(lost)) == (0, 3), "what cannot be opened is told and left"


def test_every_sealed_column_is_rotated() -> None:
    sealed = {
        (model, field.name) for model in apps.get_models() for field in model._meta.fields if "sealed" in field.name
    }
    assert sealed == {(model, column) for model, column, _ in rotate_secrets.SEALED}


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (Facts(140012, "on", "on", "on"), "15 or newer"),
        (Facts(180006, "off", "on", "on"), "fsync is off"),
        (Facts(180006, "on", "off", "on"), "synchronous_commit is off"),
        (Facts(180006, "on", "on", "off"), "full_page_writes is off"),
    ],
)
def test_a_server_that_forgets_is_named(facts: Facts, word: str) -> None:
    assert word in " ".join(problems(facts))


@pytest.mark.parametrize("commit", ["on", "local", "remote_write", "remote_apply"])
def test_a_server_that_keeps_its_word_is_taken(commit: str) -> None:
    assert problems(Facts(150000, "on", commit, "on")) == []
