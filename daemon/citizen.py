"""Which mails must not be answered by a program: those of machines, of lists, of spam and our own (RFC 3834, 2)."""

from __future__ import annotations

import re

from connectors.folders import is_junk
from connectors.model import Kind, Message

_NO_REPLY = re.compile(
    r"(?:do[-_.]?not[-_.]?reply|no[-_.]?reply|n[aã]o[-_.]?respond\w*|mailer[-_.]?daemon|postmaster|bounces?|listserv|"
    r"majordomo|owner-.*|.*-(?:request|owner|bounces?))(?:[-_.+=\d].*)?@",
    re.IGNORECASE,
)
_SILENT = frozenset(("bulk", "list", "junk"))


def is_no_reply(address: str) -> bool:
    """Whether nobody reads what is sent to an address, by its local part (RFC 3834, 2)."""
    return _NO_REPLY.match(address.strip()) is not None


def why_no_answer(message: Message) -> str:
    """Why a mail must not cause one that leaves by itself, "" if it may. Where signs disagree the machine wins."""
    if message.kind is not Kind.HUMAN:
        return f"no person wrote this mail ({message.kind.value})"
    if is_junk(message.folder):
        return "the mail lies in a Junk folder"
    for name, value in message.headers:
        if why := _why_header(name, value.strip().lower()):
            return why
    return ""


def _why_header(name: str, value: str) -> str:
    if name.startswith("x-quietcrm"):
        return "the mail is one of ours"
    if name.startswith("list-"):
        return f"the mail came by a list ({name})"
    if name == "auto-submitted":
        said = value.partition(";")[0].strip()
        return "" if said in ("", "no") else f"a program wrote this mail (auto-submitted: {said[:40]})"
    if name == "precedence":
        return f"the mail is bulk (precedence: {value})" if value in _SILENT else ""
    if name == "return-path":
        return "the mail wants no answer (return-path: <>)" if value.replace(" ", "") == "<>" else ""
    if name == "x-auto-response-suppress":
        wished = {one.strip() for one in value.split(",")}
        return "the mail wants no automatic answer" if wished & {"all", "autoreply"} else ""
    spam = (name == "x-spam-flag" and value.startswith("yes")) or (name == "x-spam-status" and value.startswith("yes"))
    return "the mail is marked as spam" if spam else ""
