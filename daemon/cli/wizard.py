"""The questions of `init`: asked on a terminal, or answered by options; each answer is checked as the settings are."""

from __future__ import annotations

import locale
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer
from pydantic_core import PydanticCustomError

from config.references import MAIL_PROVIDERS
from config.starter import LANGUAGES, StarterAnswers
from config.values import parse_language, parse_mail, parse_name, parse_zone

Answers = dict[str, str]

ORIGINS = ("imap", "google", "outlook", "maildir", "mbox", "eml")
SECURITIES = ("tls", "starttls", "none")
GOOGLE = {"host": "imap.gmail.com", "security": "tls"}


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `default` proposes an answer from those before it, "" if there is none; `check` returns the
    answer in its final form or raises a pydantic error with a remedy."""

    name: str
    text: str
    default: Callable[[Answers], str] = lambda _: ""
    check: Callable[[str], object] = str
    only: tuple[str, ...] = ORIGINS


def zone_of_machine() -> str:
    """The time zone this machine is set to, "UTC" if it does not say."""
    link = Path("/etc/localtime")
    named = os.environ.get("TZ", "").lstrip(":") or (str(link.resolve()) if link.is_symlink() else "")
    found = re.search(r"zoneinfo/(?:posix/|right/)?(.+)", named)
    try:
        return parse_zone(found[1] if found else named or "UTC")
    except PydanticCustomError:
        return "UTC"


def language_of_machine() -> str:
    """pt, ru or en, after the locale."""
    found = (locale.getlocale()[0] or os.environ.get("LANG", ""))[:2].lower()
    return found if found in LANGUAGES else "en"


def _company(answers: Answers) -> str:
    domain = answers["mail"].rpartition("@")[2].lower()
    return "" if domain in MAIL_PROVIDERS else domain.split(".")[0].capitalize()


def _rep(answers: Answers) -> str:
    word = re.split(r"[.+_-]", answers["mail"].rpartition("@")[0])[0].lower()
    return word if re.fullmatch(r"[^\W_]\w*", word) else "me"


def _host(answers: Answers) -> str:
    return GOOGLE["host"] if answers["from"] == "google" else ""


def _server(text: str) -> str:
    """The name or number of a server; people paste addresses of web pages and mail addresses here."""
    found = re.fullmatch(r"(?:[a-z]+://)?(?:[^\s@/]*@)?([^\s@/]+)/?", text, re.IGNORECASE)
    name = found[1] if found else "mail.vendas.example"
    if text != name:
        message = f'"{text}" is not the name of a server'
        raise PydanticCustomError("E199", "{message}", {"message": message, "help": f"write: {name}"})
    return text


def _language(text: str) -> str:
    """One that there are starter files in; `pt-BR` takes those in `pt`."""
    code = parse_language(text)
    _one_of(LANGUAGES)(code[:2])
    return code


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in choices:
            message = f'"{text}" is none of {", ".join(choices)}'
            raise PydanticCustomError("E206", "{message}", {"message": message, "help": f"write: {choices[0]}"})
        return text

    return check


_SERVER = ("imap", "google")
_FILES = ("maildir", "mbox", "eml")
QUESTIONS = (
    Question("mail", "Mail address of the first person", check=parse_mail),
    Question("company", "Name of the office", _company),
    Question("zone", "Time zone", lambda _: zone_of_machine(), parse_zone),
    Question("language", "Language of the office (pt, ru, en)", lambda _: language_of_machine(), _language),
    Question("rep", "Short name of that person", _rep, parse_name),
    Question("name", "Full name, as it signs letters", lambda answers: answers["rep"].capitalize()),
    Question("host", "IMAP server", _host, _server, only=_SERVER),
    Question("security", "Encryption (tls, starttls, none)", lambda _: "tls", _one_of(SECURITIES), only=_SERVER),
    Question("login", "User name at that server", lambda answers: answers["mail"], only=_SERVER),
    Question("path", "Where the mail lies (file or folder)", only=_FILES),
)


def settle(given: Mapping[str, str | None], *, ask: bool, accept: bool) -> Answers:
    """All answers: those given, asked for where `ask`, else the defaults (also on a terminal where `accept`).

    `given` holds "from" and any answer by the question's name. Raises typer.BadParameter for an answer that cannot
    be, or naming every option that is missing.
    """
    answers: Answers = {"from": given["from"] or "imap"}
    missing = []
    for question in QUESTIONS:
        if answers["from"] not in question.only:
            continue
        stated = given.get(question.name)
        if stated is not None:
            answers[question.name] = _checked(question, stated)
            continue
        default = question.default(answers) if "mail" in answers else ""
        if default and (accept or not ask):
            answers[question.name] = default
        elif ask:
            answers[question.name] = _prompted(question, default)
        else:
            missing.append(f"--{question.name}")
    if missing:
        raise typer.BadParameter(f"missing: {', '.join(missing)} (there is no terminal to ask on)")
    return answers


def _checked(question: Question, text: str) -> str:
    try:
        checked = question.check(text.strip())
    except PydanticCustomError as error:
        context = error.context or {}
        raise typer.BadParameter(
            f"{context.get('message')}; {context.get('help')}", param_hint=f"--{question.name}"
        ) from error
    if not str(checked):
        raise typer.BadParameter("an answer is needed", param_hint=f"--{question.name}")
    return str(checked)


def _prompted(question: Question, default: str) -> str:
    while True:
        text = typer.prompt(question.text, default=default or None, err=True)
        try:
            return _checked(question, str(text))
        except typer.BadParameter as error:
            typer.echo(f"  {error.message}", err=True)


def starter_answers(answers: Answers, *, password: str, port: int, smtp: tuple[str, int, str]) -> StarterAnswers:
    """The answers in the form that writes the files. `smtp`: host ("" = none), port (0 = the usual), security."""
    server = answers["from"] in _SERVER
    return StarterAnswers(
        company=answers["company"],
        zone=answers["zone"],
        language=answers["language"],
        rep=answers["rep"],
        mail=answers["mail"],
        name=answers["name"],
        account_type="imap" if server else answers["from"],
        host=answers.get("host", ""),
        port=port,
        security=answers.get("security", "tls"),
        login=answers.get("login", ""),
        password=password,
        path=answers.get("path", ""),
        smtp_host=smtp[0],
        smtp_port=smtp[1],
        smtp_security=smtp[2],
    )
