"""Why mail came back: one word of our own list and whether the address is dead, from status code and server's words."""

from __future__ import annotations

import re

__all__ = ["HARD_REASONS", "find_status", "judge"]

HARD_REASONS = frozenset({"user_unknown", "host_unknown"})
"""Reasons that say the address itself does not exist; everything else may pass."""

_WORDS: tuple[tuple[str, str], ...] = (
    ("user_unknown", r"disabled or discontinued"),
    ("policy", r"recipient preferences|does not want|refuse[sd] to receive"),
    (
        "mailbox_full",
        r"mail ?(?:box|folder|drop)(?:[ '\"<>@\w.-]{0,80})? (?:is |was |has )?(?:already |currently )?(?:too |"
        r"over|exceeded|full)|over ?(?:its |their )?"
        r"(?:disk |storage |mail )?quota|quota (?:has been |was |is )?(?:exceed|reached|full|violat)|"
        r"exceed\w*[ \w']{0,40} (?:quota|storage|mailbox size|space)|(?:inbox|account|folder) is full|"
        r"maildir\w* (?:is )?full|"
        r"(?:out of|not enough|insufficient) (?:\w+ )?(?:disk|storage|mailbox|quota|space)|storage (?:full|"
        r"limit|allocation)|"
        r"caixa (?:postal|de (?:correio|entrada))[ \w]{0,30} cheia|ящик[ \w]{0,20}(?:переполнен|заполнен)|"
        r"postfach[ \w]{0,30}voll|"
        r"bo[iî]te[ \w]{0,30} pleine|buz[oó]n[ \w]{0,30} lleno|too much mail|user is over|mailbox_?full|over limit",
    ),
    (
        "too_big",
        r"(?:message|mail|size|file|e-?mail)[ \w,']{0,40} (?:too (?:big|large|long)|exceeds?)(?! the (?:quota|"
        r"storage))[ \w]{0,40}(?:size|limit|max\w*|length|"
        r"system|\b)|(?:exceed\w*|over)[ \w]{0,30}(?:size limit|max\w* (?:message )?size|size)|"
        r"max(?:imum)? message size|larger than|"
        r"message (?:header )?(?:size|length) (?:exceed|limit)|resolver\.rst\.(?:recipsize|sendersize)",
    ),
    (
        "loop",
        r"too many hops|mail loop|loop(?:s|ing)? (?:back|detected)|message looping|hop count exceeded|routing loop|"
        r"mail forwarding loop|loop count",
    ),
    (
        "host_unknown",
        r"host(?:name)? (?:or domain name )?(?:unknown|not found)|unknown (?:host|domain|mail domain)|"
        r"no such (?:host|domain)|"
        r"domain (?:name )?[\w.<>@ -]{0,60}(?:not found|does(?:n't| not) exist|is not|invalid)|nxdomain|"
        r"null ?mx|name service error|"
        r"does not accept (?:any )?(?:e-?mail|mail|messages)|(?:could|can)(?:n't| ?not) (?:find|"
        r"resolve)[ \w]{0,30}(?:host|domain|mail exchanger)|"
        r"dns lookup failure|unrouteable mail domain|host could not be resolved|no mx (?:record|for)|"
        r"invalid domain|dns (?:query|error)|"
        r"mail exchanger or ip|illegal host|bad destination host|unable to (?:resolve|lookup)|no longer in service|"
        r"(?:domain|host)[ \w]{0,20} no longer|nameserver err|address resolution",
    ),
    (
        "suspended",
        r"(?:account|mailbox|user|address|recipient)(?:[ \w'<>@.]{0,60})? (?:is |was |has been |have been |"
        r"that you tried to reach is )?"
        r"(?:currently |temporarily )?(?:disabled|suspended|inactive|deactivated|locked|blocked by|on hold|"
        r"not active|expired|closed)|"
        r"inactive (?:user|account|mailbox|recipient)|mailbox currently suspended",
    ),
    (
        "user_unknown",
        r"recipient address rejected: access denied|(?:address|recipient) rejected\.? ?(?:\(in reply to rcpt|"
        r"$)|\b542 \S+ rejected|recipient name is not|"
        r"user(?:name)?[ \w'<>@.()=-]{0,60} (?:unknown|not found|not known|does(?:n't| not) exist|not listed|"
        r"doesn't have)|unknown (?:user|recipient|"
        r"local|address|mailbox|account|or illegal)|no such (?:user|mailbox|recipient|address|account|person|"
        r"e-?mail|local)|"
        r"(?:mailbox|recipient|address|account|e-?mail|alias|person)[ \w'<>@.:()-]{0,80} (?:unknown|not found|"
        r"does(?:n't| not) exist|not exist\w*|"
        r"unavailable|invalid|not valid|not known|couldn't be found|could not be found|wasn't found)|"
        r"(?:invalid|bad|illegal) (?:recipient|mailbox|user|"
        r"address|destination|alias|e-?mail)|doesn't (?:exist|have an?)|does not exist|not a (?:valid|known|"
        r"registered|local|recogni[sz]ed)|no (?:mailbox|account|local user)|"
        r"recipnotfound|recipient(?:s| address)? (?:rejected: )?(?:not|unknown)|unrouteable address|"
        r"not our customer|undeliverable address|"
        r"user ?unknown|has moved|no longer (?:valid|available|with|works|employed|active|in use|on)|"
        r"destinat\w+ .{0,30}not|"
        r"inexistente|n[aã]o (?:existe|encontrad)|no existe|existe pas|n'existe|existiert nicht|nicht gefunden|"
        r"не существует|не найден|inconnu|desconhecid|desconocid|unbekannt|"
        r"not found in|is not a mailbox|could not be found|(?:wasn't|couldn't be) found at|unable to find|"
        r"possibly incorrect|not listed in|user \S{1,60} not",
    ),
    ("spam", r"\bspam(?!haus|cop)|unsolicited|bulk mail|junk|content rejected|bayes|virus|malware|infected|phish"),
    (
        "blocked",
        r"black ?-?list|block ?-?list|\bblocked\b|\brbl\b|dnsbl|spamhaus|reputation|barracuda|spamcop|"
        r"reverse dns|\bptr\b|\brdns\b|"
        r"banned|deny ip|client host|too many connections|rate limit|throttl|deferred due to|"
        r"connection (?:rate|refused by)|greylist|grey-list",
    ),
    (
        "policy",
        r"policy|dmarc|\bspf\b|\bdkim\b|relay|access denied|not (?:authori[sz]ed|permitted|allowed|accepted)|"
        r"authenticat|permission|"
        r"rejected|prohibit|restrict|refused by|denied|forbidden|unverif",
    ),
    (
        "expired",
        r"did not accept our requests|socket error|expired|time ?out|timed out|too long|retry (?:timeout|"
        r"time)|gave up|giving up|maximum delivery attempts|connection (?:refused|lost|dropped|reset)|"
        r"no route|not respond|unreachable|not reachable|could not connect|unable to (?:connect|establish)|"
        r"delivery attempts|retries|wasn't able to establish",
    ),
    ("other", r"no such file|cannot create|mailer error|system error|local delivery error"),
)  # fmt: skip
_EXCEPTIONS = 2
"""The first entries are exceptions to the later ones and outweigh the status code."""
_REASONS = tuple((reason, re.compile(pattern, re.IGNORECASE)) for reason, pattern in _WORDS)

