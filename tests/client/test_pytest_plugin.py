"""The pytest plugin as a user has it: pytest in a process of its own, against a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest

from evals import runs
from evals.models import Result, Run
from projects import keys
from projects.models import Project
from tests.evals import golden
from tests.factories import UserFactory
from tests.fakes.provider import Call, FakeProvider

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.django_db(transaction=True)

MINE = """\
import my_bot

def test_golden(golden_example):
    golden_example.check(my_bot.reply(golden_example.question))
"""
GOOD = "def reply(question):\n    return question.replace('Question', 'right')\n"
BAD = """\
def reply(question):
    return 'no' if question.endswith(('k1', 'k2')) else question.replace('Question', 'right')
"""


def expected(key: str, category: str | None = None, severity: int | None = None) -> dict[str, Any]:
    return {
        "output": f"Answer {key}", "assertions": [{"type": "must", "text": f"right {key}"}],
        "label": {"verdict": "fail", "category": category, "severity": severity},
    }  # fmt: skip


@pytest.fixture
def version(project: Project) -> Any:
    golden.mode(project, "made-up-fee")
    return golden.frozen(
        project,
        golden.content("k0", tags=["vip"], expected=expected("k0", "made-up-fee", 2)),
        golden.content("k1", tags=["vip", "mobile"], expected=expected("k1", "contradicts-source")),
        golden.content("k2", expected=expected("k2")),
        golden.content("k3", expected=expected("k3", "made-up-fee")),
    )


class Installed:
    """A folder with an application and its tests, and the client as pip would have installed it."""

    def __init__(self, folder: Path, url: str, key: str) -> None:
        self.folder = folder
        site = folder / "site" / "reviewhub_client-0.1.0.dist-info"
        site.mkdir(parents=True)
        project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
        points = project["entry-points"]["pytest11"]
        (site / "METADATA").write_text("Metadata-Version: 2.1\nName: reviewhub-client\nVersion: 0.1.0\n")
        (site / "entry_points.txt").write_text(
            "[pytest11]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        )
        self.environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": f"{site.parent}:{ROOT / 'client'}:{folder}",
            "REVIEWHUB_URL": url, "REVIEWHUB_KEY": key, "OPENAI_API_KEY": "sk-fake", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers --strict-config -p no:django\n")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(text)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words], cwd=self.folder,
            env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


@pytest.fixture
def installed(tmp_path: Path, live_server: Any, project: Project) -> Installed:
    key = keys.create_key(project=project, kind="sk", name="ci", scopes=["read", "runs"])[1]
    return Installed(tmp_path, live_server.url, key)


def test_each_example_is_a_test_and_the_gate_has_the_last_word(version: Any, installed: Installed) -> None:
    installed.write(test_mine=MINE, my_bot=BAD)
    done = installed.run("--golden", "golden@1", "--junitxml", "j.xml", "--golden-markdown", "m.md", "-v")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_mine.py::test_golden[k0-made-up-fee] PASSED" in done.stdout
    assert "test_mine.py::test_golden[k1-contradicts-source] FAILED" in done.stdout
    assert "contains: does not say “right k1”" in done.stdout
    assert "golden set golden@1" in done.stdout
    assert "FAIL: pass rate 50\u00a0% of at least 100\u00a0%" in done.stdout
    assert "newly" not in (installed.folder / "m.md").read_text().splitlines()[0]
    suite = xml.parse(installed.folder / "j.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "2", "0")
    first = next(case for case in suite if case.get("name") == "test_golden[k0-made-up-fee]")
    facts = {one.get("name"): one.get("value") for one in first.iter("property")}
    assert facts == {"golden_category": "made-up-fee", "golden_severity": "2", "golden_split": "test",
                     "golden_tags": "vip"}  # fmt: skip
    run = Run.objects.get()
    assert (run.verdict, run.candidate, run.results.count()) == ("fail", "pytest", 4)

    runs.approve_baseline(run, actor=UserFactory())
    installed.write(my_bot=GOOD)
    fixed = installed.run("--golden", "golden@1", "--golden-candidate", "prompt 43")
    assert fixed.returncode == 0, fixed.stdout
    assert "Newly passing (2)" in fixed.stdout
    assert Run.objects.latest("created_at").candidate == "prompt 43"


@pytest.mark.parametrize(
    ("words", "chosen"),
    [("made-up-fee", {"k0", "k3"}), ("vip", {"k0", "k1"}), ("vip and not mobile", {"k0"}), ("severity-2", {"k0"})],
)  # fmt: skip
def test_categories_and_tags_choose_tests_and_part_of_a_set_is_no_verdict(
    version: Any, installed: Installed, words: str, chosen: set[str]
) -> None:
    installed.write(test_mine=MINE, my_bot=GOOD)
    done = installed.run("--golden", "golden", "-k", words, "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = {line.split("[")[1][:2] for line in done.stdout.splitlines() if "PASSED" in line}
    assert passed == chosen
    assert f"No run and no verdict: {4 - len(chosen)} of 4 examples were not asked." in done.stdout
    assert not Run.objects.exists()


def test_a_target_needs_no_test_of_ones_own(version: Any, installed: Installed) -> None:
    def reply(call: Call) -> str:
        return call.user.replace("Question", "right")

    words = ["--pyargs", "reviewhub_client.test_golden", "--golden", "golden@1", "--golden-target", "openai:m",
             "--golden-cache", "kept"]  # fmt: skip
    with FakeProvider(reply=reply) as fake:
        installed.environment["OPENAI_BASE_URL"] = fake.openai_url
        for _ in range(2):
            done = installed.run(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        assert len(fake.calls) == 4
    assert Run.objects.first().target["model"] == "m"  # type: ignore[union-attr]
    assert Result.objects.filter(latency_ms__isnull=False).count() == 8


def test_the_gate_may_forgive_what_the_baseline_failed_too(version: Any, installed: Installed) -> None:
    installed.write(test_mine=MINE, my_bot=BAD, test_other="def test_other():\n    pass\n")
    installed.run("--golden", "golden@1")
    runs.approve_baseline(Run.objects.get(), actor=UserFactory())
    assert installed.run("--golden", "golden@1").returncode == 1
    assert installed.run("--golden", "golden@1", "--golden-gate").returncode == 0
    installed.write(test_other="def test_other():\n    assert False\n")
    assert installed.run("--golden", "golden@1", "--golden-gate").returncode == 1


def test_a_closed_gate_fails_a_session_of_passed_tests(version: Any, installed: Installed) -> None:
    slow = """\
