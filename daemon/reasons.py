"""The reasons that the store keeps in English, as people of other languages read them in a notice."""

from __future__ import annotations

import re
from datetime import datetime

from daemon.phrases import date_words

_Words = tuple[str, str, str, str]
_TABLE: tuple[_Words, ...] = (
    # pattern of the kept reason, then what it says in en, pt and ru
    (
        r"no value for customer\.fields\.(\w+)(?::.*)?",
        "the customer has no “{0}” yet",
        "o cliente ainda não tem “{0}” no cadastro",
        "у клиента ещё не заполнено поле «{0}»",
    ),
    (r"no value for ([\w., ]+)(?::.*)?", "no value for {0}", "falta o valor de {0}", "нет значения: {0}"),
    (
        r'the template "(.*)" is gone(?:;.*)?',
        "the template “{0}” is gone",
        "o modelo “{0}” não existe mais",
        "шаблона «{0}» больше нет",
    ),
    (
        r'"(.*)" is not of the team any more(?:;.*)?',
        "“{0}” is not of the team any more",
        "“{0}” não é mais da equipe",
        "«{0}» больше не в команде",
    ),
    (
        "nobody touched it in time",
        "nobody touched it in time",
        "ninguém mexeu nele a tempo",
        "его вовремя никто не тронул",
    ),
    ("the customer wrote", "the customer wrote", "o cliente escreveu", "клиент написал"),
    ("the team wrote", "the team wrote", "a equipe escreveu", "команда написала"),
    # --- what the last look says (daemon.last_look) and what sending says (daemon.sends)
    ("the address is our own", "the address is our own", "o endereço é nosso", "это наш собственный адрес"),
    (
        "the address gets no mail: (.*)",
        "the address gets no mail: {0}",
        "este endereço não recebe e-mails: {0}",
        "на этот адрес не пишем: {0}",
    ),
    (
        "mail to the address came back: (.*)",
        "mail to the address came back: {0}",
        "e-mails para este endereço voltaram: {0}",
        "письма на этот адрес возвращаются: {0}",
    ),
    (
        "an answer lies in the Junk folder of (.*)",
        "in the Junk folder of {0}",
        "na pasta Spam de {0}",
        "в папке «Спам» ящика {0}",
    ),
    (
        "the address is not the contact's any more",
        "the address is not the contact's any more",
        "o endereço não é mais do contato",
        "адрес больше не принадлежит этому человеку",
    ),
    (
        r"the contact is away until (.*)",
        "the contact is away until {0}",
        "o contato está ausente até {0}",
        "человек отсутствует до: {0}",
    ),
    (
        "too late to go by itself",
        "too late to go by itself: now a draft",
        "tarde demais para sair sozinho: virou rascunho",
        "слишком поздно отправлять автоматически: теперь это черновик",
    ),
    (
        "the day it is for is over",
        "the day it is for is over",
        "o dia dele já passou",
        "день, для которого оно написано, прошёл",
    ),
    (
        "the mailbox (.*?) cannot be read: (.*)",
        "the mailbox {0} cannot be read: {1}",
        "não dá para ler a caixa {0}: {1}",
        "ящик {0} не читается: {1}",
    ),
    (
        "looks into the mailboxes first",
        "the mailboxes are read first",
        "lendo as caixas antes",
        "сначала читаются ящики",
    ),
    (
        r"(\S+) wrote to the customer on (.*)",
        "{0} wrote to the customer on {1}",
        "{0} escreveu ao cliente: {1}",
        "{0}: письмо клиенту, {1}",
    ),
    (
        r"they got an automatic answer within the last (\d+) days",
        "they got an automatic answer within the last {0} days",
        "já receberam uma resposta automática nos últimos {0} dias",
        "за последние {0} дней автоматический ответ уже был",
    ),
    (
        r"(\d+) automatic answers within two hours: a loop\?",
        "{0} automatic answers within two hours: a loop?",
        "{0} respostas automáticas em duas horas: um laço?",
        "автоматических ответов за два часа: {0}. Зацикливание?",
    ),
    (
        r"rules planned (\d+) mails within an hour \(limit (\d+)\)",
        "rules planned {0} mails within an hour (limit {1})",
        "as regras planejaram {0} e-mails em uma hora (limite {1})",
        "правила запланировали писем за час: {0} (предел {1})",
    ),
    (
        "the contact got a mail today",
        "the contact got a mail today",
        "o contato já recebeu um e-mail hoje",
        "сегодня письмо уже было",
    ),
    (
        r"(\d+) mails left today \(limit (\d+)\)",
        "{0} mails left today (limit {1})",
        "{0} e-mails saíram hoje (limite {1})",
        "писем отправлено сегодня: {0} (предел {1})",
    ),
    ("waits for office hours", "waits for office hours", "espera o horário comercial", "ждёт рабочего времени"),
    (
        r"(\S+) has no sender in quietcrm\.yaml",
        "{0} has no sender in quietcrm.yaml",
        "{0} não tem saída (senders) no quietcrm.yaml",
        "у {0} нет отправителя (senders) в quietcrm.yaml",
    ),
    (
        r"unexpected (\w+): see the log and report it",
        "unexpected {0}: see the log and report it",
        "erro inesperado {0}: veja o log e avise",
        "неожиданная ошибка {0}: посмотрите журнал и сообщите о ней",
    ),
    (
        "quietcrm ended while the mail was on its way",
        "quietcrm ended while the mail was on its way",
        "o quietcrm parou durante o envio",
        "quietcrm остановился во время отправки",
    ),
    (
        "quietcrm could not record what became of it",
        "quietcrm could not record what became of it",
        "o quietcrm não conseguiu anotar o resultado",
        "quietcrm не смог записать исход",
    ),
    (
        "(.*) was given the whole mail and its answer did not come: .*",
        "{0} got the whole mail, but its answer did not come",
        "{0} recebeu o e-mail inteiro, mas não respondeu",
        "{0}: письмо передано целиком, но ответа не было",
    ),
    ("its? (?:copy )?lies in Sent", "it lies in Sent", "está em Enviados", "лежит в «Отправленных»"),
    ("it was answered", "it was answered", "foi respondido", "на него ответили"),
    (
        "its recipient complained of it",
        "its recipient called it spam",
        "o destinatário marcou como spam",
        "получатель пожаловался на спам",
    ),
    ("came back: (.*)", "came back: {0}", "voltou: {0}", "вернулось: {0}"),
    ("not delivered yet: (.*)", "not delivered yet: {0}", "ainda não entregue: {0}", "ещё не доставлено: {0}"),
    (
        r"no answer for (\d+) minutes",
        "no answer for {0} minutes",
        "sem resposta há {0} minutos",
        "нет ответа, минут: {0}",
    ),
    (
        "it is not in the settings any more",
        "it is not in the settings any more",
        "não está mais na configuração",
        "его больше нет в настройках",
    ),
    # --- sequences (daemon.sequences, daemon.signs, daemon.last_look)
    ("waits for a word", "waits for your word", "espera a sua palavra", "ждёт вашего слова"),
    (
        "the sequence leaves the sending to people now",
        "the sequence leaves the sending to you now: now a draft",
        "a sequência agora deixa o envio com você: virou rascunho",
        "последовательность теперь оставляет отправку вам: это черновик",
    ),
    (
        "keeps its distance to the mail before",
        "keeps its distance to the mail before",
        "mantém distância do e-mail anterior",
        "выдерживает паузу после предыдущего письма",
    ),
    (
        r"(\d+) mails of the sequence left today",
        "{0} mails of the sequence left today",
        "{0} e-mails da sequência saíram hoje",
        "писем последовательности ушло сегодня: {0}",
    ),
    (
        "stands still until the admin lets it go on",
        "stands still until the admin lets it go on",
        "parado até o administrador liberar",
        "стоит, пока администратор не разрешит продолжить",
    ),
    ("stands still", "stands still", "parado", "стоит"),
    (
        r"rules did (\d+) things within an hour \(limit (\d+)\), most of them (.*)",
        "rules did {0} things within an hour (limit {1}), most of them {2}",
        "as regras fizeram {0} coisas em uma hora (limite {1}), a maioria por {2}",
        "правила сделали за час: {0} (предел {1}), больше всего — {2}",
    ),
    (
        'the sequence "(.*)" is not in the files any more',
        "the sequence “{0}” is not in the files any more",
        "a sequência “{0}” não está mais nos arquivos",
        "последовательности «{0}» больше нет в файлах",
    ),
    (
        'what "(.*)" was when they entered cannot be done any more: (.*)',
        "what “{0}” was when they entered cannot be done any more: {1}",
        "o que “{0}” era quando entraram não dá mais para fazer: {1}",
        "то, чем «{0}» была при входе, больше невозможно: {1}",
    ),
    ("a meeting was booked", "a meeting was booked", "uma reunião foi marcada", "назначена встреча"),
    ("the stage is (.*) now", "the stage is {0} now", "a etapa agora é {0}", "теперь этап: {0}"),
    ("the customer has the tag (.*)", "the customer has the tag {0}", "o cliente tem a etiqueta {0}", "метка: {0}"),
    (r"(\S+) wrote to the customer", "{0} wrote to the customer", "{0} escreveu ao cliente", "{0}: письмо клиенту"),
    ("the rep deleted the draft", "the draft was deleted", "o rascunho foi apagado", "черновик удалён"),
    ("the contact is gone", "the contact is gone", "o contato não existe mais", "контакта больше нет"),
    ("the customer is gone", "the customer is gone", "o cliente não existe mais", "клиента больше нет"),
    ("the sequence is over", "the sequence is over", "a sequência acabou", "последовательность закончена"),
    ("its mail is gone", "its mail is gone", "o e-mail não existe mais", "письма больше нет"),
    ("its mail was cancelled", "its mail was cancelled", "o e-mail foi cancelado", "письмо отменено"),
    (
        "its mail was not delivered: (.*)",
        "its mail was not delivered: {0}",
        "o e-mail não foi entregue: {0}",
        "письмо не доставлено: {0}",
    ),
    (r"rule (\S+) ended it", "rule {0} ended it", "a regra {0} encerrou", "завершено правилом {0}"),
    ("admin ended it", "ended by the admin", "encerrado pelo administrador", "завершено администратором"),
    ("nobody answered", "nobody answered", "ninguém respondeu", "никто не ответил"),
    ("the last step is over", "the last step is over", "o último passo passou", "последний шаг пройден"),
    (
        "cancelled by the admin",
        "cancelled by the admin",
        "cancelado pelo administrador",
        "отменено администратором",
    ),
    # --- why a mail came back (connectors.model.Bounce)
    ("user_unknown", "nobody has this address", "ninguém tem este endereço", "такого адреса нет"),
    ("host_unknown", "the domain is unknown", "o domínio não existe", "домен неизвестен"),
    ("mailbox_full", "the mailbox is full", "a caixa está cheia", "ящик переполнен"),
    ("too_big", "too big", "grande demais", "слишком большое"),
    ("spam", "taken for spam", "tomado por spam", "принято за спам"),
    ("blocked", "our server is blocked", "nosso servidor está bloqueado", "наш сервер заблокирован"),
    ("policy", "against their rules", "contra as regras deles", "не по их правилам"),
    ("expired", "their server did not answer", "o servidor deles não respondeu", "их сервер не ответил"),
    ("suspended", "the mailbox is closed", "a caixa está suspensa", "ящик отключён"),
    ("loop", "it went round in circles", "ficou em círculo", "зациклилось"),
    ("delayed", "delayed", "atrasado", "задерживается"),
    ("other", "reason unclear", "motivo incerto", "причина неясна"),
    # --- why an address gets no mail
    ("unsubscribed", "unsubscribed", "pediu para sair", "отписался"),
    ("erased", "erased", "apagado", "удалён"),
    ("bounced", "undeliverable", "não entregue", "не доставлено"),
    ("undeliverable", "undeliverable", "não entregue", "не доставлено"),
    ("admin", "blocked by the admin", "bloqueado pelo administrador", "заблокировано администратором"),
    ("complained", "complained of spam", "reclamou de spam", "пожаловался на спам"),
)
_LANGUAGES = ("en", "pt", "ru")
_REASONS = tuple((re.compile(row[0], re.DOTALL), dict(zip(_LANGUAGES, row[1:], strict=True))) for row in _TABLE)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def is_known(reason: str) -> bool:
    """Whether we can say this in every language."""
    return any(pattern.fullmatch(reason) for pattern, _ in _REASONS)


def reason_words(reason: str, language: str) -> str:
    """A kept reason in a language, without the remedy that stands behind it; unknown ones as they are."""
    for pattern, words in _REASONS:
        if found := pattern.fullmatch(reason):
            return words.get(language, words["en"]).format(*(_part(one, language) for one in found.groups()))
    return reason


def _part(text: str, language: str) -> str:
    """A reason within a reason, a day, or anything else as it is."""
    if _DAY.fullmatch(text):
        return date_words(datetime.fromisoformat(text), language)
    return reason_words(text, language)
