"""Which texts are nearly the same, whatever language they are in and whoever tries to hide it."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.near_duplicates import THRESHOLD, Print, printed, similarity, words
from tests import realdata


def alike(one: str, other: str) -> float:
    first, second = printed(1, one, ""), printed(1, other, "")
    assert first is not None
    assert second is not None
    return similarity(first, second)


def meets(one: Print, other: Print) -> bool:
    return not set(one.bands).isdisjoint(other.bands) and similarity(one, other) >= THRESHOLD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Can I CANCEL, order №4711?", ["can", "i", "cancel", "order", "#"]),
        ("On 2026-11-21 I paid 4.90", ["on", "#", "i", "paid", "#"]),
        ("It can\u2019t be", ["it", "cant", "be"]),
        ("write to a.b@example.org or https://x.example/?q=1 now", ["write", "to", "<mail>", "or", "<link>", "now"]),
        ("wo\u200brd \u202eevil", ["word", "evil"]),
        ("ＦＵＬＬ ｗｉｄｔｈ", ["full", "width"]),
        ("退款多久", ["退", "款", "多", "久"]),
        ("\x00?! …", []),
    ],
)
def test_words_are_read_alike_however_they_are_written(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_numbers_ids_and_addresses_make_no_difference() -> None:
    assert alike("Where is my order 4711 for jo@a.org?", "where is my order 98-12 for max@b.net") == 1


def test_one_changed_word_of_ten_is_nearly_the_same_and_another_question_is_not() -> None:
    question = "How long does a refund take when I pay by card"
    assert THRESHOLD <= alike(question, "How long does a refund take when I pay by invoice") < 1
    assert alike(question, "Which documents do I need to open an account") < 0.1


def test_short_texts_are_equal_or_not_the_same() -> None:
    assert alike("Refund fee?", "refund FEE") == 1
    assert alike("Refund fee?", "Refund fees") == 0
    assert alike("Refund fee", "What is the refund fee of this plan") == 0


def test_what_was_asked_and_what_was_complained_of_are_not_mixed() -> None:
    one, other = printed(1, "wrong", "fee"), printed(1, "wrong fee", "")
    assert one is not None
    assert other is not None
    assert similarity(one, other) == 0
    assert printed(1, " ", "…") is None


def test_texts_of_two_projects_never_meet() -> None:
    one, other = printed(1, "How long does a refund take", ""), printed(2, "How long does a refund take", "")
    assert one is not None
    assert other is not None
    assert set(one.bands).isdisjoint(other.bands)


def test_the_prints_are_the_same_on_every_machine() -> None:
    kept = printed(7, "How long does a refund take", "much too long")
    assert kept is not None
    assert (kept.digest, kept.sketch[0]) == (388472267119150871, 557513790344854434)
    assert (kept.bands[0], len(kept.bands)) == (2692167140188572274, 20)


@given(st.text(max_size=3000), st.text(max_size=3000))
@settings(max_examples=150, deadline=None)
def test_any_text_is_like_itself_and_similarity_has_no_direction(one: str, other: str) -> None:
    first, second = printed(3, one, other), printed(3, other, one)
    if first is None or second is None:
        assert (first is None) == (second is None)
        return
    assert similarity(first, first) == 1
    assert len(set(first.bands)) <= 20
    assert similarity(first, second) == similarity(second, first)
    assert 0 <= similarity(first, second) <= 1


def test_the_estimate_for_long_texts_is_near_the_exact_similarity() -> None:
    draw = random.Random(5)
    vocabulary = [f"word{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(2000)]
    errors = []
    for _ in range(40):
        text = draw.choices(vocabulary, k=180)
        changed = [draw.choice(vocabulary) if draw.random() < 0.1 else word for word in text]
        sets = [{*found, *pairwise(found)} for found in (text, changed)]
        exact = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        errors.append(alike(" ".join(text), " ".join(changed)) - exact)
    assert sum(error * error for error in errors) / len(errors) < 0.07**2
    assert abs(sum(errors) / len(errors)) < 0.04


EDITS = {
    "capitals": (0.999, str.upper),
    "other numbers": (0.999, lambda text: re.sub("[0-9]", "7", text)),
    "greeting": (0.95, lambda text: f"Hi there, {text} Thanks!"),
    "one word less": (0.95, lambda text: text.rpartition(" ")[0]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited_questions_of_real_users_are_found_again(edit: str) -> None:
    """Of 1,000 questions that real people asked, edited, nearly all meet their original."""
    asked = dict.fromkeys(record["messages"][-1]["content"] for record in realdata.records("feedbackqa"))
    least, change = EDITS[edit]
    pairs = [(printed(1, text, ""), printed(1, change(text), "")) for text in list(asked)[:1000]]
    met = [meets(one, other) for one, other in pairs if one and other and one.sketch]
    assert sum(met) / len(met) >= least


def test_different_questions_of_real_users_stay_apart() -> None:
    """Of all pairs of 1,500 different questions fewer than one in 100,000 meet."""
    asked = dict.fromkeys(record["messages"][-1]["content"] for record in realdata.records("feedbackqa"))
    prints = {kept.digest: kept for text in list(asked)[:1500] if (kept := printed(1, text, ""))}
    kept = list(prints.values())
    by_band: dict[int, list[int]] = {}
    for place, one in enumerate(kept):
        for band in set(one.bands):
            by_band.setdefault(band, []).append(place)
    shared = {(a, b) for places in by_band.values() for a in places for b in places if a < b}
    met = sum(similarity(kept[a], kept[b]) >= THRESHOLD for a, b in shared)
    assert met / (len(kept) * (len(kept) - 1) / 2) < 1e-5 * 2
    assert len(shared) < 20 * len(kept)
