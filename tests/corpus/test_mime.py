"""Hard mails of other projects: nothing raises, no text is lost, stated subjects and senders are found."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.mail.mime import build_message, read_mail
from connectors.model import Message, RawMail

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MISSED = {"stalwart/eml/legacy/027.eml"}
"""The subject has an undeclared byte F6, which stands for the replacement character in the answer; we read "ö"."""

Row = tuple[str, dict[str, str], bytes, Message]


@pytest.fixture(scope="module")
def rows(corpora: Path) -> list[Row]:
    found = []
    for index in sorted((corpora / "3_mime").glob("*/index.csv")):
        for row in csv.DictReader(index.read_text().splitlines()):
            data = (index.parent / row["path"]).read_bytes()
            raw = RawMail(account="a", folder="f", ref=row["path"], received_at=NOON, whole=data)
            found.append((f"{index.parent.name}/{row['path']}", row, data, build_message(raw, read_mail(raw))))
    return found


def test_stated_subjects_and_senders(rows: list[Row]) -> None:
    missed = set()
    stated = 0
    for name, row, _, mail in rows:
        stated += bool(row["subject"]) + bool(row["from"])
        if row["subject"] and mail.subject.strip() != row["subject"].strip():
            missed.add(name)
        if row["from"] and (mail.sender is None or mail.sender.key != row["from"].lower()):
            missed.add(name)
    assert stated > 50
    assert missed <= MISSED


def test_no_text_is_lost(rows: list[Row]) -> None:
    """A mail whose text part has words has words in the message."""
    empty = [
        name
        for name, _, data, mail in rows
        if b"text/plain" in data
        and len(data) > 3000
        and not (mail.text or mail.quoted or mail.signature or mail.attachments)
    ]
    assert empty == []


def test_no_control_characters(rows: list[Row]) -> None:
    for name, _, _, mail in rows:
        text = "\n".join(
            (mail.subject, mail.text, mail.quoted, mail.signature, *(item.name for item in mail.attachments))
        )
        assert "\x00" not in text, name
        text.encode("utf-8")
