"""Every check, and which of them follow from an example."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from reviewhub_client import checks, schema
from reviewhub_client.checks import BadCheck, judge

from evals import checks as server
from evals import runs
from projects.errors import ApiError


def example(output: str = "", assertions: Any = (), verdict: str = "pass", answer: str = "", **expected: Any) -> Any:
    return {
        "expected": {"output": output, "assertions": list(assertions), "label": {"verdict": verdict}, **expected},
        "metadata": {"answer": answer} if answer else {},
    }


def names(given: Any) -> list[str]:
    return [check["type"] for check in checks.derive(given)]


def test_assertions_decide_where_there_are_some() -> None:
    given = example("It costs 50 cents.", [{"type": "must", "text": "50 cents"}, {"type": "must_not", "text": "free"}])
    assert names(given) == ["not_empty", "contains", "not_contains"]
    assert judge(given, "That is 50  CENTS.").passed
    assert not judge(given, "It is free, not 50 cents.").passed


def test_otherwise_the_desired_answer_is_compared_by_its_words() -> None:
    given = example("Please settle the overdraft before closing the account.")
    assert names(given) == ["not_empty", "similar"]
    assert judge(given, "Settle the overdraft before you close the account, please.").passed
    assert not judge(given, "Any overdraft is waived.").passed


def test_a_bare_number_must_be_hit() -> None:
    given = example("€4.41")
    assert names(given) == ["not_empty", "numeric"]
    assert judge(given, "You get €4.41 back.").passed
    assert not judge(given, "You get 4.4 back.").passed


def test_the_answer_that_was_judged_a_failure_must_not_come_back() -> None:
    given = example("", verdict="fail", answer="The fee is waived.")
    assert names(given) == ["not_empty", "differs"]
    assert not judge(given, "the  fee is WAIVED.").passed
    assert judge(given, "The fee is due.").passed


def test_an_output_schema_is_held() -> None:
    given = example("{}", schema={"type": "object", "required": ["fee"], "properties": {"fee": {"type": "number"}}})
    assert names(given) == ["not_empty", "json_schema"]
    assert judge(given, '{"fee": 0.5}').passed
    for bad in ("{}", '{"fee": "0.5"}', "fee: 0.5", '{"fee": NaN}', "[" * 100_000):
        assert not judge(given, bad).passed


def test_an_empty_answer_never_passes() -> None:
    assert not judge(example(), " \n").passed


@pytest.mark.parametrize(
    ("needle", "text", "found"),
    [
        ("4.41", "it is 4.41.", True), ("4.41", "it is 14.41", False), ("4.41", "it is 4.412", False),
        ("4", "4, or more", True), ("4", "4,5", False), ("Straße", "STRASSE", True), ("don't", "Don’t!", True),
        ("a b", "A\n B", True), ("ﬁne", "fine", True), ("", "anything", False), (" ", "x", False), ("10", "x10", True),
    ],
)  # fmt: skip
def test_what_occurs_in_a_text(needle: str, text: str, found: bool) -> None:
    assert checks.occurs(needle, text) is found


@pytest.mark.parametrize(
    ("text", "values"),
    [("1,284 of 7", [1284.0, 7.0]), ("−3.5 %", [-3.5]), ("12 000", [12000.0]), ("1e400", []), ("none", [])],
)
def test_the_numbers_of_a_text(text: str, values: list[float]) -> None:
    assert checks.numbers(text) == values


@pytest.mark.parametrize(
    ("check", "output", "passed"),
    [
        ({"type": "exact", "text": "Yes"}, "Yes", True), ({"type": "exact", "text": "Yes"}, "yes", False),
        ({"type": "equals", "text": "Yes"}, " yes ", True), ({"type": "equals"}, "the answer", True),
        ({"type": "contains"}, "this is the answer", True), ({"type": "not_contains", "text": "x"}, "y", True),
        ({"type": "regex", "pattern": r"^\d+$"}, "12", True), ({"type": "regex", "pattern": "a"}, "b", False),
        ({"type": "regex", "pattern": "a", "negate": True}, "b", True),
        ({"type": "numeric", "text": "100", "relative": 0.1}, "about 95", True),
        ({"type": "numeric", "text": "100", "absolute": 2}, "103", False),
        ({"type": "similar", "min": 1.0}, "answer the", True), ({"type": "max_length", "characters": 3}, "abcd", False),
        ({"type": "json_schema", "schema": {"type": "array"}}, "[]", True),
    ],
)  # fmt: skip
def test_a_check_that_a_run_names(check: dict[str, Any], output: str, passed: bool) -> None:
    assert judge(example("the answer"), output, [check]).passed is passed


def test_a_run_may_add_checks_to_those_of_the_example() -> None:
    given = example(assertions=[{"type": "must", "text": "fee"}])
    wanted = [{"type": "expected"}, {"type": "max_length", "characters": 10, "name": "short"}]
    said = judge(given, "The fee is very long indeed.", wanted)
    assert [(finding.name, finding.passed) for finding in said.findings] == [
        ("not_empty", True), ("contains", True), ("short", False),
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["(", "", None, "a" * 501, "(?=a)b", r"(a)\1", "(?<!a)b"])
@pytest.mark.parametrize("with_re2", [True, False])
def test_a_pattern_that_is_not_of_re2s_language_is_refused(
    pattern: Any, with_re2: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_re2:
        monkeypatch.setattr(checks, "re2", None)
    with pytest.raises(BadCheck, match="regex: "):
        checks.compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|ab)*", "(?:x*y)*", "((a+)b)+", "(a+){2,}"])
def test_a_pattern_that_may_never_end_is_refused_where_re2_is_missing(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.perf_counter()
    assert not judge(example(), "a" * 10_000 + "!", [{"type": "regex", "pattern": f"^{pattern}$"}]).passed
    assert time.perf_counter() - started < 2
    monkeypatch.setattr(checks, "re2", None)
    with pytest.raises(BadCheck, match="write it flat"):
        checks.compile_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"\d+\.\d+", "[(a+)]+x", "(foo|bar)", r"\(a+\)+", "(ab)+", "(a+)?", "[^)(]+"])
@pytest.mark.parametrize("with_re2", [True, False])
def test_an_ordinary_pattern_is_accepted(pattern: str, with_re2: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_re2:
        monkeypatch.setattr(checks, "re2", None)
    assert checks.compile_pattern(pattern)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("x", "list"), ([{"type": "no"}], "checks/0"), ([{}], "checks/0"), (["x"], "checks/0"),
        ([{"type": []}], "checks/0"), ([{"type": {}}], "checks/0"),
        ([{"type": "regex", "pattern": "(a+"}], "missing )"), ([{"type": "exact"}] * 51, "more than 50"),
        ([{"type": "json_schema", "schema": {"type": "nope"}}], "no such type"),
        ([{"type": "json_schema", "schema": {"$ref": "#"}}], "never ends"),
    ],
)  # fmt: skip
def test_checks_that_cannot_run_are_refused_by_the_server(value: Any, fault: str) -> None:
    with pytest.raises(ApiError) as refused:
        server.parse(value)
    assert refused.value.status_code == 422
    assert fault in refused.value.message


def test_the_server_runs_patterns_in_linear_time_and_asks_no_model() -> None:
    answer = runs.ResultItem(example="a", output="xxy", latency_ms=12.0, cost_usd=Decimal("0.001"))
    assert server.judge_here(example(), answer, [{"type": "regex", "pattern": "(x+)+y"}], "/results/0").passed
    for wanted in ({"type": "judge", "criterion": "Is it kind?"}, {"type": "expected", "judge": "openai:m"}):
        with pytest.raises(ApiError) as refused:
            server.judge_here(example(), answer, [wanted], "/results/0")
        assert refused.value.details[0]["path"] == "/results/0/passed"
    slow = server.judge_here(example(), answer, [{"type": "max_latency", "ms": 10}, {"type": "max_cost", "usd": 1}], "")
    assert [finding.detail for finding in slow.findings] == ["12 ms of at most 10", "$0.001000 of at most $1"]
    assert not slow.passed


@pytest.mark.parametrize("check", [{"type": "max_latency", "ms": 10}, {"type": "max_cost", "usd": 1}])
def test_what_nobody_measured_meets_no_bound(check: dict[str, Any]) -> None:
    assert "nobody" in judge(example(), "x", [check]).findings[0].detail
    assert not judge(example(), "x", [check]).passed


def test_a_model_is_asked_only_what_words_do_not_settle() -> None:
    asked: list[str] = []

    def ask(given: Any, output: str, criterion: str) -> checks.Opinion:
        asked.append(criterion)
        return checks.Opinion(0.9 if "demand" in criterion else 0.2, "because")

    given = example("", [{"type": "must", "text": "50 cents"}, {"type": "must_not", "text": "free"}])
    assert judge(given, "Half a euro; it costs nothing.", [], ask=ask).as_dicts()[1:] == [
        {"name": "contains", "passed": True, "detail": "“50 cents”: 0.90, because", "score": 0.9},
        {"name": "not_contains", "passed": False, "detail": "“free”: 0.20, because", "score": 0.2},
    ]
    assert len(asked) == 2
    assert not judge(given, "It is free, 50 cents.", [], ask=ask).passed
    assert len(asked) == 2  # the words settled both
    kind = [{"type": "judge", "criterion": "Is it kind?", "min": 0.1, "name": "kind"}]
    said = judge(given, "Dear customer", kind, ask=ask)
    assert (said.passed, said.score, said.findings[0].name) == (True, 0.2, "kind")
    with pytest.raises(BadCheck, match="name a model"):
        judge(given, "x", kind)


def test_checks_that_measure_make_the_score() -> None:
    given = example("one two three four")
    said = judge(given, "one two", [{"type": "similar", "min": 0.1}, {"type": "not_empty"}])
    assert said.score == pytest.approx(2 / 3)
    assert judge(given, "one two", [{"type": "not_empty"}]).score is None


def test_a_long_answer_of_few_words_is_judged_at_once() -> None:
    started = time.perf_counter()
    judge(example("a b " * 50_000, verdict="fail", answer="a"), "b a " * 250_000)
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    ("value", "wanted", "fits"),
    [
        (1, {"type": "integer"}, True), (1.0, {"type": "integer"}, True), (1.5, {"type": "integer"}, False),
        (True, {"type": "integer"}, False), (True, {"enum": [1]}, False),
        (None, {"type": ["string", "null"]}, True),
        ({"a": 1}, {"additionalProperties": False}, False),
        ({"a": 1}, {"properties": {"a": {"type": "string"}}}, False),
        ([1, "a"], {"items": {"type": "number"}}, False), ([], {"minItems": 1}, False),
        ("abc", {"maxLength": 2}, False),
        (5, {"exclusiveMaximum": 5}, False), (5, {"minimum": 5}, True),
        (1, {"anyOf": [{"const": 2}, {"const": 1}]}, True),
        (1, {"oneOf": [{"type": "number"}, {"type": "integer"}]}, False), (1, {"not": {"const": 1}}, False),
        ({"x": 1}, {"$defs": {"p": {"required": ["y"]}}, "$ref": "#/$defs/p"}, False), (1, True, True),
        (1, False, False),
        ("2026", {"pattern": "^x"}, True), (1, {"allOf": [{"minimum": 0}, {"maximum": 0}]}, False),
    ],
)  # fmt: skip
def test_the_schema_words(value: Any, wanted: Any, fits: bool) -> None:
    assert (schema.faults(value, wanted) == []) is fits


@pytest.mark.parametrize(
    ("value", "broken"),
    [
        (1, []), (1, {"type": 3}), (1, {"type": [[]]}), ({}, {"required": 1}),
        ({}, {"required": [[]]}), ({}, {"required": [{}]}), (1, {"$ref": "http://x"}),
        (1, {"minimum": "1"}), ({}, {"properties": []}), (1, {"anyOf": [3]}),
    ],
)  # fmt: skip
def test_a_broken_schema_is_refused(value: Any, broken: Any) -> None:
    with pytest.raises(schema.BadSchema):
        schema.faults(value, broken)
