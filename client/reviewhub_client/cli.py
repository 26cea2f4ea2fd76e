"""The command line: ``reviewhub-eval DATASET[@VERSION] --target …`` (with the server: ``reviewhub eval …``).

Exit code: 0 pass, 1 fail, 2 not enough evidence, 3 could not run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from reviewhub_client import checks, report, schema
from reviewhub_client.answers import CannotRun
from reviewhub_client.cache import Cached
from reviewhub_client.eval import Evaluation, Plan, Progress, chosen, evaluate
from reviewhub_client.hub import Hub
from reviewhub_client.judging import ModelJudge, judged_by
from reviewhub_client.spending import Estimate, Price, duration, estimate
from reviewhub_client.targets import resolve
from reviewhub_client.wire import HubError

EXIT = {"pass": 0, "fail": 1, "inconclusive": 2}
COULD_NOT_RUN = 3


class _Parser(argparse.ArgumentParser):
    """A wrong option is "could not run", not argparse's 2, which here means "not enough evidence"."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(COULD_NOT_RUN, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """The grammar."""
    words = _Parser(
        prog="reviewhub eval", description="Hold a candidate against a frozen golden dataset.",
        epilog="Exit code: 0 pass, 1 fail, 2 not enough evidence, 3 could not run.",
    )  # fmt: skip
    words.add_argument(
        "dataset", metavar="DATASET[@VERSION]", help="for example golden@3; without a version the newest"
    )
    words.add_argument(
        "--target", required=True,
        help="a file of answers (JSON Lines of id and output), openai:MODEL, anthropic:MODEL, the address of a "
        "compatible server, http:FILE for any endpoint by template, or python:MODULE:FUNCTION",
    )  # fmt: skip
    words.add_argument("--model", default="", help="the model, where the target is an address")
    words.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="sent with each request")
    words.add_argument("--candidate", default="", help="what the run is called; otherwise the target's name")
    words.add_argument("--baseline", default="approved", metavar="approved|none|RUN", help="what to compare with")
    words.add_argument("--split", default="", choices=["", "train", "dev", "test"], help="only this split")
    words.add_argument(
        "--checks", type=Path, metavar="FILE", help="a JSON list of checks in place of the examples' own"
    )
    words.add_argument("--min-pass-rate", type=float, metavar="SHARE", help="1 without a baseline; none with one")
    words.add_argument("--min-category", action="append", default=[], metavar="NAME=SHARE", help="a floor by category")
    words.add_argument("--margin", type=float, metavar="SHARE", help="loss of pass rate that is tolerated (0.05)")
    words.add_argument("--alpha", type=float, metavar="SHARE", help="chance of a false alarm (0.05)")
    words.add_argument("--max-unanswered", type=float, metavar="SHARE", help="share without an answer (0.05)")
    words.add_argument("--score-margin", type=float, metavar="SHARE", help="loss of mean score that is tolerated")
    words.add_argument("--max-latency-p95", type=float, metavar="MS", help="95 of 100 answers must be as fast")
    words.add_argument(
        "--max-cost-increase", type=float, metavar="SHARE", help="of the baseline's cost (0.1: 10 %% more)"
    )
    words.add_argument("--repeats", type=int, default=1, metavar="N", help="ask each example N times (1)")
    words.add_argument(
        "--flaky-repeats",
        type=int,
        default=1,
        metavar="N",
        help="ask those N times that contradicted themselves before",
    )
    words.add_argument(
        "--judge", default="", metavar="MODEL", help="openai:MODEL or anthropic:MODEL for what words do not settle"
    )
    words.add_argument("--price", default="", metavar="IN,OUT", help="US dollars for a million tokens")
    words.add_argument("--judge-price", default="", metavar="IN,OUT", help="the same for the judge; otherwise --price")
    words.add_argument("--budget", type=float, metavar="USD", help="stop when so much is spent; needs --price")
    words.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep answers by what was asked, and take them from there"
    )
    words.add_argument("--estimate", "--estimate-only", action="store_true", help="say what it would take, and stop")
    words.add_argument("--yes", action="store_true", help="start without asking; on a terminal it is asked first")
    words.add_argument("--retries", type=int, default=5, help="for an answer that may come later (5)")
    words.add_argument("--concurrency", type=int, default=8, help="requests at a time (8)")
    words.add_argument("--timeout", type=float, default=120.0, help="seconds for one answer (120)")
    words.add_argument("--resume", default="", metavar="RUN", help="go on with a run that broke off")
    words.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    words.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary for a pull request")
    words.add_argument("--json", action="store_true", help="print the run as one JSON object")
    words.add_argument("--hub", metavar="URL", help="otherwise REVIEWHUB_URL, otherwise http://127.0.0.1:8000")
    words.add_argument("--key", help="otherwise REVIEWHUB_KEY; needs the scopes read and runs")
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the result is the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(words[1:] if words[:1] == ["eval"] else words)
    try:
        evaluation = _evaluate(options)
        _write(options, evaluation)
    except (HubError, CannotRun, checks.BadCheck, schema.BadSchema, OSError) as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", []))
        sys.stderr.write(f"reviewhub eval: {error}{notes}\n")
        return COULD_NOT_RUN
    except KeyboardInterrupt as error:
        sys.stderr.write("\nStopped." + "".join(f" {note}" for note in getattr(error, "__notes__", [])) + "\n")
        return COULD_NOT_RUN
    return 0 if evaluation is None or evaluation.open else EXIT.get(evaluation.verdict, COULD_NOT_RUN)


