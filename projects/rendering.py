"""Text from outside becomes HTML here and nowhere else.

Conversations, sources and comments are written by models and by strangers. They pass a Markdown parser that
knows no HTML, then an allow-list sanitiser; whatever goes wrong on the way, the answer is the escaped text.
This module holds the only ``mark_safe`` of the project. Templates put the result inside ``<div hx-disable>``.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from html import escape as escape_text
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from projects import places

logger = logging.getLogger("reviewhub.rendering")

MAX_CHARACTERS = 150_000
MAX_NESTING = 100
CACHED_CHARACTERS = 20_000  # longer texts are rendered anew, so that 512 cached ones stay a few MB

TAGS = frozenset(
    [
        "p",
        "br",
        "hr",
        "strong",
        "em",
        "del",
        "code",
        "pre",
        "blockquote",
        "ul",
        "ol",
        "li",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "a",
    ]
)
ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}}
LINK_REL = "noopener noreferrer nofollow ugc"

_WEB_ADDRESS = re.compile(r"(?:https?://[^\s/]|mailto:[^\s])", re.IGNORECASE)
_ALIGN = re.compile(r"text-align:(left|center|right)")
# What a reader cannot see but a model or a filter can: direction overrides, zero-width and filler characters,
# the invisible tag alphabet and variation selectors, control characters. A joiner is shown only where it joins
# nothing that needs it: inside emoji and Persian or Indic words it is ordinary spelling.
_ALWAYS_UNSEEN = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_UNSEEN = re.compile(_ALWAYS_UNSEEN + "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])")
_BRACKET_OR_BREAK = re.compile(r"[\[\]]|\n[ \t]*\n")


def render_markdown(text: str) -> SafeString:
    """The HTML of a Markdown text from outside: only ``TAGS`` with ``ATTRIBUTES``, nothing that loads or runs.

    Images become ``[image: alt — address]``; links keep http, https and mailto and show their host. A text over
    ``MAX_CHARACTERS`` or nested deeper than ``MAX_NESTING`` is shown as it is, escaped in ``<pre>``.
    """
    return _render_cached(text) if len(text) <= CACHED_CHARACTERS else _render(text)


def render_to_mark(text: str) -> SafeString:
    """The same HTML with the place of every text in its source (see ``projects.places``), so that it can be marked."""
    try:
        html = _to_mark(text) if len(text) <= MAX_CHARACTERS and not _brackets_too_deep(text) else None
    except Exception:  # as in _render
        logger.exception("A text could not be rendered with its places")
        html = None
    if html is None:
        html = f"<pre>{places.plain(text, _UNSEEN)}</pre>"
    # What joins nothing has been written out where the letters beside it were known.
    return mark_safe(re.sub(_ALWAYS_UNSEEN, _written_out, html))  # noqa: S308  # as in _render


def fill(template: str, *values: object) -> SafeString:
    """As Django's ``format_html``, in two fifths of its time: lists spend theirs on hundreds of small texts.

    Each value is escaped unless it is HTML already; ``template`` is ours, never from outside.
    """
    return mark_safe(template.format(*map(_escaped, values)))  # noqa: S308  # every value passes _escaped


def fill_each(template: str, rows: Iterable[Sequence[object]]) -> SafeString:
    """``fill`` for each of the rows, one after another."""
    return mark_safe("".join(template.format(*map(_escaped, row)) for row in rows))  # noqa: S308  # as in fill


def _escaped(value: object) -> str:
    # Django's own escape looks at each argument for lazy texts; 1.1 to 1.7 microseconds instead of 0.3.
    return value if isinstance(value, SafeString) else escape_text(str(value))


def show_unseen(text: str) -> str:
    """The text with characters that cannot be seen written out: ``[U+202E]``."""
    return _UNSEEN.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    return f"[U+{ord(found[0]):04X}]"


def clean(html: str, *, with_places: bool = False) -> str:
    """What the allow-list leaves of an HTML text. A second pass changes nothing."""
    spans = {"span": {"class", "data-s", "data-e"}} if with_places else {}
    return nh3.clean(
        html,
        tags=set(TAGS) | set(spans),
        clean_content_tags={"script", "style"},
        attributes={tag: set(names) for tag, names in {**ATTRIBUTES, **spans}.items()},
        attribute_filter=_allowed_place if with_places else _allowed_value,
        url_schemes={"http", "https", "mailto"},
        link_rel=LINK_REL,
    )


def _allowed_place(tag: str, attribute: str, value: str) -> str | None:
    if tag != "span":
        return _allowed_value(tag, attribute, value)
    if attribute == "class":
        return value if value == "sent" else None
    return value if value.isdecimal() and len(value) < 10 else None


def _allowed_value(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "href":
        return value if _WEB_ADDRESS.match(value) else None
    if attribute == "start":
        return value if value.isdecimal() and len(value) < 10 else None
    if attribute == "align":
        return value if value in {"left", "center", "right"} else None
    return value if attribute == "rel" else None


def _render(text: str) -> SafeString:
    try:
        html = _markdown_to_html(text) if len(text) <= MAX_CHARACTERS else None
    except Exception:  # a text that breaks a parser must still be readable
        logger.exception("A text could not be rendered")
        html = None
    if html is None:
        html = f"<pre>{escape(text)}</pre>"
    return mark_safe(show_unseen(html))  # noqa: S308  # cleaned or escaped just above


_render_cached = lru_cache(maxsize=512)(_render)


def _markdown_to_html(text: str) -> str | None:
    """None where the text is nested too deep."""
    if _brackets_too_deep(text):
        return None
    tokens = _MARKDOWN.parse(text)
    if any(token.level > MAX_NESTING for token in _flat(tokens)):
        return None
    for token in _flat(tokens):
        _fit_to_allow_list(token)
    return clean(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _to_mark(text: str) -> str | None:
    """As ``_markdown_to_html``, by the parser that notes places."""
    tokens = _TO_MARK.parse(text)
    if any(token.level > MAX_NESTING for token in _flat(tokens)):
        return None
    places.write(tokens, places.Source(text), _UNSEEN)
    for token in _flat(tokens):
        _fit_to_allow_list(token)
    return clean(_TO_MARK.renderer.render(tokens, _TO_MARK.options, {}), with_places=True)


def _brackets_too_deep(text: str) -> bool:
    """Open brackets within a paragraph: the parser looks ahead from each, and 70,000 of them took it 11 seconds."""
    depth = 0
    for found in _BRACKET_OR_BREAK.finditer(text):
        depth = depth + 1 if found[0] == "[" else max(depth - 1, 0) if found[0] == "]" else 0
        if depth > MAX_NESTING:
            return True
    return False


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    """Block tokens and their inline children. Both are flat lists that carry their level: nothing recurses."""
    for token in tokens:
        yield token
        yield from token.children or ()


def _fit_to_allow_list(token: Token) -> None:
    if token.type in {"s_open", "s_close"}:
        token.tag = "del"
    elif token.type in {"heading_open", "heading_close"}:
        # The page has its own h1, and each turn an h2.
        token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    elif token.type in {"th_open", "td_open"} and (align := _ALIGN.search(str(token.attrGet("style") or ""))):
        token.attrSet("align", align[1])


def _image_as_text(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
    """An image would tell its server who reads this, and when."""
    token = tokens[at]
    alt = self.renderInlineAsText(token.children, options, env) if token.children else ""
    return escape(f"[image: {alt} — {token.attrGet('src') or ''}]")


def _placed(token: Token) -> str:
    html: str = token.meta.get("html", "")
    return html or escape(token.content)


def _marked_text(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
    return _placed(tokens[at])


def _marked_code(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
    return f"<code>{_placed(tokens[at])}</code>"


def _marked_pre(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
    return f"<pre><code>{_placed(tokens[at])}</code></pre>\n"


def _marked_image(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
    said, place = show_unseen(_image_as_text(self, tokens, at, options, env)), tokens[at].meta.get("place")
    return f'<span class="sent" data-s="{place[0]}" data-e="{place[1]}">{said}</span>' if place else said


def _link_open(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
    env.setdefault("addresses", []).append(str(tokens[at].attrGet("href") or ""))
    tokens[at].attrs.pop("title", None)
    return self.renderToken(tokens, at, options, env)


def _link_close(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
    """Where a link goes stands beside it, unless the link's text is the address itself."""
    address = env["addresses"].pop()
    host = _host(address)
    opener = next(place for place in range(at - 1, -1, -1) if tokens[place].type == "link_open")
    said = "".join(token.content for token in tokens[opener + 1 : at])
    honest = said == address or address == f"mailto:{said}"
    return "</a>" if honest else f"</a> ({escape(show_unseen(host))})"


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        return parts.path if parts.scheme == "mailto" else parts.hostname or "unknown host"
    except ValueError:
        return "unknown host"


