"""The language of triage rules: what is met, what is refused, and what can be known without facts."""

from __future__ import annotations

import time
from typing import Any

import pytest

from annotations.condition_logic import impossible, includes
from annotations.conditions import Facts, Verdict, Voice, compiled
from annotations.priority import Reason
from projects.errors import ApiError

DOWN = Voice(kind="thumbs", value="down", number=-1, negative=True, verified=True, comment="The fee is wrong")
LOW = Verdict(name="faithfulness", source="judge", value=0.31, label="", flagged=True)
FACTS = Facts(
    values={"model": "gpt-4o", "tags": ["vip", "beta"], "latency_ms": 6200.0, "metadata.team": "cards", "variant": ""},
    signals={"negative_feedback": [Reason("negative_feedback", "negative", 1.0, "thumb-down", "Thumbs-down")]},
    voices=[DOWN],
    scores=[LOW],
    texts={"question": "Can I get a refund for the fee?", "answer": "No."},
)


def field(name: str, op: str, *value: Any) -> dict[str, Any]:
    return {"field": name, "op": op, **({"value": value[0]} if value else {})}


MET = [
    {"all": []},
    {"signal": "negative_feedback"},
    {"feedback": {"kind": "thumbs", "value": "down", "verified": True}},
    {"feedback": {"negative": True}},
    {"score": {"name": "faithfulness", "op": "below", "value": 0.5}},
    {"score": {"source": "judge", "flagged": True}},
    field("model", "is", "gpt-4o"),
    field("model", "in", ["gpt-4o", "gpt-5"]),
    field("model", "starts_with", "gpt"),
    field("model", "contains", "4O"),
    field("model", "is_not", "other"),
    field("model", "known"),
    field("variant", "unknown"),
    field("tags", "has", "vip"),
    field("tags", "has_not", "internal"),
    field("tags", "has_any", ["internal", "beta"]),
    field("latency_ms", "above", 5000),
    field("latency_ms", "at_most", 6200),
    field("metadata.team", "is", "cards"),
    {"text": {"in": "question", "words": ["refund"]}},
    {"text": {"in": "comment", "words": ["FEE"]}},
    {"text": {"in": "any", "matches": "ref(und|uses)"}},
    {"any": [field("model", "is", "other"), {"signal": "negative_feedback"}]},
    {"not": {"any": [{"signal": "error"}, field("model", "is", "other")]}},
    {"all": [field("model", "is", "gpt-4o"), {"not": field("tags", "has", "internal")}]},
]
NOT_MET = [
    {"signal": "error"},
    {"feedback": {"kind": "thumbs", "value": "up"}},
    {"feedback": {"kind": "thumbs", "verified": False}},
    {"score": {"name": "faithfulness", "op": "above", "value": 0.5}},
    {"score": {"name": "toxicity", "flagged": True}},
    field("latency_ms", "below", 6200),
    field("cost_usd", "at_least", 0),
    field("cost_usd", "known"),
    field("model", "not_in", ["gpt-4o"]),
    {"text": {"in": "answer", "words": ["refund"]}},
    {"text": {"in": "question", "words": ["fun"]}},
    {"all": [field("model", "is", "gpt-4o"), {"signal": "error"}]},
]


@pytest.mark.parametrize("condition", MET, ids=str)
def test_facts_meet(condition: dict[str, Any]) -> None:
    assert compiled(condition).met(FACTS) is not None


@pytest.mark.parametrize("condition", NOT_MET, ids=str)
def test_facts_do_not_meet(condition: dict[str, Any]) -> None:
    assert compiled(condition).met(FACTS) is None


def test_a_condition_that_is_met_says_why_in_words() -> None:
    condition = {
        "all": [
            {"signal": "negative_feedback"},
            field("latency_ms", "above", 5000),
            {"score": {"name": "faithfulness", "op": "below", "value": 0.5}},
            {"text": {"in": "question", "words": ["refund"]}},
        ]
    }
    said = [reason.text for reason in compiled(condition).met(FACTS) or []]
    expected = ["Thumbs-down", "Latency in milliseconds 6,200 > 5,000", "Faithfulness 0.31", "Question says “refund”"]
    assert said == expected


def test_a_condition_names_what_it_reads_so_that_nothing_else_is_loaded() -> None:
    condition = {"any": [field("model", "known"), {"text": {"in": "answer", "words": ["x"]}}, {"signal": "error"}]}
    assert compiled(condition).needs == {"model", "answer"}


