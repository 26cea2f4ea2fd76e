"""What the review screen shows of a claim, ready for its template: turns, sources, signals, and the form's values."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from django.http import QueryDict
from django.utils import timezone

from annotations import claims, cluster_list, golden, keymap, labelling, marks, queries, suggestions, taxonomy
from annotations.models import Annotation, Claim, FailureMode, Queue, Task, Verdict
from feedback.models import Feedback, Interaction, Score, Span, text_of
from projects.access import ProjectRequest
from projects.rendering import WordDiff, word_diff
from projects.strictjson import clean_text

SEVERITIES = ((taxonomy.HARM, "Harm"), (taxonomy.MAJOR, "Major"), (taxonomy.MINOR, "Minor"), (taxonomy.NIT, "Nit"))
# Faults that are shown at their control; others stand on top of the form.
AT_CONTROL = frozenset(
    {
        "verdict",
        "primary_category",
        "categories",
        "severity",
        "desired_output",
        "note",
        "spans",
        "assertions",
        "golden_set",
    }
)
_SPEAKERS = {"user": ("User", "user"), "assistant": ("Assistant", "bot"), "tool": ("Tool", "tool")}
BLIND = "blind"  # in the session: this person wants to judge without what others think
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_BEHAVIOUR = {
    "copied": ("copy", "Copied the answer"),
    "regenerated": ("retry", "Asked for another answer"),
    "rephrased": ("retry", "Asked again in other words"),
    "abandoned": ("stop", "Left the conversation"),
    "edited": ("pencil", "Edited the answer"),
    "escalated": ("flag", "Asked for a person"),
}


@dataclass(frozen=True)
class Turn:
    """One message: who speaks, what is said, which tools are called. Instructions and results are folded."""

    kind: str
    name: str
    icon: str
    text: str
    ref: str | None = None
    folded: bool = False
    calls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Source:
    """A document the assistant was given."""

    title: str
    place: str
    text: str
    score: str
    ref: str | None = None


@dataclass(frozen=True)
class Signal:
    """What the user did next, or what a machine said of the answer."""

    icon: str
    text: str
    quote: str = ""
    machine: bool = False
    value: str = ""


@dataclass
class Values:
    """What stands in the form: from a draft, from what was just posted, or fresh."""

    verdict: str = ""
    pressed: list[str] = field(default_factory=list)
    severity: int | None = None
    desired: str = ""
    note: str = ""
    golden: bool = False
    golden_set: str = ""
    spans: list[Any] = field(default_factory=list)
    quote: str = ""
    seen: bool = False
    accepted: bool = False
    assertions: list[dict[str, str]] = field(default_factory=list)
    submission_id: str = ""

    @classmethod
    def of(cls, body: dict[str, Any], output: str) -> Values:
        """From a body in the shape of a submission. An answer that is not named is the model's, unchanged."""
        primary, others = body.get("primary_category"), body.get("categories")
        severity = body.get("severity")
        return cls(
            verdict=str(body.get("verdict") or ""),
            pressed=[str(slug) for slug in [primary, *(others if isinstance(others, list) else [])] if slug],
            severity=severity if isinstance(severity, int) else None,
            desired=_lines(str(body.get("desired_output") or output)),
            note=str(body.get("note") or ""),
            golden=bool(body.get("golden")),
            golden_set=str(body.get("golden_set") or ""),
            spans=list(body.get("spans") or []),
            seen=bool(body.get("seen")),
            accepted=bool(set((body.get("suggestion") or {}).values()) & {suggestions.ACCEPTED, suggestions.CHANGED}),
            quote=str(body.get("mark_quote") or ""),
            assertions=[entry for entry in body.get("assertions") or [] if isinstance(entry, dict)],
            submission_id=str(body.get("submission_id") or uuid4()),
        )


