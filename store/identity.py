"""When are two mails the same mail? Pure; nothing of where a copy lies enters it.

First identity: Message-ID, From and the second of Date. Second identity, for mails without an id or with one that a
relay rewrote: Date, From, the set of To and Cc, the folded subject and the folded new text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import floor

from connectors.model import Message
from store.folding import fold

_PREFIX = re.compile(
    r"\s*(?:\[[^\[\]]{0,80}\]|(?:re|fw|fwd|aw|wg|res|ref|enc|tr|rv|rif|sv|vs|vb|antw|antwort|odp|pd|ynt|ilt|"
    r"отв|ответ|пер|пересл|пересылка|на|fyi|回复|答复|转发)\s{0,3}(?:[\[(]\d{1,3}[\])]|\^\d{1,3})?\s{0,3}[:：])"
)
_NO_DATE = "-"


@dataclass(frozen=True, slots=True)
class Identity:
    """`key`: first identity, "m:..." or, for a mail without Message-ID, "c:" + content. `content`: second identity.

    `content` is "" where it says too little to count (a mail with an id but without Date or From).
    """

    key: str
    content: str


def identity(message: Message) -> Identity:
    """The two identities of a mail, 32 hexadecimal digits each behind their prefix."""
    sender = message.sender.key if message.sender else ""
    date = str(floor(message.sent_at.timestamp())) if message.sent_at else _NO_DATE
    if message.message_id and not (message.sent_at and message.sender):
        content = ""
    else:
        people = sorted({person.key for person in (*message.to, *message.cc)})
        content = _hash(date, sender, *people, subject_key(message.subject), _body(message))
    if not message.message_id:
        return Identity("c:" + content, content)
    return Identity("m:" + _hash(message.message_id, sender, date), content)


@lru_cache(maxsize=1024)  # the mails of a thread share their subject
def subject_key(subject: str) -> str:
    """The subject without Re:, Fwd:, [tags], case and accents: "RE[2]: [Vendas] Enc: Preço" -> "preco"."""
    text = fold(subject)
    start = 0
    while match := _PREFIX.match(text, start):
        start = match.end()
    return text[start:].strip() or text.strip()


def _body(message: Message) -> str:
    """What the writer wrote, without white space and case; the attachments' names where there is no text."""
    text = "".join(message.text.split()).casefold()
    return text or "\n".join(sorted(part.name for part in message.attachments))


def _hash(*parts: str) -> str:
    # A length before each part: ("a", "bc") and ("ab", "c") must differ.
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
