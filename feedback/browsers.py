"""Feedback that a page sends with a publishable key: who vouches for it, and how much of it is taken.

Anybody who opens the page can read its key, so the key alone proves nothing: such feedback is stored as not
verified. An interaction token says that the chat's backend has shown this answer to this user.
"""

from __future__ import annotations

import hashlib
from typing import Any

from feedback import limits, services, tokens
from feedback.models import Feedback
from feedback.services import FeedbackOutcome
from projects import ratelimit
from projects.errors import ApiError, invalid
from projects.keys import Caller


def receive(caller: Caller, item: dict[str, Any], *, token: str | None, sanitized: bool) -> FeedbackOutcome:
    """Stores the feedback of a page, verified if ``token`` is good.

    With a token the vote is that of the token's user, whatever the page says. Raises ApiError 401
    ``invalid_token``, 422, 429 ``rate_limited``.
    """
    interaction_id = item.get("interaction_id")
    if not isinstance(interaction_id, str):
        raise invalid("/interaction_id", "An identifier is a text.")
    if token is not None:
        item = {**item, "user_id": _vouched(caller, token, interaction_id)}
    else:
        _count(f"feedback:key:{caller.key_id}", limits.BROWSER_KEY_REQUESTS)
    # A digest, because an interaction's id may be as long as a counter's name.
    place = hashlib.sha256(interaction_id.encode(errors="replace")).hexdigest()
    of = "plain" if token is None else "token"
    _count(f"feedback:{of}:{caller.project.pk}:{place}", limits.BROWSER_INTERACTION_REQUESTS)
    return services.record_feedback(
        caller.project, item, source=Feedback.Source.BROWSER, verified=token is not None, sanitized=sanitized
    )


def _vouched(caller: Caller, token: str, interaction_id: str) -> str | None:
    """The user whom the token names, if any. Guessing at tokens counts like feedback without one."""
    try:
        return tokens.verify(caller.project, token, interaction_id).user_id or None
    except ApiError:
        _count(f"feedback:key:{caller.key_id}", limits.BROWSER_KEY_REQUESTS)
        raise


def _count(counter: str, limit: int) -> None:
    seen = ratelimit.hit(counter, limit=limit, seconds=limits.BROWSER_WINDOW_SECONDS)
    if not seen.allowed:
        message = f"Too many requests. Send again in {seen.retry_after} s, with the same key."
        raise ApiError(429, "rate_limited", message, headers={"Retry-After": str(seen.retry_after)})
