"""Where mail is read and by which way it leaves: one model per kind, told apart by `type`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from config.exchange_login import ExchangeLogin
from config.graph_login import GraphLogin
from config.sign_in import SignIn
from config.values import Duration, Length, Location, Mail, Name, Names, SecretSetting, Since, Words, fault
from config.values import Section as Section
from config.values import is_loopback as is_loopback

Security = Literal["tls", "starttls", "none"]
IMAP_PORTS: dict[str, int] = {"tls": 993, "starttls": 143, "none": 143}
SMTP_PORTS: dict[str, int] = {"tls": 465, "starttls": 587, "none": 25}


class Folders(Section):
    """Which folders are read."""

    only: Words = Field((), description="read these folders and no others", examples=["[INBOX, Sent]"])
    not_: Words = Field((), alias="not", description="leave these folders out", examples=["[Private]"])


class Reading(Section):
    """What every account has."""

    rep: Name | None = Field(None, description="the person of the team whose mailbox this is", examples=["ana"])
    shared: Names = Field((), description="the people who share this mailbox", examples=["[ana, bruno]"])
    since: Since = Field(
        Length(2, "year"),
        description="how far back mail is read: a date, or a length of time counted back from today",
        examples=["2020-01-01"],
    )
    folders: Folders = Field(
        Folders(),
        description="by default every folder except drafts, trash and junk",
        examples=["{not: [Private]}"],
    )

    authserv: str | None = Field(
        None,
        description="the name under which the server of this mailbox notes what it found out about senders (the first "
        "word of its Authentication-Results); the condition `auth` believes nobody else",
        examples=["mx.vendas.example"],
    )

    def since_date(self, today: date) -> date:
        """The first day to read, given today's date."""
        return today - self.since.delta() if isinstance(self.since, Length) else self.since


class Login(Section):
    """A server, how the line to it is protected, and who logs in."""

    host: str = Field(description="name or address of the server", examples=["mail.vendas.example"], min_length=1)
    security: Security = Field(
        "tls",
        description="`tls` from the first byte, `starttls`, or `none` (only for a server on this machine)",
        examples=["tls"],
    )
    ca: Location | None = Field(
        None,
        description="certificate file (PEM) to trust instead of the system's, for a server with its own authority",
        examples=["ca.pem"],
    )


def _with_port(data: Any, ports: dict[str, int]) -> Any:
    if isinstance(data, dict) and not data.get("port"):
        return {**data, "port": ports.get(str(data.get("security", "tls")), ports["tls"])}
    return data


SIGN_IN = "sign in at a provider instead of by a password: `microsoft`, `google`, or settings of its own"


def check_login(password: object, sign_in: SignIn | None) -> None:
    """Exactly one way to log in. Raises E304 for none, E305 for two."""
    if password is None and sign_in is None:
        raise fault("E304", "there is a login but neither password nor sign_in", "add: password: {env: MAIL_PASSWORD}")
    if password is not None and sign_in is not None:
        raise fault("E305", "there are two ways to log in: password and sign_in", "keep one of them")


class ImapAccount(Reading, Login):
    """A mailbox on an IMAP server."""

    type: Literal["imap"] = Field(description="mailbox on an IMAP server", examples=["imap"])
    port: int = Field(993, ge=1, le=65535, description="default 993 with `tls`, else 143", examples=["993"])
    login: str = Field(description="user name at the server", examples=["ana@vendas.example"], min_length=1)
    password: SecretSetting | None = Field(
        None,
        description="where the password lies: `{env: X}`, `{file: path}`, `{credential: name}`, `{keyring: service}`",
        examples=["{env: ANA_PASSWORD}"],
    )
    sign_in: SignIn | None = Field(None, description=SIGN_IN, examples=["microsoft"])
    idle: bool = Field(True, description="let the server tell of new mail at once (IMAP IDLE)", examples=["yes"])
    every: Duration = Field(
        Length(60, "second"), description="look for new mail at least this often", examples=["60 seconds"]
    )

    @model_validator(mode="before")
    @classmethod
    def _default_port(cls, data: Any) -> Any:
        return _with_port(data, IMAP_PORTS)

    @model_validator(mode="after")
    def _logs_in_one_way(self) -> ImapAccount:
        check_login(self.password, self.sign_in)
        return self


class ExchangeAccount(Reading, ExchangeLogin):
    """A mailbox on an Exchange Server of one's own."""

    type: Literal["exchange"] = Field(description="mailbox on an Exchange Server", examples=["exchange"])
    idle: bool = Field(
        True, description="let the server tell of new mail at once (streaming notifications)", examples=["yes"]
    )
    every: Duration = Field(
        Length(60, "second"), description="look for new mail at least this often", examples=["60 seconds"]
    )


class GraphAccount(Reading, GraphLogin):
    """A mailbox in Microsoft 365 or at outlook.com, by Microsoft Graph."""

    type: Literal["graph"] = Field(description="mailbox in Microsoft 365, by Microsoft Graph", examples=["graph"])
    every: Duration = Field(
        Length(60, "second"), description="look for new mail at least this often", examples=["60 seconds"]
    )