import time

def answer(example):
    time.sleep(0.05)
    return f"right {example['id']}"

def test_golden(golden_example):
    golden_example.ask(answer)
"""
    installed.write(test_mine=slow)
    done = installed.run("--golden", "golden@1", "--golden-rules", json.dumps({"max_latency_p95_ms": 10}))
    assert ("4 passed" in done.stdout, done.returncode) == (True, 1), done.stdout


def test_what_a_test_does_itself_counts(version: Any, installed: Installed) -> None:
    """An application that breaks has not answered; an assertion of one's own after the check is a failure."""
    installed.write(
        test_mine="""\
def test_golden(golden_example):
    if golden_example.id == "k0":
        raise RuntimeError("no connection")
    if golden_example.id == "k3":
        return
    golden_example.check(f"right {golden_example.id}", cost_usd=0.25)
    assert golden_example.id != "k1", "is rude"
"""
    )
    assert installed.run("--golden", "golden@1").returncode == 1
    told = {one.example_key: (one.passed, one.error) for one in Result.objects.all()}
    assert told["k0"] == (None, "the test failed: RuntimeError: no connection")
    assert told["k3"] == (None, "the test checked no answer")
    assert (told["k1"][0], told["k2"][0]) == (False, True)
    assert "is rude" in Result.objects.get(example_key="k1").checks[-1]["detail"]
    assert float(Result.objects.get(example_key="k2").cost_usd) == 0.25  # type: ignore[arg-type]


def test_several_workers_make_one_run(version: Any, installed: Installed) -> None:
    installed.write(test_mine=MINE, my_bot=BAD)
    done = installed.run("--golden", "golden", "-n", "2", "--golden-repeats", "2")
    assert "FAIL: pass rate 50\u00a0% of at least 100\u00a0%" in done.stdout, done.stdout + done.stderr
    assert (Run.objects.count(), Result.objects.count()) == (1, 8)
    assert f"if it breaks off: --golden-resume {Run.objects.get().pk}" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--golden", "nothing@1"], "no such dataset"),
        (["--golden", "golden@1", "--golden-rules", "{"], "Expecting property name"),
        (["--golden", "golden@1", "--golden-split", "dev"], "has no example"),
        (["--golden", "golden@1", "--golden-target", "openai:"], "Name the model"),
    ],
)
def test_a_wrong_option_is_told_before_any_test(
    version: Any, installed: Installed, words: list[str], said: str
) -> None:
    installed.write(test_mine=MINE, my_bot=GOOD)
    done = installed.run(*words)
    assert done.returncode == 4
    assert said in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_without_the_option_nothing_happens(installed: Installed) -> None:
    installed.write(test_mine=MINE, my_bot=GOOD, test_other="def test_other():\n    pass\n")
    installed.environment["REVIEWHUB_URL"] = "http://127.0.0.1:1"
    done = installed.run()
    assert "1 passed, 1 skipped" in done.stdout
    assert "golden set" not in done.stdout


