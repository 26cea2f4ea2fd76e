"""Replays: one stored request asked again, and what its attempts say: a fluke, or a fault."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from django.db import transaction
from django.db.models import Count, Q
from msgspec import Meta, Struct
from reviewhub_client.checks import derive, needs_client
from reviewhub_client.target_models import ANTHROPIC_PASSED_ON, PASSED_ON, functions_of

from annotations.estimation import wilson
from annotations.models import Label, Verdict
from evals import checks, datasets, snapshot
from evals.models import Example, Replay, ReplayAttempt
from evals.models_replay import MOST_ANSWER_TOKENS, MOST_TIMES
from feedback import limits
from feedback.models import Interaction
from feedback.schema import Mapping, Messages
from feedback.services import record_score
from projects import audit, doorbell
from projects.errors import ApiError, invalid
from projects.models import ProviderConnection, User

TIMES = 5  # of which all must agree for a verdict
PARTS = ("messages", "documents", "tools", "parameters")
LIMITS = ("max_tokens", "max_completion_tokens")
# More often than not, beyond chance: the 95 % interval lies on one side of it.
EVEN = 0.5
SCORE = "replay"


class RequestIn(Struct):
    """The parts of a request that may differ from the recording; what is left out does not."""

    messages: Messages | None = None
    documents: Annotated[list[dict[str, Any]], Meta(max_length=limits.DOCUMENTS)] | None = None
    tools: Annotated[list[dict[str, Any]], Meta(max_length=limits.TOOLS)] | None = None
    parameters: Mapping | None = None


def kind_of(interaction: Interaction) -> str:
    """Whose language the recorded provider speaks."""
    return "anthropic" if "anthropic" in interaction.provider.lower() else "openai"


def recorded(interaction: Interaction) -> dict[str, Any]:
    """The request as it was."""
    return {name: getattr(interaction, name) or ({} if name == "parameters" else []) for name in PARTS}


def current_label(interaction: Interaction) -> Label | None:
    """The label that stands and says pass or fail."""
    found = Label.objects.filter(interaction=interaction, superseded_at=None).exclude(verdict=Verdict.UNSURE)
    return found.select_related("interaction", "primary_category__counts_as").first()


def checks_of_label(label: Label | None) -> list[dict[str, Any]]:
    """What the label demands of an answer, as checks that stand on their own; none without a label that demands."""
    if label is None:
        return []
    content = snapshot.of_label(label)
    found = derive({"expected": content.expected, "metadata": content.metadata})
    demands = [
        {**check, "text": content.expected["output"]} if check["type"] in ("similar", "numeric") else check
        for check in found
    ]
    return demands if any(check["type"] != "not_empty" for check in demands) else []


@transaction.atomic
def start(
    interaction: Interaction, *, provider: str, model: str, times: int, connection: ProviderConnection | None = None,
    request: dict[str, Any] | None = None, wanted: list[dict[str, Any]] | None = None, actor: User | None = None,
) -> Replay:  # fmt: skip
    """A replay with its attempts, which workers make. ``request`` holds the parts that are to differ from the
    recording; ``wanted`` are the checks that decide, none leaves it to a person.

    422 where there is nothing to send, the model is not named, a changed tool or parameter would not be sent, or a
    check needs a model of its own.
    """
    if not 1 <= times <= MOST_TIMES:
        raise invalid("/times", f"Between 1 and {MOST_TIMES} times.")
    if not model.strip():
        raise invalid("/model", "Name the model: the recording does not.")
    was = recorded(interaction)
    sent = {**was, **(request or {})}
    if not sent["messages"]:
        raise invalid("/messages", "There is nothing to send: the interaction has no messages.")
    _refuse_unsendable(provider, was, sent)
    decided = checks.parse(wanted or [])
    if needs_client(decided) or any(check["type"] == "expected" for check in decided):
        raise invalid("/checks", "Only checks that need no model and no example can decide about a replay.")
    changed = [name for name in PARTS if sent[name] != was[name]]
    changed += ["model"] if model != interaction.model else []
    changed += ["provider"] if interaction.provider and provider != kind_of(interaction) else []
    made = Replay.objects.create(
        project_id=interaction.project_id, interaction=interaction, provider=provider, connection=connection,
        model=model.strip(), request=sent, changed=changed, times=times, checks=decided, created_by=actor,
    )  # fmt: skip
    ReplayAttempt.objects.bulk_create(ReplayAttempt(replay=made, number=number) for number in range(1, times + 1))
    audit.record(interaction.project, actor, "replay.started", str(made.pk), model=made.model, times=times)
    doorbell.ring("evals.replay")
    return made


def _refuse_unsendable(provider: str, was: dict[str, Any], sent: dict[str, Any]) -> None:
    """422 for a change that would be none, because it is never sent, and for a limit that no price can be told of."""
    if sent["tools"] != was["tools"] and sent["tools"] and not functions_of(sent["tools"]):
        raise invalid("/tools", 'Every tool is to be a function: {"type": "function", "function": {"name": …}}.')
    known = ANTHROPIC_PASSED_ON if provider == "anthropic" else PASSED_ON
    given, before = sent["parameters"], was["parameters"]
    for name in sorted(given):
        if name not in known and given[name] != before.get(name):
            raise invalid(f"/parameters/{name}", f"“{name}” is not sent. What is: {', '.join(sorted(known))}.")
    for name in LIMITS:
        limit = given.get(name)
        if limit is not None and not (type(limit) is int and 1 <= limit <= MOST_ANSWER_TOKENS):
            raise invalid(f"/parameters/{name}", f"A whole number from 1 to {MOST_ANSWER_TOKENS:,}.")


@dataclass(frozen=True, slots=True)
class Found:
    """What the attempts came to. ``share`` is that of those which fail again among the ``judged`` ones, with its 95 %
    interval by Wilson; ``unjudged`` wait for a person, ``unanswered`` had no answer and count for nothing."""

    planned: int
    finished: int
    judged: int
    failing: int
    unanswered: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        return self.failing / self.judged if self.judged else None

    @property
    def unjudged(self) -> int:
        return self.finished - self.judged - self.unanswered

    @property
    def complete(self) -> bool:
        return self.finished == self.planned and self.unjudged == 0 and self.judged > 0

    @property
    def verdict(self) -> str:
        """``fault``: it fails more often than not; ``fluke``: it passes more often than not; ``unclear``: the interval
        holds both; nothing before an attempt is judged."""
        if not self.judged:
            return ""
        return "fault" if self.low > EVEN else "fluke" if self.high < EVEN else "unclear"

    def __str__(self) -> str:
        words = {"fault": "a fault", "fluke": "a fluke", "unclear": "not clear yet", "": "not known"}[self.verdict]
        return f"{self.failing} of {self.judged} attempts fail again ({self.low:.0%} to {self.high:.0%}): {words}"


def found(replay: Replay) -> Found:
    """What this one came to."""
    return found_all([replay])[replay.pk]


def found_all(several: list[Replay]) -> dict[int, Found]:
    """What each of these came to, by its number; counted in one query."""
    counted = ReplayAttempt.objects.filter(replay__in=several).order_by().values("replay").annotate(
        finished=Count("pk", filter=Q(finished_at__isnull=False)), judged=Count("pk", filter=Q(fails__isnull=False)),
        failing=Count("pk", filter=Q(fails=True)), unanswered=Count("pk", filter=~Q(error="")),
    )  # fmt: skip
    counts = {pk: tuple(rest) for pk, *rest in counted.values_list("replay", *_COUNTED)}
    return {one.pk: _found(one.times, *counts[one.pk]) for one in several}


_COUNTED = ("finished", "judged", "failing", "unanswered")


def _found(times: int, finished: int, judged: int, failing: int, unanswered: int) -> Found:
    low, high = wilson(failing, judged)
    return Found(times, finished, judged, failing, unanswered, low, high)


@transaction.atomic
def mark(attempt: ReplayAttempt, *, fails: bool, actor: User) -> None:
    """A person says what became of an attempt, whatever the checks said. 409 where there is no answer to judge."""
    row = ReplayAttempt.objects.select_for_update().get(pk=attempt.pk)
    if row.finished_at is None or row.error:
        raise ApiError(409, "no_answer", "There is no answer to judge.")
    ReplayAttempt.objects.filter(pk=row.pk).update(fails=fails, marked_by=actor)


@transaction.atomic
def attach(replay: Replay, *, actor: User) -> Found:
    """Puts the result beside the interaction as a score, which reviewers see; with the label that stands, if any.

    409 until every attempt has ended and is judged. Doing it twice changes nothing.
    """
    result = found(replay)
    if not result.complete:
        raise ApiError(409, "not_complete", "The result can be attached once every answer is judged.")
    label = current_label(replay.interaction)
    item = {
        "interaction_id": replay.interaction.external_id, "name": SCORE, "value": result.share,
        "label": result.verdict, "explanation": f"{result}, asked of {replay.model}"
        + (f" with other {', '.join(replay.changed)}" if replay.changed else ""),
        "detail": {"replay": replay.pk, "label": label.pk if label else None,
                   "annotations": label.annotation_ids if label else [], "changed": replay.changed,
                   "judged": result.judged, "failing": result.failing, "low": result.low, "high": result.high},
        "key": f"replay:{replay.pk}:{result.failing}/{result.judged}",
    }  # fmt: skip
    if record_score(replay.project, item).created:
        audit.record(replay.project, actor, "replay.attached", str(replay.pk), result=str(result))
    return result


@transaction.atomic
def make_golden(attempt: ReplayAttempt, *, actor: User) -> Example:
    """Puts the interaction into the golden draft with this answer as the desired one, unapproved.

    What the label demands, and the answer that was judged a failure, go along. 409 unless the answer passes.
    """
    if attempt.fails is not False:
        raise ApiError(409, "not_passing", "Only an answer that passes can be what is desired.")
    replay = attempt.replay
    label = current_label(replay.interaction)
    content = snapshot.of_label(label or _unlabelled(replay.interaction))
    expected = {**content.expected, "output": attempt.output}
    provenance = {**content.provenance, "replay": {"id": replay.pk, "attempt": attempt.number, "model": replay.model,
                                                   "changed": replay.changed}}  # fmt: skip
    if label is None:
        expected["label"] = {"verdict": None, "category": None, "severity": None}
        provenance = {name: value for name, value in provenance.items() if name not in _OF_LABELS}
    dataset = datasets.named(replay.project, label.golden_set if label else "") or datasets.usual(replay.project)
    wanted = replace(content, expected=expected, provenance=provenance)
    datasets.add_examples(dataset, [wanted], actor=actor)
    return datasets.draft_of(dataset).examples.get(key=content.key)


_OF_LABELS = {"annotation_ids", "settled_by", "rubric_version", "blind", "reviewers", "suggestion_seen"}


def _unlabelled(interaction: Interaction) -> Label:
    """A label that says nothing and is never stored, for an interaction that nobody has labelled."""
    return Label(project_id=interaction.project_id, interaction=interaction, verdict=Verdict.UNSURE, rubric_version=0)


def attempt_of(replay: Replay, number: int) -> ReplayAttempt | None:
    """The attempt of this number."""
    found_one: ReplayAttempt | None = replay.attempts.select_related("replay__interaction", "replay__project").filter(
        number=number
    ).first()  # fmt: skip
    return found_one
