"""Detectors of form and mood: repetition, truncation, language, length, frustration. And no text stalls any."""

from __future__ import annotations

import gettext
import re
import time
from pathlib import Path

import django
import pytest

from evals.detectors import (
    Detector,
    Subject,
    detectors,
    frustration,
    injection,
    language,
    length,
    malformed,
    pii,
    refusal,
    repetition,
    toxicity,
    truncation,
)
from evals.detectors.interface import Usual
from tests import realdata

SENTENCE = "The account fee is charged on the first working day of each month and listed in your statement."


def flagged(detector: Detector, subject: Subject) -> bool:
    finding = detector.detect(subject)
    return finding is not None and detector.flags(finding.value) is True


@pytest.mark.parametrize(
    "output",
    [
        f"{SENTENCE} " + "I can help you with that. " * 8,
        "The answer is: " + "E7 A7 D7 G7 " * 12,
        f"{SENTENCE}\n" * 8,
        "ha" + "a" * 500,
        "Das ist richtig und gut. " * 12,
    ],
)
def test_loops_are_flagged(output: str) -> None:
    assert flagged(repetition.detector, Subject(output=output))


def test_a_loop_shows_its_unit_and_where_it_stands() -> None:
    output = "Gladly, here it comes. " + "We will write to you soon. " * 6
    finding = repetition.detect(Subject(output=output))
    assert finding is not None
    assert "“We will write to you soon” stands there 6 times in a row" in finding.explanation
    span = finding.spans[0]
    assert output[span["start"] : span["end"]].startswith("We will write to you soon.")


@pytest.mark.parametrize(
    "output",
    [
        SENTENCE,
        "No, no, no, no! That is not what I meant.",
        "| a | 1 |\n| b | 1 |\n| c | 1 |\n| d | 1 |\n| e | 1 |\n| f | 1 |\n",
        "\n".join(f"{number}. Open the settings and choose item {number}." for number in range(1, 20)),
        "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "=" * 400,
        "",
    ],
)
def test_lists_tables_and_emphasis_are_no_loops(output: str) -> None:
    assert not flagged(repetition.detector, Subject(output=output))


@pytest.mark.parametrize(
    ("subject", "label"),
    [
        (Subject(output="The fee is", cut_off=True), "limit"),
        (Subject(output=f"{SENTENCE} You can find it there because"), "mid-sentence"),
        (Subject(output=f"{SENTENCE} It depends on the card, the branch,"), "mid-sentence"),
        (Subject(output=f"{SENTENCE}\n```python\nprint('The fee is 4.90 euros')\nfor fee in fees"), "fence"),
        (Subject(output=f"{SENTENCE} Sie finden sie dort, weil"), "mid-sentence"),
    ],
)
def test_answers_that_break_off_are_flagged(subject: Subject, label: str) -> None:
    finding = truncation.detect(subject)
    assert finding is not None
    assert (finding.label, truncation.detector.flags(finding.value)) == (label, True)
    span = finding.spans[-1]
    assert span["end"] == len(subject.output)


@pytest.mark.parametrize(
    "output",
    [
        SENTENCE,
        "4.90 euros",
        f"{SENTENCE} Kind regards, your bank team",
        f"{SENTENCE}\n- the first card\n- the second card",
        f"{SENTENCE}\n```python\nprint(1)\n```",
        f"{SENTENCE} See https://bank.example/fees",
        f"{SENTENCE} Have a nice day 😀",
        f"{SENTENCE}\nDo you want to know more?",
        f"{SENTENCE} 手数料は毎月最初の営業日に引き落とされます",
        "",
    ],
)
def test_whole_answers_are_not_called_cut(output: str) -> None:
    assert not flagged(truncation.detector, Subject(output=output))


QUESTION = "What does the account cost and when do I have to pay for it?"
GERMAN = "Das Konto kostet im Monat 4,90 Euro, und die Gebühr wird am ersten Tag des Monats von Ihrem Konto abgebucht."


def test_an_answer_in_another_language_is_told_and_not_flagged() -> None:
    finding = language.detect(Subject(output=GERMAN, question=QUESTION))
    assert finding is not None
    assert (finding.label, finding.explanation) == ("de", "The answer is in German; the question is in English.")
    assert language.detector.flags(finding.value) is None
    assert language.detector.flags(finding.value, 0.5) is True


def test_the_stated_language_counts_where_the_question_does_not_tell() -> None:
    finding = language.detect(Subject(output=GERMAN, question="4.90?", language="fr-CH"))
    assert finding is not None
    assert finding.explanation == "The answer is in German; the language stated is French."


@pytest.mark.parametrize(
    "subject",
    [
        Subject(output=GERMAN, question="Was kostet das Konto und wann wird die Gebühr von mir bezahlt?"),
        Subject(output="4.90 euros", question=QUESTION),
        Subject(output=GERMAN, question="??"),
        Subject(output=GERMAN, question="42", language="xx"),
        Subject(output="```\nfor i in x: print(i)\n```", question=QUESTION),
        Subject(output=GERMAN, question=QUESTION, failed=True),
    ],
)
def test_where_the_language_is_right_or_cannot_be_told_nothing_is_said(subject: Subject) -> None:
    assert language.detect(subject) is None