def body_of(post: QueryDict, claim: Claim) -> dict[str, Any]:
    """The posted form in the shape of a submission (contract of the API).

    The failure modes come in the order in which they were chosen; the first is the primary one. Without
    scripts there is no such order, and that of the page counts. A pass has neither failure modes nor severity.
    The desired answer is left out where it is the model's. Without scripts a passage is marked by quoting it; where it
    stands nowhere, ``mark_quote`` says so.
    """
    body: dict[str, Any] = {
        "submission_id": clean_text(post.get("submission_id", "")),
        "verdict": clean_text(post.get("verdict", "")),
        "note": _lines(post.get("note", "")),
        "golden": "golden" in post,
        "golden_set": clean_text(post.get("golden_set", "")) if "golden" in post else "",
        "suggestion_seen": "suggestion_seen" in post,
    }
    if "blind" in post and "seen" not in post:
        body["blind"] = True
    if "seen" in post or "blind" not in post:
        body["seen"] = True
    body |= _marked(post, claim.task.interaction) | _asserted(post)
    if body["verdict"] != Verdict.PASS:
        body |= _failed(post)
    desired = _lines(post.get("desired_output", ""))
    if "desired_output" in post and desired != _lines(claim.task.interaction.output):
        body["desired_output"] = desired
    if suggested := post.get("suggested", ""):
        body["suggestion"] = suggestions.outcome(suggested, "accepted" in post, body)
    if re.fullmatch(r"\d{1,6}", seconds := post.get("seconds", "")):
        body["seconds"] = int(seconds)
    return body


def _failed(post: QueryDict) -> dict[str, Any]:
    checked = [clean_text(slug) for slug in post.getlist("categories")]
    ordered = [slug for slug in post.get("order", "").split(",") if slug in checked]
    pressed = list(dict.fromkeys([*ordered, *checked]))
    body: dict[str, Any] = {"primary_category": pressed[0], "categories": pressed[1:]} if pressed else {}
    if (severity := post.get("severity", "")).isdecimal():
        body["severity"] = int(severity)
    return body


def _marked(post: QueryDict, interaction: Interaction) -> dict[str, Any]:
    spans = marks.posted(post.getlist("mark"), interaction)
    quote = clean_text(post.get("mark_quote", "")).strip()
    found = marks.find(quote, interaction) if quote else None
    if found:
        spans.append(found)
    body: dict[str, Any] = {"spans": marks.without_overlap(spans)} if spans else {}
    return body if found or not quote else {**body, "mark_quote": quote}


def _asserted(post: QueryDict) -> dict[str, Any]:
    """Rows of a kind and a text; an empty text is a row that nobody filled in."""
    rows = zip(post.getlist("assert_type"), post.getlist("assert_text"), strict=False)
    found = [{"type": kind, "text": clean_text(text).strip()} for kind, text in rows if text.strip()]
    return {"assertions": found} if found else {}


def says_something(body: dict[str, Any]) -> bool:
    """Whether the reviewer has entered anything yet."""
    return any(
        body.get(name)
        for name in ("verdict", "primary_category", "severity", "note", "golden", "spans", "assertions", "mark_quote")
    ) or "desired_output" in body  # fmt: skip


def context_of(
    request: ProjectRequest, claim: Claim, *, values: Values | None = None, errors: dict[str, str] | None = None
) -> dict[str, Any]:
    """Everything the review screen needs.

    A blind item shows neither reasons nor signals nor the model nor a suggestion: by the queue, by its lane, or
    because this person has chosen so.
    """
    task = claim.task
    values = values or Values.of(claim.draft or {}, task.interaction.output)
    forced = labelling.is_blind(task)
    told = forced and "open" in request.GET and _has_voted(claim)  # reconsidering a blind vote
    blind = not told and (forced or bool(request.session.get(BLIND)))
    return {
        "claim": claim,
        "task": task,
        "queue": task.queue,
        "interaction": task.interaction,
        "reasons": task.reasons,
        "alike": None if blind else cluster_list.pattern_of(task.interaction_id),
        "values": values,
        "errors": errors or {},
        "shown_errors": AT_CONTROL,
        "severities": SEVERITIES,
        "golden_sets": golden.sets(request.project),
        "meanings": json.dumps(keymap.meanings(request.user.keys)) if request.user.keys else "",
        "skip_reasons": list(enumerate(claims.SKIP_REASONS.items(), start=1)),
        "lease_seconds": max(0, int((claim.expires_at - timezone.now()).total_seconds())),
        **_conversation(task.interaction),
        **_opinions(task.interaction, blind=blind, forced=forced),
        **_entered(request, task.interaction, values),
        **progress_of(request, task.queue),
    }


