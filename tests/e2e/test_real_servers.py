"""The main job on real servers: three mailboxes, 3,000 mails, the installed command, both databases.

The truth is the generator's; what is compared is what `log --json` prints and what the server says of its flags.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.dovecot import DovecotServer
from servers.mailboxes import Office, generate

COMMAND = Path(sys.executable).with_name("quietcrm")
REPS = ("rep1", "rep2", "rep3")
COUNT = 3000


class Command:
    """The installed `quietcrm` on one configuration folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *arguments: str) -> Any:
        """Run it with --json; what it printed, of a list its items."""
        done = subprocess.run(
            [str(COMMAND), "--config", str(self.directory), *arguments, "--json"],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"REP_PASSWORD": "secret"},
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stderr[-2000:]}"
        said = json.loads(done.stdout)
        return said.get("items", said)

    def sync(self) -> Counter[str]:
        """One pass over all accounts; the counts added up, after checking that the parts add up to seen."""
        total: Counter[str] = Counter()
        for name, counts in self("sync", "--once")["accounts"].items():
            parts = [value for key, value in counts.items() if isinstance(value, int) and key != "seen"]
            assert sum(parts) + sum(counts["skipped"].values()) == counts["seen"], (name, counts)
            total.update({key: value for key, value in counts.items() if isinstance(value, int)})
        return total


def write_config(directory: Path, server: DovecotServer, store: str) -> Command:
    """An office of three reps on `server`."""
    directory.mkdir()
    accounts = "".join(
        f"  {rep}: {{type: imap, rep: {rep}, host: 127.0.0.1, port: {server.port}, security: none, login: {rep}, "
        "password: {env: REP_PASSWORD}, since: 2020-01-01}\n"
        for rep in REPS
    )
    team = "".join(f"  {rep}: {{mail: {rep}@vendas.example, language: pt}}\n" for rep in REPS)
    (directory / "quietcrm.yaml").write_text(
        "company: {name: Vendas, zone: America/Sao_Paulo, language: pt}\n"
        f'store: {store}\ninternal: ["@vendas.example"]\npublic_domains: [freemail.example]\n'
        f"team:\n{team}accounts:\n{accounts}",
        encoding="utf-8",
    )
    return Command(directory)


@pytest.fixture(scope="module")
def office() -> Office:
    return generate(1, COUNT)


@pytest.fixture(scope="module")
def server(office: Office) -> Iterator[DovecotServer]:
    with DovecotServer() as server:
        for rep in REPS:
            server.add_user(rep)
        office.write_maildirs(server)
        yield server


def named(entry: dict[str, Any]) -> str:
    """How the truth names a logged mail: by its id in angle brackets, else by its subject."""
    return f"<{entry['message_id']}>" if entry["message_id"] else entry["subject"]


def mails(command: Command) -> list[dict[str, Any]]:
    """The mails of the log: what invitations come to stands there as meetings, once more."""
    return [entry for entry in command("log") if entry["kind"] != "meeting"]


def plain(name: str) -> str:
    """Without the square brackets that Exchange puts inside the angle ones."""
    return name.replace("<[", "<").replace("]>", ">")


def compare(office: Office, log: list[dict[str, Any]]) -> None:
    """Every expected customer link is there, no wrong one, nothing twice, every copy listed."""
    expected = {plain(name): truth for name, truth in office.truth.items() if truth.outcome == "logged"}
    found = Counter(plain(named(entry)) for entry in log)
    assert {name for name, times in found.items() if times > 1} == set(), "doubled"
    assert set(expected) - set(found) == set(), "lost"
    assert set(found) - set(expected) == set(), "should not be there"
    wrong = {
        name: (sorted(entry["customers"]), sorted(expected[name].customers))
        for entry in log
        if set(entry["customers"]) != set(expected[name := plain(named(entry))].customers)
    }
    assert wrong == {}
    copies = {plain(name_of(message)): message.mailboxes for message in office.messages}
    short = {
        named(entry) for entry in log if {one["account"] for one in entry["sightings"]} != copies[plain(named(entry))]
    }
    assert short == set(), "copies not listed"


def name_of(message: Any) -> str:
    return str(message.truth.message_id or message.truth.subject)


def test_three_mailboxes(office: Office, server: DovecotServer, tmp_path: Path, database_url: str) -> None:
    assert office.shared >= 0.3
    command = write_config(tmp_path / "office", server, database_url)
    customers = tmp_path / "customers.csv"
    office.customers_csv(customers)
    flags = {rep: server.flags(rep) for rep in REPS}
    command("customer", "import", str(customers), "--apply")
    first = command.sync()
    log = mails(command)
    compare(office, log)
    assert first["logged"] + first["degraded"] == len(log)
    assert first["quarantined"] == first["failed"] == 0
    assert {rep: server.flags(rep) for rep in REPS} == flags, "flags changed"

    again = command.sync()
    assert again["logged"] + again["degraded"] == 0

    forget_cursors(database_url)
    fresh = command.sync()
    assert fresh["logged"] + fresh["degraded"] == 0
    assert fresh["seen"] == first["seen"]
    assert len(mails(command)) == len(log)
    assert {rep: server.flags(rep) for rep in REPS} == flags, "flags changed"


def forget_cursors(database_url: str) -> None:
    """Delete every position, by hand."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE account SET cursor = NULL"))
    engine.dispose()


def test_import_between_two_syncs_gives_the_same(office: Office, server: DovecotServer, tmp_path: Path) -> None:
    customers = tmp_path / "customers.csv"
    office.customers_csv(customers)
    command = write_config(tmp_path / "office", server, "sqlite:///state/crm.db")
    first = command.sync()
    assert first["logged"] == 0, "nobody is known yet"
    imported = command("customer", "import", str(customers), "--apply")
    assert imported["to_read_again"] > 0
    command.sync()
    compare(office, mails(command))
    assert command.sync()["logged"] == 0


def test_renumbered_folders_and_fifty_new_mails(tmp_path: Path) -> None:
    office = generate(2, 600, later=50)
    customers = tmp_path / "customers.csv"
    office.customers_csv(customers)
    with DovecotServer() as server:
        for rep in REPS:
            server.add_user(rep)
        office.write_maildirs(server)
        command = write_config(tmp_path / "office", server, "sqlite:///state/crm.db")
        command("customer", "import", str(customers), "--apply")
        command.sync()
        before = {named(entry) for entry in mails(command)}
        for rep in REPS:
            for folder in sorted({folder for folder, _ in server.flags(rep)}):
                server.new_uidvalidity(rep, folder)
        office.deliver_later(server)
        second = command.sync()
        assert second["duplicate"] > 0, "the renumbered folders were read again"
        after = mails(command)
        assert len(after) == len({named(entry) for entry in after})
        new = {plain(named(entry)) for entry in after if named(entry) not in before}
        expected = {plain(name_of(mail)) for mail in office.later if mail.truth.outcome == "logged"}
        assert new == expected
        assert len(office.later) == 50
