"""The pages around a run: live, compared, overridden, the history of an example, reports."""

from __future__ import annotations

import html
import json
import shlex
import uuid
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as xml

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from reviewhub_client import cli

from evals import comparison, gate, run_again, runs
from evals.models import Run
from projects.models import Project, User
from tests.evals import golden

Browser = Callable[[str], Client]
HOSTILE = "<script>alert(1)</script>"


def url(name: str, *parts: Any) -> str:
    return reverse(f"evals:{name}", args=["acme", *parts])


def page(client: Client, name: str, *parts: Any, **query: str) -> str:
    response = client.get(url(name, *parts), query)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def frozen(project: Project, size: int = 4, **fields: Any) -> Any:
    return golden.frozen(project, *(golden.content(f"k{n:03}", **fields) for n in range(size)))


def finished(project: Project, version: Any, candidate: str, right: list[bool], baseline: Run | None = None) -> Run:
    run, _ = runs.start_run(project, version=version, candidate=candidate, baseline=baseline, rules=gate.Rules())
    keys = version.examples.order_by("key").values_list("key", flat=True)
    runs.add_results(
        run,
        [
            runs.ResultItem(example=key, output=f"right {key}" if good else f"no {HOSTILE}", score=float(good))
            for key, good in zip(keys, right, strict=True)
        ],
    )
    return Run.objects.select_related("version__dataset", "baseline__version").get(pk=runs.finish_run(run).pk)


def test_a_running_run_moves_by_itself_and_reloads_at_its_end(project: Project, browser_of: Browser) -> None:
    version = frozen(project)
    run, _ = runs.start_run(project, version=version, candidate="v1", repeats=2)
    client = browser_of("viewer")
    runs.add_results(
        run, [runs.ResultItem(example="k000", output="no"), runs.ResultItem(example="k001", error="HTTP 500")]
    )
    assert "2 of 8 answers are here, 1 of them fail, 1 could not be had" in page(client, "run-detail", run.pk)
    live = {"HTTP_HX_REQUEST": "true", "HTTP_HX_TARGET": "run-progress"}
    region = client.get(url("run-detail", run.pk), **live)  # type: ignore[arg-type]
    assert region.content.decode().lstrip().startswith('<section class="callout" id="run-progress"')
    runs.abandon_run(run, actor=None)
    assert client.get(url("run-detail", run.pk), **live).headers["HX-Refresh"] == "true"  # type: ignore[arg-type]


def test_a_lead_opens_the_gate_with_a_reason_by_a_plain_form(
    project: Project, browser_of: Browser, people: dict[str, User]
) -> None:
    run = finished(project, frozen(project), "v1", [False, True, True, True])
    assert "Override with reason" not in page(browser_of("engineer"), "run-detail", run.pk)
    assert browser_of("engineer").post(url("run-override", run.pk), {"reason": "x"}).status_code == 403
    lead = browser_of("lead")
    assert "Override with reason" in page(lead, "run-detail", run.pk)
    lead.post(url("run-override", run.pk), {"reason": " "})
    assert Run.objects.get(pk=run.pk).overridden_at is None
    assert "Say why" in page(lead, "run-detail", run.pk)
    lead.post(url("run-override", run.pk), {"reason": f"Out of date {HOSTILE}"})
    text = page(lead, "run-detail", run.pk)
    assert "Gate open by decision" in text
    assert "Out of date &lt;script&gt;" in text


def test_any_two_runs_of_a_dataset_are_compared(project: Project, browser_of: Browser) -> None:
    version = frozen(project)
    first = finished(project, version, "v1", [True, True, False, False])
    second = finished(project, version, "v2", [False, True, True, False])
    client = browser_of("viewer")
    text = page(client, "run-compare", second.pk)
    assert "v2 and v1" in text
    assert "4 examples in both" in text
    assert "McNemar exact p = 1 on 2 flips" in text
    assert 'aria-current="page">Newly fail <span class="count">1</span>' in text
    other = page(client, "run-compare", first.pk, **{"with": str(second.pk), "show": "fixed"})
    assert "Question k000" in other
    assert f"with={second.pk}&amp;show=" in other
    assert Run.objects.get(pk=second.pk).baseline_id is None
    for wrong in (str(uuid.uuid4()), "nonsense"):
        assert client.get(url("run-compare", first.pk), {"with": wrong}).status_code == 404


def test_a_run_alone_has_nothing_to_be_compared_with(project: Project, browser_of: Browser) -> None:
    run = finished(project, frozen(project), "v1", [True] * 4)
    assert browser_of("viewer").get(url("run-compare", run.pk)).status_code == 302
    running, _ = runs.start_run(project, version=run.version, candidate="v2")
    assert browser_of("viewer").get(url("run-compare", running.pk)).status_code == 404


