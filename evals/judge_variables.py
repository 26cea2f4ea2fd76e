"""The variables of a rubric: which parts of an interaction a judge is sent, and by which name its question calls them.

A rubric is trusted and what it speaks of is not. So a variable is never replaced by its text: ``{{output}}`` becomes
the name of the key that the answer stands under (``untrusted_answer``). Only parts that are named are sent; a rubric
that names none is sent the conversation, the documents and the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

# Name in a rubric: the key in the document, and what it is in words.
KEYS: dict[str, tuple[str, str]] = {
    "input": ("untrusted_question", "the last thing that the user said"),
    "conversation": ("untrusted_conversation", "all messages, the newest where they are too long"),
    "system": ("untrusted_instructions", "what the application told its model: system and developer messages"),
    "output": ("untrusted_answer", "the answer that is judged"),
    "context": ("untrusted_documents", "the documents that the answer was made from"),
    "reference": ("untrusted_reference", "the answer that people want: the desired answer of the settled label"),
    "assertions": ("untrusted_assertions", "what people say that the answer must and must not say: of the same label"),
}  # fmt: skip
METADATA = "metadata."
METADATA_KEY = "untrusted_metadata"
USUAL = ("conversation", "context", "output")
# Only interactions with a settled label that has these can be judged.
OF_LABELS = {"reference", "assertions"}
# A comparison is always sent both answers, and must not learn which of them is whose.
OF_PAIRS = {"output", "reference", "assertions"}
MAX_PATH = 8

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_STEP = re.compile(r"[A-Za-z0-9_\-]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a rubric, and where: line and column, both from 1."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"Line {self.line}, column {self.column}: {self.message}"


def names(rubric: str) -> tuple[str, ...]:
    """The variables that a rubric calls, each once, in order; those that nobody knows are left out."""
    found = dict.fromkeys(match[1].strip() for match in _BRACES.finditer(rubric))
    return tuple(name for name in found if _known(name))


def faults(rubric: str, *, compares: bool = False) -> list[Fault]:
    """Why a rubric, of a comparison or of one answer, cannot be saved; empty where it can."""
    found = [_fault(rubric, match.start(), _why_not(match[1].strip())) for match in _BRACES.finditer(rubric)
             if not _known(match[1].strip())]  # fmt: skip
    bare = _BRACES.sub(lambda match: " " * len(match[0]), rubric)
    found += [
        _fault(rubric, match.start(), f"{match[0]} stands alone. A variable is written {{{{output}}}}.")
        for match in re.finditer(r"\{\{|\}\}", bare)
    ]
    if compares:
        found += [
            _fault(rubric, match.start(), f"{match[0]} would tell which answer is whose; a comparison is shown both.")
            for match in _BRACES.finditer(rubric) if match[1].strip() in OF_PAIRS
        ]  # fmt: skip
    elif not found and (called := names(rubric)) and "output" not in called:
        first = _BRACES.search(rubric)
        found.append(
            _fault(rubric, first.start() if first else 0, "A rubric that names its parts must name {{output}} too.")
        )
    return sorted(found, key=lambda fault: (fault.line, fault.column))


def pointed(rubric: str) -> str:
    """The rubric as the model reads it, with the names of the keys in place of the variables."""
    return _BRACES.sub(lambda match: _key(match[1].strip()) if _known(match[1].strip()) else match[0], rubric)


def paths(called: Sequence[str]) -> list[str]:
    """The metadata paths among these variables, without ``metadata.``."""
    return [name.removeprefix(METADATA) for name in called if name.startswith(METADATA)]


def value_at(metadata: Any, path: str) -> Any:
    """What stands at a path of object keys; None where nothing does."""
    for step in path.split("."):
        metadata = metadata.get(step) if isinstance(metadata, dict) else None
    return metadata


def _key(name: str) -> str:
    return f"{METADATA_KEY}[{name.removeprefix(METADATA)}]" if name.startswith(METADATA) else KEYS[name][0]


def _known(name: str) -> bool:
    if name in KEYS:
        return True
    steps = name.removeprefix(METADATA).split(".")
    return name.startswith(METADATA) and len(steps) <= MAX_PATH and all(_STEP.fullmatch(step) for step in steps)


def _why_not(name: str) -> str:
    if name.startswith(METADATA) or name == "metadata":
        return f"{{{{{name[:60]}}}}} is no path. Write {{{{metadata.customer.tier}}}}, at most {MAX_PATH} steps."
    near = get_close_matches(name.lower(), KEYS, n=1)
    hint = f" Did you mean {{{{{near[0]}}}}}?" if near else ""
    return f"{{{{{name[:60]}}}}} is not known.{hint} There are {', '.join(KEYS)} and metadata.…"


def _fault(rubric: str, at: int, message: str) -> Fault:
    before = rubric[:at]
    return Fault(before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1, message)
