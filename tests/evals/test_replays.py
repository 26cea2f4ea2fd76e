"""Replays: a stored request asked again, by page and by API, with a real provider double and the real worker round."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotations.models import Label
from evals import datasets, judging, llm, replay_spending, replaying, replays, throttle
from evals.models import Example, JudgeBudget, Replay, ReplayAttempt, Spend
from feedback.models import Interaction, Score
from projects import connections
from projects.errors import ApiError
from projects.models import Project, User
from tests.conftest import Api
from tests.evals import golden
from tests.fakes.provider import FakeProvider, html, refusal, says, status

Browser = Callable[[str], Client]
MODEL = "gpt-4o-mini"
HOSTILE = "<script>alert(1)</script>"


def url(name: str, *parts: Any) -> str:
    return reverse(f"evals:{name}", args=["acme", *parts])


@pytest.fixture
def complaint(project: Project) -> Interaction:
    """A wrong answer with everything that a request may hold."""
    return golden.interaction(
        project, external_id="req-8", provider="openai", model=MODEL, output="A transfer is free.",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the fee?"}],
        documents=[{"id": "kb-1", "title": "Fees", "content": "An instant transfer costs 50 cents."},
                   {"id": "kb-2", "title": "Old", "content": "Transfers are free."}],
        parameters={"temperature": 0.7, "max_tokens": 100},
    )  # fmt: skip


def labelled(project: Project, complaint: Interaction) -> Label:
    return golden.label(
        project, complaint, assertions=[{"type": "must", "text": "50 cents"}], desired_output="It costs 50 cents."
    )


def asked(complaint: Interaction, **fields: Any) -> Replay:
    values: dict[str, Any] = {"provider": "openai", "model": MODEL, "times": 5}
    label = replays.current_label(complaint)
    return replays.start(complaint, **{"wanted": replays.checks_of_label(label), **values, **fields})


def form(complaint: Interaction, **fields: str) -> dict[str, str]:
    """What a browser sends of the untouched form."""
    sent = {"source": "openai", "model": MODEL, "times": "5", "decides": "person", "says": "", "must": "",
            "document": ""}  # fmt: skip
    sent |= {f"message-{n}": one["content"] for n, one in enumerate(complaint.messages)}
    sent |= {f"keep-{n}": "on" for n, _ in enumerate(complaint.documents)}
    return {**sent, **fields}


@pytest.mark.django_db
class TestFlukeOrFault:
    def test_an_engineer_asks_again_and_sees_that_it_is_a_fault(
        self, project: Project, complaint: Interaction, provider: FakeProvider, browser_of: Browser
    ) -> None:
        labelled(project, complaint)
        engineer = browser_of("engineer")
        assert url("replay-new", complaint.pk) in engineer.get(
            reverse("feedback:interaction-detail", args=["acme", complaint.pk])
        ).content.decode()  # fmt: skip
        page = engineer.get(url("replay-new", complaint.pk)).content.decode()
        assert "What the label demands" in page
        assert "Be brief." in page
        started = engineer.post(url("replay-new", complaint.pk), form(complaint, decides="label"))
        assert started.status_code == 302
        running = engineer.get(started["Location"]).content.decode()
        assert "0 of 5 attempts have ended" in running
        assert 'hx-trigger="every 2s"' in running

        provider.reply = lambda call: f"Free of charge. {HOSTILE}"
        assert replaying.work() is False
        page = engineer.get(started["Location"]).content.decode()
        assert "A fault: it fails more often than not" in page
        assert "<b>5 of 5</b>" in page
        assert "between 57\u00a0% and 100\u00a0%" in page
        assert "does not say “50 cents”" in page
        assert HOSTILE not in page
        assert "with other" not in page
        body = provider.calls[0].body
        assert (body["model"], body["temperature"], body["max_tokens"]) == (MODEL, 0.7, 100)
        assert [one["role"] for one in body["messages"]] == ["system", "system", "user"]
        assert "An instant transfer costs 50 cents." in body["messages"][0]["content"]
        moved = engineer.get(started["Location"], headers={"HX-Request": "true", "HX-Target": "replay-progress"})
        assert moved["HX-Refresh"] == "true"
        told = engineer.get(reverse("feedback:interaction-detail", args=["acme", complaint.pk])).content.decode()
        assert "5 of 5 fail again" in told

    def test_what_passes_from_now_on_was_a_fluke_and_a_mixture_is_not_clear(
        self, project: Project, complaint: Interaction, provider: FakeProvider
    ) -> None:
        labelled(project, complaint)
        provider.reply = lambda call: "It costs 50 cents."
        fluke = asked(complaint)
        replaying.work()
        assert (replays.found(fluke).verdict, replays.found(fluke).share) == ("fluke", 0.0)
        mixed = asked(complaint)
        provider.script(says("It is free."), says("Nothing at all."))
        replaying.work()
        assert str(replays.found(mixed)) == "2 of 5 attempts fail again (12% to 77%): not clear yet"

    def test_the_prompt_the_documents_and_the_model_may_be_others(
        self, complaint: Interaction, provider: FakeProvider, browser_of: Browser
    ) -> None:
        sent = form(complaint, model="gpt-4o", document="Since May it costs 60 cents.", times="1", decides="words")
        sent |= {"message-0": "Be exact.\r\nQuote.", "must": "60 cents"}
        del sent["keep-1"]
        provider.reply = lambda call: "It costs 60 cents."
        started = browser_of("lead").post(url("replay-new", complaint.pk), sent)
        replaying.work()
        replay = Replay.objects.get()
        assert replay.changed == ["messages", "documents", "model"]
        body = provider.calls[0].body
        assert body["model"] == "gpt-4o"
        assert "60 cents" in body["messages"][0]["content"]
        assert "Transfers are free." not in body["messages"][0]["content"]
        assert body["messages"][1]["content"] == "Be exact.\nQuote."
        assert replays.found(replay).failing == 0
        page = browser_of("viewer").get(started["Location"]).content.decode()
        assert "with other messages, documents, model" in page
        assert "Attach as evidence" not in page

    def test_a_person_decides_where_no_check_does_and_over_any(
        self, project: Project, complaint: Interaction, provider: FakeProvider, browser_of: Browser
    ) -> None:
        replay = asked(complaint, times=2)
        replaying.work()
        lead = browser_of("lead")
        assert "2 answers wait for your verdict" in lead.get(url("replay-detail", replay.pk)).content.decode()
        assert replays.found(replay).verdict == ""
        lead.post(url("replay-mark", replay.pk, 1), {"fails": "yes"})
        lead.post(url("replay-mark", replay.pk, 2), {"fails": "no"})
        assert lead.post(url("replay-mark", replay.pk, 2), {"fails": "perhaps"}).status_code == 302
        assert list(replay.attempts.values_list("fails", flat=True)) == [True, False]
        assert lead.post(url("replay-mark", replay.pk, 9), {"fails": "no"}).status_code == 404
        assert "said Lead" in lead.get(url("replay-detail", replay.pk)).content.decode()
        labelled(project, complaint)
        judged = asked(complaint, times=1)
        replaying.work()
        lead.post(url("replay-mark", judged.pk, 1), {"fails": "no"})
        assert replays.found(judged).failing == 0

    def test_anthropic_is_asked_in_its_own_words(self, complaint: Interaction, provider: FakeProvider) -> None:
        provider.reply = lambda call: "It costs 50 cents."
        replay = asked(complaint, provider="anthropic", model="claude-x", times=1)
        replaying.work()
        assert replay.attempts.get().output == "It costs 50 cents."
        body = provider.calls[0].body
        assert (body["max_tokens"], [one["role"] for one in body["messages"]]) == (100, ["user"])
        assert body["system"].endswith("Be brief.")

    def test_a_refusal_is_an_answer(self, complaint: Interaction, provider: FakeProvider) -> None:
        replay = asked(complaint, times=1, wanted=[{"type": "contains", "text": "cents"}])
        provider.script(refusal)
        replaying.work()
        one = replay.attempts.get()
        assert (one.output, one.fails) == ("I can't help with that.", True)

    def test_the_same_seed_makes_the_interval_too_narrow_and_the_page_says_so(
        self, project: Project, provider: FakeProvider, browser_of: Browser
    ) -> None:
        cold = golden.interaction(project, parameters={"temperature": 0}, model=MODEL)
        replay = asked(cold, times=1, wanted=[{"type": "not_empty"}])
        replaying.work()
        page = browser_of("viewer").get(url("replay-detail", replay.pk)).content.decode()
        assert "the interval is too narrow" in page


@pytest.mark.django_db
class TestWorking:
    def test_without_a_key_it_waits_says_so_and_starts_by_itself(
        self, project: Project, complaint: Interaction, provider: FakeProvider, settings: Any, browser_of: Browser
    ) -> None:
        key, settings.OPENAI_API_KEY = settings.OPENAI_API_KEY, ""
        replay = asked(complaint, times=2)
        assert replaying.work() is False
        page = browser_of("engineer").get(url("replay-detail", replay.pk)).content.decode()
        assert "Needs a key: OPENAI_API_KEY. The attempts wait" in page
        assert set(replay.attempts.values_list("attempts", flat=True)) == {0}
        settings.OPENAI_API_KEY = key
        replaying.work()
        assert replays.found(replay).finished == 2

    def test_a_connection_of_the_project_is_asked_with_its_own_key(
        self, project: Project, complaint: Interaction, provider: FakeProvider
    ) -> None:
        own = connections.create_connection(
            project, name="own", kind="openai", base_url=provider.openai_url, key="sk-own", actor=None
        )
        asked(complaint, connection=own, times=1)
        replaying.work()
        assert provider.calls[0].key == "sk-own"

    def test_faults_that_may_pass_are_tried_later_and_others_end_the_attempt(
        self, complaint: Interaction, provider: FakeProvider
    ) -> None:
        replay = asked(complaint, times=1, wanted=[{"type": "not_empty"}])
        provider.script(status(500))
        replaying.work()
        one = replay.attempts.get()
        assert (one.finished_at, one.attempts, one.cost_usd) == (None, 1, None)
        assert one.not_before > timezone.now()
        ReplayAttempt.objects.update(not_before=timezone.now())
        provider.script(status(404))
        replaying.work()
        one.refresh_from_db()
        assert (one.error, one.fails) == ("The provider does not know this model or address (404).", None)
        garbage = asked(complaint, times=1, wanted=[{"type": "not_empty"}])
        provider.script(html)
        replaying.work()
        assert garbage.attempts.get().error == "The provider's answer was not JSON."
        assert replays.found(garbage).unanswered == 1

    def test_a_provider_that_rests_is_left_alone(self, complaint: Interaction, provider: FakeProvider) -> None:
        replay = asked(complaint, times=1)
        throttle.busy(replay, 60, 8)
        replaying.work()
        assert (provider.calls, replay.attempts.get().attempts) == ([], 0)

    def test_a_worker_that_died_is_followed_by_another_and_too_late_is_too_late(
        self, complaint: Interaction, provider: FakeProvider
    ) -> None:
        replay = asked(complaint, times=1, wanted=[{"type": "not_empty"}])
        (dead, _, _), *_ = replaying._claim(8)
        ReplayAttempt.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        provider.reply = lambda call: "second"
        replaying.work()
        assert replaying.settle(dead, replaying.Answer("first")) is False
        one = replay.attempts.get()
        assert (one.output, one.attempts) == ("second", 2)
        doomed = asked(complaint, times=1)
        ReplayAttempt.objects.filter(replay=doomed).update(
            attempts=replaying.MAX_DEATHS, leased_until=timezone.now() - timedelta(seconds=1)
        )
        replaying.work()
        assert doomed.attempts.get().error == "The worker stopped 3 times while asking this."

    def test_what_cannot_be_stored_is_made_storable(self, complaint: Interaction, provider: FakeProvider) -> None:
        replay = asked(complaint, times=1, wanted=[{"type": "not_empty"}])
        provider.reply = lambda call: "a\0b \ud800"
        replaying.work()
        one = replay.attempts.get()
        assert (one.finished_at is not None, "\0" in one.output) == (True, False)


@pytest.mark.django_db
class TestBudget:
    def sums(self, project: Project) -> tuple[Decimal, Decimal, Decimal]:
        row = Spend.objects.get(project=project, judge=None, period="day")
        return row.reserved_usd, row.settled_usd, row.unknown_usd

    def test_replays_stop_at_the_projects_budget_and_go_on_with_a_new_one(
        self, project: Project, complaint: Interaction, provider: FakeProvider, browser_of: Browser
    ) -> None:
        replay = asked(complaint, times=5, wanted=[{"type": "not_empty"}])
        most = replay_spending.most_of(replay, replaying.body_of(replay))
        assert most
        JudgeBudget.objects.create(project=project, day_cap_usd=most * 2)
        provider.usage = (10_000, 2_000)  # dearer than anybody thought: the next may not be asked at all
        replaying.work()
        assert len(provider.calls) == 2
        assert self.sums(project)[0] == 0
        assert self.sums(project)[1] == sum(
            replay.attempts.exclude(finished_at=None).values_list("cost_usd", flat=True)
        )
        page = browser_of("engineer").get(url("replay-detail", replay.pk)).content.decode()
        assert "The budget of the day" in page
        JudgeBudget.objects.update(day_cap_usd=Decimal(100))
        replaying.work()
        assert replays.found(replay).finished == 5

    def test_a_budget_and_an_unknown_price_do_not_go_together(
        self, project: Project, complaint: Interaction, provider: FakeProvider, browser_of: Browser
    ) -> None:
        JudgeBudget.objects.create(project=project, month_cap_usd=Decimal(5))
        replay = asked(complaint, model="nobody-knows-it", times=1)
        replaying.work()
        assert provider.calls == []
        page = browser_of("engineer").get(url("replay-detail", replay.pk)).content.decode()
        assert "no price is known for nobody-knows-it" in page

    def test_what_a_dead_worker_reserved_is_booked_as_spent(
        self, project: Project, complaint: Interaction, provider: FakeProvider
    ) -> None:
        replay = asked(complaint, times=1, wanted=[{"type": "not_empty"}])
        replaying._claim(8)
        most = ReplayAttempt.objects.get().cost_usd
        assert self.sums(project) == (most, 0, 0)
        lease = timezone.now() - timedelta(seconds=1)
        ReplayAttempt.objects.update(leased_until=lease)
        replaying.work()
        reserved, settled, unknown = self.sums(project)
        assert (reserved, unknown) == (0, most)
        assert settled == replay.attempts.get().cost_usd

    @pytest.mark.django_db(transaction=True)
    def test_two_workers_together_keep_to_it(
        self, project: Project, complaint: Interaction, provider: FakeProvider
    ) -> None:
        replay = asked(complaint, times=20, wanted=[{"type": "not_empty"}])
        most = replay_spending.most_of(replay, replaying.body_of(replay))
        assert most
        JudgeBudget.objects.create(project=project, day_cap_usd=most * 7)
        claimed: list[Any] = []

        def claim() -> None:
            try:
                claimed.extend(replaying._claim(5))
            finally:
                database.close()

        threads = [threading.Thread(target=claim) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(claimed) == 7
        assert len({attempt.pk for attempt, _, _ in claimed}) == 7
        assert self.sums(project)[0] == most * 7


@pytest.mark.django_db
class TestResult:
    def test_it_becomes_evidence_beside_the_label_once(
        self, project: Project, complaint: Interaction, provider: FakeProvider, browser_of: Browser
    ) -> None:
        label = labelled(project, complaint)
        replay = asked(complaint)
        lead = browser_of("lead")
        lead.post(url("replay-attach", replay.pk))
        assert not Score.objects.exists()
        replaying.work()
        for _ in range(2):
            lead.post(url("replay-attach", replay.pk))
        score = Score.objects.get(name="replay")
        assert (score.value, score.label, score.flagged, score.interaction) == (1.0, "fault", None, complaint)
        assert score.explanation.startswith("5 of 5 attempts fail again (57% to 100%): a fault")
        assert (score.detail["label"], score.detail["replay"]) == (label.pk, replay.pk)
        assert score.detail["annotations"] == label.annotation_ids

    def test_an_answer_that_passes_becomes_a_golden_draft(
        self, project: Project, complaint: Interaction, provider: FakeProvider, browser_of: Browser, people: Any
    ) -> None:
        labelled(project, complaint)
        replay = asked(complaint, times=2)
        provider.script(says("It is free."), says("It costs 50 cents."))
        replaying.work()
        good = replay.attempts.get(fails=False)
        bad = replay.attempts.get(fails=True)
        lead = browser_of("lead")
        lead.post(url("replay-golden", replay.pk, bad.number))
        assert not Example.objects.exists()
        to = lead.post(url("replay-golden", replay.pk, good.number))
        example = Example.objects.get()
        assert to["Location"] == url("example-detail", example.pk)
        assert example.expected["output"] == "It costs 50 cents."
        assert example.expected["assertions"] == [{"type": "must", "text": "50 cents"}]
        assert (example.approved_at, example.metadata["answer"]) == (None, "A transfer is free.")
        assert example.provenance["replay"]["attempt"] == good.number
        assert example.input["parameters"] == complaint.parameters
        datasets.approve_all(golden.dataset(project), actor=people["engineer"])
        assert datasets.freeze(golden.dataset(project), actor=people["engineer"]).count == 1

    def test_without_a_label_the_draft_claims_none(
        self, project: Project, complaint: Interaction, provider: FakeProvider, people: dict[str, User]
    ) -> None:
        replay = asked(complaint, times=1, wanted=[{"type": "not_empty"}])
        replaying.work()
        example = replays.make_golden(replays.attempt_of(replay, 1), actor=people["lead"])  # type: ignore[arg-type]
        assert example.expected["label"] == {"verdict": None, "category": None, "severity": None}
        assert "settled_by" not in example.provenance
        assert not Label.objects.exists()


@pytest.mark.django_db
class TestApi:
    def test_a_program_asks_and_reads(self, complaint: Interaction, provider: FakeProvider, sk: Api) -> None:
        sent = {
            "interaction_id": "req-8", "times": 3, "checks": [{"type": "contains", "text": "cents"}],
            "messages": [{"role": "user", "content": "Fee?"}],
        }  # fmt: skip
        code, started = sk.post("/api/v1/replays", sent)
        assert (code, started["finished"], started["changed"], started["verdict"]) == (201, 0, ["messages"], None)
        replaying.work()
        code, told = sk.get(f"/api/v1/replays/{started['id']}")
        assert (code, told["failing"], told["judged"], told["verdict"]) == (200, 3, 3, "unclear")
        assert [one["number"] for one in told["attempts"]] == [1, 2, 3]
        assert told["attempts"][0]["output"].startswith("Fake answer to: Fee?")
        code, whole = sk.get("/api/v1/interactions/req-8")
        assert (code, whole["replays"][0]["failing"]) == (200, 3)

    @pytest.mark.parametrize(
        ("body", "code", "path"),
        [
            ({"interaction_id": "nobody"}, 404, ""),
            ({"times": 0}, 422, "/times"),
            ({"times": 51}, 422, "/times"),
            ({"parameters": {"max_tokens": "many"}}, 422, "/parameters/max_tokens"),
            ({"parameters": {"top_k": 3}}, 422, "/parameters/top_k"),
            ({"tools": [{"name": "no function"}]}, 422, "/tools"),
            ({"connection": "none"}, 422, "/connection"),
            ({"checks": [{"type": "judge", "criterion": "kind?"}]}, 422, "/checks"),
            ({"checks": [{"type": "expected"}]}, 422, "/checks"),
            ({"checks": [{"type": "nonsense"}]}, 422, "/checks"),
            ({"messages": []}, 422, "/messages"),
            ({"messages": [{"role": 5}]}, 422, "/messages/0/role"),
            ({"provider": "other"}, 422, "/provider"),
        ],
    )
    def test_bad_requests_start_nothing(
        self, complaint: Interaction, sk: Api, body: dict[str, Any], code: int, path: str
    ) -> None:
        status_code, told = sk.post("/api/v1/replays", {"interaction_id": "req-8", **body})
        assert status_code == code, told
        assert not path or path in [one["path"] for one in told["error"]["details"]]
        assert not Replay.objects.exists()

    def test_it_does_not_show_what_is_only_reserved(
        self, complaint: Interaction, provider: FakeProvider, sk: Api
    ) -> None:
        replay = asked(complaint, times=1)
        replaying._claim(8)
        assert sk.get(f"/api/v1/replays/{replay.pk}")[1]["attempts"][0]["cost_usd"] is None
        assert sk.get("/api/v1/replays/999999")[0] == 404


@pytest.mark.django_db
class TestForm:
    def test_faults_of_the_form_are_told_and_what_was_typed_stays(
        self, complaint: Interaction, browser_of: Browser
    ) -> None:
        engineer = browser_of("engineer")
        for wrong, said in (
            ({"decides": "words"}, "Say by which words"), ({"times": "0"}, "greater than or equal to 1"),
            ({"model": " "}, "This field is required"), ({"source": "99"}, "Select a valid choice"),
            ({"decides": "label"}, "Select a valid choice"),
        ):  # fmt: skip
            answer = engineer.post(
                url("replay-new", complaint.pk), form(complaint, **{"message-1": "My words", **wrong})
            )
            assert (answer.status_code, said in answer.content.decode()) == (422, True), wrong
            assert "My words" in answer.content.decode()
        assert not Replay.objects.exists()

    def test_every_part_of_the_request_can_be_changed_and_the_page_names_what_was(
        self, project: Project, complaint: Interaction, provider: FakeProvider, browser_of: Browser
    ) -> None:
        own = connections.create_connection(
            project, name="own", kind="openai", base_url=provider.openai_url, key="sk-own", actor=None
        )
        tool = {"type": "function", "function": {"name": "fee_of", "parameters": {"type": "object"}}}
        sent = form(complaint, **{
            "source": str(own.pk), "model": "gpt-4o", "times": "1", "message-0": "Be exact.\r\nQuote.",
            "document-0": f"It costs 60 cents. {HOSTILE}", "tools": json.dumps([tool]), "temperature": "0",
            "max_tokens": "", "parameters": '{"stop": ["END"]}',
        })  # fmt: skip
        del sent["keep-1"]
        started = browser_of("engineer").post(url("replay-new", complaint.pk), sent)
        assert started.status_code == 302
        replaying.work()
        body = provider.calls[0].body
        assert (provider.calls[0].key, body["model"], body["tools"]) == ("sk-own", "gpt-4o", [tool])
        assert (body["temperature"], body["stop"], body.get("max_tokens")) == (0, ["END"], None)
        assert body["messages"][1]["content"] == "Be exact.\nQuote."
        assert "60 cents" in body["messages"][0]["content"]
        assert "Transfers are free" not in body["messages"][0]["content"]
        assert Replay.objects.get().changed == ["messages", "documents", "tools", "parameters", "model"]
        page = browser_of("viewer").get(started["Location"]).content.decode()
        assert "through own, with other messages, documents, tools, parameters, model" in page
        for part in ("Model", "Messages", "Documents", "Tools", "Parameters"):
            assert f"<b>{part}</b>" in page
        assert "<ins>exact. Quote." in page
        assert HOSTILE not in page

    def test_an_emptied_message_is_left_out_and_instructions_can_be_added(
        self, project: Project, provider: FakeProvider, browser_of: Browser
    ) -> None:
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                 {"role": "user", "content": "Fee?"}]  # fmt: skip
        asked_once = golden.interaction(project, messages=turns, model=MODEL)
        sent = form(asked_once, **{"message-1": " ", "instructions": "Be brief."})
        browser_of("engineer").post(url("replay-new", asked_once.pk), sent)
        said = Replay.objects.get().request["messages"]
        assert said == [{"role": "system", "content": "Be brief."}, turns[0], turns[2]]

    @pytest.mark.parametrize(
        ("wrong", "field", "said"),
        [
            ({"tools": "[{]"}, "tools", "not acceptable JSON"),
            ({"tools": '{"a": 1}'}, "tools", "Expected array"),
            ({"tools": '[{"type": "web_search"}]'}, "tools", "Every tool is to be a function"),
            ({"parameters": "[]"}, "parameters", "Expected object"),
            ({"parameters": '{"top_k": 3}'}, "parameters", "is not sent"),
            ({"parameters": '{"temperature": 1}', "temperature": "1"}, "parameters", "a field of its own"),
            ({"temperature": "hot"}, "temperature", "Enter a number"),
            ({"max_tokens": "0"}, "max_tokens", "greater than or equal to 1"),
            ({"message-0": "", "message-1": ""}, "", "nothing to send"),
            ({"message-2": '{"content": "no role"}'}, "message-2", "role"),
        ],
    )
    def test_each_fault_stands_at_its_field(
        self, complaint: Interaction, browser_of: Browser, wrong: dict[str, str], field: str, said: str
    ) -> None:
        picture = {"role": "user", "content": [{"type": "text", "text": "What is this?"}]}
        Interaction.objects.update(messages=[*complaint.messages, *([picture] if "message-2" in wrong else [])])
        answer = browser_of("engineer").post(url("replay-new", complaint.pk), form(complaint, **wrong))
        assert answer.status_code == 422
        told = answer.context["form"].errors.get(field or "__all__", [])
        assert said in "; ".join(told), answer.context["form"].errors
        assert not Replay.objects.exists()

    def test_parts_that_are_no_text_are_shown_as_json_and_sent_as_they_were(
        self, project: Project, provider: FakeProvider, browser_of: Browser
    ) -> None:
        picture = {"role": "user", "content": [{"type": "text", "text": "What is this?"}]}
        seen = golden.interaction(project, messages=[picture], model=MODEL)
        page = browser_of("engineer").get(url("replay-new", seen.pk)).content.decode()
        assert "the message as JSON" in page
        sent = {"source": "openai", "model": MODEL, "times": "1", "decides": "person"}
        browser_of("engineer").post(url("replay-new", seen.pk), sent)
        replaying.work()
        assert provider.calls[0].body["messages"] == [picture]
        assert Replay.objects.get().changed == []

    def test_an_interaction_without_messages_has_nothing_to_ask(self, project: Project, browser_of: Browser) -> None:
        bare = golden.interaction(project, messages=[], model=MODEL)
        assert "nothing to ask again" in browser_of("engineer").get(url("replay-new", bare.pk)).content.decode()
        with pytest.raises(ApiError):
            asked(bare)

    def test_many_replays_cost_the_page_no_more_queries(
        self, complaint: Interaction, provider: FakeProvider, browser_of: Browser
    ) -> None:
        viewer, page = browser_of("viewer"), reverse("feedback:interaction-detail", args=["acme", complaint.pk])

        def count() -> int:
            replaying.work()
            with CaptureQueriesContext(
                database,
            ) as queries:
                viewer.get(page)
            return len(queries)

        asked(complaint, times=1)
        few = count()
        for _ in range(5):
            asked(complaint, times=1)
        assert count() == few


def test_a_call_takes_less_time_than_its_lease() -> None:
    assert timedelta(seconds=llm.DEADLINE_SECONDS) < replay_spending.LEASE
    assert judging.LEASE == replay_spending.LEASE
