"""What mail programs and people write around a message, by language. Data only; all entries are casefolded."""

from __future__ import annotations

from typing import Final, Literal

FieldKind = Literal["from", "sent", "date", "to", "subject", "copy", "other"]
SeparatorKind = Literal["original", "forward"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


_FIELDS_BY_KIND: Final[dict[FieldKind, str]] = {
    "from": "from|von|de|van|da|fra|från|från|od|от|от кого|отправитель|від|від кого|kimden|lähettäjä|"
    "expéditeur|remetente|remitente|mittente|afzender|nadawca|feladó|odesílatel|发件人|差出人|보낸 사람|от:",
    "sent": "sent|sent at|sent on|gesendet|gesendet am|enviado|enviada|enviado em|enviada em|enviado el|enviado a|"
    "data de envio|fecha de envío|envoyé|envoyé le|date d'envoi|inviato|inviato il|data invio|verzonden|sendt|"
    "sendt den|skickat|отправлено|дата отправки|отправлен|надіслано|wysłano|wysłane|data wysłania|lähetetty|"
    "gönderilen|odesláno|odoslané|elküldve|发送时间|送信日時|보낸 날짜|trimis",
    # Words that a booking or an appointment uses as well.
    "date": "date|datum|data|fecha|dato|дата|päivämäärä|päiväys|tarih|dátum|日期",
    "to": "to|an|para|à|a|aan|til|till|do|кому|получатель|vastaanottaja|kime|kimlere|komu|címzett|destinataire|"
    "destinatario|destinatário|destinatari|收件人|宛先|받는 사람|către",
    "subject": "subject|betreff|assunto|asunto|objet|oggetto|onderwerp|emne|ämne|тема|тема письма|temat|aihe|konu|"
    "předmět|predmet|tárgy|subiect|主题|件名|제목|topic",
    "copy": "cc|bcc|kopie|kopi|kopia|copia|cópia|cópia para|copie|копия|копія|dw|c.c.|抄送",
    "other": "reply-to|reply to|risposta|responder a|responder para|répondre à|antwort an|importance|importância|"
    "attachments|anexos|вложения|priority|organization|ответить|важность",
}

FIELDS: Final[dict[str, FieldKind]] = {
    word: kind for kind, words in _FIELDS_BY_KIND.items() for word in words.split("|")
}

_ORIGINAL: Final = (
    "original message|original appointment|reply message|original email|original e-mail|ursprüngliche nachricht|"
    "originalnachricht|original-nachricht|ursprungliga meddelandet|ursprungligt meddelande|originalmeddelande|"
    "mensagem original|mensagem de resposta|mensaje original|message original|message d'origine|messaggio originale|"
    "oorspronkelijk bericht|originele bericht|oprindelig meddelelse|opprinnelig melding|originalmelding|"
    "original meddelelse|исходное сообщение|исходное письмо|оригинальное сообщение|первоначальное сообщение|"
    "первичное сообщение|вихідне повідомлення|оригінальне повідомлення|wiadomość oryginalna|oryginalna wiadomość|"
    "původní zpráva|alkuperäinen viesti|orijinal ileti|eredeti üzenet|mesaj original|compromisso original|"
    "original termin|ursprünglicher termin|rendez-vous d'origine|missatge original"
)
_FORWARD: Final = (
    "forwarded message|begin forwarded message|forwarded by|start of forwarded message|weitergeleitete nachricht|"
    "anfang der weitergeleiteten nachricht|anfang der weitergeleiteten e-mail|mensagem encaminhada|"
    "mensagem reencaminhada|início da mensagem encaminhada|início da mensagem reencaminhada|"
    "inicio da mensagem encaminhada|mensaje reenviado|inicio del mensaje reenviado|mensaje reenviado por|"
    "message transféré|message transmis|début du message réexpédié|début du message transféré|messaggio inoltrato|"
    "inizio messaggio inoltrato|doorgestuurd bericht|begin doorgestuurd bericht|vidarebefordrat meddelande|"
    "videresendt melding|videresendt meddelelse|пересылаемое сообщение|пересланное сообщение|"
    "перенаправленное сообщение|переадресованное сообщение|начало переадресованного сообщения|"
    "начало пересылаемого сообщения|переслане повідомлення|przekazana wiadomość|wiadomość przekazana|"
    "przeposlaná zpráva|välitetty viesti|iletilen mesaj|továbbított üzenet|"
    "начало перенаправленного сообщения|wiadomość napisana przez"
)

SEPARATORS: Final[dict[str, SeparatorKind]] = {
    **dict.fromkeys(_ORIGINAL.split("|"), "original"),
    **dict.fromkeys(_FORWARD.split("|"), "forward"),
}
SEPARATOR_OPENINGS: Final = tuple(SEPARATORS)

# The verb of "On ... NAME wrote:"; order and place in the line differ by language.
WROTE_VERBS: Final = (
    r"wrote|writes|schrieb|geschrieben|schreef|geschreven|escreveu|escreveram|escreve|escribió|escribio|a écrit|écrit|"
    r"ha scritto|scritto|skrev|skriver|napisał|napisała|napisał\(a\)|pisze|написал|написала|написали|написал\(а\)|"
    r"написал\(a\)|написал/а|писал|писала|писал\(а\)|пишет|пише|написав|написала|kirjoitti|yazdı|şunları yazdı|"
    r"έγραψε|đã viết|viết|a scris|írta|napsal|napsala|napsal\(a\)|napísal|napísal\(a\)|ha escrit|rašė|"
    r"написа|написао|написао/ла|napisao|napisala|napisao/la|je napisal|kirjutas|rakstīja|menulis|sent|"
    r"כתב|כתבה|كتب|كتبت|写道|写入|寫道|作成|작성|작성했습니다"
)

# Thanks close a letter too, but "Thanks, Carl" speaks to the reader and is no name of the writer.
THANKS: Final = _words(
    "thanks|thank you|many thanks|thx|grato|grata|obrigado|obrigada|muito obrigado|muito obrigada|desde já agradeço|"
    "agradeço|спасибо|заранее спасибо|заранее благодарю|благодарю|с благодарностью|gracias|muchas gracias|danke|"
    "vielen dank|merci|merci d'avance|grazie|bedankt|dziękuję|tack|tak|takk"
)

# Whole lines that close a letter.
CLOSINGS: Final = THANKS | _words(
    "regards|best regards|kind regards|kindest regards|warm regards|warmest regards|with regards|many regards|"
    "with best regards|with kind regards|best wishes|with best wishes|all the best|best|sincerely|yours sincerely|"
    "sincerely yours|yours truly|yours faithfully|yours|respectfully|cordially|cheers|thanks and regards|"
    "thanks & regards|thanks and best regards|br|rgds|atenciosamente|att|atte|atentamente|at.te|abraço|abraços|"
    "um abraço|grande abraço|forte abraço|abs|abç|cordialmente|saudações|cumprimentos|com os melhores cumprimentos|"
    "melhores cumprimentos|os melhores cumprimentos|respeitosamente|beijos|bjs|até breve|à disposição|"
    "fico à disposição|с уважением|с наилучшими пожеланиями|с искренним уважением|искренне ваш|искренне ваша|"
    "всего доброго|всего наилучшего|с пожеланиями успеха|хорошего дня|удачи|до встречи|з повагою|saludos|un saludo|"
    "saludos cordiales|un cordial saludo|cordiales saludos|un abrazo|mit freundlichen grüßen|"
    "mit freundlichen grüssen|mit freundlichem gruß|mit freundlichem gruss|freundliche grüße|freundliche grüsse|"
    "viele grüße|viele grüsse|beste grüße|beste grüsse|liebe grüße|herzliche grüße|schöne grüße|mit besten grüßen|"
    "grüße|gruß|mfg|lg|vg|hochachtungsvoll|cordialement|bien cordialement|très cordialement|bien à vous|salutations|"
    "salutations distinguées|sincères salutations|meilleures salutations|amicalement|respectueusement|"
    "cordiali saluti|distinti saluti|saluti|un saluto|met vriendelijke groet|met vriendelijke groeten|"
    "vriendelijke groet|vriendelijke groeten|groeten|groet|mvg|pozdrawiam|z poważaniem|pozdrawiam serdecznie|"
    "med vänlig hälsning|med vänliga hälsningar|vänliga hälsningar|mvh|med venlig hilsen|venlig hilsen|"
    "med vennlig hilsen|vennlig hilsen|ystävällisin terveisin|terveisin|s pozdravem|üdvözlettel|saygılarımla"
)
