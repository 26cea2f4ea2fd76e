"""What a user's next message says about the answer before it: the rules, and what they make of real arrivals."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from evals.analysis import analyse
from feedback import inbox, services, sessions
from feedback.models import Feedback, Inbox, Interaction
from feedback.session_analysis import derive, find_abandoned
from feedback.sessions import Turn, signals
from projects.models import Project

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
QUESTION = "What does closing my account cost?"

# (asked first, asked again): the same wish in other words.
REPHRASED = [
    (QUESTION, "What would it cost to close my account?"),
    (QUESTION, "what does closing my acount cost??"),
    (QUESTION, "Closing account cost"),
    ("How do I reset my password?", "How can I get my password reset?"),
    ("How long does delivery to Spain take", "I want to know how long the delivery to Spain takes"),
    ("Was kostet die Kündigung meines Vertrags?", "Was würde es kosten, meinen Vertrag zu kündigen?"),
    ("Wie kann ich meine Rechnung herunterladen?", "Wo kann ich die Rechnung herunterladen"),
]
# (asked first, next message): people going on with their talk.
NORMAL = [
    (QUESTION, "And for a business account?"),
    (QUESTION, "What does opening an account cost?"),
    (QUESTION, "Ok, close my account please"),
    (QUESTION, "Thanks, that is clear. What does closing a depot cost?"),
    (QUESTION, "How long does it take?"),
    (QUESTION, "Can you close it for me?"),
    (QUESTION, "Can you close my account?"),
    (QUESTION, "Yes"),
    (QUESTION, "Is there a form that I have to sign?"),
    ("Where is my order 4411?", "Where is my order 4412?"),
    ("What is the delivery time for a replacement battery to Germany?",
     "What is the delivery time for a replacement battery to Austria?"),
    ("How do I cancel my subscription in the app?", "How do I change my address in the app?"),
    ("How much is the red one?", "How much is the blue one?"),
    ("My router does not work", "It still does not work after the restart"),
    ("What is wrong with my invoice?", "What is wrong with the second one?"),
    ("Is my tariff still available?", "Is that wrong on my invoice then?"),
    ("Write a summary of the text", "Make it shorter"),
    ("Write a summary of the text", "Write a title for the text"),
    ("Was kostet die Kündigung?", "Und wie lange dauert das?"),
    ("Was kostet die Kündigung?", "Danke! Wohin schicke ich die Kündigung?"),
    ("Wie hoch ist die Grundgebühr?", "Wie hoch ist der Arbeitspreis?"),
    ("Wo finde ich meine Kundennummer?", "Stimmt das auch für die Vertragsnummer?"),
    ("Wann kommt der Techniker?", "Das ist nicht weit von mir, kann ich ihn anrufen?"),
    ("Translate: good morning", "Translate: good night"),
]  # fmt: skip
PROTESTS = [
    ("That's wrong.", "wrong"),
    ("that’s just wrong, the fee is 4.90", "wrong"),
    ("No, this is not correct", "wrong"),
    ("Sorry, but you are wrong", "wrong"),
    ("That's not what I asked", "not what I asked"),
    ("You didn't answer my question", "no answer"),
    ("That doesn't help", "no help"),
    ("I already asked that", "asked before"),
    ("Das stimmt nicht!", "stimmt nicht"),
    ("Nein, das stimmt so nicht.", "stimmt nicht"),
    ("Das ist leider falsch", "falsch"),
    ("das ist nicht richtig", "falsch"),
    ("Das habe ich nicht gefragt", "nicht gefragt"),
    ("Sie haben meine Frage nicht beantwortet", "keine Antwort"),
    ("Das hilft mir nicht", "hilft nicht"),
]
NO_PROTESTS = [
    "That's wrong?", "Is that wrong?", "What if that's wrong?", "That's not wrong",
    "“That's wrong” is what my bank said",
    "I think I entered a wrong PIN", "This is the wrong place to ask, but what is my IBAN?", "That's right",
    "It is not working on my phone", "Stimmt das nicht mehr?", "Das stimmt nicht, oder?", "Das stimmt",
    "Ist das falsch?", "Was ist falsch an meiner Rechnung?", "Das ist nicht mein Vertrag",
]  # fmt: skip


def turn(name: str, question: str, seconds: float, **more: Any) -> Turn:
    return Turn(name, NOON + timedelta(seconds=seconds), question, **more)


def said_of(first: str, second: str, gap: float = 60, **more: Any) -> list[tuple[str, str]]:
    return [(one.rule, one.value) for one in signals([turn("a", first, 0, **more), turn("b", second, gap)])]


@pytest.mark.parametrize(("first", "second"), REPHRASED)
def test_the_same_wish_in_other_words_is_a_complaint_about_the_first_answer(first: str, second: str) -> None:
    (signal,) = signals([turn("a", first, 0), turn("b", second, 60)])
    assert (signal.rule, signal.value, signal.about.external_id) == ("rephrased", "rephrased", "a")
    assert signal.evidence["follow_up"] == "b"
    assert signal.evidence["similarity"] >= sessions.SIMILAR


@pytest.mark.parametrize(("first", "second"), NORMAL)
def test_a_talk_that_goes_on_is_no_complaint(first: str, second: str) -> None:
    assert said_of(first, second) == []


@pytest.mark.parametrize(("message", "pattern"), PROTESTS)
def test_a_protest_is_a_complaint_about_the_answer_before_it(message: str, pattern: str) -> None:
    (signal,) = signals([turn("a", QUESTION, 0), turn("b", message, 60)])
    assert (signal.rule, signal.value, signal.evidence["pattern"]) == ("frustrated", "rephrased", pattern)


@pytest.mark.parametrize("message", NO_PROTESTS)
def test_words_that_only_look_like_a_protest_are_none(message: str) -> None:
    assert said_of(QUESTION, message) == []


def test_the_same_question_again_is_a_retry() -> None:
    assert said_of(QUESTION, "what does closing my account cost") == [("retried", "regenerated")]
    assert said_of("go on", "go on") == []
    assert said_of("go on", "go on", failed=True) == [("retried", "regenerated")]


def test_only_a_person_who_asks_soon_complains() -> None:
    assert said_of(QUESTION, QUESTION, gap=1.9) == [], "a program"
    assert said_of(QUESTION, QUESTION, gap=2) == [("retried", "regenerated")]
    assert said_of(QUESTION, QUESTION, gap=600) == [("retried", "regenerated")]
    assert said_of(QUESTION, QUESTION, gap=600.1) == [], "a new question"


def test_the_steps_of_an_agent_are_no_retries() -> None:
    assert signals([turn("a", QUESTION, 0), turn("b", QUESTION, 5, asked=False)]) == []


def test_hostile_text_costs_no_time() -> None:
    started = datetime.now(UTC)
    for text in (
        "a" * 100_000,
        "no " * 50_000,
        "that's " * 30_000,
        "\0\ud7ff" * 1000,
        " ".join(map(str, range(20_000))),
    ):
        said_of(text, text + "?")
        said_of(QUESTION, text)
    assert datetime.now(UTC) - started < timedelta(seconds=2)


# -- through the services ------------------------------------------------------------------------------------


def body(name: str, question: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
    at = (more.pop("since", NOON) + timedelta(seconds=seconds)).isoformat()
    return {"id": name, "session_id": "s-1", "user_id": "u-1", "created_at": at, "input": question, "output": "4.90",
            **more}  # fmt: skip


def arrive(project: Project, *bodies: dict[str, Any]) -> None:
    """In this order, each analysed before the next comes."""
    for one in bodies:
        services.record_interaction(project, one)
        inbox.drain(Inbox.Stage.ANALYSE, analyse)


def state(project: Project) -> list[tuple[Any, ...]]:
    """The feedback that counts."""
    fields = ("interaction_external_id", "label", "end_user_id", "created_at", "metadata", "key")
    found = Feedback.objects.filter(project=project, source="derived", superseded_at=None)
    return list(found.order_by("key").values_list(*fields))


TALK = [
    body("a", QUESTION),
    body("b", "What would it cost to close my account?", 60),
    body("c", "That's wrong", 120),
    body("d", "What does a new card cost?", 180),
    body("e", "what does a new card cost", 240),
]


def test_behaviour_becomes_feedback_on_the_earlier_answer(project: Project) -> None:
    arrive(project, *TALK)
    assert [(one[0], one[1], one[4]["rule"], one[5]) for one in state(project)] == [
        ("b", "rephrased", "frustrated", "derived:frustrated:b"),
        ("a", "rephrased", "rephrased", "derived:rephrased:a"),
        ("d", "regenerated", "retried", "derived:retried:d"),
    ]
    first = Feedback.objects.get(key="derived:rephrased:a")
    assert (first.kind, first.source, first.verified, first.negative) == ("implicit", "derived", True, True)
    assert first.interaction == Interaction.objects.get(external_id="a")
    assert first.metadata["version"] == "1"
    assert first.metadata["evidence"]["follow_up"] == "b"
    assert Inbox.objects.filter(stage="triage", kind="feedback", object_id=first.pk).exists()


def test_every_order_of_arrival_ends_in_the_same_state(project: Project) -> None:
    arrive(project, *TALK)
    expected = state(project)
    for order in itertools.permutations(TALK):
        Feedback.objects.all().delete()
        Interaction.objects.all().delete()
        arrive(project, *order)
        assert state(project) == expected


def test_a_batch_says_the_same_and_saying_it_again_changes_nothing(project: Project) -> None:
    services.record_interactions(project, TALK[::-1])
    inbox.drain(Inbox.Stage.ANALYSE, analyse)
    before = state(project)
    assert len(before) == 3
    Inbox.objects.all().delete()
    derive(Interaction.objects.values_list("pk", flat=True))
    assert state(project) == before
    assert Feedback.objects.count() == 3
    assert not Inbox.objects.exists()


def test_what_a_late_message_disproves_is_taken_back_and_triage_looks_again(project: Project) -> None:
    arrive(project, body("a", QUESTION), body("c", "That's wrong", 120))
    assert [one[0] for one in state(project)] == ["a"]
    Inbox.objects.all().delete()
    arrive(project, body("b", "How do I order a card?", 60))
    assert [one[0] for one in state(project)] == ["b"]
    gone = Feedback.objects.get(key="derived:frustrated:a")
    assert not gone.negative
    assert Inbox.objects.filter(stage="triage", kind="feedback", object_id=gone.pk).exists()


def test_other_sessions_other_users_other_projects_and_no_session_are_strangers(
    project: Project, other_project: Project
) -> None:
    arrive(project, body("a", QUESTION))
    arrive(
        project, body("b", QUESTION, 60, session_id="s-2"), body("c", QUESTION, 60, user_id="u-2"),
        body("d", QUESTION, 60, session_id=""), body("e", QUESTION, 120, session_id=""),
    )  # fmt: skip
    arrive(other_project, body("b", QUESTION, 60))
    assert not Feedback.objects.exists()


def test_an_id_that_is_too_long_for_a_key_is_hashed(project: Project) -> None:
    arrive(project, body("a" * 200, QUESTION), body("b", QUESTION, 60))
    assert Feedback.objects.get().key.startswith("derived:retried:sha256:")


def test_the_number_of_queries_does_not_grow_with_the_batch(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    services.record_interactions(project, [body(f"q{n}", QUESTION, 60 * n, session_id=f"s{n % 7}") for n in range(200)])
    with django_assert_max_num_queries(25):
        derive(Interaction.objects.values_list("pk", flat=True))
    assert Feedback.objects.count() == 193


def ago(name: str, minutes: float, **more: Any) -> dict[str, Any]:
    return body(name, QUESTION, since=timezone.now() - timedelta(minutes=minutes), **more)


FAILED: dict[str, Any] = {"status": "error", "error": {"type": "Timeout", "message": "x"}, "output": ""}


def test_a_session_that_ends_in_a_failure_was_abandoned(project: Project) -> None:
    arrive(project, ago("fine", 45, input="Where are you?"), ago("failed", 40, **FAILED))
    for _ in range(2):
        find_abandoned()
    (one,) = state(project)
    assert (one[0], one[1], one[5]) == ("failed", "abandoned", "derived:abandoned:failed")


def test_a_refusal_at_the_end_was_abandoned_too(project: Project) -> None:
    arrive(project, ago("refused", 40, output="I'm sorry, but I cannot help with that."))
    find_abandoned()
    assert [one[:2] for one in state(project)] == [("refused", "abandoned")]


@pytest.mark.parametrize(
    "talk",
    [
        # Called in the test: minutes pass between the collection of the tests and this one.
        lambda: [ago("failed", 29, **FAILED)],
        lambda: [ago("failed", 60, **FAILED), ago("next", 40)],
        lambda: [ago("fine", 40)],
        lambda: [ago("failed", 40, session_id="", **FAILED)],
        lambda: [ago("failed", 60 * 24, **FAILED)],
    ],
    ids=["too early", "went on", "answered", "no session", "long ago"],
)
def test_others_were_not(talk: Callable[[], list[dict[str, Any]]], project: Project) -> None:
    arrive(project, *talk())
    find_abandoned()
    assert "abandoned" not in [one[1] for one in state(project)]


def test_a_message_that_comes_late_takes_the_abandonment_back(project: Project) -> None:
    arrive(project, ago("failed", 40, **FAILED))
    find_abandoned()
    arrive(project, ago("next", 25))
    assert state(project) == []
    find_abandoned()
    assert state(project) == []