def _conversation(interaction: Interaction) -> dict[str, Any]:
    return {
        "language": interaction.language if _LANGUAGE.fullmatch(interaction.language) else "",
        "turns": [
            replace(_turn(message), ref=marks.ref_of(interaction, "message", place))
            for place, message in enumerate(interaction.messages)
        ],
        "sources": [
            replace(_source(document), ref=marks.ref_of(interaction, "document", place))
            for place, document in enumerate(interaction.documents)
        ],
        "steps": _steps(interaction),
        "answer_calls": _answer_calls(interaction),
    }


def _opinions(interaction: Interaction, *, blind: bool, forced: bool) -> dict[str, Any]:
    """What users and machines said of it, as far as this person may see it before voting."""
    signals = [] if blind else [*_feedback(interaction), *_scores(interaction)]
    return {
        "blind": blind,
        "blind_forced": forced,
        "suggestion": None if blind else suggestions.suggestion_for(interaction),
        "signals": signals,
        "suggestion_seen": any(signal.machine for signal in signals),
    }


def _entered(request: ProjectRequest, interaction: Interaction, values: Values) -> dict[str, Any]:
    categories = _categories(request, values)
    return {
        "diff": _diff(interaction.output, values.desired),
        "categories": categories,
        "marks": marks.shown(values.spans, {one["mode"].slug: one["mode"].label for one in categories}),
    }


def progress_of(request: ProjectRequest, queue: Queue) -> dict[str, int]:
    """How far this person has come today, and what waits in the queue."""
    return {
        "done_today": queries.my_progress(request.project, request.user),
        "waiting": queue.tasks.filter(state=Task.State.OPEN).count(),
    }


def _has_voted(claim: Claim) -> bool:
    votes = Annotation.objects.filter(task=claim.task, reviewer=claim.reviewer, reveal=Annotation.Reveal.CHANGED)
    return votes.exists()


def others_of(vote: Annotation) -> dict[str, Any]:
    """What was hidden while this vote was made: why the item was there, the signals, and other people's votes."""
    interaction = vote.task.interaction
    others = Annotation.objects.filter(task=vote.task, state=Annotation.State.COUNTED).exclude(pk=vote.pk)
    return {
        "interaction": interaction,
        "reasons": vote.task.reasons,
        "signals": [*_feedback(interaction), *_scores(interaction)],
        "suggestion": suggestions.suggestion_for(interaction),
        "others": list(others.select_related("primary_category").order_by("created_at", "pk")),
    }


def _lines(text: str) -> str:
    """Browsers post line ends as CR LF; texts are compared and kept with LF, and without what PostgreSQL refuses."""
    return clean_text(text.replace("\r\n", "\n"))


def _diff(output: str, desired: str) -> WordDiff:
    return word_diff(_lines(output), desired)


def _categories(request: ProjectRequest, values: Values) -> list[dict[str, Any]]:
    modes = FailureMode.objects.filter(project=request.project, retired_at=None)
    return [
        {"mode": mode, "checked": mode.slug in values.pressed, "first": values.pressed[:1] == [mode.slug]}
        for mode in modes
    ]


