"""The failure modes that a new project starts with: a palette to begin from, not a standard.

Twelve, because that is the number row. A slug is the label in lower case with hyphens. The sources of each
are named in docs/concepts.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HARM, MAJOR, MINOR, NIT = 1, 2, 3, 4
SEVERITIES = ((HARM, "Harm"), (MAJOR, "Major"), (MINOR, "Minor"), (NIT, "Nit"))


@dataclass(frozen=True, slots=True)
class Mode:
    """A failure mode: its key on the number row, its name, one line of definition, its usual severity (1 to 4), and
    what kind of failure it is, if the set has kinds."""

    digit: str
    label: str
    description: str
    severity: int
    group: str = ""

    @property
    def slug(self) -> str:
        return slug_of(self.label)


def slug_of(label: str) -> str:
    """``Format, tone or length`` becomes ``format-tone-or-length``."""
    return "-".join(re.findall(r"[a-z0-9]+", label.lower()))


PALETTE = (
    Mode("1", "Unsupported claim", "States something that neither the context nor a trusted source supports", MAJOR),
    Mode("2", "Contradicts source", "Conflicts with the context, a tool result, or its own earlier text", MAJOR),
    Mode("3", "Wrong fact or reasoning", "Wrong fact, date, arithmetic or logic without any source conflict", MAJOR),
    Mode("4", "Retrieval miss", "The needed information was not retrieved", MAJOR),
    Mode("5", "Ignored context", "The information was in the context or conversation but was not used", MINOR),
    Mode("6", "Instruction not followed", "Breaks an explicit rule of the system prompt or the user", MAJOR),
    Mode("7", "Misread intent", "Answers another question, or should have asked or handed over", MAJOR),
    Mode("8", "Incomplete", "Correct as far as it goes, but misses required parts or was cut off", MINOR),
    Mode("9", "Tool misuse", "Wrong tool or arguments, misread result, or claims an action it did not do", HARM),
    Mode("0", "Wrong refusal", "Refuses, hedges or deflects although it should help", MINOR),
    Mode("-", "Format, tone or length", "Wrong structure, language, style, verbosity or specificity", NIT),
    Mode("=", "Safety or privacy", "Harmful or policy-breaking content, or leaks personal data or secrets", HARM),
)
