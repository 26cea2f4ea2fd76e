"""Frustration of the user: the words with which people say that the conversation goes wrong.

Reads the last thing the user said, so what it finds is mostly about the answer before. Phrases in English and
German, and a few in other languages. A polite user who gives up says none of them.
"""

from __future__ import annotations

import re
from functools import lru_cache

import re2

from evals.detectors.automaton import automaton
from evals.detectors.folding import Folded
from evals.detectors.interface import Detector, Finding, Subject

_READ = 20_000
_ANSWER = (
    "(?:this|that|it|you|your (?:answer|reply|response|link|suggestion)|the (?:answer|reply|response|link|"
    "bot)|which|passage"
    "|(?:this|that) (?:answer|reply|response|link|article|page|text)|information)"
)
_NOT = (
    r"(?:is|was|are|were|'s|'re|does|do|did|has|have)? ?(?:n't|not|n’t|doesn't|don't|didn't|isn't|wasn't|aren't|never)"
)
_KINDS: dict[str, tuple[float, str, str]] = {
    "anger": (0.75, "is angry", (
        r"\b(?:useless|worthless|ridiculous|pathetic|garbage|rubbish|bullshit|horrible|awful|terrible|"
        r"unacceptable|absurd|"
        r"a (?:complete |total )?waste of (?:my |our )?time)\b(?: (?:bot|answer|chatbot|ai|assistant|reply|"
        r"response|service))?[.!?]*$"
        r"|\b(?:useless|worthless|stupid|dumb|terrible|horrible|awful|worst|idiotic|pathetic|bloody|damn|fucking|"
        r"garbage)"
        r" (?:\w+ )?(?:bot|chatbot|ai|assistant|machine|answers?|repl(?:y|ies)|responses?|service|thing|support|tool)\b"
        r"|\b(?:you(?:'re| are)|this (?:is|bot is|thing is)) (?:\w+ ){0,2}(?:useless|worthless|stupid|dumb|"
        r"terrible|awful|horrible|"
        r"ridiculous|pathetic|no help|no use|unacceptable|garbage|nonsense|bullshit|crap|frustrating|annoying|"
        r"infuriating)\b"
        r"|\bI(?:'m| am) (?:\w+ ){0,2}(?:frustrated|angry|annoyed|furious|fed up|sick of|sick and tired|"
        r"disappointed|losing (?:my )?patience)\b"
        r"|\bwaste of (?:my |our )?time\b|\bwasting my time\b|\bwhat the (?:hell|fuck|heck)\b|\b(?:wtf|ffs|"
        r"omfg)\b|\bfuck(?:ing)?\b"
        r"|\b(?:I hate (?:this|you)|I give up|just forget it|for (?:god|heaven|christ|fuck)'?s'? sake|"
        r"are you (?:kidding|serious|stupid|deaf|dumb))\b"
        r"|\b(?:so eine? (?:mist|scheiße|frechheit|unverschämtheit)|das ist (?:doch )?(?:\w+ )?(?:nutzlos|"
        r"lächerlich|eine frechheit|unverschämt|"
        r"zeitverschwendung|unbrauchbar|quatsch|blödsinn|unsinn)|ich bin (?:\w+ )?(?:genervt|sauer|verärgert|"
        r"wütend|stinksauer)|"
        r"(?:völlig|total|absolut|komplett) (?:nutzlos|unbrauchbar)|zum kotzen|verarsch\w*|scheiß\w*)\b"
        r"|\b(?:c'est (?:inutile|ridicule|nul|inadmissible)|ras le bol|esto es (?:inútil|ridículo|inaceptable)|"
        r"(?:è|questo è) (?:inutile|ridicolo|assurdo)|belachelijk|waardeloos)\b"
    )),
    "told": (0.65, "has to repeat themselves", (
        r"\bI(?:'ve| have)? (?:already|just|literally just) (?:told|said|asked|explained|tried|did|done|gave|"
        r"given|sent|answered|mentioned|wrote|provided)\b"
        r"|\b(?:like|as) I (?:already )?(?:said|told you|wrote|mentioned|explained)\b|\bfor the (?:second|third|"
        r"fourth|fifth|tenth|hundredth|last|umpteenth|millionth) time\b"
        r"|\bhow (?:many (?:more )?times|often) (?:do|must|did|should|have) I\b|\b(?:again and again|"
        r"over and over|same (?:answer|thing|response|reply) (?:again|every|over|as before))\b"
        r"|\byou (?:just |already |keep |always )(?:saying|said|repeat\w*|giving|gave|sending|sent|asking|asked|"
        r"telling|told|ignor\w+)\b"
        r"|\bstop (?:repeating|saying|giving|sending|asking|ignoring)\b|\b(?:read|look at|listen to) (?:my|"
        r"what I) (?:\w+ )?(?:question|message|wrote|said|said again)\b"
        r"|\b(?:are you (?:even )?(?:listening|reading)|you(?:'re| are) not (?:listening|reading|understanding|"
        r"helping|answering)|listen to me)\b"
        r"|\b(?:habe ich (?:doch |bereits |schon )+\w+|ich habe (?:doch |es )?(?:bereits|schon|gerade|"
        r"eben) (?:\S+ ){0,3}(?:gesagt|geschrieben|gefragt|versucht|"
        r"erklärt|probiert|gemacht)|zum (?:zweiten|dritten|vierten|letzten|x-ten|hundertsten) mal|wie oft (?:noch|"
        r"soll|muss)|immer (?:wieder )?(?:dieselbe|die gleiche|das gleiche))\b"
        r"|\b(?:je (?:vous|te) l'ai déjà dit|ya (?:te|se) lo dije|te l'ho già detto|dat heb ik al gezegd)\b"
    )),
    "wrong": (0.6, "says that the answer is wrong or no answer", (
        rf"\b{_ANSWER} {_NOT} (?:\w+ ){{0,3}}?(?:answer\w*|address\w*|help\w*|relate\w*|relevant|useful|correct|"
        rf"right|true|accurate|what I (?:asked|want\w*|mean\w*|need\w*|said)|my question|an answer|"
        rf"make (?:any )?sense|explain|mention|tell me|say anything)\b"
        r"|\bnot (?:what I (?:asked|want\w*|mean\w*|need\w*|said)|my question|an answer|(?:at all )?(?:helpful|"
        r"useful|relevant|related))\b"
        r"|\b(?:you(?:'re| are)|that(?:'s| is)|this is|your \w+ is|the \w+ is|it(?:'s|"
        r" is)) (?:\w+ ){0,2}?(?:wrong|incorrect|false|irrelevant|unhelpful|misleading|inaccurate|nonsense|"
        r"not true|confusing|off[- ]topic|mistaken|unrelated|outdated)\b"
        r"|^\W*(?:no|nope|wrong|incorrect|false)\b[,.! ]+(?:that|this|you|it|I|not|wrong|again|the)\b|\b(?:wrong|"
        r"incorrect) (?:again|answer|info\w*)\b|\bstill (?:wrong|not|doesn't|does not|no|didn't|isn't|incorrect|"
        r"the same)\b"
        r"|\byou (?:didn't|did not|haven't|have not|don't|do not|never|failed to|misunderst\w+|"
        r"still haven't) (?:\w+ )?(?:answer\w*|help\w*|understand|read|get it|listen|tell|address\w*)\b"
        r"|\b(?:makes? no sense|no help at all|doesn't help|does not help|didn't help|did not help|not helping|"
        r"unhelpful|irrelevant|nothing to do with)\b"
        r"|\b(?:das (?:ist|war|stimmt|hilft|beantwortet|passt) (?:\S+ ){0,3}?(?:nicht|falsch|keine antwort|"
        r"kein\w*)|falsche antwort|das habe ich nicht gefragt|"
        r"nicht hilfreich|hilft mir nicht|immer noch (?:nicht|falsch|kein\w*)|sie verstehen (?:mich )?nicht|"
        r"du verstehst (?:mich )?nicht|das war nicht meine frage)\b"
        r"|\b(?:ce n'est pas (?:ça|ma question|correct)|ça ne (?:marche|répond|m'aide)|no es (?:correcto|lo que)|"
        r"eso no|non è (?:corretto|quello)|dat klopt niet)\b"
    )),
    "human": (0.6, "asks for a person", (
        r"\b(?:talk|speak|chat|connect|transfer|escalate|put|get|forward|switch)\b(?: me| this|"
        r" us)?(?: \w+)? (?:to|with|through to) (?:an? |the |some |your |(?:real |actual |live |human )+)"
        r"(?:real |actual |live |human |another |different )*(?:human|person|people|agent|someone|representative|"
        r"rep|manager|supervisor|operator|advisor|support agent|employee|human being)\b"
        r"|\b(?:I (?:want|need|would like|demand)|give me|get me|is there|can I (?:have|get)) (?:an? |to (?:speak|"
        r"talk) (?:to|with) )?(?:an? )?(?:real|actual|live|human) (?:human|person|agent|being|support|"
        r"representative)\b"
        r"|\b(?:mit (?:einem|einer|ihrem|eurem) (?:\S+ )?(?:menschen|mitarbeiter\w*|berater\w*|person|"
        r"kollegen) (?:sprechen|reden|verbinden|verbunden)|echten? menschen)\b"
        r"|\b(?:parler à (?:un|une) (?:humain|personne|conseiller\w*)|hablar con (?:una persona|un humano|"
        r"un agente)|parlare con (?:un operatore|una persona)|een mens spreken)\b"
    )),
}  # fmt: skip
_SHOUT = re.compile(r"[!?]{3,}|\?!|!\?")
_WORD = re.compile(r"[^\W\d_]{2,}")
_QUOTE = 140