def _turn(message: object) -> Turn:
    if not isinstance(message, dict):
        return Turn("other", "Message", "comment", str(message))
    role = str(message.get("role") or "")
    text = text_of(message.get("content"))
    if role in {"system", "developer"}:
        return Turn("system", "Instructions", "doc", text, folded=True)
    name, icon = _SPEAKERS.get(role, (role.title() or "Message", "comment"))
    if role == "tool":
        called = str(message.get("name") or "")
        return Turn("tool", f"{name} {called}".strip(), icon, text, folded=True)
    return Turn("user" if role == "user" else "earlier", name, icon, text, calls=_calls(message))


def _calls(message: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Name and arguments of each tool call, in the shapes of OpenAI and of OpenTelemetry."""
    calls = []
    for call in message.get("tool_calls") or []:
        if isinstance(call, dict):
            inner = call.get("function")
            function = inner if isinstance(inner, dict) else call
            calls.append((str(function.get("name") or "tool"), _pretty(function.get("arguments"))))
    return tuple(calls)


def _answer_calls(interaction: Interaction) -> list[tuple[str, str]]:
    messages = interaction.output_messages or []
    return [call for message in messages if isinstance(message, dict) for call in _calls(message)]


def _pretty(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=2)


def _source(document: object) -> Source:
    if not isinstance(document, dict):
        return Source(title="Document", place="", text=str(document), score="")
    metadata = document.get("metadata")
    place = metadata.get("section", "") if isinstance(metadata, dict) else ""
    score = document.get("score")
    return Source(
        title=str(document.get("title") or document.get("id") or "Untitled"),
        place=str(place),
        text=text_of(document.get("content")),
        score=f"{score:.2f}" if isinstance(score, int | float) else "",
    )


def _steps(interaction: Interaction) -> list[dict[str, Any]]:
    """What tools were called and what came back; the failed ones stand open."""
    tools = interaction.spans.filter(kind=Span.Kind.TOOL).order_by("started_at", "id")[:20]
    return [
        {
            "name": span.name,
            "failed": span.status == Interaction.Status.ERROR,
            "input": _pretty(span.input),
            "output": _pretty(span.output),
        }
        for span in tools
    ]


def _feedback(interaction: Interaction) -> list[Signal]:
    rows = interaction.feedback.filter(superseded_at=None).order_by("created_at", "id")[:50]
    return [signal for row in rows if (signal := _said(row)) is not None]


def _said(row: Feedback) -> Signal | None:
    kind, quote = row.kind, row.comment or row.correction
    if kind == Feedback.Kind.THUMBS and row.number:
        return Signal("thumb-up", "Thumbs-up", quote) if row.number > 0 else Signal("thumb-down", "Thumbs-down", quote)
    if kind == Feedback.Kind.RATING and row.number is not None:
        return Signal("star", f"Rated {row.number:g} of {row.scale or 5:g}", quote)
    if kind == Feedback.Kind.CATEGORY:
        return Signal("tag", "Chose", row.label)
    if kind == Feedback.Kind.COMMENT:
        return Signal("comment", "Comment", quote)
    if kind == Feedback.Kind.CORRECTION:
        return Signal("pencil", "Correction", row.correction or row.comment)
    if kind == Feedback.Kind.REPORT:
        return Signal("flag", "Reported", quote)
    if kind == Feedback.Kind.IMPLICIT:
        icon, text = _BEHAVIOUR.get(row.label, ("dot", row.label))
        return Signal(icon, text)
    return None


def _scores(interaction: Interaction) -> list[Signal]:
    """The newest score of each name, with its explanation."""
    newest: dict[str, Score] = {}
    for score in interaction.scores.order_by("created_at", "id")[:100]:
        newest[score.name] = score
    return [
        Signal(
            icon="gauge",
            text=f"{score.get_source_display()} {score.name.replace('_', ' ')}",
            quote=score.explanation,
            machine=True,
            value=score.label if score.value is None else f"{score.value:.2f}",
        )
        for score in newest.values()
    ]
