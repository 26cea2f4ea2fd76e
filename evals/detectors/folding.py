"""Texts as patterns read them: disguises off, with the way back to where a passage stands.

Attackers write "ig​nore", "ｉｇｎｏｒｅ" or a Cyrillic "о". What cannot be seen is left out, full-width and look-alike
letters become the Latin ones. Everything but the leaving out keeps its place, so most texts need no map.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

# Letters of other alphabets that look like Latin ones, as far as they are the usual disguise.
_ALIKE = dict(
    zip(
        map(ord, "аеорсухіјѕԁһӏԛԝАВЕКМНОРСТХЅІЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαν"),
        "aeopcyxijsdhlqwABEKMHOPCTXSIJABEZHIKMNOPTYXoav",
        strict=True,
    )
)
_ALIKE |= {0xFF01 + step: chr(0x21 + step) for step in range(94)}  # full-width forms
_ALIKE |= {ord(quote): "'" for quote in "’‘ʼ`´"} | {ord("İ"): "I", ord("ı"): "i", 0x00A0: " ", 0x202F: " ", 0x3000: " "}
_ALIKE |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # halves of characters, which cannot be encoded
for _begin in (0x1D400, 0x1D434, 0x1D468, 0x1D5A0, 0x1D5D4, 0x1D608, 0x1D63C, 0x1D670):  # mathematical alphabets
    for _step in range(52):
        _ALIKE[_begin + _step] = unicodedata.normalize("NFKC", chr(_begin + _step))[0]
_UNSEEN = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufe00-\ufe0f\U000e0000-\U000e007f]+"
)


class Folded:
    """A text without its disguises. ``span`` leads from places in ``text`` to places in the original."""

    def __init__(self, original: str) -> None:
        self.text = original
        self.hidden = 0  # how many characters cannot be seen
        self._kept: list[int] = []  # where each kept stretch begins: in the folded text, in the original
        self._from: list[int] = []
        if original.isascii():
            return
        if _UNSEEN.search(original):
            self._leave_out(original)
        self.text = self.text.translate(_ALIKE)

    def _leave_out(self, original: str) -> None:
        parts, at, length = [], 0, 0
        for gap in _UNSEEN.finditer(original):
            self._keep(length, at)
            parts.append(original[at : gap.start()])
            length += gap.start() - at
            self.hidden += gap.end() - gap.start()
            at = gap.end()
        self._keep(length, at)
        self.text = "".join([*parts, original[at:]])

    def _keep(self, here: int, there: int) -> None:
        self._kept.append(here)
        self._from.append(there)

    def span(self, start: int, end: int) -> tuple[int, int]:
        return self._place(start), self._place(max(start, end - 1)) + (end > start)

    def _place(self, here: int) -> int:
        if not self._kept:
            return here
        stretch = bisect_right(self._kept, here) - 1
        return self._from[stretch] + here - self._kept[stretch]


def tagged(text: str) -> str:
    """What is written in invisible tag characters (U+E0020 to U+E007E), as plain letters; empty where nothing is."""
    return "".join(chr(ord(one) - 0xE0000) for one in text if "\U000e0020" <= one <= "\U000e007e")
