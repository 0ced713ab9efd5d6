"""Delivery failures in plain words: where the returned mail begins, which addresses failed, what the server said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.mail.addresses import tidy_email

__all__ = ["cut_original", "find_recipients", "select_diagnostic"]

_ORIGINAL = re.compile(
    r"""^[ \t>*=_-]*(?:
      -{2,}.{0,40}(?:original\ (?:message|mail)|returned\ (?:message|mail)|message\ header|unsent\ message
          |undelivered\ message|this\ is\ a\ copy|here\ is\ (?:your|a)|below\ this\ line|first\ \d+\ lines
          |enclosed).{0,80}
      | (?:the\ |your\ )?original\ (?:message|mail)(?:\ (?:follows|headers|as\ received|text).{0,60}|\s*[-=:]*)$
      | (?:message|mail)\ headers?\ follows?.{0,20} | included\ is\ a\ copy.{0,60}
      | the\ (?:first\ \d+\ lines|header|text|body)\ of\ .{0,60} | (?:a\ copy|copy)\ of\ (?:the|your)\ .{0,60}
      | message\ removed | bounced\ e-?mail:.{0,20} | original\ message\ headers?:.{0,10}
      | -*\ ?begin\ (?:forwarded|original|message).{0,40} | this\ is\ a\ copy\ of\ .{0,60}
      | unsent\ message\ follows.{0,20} | -{3,}original\ .{0,40} | BODY:\s*$
    )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_HEADER_START = re.compile(
    r"^>?(?:Return-Path|Received|X-Original-To|Delivered-To|Message-ID|"
    r"DKIM-Signature): ?[^\n]*\n(?:>?[\t ][^\n]*\n|>?[A-Za-z][A-Za-z0-9-]{1,40}: ?[^\n]*\n){2}",
    re.IGNORECASE | re.MULTILINE,
)
_EMAIL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-\u00a1-\uffff]{1,128}@(?:[\w\-]{1,63}\.)*[\w\-]{1,63}(?![\w-]|\.[\w-])"
_ANY = re.compile(rf"(?<![\w.+/=-])({_EMAIL})(?!@)")
_ALONE = re.compile(
    rf"""^[ \t>*•\-|]*(?:e?-?mail[: ]+|recipient:[ ]*|smtp[:;][ ]*|rfc822[;:][ ]*)?[<("'\[]*({_EMAIL})[>)"'\]]*[ \t]*
    (?:[:;,.]|\.{{3}}|$|\((?:expanded|generated|ultimately|was|reason|\w+[ ]code)
    |(?:[ ]on[ ](?:\d|\w{{3}},))|[;,][ ]*(?:Action|reason))""",
    re.MULTILINE | re.IGNORECASE | re.VERBOSE,
)
_LEADING = re.compile(rf"^[ \t>*-]*<({_EMAIL})>", re.MULTILINE)
_TOLD = re.compile(
    rf"""(?:deliver(?:ed|ing|y|able)?(?:\ your\ (?:mail|message))?\ (?:the\ )?(?:message\ |mail\ |e-?mail\ )?(?:to|for)
    |failed\ (?:to\ deliver\ to|for|\d+\ attempts)|undeliverable\ *to|rcpt\ to|reach|recipient(?:\ address)?s?
    |error-for|address(?:ed\ to)?|mailbox|user|account|entreg\w+\ (?:a|para|em)|message\ to|mail\ to|sent\ to
    |envi\w+\ (?:a|para)|zugestellt\ werden|full|addressed\ to\ email\ address)\s{{0,3}}
    (?:address\s?)?[:=]?\s{{0,6}}[<("'\[]{{0,2}}(?<![\w.+-])({_EMAIL})""",
    re.IGNORECASE | re.VERBOSE,
)
_SERVICE = re.compile(
    r"^(?:postmaster|mailer-?daemon|support|abuse|helpdesk|noc|hostmaster|webmaster|antispam|dnsbl|admin)@",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<![\d.:])[45][0-5]\d(?:[ -]|$)|\b[45]\.\d{1,3}\.\d{1,3}\b|#[45]\.\d")
_HEADER_GOES_ON = re.compile(r"\n\n(?:From|To|Subject|Message-ID): ", re.IGNORECASE)
HUMAN_LIMIT = 20_000


def cut_original(text: str) -> tuple[str, str]:
    """(what the daemon says, the returned mail) of a bounce in plain text."""
    text = text[:100_000]
    cuts = [match.start() for pattern in (_ORIGINAL, _HEADER_START) if (match := pattern.search(text, 1))]
    cut = min(cuts, default=len(text))
    rest = text[cut:]
    match = _HEADER_START.search(rest) or re.search(
        r"^(?:From|To|Subject|Date|Message-Id):", rest, re.MULTILINE | re.IGNORECASE
    )
    block = rest[match.start() :] if match else ""
    end = block.find("\n\n")
    if end >= 0 and not _HEADER_GOES_ON.match(block, end):
        block = block[:end]
    return text[:cut][:HUMAN_LIMIT], re.sub(r"^>", "", block, flags=re.MULTILINE)


def find_recipients(human: str, original_to: Sequence[str], own: Sequence[str]) -> list[str]:
    """The addresses that failed, best evidence first: alone on a line, after words that name them, then any that the
    returned mail went to. `own` are the bounce's own sender and recipients."""
    avoided = {address.lower() for address in own}
    wanted = {address.lower() for address in original_to}
    for pattern in (_LEADING, _ALONE, _TOLD):
        found = _collect(pattern, human)
        kept = [item for item in found if item.lower() in wanted] if wanted and len(found) > 1 else []
        kept = kept or [item for item in found if item.lower() in wanted or not _is_strange(item, avoided)]
        if kept:
            return kept
    found = _collect(_ANY, human)
    kept = [item for item in found if item.lower() in wanted]
    if kept:
        return kept
    others = [item for item in found if not _is_strange(item, avoided)]
    return others[:1]


def _is_strange(address: str, avoided: set[str]) -> bool:
    return address.lower() in avoided or _SERVICE.match(address) is not None


def _collect(pattern: re.Pattern[str], text: str) -> list[str]:
    found: dict[str, str] = {}
    for match in pattern.finditer(text):
        address = tidy_email(match.group(1).strip(".'"))
        found.setdefault(address.lower(), address)
        if len(found) >= 500:
            break
    return list(found.values())


def select_diagnostic(human: str, recipient: str) -> str:
    """The words about one recipient: the lines from its first mention to the next address, or those with a code."""
    lines = [line.strip() for line in human.split("\n")]
    if recipient:
        start = next((index for index, line in enumerate(lines) if recipient.lower() in line.lower()), -1)
        if start >= 0:
            near = [lines[start]]
            for line in lines[start + 1 : start + 14]:
                other = _LEADING.match(line)
                if other and other.group(1).lower() != recipient.lower():
                    break
                near.append(line)
            if any(_CODE.search(line) for line in near):
                return " ".join(near)[:2000]
    coded = [index for index, line in enumerate(lines) if _CODE.search(line)]
    if coded:
        return " ".join(" ".join(lines[index : index + 3]) for index in coded[:6])[:2000]
    return " ".join(lines)[:3000]
