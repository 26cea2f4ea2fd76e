"""One evaluation: fetch the golden examples, get an answer to each, judge, upload, and let the hub decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from reviewhub_client import checks, schema
from reviewhub_client.hub import Golden, Hub, HubError
from reviewhub_client.targets import Answer, CannotRun, FileTarget, Target

BATCH_ITEMS = 100
BATCH_BYTES = 4_000_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """One example with its answer and what the checks said."""

    example: dict[str, Any]
    answer: Answer
    passed: bool | None
    findings: list[dict[str, Any]]

    @property
    def key(self) -> str:
        return str(self.example["id"])

    def as_result(self) -> dict[str, Any]:
        """As the hub takes it."""
        result: dict[str, Any] = {"example": self.key, "output": self.answer.output, "checks": self.findings}
        if self.passed is not None:
            result["passed"] = self.passed
        if self.answer.error:
            result["error"] = self.answer.error
        if self.answer.latency_ms is not None:
            result["latency_ms"] = round(self.answer.latency_ms, 3)
        return result


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of it: the run as the hub tells it, the version, and the answers that this process got."""

    run: dict[str, Any]
    golden: Golden
    judged: dict[str, Judged] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        return str(self.run.get("verdict") or "")


def evaluate(
    hub: Hub, dataset: str, version: int | str, target: Target, *, candidate: str = "", baseline: str = "approved",
    wanted: Sequence[Mapping[str, Any]] = (), rules: Mapping[str, Any] | None = None, split: str = "",
    concurrency: int = 8, resume: str = "", progress: Progress | None = None,
) -> Evaluation:  # fmt: skip
    """Runs ``target`` on a frozen version and returns the decided run.

    Results are uploaded while answers come in. If it breaks off, ``resume`` with the run's id asks only for the
    answers that are missing. Raises HubError, CannotRun, checks.BadCheck.
    """
    golden = hub.golden(dataset, version)
    examples = {key: example for key, example in golden.examples.items() if not split or example["split"] == split}
    if not examples:
        raise CannotRun(f"The split {split} of {dataset} has no example." if split else f"{dataset} is empty.")
    if isinstance(target, FileTarget) and not target.answers.keys() & examples.keys():
        raise CannotRun(f"None of the answers in {target.path} is to an example of {dataset}. Are the ids right?")
    for example in examples.values():  # a check that cannot run is found before the first answer is paid for
        _judge(example, "x", wanted)
    if resume:
        run = hub.run(resume)
        waiting = set(run.get("missing") or [])
        if run["dataset"] != dataset or run["version"] != golden.header["version"]:
            raise CannotRun(f"Run {resume} is about {run['dataset']}@{run['version']}.")
        examples = {key: example for key, example in examples.items() if key in waiting}
    else:
        run = hub.start_run(
            dataset, candidate or target.name, version=golden.header["version"], target=target.describe(),
            checks=list(wanted), baseline=baseline, rules=dict(rules or {}), split=split,
        )  # fmt: skip
    upload = _Upload(hub, run["id"])
    try:
        for done, one in enumerate(_answers(list(examples.values()), target, wanted, concurrency), 1):
            upload.add(one)
            if progress:
                progress(done, len(examples))
        upload.flush()
    except BaseException as error:
        with suppress(HubError):  # an answer may have cost money
            upload.flush()
        error.add_note(f"What was answered is kept. Go on with --resume {run['id']}")
        raise
    return Evaluation(hub.finish_run(run["id"]), golden, upload.judged)


class _Upload:
    """Sends judged answers to the hub in batches that fit."""

    def __init__(self, hub: Hub, run_id: str) -> None:
        self.judged: dict[str, Judged] = {}
        self._hub, self._run_id = hub, run_id
        self._waiting: list[dict[str, Any]] = []
        self._size = 0

    def add(self, one: Judged) -> None:
        result = one.as_result()
        weight = len(json.dumps(result))
        if len(self._waiting) == BATCH_ITEMS or self._size + weight > BATCH_BYTES:
            self.flush()
        self.judged[one.key] = one
        self._waiting.append(result)
        self._size += weight

    def flush(self) -> None:
        if self._waiting:
            self._hub.add_results(self._run_id, self._waiting)
        self._waiting, self._size = [], 0


def _judge(example: dict[str, Any], output: str, wanted: Sequence[Mapping[str, Any]]) -> checks.Judgement:
    try:
        return checks.judge(example, output, wanted)
    except (checks.BadCheck, schema.BadSchema) as error:
        raise CannotRun(f"Example {example['id']}: {error}") from None


def _answers(
    examples: list[dict[str, Any]], target: Target, wanted: Sequence[Mapping[str, Any]], concurrency: int
) -> Iterator[Judged]:
    """Judged answers as they come, with at most ``concurrency`` questions under way."""

    def ask(example: dict[str, Any]) -> Judged:
        answer = target.answer(example)
        if answer.error:
            return Judged(example, answer, None, [])
        said = _judge(example, answer.output, wanted)
        return Judged(example, answer, said.passed, said.as_dicts())

    if not target.concurrent or concurrency <= 1:
        yield from map(ask, examples)
        return
    queue = iter(examples)
    with ThreadPoolExecutor(concurrency, thread_name_prefix="reviewhub-eval") as pool:
        under_way: set[Future[Judged]] = {pool.submit(ask, example) for example in islice(queue, concurrency)}
        try:
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                under_way |= {pool.submit(ask, example) for example in islice(queue, len(done))}
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
