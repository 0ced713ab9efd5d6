"""100 unreadable mails among 1,000: 50 that the server refuses or cuts, 50 beyond the limits of reading.

Each mail ends as a complete row, as a header row marked `degraded`, or in quarantine; the counts add up, the 900 good
ones are all there, and nothing is asked for twice. No hook anywhere: a proxy plays the server, the test the kernel that
kills a process which takes too much memory.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from campaigns.installed import Installed
from campaigns.moments import parser_of
from imapclient import IMAPClient
from servers.dovecot import DovecotServer
from servers.imap_proxy import ImapProxy

GOOD, REFUSED, CUT, BEYOND = 900, 25, 25, 50
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LARGE = 70_000_000
TOO_LARGE_FOR_A_BODY = 1_200_000

CONFIG = """\
company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
internal: ["@vendas.example"]
never_log: ["@medico.example"]
team: {{rep1: {{mail: rep1@vendas.example, language: pt}}}}
accounts:
"""
IMAP = """\
  rep1: {{type: imap, rep: rep1, host: 127.0.0.1, port: {port}, security: none, login: {login},
         password: {{env: REP_PASSWORD}}, since: 2020-01-01}}
"""
MAILDIR = """\
  archive: {{type: maildir, rep: rep1, path: {path}, since: 2020-01-01}}
