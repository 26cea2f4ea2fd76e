"""The published document as a whole: valid, and complete enough that its generator has nothing to complain of."""

from __future__ import annotations

from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from reviewhub import urls


def test_the_document_is_valid_and_nothing_in_it_had_to_be_guessed() -> None:
    GENERATOR_STATS.reset()
    document = SchemaGenerator(patterns=urls.urlpatterns).get_schema(request=None, public=True)
    validate_schema(document)
    assert not GENERATOR_STATS
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"]["/api/v1/interactions"]["post"]["security"] == [{"key": []}]
    assert document["paths"]["/feedback"]["post"]["security"] == [{"peerPassword": []}, {"peerHeader": []}, {"key": []}]
