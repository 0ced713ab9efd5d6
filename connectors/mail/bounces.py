"""Delivery failures: told from mail of people, and read: who could not be reached, why, for good or for now.

RFC 3464 reports first; then what qmail, Exim, Postfix, sendmail, Exchange, Notes, Groupwise and the big providers
write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from connectors.mail.addresses import parse_addresses
from connectors.mail.bounce_texts import cut_original, find_recipients, select_diagnostic
from connectors.mail.headers import Headers, scan_headers
from connectors.mail.identifiers import parse_identifier
from connectors.mail.notifications import read_notification
from connectors.mail.reasons import find_status, judge
from connectors.mail.reports import Outcome, read_delivery_status, read_feedback
from connectors.model import Address, Bounce

__all__ = ["Report", "Verdict", "may_be_report", "read_bounce", "read_complaint"]


@dataclass(slots=True)
class Report:
    """What bounce reading needs of a mail.

    text        the whole readable text, nothing cut off
    statuses    decoded message/delivery-status parts
    original    the header of the mail that came back (message/rfc822 or text/rfc822-headers), if it is a part
    report      the report-type of a multipart/report, "" if it is none
    """

    headers: Headers
    sender: Address | None
    subject: str
    text: str
    statuses: Sequence[str] = ()
    original: Headers | None = None
    report: str = ""
    own: Sequence[str] = ()


@dataclass(slots=True)
class Verdict:
    """A bounce, or at least a delivery report ("delivered", "relayed") that is no mail of a person."""

    bounce: Bounce | None = None
    is_report: bool = False
    is_feedback: bool = False


_DAEMON = re.compile(
    r"(?:mailer[-_]?daemon|mail[-_.]?(?:svc|service|server|gateway|gw)|mail[-_]daemon|mdaemon|postmaster|post[-_]master|mailerdaemon|maildaemon|daemon|"
    r"mailadm|mail[-_ ]?delivery|bounce[sd]?|"
    r"microsoftexchange\w*|e500_smtp_mail_service|imss|amavis|mailsystem|system[-_]?administrator|"
    r"symantec_antivirus_for_smtp_gateways|smtpd?)\b",
    re.IGNORECASE,
)
_DAEMON_NAME = re.compile(
    r"mail ?delivery|mail (?:system|router|administrator)|mailer|system ?admin|postmaster|"
    r"delivery (?:sub)?system|microsoft outlook|internet mail",
    re.IGNORECASE,
)
# In lower case: searched in every subject, and IGNORECASE would cost three times as much.
_SUBJECT = re.compile(
    r"undeliver|returned? (?:to sender|e-?mail|mail|message)|failure notice|"
    r"delivery (?:has )?(?:status|fail|report|error|problem|notification|delay|final|subsystem|suspend)|"
    r"deliver[a-z]{1,4} (?:of|to) .{0,80}fail|"
    r"mail(?:\s+|\ssystem\s)?(?:delivery\s)?(?:fail|error|not delivered|could not)|"
    r"non[- ]?deliver|non remis|unzustellbar|nicht zugestellt|zustellung|nachricht nicht|"
    r"n[ãa]o (?:entregue|foi poss|é poss)|devolvid|falha na entrega|no se (?:puede|ha podido) entregar|no entregado|"
    r"недостав|не (?:удается|удалось|может быть) достав|не доставлен|возврат|[eé]chec|remise impossible|"
    r"could not be (?:delivered|sent)|couldn't be delivered|not delivered|has not (?:yet )?been delivered|"
    r"warning: (?:message|could not|delayed)|failed mail|bounce|rejected mail|permanent (?:delivery|error)|"
    r"delayed (?:mail|\d)|message delayed|mail delayed|status notif|e-?mail delivery|メールエラー|unable to deliver|"
    r"postmaster notify|(?:mail|delivery) warning|see transcript|\(delay\)|error during delivery",
)
_BODY = re.compile(
    r"could not be delivered|couldn't be delivered|(?:wasn't|was not|not been|not be|isn't|unable|failed|"
    r"failure|failing|error|able) (?:to |in )?(?:be )?deliver\w*|"
    r"undeliverable|delivery (?:to|of|for) .{0,200}(?:failed|delayed|impossible)|delivery failed|"
    r"returned to sender|permanent (?:fatal )?(?:delivery )?error|addresses? (?:had|failed)|reporting-mta:|"
    r"final-recipient:|"
    r"did not (?:receive|reach)|(?:address|following)[^\n]{0,40} failed|not reach|has (?:been (?:delayed|"
    r"postponed)|not (?:yet )?been delivered)|undelivered|"
    r"could not (?:be sent|deliver|send)|(?:was|been) (?:automatically )?rejected|unable to deliver|rcpt to:|"
    r"user unknown|mailbox (?:is )?full|no such user|"
    r"não (?:pôde|foi possível|pode) (?:ser )?(?:entreg|envi)|no se (?:pudo|ha podido|puede) entregar|"
    r"nicht (?:zugestellt|übermittelt)|"
    r"n'a pas pu|не (?:удалось|может быть|было?) достав|送信できません|delivery status notification|error-for:|550[ -]",
    re.IGNORECASE | re.DOTALL,
)
_STRONG = re.compile(
    r"(?:[45]\d\d[ -]#?[45]\.\d\.\d)|\b5[05]\d[ -]|final-recipient|permanent(?:ly)? |permanent error|"
    r"undeliverable to|following (?:address|recipient)",
    re.IGNORECASE,
)
_ABOUT_MAIL = re.compile(
    r"original message|message removed|undeliverable to|mailbox|failed (?:addresses|recipients)|automatically rejected|"
    r"recipient\(s\)|following (?:recipient|address)|smtp|mail delivery|user unknown|not listed in|delivery "
    r"(?:userid|problems)|"
    r"(?:mail|message|recipient)[^.\n]{0,60}(?:could not|couldn't|not (?:been |be "
    r")?(?:delivered|sent)|undeliver|been delayed|"
    r"rejected|failed)|(?:nachricht|mensage[mn]|mensaje|message|сообщение|письмо)[^.\n]{0,40}(?:nicht|não|no "
    r"se|pas|не) ",
    re.IGNORECASE,
)
_DELAYED = re.compile(
    r"warning message only|(?:has|have) (?:not yet been|been) delayed|not yet (?:been )?(?:delivered|"
    r"received)|will (?:continue|keep) (?:to )?(?:be )?(?:try|retr|attempt|deliver)|"
    r"delivery attempts will continue|\(delay\)|is just a warning|will be retried|being delayed|"
    r"delivery .{0,60}delayed|temporarily deferred|"
    r"continue trying|not be delivered yet|still being (?:tried|attempted)|mail delayed|message delayed|"
    r"attempt(?:s)? (?:to deliver )?will be made",
    re.IGNORECASE,
)
_REPLY = re.compile(r"\s*(?:re|fwd?|aw|wg|res|enc|rv|tr|sv|ref|на|отв)\s*[:\]]", re.IGNORECASE)


_AFTER_DATA = re.compile(r"in reply to (?:end\s+of\s+)?DATA|>>> DATA\s*<<< 5(?!03|54 5\.5\.1)", re.IGNORECASE)
_AT_RCPT = re.compile(r"in reply to RCPT|>>> RCPT[^\n]*\s<<< 5", re.IGNORECASE)


def read_bounce(report: Report) -> Verdict:
    """Whether this is a delivery report and what it says. Costs little for mail of people."""
    if report.headers.raw(b"x-amz-sns-message-id"):
        kind, bounce = read_notification(report.text)
        return Verdict(bounce, is_report=bool(kind), is_feedback=kind == "complaint")
    if "disposition" in report.report and not _is_refusal(report):
        return Verdict(is_report=True)
    outcomes = [outcome for status in report.statuses for outcome in read_delivery_status(status)]
    if not outcomes and not _is_suspect(report):
        return Verdict()
    human, rest = cut_original(report.text)
    if not outcomes and "recipient:" in human.lower():
        outcomes = read_delivery_status(human)
    original = report.original if report.original is not None else scan_headers(rest.encode("utf-8", "replace"))
    if any(outcome.action and outcome.action not in _FINE for outcome in outcomes):
        return Verdict(_from_outcomes(outcomes, human, original), True)
    if outcomes and all(outcome.action for outcome in outcomes):
        return Verdict(is_report=True)
    return Verdict(_from_text(report, human, original, outcomes), True)


COMPLAINTS = ("abuse", "fraud", "opt-out", "opt-out-list", "complaint")
"""Feedback types (RFC 5965, 7.3; RFC 6449) by which a person says that they do not want the mail."""


def read_complaint(report: str, original: Headers | None) -> Bounce:
    """Who complained of which mail; `reason` is "complaint", or "other" for feedback that is none ("not-spam")."""
    found = read_feedback(report)
    return Bounce(
        recipients=found.recipients or tuple(_original_recipients(original)),
        hard=None,
        reason="complaint" if found.kind in COMPLAINTS else "other",
        original_message_id=_original_identifier(original),
    )


_FINE = ("delivered", "relayed", "expanded", "transferred", "deliverable")


def _is_refusal(report: Report) -> bool:
    return "rejected" in report.subject.lower() or "automatically rejected" in report.text[:2000]


def may_be_report(headers: Headers, sender: Address | None, subject: str, report: str, *, returned: bool) -> bool:
    """A cheap first look at the header: could this be a delivery report at all?"""
    if report or headers.raw(b"x-failed-recipients") or headers.raw(b"x-ms-exchange-message-is-ndr"):
        return True
    if headers.raw(b"x-amz-sns-message-id") or (returned and _is_robot(sender)):
        return True
    return _is_daemon(headers, sender) or _has_null_path(headers) or _SUBJECT.search(subject.lower()) is not None


def _is_robot(sender: Address | None) -> bool:
    return sender is not None and re.match(r"(?:do-?)?no[t-]?-?reply", sender.email, re.IGNORECASE) is not None


def _is_daemon(headers: Headers, sender: Address | None) -> bool:
    if sender is None:
        return b"from" in headers.index
    local = sender.email.rpartition("@")[0] or sender.email
    return _DAEMON.match(local) is not None or _DAEMON_NAME.search(sender.name) is not None


def _has_null_path(headers: Headers) -> bool:
    return headers.raw(b"return-path").strip().lower() in (b"<>", b"<mailer-daemon>")


def _is_suspect(report: Report) -> bool:
    """Daemon's sender, subject or null return path, and words that fit."""
    headers = report.headers
    if (
        headers.raw(b"x-failed-recipients")
        or headers.raw(b"x-ms-exchange-message-is-ndr")
        or report.report == "delivery-status"
    ):
        return True
    daemon, replied = _is_daemon(headers, report.sender), _REPLY.match(report.subject) is not None
    told = _SUBJECT.search(report.subject.lower()) is not None or (
        report.original is not None and _is_robot(report.sender)
    )
    sample = report.text[:6000]
    said = _BODY.search(sample) is not None
    if daemon:
        return said or (told and not replied)
    if _has_null_path(headers):
        return told and said
    return told and said and not replied and bool(_STRONG.search(sample) or _only_bounces_say(sample))


