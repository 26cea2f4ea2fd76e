"""Lexical support of the answer in the documents: a signal for sorting, never a hallucination rate.

It measures copying: an answer that paraphrases well scores low, one that copies a wrong passage scores high.
Two measures are averaged: the share of the answer's content words that occur in the documents, and the
precision of the longest common subsequence of words (ROUGE-L). On BEGIN dev the mean separates
attributable answers better than either (docs/detectors.md).
"""

from __future__ import annotations

import re

from evals.detectors.interface import MAX_OUTPUT, Detector, Finding, Subject

# A word, or one character of the scripts that write no blanks.
_TOKEN = re.compile(r"[぀-ヿ㐀-䶿一-鿿가-힯฀-๿]|[^\W_]+")
# A point within a number or an address ends no sentence.
SENTENCE = re.compile(r"(?:[^.!?。！？\n]|[.!?](?=\w))+[.!?。！？]*")
_MIN_CONTENT_WORDS = 3
_SHOWN_WORDS = 8
_SHOWNSENTENCES = 5

# Function words carry no facts. They also tell the language: an answer in another language than its documents
# shares no words with them and yet may be right, so nothing is said about it.
_FUNCTION_WORDS = {
    "en": "the a an of to and in is it that for on with as are was be this by or at from not have has had you your we "
    "our they their he his she her its i my me us them do does did can could will would should may might must if but "
    "so than then there which who what when where how why all any no yes about into over also just more most such "
    "been being were only own same too very these those am",
    "de": "der die das ein eine einer eines einem einen und oder aber nicht ist sind war waren wird werden hat haben "
    "kann können mit von zu zum zur im in den dem des auf für an aus bei nach über unter sie er es wir ihr ihre ihren "
    "ihnen sich auch nur noch wenn dass wie was wer wo als so um durch bis vor ohne gegen ich mich uns mein",
    "fr": "le la les un une des du de et ou mais ne pas est sont était a ont peut avec pour dans sur par au aux ce "
    "cette ces il elle nous vous ils elles leur leurs se qui que quoi dont où en y votre vos notre plus être avoir je",
    "es": "el la los las un una unos unas de del y o pero no es son era ha han puede con para por en al lo se su sus "
    "que quien como cuando donde más este esta estos estas ser estar usted ustedes nosotros yo le les",
    "it": "il lo la i gli le un uno una di del della dei delle e o ma non è sono era ha hanno può con per da dal in "
    "nel nella su al alla che chi come quando dove più questo questa essere lei noi voi io si suo sua",
    "nl": "de het een en of maar niet is zijn was waren wordt worden heeft hebben kan kunnen met van naar voor in op "
    "aan uit bij door over u uw je jij hij zij wij ze die dat dit deze als om te er ook nog",
    "pt": "o a os as um uma de do da dos das e ou mas não é são era tem pode com para por em no na nos nas ao que "
    "quem como quando onde mais este esta ser estar você se seu sua lhe",
}
_LANGUAGES = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}
_STOP = frozenset().union(*_LANGUAGES.values())


def tokens(text: str) -> list[str]:
    """The words of a text in lower case; characters of scripts without blanks one by one."""
    return _TOKEN.findall(text.lower())


def language(words: list[str]) -> str:
    """The language whose function words are the most; "" where that is not clear."""
    seen = words[:400]
    counts = sorted(((sum(word in known for word in seen), name) for name, known in _LANGUAGES.items()), reverse=True)
    (most, name), (second, _) = counts[:2]
    return name if most >= 5 and most > 1.3 * second else ""


def common_subsequence(left: list[str], right: list[str]) -> int:
    """The length of the longest common subsequence, by Hyyrö's bit-parallel method.

    One row of the table is one integer, so that 140 words against 210 cost 50 µs instead of 4 ms.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(right):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(right)) - 1
    row = full
    for word in left:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & full
    return len(right) - row.bit_count()


def detect(subject: Subject) -> Finding | None:
    """The support of the answer in its documents; None without documents, without content, across languages."""
    if not subject.documents:
        return None
    words = tokens(subject.output[:MAX_OUTPUT])
    content = [word for word in words if word not in _STOP]
    if len(content) < _MIN_CONTENT_WORDS:
        return None
    sources = [word for text in subject.documents for word in tokens(text)]
    spoken, written = language(words), language(sources)
    if spoken and written and spoken != written:
        return None
    known = frozenset(sources)
    unknown = [word for word in content if word not in known]
    covered = 1 - len(unknown) / len(content)
    in_order = common_subsequence(words, sources) / len(words)
    shown = ", ".join(dict.fromkeys(unknown[:200])) if len(unknown) <= _SHOWN_WORDS else (
        ", ".join(list(dict.fromkeys(unknown))[:_SHOWN_WORDS]) + " …")  # fmt: skip
    evidence = f" Not there: {shown}." if unknown else ""
    return Finding(
        value=round((covered + in_order) / 2, 4),
        label="support",
        explanation=f"{len(content) - len(unknown)} of {len(content)} content words of the answer are in the documents;"
        f" {in_order:.0%} of its words stand there in the same order.{evidence}",
        spans=_weakest_sentences(subject.output, known),
        detail={"words": round(covered, 4), "order": round(in_order, 4)},
    )


def unsupported(text: str, documents: list[str]) -> list[str]:
    """The sentences of a text of which less than half of the content words occur in the documents, in order."""
    known = frozenset(word for document in documents for word in tokens(document))
    return [match.group().strip() for _, match in sorted(_weak(text, known), key=lambda entry: entry[1].start())]


def _weak(text: str, known: frozenset[str]) -> list[tuple[float, re.Match[str]]]:
    """Each sentence of which less than half of the content words are known, with that share."""
    weak = []
    for match in SENTENCE.finditer(text):
        content = [word for word in tokens(match.group()) if word not in _STOP]
        share = sum(word in known for word in content) / len(content) if content else 1.0
        if len(content) >= _MIN_CONTENT_WORDS and share < 0.5:
            weak.append((share, match))
    return weak


def _weakest_sentences(output: str, known: frozenset[str]) -> list[dict[str, object]]:
    """Where the least known sentences stand, weakest first."""
    weakest = sorted(_weak(output, known), key=lambda entry: entry[0])[:_SHOWNSENTENCES]
    return [
        {"target": "output", "start": match.end() - len(match.group().lstrip()), "end": match.end()}
        for _, match in weakest
    ]


detector = Detector(
    name="groundedness",
    version="1",
    title="Support in the documents",
    meaning="How much of the answer's wording stands in the documents: 1 all of it, 0 nothing",
    threshold=0.4,
    low_is_bad=True,
    detect=detect,
)
