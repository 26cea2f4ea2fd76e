"""What the pages of replays show, and the form that starts one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.safestring import SafeString

from evals import judging, queries, replay_spending, replaying, replays
from evals.models import Replay, ReplayAttempt
from evals.models_replay import MOST_TIMES
from feedback.detail import Section
from feedback.models import Interaction, text_of
from projects import charts
from projects.models import ProviderConnection
from projects.rendering import WordDiff, word_diff
from projects.strictjson import clean_text

TIMES = 5  # of which all must agree for a verdict
LISTED = 20
LONGEST = 200_000
DECIDERS = {
    "label": "What the label demands",
    "words": "Words that it says again, or must say",
    "person": "A person, who reads each answer",
}


class ReplayForm(forms.Form):
    """A request to be asked again. Each message with a text, and each document, may be changed; the others are sent as
    they were."""

    source = forms.ChoiceField()
    model = forms.CharField(max_length=200)
    times = forms.IntegerField(min_value=1, max_value=MOST_TIMES, initial=TIMES)
    decides = forms.ChoiceField(choices=list(DECIDERS.items()))
    says = forms.CharField(max_length=2000, required=False)
    must = forms.CharField(max_length=2000, required=False)
    document = forms.CharField(max_length=LONGEST, required=False, strip=False)

    def __init__(self, interaction: Interaction, *args: Any, **options: Any) -> None:
        self.interaction, self.was = interaction, replays.recorded(interaction)
        self.demands = replays.checks_of_label(replays.current_label(interaction))
        super().__init__(*args, **options)
        self.connections = {str(one.pk): one for one in interaction.project.connections.order_by("name")}
        self._choices("source", _sources(self.connections))
        self._choices("decides", [one for one in DECIDERS.items() if one[0] != "label" or self.demands])
        self.initial = {
            "source": _usual_source(interaction, self.connections), "model": interaction.model,
            "decides": "label" if self.demands else "person",
        }  # fmt: skip
        self.texts = {n: text_of(one.get("content")) for n, one in enumerate(self.was["messages"])
                      if isinstance(one.get("content"), str)}  # fmt: skip

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The messages as the form shows them: ``text`` None where it is no plain text."""
        return [
            {"number": n, "name": queries.ROLES.get(str(one.get("role")), str(one.get("role"))),
             "text": self.data.get(f"message-{n}", self.texts[n]) if n in self.texts else None}
            for n, one in enumerate(self.was["messages"])
        ]  # fmt: skip

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The documents, with those that stay ticked; ``quoted`` ones stand in the conversation as well."""
        said = "\n".join(str(one.get("content")) for one in self.was["messages"])
        return [
            {"number": n, "name": str(one.get("title") or one.get("id") or f"Document {n + 1}"),
             "kept": not self.is_bound or f"keep-{n}" in self.data,
             "quoted": bool(one.get("content")) and str(one.get("content")) in said}
            for n, one in enumerate(self.was["documents"])
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """``request``: the parts that differ; ``wanted``: the checks; ``connection`` and ``provider`` from
        ``source``."""
        data = super().clean() or {}
        source = data.pop("source", "")
        connection: ProviderConnection | None = self.connections.get(source)
        says, must = (clean_text(data.pop(name, "")).strip() for name in ("says", "must"))
        decides, added = data.pop("decides", ""), clean_text(data.pop("document", "")).strip()
        if decides == "words" and not (says or must):
            raise ValidationError("Say by which words a failure is known.")
        wanted = {"label": self.demands, "words": _by_words(says, must)}.get(decides, [])
        return {**data, "connection": connection, "provider": connection.kind if connection else source,
                "wanted": wanted, "request": self._changed(added)}  # fmt: skip

    def _changed(self, added: str) -> dict[str, Any]:
        messages = [
            {**one, "content": self._said(n)} if n in self.texts else one for n, one in enumerate(self.was["messages"])
        ]
        kept = [one for n, one in enumerate(self.was["documents"]) if f"keep-{n}" in self.data]
        documents = [*kept, *([{"id": "added", "title": "Added for the replay", "content": added}] if added else [])]
        found = {"messages": messages, "documents": documents}
        return {name: value for name, value in found.items() if value != self.was[name]}

    def _said(self, number: int) -> str:
        """The text of a message; what a browser did to its line ends is no change."""
        sent, was = self.data.get(f"message-{number}"), self.texts[number]
        if sent is None:
            return was
        text = clean_text(str(sent)).replace("\r\n", "\n")[:LONGEST]
        return was if text == was.replace("\r\n", "\n") else text


def _sources(connections: dict[str, ProviderConnection]) -> list[tuple[str, str]]:
    kinds = ProviderConnection.Kind
    return [
        *((pk, f"{one.name} ({one.get_kind_display()})") for pk, one in connections.items()),
        (kinds.OPENAI.value, "OpenAI, key from the environment"),
        (kinds.ANTHROPIC.value, "Anthropic, key from the environment"),
    ]


def _usual_source(interaction: Interaction, connections: dict[str, ProviderConnection]) -> str:
    """The first connection that speaks the recorded provider's language, else its key from the environment."""
    kind = kind_of(interaction)
    return next((pk for pk, one in connections.items() if one.kind == kind), kind)


def kind_of(interaction: Interaction) -> str:
    """Whose language the recorded provider speaks."""
    return "anthropic" if "anthropic" in interaction.provider.lower() else "openai"


def _by_words(says: str, must: str) -> list[dict[str, Any]]:
    found = [{"type": "not_empty"}]
    found += [{"type": "not_contains", "text": says}] if says else []
    return found + ([{"type": "contains", "text": must}] if must else [])


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
        "changed": replay.changed, "times": replay.times, "finished": found.finished, "judged": found.judged,
        "failing": found.failing, "unanswered": found.unanswered, "share": found.share,
        "low": found.low if found.judged else None, "high": found.high if found.judged else None,
        "verdict": found.verdict or None, "needs": obstacle(replay, found) or None,
    }  # fmt: skip