def test_another_projects_run_is_not_compared(project: Project, other_project: Project, browser_of: Browser) -> None:
    mine = finished(project, frozen(project), "v1", [True] * 4)
    foreign = finished(other_project, frozen(other_project), "v1", [True] * 4)
    assert browser_of("viewer").get(url("run-compare", mine.pk), {"with": str(foreign.pk)}).status_code == 404
    assert browser_of("viewer").get(url("run-compare", foreign.pk)).status_code == 404


def test_categories_show_where_it_was_lost(project: Project, browser_of: Browser) -> None:
    def content(n: int) -> Any:
        label = {"verdict": "pass", "category": "fees" if n % 2 else "over<draft", "severity": 2}
        said = [{"type": "must", "text": f"right k{n:03}"}]
        return golden.content(f"k{n:03}", expected={"output": "", "assertions": said, "label": label})

    version = golden.frozen(project, *(content(n) for n in range(12)))
    first = finished(project, version, "v1", [True] * 12)
    second = finished(project, version, "v2", [n % 2 == 1 for n in range(12)], baseline=first)
    text = page(browser_of("viewer"), "run-detail", second.pk)
    assert "By category" in text
    assert "?category=over%3Cdraft#items" in text
    assert text.index("over&lt;draft") < text.index(">fees<")
    narrowed = page(browser_of("viewer"), "run-detail", second.pk, category="fees", show="broken")
    assert 'Newly fail <span class="count">0</span>' in narrowed
    assert "category=fees&amp;show=" in narrowed


def test_the_history_of_an_example(project: Project, browser_of: Browser) -> None:
    version = frozen(project)
    for n in range(3):
        finished(project, version, f"v{n}", [n > 0, True, True, True])
    text = page(browser_of("viewer"), "example-history", "golden", "k000")
    assert text.index(">v2<") < text.index(">v1<") < text.index(">v0<")
    assert text.count("st pass") == 2
    assert "&lt;script&gt;alert" in text
    assert HOSTILE not in text
    assert browser_of("viewer").get(url("example-history", "golden", "nothing")).status_code == 404


def test_reports_are_those_of_the_command_line(project: Project, browser_of: Browser) -> None:
    version = frozen(project)
    first = finished(project, version, "v1", [True] * 4)
    run = finished(project, version, "v2", [False, True, True, True], baseline=first)
    client = browser_of("viewer")

    def told(form: str) -> bytes:
        response = client.get(url("run-report", run.pk, form))
        assert "attachment" in response.headers["Content-Disposition"]
        return response.content

    assert b"Newly failing (1)\n  k000  Question k000" in told("text")
    assert b"| Question k000 |" in told("markdown")
    assert json.loads(told("json"))["flips"]["broken_keys"] == ["k000"]
    assert xml.fromstring(told("junit"))[0].get("failures") == "1"
    assert client.get(url("run-report", run.pk, "pdf")).status_code == 404
    running, _ = runs.start_run(project, version=version, candidate="v3")
    assert client.get(url("run-report", running.pk, "text")).status_code == 404


