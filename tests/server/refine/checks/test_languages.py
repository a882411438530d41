"""Which language a text reads as, and the script of its letters."""

# ruff: noqa: RUF001 - letters that look like Latin ones are what this file is about

from __future__ import annotations

import pytest

from redraft.server.refine.checks.languages import NAMES, SCRIPTS, detect, script_of

SAMPLES = {
    "ar": "ذهب الولد إلى المدرسة في الصباح وعاد من هناك في المساء.",
    "bg": "Той отиде на училище сутринта и се върна вечерта с приятелите си.",
    "bn": "ছেলেটি সকালে স্কুলে গেল।",
    "cs": "Chlapec šel ráno do školy a večer se vrátil domů, protože byl unavený.",
    "da": "Drengen gik i skole om morgenen, og han kom ikke hjem før om aftenen, da det var mørkt.",
    "de": "Der Junge ging am Morgen in die Schule und kam am Abend nach Hause.",
    "el": "Το αγόρι πήγε στο σχολείο.",
    "en": "The boy went to school in the morning and came home in the evening.",
    "es": "El niño fue a la escuela por la mañana y volvió a casa por la noche.",
    "fa": "پسر صبح به مدرسه رفت و شب به خانه برگشت و این را گفت.",
    "fi": "Poika meni aamulla kouluun ja tuli illalla kotiin, mutta hän oli väsynyt.",
    "fr": "Le garçon est allé à l'école le matin et il est rentré le soir.",
    "gu": "છોકરો સવારે શાળાએ ગયો.",
    "he": "הילד הלך לבית הספר בבוקר.",
    "hi": "लड़का सुबह स्कूल गया और शाम को घर लौट आया। यह अच्छा है।",
    "hu": "A fiú reggel iskolába ment, és este jött haza, mert már késő volt.",
    "id": "Anak itu pergi ke sekolah pada pagi hari dan pulang dengan teman yang baik.",
    "it": "Il ragazzo è andato a scuola la mattina ed è tornato a casa la sera con gli amici.",
    "ja": "少年は朝、学校に行きました。",
    "kn": "ಹುಡುಗ ಬೆಳಿಗ್ಗೆ ಶಾಲೆಗೆ ಹೋದನು.",
    "ko": "소년은 아침에 학교에 갔다.",
    "ml": "കുട്ടി രാവിലെ സ്കൂളിൽ പോയി.",
    "mr": "मुलगा सकाळी शाळेत गेला आणि संध्याकाळी घरी आला. तो आनंदी आहे.",
    "ne": "केटो बिहान विद्यालय गयो र साँझ घर फर्कियो। यो राम्रो छ।",
    "nl": "De jongen ging in de ochtend naar school en hij kwam niet voor de avond thuis.",
    "pa": "ਮੁੰਡਾ ਸਵੇਰੇ ਸਕੂਲ ਗਿਆ।",
    "pl": "Chłopiec poszedł rano do szkoły i wrócił wieczorem do domu, bo nie miał czasu.",
    "pt": "O menino foi para a escola de manhã e não voltou para casa até a noite.",
    "ro": "Băiatul a mers la școală dimineața și s-a întors acasă seara cu un prieten.",
    "ru": "Мальчик утром пошёл в школу, а вечером вернулся домой, и это было хорошо.",
    "sv": "Pojken gick till skolan på morgonen och kom inte hem förrän det var mörkt.",
    "sw": "Mvulana alienda shuleni asubuhi na kurudi nyumbani jioni kwa furaha ya watu.",
    "ta": "சிறுவன் காலையில் பள்ளிக்குச் சென்றான்.",
    "te": "అబ్బాయి ఉదయం పాఠశాలకు వెళ్ళాడు.",
    "th": "เด็กชายไปโรงเรียนในตอนเช้า",
    "tr": "Çocuk sabah okula gitti ve akşam bir arkadaşı ile eve döndü, çok mutlu oldu.",
    "uk": "Хлопець уранці пішов до школи, а ввечері повернувся додому, і це було добре.",
    "ur": "لڑکا صبح اسکول گیا اور شام کو گھر واپس آیا۔ یہ اچھا ہے۔",
    "vi": "Cậu bé đi học vào buổi sáng và về nhà vào buổi tối với những người bạn.",
    "zh": "男孩早上去上学。",
}


@pytest.mark.parametrize("language", SAMPLES)
def test_a_sentence_reads_as_its_language(language: str) -> None:
    assert detect(SAMPLES[language]) == language


def test_every_language_but_norwegian_has_a_sample() -> None:
    """Norwegian and Danish are told apart by longer texts alone."""
    assert NAMES.keys() - SAMPLES.keys() == {"no"}


@pytest.mark.parametrize("text", ["", "123 !?", "Xyzzy", "✓ ☀"])
def test_where_nothing_tells_there_is_no_language(text: str) -> None:
    assert detect(text) is None


@pytest.mark.parametrize(
    ("letter", "script"), [("a", "Latin"), ("é", "Latin"), ("ж", "Cyrillic"), ("1", None)]
)
def test_a_letter_has_a_script(letter: str, script: str | None) -> None:
    assert script_of(letter) == script
    assert script is None or script in SCRIPTS
