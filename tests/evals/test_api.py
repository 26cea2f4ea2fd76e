"""Datasets over the API: list, add, freeze; scopes and roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from evals.models import Dataset, Example
from projects import keys
from projects.models import Project
from tests.conftest import Api
from tests.evals import golden

DATASETS = "/api/v1/datasets"


def line(key: str | None = "a", **fields: Any) -> dict[str, Any]:
    given = {"input": {"messages": [{"role": "user", "content": "Fee?"}]}, "expected": {"output": "50 cents"}}
    return {**given, **({"id": key} if key else {}), **fields}


def test_the_list_tells_the_newest_version_and_what_waits(project: Project, sk: Api) -> None:
    version = golden.frozen(project, golden.content("a"))
    sk.post(f"{DATASETS}/golden/examples", {"examples": [line("b")]})
    (row,) = sk.get(DATASETS)[1]["results"]
    assert (row["slug"], row["waiting"]) == ("golden", 1)
    assert (row["latest"]["version"], row["latest"]["sha256"]) == (1, version.checksum)
    drafts = sk.get(f"{DATASETS}/golden/versions")[1]["results"]
    assert [(entry["version"], bool(entry["frozen_at"])) for entry in drafts] == [(2, False), (1, True)]


def test_examples_come_in_unapproved_and_freeze_when_approved(project: Project, sk: Api) -> None:
    assert sk.post(f"{DATASETS}/golden/examples", {"examples": [line()]}) == (
        201, {"changed": 1, "unchanged": 0, "proposed": 0},
    )  # fmt: skip
    assert sk.post(f"{DATASETS}/golden/versions", {})[1]["error"]["code"] == "empty"
    assert sk.post(f"{DATASETS}/golden/examples", {"examples": [line()], "approve": True})[1]["unchanged"] == 1
    status, body = sk.post(f"{DATASETS}/golden/versions", {"note": "first"})
    assert (status, body["version"], body["count"], body["note"]) == (201, 1, 1, "first")
    assert sk.post(f"{DATASETS}/golden/versions", {})[0] == 409


def test_what_was_exported_comes_in_again_under_the_same_checksum(
    project: Project, other_project: Project, sk: Api
) -> None:
    import json

    full = golden.content("a", tags=["t"], metadata={"answer": "x"}, provenance={"reviewers": 2, "group": "g"})
    version = golden.frozen(project, full, golden.content("b"))
    body = sk.client.get(f"{DATASETS}/golden/versions/1/export", headers=sk.headers).content
    lines = [json.loads(text) for text in body.splitlines()[1:]]
    there = Api(keys.create_key(project=other_project, kind="sk", name="t", scopes=["write"])[1])
    assert there.post(f"{DATASETS}/golden/examples", {"examples": lines, "approve": True})[0] == 201
    assert there.post(f"{DATASETS}/golden/versions", {})[1]["sha256"] == version.checksum


def test_an_example_without_id_gets_one_from_its_input(project: Project, sk: Api) -> None:
    for _ in range(2):
        sk.post(f"{DATASETS}/golden/examples", {"examples": [line(None)]})
    assert Example.objects.get().key.startswith("x-")


def test_a_settled_label_is_proposed_by_its_interaction(project: Project, sk: Api) -> None:
    settled = golden.label(project, golden=False)
    body = {"examples": [{"interaction_id": settled.interaction.external_id}]}
    assert sk.post(f"{DATASETS}/golden/examples", body)[1]["proposed"] == 1
    assert Example.objects.get().label == settled
    status, answer = sk.post(f"{DATASETS}/golden/examples", {"examples": [line(), {"interaction_id": "unknown"}]})
    assert (status, answer["error"]["details"][0]["path"]) == (422, "/examples/1/interaction_id")
    assert Example.objects.count() == 1


@pytest.mark.parametrize(
    ("example", "path"),
    [
        ({}, "/examples/0"), ("x", "/examples/0"), (line(input={}), "/examples/0/input"),
        (line("a b"), "/examples/0/id"), (line("x" * 61), "/examples/0/id"), (line("a\n"), "/examples/0/id"),
        (line(split="all"), "/examples/0/split"),
        (line(expected={"assertions": [{"type": "maybe", "text": "x"}]}), "/examples/0/expected/assertions/0/type"),
        (line(expected={"label": {"severity": 5}}), "/examples/0/expected/label/severity"),
        (line(tags=[""]), "/examples/0/tags/0"),
    ],
)  # fmt: skip
def test_an_example_that_does_not_fit_is_named(project: Project, sk: Api, example: Any, path: str) -> None:
    status, body = sk.post(f"{DATASETS}/golden/examples", {"examples": [example]})
    assert status == 422, body
    assert body["error"]["details"][0]["path"].startswith(path.rsplit("/", 1)[0])
    assert not Example.objects.exists()


def test_hostile_text_is_kept_as_text(project: Project, sk: Api) -> None:
    hostile = "<script>alert(1)</script>\u0000\ud800"
    assert sk.post(f"{DATASETS}/golden/examples", {"examples": [line(expected={"output": hostile})]})[0] == 201
    assert Example.objects.get().expected["output"] == "<script>alert(1)</script>\ufffd\ufffd"


CALLS = [
    ("GET", DATASETS, "read", {"viewer", "lead", "engineer", "admin"}),
    ("GET", f"{DATASETS}/golden/versions", "read", {"viewer", "lead", "engineer", "admin"}),
    ("GET", f"{DATASETS}/golden/versions/1/export", "read", {"viewer", "lead", "engineer", "admin"}),
    ("POST", f"{DATASETS}/golden/examples", "write", {"lead", "engineer", "admin"}),
    ("POST", f"{DATASETS}/golden/versions", "write", {"lead", "engineer", "admin"}),
    ("POST", "/api/v1/runs", "runs", {"engineer", "admin"}),
]


@pytest.mark.parametrize(("method", "path", "scope", "roles"), CALLS)
def test_who_may_do_what(
    project: Project, token_of: Callable[[str], Api], nobody: Api, pk: Api, method: str, path: str, scope: str,
    roles: set[str],
) -> None:  # fmt: skip
    golden.frozen(project, golden.content("a"))

    def refused(api: Api) -> bool:
        response = api.client.generic(method, path, "{}", content_type="application/json", headers=api.headers)
        return response.status_code == 403

    for role in ("viewer", "reviewer", "lead", "engineer", "admin"):
        assert refused(token_of(role)) == (role not in roles), role
    for other in ("ingest", "read", "write", "runs"):
        key = Api(keys.create_key(project=project, kind="sk", name="t", scopes=[other])[1])
        assert refused(key) == (other != scope), other
    assert nobody.call(method, path, {})[0] == 401
    assert refused(pk)


def test_a_dataset_of_another_project_does_not_exist(project: Project, other_project: Project, sk: Api) -> None:
    Dataset.objects.create(project=other_project, slug="theirs", name="Theirs")
    for method, path in (("GET", "versions"), ("POST", "versions"), ("POST", "examples")):
        assert sk.call(method, f"{DATASETS}/theirs/{path}", {"examples": [line()]})[0] == 404
