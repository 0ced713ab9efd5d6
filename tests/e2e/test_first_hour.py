"""An admin's first hour: the commands of docs/quick-start.md, taken from the page, run as they stand on a real server.

Only what the page tells the reader to put in himself differs: the block of values (server, login, folder), and the
editor, which here is a program that throws out who is no customer.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses
from pathlib import Path

import pytest
from page_walks import BIN, DOCS, Shell, await_end, await_loaded, await_that, blocks, log_of, terminal
from servers.dovecot import DovecotServer
from servers.mailboxes import Office, generate

PAGE = DOCS / "quick-start.md"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[DovecotServer, Office]]:
    """A Dovecot with the mailboxes of a sales office of the last months."""
    office = generate(11, 240, start=datetime.now(UTC) - timedelta(days=500))
    with DovecotServer() as dovecot:
        office.write_maildirs(dovecot)
        yield dovecot, office


@pytest.fixture
def shell(server: tuple[DovecotServer, Office], tmp_path: Path) -> Iterator[Shell]:
    """A terminal with the reader's own values."""
    with terminal(server[0], tmp_path) as found:
        yield found


@pytest.mark.timeout(900)  # some dozens of commands, one after the other
def test_the_page_can_be_followed(shell: Shell, server: tuple[DovecotServer, Office]) -> None:
    _, office = server
    flags = server[0].flags("rep1")
    said: dict[str, str] = {}
    shown = ""
    for block in blocks(PAGE):
        if block.words[:1] == ("text",):
            assert block.text == shown
        if block.words[:1] != ("sh",) or block.words[1:2] in (("install",), ("values",)):
            continue
        word = block.words[1] if len(block.words) > 1 else ""
        shown = shell.run(block.text, code=int(word.removeprefix("exits-")) if word.startswith("exits-") else 0)
        said[block.text] = shown
        if word == "run":
            await_loaded(shell)
        elif word == "reload":
            await_that(lambda: "config.refused" in log_of(shell), "the broken rules are refused")
        elif word == "stop":
            await_end(shell)
    assert_told(said, office)
    after = server[0].flags("rep1")
    assert {place: after.get(place) for place in flags} == flags, "what lay there is as it was"
    assert {folder for folder, _ in set(after) - set(flags)} <= {"INBOX"}, "but for our word about the broken rule"
    assert "daemon.stopped" in log_of(shell)
    assert "Traceback" not in log_of(shell)


def assert_told(said: dict[str, str], office: Office) -> None:
    """What the reader saw on the way."""

    def of(command: str) -> str:
        return next(text for block, text in said.items() if command in block)

    assert "quietcrm.yaml" in of("quietcrm init")
    assert "fine: 1 account, 5 rules (3 only watching)" in of("quietcrm doctor")
    assert "INBOX (inbox), Sent (sent)" in of("quietcrm doctor")
    assert "the server keeps keywords of our own" in of("quietcrm doctor")
    assert "About: " in of("quietcrm doctor")
    assert "Nothing was written." in of("import customers.csv --apply")
    assert of("--dry-run").count("would be logged") > 3
    assert "Nothing was written." in of("--dry-run")
    assert "daemon: running" in of("quietcrm status")
    assert "About: " in of("rules explain")
    assert "fine: 1 account" in of("quietcrm reload")
    assert "loaded" in of("quietcrm reload")


def test_the_dry_run_and_the_look_round_leave_nothing_behind(shell: Shell) -> None:
    """Before the first run: no store, no hash key, no folder of ours; and the same again says the same."""
    for block in blocks(PAGE):
        if "quietcrm init" in block.text and block.words == ("sh",):
            shell.run(block.text)
    before = sorted(path.name for path in shell.here.rglob("*"))
    first = shell.json("quietcrm sync --once --dry-run")
    shell.run("quietcrm doctor; quietcrm customer propose >../proposed.csv")
    assert sorted(path.name for path in shell.here.rglob("*")) == before
    assert shell.json("quietcrm sync --once --dry-run") == first
    assert len(first["accounts"]["ana"]["mails"]) == 20


def test_proposed_customers_are_those_the_rep_wrote_to(shell: Shell, server: tuple[DovecotServer, Office]) -> None:
    """Truth by the generator: everybody to whom one of us wrote, and nobody else."""
    for block in blocks(PAGE):
        if "quietcrm init" in block.text and block.words == ("sh",):
            shell.run(block.text)
    rows = list(csv.DictReader(shell.run("quietcrm customer propose --since 2y").splitlines()))
    assert {row["email"].lower() for row in rows} == written_to(server[1])
    assert list(rows[0]) == ["name", "email", "company", "domain", "#mails", "#last"]
    (shell.here / "all.csv").write_text(shell.run("quietcrm customer propose --since 2y"))
    shell.run("quietcrm customer import all.csv --apply")
    again = shell.json("quietcrm customer import all.csv")
    assert (again["counts"]["new"], again["counts"]["changed"], again["counts"]["contacts"]) == (0, 0, 0)
    shell.run("quietcrm customer export --format csv >exported.csv")
    again = shell.json("quietcrm customer import exported.csv")
    assert (again["counts"]["new"], again["counts"]["changed"], again["problems"]) == (0, 0, [])


def written_to(office: Office) -> set[str]:
    """Outside recipients of our people's mails that lie in rep1's mailbox, read with the standard library."""
    found = set()
    for each in office.messages:
        if each.truth.direction == "out" and "rep1" in each.mailboxes:
            header = BytesParser(policy=compat32).parsebytes(each.raw, headersonly=True)
            fields = [str(value) for name in ("to", "cc", "bcc") for value in header.get_all(name, [])]
            found |= {email.lower() for _, email in getaddresses(fields) if "@" in email}
    return {email for email in found if not email.endswith("@vendas.example")}


def test_the_page_names_the_release_that_is_here() -> None:
    assert shutil.which("quietcrm", path=str(BIN))
    stated = subprocess.run([BIN / "quietcrm", "version", "--json"], capture_output=True, text=True, check=True)
    assert f"quietcrm-{json.loads(stated.stdout)['quietcrm']}-py3-none-any.whl" in PAGE.read_text("utf-8")
