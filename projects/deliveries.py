"""Sending what webhooks are to hear: at least once, the same message id on every try, on the schedule of
Standard Webhooks 1.0, and with no transaction open while a receiver takes its time."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from projects import doorbell, leases, outbound, secrets, webhooks
from projects.models import Delivery

# The first try is at once; these are the pauses before the second to the tenth (75 hours in all).
PAUSES = [timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)] + [
    timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)
]
TRIES = len(PAUSES) + 1
BATCH = 16
THREADS = 8
TIMEOUT_SECONDS = 15.0
# A batch takes at most two rounds of TIMEOUT_SECONDS; the lease outlives it.
LEASE = timedelta(seconds=90)
GONE = 410


@dataclass(frozen=True, slots=True)
class Message:
    """A signed request, ready to be sent."""

    url: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one try ended: the receiver's status (None without an answer) and, if it failed, a fixed sentence."""

    status: int | None
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


def deliver_due(limit: int = BATCH) -> int:
    """Sends up to ``limit`` messages whose time has come; returns how many it tried. Never call it in a transaction."""
    due = Delivery.objects.filter(
        delivered_at__isnull=True, dead_at__isnull=True, webhook__enabled=True, next_attempt_at__lte=Now()
    )
    claimed = leases.claim(due.order_by("next_attempt_at"), limit=limit, lease=LEASE)
    deliveries = list(Delivery.objects.select_related("webhook").filter(pk__in=[row.pk for row in claimed]))
    with ThreadPoolExecutor(THREADS, thread_name_prefix="deliver") as pool:
        # The messages are made here, so that the threads never touch the database.
        attempts = list(pool.map(_send, [_message(delivery) for delivery in deliveries]))
    for delivery, attempt in zip(deliveries, attempts, strict=True):
        _record(delivery, attempt)
    return len(deliveries)


def deliver_all() -> None:
    """Sends until nothing is due."""
    while deliver_due():
        pass


def body_of(delivery: Delivery) -> bytes:
    """The body, the same bytes on every try: type, when it happened, and the event's data."""
    content: dict[str, Any] = {
        "type": delivery.event,
        "timestamp": delivery.created_at.isoformat().replace("+00:00", "Z"),
        "data": delivery.payload,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _message(delivery: Delivery) -> Message | Attempt:
    if delivery.attempts > TRIES:
        return Attempt(None, "Given up: its worker died on every try.")
    try:
        secret = webhooks.secret_of(delivery.webhook)
    except secrets.SecretUnreadable:
        return Attempt(None, "The signing secret cannot be read; create the webhook again.")
    body, message_id, timestamp = body_of(delivery), str(delivery.event_id), int(time.time())
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": webhooks.sign(secret, message_id=message_id, timestamp=timestamp, body=body),
    }
    return Message(delivery.webhook.url, body, headers)


def _send(message: Message | Attempt) -> Attempt:
    if isinstance(message, Attempt):
        return message
    try:
        answer = outbound.post(message.url, body=message.body, headers=message.headers, timeout=TIMEOUT_SECONDS)
    except (outbound.OutboundRefused, outbound.OutboundFailed) as failure:
        return Attempt(None, str(failure)[:200] or "The receiver could not be reached.")
    if 200 <= answer.status < 300:
        return Attempt(answer.status)
    if answer.status == GONE:
        return Attempt(GONE, "The receiver is gone (410).")
    if 300 <= answer.status < 400:
        return Attempt(answer.status, f"The receiver answered {answer.status}; redirects are not followed.")
    return Attempt(answer.status, f"The receiver answered {answer.status}.")


@transaction.atomic
def _record(delivery: Delivery, attempt: Attempt) -> None:
    """Writes the outcome, unless somebody else has claimed the delivery meanwhile."""
    over = attempt.ok or attempt.status == GONE or delivery.attempts >= TRIES
    changes: dict[str, Any] = {"last_status": attempt.status, "last_error": attempt.error, "leased_until": None}
    if attempt.ok:
        changes["delivered_at"] = Now()
    elif over:
        changes["dead_at"] = Now()
    else:
        changes["next_attempt_at"] = Now() + pause_after(delivery)
    held = Delivery.objects.filter(pk__in=leases.still_held(delivery), delivered_at=None, dead_at=None)
    if held.update(**changes) and attempt.status == GONE:
        webhooks.disable(delivery.webhook, reason="The receiver answered 410 Gone.", actor=None)


def pause_after(delivery: Delivery) -> timedelta:
    """How long to wait after this failed try: the schedule, up to a tenth longer so that messages spread out.

    The extra comes from the message id and not from chance, so that a schedule can be told from the row.
    """
    spread = 1 + delivery.event_id.int % 100 / 1000
    return PAUSES[min(delivery.attempts, len(PAUSES)) - 1] * spread


def replay(delivery: Delivery) -> bool:
    """Sends a delivery that has ended once more, with the same message id and a fresh schedule.

    Returns False if it is still on its way, or if its webhook is switched off.
    """
    with transaction.atomic():
        ended = Delivery.objects.filter(pk=delivery.pk, webhook__enabled=True).exclude(delivered_at=None, dead_at=None)
        changed = ended.update(
            delivered_at=None, dead_at=None, attempts=0, next_attempt_at=Now(), leased_until=None, last_error=""
        )
        if changed:
            doorbell.ring("projects.deliver")
    return bool(changed)
