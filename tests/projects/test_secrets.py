from __future__ import annotations

from typing import Any

import pytest

from projects import secrets

HERE = secrets.place("connection", 1, "https://api.example.com/v1")


def test_a_secret_opens_where_it_was_sealed() -> None:
    sealed = secrets.seal("sk-very-secret", HERE)
    assert "very" not in sealed
    assert secrets.unseal(sealed, HERE) == "sk-very-secret"


@pytest.mark.parametrize(
    "elsewhere",
    [
        secrets.place("connection", 2, "https://api.example.com/v1"),
        secrets.place("webhook", 1, "https://api.example.com/v1"),
        secrets.place("connection", 1, "https://evil.example/v1"),
        secrets.place("connection", 1, "http://api.example.com/v1"),
        secrets.place("connection", 1, "https://api.example.com:8443/v1"),
    ],
)
def test_a_secret_does_not_open_for_another_address_or_row(elsewhere: bytes) -> None:
    with pytest.raises(secrets.SecretUnreadable):
        secrets.unseal(secrets.seal("sk-very-secret", HERE), elsewhere)


def test_old_keys_open_and_the_first_key_seals(settings: Any) -> None:
    settings.SECRETS_KEYRING = "old:" + "a" * 40
    sealed = secrets.seal("x", HERE)
    settings.SECRETS_KEYRING = "new:" + "b" * 40 + ",old:" + "a" * 40
    assert secrets.unseal(sealed, HERE) == "x"
    assert secrets.seal("x", HERE).startswith("new:")
    settings.SECRETS_KEYRING = "new:" + "b" * 40
    with pytest.raises(secrets.SecretUnreadable):
        secrets.unseal(sealed, HERE)
