"""The command line that makes a run again, from what the run keeps of it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from evals import gate, runs
from evals.models import Run

# The gate's rules by the options that set them; a floor of a category has a form of its own.
RULES = {
    "min_pass_rate": "--min-pass-rate", "margin": "--margin", "alpha": "--alpha", "max_unanswered": "--max-unanswered",
    "score_margin": "--score-margin", "max_latency_p95_ms": "--max-latency-p95",
    "max_cost_increase": "--max-cost-increase",
}  # fmt: skip
HOMES = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}
CHECKS = "checks.json"


@dataclass(frozen=True, slots=True)
class Again:
    """``command`` as a POSIX shell reads it, on several lines; ``notes`` say what it needs that is not in it.
    ``checks`` is what the file that it names has to hold, "" where it names none."""

    command: str
    notes: list[str]
    checks: str = ""


def again(run: Run) -> Again:
    """How to make the run again, or how to go on with one that is running."""
    by_pytest = run.target.get("kind") == "pytest"
    target, notes = ([], []) if by_pytest else _target(run.target)
    wanted = [{name: value for name, value in check.items() if name != "judge"} for check in run.checks]
    checks = "" if wanted == runs.EXPECTED else json.dumps(wanted, ensure_ascii=False, indent=1)
    said = _options(run) + ([("--checks", CHECKS)] if checks else [])
    said += [] if by_pytest else _rules(run.summary["rules"])
    if run.state == Run.State.RUNNING:
        said.append(("--resume", str(run.pk)))
    version = f"{run.version.dataset.slug}@{run.version.number}"
    if by_pytest:
        command = [f"pytest --golden {shlex.quote(version)}", *_joined(_as_pytest(said, run.summary["rules"]))]
        notes += ["Run it where the tests are, with the choice of tests that it had."]
    else:
        command = [f"reviewhub eval {shlex.quote(version)}", *_joined([*target, *said])]
        if "critical_severity" in _changed(run.summary["rules"]):
            notes += ["The run had another critical severity, which only the API can set."]
    notes += [f"{CHECKS} has to hold the checks below."] if checks else []
    env = [word for word in [_environment(run.target)] if word]
    return Again(" \\\n  ".join([*env, *command]), notes, checks)


Options = list[tuple[str, str]]


def _options(run: Run) -> Options:
    summary, plan = run.summary, run.summary.get("plan") or {"repeats": 1, "flaky_repeats": 1}
    judge = next((str(check["judge"]) for check in run.checks if check.get("judge")), "")
    said = [("--candidate", run.candidate), ("--baseline", str(run.baseline_id or "none"))]
    said += [("--split", summary["split"])] if summary["split"] else []
    said += [("--judge", judge)] if judge else []
    said += [("--repeats", str(plan["repeats"]))] if plan["repeats"] > 1 else []
    said += [("--flaky-repeats", str(plan["flaky_repeats"]))] if plan["flaky_repeats"] > plan["repeats"] else []
    return said


def _target(target: dict[str, Any]) -> tuple[Options, list[str]]:
    """The options that name the target, and what has to be there for them."""
    kind, name, model, url = (str(target.get(key) or "") for key in ("kind", "name", "model", "url"))
    parameters = target.get("parameters")
    sent = parameters if isinstance(parameters, dict) else {}  # what a program said of its target may be anything
    given = [("--param", f"{key}={json.dumps(value)}") for key, value in sent.items()]
    if kind in HOMES and model:
        if kind == "openai" and url and not _at_home(target):
            return [("--target", url), ("--model", model), *given], []
        known = _at_home(target) or url
        why = f"It was asked at {target.get('host')}: set {kind.upper()}_BASE_URL to the address there."
        return [("--target", f"{kind}:{model}"), *given], [] if known else [why]
    if kind == "python" and ":" in name:
        return [("--target", f"python:{name}")], ["Run it where that module can be imported."]
    if kind == "http":
        return [("--target", f"http:{name}.json")], [
            "The template is a file where the run was made; its name may be another."
        ]
    if kind == "file":
        return [("--target", name)], [
            "The file of answers lies where the run was made. The same file gives the same run."
        ]
    return [("--target", "TARGET")], ["A program sent these answers and did not say where from: name the target."]


def _at_home(target: dict[str, Any]) -> bool:
    return target.get("host") == HOMES.get(str(target.get("kind")))


def _environment(target: dict[str, Any]) -> str:
    """The address of a server that speaks Anthropic's language; there is no option for it."""
    url = str(target.get("url") or "")
    if target.get("kind") != "anthropic" or not url or _at_home(target):
        return ""
    return f"ANTHROPIC_BASE_URL={shlex.quote(url.removesuffix('/v1/messages'))}"


def _rules(rules: dict[str, Any]) -> Options:
    """The rules that are not the usual ones."""
    changed = _changed(rules)
    floors = [("--min-category", f"{name}={share}") for name, share in rules.get("category_floors", {}).items()]
    return [(option, str(changed[name])) for name, option in RULES.items() if name in changed] + floors


def _changed(rules: dict[str, Any]) -> dict[str, Any]:
    usual = gate.Rules().as_dict()
    return {name: value for name, value in rules.items() if value != usual.get(name)}


def _as_pytest(said: Options, rules: dict[str, Any]) -> Options:
    named = [(option.replace("--", "--golden-", 1), value) for option, value in said]
    changed = _changed(rules)
    return named + ([("--golden-rules", json.dumps(changed))] if changed else [])


def _joined(said: Options) -> list[str]:
    """Each option with its value, which is no option of its own although it may look like one."""
    return [f"{option}{'=' if value.startswith('-') else ' '}{shlex.quote(value)}" for option, value in said]