def test_rules_that_the_hub_refuses_are_no_verdict(version: Any, installed: Installed) -> None:
    installed.write(test_mine=MINE, my_bot=GOOD)
    done = installed.run("--golden", "golden@1", "--golden-rules", '{"margin": 7}')
    assert (done.returncode, "No verdict: margin must be a share" in done.stdout) == (3, True), done.stdout
    local = installed.run("--golden", "golden@1", "--golden-local")
    assert (local.returncode, "No run, because of --golden-local." in local.stdout) == (0, True)
    assert not Run.objects.exists()


def test_what_a_killed_session_was_answered_is_kept_and_another_goes_on(version: Any, installed: Installed) -> None:
    stuck = """\
import os, time

def reply(question):
    open("asked", "a").write(question[-2:] + " ")
    if not os.path.exists("go"):
        time.sleep(60 if question.endswith("k2") else 0.6)
    return question.replace('Question', 'right')
"""
    installed.write(test_mine=MINE, my_bot=stuck)
    log = (installed.folder / "log").open("w")
    session = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--golden", "golden@1"], cwd=installed.folder,
        env=installed.environment, stdout=log,
    )  # fmt: skip
    for _ in range(600):
        if Result.objects.count() == 2:
            break
        time.sleep(0.05)
    session.send_signal(signal.SIGKILL)
    session.wait()
    run = Run.objects.get()
    assert (run.state, sorted(run.results.values_list("example_key", flat=True))) == ("running", ["k0", "k1"])
    assert f"--golden-resume {run.pk}" in (installed.folder / "log").read_text()

    (installed.folder / "go").touch()
    (installed.folder / "asked").unlink()
    done = installed.run("--golden", "golden", "--golden-resume", str(run.pk))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout
    assert (installed.folder / "asked").read_text() == "k2 k3 "
    run.refresh_from_db()
    assert (run.state, run.verdict, run.results.count()) == ("finished", "pass", 4)
    ended = installed.run("--golden", "golden", "--golden-resume", str(run.pk))
    assert (ended.returncode, "is finished" in ended.stdout + ended.stderr) == (4, True)


def test_flaky_examples_are_asked_again_and_the_majority_counts(
    project: Project, version: Any, installed: Installed
) -> None:
    before, _ = runs.start_run(project, version=version, candidate="before", repeats=2)
    runs.add_results(before, [
        runs.ResultItem(example=key, repeat=repeat, output=f"right {key}" if key != "k1" or repeat else "no")
        for key in ("k0", "k1", "k2", "k3") for repeat in (0, 1)
    ])  # fmt: skip
    runs.finish_run(before)
    wavers = """\
def test_golden(golden_example):
    golden_example.check("no" if golden_example.id == "k1" and golden_example.repeat == 1
                         else f"right {golden_example.id}")
"""
    installed.write(test_mine=wavers)
    done = installed.run("--golden", "golden@1", "--golden-flaky-repeats", "3", "--golden-gate", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_golden[k1-contradicts-source-again2]" in done.stdout
    run = Run.objects.latest("created_at")
    assert (run.verdict, run.results.count(), run.summary["counts"]["passed"]) == ("pass", 6, 4)
    assert run.results.filter(example_key="k1", passed=False).count() == 1


def test_a_session_that_was_stopped_says_how_to_go_on(version: Any, installed: Installed) -> None:
    installed.write(test_mine=MINE, my_bot="def reply(question):\n    raise KeyboardInterrupt\n")
    done = installed.run("--golden", "golden@1")
    run = Run.objects.get()
    assert f"Go on with --golden-resume {run.pk}" in done.stdout, done.stdout + done.stderr
    assert (done.returncode, run.state) == (2, "running")


def test_where_a_mark_skips_an_example_there_is_no_run_that_could_never_end(version: Any, installed: Installed) -> None:
    skips = """\
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        if "k2" in item.name:
            item.add_marker(pytest.mark.skip)
"""
    installed.write(test_mine=MINE, my_bot=GOOD, conftest=skips)
    done = installed.run("--golden", "golden@1")
    assert "No run and no verdict: 1 of 4 examples were not asked." in done.stdout, done.stdout + done.stderr
    assert not Run.objects.exists()
