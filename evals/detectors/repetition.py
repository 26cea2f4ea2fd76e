"""Answers that go round in circles: one passage again and again, back to back, or most lines said before.

Two signs. A loop is a unit of words that stands at least four times in a row, found by comparing each word with
the one a period earlier. Without a loop, the share of long sentences and lines that occurred before counts. Poems,
tables, code and lists of similar items repeat words by design, so a loop must fill a good part of the answer, and
lines without enough words of their own say nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice

from evals.detectors.interface import Detector, Finding, Subject

_WORD = re.compile(r"\w+")
_LINE = re.compile(r"[^\n.!?。！？]+")
_READ = 20_000  # words; a loop shows long before
_TIMES = 4
_LONGEST_UNIT = 40  # words
_MIN_LOOP = 24  # words in a loop; "no, no, no, no" is speech
_MIN_SHARE = 0.15  # of the answer; a refrain is less
_MIN_LINE_WORDS = 6
_MIN_LINES = 6
_SAME = re.compile(r"(\S)\1{199,}")
_QUOTE = 80


@dataclass(frozen=True, slots=True)
class _Loop:
    begin: int
    end: int
    times: int
    unit: str


def detect(subject: Subject) -> Finding | None:
    """How much of the answer is repetition; None where little is."""
    text = subject.output
    if not text or subject.failed:
        return None
    loop = _characters(text) or _loop(text)
    share = (loop.end - loop.begin) / len(text) if loop else 0.0
    if loop is None or share < _MIN_SHARE:
        return _again(text)
    return Finding(
        value=round(min(1.0, 0.4 + 0.6 * share), 4), label="loop",
        explanation=f"“{_short(loop.unit)}” stands there {loop.times} times in a row, {share:.0%} of the answer.",
        spans=[{"target": "output", "start": loop.begin, "end": loop.end}],
        detail={"share": round(share, 4), "times": loop.times},
    )  # fmt: skip


def _characters(text: str) -> _Loop | None:
    """The longest run of one character, if it is long; rules of a table are shorter."""
    runs = max(_SAME.finditer(text), key=lambda run: run.end() - run.start(), default=None)
    if runs is None or runs[1] in "-=_*#.─━":
        return None
    return _Loop(runs.start(), runs.end(), runs.end() - runs.start(), runs[1])


def _loop(text: str) -> _Loop | None:
    """The loop that covers most words: for each period, the longest run of words equal to those a period before."""
    words = _WORD.findall(text[: _READ * 20])[:_READ]
    periods = _periods(words) if len(words) >= _MIN_LOOP else []
    if not periods:
        return None
    places = [match.span() for match in islice(_WORD.finditer(text), len(words))]
    best, best_words = None, _MIN_LOOP - 1
    for period in periods:
        end, length = _longest_run(words, period)
        covered = length + period
        if covered >= _TIMES * period and covered > best_words and not _counts(words[end - covered : end], period):
            begin = end - covered
            unit = text[places[begin][0] : places[begin + period - 1][1]]
            best, best_words = _Loop(places[begin][0], places[end - 1][1], covered // period, unit), covered
    return best


def _periods(words: list[str]) -> list[int]:
    """The distances at which words come again often enough for a loop, shortest first."""
    last: dict[str, int] = {}
    gaps: Counter[int] = Counter()
    for place, word in enumerate(words):
        gap = place - last.get(word, -_READ)
        if gap <= _LONGEST_UNIT:
            gaps[gap] += 1
        last[word] = place
    return sorted(gap for gap, often in gaps.items() if often >= max(_TIMES, _MIN_LOOP // gap) - 1)


def _longest_run(words: list[str], period: int) -> tuple[int, int]:
    """Where the longest run of words that equal those a period before ends, and how long it is."""
    best, best_end, run = 0, 0, 0
    for place, (now, before) in enumerate(zip(words[period:], words, strict=False), start=period + 1):
        run = run + 1 if now == before else 0
        if run > best:
            best, best_end = run, place
    return best_end, best


def _counts(words: list[str], period: int) -> bool:
    """Whether the loop is made of numbers only: rows of a table."""
    return all(word.isdigit() for word in words[:period])


def _again(text: str) -> Finding | None:
    """The share of long lines and sentences that stood there before."""
    seen: Counter[str] = Counter()
    for line in _LINE.findall(text):
        words = _WORD.findall(line.lower())
        if len(words) >= _MIN_LINE_WORDS:
            seen[" ".join(words)] += 1
    lines = seen.total()
    if lines < _MIN_LINES:
        return None
    share = 1 - len(seen) / lines
    if share < 0.2:
        return None
    line, times = seen.most_common(1)[0]
    return Finding(
        value=round(share, 4), label="again",
        explanation=f"{lines - len(seen)} of {lines} sentences stood there before, “{_short(line)}” {times} times.",
        detail={"share": round(share, 4), "times": times},
    )  # fmt: skip


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTE else line[: _QUOTE - 1] + "…"


detector = Detector(
    name="repetition",
    version="1",
    title="Repetition",
    meaning="How much of the answer says again what stands there already: 0 nothing, 1 all of it",
    threshold=0.6,
    detect=detect,
)
