"""Tokens that the light client signs; the server's test reads the same vector."""

from __future__ import annotations

import pytest
from reviewhub_client import interaction_token

from tests import token_vector as vector


def test_the_client_signs_what_the_server_reads() -> None:
    made = interaction_token(
        vector.SECRET_KEY, vector.INTERACTION, vector.USER, vector.LIFETIME, now=vector.ISSUED_AT
    )  # fmt: skip
    assert made == vector.TOKEN


@pytest.mark.parametrize(
    ("key", "interaction", "seconds"),
    [
        ("rh_pk_AbCdEf0123" + "s" * 43, "a", 60), ("rh_pat_AbCdEf0123" + "s" * 43, "a", 60), ("", "a", 60),
        (vector.SECRET_KEY + " ", "a", 60), (vector.SECRET_KEY, "", 60), (vector.SECRET_KEY, "a", 0),
        (vector.SECRET_KEY, "a", 86_401),
    ],
)  # fmt: skip
def test_a_token_that_would_be_refused_is_not_made(key: str, interaction: str, seconds: int) -> None:
    with pytest.raises(ValueError, match=r"token|Token"):
        interaction_token(key, interaction, expires_in=seconds)


def test_a_token_does_not_carry_its_key() -> None:
    token = interaction_token(vector.SECRET_KEY, "a")
    assert vector.SECRET_KEY[16:] not in token
    assert len(token) < 200
