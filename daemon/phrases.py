"""What quietcrm says to reps, in their language. Every phrase exists in en, pt and ru; a test checks it."""

from __future__ import annotations

from datetime import datetime

LANGUAGES = ("en", "pt", "ru")

PHRASES: dict[str, dict[str, str]] = {
    "reminder": {"en": "Reminder", "pt": "Lembrete", "ru": "Напоминание"},
    "late": {"en": "late", "pt": "atrasado", "ru": "с опозданием"},
    "customer": {"en": "Customer", "pt": "Cliente", "ru": "Клиент"},
    "last_mail": {"en": "Last exchange", "pt": "Última conversa", "ru": "Последняя переписка"},
    "why": {"en": "Why", "pt": "Por quê", "ru": "Почему"},
    "rule": {"en": "rule", "pt": "regra", "ru": "правило"},
    "leaves_by_itself": {
        "en": "This reminder leaves by itself when the matter is settled.",
        "pt": "Este lembrete sai sozinho quando o assunto se resolve.",
        "ru": "Это напоминание исчезнет само, когда вопрос будет решён.",
    },
    "notice": {"en": "Your day with quietcrm", "pt": "Seu dia com o quietcrm", "ru": "Ваш день с quietcrm"},
    "drafts_ready": {
        "en": "Drafts waiting in your Drafts folder",
        "pt": "Rascunhos prontos na sua pasta de rascunhos",
        "ru": "Готовые черновики в вашей папке «Черновики»",
    },
    "held": {"en": "Held", "pt": "Parado", "ru": "Задержано"},
    "uncertain": {"en": "Uncertain", "pt": "Incerto", "ru": "Неясно"},
    "expired": {"en": "Expired", "pt": "Vencido", "ru": "Истекло"},
    "arrived_late": {"en": "Found late", "pt": "Visto com atraso", "ru": "Обнаружено поздно"},
    "questions": {"en": "Who is this?", "pt": "Quem é?", "ru": "Кто это?"},
    "quarantined": {
        "en": "Mails we could not read",
        "pt": "E-mails que não foi possível ler",
        "ru": "Непрочитанные письма",
    },
    "accounts": {"en": "Mailboxes in trouble", "pt": "Caixas com problema", "ru": "Проблемы с ящиками"},
    "config": {"en": "Configuration", "pt": "Configuração", "ru": "Настройки"},
    "due": {"en": "due", "pt": "para", "ru": "срок"},
    "since": {"en": "since", "pt": "desde", "ru": "с"},
    "mails": {"en": "mails", "pt": "e-mails", "ru": "писем"},
    "settle": {"en": "to settle", "pt": "para resolver", "ru": "решение"},
    "footer": {
        "en": "One notice a day, only when there is something. Commands are for the admin's terminal.",
        "pt": "Um aviso por dia, só quando há algo. Os comandos são para o terminal do administrador.",
        "ru": "Одно сообщение в день и только по делу. Команды — для терминала администратора.",
    },
}

_WEEKDAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "pt": ("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo"),
    "ru": ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"),
}


def phrase(name: str, language: str) -> str:
    """A phrase in a language; English where we do not speak it."""
    return PHRASES[name].get(language, PHRASES[name]["en"])


def day_words(at: datetime, language: str) -> str:
    """A local time as people say it: "sexta, 20/11 14:03", "Friday, 20 Nov 14:03"."""
    names = _WEEKDAYS.get(language, _WEEKDAYS["en"])
    if language == "pt":
        return f"{names[at.weekday()]}, {at:%d/%m %H:%M}"
    if language == "ru":
        return f"{names[at.weekday()]}, {at:%d.%m %H:%M}"
    return f"{names[at.weekday()]}, {at:%d %b %H:%M}"