def test_the_pages_take_as_many_queries_for_twice_the_rows(project: Project, browser_of: Browser) -> None:
    client = browser_of("lead")

    def grow(size: int) -> list[int]:
        version = frozen(project, size)
        first = finished(project, version, f"a{size}", [True] * size)
        for n in range(size // 2):
            finished(project, version, f"b{size}{n}", [True] * size)
        run = finished(project, version, f"c{size}", [n % 2 == 0 for n in range(size)], baseline=first)
        addresses = [url("run-detail", run.pk), url("run-compare", run.pk), url("example-history", "golden", "k000")]
        counted = []
        for address in addresses:
            client.get(address)
            with CaptureQueriesContext(connection) as seen:
                assert client.get(address).status_code == 200
            counted.append(len(seen))
        return counted

    before = grow(4)
    assert grow(8) == before
    assert max(before) <= 20


@pytest.mark.parametrize("seed", range(3))
def test_pages_list_what_the_gate_decided_on(project: Project, seed: int) -> None:
    """One page after the other gives every example once, in the groups that the outcomes make."""
    version = frozen(project, 23)
    first = finished(project, version, "v1", [(n * 7 + seed) % 3 > 0 for n in range(23)])
    run = finished(project, version, "v2", [(n * 5 + seed) % 4 > 0 for n in range(23)], baseline=first)
    told: dict[str, list[str]] = {}
    for name in comparison.ORDER:
        after = ""
        while True:
            found = comparison.page(run, first, show=name, after=after, size=5)
            told.setdefault(name, []).extend(found.keys)
            if not found.more:
                break
            after = found.keys[-1]
        assert len(told[name]) == found.sizes.get(name, 0)
    expected = {
        (True, True): "still-pass", (True, False): "fixed", (False, True): "broken", (False, False): "still-fail",
    }  # fmt: skip
    decided = {one.key: expected[bool(one.passed), bool(one.baseline)] for one in comparison.outcomes(run, first)}
    assert {key: name for name, keys in told.items() for key in keys} == decided
    assert run.summary["flips"]["broken"] == len(told["broken"])


def test_a_run_says_by_how_much_it_differs_and_what_it_took(project: Project, browser_of: Browser) -> None:
    version = frozen(project, 20)
    before = finished(project, version, "v1", [n > 0 for n in range(20)])
    after = finished(project, version, "v2", [n > 2 for n in range(20)], before)
    lead = browser_of("lead")
    shown = page(lead, "run-detail", after.pk)
    assert "▼ 10.0 points, interval −24.0 to 5.9" in shown
    assert ", took 0\u00a0s" in shown
    assert "$" not in shown.split("took 0\u00a0s")[1].split("</p>")[0]  # nobody knows what it cost
    assert "Override with reason" in shown
    assert "Override with reason" not in page(browser_of("engineer"), "run-detail", after.pk)
    assert "▲ 10.0 points" in page(lead, "run-compare", before.pk, **{"with": str(after.pk)})
    after.results.update(cost_usd="0.25")
    assert ", $5.00" in page(lead, "run-detail", after.pk)
    assert "points, interval" not in page(lead, "run-detail", before.pk)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"kind": "openai", "host": "api.openai.com", "url": "https://api.openai.com/v1/chat/completions",
          "model": "gpt-4o", "parameters": {"temperature": 0, "stop": ["A B"]}},
         ["--target openai:gpt-4o", "--param temperature=0", """--param 'stop=["A B"]'"""]),
        ({"kind": "openai", "host": "10.0.0.8", "url": "http://10.0.0.8/v1/chat/completions", "model": "m"},
         ["--target http://10.0.0.8/v1/chat/completions", "--model m"]),
        ({"kind": "anthropic", "host": "10.0.0.8", "url": "http://10.0.0.8/v1/messages", "model": "m"},
         ["ANTHROPIC_BASE_URL=http://10.0.0.8", "--target anthropic:m"]),
        ({"kind": "python", "name": "my_app.chat:reply"}, ["--target python:my_app.chat:reply"]),
        ({"kind": "file", "name": "--yes"}, ["--target=--yes"]),
        ({"kind": "file", "name": "$(rm -rf) answers.jsonl"}, ["--target '$(rm -rf) answers.jsonl'"]),
        ({}, ["--target TARGET"]),
        ({"kind": ["x"], "model": {"a": 1}, "parameters": [1], "url": 7}, ["--target TARGET"]),
        ({"kind": "anthropic", "model": "m", "parameters": "x", "url": "http://["}, ["ANTHROPIC_BASE_URL='http://['"]),
    ],
)  # fmt: skip
def test_the_page_gives_the_command_that_makes_the_run_again(
    project: Project, browser_of: Browser, target: dict[str, Any], said: list[str]
) -> None:
    version = frozen(project)
    rules = gate.Rules(min_pass_rate=0.9, category_floors={"made up": 0.5})
    run, _ = runs.start_run(
        project, version=version, candidate=f"it's {HOSTILE}", target=target, rules=rules, repeats=2, flaky_repeats=3,
        wanted=[{"type": "expected", "judge": "openai:gpt-4o"}],
    )  # fmt: skip
    told = html.unescape(page(browser_of("viewer"), "run-detail", run.pk))
    usual = [
        f"reviewhub eval golden@{version.number}", f"--candidate 'it'\"'\"'s {HOSTILE}'", "--baseline none",
        "--repeats 2", "--flaky-repeats 3", "--judge openai:gpt-4o",
        "--min-pass-rate 0.9", "--min-category 'made up=0.5'",
        f"--resume {run.pk}",
    ]  # fmt: skip
    assert [words for words in [*said, *usual] if words not in told] == []
    # The shell reads it as the command line does: every option is one that the command has, with its value whole.
    again = run_again.again(run).command
    words = shlex.split(again.replace("\\\n", " "))
    read = cli.parser().parse_args(words[words.index("eval") + 1 :])
    assert (read.candidate, read.repeats, read.min_category) == (f"it's {HOSTILE}", 2, ["made up=0.5"])


def test_checks_of_ones_own_and_a_run_by_pytest_are_told_too(project: Project, browser_of: Browser) -> None:
    run, _ = runs.start_run(
        project, version=frozen(project), candidate="mine", target={"kind": "pytest"}, rules=gate.Rules(margin=0.1),
        wanted=[{"type": "contains", "text": "cents"}],
    )  # fmt: skip
    runs.abandon_run(run, actor=None)
    run.refresh_from_db()
    told = html.unescape(page(browser_of("viewer"), "run-detail", run.pk))
    for words in ("Run again", "pytest --golden golden@1", "--golden-candidate mine", "--golden-checks checks.json",
                  """--golden-rules '{"margin": 0.1}'""", '"text": "cents"'):  # fmt: skip
        assert words in told
    assert "--golden-resume" not in told
