"""Comparisons: asked in both orders, a preference only where both agree, and flips are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from evals import backfills, judge_biases, judge_reports, judge_variables, judging, quality_rate, spending
from evals.judge_presets import PRESETS
from evals.models import Judge, JudgeCall, JudgeJob
from feedback.models import Interaction
from projects.models import Project
from tests.conftest import Api
from tests.evals import golden
from tests.evals.judge_work import job, judge
from tests.evals.test_judge_pages import NEW, BrowserOf, page, post
from tests.fakes import provider as faults
from tests.fakes.provider import Call, FakeProvider


def comparing(project: Project, **fields: Any) -> Judge:
    return judge(project, kind="pairwise", criterion=PRESETS["pairwise-preference"].rubric, **fields)


def wanting(project: Project, wanted: str = "The desired answer.", **fields: Any) -> Interaction:
    return golden.label(project, golden.interaction(project, **fields), desired_output=wanted).interaction


def sent(call: Call) -> dict[str, Any]:
    return json.loads("\n".join(call.user.split("\n")[1:-1]))


def prefers(words: str) -> Any:
    """A model that prefers the answer with these words, wherever it stands."""

    def reply(call: Call) -> Any:
        first = words in sent(call)["untrusted_first"]
        return {"reasoning": "It says so.", "preferred": "first" if first else "second"}

    return reply


def says(place: str) -> Any:
    return lambda call: {"reasoning": "Because.", "preferred": place}


@pytest.mark.parametrize(
    ("reply", "value", "flagged", "flipped"),
    [
        (prefers("desired"), 0.0, True, False), (prefers("charge"), 1.0, False, False),
        (says("first"), 0.5, False, True), (says("second"), 0.5, False, True), (says("tie"), 0.5, False, False),
    ],
)  # fmt: skip
def test_a_preference_needs_both_orders(
    project: Project, provider: FakeProvider, reply: Any, value: float, flagged: bool, flipped: bool
) -> None:
    provider.reply = reply
    of = comparing(project)
    done = job(of, wanting(project))
    judging.work()
    done.refresh_from_db()
    assert done.score
    assert (done.score.value, done.score.flagged, done.score.detail["flipped"]) == (value, flagged, flipped)
    one, other = (sent(call) for call in provider.calls)
    assert (one["untrusted_first"], one["untrusted_second"]) == (other["untrusted_second"], other["untrusted_first"])
    assert provider.calls[0].schema == {**provider.calls[1].schema}  # type: ignore[dict-item]
    assert "preferred" in provider.calls[0].schema["properties"]  # type: ignore[index]
    assert "untrusted_answer" not in one
    assert "untrusted_reference" not in one
    assert (done.input_tokens, done.output_tokens) == (200, 40)
    call = JudgeCall.objects.get()
    assert (call.asked, call.state) == (2, "settled")


def test_a_comparison_whose_second_order_fails_is_tried_again_and_gives_no_score(
    project: Project, provider: FakeProvider
) -> None:
    provider.reply = says("first")
    done = job(comparing(project), wanting(project))
    provider.script(faults.says({"reasoning": "x", "preferred": "first"}), faults.status(500))
    judging.work()
    done.refresh_from_db()
    assert (done.score, done.finished_at, done.attempts) == (None, None, 1)
    assert len(provider.calls) == 2


def test_a_score_is_no_preference(project: Project, provider: FakeProvider) -> None:
    provider.reply = lambda call: {"reasoning": "Good.", "score": 1}
    done = job(comparing(project), wanting(project))
    judging.work()
    done.refresh_from_db()
    assert done.error == "Invalid output: The reply did not follow the schema."
    assert len(provider.calls) == 2  # asked once more, and the other order not at all


def test_what_is_reserved_covers_both_orders_and_their_repeats(project: Project) -> None:
    item = wanting(project)
    of, plain = comparing(project), judge(project, slug="plain")
    prompt = judging.prompt_for(of, item, item.labels.get())
    once = spending.cost_usd(of, len(prompt.user.encode()) + len(prompt.system.encode()), judging.llm.MAX_REPLY_TOKENS)
    most = spending.most_of(of, prompt)
    assert once
    assert most
    assert most > 4 * once
    assert backfills.preview(of, 1).output_tokens == 2 * backfills.preview(plain, 1).output_tokens


def test_only_what_has_a_desired_answer_is_compared(project: Project) -> None:
    of = comparing(project)
    golden.interaction(project)
    wanting(project, wanted="")
    item = wanting(project)
    assert list(judging.not_judged(of)) == [item]


def test_a_comparison_must_not_be_told_which_answer_is_whose(browser_of: BrowserOf, project: Project) -> None:
    assert judge_variables.faults("Is {{output}} better?", compares=True)
    client = browser_of("engineer")
    form = {**NEW, "kind": "pairwise", "criterion": "Is\n{{reference}} better?"}
    assert "Line 2, column 1: {{reference}} would tell" in post(client, "judges/new/", 422, **form)
    post(client, "judges/new/", 422, **{**form, "criterion": "Which is better?", "examples": "2"})
    post(client, "judges/new/", **{**form, "criterion": "Which is better?"})
    of = Judge.objects.get(slug="tone")
    assert of.kind == "pairwise"
    with pytest.raises(IntegrityError, match="cannot change"), transaction.atomic():
        Judge.objects.filter(pk=of.pk).update(kind="score")


def test_a_preset_of_the_other_kind_and_examples_of_a_comparison_are_refused(
    project: Project, token_of: Callable[[str], Api]
) -> None:
    engineer, wish = token_of("engineer"), {"preset": "tone", "model": "m", "kind": "pairwise"}
    for body, path in ((wish, "/kind"), ({**wish, "preset": "pairwise-preference", "examples": 2}, "/examples")):
        status, answer = engineer.call("POST", "/api/v1/judges", body)
        assert (status, answer["error"]["details"][0]["path"]) == (409, path)
    assert engineer.call("POST", "/api/v1/judges", {**wish, "criterion": "Which is kinder?"})[0] == 201


def test_the_page_tells_the_share_of_flips(browser_of: BrowserOf, project: Project, provider: FakeProvider) -> None:
    of = comparing(project)
    for _ in range(3):
        job(of, wanting(project))
    provider.reply = prefers("desired")
    judging.work()
    provider.reply = says("first")
    job(of, wanting(project))
    judging.work()
    text = page(browser_of("viewer"), "judges/correct/")
    assert "25\u00a0% (5 to 70) preferred something else" in text
    assert "The first place won 5 times, the second 3." in text
    assert "You compare two answers" in text
    assert quality_rate._judge_of(project, judging.Q(), "")[0] is None
    found = judge_reports.positions(of)
    assert found
    assert (found.flips.hits, found.flips.total) == (1, 4)
    assert judge_reports.positions(judge(project, slug="plain")) is None
    assert judge_biases.position_bias([]) is None
    assert JudgeJob.objects.filter(error="").count() == 4
