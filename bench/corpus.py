"""The mailbox that is measured: a Maildir, the customers to import, and the truth about each mail.

Made once for each size and kept under the cache folder. `$QUIETCRM_BENCH`, or ../shared/bench beside the repository,
may hold another generator, `corpus.py N --out DIR`; without it the tests' own sample office is taken, whose mails
are smaller.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN_DOMAIN = "ourfirm.example"
SAMPLE_DOMAIN = "vendas.example"


@dataclass(frozen=True, slots=True)
class Truth:
    """What must become of one mail: `customers` are the names it belongs to, `kind` what sort of mail it is."""

    message_id: str
    customers: frozenset[str]
    kind: str
    text_head: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """One mailbox on disk."""

    folder: Path
    count: int
    bytes: int
    internal: str
    generator: str

    @property
    def maildir(self) -> Path:
        """Its messages, all in `cur`."""
        return self.folder / "Maildir"

    @property
    def customers(self) -> Path:
        """The CSV to import."""
        return self.folder / "customers.csv"

    def truths(self) -> list[Truth]:
        """One for each mail."""
        names = self._names()
        with (self.folder / "truth.csv").open(newline="", encoding="utf-8") as file:
            return [
                Truth(
                    message_id=row["message_id"].strip("<>"),
                    customers=frozenset(names.get(one, one) for one in _listed(row["customers"], row["domain_only"])),
                    kind=row["kind"],
                    text_head=row["text_head"],
                )
                for row in csv.DictReader(file)
            ]

    def _names(self) -> dict[str, str]:
        """Address or domain -> the customer's name as it is imported."""
        with self.customers.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {row[key]: row["company"] or row["name"] for row in rows for key in ("email", "domain") if row[key]}


def _listed(*fields: str) -> list[str]:
    return [one for each in fields for one in each.split(";") if one]


def cache_folder() -> Path:
    """Where mailboxes and peers are kept between runs: $TMPDIR, else /var/tmp (they are too big for a RAM disk)."""
    base = Path(os.environ["TMPDIR"]) if "TMPDIR" in os.environ else Path("/var/tmp")
    folder = (base if base.is_dir() else Path(tempfile.gettempdir())) / "quietcrm-bench"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


def make_corpus(count: int) -> Corpus:
    """The mailbox of `count` mails; generated when it is not there yet."""
    generator = _generator()
    folder = cache_folder() / (f"c{count}" if generator else f"sample{count}")
    if not (folder / "truth.csv").exists():
        shutil.rmtree(folder, ignore_errors=True)
        if generator:
            subprocess.run([sys.executable, generator, str(count), "--out", folder], check=True, stdout=sys.stderr)
        else:
            _write_sample(count, folder)
    files = list((folder / "Maildir" / "cur").iterdir())
    return Corpus(
        folder=folder,
        count=len(files),
        bytes=sum(file.stat().st_size for file in files),
        internal=OWN_DOMAIN if generator else SAMPLE_DOMAIN,
        generator="generated sales mailbox" if generator else "sample office of the tests",
    )


def _generator() -> Path | None:
    named = os.environ.get("QUIETCRM_BENCH")
    for folder in (Path(named) if named else None, ROOT.parent / "shared" / "bench"):
        if folder and (folder / "corpus.py").exists():
            return folder / "corpus.py"
    return None


def _write_sample(count: int, folder: Path) -> None:
    """The tests' office as one mailbox: the first copy of each mail."""
    from servers.mailboxes import generate

    office = generate(1, count)
    current = folder / "Maildir" / "cur"
    current.mkdir(parents=True)
    for part in ("new", "tmp"):
        (folder / "Maildir" / part).mkdir()
    lines = []
    for number, mail in enumerate(office.messages):
        path = current / f"{number:06}.bench:2,S"
        path.write_bytes(mail.raw)
        at = mail.copies[0].received_at.timestamp()
        os.utime(path, (at, at))
        truth = mail.truth
        if truth.message_id:
            names = ";".join(sorted(truth.customers))
            lines.append([truth.message_id, names, "", "malformed" if truth.traits else truth.kind, truth.subject, ""])
    office.customers_csv(folder / "customers.csv")
    with (folder / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["message_id", "customers", "domain_only", "kind", "subject", "text_head"])
        writer.writerows(lines)
