"""Whether two texts are nearly the same, without a model: words in pairs, hashed; and where to look for such texts.

A text is what a user asked and what they complained of. It is normalised (``words``), and stands for the set of its
words and of its pairs of neighbouring words. How alike two texts are is the Jaccard similarity of their sets: what
they share as a part of all that either has. Of a set only the 64 smallest hashes are kept. That is the whole set of
most questions, so the similarity is exact; of a longer text it is the bottom-k estimate (Broder 1997, "On the
resemblance and containment of documents"; Cohen and Kaplan 2007), whose standard error is at most 0.06.

What to compare with is found by bands: 80 minima of the set, by one permutation (Li, Owen and Zhang 2012) whose empty
bins borrow from others in an order fixed for each bin (Shrivastava 2017), in 20 bands of four. Two texts that share a
band are compared. Texts of a similarity s share one with probability about 1 − (1 − s⁴)²⁰: 99 % at 0.7, 0.2 % at 0.1.

Texts of fewer than four words say too little to be nearly the same: they are equal or they are not.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import cast

THRESHOLD = 0.6
SHORT = 4  # words; shorter texts must be equal
CHARACTERS, WORDS = 2_000, 200  # of the question and of the complaint each; what follows is not looked at
KEPT = 64
BANDS, ROWS = 20, 4
BINS = BANDS * ROWS
NUMBER, LINK, ADDRESS = "#", "<link>", "<mail>"

_BITS = (1 << 63) - 1  # PostgreSQL's integers have a sign
_ODD, _OTHER = 0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9
_UNSEEN = re.compile("['’ʼ`\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_LINK = re.compile(r"(?:https?://|www\.)\S+")
_ADDRESS = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}\.[^\s@]{2,24}")
# Scripts without spaces are read sign by sign; elsewhere a word is what stands between spaces and punctuation.
_WORD = re.compile(
    "<link>|<mail>"
    "|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    "|[^\\s\x00-\x1f!-/:-@\\[-`{-\u00bf\u00d7\u00f7\u060c\u061b\u061f\u0964\u0965\u2000-\u206f\u3000-\u303f"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)


@dataclass(frozen=True, slots=True)
class Print:
    """What is kept of a text: ``digest`` tells equal ones, ``sketch`` (in order) how alike two are; short texts have
    none. ``bands`` tell where to look."""

    digest: int
    sketch: tuple[int, ...]
    bands: tuple[int, ...]


def words(text: str) -> list[str]:
    """The words of a text as they are compared: small letters, one form of each sign, without what cannot be seen.

    Numbers and whatever holds a digit (dates, orders, versions) are the same word, links are, addresses are. Names
    are not masked: nothing but a model tells them from other words.
    """
    plain = _UNSEEN.sub("", unicodedata.normalize("NFKC", text[:CHARACTERS])[:CHARACTERS].casefold())
    plain = (
        _ADDRESS.sub(f" {ADDRESS} ", _LINK.sub(f" {LINK} ", plain))
        if "@" in plain or "w" in plain or "/" in plain
        else plain
    )
    found: list[str] = []
    for word in _WORD.findall(plain):
        if word.isalpha() or not any(sign.isdigit() for sign in word):
            found.append(word)
        elif not found or found[-1] != NUMBER:
            found.append(NUMBER)
        if len(found) >= WORDS:
            break
    return found


def printed(project: int, question: str, complaint: str) -> Print | None:
    """What stands for the text; None if it has no words. Texts of different projects never share a band."""
    asked, said = words(question), words(complaint)
    count = len(asked) + len(said)
    if not count:
        return None
    digest = _hash(f"{project}\n{' '.join(asked)}\n{' '.join(said)}")
    if count < SHORT:
        return Print(digest, (), (digest,))
    hashes = _shingles(asked) | _shingles(said)
    return Print(digest, tuple(sorted(hashes)[:KEPT]), _bands(project, hashes))


def similarity(one: Print, other: Print) -> float:
    """How alike, 0 to 1: exact while both sets are kept whole, else estimated. Short texts are alike if equal."""
    if one.digest == other.digest:
        return 1.0
    if not one.sketch or not other.sketch:
        return 0.0
    both = set(one.sketch).intersection(other.sketch)
    if len(one.sketch) < KEPT and len(other.sketch) < KEPT:
        return len(both) / (len(one.sketch) + len(other.sketch) - len(both))
    lowest = sorted({*one.sketch, *other.sketch})[:KEPT]
    return len(both.intersection(lowest)) / len(lowest)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") & _BITS


_word = lru_cache(maxsize=50_000)(_hash)


def _shingles(found: list[str]) -> set[int]:
    """The hashes of the words and of the pairs of neighbours."""
    singles = [_word(word) for word in found]
    return {*singles, *[((a * _ODD + b) * _OTHER) & _BITS for a, b in pairwise(singles)]}


def _orders() -> list[tuple[int, ...]]:
    """For each bin all bins, in an order of its own: an empty bin takes what the first that is not empty has."""
    return [tuple(sorted(range(BINS), key=lambda bin: _hash(f"{own} {bin}"))) for own in range(BINS)]


_ORDERS = _orders()


def _bands(project: int, hashes: set[int]) -> tuple[int, ...]:
    bins: list[int | None] = [None] * BINS
    for value in hashes:
        place = value % BINS
        least = bins[place]
        if least is None or value < least:
            bins[place] = value
    full = list(bins)
    for place in range(BINS):
        if full[place] is None:
            for other in _ORDERS[place]:
                if bins[other] is not None:
                    full[place] = bins[other]
                    break
    values = iter(cast("list[int]", full))
    key = project * BANDS
    return tuple(
        ((((((key + band) * _ODD ^ a) * _OTHER ^ b) * _ODD ^ c) * _OTHER ^ d) * _ODD >> 64) & _BITS
        for band, (a, b, c, d) in enumerate(zip(values, values, values, values, strict=True))
    )
