"""Answers much longer or shorter than the feature's others: a value to sort by, not a fault.

Compared on the logarithm, where lengths of answers lie about evenly around their median, with the median and the
median absolute deviation of the feature's newest answers: a few outliers move neither.
"""

from __future__ import annotations

from math import log

from evals.detectors.interface import Detector, Finding, Subject

_FROM = 3.5  # robust standard deviations (Iglewicz and Hoaglin, 1993)
_MIN_SPREAD = 0.2  # answers from a template are all of one length; a fifth more is no outlier


def detect(subject: Subject) -> Finding | None:
    """How unusual the answer's length is; None where it is usual, empty, or too few are known to tell."""
    length = len(subject.output.strip())
    usual = subject.usual
    if usual is None or not length or subject.failed or subject.acted or usual.median < 1:
        return None
    away = (log(length) - log(usual.median)) / max(usual.spread, _MIN_SPREAD)
    if abs(away) < _FROM:
        return None
    label = "long" if away > 0 else "short"
    return Finding(
        value=round(abs(away) / (abs(away) + _FROM), 4),
        label=label,
        explanation=f"{length:,} characters, {abs(away):.1f} robust standard deviations {label}er than the last"
        f" {usual.answers:,} answers of this feature, whose median is {usual.median:,.0f}.",
        detail={"characters": length, "median": usual.median},
    )


detector = Detector(
    name="length",
    version="1",
    title="Length",
    meaning="How unusual the answer's length is for its feature: 0.5 at 3.5 robust standard deviations, 1 far beyond",
    threshold=None,
    detect=detect,
)
