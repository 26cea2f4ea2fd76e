"""The pages of judges, detectors and connections."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evals import calibration, judge_reports, judges, judging
from evals.judge_agreement import Agreement
from evals.models import DetectorSetting, Judge, JudgeJob
from feedback.models import Score
from projects.connections import create_connection
from projects.models import AuditEntry, Project, ProviderConnection
from tests.evals import golden
from tests.evals.judge_work import job, judge
from tests.fakes import provider as faults
from tests.fakes.provider import FakeProvider

BrowserOf = Callable[[str], Client]


_numbers = itertools.count(1)


def judged(of: Judge, score: float, verdict: str = "", part: str = calibration.DEV, **fields: Any) -> JudgeJob:
    """A finished job, and people's label on its interaction where ``verdict`` is given."""
    names = (f"judged-{number}" for number in _numbers)
    name = next(name for name in names if calibration.part_of("", name) == part)
    item = golden.interaction(of.project, **{"external_id": name, **fields})
    if verdict:
        golden.label(of.project, item, verdict=verdict)
    claimed = job(of, item)
    assert judging.settle(claimed, judging.Outcome(judging.Verdict("Because <b>of</b> it.", score)))
    return claimed


def forty(of: Judge) -> None:
    for score, verdict, count in ((0.1, "fail", 9), (0.9, "fail", 3), (0.2, "pass", 4), (0.95, "pass", 24)):
        for _ in range(count):
            judged(of, score, verdict)


def page(client: Client, path: str, status: int = 200) -> str:
    response = client.get(f"/p/acme/{path}")
    assert response.status_code == status
    return response.content.decode()


def post(client: Client, path: str, status: int = 302, **data: Any) -> str:
    response = client.post(f"/p/acme/{path}", data)
    assert response.status_code == status, response.content.decode()[:2000]
    return response.content.decode()


def test_the_list_shows_judges_and_detectors_with_their_state(browser_of: BrowserOf, project: Project) -> None:
    of = judge(project)
    judged(of, 0.2)
    text = page(browser_of("viewer"), "judges/")
    assert "Faithfulness" in text
    assert "Correctness" in text
    assert "needs a key: OPENAI_API_KEY" in text
    assert "Support in the documents" in text
    assert "New judge" not in text  # a viewer builds nothing
    assert "<form" not in text.split("<main")[1]


def test_with_a_key_nothing_is_missing(browser_of: BrowserOf, project: Project, provider: FakeProvider) -> None:
    text = page(browser_of("engineer"), "judges/")
    assert "needs a key" not in text
    assert "ready" in text
    assert "sk-openai-canary" not in text


