"""``reviewhub eval`` as a user runs it: a program of its own, on a terminal or in a pipe, with every kind of target."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
from reviewhub_client import Hub
from reviewhub_client import eval as evaluation
from reviewhub_client.answers import Answer, CannotRun
from reviewhub_client.cache import Cached
from reviewhub_client.eval import Plan
from reviewhub_client.judging import ModelJudge
from reviewhub_client.spending import OverBudget, Price
from reviewhub_client.targets import HTTPTarget, OpenAITarget, PythonTarget, resolve

from evals.models import Result, Run
from projects import keys
from projects.models import Project
from tests.conftest import Api
from tests.evals import golden
from tests.fakes.provider import Call, FakeProvider, drip
from tests.fakes.server import Answer as Reply

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.django_db(transaction=True)


def right(call: Call) -> str:
    return call.user.replace("Question", "right")


@pytest.fixture
def key(project: Project) -> str:
    return keys.create_key(project=project, kind="sk", name="ci", scopes=["read", "runs"])[1]


@pytest.fixture
def hub(live_server: Any, key: str) -> Any:
    with Hub(live_server.url, key, backoff=0) as opened:
        yield opened


@pytest.fixture
def version(project: Project) -> Any:
    return golden.frozen(project, *(golden.content(f"k{n}") for n in range(4)))


@pytest.fixture
def place(tmp_path: Path, live_server: Any, key: str) -> dict[str, str]:
    """The environment of the command: where the hub is, and nothing of this process but the path."""
    return {
        "PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", "REVIEWHUB_URL": live_server.url,
        "REVIEWHUB_KEY": key, "OPENAI_API_KEY": "sk-fake", "ANTHROPIC_API_KEY": "sk-ant-fake", "BOT_KEY": "sk-bot",
    }  # fmt: skip


def command(*words: str) -> list[str]:
    """As the server installs it."""
    return [sys.executable, "-c", "import sys; from reviewhub.cli import main; sys.exit(main())", "eval", *words]


def test_every_kind_of_target_from_a_shell(version: Any, place: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "my_bot.py").write_text("def reply(example):\n    return f\"right {example['id']}\"\n")
    (tmp_path / "answers.jsonl").write_text(
        "".join(json.dumps({"id": f"k{n}", "output": f"right k{n}"}) + "\n" for n in range(4))
    )
    with FakeProvider(reply=right) as fake:
        (tmp_path / "bot.json").write_text(
            json.dumps({
                "url": f"{fake.openai_url}/chat/completions", "headers": {"Authorization": "Bearer ${BOT_KEY}"},
                "body": {"model": "bot", "messages": "{{messages}}"}, "answer": "/choices/0/message/content",
            })
        )  # fmt: skip
        place |= {"OPENAI_BASE_URL": fake.openai_url, "ANTHROPIC_BASE_URL": fake.anthropic_url}
        for words, asked in (
            (["openai:gpt-x"], 4), (["anthropic:claude-x"], 4), ([fake.openai_url, "--model", "local"], 4),
            (["http:bot.json"], 4), (["python:my_bot:reply"], 0), (["answers.jsonl"], 0),
        ):  # fmt: skip
            before = len(fake.calls)
            done = subprocess.run(
                command("golden@1", "--target", *words), cwd=tmp_path, env=place, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            assert done.returncode == 0, (words, done.stderr)
            assert "PASS: pass rate 100\u00a0%" in done.stdout, words
            assert "4 of 4 answered" in done.stderr
            assert ("4 questions, about" in done.stderr) == (words != ["answers.jsonl"])  # a file costs nothing
            assert len(fake.calls) - before == asked, words
    assert Run.objects.filter(verdict="pass").count() == 6


@pytest.mark.parametrize(("typed", "code", "runs"), [("n\n", 3, 0), ("\n", 0, 1), (None, 0, 1)])
def test_on_a_terminal_it_asks_before_it_starts(
    version: Any, place: dict[str, str], tmp_path: Path, typed: str | None, code: int, runs: int
) -> None:
    (tmp_path / "my_bot.py").write_text("def reply(example):\n    return f\"right {example['id']}\"\n")
    words = command("golden@1", "--target", "python:my_bot:reply", *([] if typed else ["--yes"]))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, cwd=tmp_path, env=place, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL, close_fds=True
    )
    os.close(theirs)
    said = _read(ours, lambda text: "Start? [Y/n]" in text or not typed)
    if typed:
        assert "4 questions, about" in said
        assert not Run.objects.exists()
        os.write(ours, typed.encode())
    said += _read(ours, lambda text: False)
    assert process.wait(30) == code
    assert Run.objects.count() == runs
    assert ("█" in said) == bool(runs)  # the progress bar
    assert ("Start?" in said) == bool(typed)


def _read(terminal: int, enough: Callable[[str], bool]) -> str:
    text, until = b"", time.monotonic() + 30
    while time.monotonic() < until and not enough(text.decode(errors="replace")):
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            text += piece
    return text.decode(errors="replace")


class TestGarbage:
    @pytest.mark.parametrize(
        ("said", "error"),
        [
            ("half \ud800 a pair", "no valid Unicode"),
            ({"output": {"bot": object()}}, "not JSON"),
            (b"bytes", "returned bytes"),
            ("x" * 1_000_001, "more than 1,000,000 characters"),
        ],
    )
    def test_what_cannot_be_kept_is_an_example_without_an_answer(
        self, version: Any, hub: Hub, tmp_path: Path, said: Any, error: str
    ) -> None:
        target = PythonTarget(lambda example: said if example["id"] == "k1" else f"right {example['id']}")
        done = evaluation.evaluate(hub, "golden", 1, Cached(target, tmp_path))
        assert (done.run["state"], done.run["counts"]["passed"], done.run["counts"]["unanswered"]) == ("finished", 3, 1)
        assert error in Result.objects.get(passed=None).error

    def test_numbers_beyond_belief_are_not_known(self, version: Any, hub: Hub) -> None:
        wild = iter([{"latency_ms": 1e300}, {"cost_usd": 1e300}, {"cost_usd": 10**400}, {"latency_ms": float("nan")}])
        target = PythonTarget(lambda e: {"output": f"right {e['id']}", **next(wild)}, concurrent=False)
        assert evaluation.evaluate(hub, "golden", 1, target).verdict == "pass"
        assert set(Result.objects.values_list("cost_usd", flat=True)) == {None}

    def test_a_target_of_somebody_elses_making_that_raises(self, version: Any, hub: Hub) -> None:
        class Broken:
            name, concurrent = "broken", True

            def describe(self) -> dict[str, Any]:
                return {"kind": "broken"}

            def answer(self, example: Any) -> Answer:
                raise RuntimeError("out of \udc00 memory")

        done = evaluation.evaluate(hub, "golden", 1, Broken())
        assert done.run["counts"]["unanswered"] == 4
        assert Result.objects.first().error == "RuntimeError: out of ? memory"  # type: ignore[union-attr]

    def test_a_reply_that_drips_or_never_ends_is_given_up(self) -> None:
        with FakeProvider(reply=right) as fake:
            slow = OpenAITarget("m", base_url=fake.openai_url, key="k", backoff=0, retries=0, timeout=0.5)
            fake.script(drip(0.2))
            began = time.monotonic()
            assert "not whole after 0.5 seconds" in slow.answer(version_example()).error
            assert time.monotonic() - began < 3
            fake.script(lambda provider, call: Reply(200, b"x" * 33_000_000))
            large = OpenAITarget("m", base_url=fake.openai_url, key="k", backoff=0, retries=0)
            assert "more than 32 MB" in large.answer(version_example()).error


def version_example() -> dict[str, Any]:
    return {"id": "k1", "input": {"messages": [{"role": "user", "content": "Question k1"}]}, "expected": {}}


class TestKept:
    def test_another_server_template_or_function_is_another_target(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They had the same name and host, and so got each other's answers."""
        example, kept = version_example(), tmp_path / "kept"

        def said(target: Any) -> str:
            return Cached(target, kept).answer(example).output

        with FakeProvider(reply=lambda call: "one") as one, FakeProvider(reply=lambda call: "two") as two:
            assert said(OpenAITarget("m", base_url=one.openai_url, key="k")) == "one"
            assert said(OpenAITarget("m", base_url=two.openai_url, key="k")) == "two"
            template = {
                "url": f"{one.openai_url}/chat/completions", "headers": {"Authorization": "Bearer k"},
                "body": {"messages": "{{messages}}"}, "answer": "/choices/0/message/content",
            }  # fmt: skip
            assert said(HTTPTarget(template)) == "one"
            calls = len(one.calls)
            said(HTTPTarget({**template, "body": {"messages": "{{messages}}", "temperature": 1}}))
            said(HTTPTarget({**template, "headers": {"Authorization": "Bearer other"}}))
            said(HTTPTarget(template))
            assert len(one.calls) == calls + 2
        monkeypatch.chdir(tmp_path)
        for text in ("first", "second"):
            (tmp_path / "versioned_bot.py").write_text(f"def reply(example):\n    return {text!r}\n")
            sys.modules.pop("versioned_bot", None)
            monkeypatch.setattr(sys, "dont_write_bytecode", True)
            assert said(resolve("python:versioned_bot:reply")) == text

    def test_what_came_before_a_break_stands_in_the_reports(
        self, version: Any, hub: Hub, place: dict[str, str], tmp_path: Path
    ) -> None:
        asked: list[str] = []

        def breaks(example: Any) -> str:
            asked.append(example["id"])
            if len(asked) == 3:
                raise CannotRun("the key was taken back")
            return "no"

        with pytest.raises(CannotRun):
            evaluation.evaluate(hub, "golden", 1, PythonTarget(breaks, concurrent=False))
        run = Run.objects.get()
        assert run.results.count() == 2
        (tmp_path / "answers.json").write_text(json.dumps({f"k{n}": f"right k{n}" for n in range(4)}))
        words = command("golden@1", "--target", "answers.json", "--resume", str(run.pk), "--junit", "j.xml")
        for _ in range(2):  # once to go on, once to be told again
            done = subprocess.run(words, cwd=tmp_path, env=place, capture_output=True, text=True, check=False)
            assert (done.returncode, "Failing (2)" in done.stdout) == (1, True), done.stderr
            suite = xml.parse(tmp_path / "j.xml").getroot()[0]
            assert (suite.get("tests"), suite.get("failures")) == ("4", "2")

    def test_answers_that_came_beside_a_refused_key_are_kept(self, project: Project, hub: Hub) -> None:
        golden.frozen(project, *(golden.content(f"k{n:02}") for n in range(20)))
        refused = threading.Event()

        def reply(example: Any) -> str:
            if example["id"] == "k00":
                refused.set()
                raise CannotRun("no")
            refused.wait(10)
            time.sleep(0.2)
            return "right"

        with pytest.raises(CannotRun):
            evaluation.evaluate(hub, "golden", 1, PythonTarget(reply), plan=Plan(concurrency=4))
        assert sorted(Result.objects.values_list("example_key", flat=True)) == ["k01", "k02", "k03"]


