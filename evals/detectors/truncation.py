"""Answers that end before they are done: the token limit was reached, or the text breaks off.

Sure is only the first: as many output tokens as were allowed. From the text, an open code fence, an open bracket
and a last word that cannot end a sentence ("because", a comma) are strong signs; a missing full stop is weak, for
headings, lists, code, names and chat end without one as well.
"""

from __future__ import annotations

import re

from evals.detectors.interface import Detector, Finding, Subject

_TAIL = 400
_MIN_TEXT = 80  # characters; short answers need no full stop
_MIN_PROSE = 8  # words in the last line that make it a sentence
_QUOTE = 80
_END = frozenset(".!?…。！？:;)]}>\"'”’»`*_~|،؟।॥៕။")
_OPENERS = {")": "(", "]": "[", "}": "{"}
_ITEM = re.compile(r"\s*(?:[-*•+#>|]|\d{1,3}[.)]|[A-Za-z][.)]\s)")
_LETTERS = re.compile(r"[^\W\d_]+")
_BREAKS = re.compile(r"[,–—(\[{/&=+]$|\s[-–—]$")
_EMOJI = re.compile(r"[\U0001F300-\U0001FAFF☀-➿️]$")
# Words after which a sentence must go on.
_OPEN_WORDS = """
a an the and or but nor because although while whereas if unless until of for with without from into onto
between among than as their your our my its his whose which whom such very more most is are was were be
been to by at we i he she they including e.g i.e der die das den dem des ein eine einen einem einer eines
und oder aber weil obwohl dass wenn mit von für als zum zur beim durch ohne über sowie ihre ihren seine ist
sind wird werden kann können le la les un une du et ou mais parce que qui dont avec pour par sur dans el
los las una unos y o pero porque con para por de en su sus il lo gli uno e ma perché che di da per het een
maar omdat dat met van voor um uma mas
"""
_OPEN = frozenset(_OPEN_WORDS.split())


def detect(subject: Subject) -> Finding | None:
    """How much the end of the answer looks broken off; None where it does not."""
    if subject.failed or not subject.output.strip():
        return None
    text = subject.output.rstrip()
    if subject.cut_off:
        return _finding(text, 1.0, "limit", "It used all the tokens it was allowed, so it was cut.")
    if subject.acted or len(text) < _MIN_TEXT:
        return None
    if text.count("```") % 2:
        return _finding(text, 0.9, "fence", "A code block is opened and never closed.")
    if text.endswith("```"):
        return None
    line = text[max(text.rfind("\n") + 1, len(text) - _TAIL) :]
    found = _broken(line, text)
    return None if found is None else _finding(text, *found)


def _broken(line: str, text: str) -> tuple[float, str, str] | None:
    if _looks_like_code(line):
        return None
    if _BREAKS.search(line):
        return 0.8, "mid-sentence", "It ends with a sign after which something must follow."
    if line[-1] in _END or not (line[-1].isalpha() or line[-1].isdigit()) or _EMOJI.search(line):
        return None
    words = line.split()
    last = next(iter(_LETTERS.findall(words[-1])[-1:]), "")
    if last.lower() in _OPEN and len(words) > 2:
        return 0.8, "mid-sentence", f"It ends with “{last}”, after which a sentence goes on."
    if not last or not line[-1].isascii():  # a formula, or a script whose full stop may be another
        return None
    stops = sum(other.rstrip().endswith((".", "!", "?")) for other in text.split("\n")[-12:-1])
    if _ITEM.match(line):
        # In a list, the other items tell whether these end with a full stop.
        return (0.45, "no-stop", "The last item ends without a full stop, the others have one.") if stops >= 2 else None
    if len(words) >= _MIN_PROSE and re.search(r"[.!?]", text[:-1]):
        return 0.5, "no-stop", "The last sentence has no end."
    return None


def _looks_like_code(line: str) -> bool:
    return line.startswith(("    ", "\t", "$", "|", "http")) or bool(re.search(r"[;{}]|=>|\)\s*$|https?://\S+$", line))


def _finding(text: str, value: float, label: str, reason: str) -> Finding:
    start = max(0, len(text) - _QUOTE)
    end = ("…" if start else "") + " ".join(text[start:].split())
    return Finding(
        value=value, label=label, explanation=f"{reason} The end: “{end}”",
        spans=[{"target": "output", "start": start, "end": len(text)}],
    )  # fmt: skip


detector = Detector(
    name="truncation",
    version="1",
    title="Truncation",
    meaning="How surely the answer ends before it is done: 1 where its token limit was reached",
    threshold=0.6,
    detect=detect,
)
