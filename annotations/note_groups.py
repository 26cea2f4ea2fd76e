"""Which notes say the same, without a model: a proposal for a person to correct.

Pure. A note stands for its words (``near_duplicates.words``, cut to their first six letters, so that "fee" and "fees",
"invented" and "invents" meet), weighed by how rare they are among these notes (TF-IDF, Spärck Jones 1972); two notes
are as alike as the cosine of their vectors. Groups grow from single notes: the two most alike are joined, by the mean
likeness of their notes (UPGMA, Sokal and Michener 1958), until no two groups are alike enough. The mean, because one
pair of like notes must not chain two kinds of failure together. Notes that are like nothing stay alone.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from annotations.near_duplicates import words

ALIKE = 0.12
STEM = 6  # letters of a word that count
MOST = 400  # notes at once: likeness is between all pairs, about a second
COMMON = 0.4  # a word of more than this share of the notes says nothing
NAMED_BY = 3  # words in the name of a group
_STOP = frozenset(
    word
    for line in (
        "a an and are as at be been but by can did do does for from had has have in into is it its not of on or so",
        "than that the their them then there these they this to too was were what when which who will with would you",
        "your answer answers response model bot assistant says said say user",
    )
    for word in line.split()
)


@dataclass(frozen=True, slots=True)
class Group:
    """Places of notes in the list that was given, and a name made of their words."""

    notes: tuple[int, ...]
    name: str


def propose(notes: Sequence[str], *, alike: float = ALIKE) -> list[Group]:
    """Groups of two or more notes, the largest first; whoever is in none is like no other. Only the first 400 count."""
    found = [_stems(note) for note in notes[:MOST]]
    vectors = _vectors([Counter(stems) for stems in found])
    groups = [group for group in _joined(_likeness(vectors), len(vectors), alike) if len(group) > 1]
    groups.sort(key=lambda group: (-len(group), group[0]))
    return [Group(tuple(group), _name([notes[place] for place in group], vectors, group)) for group in groups]


def _stems(note: str) -> list[str]:
    return [word[:STEM] for word in words(note) if word not in _STOP]


def _vectors(counts: Sequence[Counter[str]]) -> list[dict[str, float]]:
    """Each note as weights of its words, of length 1; words that most notes have are left out."""
    frequency = Counter(stem for one in counts for stem in one)
    total, vectors = len(counts), []
    for one in counts:
        weights = {
            stem: (1 + math.log(times)) * math.log((1 + total) / frequency[stem])
            for stem, times in one.items() if total < 20 or frequency[stem] <= COMMON * total
        }  # fmt: skip
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        vectors.append({stem: weight / length for stem, weight in weights.items()} if length else {})
    return vectors


def _likeness(vectors: Sequence[dict[str, float]]) -> dict[int, dict[int, float]]:
    """The cosine of each pair that shares a word, both ways."""
    having: dict[str, list[int]] = defaultdict(list)
    alike: dict[int, dict[int, float]] = defaultdict(dict)
    for place, vector in enumerate(vectors):
        for stem, weight in vector.items():
            for other in having[stem]:
                both = alike[place].get(other, 0.0) + weight * vectors[other][stem]
                alike[place][other] = alike[other][place] = both
            having[stem].append(place)
    return alike


def _joined(sums: dict[int, dict[int, float]], count: int, alike: float) -> list[list[int]]:
    """Groups by mean likeness; ``sums`` becomes the sum over all pairs of notes of two groups."""
    groups = {place: [place] for place in range(count)}
    heap = [(-value, one, other) for one, row in sums.items() for other, value in row.items() if one < other]
    heapq.heapify(heap)
    while heap and -heap[0][0] >= alike:
        value, one, other = heapq.heappop(heap)
        if one not in groups or other not in groups:
            continue
        if -value != _mean(sums, groups, one, other):
            continue  # one of them has grown since; the pair stands in the heap anew
        groups[one] += groups.pop(other)
        for third, of_other in sums.pop(other).items():
            sums[third].pop(other, None)
            if third != one and third in groups:
                sums[one][third] = sums[third][one] = sums[one].get(third, 0.0) + of_other
        for third in sums[one]:
            if third in groups and third != one:
                low, high = min(one, third), max(one, third)
                heapq.heappush(heap, (-_mean(sums, groups, low, high), low, high))
    return [sorted(group) for group in groups.values()]


def _mean(sums: dict[int, dict[int, float]], groups: dict[int, list[int]], one: int, other: int) -> float:
    return sums[one][other] / (len(groups[one]) * len(groups[other]))


def _name(notes: Sequence[str], vectors: Sequence[dict[str, float]], group: Sequence[int]) -> str:
    """The words that weigh most in the group, in the form in which its notes use them most."""
    weights: Counter[str] = Counter()
    for place in group:
        weights.update(vectors[place])
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for note in notes:
        for word in words(note):
            forms[word[:STEM]][word] += 1
    best = sorted(weights, key=lambda stem: (-weights[stem], stem))[:NAMED_BY]
    return ", ".join(min(forms[stem], key=lambda word: (-forms[stem][word], word)) for stem in best).capitalize()