class TestJudge:
    def test_what_a_judge_costs_counts_too(self, project: Project, hub: Hub) -> None:
        golden.frozen(project, *(golden.content(f"k{n:02}") for n in range(20)))
        with FakeProvider(reply=lambda call: '{"reasoning": "fine", "score": 0.9}') as fake:
            judge = ModelJudge(OpenAITarget("j", base_url=fake.openai_url, key="k"), "openai:j", Price(0, 5_000))
            plan = Plan(price=Price(0, 0), budget=0.55, ask=judge, concurrency=1)  # 20 tokens a reply: 10 cents
            with pytest.raises(OverBudget):
                evaluation.evaluate(
                    hub, "golden", 1, PythonTarget(lambda example: "in other words"), plan=plan,
                    wanted=[{"type": "expected", "judge": "openai:j"}],
                )  # fmt: skip
            assert len(fake.calls) == 6
        assert Result.objects.count() == 6


def test_the_answers_of_a_run_are_read_page_by_page(
    version: Any, hub: Hub, sk: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evals.runs.RESULTS_PAGE", 3)
    done = evaluation.evaluate(hub, "golden", 1, PythonTarget(lambda e: f"right {e['id']}"))
    path = f"/api/v1/runs/{done.run['id']}/results"
    status, first = sk.get(path)
    assert (status, len(first["results"]), first["results"][0]["passed"]) == (200, 3, True)
    status, rest = sk.get(f"{path}?cursor={first['next']}")
    assert (len(rest["results"]), rest["next"]) == (1, None)
    assert {one["example"] for one in hub.results(done.run["id"])} == {f"k{n}" for n in range(4)}
    for wrong in ("-1", "x", "9" * 30, "²"):
        assert sk.get(f"{path}?cursor={wrong}")[0] == 422