def _make_parser() -> MarkdownIt:
    # One level above the limit, so that reaching the limit can be told from the parser's own silent cut.
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True, "maxNesting": MAX_NESTING + 2})
    parser.enable(["table", "strikethrough"])
    # Definitions of reference links vanish from the page; a reviewer must see every word of the text.
    parser.disable("reference")
    parser.validateLink = lambda url: bool(_WEB_ADDRESS.match(url))  # type: ignore[method-assign]
    parser.add_render_rule("image", _image_as_text)
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("link_close", _link_close)
    return parser


def _make_parser_to_mark() -> MarkdownIt:
    parser = _make_parser()
    places.follow(parser)
    parser.add_render_rule("text", _marked_text)
    parser.add_render_rule("code_inline", _marked_code)
    parser.add_render_rule("fence", _marked_pre)
    parser.add_render_rule("code_block", _marked_pre)
    parser.add_render_rule("image", _marked_image)
    return parser


_MARKDOWN = _make_parser()
_TO_MARK = _make_parser_to_mark()


class DiffPart(NamedTuple):
    """A run of words. ``text`` of an unchanged run may be shortened to its ends."""

    kind: Literal["same", "removed", "added"]
    text: str


class WordDiff(NamedTuple):
    """How a text became another: its runs in order, and how many words went and came."""

    parts: list[DiffPart]
    removed: int
    added: int


