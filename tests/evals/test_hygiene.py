"""The hygiene page: what it finds, what it does about it, and that everything can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotations.models import Queue, Task
from evals import coverage, datasets, grouping, hygiene, staleness, tidying
from evals.hygiene import Finding
from evals.models import Dataset, Example, HygieneStep, Judge
from evals.snapshot import Content
from projects.errors import ApiError
from projects.models import AuditEntry, Project, User
from tests.browser.hostile_texts import TAGS
from tests.conftest import Api
from tests.evals import golden
from tests.evals.test_pages import page, queries, url

Browser = Callable[[str], Client]


def asking(key: str, question: str, output: str = "50 cents", **fields: Any) -> Content:
    inputs = {"messages": [{"role": "user", "content": question}], "documents": [], "tools": [], "parameters": {}}
    return golden.content(key, **{"input": inputs, "expected": {"output": output, "assertions": []}, **fields})


def drafted(project: Project, *contents: Content, approve: bool = True) -> Dataset:
    dataset = golden.dataset(project)
    datasets.add_examples(dataset, list(contents), actor=None, approve=approve)
    return dataset


def found(dataset: Dataset, kind: str) -> list[list[str]]:
    return [[item.key for item in each.items] for each in hygiene.report(dataset).found[kind]]


def only(dataset: Dataset, kind: str) -> Finding:
    (finding,) = hygiene.report(dataset).found[kind]
    return finding


def keys(dataset: Dataset) -> list[str]:
    return list(datasets.draft_of(dataset).examples.order_by("key").values_list("key", flat=True))


def test_doubles_contradictions_and_near_doubles_are_told_apart(project: Project) -> None:
    long = "Can you tell me what an instant transfer to a bank in Spain would cost me today"
    dataset = drafted(
        project, asking("a", "What does it cost?"), asking("b", "What does it cost?"),
        asking("c", "Where are you?"), asking("d", "Where are you?", "In Bern"),
        asking("e", long), asking("f", f"{long} please"), asking("g", "Something else altogether, about cards"),
    )  # fmt: skip
    assert found(dataset, "duplicates") == [["a", "b"]]
    assert found(dataset, "conflicts") == [["c", "d"]]
    assert found(dataset, "near") == [["e", "f"]]
    assert found(dataset, "torn") == found(dataset, "stale") == []


def test_another_document_is_another_input(project: Project) -> None:
    said = {"messages": [{"role": "user", "content": "What does it cost?"}], "tools": [], "parameters": {}}
    dataset = drafted(
        project,
        asking("a", "", input={**said, "documents": [{"id": "1", "content": "50"}]}),
        asking("b", "", "60 cents", input={**said, "documents": [{"id": "1", "content": "60"}]}),
    )
    assert found(dataset, "conflicts") == []
    assert found(dataset, "near") == [["a", "b"]]


def test_a_clean_dataset_has_no_findings_and_an_empty_one_no_version(project: Project) -> None:
    assert hygiene.report(golden.dataset(project)).version is None
    dataset = drafted(project, asking("a", "What does it cost?"), asking("b", "Where is the next branch of the bank?"))
    assert hygiene.report(dataset).total == 0


def test_keeping_one_drops_the_others_and_undo_brings_them_back_as_they_were(
    project: Project, people: dict[str, User]
) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?", tags=["vip"]), asking("c", "Q?"))
    before = list(Example.objects.order_by("key").values("key", "tags", "approved_at", "proposers", "input", "split"))
    finding = only(dataset, "duplicates")
    step = tidying.act(
        dataset, kind="duplicates", fingerprint=finding.fingerprint, verb="keep", key="b", actor=people["lead"]
    )
    assert keys(dataset) == ["b"]
    tidying.undo(step, actor=people["engineer"])
    assert (
        list(Example.objects.order_by("key").values("key", "tags", "approved_at", "proposers", "input", "split"))
        == before
    )
    with pytest.raises(ApiError) as refused:
        tidying.undo(step, actor=people["lead"])
    assert refused.value.status_code == 409
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"hygiene.keep", "hygiene.undone"} <= actions


def test_the_one_that_stays_is_approved_where_one_is(project: Project, people: dict[str, User]) -> None:
    drafted(project, asking("a", "Q?"), approve=False)
    dataset = drafted(project, asking("b", "Q?"))
    assert only(dataset, "duplicates").keep == "b"


def test_a_torn_group_is_brought_together_can_be_frozen_and_can_be_taken_back(
    project: Project, people: dict[str, User]
) -> None:
    grouped = {"provenance": {"group": "g"}}
    dataset = drafted(
        project, asking("a", "One question of a session", **grouped), asking("b", "Its second, about cards", **grouped),
        asking("c", "A third and last one", split="dev", **grouped),
    )  # fmt: skip
    drafted(project, asking("d", "Not approved yet", split="train", **grouped), approve=False)
    with pytest.raises(ApiError):
        datasets.freeze(dataset, actor=None)
    finding = only(dataset, "torn")
    step = tidying.act(dataset, kind="torn", fingerprint=finding.fingerprint, verb="move", actor=people["lead"])
    assert set(Example.objects.values_list("split", flat=True)) == {"test"}
    assert Example.objects.filter(approved_at__isnull=False).count() == 3, "a move takes no approval away"
    tidying.undo(step, actor=people["lead"])
    assert [each.split for each in Example.objects.order_by("key")] == ["test", "test", "dev", "train"]
    assert grouping.torn(datasets.draft_of(dataset))
    tidying.act(dataset, kind="torn", fingerprint=finding.fingerprint, verb="move", actor=people["lead"])
    assert datasets.freeze(dataset, actor=None).count == 3


def test_near_doubles_on_both_sides_of_a_split_are_brought_together_as_one_group(
    project: Project, people: dict[str, User]
) -> None:
    dataset = drafted(
        project, asking("a", "What does transfer 17 to the bank in Spain cost?"),
        asking("b", "What does transfer 18 to the bank in Spain cost?", split="train"),
    )  # fmt: skip
    finding = only(dataset, "near")
    assert (finding.note, finding.verbs) == ("in test and train", ("keep", "move", "reviewed"))
    step = tidying.act(dataset, kind="near", fingerprint=finding.fingerprint, verb="move", actor=people["lead"])
    assert Example.objects.values("split", "provenance__group").distinct().count() == 1
    assert "move" not in only(dataset, "near").verbs
    tidying.undo(step, actor=people["lead"])
    assert [(each.split, each.provenance) for each in Example.objects.order_by("key")] == [("test", {}), ("train", {})]


def test_what_was_looked_at_stays_away_until_one_of_its_examples_changes(
    project: Project, people: dict[str, User]
) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?", "60 cents"))
    finding = only(dataset, "conflicts")
    step = tidying.act(
        dataset, kind="conflicts", fingerprint=finding.fingerprint, verb="reviewed", actor=people["lead"]
    )
    assert (found(dataset, "conflicts"), hygiene.report(dataset).reviewed) == ([], 1)
    datasets.freeze(dataset, actor=None)
    assert found(dataset, "conflicts") == [], "a new version with the same examples is not looked at again"
    tidying.undo(step, actor=people["lead"])
    assert found(dataset, "conflicts") == [["a", "b"]]
    tidying.act(dataset, kind="conflicts", fingerprint=finding.fingerprint, verb="reviewed", actor=people["lead"])
    drafted(project, asking("b", "Q?", "70 cents"))
    assert found(dataset, "conflicts") == [["a", "b"]]


def test_a_finding_that_has_changed_since_it_was_shown_is_refused(project: Project, people: dict[str, User]) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?"))
    finding = only(dataset, "duplicates")
    drafted(project, asking("c", "Q?"))
    for verb, kind, code in (
        ("keep", "duplicates", 409), ("move", "duplicates", 422), ("erase", "duplicates", 422),
        ("keep", "nothing", 422),
    ):  # fmt: skip
        with pytest.raises(ApiError) as refused:
            tidying.act(dataset, kind=kind, fingerprint=finding.fingerprint, verb=verb, actor=people["lead"])
        assert refused.value.status_code == code, (kind, verb)
    assert keys(dataset) == ["a", "b", "c"]
    current = only(dataset, "duplicates").fingerprint
    with pytest.raises(ApiError):
        tidying.act(dataset, kind="duplicates", fingerprint=current, verb="keep", key="zz", actor=people["lead"])


def test_undo_never_overwrites_what_came_in_since(project: Project, people: dict[str, User]) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?"), asking("c", "Q?"))
    fingerprint = only(dataset, "duplicates").fingerprint
    step = tidying.act(dataset, kind="duplicates", fingerprint=fingerprint, verb="keep", actor=people["lead"])
    drafted(project, asking("c", "Another question"))
    with pytest.raises(ApiError) as refused:
        tidying.undo(step, actor=people["lead"])
    assert refused.value.status_code == 409
    assert keys(dataset) == ["a", "c"], "nothing of it came back"


def test_a_remedy_for_a_frozen_version_makes_a_draft_and_leaves_the_version(
    project: Project, people: dict[str, User]
) -> None:
    version = golden.frozen(project, asking("a", "Q?"), asking("b", "Q?"))
    dataset = version.dataset
    fingerprint = only(dataset, "duplicates").fingerprint
    tidying.act(dataset, kind="duplicates", fingerprint=fingerprint, verb="keep", actor=people["lead"])
    assert (version.examples.count(), keys(dataset)) == (2, ["a"])


def used(project: Project, **fields: Any) -> None:
    golden.interaction(project, **fields)


def test_prompts_documents_and_tools_that_production_has_left_behind_are_named(project: Project) -> None:
    fee, tool = {"id": "kb-1", "content": "50 cents"}, {"function": {"name": "pay", "parameters": {"a": 1}}}
    inputs = {"messages": [{"role": "user", "content": "Q?"}], "documents": [fee], "tools": [tool], "parameters": {}}
    dataset = drafted(
        project, asking("old", "", input=inputs, metadata={"prompt_name": "support", "prompt_version": "3"}),
        asking("rare", "Who?", metadata={"prompt_name": "never", "prompt_version": "1"}),
    )  # fmt: skip
    used(project, prompt_name="support", prompt_version="3", documents=[fee], tools=[tool])
    assert found(dataset, "stale") == []
    used(project, prompt_name="support", prompt_version="4", documents=[{**fee, "content": "60 cents"}])
    assert found(dataset, "stale") == [], "the old one is still in use beside the new one"
    project.interactions.all().delete()
    used(project, prompt_name="support", prompt_version="4", documents=[{**fee, "content": "60 cents", "score": 0.1}],
         tools=[{"function": {"name": "pay", "parameters": {"b": 1}}}])  # fmt: skip
    finding = only(dataset, "stale")
    assert [item.key for item in finding.items] == ["old"]
    assert finding.note == "prompt support is 4 now, was 3; document kb-1 changed; tool pay changed"


def test_only_the_newest_interactions_say_what_production_uses(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staleness, "RECENT", 1)
    dataset = drafted(project, asking("a", "Q?", metadata={"prompt_name": "p", "prompt_version": "1"}))
    now = timezone.now()
    used(project, prompt_name="p", prompt_version="1", created_at=now - timedelta(days=2))
    used(project, prompt_name="p", prompt_version="2", created_at=now)
    assert found(dataset, "stale") == [["a"]]


def test_odd_documents_and_tools_of_production_do_no_harm(project: Project) -> None:
    dataset = drafted(project, asking("a", "Q?"))
    used(project, documents=[{"title": "no id"}, {"id": 7, "content": None}], tools=None)
    used(project, documents=[{"id": "x", "content": [{"type": "text", "text": "parts"}]}], tools=[{"name": "bare"}])
    assert found(dataset, "stale") == []


def test_segments_of_production_are_held_against_those_of_the_dataset(project: Project) -> None:
    for feature, count in (("billing", 6), ("cards", 3), ("", 1)):
        for _ in range(count):
            used(project, feature=feature, language="de")
    dataset = drafted(project, asking("a", "Q?", metadata={"feature": "billing"}), asking("b", "R?", metadata={}))
    version = hygiene.version_of(dataset)
    assert version is not None
    shares = [(each.segment, each.value, each.production, each.dataset, each.missing)
              for each in coverage.segments(version)]  # fmt: skip
    assert shares == [
        ("feature", "billing", 6 / 9, 1.0, False), ("feature", "cards", 3 / 9, 0.0, True),
        ("language", "de", 1.0, 0.0, True),
    ]  # fmt: skip


def sampled(project: Project, count: int, **label: Any) -> None:
    queue = Queue.objects.filter(project=project)[0]
    for _ in range(count):
        of = golden.interaction(project)
        Task.objects.create(
            project=project, queue=queue, interaction=of, due_at=of.created_at, lane="random", sampled=True,
            inclusion_p=0.1,
        )  # fmt: skip
        golden.label(project, of, **label)


def test_failure_modes_are_told_with_an_interval_from_random_draws_alone(project: Project) -> None:
    mode, other = golden.mode(project), golden.mode(project, "other-fault")
    for _ in range(50):  # complaints that nobody drew say nothing of production
        golden.label(project, primary_category=other)
    said = {"output": "x", "assertions": [], "label": {"verdict": "fail", "category": "other-fault", "severity": 1}}
    dataset = drafted(project, asking("a", "Q?", expected=said))
    version = hygiene.version_of(dataset)
    assert version is not None
    (alone,) = coverage.modes(version)
    assert (alone.slug, alone.inside, alone.found.enough) == ("other-fault", 1, False)
    sampled(project, 10, verdict="fail", primary_category=mode)
    sampled(project, 30, verdict="pass")
    first, second = coverage.modes(version)
    assert (first.slug, first.inside, first.missing) == ("made-up-fee", 0, True)
    assert first.found.value == pytest.approx(0.25)
    assert first.found.low is not None
    assert first.found.high is not None
    assert first.found.low < 0.25 < first.found.high
    assert (second.slug, second.found.value) == ("other-fault", 0.0)


def test_the_page_names_every_finding_and_its_remedies_work_as_plain_forms(
    project: Project, browser_of: Browser
) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?"), asking("c", "R?"), asking("d", "R?", "else"))
    lead = browser_of("lead")
    assert url("dataset-hygiene", "golden") in page(lead, "dataset-detail", "golden")
    text = page(lead, "dataset-hygiene", "golden")
    for said in ("Doubles", "Contradictions", "Keep a, drop the other", "Let it stay", "Coverage by segment"):
        assert said in text, said
    sent = {"kind": "duplicates", "finding": only(dataset, "duplicates").fingerprint, "verb": "keep"}
    done = lead.post(url("hygiene-act", "golden"), sent, follow=True).content.decode()
    assert "Kept one of 2 examples." in done
    assert keys(dataset) == ["a", "c", "d"]
    chosen = {"kind": "conflicts", "finding": only(dataset, "conflicts").fingerprint, "verb": "keep:d"}
    lead.post(url("hygiene-act", "golden"), chosen)
    assert keys(dataset) == ["a", "d"]
    again = lead.post(url("hygiene-act", "golden"), chosen, follow=True).content.decode()
    assert "This has changed in the meantime." in again
    for step in HygieneStep.objects.order_by("-pk"):
        assert "Taken back." in lead.post(url("hygiene-undo", step.pk), follow=True).content.decode()
    assert keys(dataset) == ["a", "b", "c", "d"]


def test_who_only_reads_sees_the_findings_and_no_remedy(
    project: Project, other_project: Project, browser_of: Browser, people: dict[str, User]
) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?"))
    viewer = browser_of("viewer")
    text = page(viewer, "dataset-hygiene", "golden")
    assert "Doubles" in text
    assert 'name="verb"' not in text
    sent = {"kind": "duplicates", "finding": only(dataset, "duplicates").fingerprint, "verb": "keep"}
    assert viewer.post(url("hygiene-act", "golden"), sent).status_code == 403
    step = tidying.act(dataset, kind="duplicates", fingerprint=sent["finding"], verb="reviewed", actor=people["lead"])
    assert viewer.post(url("hygiene-undo", step.pk)).status_code == 403
    Dataset.objects.filter(pk=dataset.pk).update(project=other_project, slug="theirs")
    assert browser_of("lead").post(url("hygiene-undo", step.pk)).status_code == 404


def test_what_users_wrote_stays_text_among_the_findings(project: Project, browser_of: Browser) -> None:
    hostile = " ".join(TAGS[:15])
    drafted(
        project, asking("a", hostile, hostile), asking("b", hostile, hostile, tags=["x"]), asking("c", hostile, "y")
    )
    used(project, feature="<script>x()</script>", prompt_name="<b>")
    text = page(browser_of("lead"), "dataset-hygiene", "golden")
    assert "<script>x" not in text.lower()
    assert "<iframe" not in text


def test_the_page_takes_as_many_queries_for_twice_the_findings(project: Project, browser_of: Browser) -> None:
    lead, counted = browser_of("lead"), []
    for start in (0, 4):
        drafted(project, *(asking(f"{n}{side}", f"Question {n}?") for n in range(start, start + 4) for side in "ab"))
        used(project, feature=f"f{start}")
        lead.get(url("dataset-hygiene", "golden"))
        counted.append(queries(lead, url("dataset-hygiene", "golden")))
    assert counted[0] == counted[1] <= 25


def test_what_a_judge_was_told_is_found_outside_the_train_split_and_moved_there_with_its_group(
    project: Project, people: dict[str, User]
) -> None:
    grouped = {"group": "g", "interaction_id": "req-1"}
    dataset = drafted(
        project, asking("told", "One of a session", provenance=grouped),
        asking("beside", "Another of that session, on cards", provenance={"group": "g"}),
        asking("asked", "What does a  CHEQUE cost?"), asking("train", "What does a cheque cost?", "x", split="train"),
        asking("free", "Something else"),
    )  # fmt: skip
    judge = Judge.objects.create(
        project=project, slug="grounded", name="Grounded", criterion="Is it?", provider="openai", model="m",
        examples=[{"interaction_id": "req-1", "question": "Q"}, {"question": "what does a cheque cost?"}],
    )  # fmt: skip
    findings = hygiene.report(dataset).found["leaked"]
    assert [(each.items[0].key, each.note) for each in findings] == [
        ("asked", "told to grounded v1"), ("told", "told to grounded v1"),
    ]  # fmt: skip
    step = tidying.act(dataset, kind="leaked", fingerprint=findings[1].fingerprint, verb="train", actor=people["lead"])
    splits = dict(Example.objects.values_list("key", "split"))
    assert (splits["told"], splits["beside"], splits["asked"]) == ("train", "train", "test")
    tidying.undo(step, actor=people["lead"])
    assert dict(Example.objects.values_list("key", "split"))["beside"] == "test"
    judge.enabled = False
    judge.save()
    assert found(dataset, "leaked") == []


def test_programs_list_the_findings_remedy_one_and_take_it_back(project: Project, sk: Api) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?", tags=["vip"]), asking("c", "R?"))
    code, told = sk.get("/api/v1/datasets/golden/hygiene")
    assert (code, told["looked_at"], told["counts"]["duplicates"], told["version"]) == (200, 3, 1, 1)
    (finding,) = told["results"]
    assert ([one["id"] for one in finding["examples"]], finding["verbs"]) == (["a", "b"], ["keep", "reviewed"])
    assert sk.get("/api/v1/datasets/golden/hygiene?kind=near")[1]["results"] == []
    wish = {"kind": "duplicates", "finding": finding["finding"], "verb": "keep", "key": "b"}
    code, step = sk.post("/api/v1/datasets/golden/hygiene", wish)
    assert (code, step["told"], keys(dataset)) == (201, "Kept one of 2 examples", ["b", "c"])
    assert sk.post("/api/v1/datasets/golden/hygiene", wish)[0] == 409
    assert [one["id"] for one in sk.get("/api/v1/datasets/golden/hygiene")[1]["steps"]] == [step["id"]]
    assert sk.post(f"/api/v1/hygiene/{step['id']}/undo", {})[1]["undone"] is True
    assert keys(dataset) == ["a", "b", "c"]
    code, error = sk.post(f"/api/v1/hygiene/{step['id']}/undo", {})
    assert (code, error["error"]["code"]) == (409, "undone")


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"kind": "tidy"}, "/kind"), ({"verb": "burn"}, "/verb"), ({"verb": "drop"}, "/verb"), ({"key": "zz"}, "/key"),
        ({"finding": 7}, "/finding"),
    ],
)  # fmt: skip
def test_a_remedy_that_cannot_be_done_is_refused_with_its_path(
    project: Project, sk: Api, wrong: dict[str, Any], path: str
) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?"))
    wish = {"kind": "duplicates", "finding": only(dataset, "duplicates").fingerprint, "verb": "keep", **wrong}
    code, error = sk.post("/api/v1/datasets/golden/hygiene", wish)
    assert (code, error["error"]["details"][0]["path"]) == (422, path)
    assert keys(dataset) == ["a", "b"]
    assert sk.get("/api/v1/datasets/golden/hygiene?kind=x")[1]["error"]["details"][0]["path"] == "/kind"


def test_programs_see_how_a_dataset_covers_production(project: Project, sk: Api) -> None:
    assert sk.get("/api/v1/datasets/none/coverage")[0] == 404
    golden.interaction(project, feature="billing")
    drafted(project, asking("a", "Q?", metadata={"feature": "cards"}))
    code, told = sk.get("/api/v1/datasets/golden/coverage")
    billing = next(one for one in told["segments"] if one["segment"] == "feature")
    assert (code, billing["value"], billing["production"], billing["missing"]) == (200, "billing", 1.0, True)
