"""The sample project's chat: a page where a newcomer says something, votes on the answer, and finds the vote again.

Its "model" is an echo that says what happens to the message; nothing leaves this server. The page is one of a
signed-in member of the sample project, because what is typed there is stored where all of its members read it.

A key cannot be shown again, so each browser session gets a publishable key of its own, for the origin of this
server, that ends after half a day; tokens are signed with a secret key that has no scopes and opens nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.db.models.functions import Now

from feedback import services, tokens
from feedback.models import Interaction
from projects import keys, ratelimit
from projects import services as projects
from projects.access import Right
from projects.models import ApiKey, Membership, Project, User

NAME = "sample chat"
LIFETIME = timedelta(hours=12)
SHOWN = 20
MESSAGES_A_MINUTE = 30
QUOTED = 300
ANSWERS = (
    "You wrote: “{said}” I am an echo and not a model, so that is all I know. Your message and this answer are now"
    " one interaction in this project, stored before you saw it. Press the thumb down and say what is wrong with it.",
    "“{said}” I can only repeat it. A thumb down becomes a feedback with a signed token, so it counts as verified."
    " The worker reads it and puts this answer into the queue of complaints, usually within a second.",
    "I heard “{said}” and made nothing of it. If you write what I should have said, a reviewer finds your correction"
    " beside the answer, and can make it an example that every later release is tested with.",
)


@dataclass(frozen=True, slots=True)
class Step:
    """Where a visitor can follow what was said, for those who have the right."""

    text: str
    address: str  # the name of an address that takes the project
    right: Right


# The apps above add theirs in AppConfig.ready.
onward: list[Step] = []


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
    before = Interaction.objects.filter(project=project, session_id=session).count()
    quoted = text if len(text) <= QUOTED else text[:QUOTED] + "…"
    outcome = services.record_interaction(
        project,
        {
            "id": f"chat-{uuid.uuid4().hex[:16]}", "session_id": session, "user_id": _visitor(user),
            "feature": "sample-chat", "provider": "review-hub", "model": "echo",
            "messages": [{"role": "user", "content": text}],
            "output": ANSWERS[before % len(ANSWERS)].format(said=quoted), "tags": ["sample-chat"],
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
