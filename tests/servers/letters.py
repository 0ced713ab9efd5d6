"""The bytes of a mail: wording in four languages, charsets, encodings, structures, and the ways mail is broken.

Written by hand rather than with the standard library's generator, which would mend what is meant to be broken.
Lines end with LF, as Maildirs hold them.
"""

from __future__ import annotations

import base64
import quopri
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from random import Random
from urllib.parse import quote

from servers.people import Person

CHARSETS = {
    "pt": ("utf-8", "iso-8859-1", "utf-8", "windows-1252"),
    "ru": ("utf-8", "koi8-r", "windows-1251"),
    "en": ("us-ascii", "utf-8", "iso-8859-1"),
    "zh": ("gb2312", "utf-8"),
}
TOPICS = {
    "pt": ("Proposta", "Orçamento", "Reunião", "Pedido", "Reclamação: atraso", "Condições de pagamento"),
    "ru": ("Предложение", "Заказ", "Встреча", "Счёт на оплату", "Жалоба", "Условия поставки"),
    "en": ("Quote", "Meeting", "Order", "Delivery", "Complaint", "Terms of payment"),
    "zh": ("报价", "订单"),
}
_SENTENCES = {
    "pt": (
        "Segue em anexo a proposta que combinámos na semana passada.",
        "Você poderia confirmar o preço até sexta-feira?",
        "A entrega está prevista para o início do mês.",
        "Obrigado pela atenção; não há pressa.",
        "Precisamos de três unidades a mais, se possível ainda este mês.",
    ),
    "ru": (
        "Высылаю предложение, о котором мы говорили на прошлой неделе.",
        "Подтвердите, пожалуйста, цену до пятницы.",
        "Поставка ожидается в начале месяца.",
        "Спасибо, это не срочно.",
        "Нам нужно ещё три штуки, если можно, в этом месяце.",
    ),
    "en": (
        "Please find the quote that we talked about last week.",
        "Could you confirm the price by Friday?",
        "We expect the delivery at the beginning of the month.",
        "Thank you, there is no hurry.",
        "We need three more of them, this month if possible.",
    ),
    "zh": ("请确认价格。", "谢谢您的订单。", "我们下周发货。"),
}
_GREETING = {"pt": "Olá,", "ru": "Добрый день!", "en": "Hello,", "zh": "您好,"}
_WROTE = {"pt": "{} escreveu:", "ru": "{} пишет:", "en": "On that day {} wrote:", "zh": "{} 写道:"}
_BYE = {"pt": "Atenciosamente", "ru": "С уважением", "en": "Kind regards", "zh": "此致"}


@dataclass(slots=True, kw_only=True)
class Letter:
    """What a mail says, before it becomes bytes. `breaks` names what to do wrong (see BREAKS)."""

    sender: Person
    to: list[Person]
    cc: list[Person] = field(default_factory=list)
    subject: str
    body: str
    at: datetime
    message_id: str
    references: list[str] = field(default_factory=list)
    language: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    structure: str = "plain"
    """plain, alternative, mixed, html, report, calendar."""
    recipient: str = ""
    """For `report`: whom the bounce is about."""
    breaks: str = ""


STRUCTURES = ("plain", "alternative", "mixed", "html")
BREAKS = (
    "no_message_id", "odd_message_id", "broken_date", "no_date", "broken_to", "raw_subject", "unknown_charset",
    "wrong_base64", "open_multipart", "stray_line", "long_header", "twice_subject",
)  # fmt: skip


def write_body(rng: Random, author: Person, serial: int, quoted: tuple[Person, str] | None) -> str:
    """A short letter with greeting, new text, signature, and the text that it answers quoted below."""
    language = author.language
    sentences = rng.sample(_SENTENCES[language], k=min(3, rng.randint(1, 3)))
    lines = [_GREETING[language], "", *sentences, f"Nr {serial:06d}.", "", f"{_BYE[language]},", author.name]
    if quoted is not None:
        writer, text = quoted
        lines += ["", _WROTE[language].format(writer.name), *(f"> {line}" for line in text.splitlines()[:12])]
    return "\n".join(lines) + "\n"


