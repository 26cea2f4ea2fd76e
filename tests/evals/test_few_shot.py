"""Examples in a judge's prompt: of the train part alone, balanced, the same every time, and never measured on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from annotations.models import Label
from evals import calibration, few_shot, judges, judging
from evals.calibration import DEV, TEST, TRAIN
from evals.models import Judge
from feedback.models import Interaction
from projects.models import Project
from tests.conftest import Api
from tests.evals import golden
from tests.evals.test_judge_pages import NEW, BrowserOf, page, post

_numbers = itertools.count(1)


def labelled(project: Project, part: str, verdict: str, **fields: Any) -> Interaction:
    """An interaction of this part of the split with people's verdict on it."""
    session = fields.pop("session_id", "")
    name = next(name for number in _numbers if calibration.part_of(session, name := f"shot-{number}") == part)
    note = fields.pop("note", f"Note on {name}.")
    mode = fields.pop("mode", None)
    values = {"external_id": name, "session_id": session, "output": f"Answer {name}.", **fields}
    item = golden.interaction(project, **values)
    golden.label(project, item, verdict=verdict, note=note, primary_category=mode)
    return item


def many(project: Project, each: int = 6) -> None:
    for part, verdict, _ in itertools.product((TRAIN, DEV, TEST), ("fail", "pass"), range(each)):
        labelled(project, part, verdict)


def made(project: Project, examples: int) -> Judge:
    return judges.create_judge(
        project, name="Correct", criterion="Is it right?", provider="openai", model="m", connection=None,
        threshold=0.5, sample_rate=0, examples=examples, actor=None,
    )  # fmt: skip


def test_only_the_train_part_gives_examples_as_many_fails_as_passes(project: Project) -> None:
    many(project)
    of = made(project, 8)
    assert [one["verdict"] for one in of.examples] == ["fail", "pass"] * 4
    for one in of.examples:
        item = Interaction.objects.get(external_id=one["interaction_id"])
        assert calibration.part_of(item.session_id, item.external_id) == TRAIN
        assert Label.objects.get(pk=one["label"]).verdict == one["verdict"]
    assert len({one["interaction_id"] for one in of.examples}) == 8


def test_without_train_labels_there_is_no_example_however_many_others_there_are(project: Project) -> None:
    for part, verdict, _ in itertools.product((DEV, TEST), ("fail", "pass"), range(20)):
        labelled(project, part, verdict)
    labelled(project, TRAIN, "fail")  # and none that passes: there is no balance to be had
    assert made(project, 8).examples == []


@pytest.mark.parametrize("part", [DEV, TEST])
def test_an_answer_that_stands_in_dev_or_test_word_for_word_is_no_example(project: Project, part: str) -> None:
    labelled(project, TRAIN, "fail", output="The same words.")
    labelled(project, TRAIN, "pass")
    labelled(project, part, "pass", output="The same words.")
    assert few_shot.choose(project, 8) == []


def test_the_same_labels_give_the_same_examples_in_any_order_of_coming(project: Project) -> None:
    many(project)
    first = few_shot.choose(project, 6)
    for label in Label.objects.order_by("-pk"):  # settled again, so newer rows
        label.pk = None
        Label.objects.filter(interaction=label.interaction_id).delete()
        label.save(force_insert=True)
    again = few_shot.choose(project, 6)
    assert [one["interaction_id"] for one in again] == [one["interaction_id"] for one in first]


def test_each_session_gives_one_and_failure_modes_take_turns(project: Project) -> None:
    session = next(name for number in _numbers if calibration.part_of(name := f"s-{number}", "") == TRAIN)
    for _ in range(5):
        labelled(project, TRAIN, "fail", session_id=session)
    rare, common = golden.mode(project, "rare"), golden.mode(project, "common")
    for mode in (common, common, common, common, rare):
        labelled(project, TRAIN, "fail", mode=mode)
    for _ in range(5):
        labelled(project, TRAIN, "pass")
    chosen = few_shot.choose(project, 6)
    groups = [one["group"] for one in chosen]
    assert len(groups) == len(set(groups)) == 6
    modes = Label.objects.filter(pk__in=[one["label"] for one in chosen], verdict="fail")
    assert set(modes.values_list("primary_category__slug", flat=True)) == {"rare", "common", None}


