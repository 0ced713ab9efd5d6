"""What sort of mail this is (decision 9), from headers (RFC 3834, RFC 2369), structure and words.

Taking mail of a person for automatic is the costly error: where signs disagree the answer is HUMAN.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.mail.headers import Headers
from connectors.model import Address, Kind

__all__ = ["Signs", "classify"]


@dataclass(slots=True)
class Signs:
    """What the decision rests on. `calendar` is the METHOD of a text/calendar part, `report` the
    report-type of a multipart/report."""

    headers: Headers
    sender: Address | None
    subject: str
    text: str
    report: str = ""
    calendar: str = ""
    feedback: bool = False
    bounced: bool = False
    reported: bool = False
    answers: bool = False
    """The mail has In-Reply-To or References."""


_AUTO_SUBJECT = re.compile(
    r"\s*[\[(<*]*\s*(?:automatic(?: |ally generated )(?:reply|response|answer|email)|auto(?:matic|"
    r"mated)?[- ]?(?:reply|response|responder|answer|antwort|respuesta|risposta)\b|autoreply|"
    r"auto:|out of (?:the )?office auto ?reply|automated (?:reply|response|message)|resposta autom[aá]tica|"
    r"respuesta autom[aá]tica|contestaci[oó]n autom[aá]tica|r[eé]ponse automatique|message automatique|"
    r"automatische antwort|"
    r"automatische r[uü]ckmeldung|abwesenheits(?:notiz|nachricht|meldung|assistent|agent)|abwesend\b|auto-resposta|"
    r"автоматический ответ|автоответ|автоматичний|автоматическое (?:сообщение|уведомление)|vacation (?:reply|"
    r"response|autoreply)|ooo:|risposta automatica|自动答复|automatisch antwoord)",
    re.IGNORECASE,
)
_AWAY_SUBJECT = re.compile(
    r"\s*[\[(<*]*\s*(?:out[- ]of[- ](?:the[- ])?office|ooo\b|away from (?:the |my )?(?:office|desk|mail|"
    r"email)|on vacation|on holiday|vacation|annual leave|(?:maternity|parental|sick) leave|"
    r"fora d[oe] escrit[oó]rio|ausente|aus[eê]ncia|f[eé]rias|em f[eé]rias|fuera de (?:la )?oficina|ausencia|"
    r"de vacaciones|"
    r"vacaciones|absence|absent|en cong[eé]s?|absence du bureau|im urlaub|urlaub|nicht im b[uü]ro|abwesenheit|abwesend|"
    r"вне офиса|отсутств|в отпуске|отпуск|(?:меня )?нет (?:в офисе|на (?:рабочем )?месте))",
    re.IGNORECASE,
)
_AWAY_TEXT = re.compile(
    r"out[- ]of[- ](?:the[- ])?office|(?:on|taking) (?:\w+ )?(?:vacation|holiday|leave|pto)\b|annual leave|"
    r"(?:maternity|parental|paternity|sick) leave|away from (?:the |my )?(?:office|desk|e-?mail|computer)|"
    r"(?:i am|i'm|i will be|i'll be) (?:currently )?(?:travell?ing|absent|unavailable)|(?:be|am|i'm) (?:currently "
    r")?away\b|limited access to (?:my )?e-?mail|"
    r"no access to (?:my )?e-?mail|return(?:ing)? to the office|not in the office|"
    r"fora d[oe] escrit[oó]rio|de f[eé]rias|em f[eé]rias|ausente|de licen[cç]a|licen[cç]a[- "
    r"](?:m[eé]dica|maternidade|paternidade)|estarei de volta|sem acesso ao (?:meu )?e-?mail|"
    r"volto (?:dia|em|no)|retorno (?:dia|no dia|em \d|ao (?:trabalho|escrit[oó]rio))|em viagem|"
    r"fuera de (?:la )?oficina|de vacaciones|estar[eé] ausente|de baja|vuelvo el|regreso (?:el|al)\b|"
    r"nicht im b[uü]ro|im urlaub|abwesend|au[sß]er haus|nicht erreichbar|wieder (?:im b[uü]ro|erreichbar|"
    r"f[uü]r sie)|elternzeit|krankgeschrieben|krankheit|"
    r"en cong[eé]|en vacances|absente?\b|de retour (?:le|au)|hors du bureau|"
    r"в отпуске|в командировке|отсутств|вне офиса|не в офисе|вернусь|на больничном|меня нет в офисе|"
    r"нет на (?:рабочем )?месте|буду на (?:месте|работе)",
    re.IGNORECASE,
)
_AUTO_TEXT = re.compile(
    r"automatic(?:ally)? (?:reply|response|generated|message|e-?mail)|auto-?(?:reply|response|matic)|"
    r"automated (?:reply|response|message)|do not reply to this|"
    r"resposta autom[aá]tica|mensagem autom[aá]tica|e-?mail autom[aá]tico|respuesta autom[aá]tica|"
    r"mensaje autom[aá]tico|automatische (?:antwort|nachricht|e-?mail)|automatisch (?:generiert|erstellt|"
    r"erzeugt)|"
    r"r[eé]ponse automatique|message automatique|автоматическ(?:ий|ое|ая|и)|автоответ",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"\b(?:thank you|thanks) for (?:your|the|contacting|getting|e-?mailing|writing)|"
    r"thank you for (?:your )?(?:e-?mail|message)|obrigad[oa] (?:pel[oa]|por)|agrade[cç]\w+ (?:seu|o seu|"
    r"a sua|sua|pel|por)|"
    r"gracias por (?:su|tu|el|contact|escrib)|(?:vielen dank|danke) f[uü]r (?:ihre|die|ihr|deine)|merci (?:de|"
    r"pour) votre|спасибо за (?:ваше|письмо|обращение|сообщение)|благодарю за",
    re.IGNORECASE,
)
_REPLY = re.compile(r"\s*(?:re|fwd?|aw|wg|res|enc|rv|sv|ref|на|отв)\s*(?:\[\d+\])?\s*:", re.IGNORECASE)
_ROBOT = re.compile(
    r"(?:(?:do[-_.]?)?(?:not?|nicht|ne|nao|no)[-_.]?(?:re?ply|respond\w*|responda|antworten|repondre|"
    r"responder|repondez)|noreply|donotreply|notifications?|notify|alerts?|mailer|robot|bot|automat\w*|"
    r"bounces?|"
    r"mailer-daemon|postmaster|system|daemon|cron|root|nagios|zabbix|jira|github|gitlab|invoice-?bot|"
    r"auto(?:confirm|reply|mail)\w*|"
    r"(?:.*[-_.+])(?:no-?reply|donotreply|notifications?))(?:[-_.+=].*)?\Z",
    re.IGNORECASE,
)
_NEWS = re.compile(
    r"(?:.*[-_.])?(?:newsletters?|news|marketing|promo\w*|offers?|ofertas?|campaigns?|mailing|announce\w*|"
    r"digest|digests|updates?|mailings?|noticias|boletin)(?:[-_.].*)?\Z",
    re.IGNORECASE,
)
_LIST_OWNER = re.compile(rb"owner-|-(?:owner|bounces?|admin|request)[@+=]", re.IGNORECASE)
_ANSWER_HEADERS = frozenset(
    {
        b"x-autoreply",
        b"x-autorespond",
        b"x-autoresponder",
        b"x-autoreply-from",
        b"x-mail-autoreply",
        b"x-autogenerated-reply",
        b"x-vacation",
    }
)
_BULK_HEADERS = frozenset((
    b"x-mailchimp-id", b"x-campaign", b"x-campaignid", b"x-campaign-id", b"x-mc-user", b"x-cmail-campaign",
    b"x-csa-complaints", b"x-mailer-recptid",
    b"x-sg-marketing", b"x-rpcampaign", b"x-sfmc-stack", b"x-job", b"x-list-unsubscribe", b"x-klaviyo-message-id",
    b"x-hubspot-campaign",
    b"x-ctct-id", b"x-emarsys-identify", b"x-mktarchive", b"x-mailgun-tag", b"x-unisender", b"x-mru-bulk",
    b"x-bulkmail",
    b"x-mailin-campaign",
))  # fmt: skip
_BULK_SIGNS = _BULK_HEADERS | {b"list-unsubscribe", b"list-unsubscribe-post", b"precedence", b"feedback-id", b"list-id"}


def classify(signs: Signs) -> Kind:
    """The kind of a mail."""
    if signs.feedback:
        return Kind.FEEDBACK
    if signs.bounced:
        return Kind.BOUNCE
    if signs.reported:
        return Kind.AUTO_REPLY if "disposition" in signs.report else Kind.NOTICE
    automatic = _judge_automatic(signs)
    if signs.calendar and automatic is not Kind.OUT_OF_OFFICE:
        return Kind.INVITATION
    return automatic or _judge_bulk(signs) or _judge_notice(signs) or Kind.HUMAN


def _local(signs: Signs) -> str:
    return signs.sender.email.rpartition("@")[0] if signs.sender else ""


def _is_declared_automatic(signs: Signs) -> bool:
    """The headers say that a program answered (RFC 3834, 5; and what came before it)."""
    raw = signs.headers.raw
    submitted = raw(b"auto-submitted").strip().lower()
    if submitted.startswith(b"auto-replied"):
        return True
    if not _ANSWER_HEADERS.isdisjoint(signs.headers.index):
        return True
    if (
        raw(b"x-autogenerated").strip().lower() in (b"reply", b"autoreply")
        or raw(b"x-autogenerated").lower().find(b"reply") >= 0
    ):
        return True
    if raw(b"precedence").strip().lower() in (b"auto_reply", b"auto-reply", b"auto reply"):
        return True
    return (
        b"vacation" in raw(b"x-mailer").lower()
        or raw(b"x-ms-exchange-generated-message-source").strip().lower() == b"oof"
    )


def _judge_automatic(signs: Signs) -> Kind | None:
    """Out of office, another automatic reply, or neither."""
    raw, subject, text = signs.headers.raw, signs.subject, signs.text[:3000]
    replied = bool(_REPLY.match(subject))
    bare = subject
    while replied and (match := _REPLY.match(bare)):
        bare = bare[match.end() :]
    submitted = raw(b"auto-submitted").strip().lower()
    declared = _is_declared_automatic(signs)
    hinted = (
        (submitted not in (b"", b"no"))
        or raw(b"return-path").strip() == b"<>"
        or raw(b"x-auto-response-suppress") != b""
        or raw(b"precedence").strip().lower() in (b"bulk", b"junk")
    )
    listed = raw(b"list-id") or raw(b"list-unsubscribe")
    auto_subject = bool(_AUTO_SUBJECT.match(subject)) or ((declared or hinted) and bool(_AUTO_SUBJECT.match(bare)))
    away_subject = bool(_AWAY_SUBJECT.match(bare if declared or hinted else subject))
    if not (declared or hinted or auto_subject or away_subject) and not _is_form_letter(signs, text):
        return None
    if declared or (auto_subject and not listed):
        return Kind.OUT_OF_OFFICE if away_subject or _AWAY_TEXT.search(text) else Kind.AUTO_REPLY
    if listed or (replied and not hinted and not _is_form_letter(signs, text)):  # newsletters end here, unsearched
        return None
    away_text = bool(_AWAY_TEXT.search(text))
    if away_subject and away_text and (hinted or _AUTO_TEXT.search(text)):
        return Kind.OUT_OF_OFFICE
    if hinted and signs.answers and (away_text and (_THANKS.search(text) or _AUTO_TEXT.search(text))):
        return Kind.OUT_OF_OFFICE
    if away_text and _is_form_letter(signs, text):
        return Kind.OUT_OF_OFFICE
    return None


def _is_form_letter(signs: Signs, text: str) -> bool:
    """An automatic answer that says so in its words alone: declared automatic, or thanks and no question; short."""
    if len(text) > 1200 or "?" in text:
        return False
    away_subject = _AWAY_SUBJECT.match(signs.subject) is not None
    if not away_subject and not _says_auto(text):  # nearly all mail ends here
        return False
    if not (_AUTO_TEXT.search(text) or (away_subject and _THANKS.search(text))):
        return False
    return _AWAY_TEXT.search(text) is not None


def _says_auto(text: str) -> bool:
    lowered = text.lower()
    return "auto" in lowered or "автом" in lowered or "автоо" in lowered or "do not reply" in lowered


def _judge_bulk(signs: Signs) -> Kind | None:
    """Newsletters and campaigns. Discussion lists and group mailboxes carry mail of people."""
    raw = signs.headers.raw
    local = _local(signs)
    precedence = raw(b"precedence").strip().lower()
    robot = bool(_ROBOT.match(local))
    if _LIST_OWNER.search(raw(b"sender")) and not robot and not raw(b"list-unsubscribe"):
        return None  # a discussion list of the old kind
    post = raw(b"list-post").strip().lower()
    if post and post != b"no" and not robot and not raw(b"list-unsubscribe-post"):
        return None
    if raw(b"x-google-group-id") and not robot:
        return None
    if not robot and not _NEWS.match(local) and _BULK_SIGNS.isdisjoint(signs.headers.index):
        return None
    unsubscribe = bool(raw(b"list-unsubscribe") or raw(b"x-list-unsubscribe"))
    marks = sum(
        (
            unsubscribe,
            bool(raw(b"list-unsubscribe-post")),
            precedence in (b"bulk", b"junk"),
            bool(raw(b"feedback-id")),
            not _BULK_HEADERS.isdisjoint(signs.headers.index),
            bool(_NEWS.match(local)),
            robot and unsubscribe,
            bool(raw(b"list-id")) and unsubscribe,
        )
    )
    if signs.answers and not robot:
        return Kind.BULK if marks >= 3 and not _REPLY.match(signs.subject) else None
    if precedence in (b"bulk", b"junk") or marks >= 2 or (unsubscribe and not _REPLY.match(signs.subject)):
        return Kind.BULK
    return None


def _judge_notice(signs: Signs) -> Kind | None:
    """Mail that a program wrote on its own: shops, monitors, portals."""
    raw = signs.headers.raw
    submitted = raw(b"auto-submitted").strip().lower()
    if submitted and not submitted.startswith(b"no"):
        return Kind.NOTICE
    if _ROBOT.match(_local(signs)):
        return Kind.NOTICE
    if raw(b"x-autogenerated") or raw(b"x-cron-env") or raw(b"x-github-reason") or raw(b"x-jira-fingerprint"):
        return Kind.NOTICE
    return None
