"""All campaigns one after the other, and a scorecard at the end: `python -m campaigns.scorecard [--release]`.

Each is a command of its own; what it says goes through as it comes. A fault in one does not keep the others from
running; the exit code tells whether all were clean.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Campaign:
    """One line of the scorecard: what it proves, and its arguments under an hour for all, and before a release."""

    proves: str
    module: str
    short: str
    long: str


CAMPAIGNS = (
    Campaign("kills while mail is read", "kills", "--kills 40 --least 8", "--kills 500 --least 12"),
    Campaign("the same on PostgreSQL", "kills", "--kills 12 --least 3 --postgres", "--kills 100 --least 12 --postgres"),
    Campaign("old mail never delays new", "backfill", "--count 20000 --minutes 5", "--count 200000 --minutes 12"),
    Campaign("kills while mail is sent", "send_kills", "--kills 50 --least 8", "--kills 500 --least 20"),
    Campaign(
        "the same on PostgreSQL", "send_kills", "--kills 15 --least 3 --postgres", "--kills 100 --least 10 --postgres"
    ),
    Campaign("the line drops after the dot", "send_drops", "--rounds 100 --kills 12", "--rounds 500 --kills 54"),
    Campaign("an answer stops what is due", "replies", "--rounds 300 --on-servers 15", "--rounds 950 --on-servers 50"),
    Campaign("what ends a sequence", "sequences", "--rounds 300 --on-servers 15", "--rounds 950 --on-servers 50"),
    Campaign("meetings change under reminders", "reminders", "--rounds 200", "--rounds 3000"),
    Campaign("machines that answer all", "responders", "--rounds 5", "--rounds 20"),
    Campaign("contacts that look alike", "look_alikes", "--contacts 2000", "--contacts 10000"),
    Campaign("standstill and wrong clocks", "clocks", "--seeds 2", "--seeds 20"),
    Campaign("recurrences as libical has them", "recurrences", "--count 20000", "--count 200000"),
    Campaign("repetitions without end", "bombs", "", ""),
    Campaign("every change of summer time", "zones", "--step 240", "--step 15"),
    Campaign("broken configurations", "configs", "--count 300 --others 100", "--count 1000 --others 2000"),
    Campaign("kills while tokens are renewed", "tokens", "--rounds 300", "--rounds 5000"),
    Campaign("a failing Microsoft 365", "graph", "--count 1500 --sends 200", "--count 10000 --sends 2000"),
    Campaign("calendars in such a one", "graph_calendars", "--rounds 150", "--rounds 3000"),
    Campaign("patterns that hang re", "patterns", "", ""),
    Campaign("one dead mailbox of three", "dead_mailbox", "--seeds 3 --on-servers 1", "--seeds 20 --on-servers 5"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What came of one campaign."""

    campaign: Campaign
    seconds: float
    figure: str
    clean: bool

    def line(self) -> str:
        """For the scorecard."""
        verdict = "clean " if self.clean else "FAULTS"
        return f"{verdict}  {self.seconds / 60:5.1f} min  {self.campaign.proves:30}  {self.figure}"


def run(campaign: Campaign, *, long: bool) -> Score:
    """Run one and read its last word."""
    arguments = (campaign.long if long else campaign.short).split()
    print(f"--- {campaign.proves}: python -m campaigns.{campaign.module} {' '.join(arguments)}", flush=True)
    began = time.monotonic()
    command = [sys.executable, "-m", f"campaigns.{campaign.module}", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_environment(), check=False)
    sys.stdout.write(done.stdout)
    said = [line for line in done.stdout.splitlines() if line.strip()] or ["said nothing"]
    figure = next((line for line in reversed(said) if line.startswith(f"{campaign.module}:")), said[0])
    return Score(campaign=campaign, seconds=time.monotonic() - began, figure=figure, clean=done.returncode == 0)


def run_unit() -> Score | None:
    """The service in a Debian of its own, where that can be made."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("left out: make unit-test wants root and debootstrap")
        return None
    began = time.monotonic()
    done = subprocess.run(["make", "--no-print-directory", "unit-test"], cwd=ROOT, check=False)
    unit = Campaign("the unit and its confinement", "unit", "", "")
    figure = "systemd-analyze verify and security, make unit-test"
    return Score(campaign=unit, seconds=time.monotonic() - began, figure=figure, clean=done.returncode == 0)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "tests")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them, print the scorecard; 1 if one had faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="store_true", help="the long form, hours")
    parser.add_argument("--only", default="", help="modules by name, e.g. replies,send_kills")
    options = parser.parse_args(arguments)
    only = set(filter(None, options.only.split(",")))
    wanted = [one for one in CAMPAIGNS if not only or one.module in only]
    scores = [run(one, long=options.release) for one in wanted]
    unit = None if only else run_unit()
    scores += [unit] if unit else []
    print("\n".join(["", "scorecard", *(score.line() for score in scores)]), flush=True)
    return 0 if all(score.clean for score in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
