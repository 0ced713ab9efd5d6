"""`quietcrm shadow`: one mailbox by IMAP from a real Dovecot and as the Maildir beneath it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from servers.users import ImapUser
from test_cli import Answer

from daemon.cli.main import main

NOW = datetime.now(UTC).replace(microsecond=0)
Call = Callable[..., Answer]


def letter(name: str, *, text: str = "hello", sender: str = "ivan", days: float = 1, subject: str = "offer") -> bytes:
    """One plain mail of so many days ago."""
    at = format_datetime(NOW - timedelta(days=days))
    head = f"From: {sender}@acme.example\r\nTo: ana@vendas.example\r\nSubject: {subject}\r\nDate: {at}\r\n"
    return f"{head}{f'Message-ID: <{name}@acme.example>' if name else 'X-None: 1'}\r\n\r\n{text}\r\n".encode()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUIETCRM_CONFIG", raising=False)
    monkeypatch.setenv("ANA", "secret")

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["quietcrm", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return run


@pytest.fixture
def mailbox(imap_user: ImapUser, tmp_path: Path) -> ImapUser:
    """Ana's mailbox on the Dovecot, and an office that reads it by both ways."""
    server = imap_user.server
    (tmp_path / "quietcrm.yaml").write_text(
        "company: {name: Vendas, zone: Europe/Lisbon, language: en}\n"
        'internal: ["@vendas.example"]\n'
        "team: {ana: {mail: ana@vendas.example}}\n"
        "accounts:\n"
        f"  old: {{type: imap, rep: ana, host: 127.0.0.1, port: {server.port}, security: none,\n"
        f"        login: {imap_user.name}, password: {{env: ANA}}}}\n"
        f"  new: {{type: maildir, rep: ana, path: {server.maildir(imap_user.name)}}}\n"
    )
    return imap_user


def deliver(mailbox: ImapUser, raw: bytes, *, days: float = 1, folder: str = "INBOX") -> Path:
    at = NOW - timedelta(days=days)
    return mailbox.server.deliver(mailbox.name, raw, folder=folder, flags="S", received_at=at)


def told(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.out)
    return found


def test_the_same_mailbox_has_no_difference(mailbox: ImapUser, call: Call) -> None:
    for number in range(5):
        deliver(mailbox, letter(f"m{number}"))
    deliver(mailbox, letter("", text="without an id"))
    deliver(mailbox, letter("old", days=90), days=90)
    deliver(mailbox, letter("sent", sender="ana"), folder="Sent")
    answer = call("shadow", "old", "new", "--json")
    assert answer.code == 0, answer
    data = told(answer)
    assert data["same"] == 7
    assert data["only_in"] == {"old": [], "new": []}
    assert data["accounts"]["old"] == {"read": 7, "unreadable": 0, "complete": True}
    before = mailbox.server.flags(mailbox.name)
    plain = call("shadow", "old", "new", "--since", "120 days")
    assert plain.code == 0
    assert "the same in both since" in plain.out
    assert "no difference" in plain.out
    assert mailbox.server.flags(mailbox.name) == before


def test_what_differs_is_named(mailbox: ImapUser, call: Call, tmp_path: Path) -> None:
    """The second way is a copy that went its own way."""
    import shutil

    deliver(mailbox, letter("both"))
    deliver(mailbox, letter("words", text="one\r\n  two"))
    only_old = deliver(mailbox, letter("only-old", subject="left \x1b[31m behind"), days=2)
    deliver(mailbox, letter("date", days=3), days=3)
    copy = tmp_path / "copy"
    shutil.copytree(mailbox.server.maildir(mailbox.name), copy)
    for path in copy.glob("cur/*"):
        raw = path.read_bytes()
        if path.name == only_old.name:
            path.unlink()
        elif b"<words@" in raw:
            path.write_bytes(raw.replace(b"one\r\n  two", b"One  TWO"))
        elif b"<date@" in raw:
            path.write_bytes(letter("date", days=4, text="other"))
    (copy / "cur" / "9.only.new:2,S").write_bytes(letter("only-new"))
    settings = tmp_path / "quietcrm.yaml"
    settings.write_text(settings.read_text().replace(str(mailbox.server.maildir(mailbox.name)), str(copy)))
    answer = call("shadow", "old", "new", "--json")
    assert answer.code == 1
    data = told(answer)
    assert data["same"] == 2
    assert [one["message_id"] for one in data["only_in"]["old"]] == ["only-old@acme.example"]
    assert [one["message_id"] for one in data["only_in"]["new"]] == ["only-new@acme.example"]
    (other,) = data["differing"]
    assert (other["message_id"], other["fields"]) == ("date@acme.example", ["date", "text"])
    assert other["old"]["date"] > other["new"]["date"]
    plain = call("shadow", "old", "new")
    assert plain.code == 1
    assert "only in old: 1" in plain.out
    assert "under one Message-ID, but not the same: 1" in plain.out
    assert "\x1b" not in plain.out


def test_a_limit_claims_nothing_it_cannot_know(mailbox: ImapUser, call: Call) -> None:
    for number in range(6):
        deliver(mailbox, letter(f"m{number}"))
    answer = call("shadow", "old", "new", "--limit", "3", "--json")
    assert answer.code == 7
    data = told(answer)
    assert data["only_in"] == {"old": [], "new": []}
    assert not data["accounts"]["old"]["complete"]
    plain = call("shadow", "old", "new", "--limit", "3")
    assert "raise --limit" in plain.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("old", "nobody"), 4, 'no account "nobody"'),
        (("old", "old"), 2, "two different accounts"),
        (("old", "new", "--since", "soon"), 2, "not a length of time"),
    ],
)
def test_what_it_cannot_do(words: tuple[str, ...], code: int, said: str, mailbox: ImapUser, call: Call) -> None:
    answer = call("shadow", *words)
    assert answer.code == code
    assert said in answer.err


def test_a_server_that_is_away(mailbox: ImapUser, call: Call, tmp_path: Path) -> None:
    settings = tmp_path / "quietcrm.yaml"
    settings.write_text(settings.read_text().replace(f"port: {mailbox.server.port}", "port: 1"))
    assert call("shadow", "old", "new").code == 6
