"""Which script a letter belongs to, and which language a text reads as.

A script that one language alone uses decides. Among languages that share one, the function words
and special letters of each are counted. A text without any of them is in no language that can be
recognised.
"""

# ruff: noqa: RUF001 - letters that look like Latin ones are what this file is about

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter

# First letter, last letter, script; letters between belong to none that is known here.
_RANGES = (
    (0x0041, 0x024F, "Latin"),
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Cyrillic"),
    (0x0530, 0x058F, "Armenian"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x077F, "Arabic"),
    (0x08A0, 0x08FF, "Arabic"),
    (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"),
    (0x0A00, 0x0A7F, "Gurmukhi"),
    (0x0A80, 0x0AFF, "Gujarati"),
    (0x0B80, 0x0BFF, "Tamil"),
    (0x0C00, 0x0C7F, "Telugu"),
    (0x0C80, 0x0CFF, "Kannada"),
    (0x0D00, 0x0D7F, "Malayalam"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"),
    (0x1E00, 0x1EFF, "Latin"),
    (0x1F00, 0x1FFF, "Greek"),
    (0x3040, 0x30FF, "Kana"),
    (0x3130, 0x318F, "Hangul"),
    (0x3400, 0x9FFF, "Han"),
    (0xAC00, 0xD7A3, "Hangul"),
    (0xFB50, 0xFEFC, "Arabic"),
)
_STARTS = [start for start, _, _ in _RANGES]
SCRIPTS = tuple(dict.fromkeys(script for _, _, script in _RANGES))

NAMES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "gu": "Gujarati",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "kn": "Kannada",
    "ko": "Korean",
    "ml": "Malayalam",
    "mr": "Marathi",
    "ne": "Nepali",
    "nl": "Dutch",
    "no": "Norwegian",
    "pa": "Punjabi",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "zh": "Chinese",
}

_ALONE = {
    "Bengali": "bn",
    "Greek": "el",
    "Gujarati": "gu",
    "Gurmukhi": "pa",
    "Han": "zh",
    "Hangul": "ko",
    "Hebrew": "he",
    "Kana": "ja",
    "Kannada": "kn",
    "Malayalam": "ml",
    "Tamil": "ta",
    "Telugu": "te",
    "Thai": "th",
}

# The function words of the languages of one script: a line begins with the language.
_LATIN = """
cs se na je že jsou který která by jako pro ale také byl nebo po od do při
da og at det er en af til på som ikke jeg den med har vi de et kan der også var
de der die das und ist nicht ein eine zu den mit sie ich auf für im von sich es in wie war aber
de oder als wenn dass wir auch werden haben bei nach dem des
en the of and to in is that it was for on are with as this be you they have not or by from at but
en so we his her their which will can if an has had were been would i my
es el los las que y en un una del por con para es se lo como más pero su está la de le no si sus
es me muy cuando esta son este al
fi ja on ei se että oli hän mutta kun tai niin myös ovat joka ole sen mitä voi
fr le les des et est une dans que qui pour pas ce sur avec il du sont nous vous la de en à un aux
fr se sa son ses mais ou cette comme je au par plus
hu a az és hogy nem is egy van ez volt meg csak de mint már ha vagy minden
id yang dan di untuk dengan ini itu dari adalah tidak dalam pada saya kami akan
it il di che è la per un non sono con della ma gli nel più anche dei si le una i in lo del alla
it nella questo come da
nl het een van en dat niet ik je op te zijn met voor er aan maar om ook deze de in is of als dit
nl zij bij
no og det er en av til på som ikke jeg den med har vi de et kan der også meg var
pl i w na nie się że to z do jest jak ale po co czy być dla przez przy jego
pt o os que do da em um uma não para com por mais as dos é se na são você a e de no como seu sua
pt mas ao pela
ro și de în la este că nu un o cu pe care sau din pentru mai sunt fi dar
sv och att det är en av till på som inte jag den med har vi de ett kan även var
sw na ya wa kwa ni katika la za kuwa yake hii cha kama hiyo au lakini watu
tr bir ve bu için ile da de çok olan gibi daha ne kadar sonra olarak değil
vi và của là có không cho các một được trong với những này người khi
"""
_CYRILLIC = """
bg и на е да се за от в с не са като по това ще си или който тази
ru и в не на что он как это по но с из то я вы мы для или его
uk і в не на що він як це та з у до про але за я ви ми для
"""
_ARABIC = """
ar في من على إلى أن هذا التي الذي مع عن هو هي كان ما لا أو هذه
fa در از به که را این است با برای آن می یک و ها شود تا
ur کے میں کی ہے اور سے کا کو ہیں یہ پر نے کہ اس بھی ایک
"""
_DEVANAGARI = """
hi है के में की और का से को पर यह हैं ने कि नहीं एक हो भी था
mr आहे आणि मध्ये च्या ची चा हे तो ती या आहेत नाही एक होते करून साठी
ne छ को मा र ले छन् हो लागि पनि यो गर्न एक हुन्छ भने यस थियो
"""


def _function_words(lines: str) -> dict[str, list[str]]:
    """Each word, and the languages that have it."""
    languages: dict[str, list[str]] = {}
    for language, *words in map(str.split, lines.strip().splitlines()):
        for word in words:
            languages.setdefault(word, []).append(language)
    return languages


_FUNCTION_WORDS = {
    "Latin": _function_words(_LATIN),
    "Cyrillic": _function_words(_CYRILLIC),
    "Arabic": _function_words(_ARABIC),
    "Devanagari": _function_words(_DEVANAGARI),
}
# Letters that one language alone has, among those of its script above.
_LETTERS = {
    letter: language
    for language, letters in {
        "cs": "ěřů",
        "de": "ß",
        "es": "ñ¿¡",
        "fr": "œ",
        "hu": "őű",
        "pl": "łśżź",
        "pt": "ãõ",
        "ro": "țș",
        "tr": "ığş",
        "vi": "ơưđạảấầ",
        "ru": "ыэё",
        "uk": "їєґ",
        "ar": "ةىإأ",
        "fa": "پژگچ",
        "ur": "ٹڈڑںےہ",
        "mr": "ळ",
    }.items()
    for letter in letters
}
_WORD = re.compile(r"[^\W\d_]+(?:[\u0900-\u097f]+[^\W\d_]*)*")
_ENOUGH = 20_000  # characters; the rest of a longer text is in the same language


def script_of(char: str) -> str | None:
    """None for what is not a letter, or of a script not known here."""
    if not char.isalpha():
        return None
    index = bisect_right(_STARTS, ord(char)) - 1
    return _RANGES[index][2] if index >= 0 and ord(char) <= _RANGES[index][1] else None


def detect(text: str) -> str | None:
    """The language most of the text reads as; None where nothing tells."""
    text = text[:_ENOUGH]
    scripts = Counter(filter(None, map(script_of, text)))
    if not scripts:
        return None
    if scripts["Kana"]:
        scripts["Kana"] += scripts.pop("Han", 0)  # Japanese writes both
    script = max(sorted(scripts), key=lambda name: scripts[name])
    if script in _ALONE:
        return _ALONE[script]
    return _among(text.lower(), _FUNCTION_WORDS.get(script, {}))


def _among(text: str, function_words: dict[str, list[str]]) -> str | None:
    scores: Counter[str] = Counter()
    for word in _WORD.findall(text):
        scores.update(function_words.get(word, ()))
    if function_words:
        scores.update(_LETTERS[letter] for letter in text if letter in _LETTERS)
    return max(sorted(scores), key=lambda language: scores[language], default=None)
