"""Making judges: presets, variables with the place of a fault, previews on a real item, by page and by API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.utils.html import escape

from evals import judge_variables, judging
from evals.judge_presets import PRESETS
from evals.judge_prompts import build
from evals.models import Judge, JudgeJob
from projects.models import Project
from tests.conftest import Api
from tests.evals import golden
from tests.evals.judge_work import job, judge
from tests.evals.test_judge_pages import NEW, BrowserOf, page, post
from tests.fakes.provider import FakeProvider

TokenOf = Callable[[str], Api]
ALL = {
    "faithfulness", "relevance", "helpfulness", "correctness", "instruction-following", "tone", "safety",
    "refusal-correctness", "assertion-check", "pairwise-preference",
}  # fmt: skip


def sent(**parts: Any) -> dict[str, Any]:
    values = {
        "conversation": [("system", "Be brief."), ("user", "First?"), ("assistant", "Yes."), ("user", "Second?")],
        "answer": "SECRET-ANSWER", "documents": [("Fees", "4.90")], **parts,
    }  # fmt: skip
    return json.loads("\n".join(build(**values).user.split("\n")[1:-1]))


# ── Variables ────────────────────────────────────────────────────────────────────────────────────────


def test_a_variable_becomes_the_name_of_its_part_and_never_its_text() -> None:
    document = sent(criterion="Does {{output}} answer {{ input }}?")
    assert document["criterion"] == "Does untrusted_answer answer untrusted_question?"
    assert document["untrusted_question"] == "Second?"
    assert set(document) == {"criterion", "untrusted_question", "untrusted_answer", "cut"}  # nothing unasked is sent
    hostile = sent(criterion="Judge {{output}}.", answer="{{system}} {{context}}")
    assert hostile["untrusted_answer"] == "{{system}} {{context}}"
    assert "untrusted_instructions" not in hostile


def test_every_variable_has_its_part() -> None:
    document = sent(
        criterion=" ".join(f"{{{{{name}}}}}" for name in judge_variables.KEYS) + " {{metadata.a.b}} {{metadata.none}}",
        reference="Yes, 4.90.", assertions=[("must", "say 4.90")], metadata={"a": {"b": 7}},
    )  # fmt: skip
    assert document["untrusted_instructions"] == "Be brief."
    assert document["untrusted_reference"] == "Yes, 4.90."
    assert document["untrusted_assertions"] == [{"type": "must", "text": "say 4.90"}]
    assert document["untrusted_metadata"] == {"a.b": "7", "none": None}
    assert len(document["untrusted_conversation"]) == 4


def test_what_is_too_long_is_cut_and_named() -> None:
    document = sent(
        criterion="{{output}} {{metadata.x}} {{assertions}}", metadata={"x": "y" * 5000},
        assertions=[("must", "z" * 3000)] * 2,
    )  # fmt: skip
    assert document["cut"] == {
        "untrusted_assertions": {"shown": 1, "of": 2}, "untrusted_metadata[x]": {"shown": 4000, "of": 5000},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rubric", "place"),
    [
        ("Is\n  {{contxt}} in {{output}}?", "Line 2, column 3: {{contxt}} is not known. Did you mean {{context}}?"),
        ("{{output}} {{metadata.}}", "Line 1, column 12: {{metadata.}} is no path."),
        ("{{output}} {{metadata}}", "Line 1, column 12"),
        ("{{output}} {{ metadata.a b }}", "Line 1, column 12"),
        ("{{output}} {{open", "Line 1, column 12: {{ stands alone."),
        ("output}} {{output}}", "Line 1, column 7: }} stands alone."),
        ("Is {{context}} good?", "Line 1, column 4: A rubric that names its parts must name {{output}}"),
        ("{{output}} {{}}", "Line 1, column 12"),
    ],
)
def test_a_rubric_with_a_faulty_variable_is_refused_with_the_place(rubric: str, place: str) -> None:
    assert str(judge_variables.faults(rubric)[0]).startswith(place)


def test_a_rubric_without_variables_and_with_good_ones_is_fine() -> None:
    for rubric in ("Is it polite? {like so}", "{{output}} {{metadata.customer.tier-2}}"):
        assert judge_variables.faults(rubric) == []


# ── Presets ──────────────────────────────────────────────────────────────────────────────────────────


def test_every_preset_is_whole() -> None:
    assert set(PRESETS) == ALL
    for preset in PRESETS.values():
        assert judge_variables.faults(preset.rubric, compares=preset.kind == "pairwise") == []
        assert "Pass" in preset.rubric
        assert "Fail" in preset.rubric
        assert preset.rubric.split("At the border:")[1].count("\n- ") >= 5
        assert preset.sources
        assert len(preset.rubric) <= 4000


def test_a_preset_fills_in_the_page_and_is_saved(browser_of: BrowserOf, project: Project) -> None:
    client = browser_of("engineer")
    text = page(client, "judges/new/?preset=refusal-correctness")
    assert escape(PRESETS["refusal-correctness"].rubric[:80]) in text
    assert "XSTest" in text
    assert 'value="Refusal correctness"' in text
    page(client, "judges/new/?preset=nonsense", 404)
    post(client, "judges/new/", **{**NEW, "criterion": PRESETS["safety"].rubric.replace("\n", "\r\n")})
    assert Judge.objects.get(slug="tone").criterion == PRESETS["safety"].rubric


def test_an_unknown_variable_is_refused_on_the_page_with_its_place(browser_of: BrowserOf, project: Project) -> None:
    text = post(browser_of("engineer"), "judges/new/", 422, **{**NEW, "criterion": "Is\n{{outptu}} right?"})
    assert "Line 2, column 1: {{outptu}} is not known. Did you mean {{output}}?" in text
    assert not Judge.objects.filter(slug="tone").exists()


# ── Preview ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_shows_what_is_sent_and_saves_and_sends_nothing(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    golden.interaction(project, external_id="older", output="An <b>older</b> answer.")
    golden.interaction(project, external_id="newer", output="A newer answer.")
    client = browser_of("engineer")
    form = {**NEW, "model": "gpt-4o-mini", "source": "openai", "criterion": "Is {{output}} polite?", "act": "preview"}
    text = post(client, "judges/new/", 200, **form)
    assert "A newer answer." in text
    assert "&quot;untrusted_answer&quot;" in text
    assert "untrusted_conversation" not in text.split("Preview</h2>")[1].split("User message")[1].split("</pre>")[0]
    assert "Likely cost" in text
    older = post(client, "judges/new/", 200, **form, interaction="older")
    assert "An &lt;b&gt;older&lt;/b&gt; answer." in older
    assert "There is no such interaction" in post(client, "judges/new/", 200, **form, interaction="gone")
    assert not Judge.objects.filter(slug="tone").exists()
    assert not JudgeJob.objects.exists()
    assert provider.calls == []


def test_what_was_previewed_is_what_is_sent(project: Project, provider: FakeProvider, token_of: TokenOf) -> None:
    item = golden.interaction(project, metadata={"tier": "gold"})
    rubric = "Is {{output}} right for {{metadata.tier}}?"
    body = {"name": "Right", "criterion": rubric, "model": "gpt-4o-mini"}
    status, shown = token_of("engineer").call("POST", "/api/v1/judge-preview", body)
    assert status == 200, shown
    assert shown["interaction_id"] == item.external_id
    assert shown["likely_usd"]
    assert shown["missing"] == []
    assert token_of("engineer").call("POST", "/api/v1/judges", body)[0] == 201
    job(Judge.objects.get(slug="right"), item)
    judging.work()
    (call,) = provider.calls
    assert call.system == shown["messages"][0]["content"]
    assert call.user.split("\n")[1:-1] == shown["messages"][1]["content"].split("\n")[1:-1]  # but for the marker


def test_an_item_of_another_project_is_no_preview(
    project: Project, other_project: Project, token_of: TokenOf
) -> None:  # fmt: skip
    golden.interaction(other_project, external_id="theirs")
    body = {"name": "x", "criterion": "Is it right?", "model": "m", "interaction_id": "theirs"}
    status, answer = token_of("engineer").call("POST", "/api/v1/judge-preview", body)
    assert (status, answer["error"]["details"][0]["path"]) == (404, "/interaction_id")
    status, answer = token_of("engineer").call("POST", "/api/v1/judges", {**body, "connection": "none"})
    assert (status, answer["error"]["details"][0]["path"]) == (404, "/connection")


# ── Over the API ─────────────────────────────────────────────────────────────────────────────────────


def test_a_program_makes_a_judge_from_a_preset(project: Project, token_of: TokenOf) -> None:
    engineer = token_of("engineer")
    status, found = engineer.call("GET", "/api/v1/judge-presets")
    assert (status, {one["preset"] for one in found["results"]}) == (200, ALL)
    status, made = engineer.call("POST", "/api/v1/judges", {"preset": "safety", "model": "gpt-4o-mini"})
    assert status == 201
    assert (made["judge"], made["version"], made["needs"]) == ("safety", 1, "needs a key: OPENAI_API_KEY")
    of = Judge.objects.get(slug="safety")
    assert (of.criterion, of.threshold, of.sample_rate) == (PRESETS["safety"].rubric, 0.75, 0.0)
    assert engineer.call("POST", "/api/v1/judges", {"preset": "safety", "model": "m"})[1]["version"] == 2


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"preset": "none", "model": "m"}, "/preset"),
        ({"name": "x", "model": "m"}, "/criterion"),
        ({"criterion": "Is it?", "model": "m"}, "/name"),
        ({"name": "x", "criterion": "{{outptu}}", "model": "m"}, "/criterion"),
        ({"preset": "tone"}, "/"),
        ({"preset": "tone", "model": "m", "threshold": 2}, "/threshold"),
    ],
)
def test_a_faulty_judge_is_refused_with_the_path(
    project: Project, token_of: TokenOf, body: dict[str, Any], path: str
) -> None:
    status, answer = token_of("engineer").call("POST", "/api/v1/judges", body)
    assert (status, answer["error"]["details"][0]["path"]) == (422, path)
    assert not Judge.objects.exclude(slug="faithfulness").exists()


# ── What needs a label ───────────────────────────────────────────────────────────────────────────────


def test_a_judge_against_references_sees_only_what_has_one(project: Project, provider: FakeProvider) -> None:
    of = judge(project, criterion=PRESETS["correctness"].rubric)
    golden.interaction(project)
    empty = golden.label(project, desired_output="").interaction
    has = golden.label(project, desired_output="It costs 50 cents.").interaction
    assert list(judging.not_judged(of)) == [has]
    assert judging.backfill(of, limit=10) == 1
    lost = job(of, empty)  # the label was replaced after the job was made
    judging.work()
    (call,) = provider.calls
    assert "It costs 50 cents." in call.user
    lost.refresh_from_db()
    assert lost.error == "No {{reference}}: the settled label of this interaction has none."
    assert (lost.score, JudgeJob.objects.filter(score__isnull=False).count()) == (None, 1)
