"""What an evaluation came to, in words: for a terminal, a pull request, a CI server. Flips come first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree as xml

from reviewhub_client.eval import Evaluation, Judged

VERDICTS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "NOT ENOUGH EVIDENCE"}
MARKS = {True: "met", False: "not met", None: "open"}
SHOWN = 20
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(evaluation: Evaluation) -> str:
    """For a terminal or a log."""
    run = evaluation.run
    lines = [f"{run['dataset']}@{run['version']}, {run['candidate']}: {_counts(run)}"]
    for title, keys in (("Newly failing", run["flips"]["broken_keys"]), ("Newly passing", run["flips"]["fixed_keys"])):
        lines += _listed(f"{title} ({len(keys)})", keys, evaluation) if keys else []
    if run["baseline"] is None:
        failing = [key for key, one in evaluation.judged.items() if one.passed is False]
        lines += _listed(f"Failing ({len(failing)})", failing, evaluation) if failing else []
    unanswered = [key for key, one in evaluation.judged.items() if one.passed is None]
    lines += _listed(f"Without an answer ({len(unanswered)})", unanswered, evaluation) if unanswered else []
    lines.append("")
    lines += [f"  {MARKS[test['met']]:<8} {test['name']}: {test['detail']}" for test in run["tests"]]
    if run.get("needed"):
        lines.append(f"  About {run['needed']} examples would settle it.")
    if flake := run.get("flake"):
        lines.append(f"  {_flaky(flake)}")
    if run["baseline"] is None:
        lines.append("  No baseline: judged by the floor alone. Approve a run to compare the next one with it.")
    lines += ["", f"{VERDICTS[evaluation.verdict]}: {run['reason']}"]
    if run.get("override"):
        lines.append(f"Opened by {_clean(str(run['override']['by']))}: {_clean(run['override']['reason'])}")
    lines.append(f"Run {run['id']}")
    return "\n".join(lines) + "\n"


def markdown(evaluation: Evaluation) -> str:
    """For a pull request."""
    run = evaluation.run
    lines = [
        f"### Golden set {run['dataset']}@{run['version']}: {VERDICTS[evaluation.verdict].lower()}", "",
        f"{_cell(run['candidate'])}: {_cell(run['reason'])}. {_counts(run)}.", "",
    ]  # fmt: skip
    broken = run["flips"]["broken_keys"] or [key for key, one in evaluation.judged.items() if one.passed is False]
    if broken:
        title = "Newly failing" if run["flips"]["broken_keys"] else "Failing"
        lines += [f"| {title} | Severity | Why |", "| --- | --- | --- |"]
        for key in broken[:SHOWN]:
            severity = _label(evaluation, key).get("severity")
            lines.append(f"| {_cell(_question(evaluation, key))} | {severity or ''} | {_cell(_why(evaluation, key))} |")
        lines += [f"| … and {len(broken) - SHOWN} more | | |"] if len(broken) > SHOWN else []
        lines.append("")
    if run["flips"]["fixed"]:
        lines += [f"Newly passing: {run['flips']['fixed']}.", ""]
    lines += ["| Rule | | |", "| --- | --- | --- |"]
    lines += [f"| {_cell(test['name'])} | {MARKS[test['met']]} | {_cell(test['detail'])} |" for test in run["tests"]]
    changed = [row for row in run.get("categories") or [] if row["broken"] or row["fixed"]]
    if changed:
        lines += ["", "| Category | Newly failing | Newly passing | p (Holm) |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {_cell(row['name'])} | {row['broken']} | {row['fixed']} | {row['adjusted']:.2g} |"
            for row in changed[:SHOWN]
        ]
    if run.get("needed"):
        lines += ["", f"About {run['needed']} examples would settle it."]
    if run.get("flake"):
        lines += ["", _flaky(run["flake"])]
    if run.get("override"):
        lines += ["", f"Opened by {_cell(str(run['override']['by']))}: {_cell(run['override']['reason'])}"]
    return "\n".join([*lines, "", f"Run `{run['id']}`", ""])


def junit(evaluation: Evaluation) -> bytes:
    """JUnit XML: an example a test case, by category."""
    run = evaluation.run
    judged = [evaluation.judged[key] for key in sorted(evaluation.judged)]
    failed, unanswered = sum(one.passed is False for one in judged), sum(one.passed is None for one in judged)
    suite = xml.Element(
        "testsuite", name=f"{run['dataset']}@{run['version']}", tests=str(len(judged)), failures=str(failed),
        errors=str(unanswered), skipped="0", time=f"{_seconds(judged):.3f}",
    )  # fmt: skip
    for one in judged:
        category = str(_label(evaluation, one.key).get("category") or "uncategorised")
        case = xml.SubElement(
            suite, "testcase", classname=_clean(f"{run['dataset']}.{category}"),
            name=_clean(f"{one.key} {_question(evaluation, one.key)}"), time=f"{_seconds([one]):.3f}",
        )  # fmt: skip
        if one.passed is False:
            xml.SubElement(case, "failure", message=_clean(_why(evaluation, one.key))).text = _clean(one.answer.output)
        elif one.passed is None:
            xml.SubElement(case, "error", message=_clean(one.answer.error))
    suites = xml.Element("testsuites")
    suites.append(suite)
    return bytes(xml.tostring(suites, encoding="utf-8", xml_declaration=True))


def _counts(run: dict[str, Any]) -> str:
    counts, flips = run["counts"], run["flips"]
    told = f"{counts['passed']} of {counts['examples']} examples pass"
    if run["baseline"] is not None:
        told += f", {flips['broken']} newly failing, {flips['fixed']} newly passing"
    return told


def _flaky(flake: dict[str, Any]) -> str:
    told = f"Flaky: two answers to one example are judged differently {flake['rate'] * 100:.1f} % of the time"
    return told + (f"; about {flake['expected_flips']:g} flips are chance." if flake["expected_flips"] else ".")


def _listed(title: str, keys: list[str], evaluation: Evaluation) -> list[str]:
    lines = ["", title]
    for key in keys[:SHOWN]:
        lines.append(f"  {key}  {_question(evaluation, key)}")
        if why := _why(evaluation, key):
            lines.append(f"      {why}")
    return [*lines, f"  … and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else lines


def _why(evaluation: Evaluation, key: str) -> str:
    one = evaluation.judged.get(key)
    if one is None or one.passed:
        return ""
    said = [f"{finding['name']}: {finding['detail']}" for finding in one.findings if not finding["passed"]]
    return one.answer.error or "; ".join(said)


def _question(evaluation: Evaluation, key: str, limit: int = 90) -> str:
    messages = evaluation.golden.examples.get(key, {}).get("input", {}).get("messages") or []
    asked = [message.get("content") for message in messages if message.get("role") == "user"]
    flat = _clean(" ".join(str(asked[-1]).split())) if asked else ""
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _label(evaluation: Evaluation, key: str) -> dict[str, Any]:
    label: dict[str, Any] = evaluation.golden.examples.get(key, {}).get("expected", {}).get("label") or {}
    return label


def _seconds(judged: Iterable[Judged]) -> float:
    return sum(one.answer.latency_ms or 0.0 for one in judged) / 1000


def _cell(value: str) -> str:
    """Text from outside as one cell of a Markdown table: no markup of its own, no new row."""
    flat = " ".join(_clean(value).split())
    return re.sub(r"([\\|`*_\[\]<>@#])", r"\\\1", flat)


def _clean(value: str) -> str:
    """Without what XML cannot hold and a terminal should not be sent."""
    return _NOT_XML.sub("\ufffd", value)
