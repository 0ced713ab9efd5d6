"""Broken configurations under a daemon that works: `python -m campaigns.configs --count 300 --others 2000`.

Seeded slips in the files of the shipped offices: the eight kinds of `campaigns.slips`, each surely a fault whose line
must be named, in equal parts, and others of `campaigns.mutations`. On reload: one `quietcrm run` for each office
is told to load one broken set after the other while mail arrives each second. At a cold start: each set is what a
start finds, in this process, and every so often in a process of its own. Truth: the daemon's process, its answers, and
rows and traces in the database.

What must hold for a set that is refused: the process lives, the set that ran before runs on, each fault is named with
its file and line, and the lists that keep mail out, the addresses of the office and the opt-outs are what they were.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from campaigns.installed import Installed, await_true, end
from campaigns.mutations import Files, Mutation, mutate, offices
from campaigns.slips import eighth

from config import good
from config.errors import ConfigError
from config.load import PARTS
from config.settings import Settings
from daemon.control import ask
from daemon.errors import NotRunning
from daemon.loading import boot, load_settled
from daemon.office import Office

CUSTOMERS = (
    "name,email,company,domain\nMaria,maria@sol.example,Sol,sol.example\nJosé,jose@lua.example,Lua,lua.example\n"
)
OPTED_OUT = "maria@sol.example"
KEPT_OUT = ("segredo@banco.example", "ana@contador.example", "internal")
LONGEST_DELAY = 60.0
"""Seconds that a mail may take into the database meanwhile; a busy machine, not the daemon, sets this."""
_PLACE = re.compile(r"^  --> (?P<file>[^:\n]+)(?::(?P<line>\d+):\d+)?$", re.MULTILINE)


@dataclass
class Report:
    """What came of it; `faults` must stay empty."""

    reloads: int = 0
    starts: int = 0
    processes: int = 0
    refused: int = 0
    harmless: int = 0
    on_the_line: int = 0
    in_the_file: int = 0
    elsewhere: int = 0
    mails: int = 0
    slowest: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def note(self, mutation: Mutation, trouble: str) -> None:
        """Count where the fault was named; a fault without a place is one of ours."""
        self.kinds[mutation.kind] += 1
        if not trouble:
            self.harmless += 1
            return
        self.refused += 1
        places = [(one["file"], int(one["line"] or 0)) for one in _PLACE.finditer(trouble)]
        named = {line for file, line in places if file == mutation.file}
        if not places or "Traceback" in trouble or "quietcrm fails over" in trouble:
            self.faults.append(f"not named: {mutation.kind}, {mutation.file}:{mutation.line}\n{trouble}")
        elif mutation.lines and not mutation.lines & named and not _mentions(trouble, mutation.line):
            self.faults.append(f"named elsewhere: {mutation.kind}, {mutation.file}:{mutation.line}\n{trouble}")
        elif any(not line and file not in _WITHOUT_LINES for file, line in places):
            self.faults.append(f"without a line: {mutation.kind}, {mutation.file}\n{trouble}")
        exact = mutation.line in named or bool(named and mutation.line and _mentions(trouble, mutation.line))
        self.on_the_line += exact
        self.in_the_file += not exact and bool(named)
        self.elsewhere += not named

    def text(self) -> str:
        """For people; the last line for the scorecard."""
        return "\n".join(
            (
                *(f"FAULT {fault}" for fault in self.faults),
                *(f"  {number:5} {kind}" for kind, number in sorted(self.kinds.items())),
                f"mails meanwhile: {self.mails}, the slowest {self.slowest:.1f} s",
                f"of the refused, its line named: {self.on_the_line}, its file or another line of it: "
                f"{self.in_the_file}, where it is missed: {self.elsewhere}",
                f"configs: {self.reloads} on reload, {self.starts} at a start ({self.processes} as processes): "
                f"{self.refused} refused, {self.harmless} harmless, {len(self.faults)} faults",
            )
        )


def _mentions(trouble: str, line: int) -> bool:
    """Whether a remedy speaks of the line."""
    return re.search(rf"\blines? [^\n]*\b{line}\b", trouble) is not None


_WITHOUT_LINES = ("quietcrm.yaml",)
"""A file that is not there has no line."""


class Scene:
    """One office on disk, and what must never change in it."""

    def __init__(self, directory: Path, files: Files) -> None:
        self.directory = directory
        self.files = files
        self.command = Installed(directory)
        self._mails = 0
        self.write(files)
        self.settings: Settings = load_settled(directory).settings
        for account in self.settings.accounts.values():
            for place in ("new", "cur", "tmp"):
                (Path(account.path) / place).mkdir(parents=True, exist_ok=True)  # type: ignore[union-attr]
        (directory / "customers.csv").write_text(CUSTOMERS)
        self.command("customer", "import", str(directory / "customers.csv"), "--apply")
        self.command("customer", "edit", "Sol", "--no-mail", OPTED_OUT)

    def write(self, files: Files) -> None:
        """Make the folder hold exactly these files."""
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        for part in PARTS:
            for path in (self.directory / part).rglob("*"):
                if path.is_file() and path.relative_to(self.directory).as_posix() not in files:
                    path.unlink()
        if "quietcrm.yaml" not in files:
            (self.directory / "quietcrm.yaml").unlink(missing_ok=True)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """`quietcrm run`; it must live until the end."""
        process = self.command.start("run")
        try:
            await_true("the daemon answers", lambda: process.poll() is not None or self.told(), seconds=120)
            yield process
        finally:
            end(process, signal.SIGTERM)

    def told(self) -> dict[str, Any]:
        """What the daemon says of itself; nothing where none listens."""
        with suppress(NotRunning):
            told: dict[str, Any] = ask(self.command.state, "status", {})
            return told
        return {}

    def reload(self) -> str:
        """Have the daemon load the files; what is wrong with them."""
        return str(ask(self.command.state, "reload", {})["problems"])

    def deliver(self, sender: str) -> str:
        """A mail of now; its Message-ID."""
        self._mails += 1
        (name, account) = next(iter(self.settings.accounts.items()))
        rep = self.settings.team[account.rep or name].mail
        text = (
            f"From: {rep if sender == 'internal' else sender}\nTo: {rep}\nSubject: caixas {self._mails}\n"
            f"Date: {formatdate()}\nMessage-ID: <c{self._mails}@sol.example>\n\nQuero mais caixas.\n"
        )
        path = Path(account.path) / "new" / f"{time.time_ns()}.c.host"  # type: ignore[union-attr]
        path.write_text(text)
        return f"c{self._mails}@sol.example"

    def safety(self) -> tuple[Any, ...]:
        """The opt-outs of the database."""
        return tuple(sorted(self.command.rows("SELECT * FROM suppression"), key=repr))


def guarded(office: Office) -> tuple[Any, ...]:
    """What keeps mail out of the history, as it runs."""
    settings = office.settings
    rules = [rule.fingerprint for rule in office.rules.rules if any(one.verb == "ignore" for one in rule.effects)]
    return settings.internal, settings.never_log, tuple(settings.team), dict(office.rules.lists), rules


class Postman:
    """A mail each second, and the time it takes into the database."""

    def __init__(self, scene: Scene, report: Report) -> None:
        self._scene = scene
        self._report = report
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._sent: dict[str, float] = {}
        self._kept_out: list[str] = []

    def __enter__(self) -> Postman:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        number = 0
        while number == 0 or not self._over.wait(1.0):
            number += 1
            if number % 4 == 0:
                self._kept_out.append(self._scene.deliver(KEPT_OUT[number // 4 % len(KEPT_OUT)]))
            else:
                self._sent[self._scene.deliver("maria@sol.example")] = time.monotonic()
            self._look()

    def _all_came(self) -> bool:
        self._look()
        return not self._sent

    def _look(self) -> None:
        for (name,) in self._scene.command.rows("SELECT message_id FROM interaction"):
            if (began := self._sent.pop(name, None)) is not None:
                self._report.mails += 1
                self._report.slowest = max(self._report.slowest, time.monotonic() - began)

    def check(self, good_hashes: set[str]) -> None:
        """Every customer's mail has a row whose trace names a good set; what must stay out is not there."""
        with suppress(TimeoutError):
            await_true("every mail is logged", self._all_came, seconds=LONGEST_DELAY)
        faults, rows = self._report.faults, self._scene.command.rows
        if self._sent:
            faults.append(f"{len(self._sent)} mails were not logged")
        if self._report.slowest > LONGEST_DELAY:
            faults.append(f"a mail waited {self._report.slowest:.0f} s")
        logged = {name for (name,) in rows("SELECT message_id FROM interaction")}
        if leaked := logged & set(self._kept_out):
            faults.append(f"{len(leaked)} mails entered the history that must not")
        if strange := {one for (one,) in rows("SELECT DISTINCT config_hash FROM trace")} - good_hashes:
            faults.append(f"traces name sets that were refused: {strange}")


