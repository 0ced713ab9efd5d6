"""The office: company, people, business hours, stages, and how quietcrm behaves towards them."""

from __future__ import annotations

from datetime import time
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from config.accounts import Section
from config.values import (
    CLOCK,
    Clock,
    Days,
    Duration,
    Language,
    Length,
    Mail,
    Mails,
    Name,
    Since,
    Words,
    Zone,
    closest,
    did_you_mean,
    fault,
    one_or_many,
)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Interval = tuple[time, time]


class Company(Section):
    """The office itself."""

    name: str = Field(description="name of the company, as customers know it", examples=["Vendas"], min_length=1)
    zone: Zone = Field(description="time zone of the office (IANA name)", examples=["America/Sao_Paulo"])
    language: Language = Field(description="language of notices where nothing else says so", examples=["pt"])
    languages: tuple[Language, ...] = Field(
        (),
        description="languages that customers are written to in: every template has a text in each, unless it says "
        "`fallback: yes`",
        examples=["[pt, ru]"],
    )
    address: str = Field("", description="postal address, for templates", examples=["Rua das Flores 10, São Paulo"])


class Member(Section):
    """A person of the team."""

    mail: Mail = Field(description="main address", examples=["ana@vendas.example"])
    aliases: Mails = Field((), description="further addresses of the same person", examples=["[vendas@vendas.example]"])
    name: str = Field("", description="full name, for templates and notices", examples=["Ana Souza"])
    language: Language | None = Field(None, description="language of notices; default: the company's", examples=["pt"])
    zone: Zone | None = Field(None, description="time zone; default: the company's", examples=["Europe/Lisbon"])
    digest: Clock = Field(time(8, 0), description="when the daily notice comes", examples=["08:00"])
    briefs: bool = Field(True, description="told of meetings with customers on the morning before", examples=["no"])
    admin: bool = Field(False, description="gets the notices about quietcrm itself", examples=["yes"])


def _parse_intervals(value: object) -> tuple[Interval, ...]:
    texts = value if isinstance(value, list | tuple) else [value]
    if len(texts) == 1 and str(texts[0]).strip().lower() in ("closed", "no"):
        return ()
    return tuple(_parse_interval(str(text).strip()) for text in texts)


def _parse_interval(text: str) -> Interval:
    start, dash, end = text.partition("-")
    opens, closes = CLOCK.fullmatch(start.strip()), CLOCK.fullmatch(end.strip())
    if not (dash and opens and closes and opens[1] != "24"):
        raise fault("E208", f'"{text}" is not a range of hours', "write: 09:00-18:00")
    first, last = time(int(opens[1]), int(opens[2])), _closing(int(closes[1]), int(closes[2]))
    if last <= first:
        raise fault("E208", f"{text} ends before it begins", "write: 09:00-18:00")
    return first, last


def _closing(hour: int, minute: int) -> time:
    return time.max if hour == 24 else time(hour, minute)


def _weekday_numbers(text: str) -> tuple[int, ...]:
    first, dash, last = text.strip().lower().partition("-")
    start = WEEKDAYS.index(first.strip())
    if not dash:
        return (start,)
    end = WEEKDAYS.index(last.strip())
    return tuple((start + step) % 7 for step in range((end - start) % 7 + 1))


def _check_weekdays(value: str) -> str:
    try:
        _weekday_numbers(value)
    except ValueError:
        near = closest(value, (*WEEKDAYS, *HOUR_SETTINGS))
        help = f'rename to "{near}"' if near else 'rename to "mon-fri"'
        raise fault("E101", f'"{value}" is neither a weekday nor a setting of hours', help) from None
    return value


def _check_holidays(value: str) -> str:
    import holidays  # 40 MB of calendars: only when the settings name one

    country, _, region = value.partition("-")
    known = holidays.list_supported_countries()
    if country not in known:
        raise fault("E209", f'no holiday calendar "{value}"', did_you_mean(country, known, "write: BR"))
    if region and region not in known[country]:
        raise fault("E209", f'{country} has no region "{region}" here', f"write: {country}")
    return value


def _split_days(data: Any) -> Any:
    if not isinstance(data, dict) or "days" in data:
        return data
    days = {key: value for key, value in data.items() if key not in HOUR_SETTINGS}
    rest = {key: value for key, value in data.items() if key in HOUR_SETTINGS}
    return {**rest, "days": days} if days else rest


HOUR_SETTINGS = ("zone", "holidays", "extra")
WeekdayRange = Annotated[str, AfterValidator(_check_weekdays)]
Intervals = Annotated[tuple[Interval, ...], PlainValidator(_parse_intervals)]
Calendar = Annotated[str, AfterValidator(_check_holidays)]
Calendars = Annotated[tuple[Calendar, ...], BeforeValidator(one_or_many)]


