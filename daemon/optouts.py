"""How people say that they want no mail: one word or a short phrase and nothing else, or the token of a mail of ours.

A word inside a sentence says nothing ("please stop by tomorrow"), so the whole new text has to be such a phrase.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from config.settings import Settings
from connectors.model import Message
from rules.ladder import plus_tags

LONGEST = 120
"""Characters of a text that may be an opt-out; longer ones are a letter."""

_PHRASES = """
stop | stop it | stop all | stop this | stop these emails | stop these mails | stop mailing me | stop emailing me
stop e-mailing me | stop writing me | stop writing to me | stop sending me emails | stop sending me mails
stop sending me mail | stop sending emails | stop sending mails | stop contacting me | stop spamming me
unsubscribe | unsubscribe me | unsubscribe me from this list | unsubscribe me from your list | i want to unsubscribe
opt out | optout | opt me out | remove | remove me | remove me from list | remove me from the list
remove me from this list | remove me from your list | remove me from your mailing list | take me off your list
take me off the list | take me off this list | take me off your mailing list | no more mail | no more mails
no more emails | no more e-mails | don't email me | don't email me again | don't email me anymore | don't mail me
don't write me | don't write to me | don't write to me again | don't contact me | don't contact me again
do not email me | do not email me again | do not mail me | do not contact me | do not contact me again
do not write to me | do not write to me again

sair | sair da lista | quero sair | quero sair da lista | parar | pare | pare de enviar | pare de me escrever
pare de mandar e-mails | descadastrar | descadastro | descadastre | descadastre-me | me descadastre
descadastrar meu e-mail | quero me descadastrar | cancelar inscrição | cancelar minha inscrição
cancele minha inscrição | remover | remova | remover e-mail | remover meu e-mail | remova meu e-mail
remover da lista | remover meu e-mail da lista | remova-me | remova-me da lista | me remova | me remova da lista
me tire da lista | me tira da lista | tirar da lista | me exclua da lista | excluir da lista
não quero mais e-mails | não quero mais receber | não quero receber mais | não quero mais receber e-mails
não quero receber e-mails | não quero mais receber emails | não quero receber emails | não me mande mais
não me mande mais e-mails | não me envie mais e-mails | não envie mais | não enviar mais | não envie mais e-mails
não me escreva mais | não me escrevam mais

стоп | отписаться | отписка | отписать | отпишите | отпишите меня | отпишите меня от рассылки | отпиши меня
хочу отписаться | отписаться от рассылки | отказ от рассылки | отказаться от рассылки | удалите меня
удалите меня из рассылки | удалите меня из списка | удалите меня из базы | уберите меня из рассылки
уберите меня из списка | исключите меня из рассылки | прекратите рассылку | не пишите | не пишите мне
не пишите мне больше | не пишите больше | больше не пишите | больше не пишите мне | больше мне не пишите
не присылайте | не присылайте мне больше | не присылайте больше | больше не присылайте
больше не присылайте мне писем | не присылайте мне писем | не присылайте больше писем

baja | dar de baja | darme de baja | dame de baja | deme de baja | denme de baja | quiero darme de baja
deseo darme de baja | de baja | desuscribir | desuscribirme | desuscríbeme | desuscribirse | salir
salir de la lista | eliminar | elimíneme de la lista | elimínenme de la lista | bórrame de la lista
bórrenme de la lista | quítenme de la lista | no más correos | no más e-mails | no más emails
no quiero más correos | no quiero recibir más correos | no quiero recibir correos | no me escriban
no me escriban más | no me escriba más | no me envíen más correos | no enviar más

abmelden | abmeldung | mich abmelden | ich möchte mich abmelden | abbestellen | newsletter abbestellen
mails abbestellen | austragen | mich austragen | stopp | keine mails mehr | keine e-mails mehr
keine weiteren mails | keine weiteren e-mails | keine werbung mehr | aus dem verteiler nehmen
nehmen sie mich aus dem verteiler | aus dem verteiler streichen | schreiben sie mir nicht mehr

