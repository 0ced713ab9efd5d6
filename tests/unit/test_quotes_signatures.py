"""Signatures: what is taken off the new text, and what stays."""

from __future__ import annotations

import pytest

from connectors.mail.quotes import split_reply

SIGNATURES = [
    "-- \nAna Silva\nGerente",
    "--\nAna",
    "Sent from my iPhone",
    "Sent from my Verizon Wireless BlackBerry",
    "Sent from Outlook Mobile<https://aka.example>",
    "Get Outlook for iOS<https://aka.example>",
    "Enviado do meu iPhone",
    "Enviado do meu Galaxy",
    "Enviado a partir do meu smartphone Samsung Galaxy.",
    "Enviado do Yahoo Mail no Android",
    "Enviado do Outlook para iOS",
    "Obter o Outlook para Android",
    "Enviado desde mi iPhone",
    "Von meinem iPhone gesendet",
    "Gesendet mit der Telekom Mail App",
    "Envoyé de mon iPhone",
    "Отправлено с iPhone",
    "Отправлено из мобильной Почты Mail.ru",
    "Отправлено из Почты Mail",
    "Отправлено с мобильного устройства",
    "Inviato da iPhone",
    "Sendt fra min iPad",
    "Atenciosamente,\nAna Silva\nGerente Comercial\n(11) 4000-1234",
    "Att,\n\nAna Silva\nVendas | Loja Exemplo\nana@loja.example",
    "Att, Ana Silva\nVendas",
    "С уважением,\nИван Петров\nменеджер по продажам\n+7 495 000-00-00",
    "С уважением, Иван Петров\nООО «Пример»",
    "Mit freundlichen Grüßen\n\nMax Muster\nVertrieb\nBeispiel GmbH",
    "Cordialement,\nJean Dupont\nDirecteur commercial",
    "Saludos,\nJuan Pérez\nVentas",
    "Kind regards,\n\nJane Roe\nCEO @ Example",
    "Ana Silva\nana@loja.example\n(11) 4000-1234\nwww.loja.example",
    "_______________________________________________\nusers mailing list\nusers@lists.example\nhttps://lists.example/users",
    "—————\nAna Silva\nGerente\nana@loja.example",
]

NOTICE = (
    "Esta mensagem e seus anexos são confidenciais e de uso exclusivo do destinatário. "
    "Se você a recebeu por engano, apague-a e avise o remetente."
)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_signature_is_taken_off(signature: str) -> None:
    parts = split_reply(f"Pode enviar.\nSão dez caixas.\n\n{signature}\n")
    assert parts.text == "Pode enviar.\nSão dez caixas."
    assert parts.signature == signature


@pytest.mark.parametrize("signature", SIGNATURES)
def test_signature_above_a_quote_is_taken_off(signature: str) -> None:
    body = f"Pode enviar.\n\n{signature}\n\nEm 20/11/2026 14:03, Bia <bia@loja.example> escreveu:\n> Posso?\n"
    parts = split_reply(body)
    assert parts.text == "Pode enviar."
    assert parts.signature == signature
    assert "Posso?" in parts.quoted


@pytest.mark.parametrize(
    "ending", ["Abraço,\nAna", "С уважением,\nИван", "Best regards\n\nJane Roe", "Mit freundlichen Grüßen", "Att"]
)
def test_closing_with_a_name_alone_is_text(ending: str) -> None:
    body = f"Pode enviar.\n\n{ending}"
    assert split_reply(body).text == body


def test_several_signatures_are_all_taken_off() -> None:
    body = f"Pode enviar.\n\nAtt,\nAna Silva\nVendas\n\nEnviado do meu iPhone\n\n{NOTICE}"
    parts = split_reply(body)
    assert parts.text == "Pode enviar."
    assert parts.signature.startswith("Att,")
    assert parts.signature.endswith("remetente.")


def test_notice_alone_is_text() -> None:
    assert split_reply(NOTICE).text == NOTICE


def test_drawn_lines_at_the_end_are_not_text() -> None:
    parts = split_reply("Texto com ---------- no meio.\n\n--\n***\n####\n_______\n")
    assert parts.text == "Texto com ---------- no meio."
