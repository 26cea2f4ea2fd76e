"""Signed interaction tokens: what lets a browser's feedback count as much as a server's.

``base64url(payload).base64url(HMAC-SHA256)``, made by the chat's backend with its secret key (no call to the
hub), bound to one interaction and expiring. The payload is JSON: ``k`` id of the signing key, ``i``
interaction, ``u`` user (optional), ``iat`` and ``exp`` in seconds. The algorithm is fixed here, never read
from the token. Two keys may be live at once, so that a key can be replaced without a gap.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass

from django.db.models import Q
from django.db.models.functions import Now

from projects import keys
from projects.errors import ApiError
from projects.models import ApiKey, Project
from projects.secrets import SecretUnreadable

MAX_LIFETIME_SECONDS = 24 * 3600
LEEWAY_SECONDS = 60
MAX_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class Claims:
    """``user_id`` is empty where the token names nobody."""

    interaction_id: str
    user_id: str


def verify(project: Project, token: str, interaction_id: str, *, now: float | None = None) -> Claims:
    """What a good token says. ApiError 401 ``invalid_token`` for any other, with the reason where it helps.

    A token of another project, of a revoked key, for another interaction, expired, issued in the future or
    living longer than a day is not good.
    """
    moment = time.time() if now is None else now
    payload, signed, mac = _split(token)
    kid = payload.get("k")
    if not isinstance(kid, str) or not kid.isascii() or not kid.isalnum():
        raise _refused("It does not name the key that signed it.")
    key = (
        ApiKey.objects.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))
        .filter(project=project, kind=ApiKey.Kind.SECRET, revoked_at=None, public_id=kid)
        .exclude(signing_sealed="")
        .first()
    )
    try:
        secret = keys.signing_secret_of(key) if key else b"\0" * 32
    except SecretUnreadable:
        raise _refused("The key that signed it can no longer be read here.") from None
    good = hmac.compare_digest(mac, hmac.new(secret, signed, hashlib.sha256).digest())
    if key is None or not good:
        raise _refused("The signature does not fit.")
    issued, expires = payload.get("iat"), payload.get("exp")
    if not isinstance(issued, int) or not isinstance(expires, int) or not 0 < expires - issued <= MAX_LIFETIME_SECONDS:
        raise _refused("It must live for at most 24 hours.")
    if issued > moment + LEEWAY_SECONDS:
        raise _refused("It was issued in the future; check the clock of the server that signed it.")
    if expires < moment - LEEWAY_SECONDS:
        raise _refused("It has expired.")
    if payload.get("i") != interaction_id:
        raise _refused("It is for another interaction.")
    return Claims(interaction_id, str(payload.get("u") or ""))


def sign(key: ApiKey, interaction_id: str, *, user_id: str = "", lifetime: int = 3600) -> str:
    """A token as a backend would make it with this secret key, for pages that the hub itself serves."""
    now = int(time.time())
    payload: dict[str, object] = {"k": key.public_id, "i": interaction_id, "iat": now, "exp": now + lifetime}
    if user_id:
        payload["u"] = user_id
    signed = _encode(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode())
    return f"{signed}.{_encode(hmac.digest(keys.signing_secret_of(key), signed.encode(), 'sha256'))}"


def _split(token: str) -> tuple[dict[str, object], bytes, bytes]:
    signed, dot, mac = token.partition(".")
    if not dot or len(token) > MAX_LENGTH or not token.isascii():
        raise _refused("It is not of the form payload.signature.")
    try:
        payload = json.loads(_decode(signed))
        raw = _decode(mac)
    except (ValueError, RecursionError, binascii.Error):
        raise _refused("It cannot be read.") from None
    if not isinstance(payload, dict):
        raise _refused("It cannot be read.")
    return payload, signed.encode(), raw


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _refused(reason: str) -> ApiError:
    return ApiError(401, "invalid_token", f"X-Interaction-Token: {reason}")
