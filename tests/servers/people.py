"""The people of a made-up sales office: three reps, customers known in different ways, and outsiders.

All addresses lie in reserved domains. `freemail.example` plays the public mail provider: never anybody's domain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

OFFICE_DOMAIN = "vendas.example"
PUBLIC_DOMAIN = "freemail.example"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes mail. `language` is pt, ru, en or zh."""

    name: str
    email: str
    language: str = "pt"


@dataclass(frozen=True, slots=True)
class Rep:
    """One of our reps with a mailbox: INBOX, Sent and two folders."""

    login: str
    person: Person
    folders: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as the office imports it. `name` is what `log --json` must print."""

    name: str
    rows: tuple[dict[str, str], ...]
    """Rows of customers.csv: name, email, company, domain."""
    people: tuple[Person, ...]
    """Who writes for this customer; each is known by address, by alias or by domain."""
    domain: str = ""
    """Set if the whole domain is known to be this customer."""


REPS = (
    Rep("rep1", Person("Ana Souza", f"rep1@{OFFICE_DOMAIN}", "pt"), ("Clientes/Ativos", "Arquivo")),
    Rep("rep2", Person("Борис Иванов", f"rep2@{OFFICE_DOMAIN}", "ru"), ("Архив", "Сделки/2026")),
    Rep("rep3", Person("Carol Smith", f"rep3@{OFFICE_DOMAIN}", "en"), ("Clientes/Ativos", "Проекты & R&D")),
)
COLLEAGUES = (
    Person("Diretoria", f"diretoria@{OFFICE_DOMAIN}", "pt"),
    Person("Бухгалтерия", f"accounts@{OFFICE_DOMAIN}", "ru"),
)

_FIRST = {
    "pt": ("João", "Inês", "Tomás", "Conceição", "Luís", "Marta", "Raul", "Lúcia"),
    "ru": ("Алексей", "Мария", "Юрий", "Ольга", "Фёдор", "Елена", "Павел", "Жанна"),
    "en": ("Peter", "Mary", "James", "Ruth", "Zoë", "Oliver", "Grace", "Dan"),
    "zh": ("李雷", "王芳"),
}
_LAST = {
    "pt": ("Gonçalves", "Araújo", "Pereira", "Magalhães", "Brandão"),
    "ru": ("Кузнецова", "Щукин", "Петренко", "Белый", "Ёлкина"),
    "en": ("O'Neil", "Miller", "Brown", "Baker", "Young"),
    "zh": ("经理",),
}
_COMPANY = {
    "pt": ("Padaria São José", "Móveis Açaí", "Construções União", "Gráfica Três Irmãos"),
    "ru": ("Северный ветер", "Завод «Ёлочка»", "Торговый дом Щит", "Мебель Юг"),
    "en": ("Hill & Sons", "Blue Harbour Ltd", "Miller's Tools", "North, East and Co"),
    "zh": ("东方贸易",),
}
_SLUG = {"pt": "loja", "ru": "zavod", "en": "works", "zh": "trade"}


def invent_person(rng: Random, language: str, local: str, domain: str) -> Person:
    """A person with a name of that language at `local@domain`."""
    name = f"{rng.choice(_FIRST[language])} {rng.choice(_LAST[language])}"
    return Person(name, f"{local}@{domain}", language)


def invent_customers(rng: Random, count: int) -> tuple[Customer, ...]:
    """`count` customers, the four ways of being known in turn. Names and domains are unique."""
    ways = (_by_domain, _by_address, _by_alias, _by_company)
    return tuple(ways[n % len(ways)](rng, n) for n in range(count))


def invent_look_alike(rng: Random, customer: Customer) -> Person:
    """Somebody who is no customer though the name, the domain or the local part looks like one."""
    person = rng.choice(customer.people)
    local, _, domain = person.email.partition("@")
    disguises = [
        f"{local}@{domain.removesuffix('.example')}-group.example",
        f"{local}@my{domain}",
        f"{local}.{rng.randrange(10, 99)}@{PUBLIC_DOMAIN}",
        f"{domain.replace('.', '-')}@{PUBLIC_DOMAIN}",
    ]
    return replace(person, email=rng.choice(disguises))


def _language(rng: Random) -> str:
    return rng.choices(("pt", "ru", "en", "zh"), (40, 30, 26, 4))[0]


def _company(rng: Random, language: str, number: int) -> tuple[str, str]:
    return f"{rng.choice(_COMPANY[language])} {number}", f"{_SLUG[language]}{number}.example"


def _by_domain(rng: Random, number: int) -> Customer:
    """Only the domain is known: whoever writes from there."""
    language = _language(rng)
    name, domain = _company(rng, language, number)
    people = tuple(invent_person(rng, language, f"contact{i}", domain) for i in range(1, 4))
    return Customer(name, (_row(company=name, domain=domain),), people, domain)


def _by_address(rng: Random, number: int) -> Customer:
    """A private person at a public mail provider; the customer bears the person's name."""
    language = _language(rng)
    person = invent_person(rng, language, f"cliente{number}", PUBLIC_DOMAIN)
    person = replace(person, name=f"{person.name} {number}")
    return Customer(person.name, (_row(name=person.name, email=person.email),), (person,))


def _by_alias(rng: Random, number: int) -> Customer:
    """One person with an address at work and one at a public provider; the domain is not known."""
    language = _language(rng)
    name, domain = _company(rng, language, number)
    person = invent_person(rng, language, "direct", domain)
    alias = replace(person, email=f"alias{number}@{PUBLIC_DOMAIN}")
    rows = tuple(_row(name=person.name, email=each.email, company=name) for each in (person, alias))
    return Customer(name, rows, (person, alias))


def _by_company(rng: Random, number: int) -> Customer:
    """A named buyer, a buyer at a public provider, and the whole domain."""
    language = _language(rng)
    name, domain = _company(rng, language, number)
    buyer = invent_person(rng, language, "Buyer", domain)
    private = invent_person(rng, language, f"buyer{number}", PUBLIC_DOMAIN)
    other = invent_person(rng, language, "office", domain)
    rows = (
        _row(name=buyer.name, email=buyer.email.lower(), company=name, domain=domain),
        _row(name=private.name, email=private.email, company=name),
    )
    return Customer(name, rows, (buyer, private, other), domain)


def _row(*, name: str = "", email: str = "", company: str = "", domain: str = "") -> dict[str, str]:
    return {"name": name, "email": email, "company": company, "domain": domain}
