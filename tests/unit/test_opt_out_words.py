"""Words by which people say that they want no mail, and sentences that only contain them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_samples import SETTINGS, mail

from connectors.model import Address
from daemon.optouts import OPT_OUTS, POLITE, is_opt_out, tokens_in, wants_no_mail

NOW = datetime(2026, 11, 18, 13, 0, tzinfo=UTC)
SAID = [
    "stop",
    "STOP!",
    "Stop.",
    "  unsubscribe\n",
    "Please unsubscribe me. Thanks!",
    "remove me from your list",
    "take me off your list, please",
    "Don't email me again.",
    "sair",
    "SAIR",
    "Descadastrar",
    "Por favor, me remova da lista. Obrigada",
    "cancelar inscrição",
    "CANCELAR INSCRICAO",
    "remover",
    "Olá, não quero mais receber e-mails. Obrigado",
    "отписаться",
    "Отпишите меня",
    "отпишите меня, пожалуйста",
    "СТОП",
    "Больше не пишите мне!",
    "Baja",
    "Quiero darme de baja, gracias",
    "no más correos",
    "Bitte abmelden",
    "ich mochte mich abmelden",
    "Keine E-Mails mehr, bitte.",
    "désabonner",
    "Desabonnez moi svp",
    "Bonjour,\nje veux me désinscrire.\nMerci",
]
NOT_SAID = [
    "",
    "please stop by tomorrow",
    "Can you stop the delivery of order 88?",
    "stop the production of the boxes",
    "I will not stop buying from you",
    "How do I unsubscribe a user in your software?",
    "Vamos sair para almoçar?",
    "sair do estoque",
    "Pode remover o item 3 do pedido",
    "cancelar",
    "Cancelar o pedido",
    "cancelar assinatura",
    "não",
    "Нет",
    "стоп-кран на складе сломан",
    "не пишите цену в договоре",
    "baja de precio",
    "La baja del servicio es mañana",
    "Abmelden Sie bitte Herrn Müller von der Schulung",
    "Les travaux, arrêtez-les demain",
    "ok",
    "obrigado",
    "please",
    "stop " * 60,
]


@pytest.mark.parametrize("text", SAID)
def test_an_opt_out(text: str) -> None:
    assert is_opt_out(text)


@pytest.mark.parametrize("text", NOT_SAID)
def test_no_opt_out(text: str) -> None:
    assert not is_opt_out(text)


def test_no_phrase_is_longer_than_six_words() -> None:
    assert max(len(words) for words in OPT_OUTS) <= 6
    assert not OPT_OUTS & POLITE


ORDINARY = "by tomorrow order invoice caixas pedido amanhã cliente завтра заказ цена mañana morgen Lieferung demain"
PHRASES = st.sampled_from(sorted(OPT_OUTS)).map(" ".join)
WORDS = st.lists(st.sampled_from(ORDINARY.split()), min_size=1, max_size=6).map(" ".join)


@given(PHRASES, WORDS, st.sampled_from([" ", "\n", ", "]))
def test_a_phrase_inside_a_longer_text_is_no_opt_out(phrase: str, rest: str, gap: str) -> None:
    assert not is_opt_out(phrase + gap + rest)
    assert not is_opt_out(rest + gap + phrase)
    assert not is_opt_out(rest + gap + phrase + gap + rest)


@given(
    PHRASES,
    st.sampled_from([str.upper, str.title, str.lower]),
    st.sampled_from(["", ".", "!", "...", " :)", "\n\n"]),
    st.sampled_from(["", "Please, ", "Por favor ", "Прошу ", "Bitte ", "\n"]),
)
def test_case_signs_and_politeness_change_nothing(phrase: str, form: Any, end: str, start: str) -> None:
    assert is_opt_out(start + form(phrase) + end)


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    assert isinstance(is_opt_out(text, [text]), bool)


def test_the_writers_name_may_stand_below() -> None:
    assert is_opt_out("Sair\nMaria Silva", ["Maria Silva"])
    assert is_opt_out("Stop, please.\n\nMARIA", ["Maria Silva", ""])
    assert not is_opt_out("Stop\nJohn", ["Maria Silva"])
    assert not is_opt_out("Maria", ["Maria Silva"])


def test_the_subject_speaks_where_there_is_no_text() -> None:
    assert wants_no_mail(mail(subject="Unsubscribe", text=""))
    assert not wants_no_mail(mail(subject="Unsubscribe", text="Here is the list you asked for."))
    assert not wants_no_mail(mail(subject="Unsubscribe", text="", degraded=("header only: too large",)))
    assert not wants_no_mail(mail(subject="", text=""))


TOKEN = "7K2M9PQRSTUVWX23456789ABCD"


@pytest.mark.parametrize(
    "subject",
    [f"unsubscribe CRM-{TOKEN}", f"Re: unsubscribe crm-{TOKEN.lower()}", f"unsubscribe%20CRM-{TOKEN}", f"CRM-{TOKEN}."],
)
def test_the_token_in_a_subject(subject: str) -> None:
    assert tokens_in(mail(subject=subject), SETTINGS) == (TOKEN,)


@pytest.mark.parametrize("subject", ["", "Reminder [CRM-4F2K]", "CRM-software", f"CRM-{TOKEN * 3}"])
def test_no_token(subject: str) -> None:
    assert tokens_in(mail(subject=subject), SETTINGS) == ()


def test_the_token_behind_our_plus() -> None:
    to = (Address(f"ana+{TOKEN.lower()}@vendas.example"), Address(f"x+{TOKEN}@elsewhere.example"))
    assert tokens_in(mail(to=to), SETTINGS) == (TOKEN,)


@pytest.mark.parametrize("polite", sorted(" ".join(words) for words in POLITE))
def test_a_polite_word_before_or_behind_changes_nothing(polite: str) -> None:
    assert is_opt_out(f"stop, {polite}")
    assert is_opt_out(f"{polite}\nunsubscribe me")
