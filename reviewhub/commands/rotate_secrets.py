"""``reviewhub rotate-secrets``: seals every stored secret with the first key of the keyring."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from django.db import models, transaction

from projects import audit, secrets
from projects.models import ApiKey, ProviderConnection, Webhook

# Every column with a sealed secret, and the place that the secret is bound to (see projects/secrets.py).
SEALED: list[tuple[type[models.Model], str, Callable[[Any], bytes]]] = [
    (
        ProviderConnection, "key_sealed",
        lambda row: secrets.place("projects_providerconnection", row.project_id, row.base_url),
    ),
    (Webhook, "secret_sealed", lambda row: secrets.place("projects_webhook", row.project_id, row.url)),
    (ApiKey, "signing_sealed", lambda row: secrets.place("signing", row.project_id, f"key://{row.public_id}")),
]  # fmt: skip


def handle(arguments: argparse.Namespace) -> int:
    moved, lost = rotate()
    print(f"{moved} secrets are sealed with the first key of the keyring. The other keys can go.")
    for text in lost:
        print(f"Not readable with any key of the keyring, left as it is: {text}")
    return 1 if lost else 0


@transaction.atomic
def rotate() -> tuple[int, list[str]]:
    """How many secrets were sealed anew, and the names of those that no key of the keyring opens."""
    moved, lost = 0, []
    for model, column, place in SEALED:
        rows = model._default_manager.select_for_update().exclude(**{column: ""}).order_by("pk")
        for row in rows:
            try:
                clear = secrets.unseal(getattr(row, column), place(row))
            except secrets.SecretUnreadable as error:
                lost.append(f"{model._meta.verbose_name} {row} ({error})")
                continue
            setattr(row, column, secrets.seal(clear, place(row)))
            row.save(update_fields=[column])
            moved += 1
    audit.record(None, None, "secrets.rotated", str(moved), by="command", unreadable=len(lost))
    return moved, lost
