"""An admin's second hour: the commands of docs/how-to/an-admins-hour.md, run as they stand on a real server, after
those of the quick start that a reader has followed by then."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from page_walks import DOCS, Shell, await_end, await_loaded, await_that, blocks, log_of, terminal
from servers.dovecot import DovecotServer
from servers.mailboxes import generate

FIRST, SECOND = DOCS / "quick-start.md", DOCS / "how-to" / "an-admins-hour.md"
RULE = "asks-about-delivery"


@pytest.fixture
def dovecot_of_months() -> Iterator[DovecotServer]:
    """A mailbox of the last months, with mail about deliveries in it."""
    with DovecotServer() as dovecot:
        generate(11, 120, start=datetime.now(UTC) - timedelta(days=300)).write_maildirs(dovecot)
        yield dovecot


@pytest.fixture
def shell(dovecot_of_months: DovecotServer, tmp_path: Path) -> Iterator[Shell]:
    with terminal(dovecot_of_months, tmp_path) as found:
        yield found


@pytest.mark.timeout(900)  # some dozens of commands, one after the other
def test_the_page_can_be_followed(shell: Shell, dovecot_of_months: DovecotServer) -> None:
    follow_the_quick_start(shell)
    with (shell.here / "customers.csv").open(encoding="utf-8") as file:
        customer = next(csv.DictReader(file))["email"]
    said: dict[str, str] = {}
    shown = ""
    for block in blocks(SECOND):
        if block.words[:1] == ("text",):
            assert block.text == shown
        if block.words[:1] != ("sh",):
            continue
        word = block.words[1] if len(block.words) > 1 else ""
        if word in ("watch", "acts"):
            ask_about_a_delivery(shell, dovecot_of_months, customer)
        shown = shell.run(block.text, code=1 if word == "exits-1" else 0)
        said[block.text] = shown
    assert_told(said)
    shell.run('kill "$(cat run.pid)"')
    await_end(shell)
    assert "Traceback" not in log_of(shell)


def follow_the_quick_start(shell: Shell) -> None:
    """Up to the running daemon."""
    for block in blocks(FIRST):
        if block.words[:1] != ("sh",) or block.words[1:2] in (("install",), ("values",)):
            continue
        shell.run(block.text)
        if block.words[1:2] == ("run",):
            await_loaded(shell)
            return


def ask_about_a_delivery(shell: Shell, dovecot: DovecotServer, customer: str) -> None:
    """A customer writes, and the rule sees it."""
    before = hits(shell)
    now = datetime.now(UTC)
    mail = (
        f"From: <{customer}>\nTo: <rep1@vendas.example>\nSubject: Order {before}\nDate: {format_datetime(now)}\n"
        f"Message-ID: <hour{before}@customer.invalid>\n\nWhen do you deliver the boxes?\n"
    )
    dovecot.deliver("rep1", mail.encode())
    await_that(lambda: hits(shell) == before + 1, "the rule sees the mail")


def hits(shell: Shell) -> int:
    """How often the rule acted, or would have."""
    rules = json.loads(shell.run("quietcrm rules list --json"))["items"]
    return next(int(rule["hits"]) for rule in rules if rule["name"] == RULE)


def assert_told(said: dict[str, str]) -> None:
    """What the reader saw on the way."""

    def of(command: str) -> list[str]:
        return [text for block, text in said.items() if command in block]

    assert "✓ a customer asks when it comes" in of("quietcrm rules test")[0]
    assert "tests, all pass" in of("quietcrm rules test")[0]
    assert f"rule {RULE} (mode: watch) would act on " in of("rules replay")[0]
    assert "tag: delivery; remind owner" in of("rules replay")[0]
    assert "  ✓ known: yes" in of("rules explain")[0]
    assert "✓ text: has: $delivery" in of("rules explain")[0]
    assert RULE in of("quietcrm rules list")[0]
    assert "delivery" in of("log changes")[0]
    assert all("loaded" in text for text in of("quietcrm reload"))
    shown, taken = of("rules undo")[-1], of("--apply --confirm")[-1]
    assert "tag" in shown + taken
