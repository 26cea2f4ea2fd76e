"""Where in its source each character of rendered Markdown stands, so that passages can be marked by offsets.

Offsets count Unicode code points of the text as it is stored. ``follow`` makes a parser keep them while it reads;
``write`` puts them into the page: each run of characters that stands in the source as it stands on the page is a
``<span data-s="start">``, and one that does not (an escaped or a masked character, an entity, a line break that is
two characters, an image) is a ``<span data-s="start" data-e="end">`` and can only be marked as a whole. A span of
class ``sent`` begins a sentence, a line of code, or a cell; the spans up to the next one belong to it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from django.utils.html import escape
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

Place = tuple[int, int]  # of one character on the page: start and end in the source

# A sentence ends at a full stop and a space, save after usual abbreviations, initials and numbers of a list.
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』）]*(?![\u200c\u200d])|\n")
_GOES_ON = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|no|nos|art|sec|fig|dr|mr|mrs|ms|prof|st|z\.B|d\.h|bzw|ca|Nr|Abs|[A-Za-z])|(?<!\S)\d{1,3})\.$",
    re.IGNORECASE,
)
_NEXT = re.compile(r"\s*")
_CELL = re.compile(r"(?:\\.|[^|\\])+|\\$", re.DOTALL)


# ── while the parser reads ─────────────────────────────────────────────────────


@dataclass
class _Trail:
    """Of one run of the inline parser: the places of the text that is not a token yet, and the tokens seen so far."""

    pending: list[Place] = field(default_factory=list)
    seen: int = 0


def follow(parser: MarkdownIt) -> None:
    """Makes the parser note in ``token.meta["at"]`` the place of each character of a text, within its block."""
    ruler = parser.inline.ruler
    ruler.push("character", _character)
    for name, rule in zip(ruler.get_active_rules(), ruler.getRules(""), strict=True):
        ruler.at(name, _noting(rule))
    pairs = parser.inline.ruler2
    by_name = dict(zip(pairs.get_active_rules(), pairs.getRules(""), strict=True))
    pairs.at("balance_pairs", _noting_the_rest(by_name["balance_pairs"]))
    pairs.at("fragments_join", _levels)
    parser.core.ruler.at("text_join", _as_text)


def _character(state: StateInline, silent: bool) -> bool:
    """What no rule knows is text. (The parser does this itself, but where no rule can note it.)"""
    if not silent:
        state.pending += state.src[state.pos]
    state.pos += 1
    return True


def _noting(rule: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    def run(state: StateInline, silent: bool) -> bool:
        if silent:
            return rule(state, True)
        _note(state, state.pos)
        start = state.pos
        if not rule(state, False):
            return False
        _note(state, start)
        return True

    return run


def _noting_the_rest(rule: Callable[[StateInline], None]) -> Callable[[StateInline], None]:
    def run(state: StateInline) -> None:
        _note(state, state.pos)
        rule(state)

    return run


def _note(state: StateInline, start: int) -> None:
    """The places of what a rule that began at ``start`` has made: tokens, and text that waits to become one."""
    trail: _Trail | None = getattr(state, "trail", None)
    if trail is None:
        trail = state.trail = _Trail()  # type: ignore[attr-defined]
    made = state.tokens[trail.seen :]
    if made:
        if trail.pending and made[0].type == "text":
            made[0].meta["at"] = trail.pending[: len(made[0].content)]
            made = made[1:]
        trail.pending = []
        trail.seen = len(state.tokens)
        for token in made:
            start = _note_own(token, state, start)
    fresh = len(state.pending) - len(trail.pending)
    trail.pending += [(place, place + 1) for place in range(state.pos - fresh, state.pos)]


def _note_own(token: Token, state: StateInline, start: int) -> int:
    """The place of a token that a rule made itself; where the next one of the same rule begins."""
    end, size = state.pos, len(token.content)
    if token.type == "text" and state.src.startswith(token.content, start):  # ** or ~~, maybe left as text
        token.meta["at"] = _run(start, size)
        return start + size
    if token.type == "text":  # the address of <https://…>
        inner = state.src[start + 1 : end - 1]
        token.meta["at"] = _run(start + 1, size) if inner == token.content else [(start, end)] * size
    elif token.type == "code_inline":
        ticks = len(token.markup)
        stripped = end - start - 2 * ticks - size  # one space at each end, or none
        token.meta["at"] = _run(start + ticks + stripped // 2, size)
    elif token.type in {"text_special", "image"}:
        token.meta["at"] = [(start, end)] * max(size, 1)
    return start


def _run(start: int, size: int) -> list[Place]:
    return [(place, place + 1) for place in range(start, start + size)]


def _levels(state: StateInline) -> None:
    """How deep each token stands. Texts side by side stay apart: each has its own places."""
    level = 0
    for token in state.tokens:
        level -= token.nesting < 0
        token.level = level
        level += token.nesting > 0


def _as_text(state: StateCore) -> None:
    for block in state.tokens:
        for token in block.children or ():
            if token.type == "text_special":
                token.type = "text"


# ── from the block to the stored text ──────────────────────────────────────────


class Source:
    """A stored text, and the lines into which the parser cuts it."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The parser reads \r\n as one line break; from the n-th of these on, all stands n characters further right.
        self._pairs = [found.start() - place for place, found in enumerate(re.finditer("\r\n", text))]
        normal = re.sub("\r\n?", "\n", text).replace("\0", "\ufffd")
        self.lines = normal.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self._cells: dict[int, int] = {}

    def stored(self, place: int) -> int:
        """Where in the stored text the character stands that the parser sees at this place."""
        return place + bisect_right(self._pairs, place - 1) if self._pairs else place

    def places(self, token: Token) -> list[Place | None]:
        """Of each character of a block's content; None for what does not stand in the source."""
        if not token.map or not token.content:
            return [None] * len(token.content)
        number = token.map[0] + (token.type == "fence")
        single = token.map[1] - token.map[0] == 1
        if token.type == "inline" and single and "\n" not in token.content:
            found = self._within(number, token.content)
            if found is not None:
                return [self._span(place) for place in found]
        places: list[Place | None] = []
        for line in token.content.split("\n"):
            places += self._line(number, line)
            end = self.starts[number] + len(self.lines[number]) if number < len(self.lines) else 0
            places.append(self._span(end) if number < len(self.lines) - 1 else None)
            number += 1
        return places[: len(token.content)]

    def _span(self, place: int) -> Place:
        return self.stored(place), self.stored(place + 1)

    def _line(self, number: int, said: str) -> list[Place | None]:
        """A line of a block is the end of its source line; spaces in front may come from a tab."""
        body = said.lstrip(" ")
        source = self.lines[number] if number < len(self.lines) else ""
        for candidate in (source, source.rstrip(), source.rstrip(" \t")):
            if candidate.endswith(said):
                return [self._span(self.starts[number] + len(candidate) - len(said) + n) for n in range(len(said))]
            if candidate.endswith(body):
                first = self.starts[number] + len(candidate) - len(body)
                known: list[Place | None] = [self._span(first + n) for n in range(len(body))]
                return [None] * (len(said) - len(body)) + known
        return [None] * len(said)

    def _within(self, number: int, said: str) -> list[int] | None:
        """A heading, a paragraph of one line, or a cell: the first place from where the line's cells have come to."""
        source, begin = self.lines[number], self.starts[number]
        bare = source.rstrip()
        if number not in self._cells and bare.endswith(said):
            return list(range(begin + len(bare) - len(said), begin + len(bare)))
        closed = re.sub(r"[ \t]+#+[ \t]*$", "", bare)
        if number not in self._cells and re.match(r"[\s>*+\-\d.)]*#", source) and closed.endswith(said):
            return list(range(begin + len(closed) - len(said), begin + len(closed)))
        return self.cell(number, said)

    def cell(self, number: int, said: str) -> list[int] | None:
        """The next cell of the row that reads so; its ``\\|`` reads ``|``."""
        source, begin = self.lines[number], self.starts[number]
        for found in _CELL.finditer(source, self._cells.get(number, 0)):
            raw = found[0]
            places = [n for n in range(len(raw)) if raw[n : n + 2] != "\\|"]
            text = "".join(raw[n] for n in places)
            lead = len(text) - len(text.lstrip())
            if text.strip() == said:
                self._cells[number] = found.end()
                return [begin + found.start() + n for n in places[lead : lead + len(said)]]
        return None