def _evaluate(options: argparse.Namespace) -> Evaluation | None:
    dataset, _, version = options.dataset.partition("@")
    target = resolve(
        options.target, model=options.model, parameters=_pairs(options.param), timeout=options.timeout,
        retries=options.retries,
    )  # fmt: skip
    if options.cache:
        target = Cached(target, options.cache)
    price = Price.parse(options.price) if options.price else None
    if min(options.repeats, options.flaky_repeats) < 1:
        raise CannotRun("--repeats is a whole number from 1 on")
    rules = {
        "min_pass_rate": options.min_pass_rate, "margin": options.margin, "alpha": options.alpha,
        "max_unanswered": options.max_unanswered, "category_floors": _floors(options.min_category) or None,
        "score_margin": options.score_margin, "max_latency_p95_ms": options.max_latency_p95,
        "max_cost_increase": options.max_cost_increase,
    }  # fmt: skip
    with Hub(options.hub, options.key) as hub:
        if options.estimate:
            examples = chosen(hub.golden(dataset, version or "latest"), dataset, options.split)
            work = list(examples.values()) * options.repeats
            sys.stdout.write(f"{estimate(work, price=price, concurrency=options.concurrency)}\n")
            return None
        plan = Plan(
            concurrency=options.concurrency, price=price, budget=options.budget, ask=_judge(options),
            told=_tell if options.yes else _tell_and_ask, progress=_progress(),
        )  # fmt: skip
        return evaluate(
            hub, dataset, version or "latest", target, candidate=options.candidate, baseline=options.baseline,
            wanted=judged_by(_checks(options.checks), options.judge), split=options.split,
            rules={name: value for name, value in rules.items() if value is not None}, repeats=options.repeats,
            flaky_repeats=options.flaky_repeats, resume=options.resume, plan=plan,
        )  # fmt: skip


def _judge(options: argparse.Namespace) -> ModelJudge | None:
    if not options.judge:
        return None
    model = resolve(options.judge, timeout=options.timeout, retries=options.retries)
    price = options.judge_price or options.price
    return ModelJudge(model, options.judge, Price.parse(price) if price else None)


def _tell(found: Estimate) -> None:
    sys.stderr.write(f"{found}\n")


def _tell_and_ask(found: Estimate) -> None:
    """The estimate, and on a terminal the question whether to go on; a CI job has nobody to ask."""
    _tell(found)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    sys.stderr.write("Start? [Y/n] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("", "y", "yes"):
        raise CannotRun("Nothing was asked.")


def _write(options: argparse.Namespace, evaluation: Evaluation | None) -> None:
    if evaluation is None:
        return
    if options.junit:
        options.junit.write_bytes(report.junit(evaluation))
    if options.markdown:
        options.markdown.write_text(report.markdown(evaluation), encoding="utf-8")
    sys.stdout.write(json.dumps(evaluation.run, indent=2) + "\n" if options.json else report.text(evaluation))


def _progress() -> Progress:
    """A line that rewrites itself on a terminal, a line for every tenth in a pipe; always on standard error."""
    terminal, told, started = sys.stderr.isatty(), -1, time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenth = done * 10 // total
        if terminal:
            filled = done * 30 // total
            left = duration((time.monotonic() - started) / done * (total - done))
            end = "          \n" if done == total else f", {left} left   "
            sys.stderr.write(f"\r{'█' * filled}{'░' * (30 - filled)} {done} of {total}{end}")
        elif tenth != told:
            sys.stderr.write(f"{done} of {total} answered\n")
        told = tenth
        sys.stderr.flush()

    return tell


def _checks(path: Path | None) -> list[dict[str, Any]]:
    if path is None:
        return []
    try:
        return checks.validate(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise CannotRun(f"{path}: {error}") from None


def _pairs(words: list[str]) -> dict[str, Any]:
    """``temperature=0`` as a number, ``stop=END`` as a text: JSON where it is JSON."""
    pairs: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise CannotRun(f"--param {word}: write NAME=VALUE")
        try:
            pairs[name] = json.loads(value)
        except ValueError:
            pairs[name] = value
    return pairs


def _floors(words: list[str]) -> dict[str, float]:
    floors = {}
    for word in words:
        name, _, share = word.rpartition("=")
        try:
            floors[name] = float(share)
        except ValueError:
            raise CannotRun(f"--min-category {word}: write NAME=SHARE") from None
    return floors


if __name__ == "__main__":
    sys.exit(main())
