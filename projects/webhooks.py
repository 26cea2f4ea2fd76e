"""Webhooks: who wants to hear of which event, and how a message is signed (Standard Webhooks 1.0).

``emit`` only inserts rows, in the transaction of whatever happened; ``projects.deliveries`` sends them later.
An event that was rolled back is therefore never told, and one that was committed is never lost.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as random_secrets
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from projects import audit, doorbell, secrets
from projects.models import Delivery, Project, User, Webhook

EVENTS: dict[str, str] = {
    "feedback.received": "End-user feedback came in",
    "task.created": "An interaction entered a review queue",
    "label.settled": "A label was settled",
    "dataset.frozen": "A dataset version was frozen",
    "run.finished": "A regression run finished",
    "judge.due": "A judge has to be calibrated again",
    "alert.opened": "An alert opened",
    "alert.closed": "An alert closed",
    "rollout.decided": "A rollout was decided",
}
TEST_EVENT = "webhook.test"
SECRET_PREFIX = "whsec_"  # noqa: S105  # a prefix, not a secret
SECRET_BYTES = 32  # the specification asks for 24 to 64
SECRET_LEAST = 24
# Most projects have no webhook. Each process remembers for this long which events a project wants to hear, so
# that telling nobody costs no query; a new webhook hears everything from this many seconds on.
CACHE_SECONDS = 2.0
_CACHE_ENTRIES = 2000
_wanted: dict[int, tuple[float, frozenset[str]]] = {}


def emit(project: Project, event: str, payload: Mapping[str, Any]) -> None:
    """Tells every enabled webhook of the project that listens to ``event``; call it in the event's transaction.

    ``payload`` is thin: ids, slugs, counts and verdicts, never what users or models wrote.
    """
    if event not in EVENTS:
        raise ValueError(f"{event} is not one of the events of projects.webhooks.EVENTS")
    if not wants(project, event):
        return
    event_id = uuid.uuid4()
    hooks = Webhook.objects.filter(project=project, enabled=True, events__contains=[event])
    _enqueue(
        Delivery(webhook=hook, event_id=event_id, event=event, payload=dict(payload)) for hook in hooks.order_by("pk")
    )


def wants(project: Project, event: str) -> bool:
    """Whether a webhook of the project listens to ``event``, so that hot paths open a transaction only then."""
    return event in _events_wanted(project.pk)


def send_test(webhook: Webhook) -> Delivery:
    """One ``webhook.test`` message to this webhook alone, whatever it listens to."""
    delivery = Delivery(webhook=webhook, event=TEST_EVENT, payload={"webhook": webhook.pk})
    with transaction.atomic():
        _enqueue([delivery])
    return delivery


def _enqueue(deliveries: Iterable[Delivery]) -> None:
    if Delivery.objects.bulk_create(deliveries):
        doorbell.ring("projects.deliver")


def _events_wanted(project_id: int) -> frozenset[str]:
    now = time.monotonic()
    hit = _wanted.get(project_id)
    if hit and now - hit[0] < CACHE_SECONDS:
        return hit[1]
    lists = Webhook.objects.filter(project_id=project_id, enabled=True).values_list("events", flat=True)
    wanted = frozenset(event for events in lists for event in events)
    if len(_wanted) >= _CACHE_ENTRIES:
        _wanted.clear()
    _wanted[project_id] = (now, wanted)
    return wanted


def forget() -> None:
    """Empties this process's memory of who listens (after a change here, and in tests)."""
    _wanted.clear()


def new_secret() -> str:
    """A fresh signing secret: ``whsec_`` and the base64 of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(random_secrets.token_bytes(SECRET_BYTES)).decode()


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header: ``v1,`` and the base64 HMAC-SHA256 of ``id.timestamp.body``.

    ``secret`` is ``whsec_`` and base64; ValueError if it decodes to fewer than 24 bytes. ``timestamp`` is Unix
    seconds. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    if len(key) < SECRET_LEAST:
        raise ValueError("a webhook secret has at least 24 bytes")
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def secret_of(webhook: Webhook) -> str:
    """The signing secret; projects.secrets.SecretUnreadable if the address was changed behind its back."""
    return secrets.unseal(webhook.secret_sealed, _place(webhook.project_id, webhook.url))


def _place(project_id: int, url: str) -> bytes:
    return secrets.place("projects_webhook", project_id, url)


@transaction.atomic
def create(project: Project, *, url: str, events: list[str], actor: User | None) -> tuple[Webhook, str]:
    """A new webhook and its signing secret, which is shown this once."""
    secret = new_secret()
    webhook = Webhook.objects.create(
        project=project, url=url, events=sorted(events), secret_sealed=secrets.seal(secret, _place(project.pk, url))
    )
    audit.record(project, actor, "webhook.created", str(webhook.pk), url=url, events=sorted(events))
    transaction.on_commit(forget)
    return webhook, secret


@transaction.atomic
def disable(webhook: Webhook, *, reason: str, actor: User | None) -> bool:
    """Switches a webhook off; what was still on its way is dead and can be sent again later.

    Returns whether it was on.
    """
    changed = Webhook.objects.filter(pk=webhook.pk, enabled=True).update(enabled=False, disabled_reason=reason)
    if not changed:
        return False
    waiting = Delivery.objects.filter(webhook=webhook, delivered_at=None, dead_at=None)
    waiting.update(dead_at=Now(), leased_until=None, last_error="The webhook was switched off.")
    audit.record(webhook.project, actor, "webhook.disabled", str(webhook.pk), reason=reason)
    transaction.on_commit(forget)
    return True


@transaction.atomic
def enable(webhook: Webhook, *, actor: User | None) -> bool:
    """Switches a webhook on again: it hears what happens from now on. Returns whether it was off."""
    if not Webhook.objects.filter(pk=webhook.pk, enabled=False).update(enabled=True, disabled_reason=""):
        return False
    audit.record(webhook.project, actor, "webhook.enabled", str(webhook.pk))
    transaction.on_commit(forget)
    return True


@transaction.atomic
def remove(webhook: Webhook, *, actor: User | None) -> None:
    """Deletes a webhook with its log of deliveries."""
    audit.record(webhook.project, actor, "webhook.removed", str(webhook.pk), url=webhook.url)
    webhook.delete()
    transaction.on_commit(forget)
