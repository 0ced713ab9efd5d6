"""Rows 1 to 6 and 18: the first reading of a mailbox, beside the peers, and whether what was read is right."""

from __future__ import annotations

import sqlite3
import statistics
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clients import Client, Mbsync, QuietCrm, django_helpdesk, django_mailbox
from bench.corpus import Corpus, Truth
from bench.laboratory import Laboratory, scratch
from bench.processes import Failed, Use, run
from bench.rows import Figure, Row
from bench.wire import Wire

RTT = 0.040


@dataclass(slots=True)
class Runs:
    """What each client used, run by run; or why there is nothing."""

    uses: dict[str, list[Use]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def wall(self, name: str) -> float:
        """Median seconds; 0 if the client did not run."""
        return statistics.median(use.wall for use in self.uses[name]) if self.uses.get(name) else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Every single run."""
        return {
            name: [{"wall": round(use.wall, 3), "cpu": round(use.cpu, 3), "noise": round(use.noise, 2)} for use in uses]
            for name, uses in self.uses.items()
        }


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def read_in_turn(
    lab: Laboratory, corpus: Corpus, clients: Sequence[Client], runs: int, *, port: int = 0
) -> tuple[Runs, list[Mistakes]]:
    """Each client reads a fresh copy of the mailbox, one after the other, `runs` times over."""
    done, mistakes = Runs(), []
    for client in clients:
        if reason := client.missing():
            done.missing[client.name] = reason
    for number in range(runs):
        for client in clients:
            if client.name in done.missing:
                continue
            with lab.mailbox(corpus) as login, scratch() as folder:
                client.prepare(folder, corpus, login, port or lab.port)
                try:
                    use = run(client.command(folder), environment=client.environment(folder), folder=folder)
                except Failed as error:
                    done.missing[client.name] = f"did not end: {str(error).splitlines()[-1][:120]}"
                    continue
                if (found := client.count(folder)) < corpus.count * 0.99:
                    done.missing[client.name] = f"stored {found} of {corpus.count}"
                    continue
                done.uses.setdefault(client.name, []).append(use)
                tell(f"  {client.name:16} {corpus.count:6} run {number + 1}: {use.wall:7.2f} s, CPU {use.cpu:6.2f} s")
                if isinstance(client, QuietCrm):
                    mistakes.append(find_mistakes(folder, corpus, client.counts(folder)))
    return done, mistakes


def read_big(lab: Laboratory, corpus: Corpus, runs: int) -> list[Row]:
    """Rows 1, 2, 3 and 18."""
    clients = [QuietCrm(), Mbsync(), Mbsync(sync=False)]
    done, mistakes = read_in_turn(lab, corpus, clients, runs)
    ours = done.wall("quietcrm")
    rows = []
    for number, peer, must, aim in ((1, "mbsync", 0.8, 0.4), (2, "mbsync-nofsync", 1.6, 0.8)):
        what = f"first reading of {corpus.count:,} mails, wall / {peer}"
        if peer in done.missing:
            rows.append(Row(number, what, note=done.missing[peer]))
            continue
        note = f"{ours:.1f} s / {done.wall(peer):.1f} s; medians of {runs} interleaved runs"
        rows.append(Row(number, what, [Figure(ours / done.wall(peer), must, aim, "x")], note))
    cpu = statistics.median(use.cpu for use in done.uses["quietcrm"]) / corpus.count * 1000
    noise = statistics.median(use.noise for use in done.uses["quietcrm"])
    note = f"the server and other work kept {noise:.1f} cores busy meanwhile"
    rows.append(Row(3, "CPU per mail, all processes, start included", [Figure(cpu, 1.0, 0.5, " ms")], note))
    rows[0].raw = done.as_dict()
    return [*rows, judge(corpus, mistakes)]


def read_beside_django(lab: Laboratory, corpus: Corpus, runs: int) -> list[Row]:
    """Row 4."""
    done, _ = read_in_turn(lab, corpus, [QuietCrm(), django_mailbox(), django_helpdesk()], runs)
    ours = done.wall("quietcrm")
    figures, notes = [], [f"quietcrm {ours:.1f} s"]
    for name, must, aim in (("django-mailbox", 15, 30), ("django-helpdesk", 30, 60)):
        if name in done.missing:
            notes.append(f"{name}: {done.missing[name]}")
            continue
        figures.append(Figure(done.wall(name) / ours, must, aim, "x", least=True, word=name))
        notes.append(f"{name} {done.wall(name):.0f} s")
    notes.append(f"medians of {runs} interleaved runs")
    return [Row(4, f"{corpus.count:,} mails, times faster than", figures, ", ".join(notes), done.as_dict())]


def count_bytes(lab: Laboratory, corpus: Corpus) -> list[Row]:
    """Row 5."""
    with Wire(lab.port) as wire:
        read_in_turn(lab, corpus, [QuietCrm()], 1, port=wire.port)
        traffic = wire.reset()
    share = traffic.down / corpus.bytes * 100
    turns = traffic.turns / corpus.count * 1000
    figures = [Figure(share, 20, 13, " %", word="bytes"), Figure(turns, 40, 21, word="turns")]
    note = f"{traffic.down / 1e6:.0f} MB of {corpus.bytes / 1e6:.0f} MB"
    return [Row(5, "bytes down, share of the mailbox; turns per 1,000 mails", figures, note)]


def read_far(lab: Laboratory, corpus: Corpus, runs: int) -> list[Row]:
    """Row 6."""
    with Wire(lab.port, rtt=RTT) as wire:
        done, _ = read_in_turn(lab, corpus, [QuietCrm(), Mbsync()], runs, port=wire.port)
    what = f"{corpus.count:,} mails at {RTT * 1000:.0f} ms round trip, wall / mbsync"
    if "mbsync" in done.missing:
        return [Row(6, what, note=done.missing["mbsync"])]
    ours, theirs = done.wall("quietcrm"), done.wall("mbsync")
    note = f"{ours:.1f} s / {theirs:.1f} s; medians of {runs} interleaved runs"
    return [Row(6, what, [Figure(ours / theirs, 0.6, 0.35, "x")], note, done.as_dict())]


# --- row 18 ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Counts of what went wrong in one reading; `texts` per mail whose text does not begin as it must."""

    lost: int
    blocked: int
    customers: int
    texts: int


def find_mistakes(folder: Path, corpus: Corpus, counts: dict[str, Any]) -> Mistakes:
    """Compare the store with the truth. Lost: not counted as seen, or a customer's mail that is no row."""
    with closing(sqlite3.connect(folder / "state" / "crm.db")) as connection:
        rows = {
            message_id: (text, frozenset(names.split("\n")) if names else frozenset[str]())
            for message_id, text, names in connection.execute(
                "SELECT i.message_id, i.text, group_concat(c.name, char(10)) FROM interaction i"
                " LEFT JOIN interaction_customer l ON l.interaction_id = i.id"
                " LEFT JOIN customer c ON c.id = l.customer_id GROUP BY i.id"
            )
        }
    lost = corpus.count - int(counts["seen"])
    wrong = texts = 0
    for truth in corpus.truths():
        text, names = rows.get(truth.message_id, ("", frozenset[str]()))
        lost += bool(truth.customers) and truth.message_id not in rows
        wrong += truth.message_id in rows and not _fits(truth, names)
        texts += truth.message_id in rows and not text.startswith(truth.text_head)
    return Mistakes(lost, int(counts["quarantined"]) + int(counts["failed"]), wrong, texts)


STRANGERS = frozenset({"prospect", "newsletter", "notice", "internal"})


def _fits(truth: Truth, found: frozenset[str]) -> bool:
    """All that the truth names and, for mail of strangers, nobody else. The truth looks at addresses only: a thread, a
    domain or the subject of a bounce may add the customers that such a mail is about as well."""
    return truth.customers <= found and (truth.kind not in STRANGERS or found == truth.customers)


def judge(corpus: Corpus, mistakes: Sequence[Mistakes]) -> Row:
    """Row 18: the worst of all runs."""
    figures = [
        Figure(max(getattr(one, name) for one in mistakes), must, must, word=name)
        for name, must in (("lost", 0), ("blocked", 0), ("customers", 0), ("texts", 13 * corpus.count / 20_000))
    ]
    return Row(18, f"right on {corpus.count:,} mails: lost, blocked, wrong customers, wrong texts", figures)
