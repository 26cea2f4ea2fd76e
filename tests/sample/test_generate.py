"""A generated month: the same for the same seed, and with the story that the pages are to show."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from reviewhub.sample.dice import Dice
from reviewhub.sample.generate import Traffic, generate

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def month() -> Traffic:
    return generate(NOW)


def age(body: dict) -> float:
    return (NOW - datetime.fromisoformat(body["created_at"])) / timedelta(days=1)


def test_the_same_seed_gives_the_same_month(month: Traffic) -> None:
    again = generate(NOW)
    assert again.interactions == month.interactions
    assert again.feedback == month.feedback
    assert again.verdicts == month.verdicts
    assert generate(NOW, seed=21).interactions != month.interactions


def test_the_month_lies_between_thirty_days_ago_and_now(month: Traffic) -> None:
    assert 1200 <= len(month.interactions) <= 2000
    assert all(0 <= age(body) <= 30 for body in [*month.interactions, *month.feedback])
    assert len({int(age(body)) for body in month.interactions}) == 30
    assert len({body["id"] for body in month.interactions}) == len(month.interactions)


def test_feedback_comes_after_the_answer_that_it_is_about(month: Traffic) -> None:
    asked = {body["id"]: body["created_at"] for body in month.interactions}
    assert month.feedback
    for body in month.feedback:
        assert datetime.fromisoformat(body["created_at"]) > datetime.fromisoformat(asked[body["interaction_id"]])


def test_users_complain_more_since_prompt_14(month: Traffic) -> None:
    down = {body["interaction_id"] for body in month.feedback if body.get("value") == "down"}
    groups: dict[bool, list[bool]] = defaultdict(list)
    for body in month.interactions:
        groups[age(body) < 6].append(body["id"] in down)
    before, since = (sum(groups[new]) / len(groups[new]) for new in (False, True))
    assert 0.02 < before < 0.05
    assert since > 1.5 * before


def test_the_newest_prompt_answers_fee_questions_worse_and_other_assistants_as_before(month: Traffic) -> None:
    faulty: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for body in month.interactions:
        kind = "fees" if body["feature"] in {"billing", "tariffs"} else "other"
        faulty[kind, body["prompt"]["version"]].append(month.exchanges[body["id"]].faulty)
    rate = {key: sum(found) / len(found) for key, found in faulty.items()}
    assert rate["fees", "14"] > 3 * rate["fees", "13"]
    assert rate["other", "14"] < 0.25


def test_errors_are_rare_and_gather_where_the_provider_was_in_trouble(month: Traffic) -> None:
    errors = [body for body in month.interactions if body.get("status") == "error"]
    assert 0.003 < len(errors) / len(month.interactions) < 0.012
    assert sum(11 < age(body) < 13 for body in errors) > len(errors) / 2
    assert all("output" not in body and body["error"]["type"] for body in errors)


def test_steps_lie_within_their_parents_and_agents_use_tools(month: Traffic) -> None:
    kinds = set()
    for body in month.interactions:
        spans = {span["id"]: span for span in body["spans"]}
        for span in spans.values():
            kinds.add(span["kind"])
            assert span["started_at"] <= span["ended_at"]
            if span["parent_id"]:
                parent = spans[span["parent_id"]]
                assert parent["started_at"] <= span["started_at"]
                assert span["ended_at"] <= parent["ended_at"], (body["id"], span["name"])
    assert kinds >= {"agent", "chain", "retriever", "tool", "llm", "embedding", "guardrail"}


def test_every_kind_of_feedback_occurs_and_somebody_changes_their_mind(month: Traffic) -> None:
    assert {body["kind"] for body in month.feedback} >= {"thumbs", "rating", "correction", "report", "implicit"}
    votes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for body in month.feedback:
        if body["kind"] == "thumbs":
            votes[body["interaction_id"], body["user_id"]].append(body["value"])
    assert any(len(set(found)) == 2 for found in votes.values())


def test_conversations_carry_what_was_said_before(month: Traffic) -> None:
    long = [body for body in month.interactions if len(body["messages"]) > 2]
    assert len(long) > 20
    sessions = defaultdict(list)
    for body in month.interactions:
        sessions[body.get("session_id")].append(body)
    for body in long:
        assert body["messages"][2]["content"] in {other.get("output") for other in sessions[body["session_id"]]}


def test_a_month_can_be_split_and_nothing_is_lost(month: Traffic) -> None:
    early, late = month.split(NOW - timedelta(days=10))
    assert [*early.interactions, *late.interactions] == month.interactions
    assert len(early.feedback) + len(late.feedback) == len(month.feedback)
    assert len(early.verdicts) + len(late.verdicts) == len(month.verdicts)
    assert early.exchanges | late.exchanges == month.exchanges
    assert all(age(body) > 10 for body in early.interactions)


def test_dice_keep_the_share_that_they_promise() -> None:
    dice = Dice(Random(1))
    thrown = [dice.happens("six", 1 / 6) for _ in range(600)]
    assert sum(thrown) in {99, 100, 101}
    assert not any(dice.happens("never", 0.0) for _ in range(100))
    assert all(dice.happens("always", 1.0) for _ in range(100))


def test_the_machine_judge_is_good_but_not_perfect(month: Traffic) -> None:
    said: dict[bool, list[bool]] = defaultdict(list)
    for verdict in month.verdicts:
        said[month.exchanges[verdict.ident].faulty].append(verdict.flagged)
    assert 0.6 < sum(said[True]) / len(said[True]) < 0.95
    assert 0 < sum(said[False]) / len(said[False]) < 0.05
    assert len({verdict.explanation for verdict in month.verdicts}) > 60
