"""Writes what was measured: JSON for machines, the generated part of docs/speed.md for people."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.corpus import ROOT, Corpus
from bench.rows import Row

PAGE = ROOT / "docs" / "speed.md"
MARKS = ("<!-- measured: begin, written by make bench -->", "<!-- measured: end -->")
HEAD = "| # | what | must | aim | measured | holds | remarks |\n|---|---|---|---|---|---|---|\n"


def write_json(rows: Sequence[Row], corpora: Sequence[Corpus], path: Path, runs: int) -> None:
    """Everything, single runs included."""
    data = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "commit": _say("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "runs": runs,
        "corpora": {str(one.count): {"bytes": one.bytes, "generator": one.generator} for one in corpora},
        "rows": [row.as_dict() for row in rows],
    }
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_page(rows: Sequence[Row], corpora: Sequence[Corpus], command: str, page: Path = PAGE) -> None:
    """Put the table between the marks of the page; the prose around it stays."""
    sizes = ", ".join(f"{one.count:,} mails = {one.bytes / 1e6:,.0f} MB" for one in corpora)
    text = "\n".join(
        (
            MARKS[0],
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}; Dovecot on loopback; {corpora[0].generator}: {sizes}.",
            f"Command: `{command}`.",
            "",
            HEAD + "\n".join(row.as_markdown() for row in rows),
            "",
            MARKS[1],
        )
    )
    old = page.read_text(encoding="utf-8") if page.exists() else "\n".join(("# Speed", "", *MARKS, ""))
    pattern = re.compile(re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1]), re.DOTALL)
    page.write_text(pattern.sub(lambda _: text, old, count=1), encoding="utf-8")


def machine() -> str:
    """Cores, processor and system, without a name."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in info)
    return f"{cores} cores ({model}), Linux {platform.release().split('-')[0]}, Python {sys.version.split()[0]}"


def _say(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
