"""The language of a text, and silence when it is not clear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language import guess_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Olá Ana, obrigada pela proposta. Podemos fechar com o preço de 42 reais?", "pt"),
        ("Segue em anexo o contrato assinado, abraço", "pt"),
        ("Hola Ana, muchas gracias por la propuesta, un saludo", "es"),
        ("Estimado señor, adjunto el contrato que nos pidió", "es"),
        ("Hi Ana, thanks for the proposal, we can close it", "en"),
        ("Guten Tag, vielen Dank für Ihr Angebot. Wir haben noch Fragen", "de"),
        ("Bonjour, merci pour votre proposition, nous sommes d'accord", "fr"),
        ("Добрый день, спасибо за предложение", "ru"),
        ("Добрий день, дякуємо за пропозицію, їхні ціни", ""),
        ("ok", ""),
        ("42 - 17", ""),
        ("", ""),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert guess_language(text) == language


@given(st.text(max_size=1000))
def test_any_text_has_an_answer(text: str) -> None:
    assert guess_language(text) in ("", "pt", "ru", "en", "es", "de", "fr")
