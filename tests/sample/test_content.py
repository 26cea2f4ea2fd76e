"""The written content: enough of it, in two languages and four domains, and true to itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from random import Random

import pytest
from reviewhub_client import checks

from annotations import coding
from reviewhub.sample import content, figures, written

TODAY = date(2026, 11, 21)
TWELVE = {
    "unsupported-claim", "contradicts-source", "wrong-fact-or-reasoning", "retrieval-miss", "ignored-context",
    "instruction-not-followed", "misread-intent", "incomplete", "tool-misuse", "wrong-refusal",
    "format-tone-or-length", "safety-or-privacy",
}  # fmt: skip
ALL = content.read()
FAULTY = [pattern for pattern in ALL.patterns.values() if pattern.fault]


def write(pattern: content.Pattern, *, faulty: bool, seed: int = 0) -> written.Exchange:
    return written.exchange(ALL, pattern, rng=Random(seed), today=TODAY, faulty=faulty)


def test_there_are_enough_distinct_exchanges_and_documents() -> None:
    texts = {write(pattern, faulty=False).answer for pattern in ALL.patterns.values()}
    texts |= {write(pattern, faulty=True).answer for pattern in FAULTY}
    assert len(texts) >= 140
    assert len({pattern.questions[0] for pattern in ALL.patterns.values()}) >= 90
    assert len(ALL.documents) >= 35


def test_about_a_third_of_what_is_written_is_faulty_and_every_failure_mode_occurs() -> None:
    share = len(FAULTY) / (len(FAULTY) + len(ALL.patterns))
    assert 0.25 < share < 0.4
    assert {pattern.fault.category for pattern in FAULTY if pattern.fault} == TWELVE


def test_there_are_several_domains_and_two_languages() -> None:
    assert {pattern.language for pattern in ALL.patterns.values()} == {"en", "de"}
    assert {pattern.assistant for pattern in ALL.patterns.values()} == {one.key for one in ALL.company.assistant}
    assert sum(pattern.language == "de" for pattern in ALL.patterns.values()) >= 15


def test_every_document_that_is_named_exists_and_speaks_the_language_of_the_question() -> None:
    for pattern in ALL.patterns.values():
        for ref in [*pattern.documents, *((pattern.fault and pattern.fault.documents) or [])]:
            assert ALL.documents[ref].language == pattern.language, (pattern.key, ref)


def test_every_follow_up_shares_the_figures_of_what_it_follows() -> None:
    for pattern in ALL.patterns.values():
        if pattern.follows:
            first = ALL.patterns[pattern.follows]
            assert first.assistant == pattern.assistant
            assert pattern.figures in {"", first.figures}, pattern.key


@pytest.mark.parametrize("pattern", FAULTY, ids=lambda pattern: pattern.key)
def test_what_the_expert_says_about_a_fault_fits_the_answer(pattern: content.Pattern) -> None:
    for seed in range(5):
        exchange = write(pattern, faulty=True, seed=seed)
        opinion, texts = exchange.opinion, {one["id"]: one["content"] for one in exchange.documents}
        assert opinion is not None
        assert opinion.desired
        assert opinion.desired != exchange.answer
        assert {opinion.category, *opinion.secondary} <= TWELVE
        assert opinion.severity in {1, 2, 3, 4}
        assert len(opinion.note) > 60
        for span in opinion.spans:
            text = exchange.answer if span["target"] == "output" else texts[span["ref"]]
            assert text.count(text[span["start"] : span["end"]]) == 1
        for assertion in opinion.assertions:
            wanted = assertion["type"] == "must"
            assert checks.occurs(assertion["text"], opinion.desired) is wanted, assertion
            if not wanted:
                assert checks.occurs(assertion["text"], exchange.answer), assertion
        assert any(
            checks.occurs(one["text"], exchange.answer) is (one["type"] == "must_not") for one in opinion.assertions
        ), "no assertion tells the faulty answer from the desired one"


def test_every_quoted_source_is_among_those_that_the_assistant_was_given() -> None:
    for pattern in FAULTY:
        fault = pattern.fault
        assert fault is not None
        given = pattern.documents if fault.documents is None else fault.documents
        assert {ref for ref, _ in fault.evidence} <= set(given), pattern.key


def test_open_notes_are_about_faults_that_exist_and_no_two_are_the_same() -> None:
    assert {note.pattern for note in ALL.open_notes} <= {pattern.key for pattern in FAULTY}
    texts = [note.text for note in ALL.open_notes]
    assert len(texts) == len(set(texts)) >= 60
    groups = Counter(note.group for note in ALL.open_notes if note.group)
    assert len(groups) >= 8
    assert min(groups.values()) >= 2
    assert max(map(len, groups)) <= coding.MAX_NAME


def test_a_quote_that_is_not_in_its_text_is_refused() -> None:
    with pytest.raises(ValueError, match="occurs 0 times"):
        written._span("The fee is €4.", "The fee is €5.", "output", None, "contradicts-source")


class Drawn:
    """Figures as a reader sees them, turned back into numbers."""

    def __init__(self, values: dict[str, str], language: str) -> None:
        self.values, self.language = values, language

    def __getattr__(self, name: str) -> float:
        text = re.sub(r"[^\d.,-]", "", self.values[name])
        german = text.replace(".", "").replace(",", ".")
        return float(german if self.language == "de" and not name.endswith("_n") else text.replace(",", ""))


RULES: dict[str, Callable[[Drawn], bool]] = {
    "move_out": lambda d: d.due + d.back == pytest.approx(11.90),
    "instalment": lambda d: (
        d.yearly == pytest.approx(d.energy + 142.80)
        and d.energy == pytest.approx(d.kwh * 0.319, abs=0.006)
        and 0 <= d.monthly * 12 - d.yearly < 12
        and d.wrong < d.monthly
        and d.low == pytest.approx(d.monthly * 0.8)
        and d.high == pytest.approx(d.monthly * 1.5)
    ),
    "compare": lambda d: d.flex - d.fix == pytest.approx(d.diff, abs=0.011),
    "night": lambda d: d.total == pytest.approx(d.day_cost + d.night_cost + 148.80, abs=0.011),
    "plan": lambda d: d.months * d.rate == pytest.approx(d.arrears) and d.months <= 6,
    "feed_in": lambda d: d.paid == pytest.approx(d.kwh * 0.08),
    "registers": lambda d: (
        d.new - d.old == d.used == d.new_n - d.old_n
        and d.fed_new - d.fed_old == d.fed
        and d.cost == pytest.approx(d.used * 0.319, abs=0.006)
    ),
    "reading": lambda d: (
        d.whole - d.last_reading == d.used and d.tenfold == round(d.shown * 10) and d.lower < d.last_reading
    ),
    "periods": lambda d: d.now < d.then and d.now_day > d.then_day and d.more > 0 and d.less > 0,
    "mileage": lambda d: (
        d.amount == pytest.approx(6 + (d.km - 20) * 0.38)
        and d.rest == d.km - 20
        and d.wrong == pytest.approx(d.km * 0.38)
    ),
    "part_time": lambda d: d.leave == 6 * d.days,
    "child_dose": lambda d: d.values["ml"] == _millilitres(int(d.kg)) != d.values["wrong_ml"],
}


@pytest.mark.parametrize("situation", figures.SITUATIONS)
@pytest.mark.parametrize("language", ["en", "de"])
def test_figures_are_consistent_in_both_languages(situation: str, language: str) -> None:
    for seed in range(30):
        values = figures.values(situation, rng=Random(seed), today=TODAY, language=language)
        if situation in RULES:
            assert RULES[situation](Drawn(values, language)), values


def _millilitres(kg: int) -> str:
    """The dose as the leaflet in the knowledge base gives it."""
    leaflet = ALL.documents["velodol-junior-3"].text
    for low, high, ml in re.findall(r"(\d+) to (\d+) kg: ([\d.]+) ml", leaflet):
        if int(low) <= kg <= int(high):
            return str(ml)
    raise AssertionError(f"{kg} kg is not in the leaflet")
