"""Coefficients of agreement: against worked examples in print, against other programs' figures on real labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from annotations.agreement import (
    APART,
    Agreement,
    _resample,
    cohen,
    gwet,
    krippendorff,
    matched,
    one_sided,
    percent,
    spans,
)
from tests import realdata

FEW = 50  # resamples where the interval is not looked at

# Krippendorff 2011, part C: four observers, twelve units, values missing.
OBSERVERS = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
UNITS = [[int(row[place]) for row in OBSERVERS if row[place] != "."] for place in range(12)]


def pairs_of(table: list[list[int]]) -> list[tuple[int, int]]:
    """The pairs of answers of a confusion matrix."""
    return [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]


def said(found: Agreement, digits: int = 4) -> float:
    assert found.value is not None
    return round(found.value, digits)


# Worked examples


@pytest.mark.parametrize(("metric", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_krippendorffs_example(metric: Any, alpha: float) -> None:
    assert said(krippendorff(UNITS, metric, resamples=FEW), 3) == alpha


def test_alpha_of_two_observers_and_two_values_is_that_of_krippendorffs_example() -> None:
    pairs = list(zip([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0], strict=True))
    assert said(krippendorff(pairs, resamples=FEW), 3) == 0.095


def test_ac1_is_that_of_gwets_example_of_four_raters() -> None:
    found = gwet(UNITS, resamples=FEW)
    assert said(found, 5) == 0.77544
    assert found.n == 11  # one unit has a single value
    assert said(percent(UNITS, resamples=FEW), 5) == 0.81818


def test_kappa_is_that_of_cohens_example() -> None:
    assert said(cohen(pairs_of([[88, 14, 18], [10, 40, 10], [2, 6, 12]]), resamples=FEW), 3) == 0.492


def test_weights_ask_for_less_where_answers_are_close() -> None:
    # Of 10 pairs 2 are one step apart.
    pairs = pairs_of([[3, 1, 0], [0, 2, 1], [0, 0, 3]])
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    for weights, far in (("nominal", [1, 1]), ("linear", [0.5, 1]), ("quadratic", [0.25, 1])):
        chance = sum(first[a] * second[b] * far[abs(a - b) - 1] for a in range(3) for b in range(3) if a != b) / 100
        assert said(cohen(pairs, weights=weights, resamples=FEW)) == round(1 - 0.2 * far[0] / chance, 4)  # type: ignore[arg-type]
    assert said(gwet(pairs, weights="quadratic", resamples=FEW)) > said(gwet(pairs, resamples=FEW))


def test_a_one_sided_table_is_low_by_kappa_and_high_by_ac1_and_said_to_be_so() -> None:
    pairs = pairs_of([[118, 5], [2, 0]])
    share, kappa, ac1 = percent(pairs), cohen(pairs), gwet(pairs)
    assert (said(share, 3), said(kappa), said(ac1)) == (0.944, -0.0234, 0.9408)
    assert one_sided(share, krippendorff(pairs), ac1)
    even = pairs_of([[60, 5], [5, 55]])
    assert not one_sided(percent(even), krippendorff(even), gwet(even))
    # Both answers are common; where two differ a third is asked, which weighs in α; a third answer could be given.
    asked = [[0, 0]] * 30 + [[1, 1]] * 21 + [[0, 1, 0]] * 9
    share, alpha, ac1 = percent(asked), krippendorff(asked), gwet(asked, [0, 1, 2])
    assert (ac1.value or 0) - (alpha.value or 0) >= APART
    assert not one_sided(share, alpha, ac1)


# What is shared, and what cannot be said


def test_an_item_of_one_reviewer_says_nothing() -> None:
    both = [["pass", "pass"], ["fail", "pass"]] * 20
    alone = [["fail"]] * 50
    for measure in (percent, krippendorff):
        assert measure(both) == measure([*both, *alone])


@pytest.mark.parametrize("items", [[], [["pass"]], [["pass", "pass"]] * 40])
def test_alpha_is_not_defined_without_items_or_with_one_answer_only(items: list[list[str]]) -> None:
    found = krippendorff(items)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.word == ("undefined" if len(items) == 40 else "few")


def test_agreement_is_put_in_words_from_thirty_items_on() -> None:
    def word(same: int, apart: int) -> str:
        return krippendorff(pairs_of([[same, apart], [apart, same]]), resamples=FEW).word

    assert [word(7, 0), word(50, 2), word(50, 9), word(50, 20)] == ["few", "reliable", "tentative", "weak"]


# Marks


def test_marks_match_once_from_half_of_their_union_on() -> None:
    assert matched([("o", 0, 10)], [("o", 5, 10)]) == 1
    assert matched([("o", 0, 10)], [("o", 6, 10)]) == 0
    assert matched([("o", 0, 10)], [("i", 0, 10)]) == 0
    assert matched([("o", 0, 10)], [("o", 0, 9), ("o", 0, 10)]) == 1


def test_marks_agree_by_f1_over_all_items() -> None:
    mark, other = ("o", 0, 10), ("o", 50, 60)
    found = spans([([mark], [mark]), ([mark, other], [mark]), ([], [])], resamples=FEW)
    assert (said(found), found.n) == (0.8, 2)


# Intervals


def test_an_interval_is_the_same_each_time_and_holds_the_value() -> None:
    items = pairs_of([[50, 9], [7, 34]])
    one, other = krippendorff(items), krippendorff(list(reversed(items)))
    assert one == other == krippendorff(items)
    assert one.low is not None
    assert one.high is not None
    assert one.low < said(one) < one.high


def test_a_resample_has_as_many_items_and_the_mean_and_spread_of_a_multinomial() -> None:
    counts, draw, rounds = Counter({("a",): 5, ("b",): 20, ("c",): 75}), Random(3), 4_000
    drawn = [_resample(draw, counts, 100) for _ in range(rounds)]
    assert {sum(one.values()) for one in drawn} == {100}
    for pattern, count in counts.items():
        found = [one.get(pattern, 0) for one in drawn]
        mean = sum(found) / rounds
        variance = sum((one - mean) ** 2 for one in found) / rounds
        expected = count * (1 - count / 100)
        assert abs(mean - count) < 4 * (expected / rounds) ** 0.5
        assert abs(variance / expected - 1) < 0.1


def test_an_interval_of_many_items_takes_no_longer_than_one_of_few() -> None:
    # Counted in draws of random numbers, so that a busy machine does not matter.
    def draws(items: int) -> int:
        class Counting(Random):
            calls = 0

            def getrandbits(self, k: int, /) -> int:
                Counting.calls += 1
                return super().getrandbits(k)

        _resample(Counting(1), Counter({("a",): items // 3, ("b",): items - items // 3}), items)
        return Counting.calls

    assert draws(300_000) < 40


def test_full_agreement_of_few_items_is_not_certain() -> None:
    few, many = krippendorff(pairs_of([[15, 0], [0, 15]])), krippendorff(pairs_of([[500, 0], [0, 500]]))
    assert few.low is not None
    assert many.low is not None
    assert 0.7 < few.low < 0.85
    assert 0.98 < many.low < 1


def test_intervals_cover_the_true_value_about_as_often_as_they_say() -> None:
    # Two reviewers, each wrong on 10 % of items of which 30 % fail: kappa of the population is known.
    draw, hits, rounds = Random(7), 0, 200
    wrong, failing = 0.1, 0.3
    fails = failing * (1 - wrong) + (1 - failing) * wrong
    apart = 2 * wrong * (1 - wrong)
    truth = 1 - apart / (2 * fails * (1 - fails))
    for _ in range(rounds):
        pairs = []
        for _ in range(120):
            fail = draw.random() < failing
            pairs.append((fail ^ (draw.random() < wrong), fail ^ (draw.random() < wrong)))
        found = cohen(pairs, resamples=200)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert 0.90 <= hits / rounds <= 0.99


# Real labels: figures of scikit-learn and of the krippendorff package


def labels_of(name: str) -> list[dict[str, Any]]:
    """What each annotator said of each record: their label, or their score."""
    return [
        {label["annotator"]: label for label in record["human_labels"] if label["annotator"] != "xstest-final"}
        for record in realdata.records(name)
        if record.get("human_labels")
    ]


@pytest.mark.data
def test_pandalm_has_the_agreement_that_other_programs_find() -> None:
    rows = [{name[-1]: label["label"] for name, label in row.items()} for row in labels_of("pandalm")]
    kappas = [said(cohen(((row[a], row[b]) for row in rows), resamples=FEW)) for a, b in ("12", "13", "23")]
    assert kappas == [0.8626, 0.8679, 0.8665]
    items = [list(row.values()) for row in rows]
    assert said(krippendorff(items, resamples=FEW)) == 0.8657
    assert said(gwet(items, resamples=FEW)) == 0.8837


@pytest.mark.data
def test_xstest_has_the_agreement_that_other_programs_find() -> None:
    pairs = [(row["xstest-a1"]["label"], row["xstest-a2"]["label"]) for row in labels_of("xstest")]
    measures: list[Callable[..., Agreement]] = [cohen, percent, gwet]
    assert [said(measure(pairs, resamples=FEW)) for measure in measures] == [0.9374, 0.9645, 0.9504]


@pytest.mark.data
def test_feedbackqa_has_the_agreement_that_other_programs_find() -> None:
    items = [[label["score"] for label in row.values()] for row in labels_of("feedbackqa")]
    found = [said(krippendorff(items, metric, resamples=2)) for metric in ("ordinal", "interval", "nominal")]
    assert found == [0.5062, 0.5063, 0.2644]


@pytest.mark.data
def test_llmfao_has_the_agreement_that_other_programs_find() -> None:
    crowd: dict[str, list[str]] = defaultdict(list)
    for record in realdata.records("llmfao/llmfao_pairs"):
        crowd[record["id"]] += [label["label"] for label in record["human_labels"]]
    assert said(krippendorff(crowd.values(), resamples=2)) == 0.2925
