"""The one connection of a part of quietcrm to an Exchange Server: exchangelib's sessions, logins, versions and SOAP.

What of exchangelib bites, and how it is kept from biting here:
- its pool of connections is shared by endpoint and credentials for the life of the process, a stream in it blocks
  every other call, and a failed start is remembered for ever: each link has a pool of its own, of one connection,
  taken out of that memory at once;
- its fault tolerance sleeps in the calling thread: errors come out at once here, with the pause the server named;
- on an unexpected error it logs the whole request, and with it the text of a mail: it is not heard at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchangelib import DELEGATE, IMPERSONATION, UTC, Account, Build, Configuration, Credentials, Version
from exchangelib.protocol import FailFast, Protocol
from exchangelib.services.common import EWSAccountService
from exchangelib.transport import BASIC, NOAUTH, NTLM
from exchangelib.util import is_xml
from lxml import etree

from config.accounts import is_loopback
from connectors.errors import AuthRejected, Misconfigured
from connectors.exchange.settings import VERSIONS, ExchangeSettings, is_microsoft_cloud
from connectors.exchange.trouble import (
    ABOUT_THE_SERVER,
    LATER,
    HttpRefusal,
    Unanswered,
    cloud_refusal,
    refusal,
    translate,
)
from connectors.exchange.words import MNS, TNS, Element
from connectors.protocols import Tokens

__all__ = ["Answer", "Link", "Operation", "answer_of"]

logging.getLogger("exchangelib").setLevel(logging.CRITICAL + 1)
_OPENING = threading.Lock()
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


class NotXml(Exception):
    """What came is no XML."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response message. `code` is "NoError", or says what is wrong with the one item or folder it stands for."""

    code: str
    words: str
    element: Element

    @property
    def is_good(self) -> bool:
        """Whether the server did what it was asked."""
        return self.code == "NoError"

    def within(self, *names: str) -> Element:
        """The element on a path of names of the messages namespace; an empty one if it is not there."""
        element = self.element
        for name in names:
            found = element.find(f"{{{MNS}}}{name}") if element is not None else None
            element = found
        return element if element is not None else etree.Element("nothing")

    def text(self, name: str) -> str:
        """The text of a child in the messages namespace, "" if it is not there."""
        return self.element.findtext(f"{{{MNS}}}{name}") or ""


class Operation(EWSAccountService):  # type: ignore[misc]
    """One EWS operation by name: a request element in, its response messages out."""

    NAMES: dict[str, type[Operation]] = {}  # noqa: RUF012 - filled below

    @classmethod
    def named(cls, name: str) -> type[Operation]:
        """The class of an operation; exchangelib tells them apart by class."""
        if name not in cls.NAMES:
            cls.NAMES[name] = type(name, (Operation,), {"SERVICE_NAME": name})
        return cls.NAMES[name]

    def ask(self, request: Element) -> list[Element]:
        """Raises whatever exchangelib and requests raise, and HttpRefusal."""
        messages: list[Element] = self._get_response_xml(payload=request)
        return messages

    def _api_versions_to_try(self) -> tuple[str]:
        """The one of the settings. exchangelib would try nine others on a server that refuses it."""
        return (self._version_hint.api_version,)

    @classmethod
    def _get_soap_parts(cls, response: Any) -> tuple[Element | None, Element]:
        """exchangelib feeds lxml byte by byte and resolves what it meets; a mail of a megabyte takes it a second."""
        try:
            root = etree.fromstring(response.content, _parser())
        except etree.XMLSyntaxError as error:
            raise NotXml(str(error)) from error
        body = root.find(f"{{{_SOAP}}}Body") if root is not None else None
        if body is None:
            raise NotXml("no SOAP in it")
        return root.find(f"{{{_SOAP}}}Header"), body


def _parser() -> Any:
    """Exchange writes control characters that XML forbids, hence `recover`; entities stay what they are."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False)


class _Policy(FailFast):  # type: ignore[misc]
    """What is not SOAP comes out as it is, with its status and headers."""

    def raise_response_errors(self, response: Any) -> None:
        if response.status_code == 200 or (response.status_code == 500 and is_xml(response.content)):
            return
        excerpt = "" if response.raw.closed else response.text[:300]
        raise HttpRefusal(response.status_code, response.headers, excerpt)


class _Bearer:
    """Puts an access token on each request, asked for anew each time, so that a renewed one is used at once."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._last = ""
        self._refused = ""

    def __call__(self, request: Any) -> Any:
        refused, self._refused = self._refused, ""
        self._last = self._tokens.bearer(refused=refused)
        request.headers["Authorization"] = f"Bearer {self._last}"
        return request

    def refuse(self) -> bool:
        """The server would not take the last token. False if there was none, or it came for a refused one."""
        self._refused, self._last = self._last, ""
        return bool(self._refused)


