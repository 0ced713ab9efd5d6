"""When two mails are the same mail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.model import Address, Attachment, FolderRole, Message
from store.folding import fold
from store.identity import identity, subject_key

AT = datetime(2026, 11, 22, 9, 30, 15, tzinfo=UTC)
MAIL = Message(
    account="rep1",
    folder="INBOX",
    ref="1:1",
    message_id="x@acme.example",
    sent_at=AT,
    received_at=AT,
    sender=Address("Ana@acme.example", "Ana"),
    to=(Address("one@vendas.example"), Address("two@vendas.example")),
    cc=(Address("three@vendas.example"),),
    subject="Proposta de preço",
    text="Bom dia,\n\nsegue a proposta.",
)


def test_where_a_copy_lies_how_big_and_when_it_came_do_not_enter() -> None:
    copy = replace(
        MAIL, account="rep2", folder="Sent", folder_role=FolderRole.SENT, ref="9:9", size=99, flags=("\\Seen",),
        received_at=AT + timedelta(days=9), headers=(("received", "elsewhere"),),
        sent_at=AT.astimezone(timezone(timedelta(hours=-3))) + timedelta(microseconds=900),
        sender=Address("ANA@acme.example"),
    )  # fmt: skip
    assert identity(copy) == identity(MAIL)


def test_body_and_subject_may_differ_under_the_same_id() -> None:
    other = replace(MAIL, subject="[Lista] " + MAIL.subject, text=MAIL.text + "\n-- \nLista")
    assert identity(other).key == identity(MAIL).key


@pytest.mark.parametrize(
    "other",
    [
        replace(MAIL, message_id="y@acme.example"),
        replace(MAIL, sender=Address("bob@acme.example")),
        replace(MAIL, sent_at=AT + timedelta(seconds=1)),
    ],
)
def test_another_id_sender_or_second_is_another_mail(other: Message) -> None:
    assert identity(other).key != identity(MAIL).key


def test_content_forgives_what_relays_change() -> None:
    relayed = replace(
        MAIL, message_id="", to=MAIL.cc + MAIL.to[:1], cc=MAIL.to[1:], subject="Fwd: RE: [Vendas] PROPOSTA  de preco",
        text="Bom dia, segue a\r\nproposta. ",
    )  # fmt: skip
    assert identity(relayed).content == identity(MAIL).content
    assert identity(relayed).key == "c:" + identity(MAIL).content


@pytest.mark.parametrize(
    "other",
    [
        replace(MAIL, text="Bom dia, segue outra proposta."),
        replace(MAIL, subject="Outra proposta"),
        replace(MAIL, cc=()),
        replace(MAIL, sent_at=AT + timedelta(seconds=1)),
        replace(MAIL, sender=Address("bob@acme.example")),
    ],
)
def test_content_tells_different_mails_apart(other: Message) -> None:
    assert identity(other).content != identity(MAIL).content


def test_mails_without_text_are_told_apart_by_their_attachments() -> None:
    scans = [
        replace(MAIL, text="", attachments=(Attachment(name=name, content_type="image/png"),))
        for name in ("1.png", "2.png")
    ]
    assert identity(scans[0]).content != identity(scans[1]).content


@pytest.mark.parametrize("thin", [replace(MAIL, sent_at=None), replace(MAIL, sender=None)])
def test_too_little_to_stand_in_for_an_id(thin: Message) -> None:
    assert identity(thin).content == ""
    assert identity(replace(thin, message_id="")).content


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [
        ("Proposta", "proposta"),
        ("Re: Proposta", "proposta"),
        ("RES: ENC: Proposta", "proposta"),
        ("Re[2]: Re(3): AW: WG: Proposta", "proposta"),
        ("TR : Réunion", "reunion"),
        ("Отв: Пересл: Цена на ёлку", "цена на елку"),
        ("На: Цена", "цена"),
        ("[Vendas] Re: [Ticket 12] Preço", "preco"),
        ("回复：报价", "报价"),
        ("Reforma", "reforma"),
        ("Re:", "re:"),
        ("", ""),
        ("Fwd:Fw:  fwd: x", "x"),
    ],
)
def test_subject_key(subject: str, wanted: str) -> None:
    assert subject_key(subject) == wanted


@given(st.text(max_size=300))
def test_subject_key_is_stable_under_replies(subject: str) -> None:
    key = subject_key(subject)
    assert subject_key(key) == key or not key
    if key and key == fold(subject).strip():
        assert subject_key("Re: " + subject) == key


@given(st.text(max_size=200))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  José  ÁVILA ", "jose avila"),
        ("Фёдор Чайковский", "федор чайковский"),
        ("STRASSE Straße", "strasse strasse"),
        ("Łódź Ærø", "lodz aero"),
        ("ACME\tLtda", "acme ltda"),
    ],
)
def test_fold(text: str, wanted: str) -> None:
    assert fold(text) == wanted
