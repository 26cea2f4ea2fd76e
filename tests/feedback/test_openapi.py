"""The published document agrees with what the intake accepts."""

from __future__ import annotations

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from feedback import openapi, schema, urls
from tests.feedback.bodies import full_interaction


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    patterns = [pattern for pattern in urls.urlpatterns if "interactions" in str(pattern.pattern)]
    patterns += [pattern for pattern in urls.urlpatterns if "v1/feedback" in str(pattern.pattern)]
    patterns += [pattern for pattern in urls.urlpatterns if "v1/scores" in str(pattern.pattern)]
    return SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)


@pytest.mark.filterwarnings("ignore")
def test_the_document_is_valid_and_complete(document: dict[str, Any]) -> None:
    validate_schema(document)
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == {
        ("/api/v1/interactions", "get"), ("/api/v1/interactions", "post"), ("/api/v1/interactions/batch", "post"),
        ("/api/v1/interactions/{external_id}", "get"), ("/api/v1/interactions/{external_id}", "patch"),
        ("/api/v1/feedback", "get"), ("/api/v1/feedback", "post"), ("/api/v1/feedback/batch", "post"),
        ("/api/v1/scores", "post"), ("/api/v1/feedback/beacon", "post"),
    }  # fmt: skip


def test_every_field_of_an_interaction_is_described(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/v1/interactions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(full_interaction()) <= set(body["properties"])
    assert body["properties"]["output"]["nullable"] is True


def test_refusals_are_described(document: dict[str, Any]) -> None:
    responses = document["paths"]["/api/v1/feedback"]["post"]["responses"]
    assert {"201", "200", "400", "401", "403", "413", "415", "422", "503"} <= set(responses)


def test_null_and_exclusive_bounds_are_said_in_the_words_of_openapi() -> None:
    scale = openapi.body_of(schema.FeedbackIn)["properties"]["scale"]
    assert scale == {
        "type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1000, "nullable": True, "default": None,
    }  # fmt: skip