class Hours(Section):
    """When the office is open. Written as `mon-fri: 09:00-18:00`; a day that is not named is closed."""

    days: dict[WeekdayRange, Intervals] = Field(
        {"mon-fri": ((time(9), time(18)),)},
        description="written straight under `hours:`, a weekday or range of them and its hours, or a list of hours",
        examples=["mon-fri: 09:00-18:00"],
    )
    zone: Zone | None = Field(None, description="time zone; default: the company's", examples=["America/Sao_Paulo"])
    holidays: Calendars = Field(
        (), description="public holidays kept, by country or country-region", examples=["[BR-SP]"]
    )
    extra: Days = Field((), description="further days on which the office is closed", examples=["[2027-02-09]"])

    _split = model_validator(mode="before")(staticmethod(_split_days))

    @cached_property
    def week(self) -> dict[int, tuple[Interval, ...]]:
        """Open intervals by weekday, 0 = Monday; closed days are missing. An end of 24:00 is `time.max`."""
        found: dict[int, tuple[Interval, ...]] = {}
        for text, intervals in self.days.items():
            for number in _weekday_numbers(text):
                found[number] = tuple(sorted({*found.get(number, ()), *intervals}))
        return {number: intervals for number, intervals in sorted(found.items()) if intervals}


class Stages(Section):
    """The way from stranger to customer, in order."""

    open: tuple[Name, ...] = Field(
        ("lead", "proposal"), description="stages on the way, in order", examples=["[lead, proposta]"], min_length=1
    )
    won: Name = Field("customer", description="the stage of a customer who bought", examples=["cliente"])
    lost: Name = Field("lost", description="the stage of one who will not", examples=["perdida"])

    @model_validator(mode="after")
    def _all_different(self) -> Stages:
        names = (*self.open, self.won, self.lost)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise fault("E210", f'the stage "{twice}" stands there twice', "give every stage a name of its own")
        return self

    @property
    def order(self) -> tuple[str, ...]:
        """Every stage, first to last, `lost` at the end."""
        return (*self.open, self.won, self.lost)


class Send(Section):
    """What may leave the house by itself."""

    default: Literal["draft"] = Field(
        "draft", description="what a rule prepares for a customer is a draft; a person sends it", examples=["draft"]
    )
    auto_templates: Words = Field((), description="templates that may be sent by rule", examples=["[thanks]"])
    hold: Duration = Field(
        Length(10, "minute"), description="how long an automatic mail waits to be cancelled", examples=["10 minutes"]
    )


class Limits(Section):
    """Above these the breaker holds everything and tells the admin."""

    actions_per_hour: int = Field(
        200, ge=1, le=1_000_000, description="actions of all rules in an hour", examples=["200"]
    )
    sends_per_day: int = Field(80, ge=0, le=1_000_000, description="mails to customers in a day", examples=["80"])
    notifications_per_hour: int = Field(
        30, ge=1, le=1_000_000, description="lines to one channel in an hour; more wait", examples=["30"]
    )


class Drafts(Section):
    """Prepared drafts."""

    expire: Duration = Field(
        Length(5, "business day"),
        description="a draft nobody touched is withdrawn after this time",
        examples=["5 business days"],
    )


class Reminders(Section):
    """How reminders and notices reach a person."""

    via: Literal["inbox", "smtp"] = Field(
        "inbox",
        description="`inbox`: laid into the person's own Inbox; `smtp`: sent to them through their sender",
        examples=["inbox"],
    )


class Log(Section):
    """What quietcrm writes about itself. Never a subject, text, address or secret above level debug."""

    format: Literal["console", "json"] = Field("console", description="for people or for machines", examples=["json"])
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least important line that is written", examples=["info"]
    )


class Metrics(Section):
    """Figures in the text form of Prometheus, at http://127.0.0.1:PORT/metrics; never to be had from outside."""

    port: int = Field(
        0, ge=0, le=65535, description="port on 127.0.0.1 where the figures are served; 0 = off", examples=["9464"]
    )


class Retention(Section):
    """How long what is only needed for a while is kept."""

    quarantine: Duration = Field(Length(30, "day"), description="mails that could not be read", examples=["30 days"])
    traces: Duration = Field(Length(90, "day"), description="why a rule fired or not", examples=["90 days"])
    undo: Duration = Field(Length(30, "day"), description="how long a change can be undone", examples=["30 days"])


class Polling(Section):
    """Defaults for every account; an account's own setting wins."""

    every: Duration = Field(
        Length(60, "second"), description="look for new mail at least this often", examples=["60 seconds"]
    )
    since: Since | None = Field(None, description="how far back mail is read", examples=["2 years"])
    idle: bool = Field(True, description="use IMAP IDLE where the server has it", examples=["yes"])
    backfill_per_second: int = Field(
        0,
        ge=0,
        le=100_000,
        description="at most this many old mails a second while catching up; 0 = no limit",
        examples=["50"],
    )
