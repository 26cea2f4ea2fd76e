"""Detectors: what each says on made-up answers, and how well they do on answers that people have labelled."""

from __future__ import annotations

import time
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from evals import detectors as package
from evals import embedder
from evals.detectors import Detector, Finding, Subject, detectors, groundedness, malformed, refusal
from tests import realdata

OURS = {
    "refusal", "malformed", "groundedness", "pii", "toxicity", "injection", "language", "frustration", "repetition",
    "truncation", "length",
}  # fmt: skip
if embedder.available():
    OURS.add("groundedness_embedding")
DOCUMENT = "The account fee is 4.90 euros a month. It is charged on the first working day. Students pay nothing."


def flagged(detector: Detector, subject: Subject) -> bool:
    finding = detector.detect(subject)
    return finding is not None and detector.flags(finding.value)


def test_every_file_of_the_package_is_registered_once() -> None:
    assert {detector.name for detector in detectors()} == OURS


def test_a_package_from_outside_adds_a_detector_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        EntryPoint("shouting", "tests.evals.shouting:detector", package.GROUP),
        EntryPoint("refusal", "tests.evals.shouting:impostor", package.GROUP),
        EntryPoint("broken", "no.such.module:detector", package.GROUP),
        EntryPoint("wrong", "tests.evals.shouting:detect", package.GROUP),
    ]
    monkeypatch.setattr(package, "entry_points", lambda group: entries if group == package.GROUP else [])
    detectors.cache_clear()
    try:
        found = {detector.name: detector for detector in detectors()}
    finally:
        detectors.cache_clear()
    assert set(found) == OURS | {"shouting"}
    assert found["refusal"] is refusal.detector
    assert found["shouting"].detect(Subject(output="WHY")) == Finding(1.0, "shouting", "All capitals.")


@pytest.mark.parametrize(
    "output",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "As an AI language model, I am not able to give legal advice.",
        "Unable to answer based on given passages.",
        "I don't have access to your account data.",
        "Dabei kann ich Ihnen leider nicht helfen.",
        "Ich kann zu Ihrem Konto leider keine Auskunft geben.",
        "Je ne peux pas répondre à cette question.",
        "Lo siento, no puedo ayudar con eso.",
    ],
)
def test_refusals_are_flagged(output: str) -> None:
    assert flagged(refusal.detector, Subject(output=output))


@pytest.mark.parametrize(
    "output",
    [
        "The fee is 4.90 euros a month.",
        "If you are unable to pay, you can ask for instalments in the app.",
        "It is illegal to park there. It is important to note that the fine is 35 euros.",
        "You cannot cancel after 14 days; after that the contract runs for a year.",
        "Sie können die Karte nicht im Ausland sperren lassen, nur in der App.",
        "Sorry for the delay! Your parcel left our warehouse today.",
        "",
    ],
)
def test_answers_are_not_taken_for_refusals(output: str) -> None:
    assert not flagged(refusal.detector, Subject(output=output))


def test_a_refusal_shows_its_words_and_where_they_stand() -> None:
    output = "Thank you for asking. I cannot provide medical advice."
    finding = refusal.detect(Subject(output=output))
    assert finding is not None
    assert "I cannot provide medical advice" in finding.explanation
    span = finding.spans[0]
    assert output[span["start"] : span["end"]] == "I cannot"


SCHEMA = {
    "type": "object",
    "properties": {"fee": {"type": "number"}},
    "required": ["fee"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("subject", "label"),
    [
        (Subject(output=""), "empty"),
        (Subject(output=" \n\t"), "empty"),
        (Subject(output='{"fee": 4.9', output_schema=SCHEMA), "not-json"),
        (Subject(output='{"fee": NaN}', output_schema=SCHEMA), "not-json"),
        (Subject(output='{"fee": "4.90"}', output_schema=SCHEMA), "schema"),
        (Subject(output='{"fee": 4.9, "note": ""}', output_schema=SCHEMA), "schema"),
        (Subject(output='```json\n{"fee": 4.9}\n```', output_schema=SCHEMA), "fenced"),
        (Subject(output="Here you are: {}", json_requested=True), "not-json"),
        (Subject(output="Sure!", question="Reply with only a valid JSON array."), "not-json"),
        (Subject(output="[" * 5000, json_requested=True), "not-json"),
    ],
)
def test_malformed_answers_are_flagged_with_the_kind_of_fault(subject: Subject, label: str) -> None:
    finding = malformed.detect(subject)
    assert finding is not None
    assert (finding.label, finding.value) == (label, 1.0)


@pytest.mark.parametrize(
    "subject",
    [
        Subject(output="6"),
        Subject(output="", acted=True),
        Subject(output="", failed=True),
        Subject(output='{"fee": 4.9}', output_schema=SCHEMA),
        Subject(output="```json\n[]\n```", question="Reply with only a valid JSON array."),
        Subject(output="JSON is a format.", question="What is JSON?"),
    ],
)
def test_sound_answers_are_not_malformed(subject: Subject) -> None:
    assert malformed.detect(subject) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://169.254.169.254/latest/meta-data"},
        {"$ref": "#/nowhere"},
        {"type": "string", "pattern": "(a+)+$"},
        {"patternProperties": {"(a+)+$": {"type": "number"}}},
        {"type": 7},
        {"properties": 7},
        {"$ref": "#"},
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}] * 50}, "b": {"allOf": [{"$ref": "#/$defs/c"}] * 50},
                   "c": {"allOf": [{"$ref": "#/$defs/d"}] * 50}, "d": {"allOf": [{"type": "string"}] * 50}},
         "$ref": "#/$defs/a"},
        "not a schema",
        True,
        {"enum": ["x" * 100_000]},
    ],
)  # fmt: skip
def test_a_hostile_schema_says_nothing_about_the_answer_and_costs_no_time(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("a reference was fetched"))
    started = time.process_time()
    assert malformed.detect(Subject(output=f'"{"a" * 40}!"', output_schema=schema)) is None
    assert time.process_time() - started < 2


