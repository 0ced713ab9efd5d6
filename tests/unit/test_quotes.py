"""Where the new text of a plain mail ends: header lines by language and client, and text that only looks like one."""

from __future__ import annotations

import pytest

from connectors.mail.quotes import ReplyParts, split_reply

ATTRIBUTIONS = [
    "On Fri, Nov 20, 2026 at 2:03\u202fPM Carl Smith <carl@sales.example> wrote:",
    "On Fri, 20 Nov 2026 at 14:03, Carl Smith <carl@sales.example> wrote:",
    "On Nov 20, 2026, at 2:03 PM, Carl Smith <carl@sales.example> wrote:",
    "On 20/11/2026 14:03, Carl Smith wrote:",
    "On Friday, November 20, 2026 at 02:03:00 PM GMT+3, Carl Smith <carl@sales.example> wrote:",
    "At 11/20/2026 02:03 PM, you wrote:",
    "Em sex., 20 de nov. de 2026 às 14:03, Fulano <fulano@vendas.example> escreveu:",
    "Em sexta-feira, 20 de novembro de 2026 14:03:00 BRT, Fulano <fulano@vendas.example> escreveu:",
    "Em 20 de nov. de 2026, à(s) 14:03, Fulano <fulano@vendas.example> escreveu:",
    "Em 20/11/2026 14:03, Fulano escreveu:",
    "No dia 20/11/2026, às 14:03, Fulano <fulano@vendas.example> escreveu:",
    "Fulano <fulano@vendas.example> escreveu (sexta, 20/11/2026 à(s) 14:03):",
    "пт, 20 нояб. 2026 г. в 14:03, Имя Фамилия <ivan@prodazhi.example>:",
    "пт, 20 нояб. 2026 г., 14:03 Имя Фамилия <ivan@prodazhi.example>:",
    "20.11.2026 14:03, Имя Фамилия пишет:",
    '20.11.2026, 14:03, "Имя Фамилия" <ivan@prodazhi.example>:',
    "20 ноября 2026 г., в 14:03, Имя <ivan@prodazhi.example> написал(а):",
    "Пятница, 20 ноября 2026, 14:03 +03:00 от Имя <ivan@prodazhi.example>:",
    "20 ноября 2026 г. 14:03 пользователь Имя <ivan@prodazhi.example> написал:",
    "El vie, 20 nov 2026 a las 14:03, Fulano (<fulano@ventas.example>) escribió:",
    "El 20/11/2026 a las 14:03, Fulano escribió:",
    "Am Fr., 20. Nov. 2026 um 14:03 Uhr schrieb Max Muster <max@verkauf.example>:",
    "Am 20.11.26 um 14:03 schrieb Max Muster:",
    "Am 20.11.2026 um 14:03 schrieb max@verkauf.example:",
    "Le ven. 20 nov. 2026 à 14:03, Jean Dupont <jean@ventes.example> a écrit :",
    "Le 20/11/2026 à 14:03, Jean Dupont a écrit :",
    "Il giorno ven 20 nov 2026 alle ore 14:03 Anna <anna@vendite.example> ha scritto:",
    "Op vr 20 nov. 2026 om 14:03 schreef Jan <jan@verkoop.example>:",
    "W dniu 20.11.2026 o 14:03, Jan Kowalski pisze:",
    "pt., 20 lis 2026 o 14:03 Jan <jan@sklep.example> napisał(a):",
    "Den fre 20 nov. 2026 kl 14:03 skrev Anna <anna@butik.example>:",
    "20 серп. 2026 р. 20:45 Ім'я <ivan@prodazhi.example> пише:",
    "2026-11-20 14:03 GMT+03:00 Carl Smith <carl@sales.example>:",
    "20.11.2026, 14:03, Имя Фамилия (ivan@prodazhi.example):",
    "20 Kas 2026 Cum 14:03 tarihinde Ali Veli <ali@satis.example> şunu yazdı:",
    "Dne 20. listopadu 2026 14:03 Jan Novák <jan@prodej.example> napsal(a):",
    "pe 20. marraskuuta 2026 klo 14.03 Matti <matti@myynti.example> kirjoitti:",
    "На 20 ноември 2026 г., 14:03, Иван <ivan@magazin.example> написа:",
    "在 2026年11月20日星期五，Wang <wang@xiaoshou.example> 写道：",
    "2026年11月20日(金) 14:03 Tanaka <tanaka@hanbai.example>:",
    "---- Carl Smith wrote ----",
]

