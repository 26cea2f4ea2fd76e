"""The sample project's chat: a page where a newcomer asks something, votes on the answer, and follows the vote.

Its "model" knows a few prepared answers, some of them wrong on purpose, and is an echo for everything else; nothing
leaves this server. The page is one of a signed-in member of the sample project, because what is typed there is
stored where all of its members read it.

A key cannot be shown again, so each browser session gets a publishable key of its own, for the origin of this
server, that ends after half a day; tokens are signed with a secret key that has no scopes and opens nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models.functions import Now

from feedback import browsing, services, tokens
from feedback.browsing import Cell
from feedback.models import Feedback, Interaction
from projects import keys, ratelimit
from projects import services as projects
from projects.models import ApiKey, Membership, Project, User

NAME = "sample chat"
LIFETIME = timedelta(hours=12)
SHOWN = 20
MESSAGES_A_MINUTE = 30
QUOTED = 300
RECEIVED = 20
ECHOES = (
    "You wrote: “{said}” I am an echo and not a model, so that is all I know. Your message and this answer are now"
    " one interaction in this project, stored before you saw it. Press the thumb down and say what is wrong with it.",
    "“{said}” I can only repeat it. A thumb down becomes a feedback with a signed token, so it counts as verified."
    " The worker reads it and puts this answer into the queue of complaints, usually within a second.",
    "I heard “{said}” and made nothing of it. If you write what I should have said, a reviewer finds your correction"
    " beside the answer, and can make it an example that every later release is tested with.",
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A typical question with its answer and the document that the answer should agree with."""

    question: str
    answer: str
    title: str = ""
    text: str = ""


PREPARED = (
    Prepared(
        "What does a paper bill cost?", "A paper bill is free of charge. It comes by post at the start of each month.",
        "Fees", "Bills by e-mail are free. A paper bill costs 1.50 euros a month.",
    ),
    Prepared(
        "How do I cancel my contract?",
        "Write to us or use “My contract” on the website. The notice period is two weeks to the end of a month.",
        "Cancelling", "Contracts end with two weeks' notice to the end of any month, in writing or on the website.",
    ),
    Prepared(
        "Why is my bill so high?", "I am sorry, but I can't help with that.",
        "High bills", "Compare the reading on the bill with the meter. If they differ, send us a photo of the meter.",
    ),
)  # fmt: skip
PERSON = Prepared("I want to talk to a person.", "I have told a colleague. This is only a sample, so nobody will call.")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer waits for a reviewer: the name of its queue, and the address whose POST opens it there."""

    queue: str
    address: str


# Where the interactions with these keys wait. The apps above add theirs in AppConfig.ready.
places: list[Callable[[Project, list[int]], dict[int, Place]]] = []


@dataclass(frozen=True, slots=True)
class Heard:
    """A feedback of this conversation as the hub stored it, and where it has led.

    ``place`` is told once for an answer, with its newest feedback; ``pending`` where a complaint has none yet.
    """

    feedback: Feedback
    cell: Cell
    question: str
    place: Place | None
    pending: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer with what the widget needs."""

    pk: int
    external_id: str
    question: str
    answer: str
    token: str


def membership_of(user: User) -> Membership | None:
    """The user's membership in the sample project; None where there is none, or no such project."""
    found = Membership.objects.select_related("project").filter(user=user, project__is_sample=True)
    return found.order_by("project_id").first()


def widget_key(project: Project, *, actor: User, origin: str, known: str) -> str:
    """The text of a publishable key for pages of ``origin``: the ``known`` one while it is good, else a new one."""
    caller = keys.check(known) if known else None
    if caller and caller.kind == ApiKey.Kind.PUBLISHABLE and caller.project == project and origin in caller.origins:
        return known
    _tidy(project)
    return projects.issue_key(
        project, kind=ApiKey.Kind.PUBLISHABLE, name=NAME, actor=actor, origins=[origin], expires_in=LIFETIME
    )[1]


def say(project: Project, *, user: User, session: str, text: str) -> Turn | None:
    """Answers ``text`` and stores both as an interaction. None if this user says too much in a minute."""
    if not ratelimit.hit(f"sample-chat:{user.pk}", limit=MESSAGES_A_MINUTE, seconds=60).allowed:
        return None
    known = {entry.question: entry for entry in (*PREPARED, PERSON)}.get(text)
    before = Interaction.objects.filter(project=project, session_id=session).count()
    quoted = text if len(text) <= QUOTED else text[:QUOTED] + "…"
    echo = ECHOES[before % len(ECHOES)].format(said=quoted)
    outcome = services.record_interaction(
        project,
        {
            "id": f"chat-{uuid.uuid4().hex[:16]}", "session_id": session, "user_id": _visitor(user),
            "feature": "sample-chat", "provider": "review-hub", "model": "prepared" if known else "echo",
            "messages": [{"role": "user", "content": text}],
            "output": known.answer if known else echo, "tags": ["sample-chat"],
            "documents": [{"title": known.title, "content": known.text}] if known and known.text else [],
        },
    )  # fmt: skip
    return turns(project, user=user, session=session, only=outcome.external_id)[0]


def turns(project: Project, *, user: User, session: str, only: str | None = None) -> list[Turn]:
    """What was said in this session so far, oldest first."""
    found = Interaction.objects.filter(project=project, session_id=session).order_by("-pk")
    if only is not None:
        found = found.filter(external_id=only)
    rows = list(found.only("external_id", "messages", "output")[:SHOWN])[::-1]
    key = _signing_key(project, user) if rows else None
    return [
        Turn(
            row.pk, row.external_id, str(row.messages[-1]["content"]), row.output,
            tokens.sign(key, row.external_id, user_id=_visitor(user), lifetime=int(LIFETIME.total_seconds())),
        )
        for row in rows if key
    ]  # fmt: skip


def received(project: Project, *, session: str) -> list[Heard]:
    """The newest feedback of this conversation, whoever told it: the widget, or the worker that reads behaviour."""
    rows = Feedback.objects.filter(project=project, interaction__session_id=session).select_related("interaction")
    newest = list(rows.order_by("-pk")[:RECEIVED])
    wanted = [row.interaction_id for row in newest if row.interaction_id is not None]
    found = {pk: place for look in places for pk, place in look(project, wanted).items()}
    heard, told = [], set()
    for row in newest:
        pk = row.interaction_id or 0
        place = found.get(pk) if pk not in told else None
        told.add(pk)
        question = row.interaction.question if row.interaction else ""
        heard.append(Heard(row, browsing.spoken(row)[1], question, place, row.negative and pk not in found))
    return heard


def _visitor(user: User) -> str:
    return f"visitor-{user.pk}"


def _signing_key(project: Project, actor: User) -> ApiKey:
    """A secret key without scopes that outlives what it signs."""
    fit = project.api_keys.filter(kind=ApiKey.Kind.SECRET, name=NAME, scopes=[], revoked_at=None)
    found = fit.filter(expires_at__gt=Now() + LIFETIME).first()
    if found is not None:
        return found
    _tidy(project)
    return projects.issue_key(
        project, kind=ApiKey.Kind.SECRET, name=NAME, actor=actor, scopes=[], expires_in=2 * LIFETIME
    )[0]


def _tidy(project: Project) -> None:
    """Those that have ended are taken from the page of live keys."""
    for key in project.api_keys.filter(name=NAME, revoked_at=None, expires_at__lt=Now()):
        projects.revoke_key(key, actor=None)
