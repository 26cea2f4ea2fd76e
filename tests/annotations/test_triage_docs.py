"""The page about rules says what the code does: every table of the language, and every example can be saved."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from annotations import conditions, rules
from annotations.models import TriageRule
from projects.models import Project

PAGE = (Path(__file__).parents[2] / "docs" / "triage.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def table(heading: str, nth: int = 0) -> list[list[str]]:
    """The cells of the nth table below a heading."""
    below = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = [part.strip() for part in below.split("\n\n") if part.strip().startswith("| ")][nth]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()[2:]]


def names(heading: str, nth: int = 0) -> list[str]:
    return [row[0].strip("`") for row in table(heading, nth)]


def test_every_field_is_there_with_its_words_and_its_kind() -> None:
    told = [(row[0].strip("`"), row[1], row[2]) for row in table("Fields")]
    assert told == [(name, kind.label, kind.kind) for name, kind in conditions.FIELDS.items()]


def test_every_operator_is_there_with_its_kinds_and_its_words() -> None:
    ops = {"text": conditions.TEXT_OPS, "number": conditions.NUMBER_OPS, "set": conditions.SET_OPS}
    wanted = {
        (op, ", ".join(kind for kind, known in ops.items() if op in known), words)
        for known in ops.values() for op, words in known.items()
    }  # fmt: skip
    assert {(row[0].strip("`"), row[1], row[2]) for row in table("Fields", 1)} == wanted


def test_signals_texts_actions_and_samplings_are_those_of_the_code() -> None:
    assert names("Signals") == list(conditions.SIGNALS)
    assert names("Texts") == list(conditions.TEXTS)
    assert names("Actions") == TriageRule.Action.values
    assert names("Drawing a share") == TriageRule.Sampling.values


def test_feedback_kinds_and_score_sources_are_those_of_the_code() -> None:
    kinds = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in table("Feedback")}
    assert kinds["kind"] == list(conditions.FEEDBACK_KINDS)
    said = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in table("Scores")}
    assert said["source"] == list(conditions.SCORE_SOURCES)
    assert said["op"] == [op for op in conditions.NUMBER_OPS if op not in {"known", "unknown"}]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["name"])
def test_every_example_can_be_saved_as_it_stands(project: Project, example: dict[str, object]) -> None:
    rule = rules.save(project=project, actor=None, rule=None, fields=example)
    assert rule.name == example["name"]
