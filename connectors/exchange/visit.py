"""What `quietcrm doctor` asks of an Exchange mailbox beside reading it: release, login, rights, marks, streaming."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.errors import ConnectorError
from connectors.exchange.folders import distinguished
from connectors.exchange.link import Link
from connectors.exchange.settings import VERSIONS, ExchangeSettings, ServerVersion
from connectors.exchange.trouble import refusal
from connectors.exchange.words import Element, M, T, child, field, text

__all__ = ["Remark", "visit"]

Remark = tuple[str, str]
"""(what was found, what to do about it: "" = all is well)."""
_RELEASES: tuple[tuple[str, str, ServerVersion], ...] = (
    ("15.2.", "2019 or SE", "2019"),
    ("15.1.", "2016", "2016"),
    ("15.0.", "2013", "2013"),
)
_LOGINS = {"ntlm": "NTLM", "basic": "Basic over TLS", "oauth": "an access token"}
_ACCESSES = {"own": "its own login", "delegate": "delegate access", "impersonation": "impersonation"}


def visit(settings: ExchangeSettings) -> Iterator[Remark]:
    """Look once, change nothing. Raises ConnectorError where nothing can be looked at."""
    link = Link(settings)
    try:
        rights = _rights(link)
        yield _release(link.build, settings)
        yield f"{settings.mailbox} is opened by {_ACCESSES[settings.access]}, with {_LOGINS[settings.auth]}", ""
        yield _writing(rights, settings)
        yield _categories(link)
        yield _streaming(link)
    finally:
        link.drop()


def _rights(link: Link) -> Element:
    shape = M.FolderShape(T.BaseShape("IdOnly"), T.AdditionalProperties(field("folder:EffectiveRights")))
    (answer,) = link.ask(M.GetFolder(shape, M.FolderIds(distinguished(link, "inbox"))))
    if not answer.is_good:
        raise refusal(link.settings, answer.code, answer.words)
    return child(next(iter(answer.within("Folders")), None), "EffectiveRights")


def _release(build: str, settings: ExchangeSettings) -> Remark:
    for start, name, version in _RELEASES:
        if build.startswith(start):
            fits = VERSIONS[settings.version][1] == VERSIONS[version][1]
            remedy = "" if fits else f"set `version: {version}`: the settings say {settings.version}"
            return f"Exchange Server {name} (build {build})", remedy
    return f"a server of build {build}", "quietcrm is made for Exchange Server 2013 and later; have it updated"


def _writing(rights: Element | None, settings: ExchangeSettings) -> Remark:
    names = ("CreateContents", "Modify", "Delete")
    missing = [name for name in names if rights is not None and text(rights, name) == "false"]
    if not missing:
        return "drafts, notices, categories and flags can be written", ""
    remedy = f"give the login full access: Add-MailboxPermission {settings.mailbox} -User {settings.login}"
    return f"this login may only read ({', '.join(missing)} is missing): no drafts, no marks", remedy


def _categories(link: Link) -> Remark:
    name = M.UserConfigurationName(distinguished(link, "calendar"), Name="CategoryList")
    try:
        (answer,) = link.ask(M.GetUserConfiguration(name, M.UserConfigurationProperties("XmlData")))
    except ConnectorError:
        answer = None
    if answer is not None and answer.is_good:
        return "new categories are entered into Outlook's list", ""
    return "Outlook's list of categories cannot be read", "open the mailbox once in Outlook: that makes the list"


def _streaming(link: Link) -> Remark:
    wanted = M.StreamingSubscriptionRequest(T.EventTypes(T.EventType("NewMailEvent")), SubscribeToAllFolders="true")
    remedy = "nothing to do; `every:` of the account says how often it is asked"
    try:
        (answer,) = link.ask(M.Subscribe(wanted), repeatable=False)
        if answer.is_good:
            link.ask(M.Unsubscribe(M.SubscriptionId(answer.text("SubscriptionId"))))
            return "the server tells of new mail at once", ""
        return f"the server does not tell of new mail ({answer.code})", remedy
    except ConnectorError as error:
        return f"the server does not tell of new mail ({error.message})", remedy