def _only_bounces_say(sample: str) -> bool:
    return _ABOUT_MAIL.search(sample) is not None


def _original_identifier(original: Headers | None) -> str:
    return parse_identifier(original.raw(b"message-id")) if original and original.raw(b"message-id") else ""


def _original_recipients(original: Headers | None) -> list[str]:
    if original is None:
        return []
    found: list[str] = []
    for name in (b"to", b"cc", b"x-original-to"):
        for value in original.all(name)[:3]:
            found.extend(address.email for address in parse_addresses(value)[0] if "@" in address.email)
    return list(dict.fromkeys(found))[:200]


def _from_outcomes(outcomes: Sequence[Outcome], human: str, original: Headers | None) -> Bounce:
    wanted = [outcome for outcome in outcomes if outcome.action not in _FINE]
    failed = [outcome for outcome in wanted if not outcome.action.startswith("delay")]
    chosen = failed or wanted
    seen: dict[str, Outcome] = {}
    for outcome in chosen:
        seen.setdefault(outcome.recipient.lower(), outcome)
    judged = [
        (outcome.status, *judge(_best_status(outcome), _words_about(outcome, human), delayed=not failed))
        for outcome in seen.values()
    ]
    return _join([outcome.recipient for outcome in seen.values()], judged, original)


def _best_status(outcome: Outcome) -> str:
    """The server's own code is closer to the cause than the gateway's x.0.0."""
    inner = find_status(outcome.diagnostic)
    return inner if inner and outcome.status[1:] in ("", ".0.0", ".5.0", ".4.0") else outcome.status