_BY_STATUS = {
    "1.1": "user_unknown", "1.0": "user_unknown", "1.3": "user_unknown", "1.6": "user_unknown", "1.10": "user_unknown",
    "1.2": "host_unknown", "4.4": "host_unknown", "2.1": "suspended", "2.2": "mailbox_full",
    "2.3": "too_big", "3.4": "too_big",
    "4.6": "loop", "4.7": "expired", "4.1": "expired", "4.2": "expired", "4.3": "expired",
    "7.0": "policy", "7.1": "policy",
    "1.8": "policy", "1.7": "policy", "3.1": "mailbox_full",
}  # fmt: skip
_AFTER_DATA = re.compile(r"in reply to (?:end of )?data|after end of data|smtp command data\b", re.IGNORECASE)
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_SURE = {
    "mailbox_full": ("2.2",),
    "user_unknown": ("1.1", "1.6", "1.10"),
    "too_big": ("3.4",),
    "host_unknown": ("1.2",),
}


def find_status(text: str) -> str:
    """The first enhanced status code (RFC 3463) in a text, "" if there is none. IP addresses are not codes."""
    match = _STATUS.search(text)
    return match.group(1) if match else ""


def judge(status: str, text: str, *, delayed: bool = False) -> tuple[str, bool]:
    """(reason, hard) of one failed recipient. `text` is what the server said; `delayed` that it will be tried again."""
    if delayed:
        return "delayed", False
    text = " ".join(text[:4000].split())
    tail = status.partition(".")[2]
    place, reason = next(
        ((place, word) for place, (word, pattern) in enumerate(_REASONS) if pattern.search(text)), (99, "")
    )
    if tail in ("1.7", "1.8"):  # the sender's address, not the recipient's
        reason = "policy"
    elif not reason or (reason in ("expired", "policy") and place >= _EXCEPTIONS):
        reason = _BY_STATUS.get(tail, reason) if tail not in ("7.0", "7.1", "") or not reason else reason
    if reason == "user_unknown" and tail != "1.1" and _AFTER_DATA.search(text):
        return "blocked", False  # the server took the address and refused the content
    hard = reason in HARD_REASONS and not status.startswith("4.")
    return reason or "other", hard or not (reason or status)