def encode_letter(rng: Random, letter: Letter) -> bytes:
    """The mail as bytes, in a charset and transfer encoding fit for its language."""
    charset = _fit(rng.choice(CHARSETS[letter.language]), letter.subject + letter.body)
    names = [letter.sender, *letter.to, *letter.cc]
    header_charset = _fit(charset, letter.subject + "".join(each.name for each in names))
    head = _head(rng, letter, header_charset)
    type_lines, content = _content(rng, letter, charset)
    return b"\n".join([*head, b"MIME-Version: 1.0", *type_lines]) + b"\n\n" + content


def encode_words(text: str, charset: str) -> bytes:
    """Header text, as encoded words where it is not ASCII (RFC 2047; no word over 75 bytes)."""
    if text.isascii():
        return text.encode()
    pieces = [text[start : start + 15] for start in range(0, len(text), 15)]
    words = [f"=?{charset}?B?{base64.b64encode(piece.encode(charset)).decode()}?=" for piece in pieces]
    return "\n ".join(words).encode()


def encode_address(person: Person, charset: str) -> bytes:
    """One mailbox with its display name, quoted or encoded as needed."""
    if not person.name.isascii():
        return encode_words(person.name, charset) + b" <" + person.email.encode() + b">"
    return f'"{person.name}" <{person.email}>'.encode()


def _fit(charset: str, text: str) -> str:
    """`charset`, or utf-8 if it cannot hold the text."""
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return "utf-8"
    return charset


def _head(rng: Random, letter: Letter, charset: str) -> list[bytes]:
    subject = encode_words(letter.subject, charset)
    if letter.breaks == "raw_subject":
        subject = letter.subject.encode(charset)
    lines = [
        b"From: " + encode_address(letter.sender, charset),
        b"To: " + b",\n ".join(encode_address(each, charset) for each in letter.to),
        b"Subject: " + subject,
    ]
    if letter.cc:
        lines.append(b"Cc: " + b",\n ".join(encode_address(each, charset) for each in letter.cc))
    if letter.breaks not in {"broken_date", "no_date"}:
        lines.append(b"Date: " + format_datetime(letter.at).encode())
    if letter.breaks != "no_message_id":
        lines.append(b"Message-ID: " + letter.message_id.encode())
    if letter.references:
        lines.append(b"In-Reply-To: " + letter.references[-1].encode())
        lines.append(b"References: " + b"\n ".join(each.encode() for each in letter.references))
    lines += [f"{name}: {value}".encode() for name, value in letter.headers]
    return _break_head(rng, letter.breaks, lines)


def _break_head(rng: Random, how: str, lines: list[bytes]) -> list[bytes]:
    """The header block with one fault in it; From, id and subject stay readable, so that the truth stays clear."""
    if how == "broken_to":
        return [rng.choice((b'To: "', b"To: (c):", b"To: undisclosed-recipients:;")), *lines[:1], *lines[2:]]
    extra = {
        "broken_date": b"Date: " + rng.choice((b"Thu, 32 Foo 2025 99:99", b"Feb 30 0000", b"yesterday")),
        "stray_line": b"this line is no header",
        "long_header": b"X-Long: " + b"x" * 5000,
        "twice_subject": b"Subject: second subject",
    }.get(how)
    return lines if extra is None else [*lines, extra]


def _content(rng: Random, letter: Letter, charset: str) -> tuple[list[bytes], bytes]:
    """Content-* lines of the top level, and the body."""
    plain = _text_part(rng, letter.body, "plain", charset, letter.breaks)
    if letter.structure == "plain":
        return plain
    if letter.structure == "report":
        return _report(rng, letter, plain)
    page = "<html><body>" + "".join(f"<p>{escape(line)}</p>" for line in letter.body.splitlines()) + "</body></html>"
    html = _text_part(rng, page + "\n", "html", charset, "")
    if letter.structure == "html":
        return html
    if letter.structure == "alternative":
        return _multipart(rng, "alternative", [plain, html], letter.breaks)
    if letter.structure == "calendar":
        return _multipart(rng, "alternative", [plain, _invitation(letter)], letter.breaks)
    first = plain if rng.random() < 0.5 else _multipart(rng, "alternative", [plain, html], "")
    return _multipart(rng, "mixed", [first, _attachment(rng)], letter.breaks)


