"""The light client against a real server over HTTP, and a real provider double: files, models, faults, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
from reviewhub_client import Hub, HubError, cli, report
from reviewhub_client import eval as evaluation
from reviewhub_client.targets import Answer, CannotRun, FileTarget, OpenAITarget, prompt_of

from evals import runs
from evals.models import Result, Run
from projects import keys
from projects.models import Project
from tests.evals import golden
from tests.factories import UserFactory
from tests.fakes.provider import Call, FakeProvider, busy, hang_up, html, status, truncated

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key(project: Project) -> str:
    return keys.create_key(project=project, kind="sk", name="ci", scopes=["read", "runs", "ingest", "write"])[1]


@pytest.fixture
def hub(live_server: Any, key: str) -> Any:
    with Hub(live_server.url, key, backoff=0) as opened:
        yield opened


@pytest.fixture
def version(project: Project) -> Any:
    return golden.frozen(project, *(golden.content(f"k{n}") for n in range(4)))


@pytest.fixture
def run_cli(live_server: Any, key: str, tmp_path: Path) -> Any:
    """The command with an answer file of ``right`` answers; gives the exit code."""

    def run(*right: bool, **options: str) -> int:
        path = tmp_path / "answers.jsonl"
        path.write_text(
            "\n".join(
                json.dumps({"id": f"k{n}", "output": f"right k{n}" if good else "no"}) for n, good in enumerate(right)
            )
        )
        words = ["eval", "golden@1", "--target", str(path), "--hub", live_server.url, "--key", key]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", *([value] if value else [])]
        return cli.main(words)

    return run


def approve(run_id: str) -> None:
    runs.approve_baseline(Run.objects.get(pk=run_id), actor=UserFactory())


def test_a_bad_candidate_exits_1_and_the_fixed_one_0(version: Any, run_cli: Any, capsys: Any) -> None:
    assert run_cli(True, True, True, False) == 1  # no baseline: the floor
    out, err = capsys.readouterr()
    assert "Failing (1)\n  k3  Question k3\n      contains: does not say “right k3”" in out
    assert "FAIL: pass rate 75\u00a0% of at least 100\u00a0%" in out
    assert "4 of 4 answered" in err
    approve(str(Run.objects.get().pk))
    assert run_cli(True, True, True, True) == 0
    out = capsys.readouterr().out
    assert out.index("Newly passing (1)\n  k3") < out.index("PASS: 0 newly fail, 1 newly pass")


def test_too_few_flips_exit_2(version: Any, run_cli: Any, capsys: Any) -> None:
    run_cli(True, True, True, True)
    approve(str(Run.objects.get().pk))
    assert run_cli(False, True, True, True) == 2
    out = capsys.readouterr().out
    assert "Newly failing (1)\n  k0" in out
    assert "NOT ENOUGH EVIDENCE" in out
    assert "examples would settle it" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["golden@9", "--target", "{answers}"], "has no version 9"),
        (["none@1", "--target", "{answers}"], "no such dataset"),
        (["golden@1", "--target", "/nowhere.jsonl"], "cannot be read"),
        (["golden@1", "--target", "openai:"], "Name the model"),
        (["golden@1", "--target", "http://127.0.0.1:1/v1"], "Name the model"),
        (["golden@1", "--target", "{answers}", "--key", "rh_sk_wrong"], "key is not valid"),
        (["golden@1", "--target", "{answers}", "--hub", "http://127.0.0.1:1"], "does not answer"),
        (["golden@1", "--target", "{answers}", "--hub", "nonsense"], "is no address"),
        (["golden@1", "--target", "{answers}", "--baseline", "yesterday"], "A baseline is approved, none"),
        (["golden@1", "--target", "{answers}", "--margin", "7"], "margin must be a share"),
        (["golden@1", "--target", "{answers}", "--min-category", "x"], "NAME=SHARE"),
        (["golden@1", "--target", "{answers}", "--param", "x"], "NAME=VALUE"),
        (["golden@1", "--target", "{answers}", "--split", "train"], "has no example"),
        (["golden@1", "--target", "{others}"], "Are the ids right"),
        (["golden@1", "--target", "{broken}"], "line 2: not JSON"),
        (["golden@1", "--target", "{twice}"], "a second answer to k0"),
    ],
)
def test_what_cannot_run_exits_3_and_says_why(
    version: Any, live_server: Any, key: str, tmp_path: Path, capsys: Any, monkeypatch: Any, words: list[str], said: str
) -> None:
    monkeypatch.setattr("reviewhub_client.hub.time.sleep", lambda seconds: None)
    files = {
        "answers": '{"id": "k0", "output": "x"}', "others": '{"id": "z", "output": "x"}',
        "broken": '{"id": "k0", "output": "x"}\n{', "twice": '{"id": "k0", "output": "x"}\n{"id": "k0", "output": "y"}',
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    filled = [word.format(**{name: tmp_path / name for name in files}) for word in words]
    assert cli.main(["--hub", live_server.url, "--key", key, *filled]) == 3
    assert said in capsys.readouterr().err


def test_a_wrong_option_exits_3_not_2(capsys: Any) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["golden@1", "--tarjet", "x"])
    assert left.value.code == 3


def test_without_a_key_it_says_where_to_put_one(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.delenv("REVIEWHUB_KEY", raising=False)
    (tmp_path / "a").write_text("{}")
    assert cli.main(["golden@1", "--target", str(tmp_path / "a")]) == 3
    assert "REVIEWHUB_KEY" in capsys.readouterr().err


def test_reports_for_ci_and_pull_requests(project: Project, run_cli: Any, tmp_path: Path, capsys: Any) -> None:
    hostile = "<b>@all | `x`\x07</b>"
    golden.frozen(
        project, golden.content("k0", input={"messages": [{"role": "user", "content": hostile}]}), golden.content("k1")
    )
    run_cli(True, True)
    approve(str(Run.objects.get().pk))
    capsys.readouterr()
    run_cli(False, True, junit=str(tmp_path / "j.xml"), markdown=str(tmp_path / "m.md"), json="")
    told = json.loads(capsys.readouterr().out)
    assert (told["flips"]["broken_keys"], told["verdict"]) == (["k0"], "inconclusive")
    suite = xml.parse(tmp_path / "j.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert suite[0].find("failure").get("message") == "contains: does not say “right k0”"  # type: ignore[union-attr]
    assert "\x07" not in (tmp_path / "j.xml").read_text()
    row = next(line for line in (tmp_path / "m.md").read_text().splitlines() if "all" in line)
    assert row.startswith("| \\<b\\>\\@all \\| \\`x\\`")


def test_a_model_behind_a_compatible_address(version: Any, hub: Hub) -> None:
    with FakeProvider(reply=lambda call: call.user.replace("Question", "right")) as provider:
        provider.script(busy(retry_after=0), status(500), truncated)
        target = OpenAITarget("m-1", base_url=provider.openai_url, key="sk-test", backoff=0)
        done = evaluation.evaluate(hub, "golden", 1, target, concurrency=1)
    # one answer was cut off in the middle: it is no answer, not a failure, and one in four is too much to miss
    assert (done.verdict, done.run["counts"]["passed"], done.run["counts"]["unanswered"]) == ("inconclusive", 3, 1)
    assert Result.objects.filter(error__contains="chat completion").count() == 1
    assert provider.calls[-1].body == {"model": "m-1", "messages": [{"role": "user", "content": "Question k3"}]}
    assert done.run["target"]["model"] == "m-1"
    assert "sk-test" not in json.dumps(done.run)


def test_answers_come_in_parallel_and_are_judged_like_on_the_server(project: Project, hub: Hub) -> None:
    golden.frozen(project, *(golden.content(f"{n:03}") for n in range(120)))

    def reply(call: Call) -> str:
        return call.user.replace("Question", "right") if "7" not in call.user else "no"

    with FakeProvider(reply=reply) as fake:
        target = OpenAITarget("m", base_url=fake.openai_url, key="k", backoff=0)
        done = evaluation.evaluate(hub, "golden", "latest", target, concurrency=8)
    assert done.run["counts"]["passed"] == 120 - sum("7" in f"{n:03}" for n in range(120))
    for result in Result.objects.all()[:20]:
        again, _ = runs.start_run(project, version=Run.objects.get(pk=done.run["id"]).version, candidate="again")
        runs.add_results(again, [runs.ResultItem(example=result.example_key, output=result.output)])
        assert Result.objects.get(run=again).checks == result.checks


def test_a_provider_that_refuses_the_key_ends_the_run_which_can_go_on(version: Any, hub: Hub) -> None:
    with FakeProvider(reply=lambda call: call.user.replace("Question", "right")) as provider:
        target = OpenAITarget("m", base_url=provider.openai_url, key="k", backoff=0)
        provider.script(lambda fake, call: fake.envelope(call, fake.reply(call)), status(401))
        with pytest.raises(CannotRun) as refused:
            evaluation.evaluate(hub, "golden", 1, target, concurrency=1)
        assert "OPENAI_API_KEY" in str(refused.value)
        run = Run.objects.get()
        assert refused.value.__notes__ == [f"What was answered is kept. Go on with --resume {run.pk}"]
        assert run.results.count() == 1
        calls = len(provider.calls)
        done = evaluation.evaluate(hub, "golden", 1, target, concurrency=1, resume=str(run.pk))
        assert len(provider.calls) == calls + 3
    assert (done.verdict, done.run["id"]) == ("pass", str(run.pk))


def test_garbage_from_a_target_is_no_answer(version: Any) -> None:
    with FakeProvider() as provider:
        target = OpenAITarget("m", base_url=provider.openai_url, key="k", backoff=0, retries=1)
        provider.script(html)
        assert "chat completion" in target.answer({"id": "a", "input": {"messages": []}}).error
        provider.script(hang_up, hang_up)
        assert "no answer" in target.answer({"id": "a", "input": {"messages": []}}).error


def test_documents_that_no_message_quotes_go_along() -> None:
    example = {
        "input": {
            "messages": [{"role": "user", "content": "Fee? Context: quoted text", "extra": 1}],
            "documents": [{"id": "a", "content": "quoted text"}, {"id": "b", "title": "Fees", "content": "50 cents"}],
        }
    }
    system, user = prompt_of(example)
    assert system == {"role": "system", "content": "Use these documents:\n\n[b] Fees\n50 cents"}
    assert user == {"role": "user", "content": "Fee? Context: quoted text"}


@pytest.mark.parametrize(
    "text",
    ['{"id": "a", "output": "x"}\n\n{"example": "b", "output": {"y": 1}}\n', '{"a": "x", "b": "{\\"y\\": 1}"}',
     '\ufeff[{"id": "a", "output": "x"}, {"id": "b", "output": {"y": 1}}]'],
)  # fmt: skip
def test_the_forms_of_an_answer_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text, encoding="utf-8")
    assert FileTarget(tmp_path / "f").answers == {"a": Answer("x"), "b": Answer('{"y": 1}')}


def test_the_client_sends_interactions_and_feedback_once(project: Project, hub: Hub) -> None:
    told = hub.record_interaction({"input": "Fee?", "output": "Free."})
    assert hub.feedback(told["id"], "thumbs", "down", comment="wrong")["linked"] is True
    assert hub.score(told["id"], "length", 5)["id"]
    assert project.interactions.get().external_id == told["id"]
    (batch,) = hub.record_interactions([{"id": "b", "input": "x", "output": "y"}])
    assert batch["status"] == 201


def test_datasets_by_the_client(project: Project, hub: Hub) -> None:
    line = {"id": "a", "input": {"messages": []}, "expected": {"output": "x"}}
    assert hub.add_examples("golden", [line], approve=True)["changed"] == 1
    assert hub.freeze("golden", "first")["version"] == 1
    assert [entry["slug"] for entry in hub.datasets()] == ["golden"]
    assert hub.versions("golden")[0]["count"] == 1
    assert list(hub.golden("golden").examples) == ["a"]
    with pytest.raises(HubError) as refused:
        hub.freeze("golden")
    assert (refused.value.status, refused.value.code) == (409, "unchanged")


def test_an_export_that_was_changed_on_the_way_is_noticed(version: Any, hub: Hub, monkeypatch: Any) -> None:
    import httpx

    real = httpx.Response.iter_bytes
    monkeypatch.setattr(
        httpx.Response, "iter_bytes", lambda self: (piece.replace(b"right k1", b"wrong k1") for piece in real(self))
    )
    with pytest.raises(HubError, match="checksum"):
        hub.golden("golden", 1)


def test_the_text_report_hides_control_characters() -> None:
    assert report._clean("a\x1b[31mb") == "a\ufffd[31mb"
