"""What quietcrm says to reps, in their language. Every phrase exists in en, pt and ru; a test checks it."""

from __future__ import annotations

from datetime import datetime

LANGUAGES = ("en", "pt", "ru")

PHRASES: dict[str, dict[str, str]] = {
    "reminder": {"en": "Reminder", "pt": "Lembrete", "ru": "Напоминание"},
    "late": {"en": "late", "pt": "atrasado", "ru": "с опозданием"},
    "no_subject": {"en": "(no subject)", "pt": "(sem assunto)", "ru": "(без темы)"},
    "customer": {"en": "Customer", "pt": "Cliente", "ru": "Клиент"},
    "last_mail": {"en": "Last exchange", "pt": "Última conversa", "ru": "Последняя переписка"},
    "why": {"en": "Reason", "pt": "Motivo", "ru": "Причина"},
    "rule": {"en": "rule", "pt": "regra", "ru": "правило"},
    "sequence": {"en": "sequence", "pt": "sequência", "ru": "последовательность"},
    "leaves_by_itself": {
        "en": "This reminder leaves by itself when the matter is settled.",
        "pt": "Este lembrete sai sozinho quando o assunto se resolve.",
        "ru": "Это напоминание исчезнет само, когда вопрос будет решён.",
    },
    "item_foot": {
        "en": "Move it to be reminded later. Delete it or tick it off when it is done.",
        "pt": "Mova para ser lembrado depois. Apague ou marque como concluído quando estiver feito.",
        "ru": "Перенесите, чтобы напомнить позже. Удалите или отметьте выполненным, когда сделано.",
    },
    "brief_title": {
        "en": "Before your meetings",
        "pt": "Antes das suas reuniões",
        "ru": "Перед встречами",
    },
    "brief_one": {"en": "Meeting", "pt": "Reunião", "ru": "Встреча"},
    "brief_many": {"en": "Meetings ({0})", "pt": "Reuniões ({0})", "ru": "Встречи ({0})"},
    "brief_foot": {
        "en": "Once for each meeting, and again only if it is moved.",
        "pt": "Uma vez por reunião; de novo só se ela mudar de horário.",
        "ru": "По одному разу на встречу; ещё раз — только если её перенесут.",
    },
    "brief_where": {"en": "Where", "pt": "Onde", "ru": "Где"},
    "brief_who": {"en": "Who", "pt": "Quem", "ru": "Кто"},
    "brief_case": {"en": "Open case", "pt": "Reclamação aberta", "ru": "Открытое обращение"},
    "brief_order": {"en": "Open order", "pt": "Pedido em aberto", "ru": "Открытый заказ"},
    "brief_lead": {"en": "Open lead", "pt": "Negócio em aberto", "ru": "Открытая сделка"},
    "brief_task": {"en": "Promised", "pt": "Prometido", "ru": "Обещано"},
    "brief_draft": {"en": "Prepared", "pt": "Preparado", "ru": "Подготовлено"},
    "brief_mail": {"en": "Mail", "pt": "E-mail", "ru": "Письмо"},
    "brief_met": {"en": "Met before", "pt": "Reunião anterior", "ru": "Прошлая встреча"},
    "brief_missed": {"en": "nobody came", "pt": "não compareceram", "ru": "не состоялась: никто не пришёл"},
    "answer_accepted": {"en": "accepted", "pt": "aceitou", "ru": "придёт"},
    "answer_declined": {"en": "declined", "pt": "recusou", "ru": "не придёт"},
    "answer_tentative": {"en": "perhaps", "pt": "talvez", "ru": "возможно"},
    "drafts_ready": {
        "en": "Ready in your Drafts folder",
        "pt": "Pronto na sua pasta Rascunhos",
        "ru": "Готово в папке «Черновики»",
    },
    "since": {"en": "there since {0}", "pt": "lá desde {0}", "ru": "лежит с: {0}"},
    "until": {
        "en": "leaves by itself after {0} if nobody touches it",
        "pt": "sai sozinho depois de {0} se ninguém mexer",
        "ru": "последний день: {0}; потом исчезнет сам, если его не трогать",
    },
    "held": {
        "en": "Held: something is missing",
        "pt": "Parado: falta alguma coisa",
        "ru": "Задержано: чего-то не хватает",
    },
    "held_sends": {
        "en": "Not sent yet: held",
        "pt": "Ainda não enviado: parado",
        "ru": "Ещё не отправлено: задержано",
    },
    "uncertain": {
        "en": "May have been sent",
        "pt": "Talvez já enviado",
        "ru": "Возможно, уже отправлено",
    },
    "uncertain_note": {
        "en": "Ask the customer. They have it: sent. They do not: release --again sends it once more.",
        "pt": "Pergunte ao cliente. Recebeu: sent. Não recebeu: release --again envia de novo.",
        "ru": "Спросите клиента. Получил: sent. Не получил: release --again отправит ещё раз.",
    },
    "undelivered": {"en": "Did not arrive", "pt": "Não chegou", "ru": "Не дошло"},
    "junk": {
        "en": "An answer lies in Junk",
        "pt": "Há uma resposta no Spam",
        "ru": "Ответ лежит в спаме",
    },
    "junk_note": {
        "en": "Move it to the Inbox, and it is logged.",
        "pt": "Mova-a para a Entrada e ela entra no histórico.",
        "ru": "Перенесите его во «Входящие», и он будет записан.",
    },
    "sent_by_itself": {
        "en": "Sent by itself",
        "pt": "Enviado automaticamente",
        "ru": "Отправлено автоматически",
    },
    "mail_for": {"en": "“{0}” for {1}", "pt": "“{0}” para {1}", "ru": "«{0}» для {1}"},
    "by_itself": {
        "en": "goes by itself when that is mended",
        "pt": "sai sozinho quando isso se resolver",
        "ru": "уйдёт само, когда это исправят",
    },
    "next_try": {"en": "next try: {0}", "pt": "próxima tentativa: {0}", "ru": "следующая попытка: {0}"},
    "looked_in_sent": {
        "en": "not in Sent ({0})",
        "pt": "não está em Enviados ({0})",
        "ru": "в «Отправленных» нет ({0})",
    },
    "not_looked_yet": {
        "en": "not looked for in Sent yet",
        "pt": "ainda não procurado em Enviados",
        "ru": "в «Отправленных» ещё не искали",
    },
    "more": {"en": "and {0} more", "pt": "e mais {0}", "ru": "и ещё {0}"},
    "draft_for": {"en": "draft “{0}” for {1}", "pt": "rascunho “{0}” para {1}", "ru": "черновик «{0}» для {1}"},
    "expired": {
        "en": "Taken out of Drafts again",
        "pt": "Retirado de Rascunhos",
        "ru": "Убрано из черновиков",
    },
    "arrived_late": {"en": "Found late", "pt": "Visto com atraso", "ru": "Обнаружено поздно"},
    "questions": {"en": "Who is this?", "pt": "Quem é?", "ru": "Кто это?"},
    "question_note": {
        "en": "Not a customer? There is nothing to do: the question goes away after a week.",
        "pt": "Não é cliente? Nada a fazer: a pergunta some depois de uma semana.",
        "ru": "Не клиент? Делать ничего не нужно: через неделю вопрос исчезнет.",
    },
    "last": {"en": "last: “{0}”, {1}", "pt": "último: “{0}”, {1}", "ru": "последнее: «{0}», {1}"},
    "quarantined": {
        "en": "Mails we could not read",
        "pt": "E-mails que não foi possível ler",
        "ru": "Письма, которые не удалось прочитать",
    },
    "accounts": {"en": "Mailboxes in trouble", "pt": "Caixas com problema", "ru": "Проблемы с ящиками"},
    "unnotified": {
        "en": "Lines that reached no channel",
        "pt": "Avisos que não chegaram ao canal",
        "ru": "Сообщения, не дошедшие до канала",
    },
    "lines_lost": {"en": "lost: {0}", "pt": "perdidos: {0}", "ru": "потеряно: {0}"},
    "unmarked": {
        "en": "Marks that mailboxes did not take",
        "pt": "Marcas que as caixas não aceitaram",
        "ru": "Пометки, которые ящики не приняли",
    },
    "config": {"en": "Configuration", "pt": "Configuração", "ru": "Настройки"},
    "alert": {"en": "quietcrm needs you", "pt": "O quietcrm precisa de você", "ru": "quietcrm нужна ваша помощь"},
    "alert_config": {
        "en": "The files as they are now have a fault. The last good ones go on running.",
        "pt": "Os arquivos, como estão agora, têm um erro. Continuam valendo os últimos que estavam certos.",
        "ru": "В файлах сейчас есть ошибка. Действуют последние исправные.",
    },
    "alert_disk": {"en": "Disk almost full", "pt": "Disco quase cheio", "ru": "Диск почти заполнен"},
    "alert_breaker": {
        "en": "A burst: everything waits for you",
        "pt": "Atividade demais: tudo espera por você",
        "ru": "Всплеск: всё ждёт вас",
    },
    "sequences": {"en": "Sequences that stand", "pt": "Sequências paradas", "ru": "Последовательности стоят"},
    "count_sequences": {"en": "sequences: {0}", "pt": "sequências: {0}", "ru": "последовательности: {0}"},
    "alert_store": {"en": "Database", "pt": "Banco de dados", "ru": "База данных"},
    "alert_clock": {
        "en": "The clock is wrong; no mail leaves by itself",
        "pt": "O relógio está errado; nenhum e-mail sai sozinho",
        "ru": "Часы сбились; письма сами не уходят",
    },
    "alert_sender": {
        "en": "Mail cannot leave",
        "pt": "Os e-mails não estão saindo",
        "ru": "Письма не уходят",
    },
    "alert_sign_in": {
        "en": "Sign-in has ended",
        "pt": "O acesso expirou",
        "ru": "Вход больше не действует",
    },
    "alert_sign_in_rep": {
        "en": "quietcrm cannot reach your mailbox any more ({0}): somebody has to sign in again. {1} has been told and "
        "will come to you. Nothing is lost: what arrives meanwhile is read afterwards.",
        "pt": "O quietcrm não tem mais acesso à sua caixa ({0}): é preciso entrar de novo. Já avisamos {1}, que vai "
        "falar com você. Nada se perde: o que chegar enquanto isso será lido depois.",
        "ru": "quietcrm больше не может открыть ваш ящик ({0}): нужно войти заново. {1} уже знает и обратится к вам. "
        "Ничего не потеряется: всё, что придёт за это время, будет прочитано потом.",
    },
    "alert_worker": {"en": "Something hangs", "pt": "Algo travou", "ru": "Что-то зависло"},
    "alert_pass_on": {
        "en": "Please tell {0}: quietcrm found no other way to reach them.",
        "pt": "Por favor, avise {0}: o quietcrm não achou outro caminho.",
        "ru": "Передайте, пожалуйста: {0}. Другого пути quietcrm не нашёл.",
    },
    "alert_footer": {
        "en": "At most one such mail an hour for each cause. Commands are for the admin's terminal.",
        "pt": "No máximo um e-mail destes por hora e causa. Os comandos são para o terminal do administrador.",
        "ru": "Не чаще одного такого письма в час по каждой причине. Команды — для терминала администратора.",
    },
    "footer": {
        "en": "One notice a day, only when there is something. Commands are for the admin's terminal.",
        "pt": "Um aviso por dia, só quando há algo. Os comandos são para o terminal do administrador.",
        "ru": "Одно сообщение в день и только по делу. Команды — для терминала администратора.",
    },
    "count_drafts_ready": {"en": "drafts: {0}", "pt": "rascunhos: {0}", "ru": "черновики: {0}"},
    "count_held": {"en": "held: {0}", "pt": "parados: {0}", "ru": "задержано: {0}"},
    "count_held_sends": {"en": "held: {0}", "pt": "parados: {0}", "ru": "задержано: {0}"},
    "count_uncertain": {"en": "perhaps sent: {0}", "pt": "talvez enviados: {0}", "ru": "возможно, отправлено: {0}"},
    "count_undelivered": {"en": "did not arrive: {0}", "pt": "não chegaram: {0}", "ru": "не дошло: {0}"},
    "count_junk": {"en": "answers in Junk: {0}", "pt": "respostas no Spam: {0}", "ru": "ответы в спаме: {0}"},
    "count_sent_by_itself": {"en": "sent: {0}", "pt": "enviados: {0}", "ru": "отправлено: {0}"},
    "count_expired": {"en": "expired: {0}", "pt": "vencidos: {0}", "ru": "истекло: {0}"},
    "count_arrived_late": {"en": "late: {0}", "pt": "atrasados: {0}", "ru": "с опозданием: {0}"},
    "count_questions": {"en": "questions: {0}", "pt": "perguntas: {0}", "ru": "вопросы: {0}"},
    "count_accounts": {
        "en": "mailboxes in trouble: {0}",
        "pt": "caixas com problema: {0}",
        "ru": "проблемы с ящиками: {0}",
    },
    "count_unnotified": {
        "en": "channels not reached: {0}",
        "pt": "avisos perdidos: {0}",
        "ru": "не дошло до каналов: {0}",
    },
    "count_unmarked": {"en": "marks not made: {0}", "pt": "marcas não feitas: {0}", "ru": "пометок не поставлено: {0}"},
    "count_config": {"en": "configuration: {0}", "pt": "configuração: {0}", "ru": "настройки: {0}"},
    "count_quarantined": {"en": "unreadable: {0}", "pt": "ilegíveis: {0}", "ru": "не удалось прочитать: {0}"},
}

_WEEKDAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "pt": ("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo"),
    "ru": ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"),
}


def phrase(name: str, language: str) -> str:
    """A phrase in a language; English where we do not speak it."""
    return PHRASES[name].get(language, PHRASES[name]["en"])


def mails_words(count: int, language: str) -> str:
    """ "1 mail", "3 e-mails", "5 писем"."""
    if language == "pt":
        return f"{count} e-mail" if count == 1 else f"{count} e-mails"
    if language == "ru":
        few = count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14)
        one = count % 10 == 1 and count % 100 != 11
        return f"{count} {'письмо' if one else 'письма' if few else 'писем'}"
    return f"{count} mail" if count == 1 else f"{count} mails"


def date_words(at: datetime, language: str) -> str:
    """A local day as people say it: "sexta, 20/11", "Friday, 20 November"."""
    names = _WEEKDAYS.get(language, _WEEKDAYS["en"])
    form = {"pt": "%d/%m", "ru": "%d.%m"}.get(language)
    return f"{names[at.weekday()]}, {at.strftime(form) if form else f'{at.day} {at:%B}'}"


def day_words(at: datetime, language: str) -> str:
    """A local time as people say it: "sexta, 20/11 14:03", "Friday, 20 November 14:03"."""
    return f"{date_words(at, language)} {at:%H:%M}"
