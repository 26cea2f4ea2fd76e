"""The pytest plugin: each golden example a test, and the gate's verdict at the end.

``pytest --golden golden@3`` parametrises every test that asks for the fixture ``golden_example``. Nothing happens
without that option. ``reviewhub_client.test_golden`` is a ready test for ``--golden-target``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from reviewhub_client import checks, report
from reviewhub_client.answers import Answer, CannotRun, Target
from reviewhub_client.cache import Cached
from reviewhub_client.eval import Evaluation, Judged, chosen, earlier, judged, keep, upload_all, work_of
from reviewhub_client.hub import Golden, Hub
from reviewhub_client.judging import ModelJudge, judged_by
from reviewhub_client.schema import BadSchema
from reviewhub_client.target_python import PythonTarget
from reviewhub_client.targets import resolve
from reviewhub_client.wire import HubError

FIXTURE = "golden_example"
COULD_NOT_RUN = 3
UPLOAD_SECONDS = 0.5  # of tests that take longer, each answer goes at once
AWAY_SECONDS = 10.0  # a hub that does not answer so long is left alone for as long
_BROUGHT_DOWN = (HubError, CannotRun, checks.BadCheck, BadSchema, OSError)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("golden", "golden examples of Review Hub")
    add = group.addoption
    add("--golden", metavar="DATASET[@VERSION]", help="hold the tests that ask for golden_example against this set")
    add("--golden-target", metavar="SPEC", help="what reviewhub_client.test_golden asks; as reviewhub eval --target")
    add("--golden-model", default="", metavar="NAME", help="the model, where the target is an address")
    add("--golden-candidate", default="", metavar="NAME", help="what the run is called; otherwise the target's name")
    add("--golden-baseline", default="approved", metavar="approved|none|RUN", help="what to compare with")
    add("--golden-split", default="", choices=["", "train", "dev", "test"], help="only this split")
    add("--golden-rules", default="{}", metavar="JSON", help='the gate\'s rules, for example {"min_pass_rate": 0.9}')
    add("--golden-checks", metavar="FILE", help="a JSON list of checks in place of the examples' own")
    add("--golden-judge", default="", metavar="MODEL", help="openai:MODEL or anthropic:MODEL for what words leave open")
    add("--golden-cache", metavar="DIR", help="keep the target's answers by what was asked")
    add("--golden-repeats", type=int, default=1, metavar="N", help="ask each example N times (1)")
    add("--golden-flaky-repeats", type=int, default=1, metavar="N", help="those N times that contradicted themselves")
    add("--golden-resume", default="", metavar="RUN", help="go on with a run that broke off: only what is missing")
    add("--golden-markdown", metavar="FILE", help="write a summary for a pull request")
    add("--golden-gate", action="store_true", help="let the gate decide about failed examples, not each by itself")
    add("--golden-local", action="store_true", help="send nothing to the hub: no run, no gate")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--golden"):
        config.pluginmanager.register(GoldenSession(config), "reviewhub-golden")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if FIXTURE not in metafunc.fixturenames:
        return
    session = _session(metafunc.config)
    if session is None:
        why = pytest.mark.skip(reason="no golden examples: name a dataset with --golden")
        metafunc.parametrize(FIXTURE, [pytest.param(None, marks=why)], ids=["none"], indirect=True)
        return
    metafunc.parametrize(FIXTURE, session.work, ids=_name, indirect=True)


@pytest.fixture
def golden_example(request: pytest.FixtureRequest) -> GoldenExample:
    """One frozen example to answer: ``golden_example.check(my_application(golden_example.question))``."""
    session = _session(request.config)
    if session is None:
        raise pytest.UsageError("golden_example needs --golden")
    one = GoldenExample(request.param.example, session, request.param.repeat)
    request.node.stash[_ASKED] = one
    return one


@pytest.fixture(scope="session")
def golden_target(request: pytest.FixtureRequest) -> Target:
    """What ``--golden-target`` names; override it in a conftest.py with a function of your own."""
    session = _session(request.config)
    if session is None:
        pytest.skip("no golden examples: name a dataset with --golden")
    return session.target()


def _session(config: pytest.Config) -> GoldenSession | None:
    found: GoldenSession | None = config.pluginmanager.get_plugin("reviewhub-golden")
    return found


@dataclass(frozen=True, slots=True)
class Question:
    """An example that is to be asked, for the ``repeat``-th time from 0 on."""

    example: dict[str, Any]
    repeat: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return str(self.example["id"]), self.repeat


def _name(asked: Question) -> str:
    category = _label(asked.example).get("category")
    again = f"again{asked.repeat}" if asked.repeat else ""
    return "-".join(word for word in (str(asked.example["id"]), category, again) if word)


def _label(example: Mapping[str, Any]) -> dict[str, Any]:
    return dict((example.get("expected") or {}).get("label") or {})


class GoldenExample:
    """An example and its verdict. ``question`` is what the user asked last; ``messages``, ``documents`` and
    ``expected`` are those of the native export, ``example`` is all of it."""

    def __init__(self, example: dict[str, Any], session: GoldenSession, repeat: int = 0) -> None:
        self.example, self._session, self.repeat = example, session, repeat
        self.id = str(example["id"])
        given = example.get("input") or {}
        self.messages: list[dict[str, Any]] = given.get("messages") or []
        self.documents: list[dict[str, Any]] = given.get("documents") or []
        self.expected: dict[str, Any] = example.get("expected") or {}
        asked = [one.get("content") for one in self.messages if one.get("role") == "user"]
        self.question = str(asked[-1]) if asked else ""
        self.judged: Judged | None = None

    def check(self, output: Any, *, latency_ms: float | None = None, cost_usd: float | None = None) -> None:
        """Fails the test unless ``output`` passes the example's checks. What it took goes to the gate, if it is
        given."""
        said = PythonTarget(lambda _: {"output": output, "cost_usd": cost_usd}).answer(self.example)
        # Handing a text over is no answering: its time is not the application's.
        self._settle(self._session.judge(self.example, _Fixed(replace(said, latency_ms=latency_ms)), self.repeat))

    def ask(self, target: Any) -> None:
        """Asks a target (or any function from an example to a text), measures the time, and checks the answer."""
        asked = target if hasattr(target, "answer") else PythonTarget(target)
        self._settle(self._session.judge(self.example, asked, self.repeat))

    def _settle(self, one: Judged) -> None:
        self.judged = one
        if one.passed:
            return
        why = [f"{said['name']}: {said['detail']}" for said in one.findings if not said["passed"]]
        told = [*why, "", one.answer.output] if one.passed is False else [f"no answer: {one.answer.error}"]
        pytest.fail("\n".join([self.question[:300], "", *told]), pytrace=False)


class _Fixed:
    """An answer that is there already."""

    name, concurrent = "pytest", False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def describe(self) -> dict[str, Any]:
        return {"kind": "pytest"}

    def answer(self, example: Mapping[str, Any]) -> Answer:
        return self._answer


_ASKED = pytest.StashKey[GoldenExample]()


@dataclass
class _Found:
    """What the tests came to, in the process that tells the end (with pytest-xdist not the one that ran them)."""

    results: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    others_failed: bool = False
    evaluation: Evaluation | None = None
    note: str = ""


class GoldenSession:
    """The examples of one session and what became of them."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.found = config, _Found()
        self.dataset, _, self.version = str(config.getoption("--golden")).partition("@")
        self.golden = Golden({}, {})
        self.examples: dict[str, dict[str, Any]] = {}
        self.work: list[Question] = []
        self.live: LiveRun | None = None
        self.checks: list[dict[str, Any]] = []
        self.rules: dict[str, Any] = {}
        self.ask: ModelJudge | None = None
        self._target: Target | None = None
        self._worker = getattr(config, "workerinput", None)

    # ── Before ────────────────────────────────────────────────────────────────────────────────────

    def pytest_sessionstart(self) -> None:
        """Fetches the examples. What cannot be is a wrong option (exit code 4), before any test runs."""
        option = self.config.getoption
        try:
            with Hub() as hub:
                self._plan(hub)
            self.rules = json.loads(option("--golden-rules"))
            named = option("--golden-checks")
            self.checks = checks.validate(json.loads(Path(named).read_text(encoding="utf-8"))) if named else []
            if judge := option("--golden-judge"):
                self.ask, self.checks = ModelJudge(resolve(judge), judge), judged_by(self.checks, judge)
            if option("--golden-target"):
                self.target()
        except (*_BROUGHT_DOWN, ValueError) as error:
            raise pytest.UsageError(f"--golden {option('--golden')}: {error}") from None

    def _plan(self, hub: Hub) -> None:
        """What is to be asked: all, those several times that are flaky, or what a run that broke off lacks."""
        option, told = self.config.getoption, self._worker or {}
        run = hub.run(option("--golden-resume")) if option("--golden-resume") else None
        if run and (run["dataset"], run["state"]) != (self.dataset, "running"):
            raise CannotRun(f"Run {run['id']} is about {run['dataset']} and is {run['state']}: nothing goes on there.")
        version = run["version"] if run else told.get("golden_version") or self.version or "latest"
        self.golden = hub.golden(self.dataset, version)
        self.examples = chosen(self.golden, self.dataset, run["split"] if run else option("--golden-split"))
        if "golden_work" in told:
            self.work = [Question(self.examples[key], repeat) for key, repeat in json.loads(told["golden_work"])]
        elif run:
            self.work = [Question(example, repeat) for example, repeat in work_of(run, self.examples)]
            self.live = LiveRun(run["id"])
        else:
            usual, often = option("--golden-repeats"), option("--golden-flaky-repeats")
            if min(usual, often) < 1:
                raise CannotRun("--golden-repeats is a whole number from 1 on")
            flaky = set(hub.flaky(self.dataset, self.golden.header["version"])) if often > usual else set()
            plan = {"repeats": usual, "flaky_repeats": often, "flaky": flaky}
            self.work = [Question(example, repeat) for example, repeat in work_of({"plan": plan}, self.examples)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """pytest-xdist: its workers ask what the session began with, of the version that was the newest then."""
        node.workerinput["golden_version"] = str(self.golden.header["version"])
        node.workerinput["golden_work"] = json.dumps([asked.key for asked in self.work])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self._worker is None:
            asked = [_asked(item) for item in session.items if not item.get_closest_marker("skip")]
            self._begin([one.key for one in asked if one])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """The process that tells the end collects nothing itself: it knows the tests by their names."""
        names = {f"[{_name(asked)}]": asked.key for asked in self.work}
        self._begin([names[name] for test in ids if (name := test[test.rfind("[") :]) in names])

    def _begin(self, asked: list[tuple[str, int]]) -> None:
        """Starts the run if every question is to be asked, and each once: then answers are uploaded while the tests
        run. Otherwise the end decides whether there is one."""
        option = self.config.getoption
        planned = sorted(one.key for one in self.work)
        if self.live or option("--golden-local") or option("collectonly") or option("maxfail"):
            return
        if planned and sorted(asked) == planned:
            try:
                with Hub() as hub:
                    self.live = LiveRun(self._start(hub)["id"])
            except HubError as error:
                pytest.exit(f"No verdict: {error}", returncode=COULD_NOT_RUN)
            self._say(f"golden run {self.live.id}; if it breaks off: --golden-resume {self.live.id}")

    def _say(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(line)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """What ``-k`` finds, and what JUnit keeps: category, tags, split and severity."""
        asked = _asked(item)
        if asked is None:
            return
        example = asked.example
        label = _label(example)
        facts = {"category": label.get("category"), "severity": label.get("severity"), "split": example.get("split")}
        tags = [str(tag) for tag in example.get("tags") or []]
        item.user_properties += [(f"golden_{name}", str(value)) for name, value in facts.items() if value]
        item.user_properties += [("golden_tags", ", ".join(tags))] if tags else []
        words = [*tags, facts["category"], facts["split"], label.get("severity") and f"severity-{label['severity']}"]
        item.extra_keyword_matches.update(str(word) for word in words if word)

    # ── Asking ────────────────────────────────────────────────────────────────────────────────────

    def target(self) -> Target:
        """What ``--golden-target`` names."""
        option = self.config.getoption
        if self._target is None:
            if not option("--golden-target"):
                raise pytest.UsageError("Name what to ask: --golden-target, or override the fixture golden_target.")
            self._target = resolve(option("--golden-target"), model=option("--golden-model"))
            if option("--golden-cache"):
                self._target = Cached(self._target, option("--golden-cache"))
        return self._target

    def judge(self, example: dict[str, Any], target: Target, repeat: int = 0) -> Judged:
        try:
            return judged(example, target, self.checks, repeat=repeat, ask=self.ask)
        except CannotRun as error:
            pytest.exit(f"Review Hub: {error}", returncode=COULD_NOT_RUN)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Hands the answer over with the report, which pytest-xdist carries to the process that tells the end."""
        told = yield
        asked = item.stash.get(_ASKED, None)
        if asked is not None and call.when == "call" and not told.skipped:
            told.golden = _result(asked, told)  # type: ignore[attr-defined]
        return told

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if str(report.outcome) == "rerun":  # pytest-rerunfailures: another attempt follows, which counts
            return
        result = getattr(report, "golden", None)
        if result is not None:
            self.found.results[result["example"], result.get("repeat", 0)] = result
            if self.live and self._worker is None:
                self.live.add(result)
        elif report.failed:
            self.found.others_failed = True

    # ── After ─────────────────────────────────────────────────────────────────────────────────────

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """The run and its verdict, if every example was answered; part of a set decides nothing."""
        if self._worker is not None or self.config.option.collectonly or not (self.found.results or self.live):
            return
        missing = len({asked.key for asked in self.work} - self.found.results.keys())
        if self.config.getoption("--golden-local"):
            self.found.note = "No run, because of --golden-local."
        elif missing and self.live:
            self._leave(session, missing)
        elif missing:
            self.found.note = f"No run and no verdict: {missing} of {self._all()} were not asked."
        else:
            self._decide(session)

    def _all(self) -> str:
        asked = len(self.work)
        return f"{asked} examples" if asked == len(self.examples) else f"{asked} questions"

    def _leave(self, session: pytest.Session, missing: int) -> None:
        """A run that broke off keeps what it has, and waits."""
        assert self.live is not None
        self.found.note = (
            f"No verdict: {missing} of {self._all()} were not asked. Go on with --golden-resume {self.live.id}"
        )
        try:
            self.live.end()
        except HubError as error:
            self.found.note += f"\nNot all answers are kept: {error}"
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = COULD_NOT_RUN

    def _start(self, hub: Hub) -> dict[str, Any]:
        option = self.config.getoption
        target = self._target.describe() if self._target else {"kind": "pytest"}
        name = option("--golden-candidate") or (self._target.name if self._target else "pytest")
        usual, often = option("--golden-repeats"), option("--golden-flaky-repeats")
        return hub.start_run(
            self.dataset, name, version=self.golden.header["version"], target=target, checks=self.checks,
            baseline=option("--golden-baseline"), rules=self.rules, split=option("--golden-split"),
            **({"repeats": usual} if usual > 1 else {}), **({"flaky_repeats": often} if often > usual else {}),
        )  # fmt: skip

    def _decide(self, session: pytest.Session) -> None:
        option = self.config.getoption
        found: dict[str, Judged] = {}
        try:
            with Hub() as hub:
                if self.live:
                    run_id = self.live.id
                    self.live.end()
                else:
                    run_id = self._start(hub)["id"]
                    upload_all(hub, run_id, list(self.found.results.values()))
                told = hub.finish_run(run_id)
                if option("--golden-resume"):
                    found = earlier(hub, run_id, self.examples)
        except HubError as error:
            self.found.note = f"No verdict: {error}"
            if self.live:
                self.found.note += f"\nGo on with --golden-resume {self.live.id}"
            session.exitstatus = COULD_NOT_RUN
            return
        for (key, _), result in self.found.results.items():
            keep(found, _told(result, self.examples[key]))
        self.found.evaluation = Evaluation(told, self.golden, found)
        if option("--golden-markdown"):
            Path(option("--golden-markdown")).write_text(report.markdown(self.found.evaluation), encoding="utf-8")
        session.exitstatus = self._exit(session)

    def _exit(self, session: pytest.Session) -> int:
        """A closed gate fails the session although each test passed (it was too slow, say). With ``--golden-gate`` an
        open one lets it pass although some examples fail, as they did in the baseline."""
        is_open = self.found.evaluation is not None and self.found.evaluation.open
        status = int(session.exitstatus)
        if not is_open and status == pytest.ExitCode.OK:
            return int(pytest.ExitCode.TESTS_FAILED)
        forgiven = self.config.getoption("--golden-gate") and not self.found.others_failed
        if is_open and forgiven and status == pytest.ExitCode.TESTS_FAILED:
            return int(pytest.ExitCode.OK)
        return status

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.found.evaluation is None and not self.found.note:
            return
        terminalreporter.section(f"golden set {self.dataset}@{self.golden.header['version']}")
        terminalreporter.write(report.text(self.found.evaluation) if self.found.evaluation else f"{self.found.note}\n")


def _asked(item: pytest.Item) -> Question | None:
    """What a test asks, if it asks for an example."""
    spec = getattr(item, "callspec", None)
    found = spec.params.get(FIXTURE) if spec else None
    return found if isinstance(found, Question) else None


class LiveRun:
    """A run that is fed while its tests run, so that a killed session loses none of its answers."""

    def __init__(self, run_id: str) -> None:
        self.id = run_id
        self._hub = Hub(timeout=AWAY_SECONDS, retries=0)  # tests do not wait for a hub that is away
        self._waiting: list[dict[str, Any]] = []
        self._next = 0.0

    def add(self, result: dict[str, Any]) -> None:
        """Sends the answer, with those that wait; what cannot be sent waits on."""
        self._waiting.append(result)
        if time.monotonic() < self._next:
            return
        try:
            self._send(self._hub)
            self._next = time.monotonic() + UPLOAD_SECONDS
        except HubError:
            self._next = time.monotonic() + AWAY_SECONDS

    def end(self) -> None:
        """Sends what still waits, with patience. Raises HubError."""
        self._hub.close()
        with Hub() as hub:
            self._send(hub)

    def _send(self, hub: Hub) -> None:
        upload_all(hub, self.id, self._waiting)
        self._waiting = []


def _result(asked: GoldenExample, told: pytest.TestReport) -> dict[str, Any]:
    """The example's result as the hub takes it. A test that ended before it checked has no answer; one that failed for
    a reason of its own has failed."""
    one = asked.judged
    if one is None:
        why = "the test checked no answer" if told.passed else f"the test failed: {_last_line(told)}"
        again = {"repeat": asked.repeat} if asked.repeat else {}
        return {"example": asked.id, "output": "", "error": why[:500], "checks": [], **again}
    result = one.as_result()
    if told.failed and one.passed:
        own = {"name": "pytest", "passed": False, "detail": _last_line(told)[:1000]}
        result |= {"passed": False, "checks": [*result["checks"], own]}
    return result


def _last_line(told: pytest.TestReport) -> str:
    crash = getattr(told.longrepr, "reprcrash", None)
    said = str(crash.message if crash else told.longrepr or "").strip() or "without a word"
    return said.splitlines()[0].encode("utf-8", "replace").decode()


def _told(result: dict[str, Any], example: dict[str, Any]) -> Judged:
    answer = Answer(result["output"], result.get("error") or "", result.get("latency_ms"))
    repeat = result.get("repeat", 0)
    return Judged(example, answer, result.get("passed"), result["checks"], repeat, score=result.get("score"))