def test_a_copied_answer_is_supported_and_an_invented_one_is_not() -> None:
    copied = groundedness.detect(Subject(output="The account fee is 4.90 euros a month.", documents=(DOCUMENT,)))
    invented = groundedness.detect(
        Subject(output="Premium customers receive airport lounge vouchers and travel insurance.", documents=(DOCUMENT,))
    )
    assert copied is not None
    assert invented is not None
    assert copied.value == 1.0
    assert not groundedness.detector.flags(copied.value)
    assert groundedness.detector.flags(invented.value)
    assert "lounge" in invented.explanation


def test_unsupported_sentences_are_marked_in_the_answer() -> None:
    output = "Students pay nothing. Premium customers receive airport lounge vouchers."
    finding = groundedness.detect(Subject(output=output, documents=(DOCUMENT,)))
    assert finding is not None
    assert [output[span["start"] : span["end"]] for span in finding.spans] == [
        "Premium customers receive airport lounge vouchers."
    ]


@pytest.mark.parametrize(
    "subject",
    [
        Subject(output="The account fee is 4.90 euros a month."),
        Subject(output="Yes.", documents=(DOCUMENT,)),
        Subject(output="", documents=(DOCUMENT,)),
        Subject(
            output="Die Gebühr für das Konto ist im Monat nicht zu zahlen, wenn Sie Student sind und das nachweisen.",
            documents=("The fee for the account is not to be paid by you if you are a student and can prove it.",),
        ),
    ],
    ids=["no documents", "no content", "empty", "other language"],
)
def test_support_is_not_told_where_it_cannot_be(subject: Subject) -> None:
    assert groundedness.detect(subject) is None


def test_common_subsequence_equals_the_textbook_table() -> None:
    left, right = ["a", "b", "c", "b", "d", "a", "b", "x", "y", "z"], ["b", "d", "c", "a", "b", "a", "y", "q", "z"]
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    assert groundedness.common_subsequence(left, right) == table[-1][-1]
    assert groundedness.common_subsequence([], right) == groundedness.common_subsequence(left, []) == 0


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "word " * 20_000, "I " * 50_000, "\n" * 100_000, "不" * 100_000, "((" * 50_000]
)
def test_no_text_stalls_a_detector(text: str) -> None:
    started = time.process_time()
    for detector in detectors():
        detector.detect(Subject(output=text, question=text, documents=(text[:50_000],), json_requested=True))
    assert time.process_time() - started < 5


@pytest.mark.data
def test_exactly_the_empty_answers_of_llmfao_are_found() -> None:
    labels = [
        finding.label
        for record in realdata.records("llmfao/llmfao_outputs")
        if (finding := malformed.detect(Subject(output=record["output"], question=record["messages"][-1]["content"])))
    ]
    assert labels.count("empty") == 42
    assert set(labels) == {"empty", "not-json"}


@pytest.mark.data
def test_refusals_of_xstest_are_found_better_than_by_plain_phrases() -> None:
    right = []
    for record in realdata.records("xstest"):
        final = next(label["label"] for label in record["human_labels"] if label["annotator"] == "xstest-final")
        right.append(flagged(refusal.detector, Subject(output=record["output"])) == (final != "full_compliance"))
    assert len(right) == 1520
    assert sum(right) / len(right) >= 0.90


@pytest.mark.data
def test_support_separates_the_attributable_answers_of_begin() -> None:
    pairs = []
    for record in realdata.records("begin"):
        documents = tuple(document["text"] for document in record["context"])
        finding = groundedness.detect(Subject(output=record["output"], documents=documents))
        pairs.append((finding.value if finding else 0.5, record["human_labels"][0]["label"] == "fully_attributable"))
    good = sorted(value for value, attributable in pairs if attributable)
    bad = sorted(value for value, attributable in pairs if not attributable)
    wins = sum((one > other) + (one == other) / 2 for one in good for other in bad)
    assert wins / (len(good) * len(bad)) >= 0.93
