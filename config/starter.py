"""Writes the first configuration of an office, in its language. Never overwrites anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from config.load import SETTINGS_FILE
from config.references import MAIL_PROVIDERS
from config.traps import quoted

LANGUAGES = ("en", "pt", "ru")
PLAIN_SAFE = re.compile(r"[^\W_][\w .@/+-]*(?<! )")


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterAnswers:
    """What `init` asks.

    `name` signs the drafts ("" = the short name `rep`, with a capital letter).
    `account_type` is imap, maildir, mbox or eml; `password` a reference like "{env: ANA_PASSWORD}" ("" = that one
    for the person's name); ports of 0 mean the usual one; without `smtp_host` no sender is written.
    """

    company: str
    zone: str
    language: str
    rep: str
    mail: str
    name: str = ""
    account_type: str = "imap"
    host: str = ""
    port: int = 0
    security: str = "tls"
    login: str = ""
    password: str = ""
    path: str = ""
    smtp_host: str = ""
    smtp_port: int = 0
    smtp_security: str = "tls"


def write_starter(directory: Path, answers: StarterAnswers) -> list[Path]:
    """Write what is missing and return the files written; what exists stays as it is.

    Beside an existing quietcrm.yaml, a folder that is there already is the office's own and gets nothing added.
    Raises OSError if the directory cannot be written.
    """
    settled = (directory / SETTINGS_FILE).exists()
    own = {path.name for path in directory.iterdir() if path.is_dir()} if settled else set()
    own |= {"tests"} if "rules" in own else set()  # they test the rules that come with them, not others
    written = []
    for name, text in starter_files(answers).items():
        path = directory / name
        if path.exists() or name.parts[0] in own:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        written.append(path)
    return written


def starter_files(answers: StarterAnswers) -> dict[PurePosixPath, str]:
    """Every file of the first configuration by its path below the directory, settings first."""
    language = answers.language[:2] if answers.language[:2] in LANGUAGES else "en"
    root = files("config") / "examples" / "start" / language
    found = dict(sorted(_texts(root, PurePosixPath()), key=lambda one: (len(one[0].parts), one[0])))
    settings = PurePosixPath(SETTINGS_FILE)
    return {**found, settings: _fill(found[settings], answers)}


def _texts(folder: Traversable, below: PurePosixPath) -> list[tuple[PurePosixPath, str]]:
    found = []
    for entry in folder.iterdir():
        name = below / entry.name
        found.extend(_texts(entry, name) if entry.is_dir() else [(name, entry.read_text(encoding="utf-8"))])
    return found


def _fill(text: str, answers: StarterAnswers) -> str:
    domain = answers.mail.rpartition("@")[2].lower()
    filled = Template(text).substitute(
        company=_scalar(answers.company),
        zone=answers.zone,
        internal="[]" if domain in MAIL_PROVIDERS else f'["@{domain}"]',
        rep=answers.rep,
        mail=_scalar(answers.mail),
        name=_scalar(answers.name or answers.rep.capitalize()),
        accounts="\n".join(_account(answers)),
        senders="\n".join(_sender(answers)),
    )
    return re.sub(r"^  language: .*$", f"  language: {answers.language}", filled, count=1, flags=re.MULTILINE)


def _account(answers: StarterAnswers) -> list[str]:
    lines = [f"  {answers.rep}:", f"    type: {answers.account_type}", f"    rep: {answers.rep}"]
    if answers.account_type != "imap":
        return [*lines, f"    path: {_scalar(answers.path)}"]
    lines += [f"    host: {_scalar(answers.host)}", *_line_settings(answers.port, answers.security)]
    return [*lines, f"    login: {_scalar(answers.login or answers.mail)}", f"    password: {_password(answers)}"]


def _sender(answers: StarterAnswers) -> list[str]:
    if not answers.smtp_host:
        return []
    lines = ["", "senders:", f"  {answers.rep}:", "    type: smtp", f"    host: {_scalar(answers.smtp_host)}"]
    lines += _line_settings(answers.smtp_port, answers.smtp_security)
    return [*lines, f"    login: {_scalar(answers.login or answers.mail)}", f"    password: {_password(answers)}", ""]


def _line_settings(port: int, security: str) -> list[str]:
    lines = [f"    port: {port}"] if port else []
    return lines + ([f"    security: {security}"] if security != "tls" else [])


def _password(answers: StarterAnswers) -> str:
    return answers.password or "{env: " + re.sub(r"\W", "_", answers.rep).upper() + "_PASSWORD}"


def _scalar(text: str) -> str:
    return text if PLAIN_SAFE.fullmatch(text) else quoted(text)
