"""docs/ci.md is run: the jobs are read as a CI server reads them, and their scripts run in a shell against a real
server, with doubles of the programs that post the report."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from evals import runs
from evals.models import Run
from projects import keys
from projects.models import Project
from tests.evals import golden
from tests.factories import UserFactory

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "ci.md").read_text()
pytestmark = pytest.mark.django_db(transaction=True)
APPLICATION = """\
from pathlib import Path

def answer(example):
    return "no" if Path("broken").exists() and example["id"] == "k0" else f"right {example['id']}"
"""


def job(mark: str) -> Any:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return yaml.safe_load(next(block for block in blocks if mark in block))


@pytest.fixture
def runner(tmp_path: Path, live_server: Any, project: Project) -> Any:
    """Runs a script as a CI server does, in a folder with the application; gives the finished process."""
    golden.frozen(project, *(golden.content(f"k{n}") for n in range(4)))
    key = keys.create_key(project=project, kind="sk", name="ci", scopes=["read", "runs"])[1]
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "reviewhub-eval": f'exec {sys.executable} -m reviewhub_client.cli "$@"',
        "gh": 'printf "%s\\n" "gh $*" >> posted; cat "$7" >> posted',
        "curl": 'printf "%s\\n" "curl $*" >> posted',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "my_app").mkdir()
    (tmp_path / "my_app" / "chat.py").write_text(APPLICATION)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "client"),
        "REVIEWHUB_URL": live_server.url, "REVIEWHUB_KEY": key,
        "GITHUB_STEP_SUMMARY": "summary.md", "NUMBER": "12", "CANDIDATE": "pull request 12",
        "CI_API_V4_URL": "https://gitlab.example.com/api/v4", "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "12",
        "CI_COMMIT_SHORT_SHA": "abc", "GITLAB_COMMENT_TOKEN": "glpat-x", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip

    return run


def approve() -> None:
    runs.approve_baseline(Run.objects.latest("created_at"), actor=UserFactory())


def test_the_github_job_closes_the_gate_and_posts_the_report(runner: Any, tmp_path: Path) -> None:
    steps = job("GITHUB_STEP_SUMMARY")["jobs"]["gate"]["steps"]
    gate = next(step for step in steps if step.get("name") == "Hold it against the golden set")
    post = next(step for step in steps if step.get("name") == "Post the report")
    done = runner(gate["run"])
    assert done.returncode == 0, done.stderr
    approve()
    (tmp_path / "broken").touch()
    warned = runner(gate["run"])
    assert (warned.returncode, "::warning::" in warned.stdout) == (0, True), warned.stdout + warned.stderr
    assert Run.objects.latest("created_at").candidate == "pull request 12"
    assert runner(post["run"]).returncode == 0
    posted = (tmp_path / "posted").read_text()
    assert posted.startswith(
        "gh pr comment 12 --edit-last --create-if-none --body-file golden.md\n### Golden set golden@1"
    )
    assert "Newly failing" in (tmp_path / "summary.md").read_text()
    strict = runner(gate["run"].replace("--baseline approved", "--baseline none"))
    assert strict.returncode == 1
    unreachable = runner("REVIEWHUB_KEY=rh_sk_wrong\n" + gate["run"])
    assert unreachable.returncode == 3
    # a title that a stranger writes must never stand in a script: only numbers and hashes, by the environment
    assert "${{" not in gate["run"] + post["run"]


def test_the_gitlab_job_closes_the_gate_and_posts_the_report(runner: Any, tmp_path: Path) -> None:
    told = job("CI_MERGE_REQUEST_IID")["golden-set"]
    install, gate = told["script"]
    assert install.startswith("pip install ")
    assert runner(gate).returncode == 0
    approve()
    (tmp_path / "broken").touch()
    assert runner(gate).returncode == told["allow_failure"]["exit_codes"] == 2
    assert Run.objects.latest("created_at").candidate == "merge request 12 at abc"
    (after,) = told["after_script"]
    assert runner(after).returncode == 0
    posted = (tmp_path / "posted").read_text()
    assert (
        "--data-urlencode body@golden.md https://gitlab.example.com/api/v4/projects/5/merge_requests/12/notes" in posted
    )
    assert (tmp_path / told["artifacts"]["reports"]["junit"]).read_text().startswith("<?xml")
    assert (tmp_path / told["artifacts"]["paths"][0]).exists()


def test_the_pytest_line_runs(runner: Any, tmp_path: Path) -> None:
    (line,) = re.findall(r"^```sh\n(pytest .*?)\n```", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "test_golden.py").write_text(
        "from my_app.chat import answer\n\ndef test_golden(golden_example):\n    golden_example.ask(answer)\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    line = line.replace("pytest ", f"{sys.executable} -m pytest -p no:django -p reviewhub_client.pytest_plugin ", 1)
    done = runner(line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Golden set golden@1: pass" in (tmp_path / "golden.md").read_text()
    assert Run.objects.get().candidate == "pull request 12"
