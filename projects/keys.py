"""Making and checking bearer keys: ``rh_<kind>_<10 characters id><43 characters secret>``."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import OuterRef, Q
from django.db.models.functions import Now

from projects.models import ApiKey, Membership, Project, User
from projects.secrets import place, seal, unseal

ALPHABET = string.ascii_letters + string.digits
ID_LENGTH = 10
# A revoked key may still be accepted this long by a process that has just used it (guide: at most 5 s).
CACHE_SECONDS = 3.0
_CACHE_ENTRIES = 2000
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API: the key, its project and, for a personal token, its user."""

    key_id: int
    kind: str
    project: Project
    scopes: frozenset[str]
    origins: frozenset[str]
    user: User | None
    role: str | None = None  # of ``user`` in the project; None for keys without one and for people who are no members


def create_key(
    *,
    project: Project,
    kind: str,
    name: str,
    scopes: list[str] | None = None,
    origins: list[str] | None = None,
    user: User | None = None,
    created_by: User | None = None,
    expires_in: timedelta | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its full text, which is shown this once and cannot be had again."""
    public_id = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
    text = f"rh_{kind}_{public_id}{secrets.token_urlsafe(32)}"
    signing = ""
    if kind == ApiKey.Kind.SECRET:
        signing = seal(signing_secret(text).hex(), place("signing", project.pk, f"key://{public_id}"))
    key = ApiKey.objects.create(
        project=project,
        kind=kind,
        name=name,
        public_id=public_id,
        digest=_digest(text),
        scopes=scopes or [],
        signing_sealed=signing,
        origins=origins or [],
        user=user,
        created_by=created_by,
        expires_at=Now() + expires_in if expires_in else None,
    )
    return key, text


def signing_secret(text: str) -> bytes:
    """What a secret key signs interaction tokens with; both sides derive it, the key itself never travels.

    The server keeps it sealed, because it has only the key's hash; a copy of the database signs nothing.
    """
    return hmac.new(text.encode(), b"reviewhub.interaction-token.v1", hashlib.sha256).digest()


def signing_secret_of(key: ApiKey) -> bytes:
    """The stored signing secret of a secret key; SecretUnreadable if the keyring has changed."""
    return bytes.fromhex(unseal(key.signing_sealed, place("signing", key.project_id, f"key://{key.public_id}")))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


_cache: dict[bytes, tuple[float, Caller]] = {}
_lock = threading.Lock()


def forget() -> None:
    """Empties this process's cache (tests, and after a revocation here)."""
    with _lock:
        _cache.clear()


def check(text: str) -> Caller | None:
    """The caller whom this key stands for, or None if it is unknown, revoked, expired or malformed.

    A good answer, the person's role included, is kept for CACHE_SECONDS: at 2,000 feedback posts a second the
    look-up would be the largest query. A bad answer is never kept.
    """
    digest = _digest(text)
    now = time.monotonic()
    hit = _cache.get(digest)
    if hit and now - hit[0] < CACHE_SECONDS:
        return hit[1]
    caller = _look_up(text, digest)
    if caller is not None:
        with _lock:
            if len(_cache) >= _CACHE_ENTRIES:
                _cache.clear()
            _cache[digest] = (now, caller)
    return caller


def _look_up(text: str, digest: bytes) -> Caller | None:
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != "rh" or parts[1] not in ApiKey.Kind.values or not parts[2].isascii():
        return None
    if "\0" in text:
        return None
    key = (
        ApiKey.objects.select_related("project", "user")
        .annotate(role=Membership.objects.filter(project=OuterRef("project"), user=OuterRef("user")).values("role"))
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))
        .filter(public_id=parts[2][:ID_LENGTH], kind=parts[1], revoked_at__isnull=True)
        .first()
    )
    if key is None or not hmac.compare_digest(bytes(key.digest), digest):
        return None
    if key.user is not None and not key.user.is_active:
        return None
    ApiKey.objects.filter(pk=key.pk).filter(Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - _MINUTE)).update(
        last_used_at=Now()
    )
    return Caller(key.pk, key.kind, key.project, frozenset(key.scopes), frozenset(key.origins), key.user, key.role)
