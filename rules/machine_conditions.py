"""Conditions on what machines say in a mail: schema.org data in its HTML, and who vouches for its sender."""

from __future__ import annotations

import re
from dataclasses import replace

from config.nodes import Node, Scalar
from rules.condition import Condition, clip, listed
from rules.mail_conditions import Build, plain, split
from rules.reader import Item, Reader
from rules.text_conditions import written
from rules.view import View

AUTH = ("pass", "fail")
_DATA = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9_:-]*)*")


def _jsonld(name: str, node: Node, reader: Reader) -> Condition | None:
    """A type ("Order"), or a value that must be there ("Order.orderNumber"); yes and no ask for any at all."""
    if isinstance(node, Scalar) and node.text.lower() in ("yes", "no"):
        some = node.text.lower() == "yes"
        return replace(plain(name, node, lambda view: bool(view.message.markup) is some, _seen_data), reads_markup=True)
    wanted, unwanted = split(reader.items(node, "`jsonld`"), lambda item: _data_path(item, reader))
    condition = listed(
        name,
        wanted,
        unwanted,
        lambda view, path: any(f"{one}.".lower().startswith(path) for one, _ in view.message.markup),
        _seen_data,
        written=written(node),
    )
    return replace(condition, reads_markup=True)


def _data_path(item: Item, reader: Reader) -> str | None:
    if _DATA.fullmatch(item.text):
        return f"{item.text.lower()}."
    message = f'"{item.text}" is no type of schema.org data'
    reader.report("E417", message, item.place, "write for example Order, or Order.orderNumber")
    return None


def _seen_data(view: View) -> str:
    return clip(", ".join(dict.fromkeys(path for path, _ in view.message.markup))) or "no data"


def _auth(name: str, node: Node, reader: Reader) -> Condition | None:
    """What the mailbox's own server says of the sender by DMARC; other servers' words are anybody's."""
    scalar = reader.scalar(node, "`auth`")
    word = reader.choice(scalar, AUTH, "`auth`") if scalar else None
    if scalar and not any(account.authserv for account in reader.settings.accounts.values()):
        help = "add to the account in quietcrm.yaml: authserv: mx.example.com (first word of Authentication-Results)"
        reader.report("E419", "`auth` needs to know whose word counts", scalar.place, help)
        return None
    return plain(name, node, lambda view: _verdict(view) == word, lambda view: _verdict(view) or "no verdict")


def _verdict(view: View) -> str:
    """The DMARC result of the server that the account names, "" if it gave none."""
    account = view.office.settings.accounts.get(view.message.account)
    trusted = (account.authserv or "").lower() if account else ""
    return next((result for server, result in view.message.verdicts if server == trusted), "") if trusted else ""


MACHINE: dict[str, Build] = {"jsonld": _jsonld, "auth": _auth}
"""Conditions on what machines say, by name."""
