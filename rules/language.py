"""Which of our languages a text is in, from alphabet and small words. Cheap and careful: "" when it is not clear."""

from __future__ import annotations

import re

__all__ = ["guess_language"]

SAMPLE = 320
_WORDS = {
    "pt": "não que uma para com você vocês obrigado obrigada pela pelo dos "
    "das são está bom olá oi abraço abraços segue "
    "até também já nos os ao à é foi pode posso tenho temos favor proposta prezado prezada boa seu sua em no na do da",
    "es": "que una para con usted ustedes gracias por los las el y está "
    "hola saludos adjunto hasta también ya nos es fue "
    "puede puedo tengo tenemos favor buenos buenas estimado estimada su sus en del al lo le se muy pero como",
    "en": "the and you for your with this that have please thank thanks we our are is of to in it on be not can will "
    "would hello hi dear regards best from if any know let me my was has do could i",
    "de": "der die das und ist nicht sie wir ich mit für von den dem ein eine einen bitte vielen dank guten tag hallo "
    "grüße freundlichen liebe sehr haben werden auf zu im es ihre ihr uns auch noch oder wie bei",
    "fr": "le la les et est nous vous une pour avec des dans je merci bonjour cordialement votre vos ce cette qui que "
    "pas sur au aux du en il elle être avons avez suis bien cher chère ci joint plus mais ou",
}
_WEIGHTS: dict[str, tuple[tuple[str, float], ...]] = {}
for _word in {word for words in _WORDS.values() for word in words.split()}:
    _owners = [language for language, words in _WORDS.items() if _word in words.split()]
    _WEIGHTS[_word] = tuple((language, 1.0 / len(_owners)) for language in _owners)
_SPLIT = re.compile(r"[^\W\d_]+")
_CYRILLIC = re.compile("[\u0400-\u04ff]+")
_LATIN = re.compile("[A-Za-z]+")
_NOT_RUSSIAN = re.compile("[іїєґўѣјљњћџђѓќқғңөұүһәІЇЄҐЎ]")


def guess_language(text: str) -> str:
    """ "pt", "ru", "en", "es", "de", "fr", or "" when unsure. Reads the first 320 characters."""
    sample = text[:SAMPLE]
    if not sample.isascii() and (runs := _CYRILLIC.findall(sample)):
        cyrillic = sum(map(len, runs))
        if cyrillic >= 4 and cyrillic > sum(map(len, _LATIN.findall(sample))):
            return "" if len(_NOT_RUSSIAN.findall(sample)) > 1 else "ru"
    score = dict.fromkeys(_WORDS, 0.0)
    for word in _SPLIT.findall(sample.lower()):
        if word in _WEIGHTS:
            for language, weight in _WEIGHTS[word]:
                score[language] += weight
    best, second = sorted(score, key=score.__getitem__, reverse=True)[:2]
    return best if score[best] >= 2.0 and score[best] >= 1.4 * score[second] else ""