BLOCKS = [
    "From: Carl <carl@sales.example>\nSent: Friday, November 20, 2026 2:03 PM\nTo: Mary\nSubject: Offer",
    "*From:* Carl\n*Date:* Fri, 20 Nov 2026\n*To:* mary@shop.example\n*Subject:* Offer",
    "De: Carlos <carlos@vendas.example>\nEnviada em: sexta-feira, 20 de novembro de 2026 14:03\nPara: M\nAssunto: X",
    "De: Carlos\nEnviado: sexta-feira, 20 de novembro de 2026 14:03\nPara: Márcia\nCc: Ana\nAssunto: RES: Proposta",
    "De : Jean <jean@ventes.example>\nEnvoyé : vendredi 20 novembre 2026 14:03\nÀ : Marie\nObjet : Devis",
    "De: Juan <juan@ventas.example>\nEnviado el: viernes, 20 de noviembre de 2026 14:03\nPara: M\nAsunto: Oferta",
    "Von: Max <max@verkauf.example>\nGesendet: Freitag, 20. November 2026 14:03\nAn: M\nBetreff: Angebot",
    "От: Иван <ivan@prodazhi.example>\nОтправлено: 20 ноября 2026 г. 14:03\nКому: Ольга\nТема: Счёт",
    "От: Иван\nДата: пятница, 20 ноября 2026 г. в 14:03\nКому: Ольга\nКопия: Пётр\nТема: Счёт",
    "Von: Max\nDatum: Freitag, 20. November 2026 um 14:03\nAn: info@kunde.example\nBetreff: Re: Angebot",
]

SEPARATORS = [
    "-----Original Message-----",
    "-----Mensagem original-----",
    "----- Mensaje original -----",
    "-----Ursprüngliche Nachricht-----",
    "-----Message d'origine-----",
    "-------- Исходное сообщение --------",
    "-----Исходное сообщение-----",
    "---------- Forwarded message ---------",
    "---------- Mensagem encaminhada ----------",
    "-------- Пересылаемое сообщение --------",
    "---------- Пересылаемое сообщение ---------",
]

# Text that a careless splitter would cut.
PLAIN = [
    "On the surface this is fine.\n\nOn the other hand, he wrote:\n\nnothing of use.",
    "Ontem às 14:30 o cliente me escreveu:\n\nele quer 3 caixas a mais.",
    "Em 2026 o diretor escreveu:\n\nvamos crescer.",
    "Segue a viagem:\nDe: São Paulo\nPara: Recife\nData: 20/11/2026\n\nConfirma?",
    "Convite:\n\nData: 20/11/2026\nHora: 14:00\nLocal: Rua A, 10\n\nTraga o documento.",
    "Клиент написал:\n\nнужен счёт.",
    "Der Kunde schrieb:\n\nbitte liefern.",
    "Itens:\n- caneta\n- lápis\n\n-- cabe mais um?\n\nObrigado",
    "Segue o contato:\n\nJoão Lima\njoao@loja.example\n(11) 4000-1234",
    "Total\n-----\n100\n\nFico no aguardo.",
    "Obrigado,\n\nvou verificar amanhã\ne depois retorno",
    "I sent from my office the samples you asked for, please confirm\nthat they arrived.\n\nMary",
    "From: Jane Roe <jane@visitor.example>\nSubject: Quote\n\nMessage body:\nPlease send a quote.",
    "Enviado ontem o contrato assinado.",
    ">From the start we agreed on ten.\nSo ten it is.",
    "Отправлено курьером, ждите завтра.",
]


@pytest.mark.parametrize("header", ATTRIBUTIONS)
@pytest.mark.parametrize("quote", ["> old text\n> more", "old text\n\nmore old text"])
def test_header_line_ends_the_new_text(header: str, quote: str) -> None:
    parts = split_reply(f"New text.\n\nSecond line.\n\n{header}\n\n{quote}\n")
    assert parts == ReplyParts("New text.\n\nSecond line.", f"{header}\n\n{quote}", "")


