"""``/api/v1/feedback`` and ``/api/v1/scores``: every kind, repeated, retracted, and from a browser."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from feedback import services
from feedback.models import Feedback, Inbox, Score
from projects import webhooks
from projects.models import Delivery, Project, Webhook
from tests.conftest import Api
from tests.feedback.bodies import interaction, thumbs

URL, SCORES = "/api/v1/feedback", "/api/v1/scores"
ORIGIN = {"Origin": "https://chat.example.com"}


@pytest.fixture
def known(sk: Api) -> None:
    sk.post("/api/v1/interactions", interaction())
    Inbox.objects.all().delete()


def only() -> Feedback:
    return Feedback.objects.get()


@pytest.mark.usefixtures("known")
class TestKinds:
    @pytest.mark.parametrize(
        ("value", "number"), [("up", 1), ("down", -1), (1, 1), (0, 0), (-1, -1), (True, 1), (False, -1), (None, None)]
    )
    def test_thumbs_in_every_spelling(self, sk: Api, value: Any, number: float | None) -> None:
        assert sk.post(URL, thumbs(value))[0] == 201
        assert only().number == number
        assert only().negative is (number == -1)

    @pytest.mark.parametrize("value", ["UP", "yes", 2, 0.5, [], {}, ""])
    def test_thumbs_that_are_none_are_refused(self, sk: Api, value: Any) -> None:
        status, body = sk.post(URL, thumbs(value))
        assert (status, body["error"]["details"][0]["path"]) == (422, "/value")

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"kind": "rating", "value": 2}, {"number": 2, "scale": 5, "negative": True}),
            ({"kind": "rating", "value": 4, "scale": 10}, {"number": 4, "scale": 10, "negative": True}),
            ({"kind": "rating", "value": 4.5, "scale": 5}, {"number": 4.5, "negative": False}),
            ({"kind": "category", "value": "off-topic"}, {"label": "off-topic", "negative": False}),
            ({"kind": "comment", "comment": "Thanks"}, {"comment": "Thanks", "negative": False}),
            ({"kind": "comment", "value": "Thanks"}, {"comment": "Thanks"}),
            ({"kind": "correction", "correction": "It is 5"}, {"correction": "It is 5", "negative": True}),
            ({"kind": "correction", "value": "It is 5"}, {"correction": "It is 5"}),
            ({"kind": "report"}, {"label": "", "negative": True}),
            ({"kind": "report", "value": "abusive", "comment": "!"}, {"label": "abusive", "comment": "!"}),
            ({"kind": "implicit", "value": "copied"}, {"label": "copied", "negative": False}),
            ({"kind": "implicit", "value": "regenerated"}, {"label": "regenerated", "negative": True}),
        ],
    )
    def test_every_kind(self, sk: Api, body: dict[str, Any], expected: dict[str, Any]) -> None:
        assert sk.post(URL, {"interaction_id": "req-1", **body})[0] == 201
        stored = only()
        assert {name: getattr(stored, name) for name in expected} == expected

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"kind": "stars", "value": 1}, "/kind"), ({"kind": "rating", "value": 6}, "/value"),
            ({"kind": "rating", "value": True}, "/value"), ({"kind": "rating", "value": 1, "scale": 0}, "/scale"),
            ({"kind": "category"}, "/value"), ({"kind": "category", "value": "x" * 201}, "/value"),
            ({"kind": "comment"}, "/comment"), ({"kind": "correction", "correction": ""}, "/correction"),
            ({"kind": "implicit", "value": "sighed"}, "/value"), ({"kind": "implicit", "value": ["copied"]}, "/value"),
            ({"kind": "thumbs", "value": "up", "user_id": 7}, "/user_id"), ({"value": "up"}, "/"),
            ({"kind": "comment", "comment": "x" * 10_001}, "/comment"), ({"kind": "report", "value": 1}, "/value"),
            ({"kind": "thumbs", "value": "up", "created_at": "2026-11-20T12:00:00"}, "/created_at"),
            ({"kind": "thumbs", "value": "up", "created_at": "0001-01-01T00:00:00+14:00"}, "/created_at"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused_with_its_path(self, sk: Api, body: dict[str, Any], path: str) -> None:
        status, answer = sk.post(URL, {"interaction_id": "req-1", **body})
        assert status == 422, answer
        assert answer["error"]["details"][0]["path"] == path
        assert Feedback.objects.count() == 0


class TestIdempotency:
    def test_one_key_stores_one_feedback(self, sk: Api) -> None:
        first = sk.post(URL, thumbs(key="k1"))
        again = sk.post(URL, thumbs(key="k1"))
        assert (first[0], again[0]) == (201, 200)
        assert again[1] == {**first[1], "replayed": True}
        assert only().superseded_at is None

    def test_the_header_works_as_the_key(self, sk: Api) -> None:
        assert sk.post(URL, thumbs(), **{"Idempotency-Key": "k1"})[0] == 201
        assert sk.post(URL, thumbs(key="k1"))[0] == 200
        assert sk.post(URL, thumbs(key="k1"), **{"Idempotency-Key": "k2"})[0] == 422

    def test_a_replay_says_so_in_a_header(self, sk: Api) -> None:
        sk.post(URL, thumbs(key="k1"))
        response = sk.client.post(URL, thumbs(key="k1"), content_type="application/json", headers=sk.headers)
        assert response["Idempotent-Replay"] == "true"

    def test_the_key_with_another_body_is_refused_and_supersedes_nothing(self, sk: Api) -> None:
        sk.post(URL, thumbs("up", key="k1"))
        status, body = sk.post(URL, thumbs("down", key="k1"))
        assert (status, body["error"]["code"]) == (422, "idempotency_mismatch")
        assert only().number == 1
        assert only().superseded_at is None

    def test_without_a_key_comments_are_stored_as_often_as_they_are_sent(self, sk: Api) -> None:
        for _ in range(2):
            assert sk.post(URL, {"interaction_id": "req-1", "kind": "comment", "comment": "Hm"})[0] == 201
        assert Feedback.objects.count() == 2


@pytest.mark.usefixtures("known")
class TestVotes:
    def counting(self) -> list[tuple[float | None, str]]:
        votes = Feedback.objects.filter(superseded_at=None)
        return sorted(votes.values_list("number", "end_user_id"), key=str)

    def test_the_newest_of_a_user_counts_and_the_older_stays(self, sk: Api) -> None:
        for value in ("up", "down", "up"):
            sk.post(URL, thumbs(value))
        assert self.counting() == [(1, "u-1")]
        assert Feedback.objects.count() == 3

    def test_null_takes_the_vote_back(self, sk: Api) -> None:
        sk.post(URL, thumbs("down"))
        sk.post(URL, thumbs(None))
        assert self.counting() == [(None, "u-1")]
        assert not any(vote.negative for vote in Feedback.objects.all())

    def test_users_and_kinds_do_not_supersede_each_other(self, sk: Api) -> None:
        sk.post(URL, thumbs("down"))
        sk.post(URL, thumbs("up", user_id="u-2"))
        sk.post(URL, {"interaction_id": "req-1", "kind": "rating", "value": 3, "user_id": "u-1"})
        assert self.counting() == [(-1, "u-1"), (1, "u-2"), (3, "u-1")]

    def test_a_vote_that_comes_late_does_not_count(self, sk: Api) -> None:
        sk.post(URL, thumbs("up", created_at="2026-11-20T12:00:00Z"))
        sk.post(URL, thumbs("down", created_at="2026-11-20T11:00:00Z"))
        assert self.counting() == [(1, "u-1")]

    def test_a_clock_in_the_future_does_not_win_for_ever(self, sk: Api) -> None:
        sk.post(URL, thumbs("up", created_at="2099-01-01T00:00:00Z"))
        sk.post(URL, thumbs("down"))
        assert self.counting() == [(-1, "u-1")]
        assert Feedback.objects.get(number=1).created_at.year == 2099

    def test_a_browser_cannot_displace_a_verified_vote(self, sk: Api, pk: Api) -> None:
        sk.post(URL, thumbs("up"))
        pk.post(URL, thumbs("down"), **ORIGIN)
        assert self.counting() == [(1, "u-1")]
        sk.post(URL, thumbs("down", created_at="2026-11-20T12:00:00Z"))
        pk.post(URL, thumbs("up", user_id="u-2"), **ORIGIN)
        sk.post(URL, thumbs("down", user_id="u-2", created_at="2020-01-01T12:00:00Z"))
        assert (-1, "u-2") in self.counting()


class TestArrival:
    def test_feedback_may_come_before_its_interaction(self, sk: Api) -> None:
        assert sk.post(URL, thumbs())[1]["linked"] is False
        assert not Inbox.objects.exists()
        sk.post("/api/v1/interactions", interaction())
        feedback = only()
        assert feedback.interaction is not None
        announced = Inbox.objects.filter(kind="feedback").values_list("stage", "object_id")
        assert sorted(announced) == [("measure", feedback.pk), ("triage", feedback.pk)]

    def test_a_batch_of_interactions_links_what_was_waiting(self, sk: Api) -> None:
        sk.post(URL, thumbs())
        sk.post(SCORES, {"interaction_id": "req-1", "name": "tone", "value": 0.3})
        sk.post("/api/v1/interactions/batch", [interaction(), interaction(id="req-2")])
        assert only().interaction.external_id == "req-1"
        assert Score.objects.get().interaction.external_id == "req-1"
        assert Inbox.objects.filter(kind="feedback").count() == 2
        assert Inbox.objects.filter(kind="score").count() == 2

    def test_feedback_for_another_projects_interaction_waits(self, sk: Api, other_project: Project) -> None:
        services.record_interaction(other_project, interaction())
        assert sk.post(URL, thumbs())[1]["linked"] is False

    @pytest.mark.usefixtures("known")
    def test_linked_feedback_is_announced_at_once_and_takes_one_statement(self, sk: Api) -> None:
        with CaptureQueriesContext(connection) as queries:
            assert sk.post(URL, thumbs())[1]["linked"] is True
        own = [query["sql"] for query in queries if "feedback_" in query["sql"]]
        assert len(own) == 1, own
        assert Inbox.objects.filter(kind="feedback").count() == 2


class TestBatch:
    def test_each_item_has_its_answer(self, sk: Api) -> None:
        sk.post("/api/v1/interactions", interaction())
        sk.post(URL, thumbs(key="old"))
        items = [
            thumbs("up", user_id="a"), thumbs("maybe"), thumbs(key="old"), thumbs("up", key="old"),
            thumbs("down", user_id="a"), {**thumbs(), "interaction_id": "later", "key": "new"},
            {**thumbs(), "interaction_id": "later", "key": "new"}, thumbs("up", key="new"), "x",
        ]  # fmt: skip
        status, body = sk.post(f"{URL}/batch", {"feedback": items})
        assert status == 200
        results = body["results"]
        assert [result["status"] for result in results] == [201, 422, 200, 422, 201, 201, 200, 422, 422]
        assert [results[n]["linked"] for n in (0, 2, 5, 6)] == [True, True, False, False]
        assert results[6]["id"] == results[5]["id"]
        assert Feedback.objects.filter(end_user_id="a", superseded_at=None).get().number == -1

    def test_votes_of_one_batch_are_ordered_by_their_time(self, sk: Api) -> None:
        items = [
            thumbs("down", created_at="2026-11-20T12:00:00Z"), thumbs("up", created_at="2026-11-20T13:00:00Z"),
            thumbs(None, created_at="2026-11-20T11:00:00Z"),
        ]  # fmt: skip
        sk.post(URL, thumbs("down", created_at="2026-11-20T10:00:00Z"))
        sk.post(f"{URL}/batch", items)
        assert Feedback.objects.get(superseded_at=None).number == 1
        assert Feedback.objects.count() == 4


@pytest.mark.usefixtures("known")
class TestBrowser:
    def test_a_listed_origin_may_give_feedback_that_is_not_verified(self, pk: Api) -> None:
        response = pk.client.post(URL, thumbs(), content_type="application/json", headers={**pk.headers, **ORIGIN})
        assert response.status_code == 201
        assert response["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert "Origin" in response["Vary"]
        assert "Access-Control-Allow-Credentials" not in response
        assert (only().source, only().verified) == ("browser", False)

    @pytest.mark.parametrize(
        "origin",
        ["", "null", "https://chat.example.com.evil.io", "http://chat.example.com", "https://chat.example.com:8443"],
    )
    def test_any_other_origin_is_refused(self, pk: Api, origin: str) -> None:
        response = pk.client.post(
            URL,
            thumbs(),
            content_type="application/json",
            headers={**pk.headers, **({"Origin": origin} if origin else {})},
        )
        assert response.status_code == 403
        assert "Access-Control-Allow-Origin" not in response
        assert not Feedback.objects.exists()

    def test_the_answer_does_not_tell_whether_the_interaction_exists(self, pk: Api) -> None:
        known = pk.post(URL, thumbs(), **ORIGIN)
        unknown = pk.post(URL, {**thumbs(), "interaction_id": "req-nowhere"}, **ORIGIN)
        assert known == unknown == (201, {"received": True, "replayed": False})

    def test_a_page_cannot_occupy_a_servers_key(self, pk: Api, sk: Api) -> None:
        assert pk.post(URL, thumbs("up", key="order-7"), **ORIGIN)[0] == 201
        assert pk.post(URL, thumbs("up", key="order-7"), **ORIGIN)[0] == 200
        assert sk.post(URL, thumbs("down", key="order-7"))[0] == 201

    def test_refusals_can_be_read_by_the_page(self, pk: Api) -> None:
        response = pk.client.post(URL, {}, content_type="application/json", headers={**pk.headers, **ORIGIN})
        assert response.status_code == 422
        assert response["Access-Control-Allow-Origin"] == ORIGIN["Origin"]

    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [("https://chat.example.com", True), ("https://evil.io", False), ("null", False), ("", False)],
    )
    def test_the_preflight_is_answered_for_listed_origins(self, pk: Api, origin: str, allowed: bool) -> None:
        response = Client().options(URL, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert response.status_code == 204
        assert ("Access-Control-Allow-Origin" in response) is allowed
        assert "Origin" in response["Vary"]
        if allowed:
            assert response["Access-Control-Allow-Methods"] == "POST"
            assert "authorization" in response["Access-Control-Allow-Headers"]

    def test_a_secret_key_is_never_answered_across_origins(self, sk: Api) -> None:
        response = sk.client.post(URL, thumbs(), content_type="application/json", headers={**sk.headers, **ORIGIN})
        assert response.status_code == 201
        assert "Access-Control-Allow-Origin" not in response


class TestScores:
    def test_a_score_is_linked_announced_and_stored_once_per_key(self, sk: Api, known: None) -> None:
        sent = {"interaction_id": "req-1", "name": "faithfulness", "value": 0.31, "explanation": "Not in the source",
                "version": "3", "key": "f-1", "flagged": True, "detail": {"claims": 2}}  # fmt: skip
        status, body = sk.post(SCORES, sent)
        assert (status, body["linked"], body["replayed"]) == (201, True, False)
        assert sk.post(SCORES, sent)[0] == 200
        assert sk.post(SCORES, {**sent, "value": 0.5})[0] == 422
        stored = Score.objects.get()
        assert (stored.name, stored.value, stored.flagged, stored.source) == ("faithfulness", 0.31, True, "api")
        assert stored.detail == {"claims": 2}
        assert Inbox.objects.filter(kind="score").count() == 2
        assert sk.get("/api/v1/interactions/req-1")[1]["scores"][0]["value"] == 0.31

    @pytest.mark.parametrize("says", [{"label": "rude"}, {"value": True}, {"flagged": False}, {"value": -3}])
    def test_a_score_may_say_a_label_a_value_or_a_flag(self, sk: Api, says: dict[str, Any]) -> None:
        assert sk.post(SCORES, {"interaction_id": "req-1", "name": "tone", **says})[0] == 201

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"name": "tone"}, "/value"), ({"name": "", "value": 1}, "/name"), ({"name": "a", "value": "1"}, "/value"),
            ({"name": "a", "value": 1e300}, "/value"), ({"name": "x" * 101, "value": 1}, "/name"), ({"value": 1}, "/"),
        ],
    )  # fmt: skip
    def test_a_score_that_says_nothing_is_refused(self, sk: Api, body: dict[str, Any], path: str) -> None:
        status, answer = sk.post(SCORES, {"interaction_id": "req-1", **body})
        assert (status, answer["error"]["details"][0]["path"]) == (422, path)


def test_a_webhook_hears_of_feedback_in_the_same_transaction(sk: Api, project: Project, known: None) -> None:
    Webhook.objects.create(
        project=project, url="https://h.example.com", secret_sealed="x", events=["feedback.received"]
    )
    webhooks.forget()
    sk.post(URL, thumbs(comment="secret words", key="k"))
    sk.post(URL, thumbs(comment="secret words", key="k"))
    delivery = Delivery.objects.get()
    assert delivery.event == "feedback.received"
    assert delivery.payload["interaction_id"] == "req-1"
    assert "secret words" not in str(delivery.payload)
    sk.post(f"{URL}/batch", [thumbs(user_id="b"), thumbs(user_id="c")])
    assert Delivery.objects.count() == 3
    webhooks.forget()
