"""Queues, their settings, rules and single tasks as pages: plain forms that say at the control what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotations import backfill, builder, claims, rules
from annotations.models import Backfill, Claim, Queue, Task, TriageRevision, TriageRule
from projects.models import Project, User
from tests.annotations.flow import complaint, interaction, routed, thumbs_down

Browser = Callable[[str], Client]
HOSTILE = "<img src=x onerror=alert(1)>\u202e"
QUEUE = "/p/acme/queues/negative-feedback/"
RULE = "/p/acme/rules/negative-feedback/"


@pytest.fixture
def queue(project: Project) -> Queue:
    return Queue.objects.get(project=project, slug="negative-feedback")


@pytest.fixture
def rule(project: Project) -> TriageRule:
    return TriageRule.objects.get(project=project, slug="negative-feedback")


def form_of(client: Client, path: str, form: str = "") -> dict[str, Any]:
    """What a browser would post from the form of a page, as it stands."""
    html = client.get(path).content.decode()
    body = html[html.index(form) :] if form else html[html.index("<main") :]
    body = body[body.index("<form") : body.index("</form>")]
    found: dict[str, Any] = {}

    def add(name: str, value: str) -> None:
        found.setdefault(name, []).append(unescape(value))

    for tag in re.findall(r"<input[^>]*>", body):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") in {"checkbox", "radio"} and " checked" not in tag:
            continue
        if "name" in attributes:
            add(attributes["name"], attributes.get("value", "on"))
    for name, inner in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', body, re.S):
        options = re.findall(r'<option value="([^"]*)"( selected)?', inner)
        add(name, next((value for value, chosen in options if chosen), options[0][0]))
    for name, inner in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', body, re.S):
        add(name, inner)
    found.pop("csrfmiddlewaretoken")
    return found


def text_of(answer: Any) -> str:
    return answer.content.decode()


class TestQueues:
    def test_a_lead_reaches_settings_and_rules_and_a_reviewer_does_not(self, browser_of: Browser) -> None:
        lead, reviewer = (text_of(browser_of(who).get("/p/acme/queues/")) for who in ("lead", "reviewer"))
        assert QUEUE + '"' in lead
        assert "/p/acme/queues/new/" in lead
        assert "/p/acme/rules/" in lead
        assert QUEUE + '"' not in reviewer
        assert "/p/acme/queues/new/" not in reviewer

    def test_only_queues_that_one_may_work_stand_under_for_me(
        self, browser_of: Browser, queue: Queue, people: dict[str, User]
    ) -> None:
        Queue.objects.filter(pk=queue.pk).update(open_to_all=False)
        queue.memberships.create(user=people["lead"])
        reviewer = browser_of("reviewer")
        assert "Negative feedback" not in text_of(reviewer.get("/p/acme/queues/"))
        assert "Negative feedback" in text_of(reviewer.get("/p/acme/queues/?show=all"))
        assert "Negative feedback" in text_of(browser_of("lead").get("/p/acme/queues/"))

    def test_the_load_says_what_comes_in_what_can_be_done_and_what_is_let_in(
        self, browser_of: Browser, project: Project, queue: Queue
    ) -> None:
        for number in range(6):
            complaint(project, f"c{number}")
        Queue.objects.filter(pk=queue.pk).update(capacity_per_day=5, admission=True, admission_p=0.46)
        page = text_of(browser_of("lead").get("/p/acme/queues/")).replace("\u00a0", " ")
        assert "6 of 5 a day come in: 120 %, 46 % of low scores let in" in page

    def test_what_was_not_let_in_is_counted_and_leads_to_its_list(
        self, browser_of: Browser, project: Project, queue: Queue
    ) -> None:
        task = complaint(project, "one")
        Task.objects.filter(pk=task.pk).update(state="shed", done_at=timezone.now(), admission_p=0.2)
        lead = browser_of("lead")
        page = text_of(lead.get("/p/acme/queues/"))
        assert "1 not let in" in page
        door = "/p/acme/tasks/?show=shed&amp;queue=negative-feedback"
        assert door in page
        shed = text_of(lead.get(unescape(door)))
        assert "Fee?" in shed
        lead.post(f"/p/acme/tasks/{task.pk}/pull-in/", {"next": "/p/acme/tasks/?show=shed"})
        task.refresh_from_db()
        assert task.state == "open"

    def test_the_one_up_next_says_why_with_a_link_to_the_rule_at_its_version(
        self, browser_of: Browser, project: Project
    ) -> None:
        complaint(project, "one")
        page = text_of(browser_of("reviewer").get("/p/acme/queues/"))
        assert 'href="/p/acme/rules/negative-feedback/versions/#v1"' in page
        assert "Thumbs-down" in page

    def test_what_is_for_somebody_else_is_not_told_as_up_next(
        self, browser_of: Browser, project: Project, people: dict[str, User]
    ) -> None:
        task = complaint(project, "one")
        Task.objects.filter(pk=task.pk).update(assigned_to=people["lead"])
        assert "wrong fee" in text_of(browser_of("lead").get("/p/acme/queues/"))
        assert "wrong fee" not in text_of(browser_of("reviewer").get("/p/acme/queues/"))

    def test_a_blind_queue_does_not_say_why_the_one_up_next_is_there(
        self, browser_of: Browser, project: Project, queue: Queue
    ) -> None:
        complaint(project, "one")
        Queue.objects.filter(pk=queue.pk).update(blind=True)
        assert "wrong fee" not in text_of(browser_of("reviewer").get("/p/acme/queues/"))

    def test_a_lead_is_told_of_what_is_past_due(self, browser_of: Browser, project: Project) -> None:
        task = complaint(project, "one")
        assert "past due</h2>" not in text_of(browser_of("lead").get("/p/acme/queues/"))
        Task.objects.filter(pk=task.pk).update(due_at=timezone.now() - timedelta(hours=1))
        assert "1 item past due</h2>" in text_of(browser_of("lead").get("/p/acme/queues/"))
        assert "Fee?" in text_of(browser_of("lead").get("/p/acme/tasks/?show=late"))


class TestQueueSettings:
    def test_saving_the_form_as_it_stands_changes_nothing(self, browser_of: Browser, queue: Queue) -> None:
        lead = browser_of("lead")
        answer = lead.post(QUEUE, form_of(lead, QUEUE))
        assert (answer.status_code, answer["Location"]) == (302, QUEUE)
        queue.refresh_from_db()
        assert (queue.version, queue.weights, queue.lanes) == (1, {}, {})

    def test_every_setting_is_kept_and_told_again(
        self, browser_of: Browser, queue: Queue, people: dict[str, User]
    ) -> None:
        lead = browser_of("lead")
        me = str(people["reviewer"].pk)
        form = form_of(lead, QUEUE) | {
            "name": "Complaints", "description": "All of them", "overlap": "2", "blind": "on", "paused": "on",
            "open_to_all": "no", "members": [me], f"topics-{me}": "billing, contracts", "topics": "billing, contracts",
            "fallback": "flagged", "lease_minutes": "15", "sla_min_hours": "0,5", "sla_max_hours": "48",
            "weights-negative": "30", "weights-severity": "15", "lanes-risk": "70", "lanes-random": "30",
            "admission": "on", "admission_below": "35", "capacity_per_day": "120",
        }  # fmt: skip
        assert lead.post(QUEUE, form).status_code == 302
        queue.refresh_from_db()
        assert (queue.name, queue.overlap, queue.blind, queue.lease_seconds) == ("Complaints", 2, True, 900)
        assert (queue.sla_min_hours, queue.sla_max_hours, queue.fallback.slug) == (0.5, 48, "flagged")  # type: ignore[union-attr]
        assert queue.lanes == {"risk": 70, "random": 30}
        assert (queue.weights["negative"], queue.weights["severity"]) == (30, 15)
        assert (queue.admission, queue.admission_below, queue.capacity_per_day) == (True, 35, 120)
        member = queue.memberships.get()
        assert (member.user, member.topics) == (people["reviewer"], ["billing", "contracts"])
        assert queue.paused_at is not None
        again = form_of(lead, QUEUE)
        assert again[f"topics-{me}"] == ["billing, contracts"]
        assert again["members"] == [me]
        page = text_of(lead.get(QUEUE))
        assert "Labels for each item: 1 → 2" in page
        assert "Version 2, Lead" in page

    @pytest.mark.parametrize(
        ("change", "control", "says"),
        [
            ({"name": " "}, "id_name", "This may not be empty."),
            ({"overlap": "many"}, "id_overlap", "A whole number from 1 to 9."),
            ({"weights-negative": "90"}, "id_w_negative", "make 165; they must make 100"),
            ({"lanes-risk": "50"}, "id_l_risk", "The shares make 50 %"),
            ({"open_to_all": "no"}, "open_to_all", "Nobody could work this queue"),
            ({"sla_min_hours": "inf"}, "id_sla_min", "A number above 0"),
        ],
    )
    def test_a_fault_stands_at_its_control_and_nothing_is_cleared(
        self, browser_of: Browser, queue: Queue, change: dict[str, str], control: str, says: str
    ) -> None:
        lead = browser_of("lead")
        answer = lead.post(QUEUE, {**form_of(lead, QUEUE), "description": "Typed <b>words</b>", **change})
        page = text_of(answer)
        assert answer.status_code == 422
        assert says in unescape(page[page.index(control) :])
        assert "Typed &lt;b&gt;words&lt;/b&gt;" in page
        queue.refresh_from_db()
        assert queue.version == 1

    def test_a_new_queue_is_made_and_an_unused_one_removed(self, browser_of: Browser, project: Project) -> None:
        lead = browser_of("lead")
        answer = lead.post("/p/acme/queues/new/", {**form_of(lead, "/p/acme/queues/new/"), "name": HOSTILE})
        made = Queue.objects.get(project=project, name=HOSTILE)
        assert answer["Location"] == f"/p/acme/queues/{made.slug}/"
        for path in ("/p/acme/queues/", answer["Location"]):
            page = text_of(lead.get(path))
            assert "<img" not in page
            assert "\u202e" not in re.sub(r'value="[^"]*"', "", page)
        lead.post(f"/p/acme/queues/{made.slug}/remove/")
        assert not Queue.objects.filter(pk=made.pk).exists()
        page = text_of(lead.post(f"{QUEUE}remove/", follow=True))
        assert "Rules put items here" in page


class TestRules:
    def test_the_list_says_each_rule_in_words_and_what_it_took(self, browser_of: Browser, project: Project) -> None:
        complaint(project, "one")
        page = text_of(browser_of("lead").get("/p/acme/rules/"))
        assert "a random 2 % to Random sample" in page
        assert "a failed request, or an answer of the wrong form" in page
        assert '/p/acme/tasks/?show=recent&amp;rule=negative-feedback">1</a>' in page
        assert "Fee?" in text_of(browser_of("lead").get("/p/acme/tasks/?show=recent&rule=negative-feedback"))

    def test_a_reviewer_reads_rules_and_changes_none(self, browser_of: Browser) -> None:
        reviewer = browser_of("reviewer")
        page = text_of(reviewer.get("/p/acme/rules/"))
        assert "Negative feedback" in page
        assert "move/" not in page
        assert reviewer.get(f"{RULE}versions/").status_code == 200
        assert reviewer.get(RULE).status_code == 403

    def test_rules_move_and_switch(self, browser_of: Browser, project: Project) -> None:
        lead = browser_of("lead")
        order = lambda: list(project.triage_rules.order_by("position").values_list("slug", flat=True))  # noqa: E731
        before = order()
        answer = lead.post(f"/p/acme/rules/{before[1]}/move/", {"to": "up"})
        assert answer["Location"].endswith(f"?moved={before[1]}#rule-{before[1]}")
        assert order()[:2] == before[1::-1]
        lead.post(f"/p/acme/rules/{before[1]}/move/", {"to": "up"})  # it is the first already
        assert order()[0] == before[1]
        lead.post(f"/p/acme/rules/{before[0]}/switch/", {"on": "no"})
        assert not TriageRule.objects.get(project=project, slug=before[0]).enabled
        assert lead.post(f"/p/acme/rules/{before[0]}/move/", {"to": "sideways"}).status_code == 400

    def test_saving_a_rule_as_it_stands_makes_no_version(self, browser_of: Browser, project: Project) -> None:
        lead = browser_of("lead")
        for slug in project.triage_rules.values_list("slug", flat=True):
            form = form_of(lead, f"/p/acme/rules/{slug}/", 'id="rule-form"'[:0] or "")
            assert lead.post(f"/p/acme/rules/{slug}/", {**form, "do": "save"}).status_code == 302
        assert set(project.triage_rules.values_list("version", flat=True)) == {1}

    def test_a_rule_is_built_by_buttons_alone(self, browser_of: Browser, project: Project) -> None:
        lead = browser_of("lead")
        path = "/p/acme/rules/new/"

        def press(form: dict[str, Any], do: str) -> dict[str, Any]:
            answer = lead.post(path, {**form, "do": do})
            assert answer.status_code == 200
            return fields(text_of(answer))

        form = form_of(lead, path) | {"name": "Refunds", "0-what": "field:model", "queue": "flagged"}
        form = press(form, "update")
        form = press(form | {"0-op": "in", "0-value": "gpt-4o, o3"}, "group")
        form = press(form | {"1.0-what": "text:question"}, "add:1")
        form = press(form | {"1.0-value": "refund, money back", "1.1-what": "score:judge", "1.1-not": "not"}, "update")
        form = press(form | {"1.1-op": "below", "1.1-value": "0.5"}, "add")
        form = press(form, "drop:2")
        answer = lead.post(path, {**form, "sampling": "random", "rate": "5", "do": "save"})
        assert answer.status_code == 302, text_of(answer)
        made = TriageRule.objects.get(project=project, name="Refunds")
        assert made.condition == {"all": [
            {"field": "model", "op": "in", "value": ["gpt-4o", "o3"]},
            {"any": [
                {"text": {"in": "question", "words": ["refund", "money back"]}},
                {"not": {"score": {"source": "judge", "op": "below", "value": 0.5}}},
            ]},
        ]}  # fmt: skip
        assert (made.rate, made.sampling, made.queue.slug) == (0.05, "random", "flagged")  # type: ignore[union-attr]

    def test_what_rows_cannot_say_is_edited_as_json(
        self, browser_of: Browser, project: Project, rule: TriageRule
    ) -> None:
        deep = {"not": {"any": [{"signal": "error"}, {"all": [{"signal": "soft_error"}]}]}}
        rules.save(project=project, actor=None, rule=rule, fields={"condition": deep})
        lead = browser_of("lead")
        form = form_of(lead, RULE)
        assert json.loads(form["condition"][0]) == deep
        page = text_of(lead.post(RULE, {**form, "do": "rows"}))
        assert "The rows cannot show this condition" in page
        answer = lead.post(RULE, {**form, "condition": '{"signal": "error"}', "do": "rows"})
        assert fields(text_of(answer))["0-what"] == ["signal:error"]
        wrong = lead.post(RULE, {**form, "condition": '{"signal": ', "do": "save"})
        assert wrong.status_code == 422
        assert "This is not JSON" in text_of(wrong)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"queue": ""}, "Say in which queue"),
            ({"rate": "0", "sampling": "random"}, "A number above 0 and up to 1."),
            ({"sampling": "stratified"}, "Say by which field the items are grouped."),
            ({"action": "cap"}, "Say the highest score, 0 to 100."),
            ({"0-what": "text:any", "0-op": "matches", "0-value": "(a"}, "This is not a pattern"),
            ({"0-what": "field:model", "0-op": "is", "0-value": ""}, "A text that is not empty. (all › 0 › value)"),
        ],
    )
    def test_what_a_rule_may_not_say_is_refused_at_its_control(
        self, browser_of: Browser, rule: TriageRule, change: dict[str, str], says: str
    ) -> None:
        lead = browser_of("lead")
        answer = lead.post(RULE, {**form_of(lead, RULE), **change, "name": HOSTILE, "do": "save"})
        page = unescape(text_of(answer))
        assert answer.status_code == 422
        assert says in page
        rule.refresh_from_db()
        assert rule.version == 1

    def test_the_preview_counts_and_opens_a_sample(self, browser_of: Browser, project: Project) -> None:
        for number in range(3):
            interaction(project, f"i{number}", model="a" if number else HOSTILE)
        lead = browser_of("lead")
        form = form_of(lead, "/p/acme/rules/new/")
        form |= {"name": "x", "queue": "flagged", "0-what": "field:model", "0-op": "is", "0-value": "a"}
        page = text_of(lead.post("/p/acme/rules/preview/", form))
        assert "Would have matched <b>2</b> of the last 3, and taken <b>2</b>." in page
        assert page.count("/p/acme/interactions/") == 2
        whole = text_of(lead.post("/p/acme/rules/new/", {**form, "do": "preview"}))
        assert "Would have matched <b>2</b> of the last 3" in whole
        assert not TriageRule.objects.filter(project=project, name="x").exists()

    def test_the_preview_tells_what_saving_would_refuse(self, browser_of: Browser) -> None:
        lead = browser_of("lead")
        page = text_of(lead.post("/p/acme/rules/preview/", form_of(lead, "/p/acme/rules/new/")))
        assert "This may not be empty." in page

    def test_each_version_says_who_changed_what(self, browser_of: Browser, rule: TriageRule) -> None:
        lead = browser_of("lead")
        form = {**form_of(lead, RULE), "sampling": "random", "rate": "10", "name": HOSTILE, "do": "save"}
        assert lead.post(RULE, form).status_code == 302
        page = text_of(lead.get(f"{RULE}versions/"))
        assert 'id="v1"' in page
        assert "Version 2, Lead" in page
        assert "Share: 100 % → 10 %" in page
        assert "<img" not in page

    def test_a_removed_rule_can_still_be_read(self, browser_of: Browser, project: Project, rule: TriageRule) -> None:
        task = complaint(project, "one")
        lead = browser_of("lead")
        lead.post(f"{RULE}remove/")
        page = text_of(lead.get(f"/p/acme/interactions/{task.interaction_id}/"))
        assert f"{RULE}versions/#v1" in page
        gone = lead.get(f"{RULE}versions/")
        assert gone.status_code == 200
        assert "This rule has been removed" in text_of(gone)
        assert lead.get("/p/acme/rules/never/versions/").status_code == 404


class TestBackfill:
    def test_it_is_counted_started_watched_and_stopped(
        self, browser_of: Browser, project: Project, rule: TriageRule
    ) -> None:
        TriageRule.objects.filter(pk=rule.pk).update(enabled=False)
        interaction(project, "old")
        thumbs_down(project, "old")
        assert [task.queue.slug for task in routed(project) if not task.sampled] == []
        TriageRule.objects.filter(pk=rule.pk).update(enabled=True)
        lead, path = browser_of("lead"), f"{RULE}backfill/"
        counted = text_of(lead.get(path, {"count": "1", "since": ""}))
        assert "<b>1</b> match, and <b>1</b> new task would be made" in counted
        assert not Backfill.objects.exists()
        assert lead.post(path, {"since": ""}).status_code == 302
        assert "Running" in text_of(lead.get(path, headers={"HX-Request": "true"}))
        while backfill.work():
            pass
        done = text_of(lead.get(path, headers={"HX-Request": "true"}))
        assert "1 of 1 looked at, 1 match, 1 new task." in done
        assert "every 2s" not in done
        lead.post(path, {"since": ""})
        lead.post(f"{path}stop/")
        assert "Stopped by hand" in text_of(lead.get(path))

    @pytest.mark.parametrize("since", ["yesterday", "2026-13-40"])
    def test_what_is_no_date_is_refused(self, browser_of: Browser, rule: TriageRule, since: str) -> None:
        answer = browser_of("lead").get(f"{RULE}backfill/", {"count": "1", "since": since})
        assert answer.status_code == 422
        assert "A date such as" in text_of(answer)


class TestTasks:
    def test_a_task_is_given_to_a_person_and_back(
        self, browser_of: Browser, project: Project, people: dict[str, User]
    ) -> None:
        task = complaint(project, "one")
        lead = browser_of("lead")
        page = text_of(lead.get(f"/p/acme/tasks/?assign={task.pk}"))
        assert f'<option value="{people["reviewer"].pk}"' in page
        lead.post(f"/p/acme/tasks/{task.pk}/assign/", {"user": people["reviewer"].pk, "next": "https://evil.example/"})
        task.refresh_from_db()
        assert task.assigned_to == people["reviewer"]
        assert "Fee?" in text_of(lead.get("/p/acme/tasks/?show=assigned"))
        assert "Assigned to you" in text_of(browser_of("reviewer").get("/p/acme/labels/aside/"))
        lead.post(f"/p/acme/tasks/{task.pk}/assign/", {"user": ""})
        task.refresh_from_db()
        assert task.assigned_to is None

    def test_nobody_is_sent_elsewhere_after_assigning(self, browser_of: Browser, project: Project) -> None:
        task = complaint(project, "one")
        answer = browser_of("lead").post(f"/p/acme/tasks/{task.pk}/assign/", {"user": "", "next": "//evil.example/"})
        assert answer["Location"] == "/p/acme/tasks/"

    def test_what_was_skipped_is_listed_and_taken_up_again(self, browser_of: Browser, project: Project) -> None:
        complaint(project, "one")
        reviewer = browser_of("reviewer")
        reviewer.get(f"{QUEUE}review/")
        claim = Claim.objects.get()
        reviewer.post(f"/p/acme/claims/{claim.token}/skip/", {"reason": "not_my_field", "token": str(claim.token)})
        page = text_of(reviewer.get("/p/acme/labels/aside/"))
        assert "Skipped: not my field" in page
        answer = reviewer.post(f"/p/acme/claims/{claim.token}/return/")
        assert answer["Location"].startswith(f"{QUEUE}review/?claim=")
        assert "Fee?" in text_of(reviewer.get(answer["Location"]))
        assert "Nothing put aside" in text_of(reviewer.get("/p/acme/labels/aside/"))

    def test_what_is_put_off_and_passed_on_says_so(
        self, browser_of: Browser, project: Project, people: dict[str, User], queue: Queue
    ) -> None:
        me = people["reviewer"]
        for name in ("one", "two"):
            complaint(project, name)
        first = claims.claim_next(user=me, queue=queue)
        assert first is not None
        claims.snooze(user=me, token=first.token, seconds=3600)
        second = claims.claim_next(user=me, queue=queue)
        assert second is not None
        claims.escalate(user=me, token=second.token, note=f"Which fee? {HOSTILE}")
        page = text_of(browser_of("reviewer").get("/p/acme/labels/aside/"))
        assert "Put off until" in page
        assert "Passed to those who adjudicate" in page
        passed_on = text_of(browser_of("lead").get("/p/acme/tasks/?show=escalated"))
        assert "Which fee? &lt;img" in passed_on
        empty = text_of(browser_of("reviewer").get(f"{QUEUE}review/"))
        assert "You put off 1" in empty
        assert "/p/acme/labels/aside/" in empty

    def test_the_interactions_page_says_why_by_points_and_by_rule(self, browser_of: Browser, project: Project) -> None:
        task = complaint(project, "one")
        page = text_of(browser_of("lead").get(f"/p/acme/interactions/{task.interaction_id}/")).replace("\u00a0", " ")
        assert f"{task.score:g} points (" in page
        assert f"{RULE}versions/#v1" in page
        assert re.search(r"Due in \d", page)


@pytest.mark.parametrize(
    "path", ["/p/acme/queues/", "/p/acme/tasks/", "/p/acme/rules/", QUEUE, "/p/acme/labels/aside/"]
)
def test_pages_take_the_same_queries_at_n_and_2n(
    path: str, browser_of: Browser, project: Project, people: dict[str, User], queue: Queue
) -> None:
    lead = browser_of("lead")

    def grow(start: int) -> None:
        for number in range(start, start + 4):
            task = complaint(project, f"q{number}")
            fields = {"name": f"Rule {number}", "condition": {"field": "model", "op": "is", "value": str(number)}}
            rules.save(project=project, actor=people["lead"], rule=None, fields={**fields, "queue": queue.slug})
            TriageRevision.objects.create(
                project=project, queue=queue, version=100 + number, snapshot={}, changed_by=people["lead"]
            )
            Task.objects.filter(pk=task.pk).update(assigned_to=people["lead"] if number % 2 else None)
            claim = claims.claim_next(user=people["lead"], queue=queue)
            if claim:
                claims.skip(user=people["lead"], token=claim.token, reason="unclear")

    grow(0)
    lead.get(path)
    with CaptureQueriesContext(connection) as few:
        lead.get(path)
    grow(4)
    with CaptureQueriesContext(connection) as many:
        assert lead.get(path).status_code == 200
    assert len(many) == len(few)


def fields(html: str) -> dict[str, Any]:
    """The fields of a page that was answered to a button."""

    class Page:
        @staticmethod
        def get(_: str) -> Any:
            return type("Answer", (), {"content": html.encode()})

    return form_of(Page, "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "condition",
    [
        {"all": []},
        {"any": [{"signal": "error"}, {"not": {"feedback": {"kind": "thumbs", "value": "down", "verified": True}}}]},
        {
            "all": [
                {"field": "metadata.team", "op": "above", "value": 3},
                {"field": "tags", "op": "has_any", "value": ["a"]},
            ]
        },
        {"all": [{"score": {"name": "f", "source": "judge", "label": "bad"}}, {"field": "user_id", "op": "unknown"}]},
        {"all": [{"any": [{"text": {"matches": "a|b"}}]}, {"score": {"name": "f", "flagged": False}}]},
        {"signal": "disagreement"},
    ],
)
def test_rows_say_a_condition_without_loss(condition: dict[str, Any]) -> None:
    group = builder.rows(condition)
    assert group is not None
    assert builder.condition_of(group) in (condition, {"all": [condition]})