def test_the_database_refuses_to_change_examples_even_of_a_judge_that_was_never_used(project: Project) -> None:
    many(project)
    of = made(project, 2)
    with pytest.raises(IntegrityError, match="cannot change"), transaction.atomic():
        Judge.objects.filter(pk=of.pk).update(examples=[])
    judges.set_rate(of, sample_rate=0.5, actor=None)  # the rest of it may
    Label.objects.all().delete()
    of.refresh_from_db()
    assert len(of.examples) == 2


def test_what_a_version_was_told_is_never_measured_even_after_the_split_has_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(project)
    twin = labelled(project, TRAIN, "pass", output="Twin.")
    of = made(project, 4)
    told = Interaction.objects.get(external_id=of.examples[0]["interaction_id"])
    Interaction.objects.filter(pk=twin.pk).update(output=told.output)  # the same words in another session
    for item in Interaction.objects.filter(project=project):
        judging.enqueue([(of, item)], "live")
    for claimed in of.jobs.select_related("interaction", "judge__project"):
        assert judging.settle(claimed, judging.Outcome(judging.Verdict("So.", 0.9)))
    for name in (TEST, DEV):
        monkeypatch.setattr(calibration, "part_of", lambda session, external, name=name: name)
        parts = {one.job: one.part for one in calibration.pairs(of)}
        kept = {one["interaction_id"] for one in of.examples} | {twin.external_id}
        wrong = [job.interaction.external_id for job in of.jobs.select_related("interaction")
                 if (parts[job.pk] == TRAIN) != (job.interaction.external_id in kept)]  # fmt: skip
        assert wrong == []


def test_a_version_is_not_asked_about_its_own_examples(project: Project) -> None:
    many(project)
    of = made(project, 4)
    waiting = set(judging.not_judged(of).values_list("external_id", flat=True))
    assert len(waiting) == 36 - 4
    assert waiting.isdisjoint(one["interaction_id"] for one in of.examples)


def test_examples_stand_in_the_prompt_as_untrusted_text_with_what_people_say(project: Project) -> None:
    labelled(project, TRAIN, "fail", output="Free\u202e.", note="It costs 50 cents. " * 100)
    labelled(project, TRAIN, "pass", output="x" * 9000, note="")
    of = made(project, 8)
    prompt = judging.prompt_for(of, labelled(project, DEV, "fail"))
    fail, passed = json.loads("\n".join(prompt.user.split("\n")[1:-1]))["untrusted_examples"]
    assert (fail["people_say"], fail["untrusted_answer"]) == ("fail", "Free.")
    assert len(fail["untrusted_why"]) == few_shot.WHY
    assert (passed["people_say"], len(passed["untrusted_answer"])) == ("pass", few_shot.ANSWER)
    assert "untrusted_why" not in passed
    assert "untrusted_examples" in prompt.system


def test_the_page_and_the_api_take_a_number_of_examples(
    browser_of: BrowserOf, project: Project, token_of: Callable[[str], Api]
) -> None:
    many(project)
    client = browser_of("engineer")
    post(client, "judges/new/", **NEW, examples="4")
    assert len(Judge.objects.get(slug="tone").examples) == 4
    assert "4 examples from people" in page(client, "judges/tone/")
    assert 'value="4"' in page(client, "judges/new/?from=tone")
    post(client, "judges/new/", 422, **NEW, examples="9")
    wish = {"preset": "tone", "name": "Kind", "model": "m", "examples": 2}
    status, answer = token_of("engineer").call("POST", "/api/v1/judges", wish)
    assert (status, [one["verdict"] for one in answer["examples"]]) == (201, ["fail", "pass"])
    assert token_of("engineer").call("POST", "/api/v1/judges", {**wish, "examples": 9})[0] == 422
