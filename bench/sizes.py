"""Rows 11, 12, 14 and 17: what a large office costs beside a small one, both measured in one run.

python -m bench.sizes [--rules 10000] [--customers 1000000] [--mails 1000]
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from bench import matching
from bench.processes import weigh_tree
from bench.rows import Figure, Row

OFFICE = """company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example, admin: yes}, bruno: {mail: bruno@vendas.example}}
accounts: {ana: {type: maildir, rep: ana, path: mail, every: 1 second, since: 2020-01-01}}
"""
FIRST = "name,email,company,domain\nMaria,maria@sol0.example,Sol 0,sol0.example\n"
MANY = 4000
"""Lines in one file of rules."""
MAILS = 200


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon from its start to a read mailbox: seconds to READY, processor seconds of that, megabytes afterwards."""

    wall: float
    cpu: float
    memory: float


def match(count: int) -> list[Row]:
    """Rows 11 and 12."""
    small, _ = matching.measure(1000, 100, count)
    large, _ = matching.measure(1_000_000, 10_000, count)
    figures = [Figure(large, 200, 60, " us/mail"), Figure(large / small, 4, 2.5, "x", word="row 11")]
    return [
        Row(11, "matching, 1,000 customers and 100 rules", [Figure(small, 100, 30, " us/mail")]),
        Row(12, "matching, 1,000,000 customers and 10,000 rules", figures),
    ]


def start(rules: int, customers: int) -> list[Row]:
    """Rows 14 and 17. Memory: the same rules, with a thousand customers and with many."""
    with tempfile.TemporaryDirectory(prefix="quietcrm-sizes-", dir="/var/tmp") as name:
        folder = Path(name)
        few = _started(_office(folder / "few", 100, 1000))
        many = _started(_office(folder / "many", 100, customers))
        large = _started(_office(folder / "large", rules, customers))
    note = f"{many.memory:.0f} MB beside {few.memory:.0f} MB, a mailbox of {MAILS} mails read"
    told = f"{large.cpu:.1f} s of processor time; with 100 rules {many.wall:.1f} s, {many.cpu:.1f} s of it"
    return [
        Row(14, f"extra memory with {customers:,} customers", [Figure(many.memory - few.memory, 40, 10, " MB")], note),
        Row(17, f"start to READY, {customers:,} customers, {rules:,} rules", [Figure(large.wall, 5, 1.5, " s")], told),
    ]


def _office(folder: Path, rules: int, customers: int) -> Path:
    """An office on disk with so many rules and customers, and a mailbox."""
    (folder / "rules").mkdir(parents=True)
    (folder / "quietcrm.yaml").write_text(OFFICE)
    lines = matching.rules_text(rules, Random(1)).strip().split("\n")[1:]
    for part in range(0, len(lines), MANY):
        (folder / "rules" / f"{part:06}.yaml").write_text("\n".join(["rules:", *lines[part : part + MANY]]) + "\n")
    (folder / "first.csv").write_text(FIRST)
    _quietcrm(folder, "customer", "import", "first.csv", "--apply")
    _multiply(folder / "state" / "crm.db", customers)
    for place in ("new", "cur", "tmp"):
        (folder / "mail" / place).mkdir(parents=True)
    chance = Random(2)
    for number in range(MAILS):
        mail = matching.message(number, customers, chance)
        sender = mail.sender.email if mail.sender else ""
        text = f"From: {sender}\nTo: ana@vendas.example\nSubject: x\nMessage-ID: <{mail.message_id}>\n"
        text += f"Date: Fri, 20 Nov 2026 13:00:00 +0000\n\n{mail.text}\n"
        (folder / "mail" / "new" / f"{number}.b.host").write_text(text)
    return folder


_ADDRESS = "'maria@sol' || n.i || '.example'"


def _multiply(store: Path, customers: int) -> None:
    """The one customer of a store, so many times over, each with a person, an address and a domain of its own."""
    own = {
        "customer": {"id": "n.i", "name": "'Sol ' || n.i", "name_key": "'sol ' || n.i"},
        "contact": {"id": "n.i", "customer_id": "n.i"},
        "address": {"id": "n.i", "contact_id": "n.i", "key": _ADDRESS, "email": _ADDRESS},
        "customer_domain": {"customer_id": "n.i", "domain": "'sol' || n.i || '.example'"},
    }
    with closing(sqlite3.connect(store)) as connection:
        for table, values in own.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(values.get(name, f"t.{name}") for name in names)
            connection.execute(
                f"INSERT INTO {table} ({', '.join(names)}) WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 "
                f"FROM n WHERE i < {customers}) SELECT {columns} FROM n, (SELECT * FROM {table} LIMIT 1) t"
            )
        connection.commit()
        connection.execute("ANALYZE")
        connection.commit()


def _started(folder: Path) -> Started:
    with _notified(folder) as listener:
        environment = os.environ | {"NOTIFY_SOCKET": str(folder / "notify"), "NO_COLOR": "1"}
        began = time.monotonic()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(_command(folder, "run"), stdout=log, stderr=log, env=environment)
        try:
            while b"READY=1" not in listener.recv(4096):
                pass
            wall, cpu = time.monotonic() - began, _cpu(process.pid)
            _await_read(folder)
            return Started(wall, cpu, weigh_tree(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _cpu(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


@contextmanager
def _notified(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        listener.settimeout(600)
        yield listener


def _await_read(folder: Path) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        with closing(sqlite3.connect(f"file:{folder}/state/crm.db?mode=ro", uri=True, timeout=30)) as connection:
            row = connection.execute("SELECT backfill_done, backfill_total, state FROM account").fetchone()
        if row and row[1] > 0 and row[0] >= row[1] and row[2] == "ok":
            time.sleep(2)
            return
        time.sleep(0.5)
    raise RuntimeError(f"the mailbox was not read: {(folder / 'log').read_text()[-2000:]}")


def _command(folder: Path, *words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("quietcrm")), "--config", str(folder), *words]


def _quietcrm(folder: Path, *words: str) -> None:
    subprocess.run(_command(folder, *words), check=True, cwd=folder, stdout=subprocess.DEVNULL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--mails", type=int, default=1000)
    given = parser.parse_args(arguments)
    rows = [*match(given.mails), *start(given.rules, given.customers)]
    print("\n".join(row.as_markdown() for row in rows))


if __name__ == "__main__":
    main()
