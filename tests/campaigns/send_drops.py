"""A server that takes a mail and then drops the line at each byte of its answer: `python -m campaigns.send_drops`.

The server keeps the mail when its final dot has come, says the first 0, 1, 2 ... all bytes of its answer, and ends the
connection by FIN or by RST; or the daemon is killed there. For every second mail the server lays the copy into Sent by
itself, as some do. Each mail has to end as sent or uncertain and is never given to the server again; the look-up in
Sent turns into sent what lies there, and nothing else.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from campaigns.backlog import REP, Backlog
from campaigns.installed import await_true, end
from campaigns.kills import remark
from campaigns.sends_checker import SendsVerdict, check
from servers.dovecot import DovecotServer
from servers.smtp_sink import Answer, Envelope, SmtpSink, Stage

WORDS = "2.0.0 kept"
WHOLE = len(f"250 {WORDS}\r\n")
"""Bytes of the answer."""
ENDINGS = ("fin", "rst", "kill")


@dataclass(frozen=True, slots=True)
class Drop:
    """What happens to one mail: after so many bytes of the answer the line ends (or the client)."""

    after: int
    ending: str
    keeps_copy: bool

    @property
    def is_whole(self) -> bool:
        """The server said all of it."""
        return self.after == WHOLE


@dataclass
class DropsTally:
    """What was done and found."""

    drops: dict[str, Drop] = field(default_factory=dict)
    """By recipient."""
    verdict: SendsVerdict = field(default_factory=SendsVerdict)
    looked_up: int = 0
    """Mails without a whole answer that lay in Sent."""

    @property
    def is_clean(self) -> bool:
        """No faults."""
        return self.verdict.is_clean

    def text(self) -> str:
        """For people."""
        endings = Counter(drop.ending for drop in self.drops.values())
        counts = ", ".join(f"{endings[one]} {one}" for one in ENDINGS)
        places = len({(drop.after, drop.ending) for drop in self.drops.values()})
        return (
            f"{len(self.drops)} rounds: {counts}; {places} of {(WHOLE + 1) * len(ENDINGS)} places; "
            f"found in Sent by the look-up: {self.looked_up}\n{self.verdict.text()}"
        )


class DroppingSink(SmtpSink):
    """Takes every mail and ends the conversation as planned."""

    def __init__(self, server: DovecotServer) -> None:
        super().__init__()
        self._server = server
        self._drop: Drop | None = None
        self.plan: dict[str, Drop] = {}
        self.kill_now = threading.Event()
        self.killed = threading.Event()

    def answer(self, stage: Stage, addresses: list[str], usual: Answer) -> Answer:
        """At the dot: the first bytes and the end. Else as usual."""
        drop = self.plan.get(addresses[0]) if stage == "dot" and addresses else None
        if drop is None:
            return super().answer(stage, addresses, usual)
        self._drop = drop
        return Answer(keep=True, text=WORDS, cut_after=drop.after, reset=drop.ending == "rst")

    def cutting(self, answer: Answer) -> None:
        """The client is to be killed here, if so planned."""
        if self._drop and self._drop.ending == "kill":
            self.killed.clear()
            self.kill_now.set()
            while not self.killed.wait(0.05) and not self.stopping.is_set():
                continue

    def keep(self, envelope: Envelope) -> None:
        """As some servers do: with a copy in Sent."""
        super().keep(envelope)
        drop = self.plan.get(envelope.recipients[0])
        if drop and drop.keeps_copy:
            self.lay_copy(envelope)

    def lay_copy(self, envelope: Envelope) -> None:
        """The mail, as it was taken, into the Sent folder of its sender."""
        self._server.deliver(REP, envelope.data.replace(b"\r\n", b"\n"), folder="Sent", flags="S")


def drops(count: int, kills: int) -> list[Drop]:
    """So many in all, at every place in turn; the kills among the others, evenly."""
    rest = _places(count - kills, ("fin", "rst"))
    killed = _places(kills, ("kill",))
    every = count // kills if kills else count + 1
    order: list[Drop] = []
    for number in range(count):
        source = killed if killed and (number % every == every - 1 or not rest) else rest
        order.append(source.pop(0))
    return order


def _places(count: int, endings: Sequence[str]) -> list[Drop]:
    places = list(itertools.product(range(WHOLE + 1), endings))
    found = []
    for number in range(count):
        turn, at = divmod(number, len(places))
        after, ending = places[at]
        found.append(Drop(after, ending, keeps_copy=(turn + after) % 2 == 0))
    return found


class SendDrops:
    """One backlog, each mail of which meets its own accident."""

    def __init__(
        self, backlog: Backlog, sink: DroppingSink, planned: Sequence[Drop], say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.backlog = backlog
        self.sink = sink
        self.say = say
        rows = backlog.rows()
        self.tally = DropsTally(dict(zip((row.recipient for row in rows), planned, strict=True)))
        sink.plan = self.tally.drops

    def run(self, *, late_copies: bool = False) -> DropsTally:
        """Until every mail has met its accident and has been looked for in Sent; then check."""
        kills = sum(drop.ending == "kill" for drop in self.tally.drops.values())
        for number in range(kills):
            self._run_until_killed()
            self.say(f"{number + 1} of {kills} kills, {len(self.sink.mails)} mails")
        with self.backlog.running():
            await_true("all is done", self._is_over, seconds=600, every=0.5)
            if late_copies:
                self._lay_late()
        self.sink.stop()
        self._judge()
        return self.tally

    def _run_until_killed(self) -> None:
        process = self.backlog.command.start("run")
        try:
            await_true("its time has come", self.sink.kill_now.is_set, seconds=120)
        finally:
            end(process, signal.SIGKILL)
            self.sink.kill_now.clear()
            self.sink.killed.set()

    def _is_over(self) -> bool:
        return self.backlog.is_settled() and not self.backlog.never_looked_up()

    def _lay_late(self) -> None:
        """Lay the copies of some uncertain mails into Sent, and wait for the next look-up."""
        doubtful = [row.recipient for row in self.backlog.rows() if row.state == "uncertain"][::2]
        for envelope in self.sink.mails:
            if envelope.recipients[0] in doubtful:
                self.sink.lay_copy(envelope)
                drop = self.tally.drops[envelope.recipients[0]]
                self.tally.drops[envelope.recipients[0]] = replace(drop, keeps_copy=True)
        self.say(f"{len(doubtful)} copies laid in late")

        def found() -> bool:
            states = {row.recipient: row.state for row in self.backlog.rows()}
            return all(states[one] == "sent" for one in doubtful)

        await_true("they are found", found, seconds=420, every=1.0)

    def _judge(self) -> None:
        tally = self.tally
        rows = self.backlog.rows()
        unclear = {row.number for row in rows if not tally.drops[row.recipient].is_whole}
        may = unclear | {row.number for row in rows if tally.drops[row.recipient].ending != "fin"}
        verdict = tally.verdict = check(self.backlog, self.sink.mails, may)
        lies = {row.number for row in rows if tally.drops[row.recipient].keeps_copy}
        sent = {row.number for row in rows if row.state == "sent"}
        verdict.wrong["lies in Sent, not found"] = sorted(map(str, lies - sent))
        verdict.wrong["called sent without proof"] = sorted(map(str, (sent & unclear) - lies))
        verdict.wrong["never tried"] = sorted(set(tally.drops) - {one.recipients[0] for one in self.sink.mails})
        tally.looked_up = len(sent & unclear)


def main(arguments: list[str] | None = None) -> int:
    """Print what was done and found; 1 if a mail was given away twice, or is called what it is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--kills", type=int, default=54, help="so many of the rounds")
    parser.add_argument("--no-late", action="store_true", help="lay no copies in after the first look-up (6 minutes)")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="quietcrm-drops-") as folder,
        DovecotServer() as server,
        DroppingSink(server) as sink,
    ):
        backlog = Backlog(Path(folder) / "office", server, sink.port, options.rounds, copies="auto")
        campaign = SendDrops(backlog, sink, drops(options.rounds, options.kills), remark)
        tally = campaign.run(late_copies=not options.no_late)
    print(tally.text())
    print(
        f"send_drops: {len(tally.drops)} rounds, {time.monotonic() - began:.0f} s: "
        + ("clean" if tally.is_clean else "FAULTS")
    )
    return 0 if tally.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