def on_reload(scene: Scene, mutations: list[Mutation], report: Report) -> None:
    """One daemon, one broken set after the other."""
    opt_outs = scene.safety()
    with scene.running() as process:
        with Postman(scene, report) as postman:
            hashes = {scene.told()["config"]}
            for mutation in mutations:
                hashes.add(_reload(scene, mutation, report))
            _mend(scene, report)
        postman.check(hashes)
        if process.poll() is not None:
            report.faults.append(f"the daemon ended: {scene.command.said()}")
    if scene.safety() != opt_outs or not opt_outs:
        report.faults.append("the opt-outs are not what they were")
    if "Traceback" in scene.command.log.read_text(errors="replace"):
        report.faults.append(f"a traceback in the log: {scene.command.said()}")


def _reload(scene: Scene, mutation: Mutation, report: Report) -> str:
    """Have it loaded; the hash of the set that runs then."""
    before = scene.told()["config"]
    scene.write(dict(mutation.files))
    trouble = scene.reload()
    told = scene.told()
    report.reloads += 1
    report.note(mutation, trouble)
    if trouble and (told["config"] != before or told["config_trouble"] != trouble):
        report.faults.append(f"not kept: {mutation.kind}, {mutation.file}:{mutation.line}")
    if not trouble or report.reloads % 10 == 0:
        _mend(scene, report)
    return str(told["config"])


