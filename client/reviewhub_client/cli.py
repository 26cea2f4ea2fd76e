"""The command line: ``reviewhub-eval DATASET[@VERSION] --target …`` (with the server: ``reviewhub eval …``).

Exit code: 0 pass, 1 fail, 2 not enough evidence, 3 could not run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from reviewhub_client import checks, report, schema
from reviewhub_client.eval import Evaluation, Progress, evaluate
from reviewhub_client.hub import Hub, HubError
from reviewhub_client.targets import CannotRun, resolve

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
        help="a file of answers (JSON Lines of id and output), openai:MODEL, or the address of a compatible server",
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
    return EXIT.get(evaluation.verdict, COULD_NOT_RUN)


def _evaluate(options: argparse.Namespace) -> Evaluation:
    dataset, _, version = options.dataset.partition("@")
    target = resolve(options.target, model=options.model, parameters=_pairs(options.param), timeout=options.timeout)
    rules = {
        "min_pass_rate": options.min_pass_rate, "margin": options.margin, "alpha": options.alpha,
        "max_unanswered": options.max_unanswered, "category_floors": _floors(options.min_category) or None,
    }  # fmt: skip
    with Hub(options.hub, options.key) as hub:
        return evaluate(
            hub, dataset, version or "latest", target, candidate=options.candidate, baseline=options.baseline,
            wanted=_checks(options.checks), rules={name: value for name, value in rules.items() if value is not None},
            split=options.split, concurrency=options.concurrency, resume=options.resume, progress=_progress(),
        )  # fmt: skip


def _write(options: argparse.Namespace, evaluation: Evaluation) -> None:
    if options.junit:
        options.junit.write_bytes(report.junit(evaluation))
    if options.markdown:
        options.markdown.write_text(report.markdown(evaluation), encoding="utf-8")
    sys.stdout.write(json.dumps(evaluation.run, indent=2) + "\n" if options.json else report.text(evaluation))


def _progress() -> Progress:
    """A line that rewrites itself on a terminal, a line for every tenth in a pipe; always on standard error."""
    terminal, told = sys.stderr.isatty(), -1

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenth = done * 10 // total
        if terminal:
            filled = done * 30 // total
            sys.stderr.write(
                f"\r{'█' * filled}{'░' * (30 - filled)} {done} of {total}" + ("\n" if done == total else "")
            )
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
