"""Loading what the rules look at: for a batch of items at once, and only the columns that some rule reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from annotations import evidence, frequency
from annotations.bulk import any_of
from annotations.conditions import FIELDS, METADATA, Facts
from annotations.frequency import Frequency
from annotations.models import Label, Task, Verdict
from annotations.priority import Reason
from feedback.models import Feedback, Inbox, Interaction, Score, question_of
from projects.models import Project

ALWAYS = ("pk", "external_id", "status", "error_type", "error_message")
_TEXTS = {"question": "messages", "answer": "output"}
_METADATA_FIELDS = {"user_tier": ("user_tier", "tier", "plan"), "segment": ("segment",)}
VALUES = {name for name, kind in FIELDS.items() if kind.columns}
NOTHING_SAID = evidence.Voices()
NOTHING_SCORED = evidence.Machines()


@dataclass(slots=True)
class Subject:
    """What is always known of an interaction: its keys, and whether it failed; the messages if a rule reads them."""

    pk: int
    external_id: str
    status: str
    error_type: str
    error_message: str
    messages: list[dict[str, Any]] | None = None


@dataclass(slots=True)
class Item:
    """An interaction with everything that the rules look at, and the tasks it has had.

    ``past`` are draws of earlier that no open task keeps, in the form in which tasks keep them; ``replayed`` says that
    they are all there were. ``ended`` is the task by which it was first looked at, ``shed`` whether a queue that was
    overloaded has it.
    """

    interaction: Subject
    arrived: bool = False
    facts: Facts = field(default_factory=Facts)
    complained: bool = False
    past: list[dict[str, Any]] = field(default_factory=list)
    replayed: bool = False
    open: Task | None = None
    ended: Task | None = None
    shed: bool = False
    dropped: dict[int, Task] = field(default_factory=dict)
    looked_at_in: set[int] = field(default_factory=set)
    disputed: bool = False
    failed: bool = False
    frequency: Frequency | None = None


def touched(rows: Iterable[Inbox]) -> tuple[set[int], set[int], set[int]]:
    """Of a batch of facts: the interactions they are about, those that have just arrived, and the new feedback."""
    ids: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        ids[row.kind].add(row.object_id)
    arrived, feedback = ids[Inbox.Kind.INTERACTION], ids[Inbox.Kind.FEEDBACK]
    found = set(arrived)
    for numbers, model in ((feedback, Feedback), (ids[Inbox.Kind.SCORE], Score)):
        if numbers:
            facts = model._default_manager.filter(any_of("pk", numbers), interaction__isnull=False)
            found |= set(facts.values_list("interaction_id", flat=True))
    return found, arrived, feedback


def load(
    project: Project, pks: Collection[int], *, needs: Collection[str],
    arrived: Collection[int] = (), fresh: Collection[int] = (),
) -> dict[int, Item]:  # fmt: skip
    """The items with these keys and their facts; ``needs`` are the fields that the rules read.

    ``arrived`` are the interactions that are new, ``fresh`` the feedback that is. Five queries, one more for
    the heads of clusters, whatever their number; the tasks are not loaded (see ``add_history``).
    """
    columns = sorted(_columns(needs))
    rows = Interaction.objects.filter(any_of("pk", pks), project=project)
    values = [(name, _reader(name)) for name in needs if name.startswith(METADATA) or name in VALUES]
    texts = [(name, _reader(name)) for name in _TEXTS if name in needs]
    items, readings = {}, {}
    for found in rows.values_list(*ALWAYS, *columns):
        subject = Subject(*found[: len(ALWAYS)])
        reading = dict(zip(columns, found[len(ALWAYS) :], strict=True))
        reading["status"], reading["error_type"] = subject.status, subject.error_type
        subject.messages = reading.get("messages")
        items[subject.pk] = Item(subject, arrived=subject.pk in arrived)
        readings[subject.pk] = reading
    users, machines = evidence.voices(items, fresh), evidence.machines(items)
    for pk, item in items.items():
        reading = readings[pk]
        said, scored = users.get(pk, NOTHING_SAID), machines.get(pk, NOTHING_SCORED)
        item.complained = said.complained
        item.facts = Facts(
            values={name: read(reading) for name, read in values},
            signals=_signals(item.interaction, said, scored),
            voices=said.said,
            scores=scored.verdicts,
            texts={name: read(reading) for name, read in texts},
        )
    add_clusters(items)
    return items


def add_clusters(items: Mapping[int, Item]) -> None:
    """What their clusters say of them: after ``clusters.join`` has found new places."""
    for pk, found in frequency.facts_of(items).items():
        item = items[pk]
        item.frequency = found
        figures = {"cluster_size": found.size, "cluster_users": found.users, "cluster_reviewed": found.reviewed}
        item.facts = replace(item.facts, values={**item.facts.values, **figures})


def add_history(items: Mapping[int, Item], *, lock: bool = True) -> None:
    """What became of these items before: their tasks, locked unless only counted, and whether they failed."""
    purposes = [Task.Purpose.REVIEW, Task.Purpose.AUDIT]  # checks of reviewers say nothing of the item
    tasks = Task.objects.select_related("queue").filter(any_of("interaction", items), purpose__in=purposes)
    if lock:
        tasks = tasks.select_for_update(of=("self",))
    for task in tasks.order_by("pk"):
        item = items[task.interaction_id]
        if task.state == Task.State.OPEN:
            item.open = task
            continue
        item.past += [draw for draw in task.draws if draw["counts"]]
        if task.state in {Task.State.DROPPED, Task.State.SHED}:
            item.dropped[task.queue_id] = task
            item.shed |= task.state == Task.State.SHED
        else:
            item.looked_at_in.add(task.queue_id)
            item.disputed |= task.state == Task.State.DISPUTED
            if item.ended is None or (task.sampled and not item.ended.sampled):
                item.ended = task
    failed = Label.objects.filter(any_of("interaction", items), superseded_at=None, verdict=Verdict.FAIL)
    for pk in failed.values_list("interaction_id", flat=True):
        items[pk].failed = True


def _signals(
    interaction: Subject, users: evidence.Voices, machine: evidence.Machines
) -> dict[str, list[Reason]]:  # fmt: skip
    error = evidence.error(interaction)
    if users is NOTHING_SAID and machine is NOTHING_SCORED:
        return {"error": error} if error else {}
    return {
        "negative_feedback": users.reasons,
        "flagged_score": machine.reasons,
        "error": error,
        "soft_error": machine.malformed,
        "disagreement": evidence.disagreement(users, machine),
    }


def _columns(needs: Collection[str]) -> set[str]:
    columns = set[str]()
    for name in needs:
        if name.startswith(METADATA):
            columns.add("metadata")
        elif name in FIELDS:
            columns.update(FIELDS[name].columns)
        elif name in _TEXTS:
            columns.add(_TEXTS[name])
    return columns - set(ALWAYS)


def _reader(name: str) -> Callable[[Mapping[str, Any]], Any]:
    """How a field is read from the columns of an interaction."""
    if name == "answer":
        return lambda row: row["output"]
    if name == "question":
        return lambda row: question_of(row["messages"])
    if name == "answer_length":
        return lambda row: len(row["output"])
    if name == "question_length":
        return lambda row: len(question_of(row["messages"]))
    if name == "turns":
        return lambda row: len(row["messages"])
    if name in _METADATA_FIELDS:
        keys = _METADATA_FIELDS[name]
        return lambda row: next((row["metadata"][key] for key in keys if key in row["metadata"]), None)
    if name.startswith(METADATA):
        key = name.removeprefix(METADATA)
        return lambda row: row["metadata"].get(key)
    return itemgetter(FIELDS[name].columns[0])