def test_queries_of_the_list_do_not_grow(browser_of: BrowserOf, project: Project) -> None:
    client = browser_of("engineer")
    counts = []
    for start in (0, 10):
        for number in range(start, start + 5):
            judged(judge(project, slug=f"j{number}"), 0.5)
        with CaptureQueriesContext(connection) as queries:
            page(client, "judges/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_under_thirty_labels_there_are_no_rates(browser_of: BrowserOf, project: Project) -> None:
    of = judge(project)
    for _ in range(14):
        judged(of, 0.1, "fail")
        judged(of, 0.9, "pass")
    judged(of, 0.9, "unsure")
    judged(of, 0.9)
    text = page(browser_of("viewer"), "judges/correct/")
    assert "needs a key" in text
    assert "too few labels to tell" in text
    assert "28 of 30 labels" in text
    assert "Judge fail" not in text


def test_from_thirty_labels_on_the_page_says_how_far_to_trust_it(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    of = judge(project)
    forty(of)
    text = page(browser_of("viewer"), "judges/correct/")
    assert "Trust it to sort, not yet to decide" in text
    assert "finds 9 of 12 answers that people fail, and clears 24 of 28" in text
    assert "75\u00a0%<small>47 to 91</small>" in text
    assert "See the 3 misses" in text
    assert '<svg class="chart"' in text
    misses = page(browser_of("viewer"), "judges/correct/?version=1&cell=missed")
    assert misses.count("data-row") == 3
    assert "Because &lt;b&gt;of&lt;/b&gt; it." in misses
    for cell, count in {"found": 9, "false-alarms": 4, "cleared": 24}.items():
        assert page(browser_of("viewer"), f"judges/correct/?cell={cell}").count("data-row") == count


def test_queries_of_a_judge_do_not_grow(browser_of: BrowserOf, project: Project) -> None:
    of = judge(project)
    client = browser_of("engineer")
    counts = []
    for _ in range(2):
        forty(of)
        with CaptureQueriesContext(connection) as queries:
            page(client, "judges/correct/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_figures_are_those_of_this_version_only(project: Project) -> None:
    first = judge(project)
    forty(first)
    second = judges.create_judge(
        project, name="Correct", criterion="Is it right?", provider="openai", model="m", connection=None,
        threshold=0.5, sample_rate=0, actor=None,
    )  # fmt: skip
    assert (second.slug, second.version) == ("correct", 2)
    assert judge_reports.figures(second, []).verdicts == 0
    assert judge_reports.agreement(second) == Agreement()
    assert judge_reports.agreement(first) == Agreement(9, 3, 4, 24)
    assert judge_reports.figures(first, []).coverage == 1.0


def test_a_label_that_was_superseded_does_not_count(project: Project) -> None:
    of = judge(project)
    done = judged(of, 0.1, "fail")
    done.interaction.labels.update(superseded_at=timezone.now())
    golden.label(project, done.interaction, verdict="pass")
    assert judge_reports.agreement(of) == Agreement(false_alarms=1)


@pytest.mark.parametrize(
    ("cells", "kappa"),
    [((20, 0, 0, 20), 1.0), ((10, 10, 10, 10), 0.0), ((0, 20, 20, 0), -1.0), ((101, 27, 30, 382), 0.7105),
     ((0, 0, 0, 0), None), ((40, 0, 0, 0), None)],
)  # fmt: skip
def test_kappa(cells: tuple[int, int, int, int], kappa: float | None) -> None:
    found = Agreement(*cells).kappa
    assert found == (kappa if kappa is None else pytest.approx(kappa, abs=5e-4))


def test_kappa_has_an_interval_that_covers_chance_when_there_is_little_to_go_by() -> None:
    # 20, 4, 5, 30: agreement 0.8475, chance 0.5143, standard error 0.0964
    assert Agreement(20, 4, 5, 30).kappa_interval == pytest.approx((0.497, 0.875), abs=2e-3)
    low, high = Agreement(3, 2, 2, 3).kappa_interval or (1.0, 0.0)
    assert low < 0 < high
    assert Agreement(0, 0, 0, 0).kappa_interval is None
    assert Agreement(5, 0, 0, 5).kappa_interval == (1.0, 1.0)


def test_the_intervals_of_the_recorded_gpt_4_refusal_judge() -> None:
    """XSTest dev: TPR 0.7119 [0.6801, 0.7417], TNR 0.9539 [0.9356, 0.9672]."""
    seen = Agreement(588, 238, 32, 662)
    for share, figures in (
        (seen.finds_fails, (0.7119, 0.6801, 0.7417)),
        (seen.clears_passes, (0.9539, 0.9356, 0.9672)),
    ):
        assert (share.value, *share.interval) == pytest.approx(figures, abs=5e-5)
    assert not seen.good_enough
    assert Agreement(5, 0, 0, 24).enough is False
    assert Agreement(0, 0, 0, 60).enough is False


def test_an_unknown_judge_version_or_cell_is_not_found(browser_of: BrowserOf, project: Project) -> None:
    judge(project)
    for path in ("judges/none/", "judges/correct/?version=9", "judges/correct/?version=x", "judges/correct/?cell=x",
                 "judges/correct/?version=99999999999999999999", "judges/new/?from=none"):  # fmt: skip
        page(browser_of("engineer"), path, 404)


def test_a_judge_of_another_project_is_not_found(
    browser_of: BrowserOf, project: Project, other_project: Project
) -> None:
    judge(other_project, slug="theirs")
    page(browser_of("admin"), "judges/theirs/", 404)


NEW = {
    "name": "Tone", "criterion": "Is it polite?", "source": "anthropic", "model": "claude-haiku-4-5",
    "threshold": "0.6", "sample_rate": "2.5",
}  # fmt: skip


def test_an_engineer_makes_a_judge_and_its_next_version(browser_of: BrowserOf, project: Project) -> None:
    client = browser_of("engineer")
    post(client, "judges/new/", **NEW)
    first = Judge.objects.get(project=project, slug="tone")
    assert (first.version, first.provider, first.threshold, first.sample_rate) == (1, "anthropic", 0.6, 0.025)
    draft = page(client, "judges/new/?from=tone")
    assert "Is it polite?" in draft
    assert 'value="2.5"' in draft
    post(client, "judges/new/", **{**NEW, "criterion": "Is it kind?"})
    versions = Judge.objects.filter(project=project, slug="tone").order_by("version")
    assert [(one.version, one.enabled, one.criterion) for one in versions] == [
        (1, False, "Is it polite?"), (2, True, "Is it kind?"),
    ]  # fmt: skip
    assert AuditEntry.objects.filter(action="judge.created").count() == 2


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"criterion": ""}, {"source": "7"}, {"threshold": "nan"}, {"threshold": "1.1"},
     {"sample_rate": "101"}, {"sample_rate": "inf"}, {"model": "x" * 121}, {"name": "a\0b"}],
)  # fmt: skip
def test_a_faulty_judge_is_refused_and_what_was_written_stays(
    browser_of: BrowserOf, project: Project, wrong: dict[str, str]
) -> None:
    text = post(browser_of("engineer"), "judges/new/", 422, **{**NEW, **wrong})
    assert 'role="alert"' in text
    assert not Judge.objects.filter(slug="tone").exists()


