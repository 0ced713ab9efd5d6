"""Writes the first configuration of an office."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterAnswers:
    """What `init` asks. `account_type` is imap or maildir; `password` is a reference like "{env: ANA_PASSWORD}"."""

    company: str
    zone: str
    language: str
    rep: str
    mail: str
    account_type: str = "imap"
    host: str = ""
    login: str = ""
    password: str = ""
    path: str = ""
    smtp_host: str = ""


def write_starter(directory: Path, answers: StarterAnswers) -> list[Path]:
    """Write what is missing; never overwrites. Returns the files written."""
    raise NotImplementedError(directory, answers)