# ── onto the page ──────────────────────────────────────────────────────────────


def write(tokens: Sequence[Token], source: Source, unseen: re.Pattern[str]) -> None:
    """Puts into ``token.meta["html"]`` of each text its HTML with places."""
    in_row = False
    for token in tokens:
        in_row = (in_row or token.type == "tr_open") and token.type != "tr_close"
        if token.type in {"fence", "code_block"}:
            _write_block([(token, token.content, source.places(token))], source, unseen)
        elif token.type == "inline":
            outer = _cell_places(token, source) if in_row else source.places(token)
            _write_block(list(_texts(token, outer)), source, unseen)


def plain(text: str, unseen: re.Pattern[str]) -> str:
    """A text that is shown as it is, in spans by line."""
    source = Source(text)
    spans: list[str] = []
    for number, line in enumerate(source.lines):
        said = line + ("\n" if number < len(source.lines) - 1 else "")
        known: list[Place | None] = [
            (source.stored(place), source.stored(place + 1))
            for place in range(source.starts[number], source.starts[number] + len(said))
        ]
        spans += _spans(said, known, {0}, source, unseen)
    return "".join(spans)


def _cell_places(token: Token, source: Source) -> list[Place | None]:
    found = source.cell(token.map[0], token.content) if token.map and token.content else None
    return (
        [(source.stored(place), source.stored(place + 1)) for place in found] if found else [None] * len(token.content)
    )