"""


def head(number: int, extra: str = "", sender: str = "", to: str = "rep1@vendas.example") -> bytes:
    """A header of mail `number`, without its empty line."""
    sender = sender or f"Maria <maria@cliente{number % 30}.example>"
    at = format_datetime(START + timedelta(minutes=number))
    text = f"Message-ID: <m{number}@cliente.example>\nFrom: {sender}\nTo: {to}\nSubject: Pedido {number}\nDate: {at}\n"
    return text.encode() + extra.encode()


def good(number: int) -> bytes:
    return head(number) + b"\nQuero 3 caixas.\n"


def nested(number: int, filler: bytes = b"") -> bytes:
    """150 multiparts in one another."""
    opening = b"".join(b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (n, n + 1) for n in range(150))
    text = b"--b150\nContent-Type: text/plain\n\nQuero 3 caixas.\n"
    return head(number, "Content-Type: multipart/mixed; boundary=b0\n") + b"\n" + opening + text + filler


def too_many_parts(number: int) -> bytes:
    parts = b"--x\n\nparte\n" * 12_000
    return head(number, "Content-Type: multipart/mixed; boundary=x\n") + b"\n" + parts + b"--x--\n"


def too_many_fields(number: int) -> bytes:
    return head(number, "".join(f"X-Field-{n}: {n}\n" for n in range(3000))) + b"\nQuero 3 caixas.\n"


def too_many_addresses(number: int) -> bytes:
    return head(number, to=",\n ".join(f"p{n}@outros.example" for n in range(3000))) + b"\nQuero 3 caixas.\n"


def too_long_header(number: int) -> bytes:
    return head(number, "References: " + "\n ".join(f"<{n}.r@outros.example>" for n in range(9000)) + "\n") + b"\nOi.\n"


def too_long_text(number: int) -> bytes:
    return head(number) + b"\n" + b"Quero 3 caixas de tudo o que houver.\n" * 20_000


def header_only(number: int) -> bytes:
    """Its structure cannot be asked for, and the whole is too large to read instead."""
    return nested(number, b"x" * 70 + b"\n" * TOO_LARGE_FOR_A_BODY)


def beyond(number: int) -> bytes:
    """One of the mails that are beyond a limit; the last two have 70 MB."""
    kinds = (nested, too_many_parts, too_many_fields, too_many_addresses, too_long_text, too_long_header, header_only)
    if number == BEYOND - 1:
        return head(number + 5000) + b"\n" + b"Quero 3 caixas de tudo o que houver.\n" * (LARGE // 37)
    if number == BEYOND - 2:
        return nested(number + 5000, b"x" * 70 + b"\n" * LARGE)
    return kinds[number % len(kinds)](number + 5000)


def write_config(directory: Path, accounts: str) -> Installed:
    directory.mkdir()
    (directory / "quietcrm.yaml").write_text(CONFIG.format() + accounts, encoding="utf-8")
    lines = ["name,email,company,domain", *(f",,Cliente {n},cliente{n}.example" for n in range(30)), ""]
    (directory / "customers.csv").write_text("\n".join(lines), encoding="utf-8")
    command = Installed(directory)
    command("customer", "import", str(directory / "customers.csv"), "--apply")
    return command


def synced(command: Installed, account: str) -> dict[str, Any]:
    """Sync; the counts of an account, after checking that they add up."""
    counts: dict[str, Any] = command("sync", "--once")["accounts"][account]
    parts = ("logged", "duplicate", "unmatched", "degraded", "quarantined", "failed")
    assert sum(counts[part] for part in parts) + sum(counts["skipped"].values()) == counts["seen"], counts
    return counts


def uids(server: DovecotServer, login: str) -> dict[str, int]:
    """UID by Message-ID, asked of the server itself."""
    with IMAPClient(server.host, port=server.port, ssl=False) as client:
        client.login(login, "secret")
        client.select_folder("INBOX", readonly=True)
        found = client.fetch(client.search("ALL"), ["BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
    return {
        data[b"BODY[HEADER.FIELDS (MESSAGE-ID)]"].decode().partition("<")[2].partition("@")[0]: uid
        for uid, data in found.items()
    }


def test_a_hundred_unreadable_among_a_thousand(tmp_path: Path, dovecot: DovecotServer) -> None:
    login = "unreadable"
    dovecot.add_user(login)
    plain = GOOD + REFUSED + CUT
    spread = plain // BEYOND
    for number in range(plain):
        dovecot.deliver(login, good(number), received_at=START + timedelta(minutes=number))
        if number % spread == 0 and number // spread < BEYOND:
            at = START + timedelta(minutes=number)
            dovecot.deliver(login, beyond(number // spread), received_at=at)
    newest = f"m{plain - 1}"
    by_name = uids(dovecot, login)
    assert len(by_name) == 1000
    bad = [f"m{number}" for number in range(5, plain - 1, (plain - 1) // (REFUSED + CUT))][: REFUSED + CUT]
    reasons = ("[SERVERBUG] Internal error", "[UNAVAILABLE] Try again", "Message is corrupted")
    refused = {by_name[name]: reasons[at % 3] for at, name in enumerate(bad[::2])}
    cut = {by_name[name] for name in bad[1::2]}
    assert len(refused) == REFUSED
    assert len(cut) == CUT
    with ImapProxy(dovecot.host, dovecot.port, refused=refused, cut=cut) as proxy:
        command = write_config(tmp_path / "office", IMAP.format(port=proxy.port, login=login))
        counts = synced(command, "rep1")
        log = {entry["message_id"].partition("@")[0] for entry in command("log")}

        assert counts["seen"] == 1000
        assert counts["quarantined"] == REFUSED + CUT
        assert counts["failed"] == counts["duplicate"] == counts["unmatched"] == 0
        assert {f"m{number}" for number in range(plain)} - log == set(bad), "a good one is missing"
        assert newest in log
        limits = {f"m{number + 5000}" for number in range(BEYOND)}
        assert limits <= log, "what is beyond a limit has a row all the same"
        degraded = dict(command.rows("SELECT message_id, degraded FROM interaction WHERE degraded <> ''"))
        assert {name.partition("@")[0] for name in degraded} == limits, "and says what is missing"
        header_rows = [why for why in degraded.values() if why.startswith("header only")]
        assert counts["degraded"] == len(header_rows) > 5
        assert counts["logged"] == 950 - len(header_rows)
        assert command.number("SELECT count(*) FROM quarantine WHERE stage = 'fetch'") == REFUSED + CUT
        state = command("status")["accounts"]["rep1"]
        assert (state["state"], state["reason"]) == ("ok", "")

        asked, down = proxy.asked.copy(), proxy.down
        again = synced(command, "rep1")
        assert again["seen"] == 0
        assert proxy.asked == asked, "asked for a mail again"
        assert proxy.down - down < 20_000
        assert command.number("SELECT count(*) FROM interaction") == 950
        assert max(times for _, times in proxy.asked.items()) < 40


@contextmanager
def small_machine(pid: int, limit: int) -> Iterator[list[int]]:
    """What the kernel does where memory is short: kills the parser child of `pid` once it holds `limit` bytes."""
    killed: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            child = parser_of(pid)
            if child and child not in killed and _resident(child) > limit:
                killed.append(child)
                os.kill(child, signal.SIGKILL)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield killed
    finally:
        over.set()
        watcher.join()


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0


def test_mails_that_kill_the_parser(tmp_path: Path) -> None:
    """Three deaths each, then quarantine with at most 1 MB; nothing is kept of internal and never-log mail."""
    cur = tmp_path / "Maildir" / "cur"
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    body = b"\n" + b"Quero 3 caixas.\n" * 2_400_000
    killers = {
        1: head(1) + body,
        2: head(2, sender="Chefe <chefe@vendas.example>") + body,
        3: head(3, sender="Dra. Ana <ana@medico.example>") + body,
        4: head(4) + body,
    }
    for number in range(20):
        raw = killers.get(number) or good(number)
        (cur / f"{1_772_000_000 + number}.{number}.localhost:2,S").write_bytes(raw)
    command = write_config(tmp_path / "office", MAILDIR.format(path=tmp_path / "Maildir"))
    process = command.start("sync", "--once", "--json")
    with small_machine(process.pid, 100_000_000) as killed:
        out = process.communicate()[0]
    assert process.returncode == 0, command.said()
    assert len(killed) >= 3 * len(killers), "the killers died three times each"
    counts = json.loads(out)["accounts"]["archive"]
    assert counts["seen"] == 20
    assert (counts["logged"], counts["quarantined"], counts["skipped"]) == (16, 2, {"internal": 1, "never_log": 1})
    kept = command.rows("SELECT message_id, stage, length(raw), size FROM quarantine ORDER BY message_id")
    assert [row[:2] for row in kept] == [("m1@cliente.example", "parse"), ("m4@cliente.example", "parse")]
    assert all(0 < length <= 1_000_000 < size for _, _, length, size in kept)
    traces = command.database.read_bytes()
    assert b"medico.example" not in traces
    assert b"chefe@" not in traces
    assert synced(command, "archive")["seen"] == 0
    assert command("status")["accounts"]["archive"]["state"] == "ok"
