"""Provider connections: where a model provider is reached, and its key, which goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import RestrictedError

from projects import audit, outbound, secrets
from projects.models import Project, ProviderConnection, User

_TABLE = "projects_providerconnection"


@transaction.atomic
def create_connection(
    project: Project, *, name: str, kind: str, base_url: str, key: str, actor: User | None
) -> ProviderConnection:  # fmt: skip
    """A new connection; ``key`` may be empty where the server asks for none.

    The address is for good: a connection whose address could be changed would be a way to be sent a stored
    key. Raises ValidationError with the names of the fields.
    """
    address = base_url.strip().rstrip("/")
    connection = ProviderConnection(project=project, name=name.strip(), kind=kind, base_url=address)
    faults: dict[str, Any] = {}
    try:
        outbound.parse(address)
    except outbound.OutboundRefused as refused:
        faults["base_url"] = str(refused)
    try:
        # URLField knows no hosts without a dot, such as http://ollama:11434; outbound has looked at the address.
        connection.full_clean(exclude=["created_at", "base_url"])
    except ValidationError as error:
        faults.update(error.message_dict)
    if key and (not key.isascii() or not key.isprintable() or " " in key):
        faults["key"] = "A key holds no blanks and no special characters."
    if faults:
        raise ValidationError(faults)
    connection.key_sealed = _seal(connection, key)
    connection.save(force_insert=True)
    audit.record(project, actor, "connection.created", connection.name, address=connection.base_url)
    return connection


@transaction.atomic
def replace_key(connection: ProviderConnection, *, key: str, actor: User | None) -> None:
    """Puts a new key in the place of the old one."""
    connection.key_sealed = _seal(connection, key)
    connection.save(update_fields=["key_sealed"])
    audit.record(connection.project, actor, "connection.key_replaced", connection.name)


@transaction.atomic
def remove_connection(connection: ProviderConnection, *, actor: User | None) -> None:
    """Deletes the connection and its key. Raises ValidationError while something uses it."""
    project, name = connection.project, connection.name
    try:
        connection.delete()
    except RestrictedError:
        raise ValidationError(f"“{name}” is in use. Replace its key instead.") from None
    audit.record(project, actor, "connection.removed", name)


def key_of(connection: ProviderConnection) -> str:
    """The key in clear, for the request that needs it; "" where none was given. Raises secrets.SecretUnreadable."""
    return secrets.unseal(connection.key_sealed, _where(connection)) if connection.key_sealed else ""


def _seal(connection: ProviderConnection, key: str) -> str:
    return secrets.seal(key, _where(connection)) if key else ""


def _where(connection: ProviderConnection) -> bytes:
    return secrets.place(_TABLE, connection.project_id, connection.base_url)
