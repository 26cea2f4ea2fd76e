"""One evaluation: fetch the golden examples, get an answer to each, judge, upload, and let the hub decide."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from reviewhub_client import checks, schema
from reviewhub_client.answers import Answer, CannotRun, Target, storable
from reviewhub_client.cache import Cached
from reviewhub_client.hub import Golden, Hub
from reviewhub_client.judging import NoOpinion
from reviewhub_client.spending import Estimate, Price, Purse, estimate
from reviewhub_client.targets import FileTarget
from reviewhub_client.wire import HubError

BATCH_ITEMS = 100
BATCH_BYTES = 4_000_000
BATCH_SECONDS = 2.0  # so that the page of the run moves, and a kill loses little

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer to an example, with what the checks said. ``cost_usd`` None where nobody knows it."""

    example: dict[str, Any]
    answer: Answer
    passed: bool | None
    findings: list[dict[str, Any]]
    repeat: int = 0
    score: float | None = None
    cost_usd: float | None = None

    @property
    def key(self) -> str:
        return str(self.example["id"])

    def as_result(self) -> dict[str, Any]:
        """As the hub takes it."""
        result: dict[str, Any] = {"example": self.key, "output": self.answer.output, "checks": self.findings}
        given = {
            "passed": self.passed, "error": self.answer.error or None, "repeat": self.repeat or None,
            "score": self.score, "cost_usd": None if self.cost_usd is None else round(self.cost_usd, 8),
            "latency_ms": None if self.answer.latency_ms is None else round(self.answer.latency_ms, 3),
        }  # fmt: skip
        return result | {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of it: the run as the hub tells it, the version, and the answers, those of earlier processes too.

    ``judged`` holds one answer an example: with repeats the first that does not pass, which is the one to look at.
    """

    run: dict[str, Any]
    golden: Golden
    judged: dict[str, Judged] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        return str(self.run.get("verdict") or "")

    @property
    def open(self) -> bool:
        """Whether the gate is open: a pass, or a person's decision against the verdict."""
        return self.run.get("gate") == "open" or self.verdict == "pass"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to ask. ``price`` and ``budget`` are US dollars (the price for a million tokens), ``ask`` is a judge;
    ``told`` is given the estimate before the first question."""

    concurrency: int = 8
    price: Price | None = None
    budget: float | None = None
    ask: checks.Ask | None = None
    told: Callable[[Estimate], None] | None = None
    progress: Progress | None = None


Work = tuple[dict[str, Any], int]


def evaluate(
    hub: Hub, dataset: str, version: int | str, target: Target, *, candidate: str = "", baseline: str = "approved",
    wanted: Sequence[Mapping[str, Any]] = (), rules: Mapping[str, Any] | None = None, split: str = "",
    repeats: int = 1, flaky_repeats: int = 1, concurrency: int = 8, resume: str = "", progress: Progress | None = None,
    plan: Plan | None = None,
) -> Evaluation:  # fmt: skip
    """Runs ``target`` on a frozen version and returns the decided run.

    Results are uploaded while answers come in. If it breaks off, ``resume`` with the run's id asks only for the
    answers that are missing; of a run that has ended it tells the end. Raises HubError, CannotRun (OverBudget where
    the budget is spent, or would be by the estimate), checks.BadCheck.
    """
    plan = plan or Plan(concurrency=concurrency, progress=progress)
    golden = hub.golden(dataset, version)
    examples = chosen(golden, dataset, split)
    if isinstance(target, FileTarget) and not target.answers.keys() & examples.keys():
        raise CannotRun(f"None of the answers in {target.path} is to an example of {dataset}. Are the ids right?")
    for example in examples.values():  # a check that cannot run is found before the first answer is paid for
        _judge(example, Answer("x", latency_ms=0.0, cost_usd=0.0), wanted, None if plan.ask is None else _yes, 0.0)
    purse = Purse(plan.price, plan.budget, plan.ask)
    if resume:
        run = hub.run(resume)
        if run["dataset"] != dataset or run["version"] != golden.header["version"]:
            raise CannotRun(f"Run {resume} is about {run['dataset']}@{run['version']}.")
        if run["state"] == "finished":
            return Evaluation(run, golden, earlier(hub, resume, examples))
    else:
        if not isinstance(target, FileTarget):
            _affordable(_told(list(examples.values()) * repeats, plan), plan)
        run = hub.start_run(
            dataset, candidate or target.name, version=golden.header["version"], target=target.describe(),
            checks=list(wanted), baseline=baseline, rules=dict(rules or {}), split=split,
            **({"repeats": repeats} if repeats > 1 else {}),
            **({"flaky_repeats": flaky_repeats} if flaky_repeats > repeats else {}),
        )  # fmt: skip
    work = work_of(run, examples)
    upload = _Upload(hub, run["id"], earlier(hub, resume, examples) if resume else {})
    try:
        for done, one in enumerate(_answers(work, target, wanted, plan, purse), 1):
            upload.add(one)
            if plan.progress:
                plan.progress(done, len(work))
        upload.flush()
    except BaseException as error:
        with suppress(HubError):  # an answer may have cost money
            upload.flush()
        error.add_note(f"What was answered is kept. Go on with --resume {run['id']}")
        raise
    return Evaluation(hub.finish_run(run["id"]), golden, upload.judged)


def chosen(golden: Golden, dataset: str, split: str = "") -> dict[str, dict[str, Any]]:
    """The examples by key; raises CannotRun where there is none."""
    examples = {key: example for key, example in golden.examples.items() if not split or example["split"] == split}
    if not examples:
        raise CannotRun(f"The split {split} of {dataset} has no example." if split else f"{dataset} is empty.")
    return examples


def _told(work: Sequence[dict[str, Any]], plan: Plan) -> Estimate:
    found = estimate(work, price=plan.price, concurrency=plan.concurrency)
    if plan.told:
        plan.told(found)
    return found


def _affordable(found: Estimate, plan: Plan) -> None:
    if plan.budget is not None and found.cost_usd is not None and found.cost_usd > plan.budget:
        raise CannotRun(f"By the estimate this costs ${found.cost_usd:.2f}, more than the budget of ${plan.budget:g}.")


def work_of(run: Mapping[str, Any], examples: Mapping[str, dict[str, Any]]) -> list[Work]:
    """What is to be asked: each planned repeat of each example that has no answer yet."""
    plan = run.get("plan") or {}
    flaky, missing = set(plan.get("flaky") or []), run.get("missing")
    answered: Mapping[str, list[int]] = run.get("answered") or {}
    return [
        (example, repeat)
        for key, example in examples.items()
        if missing is None or key in missing
        for repeat in range(int(plan.get("flaky_repeats" if key in flaky else "repeats") or 1))
        if repeat not in answered.get(key, [])
    ]


def earlier(hub: Hub, run_id: str, examples: Mapping[str, dict[str, Any]]) -> dict[str, Judged]:
    """What an earlier process was answered, so that the reports of a resumed run are whole."""
    judged: dict[str, Judged] = {}
    for told in hub.results(run_id):
        if told["example"] in examples:
            answer = Answer(told["output"], told["error"], told["latency_ms"])
            cost = None if told["cost_usd"] is None else float(told["cost_usd"])
            example = examples[told["example"]]
            keep(judged, Judged(example, answer, told["passed"], told["checks"], told["repeat"], told["score"], cost))
    return judged


def keep(judged: dict[str, Judged], one: Judged) -> None:
    """Of several answers to one example the first that does not pass stays: it is the one to look at."""
    known = judged.get(one.key)
    if known is None or known.passed:
        judged[one.key] = one


class _Upload:
    """Sends judged answers to the hub in batches that fit, and at least every BATCH_SECONDS."""

    def __init__(self, hub: Hub, run_id: str, judged: dict[str, Judged]) -> None:
        self.judged = judged
        self._hub, self._run_id = hub, run_id
        self._waiting: list[dict[str, Any]] = []
        self._size = 0
        self._sent = time.monotonic()

    def add(self, one: Judged) -> None:
        keep(self.judged, one)
        self.send(one.as_result())

    def send(self, result: dict[str, Any]) -> None:
        weight = len(json.dumps(result))
        late = time.monotonic() - self._sent > BATCH_SECONDS
        if late or len(self._waiting) == BATCH_ITEMS or self._size + weight > BATCH_BYTES:
            self.flush()
        self._waiting.append(result)
        self._size += weight

    def flush(self) -> None:
        if self._waiting:
            self._hub.add_results(self._run_id, self._waiting)
        self._waiting, self._size, self._sent = [], 0, time.monotonic()


def upload_all(hub: Hub, run_id: str, results: Sequence[dict[str, Any]]) -> None:
    """Sends results (as ``Judged.as_result`` makes them) in batches that fit."""
    upload = _Upload(hub, run_id, {})
    for result in results:
        upload.send(result)
    upload.flush()


def _yes(example: Mapping[str, Any], output: str, criterion: str) -> checks.Opinion:
    return checks.Opinion(1.0)


def _judge(
    example: dict[str, Any], answer: Answer, wanted: Sequence[Mapping[str, Any]], ask: checks.Ask | None,
    cost: float | None,
) -> checks.Judgement:  # fmt: skip
    try:
        spent = checks.Spent(answer.latency_ms, cost)
        return checks.judge(example, answer.output, wanted, spent=spent, ask=ask)
    except (checks.BadCheck, schema.BadSchema) as error:
        raise CannotRun(f"Example {example['id']}: {error}") from None


def judged(
    example: dict[str, Any], target: Target, wanted: Sequence[Mapping[str, Any]] = (), *, repeat: int = 0,
    ask: checks.Ask | None = None, purse: Purse | None = None,
) -> Judged:  # fmt: skip
    """Asks the target one example and judges the answer. Raises CannotRun."""
    try:
        answer = storable(target.answer(example, repeat) if isinstance(target, Cached) else target.answer(example))
    except CannotRun:
        raise
    except Exception as error:  # a stranger's target; the other examples go on
        answer = storable(Answer(error=f"{type(error).__name__}: {error}"))
    cost = purse.pay(answer) if purse else answer.cost_usd
    if answer.error:
        return Judged(example, answer, None, [], repeat, None, cost)
    try:
        said = _judge(example, answer, wanted, ask, cost)
    except NoOpinion as error:
        return Judged(example, Answer(error=str(error)[:500]), None, [], repeat, None, cost)
    return Judged(example, answer, said.passed, said.as_dicts(), repeat, said.score, cost)


def _answers(
    work: list[Work], target: Target, wanted: Sequence[Mapping[str, Any]], plan: Plan, purse: Purse
) -> Iterator[Judged]:
    """Judged answers as they come, with at most ``concurrency`` questions under way."""

    def ask(one: Work) -> Judged:
        return judged(one[0], target, wanted, repeat=one[1], ask=plan.ask, purse=purse)

    if not target.concurrent or plan.concurrency <= 1:
        for one in work:
            purse.check()
            yield ask(one)
        return
    queue = iter(work)
    with ThreadPoolExecutor(plan.concurrency, thread_name_prefix="reviewhub-eval") as pool:
        under_way: set[Future[Judged]] = {pool.submit(ask, one) for one in islice(queue, plan.concurrency)}
        failure: BaseException | None = None
        try:
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                failure = failure or next((error for one in done if (error := one.exception())), None)
                if failure is None and not purse.empty:  # what is under way is still waited for
                    under_way |= {pool.submit(ask, one) for one in islice(queue, len(done))}
                for future in done:
                    if future.exception() is None:
                        yield future.result()
            if failure is not None:  # now that what was paid for is handed over
                raise failure
            if next(queue, None) is not None:
                purse.check()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
