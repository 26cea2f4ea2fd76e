"""The sample project's chat page, with the widget under each answer."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from feedback import sample_chat
from projects.access import ProjectRequest

SESSION, KEY = "sample-chat", "sample-chat-key"


class MessageForm(forms.Form):
    """One message of a visitor."""

    message = forms.CharField(max_length=2000)


@require_GET
def chat_show(request: ProjectRequest) -> HttpResponse:
    """What was said in this browser session, and a field to say more."""
    session = _enter(request)
    turns = sample_chat.turns(request.project, user=request.user, session=session) if session else []
    return render(request, "feedback/sample_chat.html", _context(request, turns=turns, **_received(request, session)))


@require_GET
def chat_received(request: ProjectRequest) -> HttpResponse:
    """What has been received by now, for the page that asks again; 204 where nothing is new since ``?mark=``."""
    context = _received(request, _enter(request))
    if not request.htmx:
        return redirect("feedback:sample-chat")
    if request.GET.get("mark") == context["mark"]:
        return HttpResponse(status=204)
    return render(request, "feedback/_chat_received.html", context)


@require_POST
def chat_say(request: ProjectRequest) -> HttpResponse:
    """Stores one message with its answer; htmx receives the new turn alone."""
    session = _enter(request) or uuid.uuid4().hex
    request.session[SESSION] = session
    form = MessageForm(request.POST)
    if not form.is_valid():
        return HttpResponse("Write a message of at most 2,000 characters.", "text/plain", status=422)
    turn = sample_chat.say(request.project, user=request.user, session=session, text=form.cleaned_data["message"])
    if turn is None:
        return HttpResponse("That was much at once. Wait a minute.", "text/plain", status=429)
    if not request.htmx:
        return redirect("feedback:sample-chat")
    return render(request, "feedback/_chat_turn.html", _context(request, turns=[turn], turn=turn))


def _enter(request: ProjectRequest) -> str:
    """Lets members of the sample project in, as if there were no such page for others; the chat's session, or ""."""
    membership = sample_chat.membership_of(request.user)
    if membership is None:
        raise Http404("No sample project")
    request.project, request.membership = membership.project, membership
    return str(request.session.get(SESSION, ""))


def _context(request: ProjectRequest, *, turns: list[sample_chat.Turn], **more: Any) -> dict[str, Any]:
    origin = f"{request.scheme}://{request.get_host()}"
    key = ""
    if turns:  # opening the page makes no key; the first answer does
        known = str(request.session.get(KEY, ""))
        key = sample_chat.widget_key(request.project, actor=request.user, origin=origin, known=known)
        request.session[KEY] = key
    return {
        "section": "chat", "turns": turns, "origin": origin, "key": key, "prepared": sample_chat.PREPARED,
        "person": sample_chat.PERSON.question, **more,
    }  # fmt: skip


def _received(request: ProjectRequest, session: str) -> dict[str, Any]:
    """What the hub has received, and a mark by which the page asks whether there is more."""
    heard = sample_chat.received(request.project, session=session) if session else []
    state = [(one.feedback.pk, one.feedback.superseded_at, one.place) for one in heard]
    return {"heard": heard, "mark": hashlib.sha256(repr(state).encode()).hexdigest()[:16]}