def _text_part(rng: Random, text: str, subtype: str, charset: str, breaks: str) -> tuple[list[bytes], bytes]:
    data = text.encode(charset)
    stated = "x-unknown-1" if breaks == "unknown_charset" else charset
    encoding = "7bit" if data.isascii() else rng.choice(("quoted-printable", "base64", "8bit"))
    if breaks == "wrong_base64":
        encoding, data = "base64", base64.encodebytes(data)[:-5] + b"!*\n"
    elif encoding == "quoted-printable":
        data = quopri.encodestring(data)
    elif encoding == "base64":
        data = base64.encodebytes(data)
    lines = [
        f'Content-Type: text/{subtype}; charset="{stated}"'.encode(),
        f"Content-Transfer-Encoding: {encoding}".encode(),
    ]
    return lines, data


def _multipart(
    rng: Random, subtype: str, parts: list[tuple[list[bytes], bytes]], breaks: str, extra: str = ""
) -> tuple[list[bytes], bytes]:
    boundary = f"=_part_{rng.getrandbits(64):016x}".encode()
    pieces = [b"--" + boundary + b"\n" + b"\n".join(lines) + b"\n\n" + body for lines, body in parts]
    end = b"" if breaks == "open_multipart" else b"\n--" + boundary + b"--\n"
    line = f"Content-Type: multipart/{subtype};{extra} boundary=".encode() + b'"' + boundary + b'"'
    return [line], b"\n".join(pieces) + end


def _attachment(rng: Random) -> tuple[list[bytes], bytes]:
    name, kind = rng.choice(
        (
            ("proposta.pdf", "application/pdf"),
            ("orçamento 2026.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            ("счёт.pdf", "application/pdf"),
            ("photo.jpg", "image/jpeg"),
        )
    )
    parameter = f'filename="{name}"' if name.isascii() else f"filename*=utf-8''{quote(name)}"
    lines = [
        f"Content-Type: {kind}".encode(),
        f"Content-Disposition: attachment; {parameter}".encode(),
        b"Content-Transfer-Encoding: base64",
    ]
    return lines, base64.encodebytes(rng.randbytes(rng.randint(200, 3000)))


def _invitation(letter: Letter) -> tuple[list[bytes], bytes]:
    start = letter.at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    lines = (
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//EN", "METHOD:REQUEST", "BEGIN:VEVENT",
        f"UID:{letter.message_id.strip('<>')}", f"DTSTAMP:{start}", f"DTSTART:{start}", "DURATION:PT1H", "SEQUENCE:0",
        f"ORGANIZER:mailto:{letter.sender.email}", f"ATTENDEE:mailto:{letter.to[0].email}", "SUMMARY:Meeting",
        "END:VEVENT", "END:VCALENDAR", "",
    )  # fmt: skip
    head = [b'Content-Type: text/calendar; method=REQUEST; charset="utf-8"', b"Content-Transfer-Encoding: 7bit"]
    return head, "\n".join(lines).encode()


def _report(rng: Random, letter: Letter, plain: tuple[list[bytes], bytes]) -> tuple[list[bytes], bytes]:
    """A delivery status notification (RFC 3464) about `recipient`."""
    status = (
        "Reporting-MTA: dns; mx.provider.example\n\n"
        f"Final-Recipient: rfc822; {letter.recipient}\nAction: failed\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\n"
    )
    parts = [plain, ([b"Content-Type: message/delivery-status"], status.encode())]
    return _multipart(rng, "report", parts, letter.breaks, " report-type=delivery-status;")
