"""SIGKILL while tokens are renewed: `python -m campaigns.tokens --rounds 300`.

Two processes, as a daemon and a command beside it, renew the tokens of one sign-in as fast as they can, at a provider
that replaces the refresh token each time, ends the old one as soon as the new tokens show up, and ends the whole
sign-in when an ended one is shown again. One or both are killed at a known moment and others take their place. Whoever
finds no way in any more is locked out, and that must never happen. The moments:

asked    the provider has done the work, and its answer is never sent
answer   right after the last byte of the answer
soon     up to three milliseconds later: in the middle of writing it down
used     the new access token has reached a server

With `--careless` the tokens are written down after they were used, which is how mailboxes get lost: the campaign has to
see that, or it sees nothing.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from servers.identity import IdentityServer, Rotation
from servers.signed import signed_in

from connectors.errors import AuthRejected, Unavailable
from connectors.oauth.shelf import Shelf, Signed

MOMENTS = ("asked", "answer", "soon", "used")


@dataclass
class TokensTally:
    """What was done and found."""

    kills: Counter[str] = field(default_factory=Counter)
    renewals: int = 0
    locked_out: bool = False

    def text(self) -> str:
        """For people."""
        kills = ", ".join(f"{moment} {self.kills[moment]}" for moment in MOMENTS)
        total = sum(self.kills.values())
        verdict = "LOCKED OUT" if self.locked_out else "never locked out"
        return f"tokens: {total} kills ({kills}), {self.renewals} renewals, {verdict}"


class WatchedIdentity(IdentityServer):
    """Kills whoever asks, at the moment that is set."""

    def __init__(self, rotation: Rotation, rng: Random) -> None:
        self.moment = ""
        self.rng = rng
        self.killed: queue.Queue[str] = queue.Queue()
        self.pids: list[int] = []
        self._once = threading.Lock()
        super().__init__(rotation=rotation)
        self.answered = self._answered

    def handle(self, path: str, request: Any) -> tuple[int, Any, list[tuple[str, str]]]:
        """As ever, and then perhaps nobody is left to hear it."""
        done = super().handle(path, request)
        if path == "token" and self.moment == "asked":
            self._kill("asked")
        if path == "userinfo" and self.moment == "used":
            self._kill("used")
        return done

    def _answered(self, _: dict[str, Any]) -> None:
        if self.moment == "soon":
            time.sleep(self.rng.uniform(0, 0.003))
        if self.moment in ("answer", "soon"):
            self._kill(self.moment)

    def _kill(self, moment: str) -> None:
        """Both or one of the two, once a round. They hold no lock of ours."""
        with self._once:
            if self.moment != moment:
                return
            self.moment = ""
            doomed = self.pids if self.rng.random() < 0.5 else self.pids[:1]
            for pid in doomed:
                os.kill(pid, signal.SIGKILL)
            while any(_is_alive(pid) for pid in doomed):
                time.sleep(0.0005)
            self.killed.put(moment)


class Nursery:
    """A process that has loaded everything and makes children of itself: a start costs a millisecond."""

    def __init__(self, state: Path, identity: IdentityServer, *, careless: bool) -> None:
        command = [sys.executable, "-m", "campaigns.tokens", "--child", str(state), "--port", str(identity.port)]
        tests = str(Path(__file__).resolve().parents[1])
        self._process = subprocess.Popen(
            [*command, "--careless"] if careless else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": tests},
            text=True,
        )

    def born(self) -> int:
        """The process id of a new child, which begins at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it with all its children."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def run(rounds: int, seed: int, *, rotation: Rotation = "ends_on_use", careless: bool = False) -> TokensTally:
    """So many kills; ends early when somebody is locked out."""
    tally, rng = TokensTally(), Random(seed)
    with tempfile.TemporaryDirectory() as folder, WatchedIdentity(rotation, rng) as identity:
        mine = signed_in(identity, Path(folder))
        nursery = Nursery(Path(folder), identity, careless=careless)
        try:
            identity.pids = [nursery.born(), nursery.born()]
            while sum(tally.kills.values()) < rounds and not tally.locked_out:
                identity.moment = min(MOMENTS, key=lambda one: (tally.kills[one], rng.random()))
                tally.kills[_await_kill(identity, mine, tally)] += 1
                identity.pids = [pid if _is_alive(pid) else nursery.born() for pid in identity.pids]
                rng.shuffle(identity.pids)
        except AuthRejected:
            tally.locked_out = True
        finally:
            identity.moment = ""
            nursery.close()
        tally.locked_out = tally.locked_out or _finds_no_way_in(mine)
        tally.renewals = identity.questions("refresh_token")
    return tally


def _await_kill(identity: WatchedIdentity, mine: Any, tally: TokensTally) -> str:
    """The moment at which somebody died. Raises AuthRejected where all are locked out and nobody asks any more."""
    while True:
        try:
            return identity.killed.get(timeout=5)
        except queue.Empty:
            mine.bearer(refused=mine.bearer())


def _finds_no_way_in(mine: Any) -> bool:
    for _ in range(5):
        try:
            mine.bearer(refused=mine.bearer())
            return False
        except Unavailable:
            continue
        except AuthRejected:
            return True
    return True


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return False
    return state not in ("Z", "X")


# --- the child -------------------------------------------------------------------------------------------------------


def _nurse(state: Path, port: int, *, careless: bool) -> None:
    import httpx

    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    children = []
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.close(0)
            _renew_for_ever(state, port, httpx, careless=careless)
            os._exit(0)
        children.append(pid)
        print(pid)
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _renew_for_ever(state: Path, port: int, httpx: Any, *, careless: bool) -> None:
    from servers.signed import tokens_at

    late: list[tuple[Shelf, Signed]] = []
    if careless:
        save = Shelf.save
        Shelf.save = lambda shelf, signed: late.append((shelf, signed))  # type: ignore[method-assign, assignment]
    tokens, token, server = tokens_at(port, state), "", httpx.Client(verify=False)
    while True:
        try:
            token = tokens.bearer(refused=token)
            server.get(f"http://127.0.0.1:{port}/userinfo", headers={"Authorization": f"Bearer {token}"})
        except AuthRejected:
            return
        except (Unavailable, httpx.HTTPError):
            continue
        while careless and late:
            shelf, signed = late.pop()
            with shelf.locked():
                save(shelf, signed)


def main(arguments: Sequence[str] | None = None) -> int:
    """The campaign, or the child of one; 1 if somebody was locked out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--careless", action="store_true")
    parser.add_argument(
        "--rotation", default="ends_on_use", choices=["stays", "replaced", "ends_on_use", "ends_at_once"]
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        _nurse(options.child, options.port, careless=options.careless)
        return 0
    tally = run(options.rounds, options.seed, rotation=options.rotation, careless=options.careless)
    print(tally.text())
    return 1 if tally.locked_out else 0


if __name__ == "__main__":
    sys.exit(main())