def _words_about(outcome: Outcome, human: str) -> str:
    """The diagnostic code, and whether the server said it after DATA."""
    if not outcome.diagnostic:
        return select_diagnostic(human, outcome.recipient)
    after = _AFTER_DATA.search(human) if not _AT_RCPT.search(human) else None
    return f"{outcome.diagnostic} in reply to DATA" if after else outcome.diagnostic


def _from_text(report: Report, human: str, original: Headers | None, outcomes: Sequence[Outcome]) -> Bounce | None:
    to = _original_recipients(original)
    failed = [
        address.email for value in report.headers.all(b"x-failed-recipients") for address in parse_addresses(value)[0]
    ]
    found = [outcome.recipient for outcome in outcomes] or find_recipients(
        human, to, [*report.own, *_sender_addresses(report)]
    )
    recipients = found or failed or (to if len(to) == 1 else [])
    delayed = bool(_DELAYED.search(report.subject) or _DELAYED.search(human[:4000])) and not re.search(
        r"permanent(?:ly)? ", human[:4000], re.I
    )
    judged = []
    for recipient in recipients or [""]:
        said = select_diagnostic(human, recipient)
        status = find_status(said)
        judged.append((status, *judge(status or _code_as_status(said), said, delayed=delayed)))
    return _join(recipients, judged, original)


def _code_as_status(said: str) -> str:
    match = re.search(r"(?<![\d.])([45])[0-5]\d[ -]", said)
    return f"{match.group(1)}.0.0" if match else ""


def _sender_addresses(report: Report) -> list[str]:
    return [report.sender.email] if report.sender else []


def _join(recipients: Sequence[str], judged: Sequence[tuple[str, str, bool]], original: Headers | None) -> Bounce:
    """One bounce of all recipients; hard only if every one of them is, None if they differ."""
    hard = {item[2] for item in judged}
    first = judged[0]
    return Bounce(
        recipients=tuple(recipients),
        hard=hard.pop() if len(hard) == 1 else None,
        reason=first[1],
        status=first[0],
        original_message_id=_original_identifier(original),
    )