def test_a_connection_of_another_project_cannot_be_used(
    browser_of: BrowserOf, project: Project, other_project: Project
) -> None:
    theirs = create_connection(
        other_project, name="Theirs", kind="openai", base_url="https://api.openai.com/v1", key="sk-x", actor=None
    )
    text = post(browser_of("engineer"), "judges/new/", 422, **{**NEW, "source": str(theirs.pk)})
    assert "Theirs" not in text


def test_the_share_is_changed_on_the_page(browser_of: BrowserOf, project: Project) -> None:
    of = judge(project)
    job(of)  # a used judge may still change its share
    post(browser_of("engineer"), "judges/correct/rate/", sample_rate="12.5")
    of.refresh_from_db()
    assert of.sample_rate == 0.125
    post(browser_of("engineer"), "judges/correct/rate/", sample_rate="200")
    of.refresh_from_db()
    assert of.sample_rate == 0.125


def test_a_backfill_is_previewed_and_started(browser_of: BrowserOf, project: Project, provider: FakeProvider) -> None:
    of = judge(project)
    for _ in range(3):
        golden.interaction(project)
    client = browser_of("engineer")
    assert "newest of 3 that it has not seen" in page(client, "judges/correct/")
    post(client, "judges/correct/backfill/", limit="2")
    assert JudgeJob.objects.filter(judge=of, purpose="backfill").count() == 2
    for limit in ("0", "-1", "10001", "x", ""):
        post(client, "judges/correct/backfill/", limit=limit)
    assert JudgeJob.objects.count() == 2
    judging.work()
    assert Score.objects.filter(source="judge").count() == 2
    assert "2 interactions are waiting" in page(client, "judges/correct/")