@lru_cache(maxsize=1)
def _patterns() -> tuple[re2._Regexp, dict[str, re2._Regexp]]:
    every = "|".join(f"(?:{pattern})" for _, _, pattern in _KINDS.values())
    return automaton(every), {kind: automaton(pattern) for kind, (_, _, pattern) in _KINDS.items()}


def detect(subject: Subject) -> Finding | None:
    """How frustrated the last words of the user sound; None where nothing says so."""
    text = subject.question[:_READ]
    if len(text) < 2:
        return None
    folded = Folded(text)
    every, each = _patterns()
    matches = {}
    if every.search(folded.text) is not None:
        matches = {kind: match for kind in _KINDS if (match := each[kind].search(folded.text))}
    doubt = 1.0
    for kind in matches:
        doubt *= 1 - _KINDS[kind][0]
    loud = _loud(text)
    doubt *= 1 - 0.35 * loud
    if doubt == 1.0:
        return None
    spans = [folded.span(*match.span()) for match in matches.values()]
    start, end = min(spans, default=(0, len(text)))
    quote = " ".join(text[start : max(end, start + _QUOTE)].split())
    said = " and ".join([_KINDS[kind][1] for kind in matches] + ["shouts"] * (loud > 0))
    return Finding(
        value=round(1 - doubt, 4),
        label=next(iter(matches), "loud"),
        explanation=f"The user {said}: “{quote if len(quote) <= _QUOTE else quote[: _QUOTE - 1] + '…'}”",
        spans=[{"target": "question", "start": begin, "end": stop} for begin, stop in spans[:5]],
        detail={"signs": [*matches, *["loud"] * (loud > 0)]},
    )


def _loud(text: str) -> int:
    """Signs of shouting: rows of marks, and a message in capitals."""
    words = _WORD.findall(text[:1000])
    capitals = len(words) >= 4 and sum(word.isupper() for word in words) >= 0.8 * len(words)
    return bool(_SHOUT.search(text)) + capitals


detector = Detector(
    name="frustration",
    version="1",
    title="Frustration of the user",
    meaning="How frustrated the last words of the user sound: 0 not at all, 1 certainly",
    threshold=0.5,
    detect=detect,
)