def _texts(token: Token, outer: list[Place | None]) -> Iterator[tuple[Token, str, list[Place | None]]]:
    for child in token.children or ():
        if child.type in {"softbreak", "hardbreak"}:
            yield child, "\n", [None]
        elif child.type in {"text", "code_inline"} and child.content:
            inner = child.meta.get("at") or []
            places: list[Place | None] = [_joined(outer[start:end]) for start, end in inner[: len(child.content)]]
            yield child, child.content, places + [None] * (len(child.content) - len(places))
        elif child.type == "image":
            (start, end), *_ = child.meta.get("at") or [(0, 0)]
            child.meta["place"] = _joined(outer[start:end])


def _joined(places: Sequence[Place | None]) -> Place | None:
    known = [place for place in places if place]
    return (known[0][0], known[-1][1]) if known else None


def _write_block(parts: list[tuple[Token, str, list[Place | None]]], source: Source, unseen: re.Pattern[str]) -> None:
    starts = sentence_starts("".join(text for _, text, _ in parts))
    offset = 0
    for token, text, places in parts:
        token.meta["html"] = "".join(_spans(text, places, {start - offset for start in starts}, source, unseen))
        offset += len(text)


def sentence_starts(text: str) -> list[int]:
    """Where the sentences and the lines of a text begin."""
    starts, begin = [], _skip(text, 0)
    for found in _END.finditer(text):
        if found[0] != "\n" and found[0][0] == "." and _GOES_ON.search(text, begin, found.start() + 1):
            continue
        if begin < found.end() and text[begin : found.end()].strip():
            starts.append(begin)
            begin = _skip(text, found.end())
    if text[begin:].strip():
        starts.append(begin)
    return starts


def _skip(text: str, place: int) -> int:
    found = _NEXT.match(text, place)
    return found.end() if found else place


def _spans(
    text: str, places: list[Place | None], starts: set[int], source: Source, unseen: re.Pattern[str]
) -> Iterator[str]:
    """The text in spans; a run goes on while the source does."""
    masked = {found.start() for found in unseen.finditer(text)}
    # A NUL, a line break inside of code: the page shows another character than the source has.
    odd = masked | {n for n, place in enumerate(places) if place and source.text[place[0]] != text[n]}
    first = 0
    while first < len(text):
        place, last = places[first], first + 1
        whole = place is None or place[1] - place[0] != 1 or first in odd
        if place is None:
            while last < len(text) and places[last] is None:
                last += 1
            yield escape(text[first:last])
        else:
            while last < len(text) and last not in starts and _goes_on(places, last, whole, odd):
                last += 1
            css = ' class="sent"' if first in starts else ""
            end = f' data-e="{place[1]}"' if whole else ""
            said = f"[U+{ord(text[first]):04X}]" if first in masked else text[first:last]
            yield f'<span{css} data-s="{place[0]}"{end}>{escape(said)}</span>'
        first = last


def _goes_on(places: list[Place | None], at: int, whole: bool, odd: set[int]) -> bool:
    before, here = places[at - 1], places[at]
    if before is None or here is None or at in odd or at - 1 in odd:
        return False
    return here == before if whole else here[0] == before[1] and here[1] - here[0] == 1
