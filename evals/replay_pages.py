"""What the pages of replays show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from reviewhub_client.target_models import ANTHROPIC_PASSED_ON, PASSED_ON

from evals import judging, queries, replay_spending, replaying, replays, version_diff
from evals.models import Replay, ReplayAttempt
from feedback.detail import Section
from feedback.models import Interaction
from projects import charts
from projects.rendering import WordDiff, word_diff

LISTED = 20


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt with its change from the recorded answer."""

    attempt: ReplayAttempt
    diff: WordDiff | None

    @property
    def passed(self) -> bool | None:
        return None if self.attempt.fails is None else not self.attempt.fails


def rows(replay: Replay) -> list[AttemptRow]:
    """The attempts in their order."""
    was = replay.interaction.output
    return [
        AttemptRow(one, word_diff(was, one.output) if one.output and was else None)
        for one in replay.attempts.select_related("marked_by").order_by("number")
    ]


def changes(replay: Replay) -> list[version_diff.Part]:
    """What was sent otherwise than it was recorded, by its name."""
    was, now = _told(replay.interaction, replays.recorded(replay.interaction)), _told(replay, replay.request)
    return [
        version_diff.Part(name, word_diff(was[name], now[name])) for name in _TOLD if name.lower() in replay.changed
    ]


_TOLD = ("Provider", "Model", "Messages", "Documents", "Tools", "Parameters")


def _told(asked: Interaction | Replay, request: dict[str, Any]) -> dict[str, str]:
    return {
        "Provider": asked.provider, "Model": asked.model,
        "Messages": "\n".join(_turn(one) for one in request["messages"]),
        "Documents": "\n".join(f"[{one.get('title') or one.get('id') or ''}] {one.get('content') or ''}"
                               for one in request["documents"]),
        "Tools": version_diff.pretty(request["tools"]), "Parameters": version_diff.pretty(request["parameters"]),
    }  # fmt: skip


def _turn(message: dict[str, Any]) -> str:
    role, content = str(message.get("role")), message.get("content")
    plain = isinstance(content, str) and not message.get("tool_calls")
    return f"{queries.ROLES.get(role, role)}: {content if plain else version_diff.pretty(message)}"


def unsent(replay: Replay) -> list[str]:
    """Which recorded parameters, and whether the tools, are not sent: the provider knows them not, or not so."""
    body = replaying.body_of(replay)
    known = ANTHROPIC_PASSED_ON if replay.provider == "anthropic" else PASSED_ON
    given = replay.request
    return [*(["tools"] if given["tools"] and "tools" not in body else []),
            *sorted(name for name in given["parameters"] if name not in known)]  # fmt: skip


def chart(found: replays.Found) -> SafeString | str:
    """The share with its interval, beside the line of one half."""
    if found.share is None:
        return ""
    kind = {"fault": "bad", "fluke": "good"}.get(found.verdict, "")
    return charts.interval_row(found.share, found.low, found.high, scale=(0.0, 1.0), kind=kind, line=replays.EVEN)


def obstacle(replay: Replay, found: replays.Found) -> str:
    """Why nothing moves, in words; "" where it does or has ended."""
    if found.finished == found.planned:
        return ""
    needs = judging.missing_key(replay)
    if needs:
        return f"{needs[0].upper()}{needs[1:]}. The attempts wait and start by themselves once it is there."
    return replay_spending.obstacle(replay, replay_spending.most_of(replay, replaying.body_of(replay)))


def likeness(replay: Replay) -> str:
    """Why the attempts may be more alike than chance allows; "" where nothing says so."""
    given = replay.request.get("parameters") or {}
    if given.get("temperature") == 0 or given.get("seed") is not None:
        return "With the recorded temperature 0 or seed the attempts resemble each other: the interval is too narrow."
    return ""


def of_interaction(interaction: Interaction) -> list[dict[str, Any]]:
    """The newest replays of an interaction, as its page and the API tell them."""
    several = list(
        Replay.objects.filter(interaction=interaction).select_related("connection").order_by("-created_at")[:LISTED]
    )
    found = replays.found_all(several) if several else {}
    return [told(one, found[one.pk]) for one in several]


SECTION = Section(name="replays", load=of_interaction, panel="evals/interaction_replays.html")


def told(replay: Replay, found: replays.Found) -> dict[str, Any]:
    """A replay as the API tells it, without its attempts."""
    return {
        "id": replay.pk, "created_at": replay.created_at, "provider": replay.provider, "model": replay.model,
        "connection": replay.connection.name if replay.connection else None,
        "changed": replay.changed, "times": replay.times, "finished": found.finished, "judged": found.judged,
        "failing": found.failing, "unanswered": found.unanswered, "share": found.share,
        "low": found.low if found.judged else None, "high": found.high if found.judged else None,
        "verdict": found.verdict or None, "needs": obstacle(replay, found) or None,
    }  # fmt: skip
