"""Interaction tokens: a backend vouches that this user was shown this answer. No call to the server is made."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time

LONGEST = 24 * 3600
_KEY = re.compile(r"rh_sk_([A-Za-z0-9]{10})[A-Za-z0-9_-]{20,}")


def interaction_token(
    secret_key: str, interaction_id: str, user_id: str | None = None, expires_in: int = 3600, *,
    now: float | None = None,
) -> str:  # fmt: skip
    """A token for the widget's attribute ``token``: its feedback is then stored as verified.

    ``secret_key`` is the application's ``rh_sk_…``, which stays on its server; the token cannot be turned back
    into it. ``user_id`` is whose vote it is. ``expires_in`` are seconds, at most 24 hours. Raises ValueError.
    """
    found = _KEY.fullmatch(secret_key)
    if not found:
        raise ValueError("Interaction tokens are signed with a secret key; it starts with rh_sk_.")
    if not interaction_id:
        raise ValueError("A token is for one interaction; its id must not be empty.")
    if not 0 < expires_in <= LONGEST:
        raise ValueError(f"A token lives for 1 to {LONGEST:,} seconds.")
    issued = int(time.time() if now is None else now)
    payload: dict[str, object] = {"k": found[1], "i": interaction_id, "iat": issued, "exp": issued + int(expires_in)}
    if user_id:
        payload["u"] = user_id
    signed = _encode(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode())
    secret = hmac.digest(secret_key.encode(), b"reviewhub.interaction-token.v1", hashlib.sha256)
    return f"{signed}.{_encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