def _mend(scene: Scene, report: Report) -> None:
    scene.write(scene.files)
    if scene.reload() or scene.told()["config_trouble"]:
        report.faults.append(f"not mended: {scene.command.said()}")


def at_start(scene: Scene, mutations: list[Mutation], report: Report, *, every: int) -> None:
    """Each set as what a start finds; each `every`-th of all offices as a process."""
    scene.write(scene.files)
    sound = load_settled(scene.directory)
    good.keep(good.stage(scene.directory, scene.command.state))
    for mutation in mutations:
        scene.write(dict(mutation.files))
        start = boot(scene.directory)
        report.starts += 1
        report.note(mutation, start.trouble)
        if start.trouble and (start.office.hash, guarded(start.office)) != (sound.hash, guarded(sound)):
            report.faults.append(f"another set starts: {mutation.kind}, {mutation.file}:{mutation.line}")
        if start.trouble and report.starts // every > report.processes:
            _start_process(scene, sound.hash, mutation, report)
    scene.write(scene.files)


def _start_process(scene: Scene, wanted: str, mutation: Mutation, report: Report) -> None:
    with scene.running() as process:
        told = scene.told()
        if process.poll() is not None or told["config"] != wanted or not told["config_trouble"]:
            report.faults.append(f"no start: {mutation.kind}, {mutation.file}:{mutation.line} {scene.command.said()}")
    report.processes += 1


def refuse_without_a_last_good_set(scene: Scene, mutation: Mutation, report: Report) -> None:
    """A broken first start names the fault and does nothing."""
    (scene.command.state / good.LINK).unlink()
    scene.write(dict(mutation.files))
    with suppress(ConfigError):
        boot(scene.directory)
        report.faults.append("a broken set started without a good one")
    scene.write(scene.files)


def play(folder: Path, count: int, seed: int, *, others: int = 0, every: int = 20, only: str = "") -> Report:
    """`count` slips of the eight kinds and `others` on reload and as many at a start, shared among the offices (or in
    one of them)."""
    report, rng = Report(), Random(seed)
    known = {name: files for name, files in offices().items() if only in ("", name)}
    for at, (name, files) in enumerate(known.items()):
        sure, more = (number // len(known) + (at < number % len(known)) for number in (count, others))
        scene = Scene(_made(folder / name), files)
        for way in (on_reload, partial(at_start, every=every)):
            slips = [eighth(at + number, files, rng) for number in range(sure)]
            slips += [mutate(files, rng) for _ in range(more)]
            way(scene, slips, report)
        missing = {part: text for part, text in files.items() if part != "quietcrm.yaml"}
        gone = Mutation(kind="the settings are gone", file="quietcrm.yaml", line=0, files=missing)
        refuse_without_a_last_good_set(scene, gone, report)
    return report


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def main(arguments: list[str] | None = None) -> int:
    """Print what came of it; 1 if something must not have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="slips of eight kinds on reload, and as many at a start")
    parser.add_argument("--others", type=int, default=0, help="other slips on reload, and as many at a start")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--every", type=int, default=20, help="each such start is a process of its own")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="quietcrm-configs-") as folder:
        report = play(Path(folder), options.count, options.seed, others=options.others, every=options.every)
    print(report.text())
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
