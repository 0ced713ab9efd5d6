"""The sample office that comes with quietcrm: what its mails promise to be."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.demo.sample import (
    SampleMail,
    arrival,
    deliver,
    lay_out,
    make_mailbox,
    sample_events,
    sample_mails,
    write_office,
)

RECEIVED = b"Received: from a by b; Tue, 10 Nov 2026 09:12:30 -0300\nDate: Mon, 9 Nov 2026 00:00:00 +0000\n\nx\n"


@pytest.fixture(scope="module")
def mails() -> list[SampleMail]:
    return sample_mails()


def test_enough_mail_of_every_encoding(mails: list[SampleMail]) -> None:
    assert len(mails) >= 60
    everything = b"\n".join(mail.data for mail in mails).lower()
    for said in (
        b"quoted-printable",
        b"encoding: base64",
        b"encoding: 8bit",
        b"koi8-r",
        b"windows-1251",
        b"report-type",
    ):
        assert said in everything, said


def test_raw_bytes_of_old_russian_charsets(mails: list[SampleMail]) -> None:
    for charset, word in (("koi8-r", "Ромашка"), ("windows-1251", "Спецификацию".lower())):
        assert any(word.encode(charset) in mail.data for mail in mails), charset


def test_each_state_of_a_meeting_is_laid_out_once(tmp_path: Path) -> None:
    events = sample_events()
    assert len({event.name for event in events}) == 3
    first, later = [event for event in events if event.name == "livraria-capas.ics"]
    assert first.at < later.at
    assert lay_out(tmp_path, first, ())
    assert not lay_out(tmp_path, first, ())
    assert lay_out(tmp_path, later, [first.data])
    assert not lay_out(tmp_path, first, ())
    assert not lay_out(tmp_path, later, [first.data])
    (tmp_path / later.name).write_bytes(b"mine")
    assert not lay_out(tmp_path, later, [first.data])
    assert b"CATEGORIES:no-show" in later.data


def test_only_reserved_addresses(mails: list[SampleMail]) -> None:
    for mail in mails:
        for domain in re.findall(rb"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)", mail.data.replace(b"=\n", b"")):
            assert domain.lower().endswith(b".example"), (mail.name, domain)


def test_the_arrival_is_the_servers_word() -> None:
    assert arrival(RECEIVED) == datetime(2026, 11, 10, 12, 12, 30, tzinfo=UTC)


def test_delivering_twice_is_delivering_once(tmp_path: Path, mails: list[SampleMail]) -> None:
    make_mailbox(tmp_path)
    assert deliver(tmp_path, mails[0])
    assert not deliver(tmp_path, mails[0])
    (path,) = (tmp_path / "cur").iterdir()
    assert path.read_bytes() == mails[0].data
    assert path.stat().st_mtime == mails[0].at.timestamp()


def test_what_a_person_changed_in_the_office_stays(tmp_path: Path) -> None:
    write_office(tmp_path)
    (tmp_path / "quietcrm.yaml").write_text("mine")
    write_office(tmp_path)
    assert (tmp_path / "quietcrm.yaml").read_text() == "mine"
    assert (tmp_path / "rules" / "20-sales.yaml").exists()
    assert not (tmp_path / "mail").exists()