@pytest.mark.parametrize(
    ("condition", "path"),
    [
        (None, "/condition"),
        ({}, "/condition"),
        ({"none": []}, "/condition"),
        ({"signal": "error", "all": []}, "/condition/signal"),
        ({"all": {}}, "/condition/all"),
        ({"any": []}, "/condition/any"),
        ({"all": [{"signal": "luck"}]}, "/condition/all/0/signal"),
        ({"not": {"field": "colour", "op": "is", "value": "x"}}, "/condition/not/field"),
        (field("model", "above", 5), "/condition/op"),
        (field("latency_ms", "above", "5"), "/condition/value"),
        (field("latency_ms", "above", float("nan")), "/condition/value"),
        (field("latency_ms", "above", True), "/condition/value"),
        (field("model", "in", []), "/condition/value"),
        (field("model", "is", " "), "/condition/value"),
        (field("model", "known", "x"), "/condition/value"),
        ({"feedback": {}}, "/condition/feedback"),
        ({"feedback": {"kind": "odd"}}, "/condition/feedback/kind"),
        ({"feedback": {"verified": "yes"}}, "/condition/feedback/verified"),
        ({"score": {"flagged": True}}, "/condition/score"),
        ({"score": {"name": "x"}}, "/condition/score"),
        ({"score": {"name": "x", "op": "is", "value": 1}}, "/condition/score/op"),
        ({"text": {"in": "question"}}, "/condition/text"),
        ({"text": {"in": "title", "words": ["x"]}}, "/condition/text/in"),
        ({"text": {"matches": "(unclosed"}}, "/condition/text/matches"),
        ({"text": {"matches": r"(a)\1"}}, "/condition/text/matches"),
        ({"text": {"matches": "((a{100}){100}){100}"}}, "/condition/text/matches"),
        ({"all": [{"signal": "error"}] * 61}, "/condition/all/59"),
    ],
    ids=str,
)  # fmt: skip
def test_a_fault_is_refused_with_its_path(condition: Any, path: str) -> None:
    with pytest.raises(ApiError) as refused:
        compiled(condition)
    assert refused.value.status_code == 422
    assert refused.value.body()["error"]["details"][0]["path"] == path


def test_groups_nested_too_deep_are_refused() -> None:
    condition: dict[str, Any] = {"signal": "error"}
    for _ in range(7):
        condition = {"not": condition}
    with pytest.raises(ApiError, match="nested"):
        compiled(condition)


def test_a_pattern_that_explodes_elsewhere_takes_linear_time() -> None:
    condition = compiled({"text": {"in": "answer", "matches": "(a+)+$"}})
    begun = time.perf_counter()
    assert condition.met(Facts(texts={"answer": "a" * 100_000 + "b"})) is None
    assert time.perf_counter() - begun < 1  # a backtracking engine would not end in the age of the universe


IMPOSSIBLE = [
    {"all": [field("model", "is", "a"), field("model", "is", "b")]},
    {"all": [field("model", "in", ["a", "b"]), field("model", "not_in", ["a", "b"])]},
    {"all": [field("model", "is", "a"), field("model", "unknown")]},
    {"all": [field("latency_ms", "at_least", 5), field("latency_ms", "below", 5)]},
    {"all": [field("latency_ms", "above", 5), field("latency_ms", "at_most", 5)]},
    {"all": [field("latency_ms", "above", 9), field("latency_ms", "unknown")]},
    {"all": [field("tags", "has", "vip"), field("tags", "has_not", "vip")]},
    {"all": [{"signal": "error"}, {"not": {"signal": "error"}}]},
    {"all": [{"any": [field("model", "is", "a"), field("model", "is", "b")]}, field("model", "is", "c")]},
    {"not": {"all": []}},
]


@pytest.mark.parametrize("condition", IMPOSSIBLE, ids=str)
def test_what_nothing_can_meet_is_known(condition: dict[str, Any]) -> None:
    compiled(condition)
    assert impossible(condition)


@pytest.mark.parametrize("condition", MET + NOT_MET, ids=str)
def test_what_something_can_meet_is_not_called_impossible(condition: dict[str, Any]) -> None:
    assert not impossible(condition)


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        ({"all": []}, {"signal": "error"}, True),
        ({"signal": "error"}, {"all": []}, False),
        ({"signal": "error"}, {"all": [{"signal": "error"}, field("model", "is", "a")]}, True),
        ({"any": [{"signal": "error"}, field("model", "is", "a")]}, field("model", "is", "a"), True),
        (field("model", "is", "a"), {"any": [{"signal": "error"}, field("model", "is", "a")]}, False),
        ({"not": {"signal": "error"}}, {"signal": "error"}, False),
    ],
    ids=str,
)
def test_one_condition_includes_another(wide: dict[str, Any], narrow: dict[str, Any], answer: bool) -> None:
    assert includes(wide, narrow) is answer