@pytest.mark.parametrize("header", [header for header in ATTRIBUTIONS if "<" in header and " <" in header])
def test_header_line_may_be_wrapped(header: str) -> None:
    for place in (header.rindex(" <") + 1, header.rindex("<") + 1):
        wrapped = header[:place].rstrip() + "\n" + header[place:]
        assert split_reply(f"New text.\n\n{wrapped}\n\n> old").text == "New text."
        assert split_reply(f"New text.\n\n{wrapped}\n\nold").text == "New text."


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("rule", ["", "________________________________\n", "-----Original Message-----\n"])
def test_header_block_ends_the_new_text(block: str, rule: str) -> None:
    parts = split_reply(f"New text.\n\n{rule}{block}\n\nold text")
    assert parts == ReplyParts("New text.", f"{rule}{block}\n\nold text", "")


@pytest.mark.parametrize("separator", SEPARATORS)
def test_separator_ends_the_new_text(separator: str) -> None:
    assert split_reply(f"New text.\n\n{separator}\nold text").text == "New text."


@pytest.mark.parametrize("body", PLAIN)
def test_ordinary_text_is_left_whole(body: str) -> None:
    assert split_reply(body) == ReplyParts(body, "", "")


def test_answers_between_quotes_are_text() -> None:
    parts = split_reply("Hi,\n\nOn 1/2/2026 10:00, Ann wrote:\n> one?\nyes\n> two?\n>> older\n\nno\n> three")
    assert parts.text == "Hi,\n\nyes\nno"
    assert parts.quoted == "On 1/2/2026 10:00, Ann wrote:\n> one?\n> two?\n>> older\n> three"


def test_text_below_the_quote_is_text_and_its_signature_is_not() -> None:
    parts = split_reply("Ann wrote:\n> ten?\n\nTen it is.\n\n-- \nBob\nExample Ltd")
    assert parts == ReplyParts("Ten it is.", "Ann wrote:\n> ten?", "-- \nBob\nExample Ltd")


def test_forward_without_a_word_of_its_own_gives_the_forwarded_text() -> None:
    body = "---------- Forwarded message ---------\nFrom: Ann <ann@shop.example>\nDate: x\nSubject: y\nTo: z\n\nHelp!"
    parts = split_reply(body)
    assert parts.text == "Help!"
    assert parts.quoted.startswith("---------- Forwarded message")


def test_reply_without_a_word_of_its_own_has_no_text() -> None:
    assert split_reply("On Fri, 20 Nov 2026 at 14:03, A <a@b.example> wrote:\n> old\n").text == ""
    assert split_reply(BLOCKS[0] + "\n\nold").text == ""


def test_wrapped_end_of_a_quoted_line_is_quoted() -> None:
    long = "> " + "word " * 14 + "and the end of it is"
    parts = split_reply(f"New.\n\nAnn wrote:\n{long}\nwrapped here.\n> more")
    assert parts.text == "New."


def test_line_endings_and_invisible_marks_do_not_matter() -> None:
    body = "\ufeffOi\r\n\r\nAna <ana@loja.example> escreveu:\r\n> ok\r\n"
    assert split_reply(body).text == "Oi"


def test_header_in_the_middle_of_a_line() -> None:
    assert split_reply("Ok! On Wed, Apr 4, 2026 at 3:59 PM, ann@shop.example wrote:\n> Hi").text == "Ok!"


@pytest.mark.parametrize(
    "unit",
    [
        ">",
        ">\n",
        "> a\nb\n",
        "a:\n",
        "wrote:\n",
        "On 20/11/2026 14:03 A <a@b.example> ",
        "On 20/11/2026 14:03 A <a@b.example> wrote:\n> x\n",
        "From: a@b.example\n",
        "---------- Forwarded message ----------\n",
        "Regards,\nAna\n",
        "Sent from my iPhone\n",
        "_",
        "--\n",
        "\n",
        "<",
        "1",
    ],
)
def test_hostile_body_ends(unit: str) -> None:
    body = unit * (262_144 // len(unit))
    parts = split_reply(body)
    assert len(parts.text) + len(parts.quoted) + len(parts.signature) <= len(body) + 2