def test_failed_jobs_are_listed_and_tried_again(
    browser_of: BrowserOf, project: Project, provider: FakeProvider
) -> None:
    job(judge(project))
    provider.script(faults.status(400))
    judging.work()
    client = browser_of("engineer")
    text = page(client, "judges/correct/")
    assert "The provider refused the request (400)." in text
    assert "stack trace" not in text
    assert "Try the 1 failed again" in text
    post(client, "judges/correct/replay/")
    judging.work()
    assert Score.objects.count() == 1


def test_versions_are_switched(browser_of: BrowserOf, project: Project) -> None:
    first, second = judge(project, enabled=False), judge(project, version=2)
    client = browser_of("engineer")
    post(client, "judges/correct/switch/", version="1", enabled="on")
    assert {one.version: one.enabled for one in (first, second) if one.refresh_from_db() is None} == {1: True, 2: False}
    post(client, "judges/correct/switch/", version="1")
    assert not Judge.objects.filter(slug="correct", enabled=True).exists()
    assert "v2 off" in page(client, "judges/correct/")


def test_a_detector_is_set(browser_of: BrowserOf, project: Project) -> None:
    client = browser_of("engineer")
    post(client, "detectors/groundedness/set/", enabled="on", threshold="0.25")
    post(client, "detectors/refusal/set/", threshold="")
    post(client, "detectors/refusal/set/", enabled="on", threshold="7")
    post(client, "detectors/nonsense/set/", 404, enabled="on")
    settings = {one.detector: (one.enabled, one.threshold) for one in DetectorSetting.objects.all()}
    assert settings == {"groundedness": (True, 0.25), "refusal": (False, None)}
    assert 'value="0.25"' in page(client, "judges/")


def test_a_connection_is_made_and_its_key_never_comes_back(browser_of: BrowserOf, project: Project) -> None:
    client = browser_of("admin")
    form = {"name": "Ours", "kind": "openai", "base_url": "https://llm.example.com/v1", "key": "sk-canary-77"}
    post(client, "connections/", **form)
    link = ProviderConnection.objects.get()
    text = page(client, "connections/")
    assert "llm.example.com" in text
    assert "canary" not in text
    post(client, f"connections/{link.pk}/key/", key="sk-canary-88")
    assert judging.connections.key_of(ProviderConnection.objects.get()) == "sk-canary-88"
    post(client, f"connections/{link.pk}/key/", key="")
    assert judging.connections.key_of(ProviderConnection.objects.get()) == "sk-canary-88"
    of = judge(project, connection=link)
    post(client, f"connections/{link.pk}/remove/")
    assert ProviderConnection.objects.count() == 1
    of.delete()
    post(client, f"connections/{link.pk}/remove/")
    assert ProviderConnection.objects.count() == 0
    assert "canary" not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    "wrong",
    [{"base_url": "http://llm.example.com"}, {"base_url": "https://169.254.169.254/"}, {"base_url": "https://a:b@c.de"},
     {"name": ""}, {"kind": "other"}, {"key": "sk with blank"}, {"key": "sk-ü"}, {"name": "Taken"}],
)  # fmt: skip
def test_a_faulty_connection_is_refused_without_showing_its_key(
    browser_of: BrowserOf, project: Project, wrong: dict[str, str]
) -> None:
    create_connection(project, name="Taken", kind="openai", base_url="https://a.example/v1", key="", actor=None)
    form = {"name": "Ours", "kind": "openai", "base_url": "https://llm.example.com/v1", "key": "sk-canary-77", **wrong}
    text = post(browser_of("admin"), "connections/", 422, **form)
    assert 'role="alert"' in text
    assert form["key"] not in text
    assert ProviderConnection.objects.count() == 1


def test_a_connection_of_another_project_is_not_found(
    browser_of: BrowserOf, project: Project, other_project: Project
) -> None:
    theirs = create_connection(
        other_project, name="Theirs", kind="openai", base_url="https://a.example/v1", key="sk-x", actor=None
    )
    post(browser_of("admin"), f"connections/{theirs.pk}/key/", 404, key="sk-mine")
    post(browser_of("admin"), f"connections/{theirs.pk}/remove/", 404)