class _Protocol(Protocol):  # type: ignore[misc]
    """exchangelib's pool, with our certificates, timeouts and tokens."""

    USERAGENT = "quietcrm"
    ca = ""
    bearer: _Bearer | None = None

    def create_session(self) -> Any:
        session = super().create_session()
        if self.ca:
            session.verify = self.ca
            session.trust_env = False  # else requests prefers REQUESTS_CA_BUNDLE
        if self.bearer:
            session.auth = self.bearer
        return session


class Link:
    """Opened when needed, dropped when doubtful, counted (`opened`). One thread at a time."""

    def __init__(self, settings: ExchangeSettings, heard: Callable[[], None] = lambda: None) -> None:
        self.settings = settings
        self.opened = 0
        self._heard = heard
        self._bearer = _Bearer(settings.tokens) if settings.tokens else None
        self._account: Any = None
        self._protocol: Any = None
        self._used = False

    @property
    def is_up(self) -> bool:
        """Whether sessions are there, as far as we know."""
        return self._account is not None

    @property
    def build(self) -> str:
        """The server's build, "15.2.1748.10", once it has answered; else what the settings say."""
        return str(self.account().version.build)

    def account(self) -> Any:
        """exchangelib's account. Connects to nothing yet. Raises Misconfigured."""
        if self._account is None:
            self._open()
        return self._account

    def ask(self, request: Element, *, repeatable: bool = True) -> list[Answer]:
        """The response messages to a request, one for each item or folder in it.

        Raises ConnectorError: `Unanswered` where it may have been carried out all the same. A `repeatable` request is
        put once more where the connection had gone stale, any request where an access token had run out.
        """
        try:
            return self._answers(request)
        except Unanswered as error:
            if not (repeatable and self._used and error.cut):
                raise
        except AuthRejected:
            if not (self._bearer and self._bearer.refuse()):
                raise
        self.drop()
        return self._answers(request)

    def _answers(self, request: Element) -> list[Answer]:
        operation = Operation.named(etree.QName(request).localname)(account=self.account())
        try:
            messages = operation.ask(request)
        except Exception as error:
            raise translate(self.settings, error) from error
        self._heard()
        self._used = True
        answers = [answer_of(one) for one in messages]
        if not answers:
            raise Unanswered(self.settings.account, f"{self.settings.host} answered nothing", hint=LATER)
        for one in answers:
            if one.code in ABOUT_THE_SERVER:
                raise refusal(self.settings, one.code, one.words, pause=_pause(one.element))
        return answers

    def _open(self) -> None:
        settings = self.settings
        _require_sound(settings)
        build, api = VERSIONS[settings.version]
        credentials = Credentials(settings.login, settings.password) if settings.auth != "oauth" else None
        config = Configuration(
            service_endpoint=settings.endpoint,
            credentials=credentials,
            auth_type={"ntlm": NTLM, "basic": BASIC, "oauth": NOAUTH}[settings.auth],
            version=Version(build=Build(*build), api_version=api),
            retry_policy=_Policy(),
            max_connections=1,
        )
        with _OPENING:
            self._protocol = _Protocol(config=config)
            self._account = Account(
                primary_smtp_address=settings.mailbox,
                config=config,
                access_type=IMPERSONATION if settings.access == "impersonation" else DELEGATE,
                default_timezone=UTC,
                locale="en_US",
            )
            del Protocol[config]
        self._protocol.TIMEOUT = settings.connect_timeout, settings.read_timeout
        self._protocol.ca = settings.ca
        self._protocol.bearer = self._bearer
        self._used = False
        self.opened += 1

    def drop(self) -> None:
        """Let go of the connection; never raises."""
        protocol, self._protocol, self._account = self._protocol, None, None
        if protocol:
            protocol.close()


def _require_sound(settings: ExchangeSettings) -> None:
    if is_microsoft_cloud(settings.host):
        raise cloud_refusal(settings)
    if not settings.endpoint.startswith("https://") and not is_loopback(settings.host):
        raise Misconfigured(
            settings.account, f"the password would travel to {settings.host} unprotected",
            hint="write `endpoint:` with https://",
        )  # fmt: skip
    if settings.ca and not Path(settings.ca).is_file():
        raise Misconfigured(settings.account, f"there is no file {settings.ca}", hint="correct `ca:` in quietcrm.yaml")


def answer_of(message: Element) -> Answer:
    """A response message as an `Answer`."""
    code = message.findtext(f"{{{MNS}}}ResponseCode") or (
        "NoError" if message.get("ResponseClass") == "Success" else ""
    )
    words = message.findtext(f"{{{MNS}}}MessageText") or code
    return Answer(code or "ErrorInternalServerError", words, message)


def _pause(message: Element) -> float:
    """The seconds that an ErrorServerBusy inside an answer names."""
    for value in message.iter(f"{{{TNS}}}Value"):
        if value.get("Name") == "BackOffMilliseconds" and (value.text or "").isdecimal():
            return int(value.text) / 1000.0
    return 0.0