MAX_DIFF_CELLS = 4_000_000  # words × words; beyond that a comparison takes seconds and helps nobody


def word_diff(before: str, after: str) -> WordDiff:
    """The changes by words. One or two unchanged words between changes count as changed, so that people read
    phrases; an unchanged run of more than ten words shrinks to its first two and last three."""
    old, new = before.split(), after.split()
    if old == new:
        return WordDiff([DiffPart("same", " ".join(old))] if old else [], 0, 0)
    parts: list[DiffPart] = []
    removed: list[str] = []
    added: list[str] = []
    gone = come = 0

    def flush() -> None:
        nonlocal gone, come
        gone, come = gone + len(removed), come + len(added)
        if removed:
            parts.append(DiffPart("removed", " ".join(removed)))
        if added:
            parts.append(DiffPart("added", " ".join(added)))
        removed.clear()
        added.clear()

    runs = _runs(old, new)
    for place, (tag, was, now) in enumerate(runs):
        if tag != "equal":
            removed += was
            added += now
        elif len(was) < 3 and 0 < place < len(runs) - 1:
            removed += was
            added += was
        else:
            flush()
            words = [*was[:2], "…", *was[-3:]] if len(was) > 10 else was
            parts.append(DiffPart("same", " ".join(words)))
    flush()
    return WordDiff(parts, gone, come)


def _runs(old: list[str], new: list[str]) -> list[tuple[str, list[str], list[str]]]:
    if len(old) * len(new) > MAX_DIFF_CELLS:
        return [("replace", old, new)]
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return [(tag, old[i:j], new[k:m]) for tag, i, j, k, m in matcher.get_opcodes()]
