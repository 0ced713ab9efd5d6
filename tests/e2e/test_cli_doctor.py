"""What `doctor` finds on real servers and files, that its remedy mends it, and that one trouble hides no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from servers.dovecot import DovecotServer
from servers.process import free_port
from servers.smtp_sink import SmtpSink
from servers.users import ImapUser

PROGRAM = Path(sys.executable).parent / "quietcrm"
BASE = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: en}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}}
"""
LETTER = b"""From: Zoe <zoe@acme.example>
To: ana@vendas.example
Subject: price list
Message-ID: <1@acme.example>
Date: Mon, 12 Oct 2026 10:00:00 +0000

How much is it?
"""


def imap(server: DovecotServer, login: str, *, secret: str = "SECRET", port: int = 0) -> str:
    """An account on a test server."""
    return (
        f"{{type: imap, rep: ana, host: localhost, port: {port or server.port}, security: none, login: {login}, "
        f"password: {{env: {secret}}}, since: 2020-01-01}}"
    )


def write(folder: Path, accounts: dict[str, str], more: str = "") -> Path:
    """A configuration with these accounts."""
    lines = "".join(f"  {name}: {text}\n" for name, text in accounts.items())
    folder.mkdir(exist_ok=True)
    (folder / "quietcrm.yaml").write_text(f"{BASE}accounts:\n{lines}{more}")
    return folder


