"""``/api/v1/interactions``: storing once, reading back, adding later."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from feedback import detail
from feedback.models import Inbox, Interaction, Span
from projects import keys
from projects.models import Project
from tests.conftest import Api
from tests.feedback.bodies import full_interaction, interaction

URL = "/api/v1/interactions"


def test_every_field_that_is_sent_can_be_read_back(sk: Api) -> None:
    sent = full_interaction()
    assert sk.post(URL, sent) == (201, {"id": "req-8f2", "replayed": False})
    status, got = sk.get(f"{URL}/req-8f2")
    assert status == 200
    spans, got_spans = sent.pop("spans"), got.pop("spans")
    for name in sent:
        assert got[name] == sent[name], name
    assert got["error"] is None
    assert [span["id"] for span in got_spans] == ["a1", "a2"]
    assert got_spans[0] == spans[0]
    assert got_spans[1]["parent_id"] == "a1"
    assert got_spans[1]["status"] == "error"
    assert got["feedback"] == got["scores"] == []


def test_the_least_that_is_accepted_is_an_input_and_an_output(sk: Api, project: Project) -> None:
    status, body = sk.post(URL, {"input": "Hello?", "output": ""})
    assert status == 201
    stored = Interaction.objects.get(project=project, external_id=body["id"])
    assert (stored.question, stored.output, stored.status, stored.cost_usd) == ("Hello?", "", "ok", None)


def test_an_error_takes_the_place_of_an_output(sk: Api) -> None:
    assert sk.post(URL, interaction(output=None, error={"type": "Timeout", "message": "30 s"}))[0] == 201
    stored = Interaction.objects.get()
    assert (stored.status, stored.error_type, stored.error_message, stored.output) == ("error", "Timeout", "30 s", "")


def test_an_output_of_messages_keeps_them_and_shows_the_last_text(sk: Api) -> None:
    output = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ]
    sk.post(URL, interaction(output=output))
    stored = Interaction.objects.get()
    assert stored.output == "Done."
    assert stored.output_messages == output


def test_the_same_body_again_is_a_replay_even_with_its_keys_in_another_order(sk: Api) -> None:
    sent = full_interaction()
    sk.post(URL, sent)
    again = dict(reversed(list(sent.items())))
    assert sk.post(URL, again) == (200, {"id": "req-8f2", "replayed": True})
    assert Interaction.objects.count() == 1
    assert Span.objects.count() == 2


def test_the_same_id_with_another_body_is_refused_and_changes_nothing(sk: Api) -> None:
    sk.post(URL, interaction())
    status, body = sk.post(URL, interaction(output="Something else"))
    assert status == 422
    assert body["error"]["code"] == "idempotency_mismatch"
    assert body["error"]["details"][0]["path"] == "/id"
    assert Interaction.objects.get().output == "It is the monthly fee."


def test_two_projects_may_use_one_id(sk: Api, other_project: Project) -> None:
    other = Api(keys.create_key(project=other_project, kind="sk", name="t", scopes=["ingest", "read"])[1])
    assert sk.post(URL, interaction())[0] == 201
    assert other.post(URL, interaction(output="Ours"))[0] == 201
    assert other.get(f"{URL}/req-1")[1]["output"] == "Ours"


def test_another_projects_interaction_is_not_there(sk: Api, other_project: Project) -> None:
    other = Api(keys.create_key(project=other_project, kind="sk", name="t", scopes=["ingest", "read"])[1])
    other.post(URL, interaction())
    assert sk.get(f"{URL}/req-1")[0] == 404
    assert sk.patch(f"{URL}/req-1", {"tags": ["x"]})[0] == 404
    assert sk.get(URL)[1]["results"] == []


def test_every_stage_hears_of_a_new_interaction_once(sk: Api) -> None:
    sk.post(URL, interaction())
    sk.post(URL, interaction())
    assert sorted(Inbox.objects.values_list("stage", "kind")) == [
        ("analyse", "interaction"), ("measure", "interaction"), ("triage", "interaction"),
    ]  # fmt: skip


def test_fields_that_are_not_known_are_named_in_the_answer(sk: Api) -> None:
    assert sk.post(URL, interaction(latency=12))[1]["ignored"] == ["/latency"]


@pytest.mark.parametrize("external_id", ["two\nlines", "end\n", " ", "a/b/", "100%", "?", "\u00fc\U0001f600"])
def test_whatever_was_accepted_as_an_id_can_be_asked_for(sk: Api, external_id: str) -> None:
    assert sk.post(URL, interaction(id=external_id))[0] == 201
    assert sk.get(f"{URL}/{quote(external_id, safe='')}")[1]["id"] == external_id


def test_an_id_may_hold_slashes(sk: Api) -> None:
    sk.post(URL, interaction(id="chat/2026/7"))
    assert sk.get(f"{URL}/chat/2026/7")[1]["id"] == "chat/2026/7"


def test_a_document_id_that_is_a_number_becomes_text(sk: Api) -> None:
    sk.post(URL, interaction(documents=[{"id": 7, "content": "x"}, {"content": "y"}]))
    assert [document["id"] for document in Interaction.objects.get().documents] == ["7", ""]


def test_storing_one_takes_one_statement(sk: Api) -> None:
    sk.post(URL, interaction())
    with CaptureQueriesContext(connection) as queries:
        sk.post(URL, full_interaction())
    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) == 1, statements


class TestPatch:
    def test_adds_outcome_tags_and_metadata(self, sk: Api) -> None:
        sk.post(URL, full_interaction())
        status, body = sk.patch(
            f"{URL}/req-8f2", {"outcome": {"refunded": 4.9}, "tags": ["late", "vip"], "metadata": {"agent": "Ida"}}
        )
        assert status == 200
        assert body["outcome"] == {"resolved": True, "refunded": 4.9}
        assert body["tags"] == ["vip", "late"]
        assert body["metadata"] == {"shop": "Kraków", "agent": "Ida"}

    def test_does_not_turn_a_replay_into_a_mismatch(self, sk: Api) -> None:
        sk.post(URL, full_interaction())
        sk.patch(f"{URL}/req-8f2", {"tags": ["late"]})
        assert sk.post(URL, full_interaction())[0] == 200

    def test_refuses_what_is_a_fact(self, sk: Api) -> None:
        sk.post(URL, interaction())
        status, body = sk.patch(f"{URL}/req-1", {"output": "rewritten"})
        assert (status, body["error"]["details"][0]["path"]) == (422, "/output")

    def test_of_an_unknown_interaction_is_not_found(self, sk: Api) -> None:
        assert sk.patch(f"{URL}/nowhere", {"tags": ["x"]})[0] == 404

    def test_cannot_pass_the_limit_of_tags(self, sk: Api) -> None:
        sk.post(URL, interaction(tags=[f"t{n}" for n in range(50)]))
        assert sk.patch(f"{URL}/req-1", {"tags": ["t1"]})[0] == 200
        assert sk.patch(f"{URL}/req-1", {"tags": ["one more"]})[0] == 422


class TestBatch:
    def test_answers_for_each_item_in_its_place(self, sk: Api) -> None:
        sk.post(URL, interaction(id="known"))
        items = [
            interaction(id="a"), {"messages": "no"}, interaction(id="known"), interaction(id="known", output="other"),
            interaction(id="a"), interaction(id="a", output="other"), interaction(id=None), 7,
        ]  # fmt: skip
        status, body = sk.post(f"{URL}/batch", items)
        assert status == 200
        results = body["results"]
        assert [result["index"] for result in results] == list(range(8))
        assert [result["status"] for result in results] == [201, 422, 200, 422, 200, 422, 201, 422]
        assert results[0]["id"] == "a"
        assert results[1]["error"]["details"][0]["path"] == "/messages"
        assert results[2]["replayed"] is True
        assert results[3]["error"]["code"] == results[5]["error"]["code"] == "idempotency_mismatch"
        assert Interaction.objects.count() == 3

    @pytest.mark.parametrize("wrap", [lambda items: items, lambda items: {"interactions": items}])
    def test_takes_a_list_or_an_object(self, sk: Api, wrap: Callable[[list[Any]], Any]) -> None:
        assert sk.post(f"{URL}/batch", wrap([interaction(id="a"), interaction(id="b")]))[0] == 200
        assert Interaction.objects.count() == 2

    def test_takes_ndjson_and_gzip(self, sk: Api) -> None:
        lines = "\n\n".join(json.dumps(full_interaction(id=f"n{n}")) for n in range(3)) + "\n{broken\n"
        _, body = sk.call(
            "POST", f"{URL}/batch", gzip.compress(lines.encode()), content_type="application/x-ndjson",
            **{"Content-Encoding": "gzip"},
        )  # fmt: skip
        assert [result["status"] for result in body["results"]] == [201, 201, 201, 400]
        assert body["results"][3]["error"]["code"] == "malformed_json"
        assert Span.objects.count() == 6

    def test_stores_the_same_rows_as_single_posts(self, sk: Api) -> None:
        sk.post(URL, full_interaction(id="single"))
        sk.post(f"{URL}/batch", [full_interaction(id="batched")])
        single, batched = (sk.get(f"{URL}/{name}")[1] for name in ("single", "batched"))
        for body in (single, batched):
            del body["id"], body["received_at"]
        assert single == batched
        assert Inbox.objects.count() == 6

    def test_takes_a_fixed_number_of_statements(self, sk: Api) -> None:
        sk.post(URL, interaction())
        counts = []
        for size in (5, 50):
            with CaptureQueriesContext(connection) as queries:
                sk.post(f"{URL}/batch", [full_interaction(id=f"{size}-{n}") for n in range(size)])
            counts.append(len(queries))
        assert counts[0] == counts[1]

    def test_a_value_that_only_postgresql_refuses_fails_alone(self, sk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("feedback.rows._cost", lambda sent: "not a number" if sent.cost_usd else None)
        _, body = sk.post(f"{URL}/batch", [interaction(id="a"), interaction(id="b", cost_usd=1), interaction(id="c")])
        assert [result["status"] for result in body["results"]] == [201, 422, 201]


class TestList:
    @pytest.fixture
    def many(self, sk: Api) -> None:
        items = [
            full_interaction(
                id=f"r{n:02}", created_at=f"2026-11-{n + 1:02}T12:00:00Z", model=f"m{n % 2}",
                tags=["even"] * (n % 2 == 0), output=f"Answer {n}", session_id=f"s{n // 5}",
            )
            for n in range(12)
        ]  # fmt: skip
        assert sk.post(f"{URL}/batch", items)[0] == 200
        for n, value in ((3, "down"), (4, "up"), (5, None)):
            sk.post("/api/v1/feedback", {"interaction_id": f"r{n:02}", "kind": "thumbs", "value": value})
        sk.post("/api/v1/feedback", {"interaction_id": "r06", "kind": "rating", "value": 2, "scale": 5})

    def ids(self, sk: Api, query: str) -> list[str]:
        status, body = sk.get(f"{URL}?{query}")
        assert status == 200, body
        return [row["id"] for row in body["results"]]

    @pytest.mark.usefixtures("many")
    def test_pages_by_cursor_meet_every_row_once_although_more_arrive(self, sk: Api) -> None:
        seen, cursor = [], ""
        while True:
            _, body = sk.get(f"{URL}?limit=5&cursor={cursor}")
            seen += [row["id"] for row in body["results"]]
            sk.post(URL, interaction(id=f"new-{len(seen)}", created_at="2026-11-20T12:00:00Z"))
            cursor = body["next"]
            if not cursor:
                break
        assert seen == [f"r{n:02}" for n in reversed(range(12))]

    @pytest.mark.usefixtures("many")
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("model=m1&since=2026-11-10", ["r11", "r09"]),
            ("model=m0&model=m1&until=2026-11-02", ["r01", "r00"]),
            ("since=2026-11-03T12:00:00Z&until=2026-11-04T12:00:00Z", ["r02"]),
            ("tag=even&session=s2", ["r10"]),
            ("q=answer%207", ["r07"]),
            ("q=r08", ["r08"]),
            ("feedback=negative", ["r06", "r03"]),
            ("feedback=positive", ["r04"]),
            ("feedback=any", ["r06", "r05", "r04", "r03"]),
            ("feedback=none&until=2026-11-04", ["r02", "r01", "r00"]),
            ("feature=billing-faq&release=nope", []),
            ("prompt=support&prompt_version=14&limit=1", ["r11"]),
        ],
    )
    def test_filters(self, sk: Api, query: str, expected: list[str]) -> None:
        assert self.ids(sk, query) == expected

    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("messages__icontains=x", "/messages__icontains"), ("since=yesterday", "/since"), ("limit=0", "/limit"),
            ("limit=201", "/limit"), ("cursor=abc", "/cursor"), ("feedback=bad", "/feedback"), ("q=a%00b", "/q"),
            ("since=0001-01-01", "/since"), ("limit=%C2%B2", "/limit"), ("since=2026-02-31", "/since"),
            ("cursor=_________________________w", "/cursor"),
        ],
    )  # fmt: skip
    def test_a_parameter_that_does_not_fit_is_named(self, sk: Api, query: str, path: str) -> None:
        status, body = sk.get(f"{URL}?{query}")
        assert (status, body["error"]["details"][0]["path"]) == (422, path)

    @pytest.mark.usefixtures("many")
    def test_takes_two_queries_whatever_the_number_of_rows(self, sk: Api) -> None:
        sk.get(URL)
        for size in (3, 12):
            with CaptureQueriesContext(connection) as queries:
                sk.get(f"{URL}?limit={size}")
            assert len(queries) == 2  # which, and what they hold


class TestWhoMay:
    @pytest.mark.parametrize(
        ("scopes", "may_write", "may_read"), [(["ingest"], 201, 403), (["read"], 403, 200), ([], 403, 403)]
    )
    def test_scopes_part_writing_from_reading(
        self, project: Project, scopes: list[str], may_write: int, may_read: int
    ) -> None:
        api = Api(keys.create_key(project=project, kind="sk", name="t", scopes=scopes)[1])
        assert api.post(URL, interaction())[0] == may_write
        assert api.post(f"{URL}/batch", [])[0] == (200 if may_write == 201 else 403)
        assert api.patch(f"{URL}/nowhere", {})[0] == (404 if may_write == 201 else 403)
        assert api.get(URL)[0] == may_read
        assert api.get(f"{URL}/nowhere")[0] == (404 if may_read == 200 else 403)

    @pytest.mark.parametrize(
        ("role", "expected"), [("viewer", 200), ("engineer", 200), ("reviewer", 403), ("outsider", 403)]
    )
    def test_people_read_with_a_token_and_store_nothing(
        self, token_of: Callable[[str], Api], role: str, expected: int
    ) -> None:
        api = token_of(role)
        assert api.get(URL)[0] == expected
        assert api.post(URL, interaction())[0] == 403

    def test_without_a_key_nothing(self, nobody: Api, db: None) -> None:
        status, body = nobody.post(URL, interaction())
        assert (status, body["error"]["code"]) == (401, "unauthenticated")
        assert Api("rh_sk_unknown").get(URL)[0] == 401

    def test_a_publishable_key_neither_reads_nor_stores_interactions(self, pk: Api) -> None:
        origin = {"Origin": "https://chat.example.com"}
        assert pk.post(URL, interaction(), **origin)[0] == 403
        assert pk.get(URL, **origin)[0] == 403
        assert pk.post("/api/v1/scores", {}, **origin)[0] == 403
        assert pk.post("/api/v1/feedback/batch", [], **origin)[0] == 403


def test_another_app_adds_its_section_to_the_detail(sk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    section = detail.Section(name="labels", load=lambda interaction: [{"verdict": interaction.external_id}])
    monkeypatch.setattr(detail, "sections", [section])
    sk.post(URL, interaction())
    assert sk.get(f"{URL}/req-1")[1]["labels"] == [{"verdict": "req-1"}]
