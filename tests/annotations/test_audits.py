"""Audits: a drawn sample that anybody can draw again, figures with intervals, and a signature that is final."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from annotations import audits, sampling
from annotations.audits import Plan, allocated
from annotations.estimation import Unit, rate
from annotations.models import Audit, Label, Task
from feedback.models import Interaction
from projects import services
from projects.errors import ApiError
from projects.models import Project, User
from tests.conftest import Api

HOSTILE = "<script>alert(1)</script>\u202e"


def answers(project: Project, name: str, count: int, **fields: Any) -> list[Interaction]:
    """Interactions of yesterday."""
    at = timezone.now() - timedelta(days=1)
    return Interaction.objects.bulk_create(
        Interaction(
            project=project, external_id=f"{name}-{number}", created_at=at, output="It is 5.",
            messages=[{"role": "user", "content": f"Question {name} {number}?"}], fingerprint=b"x" * 32, **fields,
        )
        for number in range(count)
    )  # fmt: skip


def plan(**more: Any) -> Plan:
    now = timezone.now()
    usual = {"name": "Week", "since": now - timedelta(days=7), "until": now, "size": 40, "filters": {}}
    return Plan(**{**usual, **more})


def labelled(found: Audit, verdicts: dict[str, list[str]], **more: Any) -> None:
    """Labels for the items of each segment, in their order."""
    for segment, said in verdicts.items():
        for item, verdict in zip(found.items.filter(segment=segment).order_by("pk"), said, strict=False):
            Label.objects.create(
                project=found.project, interaction_id=item.interaction_id, task=item.task, verdict=verdict,
                settled_by="single", rubric_version=1, **{"blind": True, **more},
            )  # fmt: skip


@pytest.mark.parametrize(
    ("volumes", "size", "equal", "given"),
    [
        ({"a": 700, "b": 200, "c": 100}, 40, False, {"a": 28, "b": 8, "c": 4}),
        ({"a": 700, "b": 200, "c": 100}, 39, True, {"a": 13, "b": 13, "c": 13}),
        ({"a": 9990, "b": 5, "c": 5}, 40, False, {"a": 38, "b": 1, "c": 1}),
        ({"a": 700, "b": 3}, 40, True, {"a": 37, "b": 3}),
        ({"a": 5, "b": 3}, 40, False, {"a": 5, "b": 3}),
    ],
)
def test_items_are_shared_out(volumes: dict[str, int], size: int, equal: bool, given: dict[str, int]) -> None:
    assert allocated(volumes, size, equal=equal) == given


def test_the_sample_is_what_anybody_draws_from_the_seed(project: Project, people: dict[str, User]) -> None:
    for name, count in (("fees", 60), ("cards", 20)):
        answers(project, name, count, feature=name)
    answers(project, "old", 5, feature="fees")
    Interaction.objects.filter(external_id__startswith="old").update(created_at=timezone.now() - timedelta(days=30))
    found = audits.define(project=project, actor=people["lead"], plan=plan(segment_by="feature"))
    assert (found.population, found.segments, found.size) == (80, {"fees": 60, "cards": 20}, 40)
    for name, count in (("fees", 30), ("cards", 10)):
        numbers = sorted(
            (sampling.number(found.seed, f"{name}-{n}"), f"{name}-{n}") for n in range(found.segments[name])
        )
        items = found.items.filter(segment=name)
        assert {item.interaction.external_id for item in items} == {one for _, one in numbers[:count]}
        assert {item.inclusion_p for item in items} == {0.5}
    tasks = Task.objects.filter(audit_items__audit=found)
    assert tasks.count() == 40
    assert {(task.purpose, task.lane, task.queue.slug, task.queue.blind) for task in tasks.select_related("queue")} == {
        ("audit", "random", "audits", True)
    }


def test_what_has_a_label_is_not_asked_again_and_what_waits_elsewhere_moves(
    project: Project, people: dict[str, User]
) -> None:
    rows = answers(project, "i", 3)
    Label.objects.create(project=project, interaction=rows[0], verdict="fail", settled_by="imported", rubric_version=1)
    waiting = Task.objects.create(
        project=project, queue=project.queues.get(slug="flagged"), interaction=rows[1], lane="risk", reasons=[],
        due_at=timezone.now(), sampled=True, inclusion_p=0.02,
    )  # fmt: skip
    found = audits.define(project=project, actor=people["lead"], plan=plan())
    items = {item.interaction_id: item.task for item in found.items.all()}
    assert items[rows[0].pk] is None
    assert items[rows[1].pk] == waiting
    waiting.refresh_from_db()
    assert (waiting.queue.slug, waiting.purpose, waiting.sampled, waiting.inclusion_p) == (
        "audits",
        "audit",
        True,
        0.02,
    )
    again = audits.define(project=project, actor=people["lead"], plan=plan(name="Again"))
    assert {item.interaction_id: item.task for item in again.items.all()} == items


def test_the_figures_are_those_of_the_stratified_estimator(project: Project, people: dict[str, User]) -> None:
    for name, count in (("fees", 300), ("cards", 60)):
        answers(project, name, count, feature=name)
    found = audits.define(
        project=project, actor=people["lead"], plan=plan(segment_by="feature", allocation="equal", size=80)
    )
    labelled(found, {"fees": ["fail"] * 4 + ["pass"] * 36, "cards": ["fail"] * 20 + ["pass"] * 18 + ["unsure"]})
    figures = audits.result(found)
    lines = {line.segment: line for line in figures.lines}
    assert (lines["fees"].failed, lines["fees"].passed, lines["cards"].unsure, figures.waiting) == (4, 36, 1, 1)
    assert lines["fees"].value == pytest.approx(0.1)
    # By hand: N_h-weighted mean; variance of a stratified simple random sample with its correction (Cochran 5.3).
    assert figures.total.value == pytest.approx((300 * 0.1 + 60 * 20 / 38) / 360)
    units = [
        *([Unit(1.0, 40 / 300, "fees")] * 4), *([Unit(0.0, 40 / 300, "fees")] * 36),
        *([Unit(1.0, 40 / 60, "cards")] * 20), *([Unit(0.0, 40 / 60, "cards")] * 18),
        *([Unit(None, 40 / 60, "cards")] * 2),
    ]  # fmt: skip
    expected = rate(units, sizes={"fees": 300, "cards": 60})
    assert figures.total.low == pytest.approx(expected.low)
    assert figures.total.high == pytest.approx(expected.high)


def test_a_population_that_was_looked_at_whole_has_no_doubt_left(project: Project, people: dict[str, User]) -> None:
    answers(project, "i", 35)
    found = audits.define(project=project, actor=people["lead"], plan=plan())
    labelled(found, {"": ["fail"] * 7 + ["pass"] * 28})
    total = audits.result(found).total
    assert (total.value, total.low, total.high) == (0.2, 0.2, 0.2)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"name": " "}, "/name"), ({"size": 0}, "/size"), ({"overlap": 4}, "/overlap"),
        ({"segment_by": "mood"}, "/segment_by"), ({"allocation": "odd"}, "/allocation"),
        ({"filters": {"mood": "x"}}, "/filters/mood"), ({"filters": {"model": ""}}, "/filters/model"),
        ({"filters": {"model": "none"}}, "/since"), ({"size": 2, "segment_by": "feature"}, "/segment_by"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_drawn_is_refused_at_its_fault(
    more: dict[str, Any], path: str, project: Project, people: dict[str, User]
) -> None:
    for name in "abc":
        answers(project, name, 2, feature=name)
    with pytest.raises(ApiError) as caught:
        audits.define(project=project, actor=people["lead"], plan=plan(**more))
    assert [fault["path"] for fault in caught.value.details] == [path]
    assert not Audit.objects.exists()


def test_what_is_signed_is_final_and_keeps_its_figures(project: Project, people: dict[str, User]) -> None:
    answers(project, "i", 30)
    found = audits.define(project=project, actor=people["lead"], plan=plan(size=10))
    labelled(found, {"": ["fail"] * 2 + ["pass"] * 6})
    for statement, incomplete, path in ((" ", True, "/statement"), ("Fine.", False, "/incomplete")):
        with pytest.raises(ApiError) as caught:
            audits.sign(actor=people["lead"], found=found, statement=statement, incomplete=incomplete)
        assert caught.value.details[0]["path"] == path
    signed = audits.sign(actor=people["lead"], found=found, statement="Fine.", incomplete=True)
    before = audits.result(signed)
    assert (signed.signed_by, before.total.failed, before.waiting) == (people["lead"], 2, 2)
    assert Counter(Task.objects.filter(audit_items__audit=found).values_list("state", flat=True)) == {
        "open": 8, "dropped": 2
    } or Task.objects.filter(audit_items__audit=found, state="open").count() == 0  # fmt: skip
    Label.objects.filter(project=project).update(verdict="fail")
    assert audits.result(Audit.objects.get(pk=found.pk)) == before
    with pytest.raises(ApiError, match="has been signed"):
        audits.sign(actor=people["admin"], found=found, statement="Not fine.", incomplete=True)
    for change in ({"statement": "x"}, {"result": {}}, {"signed_by": None, "signed_at": None, "result": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Audit.objects.filter(pk=found.pk).update(**change)
    with pytest.raises(IntegrityError, match="is signed"), transaction.atomic():
        Audit.objects.filter(pk=found.pk).delete()
    services.remove_project(project, actor=None)
    assert not Audit.objects.exists()


# Pages and the API


def test_an_audit_from_the_form_to_the_signature(
    project: Project, browser_of: Callable[[str], Client], people: dict[str, User]
) -> None:
    lead = browser_of("lead")
    assert "No audits yet" in lead.get("/p/acme/audits/").content.decode()
    for name, count in (("fees", 50), (HOSTILE, 20)):
        answers(project, name[:4], count, feature=name)
    today = timezone.now().date()
    form = {"name": HOSTILE, "since": f"{today - timedelta(days=7)}", "until": f"{today}", "size": "many",
            "segment_by": "feature", "allocation": "equal", "filter": "", "value": "", "overlap": "1"}  # fmt: skip
    refused = lead.post("/p/acme/audits/new/", form)
    assert refused.status_code == 422
    assert 'value="many"' in refused.content.decode()
    drawn = lead.post("/p/acme/audits/new/", {**form, "size": "40"})
    found = Audit.objects.get()
    assert (drawn.status_code, drawn["Location"]) == (302, f"/p/acme/audits/{found.pk}/")
    labelled(found, {"fees": ["pass"] * 20, HOSTILE: ["fail"] * 5})
    page = lead.get(f"/p/acme/audits/{found.pk}/").content.decode()
    assert "25 of 40 items have a label" in page
    assert "too few to tell a rate" in page
    assert "<script>alert" not in page
    assert "\u202e" not in page
    sent_back = lead.post(f"/p/acme/audits/{found.pk}/sign/", {"statement": "Mostly fine."})
    assert sent_back.status_code == 422
    assert "Mostly fine." in sent_back.content.decode()
    assert lead.post(f"/p/acme/audits/{found.pk}/sign/", {"statement": "Fine.", "incomplete": "on"}).status_code == 302
    page = lead.get(f"/p/acme/audits/{found.pk}/").content.decode()
    assert "Signed by Lead" in page
    assert 'name="statement"' not in page
    like = lead.get(f"/p/acme/audits/new/?like={found.pk}").content.decode()
    assert 'value="40"' in like
    assert browser_of("engineer").get(f"/p/acme/audits/{found.pk}/").status_code == 200
    assert browser_of("engineer").post(f"/p/acme/audits/{found.pk}/sign/").status_code == 403
    assert lead.get("/p/acme/audits/999999/").status_code == 404


def test_the_api_tells_the_list_and_the_figures(
    project: Project, people: dict[str, User], sk: Api, token_of: Callable[[str], Api]
) -> None:
    answers(project, "i", 50, model="m")
    found = audits.define(project=project, actor=people["lead"], plan=plan(filters={"model": "m"}))
    labelled(found, {"": ["fail"] * 10 + ["pass"] * 25})
    status, body = sk.get("/api/v1/audits")
    assert (status, [(one["id"], one["labelled"]) for one in body["results"]]) == (200, [(found.pk, 35)])
    status, body = token_of("viewer").get(f"/api/v1/audits/{found.pk}")
    assert (status, body["total"]["failed"], body["filters"]) == (200, 10, {"model": "m"})
    assert body["total"]["value"] == pytest.approx(10 / 35)
    assert len(body["items"]) == 40
    assert {item["inclusion_p"] for item in body["items"]} == {0.8}
    assert sk.get("/api/v1/audits/999999")[0] == 404


@pytest.mark.parametrize("path", ["", "{pk}/"])
def test_the_pages_ask_the_same_number_of_queries_for_twice_the_items(
    path: str, project: Project, people: dict[str, User], browser_of: Callable[[str], Client],
    django_assert_num_queries: Any, django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    lead = browser_of("lead")
    answers(project, "i", 90, feature="a")
    small = audits.define(project=project, actor=people["lead"], plan=plan(size=20))
    labelled(small, {"": ["pass"] * 20})
    with django_assert_max_num_queries(14) as first:
        lead.get("/p/acme/audits/" + path.format(pk=small.pk))
    large = audits.define(project=project, actor=people["lead"], plan=plan(size=45, segment_by="feature"))
    with django_assert_num_queries(len(first)):
        lead.get("/p/acme/audits/" + path.format(pk=large.pk))