def doctor(folder: Path, code: int = 0, **environment: str) -> list[dict[str, Any]]:
    """Its findings; it must end with `code`."""
    done = subprocess.run(
        [PROGRAM, "--config", folder, "doctor", "--json"],
        capture_output=True, text=True, timeout=60,
        env={"PATH": os.environ["PATH"], "SECRET": "secret", **environment},
    )  # fmt: skip
    assert done.returncode == code, (done.stdout, done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return found


def of(findings: list[dict[str, Any]], about: str, level: str) -> list[dict[str, Any]]:
    """Those about one thing at one level."""
    return [one for one in findings if one["about"] == about and one["level"] == level]


def test_a_sound_office(imap_user: ImapUser, smtp_sink: SmtpSink, tmp_path: Path) -> None:
    imap_user.server.deliver(imap_user.name, LETTER, flags="S", received_at=datetime(2026, 10, 12, tzinfo=UTC))
    imap_user.server.make_mailbox(imap_user.name, "Clientes")
    before = imap_user.server.flags(imap_user.name)
    sender = f"senders:\n  ana: {{type: smtp, host: localhost, port: {smtp_sink.port}, security: none}}\n"
    findings = doctor(write(tmp_path / "a", {"ana": imap(imap_user.server, imap_user.name)}, sender))
    told = [one["message"] for one in of(findings, "account ana", "ok")]
    assert "reads INBOX (inbox), Sent (sent), Clientes; leaves out" in "\n".join(told)
    assert "Drafts (drafts)" in "\n".join(told)
    assert "the server keeps keywords of our own" in told
    (mail,) = [one["mail"] for one in findings if "mail" in one]
    assert (mail["subject"], mail["message_id"], mail["outcome"]) == ("price list", "1@acme.example", "unmatched")
    assert of(findings, "sender ana", "ok")
    assert not [one for one in findings if one["level"] == "fail"]
    assert imap_user.server.flags(imap_user.name) == before
    assert smtp_sink.mails == []
    assert not (tmp_path / "a/state").exists()


def test_one_trouble_hides_no_other_and_login_comes_before_network(imap_user: ImapUser, tmp_path: Path) -> None:
    imap_user.server.deliver(imap_user.name, LETTER)
    accounts = {
        "good": imap(imap_user.server, imap_user.name),
        "silent": imap(imap_user.server, imap_user.name, port=free_port()),
    }
    assert of(doctor(write(tmp_path / "a", accounts), 6), "account silent", "fail")
    accounts["refused"] = imap(imap_user.server, imap_user.name, secret="WRONG")
    accounts["unset"] = imap(imap_user.server, imap_user.name, secret="UNSET")
    sender = f"senders:\n  ana: {{type: smtp, host: localhost, port: {free_port()}, security: none}}\n"
    findings = doctor(write(tmp_path / "a", accounts, sender), 5, WRONG="wrong")
    failed = {one["about"]: one for one in findings if one["level"] == "fail"}
    assert set(failed) == {"account silent", "account refused", "account unset", "sender ana"}
    assert all(one["remedy"] for one in failed.values())
    assert "UNSET" in failed["account unset"]["message"]
    assert [one["mail"]["subject"] for one in of(findings, "account good", "ok") if "mail" in one] == ["price list"]


def test_missing_folders_and_an_empty_mailbox_are_told(start_dovecot: Any, tmp_path: Path) -> None:
    from servers.dovecot import DovecotOptions

    server = start_dovecot(DovecotOptions(special_use=False))
    server.add_user("bare")
    for name in ("Sent", "Drafts"):
        server.doveadm("mailbox", "delete", "-u", "bare", name)
    findings = doctor(write(tmp_path / "a", {"ana": imap(server, "bare")}))
    warned = {one["message"]: one["remedy"] for one in of(findings, "account ana", "warn")}
    assert any(message.startswith("no folder of sent mail") for message in warned)
    assert any(message.startswith("no Drafts folder") for message in warned)
    assert "there is no mail to read" in warned
    assert all(warned.values())


def maildir(folder: Path) -> dict[str, str]:
    """An account on files with one mail."""
    for name in ("cur", "new", "tmp"):
        (folder / "Maildir" / name).mkdir(parents=True, exist_ok=True)
    (folder / "Maildir/cur/1.a:2,S").write_bytes(LETTER)
    return {"ana": "{type: maildir, rep: ana, path: Maildir, since: 2020-01-01}"}


def test_clocks_that_differ(tmp_path: Path) -> None:
    folder = write(tmp_path, maildir(tmp_path))
    later = (datetime.now(UTC) + timedelta(hours=3)).timestamp()
    os.utime(tmp_path / "Maildir/cur/1.a:2,S", (later, later))
    (warned,) = of(doctor(folder), "account ana", "warn")
    assert "180 minutes in the future" in warned["message"]


def test_an_open_state_folder_is_mended_by_the_remedy(tmp_path: Path) -> None:
    folder = write(tmp_path, maildir(tmp_path))
    (folder / "state").mkdir(mode=0o755)
    (folder / "state").chmod(0o755)
    (warned,) = of(doctor(folder), "state", "warn")
    subprocess.run(["sh", "-c", warned["remedy"].removeprefix("run: ")], check=True)
    assert of(doctor(folder), "state", "ok")


def test_an_open_secret_file_is_told(imap_user: ImapUser, tmp_path: Path) -> None:
    account = imap(imap_user.server, imap_user.name).replace("{env: SECRET}", "{file: ana.txt}")
    folder = write(tmp_path / "a", {"ana": account})
    (folder / "ana.txt").write_text("secret\n")
    (folder / "ana.txt").chmod(0o644)
    (warned,) = of(doctor(folder), "secrets", "warn")
    assert warned["remedy"] == f"run: chmod 600 {folder / 'ana.txt'}"


def test_a_damaged_store_is_told_and_the_mailboxes_are_still_looked_at(tmp_path: Path) -> None:
    folder = write(tmp_path, maildir(tmp_path))
    subprocess.run([PROGRAM, "--config", folder, "db", "upgrade"], check=True, capture_output=True, timeout=60)
    assert of(doctor(folder), "store", "ok")
    database = folder / "state/crm.db"
    raw = bytearray(database.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    database.write_bytes(raw)
    findings = doctor(folder, 1)
    (failed,) = of(findings, "store", "fail")
    assert "db restore" in failed["remedy"]
    assert of(findings, "account ana", "ok")


@pytest.mark.parametrize("name", ["nobody", "carl"])
def test_people_whom_nothing_reaches(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, maildir(tmp_path))
    text = (folder / "quietcrm.yaml").read_text()
    more = f"team: {{ana: {{mail: ana@vendas.example}}, {name}: {{mail: {name}@vendas.example}}}}"
    (folder / "quietcrm.yaml").write_text(text.replace("team: {ana: {mail: ana@vendas.example}}", more))
    (warned,) = of(doctor(folder), f"person {name}", "warn")
    assert f"rep: {name}" in warned["remedy"]


SENDING = """\
send: {auto_templates: [thanks]}
senders:
  ana: {type: smtp, host: localhost, port: PORT, security: none}
  carl: {type: smtp, host: localhost, port: PORT, security: none}
"""
TEAM = "team: {ana: {mail: ana@vendas.example}"


def sending(folder: Path, accounts: dict[str, str], port: int, mode: str = "on") -> Path:
    """An office of three people with a rule that sends."""
    write(folder, accounts, SENDING.replace("PORT", str(port)))
    text = (folder / "quietcrm.yaml").read_text()
    more = ", bruno: {mail: bruno@vendas.example}, carl: {mail: carl@vendas.example}"
    (folder / "quietcrm.yaml").write_text(text.replace(TEAM, TEAM + more))
    for name in ("rules", "templates"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "templates/thanks.md").write_text("---\nname: thanks\nsubject: Thanks\n---\nWe got it.\n")
    rule = f"{{name: thanks, mode: {mode}, when: mail arrives, if: {{known: yes}}, then: {{send: thanks}}}}"
    (folder / "rules/10.yaml").write_text(f"rules:\n  - {rule}\n")
    return folder


def test_who_can_send_by_rule_and_who_cannot(smtp_sink: SmtpSink, tmp_path: Path) -> None:
    findings = doctor(sending(tmp_path, maildir(tmp_path), smtp_sink.port))
    (good,) = of(findings, "sends of ana", "ok")
    assert good["message"] == "leave by ana, after a look into ana (rules: thanks)"
    (without_sender,) = of(findings, "sends of bruno", "warn")
    assert "mail that a rule sends for bruno is held" in without_sender["message"]
    assert "rep: bruno" in without_sender["remedy"]
    (without_mailbox,) = of(findings, "sends of carl", "warn")
    assert "no mailbox of carl is read" in without_mailbox["message"]
    assert smtp_sink.mails == []


def test_where_no_rule_sends_nothing_is_said_of_it(smtp_sink: SmtpSink, tmp_path: Path) -> None:
    findings = doctor(sending(tmp_path, maildir(tmp_path), smtp_sink.port, mode="off"))
    assert not [one for one in findings if one["about"].startswith("sends of")]


def test_a_mailbox_that_cannot_be_read_holds_the_mail_of_its_customers(smtp_sink: SmtpSink, tmp_path: Path) -> None:
    accounts = maildir(tmp_path) | {"gone": "{type: maildir, rep: carl, path: nowhere, since: 2020-01-01}"}
    findings = doctor(sending(tmp_path, accounts, smtp_sink.port), 3)
    (warned,) = of(findings, "account gone", "warn")
    assert "is held" in warned["message"]
    assert not of(findings, "account ana", "warn")
