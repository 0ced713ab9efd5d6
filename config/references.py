"""Checks across the settings: names that must exist, addresses that must be unique, lines that must be protected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from config.accounts import is_loopback
from config.calendars import MAILBOX_KINDS
from config.errors import Problem
from config.nodes import ListNode, MapNode, Node, Scalar
from config.secrets import loose_mode
from config.values import address_matches, did_you_mean, shorten

# The providers whose domain in `internal` would hide most customers; the full list lives with the matching.
MAIL_PROVIDERS = frozenset(
    (
        "gmail.com",
        "googlemail.com",
        "outlook.com",
        "hotmail.com",
        "live.com",
        "yahoo.com",
        "yahoo.com.br",
        "icloud.com",
        "me.com",
        "aol.com",
        "mail.ru",
        "bk.ru",
        "list.ru",
        "inbox.ru",
        "yandex.ru",
        "ya.ru",
        "rambler.ru",
        "uol.com.br",
        "bol.com.br",
        "terra.com.br",
        "ig.com.br",
        "gmx.de",
        "gmx.net",
        "web.de",
        "t-online.de",
        "orange.fr",
        "wanadoo.fr",
        "free.fr",
        "laposte.net",
    )
)


def check_references(root: MapNode, directory: Path) -> list[Problem]:
    """Every fault that only shows across settings. Works on nodes, so it speaks even where a type is wrong."""
    return [
        *_unknown_people(root),
        *_missing_mailboxes(root),
        *_shared_addresses(root),
        *_open_lines(root),
        *_written_password(root),
        *_secret_files(root, directory),
        *_hidden_customers(root),
        *_forgotten_colleagues(root),
    ]


def _unknown_people(root: MapNode) -> Iterator[Problem]:
    team = root.get("team")
    if not isinstance(team, MapNode):
        return
    people = [key.text for key, _ in team.entries]
    for scalar in _people_named(root):
        if scalar.text not in people and scalar.text and people:
            help = did_you_mean(scalar.text, people, f"write: {people[0]}")
            yield _at(scalar, "E206", f'"{scalar.text}" is nobody of the team', help)


def _people_named(root: MapNode) -> Iterator[Scalar]:
    yield from _scalars(root.get("admin"))
    for section in ("accounts", "calendars", "senders"):
        for _, entry in _entries(root.get(section)):
            if isinstance(entry, MapNode):
                yield from _scalars(entry.get("rep"))
                yield from _scalars(entry.get("shared"))


def _missing_mailboxes(root: MapNode) -> Iterator[Problem]:
    """Calendars that come with a mailbox, and none is there, or one at another kind of server."""
    kinds = {key.text: _text(entry, "type") for key, entry in _entries(root.get("accounts"))}
    for key, entry in _entries(root.get("calendars")):
        kind = _text(entry, "type")
        if kind not in MAILBOX_KINDS or not isinstance(entry, MapNode):
            continue
        named = next(_scalars(entry.get("account")), key)
        fitting = [name for name, other in kinds.items() if other == kind]
        otherwise = f"write: account: {fitting[0]}" if fitting else f"add the mailbox below accounts: with type: {kind}"
        if named.text not in kinds:
            help = did_you_mean(named.text, fitting, otherwise) if named is not key else otherwise
            yield _at(named, "E216", f'no account is called "{named.text}" to open these calendars', help)
        elif kinds[named.text] != kind:
            message = f'calendars of type {kind} need an account of that type; "{named.text}" is {kinds[named.text]}'
            yield _at(named, "E216", message, otherwise)


def _shared_addresses(root: MapNode) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for key, person in _entries(root.get("team")):
        if not isinstance(person, MapNode):
            continue
        for scalar in (*_scalars(person.get("mail")), *_scalars(person.get("aliases"))):
            owner = seen.setdefault(scalar.text.lower(), key.text)
            if owner != key.text:
                help = f"leave it with {owner} or with {key.text}; a mailbox both read is an account with `shared`"
                yield _at(scalar, "E211", f"{scalar.text} already belongs to {owner}", help)


def _open_lines(root: MapNode) -> Iterator[Problem]:
    for section in ("accounts", "senders"):
        for _, entry in _entries(root.get(section)):
            if not isinstance(entry, MapNode):
                continue
            security, host = entry.get("security"), entry.get("host")
            if not (isinstance(security, Scalar) and security.text == "none" and isinstance(host, Scalar)):
                continue
            if (section == "accounts" or entry.get("login")) and not is_loopback(host.text):
                message = f"the password would travel to {host.text} unprotected"
                yield _at(security, "E301", message, "write: tls")


def _written_password(root: MapNode) -> Iterator[Problem]:
    store = root.get("store")
    if not isinstance(store, Scalar):
        return
    try:
        password = urlsplit(store.text).password
    except ValueError:
        return
    if password:
        help = "take it out and write: store_password: {env: STORE_PASSWORD}"
        yield _at(store, "W303", "the store's password stands in this file", help, warning=True)


def _secret_files(root: MapNode, directory: Path) -> Iterator[Problem]:
    for scalar in _file_secrets(root):
        path = directory / scalar.text
        mode = loose_mode(path)
        if mode is not None:
            message = f"others may read {scalar.text} (mode {mode:04o})"
            yield _at(scalar, "W301", message, f"run: chmod 600 {path}", warning=True)
        elif not path.exists():
            help = "create it with the password on one line, readable by quietcrm only"
            yield _at(scalar, "W302", f"{scalar.text} does not exist", help, warning=True)


def _file_secrets(root: MapNode) -> Iterator[Scalar]:
    sections = ("accounts", "calendars", "senders", "providers")
    entries = [entry for section in sections for _, entry in _entries(root.get(section)) if isinstance(entry, MapNode)]
    signing = [one for entry in entries if isinstance(one := entry.get("sign_in"), MapNode)]
    names = ("password", "client_secret", "key")
    secrets = [holder.get(name) for holder in (*entries, *signing) for name in names]
    for secret in (*secrets, root.get("store_password")):
        if isinstance(secret, MapNode):
            yield from _scalars(secret.get("file"))


def _hidden_customers(root: MapNode) -> Iterator[Problem]:
    for scalar in _scalars(root.get("internal")):
        if scalar.text.lower().removeprefix("@") in MAIL_PROVIDERS:
            message = f"every customer at {scalar.text.removeprefix('@')} would count as a colleague"
            help = "name the team's addresses one by one instead (they are internal already)"
            yield _at(scalar, "W101", message, help, warning=True)


def _forgotten_colleagues(root: MapNode) -> Iterator[Problem]:
    covered = [scalar.text for scalar in _scalars(root.get("internal"))]
    told = set(MAIL_PROVIDERS)
    for _, person in _entries(root.get("team")):
        for scalar in _scalars(person.get("mail")) if isinstance(person, MapNode) else ():
            domain = scalar.text.rpartition("@")[2].lower()
            if domain in told or any(address_matches(pattern, f"anybody@{domain}") for pattern in covered):
                continue
            told.add(domain)
            message = f"other people at {domain} would count as customers"
            yield _at(scalar, "W102", message, f'add "@{domain}" to internal', warning=True)


def _scalars(node: Node | None) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, ListNode):
        yield from (item for item in node.items if isinstance(item, Scalar))


def _text(node: Node, name: str) -> str:
    return next((one.text for one in _scalars(node.get(name))), "") if isinstance(node, MapNode) else ""


def _entries(node: Node | None) -> tuple[tuple[Scalar, Node], ...]:
    return node.entries if isinstance(node, MapNode) else ()


def _at(scalar: Scalar, code: str, message: str, help: str, *, warning: bool = False) -> Problem:
    place = scalar.place
    return Problem(
        code=code,
        message=shorten(message),
        path=place.path,
        line=place.line,
        column=place.column,
        span=place.span,
        help=help,
        warning=warning,
    )