@pytest.mark.parametrize("code", ["de", "fr", "es", "it", "pl", "tr", "ru", "uk", "ar", "ja", "ko", "el", "vi"])
def test_languages_are_told_from_texts_that_people_translated(code: str) -> None:
    path = Path(django.__file__).parent / "conf" / "locale" / code / "LC_MESSAGES" / "django.mo"
    with path.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    texts = sorted(
        re.sub(r"%\(\w*\)[sd]", "", text) for key, text in catalogue.items() if len(text) > 20 and text != key
    )
    said = [language.identify(" ".join(texts[at : at + 6])) for at in range(0, len(texts) - 6, 6)]
    assert len(said) >= 5
    assert set(said) <= {code, ""}
    assert said.count(code) >= 0.6 * len(said)


USUAL = Usual(answers=400, median=600, spread=0.4)


@pytest.mark.parametrize(("size", "label"), [(6_000, "long"), (60, "short"), (700, ""), (400, ""), (0, "")])
def test_lengths_far_from_the_usual_are_told_and_not_flagged(size: int, label: str) -> None:
    finding = length.detect(Subject(output="x" * size, usual=USUAL))
    assert (finding.label if finding else "") == label
    if finding is not None:
        assert finding.value > 0.5
        assert length.detector.flags(finding.value) is None
        assert "400 answers" in finding.explanation


def test_answers_of_one_length_make_no_outliers_of_their_neighbours() -> None:
    assert length.detect(Subject(output="x" * 660, usual=Usual(400, 600, 0.0))) is None
    assert length.detect(Subject(output="x" * 10_000)) is None  # nothing known


@pytest.mark.parametrize(
    ("question", "sign"),
    [
        ("This is useless.", "anger"),
        ("You are wasting my time!", "anger"),
        ("Das ist völlig nutzlos!", "anger"),
        ("I already told you my order number.", "told"),
        ("That is not what I asked.", "wrong"),
        ("Your answer doesn't help.", "wrong"),
        ("I want to talk to a real person.", "human"),
        ("Ich möchte mit einem Menschen sprechen.", "human"),
    ],
)
def test_frustration_is_flagged(question: str, sign: str) -> None:
    finding = frustration.detect(Subject(output="", question=question))
    assert finding is not None
    assert frustration.detector.flags(finding.value)
    assert sign in finding.detail["signs"]


@pytest.mark.parametrize(
    "question",
    [
        "What is the fee?",
        "How do I cancel my card?",
        "My printer does not work.",
        "WHAT IS THE FEE",
        "Really?!",
        "Is it wrong to pay late?",
        "Who is the manager of the branch?",
        "",
    ],
)
def test_ordinary_questions_are_not_frustrated(question: str) -> None:
    assert not flagged(frustration.detector, Subject(output="", question=question))


HUGE = 1_000_000
HOSTILE = {
    "one letter": "a" * HUGE,
    "words": "word " * (HUGE // 5),
    "letters apart": "i g n o r e " * (HUGE // 12),
    "dots": "a." * (HUGE // 2),
    "addresses": "a@" * (HUGE // 2),
    "digits": "1 " * (HUGE // 2),
    "bits": "01" * (HUGE // 2),
    "base64": "QUJD" * (HUGE // 4),
    "brackets": "[" * HUGE,
    "fences": "```" * (HUGE // 3),
    "nested": '{"a":[' * (HUGE // 6),
    "NUL": "\0" * HUGE,
    "line ends": "\n" * HUGE,
    "ideographs": "不" * HUGE,
    "emoji": "😀" * HUGE,
    "combining": "e\u0301" * (HUGE // 2),
    "unseen": "a\u200b" * (HUGE // 2),
    "backwards": "\u202eab" * (HUGE // 3),
    "ligatures": "ﬁ" * HUGE,
    "lone surrogates": "\ud800" * HUGE,
    "attack begun": "ignore all " * (HUGE // 11),
    "insult begun": "you are a " * (HUGE // 10),
    "anger begun": "this is so very " * (HUGE // 16),
}
OURS = (frustration, injection, language, length, malformed, pii, refusal, repetition, toxicity, truncation)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_million_characters_stall_none_of_the_new_ones(name: str) -> None:
    text = HOSTILE[name]
    for module in OURS:
        started = time.process_time()
        module.detect(Subject(output=text, question=text, documents=(text[:400_000],), earlier=(text[:20_000],)))
        assert time.process_time() - started < 2, module.__name__


@pytest.mark.parametrize("name", HOSTILE)
def test_what_the_worker_hands_over_stalls_no_detector(name: str) -> None:
    text = HOSTILE[name]
    started = time.process_time()
    for detector in detectors():
        detector.detect(Subject(output=text[:100_000], question=text, documents=(text[:50_000],)))
    assert time.process_time() - started < 5


@pytest.mark.data
def test_loops_are_found_and_good_answers_left_alone() -> None:
    """Of 797 answers of weak and strong models 44 loop. Nobody has labelled them; the repeated words were read."""
    found = [record["id"] for record in realdata.records("llmfao/llmfao_outputs")
             if flagged(repetition.detector, Subject(output=record["output"]))]  # fmt: skip
    assert len(found) == 44
    for name in ("ragtruth", "feedbackqa", "halueval_general", "xstest", "begin", "haluquestqa"):
        for record in realdata.records(name):
            assert not flagged(repetition.detector, Subject(output=record["output"])), record["id"]


@pytest.mark.data
def test_comments_of_dissatisfied_users_are_told_from_the_others() -> None:
    hits = [0, 0]
    for record in realdata.records("feedbackqa"):
        for said in record["feedback"]:
            if said.get("comment") and flagged(frustration.detector, Subject(output="", question=said["comment"])):
                hits[said["thumb"] == "down"] += 1
    assert hits[1] / sum(hits) >= 0.92
    assert hits[1] / 3487 >= 0.30
