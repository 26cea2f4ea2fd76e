"""Thousands of hostile requests by chance: each is refused or taken, none breaks the server.

5,000 in every run; 100,000 with ``--nightly``. A failure names the seed and the request.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable

import pytest
from django.test import Client

from projects.models import Project
from tests.conftest import Api
from tests.feedback import hostile


@pytest.fixture
def key_texts(project: Project, sk: Api, pk: Api, token_of: Callable[[str], Api]) -> list[str]:
    """A secret key twice as often as the others: what it sends gets further."""
    makers = [sk, sk, pk, token_of("admin"), token_of("reviewer")]
    return [maker.headers["Authorization"].split()[1] for maker in makers]


def fuzz(seed: int, requests: int, key_texts: list[str]) -> None:
    """Sends so many; chance must have gone everywhere: some are taken, some refused for each reason."""
    chance = random.Random(seed)
    client = Client(raise_request_exception=False)
    seen: Counter[int] = Counter()
    for number in range(requests):
        made = hostile.request(chance, chance.choice(key_texts))
        length = {"CONTENT_LENGTH": made.headers.pop("Content-Length")} if "Content-Length" in made.headers else {}
        answer = client.generic(
            made.method, made.path, made.body, content_type=made.content_type, headers=made.headers, **length
        )
        said = answer.getvalue()
        seen[answer.status_code] += 1
        assert answer.status_code < 500, f"seed {seed}, request {number}: {answer.status_code} {made}\n{said[:500]!r}"
        if answer.status_code >= 400 and said and made.path.startswith("/api/"):
            error = json.loads(said)["error"]
            assert error["code"], made
            assert error["message"], made
    assert {200, 201, 400, 401, 403, 404, 405, 413, 415, 422} <= seen.keys(), seen


@pytest.mark.parametrize("seed", range(5))
def test_a_thousand_hostile_requests_break_nothing(seed: int, key_texts: list[str]) -> None:
    fuzz(seed, 1_000, key_texts)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_hundred_thousand_break_nothing(seed: int, key_texts: list[str]) -> None:
    fuzz(seed, 10_000, key_texts)
