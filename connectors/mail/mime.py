"""One mail from bytes to a `Reading`, and on to `Message`. Pure; raises nothing for what is in a mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.mail.addresses import ADDRESSES_LIMIT, parse_addresses
from connectors.mail.away import find_return_date
from connectors.mail.bounces import Report, Verdict, may_be_report, read_bounce, read_complaint
from connectors.mail.crossing import EMPTY, FlatBounce, Person, Reading, build_message
from connectors.mail.dates import parse_date
from connectors.mail.headers import Headers, scan_headers, split_header, unify_lines
from connectors.mail.identifiers import merge_references, parse_identifier, parse_identifiers
from connectors.mail.invitations import read_invitations
from connectors.mail.kinds import Signs, classify
from connectors.mail.markup import read_markup
from connectors.mail.parameters import parse_parameters
from connectors.mail.quotes import ReplyParts
from connectors.mail.structure import Part, decode_body, read_tree
from connectors.mail.texts import Texts, choose_texts, join_texts, read_part, split_texts
from connectors.mail.verdicts import read_verdicts
from connectors.model import Address, Bounce, Kind, Message, RawMail

__all__ = ["Reading", "build_message", "parse_mail", "read_mail", "read_safely"]

SUBJECT_LIMIT = 2000
ATTACHMENTS_LIMIT = 1000
ORIGINAL_LIMIT = 65_536


def parse_mail(raw: RawMail) -> Message:
    """The mail as quietcrm sees it. What could not be read is named in `degraded`."""
    return build_message(raw, read_safely(raw))


def read_safely(raw: RawMail) -> Reading:
    """Like `read_mail`, but a bug of ours costs the mail its text, not the batch its answer."""
    try:
        return read_mail(raw)
    except Exception as error:
        return _read_header_only(raw, error)


def read_mail(raw: RawMail) -> Reading:
    """Read `whole`, or `header` and `parts`."""
    headers, parts, attachments, notes = _split_mail(raw)
    _settle_charset(headers, parts)
    people = _People(headers, notes)
    subject = headers.text(b"subject")[:SUBJECT_LIMIT]
    texts = choose_texts(parts, notes)
    body = split_texts(texts, notes)
    top, parameters = parse_parameters(headers.raw(b"content-type"))
    report = (parameters.get("report-type") or "unnamed").lower() if top == "multipart/report" else ""
    verdict = _read_report(headers, people, subject, parts, texts, report)
    kind = _judge(headers, people.sender, subject, body.text or body.quoted, parts, report, verdict)
    replied = parse_identifiers(headers.raw(b"in-reply-to"))
    invitations = read_invitations(parts, raw.received_at, notes)
    return Reading(
        message_id=parse_identifier(headers.raw(b"message-id")),
        references=merge_references(parse_identifiers(headers.raw(b"references")), replied),
        in_reply_to=replied[0] if replied else "",
        sent_at=_read_date(headers, notes),
        sender=_flat(people.sender),
        sent_by=_flat(people.sent_by),
        reply_to=_flatten(people.list(b"reply-to")),
        to=_flatten(people.list(b"to")),
        cc=_flatten([*people.list(b"cc"), *people.further_writers]),
        bcc=_flatten(people.list(b"bcc")),
        subject=subject,
        text=body.text,
        quoted=body.quoted,
        signature=body.signature,
        attachments=attachments,
        headers=headers.kept(),
        kind=kind.value,
        bounce=_flatten_bounce(_read_complaint(parts, verdict) if kind is Kind.FEEDBACK else verdict.bounce),
        away_until=_read_return(raw, subject, body) if kind is Kind.OUT_OF_OFFICE else None,
        degraded=tuple(dict.fromkeys((*raw.notes, *headers.notes, *notes)))[:20],
        markup=read_markup(parts),
        verdicts=read_verdicts(headers.all(b"authentication-results")),
        invitations=invitations,
    )


def _settle_charset(headers: Headers, parts: Sequence[Part]) -> None:
    if not headers.is_ascii:
        stated = (part.parameters.get("charset", "") for part in parts if part.is_text)
        headers.settle(next(filter(None, stated), ""))


def _read_date(headers: Headers, notes: list[str]) -> float | None:
    value = headers.text(b"date")
    if not value:
        return None
    sent_at = parse_date(value)
    if sent_at is None:
        notes.append("impossible date")
        return None
    return sent_at.timestamp()


def _read_return(raw: RawMail, subject: str, body: ReplyParts) -> str | None:
    away = find_return_date(f"{subject}. {body.text}\n{body.signature}", raw.received_at.date())
    return away.isoformat() if away else None


def _flatten_bounce(bounce: Bounce | None) -> FlatBounce | None:
    if bounce is None:
        return None
    return bounce.recipients, bounce.hard, bounce.reason, bounce.status, bounce.original_message_id


def _flat(address: Address | None) -> Person | None:
    return (address.email, address.name) if address else None


def _flatten(addresses: Sequence[Address]) -> tuple[Person, ...]:
    return tuple([(address.email, address.name) for address in addresses])


class _People:
    """The address fields of a header, read once each."""

    def __init__(self, headers: Headers, notes: list[str]) -> None:
        self.headers, self.notes = headers, notes
        writers = self.list(b"from")
        self.sender = next(iter(writers), None)
        self.further_writers = writers[1:]
        other = next(iter(self.list(b"sender")), None)
        self.sent_by = other if other and (self.sender is None or other.key != self.sender.key) else None

    def list(self, name: bytes) -> list[Address]:
        if name not in self.headers.index:
            return []
        found: list[Address] = []
        cut = False
        for value in self.headers.all(name)[:10]:
            addresses, over = parse_addresses(value)
            found += addresses
            cut = cut or over
        if cut or len(found) > ADDRESSES_LIMIT:
            self.notes.append(f"more than {ADDRESSES_LIMIT} addresses in {name.decode('ascii')}")
        return found[:ADDRESSES_LIMIT]


Named = tuple[str, str, int]


def _split_mail(raw: RawMail) -> tuple[Headers, list[Part], tuple[Named, ...], list[str]]:
    """(header, leaves that may be read, attachments by name, notes) of both forms a mail comes in."""
    if raw.whole:
        head, body = split_header(unify_lines(raw.whole))
        headers = scan_headers(head)
        tree = read_tree(headers, body)
        return headers, tree.parts, _name_attachments(tree.parts, tree.notes), tree.notes
    headers = scan_headers(unify_lines(raw.header))
    top = parse_parameters(headers.raw(b"content-type"))[0]
    both = {part.content_type for part in raw.parts if not part.spare} >= {"text/plain", "text/html"}
    alternative = int(
        both and top in ("multipart/alternative", "multipart/related", "multipart/mixed", "multipart/signed")
    )
    parts = [
        Part(
            part.content_type.lower(),
            dict(part.parameters),
            encoding=part.encoding.strip().lower(),
            body=unify_lines(part.body),
            alternative=alternative,
            truncated=part.truncated,
            spare=part.spare,
        )
        for part in raw.parts
    ]
    notes: list[str] = []
    attachments = tuple((item.name, item.content_type, item.size) for item in raw.attachments)
    _note_tnef(attachments, notes)
    return headers, parts, attachments, notes


def _name_attachments(parts: Sequence[Part], notes: list[str]) -> tuple[Named, ...]:
    found = []
    for part in parts:
        if part.is_text or (part.content_type in _REPORT_TYPES and part.disposition != "attachment"):
            continue
        if part.content_type == "text/calendar" and not part.name:
            continue
        found.append((part.name, part.content_type, part.size))
    if len(found) > ATTACHMENTS_LIMIT:
        notes.append(f"more than {ATTACHMENTS_LIMIT} attachments")
    named = tuple(found[:ATTACHMENTS_LIMIT])
    _note_tnef(named, notes)
    return named


_REPORT_TYPES = (
    "message/delivery-status",
    "message/disposition-notification",
    "message/feedback-report",
    "text/rfc822-headers",
    "message/global-delivery-status",
)


_RETURNED_TYPES = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")


def _note_tnef(attachments: Sequence[Named], notes: list[str]) -> None:
    if any(
        kind in ("application/ms-tnef", "application/vnd.ms-tnef") or name.lower() == "winmail.dat"
        for name, kind, _ in attachments
    ):
        notes.append("winmail.dat: Outlook rich text, body may be inside")


def _read_report(
    headers: Headers, people: _People, subject: str, parts: Sequence[Part], texts: Texts, kind: str
) -> Verdict:
    """The delivery report in this mail, if it is one."""
    statuses = [
        part for part in parts if part.content_type in ("message/delivery-status", "message/global-delivery-status")
    ]
    original = next((part for part in parts if part.content_type in _RETURNED_TYPES), None)
    if not statuses and not may_be_report(headers, people.sender, subject, kind, returned=original is not None):
        return Verdict()
    ignored: list[str] = []
    text = join_texts(texts)
    named = [
        part
        for part in parts
        if part.content_type.startswith("text/")
        and not part.is_text
        and not part.spare
        and part.content_type not in ("text/calendar", "text/rfc822-headers")
    ]
    text = "\n".join([text, *(read_part(part, ignored)[:20_000] for part in named[:3])])
    return read_bounce(
        Report(
            headers=headers,
            sender=people.sender,
            subject=subject,
            text=text,
            statuses=[read_part(part, ignored) for part in statuses[:5]],
            original=_read_original(original) if original else None,
            report=kind,
            own=[address.email for address in people.list(b"to")],
        )
    )


def _read_complaint(parts: Sequence[Part], verdict: Verdict) -> Bounce | None:
    report = next((part for part in parts if part.content_type == "message/feedback-report"), None)
    if report is None:
        return verdict.bounce
    original = next((part for part in parts if part.content_type in _RETURNED_TYPES), None)
    return read_complaint(read_part(report, []), _read_original(original) if original else None)


def _read_original(part: Part) -> Headers:
    data = decode_body(part)[:ORIGINAL_LIMIT]
    head, body = split_header(data.lstrip(b"\n"))
    return scan_headers(head or body)


def _judge(
    headers: Headers,
    sender: Address | None,
    subject: str,
    text: str,
    parts: Sequence[Part],
    report: str,
    verdict: Verdict,
) -> Kind:
    return classify(
        Signs(
            headers=headers,
            sender=sender,
            subject=subject,
            text=text,
            report=report,
            calendar=_find_method(parts),
            feedback=any(part.content_type == "message/feedback-report" for part in parts)
            or report == "feedback-report"
            or verdict.is_feedback,
            bounced=verdict.bounce is not None,
            reported=verdict.is_report,
            answers=bool(headers.raw(b"in-reply-to") or headers.raw(b"references")),
        )
    )


def _find_method(parts: Sequence[Part]) -> str:
    """The METHOD of a text/calendar part (RFC 6047), "" for none and for plain publication."""
    for part in parts:
        if part.content_type != "text/calendar":
            continue
        method = part.parameters.get("method", "").lower()
        if not method and part.disposition != "attachment":
            method = _scan_method(decode_body(part)[:20_000])
        if method in ("request", "cancel", "reply", "counter", "declinecounter", "refresh", "add"):
            return method
    return ""


def _scan_method(calendar: bytes) -> str:
    at = calendar.upper().find(b"METHOD:")
    return calendar[at + 7 : at + 30].split(b"\n")[0].strip().lower().decode("ascii", "replace") if at >= 0 else ""


def _read_header_only(raw: RawMail, error: Exception) -> Reading:
    """The least that can be said of a mail: who and which, each field by itself."""
    known: Mapping[str, Any] = {}
    try:
        headers = scan_headers(
            split_header(unify_lines(raw.whole[:1_000_000]))[0] if raw.whole else unify_lines(raw.header)
        )
        people = _People(headers, [])
        known = {
            "message_id": parse_identifier(headers.raw(b"message-id")),
            "sender": _flat(people.sender),
            "to": _flatten(people.list(b"to")),
            "cc": _flatten([*people.list(b"cc"), *people.further_writers]),
            "subject": headers.text(b"subject")[:SUBJECT_LIMIT],
        }
    except Exception:  # noqa: S110 - the first error is the one that is told
        pass
    return EMPTY._replace(**known, degraded=(*raw.notes, f"header only: the parser met {type(error).__name__}"))
