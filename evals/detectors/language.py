"""The language of the answer, where it is not the one that was asked in.

A script tells many languages by itself; among those in Latin, Cyrillic and Arabic letters the commonest function
words decide, and letters that only some of them have. Short texts, code and names have too few of either, and
nothing is said about them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from evals.detectors.interface import Detector, Finding, Subject

_READ = 4_000
_MIN_HITS = 3  # different words or letters
_CLEAR, _CLEAR_OF_KIN = 1.25, 1.05  # the winner has so many times the points of the next
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+", re.DOTALL)

# The commonest words that carry no meaning of their own; a word of several languages is a point for each.
_WORDS = {
    "en": "the of and to in is that for it with as was on are this be by at from or an have not which you were "
    "but has had they can s t ve m re ll d will their if would there been when who your we what so more "
    "do out up about than into them only some could",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden "
    "aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur "
    "oder aber vor zur bis mehr durch man sein wurde wenn können kann ihre ihr wir ich",
    "fr": "de la le et les des en un du une que est pour qui dans par plus pas au sur ne se ce il sont ou avec "
    "son aux d'un cette d'une ont ses mais comme on tout nous sa fait été aussi leur bien peut ces y "
    "deux elle vous votre être",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me "
    "si sin sobre este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde "
    "está mi porque qué usted puede",
    "it": "di e il la che in a per un è del non una i con le da si sono dei al come più della alla ha nel "
    "anche lo gli ma delle se su o questo dal nella ai essere ed può cui loro suo molto dalla stato "
    "questa quando ci dopo tra fra",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem "
    "à seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois "
    "sem mesmo aos ter você são",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook als dan maar bij nog uit door "
    "over wordt naar heeft hij ze worden je kan deze tot hebben meer geen werd wel zo zich of al haar "
    "kunnen was die dit u hun",
    "sv": "och i att det som en på är av för med den till inte har de ett om var jag men sig så från kan eller "
    "när ska vid nu också efter mot hade alla under han man blir finns två mycket detta dig mig din över "
    "utan",
    "da": "og i at det er en til på som for af med de den der har ikke et kan om var fra jeg men sig så ved "
    "eller når skal vil blev også efter over hvis alle være hvor mere du dig mig din ud op havde disse "
    "bliver meget hvordan",
    "nb": "og i det er på en til som for av å at med de den har ikke et kan om var fra jeg men seg så ved "
    "eller når skal vil ble også etter over hvis alle være hvor mer du deg meg din ut opp hadde disse "
    "blir mye hvordan bare noen",
    "fi": "ja on ei että se oli hän ovat kun mutta myös joka tai niin kuin sen mitä vain ole jos voi mukaan "
    "sekä olla kanssa vielä tämä jo siitä ne hänen eivät nyt joita tätä sitä olisi minä sinun jälkeen "
    "ennen",
    "pl": "w i na z się do nie że jest o to jak po za od a są przez dla tym co jego oraz ale może ma lub był "
    "być który już tego także przy czy które można ich też tylko aby jako ze ten bardzo jednak",
    "cs": "a v se na je že s z do o i to jako za by pro si po ve jsou k ale nebo který jeho které bylo však "
    "která už jak není být může při co kde od tak aby jsem další až má než ze byl také",
    "sk": "a v sa na je že s z do o aj to ako za by pre si po vo sú k ale alebo ktorý jeho ktoré bolo však "
    "ktorá už nie byť môže pri čo kde od tak aby som ďalšie až má než zo bol tiež",
    "hu": "a az és hogy nem is egy van ez meg de ha csak vagy mint már azt volt még ki el kell lehet minden "
    "amely azonban után ezt lesz fel be nagyon sem ezek majd így mert itt mely között",
    "ro": "de în și a la cu pe nu să o că din un se pentru care este mai ce sunt au fi dar sau prin fost după "
    "le unui îi sa acest această ca al unei când am fie dacă lui despre poate între doar",
    "tr": "bir ve bu da de için ile olarak çok daha ne gibi olan var en kadar o sonra ama değil olduğu ya her "
    "ise veya şey nasıl ancak içinde tarafından oldu olması ki mi mı ben sen biz",
    "id": "yang dan di dengan untuk dari dalam tidak ini itu pada adalah akan juga oleh ke karena atau ada "
    "bisa sudah saya dapat anda lebih telah sebagai mereka kami tersebut seperti hanya dia kita",
    "vi": "và của là có trong không được cho các một với những đã này người để khi về từ cũng đến như tại hoặc "
    "nhưng bạn ra theo vào sẽ nhiều rất",
    "ca": "de la el que i en a les un per del una els amb és no se al com més dels són va ha o seva aquest "
    "aquesta però també si ser on tot entre pot sense fins quan molt hi",
    "ru": "и в не на что с по как это я а но к у из за о от то так для же вы или бы он мы она его только если "
    "может при уже все чтобы есть когда были также быть они до этого",
    "uk": "і в не на що з та як це я а але до у із за про від то так для ж ви або б він ми вона його тільки "
    "якщо може при вже всі щоб є коли були також бути вони й цього який",
    "bg": "и в не на че с по като това аз а но към у от за то така се вие или би той ние тя му само ако може "
    "при вече всички да е кога бяха също бъде те до са си",
    "ar": "في من على إلى أن هذا التي الذي ما لا كان هذه عن مع أو كما هو هي ذلك قد كل بعد لم عند يمكن بين ثم "
    "إذا أي",
    "fa": "و در به از که این را با است برای آن یک خود تا کرد بر هم نیز می شود شد ما یا هر اگر باید آنها دارد",
}  # fmt: skip
_OWNERS: dict[str, list[str]] = {}
for _code, _list in _WORDS.items():
    for _word in dict.fromkeys(_list.split()):
        _OWNERS.setdefault(_word, []).append(_code)
# Letters that few of these languages write: worth as much as a word each time.
_LETTERS = {
    "ß": "de", "ñ": "es", "¿": "es", "ã": "pt", "õ": "pt", "ç": "fr pt ca tr", "œ": "fr", "ø": "da nb",
    "æ": "da nb", "å": "sv da nb", "ł": "pl", "ą": "pl", "ę": "pl", "ż": "pl", "ś": "pl", "ř": "cs", "ě": "cs",
    "ů": "cs", "ľ": "sk", "ĺ": "sk", "ô": "sk fr vi", "ő": "hu", "ű": "hu", "ș": "ro", "ț": "ro", "ă": "ro vi",
    "ğ": "tr", "ı": "tr", "ş": "tr", "đ": "vi", "ư": "vi", "ơ": "vi", "ạ": "vi", "ế": "vi", "ы": "ru", "э": "ru",
    "ё": "ru", "і": "uk", "ї": "uk", "є": "uk", "ґ": "uk", "پ": "fa", "چ": "fa", "گ": "fa", "ی": "fa", "ک": "fa",
    "ة": "ar", "ي": "ar", "ك": "ar", "ä": "de sv fi sk", "ö": "de sv fi hu tr", "ü": "de hu tr", "ъ": "bg ru",
    "щ": "bg ru uk", "ŀ": "ca",
}  # fmt: skip
_MARKS = {letter: codes.split() for letter, codes in _LETTERS.items()}
# Scripts that one language writes, or that one language writes mostly.
_SCRIPTS = {
    "ja": re.compile("[぀-ヿ]"), "ko": re.compile("[가-힯]"), "zh": re.compile("[㐀-䶿一-鿿]"), "th": re.compile("[฀-๿]"),
    "el": re.compile("[Ͱ-Ͽ]"), "he": re.compile("[֐-׿]"), "hi": re.compile("[ऀ-ॿ]"), "bn": re.compile("[ঀ-৿]"),
    "ta": re.compile("[஀-௿]"), "ka": re.compile("[ა-ჿ]"), "hy": re.compile("[԰-֏]"), "km": re.compile("[ក-៿]"),
}  # fmt: skip
NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "sv": "Swedish", "da": "Danish", "nb": "Norwegian", "fi": "Finnish", "pl": "Polish",
    "cs": "Czech", "sk": "Slovak", "hu": "Hungarian", "ro": "Romanian", "tr": "Turkish", "id": "Indonesian",
    "vi": "Vietnamese", "ca": "Catalan", "ru": "Russian", "uk": "Ukrainian", "bg": "Bulgarian", "ar": "Arabic",
    "fa": "Persian", "ja": "Japanese", "ko": "Korean", "zh": "Chinese", "th": "Thai", "el": "Greek",
    "he": "Hebrew", "hi": "Hindi", "bn": "Bengali", "ta": "Tamil", "ka": "Georgian", "hy": "Armenian",
    "km": "Khmer",
}  # fmt: skip
# Too close to each other to call a difference: an answer to a Danish question may look Norwegian.
_KIN = ({"da", "nb", "sv"}, {"cs", "sk"}, {"es", "ca", "pt"}, {"ru", "uk", "bg"}, {"ar", "fa"}, {"zh", "ja"})
_SAME_AS = {"no": "nb", "nn": "nb", "iw": "he", "in": "id", "ms": "id", "gl": "pt"}


def identify(text: str) -> str:
    """The language of a text as its ISO 639-1 code; "" where it cannot be told."""
    text = text[:_READ]
    if "`" in text or "://" in text or "@" in text:
        text = _CODE.sub(" ", text)
    if not text.isascii():
        for code, pattern in _SCRIPTS.items():
            found = len(pattern.findall(text))
            if found >= 6 and found * (4 if code == "ja" else 2) >= sum(map(str.isalpha, text)):
                return code
    words = _WORD.findall(text.lower())
    points: dict[str, float] = defaultdict(float)
    kinds: Counter[str] = Counter()
    for word, often in Counter(words).items():
        for code in _OWNERS.get(word, ()):
            points[code] += often * (0.5 if len(word) == 1 else 1) / len(_OWNERS[word]) ** 0.5
            kinds[code] += 1
    if not text.isascii():
        for letter, often in Counter(text.lower()).items():
            for code in _MARKS.get(letter, ()):
                points[code] += min(often, len(words)) * 0.7 / len(_MARKS[letter])
                kinds[code] += 1
    (best, most), (next_best, second) = [*sorted(points.items(), key=lambda one: -one[1])[:2], ("", 0.0), ("", 0.0)][:2]
    clear = _CLEAR_OF_KIN if any({best, next_best} <= kin for kin in _KIN) else _CLEAR
    enough = kinds[best] >= _MIN_HITS and most >= max(2.0, 0.05 * len(words))
    return best if enough and most > clear * second else ""


def detect(subject: Subject) -> Finding | None:
    """The answer's language where it differs from the question's, or from the stated one where that cannot be told."""
    if subject.failed or len(subject.output) < 20:
        return None
    asked = identify(subject.question)
    by = "the question is in"
    if not asked:
        stated = subject.language.lower().replace("_", "-").split("-")[0]
        asked, by = _SAME_AS.get(stated, stated), "the language stated is"
    if asked not in NAMES:
        return None
    spoken = identify(subject.output)
    if not spoken or spoken == asked or any({spoken, asked} <= pair for pair in _KIN):
        return None
    return Finding(
        value=1.0,
        label=spoken,
        explanation=f"The answer is in {NAMES[spoken]}; {by} {NAMES[asked]}.",
        detail={"answer": spoken, "question": asked},
    )


detector = Detector(
    name="language",
    version="1",
    title="Language",
    meaning="1 where the answer is in another language than the question; its label is the answer's language",
    threshold=None,
    detect=detect,
)
