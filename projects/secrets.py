"""Sealing of provider keys and webhook secrets: AES-256-GCM with the place of use as associated data.

The associated data names table, row owner and the origin of the URL that the secret belongs to. A secret
that is moved to another row, or whose URL is pointed elsewhere, no longer opens: the attack of
CVE-2026-41487 (a member changes the base URL and receives the stored key) fails by construction.
"""

import base64
import hashlib
import os
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings


class SecretUnreadable(Exception):
    """The sealed text does not belong to this place, or its key has left the keyring."""


def _keyring() -> dict[str, bytes]:
    ring = {}
    for entry in settings.SECRETS_KEYRING.split(","):
        name, _, secret = entry.strip().partition(":")
        ring[name] = hashlib.sha256(b"reviewhub.secrets\0" + secret.encode()).digest()
    return ring


def place(table: str, project_id: int, url: str) -> bytes:
    """The associated data of a secret: where it lives and which origin it may be sent to."""
    parts = urlsplit(url)
    return f"{table}\0{project_id}\0{parts.scheme}://{parts.hostname}:{parts.port}".encode()


def seal(secret: str, where: bytes) -> str:
    """``keyid:base64(nonce + ciphertext)`` under the first key of the ring."""
    name, key = next(iter(_keyring().items()))
    nonce = os.urandom(12)
    return f"{name}:{base64.b64encode(nonce + AESGCM(key).encrypt(nonce, secret.encode(), where)).decode()}"


def unseal(sealed: str, where: bytes) -> str:
    """The secret, if it was sealed for exactly this place; SecretUnreadable otherwise."""
    name, _, body = sealed.partition(":")
    key = _keyring().get(name)
    if key is None:
        raise SecretUnreadable("the key that sealed it is not in REVIEWHUB_SECRETS_KEY")
    raw = base64.b64decode(body)
    try:
        return AESGCM(key).decrypt(raw[:12], raw[12:], where).decode()
    except InvalidTag:
        raise SecretUnreadable("it was stored for another address; enter it again") from None
