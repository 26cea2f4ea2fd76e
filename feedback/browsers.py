"""Feedback that a page sends with a publishable key: who vouches for it, and how much of it is taken.

Anybody who opens the page can read its key, so the key alone proves nothing: such feedback is stored as not
verified. An interaction token says that the chat's backend has shown this answer to this user. What a token is
worth is the project's choice: ``require``, ``prefer`` or ``off``.
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
from projects.models import TokenPolicy


def receive(
    caller: Caller, item: dict[str, Any], *, token: str | None, visitor: str, sanitized: bool
) -> FeedbackOutcome:
    """Stores the feedback of a page, verified if ``token`` is good and the project looks at tokens.

    With a token the vote is that of the token's user, whatever the page says. ``visitor`` is the network address
    it comes from, for counting. Raises ApiError 401 ``invalid_token`` or ``token_required``, 422, 429
    ``rate_limited``.
    """
    interaction_id = item.get("interaction_id")
    if not isinstance(interaction_id, str):
        raise invalid("/interaction_id", "An identifier is a text.")
    policy = caller.project.token_policy
    if policy == TokenPolicy.OFF:
        token = None
    unsigned = _strangers(caller, visitor)
    # A digest, because an interaction's id may be as long as a counter's name.
    place = hashlib.sha256(interaction_id.encode(errors="replace")).hexdigest()
    if token is not None:
        item = {**item, "user_id": _vouched(caller, token, interaction_id, unsigned)}
        _count({f"feedback:token:{caller.project.pk}:{place}": limits.BROWSER_INTERACTION_REQUESTS})
    else:
        _count({**unsigned, f"feedback:plain:{caller.project.pk}:{place}": limits.BROWSER_INTERACTION_REQUESTS})
        if policy == TokenPolicy.REQUIRE:
            raise ApiError(
                401, "token_required",
                "This project takes feedback of pages only with a signed interaction token: X-Interaction-Token.",
            )  # fmt: skip
    return services.record_feedback(
        caller.project, item, source=Feedback.Source.BROWSER, verified=token is not None, sanitized=sanitized
    )


def _strangers(caller: Caller, visitor: str) -> dict[str, int]:
    """What is counted where nobody vouches. The address is never stored, only what it hashes to with our key."""
    return {
        f"feedback:key:{caller.key_id}": limits.BROWSER_KEY_REQUESTS,
        f"feedback:from:{ratelimit.hidden(visitor)}": limits.BROWSER_ADDRESS_REQUESTS,
    }


def _vouched(caller: Caller, token: str, interaction_id: str, unsigned: dict[str, int]) -> str | None:
    """The user whom the token names, if any. Guessing at tokens counts like feedback without one."""
    try:
        return tokens.verify(caller.project, token, interaction_id).user_id or None
    except ApiError:
        _count(unsigned)
        raise


def _count(counters: dict[str, int]) -> None:
    seen = ratelimit.hit_all(counters, seconds=limits.BROWSER_WINDOW_SECONDS)
    if not seen.allowed:
        message = f"Too many requests. Send again in {seen.retry_after} s, with the same key."
        raise ApiError(429, "rate_limited", message, headers={"Retry-After": str(seen.retry_after)})
