"""What the first start prints: everything that a newcomer needs, and nothing that does not work."""

from __future__ import annotations

from reviewhub.runner.banner import Shown, text

URL = "http://127.0.0.1:8000"


def test_it_names_the_sample_chat_beside_the_sign_ins() -> None:
    user = {"role": "admin", "email": "a@example.com", "password": "secret"}
    assert f"{URL}/sample-chat/" in text(URL, Shown("sample", [user], "rh_sk_x", "rh_pk_x"))


def test_without_the_sample_there_is_no_chat_to_name() -> None:
    assert "sample-chat" not in text(URL, Shown())
