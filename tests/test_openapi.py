"""The published document as a whole: valid, complete, and true: what it says is what the server does.

Schemathesis makes requests from the document, fitting and not fitting, and judges every answer by all its checks,
for every kind of key.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import schemathesis
from django.core import signals
from django.db import close_old_connections, transaction
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from feedback import limits
from projects import keys
from projects.models import Project, User
from reviewhub import urls
from reviewhub.wsgi import application

ORIGIN = "https://chat.example.com"
SCOPES = ("ingest", "read", "write", "runs")
# More examples find more and take longer: REVIEWHUB_EXAMPLES=500 before a release.
EXAMPLES = int(os.environ.get("REVIEWHUB_EXAMPLES", "8"))

load_all_checks()
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
schemathesis.serializer.alias("application/x-protobuf", "application/octet-stream")
REJECTED = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422"]  # 413 is missing in the default


def _document(examples: int, *, coverage: bool) -> Any:
    """The document as the server publishes it. ``coverage`` tries the borders of every field, one by one."""
    config = {
        "generation": {"max-examples": examples, "deterministic": True, "database": "none"},
        "checks": {"negative_data_rejection": {"expected-statuses": REJECTED}},
        "phases": {"coverage": {"enabled": coverage}},
    }
    return schemathesis.openapi.from_wsgi(
        "/api/schema/?format=json", application, config=SchemathesisConfig.from_dict(config)
    )


every_border, a_few = _document(EXAMPLES, coverage=True), _document(3, coverage=False)


def test_the_document_is_valid_and_nothing_in_it_had_to_be_guessed() -> None:
    GENERATOR_STATS.reset()
    document = SchemaGenerator(patterns=urls.urlpatterns).get_schema(request=None, public=True)
    validate_schema(document)
    assert not GENERATOR_STATS
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"]["/api/v1/interactions"]["post"]["security"] == [{"key": []}]
    assert document["paths"]["/feedback"]["post"]["security"] == [{"peerPassword": []}, {"peerHeader": []}, {"key": []}]


@pytest.fixture
def _one_connection() -> Iterator[None]:
    """The test's transaction would end with its connection, as django.test.Client knows as well."""
    for signal in (signals.request_started, signals.request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (signals.request_started, signals.request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def callers(project: Project, people: dict[str, User]) -> dict[str, dict[str, str]]:
    """The headers of every kind of caller. The first may do everything that a program may."""

    def bearer(kind: str, **more: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {keys.create_key(project=project, kind=kind, name='t', **more)[1]}"}

    return {
        "all scopes": bearer("sk", scopes=list(SCOPES)),
        **{scope: bearer("sk", scopes=[scope]) for scope in SCOPES},
        "publishable": bearer("pk", origins=[ORIGIN]) | {"Origin": ORIGIN},
        **{role: bearer("pat", user=person) for role, person in people.items()},
        "nobody": {},
    }


@pytest.mark.usefixtures("_one_connection")
@every_border.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_document_says(case: Case, callers: dict[str, dict[str, str]]) -> None:
    judge(case, callers["all scopes"])


@pytest.mark.usefixtures("_one_connection")
@a_few.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_so_it_is_for_every_other_kind_of_key(case: Case, callers: dict[str, dict[str, str]]) -> None:
    for who, headers in callers.items():
        try:
            judge(case, headers)
        except Exception as failure:
            failure.add_note(f"Asked by: {who}")
            raise


def judge(case: Case, headers: dict[str, str]) -> None:
    """Sends the request to a server that has forgotten the one before: its id or key is not taken."""
    with transaction.atomic():
        case.call_and_validate(headers=headers, checks=CHECKS.get_all(), excluded_checks=beyond_the_document(case))
        transaction.set_rollback(True)


def beyond_the_document(case: Case) -> list[Any]:
    """The check that a request does not deserve, because of a rule that JSON Schema cannot say."""
    fits = case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE
    if fits and (any(_unsayable(case.body)) or _between_fields(case)):
        return CHECKS.get_by_names(["positive_data_acceptance"])
    if not fits and _same_on_the_wire(case):
        return CHECKS.get_by_names(["negative_data_rejection"])
    return []


def _unsayable(value: Any) -> Iterator[bool]:
    """Strict JSON and the years that are accepted: see the docs."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield "\0" in key or len(key) > 200
            yield from _unsayable(part)
    elif isinstance(value, list):
        for part in value:
            yield from _unsayable(part)
    elif isinstance(value, str):
        yield "\0" in value or "\ufffd" in value
        yield _year(value) is not None and not limits.FIRST_YEAR < _year(value) < limits.LAST_YEAR
    elif isinstance(value, int):
        yield abs(value) >= 2**63


def _year(text: str) -> int | None:
    try:
        return datetime.fromisoformat(text).year
    except ValueError:
        return None


def _between_fields(case: Case) -> bool:
    """What two fields ask of each other."""
    name, body = case.operation.definition.raw["operationId"], case.body
    if "cursor" in (case.query or {}):  # made by the answer before
        return True
    if name == "metric_read":  # since, until and bucket together make at most so many points
        return len(case.query) > 1
    if name == "quality_rate":  # so many days at most, within the years that are accepted
        return bool({"since", "until"} & set(case.query or {}))
    if name == "dataset_import":  # any bytes are no file of examples, any text no mapping
        return True
    if name in {"queue_create", "queue_update", "rule_create", "rule_update", "rule_preview", "backfill_start"}:
        return True  # sums to 100, who is a member, what a condition says, what other rules say
    if name in {"note_place", "note_group_create"}:  # which notes and groups there are
        return True
    if name.startswith(("queue_", "rule_", "backfill_", "claim_submit")):  # rules of their own, told with paths
        return True
    if name in {"langfuse_score", "langsmith_feedback"}:  # another product's shapes: loosely described
        return True
    if name == "trace_export":  # any bytes are not protobuf
        return case.media_type != "application/json"
    if not isinstance(body, dict):
        return False
    header = (case.headers or {}).get("Idempotency-Key")
    ids = [span.get("id") for span in body.get("spans") or [] if isinstance(span, dict)]
    return (
        (header is not None and body.get("key") not in {None, header})
        or len(ids) != len(set(ids))
        or (body.get("kind") == "rating" and (body.get("value") or 0) > (body.get("scale") or 5))
    )


def _same_on_the_wire(case: Case) -> bool:
    """``?model=7`` is a list of one text, and any body lines, whatever a generator says.

    An empty parameter is none, as in forms.
    """
    query = (case.query or {}).items()
    return (
        case.media_type == "application/x-ndjson"
        or any(value == "" for _, value in query)
        or (
            case.operation.label == "GET /api/v1/interactions"
            and any(not isinstance(value, list) for name, value in query if name not in {"limit", "feedback"})
        )
    )
