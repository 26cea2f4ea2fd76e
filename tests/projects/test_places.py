"""Marks count code points of the stored text: every character on the page knows its place in it."""

from __future__ import annotations

import random
import re
import time
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projects.places import sentence_starts
from projects.rendering import render_markdown, render_to_mark
from tests.projects.test_rendering import HOSTILE


class Page(HTMLParser):
    """The spans of a text: ``exact`` as (start, text), ``whole`` as (start, end, text); ``bare`` is in none."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.exact: list[tuple[int, str]] = []
        self.whole: list[tuple[int, int, str]] = []
        self.sentences: list[int] = []
        self.bare = ""
        self._at: tuple[int, int | None] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "span":
            said = dict(attrs)
            start, end = said["data-s"], said.get("data-e")
            self._at = (int(start or ""), int(end) if end else None)
            if said.get("class") == "sent":
                self.sentences.append(self._at[0])

    def handle_endtag(self, tag: str) -> None:
        if tag == "span":
            self._at = None

    def handle_data(self, data: str) -> None:
        if self._at is None:
            self.bare += data
        elif self._at[1] is None:
            self.exact.append((self._at[0], data))
        else:
            self.whole.append((self._at[0], self._at[1], data))


def wrong(text: str, page: Page) -> list[object]:
    found: list[object] = [one for one in page.exact if text[one[0] : one[0] + len(one[1])] != one[1]]
    return found + [one for one in page.whole if not 0 <= one[0] < one[1] <= len(text)]


def without_places(html: str) -> str:
    return re.sub(r"</?span[^>]*>", "", html)


def quote(text: str, words: str) -> str:
    """What stands in the source from the first to the last of these words on the page."""
    page = Page(render_to_mark(text))
    letters = [(start + n, start + n + 1, letter) for start, said in page.exact for n, letter in enumerate(said)]
    letters += [one for one in page.whole if len(one[2]) == 1]
    letters.sort()
    seen = "".join(letter for _, _, letter in letters)
    at = seen.index(words)
    return text[letters[at][0] : letters[at + len(words) - 1][1]]


EXACT = {
    "emphasis": ("The **fee** is *due*.", "The fee is due", "The **fee** is *due"),
    "emoji before": ("🎉👩‍👩‍👧 yes, the fee", "the fee", "the fee"),
    "combining marks": ("cafe\u0301 n\u0303 the fee", "the fee", "the fee"),
    "crlf": ("one\r\ntwo\r\n\r\nthe fee", "the fee", "the fee"),
    "lone cr": ("one\rtwo\r\rthe fee", "the fee", "the fee"),
    "nested list": ("- a\n  - b **c**\n\n    the fee", "the fee", "the fee"),
    "quote in list": ("* > x\n  > the *fee*", "the fee", "the *fee"),
    "same word twice": ("fee **fee** fee", "fee fee fee", "fee **fee** fee"),
    "table": ("| fee | x |\n|---|---|\n| y | the fee |", "the fee", "the fee"),
    "table cell with a bar": ("| a |\n|---|\n| x \\| the fee |", "the fee", "the fee"),
    "table in a quote": ("> | a |\n> |---|\n> | the `fee` |", "the fee", "the `fee"),
    "fenced code": ("```\r\nx = 1\r\nthe fee\r\n```", "the fee", "the fee"),
    "indented code by tab": ("\tthe fee", "the fee", "the fee"),
    "code": ("`` the ` fee ``", "the ` fee", "the ` fee"),
    "entity": ("a &amp; the fee", "& the fee", "&amp; the fee"),
    "escape": (r"\*the\* fee", "*the* fee", r"\*the\* fee"),
    "link": ("[the](https://x.example/fee) fee", "fee", "fee"),
    "heading": ("## the fee ##", "the fee", "the fee"),
    "underlined heading": ("the fee\n===", "the fee", "the fee"),
    "too deep to render": ("> " * 120 + "the fee", "the fee", "the fee"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_a_passage_on_the_page_is_found_in_the_stored_text(name: str) -> None:
    text, words, expected = EXACT[name]
    assert quote(text, words) == expected


PIECES = [
    "word", " ", "\n", "\r\n", "\n\n", "**", "*", "_", "~~", "`", "``", "[", "](https://x.example)", "![",
    "<https://y.example/%C3%A9>", "&amp;", "&nope;", "\\*", "\\", "|", "\n|---|---|\n", "# ", "> ", "- ", "1. ",
    "    ", "\t", "```\n", "🎉", "e\u0301", "\u200d", "\u202e", "\0", "é", "。", "fee. ", "e.g. ", "  \n", "\r", "<b>",
    "!", "\n---\n", "\n===\n",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60)


@settings(max_examples=400, deadline=None)
@given(texts)
def test_every_span_says_where_its_text_stands(text: str) -> None:
    assert wrong(text, Page(render_to_mark(text))) == []


@settings(max_examples=400, deadline=None)
@given(texts)
def test_but_for_the_places_it_is_the_same_page(text: str) -> None:
    marked, page = without_places(render_to_mark(text)), render_markdown(text)
    assert marked.replace("[U+200D]", "\u200d") == page.replace("[U+200D]", "\u200d")


def test_random_documents_lose_no_word() -> None:
    dice = random.Random(5)
    for _ in range(1500):
        text = "".join(dice.choices(PIECES, k=dice.randint(1, 40)))
        page = Page(render_to_mark(text))
        assert wrong(text, page) == [], text
        if "![" not in text and "`" not in text:
            assert "word" not in page.bare, text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_gain_nothing_but_places(text: str) -> None:
    html = render_to_mark(text)
    assert without_places(html) == render_markdown(text)
    spans = re.findall(r"<span[^>]*>", html)
    assert all(re.fullmatch(r'<span( class="sent")? data-s="\d+"( data-e="\d+")?>', span) for span in spans)


def test_sentences_begin_where_people_would_say() -> None:
    text = 'Fees, e.g. 4.90 by Dr. No, are due. "Are they?" Yes!\n1. one\nWir z.B. nicht。次'
    starts = sentence_starts(text)
    assert [text[a:b].strip() for a, b in zip(starts, [*starts[1:], len(text)], strict=True)] == [
        "Fees, e.g. 4.90 by Dr. No, are due.", '"Are they?"', "Yes!", "1. one", "Wir z.B. nicht。", "次",
    ]  # fmt: skip
    assert unicodedata.name(text[starts[-1]]).startswith("CJK")


def test_a_long_text_is_placed_in_time_that_grows_with_its_length() -> None:
    text = "The **fee** is due, e.g. `now` & then! Next. \r\n" * 1000
    begun = time.process_time()
    assert wrong(text, Page(render_to_mark(text))) == []
    assert time.process_time() - begun < 8