désabonner | désabonnement | désabonnez-moi | me désabonner | se désabonner | je veux me désabonner | désinscrire
désinscription | désinscrivez-moi | me désinscrire | se désinscrire | je veux me désinscrire | arrêtez | arrêter
plus de mails | plus d'e-mails | plus d'emails | ne m'écrivez plus | ne plus m'écrire | ne m'envoyez plus de mails
retirez-moi de la liste | retirez-moi de votre liste | supprimez-moi de la liste | supprimez-moi de votre liste
"""
_POLITE = """
please | pls | plz | kindly | thanks | thank you | thx | hi | hello | dear sirs | ok | regards | best regards
por favor | pfv | pf | obrigado | obrigada | grato | grata | olá | oi | bom dia | boa tarde | boa noite | att | favor
пожалуйста | спасибо | прошу | здравствуйте | добрый день | добрый вечер | с уважением | плиз | большое спасибо
gracias | hola | buenos días | buenas tardes | buenas | muchas gracias | saludos
bitte | danke | vielen dank | hallo | guten tag | mfg | mit freundlichen grüßen
s'il vous plaît | svp | s'il te plaît | stp | merci | bonjour | cordialement | merci d'avance
"""
_TOKEN = re.compile(r"CRM-([0-9A-Za-z]{20,40})(?![0-9A-Za-z])", re.IGNORECASE | re.ASCII)
_PLUS_TOKEN = re.compile(r"(?:CRM-)?([0-9A-Za-z]{20,40})", re.IGNORECASE | re.ASCII)
_SEPARATOR = re.compile(r"[^\w]+|_+")


def _words(text: str) -> tuple[str, ...]:
    """The words in one form: case, accents and signs aside."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return tuple(_SEPARATOR.sub(" ", plain).split())


def _lines(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(words for part in re.split(r"[|\n]", text) if (words := _words(part)))


OPT_OUTS = _lines(_PHRASES)
POLITE = _lines(_POLITE)
_LONGEST_FIRST = sorted(POLITE, key=lambda words: (-len(words), words))
"""So that "por favor" goes as a whole, not its "favor" alone."""


def is_opt_out(text: str, names: Collection[str] = ()) -> bool:
    """Whether a text says nothing but that its writer wants no mail. `names` of the writer may stand below it."""
    if len(text) > LONGEST:
        return False
    own = {word for name in names for word in _words(name)}
    lines = [words for line in text.splitlines() if (words := _words(line))]
    while len(lines) > 1 and own.issuperset(lines[-1]):
        lines.pop()
    return _bare([word for line in lines for word in line]) in OPT_OUTS


def _bare(words: Sequence[str]) -> tuple[str, ...]:
    """Without greetings, requests and thanks around it."""
    left = tuple(words)
    while True:
        shorter = next((cut for polite in _LONGEST_FIRST if (cut := _cut(left, polite)) != left), left)
        if shorter == left:
            return left
        left = shorter


def _cut(words: tuple[str, ...], polite: tuple[str, ...]) -> tuple[str, ...]:
    if words[: len(polite)] == polite:
        return words[len(polite) :]
    return words[: -len(polite)] if words[-len(polite) :] == polite else words


def wants_no_mail(message: Message, names: Collection[str] = ()) -> bool:
    """Whether a mail of a person is an opt-out by its words. Where the text is empty, the subject speaks."""
    if not message.text.strip():
        return not message.degraded and is_opt_out(message.subject)
    return is_opt_out(message.text, names)


def tokens_in(message: Message, settings: Settings) -> tuple[str, ...]:
    """Tokens of our List-Unsubscribe in the subject or behind the + of our own addresses, upper case."""
    found = [one.upper() for one in _TOKEN.findall(message.subject)] if "-" in message.subject else []
    for tag in plus_tags(message, settings):
        match = _PLUS_TOKEN.fullmatch(tag)
        found += [match[1].upper()] if match else []
    return tuple(dict.fromkeys(found))
