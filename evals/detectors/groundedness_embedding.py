"""Support of the answer in the documents by wording and by meaning, where the extra ``embeddings`` is installed.

By itself nearness of sentences tells supported answers worse than wording does; one part of it to four parts of
wording is hardly better than wording alone, for hundreds of times the work (figures in docs/detectors.md). So it is
off until a project that wants to see for itself switches it on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evals import embedder
from evals.detectors import groundedness
from evals.detectors.groundedness import SENTENCE, tokens
from evals.detectors.interface import MAX_OUTPUT, Detector, Finding, Subject

BY_MEANING = 0.2
# What bounds the time of one interaction: each is a run of the model.
MOST_SENTENCES, MOST_SOURCES, LONGEST = 24, 64, 800
FAR = 0.5  # a sentence whose nearest source is less alike is shown
_SHOWN = 5

Nearest = Callable[[Sequence[str], Sequence[str]], list[float]]


def made(nearest: Nearest) -> Detector:
    """The detector over an embedder's ``nearest``."""
    return Detector(
        name="groundedness_embedding",
        version="1",
        title="Support in the documents, by meaning too",
        meaning="How much of the answer stands in the documents by wording (four parts) and meaning: 1 all, 0 nothing",
        threshold=0.42,
        low_is_bad=True,
        default_on=False,
        detect=lambda subject: _detect(subject, nearest),
    )


def _detect(subject: Subject, nearest: Nearest) -> Finding | None:
    """As ``groundedness.detect``, and None where that is; its value mixed with the mean nearness of the sentences."""
    lexical = groundedness.detect(subject)
    if lexical is None:
        return None
    spoken = _sentences(subject.output[:MAX_OUTPUT])[:MOST_SENTENCES]
    sources = _closest_words([text for document in subject.documents for _, _, text in _sentences(document)], spoken)
    if not spoken or not sources:
        return lexical
    likeness = nearest([text for _, _, text in spoken], sources)
    mean = sum(likeness) / len(likeness)
    far = sorted((near, start, end) for near, (start, end, _) in zip(likeness, spoken, strict=True) if near < FAR)
    return Finding(
        value=round((1 - BY_MEANING) * lexical.value + BY_MEANING * max(mean, 0.0), 4),
        label="support",
        explanation=f"{lexical.explanation} By meaning its sentences are {mean:.2f} alike to the nearest of the"
        f" documents, {len(far)} of {len(spoken)} under {FAR}.",
        spans=[{"target": "output", "start": start, "end": end} for _, start, end in far[:_SHOWN]],
        detail={**lexical.detail, "meaning": round(mean, 4)},
    )


def _sentences(text: str) -> list[tuple[int, int, str]]:
    """Start, end and text of each sentence that says something, cut to what the model reads."""
    found = []
    for match in SENTENCE.finditer(text):
        start = match.end() - len(match.group().lstrip())
        if len(tokens(match.group())) >= 2:
            found.append((start, match.end(), match.group().strip()[:LONGEST]))
    return found


def _closest_words(sources: list[str], spoken: list[tuple[int, int, str]]) -> list[str]:
    """The sources that share the most words with the answer, in their order; all of them where they are few."""
    if len(sources) <= MOST_SOURCES:
        return sources
    words = frozenset(word for _, _, text in spoken for word in tokens(text))
    shared = sorted(range(len(sources)), key=lambda place: -len(words.intersection(tokens(sources[place]))))
    return [sources[place] for place in sorted(shared[:MOST_SOURCES])]


detector = made(embedder.nearest) if embedder.available() else None
