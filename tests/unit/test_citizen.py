"""Which mails may cause one that leaves by itself: by header, kind, folder and address."""

from __future__ import annotations

import pytest
from rule_samples import mail

from connectors.model import Kind, Message
from daemon.citizen import is_no_reply, why_no_answer


def headed(name: str, value: str) -> Message:
    return mail(headers=(("from", "x"), (name, value)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auto-submitted", "auto-replied"),
        ("auto-submitted", "auto-generated; owner-email=x"),
        ("auto-submitted", "Auto-Notified"),
        ("precedence", "bulk"),
        ("precedence", " List"),
        ("precedence", "JUNK"),
        ("list-id", "<a.example>"),
        ("list-unsubscribe", "<mailto:x@a.example>"),
        ("list-post", "NO"),
        ("return-path", "<>"),
        ("return-path", " < > "),
        ("x-spam-flag", "YES"),
        ("x-spam-status", "Yes, score=9.1"),
        ("x-quietcrm", "send"),
        ("x-quietcrm-hop", "1"),
        ("x-auto-response-suppress", "DR, OOF, AutoReply"),
        ("x-auto-response-suppress", "All"),
    ],
)
def test_headers_that_forbid_an_answer(name: str, value: str) -> None:
    assert why_no_answer(headed(name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auto-submitted", "no"),
        ("auto-submitted", "No; reason=x"),
        ("auto-submitted", ""),
        ("precedence", "first-class"),
        ("return-path", "<maria@sol.example>"),
        ("x-spam-flag", "NO"),
        ("x-spam-status", "No, score=-1"),
        ("x-auto-response-suppress", "OOF"),
        ("listening", "x"),
        ("x-mailer", "Outlook"),
    ],
)
def test_headers_that_do_not(name: str, value: str) -> None:
    assert why_no_answer(headed(name, value)) == ""


@pytest.mark.parametrize("kind", [one for one in Kind if one is not Kind.HUMAN])
def test_only_a_person_is_answered(kind: Kind) -> None:
    assert kind.value in why_no_answer(mail(kind=kind))


@pytest.mark.parametrize("folder", ["Junk", "INBOX.Spam", "[Gmail]/Spam", "Lixo Eletrônico", "Archive/Junk E-mail"])
def test_what_lies_in_junk_is_not_answered(folder: str) -> None:
    assert "Junk" in why_no_answer(mail(folder=folder))


@pytest.mark.parametrize("folder", ["INBOX", "Spam filter project", "Customers/Junker GmbH"])
def test_other_folders_are(folder: str) -> None:
    assert why_no_answer(mail(folder=folder)) == ""


@pytest.mark.parametrize(
    "address",
    [
        "no-reply@a.example",
        "noreply@a.example",
        "NoReply2@a.example",
        "do-not-reply@a.example",
        "donotreply+x@a.example",
        "nao-responda@a.example",
        "não-responda@a.example",
        "MAILER-DAEMON@a.example",
        "postmaster@a.example",
        "bounces+123=x@a.example",
        "owner-list@a.example",
        "list-request@a.example",
    ],
)
def test_addresses_that_nobody_reads(address: str) -> None:
    assert is_no_reply(address)


@pytest.mark.parametrize("address", ["maria@a.example", "norbert@a.example", "bouncer@a.example", "reply@a.example"])
def test_addresses_of_people(address: str) -> None:
    assert not is_no_reply(address)
