"""The made-up office is what it says: the same every time, and its truth agrees with the headers of its mails."""

from __future__ import annotations

import csv
import imaplib
from collections import Counter
from email import message_from_bytes
from email.policy import compat32
from email.utils import getaddresses
from pathlib import Path

import pytest
from servers.dovecot import DovecotServer
from servers.letters import BREAKS
from servers.mailboxes import Office, generate
from servers.people import OFFICE_DOMAIN


@pytest.fixture(scope="module")
def office() -> Office:
    return generate(seed=1, count=3000)


def test_same_arguments_same_office(office: Office) -> None:
    assert generate(seed=1, count=3000) == office
    assert generate(seed=2, count=50).messages != generate(seed=1, count=50).messages


def test_the_office_is_mixed_enough(office: Office) -> None:
    assert len(office.messages) == 3000
    assert office.shared >= 0.3
    assert min(office.outcomes().values()) > 100
    traits = Counter(trait for each in office.messages for trait in each.truth.traits)
    assert {*BREAKS, "look_alike", "tagged_copy", "internal_forward"} == set(traits)
    kinds = {each.truth.kind for each in office.messages}
    assert kinds == {"human", "bulk", "auto_reply", "out_of_office", "bounce", "notice", "invitation"}
    everything = b"".join(each.raw.lower() for each in office.messages)
    for charset in (b"us-ascii", b"utf-8", b"iso-8859-1", b"koi8-r", b"windows-1251", b"gb2312"):
        assert b'charset="' + charset in everything
    assert len(office.truth) == len(office.messages)


def test_truth_agrees_with_the_headers(office: Office, tmp_path: Path) -> None:
    """Who takes part, looked up in the list that is imported, gives the stated customers."""
    office.customers_csv(tmp_path / "customers.csv")
    with (tmp_path / "customers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = {row["email"]: row["company"] or row["name"] for row in rows if row["email"]}
    known |= {f"@{row['domain']}": row["company"] for row in rows if row["domain"]}
    for each in office.messages:
        headers = message_from_bytes(each.raw, policy=compat32)
        lines = [str(value) for name in ("From", "To", "Cc") for value in headers.get_all(name, [])]
        outside = {email.lower() for _, email in getaddresses(lines) if "@" in email}
        outside = {email for email in outside if not email.endswith(f"@{OFFICE_DOMAIN}")}
        found = {known.get(email) or known.get(f"@{email.partition('@')[2]}") for email in outside} - {None}
        assert found == set(each.truth.customers), each.truth
        outcome = "logged" if found else "unmatched" if outside else "internal"
        assert outcome == each.truth.outcome, each.truth


def test_mailboxes_on_the_server_hold_every_copy(dovecot: DovecotServer) -> None:
    office = generate(seed=3, count=300)
    office.write_maildirs(dovecot)
    stated = Counter((copy.rep, copy.folder) for each in office.messages for copy in each.copies)
    found: Counter[tuple[str, str]] = Counter()
    for rep in office.reps:
        for line in dovecot.doveadm("mailbox", "status", "-u", rep.login, "messages", "*").splitlines():
            folder, _, count = line.rpartition(" messages=")
            found[rep.login, folder] += int(count)
    assert +found == stated
    assert Counter(key[0] for key in dovecot.flags("rep1")) == {
        folder: count for (rep, folder), count in stated.items() if rep == "rep1"
    }
    with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
        client.login("rep1", "secret")
        client.select("INBOX", readonly=True)
        _, answer = client.search(None, "KEYWORD", "cliente-vip")
    inbox = [copy for each in office.messages for copy in each.copies if (copy.rep, copy.folder) == ("rep1", "INBOX")]
    assert len(answer[0].split()) == sum("b" in copy.flags for copy in inbox)


def test_later_mail_arrives_in_a_renumbered_mailbox(dovecot: DovecotServer) -> None:
    office = generate(seed=4, count=100, later=20)
    office.write_maildirs(dovecot)
    before = dovecot.flags("rep2")
    assert len(before) == office.seen()["rep2"]
    stated = dovecot.new_uidvalidity("rep2")
    office.deliver_later(dovecot)
    after = dovecot.flags("rep2")
    assert len(after) - len(before) == sum(copy.rep == "rep2" for each in office.later for copy in each.copies)
    assert f"uidvalidity={stated}" in dovecot.doveadm("mailbox", "status", "-u", "rep2", "uidvalidity", "INBOX")
    assert len(office.truth) == 120
