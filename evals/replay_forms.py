"""The form that asks a stored request again: every part of it may be changed, and each fault stands at its field."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from msgspec import Struct

from evals import queries, replays
from evals.models_replay import MOST_ANSWER_TOKENS, MOST_TIMES
from feedback.models import Interaction
from feedback.schema import Message, check
from projects import strictjson
from projects.errors import ApiError
from projects.models import ProviderConnection
from projects.strictjson import clean_text

DECIDERS = {
    "label": "What the label demands",
    "words": "Words that it says again, or must say",
    "person": "A person, who reads each answer",
}
# Parameters with a field of their own; the others stand together as JSON.
NUMBERS = ("temperature", "top_p", "max_tokens", "seed")
INSTRUCTIONS = ("system", "developer")


class LongText(forms.CharField):
    """A text whose white space counts; what browsers do to line ends does not."""

    def __init__(self) -> None:
        super().__init__(required=False, strip=False)

    def to_python(self, value: Any) -> str:
        return clean_text(super().to_python(value) or "").replace("\r\n", "\n")


class ReplayForm(forms.Form):
    """A request to be asked again. What is not sent, or comes back as it was shown, stays as it was recorded: of each
    message its text (or, where it is no plain text, the whole of it as JSON), each document, tools and parameters."""

    source = forms.ChoiceField()
    model = forms.CharField(max_length=200)
    times = forms.IntegerField(min_value=1, max_value=MOST_TIMES, initial=replays.TIMES)
    decides = forms.ChoiceField(choices=list(DECIDERS.items()))
    says = forms.CharField(max_length=2000, required=False)
    must = forms.CharField(max_length=2000, required=False)
    instructions = LongText()
    document = LongText()
    tools = LongText()
    parameters = LongText()
    temperature = forms.FloatField(min_value=0, required=False)
    top_p = forms.FloatField(min_value=0, max_value=1, required=False)
    max_tokens = forms.IntegerField(
        min_value=1, max_value=MOST_ANSWER_TOKENS, required=False, label="Longest answer, in tokens"
    )
    seed = forms.IntegerField(min_value=-(2**63), max_value=2**63 - 1, required=False)

    def __init__(self, interaction: Interaction, *args: Any, **options: Any) -> None:
        self.interaction, self.was = interaction, replays.recorded(interaction)
        self.demands = replays.checks_of_label(replays.current_label(interaction))
        super().__init__(*args, **options)
        self.connections = {str(one.pk): one for one in interaction.project.connections.order_by("name")}
        self._choices("source", _sources(self.connections))
        self._choices("decides", [one for one in DECIDERS.items() if one[0] != "label" or self.demands])
        self.limit = "max_tokens" if "max_tokens" in self.was["parameters"] else "max_completion_tokens"
        self.numbers = {
            name: value for name in NUMBERS if _is_number(value := self.was["parameters"].get(self._called(name)))
        }
        self.others = {
            name: value for name, value in self.was["parameters"].items()
            if name not in {self._called(number) for number in self.numbers}
        }  # fmt: skip
        self.texts = {
            **{f"message-{n}": _shown(one) for n, one in enumerate(self.was["messages"])},
            **{f"document-{n}": str(one.get("content") or "") for n, one in enumerate(self.was["documents"])},
            "tools": _json(self.was["tools"]), "parameters": _json(self.others),
        }  # fmt: skip
        for name in self.texts.keys() - self.fields.keys():
            self.fields[name] = LongText()
        self.initial = {
            **self.texts, **self.numbers, "model": interaction.model,
            "source": _usual_source(interaction, self.connections), "decides": "label" if self.demands else "person",
        }  # fmt: skip

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def _called(self, number: str) -> str:
        """The parameter behind a field: the limit of an answer has two names."""
        return self.limit if number == "max_tokens" else number

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The messages as the form shows them; ``plain`` ones by their text alone, the others as JSON."""
        return [
            {"field": self[f"message-{n}"], "plain": isinstance(one.get("content"), str),
             "name": queries.ROLES.get(str(one.get("role")), str(one.get("role")))}
            for n, one in enumerate(self.was["messages"])
        ]  # fmt: skip

    @property
    def number_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in NUMBERS]

    @property
    def instructed(self) -> bool:
        """Whether the recording has instructions, which are then changed where they stand."""
        return any(one.get("role") in INSTRUCTIONS for one in self.was["messages"])

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The documents, with those that stay ticked; ``quoted`` ones stand in the conversation as well."""
        said = "\n".join(str(one.get("content")) for one in self.was["messages"])
        return [
            {"number": n, "field": self[f"document-{n}"],
             "name": str(one.get("title") or one.get("id") or f"Document {n + 1}"),
             "kept": not self.is_bound or f"keep-{n}" in self.data,
             "quoted": bool(one.get("content")) and str(one.get("content")) in said}
            for n, one in enumerate(self.was["documents"])
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """What ``replays.start`` takes."""
        data = super().clean() or {}
        connection: ProviderConnection | None = self.connections.get(data.get("source", ""))
        says, must = (clean_text(data.get(name, "")).strip() for name in ("says", "must"))
        if data.get("decides") == "words" and not (says or must):
            raise ValidationError("Say by which words a failure is known.")
        wanted = {"label": self.demands, "words": _by_words(says, must)}.get(data.get("decides", ""), [])
        request = {
            "messages": self._messages(), "documents": self._documents(), "tools": self._tools(),
            "parameters": self._parameters(),
        }  # fmt: skip
        return {
            "model": data.get("model", ""), "times": data.get("times"), "connection": connection, "wanted": wanted,
            "provider": connection.kind if connection else data.get("source", ""),
            "request": {name: value for name, value in request.items() if value != self.was[name]},
        }  # fmt: skip

    def refuse(self, error: ApiError, name: str = "") -> None:
        """Puts each fault to the field that its path names, or to the one of this name."""
        for fault in error.details:
            near = ["max_tokens" if step == self.limit else step for step in reversed(fault["path"].split("/"))]
            field = name or next((step for step in near if step in self.fields), None)
            exact = field is None or field == near[0]
            self.add_error(field, fault["message"] if exact else f"{fault['path']}: {fault['message']}")

    def _typed(self, name: str) -> str | None:
        """The text of a field that was changed; None where it says what was recorded, or has a fault."""
        typed = self.cleaned_data.get(name)
        if name not in self.data or typed is None or typed == self.texts[name].replace("\r\n", "\n"):
            return None
        return str(typed)

    def _messages(self) -> list[Any]:
        """The messages, without those that were emptied."""
        found = [self._message(n, one) for n, one in enumerate(self.was["messages"])]
        first = self.cleaned_data.get("instructions", "").strip()
        return [*([{"role": "system", "content": first}] if first else []), *(one for one in found if one is not None)]

    def _message(self, number: int, was: dict[str, Any]) -> Any:
        typed = self._typed(name := f"message-{number}")
        if typed is None:
            return was
        if not typed.strip() and not was.get("tool_calls"):
            return None
        if isinstance(was.get("content"), str):
            return {**was, "content": typed}
        return self._checked(name, self._parsed(name, typed), Message)

    def _documents(self) -> list[Any]:
        """The documents that stay, and the one more; an emptied one does not stay."""
        found = []
        for n, was in enumerate(self.was["documents"]):
            typed = self._typed(f"document-{n}")
            if f"keep-{n}" in self.data and (typed is None or typed.strip()):
                found.append(was if typed is None else {**was, "content": typed})
        added = self.cleaned_data.get("document", "").strip()
        return found + ([{"id": "added", "title": "Added for the replay", "content": added}] if added else [])

    def _tools(self) -> Any:
        typed = self._typed("tools")
        if typed is None:
            return self.was["tools"]
        given = {"tools": self._parsed("tools", typed) if typed.strip() else []}
        return self._checked("tools", given, replays.RequestIn)["tools"]

    def _parameters(self) -> dict[str, Any]:
        typed, others = self._typed("parameters"), dict(self.others)
        if typed is not None:
            given = {"parameters": self._parsed("parameters", typed) if typed.strip() else {}}
            others = self._checked("parameters", given, replays.RequestIn)["parameters"]
        if self.has_error("parameters"):
            return {}
        numbers = {
            self._called(name): self.cleaned_data.get(name) if name in self.data else self.numbers.get(name)
            for name in NUMBERS
        }
        numbers = {name: value for name, value in numbers.items() if value is not None}
        for name in numbers.keys() & others.keys():
            self.add_error("parameters", f"“{name}” has a field of its own.")
        return {**others, **numbers}

    def _checked(self, name: str, value: Any, shape: type[Struct]) -> Any:
        """The value, with its faults against the shape at the field."""
        if not self.has_error(name):
            try:
                check(value, shape)
            except ApiError as error:
                self.refuse(error, name)
        return value

    def _parsed(self, name: str, text: str) -> Any:
        """The value of a JSON text; None with the fault at its field."""
        try:
            return strictjson.parse(text.encode()).value
        except ApiError as error:
            self.add_error(name, error.message.replace("The body is", "This is"))
            return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(message: dict[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else _json(message)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) if value else ""


def _sources(connections: dict[str, ProviderConnection]) -> list[tuple[str, str]]:
    kinds = ProviderConnection.Kind
    return [
        *((pk, f"{one.name} ({one.get_kind_display()})") for pk, one in connections.items()),
        (kinds.OPENAI.value, "OpenAI, key from the environment"),
        (kinds.ANTHROPIC.value, "Anthropic, key from the environment"),
    ]


def _usual_source(interaction: Interaction, connections: dict[str, ProviderConnection]) -> str:
    """The first connection that speaks the recorded provider's language, else its key from the environment."""
    kind = replays.kind_of(interaction)
    return next((pk for pk, one in connections.items() if one.kind == kind), kind)


def _by_words(says: str, must: str) -> list[dict[str, Any]]:
    found = [{"type": "not_empty"}]
    found += [{"type": "not_contains", "text": says}] if says else []
    return found + ([{"type": "contains", "text": must}] if must else [])