class FileAccount(Reading):
    """What the accounts that read files have in common."""

    path: Location = Field(
        description="where the mail lies; relative to the folder of quietcrm.yaml", examples=["mail"]
    )
    every: Duration = Field(
        Length(60, "second"), description="look for new mail at least this often", examples=["60 seconds"]
    )


class MaildirAccount(FileAccount):
    """A Maildir, with its folders (Maildir++ or nested)."""

    type: Literal["maildir"] = Field(description="Maildir with its folders", examples=["maildir"])


class MboxAccount(FileAccount):
    """One mbox file, or a folder of them."""

    type: Literal["mbox"] = Field(description="an mbox file, or a folder of them", examples=["mbox"])


class EmlAccount(FileAccount):
    """A folder of .eml files."""

    type: Literal["eml"] = Field(description="a folder of .eml files", examples=["eml"])


class MemoryAccount(Reading):
    """A mailbox that lives in the process; for tests and the demo."""

    type: Literal["memory"] = Field(description="a mailbox that lives in the process (tests)", examples=["memory"])
    every: Duration = Field(Length(60, "second"), description="look for new mail this often", examples=["60 seconds"])


Account = Annotated[
    ImapAccount | GraphAccount | ExchangeAccount | MaildirAccount | MboxAccount | EmlAccount | MemoryAccount,
    Field(discriminator="type"),
]


class SmtpSender(Login):
    """A way out for mail to reps; customers get mail by it only where `send` says so."""

    type: Literal["smtp"] = Field(description="an SMTP submission server", examples=["smtp"])
    port: int = Field(465, ge=1, le=65535, description="default 465 `tls`, 587 `starttls`, 25 `none`", examples=["465"])
    rep: Name | None = Field(
        None, description="whose mail leaves here; by default the person with the sender's name", examples=["ana"]
    )
    address: Mail | None = Field(
        None, alias="from", description="the From address, if not the person's own", examples=["ana@vendas.example"]
    )
    login: str | None = Field(None, description="user name at the server", examples=["ana@vendas.example"])
    password: SecretSetting | None = Field(
        None, description="where the password lies, as for accounts", examples=["{env: ANA_PASSWORD}"]
    )
    sign_in: SignIn | None = Field(
        None,
        description="sign in at a provider, as for accounts; an account with the same login has signed in for both",
        examples=["microsoft"],
    )
    sent_copy: Literal["auto", "append", "server"] = Field(
        "auto",
        description="who keeps the copy in Sent: look first (`auto`), quietcrm (`append`) or the `server`",
        examples=["auto"],
    )
    timeout: Duration = Field(
        Length(600, "second"), description="how long to wait for the server's last answer", examples=["600 seconds"]
    )

    @model_validator(mode="before")
    @classmethod
    def _default_port(cls, data: Any) -> Any:
        return _with_port(data, SMTP_PORTS)

    @model_validator(mode="after")
    def _login_is_whole(self) -> SmtpSender:
        if self.login:
            check_login(self.password, self.sign_in)
        elif self.sign_in:
            raise fault("E304", "there is a sign_in but no login", "add: login: ana@vendas.example")
        return self


class ExchangeSender(ExchangeLogin):
    """A mailbox on an Exchange Server by which mail leaves; the copy in Sent is the server's own."""

    type: Literal["exchange"] = Field(description="a mailbox on an Exchange Server", examples=["exchange"])
    rep: Name | None = Field(
        None, description="whose mail leaves here; by default the person with the sender's name", examples=["ana"]
    )
    address: Mail | None = Field(
        None, alias="from", description="the From address, if not the person's own", examples=["ana@vendas.example"]
    )


class GraphSender(GraphLogin):
    """A mailbox in Microsoft 365 by which mail leaves; it keeps the copies in Sent itself."""

    type: Literal["graph"] = Field(description="a mailbox in Microsoft 365, by Microsoft Graph", examples=["graph"])
    rep: Name | None = Field(
        None, description="whose mail leaves here; by default the person with the sender's name", examples=["ana"]
    )
    address: Mail | None = Field(
        None, alias="from", description="the From address, if not the person's own", examples=["ana@vendas.example"]
    )
    timeout: Duration = Field(
        Length(120, "second"), description="how long to wait for the service's answer", examples=["120 seconds"]
    )


class MemorySender(Section):
    """Keeps what it should send; for tests."""

    type: Literal["memory"] = Field(description="keeps mail in the process (tests)", examples=["memory"])
    rep: Name | None = Field(None, description="whose mail leaves here", examples=["ana"])
    address: Mail | None = Field(None, alias="from", description="the From address", examples=["ana@vendas.example"])


Sender = Annotated[SmtpSender | GraphSender | ExchangeSender | MemorySender, Field(discriminator="type")]


def interval(account: ImapAccount | GraphAccount | ExchangeAccount | FileAccount | MemoryAccount) -> timedelta:
    """How long to wait between two looks at `account`."""
    return account.every.delta()
